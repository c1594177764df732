/**
 * DuckDB SQL under construction: every expression with the PostgreSQL type it has, as far as Arka knows it.
 *
 * Parameters stand in the text as marks (U+0000 cannot be in a client's SQL); `Template` puts values in later, so a
 * prepared statement is written once.
 */
import { SqlError, SqlState } from '../../errors.ts';
import { quoteLiteral } from '../../sql-text.ts';
import { canonicalNumeric } from '../../types/numeric-text.ts';
import { arrayTypeOf, elementType, Oid } from '../../types/pg-type.ts';
import type { ParameterValue } from '../plan.ts';
import type { FloatChain } from './float-guards.ts';
import { numericTexts, parameterLiteral } from './literals.ts';
import { re2Pattern } from './patterns.ts';

/** `oid` 0: unknown to Arka; Oid.unknown: an untyped string or NULL constant. `constant`: its text, when it is one. */
export interface Typed {
  readonly sql: string;
  readonly oid: number;
  readonly constant?: string | null;
  /** Of a constant text: where it is written, from 1. */
  readonly position?: number;
  readonly parameter?: number;
  /** Of float arithmetic: what its guard is about. */
  readonly chain?: FloatChain;
  /** Of a numeric: the value as a DECIMAL, where it is one (`decimals.ts`). */
  readonly decimal?: DecimalForm;
  /** Of a numeric that is text: a double that differs from it by rounding alone. */
  readonly near?: string;
  /** Of a quotient: what is divided, for those who want its key or its parts and not its text. */
  readonly quotient?: Quotient;
  /** Of a sum or a cast of numbers: it may be out of range, which a comparison of it has to find out (`kept`). */
  readonly fallible?: true;
  /** Of a subquery in an expression: its query. */
  readonly subquery?: string;
}

/** SQL of a DECIMAL of this precision and scale, or of an integer. `shown`: SQL of the scale that a value has, where values differ in it. */
export interface DecimalForm {
  readonly sql: string;
  readonly precision: number;
  readonly scale: number;
  readonly shown?: string;
}

/** SQL of two DECIMALs or integers, and of the digits that they show behind the point, which the quotient has at least. */
export interface Quotient {
  readonly dividend: string;
  readonly divisor: string;
  readonly least: string;
}

export function typed(sql: string, oid = 0): Typed {
  return { sql, oid };
}

/** Columns of smallint are integers in the engine: sums of them would have room there. */
export function small(value: Typed): Typed {
  if (value.oid !== Oid.int2) return value;
  return { ...typed(`CAST(${value.sql} AS SMALLINT)`, Oid.int2), fallible: true };
}

/**
 * A value beside another. Sums and casts on one side of a comparison the engine takes back on the other (`i + 1 > 5` is `i > 4`), and
 * their errors are gone: it does not see through greatest.
 */
export const kept = ({ fallible }: Typed, sql: string): string => (fallible === true ? `greatest(${sql}, NULL)` : sql);

/** In place of numeric's OID, of values that are its text in the engine: see `wide-numeric.ts`. */
export const WIDE_NUMERIC = -Oid.numeric;

/** In place of numeric[]'s OID, of lists of such texts. */
export const WIDE_NUMERIC_ARRAY = -arrayTypeOf(Oid.numeric);

/** The type of an array's elements; undefined for what is no array. */
export function elementIn(oid: number): number | undefined {
  return oid === WIDE_NUMERIC_ARRAY ? WIDE_NUMERIC : elementType(oid);
}

/** As PostgreSQL has it. */
export const declaredOid = (oid: number): number => Math.abs(oid);

/** @param form how its value is written there; left out: as its type is */
export function parameterMark(index: number, form?: 'numeric' | 'numerics' | 'regex'): string {
  return `\u0000${index}${form ?? ''}\u0000`;
}

/** SQL cut at its parameter marks. */
export type Template = readonly string[];

export function template(sql: string): Template {
  return sql.split('\u0000');
}

/** @throws {SqlError} 42P02 for a parameter without a value */
export function fill(parts: Template, parameters: readonly ParameterValue[]): string {
  if (parts.length === 1) return parts[0]!;
  const literals: (string | undefined)[] = [];
  let sql = parts[0]!;
  for (let i = 1; i < parts.length; i += 2) {
    const mark = parts[i]!;
    const index = Number.parseInt(mark);
    const value = parameters[index - 1];
    if (value === undefined) throw new SqlError(SqlState.undefinedParameter, `there is no parameter $${index}`);
    const literal = formLiteral(mark, value) ?? (literals[index] ??= parameterLiteral(value));
    sql += literal + parts[i + 1]!;
  }
  return sql;
}

function formLiteral(mark: string, { text }: ParameterValue): string | undefined {
  if (mark.endsWith('numerics')) return text === null ? 'CAST(NULL AS VARCHAR[])' : numericTexts(text);
  const write = mark.endsWith('numeric') ? canonicalNumeric : mark.endsWith('regex') ? re2Pattern : undefined;
  if (write === undefined) return undefined;
  return text === null ? 'CAST(NULL AS VARCHAR)' : quoteLiteral(write(text));
}

const INTEGER_RANK: Readonly<Record<number, number>> = { [Oid.int2]: 1, [Oid.int4]: 2, [Oid.int8]: 3 };
const NUMBER_RANK: Readonly<Record<number, number>> = {
  ...INTEGER_RANK,
  [Oid.numeric]: 4,
  [Oid.float4]: 5,
  [Oid.float8]: 6,
};

export function isInteger(oid: number): boolean {
  return INTEGER_RANK[oid] !== undefined;
}
export function isNumber(oid: number): boolean {
  return NUMBER_RANK[oid] !== undefined;
}
export function isFloat(oid: number): boolean {
  return oid === Oid.float4 || oid === Oid.float8;
}
export function isText(oid: number): boolean {
  return oid === Oid.text || oid === Oid.varchar || oid === Oid.name || oid === Oid.bpchar;
}
export function isDateTime(oid: number): boolean {
  return oid === Oid.date || oid === Oid.timestamp || oid === Oid.timestamptz;
}
export function isJson(oid: number): boolean {
  return oid === Oid.json || oid === Oid.jsonb;
}

/** The type of a + b for numbers; float4 with anything but float4 is float8. 0 when a side is not known. */
export function commonNumber(left: number, right: number): number {
  if (left === Oid.unknown) return isNumber(right) ? right : 0;
  if (right === Oid.unknown) return isNumber(left) ? left : 0;
  const a = NUMBER_RANK[left];
  const b = NUMBER_RANK[right];
  if (a === undefined || b === undefined) return 0;
  if (left === right) return left;
  if (isFloat(left) || isFloat(right)) return Oid.float8;
  return a > b ? left : right;
}

/** Real numbers beside any others are double precision; the engine would make the others real. */
export function widened(left: Typed, right: Typed): readonly [Typed, Typed] {
  if (commonNumber(left.oid, right.oid) !== Oid.float8) return [left, right];
  const wide = (value: Typed): Typed => {
    if (value.oid !== Oid.float4) return value;
    const { sql, constant } = value;
    return { ...typed(`CAST(${sql} AS DOUBLE)`, Oid.float8), ...(constant === undefined ? {} : { constant }) };
  };
  return [wide(left), wide(right)];
}
