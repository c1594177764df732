/** FROM: tables as placeholders, CTEs, subqueries, joins and the few set-returning functions. */
import { quoteIdentifier } from '../../sql-text.ts';
import type { Alias, JoinExpr, Node, RangeFunction, RangeVar } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../../errors.ts';
import { Oid } from '../../types/pg-type.ts';
import { atNode, plainName, stringsOf, tagOf } from '../ast.ts';
import { seriesOf } from '../long-series.ts';
import { undefinedTable } from '../schema-names.ts';
import { writeCondition, writeExpression } from './expression.ts';
import { jsonRows, type ListRows } from './json.ts';
import { rename, writeSubquery } from './query.ts';
import { tableItem, type OutputColumn, type Scope, type ScopeItem } from './scope.ts';
import { checkEqualAsStored, coerced } from './operators.ts';
import { elementIn, typed, type Typed } from './typed.ts';

export function writeFrom(nodes: readonly Node[], outer: Scope): { readonly sql: string; readonly scope: Scope } {
  const merged = new Set<string>();
  const items: ScopeItem[] = [];
  const sql = nodes.map((node) => writeItem(node, outer, items, merged));
  const seen = new Set<string>();
  for (const item of items) {
    if (seen.has(item.alias) && item.alias !== '')
      throw new SqlError(SqlState.duplicateAlias, `table name "${item.alias}" specified more than once`);
    seen.add(item.alias);
  }
  return { sql: sql.join(', '), scope: { ...outer, items, merged } };
}

function writeItem(node: Node, outer: Scope, items: ScopeItem[], merged: Set<string>): string {
  if ('RangeVar' in node) return writeRelation(node.RangeVar, outer, items);
  if ('JoinExpr' in node) return writeJoin(node.JoinExpr, outer, items, merged);
  if ('RangeSubselect' in node) {
    const { subquery, alias, lateral } = node.RangeSubselect;
    const visible: Scope =
      lateral === true
        ? { ...outer, items: [...items], merged, parent: outer }
        : { ...outer, items: [], merged: new Set() };
    // Not lateral: names must not find the FROM items to the left, as they would in DuckDB; the outer query's levels stay.
    const written = writeSubquery(subquery!, lateral === true ? visible : { ...visible, parent: outer.parent });
    const item = derived(alias, written.outputs);
    items.push(item);
    return `${lateral === true ? 'LATERAL ' : ''}(${written.sql}) AS ${aliasSql(item, alias)}`;
  }
  if ('RangeFunction' in node) return writeFunctionScan(node.RangeFunction, outer, items, node);
  throw notSupported(
    `${tagOf(node) === 'RangeTableSample' ? 'TABLESAMPLE' : tagOf(node)} over Arka tables`,
    atNode(node),
  );
}

function aliasNames(alias: Alias | undefined): readonly string[] {
  return stringsOf(alias?.colnames);
}

function derived(alias: Alias | undefined, outputs: readonly OutputColumn[] | null): ScopeItem {
  return {
    alias: alias?.aliasname ?? 'unnamed_subquery',
    schema: null,
    columns: rename(outputs, aliasNames(alias)),
    table: null,
    isRenamed: aliasNames(alias).length > 0,
  };
}

function aliasSql(item: ScopeItem, alias: Alias | undefined): string {
  const names = aliasNames(alias);
  return quoteIdentifier(item.alias) + (names.length > 0 ? `(${names.map(quoteIdentifier).join(', ')})` : '');
}

function writeRelation(relation: RangeVar, outer: Scope, items: ScopeItem[]): string {
  const name = relation.relname ?? '';
  const alias = relation.alias?.aliasname ?? name;
  const planned = outer.context.tables.get(relation);
  if (planned !== undefined) {
    const item = tableItem(
      planned,
      alias,
      relation.alias === undefined ? planned.def.schema : null,
      aliasNames(relation.alias),
    );
    items.push(item);
    return `${quoteIdentifier(planned.placeholder)} AS ${aliasSql(item, relation.alias)}`;
  }
  if (!outer.ctes.has(name)) throw undefinedTable(relation);
  const item: ScopeItem = {
    alias,
    schema: null,
    columns: rename(outer.ctes.get(name) ?? null, aliasNames(relation.alias)),
    table: null,
    isRenamed: aliasNames(relation.alias).length > 0,
  };
  items.push(item);
  return `${quoteIdentifier(name)} AS ${aliasSql(item, relation.alias)}`;
}

