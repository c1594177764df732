/** Numbers in JSON: the grammar, and numeric's text form for jsonb (J4 of `jsonb.ts`). */
import { SqlError, SqlState } from '../errors.ts';
import { isWordByte } from './json-error.ts';

/** numeric's limits: digits before and after the point. */
export const INTEGER_DIGITS_MAX = 131_072;
export const SCALE_MAX = 16_383;

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 48 && byte <= 57;
}

/** Ends of a number's parts, exclusive; -1 for an absent fraction or exponent. */
export const numberParts = { point: -1, exponent: -1 };

/** Where the number ends by JSON's grammar; for a bad one -1 - where the grammar stopped. */
export function scanNumber(src: Uint8Array, from: number, end: number): number {
  let at = from;
  numberParts.point = -1;
  numberParts.exponent = -1;
  if (src[at] === 45) at++;
  if (at >= end || !isDigit(src[at])) return -1 - at;
  if (src[at] === 48) at++;
  else while (at < end && isDigit(src[at])) at++;
  if (at < end && src[at] === 46) {
    numberParts.point = at++;
    if (at >= end || !isDigit(src[at])) return -1 - at;
    while (at < end && isDigit(src[at])) at++;
  }
  if (at < end && (src[at]! | 0x20) === 101) {
    numberParts.exponent = at++;
    if (at < end && (src[at] === 43 || src[at] === 45)) at++;
    if (at >= end || !isDigit(src[at])) return -1 - at;
    while (at < end && isDigit(src[at])) at++;
  }
  return at < end && isWordByte(src[at]!) ? -1 - at : at;
}

export function isZero(src: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (src[at]! >= 49 && src[at]! <= 57) return false;
  return true;
}

export function numericOverflow(): SqlError {
  return new SqlError(SqlState.numericValueOutOfRange, 'value overflows numeric format');
}

/** J4 for the rarer forms: exponents and negative zero. */
export function plainNumber(text: string): string {
  const [mantissa = '', power = '0'] = text.toLowerCase().split('e');
  const negative = mantissa.startsWith('-');
  const [whole = '', fraction = ''] = mantissa.replace('-', '').split('.');
  const exponent = Number(power);
  if (Math.abs(exponent) >= 1_073_741_823) throw numericOverflow();
  const scale = Math.max(0, fraction.length - exponent);
  const digits = (whole + fraction).replace(/^0+/, '');
  if (scale > SCALE_MAX) throw numericOverflow();
  const point = digits === '' ? 0 : digits.length - fraction.length + exponent; // 0.digits · 10^point
  if (point > INTEGER_DIGITS_MAX) throw numericOverflow();
  const integer = point <= 0 ? '0' : digits.slice(0, point).padEnd(point, '0');
  const rest = (point < 0 ? '0'.repeat(Math.min(-point, scale)) : '') + digits.slice(Math.max(0, point));
  const shown = integer + (scale === 0 ? '' : `.${rest.slice(0, scale).padEnd(scale, '0')}`);
  return negative && digits !== '' ? `-${shown}` : shown;
}
