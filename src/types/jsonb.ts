/**
 * JSON text: validated as it is (json), or rewritten in the canonical form that PostgreSQL's jsonb prints.
 *
 * J1 keys ascend by byte length, then bytes; of equal keys the last counts. J2 `, ` and `: ` are the only spaces outside
 * strings. J3 strings hold no escape but those JSON needs. J4 numbers are numeric's text: no exponent, scale kept, no -0.
 * One pass without recursion: members are written as they come and moved only where an object was out of order.
 * The state is the module's: calls do not nest. Input is UTF-8 already checked.
 */
import { SqlError, SqlState } from '../errors.ts';
import { ByteWriter } from './byte-writer.ts';
import { readString, scratch } from './json-string.ts';
import { isWordByte } from './json-error.ts';
import { failExpected } from './json-expected.ts';
import {
  INTEGER_DIGITS_MAX,
  isZero,
  numberParts,
  numericOverflow,
  plainNumber,
  SCALE_MAX,
  scanNumber,
} from './json-number.ts';
import { decodeText } from './utf8.ts';

const DEPTH_MAX = 10_000;

/** One open container: its first member in `members` (-1: an array), whether keys came in order. */
let frames = new Int32Array(64);
/** One member of an open object: its key in `keys` [start, end), its bytes in the output [start, end). */
let members = new Int32Array(256);
let memberCount = 0;
const keys = new ByteWriter(1024);
const moved = new ByteWriter(1024);
let order = new Int32Array(64);

/** @throws {SqlError} 22P02 with PostgreSQL's DETAIL */
export function validateJson(src: Uint8Array, start: number, end: number): void {
  parse(src, start, end, null);
}

/**
 * Appends the canonical form of one JSON value.
 * @throws {SqlError} 22P02, 22P05 for \u0000, 22003 for a number beyond numeric
 */
export function normaliseJsonb(src: Uint8Array, start: number, end: number, out: ByteWriter): void {
  keys.length = 0;
  memberCount = 0;
  parse(src, start, end, out);
}

function skipSpace(src: Uint8Array, from: number, end: number): number {
  let at = from;
  while (at < end) {
    const byte = src[at]!;
    if (byte !== 32 && byte !== 10 && byte !== 13 && byte !== 9) break;
    at++;
  }
  return at;
}

function parse(src: Uint8Array, start: number, end: number, out: ByteWriter | null): void {
  let at = start;
  let depth = 0;
  for (;;) {
    at = skipSpace(src, at, end);
    const byte = at < end ? src[at]! : 0;
    if (byte === 123 || byte === 91) {
      if (depth >= DEPTH_MAX)
        throw new SqlError(SqlState.statementTooComplex, 'stack depth limit exceeded', {
          detail: `JSON may nest ${DEPTH_MAX} deep.`,
        });
      if (depth * 2 + 2 > frames.length) frames = doubled(frames);
      frames[depth * 2] = byte === 91 ? -1 : memberCount;
      frames[depth * 2 + 1] = 1;
      out?.u8(byte);
      const inside = skipSpace(src, at + 1, end);
      if (inside < end && src[inside] === byte + 2) {
        // ] and } follow their openers by two
        out?.u8(byte + 2);
        at = inside + 1;
      } else {
        depth++;
        at = inside;
        if (byte === 123) {
          if (src[at] !== 34 || at >= end) throw failExpected('string or "}"', src, start, at, end);
          at = readKey(src, start, at, end, depth, out);
        }
        continue;
      }
    } else if (byte === 34) {
      at = readString(src, start, at, end, out);
    } else {
      at = readScalar(src, start, at, end, out);
    }
    for (;;) {
      at = skipSpace(src, at, end);
      if (depth === 0) {
        if (at < end) throw failExpected('end of input', src, start, at, end);
        return;
      }
      const isArray = frames[depth * 2 - 2]! < 0;
      const next = at < end ? src[at]! : 0;
      if (next === 44) {
        if (!isArray && out !== null) members[memberCount * 4 - 1] = out.length;
        out?.u8(44);
        out?.u8(32);
        at++;
        if (!isArray) {
          at = skipSpace(src, at, end);
          if (src[at] !== 34 || at >= end) throw failExpected('string', src, start, at, end);
          at = readKey(src, start, at, end, depth, out);
        }
        break;
      }
      if (next !== (isArray ? 93 : 125)) throw failExpected(isArray ? '"," or "]"' : '"," or "}"', src, start, at, end);
      if (!isArray && out !== null) closeObject(depth, out);
      out?.u8(next);
      at++;
      depth--;
    }
  }
}

