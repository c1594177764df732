/**
 * Arithmetic of numeric on its text, to the digit as PostgreSQL does it: DuckDB divides in double precision, and its averages are doubles.
 *
 * - X1 A quotient has the scale that PostgreSQL's select_div_scale gives it: 16 significant digits by a guess from the first groups of
 *   four digits of both, at least the scale of either; rounded half away from zero.
 * - X2 Sums have the larger scale of both, products the sum of both.
 */
import { SqlError, SqlState } from '../errors.ts';

const SIGNIFICANT_DIGITS = 16;
const SCALE_MAX = 1000;

interface Exact {
  readonly digits: bigint;
  readonly scale: number;
}

function parse(text: string): Exact {
  const dot = text.indexOf('.');
  if (dot < 0) return { digits: BigInt(text), scale: 0 };
  return { digits: BigInt(text.slice(0, dot) + text.slice(dot + 1)), scale: text.length - dot - 1 };
}

function write(digits: bigint, scale: number): string {
  const isNegative = digits < 0n;
  const plain = (isNegative ? -digits : digits).toString().padStart(scale + 1, '0');
  const sign = isNegative ? '-' : '';
  return scale === 0 ? sign + plain : `${sign}${plain.slice(0, -scale)}.${plain.slice(-scale)}`;
}

const power = (n: number): bigint => 10n ** BigInt(n);
const abs = (value: bigint): bigint => (value < 0n ? -value : value);

/** Half away from zero; `divisor` is not 0. */
function rounded(dividend: bigint, divisor: bigint): bigint {
  const quotient = (abs(dividend) * 2n + abs(divisor)) / (abs(divisor) * 2n);
  return dividend < 0n === divisor < 0n ? quotient : -quotient;
}

/** The place of the first group of four digits, counted from the point, and the group: PostgreSQL's digits to the base of 10,000. */
function firstGroup({ digits, scale }: Exact): { readonly weight: number; readonly group: bigint } {
  if (digits === 0n) return { weight: 0, group: 0n };
  const groups = Math.ceil(scale / 4);
  const aligned = abs(digits) * power(groups * 4 - scale);
  const count = Math.ceil(aligned.toString().length / 4);
  return { weight: count - 1 - groups, group: aligned / power((count - 1) * 4) };
}

function quotientScale(dividend: Exact, divisor: Exact): number {
  const first = firstGroup(dividend);
  const second = firstGroup(divisor);
  const weight = first.weight - second.weight - (first.group <= second.group ? 1 : 0);
  return Math.min(SCALE_MAX, Math.max(SIGNIFICANT_DIGITS - weight * 4, dividend.scale, divisor.scale, 0));
}

/** @throws {SqlError} 22012 */
export function quotient(a: string, b: string): string {
  const dividend = parse(a);
  const divisor = parse(b);
  if (divisor.digits === 0n) throw new SqlError(SqlState.divisionByZero, 'division by zero');
  const scale = quotientScale(dividend, divisor);
  return write(rounded(dividend.digits * power(scale + divisor.scale), divisor.digits * power(dividend.scale)), scale);
}

export function sum(a: string, b: string, sign: 1 | -1): string {
  const left = parse(a);
  const right = parse(b);
  const scale = Math.max(left.scale, right.scale);
  const second = right.digits * power(scale - right.scale);
  return write(left.digits * power(scale - left.scale) + (sign < 0 ? -second : second), scale);
}

export function product(a: string, b: string): string {
  const left = parse(a);
  const right = parse(b);
  return write(left.digits * right.digits, left.scale + right.scale);
}

export function withScale(text: string, scale: number): string {
  const value = parse(text);
  if (scale >= value.scale) return write(value.digits * power(scale - value.scale), scale);
  return write(rounded(value.digits, power(value.scale - scale)), scale);
}
