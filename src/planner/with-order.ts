/** WITH RECURSIVE may name a query before it is there: the queries of one, each behind those that it reads. */
import type { CommonTableExpr, Node, RangeVar } from 'libpg-query';
import { notSupported } from '../errors.ts';
import { at, walk } from './ast.ts';

/** @throws {SqlError} 0A000 where two read each other */
export function inReadingOrder(ctes: readonly Node[]): Node[] {
  const named = new Map<string, Node>();
  for (const node of ctes) if ('CommonTableExpr' in node) named.set(node.CommonTableExpr.ctename ?? '', node);
  const ordered = new Set<Node>();
  const open = new Set<Node>();
  const visit = (node: Node): void => {
    if (ordered.has(node)) return;
    const { ctequery, location } = (node as { CommonTableExpr: CommonTableExpr }).CommonTableExpr;
    if (open.has(node)) throw notSupported('mutual recursion between WITH items', at(location));
    open.add(node);
    for (const name of namesIn(ctequery)) {
      const read = named.get(name);
      if (read !== undefined && read !== node) visit(read);
    }
    ordered.add(node);
  };
  ctes.forEach(visit);
  return [...ordered];
}

function namesIn(query: Node | undefined): ReadonlySet<string> {
  const names = new Set<string>();
  walk({ Below: query }, (tag, found) => {
    const { schemaname = '', relname = '' } = found as RangeVar;
    if (tag === 'RangeVar' && schemaname === '') names.add(relname);
  });
  return names;
}
