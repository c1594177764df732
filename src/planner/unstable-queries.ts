/**
 * Queries that may give other rows when they run again over the same tables. PostgreSQL runs a query of WITH once, however many parts
 * of the statement read it.
 */
import type { FuncCall, Node, SelectStmt } from 'libpg-query';
import { stringsOf, walk } from './ast.ts';

/** `ties`: only where rows are equal by the order that the query asks for. */
export type Stability = 'stable' | 'ties' | 'chance';

const VOLATILE: ReadonlySet<string> = new Set(['random', 'gen_random_uuid', 'clock_timestamp', 'timeofday']);

export function stabilityOf(query: Node): Stability {
  const found = new Set<Stability>();
  walk(query, (tag, body) => {
    if (tag === 'RangeTableSample') found.add('chance');
    if (tag === 'FuncCall') found.add(ofCall(body as FuncCall));
    if (tag === 'SelectStmt') found.add(ofSelect(body as SelectStmt));
  });
  return found.has('chance') ? 'chance' : found.has('ties') ? 'ties' : 'stable';
}

function ofCall({ funcname, over }: FuncCall): Stability {
  if (VOLATILE.has(stringsOf(funcname).at(-1) ?? '')) return 'chance';
  return over === undefined ? 'stable' : 'ties';
}

function ofSelect({ limitCount, limitOffset, distinctClause = [], sortClause }: SelectStmt): Stability {
  const isDistinctOn = distinctClause.some((each) => Object.keys(each).length > 0);
  if (limitCount === undefined && limitOffset === undefined && !isDistinctOn) return 'stable';
  return sortClause === undefined ? 'chance' : 'ties';
}
