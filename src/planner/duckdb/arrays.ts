/**
 * Operators, subscripts and functions of arrays, which are the engine's lists: of one dimension, from 1.
 *
 * - A1 An index below 1 or beyond the end is NULL, a slice is what of it there is; the engine would count from the end.
 * - A2 NULL beside an array in `||` is an array that is not there.
 */
import type { A_Indirection } from 'libpg-query';
import { notSupported, SqlError, SqlState, type SqlErrorFields } from '../../errors.ts';
import { formatType } from '../../types/format-type.ts';
import { arrayTypeOf, Oid } from '../../types/pg-type.ts';
import { quoteLiteral } from '../../sql-text.ts';
import { atNode } from '../ast.ts';
import { arrayLiteral, duckdbName, scalarLiteral } from './literals.ts';
import { isKeyed } from './sort-keys.ts';
import { declaredOid, elementIn, isInteger, isText, typed, type Typed } from './typed.ts';

const nameOf = (oid: number): string => (oid === 0 ? 'unknown' : formatType({ oid: declaredOid(oid), typmod: -1 }));

export const isArray = ({ oid }: Typed): boolean => elementIn(oid) !== undefined;

/** Of one type, or texts of any kind. */
function sameElement(a: number, b: number): boolean {
  return a === b || (isText(a) && isText(b) && a !== Oid.bpchar && b !== Oid.bpchar);
}

/** A value beside an array as one of its elements, or null where it is not of their type. */
function asElement(value: Typed, element: number): string | null {
  if (value.constant === null) return 'NULL';
  if (value.oid === Oid.unknown && typeof value.constant === 'string') return scalarLiteral(value.constant, element);
  return sameElement(value.oid, element) ? value.sql : null;
}

/** `||`; undefined: neither side is an array. */
export function arrayConcatenation(left: Typed, right: Typed, where: SqlErrorFields): Typed | undefined {
  const array = isArray(left) ? left : isArray(right) ? right : undefined;
  if (array === undefined) return undefined;
  const element = elementIn(array.oid)!;
  const refused = (): SqlError =>
    notSupported(`operator ${nameOf(left.oid)} || ${nameOf(right.oid)} over Arka tables`, where);
  // An untyped constant is an array there, too.
  const list = (side: Typed): string | null => {
    if (side.constant === null) return null;
    if (side.oid === Oid.unknown && typeof side.constant === 'string') return arrayLiteral(side.constant, element);
    return isArray(side) && sameElement(elementIn(side.oid)!, element) ? side.sql : null;
  };
  if (left.constant === null || right.constant === null) return array; // A2
  if (left.sql !== right.sql) checkScales(element, '||');
  const [a, b] = [list(left), list(right)];
  if (a !== null && b !== null)
    return typed(
      `CASE WHEN ${a} IS NULL THEN ${b} WHEN ${b} IS NULL THEN ${a} ELSE list_concat(${a}, ${b}) END`,
      array.oid,
    );
  const other = asElement(array === left ? right : left, element);
  if (other === null) throw refused();
  const parts = [`coalesce(${array.sql}, [])`, `[${other}]`];
  return typed(`list_concat(${(array === left ? parts : parts.toReversed()).join(', ')})`, array.oid);
}

/** Values of one list have one scale in the engine, in PostgreSQL each has its own. @throws {SqlError} 0A000 */
export function checkScales(element: number | undefined, where: string): void {
  if (element === Oid.numeric) throw notSupported(`numeric arrays of several sources in ${where} over Arka tables`);
}

/** @throws {SqlError} 42804 */
export function subscriptOf(
  node: NonNullable<A_Indirection['arg']>,
  write: (node: NonNullable<A_Indirection['arg']>) => Typed,
): string {
  const given = write(node);
  if (given.constant === null) return 'CAST(NULL AS INTEGER)';
  if (given.oid === Oid.unknown && typeof given.constant === 'string') return scalarLiteral(given.constant, Oid.int4);
  if (!isInteger(given.oid))
    throw new SqlError(SqlState.datatypeMismatch, 'array subscript must have type integer', atNode(node));
  return given.sql;
}

