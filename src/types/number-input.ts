/**
 * Text to bool, integers and floats: PostgreSQL 16's input syntax (0x, 0o, 0b and underscores in integers) over bytes.
 *
 * The loops take what nearly every value is, sign and digits; anything else goes to the slow function beside them,
 * which alone makes strings and errors.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { ColumnSink } from './column-vector.ts';
import { highWord, POW10 } from './decimal-digits.ts';
import { decodeText } from './utf8.ts';
import { trimSpace } from './white-space.ts';

export type TextInput = (src: Uint8Array, start: number, end: number, sink: ColumnSink) => void;

export function invalidSyntax(typeName: string, text: string): SqlError {
  return new SqlError(SqlState.invalidTextRepresentation, `invalid input syntax for type ${typeName}: "${text}"`);
}

function outOfRange(typeName: string, text: string): SqlError {
  return new SqlError(SqlState.numericValueOutOfRange, `value "${text}" is out of range for type ${typeName}`);
}

export function boolInput(): TextInput {
  return (src, start, end, sink) => {
    if (end - start === 1) {
      const letter = src[start]! | 0x20;
      if (letter === 116 || letter === 121 || src[start] === 49) return sink.bool(true); // t y 1
      if (letter === 102 || letter === 110 || src[start] === 48) return sink.bool(false); // f n 0
    }
    sink.bool(boolOf(decodeText(src, start, end)));
  };
}

function boolOf(text: string): boolean {
  const word = trimSpace(text).toLowerCase();
  if (word !== '') {
    if ('true'.startsWith(word) || 'yes'.startsWith(word) || word === 'on' || word === '1') return true;
    if ('false'.startsWith(word) || 'no'.startsWith(word) || word === 'of' || word === 'off' || word === '0')
      return false;
  }
  throw invalidSyntax('boolean', text);
}

/** int2 and int4. */
export function intInput(typeName: 'smallint' | 'integer'): TextInput {
  const max = typeName === 'smallint' ? 32_767 : 2_147_483_647;
  return (src, start, end, sink) => {
    let at = start;
    const negative = src[at] === 45;
    if (negative) at++;
    const length = end - at;
    if (length > 0 && length < 11) {
      let value = 0;
      for (; at < end; at++) {
        const digit = src[at]! - 48;
        if (digit >>> 0 > 9) break;
        value = value * 10 + digit;
      }
      if (at === end && (value <= max || (negative && value === max + 1))) return sink.int32(negative ? -value : value);
    }
    sink.int32(Number(integerOf(decodeText(src, start, end), typeName, BigInt(max))));
  };
}

export function int8Input(): TextInput {
  return (src, start, end, sink) => {
    let at = start;
    const negative = src[at] === 45;
    if (negative) at++;
    const length = end - at;
    if (length > 0 && length < 20) {
      // The last nine digits and those before them: each part stays exact.
      let upper = 0;
      const middle = end - 9;
      for (; at < middle; at++) {
        const digit = src[at]! - 48;
        if (digit >>> 0 > 9) break;
        upper = upper * 10 + digit;
      }
      let lower = 0;
      if (at >= middle) {
        for (; at < end; at++) {
          const digit = src[at]! - 48;
          if (digit >>> 0 > 9) break;
          lower = lower * 10 + digit;
        }
      }
      if (at === end && (upper < 9_223_372_036 || (upper === 9_223_372_036 && lower < 854_775_808)))
        return putParts(upper, lower, negative, sink);
    }
    const value = integerOf(decodeText(src, start, end), 'bigint', 9_223_372_036_854_775_807n);
    sink.int64(Number(BigInt.asIntN(32, value)), Number(value >> 32n));
  };
}

/** ±(upper · 10^9 + lower). */
function putParts(upper: number, lower: number, negative: boolean, sink: ColumnSink): void {
  if (upper < 9_000_000) {
    const value = upper * 1e9 + lower;
    const signed = negative ? -value : value;
    return sink.int64(signed | 0, highWord(signed));
  }
  const top = Math.floor(upper / 131_072);
  const product = top * 1e9;
  const productHigh = Math.floor(product / 32_768);
  const rest = (product - productHigh * 32_768) * 131_072 + (upper - top * 131_072) * 1e9 + lower;
  const low = rest | 0;
  const high = productHigh + highWord(rest);
  if (negative) sink.int64(-low | 0, ~high + (low === 0 ? 1 : 0));
  else sink.int64(low, high);
}

const DECIMAL = /^\d+(_\d+)*$/;
const PREFIXED = /^0(x(_?[0-9a-f]+)+|o(_?[0-7]+)+|b(_?[01]+)+)$/i;

