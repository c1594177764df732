/**
 * The sequences that a statement draws numbers from, as far as its plan says: a sequence that another transaction has altered is waited
 * for before the statement begins. Names that a SELECT works out are looked at when they are there (`column-calls.ts`).
 */
import type { Generated, QueryPlan, Statement } from '../planner/plan.ts';
import type { TableDef } from '../table-def.ts';

const NONE: readonly number[] = [];

/** Their OIDs. */
export function drawnSequences(statement: Statement): readonly number[] {
  switch (statement.kind) {
    case 'query':
      return ofPlan(statement.plan);
    case 'insert': {
      const { def, fieldIds, source, generated = [] } = statement;
      const others = new Set([...fieldIds, ...generated.map(({ fieldId }) => fieldId)]);
      const given = source.kind === 'query' ? ofPlan(source.plan) : ofRows(def, fieldIds, source.rows);
      return [
        ...ofDefaults(def, (fieldId) => !others.has(fieldId)),
        ...given,
        ...ofCalls(generated.map((each) => each.value)),
      ];
    }
    case 'update': {
      const made = new Set(statement.generated);
      return made.size === 0 ? NONE : ofDefaults(statement.def, (fieldId) => made.has(fieldId));
    }
    case 'copyFrom': {
      const given = new Set(statement.fieldIds);
      return ofDefaults(statement.def, (fieldId) => !given.has(fieldId));
    }
    case 'merge': {
      const made = new Set(statement.generated.flat());
      return [...ofDefaults(statement.def, (fieldId) => made.has(fieldId)), ...ofPlan(statement.plan)];
    }
    case 'with': {
      const { before, main, after } = statement;
      return [...before, ...after].flatMap((part) => drawnSequences(part.statement)).concat(drawnSequences(main));
    }
    case 'explain':
      return statement.analyze ? drawnSequences(statement.inner) : NONE;
    default:
      return NONE;
  }
}

const ofPlan = ({ hidden }: QueryPlan): readonly number[] => (hidden === undefined ? NONE : ofCalls(hidden.calls));

const ofCalls = (calls: readonly Generated[]): readonly number[] =>
  calls.flatMap((call) => (call.kind === 'nextval' ? [call.sequence] : NONE));

function ofDefaults({ columns }: TableDef, isMade: (fieldId: number) => boolean): readonly number[] {
  return columns.flatMap((column) =>
    column.default?.kind === 'nextval' && isMade(column.fieldId) ? [column.default.sequence] : NONE,
  );
}

type Rows = Extract<Extract<Statement, { kind: 'insert' }>['source'], { kind: 'values' }>['rows'];

function ofRows(def: TableDef, fieldIds: readonly number[], rows: Rows): readonly number[] {
  const byDefault = new Set<number>();
  const calls: Generated[] = [];
  for (const row of rows)
    for (const [i, value] of row.entries())
      if (value.kind === 'default') byDefault.add(fieldIds[i]!);
      else if (value.kind === 'generated') calls.push(value.value);
  return [...ofDefaults(def, (fieldId) => byDefault.has(fieldId)), ...ofCalls(calls)];
}
