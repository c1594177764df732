/**
 * How many columns a SELECT gives that reads no Arka table, counted from its text: what `*` stands for must be known before it is
 * described, since an INSERT casts its columns to those that they are for.
 */
import type { Node, SelectStmt } from 'libpg-query';
import { plainName } from './ast.ts';

/** Null: it is not certain. */
export function selectWidth(select: SelectStmt): number | null {
  if (select.larg !== undefined) return selectWidth(select.larg);
  const [first] = select.valuesLists ?? [];
  if (first !== undefined) return 'List' in first ? (first.List.items ?? []).length : null;
  return sum(select.targetList ?? [], (target) => {
    const value = 'ResTarget' in target ? target.ResTarget.val : undefined;
    if (value === undefined || !JSON.stringify(value).includes('"A_Star"')) return 1;
    const isAll = 'ColumnRef' in value && value.ColumnRef.fields?.length === 1;
    return isAll ? sum(select.fromClause ?? [], itemWidth) : null;
  });
}

/** Of an item of FROM. */
function itemWidth(item: Node): number | null {
  if ('RangeSubselect' in item) {
    const { subquery } = item.RangeSubselect;
    return subquery !== undefined && 'SelectStmt' in subquery ? selectWidth(subquery.SelectStmt) : null;
  }
  if ('JoinExpr' in item) {
    const { isNatural, larg, rarg, usingClause = [] } = item.JoinExpr;
    if (isNatural === true || usingClause.length > 0 || larg === undefined || rarg === undefined) return null;
    return sum([larg, rarg], itemWidth);
  }
  if (!('RangeFunction' in item)) return null;
  const { coldeflist = [], functions = [], ordinality } = item.RangeFunction;
  const width = coldeflist.length > 0 ? coldeflist.length : sum(functions, functionWidth);
  return width === null ? null : width + (ordinality === true ? 1 : 0);
}

/** A member of ROWS FROM: a function and its columns. */
function functionWidth(member: Node): number | null {
  if (!('List' in member)) return null;
  const [call, columns] = member.List.items ?? [];
  if (columns !== undefined && 'List' in columns) return (columns.List.items ?? []).length;
  if (call === undefined || !('FuncCall' in call)) return null;
  const { args = [], funcname } = call.FuncCall;
  const name = plainName(funcname).replace(/^pg_catalog\./, '');
  if (name === 'unnest') return args.length; // of arrays: columns cannot be of composite types
  return ONE_COLUMN.has(name) ? 1 : null;
}

const ONE_COLUMN: ReadonlySet<string> = new Set([
  'generate_series',
  'generate_subscripts',
  'json_array_elements',
  'json_array_elements_text',
  'json_object_keys',
  'jsonb_array_elements',
  'jsonb_array_elements_text',
  'jsonb_object_keys',
  'regexp_split_to_table',
  'string_to_table',
]);

function sum(nodes: readonly Node[], widthOf: (node: Node) => number | null): number | null {
  let total = 0;
  for (const node of nodes) {
    const width = widthOf(node);
    if (width === null) return null;
    total += width;
  }
  return total;
}
