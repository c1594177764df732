/**
 * Keys of values whose order is not that of their bytes: byte strings that compare, and are equal, as PostgreSQL compares the values.
 *
 * - K1 numeric: -Infinity, negatives, zero, positives, Infinity, NaN; 1.0 and 1.00 have one key.
 * - K2 jsonb: null < string < number < boolean < array < object; of arrays and objects the one with fewer members is less. A
 *   scalar that stands alone is an array of one element that is less than others of one: so an empty array is less than null.
 * - K3 Text within a key has its byte 0, which JSON may have, escaped, and ends with a byte 0: a prefix comes first.
 */
import type { ByteWriter } from './byte-writer.ts';
import { parseInterval } from './interval-input.ts';
import { elementsOf, kindOf, membersOf, unquoted } from './json-text.ts';
import { encodeText } from './utf8.ts';

const MINUS_INFINITY = 0;
const NEGATIVE = 1;
const ZERO = 2;
const POSITIVE = 3;
const PLUS_INFINITY = 4;
const NOT_A_NUMBER = 5;

const MINUS = 0x2d;
const POINT = 0x2e;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;

/** K1. `text` as numeric prints it. */
export function putNumericKey(text: string, out: ByteWriter): void {
  const bytes = encodeText(text);
  putNumericKeyOf(bytes, 0, bytes.length, out);
}

/** K1. Of the bytes of its text. */
export function putNumericKeyOf(bytes: Uint8Array, start: number, end: number, out: ByteWriter): void {
  const isNegative = bytes[start] === MINUS;
  let at = isNegative ? start + 1 : start;
  if (bytes[at]! > DIGIT_9)
    return out.u8(bytes[at] === 0x4e ? NOT_A_NUMBER : isNegative ? MINUS_INFINITY : PLUS_INFINITY);
  let point = bytes.indexOf(POINT, at);
  if (point < 0 || point > end) point = end;
  while (at < end && (bytes[at] === DIGIT_0 || bytes[at] === POINT)) at++;
  if (at === end) return out.u8(ZERO);
  let last = end;
  while (last > point && (bytes[last - 1] === DIGIT_0 || bytes[last - 1] === POINT)) last--;
  if (last <= point) while (bytes[last - 1] === DIGIT_0) last--;
  out.u8(isNegative ? NEGATIVE : POSITIVE);
  const flip = isNegative ? 0xff : 0;
  // Digits to the power: biased, then two of them a byte, 1 to 100, ended by 0.
  const power = (at < point ? point - at : point + 1 - at) + 0x40_0000;
  for (let shift = 16; shift >= 0; shift -= 8) out.u8(((power >> shift) & 0xff) ^ flip);
  let pair = -1;
  for (; at < last; at++) {
    if (at === point) continue;
    const digit = bytes[at]! - DIGIT_0;
    if (pair < 0) {
      pair = digit * 10;
    } else {
      out.u8((pair + digit + 1) ^ flip);
      pair = -1;
    }
  }
  if (pair >= 0) out.u8((pair + 1) ^ flip);
  out.u8(flip);
}

/** Months count 30 days, days 24 hours: 16 bytes, big-endian, the highest bit turned. */
export function putIntervalKey(text: string, out: ByteWriter): void {
  const { months, days, micros } = parseInterval(text);
  const total = (BigInt(months) * 30n + BigInt(days)) * 86_400_000_000n + BigInt(micros) + (1n << 95n);
  for (let shift = 64n; shift >= 0n; shift -= 32n) out.i32(Number(BigInt.asIntN(32, total >> shift)));
}

function putTextKey(text: string, out: ByteWriter): void {
  const bytes = encodeText(text);
  for (const byte of bytes) {
    if (byte <= 1) out.u8(1);
    out.u8(byte <= 1 ? byte + 1 : byte);
  }
  out.u8(0);
}

const RANKS = { null: 0, string: 1, number: 2, boolean: 3, array: 4, object: 5 } as const;

/** K2. `text` in jsonb's canonical form. */
export function putJsonbKey(text: string, out: ByteWriter): void {
  const kind = kindOf(text);
  if (kind !== 'array' && kind !== 'object') {
    out.u8(RANKS.array);
    out.i32(1);
    out.u8(0);
    return putScalarKey(text, out);
  }
  putContainerKey(text, out, true);
}

function putContainerKey(text: string, out: ByteWriter, isOutermost: boolean): void {
  if (kindOf(text) === 'object') {
    const members = membersOf(text);
    out.u8(RANKS.object);
    out.i32(members.length);
    for (const [key, value] of members) {
      putTextKey(key, out);
      putMemberKey(value, out);
    }
    return;
  }
  const elements = elementsOf(text);
  out.u8(RANKS.array);
  out.i32(elements.length);
  if (isOutermost) out.u8(1);
  for (const element of elements) putMemberKey(element, out);
}

function putMemberKey(text: string, out: ByteWriter): void {
  const kind = kindOf(text);
  if (kind === 'array' || kind === 'object') putContainerKey(text, out, false);
  else putScalarKey(text, out);
}

function putScalarKey(text: string, out: ByteWriter): void {
  const kind = kindOf(text);
  out.u8(RANKS[kind]);
  if (kind === 'string') putTextKey(unquoted(text), out);
  else if (kind === 'number') putNumericKey(text, out);
  else if (kind === 'boolean') out.u8(text === 'true' ? 1 : 0);
}