const JOINS: Readonly<Record<string, string>> = {
  JOIN_INNER: 'INNER JOIN',
  JOIN_LEFT: 'LEFT JOIN',
  JOIN_RIGHT: 'RIGHT JOIN',
  JOIN_FULL: 'FULL JOIN',
};

/** Tables side by side, row by row: rows at hand that belong together. */
export function beside(relations: readonly RangeVar[]): Node {
  const [first, ...rest] = relations.map((relation): Node => ({ RangeVar: relation }));
  return rest.reduce(
    (larg, rarg) => ({ JoinExpr: { jointype: 'JOIN_INNER', larg, rarg, isPositional: true } }) as unknown as Node,
    first!,
  );
}

function writeJoin(join: JoinExpr, outer: Scope, items: ScopeItem[], merged: Set<string>): string {
  if (join.alias !== undefined || join.join_using_alias !== undefined)
    throw notSupported('an alias of a join over Arka tables');
  if (join.isNatural === true)
    throw notSupported('NATURAL JOIN over Arka tables', { hint: 'Name the columns with USING.' });
  const begin = items.length;
  const left = writeItem(join.larg!, outer, items, merged);
  const right = writeItem(join.rarg!, outer, items, merged);
  const kind = JOINS[join.jointype ?? 'JOIN_INNER'];
  if (kind === undefined) throw notSupported('this kind of join over Arka tables');
  if (join.usingClause !== undefined) {
    const names = stringsOf(join.usingClause);
    for (const name of names) {
      merged.add(name);
      const column = items
        .slice(begin)
        .flatMap((item) => item.columns ?? [])
        .find((one) => one.name === name);
      checkEqualAsStored(typed('', column?.oid ?? 0), {});
    }
    return `(${left} ${kind} ${right} USING (${names.map(quoteIdentifier).join(', ')}))`;
  }
  if ((join as { isPositional?: boolean }).isPositional === true) return `(${left} POSITIONAL JOIN ${right})`;
  if (join.quals === undefined) return `(${left} CROSS JOIN ${right})`;
  const scope: Scope = { ...outer, items: items.slice(begin), merged };
  return `(${left} ${kind} ${right} ON ${writeCondition(join.quals, scope, 'JOIN/ON')})`;
}

function writeFunctionScan(node: RangeFunction, outer: Scope, items: ScopeItem[], where: Node): string {
  if (node.is_rowsfrom === true || node.coldeflist !== undefined)
    throw notSupported('this form of function in FROM over Arka tables', atNode(where));
  const list = node.functions?.[0];
  const call = list !== undefined && 'List' in list ? list.List.items?.[0] : undefined;
  if (call === undefined || !('FuncCall' in call))
    throw notSupported('this form of function in FROM over Arka tables', atNode(where));
  const name = plainName(call.FuncCall.funcname);
  const scope: Scope = { ...outer, items: [...items], parent: outer };
  const args = seriesOfDays(
    name,
    (call.FuncCall.args ?? []).map((arg) => writeExpression(arg, scope)),
  );
  const lists = listRows(name, args);
  if (lists !== undefined) return writeLists(lists, name, node, items);
  if (node.ordinality === true)
    throw notSupported(`WITH ORDINALITY of function ${name} over Arka tables`, atNode(where));
  const oid = functionScanType(name, args, call);
  const alias = node.alias?.aliasname ?? name;
  const column = aliasNames(node.alias)[0] ?? alias;
  items.push({ alias, schema: null, columns: [{ name: column, oid }], table: null });
  const values = args.map((arg) => arg.sql).join(', ');
  if (seriesOf(call.FuncCall) !== null && args.every((arg) => arg.oid === Oid.int4 || arg.oid === Oid.int8)) {
    // rows one after another, where a list would be whole in memory
    const type = oid === Oid.int4 ? 'INTEGER' : 'BIGINT';
    return `(SELECT CAST(generate_series AS ${type}) AS ${quoteIdentifier(column)} FROM generate_series(${values})) AS ${quoteIdentifier(alias)}`;
  }
  // A list of no step 0; the list form keeps the type of its arguments where the table function is BIGINT.
  const zero = oid === Oid.timestamp || oid === Oid.timestamptz ? "INTERVAL '0 seconds'" : '0';
  const series = `CASE WHEN ${args[2]?.sql} = ${zero} THEN error('22023: step size cannot equal zero') ELSE generate_series(${values}) END`;
  const source = args[2] === undefined ? `generate_series(${values})` : series;
  return `(SELECT unnest(${source}) AS ${quoteIdentifier(column)}) AS ${quoteIdentifier(alias)}`;
}

