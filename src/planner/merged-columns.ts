/**
 * Columns that a join with USING merges, said as what they are of the tables that it joins: where these stand side by side, as rows at hand,
 * there is no join any more that merges them.
 */
import type { ColumnRef, Node } from 'libpg-query';
import { notSupported } from '../errors.ts';
import { columnNode, stringOf, stringsOf } from './ast.ts';
import type { ScopeItem } from './duckdb/scope.ts';

/** A column of FROM, by the name that it has there. */
type Named = readonly [string, Node];

/** The list with each of them replaced, `*` too. @param target of the statement, whose columns come first */
export function withoutMerged(
  targets: readonly Node[],
  from: readonly Node[],
  items: readonly ScopeItem[],
  target: { readonly alias: string; readonly names: readonly string[] },
): Node[] {
  const merged = new Map<string, Node>();
  const all = from.flatMap((node) => columnsOf(node, items, merged));
  const own = target.names.map((name): Named => [name, columnNode(target.alias, name)]);
  return targets.flatMap((node): Node[] => {
    if (!('ResTarget' in node)) return [node];
    const { val } = node.ResTarget;
    if (isStar(val)) return [...own, ...all].map(([name, value]): Node => ({ ResTarget: { name, val: value } }));
    const name = bareName(val);
    const named = node.ResTarget.name ?? (name !== null && merged.has(name) ? name : undefined);
    const value = replaced(val, merged) as Node;
    return [{ ResTarget: { ...node.ResTarget, ...(named === undefined ? {} : { name: named }), val: value } }];
  });
}

/** What `*` gives of it, in PostgreSQL's order: merged columns first. */
function columnsOf(node: Node, items: readonly ScopeItem[], merged: Map<string, Node>): readonly Named[] {
  if (!('JoinExpr' in node)) return ofItem(node, items);
  const { larg, rarg, usingClause, jointype } = node.JoinExpr;
  const left = columnsOf(larg!, items, merged);
  const right = columnsOf(rarg!, items, merged);
  const names = stringsOf(usingClause);
  const together = names.map((name): Named => {
    const [a, b] = [valueOf(left, name), valueOf(right, name)];
    const both = { CoalesceExpr: { args: [a, b] } } as unknown as Node;
    const value = jointype === 'JOIN_FULL' ? both : jointype === 'JOIN_RIGHT' ? b : a;
    merged.set(name, value);
    return [name, value];
  });
  return [...together, ...[...left, ...right].filter(([name]) => !names.includes(name))];
}

function valueOf(columns: readonly Named[], name: string): Node {
  const found = columns.find(([each]) => each === name);
  if (found === undefined) throw notSupported(`USING of a column "${name}" that is not known, with RETURNING`);
  return found[1];
}

function ofItem(node: Node, items: readonly ScopeItem[]): readonly Named[] {
  const { alias, relname } = Object.values(node)[0] as { alias?: { aliasname?: string }; relname?: string };
  const name = alias?.aliasname ?? relname;
  const item = items.find((each) => each.alias === name);
  if (item?.columns == null) throw notSupported('RETURNING of columns of a join with USING of unknown columns');
  return item.columns.map((each): Named => [each.name, columnNode(item.alias, each.name)]);
}

function bareName(node: Node | undefined): string | null {
  if (node === undefined || !('ColumnRef' in node)) return null;
  const { fields = [] } = node.ColumnRef;
  return fields.length === 1 && 'String' in fields[0]! ? stringOf(fields[0]) : null;
}

function isStar(node: Node | undefined): boolean {
  return (
    node !== undefined &&
    'ColumnRef' in node &&
    node.ColumnRef.fields?.length === 1 &&
    'A_Star' in node.ColumnRef.fields[0]!
  );
}

function replaced(value: unknown, merged: ReadonlyMap<string, Node>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((each) => replaced(each, merged));
  const name = bareName(value as Node);
  const by = name === null ? undefined : merged.get(name);
  if (by !== undefined) {
    const { ColumnRef: reference } = value as { ColumnRef: ColumnRef };
    return 'ColumnRef' in by ? { ColumnRef: { ...by.ColumnRef, ...placeOf(reference) } } : by;
  }
  if ('SubLink' in value) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, replaced(each, merged)]));
}

const placeOf = ({ location }: ColumnRef): { readonly location?: number } =>
  location === undefined ? {} : { location };
