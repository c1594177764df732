/**
 * SELECT, VALUES, set operations and WITH → DuckDB SQL. Result columns always get PostgreSQL's names.
 *
 * Scans appear as their quoted placeholder. Each level's WHERE is shown to the context, for time ranges.
 */
import { quoteIdentifier } from '../../sql-text.ts';
import type { Node, SelectStmt, WithClause } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../../errors.ts';
import { Oid } from '../../types/pg-type.ts';
import { at, atNode, constantKind, constantText, misplacedInto, plainName, stringOf, stringsOf, walk } from '../ast.ts';
import { columnName } from '../column-names.ts';
import { columnType, typeOidOf } from '../type-names.ts';
import { columnCast, sharedType, valueAs } from './common-type.ts';
import { writeCondition, writeExpression, writeSort } from './expression.ts';
import { listRows, writeFrom } from './from.ts';
import { checkComparable, checkEqualAsStored } from './operators.ts';
import {
  allColumns,
  columnOf,
  resolveHere,
  rootScope,
  type OutputColumn,
  type Scope,
  type WriterContext,
} from './scope.ts';
import { apart, isKeyed, orderKey, sortKey } from './sort-keys.ts';
import { isFloat, typed, WIDE_NUMERIC, type Typed } from './typed.ts';
import { writeWindow } from './windows.ts';

export interface WrittenQuery {
  readonly sql: string;
  /** Null where a star stands for columns Arka does not know. */
  readonly outputs: readonly OutputColumn[] | null;
}

export function writeQuery(select: SelectStmt, context: WriterContext): WrittenQuery {
  return writeSelect(select, rootScope(context));
}

export function writeSubquery(node: Node, scope: Scope): WrittenQuery {
  if (!('SelectStmt' in node)) throw notSupported('a data-modifying statement inside a query', atNode(node));
  return writeSelect(node.SelectStmt, { ...scope, items: [], merged: new Set(), parent: scope });
}

function writeSelect(select: SelectStmt, outer: Scope): WrittenQuery {
  if (select.intoClause !== undefined) throw misplacedInto(select.intoClause);
  if ((select.lockingClause ?? []).length > 0) throw notSupported('FOR UPDATE or FOR SHARE');
  if (select.limitOption === 'LIMIT_OPTION_WITH_TIES') throw notSupported('WITH TIES over Arka tables');
  const { prefix, scope } = writeWith(select.withClause, outer);
  const setOperation = select.op !== undefined && select.op !== 'SETOP_NONE';
  const body = setOperation
    ? writeSetOperation(select, scope)
    : select.valuesLists !== undefined
      ? writeValues(select, scope)
      : writeBody(select, scope);
  let sql = prefix + body.sql;
  for (const [clause, items] of [
    ['ORDER BY', sortedBy(select)],
    ['GROUP BY', select.groupClause],
    ['DISTINCT ON', select.distinctClause],
  ] as const)
    refuseConstants(clause, items ?? []);
  if (select.sortClause !== undefined)
    sql += ` ORDER BY ${select.sortClause.map((item) => writeSort(item, body.scope, body.sortOutput)).join(', ')}`;
  if (select.limitCount !== undefined && constantKind(select.limitCount) !== 'null')
    sql += ` LIMIT ${writeCount(select.limitCount, body.scope, 'LIMIT')}`;
  if (select.limitOffset !== undefined) sql += ` OFFSET ${writeCount(select.limitOffset, body.scope, 'OFFSET')}`;
  return { sql, outputs: body.outputs };
}

function sortedBy({ sortClause = [] }: SelectStmt): readonly Node[] {
  return sortClause.flatMap((item) => ('SortBy' in item && item.SortBy.node !== undefined ? [item.SortBy.node] : []));
}

/** A constant there is a place of the list. @throws {SqlError} 42601 */
function refuseConstants(clause: string, nodes: readonly Node[]): void {
  for (const node of nodes)
    if (constantKind(node) !== undefined && constantKind(node) !== 'integer')
      throw new SqlError(SqlState.syntaxError, `non-integer constant in ${clause}`, atNode(node));
}

interface Body {
  readonly sql: string;
  readonly outputs: readonly OutputColumn[] | null;
  readonly scope: Scope;
  /** What a bare name or number in ORDER BY means by PostgreSQL's rule: the output column first. */
  readonly sortOutput: (node: Node) => Typed | undefined;
}