/** The whole syntax, with spaces, signs, bases and underscores. */
function integerOf(text: string, typeName: string, max: bigint): bigint {
  const match = /^[ \t\n\v\f\r]*([+-]?)(\w+)[ \t\n\v\f\r]*$/.exec(text);
  const digits = match?.[2] ?? '';
  if (match === null || digits.length > 1000 || !(DECIMAL.test(digits) || PREFIXED.test(digits))) {
    if (digits.length > 1000 && /^\d+$/.test(digits)) throw outOfRange(typeName, text);
    throw invalidSyntax(typeName, text);
  }
  const size = BigInt(digits.replaceAll('_', ''));
  const value = match[1] === '-' ? -size : size;
  if (value > max || value < -max - 1n) throw outOfRange(typeName, text);
  return value;
}

/** The double of the last `scanDecimal` that returned true. */
const scanned = { value: 0 };

/** Sign, at most 15 digits with a point, nothing else: m / 10^k of exact parts is correctly rounded. */
function scanDecimal(src: Uint8Array, start: number, end: number): boolean {
  let at = start;
  const negative = src[at] === 45;
  if (negative) at++;
  if (end - at > 16 || at >= end) return false;
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
      return false;
    }
  }
  if (digits === 0 || digits > 15) return false;
  const value = point < 0 ? mantissa : mantissa / POW10[end - point - 1]!;
  scanned.value = negative ? -value : value;
  return true;
}

export function float8Input(): TextInput {
  return (src, start, end, sink) => {
    if (scanDecimal(src, start, end)) sink.float64(scanned.value);
    else sink.float64(floatOf(decodeText(src, start, end), 'double precision'));
  };
}

export function float4Input(): TextInput {
  return (src, start, end, sink) => {
    if (end - start <= 8 && scanDecimal(src, start, end)) return sink.float32(scanned.value);
    const text = decodeText(src, start, end);
    sink.float32(toFloat4(floatOf(text, 'real'), text));
  };
}

const FLOAT = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const WORDS: ReadonlyMap<string, number> = new Map([
  ['nan', NaN],
  ['infinity', Infinity],
  ['+infinity', Infinity],
  ['-infinity', -Infinity],
  ['inf', Infinity],
  ['+inf', Infinity],
  ['-inf', -Infinity],
]);

function floatOf(text: string, typeName: string): number {
  const word = text.replace(/^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g, '');
  if (!FLOAT.test(word)) {
    const named = WORDS.get(word.toLowerCase());
    if (named === undefined) throw invalidSyntax(typeName, text);
    return named;
  }
  const value = Number(word);
  if (!Number.isFinite(value) || (value === 0 && /[1-9]/.test(word.replace(/e.*$/i, ''))))
    throw floatRange(word, typeName);
  return value;
}

function floatRange(word: string, typeName: string): SqlError {
  return new SqlError(SqlState.numericValueOutOfRange, `"${word}" is out of range for type ${typeName}`);
}

const pattern = new DataView(new ArrayBuffer(8));

/** Rounds once: a double halfway between two floats may itself be rounded, so the text decides (seen at 9+ digits). */
function toFloat4(value: number, text: string): number {
  const word = trimSpace(text);
  const single = Math.fround(value);
  if (Number.isNaN(value) || (!Number.isFinite(value) && /i/i.test(word))) return single;
  if (!Number.isFinite(single) || (single === 0 && value !== 0)) throw floatRange(word, 'real');
  pattern.setFloat64(0, value);
  if ((pattern.getUint32(4) & 0x1fff_ffff) !== 0x1000_0000) return single;
  const side = compareDecimal(word, value);
  if (side === 0) return single;
  // A hair beyond the tie on the text's side.
  pattern.setInt32(4, pattern.getInt32(4) + (side > 0 ? 1 : -1) * (value < 0 ? -1 : 1));
  return Math.fround(pattern.getFloat64(0));
}

/** The sign of (the decimal in `word` − value), exactly. */
function compareDecimal(word: string, value: number): number {
  const match = /^([+-]?)(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i.exec(word);
  if (match === null) return 0;
  let left = BigInt(`${match[2]}${match[3]}` || '0') * (match[1] === '-' ? -1n : 1n);
  const exponent = Number(match[4] ?? 0) - match[3]!.length;
  // value · 2^1074 is an integer for every double.
  let power = 0;
  let whole = value;
  while (!Number.isInteger(whole)) {
    whole *= 2;
    power++;
  }
  let right = BigInt(whole);
  if (exponent > 0) left *= 10n ** BigInt(exponent);
  else right *= 10n ** BigInt(-exponent);
  left <<= BigInt(power);
  return left < right ? -1 : left > right ? 1 : 0;
}