/** Subscripts and slices of an array, and subscripts of jsonb. */
export function writeSubscripts(
  indirection: A_Indirection,
  value: Typed,
  write: (node: NonNullable<A_Indirection['arg']>) => Typed,
): Typed {
  const steps = (indirection.indirection ?? []).map((step) => {
    if (!('A_Indices' in step)) throw notSupported('a field of a row over Arka tables', atNode(indirection.arg));
    return step.A_Indices;
  });
  if (value.oid === Oid.jsonb) return jsonbSubscripts(value, steps, write);
  const element = elementIn(value.oid);
  if (element === undefined) throw notSupported(`a subscript of type ${nameOf(value.oid)} over Arka tables`);
  const index = (node: NonNullable<A_Indirection['arg']>): string => subscriptOf(node, write);
  if (!steps.some((step) => step.is_slice === true)) {
    const indexes = steps.map((step) => index(step.uidx!));
    const one = `CASE WHEN ${indexes[0]} >= 1 THEN list_extract(${value.sql}, ${indexes[0]}) END`;
    // More subscripts than dimensions: NULL.
    return typed(steps.length === 1 ? one : `CASE WHEN false THEN ${one} END`, element);
  }
  if (steps.length > 1) {
    // More dimensions than there are: nothing of it, unless a bound is NULL.
    const bounds = steps.flatMap(({ lidx, uidx }) => [lidx, uidx].filter((node) => node !== undefined)).map(index);
    const known = [value.sql, ...bounds].map((sql) => `${sql} IS NOT NULL`).join(' AND ');
    return typed(`CASE WHEN ${known} THEN list_slice(${value.sql}, 2, 1) END`, value.oid);
  }
  const [{ lidx, uidx }] = steps as [(typeof steps)[0]];
  const low = lidx === undefined ? '1' : index(lidx);
  const high = uidx === undefined ? `len(${value.sql})` : index(uidx);
  return typed(
    `CASE WHEN ${low} IS NOT NULL AND ${high} IS NOT NULL THEN CASE WHEN ${high} < 1 OR ${high} < ${low} THEN list_slice(${value.sql}, 2, 1) ELSE list_slice(${value.sql}, CASE WHEN ${low} < 1 THEN 1 ELSE ${low} END, ${high}) END END`,
    value.oid,
  );
}

function jsonbSubscripts(
  value: Typed,
  steps: readonly { readonly is_slice?: boolean; readonly uidx?: A_Indirection['arg'] }[],
  write: (node: NonNullable<A_Indirection['arg']>) => Typed,
): Typed {
  let { sql } = value;
  for (const step of steps) {
    if (step.is_slice === true)
      throw new SqlError(SqlState.datatypeMismatch, 'jsonb subscript does not support slices');
    const key = write(step.uidx!);
    if (isInteger(key.oid)) sql = `arka_jsonb_element(${sql}, CAST(${key.sql} AS INTEGER))`;
    else if (isText(key.oid)) sql = `arka_json_member(${sql}, ${key.sql})`;
    else if (typeof key.constant === 'string')
      sql = `arka_json_at(${sql}, ${quoteLiteral(JSON.stringify([key.constant]))})`;
    else throw notSupported(`a jsonb subscript of type ${nameOf(key.oid)} over Arka tables`);
  }
  return typed(sql, Oid.jsonb);
}

function list(
  [arg]: readonly Typed[],
  name: string,
): { readonly sql: string; readonly oid: number; readonly element: number } {
  const element = elementIn(arg?.oid ?? 0);
  if (element === undefined) throw notSupported(`function ${name} of type ${nameOf(arg?.oid ?? 0)} over Arka tables`);
  return { sql: arg!.sql, oid: arg!.oid, element };
}

/** One to be looked for. */
function elementSought(arg: Typed | undefined, element: number, name: string): string {
  if (isKeyed(element)) throw notSupported(`function ${name} of ${nameOf(element)} elements over Arka tables`);
  return elementOf(arg, element, name);
}

function elementOf(arg: Typed | undefined, element: number, name: string): string {
  const sql = arg === undefined ? null : asElement(arg, element);
  if (sql === null) throw notSupported(`function ${name} of these types over Arka tables`);
  return sql;
}

/** A measure of the first dimension; there is no other. */
function inDimension(dimension: Typed | undefined, sql: string, name: string): string {
  if (dimension?.constant === '1') return sql;
  if (dimension === undefined || !(isInteger(dimension.oid) || dimension.constant !== undefined))
    throw notSupported(`function ${name} of these types over Arka tables`);
  if (dimension.constant === null) return 'CAST(NULL AS INTEGER)';
  return `CASE WHEN ${dimension.sql} = 1 THEN ${sql} END`;
}

const whole = (sql: string): string => `CAST(${sql} AS INTEGER)`;

/** Elements whose text is the engine's own. */
function textsOf({ sql, element }: { readonly sql: string; readonly element: number }, name: string): string {
  if (isText(element) && element !== Oid.bpchar) return sql;
  if (isInteger(element) || element === Oid.uuid || element === Oid.oid) return `CAST(${sql} AS VARCHAR[])`;
  throw notSupported(`function ${name} of ${nameOf(element)} elements over Arka tables`);
}

function separator(arg: Typed | undefined, name: string): string {
  if (typeof arg?.constant !== 'string')
    throw notSupported(`function ${name} with a separator that is no constant over Arka tables`);
  return arg.constant;
}