function writeCount(node: Node, scope: Scope, clause: string): string {
  const text = constantText(node);
  if (constantKind(node) === 'integer' && text!.startsWith('-'))
    throw new SqlError(SqlState.invalidParameterValue, `${clause} must not be negative`);
  const value = writeExpression(node, { ...scope, items: [], parent: null });
  return value.parameter === undefined && constantKind(node) !== undefined
    ? value.sql
    : `(CAST(${value.sql} AS BIGINT))`;
}

export function writeWith(clause: WithClause | undefined, outer: Scope): { prefix: string; scope: Scope } {
  if (clause === undefined) return { prefix: '', scope: outer };
  const ctes = new Map(outer.ctes);
  const parts: string[] = [];
  for (const node of clause.ctes ?? []) {
    if (!('CommonTableExpr' in node)) continue;
    const cte = node.CommonTableExpr;
    const name = cte.ctename ?? '';
    if (cte.search_clause !== undefined || cte.cycle_clause !== undefined)
      throw notSupported('SEARCH and CYCLE over Arka tables', at(cte.location));
    const query = cte.ctequery!;
    if (!('SelectStmt' in query)) throw notSupported('a data-modifying statement in WITH', at(cte.location));
    const renamed = stringsOf(cte.aliascolnames);
    const scope = (): Scope => ({ ...outer, ctes });
    if (clause.recursive === true && query.SelectStmt.larg !== undefined) {
      // What the recursive term sees of itself: the columns of the first term.
      const silent: Scope = { ...scope(), context: { ...outer.context, onWhere: () => undefined } };
      const first = writeSubquery({ SelectStmt: query.SelectStmt.larg } as Node, silent).outputs;
      const seen = first?.map((column) => ({ name: column.name, oid: ofAnyScale(typed('', column.oid)).oid })) ?? null;
      ctes.set(name, rename(seen, renamed));
    }
    const written = writeSubquery(query, clause.recursive === true ? { ...scope(), isRecursive: true } : scope());
    const outputs = rename(written.outputs, renamed);
    ctes.set(name, outputs);
    const names = outputs === null ? renamed : outputs.map((column) => column.name);
    const columns =
      names.length > 0 && new Set(names.map((one) => one.toLowerCase())).size === names.length
        ? ` (${names.map(quoteIdentifier).join(', ')})`
        : '';
    const materialized = cte.ctematerialized === 'CTEMaterializeAlways' ? 'MATERIALIZED ' : '';
    parts.push(`${quoteIdentifier(name)}${columns} AS ${materialized}(${written.sql})`);
  }
  return {
    prefix: `WITH ${clause.recursive === true ? 'RECURSIVE ' : ''}${parts.join(', ')} `,
    scope: { ...outer, ctes },
  };
}

/** As the rows of a recursion are, whose numerics may get more digits with each of them. */
function ofAnyScale(column: Typed): Typed {
  return column.oid === Oid.numeric ? typed('', WIDE_NUMERIC) : column;
}

export function rename(
  outputs: readonly OutputColumn[] | null,
  names: readonly string[],
): readonly OutputColumn[] | null {
  if (outputs === null) return null;
  return outputs.map((column, index) => (names[index] === undefined ? column : { ...column, name: names[index] }));
}

function writeSetOperation(select: SelectStmt, scope: Scope): Body {
  const left = writeSelect(select.larg!, scope);
  const right = writeSelect(select.rarg!, scope);
  const names: Readonly<Record<string, string>> = {
    SETOP_UNION: 'UNION',
    SETOP_INTERSECT: 'INTERSECT',
    SETOP_EXCEPT: 'EXCEPT',
  };
  if (left.outputs !== null && right.outputs !== null && left.outputs.length !== right.outputs.length) {
    throw new SqlError(
      SqlState.syntaxError,
      `each ${names[select.op ?? '']} query must have the same number of columns`,
    );
  }
  const common = sharedColumns(left.outputs, right.outputs);
  const shared = scope.isRecursive === true ? common?.map(ofAnyScale) : common;
  const outputs = shared?.map(({ oid, decimal }, index) => ({
    name: left.outputs![index]!.name,
    oid,
    ...scaled(decimal === undefined ? { sql: '', oid } : { sql: '', oid, decimal }),
  }));
  const sides = [left, right].map((side) => sideSql(side, shared));
  const keyed = (outputs ?? []).map(({ oid }) => oid).filter(isKeyed);
  const isUnion = select.op === 'SETOP_UNION';
  if (select.all !== true) {
    for (const column of [...(left.outputs ?? []), ...(right.outputs ?? [])])
      (isUnion ? checkComparable : checkEqualAsStored)(typed('', column.oid), {});
    if (!isUnion) for (const oid of keyed) checkEqualAsStored(typed('', oid), {});
  }
  const name = names[select.op ?? ''];
  const body = (all: boolean): string => `(${sides[0]}) ${name}${all ? ' ALL' : ''} (${sides[1]})`;
  const sql = select.all !== true && keyed.length > 0 ? distinctRows(body(true), outputs!) : body(select.all === true);
  return {
    sql,
    outputs: outputs ?? null,
    scope: resultScope(scope, outputs ?? null),
    sortOutput: (node) => outputReference(node, outputs ?? [], outputs ?? null),
  };
}