/** A series from a date to a date by an interval is one of instants. */
function seriesOfDays(name: string, args: readonly Typed[]): readonly Typed[] {
  const [from, to, step] = args;
  const isOne = name === 'generate_series' && from?.oid === Oid.date && to?.oid === Oid.date && step !== undefined;
  if (!isOne || (step.oid !== Oid.interval && step.oid !== Oid.unknown)) return args;
  const instant = ({ sql }: Typed): Typed => typed(`CAST(${sql} AS TIMESTAMP WITH TIME ZONE)`, Oid.timestamptz);
  return [instant(from), instant(to), typed(coerced(step, typed('', Oid.interval), {}), Oid.interval)];
}

/** Functions whose rows are the members of lists. */
export function listRows(name: string, args: readonly Typed[]): ListRows | undefined {
  if (name !== 'unnest') return jsonRows(name, args);
  return {
    columns: args.map((arg) => ({
      name: args.length > 1 ? 'unnest' : '',
      oid: elementIn(arg.oid) ?? 0,
      list: arg.sql,
    })),
  };
}

/** Lists of a row side by side, as rows; the shorter ones end in NULLs. */
function writeLists({ columns }: ListRows, name: string, node: RangeFunction, items: ScopeItem[]): string {
  const alias = node.alias?.aliasname ?? name;
  const names = aliasNames(node.alias);
  const outputs: OutputColumn[] = columns.map(({ name: own, oid }, i) => ({
    name: names[i] ?? (own === '' ? alias : own),
    oid,
  }));
  const unnested = columns.map(({ list }, i) => `unnest(${list}) AS ${quoteIdentifier(outputs[i]!.name)}`);
  if (node.ordinality === true) {
    const column = names[columns.length] ?? 'ordinality';
    const longest = `greatest(${columns.map(({ list }) => `len(${list})`).join(', ')})`;
    outputs.push({ name: column, oid: Oid.int8 });
    unnested.push(`unnest(generate_series(1, ${longest})) AS ${quoteIdentifier(column)}`);
  }
  const isScalar = outputs.length === 1 ? { isScalar: true as const } : {};
  items.push({ alias, schema: null, columns: outputs, table: null, ...isScalar });
  return `(SELECT ${unnested.join(', ')}) AS ${quoteIdentifier(alias)}`;
}

function functionScanType(name: string, args: readonly Typed[], call: Node): number {
  if (name !== 'generate_series' || args.length < 2 || args.length > 3) {
    throw new SqlError(
      SqlState.featureNotSupported,
      `function ${name} in FROM is not supported yet over Arka tables`,
      atNode(call),
    );
  }
  const types = args.map((arg) => arg.oid);
  if (types[0] === Oid.timestamp || types[0] === Oid.timestamptz) return types[0];
  if (types.every((oid) => oid === Oid.int4 || oid === Oid.int2)) return Oid.int4;
  if (types.every((oid) => oid === Oid.int8 || oid === Oid.int4 || oid === Oid.int2)) return Oid.int8;
  throw notSupported('generate_series of these types over Arka tables', atNode(call));
}
