/**
 * Types whose values do not compare in the engine as in PostgreSQL: there a key does, made of the value by a function of Arka's own
 * (`types/sort-key.ts`). Of all other types the value is its own key.
 */
import { Oid } from '../../types/pg-type.ts';
import { quotientCall } from './decimals.ts';
import { elementIn, isFloat, typed, WIDE_NUMERIC, type Typed } from './typed.ts';

const KEYS: ReadonlyMap<number, string> = new Map([
  [Oid.jsonb, 'arka_jsonb_key'],
  [Oid.interval, 'arka_interval_key'],
  [Oid.timetz, 'arka_timetz_key'],
  [WIDE_NUMERIC, 'arka_numeric_key'],
]);

/** Arrays of such values have lists of their keys. */
export function isKeyed(oid: number): boolean {
  return KEYS.has(elementIn(oid) ?? oid);
}

/** What stands for a value of the type in comparisons, ORDER BY and partitions. */
export function sortKey(sql: string, oid: number): string {
  const element = elementIn(oid);
  if (element !== undefined && isKeyed(element)) return `list_transform(${sql}, lambda e: ${sortKey('e', element)})`;
  const key = KEYS.get(oid);
  return key === undefined ? sql : `${key}(${sql})`;
}

/** That of a value, which may be a number beside its text. */
export function orderKey({ sql, oid, decimal, quotient }: Typed): string {
  return decimal?.sql ?? (quotient === undefined ? sortKey(sql, oid) : quotientCall('_key', quotient));
}

/**
 * What the engine sorts by it gives back from the sort, and of floats with 0 for -0: so not the value itself is sorted by. A value that is
 * another each time, or a query of its own, is not written twice.
 */
export function apart({ sql, oid, ...rest }: Typed): Typed {
  if (!isFloat(oid) || rest.constant !== undefined || /\b(?:random|SELECT)\b/.test(sql)) return { sql, oid, ...rest };
  return typed(`(${sql} + 0)`, oid);
}