/** The columns of both sides of a set operation, with the type that they get. */
function sharedColumns(left: WrittenQuery['outputs'], right: WrittenQuery['outputs']): readonly Typed[] | undefined {
  return left?.map((column, index) => {
    const pair = [column, right?.[index]].map((one) => {
      const value = columnOf('', one);
      return one?.untyped === true && right !== null ? { ...value, oid: Oid.unknown } : value;
    });
    return sharedType(pair);
  });
}

/** A side whose columns have the shared types. */
function sideSql({ sql, outputs }: WrittenQuery, shared: readonly Typed[] | undefined): string {
  const casts = (shared ?? []).map((to, i) => columnCast(columnOf('', outputs?.[i]), to));
  if (casts.every((cast) => cast === null)) return sql;
  const columns = casts.map((cast, i) => (cast ?? ((column: string) => column))(`arka_side.c${i}`));
  return `SELECT ${columns.map((column, i) => `${column} AS ${quoteIdentifier(outputs![i]!.name)}`).join(', ')} FROM (${sql}) AS arka_side(${columns.map((_, i) => `c${i}`).join(', ')})`;
}

/** Rows that differ, where values are equal by their keys. */
function distinctRows(sql: string, outputs: readonly OutputColumn[]): string {
  const columns = outputs.map((_, i) => `c${i}`);
  const keys = columns.map((column, i) => sortKey(`arka_all.${column}`, outputs[i]!.oid));
  const list = columns.map((column, i) => `arka_all.${column} AS ${quoteIdentifier(outputs[i]!.name)}`);
  return `SELECT DISTINCT ON (${keys.join(', ')}) ${list.join(', ')} FROM (${sql}) AS arka_all(${columns.join(', ')})`;
}

/** Above a set operation only result columns can be seen. */
function resultScope(scope: Scope, outputs: readonly OutputColumn[] | null): Scope {
  return { ...scope, items: [{ alias: '', schema: null, columns: outputs, table: null }] };
}

function writeValues(select: SelectStmt, scope: Scope): Body {
  const columns: Typed[][] = [];
  const lists = (select.valuesLists ?? []).map((list) => {
    const items = 'List' in list ? (list.List.items ?? []) : [];
    if (columns.length > 0 && items.length !== columns.length)
      throw new SqlError(SqlState.syntaxError, 'VALUES lists must all be the same length', atNode(items[0]));
    for (const [i, item] of items.entries()) (columns[i] ??= []).push(writeExpression(item, scope));
    return items;
  });
  const types = columns.map(sharedType);
  const rows = lists.map((_, row) => `(${columns.map((values, i) => valueAs(values[row]!, types[i]!)).join(', ')})`);
  const outputs = types.map((type, index) => ({ name: `column${index + 1}`, oid: type.oid, ...scaled(type) }));
  const sql = `SELECT * FROM (VALUES ${rows.join(', ')}) AS "*VALUES*"(${outputs.map((column) => quoteIdentifier(column.name)).join(', ')})`;
  return {
    sql,
    outputs,
    scope: resultScope(scope, outputs),
    sortOutput: (node) => outputReference(node, outputs, outputs),
  };
}

