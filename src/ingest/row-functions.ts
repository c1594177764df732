/**
 * Functions and casts of expressions over one row (`planner/row-functions.ts` has their types): of values as `check-operands.ts` has
 * them, numerics of any size as their texts.
 */
import { createHash } from 'node:crypto';
import type { RowFunction } from '../check-def.ts';
import { SqlError, SqlState } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { civilFromDays, DATE_INFINITY, DAY_MICROS, daysFromCivil } from '../types/civil-date.ts';
import { putFloat4, putFloat8 } from '../types/float-output.ts';
import { formatType } from '../types/format-type.ts';
import { memberOf, textOf } from '../types/json-text.ts';
import { element } from '../types/jsonb-operations.ts';
import * as numeric from '../types/numeric-text.ts';
import { isWideNumeric, numericModifier, Oid } from '../types/pg-type.ts';
import type { Value } from './check-operands.ts';

type Known = Exclude<Value, null>;
const texts = (of: (...args: string[]) => string) => of as (...args: Known[]) => Value;

const FUNCTIONS: Readonly<Record<RowFunction, (...args: Known[]) => Value>> = {
  concat: texts((a, b) => a + b),
  substr: (text, from, count) => part(text as string, Number(from), count === undefined ? null : Number(count)),
  left: (text, n) => {
    const characters = [...(text as string)];
    return characters.slice(0, Number(n) < 0 ? Math.max(0, characters.length + Number(n)) : Number(n)).join('');
  },
  right: (text, n) => {
    const characters = [...(text as string)];
    return characters.slice(Number(n) < 0 ? -Number(n) : Math.max(0, characters.length - Number(n))).join('');
  },
  replace: texts((text, from, to) => (from === '' ? text : text.replaceAll(from, () => to))),
  ltrim: texts((text) => text.replace(/^ +/, '')),
  rtrim: texts((text) => text.replace(/ +$/, '')),
  reverse: texts((text) => [...text].toReversed().join('')),
  repeat: (text, n) => repeated(text as string, Number(n)),
  md5: texts((text) => createHash('md5').update(text).digest('hex')),
  numeric_add: texts((a, b) => numeric.added(a, b)),
  numeric_subtract: texts((a, b) => numeric.added(a, numeric.negated(b))),
  numeric_multiply: texts((a, b) => numeric.multiplied(a, b)),
  numeric_divide: texts((a, b) => numeric.divided(a, b)),
  numeric_modulo: texts((a, b) => numeric.remainder(a, b)),
  numeric_round: (text, n = 0) => numeric.roundedNumeric(text as string, Number(n)),
  numeric_trunc: (text, n = 0) => numeric.truncatedNumeric(text as string, Number(n)),
  numeric_ceil: texts((text) => numeric.wholeNumeric(text, 1)),
  numeric_floor: texts((text) => numeric.wholeNumeric(text, -1)),
  numeric_abs: texts((text) => text.replace('-', '')),
  float_divide: (a, b) => quotient(a as number, b as number),
  json_member: texts((document, key) => memberOf(document, key) as string),
  json_element: (document, n) => element(document as string, Number(n)),
  json_text: texts((document) => textOf(document) as string),
  date_field: (field, value) => dateField(field as string, value as number | bigint),
  date_trunc: (unit, value) => truncated(unit as string, value as number | bigint),
};

/** Of a value of a date: its days; of a timestamp: its micros. */
export function rowFunction(name: RowFunction, types: readonly PgType[]): (...args: Known[]) => Value {
  const of = FUNCTIONS[name];
  if (name !== 'date_field' || types[1]!.oid !== Oid.date) return of;
  return (field, days) => {
    if (Math.abs(Number(days)) === DATE_INFINITY) return infiniteField(field as string, Number(days) < 0);
    return of(field!, BigInt(days as number) * BigInt(DAY_MICROS));
  };
}

function part(text: string, from: number, count: number | null): string {
  if (count !== null && count < 0) throw new SqlError(SqlState.substringError, 'negative substring length not allowed');
  const end = count === null ? undefined : Math.max(0, from - 1 + count);
  return [...text].slice(Math.max(0, from - 1), end).join('');
}

const TEXT_BYTES_MAX = 0x3fff_ffff;

function repeated(text: string, count: number): string {
  if (Buffer.byteLength(text) * count > TEXT_BYTES_MAX)
    throw new SqlError(SqlState.programLimitExceeded, 'requested length too large');
  return text.repeat(Math.max(0, count));
}

const outOfRange = (what: string): SqlError =>
  new SqlError(SqlState.numericValueOutOfRange, `value out of range: ${what}`);

function quotient(a: number, b: number): number {
  if (b === 0 && !Number.isNaN(a)) throw new SqlError(SqlState.divisionByZero, 'division by zero');
  const result = a / b;
  if (!Number.isFinite(result) && Number.isFinite(a)) throw outOfRange('overflow');
  if (result === 0 && a !== 0 && Number.isFinite(b)) throw outOfRange('underflow');
  return result;
}

/** What is of no day is NULL. */
function infiniteField(field: string, isBefore: boolean): string | null {
  return field === 'year' ? `${isBefore ? '-' : ''}Infinity` : null;
}

/** Of timestamps; the other one is its negative. */
export const INSTANT_INFINITY = 9_223_372_036_854_775_807n;

