/**
 * Text to numeric(p,s): the unscaled integer of p ≤ 38 digits in four words, rounded to the scale half away from zero.
 *
 * Up to 15 digits are one double; longer ones stay ASCII digits until the words are built.
 */
import { notSupported, SqlError, SqlState } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import type { ColumnSink } from './column-vector.ts';
import { built, digitsToWords, highWord, POW10 } from './decimal-digits.ts';
import { invalidSyntax, type TextInput } from './number-input.ts';
import { numericModifier } from './pg-type.ts';
import { decodeText } from './utf8.ts';
import { isSpace, trimSpace } from './white-space.ts';

/** @throws {SqlError} 0A000 for numeric without precision */
export function requiredModifier(type: PgType): NumericModifier {
  const modifier = numericModifier(type.typmod);
  if (modifier !== null) return modifier;
  throw new SqlError(SqlState.featureNotSupported, 'numeric without precision is not supported');
}

export interface NumericModifier {
  readonly precision: number;
  readonly scale: number;
}

export function numericInput(modifier: NumericModifier): TextInput {
  const { precision, scale } = modifier;
  const limit = precision <= 15 ? POW10[precision]! : Infinity;
  return (src, start, end, sink) => {
    let at = start;
    const negative = src[at] === 45;
    if (negative) at++;
    const length = end - at;
    if (length > 0 && length <= 16) {
      let mantissa = 0;
      let digits = 0;
      let point = -1;
      for (; at < end; at++) {
        const digit = src[at]! - 48;
        if (digit >>> 0 <= 9) {
          mantissa = mantissa * 10 + digit;
          digits++;
        } else if (digit === -2 && point < 0) {
          point = at;
        } else {
          break;
        }
      }
      const missing = scale - (point < 0 ? 0 : end - point - 1);
      if (at === end && digits > 0 && missing >= 0 && digits + missing <= 15) {
        const value = mantissa * POW10[missing]!;
        if (value < limit) return putSigned(negative ? -value : value, sink);
      }
    }
    slowNumeric(src, start, end, modifier, sink);
  };
}

function putSigned(value: number, sink: ColumnSink): void {
  const high = highWord(value);
  const sign = high >> 31;
  sink.words4(value | 0, high, sign, sign);
}

let significant = new Uint8Array(64);

/** Any syntax: spaces, exponents, rounding, bases; digits are collected without point and leading zeros. */
function slowNumeric(src: Uint8Array, start: number, end: number, modifier: NumericModifier, sink: ColumnSink): void {
  let at = start;
  let stop = end;
  while (at < stop && isSpace(src[at]!)) at++;
  while (stop > at && isSpace(src[stop - 1]!)) stop--;
  const bad = (): SqlError => invalidSyntax('numeric', decodeText(src, start, end));
  let negative = false;
  if (src[at] === 45 || src[at] === 43) negative = src[at++] === 45;
  if (at >= stop) throw bad();
  if (significant.length < stop - at) significant = new Uint8Array((stop - at) * 2);
  let count = 0;
  let digits = 0;
  let fraction = 0;
  let pointSeen = false;
  let underscore = true; // one may stand between two digits only
  for (; at < stop; at++) {
    const byte = src[at]!;
    if (byte >= 48 && byte <= 57) {
      if (count > 0 || byte !== 48) significant[count++] = byte;
      digits++;
      if (pointSeen) fraction++;
      underscore = false;
    } else if (byte === 46 && !pointSeen) {
      if (digits > 0 && underscore) throw bad();
      pointSeen = true;
      underscore = true;
    } else if (byte === 95 && !underscore) {
      underscore = true;
    } else {
      break;
    }
  }
  if (digits === 0 || src[at - 1] === 95) {
    special(src, start, at, stop, modifier);
    throw bad();
  }
  let exponent = 0;
  if (at < stop) {
    const match = /^[eE]([+-]?\d+(?:_\d+)*)$/.exec(decodeText(src, at, stop));
    if (match === null) {
      const integer = prefixedInteger(decodeText(src, start, end));
      if (integer === null) throw bad();
      return putDigitsRounded(
        copyDigits(integer.digits),
        integer.digits.length,
        integer.digits.length,
        integer.negative,
        modifier,
        sink,
      );
    }
    exponent = Number(match[1]!.replaceAll('_', ''));
    if (Math.abs(exponent) > 0x3fff_ffff) throw exponent < 0 ? bad() : overflow(modifier);
  }
  putDigitsRounded(significant, count, count - fraction + exponent, negative, modifier, sink);
}

