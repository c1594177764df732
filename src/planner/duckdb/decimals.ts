/**
 * numeric as the engine's DECIMAL, of at most 38 digits. There a column has one scale; in PostgreSQL each value has its own, and
 * shows it: `CASE WHEN a THEN 1 ELSE 2.5 END` is 1 or 2.5, never 1.0.
 *
 * - D1 A value of type numeric is a DECIMAL whose scale is the one that PostgreSQL gives it. Where values differ in scale, or have more
 *   digits, it is text (`wide-numeric.ts`); `decimal` is then the number beside it, if there is one, with the scale of each value.
 * - D2 Arithmetic is carried out wide enough for its result: the engine keeps a product of two DECIMALs of 18 digits in 18 digits.
 */
import { Oid } from '../../types/pg-type.ts';
import { typed, type DecimalForm, type Quotient, type Typed } from './typed.ts';

const PRECISION_MAX = 38;
/** Up to so many digits the engine works with 64 bits, whatever the result needs. */
const NARROW = 18;
const INTEGER_DIGITS: Readonly<Record<number, number>> = { [Oid.int2]: 5, [Oid.int4]: 10, [Oid.int8]: 19 };

/** A numeric that has this scale in every row. */
export function decimal(sql: string, precision: number, scale: number): Typed {
  return { ...typed(sql, Oid.numeric), decimal: { sql, precision, scale } };
}

/** The value as a DECIMAL or an integer; undefined: it is none, or its scale is not known. */
export function decimalOf(value: Typed): DecimalForm | undefined {
  if (value.decimal !== undefined) return value.decimal;
  const precision = INTEGER_DIGITS[value.oid];
  return precision === undefined ? undefined : { sql: value.sql, precision, scale: 0 };
}

/** SQL of the scale of a value. */
export function scaleOf({ shown, scale }: DecimalForm): string {
  return shown ?? String(scale);
}

/** Text of a value whose scale is its own. */
export function shownText(form: DecimalForm): string {
  const { sql, shown } = form;
  return shown === undefined ? decimalText(sql, form) : `arka_numeric_round(CAST(${sql} AS VARCHAR), ${shown})`;
}

/** Text of a DECIMAL. Where its type has no digit before the point the engine writes none. */
export function decimalText(sql: string, form: DecimalForm | undefined): string {
  const text = `CAST(${sql} AS VARCHAR)`;
  return form !== undefined && form.precision > form.scale ? text : `arka_numeric(${text})`;
}

/** Sums, differences and products; undefined: as text. A sum of 39 digits is an error of the engine. */
export function decimalArithmetic(name: string, left: Typed, right: Typed): DecimalForm | undefined {
  const [a, b] = [decimalOf(left), decimalOf(right)];
  if (a === undefined || b === undefined) return undefined;
  const isProduct = name === '*';
  const scale = isProduct ? a.scale + b.scale : Math.max(a.scale, b.scale);
  const whole = Math.max(a.precision - a.scale, b.precision - b.scale);
  if ((isProduct ? a.precision + b.precision : whole + scale) > PRECISION_MAX) return undefined;
  const precision = isProduct ? a.precision + b.precision : Math.min(whole + scale + 1, PRECISION_MAX);
  const isNarrow = a.precision <= NARROW && b.precision <= NARROW && precision > NARROW;
  const first = isNarrow ? `CAST(${a.sql} AS DECIMAL(${NARROW + 1},${a.scale}))` : a.sql;
  const form = { sql: `(${first} ${name} ${b.sql})`, precision, scale };
  if (a.shown === undefined && b.shown === undefined) return form;
  const [x, y] = [scaleOf(a), scaleOf(b)];
  return { ...form, shown: isProduct ? `(${x} + ${y})` : `greatest(${x}, ${y})` };
}

/** What the engine divides by functions of Arka's own (`federation/quotient-functions.ts`). */
export function quotientOf(dividend: DecimalForm, divisor: DecimalForm): Quotient {
  const [x, y] = [dividend, divisor];
  const isSame = x.shown === undefined && y.shown === undefined;
  const least = isSame ? String(Math.max(x.scale, y.scale)) : `CAST(greatest(${scaleOf(x)}, ${scaleOf(y)}) AS INTEGER)`;
  return { dividend: x.sql, divisor: y.sql, least };
}

/** One of the functions of a quotient: its text, its key, or the parts of its sum. */
export function quotientCall(what: '' | '_key' | '_parts', { dividend, divisor, least }: Quotient): string {
  return `arka_quotient${what}(${dividend}, ${divisor}, ${least})`;
}

/** What holds values of all these forms; undefined: no DECIMAL does. */
export function commonDecimal(forms: readonly DecimalForm[]): { precision: number; scale: number } | undefined {
  const scale = Math.max(...forms.map((form) => form.scale));
  const precision = Math.max(...forms.map((form) => form.precision - form.scale)) + scale;
  return precision <= PRECISION_MAX ? { precision, scale } : undefined;
}

/** sum of values that are DECIMALs; `call` writes one aggregate with its FILTER and OVER. */
export function decimalSum(
  { sql, precision, scale, shown }: DecimalForm,
  call: (aggregate: string) => string,
): DecimalForm {
  const sum = { sql: call(`sum(${sql})`), precision: sumPrecision(precision), scale };
  if (shown === undefined) return sum;
  return { ...sum, shown: call(`max(CASE WHEN ${sql} IS NOT NULL THEN ${shown} END)`) };
}

/** Of no more than 10^12 values. */
export function sumPrecision(precision: number): number {
  return Math.min(precision + 12, PRECISION_MAX);
}

/** Rounded to so many digits behind the point, or before it; undefined: as text. */
export function decimalRound({ sql, precision, scale }: DecimalForm, digits: number): DecimalForm | undefined {
  const whole = precision - scale;
  if (-digits > whole)
    return { sql: `CASE WHEN ${sql} IS NOT NULL THEN CAST(0 AS DECIMAL(1,0)) END`, precision: 1, scale: 0 };
  const places = Math.max(digits, 0);
  const wanted = whole + places + (digits < scale ? 1 : 0);
  if (wanted > PRECISION_MAX) return undefined;
  const to = (from: string): string => `CAST(${from} AS DECIMAL(${wanted},${places}))`;
  // Where all digits before the point are rounded away the engine makes 0 of NULL and of what is above a half, too.
  if (-digits === whole && precision === PRECISION_MAX) return undefined;
  const room = -digits === whole ? `CAST(${sql} AS DECIMAL(${precision + 1},${scale}))` : sql;
  return { sql: digits < scale ? to(`round(${room}, ${digits})`) : to(sql), precision: wanted, scale: places };
}

/** floor, ceil and trunc. */
export function decimalWhole(name: string, { sql, precision, scale }: DecimalForm): DecimalForm {
  if (scale === 0) return { sql, precision, scale };
  const wanted = precision - scale + 1;
  return { sql: `CAST(${name}(${sql}) AS DECIMAL(${wanted},0))`, precision: wanted, scale: 0 };
}

/** The least or the greatest of them, with its own scale. */
export function decimalExtreme(
  name: 'min' | 'max',
  { sql, precision, scale, shown }: DecimalForm,
  call: (aggregate: string) => string,
): DecimalForm {
  const value = { sql: call(`${name}(${sql})`), precision, scale };
  return shown === undefined ? value : { ...value, shown: call(`arg_${name}(${shown}, ${sql})`) };
}
