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
      if (source.kind === 'values' && conflict?.action !== 'update') return [def.uuid];
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

/** Uuids of those that it writes. */
export function writtenTables(statement: Statement): readonly string[] {
  switch (statement.kind) {
    case 'insert':
    case 'update':
    case 'delete':
    case 'merge':
    case 'copyFrom':
      return [statement.def.uuid];
    case 'with': {
      const { before, main, after } = statement;
      return [...before, ...after].flatMap((part) => writtenTables(part.statement)).concat(writtenTables(main));
    }
    case 'explain':
      return statement.analyze ? writtenTables(statement.inner) : NONE;
    default:
      return NONE;
  }
}

/** Uuids of those of which it locks rows. */
export function tablesOfLocks(statement: Statement): readonly string[] {
  const { lock, locks = [] } = statement as Partial<Pick<Extract<Statement, { kind: 'query' }>, 'lock' | 'locks'>>;
  if (lock === undefined && locks.length === 0) return NONE;
  return [...locks, ...(lock === undefined ? [] : [lock])].map(({ def }) => def.uuid);
}

function ofPlan({ tables }: QueryPlan): readonly string[] {
  if (tables.length === 0) return NONE;
  const [first] = tables;
  if (tables.length === 1 && first!.feed === undefined && first!.def.uuid !== '') return [first!.def.uuid];
  // A feed that is followed has no end that a change of its table could wait for.
  // Rows that a part of WITH returns have no uuid.
  return tables.flatMap(({ def, feed }) =>
    feed?.follow === true || def.uuid === '' ? NONE : [feed?.table.uuid ?? def.uuid],
  );
}