function writeBody(select: SelectStmt, outer: Scope): Body {
  const from = writeFrom(select.fromClause ?? [], outer);
  const { scope } = from;
  const targets = writeTargets(select, scope);
  const keyed = new Set<string>();
  const groups = (select.groupClause ?? []).map((node) => writeGrouping(node, scope, targets, keyed));
  const parts = [`SELECT ${writeDistinct(select, targets, scope)}${targetList(targets, keyed)}`];
  const isOneRow = isOneGroup(select);
  if (from.sql !== '' && !isOneRow) parts.push(`FROM ${from.sql}`);
  if (select.whereClause !== undefined) {
    const where = `WHERE ${writeCondition(select.whereClause, scope, 'WHERE')}`;
    if (!isOneRow) {
      parts.push(where);
      scope.context.onWhere(select.whereClause, scope);
    }
  }
  if (select.groupClause !== undefined) {
    if (select.groupDistinct === true) throw notSupported('GROUP BY DISTINCT over Arka tables');
    parts.push(`GROUP BY ${groups.join(', ')}`);
  }
  if (select.havingClause !== undefined) {
    const having = writeCondition(select.havingClause, scope, 'HAVING');
    const unread = from.sql === '' ? '' : ` AND NOT EXISTS (SELECT 1 FROM ${from.sql} WHERE false)`; // its scans have to be named
    parts.push(isOneRow ? `WHERE (${having})${unread}` : `HAVING ${having}`);
  }
  if (select.windowClause !== undefined) {
    parts.push(
      `WINDOW ${select.windowClause.map((node) => ('WindowDef' in node ? `${quoteIdentifier(node.WindowDef.name ?? '')} AS (${writeWindow(node.WindowDef, scope)})` : '')).join(', ')}`,
    );
  }
  return {
    sql: parts.join(' '),
    outputs: targets.outputs,
    scope,
    sortOutput: (node) => outputReference(node, targets.named, targets.outputs, targets.expressions),
  };
}

/** HAVING without groups, of constants alone: one row or none, whatever the tables have. PostgreSQL does not read them. */
function isOneGroup({ havingClause, groupClause, targetList: targets, windowClause }: SelectStmt): boolean {
  if (havingClause === undefined || groupClause !== undefined || windowClause !== undefined) return false;
  let isConstant = true;
  walk({ Below: [havingClause, targets] }, (tag) => {
    if (tag === 'ColumnRef' || tag === 'FuncCall' || tag === 'SubLink') isConstant = false;
  });
  return isConstant;
}

interface Targets {
  /** One a target; `expression`: null for a star. */
  readonly items: readonly { readonly sql: string; readonly expression: (Typed & { readonly name: string }) | null }[];
  readonly outputs: readonly OutputColumn[] | null;
  /** Outputs with a name, without what stars stand for. */
  readonly named: readonly OutputColumn[];
  readonly expressions: readonly (Typed & { readonly name: string })[];
}

/** Of what is grouped by its key any value of the group stands for it. */
function targetList({ items }: Targets, keyed: ReadonlySet<string>): string {
  const list = items.map(({ sql, expression }) =>
    expression !== null && keyed.has(expression.sql)
      ? `any_value(${expression.sql}) AS ${quoteIdentifier(expression.name)}`
      : sql,
  );
  return list.join(', ');
}

function writeTargets(select: SelectStmt, scope: Scope): Targets {
  const list = select.targetList ?? [];
  if (list.length === 0) throw notSupported('a query without result columns over Arka tables');
  const outputs: OutputColumn[] = [];
  const named: OutputColumn[] = [];
  const expressions: (Typed & { name: string })[] = [];
  let complete = true;
  const items = list.map((target): Targets['items'][number] => {
    if (!('ResTarget' in target)) throw notSupported('this result column over Arka tables', atNode(target));
    const value = target.ResTarget.val!;
    const star = starColumns(value, scope);
    if (star !== undefined) {
      if (star.columns === null) complete = false;
      else outputs.push(...star.columns);
      return { sql: star.sql, expression: null };
    }
    const written = writeRows(value, select, scope) ?? writeExpression(value, scope);
    const name =
      target.ResTarget.name !== undefined && target.ResTarget.name !== '' ? target.ResTarget.name : columnName(value);
    const column: OutputColumn =
      written.oid === Oid.unknown
        ? { name, oid: Oid.text, untyped: true }
        : { name, oid: written.oid, ...declared(value, scope), ...scaled(written) };
    outputs.push(column);
    named.push(column);
    const expression = { ...written, name };
    expressions.push(expression);
    return { sql: `${written.sql} AS ${quoteIdentifier(name)}`, expression };
  });
  return { items, outputs: complete ? outputs : null, named, expressions };
}