/** Days and micros of the day. */
export function splitDay(micros: number | bigint): readonly [days: number, rest: number] {
  const whole = BigInt(micros);
  const day = BigInt(DAY_MICROS);
  const rest = ((whole % day) + day) % day;
  return [Number((whole - rest) / day), Number(rest)];
}

function dateField(field: string, micros: number | bigint): string | null {
  if (micros === INSTANT_INFINITY || micros === -INSTANT_INFINITY) return infiniteField(field, micros < 0n);
  const [days, rest] = splitDay(micros);
  const { year, month, day } = civilFromDays(days);
  const weekday = (((days + 4) % 7) + 7) % 7;
  switch (field) {
    case 'year':
      return String(year > 0 ? year : year - 1);
    case 'quarter':
      return String(Math.ceil(month / 3));
    case 'month':
      return String(month);
    case 'day':
      return String(day);
    case 'dow':
      return String(weekday);
    case 'isodow':
      return String(weekday === 0 ? 7 : weekday);
    case 'doy':
      return String(days - daysFromCivil(year, 1, 1) + 1);
    case 'hour':
      return String(Math.floor(rest / 3_600_000_000));
    default:
      return String(Math.floor(rest / 60_000_000) % 60);
  }
}

const UNIT_MICROS: Readonly<Record<string, number>> = { hour: 3_600_000_000, minute: 60_000_000, second: 1_000_000 };

function truncated(unit: string, micros: number | bigint): number | bigint {
  if (micros === INSTANT_INFINITY || micros === -INSTANT_INFINITY) return micros;
  const [days, rest] = splitDay(micros);
  const size = UNIT_MICROS[unit];
  const at = (day: number, time = 0): bigint => BigInt(day) * BigInt(DAY_MICROS) + BigInt(time);
  if (size !== undefined) return at(days, rest - (rest % size));
  const { year, month } = civilFromDays(days);
  switch (unit) {
    case 'year':
      return at(daysFromCivil(year, 1, 1));
    case 'quarter':
      return at(daysFromCivil(year, Math.floor((month - 1) / 3) * 3 + 1, 1));
    case 'month':
      return at(daysFromCivil(year, month, 1));
    case 'week':
      return at(days - ((((days + 3) % 7) + 7) % 7));
    default:
      return at(days);
  }
}

/** The text of a value, as PostgreSQL's output function of its type writes it; within a cast to text booleans are words. */
export function shownText(type: PgType): (value: Known) => string {
  switch (type.oid) {
    case Oid.numeric: {
      if (isWideNumeric(type)) return String;
      const scale = numericModifier(type.typmod)!.scale;
      return (value) => numeric.exactText({ unscaled: BigInt(value as number | bigint), scale });
    }
    case Oid.float4:
    case Oid.float8: {
      const out = new ByteWriter(32);
      const put = type.oid === Oid.float4 ? putFloat4 : putFloat8;
      return (value) => {
        out.length = 0;
        put(value as number, out);
        return Buffer.from(out.bytes.buffer, out.bytes.byteOffset, out.length).toString('latin1');
      };
    }
    case Oid.uuid:
      return (value) => (value as string).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    default:
      return String;
  }
}

const INTEGER_BITS: Readonly<Record<number, bigint>> = { [Oid.int2]: 15n, [Oid.int4]: 31n, [Oid.int8]: 63n };

/** A number as an integer of a type. @throws {SqlError} 22003 */
export function integerOf(type: PgType, from: PgType): (value: Known) => number | bigint {
  const limit = 1n << INTEGER_BITS[type.oid]!;
  const refused = (): SqlError =>
    new SqlError(SqlState.numericValueOutOfRange, `${formatType({ oid: type.oid, typmod: -1 })} out of range`);
  const whole = (value: Known): bigint => {
    if (from.oid === Oid.float4 || from.oid === Oid.float8) {
      if (!Number.isFinite(value)) throw refused();
      return BigInt(evenly(value as number));
    }
    if (from.oid !== Oid.numeric) return BigInt(value);
    const text = shownText(from)(value);
    if (text === 'NaN' || text.endsWith('Infinity'))
      throw new SqlError(
        SqlState.featureNotSupported,
        `cannot convert ${text === 'NaN' ? 'NaN' : 'infinity'} to ${formatType({ oid: type.oid, typmod: -1 })}`,
      );
    return BigInt(numeric.roundedNumeric(text, 0));
  };
  return (value) => {
    const result = whole(value);
    if (result >= limit || result < -limit) throw refused();
    return Number.isSafeInteger(Number(result)) ? Number(result) : result;
  };
}

/** Halves to the even one. */
function evenly(value: number): number {
  const rounded = Math.round(value);
  return Math.abs(value - Math.trunc(value)) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** A number as a float. @throws {SqlError} 22003 */
export function floatOf(type: PgType, from: PgType): (value: Known) => number {
  const text = from.oid === Oid.numeric ? shownText(from) : null;
  return (value) => {
    const double = Number(text === null ? value : text(value));
    if (type.oid === Oid.float8) return double;
    const single = Math.fround(double);
    if (!Number.isFinite(single) && Number.isFinite(double)) throw outOfRange('overflow');
    if (single === 0 && double !== 0) throw outOfRange('underflow');
    return single;
  };
}

/** A number as the text of a numeric. */
export function numericOf(from: PgType): (value: Known) => string {
  if (from.oid === Oid.float4 || from.oid === Oid.float8) {
    const digits = from.oid === Oid.float4 ? 6 : 15;
    return (value) => numeric.numericOfFloat(value as number, digits);
  }
  return shownText(from);
}