/** PostgreSQL takes it: there is no form of it that readers of the open table would not take for a number or for NULL. */
export function nanRefused({ precision, scale }: NumericModifier): SqlError {
  return notSupported(`NaN as numeric(${precision},${scale})`, {
    detail: "Iceberg's decimal has no NaN.",
    hint: 'Declare the column numeric without a precision, or double precision: these hold NaN.',
  });
}

/** NaN and infinities end here. */
function special(src: Uint8Array, start: number, at: number, stop: number, modifier: NumericModifier): void {
  const word = trimSpace(decodeText(src, start, stop)).toLowerCase();
  if (word === 'nan') throw nanRefused(modifier);
  if (/^[+-]?inf(inity)?$/.test(word) && at < stop) {
    throw new SqlError(SqlState.numericValueOutOfRange, 'numeric field overflow', {
      detail: `A field with precision ${modifier.precision}, scale ${modifier.scale} cannot hold an infinite value.`,
    });
  }
}

function prefixedInteger(text: string): { readonly digits: string; readonly negative: boolean } | null {
  const match = /^[ \t-\r]*([+-]?)(0(?:x(?:_?[0-9a-f]+)+|o(?:_?[0-7]+)+|b(?:_?[01]+)+))[ \t-\r]*$/i.exec(text);
  if (match === null || match[2]!.length > 200) return null;
  const digits = BigInt(match[2]!.replaceAll('_', '')).toString();
  return { digits: digits === '0' ? '' : digits, negative: match[1] === '-' };
}

function copyDigits(digits: string): Uint8Array {
  if (significant.length < digits.length) significant = new Uint8Array(digits.length * 2);
  for (let i = 0; i < digits.length; i++) significant[i] = digits.charCodeAt(i);
  return significant;
}

const field = new Uint8Array(40);

/**
 * 0.d1d2d3… · 10^point to the sink; `digits` holds `count` ASCII digits, the first not 0.
 * @throws {SqlError} 22003 when it does not fit the precision after rounding
 */
export function putDigitsRounded(
  digits: Uint8Array,
  count: number,
  point: number,
  negative: boolean,
  modifier: NumericModifier,
  sink: ColumnSink,
): void {
  const kept = point + modifier.scale; // digits of the unscaled integer
  if (count === 0 || kept < 0) return sink.words4(0, 0, 0, 0);
  if (kept > modifier.precision) throw overflow(modifier);
  const whole = Math.min(kept, count);
  field[0] = 48;
  for (let i = 0; i < whole; i++) field[i + 1] = digits[i]!;
  for (let i = whole; i < kept; i++) field[i + 1] = 48;
  if (kept < count && digits[kept]! >= 53) {
    let i = kept;
    while (field[i] === 57) field[i--] = 48;
    field[i]!++;
  }
  if (kept === modifier.precision && field[0] !== 48) throw overflow(modifier);
  digitsToWords(field, 0, kept + 1, negative);
  sink.words4(built[0]!, built[1]!, built[2]!, built[3]!);
}

export function overflow(modifier: NumericModifier): SqlError {
  const { precision, scale } = modifier;
  const limit = precision === scale ? '1' : `10^${precision - scale}`;
  return new SqlError(SqlState.numericValueOutOfRange, 'numeric field overflow', {
    detail: `A field with precision ${precision}, scale ${scale} must round to an absolute value less than ${limit}.`,
  });
}
