/**
 * Aggregates and window functions: DISTINCT, FILTER, ORDER BY, WITHIN GROUP and OVER, and the sums of which those of numerics are made
 * that have more digits than the engine's own.
 */
import { quoteIdentifier } from '../../sql-text.ts';
import type { FuncCall, Node, WindowDef } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../../errors.ts';
import { Oid } from '../../types/pg-type.ts';
import { atNode, stringsOf, walk } from '../ast.ts';
import type { ListedJson } from './make-json.ts';
import { decimal, decimalOf, sumPrecision } from './decimals.ts';
import { likeFirst, resultType, writeCondition, writeExpression, writeSort } from './expression.ts';
import type { FunctionRule } from './functions.ts';
import { checkEqualAsStored } from './operators.ts';
import { resolveHere, type Scope } from './scope.ts';
import { isKeyed, sortKey } from './sort-keys.ts';
import { isFloat, isNumber, typed, type Typed } from './typed.ts';
import { average, deviation, isExact, isWide, wideExtreme, wideSum } from './wide-numeric.ts';
import { writeWindow } from './windows.ts';

export function writeAggregate(
  rule: FunctionRule,
  name: string,
  args: readonly Typed[],
  call: FuncCall,
  scope: Scope,
): Typed {
  if (rule.kind === 'window' && call.agg_within_group === true)
    throw notSupported(`${name} WITHIN GROUP over Arka tables`);
  if (rule.kind === 'window' && call.over === undefined)
    throw new SqlError(SqlState.wrongObjectType, `window function ${name} requires an OVER clause`);
  if (rule.kind === 'aggregate' && isOfOuterQuery(call, scope))
    throw notSupported(`${name} of an outer query's columns over Arka tables`);
  if (rule.listed !== undefined) return listed(rule.listed(args, name), name, call, scope);
  const filter = call.agg_filter === undefined ? null : writeCondition(call.agg_filter, scope, 'FILTER');
  // DuckDB evaluates arguments for rows that FILTER drops, too: no error may come of them.
  const values = args.map((arg) =>
    filter !== null && typeof arg.constant !== 'string' && !/^[\w."]+$/.test(arg.sql)
      ? `CASE WHEN ${filter} THEN ${arg.sql} END`
      : arg.sql,
  );
  if (name === 'nth_value') values.push(nthRow(values.pop()!));
  const isCounted = name === 'count' && args.length === 1;
  if (call.agg_distinct === true && !isCounted) for (const arg of args) checkEqualAsStored(arg, {});
  const [first] = args;
  const isKeyedFirst = first !== undefined && isKeyed(first.oid);
  const suffix = `${filter === null ? '' : ` FILTER (WHERE ${filter})`}${call.over === undefined ? '' : ` OVER ${writeOver(call.over, scope)}`}`;
  if (first !== undefined && isExact(first) && call.agg_distinct !== true) {
    const exact = exactAggregate(name, guarded(first, values[0]!, filter), (aggregate) => aggregate + suffix);
    if (exact !== undefined) return exact;
  }
  // Of values that have keys the least is that of the least key.
  if (isKeyedFirst && (name === 'min' || name === 'max'))
    return typed(`arg_${name}(${first.sql}, ${sortKey(first.sql, first.oid)})${suffix}`, first.oid);
  if (isKeyedFirst && isCounted && call.agg_distinct === true) values[0] = sortKey(values[0]!, first.oid);
  const list = call.agg_star === true ? '*' : `${call.agg_distinct === true ? 'DISTINCT ' : ''}${values.join(', ')}`;
  const order =
    call.agg_order === undefined ? '' : `ORDER BY ${call.agg_order.map((item) => writeSort(item, scope)).join(', ')}`;
  const within = call.agg_within_group === true;
  if (within)
    for (const item of call.agg_order ?? [])
      if ('SortBy' in item) checkEqualAsStored(writeExpression(item.SortBy.node!, scope), atNode(item.SortBy.node));
  const written = (called: string): string => {
    const own = `${called}(${list}${order === '' || within ? '' : ` ${order}`})${within ? ` WITHIN GROUP (${order})` : ''}`;
    return own + suffix;
  };
  if (name === 'avg' && isExact(first!))
    return average(first!, (aggregate) => written(aggregate.slice(0, aggregate.indexOf('('))));
  if (isDeviation(name) && isExact(first!)) throw notSupported(`${name} of DISTINCT numbers over Arka tables`);
  if (name === 'percentile_cont') return percentile(args[0]!, call, scope, suffix);
  const value = typed(
    written(rule.to ?? name),
    rule.ofSorted === true ? sortedType(call, scope) : resultType(rule, args),
  );
  if (name === 'sum' && first !== undefined) return sumOf(value, first);
  return likeFirst(rule, value, args);
}

function listed({ item, whole }: ListedJson, name: string, call: FuncCall, scope: Scope): Typed {
  if (call.agg_distinct === true) throw notSupported(`${name} of DISTINCT values over Arka tables`);
  const between: Typed = { ...typed("', '", Oid.text), constant: ', ' };
  return whole(writeAggregate({ kind: 'aggregate', type: Oid.text }, 'string_agg', [item, between], call, scope).sql);
}

/** `count(DISTINCT (a, b))`: a row counts also where its values are NULL, which are equal among themselves, as in the engine's structs. */
export function countedRow(name: string, call: FuncCall, scope: Scope): Typed | undefined {
  const [arg] = call.args ?? [];
  if (name !== 'count' || call.agg_distinct !== true || arg === undefined || !('RowExpr' in arg)) return undefined;
  const items = (arg.RowExpr.args ?? []).map((item) => writeExpression(item, scope));
  for (const item of items) {
    checkEqualAsStored(item, atNode(arg));
    // 0 and -0 are equal, and are two values inside of a struct
    if (item.oid === 0 || isFloat(item.oid)) throw notSupported('such a row in count(DISTINCT …) over Arka tables');
  }
  return items.length === 0 ? undefined : typed(`row(${items.map(({ sql }) => sql).join(', ')})`, 0);
}

/** Of numbers that are exact; undefined: the engine's own aggregate is as exact. */
function exactAggregate(name: string, value: Typed, call: (aggregate: string) => string): Typed | undefined {
  if (name === 'avg') return average(value, call);
  if (isDeviation(name)) return deviation(name, value, call);
  if (!isWide(value)) return undefined;
  if (name === 'sum') return wideSum(value, call);
  return name === 'min' || name === 'max' ? wideExtreme(name, value, call) : undefined;
}

const isDeviation = (name: string): boolean => /^(stddev|var)/.test(name);

/** As the aggregate takes it: not looked at in rows that the filter drops. */
function guarded(value: Typed, sql: string, filter: string | null): Typed {
  if (sql === value.sql) return value;
  const { decimal: form, quotient } = value;
  const kept = (part: string): string => `CASE WHEN ${filter} THEN ${part} END`;
  return {
    ...typed(sql, value.oid),
    ...(form === undefined ? {} : { decimal: { ...form, sql: kept(form.sql) } }),
    ...(quotient === undefined ? {} : { quotient: { ...quotient, dividend: kept(quotient.dividend) } }),
  };
}

function sumOf(value: Typed, of: Typed): Typed {
  const form = decimalOf(of);
  return value.oid === Oid.numeric && form !== undefined
    ? decimal(value.sql, sumPrecision(form.precision), form.scale)
    : value;
}

/** The type of what WITHIN GROUP orders. */
function sortedType({ agg_order: [item] = [] }: FuncCall, scope: Scope): number {
  if (item === undefined || !('SortBy' in item)) return 0;
  const { oid } = writeExpression(item.SortBy.node!, scope);
  return isNumber(oid) ? Oid.float8 : oid;
}

/** Where DuckDB's answer is NULL. */
const nthRow = (n: string): string =>
  `CASE WHEN ${n} <= 0 THEN error('22016: argument of nth_value must be greater than zero') ELSE ${n} END`;

/**
 * percentile_cont: between two values of the sorted ones, by PostgreSQL's arithmetic of doubles, of which the engine's own differs in the
 * last digit. It has all values of the group in memory, as the engine's own has.
 */
function percentile(fraction: Typed, call: FuncCall, scope: Scope, suffix: string): Typed {
  const [item] = call.agg_order ?? [];
  if (item === undefined || !('SortBy' in item)) throw notSupported('percentile_cont in this form over Arka tables');
  const value = writeExpression(item.SortBy.node!, scope);
  if (!isNumber(value.oid) && !isWide(value)) throw notSupported('percentile_cont of this type over Arka tables');
  if (!isNumber(fraction.oid) && fraction.constant !== null)
    throw notSupported('percentile_cont of several fractions over Arka tables');
  const p = `CAST(${fraction.sql} AS DOUBLE)`;
  const place = `(${p} * (len(arka_l) - 1))`;
  const [low, high] = ['floor', 'ceil'].map((name) => `arka_l[CAST(${name}(${place}) AS BIGINT) + 1]`);
  const between = `CASE WHEN floor(${place}) = ceil(${place}) THEN ${low} ELSE ${low} + (${place} - floor(${place})) * (${high} - ${low}) END`;
  const sorted = `list_sort(list_filter(list(CAST(${value.sql} AS DOUBLE))${suffix}, lambda arka_v: arka_v IS NOT NULL)${item.SortBy.sortby_dir === 'SORTBY_DESC' ? ", 'DESC'" : ''})`;
  const found = `list_transform([${sorted}], lambda arka_l: CASE WHEN len(arka_l) > 0 THEN ${between} END)[1]`;
  return typed(
    `CASE WHEN ${p} < 0 OR ${p} > 1 OR isnan(${p}) THEN error('22003: percentile value ' || ${p} || ' is not between 0 and 1') ELSE ${found} END`,
    Oid.float8,
  );
}

/** PostgreSQL computes an aggregate in the query that its columns are of; DuckDB where it stands. */
function isOfOuterQuery({ args = [], agg_filter: filter, agg_order: order = [] }: FuncCall, scope: Scope): boolean {
  if (scope.parent === null) return false;
  let isOuter = false;
  let isOwn = false;
  walk([args, filter, order], (tag, body) => {
    if (tag !== 'ColumnRef') return;
    const names = stringsOf(body['fields'] as Node[]);
    const place = [names.at(-2) ?? null, names.at(-1) ?? ''] as const;
    const isUncertain = scope.items.some((item) => item.columns === null);
    if (isUncertain || scope.merged.has(place[1]) || resolveHere(scope, ...place) !== undefined) isOwn = true;
    for (let level = scope.parent; level !== null; level = level.parent)
      if (resolveHere(level, ...place) !== undefined) isOuter = true;
  });
  return isOuter && !isOwn;
}

function writeOver(over: WindowDef, scope: Scope): string {
  return over.name !== undefined && over.name !== '' ? quoteIdentifier(over.name) : `(${writeWindow(over, scope)})`;
}
