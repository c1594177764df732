/** The tables that a statement reads or writes, which must stay as they are from its plan to the end of its transaction. */
import type { QueryPlan, Statement } from '../planner/plan.ts';

const NONE: readonly string[] = [];

/** Their uuids. */
export function tablesOf(statement: Statement): readonly string[] {
  switch (statement.kind) {
    case 'query':
      return ofPlan(statement.plan);
    case 'insert': {
      const { def, source, conflict } = statement;
      const more = source.kind === 'query' ? ofPlan(source.plan) : NONE;
      return [def.uuid, ...more, ...(conflict?.action === 'update' ? ofPlan(conflict.plan) : NONE)];
    }
    case 'merge':
    case 'update':
    case 'delete':
      return [statement.def.uuid, ...ofPlan(statement.plan)];
    case 'with': {
      const { before, main, after } = statement;
      return [...before, ...after].flatMap((part) => tablesOf(part.statement)).concat(tablesOf(main));
    }
    case 'truncate':
      return statement.deletes.flatMap(tablesOf);
    case 'copyFrom':
      return [statement.def.uuid];
    case 'copyTo':
      return ofPlan(statement.plan);
    case 'explain':
      return tablesOf(statement.inner);
    default:
      return NONE;
  }
}

function ofPlan({ tables }: QueryPlan): readonly string[] {
  if (tables.length === 0) return NONE;
  // A feed that is followed has no end that a change of its table could wait for.
  // Rows that a part of WITH returns have no uuid.
  return tables.flatMap(({ def, feed }) =>
    feed?.follow === true || def.uuid === '' ? NONE : [feed?.table.uuid ?? def.uuid],
  );
}