/** A function that gives a row for each member, as a whole result column; undefined: it is none. */
function writeRows(value: Node, select: SelectStmt, scope: Scope): Typed | undefined {
  if (!('FuncCall' in value)) return undefined;
  const name = plainName(value.FuncCall.funcname);
  const isRows = name === 'unnest' || /^jsonb?_(object_keys|array_elements|array_elements_text)$/.test(name);
  if (!isRows) return undefined;
  const args = (value.FuncCall.args ?? []).map((arg) => writeExpression(arg, scope));
  const column = listRows(name, args)?.columns[0];
  const isPlain =
    select.groupClause === undefined && select.havingClause === undefined && select.distinctClause === undefined;
  if (column === undefined || args.length !== 1 || !isPlain)
    throw notSupported(`function ${name} in this place over Arka tables`, {
      hint: 'Put it into FROM.',
      ...atNode(value),
    });
  return typed(`unnest(${column.list})`, column.oid);
}

/** The scale that all values of a numeric have. */
function scaled({ oid, decimal }: Typed): Pick<OutputColumn, 'decimal'> {
  if (oid !== Oid.numeric || decimal === undefined) return {};
  return { decimal: { precision: decimal.precision, scale: decimal.scale } };
}

/** The type modifier of a plain column, or of a cast to numeric(p, s). */
function declared(node: Node, scope: Scope): { readonly typmod?: number } {
  if ('TypeCast' in node) {
    const { typeName } = node.TypeCast;
    const isBounded = typeOidOf(typeName) === Oid.numeric && (typeName?.typmods ?? []).length > 0;
    return isBounded ? { typmod: columnType(typeName!, '').typmod } : {};
  }
  if (!('ColumnRef' in node)) return {};
  const names = stringsOf(node.ColumnRef.fields);
  const typmod = resolveHere(scope, names.at(-2) ?? null, names.at(-1) ?? '')?.column.typmod;
  return typmod === undefined ? {} : { typmod };
}

function starColumns(node: Node, scope: Scope): { sql: string; columns: readonly OutputColumn[] | null } | undefined {
  if (!('ColumnRef' in node)) return undefined;
  const fields = node.ColumnRef.fields ?? [];
  if (fields.length === 0 || !('A_Star' in fields.at(-1)!)) return undefined;
  if (fields.length === 1) {
    if (scope.items.length === 0)
      throw new SqlError(
        SqlState.syntaxError,
        'SELECT * with no tables specified is not valid',
        at(node.ColumnRef.location),
      );
    // DuckDB looks for the columns of USING under the names that they had before.
    if (scope.merged.size > 0 && scope.items.some(({ isRenamed }) => isRenamed === true))
      throw notSupported(
        '* of a join with USING and other names for columns over Arka tables',
        at(node.ColumnRef.location),
      );
    return { sql: '*', columns: allColumns(scope) };
  }
  const alias = stringOf(fields.at(-2));
  const item = scope.items.find((one) => one.alias === alias);
  if (item === undefined)
    throw new SqlError(
      SqlState.undefinedTable,
      `missing FROM-clause entry for table "${alias}"`,
      at(node.ColumnRef.location),
    );
  return { sql: `${quoteIdentifier(alias)}.*`, columns: item.columns };
}

const isStar = ({ expression }: Targets['items'][number]): boolean => expression === null;

function writeDistinct(select: SelectStmt, targets: Targets, scope: Scope): string {
  const clause = select.distinctClause;
  if (clause === undefined) return '';
  for (const column of targets.outputs ?? []) checkComparable(typed('', column.oid), {});
  // A plain DISTINCT is one empty node.
  const on = clause.filter((node) => Object.keys(node).length > 0);
  if (on.length === 0 && targets.expressions.some(({ oid }) => isKeyed(oid)) && !targets.items.some(isStar))
    return `DISTINCT ON (${targets.expressions.map(orderKey).join(', ')}) `;
  for (const column of targets.outputs ?? []) checkEqualAsStored(typed('', column.oid), {});
  if (on.length === 0) return 'DISTINCT ';
  return `DISTINCT ON (${on.map((node) => (outputReference(node, targets.named, targets.outputs, targets.expressions) === undefined ? writeExpression(node, scope).sql : distinctTarget(node, targets))).join(', ')}) `;
}

function distinctTarget(node: Node, targets: Targets): string {
  const reference = outputReference(node, targets.named, targets.outputs, targets.expressions)!;
  const target = targets.expressions.find((one) => quoteIdentifier(one.name) === reference.sql);
  return target?.sql ?? reference.sql;
}