/** By name: the call of a function whose arguments have been written. */
export const ARRAY_FUNCTIONS: Readonly<Record<string, (args: readonly Typed[], name: string) => Typed>> = {
  cardinality: (args, name) => typed(whole(`len(${list(args, name).sql})`), Oid.int4),
  array_length: (args, name) => {
    return typed(inDimension(args[1], whole(`nullif(len(${list(args, name).sql}), 0)`), name), Oid.int4);
  },
  array_upper: (args, name) => {
    return typed(inDimension(args[1], whole(`nullif(len(${list(args, name).sql}), 0)`), name), Oid.int4);
  },
  array_lower: (args, name) => {
    return typed(inDimension(args[1], `CASE WHEN len(${list(args, name).sql}) > 0 THEN 1 END`, name), Oid.int4);
  },
  array_ndims: (args, name) => typed(`CASE WHEN len(${list(args, name).sql}) > 0 THEN 1 END`, Oid.int4),
  array_dims: (args, name) => {
    const { sql } = list(args, name);
    return typed(`CASE WHEN len(${sql}) > 0 THEN '[1:' || len(${sql}) || ']' END`, Oid.text);
  },
  array_append: (args, name) => {
    const { sql, oid, element } = list(args, name);
    checkScales(element, name);
    return typed(`list_concat(coalesce(${sql}, []), [${elementOf(args[1], element, name)}])`, oid);
  },
  array_prepend: (args, name) => {
    const { sql, oid, element } = list(args.slice(1), name);
    checkScales(element, name);
    return typed(`list_concat([${elementOf(args[0], element, name)}], coalesce(${sql}, []))`, oid);
  },
  array_cat: (args, name) => {
    const both = args.length === 2 ? arrayConcatenation(args[0]!, args[1]!, {}) : undefined;
    if (both === undefined || !args.every((arg) => isArray(arg) || arg.oid === Oid.unknown))
      throw notSupported(`function ${name} of these types over Arka tables`);
    return both;
  },
  array_remove: (args, name) => {
    const { sql, oid, element } = list(args, name);
    return typed(`list_filter(${sql}, lambda e: e IS DISTINCT FROM ${elementSought(args[1], element, name)})`, oid);
  },
  array_replace: (args, name) => {
    const { sql, oid, element } = list(args, name);
    checkScales(element, name);
    const [from, to] = [elementSought(args[1], element, name), elementOf(args[2], element, name)];
    return typed(
      `list_transform(${sql}, lambda e: CASE WHEN e IS NOT DISTINCT FROM ${from} THEN ${to} ELSE e END)`,
      oid,
    );
  },
  array_position: (args, name) => {
    const { sql, element } = list(args, name);
    if (args.length > 2) throw notSupported(`function ${name} from a position on over Arka tables`);
    const isIt = `list_transform(${sql}, lambda e: e IS NOT DISTINCT FROM ${elementSought(args[1], element, name)})`;
    return typed(whole(`nullif(list_position(${isIt}, true), 0)`), Oid.int4);
  },
  array_positions: (args, name) => {
    const { sql, element } = list(args, name);
    const places = `generate_series(1, len(${sql}))`;
    const isIt = `list_extract(${sql}, e) IS NOT DISTINCT FROM ${elementSought(args[1], element, name)}`;
    return typed(`CAST(list_filter(${places}, lambda e: ${isIt}) AS INTEGER[])`, arrayTypeOf(Oid.int4));
  },
  array_to_string: (args, name) => {
    const given = list(args, name);
    const texts = textsOf(given, name);
    const between = quoteLiteral(separator(args[1], name));
    const missing = args[2];
    if (missing !== undefined && typeof missing.constant !== 'string')
      throw notSupported(`function ${name} with a text for NULL that is no constant over Arka tables`);
    const shown =
      missing === undefined
        ? texts
        : `list_transform(${texts}, lambda e: coalesce(e, ${quoteLiteral(missing.constant!)}))`;
    return typed(
      `CASE WHEN ${given.sql} IS NOT NULL THEN coalesce(list_aggregate(${shown}, 'string_agg', ${between}), '') END`,
      Oid.text,
    );
  },
  string_to_array: (args, name) => {
    const [source, , missing] = args;
    const between = separator(args[1], name);
    if (source === undefined || !isText(source.oid) || source.oid === Oid.bpchar || between === '')
      throw notSupported(`this form of function ${name} over Arka tables`);
    if (missing !== undefined && typeof missing.constant !== 'string')
      throw notSupported(`function ${name} with a text for NULL that is no constant over Arka tables`);
    const parts = `string_split(${source.sql}, ${quoteLiteral(between)})`;
    const shown =
      missing === undefined
        ? parts
        : `list_transform(${parts}, lambda e: nullif(e, ${quoteLiteral(missing.constant!)}))`;
    return typed(
      `CASE WHEN ${source.sql} = '' THEN CAST([] AS ${duckdbName(Oid.text)}[]) ELSE ${shown} END`,
      arrayTypeOf(Oid.text),
    );
  },
};
