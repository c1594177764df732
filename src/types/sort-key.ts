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

/** The exponent and the digits of a numeric's text; digits have no zeros at either end. */
function scientific(text: string): { readonly negative: boolean; readonly exponent: number; readonly digits: string } {
  const negative = text.startsWith('-');
  const [whole = '', fraction = ''] = text.slice(negative ? 1 : 0).split('.');
  const all = whole + fraction;
  const leading = /^0*/.exec(all)![0].length;
  return { negative, exponent: whole.length - leading, digits: all.slice(leading).replace(/0+$/, '') };
}

/** K1. `text` as numeric prints it. */
export function putNumericKey(text: string, out: ByteWriter): void {
  if (text === 'NaN') return out.u8(NOT_A_NUMBER);
  if (text === 'Infinity') return out.u8(PLUS_INFINITY);
  if (text === '-Infinity') return out.u8(MINUS_INFINITY);
  const { negative, exponent, digits } = scientific(text);
  if (digits === '') return out.u8(ZERO);
  out.u8(negative ? NEGATIVE : POSITIVE);
  const flip = negative ? 0xff : 0;
  // Digits to the power: biased, then two of them a byte, 1 to 100, ended by 0.
  const power = exponent + 0x40_0000;
  for (let shift = 16; shift >= 0; shift -= 8) out.u8(((power >> shift) & 0xff) ^ flip);
  for (let i = 0; i < digits.length; i += 2) out.u8((Number(digits.slice(i, i + 2).padEnd(2, '0')) + 1) ^ flip);
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