/** GROUP BY: an input column first, then an output's name; a number is an output's place. */
function writeGrouping(node: Node, scope: Scope, targets: Targets, keyed: Set<string> | null): string {
  if ('GroupingSet' in node) {
    const items = (node.GroupingSet.content ?? []).map((item) => writeGrouping(item, scope, targets, null)).join(', ');
    switch (node.GroupingSet.kind) {
      case 'GROUPING_SET_EMPTY':
        return '()';
      case 'GROUPING_SET_ROLLUP':
        return `ROLLUP (${items})`;
      case 'GROUPING_SET_CUBE':
        return `CUBE (${items})`;
      case 'GROUPING_SET_SETS':
        return `GROUPING SETS (${items})`;
      default:
        return items;
    }
  }
  if ('RowExpr' in node)
    return `(${(node.RowExpr.args ?? []).map((item) => writeGrouping(item, scope, targets, null)).join(', ')})`;
  if (constantKind(node) === 'integer') {
    const place = targets.outputs?.[Number(constantText(node)) - 1];
    if (place === undefined || !isKeyed(place.oid)) return constantText(node)!;
    const target = targets.items[Number(constantText(node)) - 1]!.expression;
    if (target === null || targets.items.some(isStar)) checkEqualAsStored(typed('', place.oid), atNode(node));
    return groupKey(target!, node, keyed);
  }
  let value: Typed;
  try {
    value = writeExpression(node, scope);
  } catch (error) {
    const target =
      'ColumnRef' in node && node.ColumnRef.fields?.length === 1
        ? targets.expressions.find((one) => one.name === stringOf(node.ColumnRef.fields![0]))
        : undefined;
    if (target === undefined) throw error;
    value = target;
  }
  return groupKey(value, node, keyed);
}

/** `keyed` null: within grouping sets, where a row may have no value of the group. */
function groupKey(value: Typed, node: Node, keyed: Set<string> | null): string {
  checkComparable(value, atNode(node));
  if (!isKeyed(value.oid)) return value.sql;
  if (keyed === null) checkEqualAsStored(value, atNode(node));
  keyed!.add(value.sql);
  return orderKey(value);
}

/** Of a set operation. */
const NO_EXPRESSIONS: Targets['expressions'] = [];

/** ORDER BY of a bare name that is an output's, or of a place. */
function outputReference(
  node: Node,
  named: readonly OutputColumn[],
  all: readonly OutputColumn[] | null,
  expressions: Targets['expressions'] = NO_EXPRESSIONS,
): Typed | undefined {
  // A key is made of what the column is: inside an expression its name may mean another.
  const output = (column: OutputColumn): Typed => {
    const named = typed(quoteIdentifier(column.name), column.oid);
    const expression = expressions.find((one) => one.name === column.name);
    if (expression === undefined) return named;
    return isKeyed(column.oid) ? expression : isFloat(column.oid) ? sorted(expression, named) : named;
  };
  if (constantKind(node) === 'integer') {
    const place = all?.[Number(constantText(node)) - 1];
    // A place has no key: the name has, where it means one column.
    const written = typed(constantText(node)!);
    if (place === undefined || !(isKeyed(place.oid) || isFloat(place.oid))) return written;
    const expression = expressions.length === all!.length ? expressions[Number(constantText(node)) - 1] : undefined;
    if (isFloat(place.oid)) return sorted(expression ?? starred(place, all!, expressions), written);
    if (expression !== undefined) return expression;
    if (all!.filter(({ name }) => name === place.name).length > 1)
      throw notSupported(`ORDER BY the place of one of two columns "${place.name}" over Arka tables`, atNode(node));
    return output(place);
  }
  if (!('ColumnRef' in node) || node.ColumnRef.fields?.length !== 1) return undefined;
  const name = stringOf(node.ColumnRef.fields[0]);
  const column = named.find((one) => one.name === name);
  return column === undefined ? undefined : output(column);
}

/** A float's expression is sorted by where it may be written twice. */
function sorted(expression: Typed | undefined, otherwise: Typed): Typed {
  if (expression === undefined) return otherwise;
  const key = apart(expression);
  return key.sql === expression.sql ? otherwise : key;
}

/** A column that a star stands for; undefined: its name may mean another, or there is no FROM to see (above a set operation). */
function starred(
  { name, oid }: OutputColumn,
  all: readonly OutputColumn[],
  expressions: Targets['expressions'],
): Typed | undefined {
  const isOne = all.filter((one) => one.name === name).length === 1 && !expressions.some((one) => one.name === name);
  return isOne && expressions !== NO_EXPRESSIONS ? typed(quoteIdentifier(name), oid) : undefined;
}