/** A member's key and its colon; opens the member. */
function readKey(
  src: Uint8Array,
  start: number,
  from: number,
  end: number,
  depth: number,
  out: ByteWriter | null,
): number {
  let at: number;
  if (out === null) {
    at = readString(src, start, from, end, null);
  } else {
    if (memberCount * 4 + 4 > members.length) members = doubled(members);
    const member = memberCount++ * 4;
    const keyStart = keys.length;
    members[member] = keyStart;
    members[member + 2] = out.length;
    at = readString(src, start, from, end, out);
    // The string's value: its own bytes unless it had escapes.
    if (scratch.used) keys.raw(scratch.bytes, 0, scratch.length);
    else keys.raw(src, from + 1, at - 1);
    members[member + 1] = keys.length;
    const first = frames[depth * 2 - 2]!;
    if (first < memberCount - 1 && compareKeys(member - 4, member) >= 0) frames[depth * 2 - 1] = 0;
    out.u8(58);
    out.u8(32);
  }
  at = skipSpace(src, at, end);
  if (src[at] !== 58 || at >= end) throw failExpected('":"', src, start, at, end);
  return at + 1;
}

/** J1, on offsets into `members`. */
function compareKeys(a: number, b: number): number {
  const aStart = members[a]!;
  const bStart = members[b]!;
  const length = members[a + 1]! - aStart;
  const difference = length - (members[b + 1]! - bStart);
  if (difference !== 0) return difference;
  const bytes = keys.bytes;
  for (let i = 0; i < length; i++) {
    const byte = bytes[aStart + i]! - bytes[bStart + i]!;
    if (byte !== 0) return byte;
  }
  return 0;
}

function closeObject(depth: number, out: ByteWriter): void {
  const first = frames[depth * 2 - 2]!;
  members[memberCount * 4 - 1] = out.length;
  if (frames[depth * 2 - 1] === 0) reorder(first, out);
  keys.length = members[first * 4]!;
  memberCount = first;
}

function reorder(first: number, out: ByteWriter): void {
  const count = memberCount - first;
  while (order.length < count) order = doubled(order);
  if (count <= 32) {
    for (let i = 0; i < count; i++) {
      const member = (first + i) * 4;
      let j = i;
      for (; j > 0 && compareKeys(order[j - 1]!, member) > 0; j--) order[j] = order[j - 1]!;
      order[j] = member;
    }
  } else {
    for (let i = 0; i < count; i++) order[i] = (first + i) * 4;
    order.subarray(0, count).sort((a, b) => compareKeys(a, b) || a - b);
  }
  const from = members[first * 4 + 2]!;
  moved.length = 0;
  moved.raw(out.bytes, from, out.length);
  out.length = from;
  for (let i = 0; i < count; i++) {
    const member = order[i]!;
    if (i + 1 < count && compareKeys(member, order[i + 1]!) === 0) continue; // a later one counts
    if (out.length > from) {
      out.u8(44);
      out.u8(32);
    }
    out.raw(moved.bytes, members[member + 2]! - from, members[member + 3]! - from);
  }
}

function doubled(old: Int32Array): Int32Array<ArrayBuffer> {
  const wide = new Int32Array(old.length * 2);
  wide.set(old);
  return wide;
}

function isWord(src: Uint8Array, at: number, end: number, word: string): boolean {
  const stop = at + word.length;
  if (stop > end) return false;
  for (let i = 0; i < word.length; i++) if (src[at + i] !== word.charCodeAt(i)) return false;
  return stop >= end || !isWordByte(src[stop]!);
}

/** true, false, null or a number. */
function readScalar(src: Uint8Array, start: number, at: number, end: number, out: ByteWriter | null): number {
  const byte = at < end ? src[at]! : 0;
  if (byte === 45 || (byte >= 48 && byte <= 57)) return readNumber(src, start, at, end, out);
  const word = byte === 116 ? 'true' : byte === 102 ? 'false' : byte === 110 ? 'null' : '';
  if (word === '' || !isWord(src, at, end, word)) throw failExpected('JSON value', src, start, at, end);
  out?.ascii(word);
  return at + word.length;
}

function readNumber(src: Uint8Array, start: number, from: number, end: number, out: ByteWriter | null): number {
  const at = scanNumber(src, from, end);
  if (at < 0) {
    throw failExpected('JSON value', src, start, from, end);
  }
  if (out === null) return at;
  const { point, exponent } = numberParts;
  if (exponent < 0 && (src[from] !== 45 || !isZero(src, from, at))) {
    if ((point < 0 ? at : point) - from > INTEGER_DIGITS_MAX + 1 || (point >= 0 && at - point - 1 > SCALE_MAX))
      throw numericOverflow();
    out.raw(src, from, at);
  } else {
    out.ascii(plainNumber(decodeText(src, from, at)));
  }
  return at;
}
