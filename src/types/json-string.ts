/**
 * JSON strings: checked, and for jsonb written with only the escapes that JSON needs (J3 of `jsonb.ts`).
 * A string without a backslash is copied as it lies.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { ByteWriter } from './byte-writer.ts';
import { fail, jsonContext } from './json-error.ts';
import { decodeText } from './utf8.ts';

/** The value of the last string read with escapes; `used` says whether it had any. */
export const scratch = { bytes: new Uint8Array(256), length: 0, used: false };

/** Reads the string at `from` (its quote) and returns the position after it; `out` null only validates. */
export function readString(src: Uint8Array, start: number, from: number, end: number, out: ByteWriter | null): number {
  let at = from + 1;
  while (at < end) {
    const byte = src[at]!;
    if (byte === 34) {
      scratch.used = false;
      out?.raw(src, from, at + 1);
      return at + 1;
    }
    if (byte === 92) return readEscaped(src, start, from, end, out);
    if (byte < 32)
      throw fail(`Character with value 0x${byte.toString(16).padStart(2, '0')} must be escaped.`, src, start, at, end);
    at++;
  }
  throw unterminated(src, start, from, end);
}

function unterminated(src: Uint8Array, start: number, from: number, end: number): SqlError {
  return fail(`Token "${decodeText(src, from, end)}" is invalid.`, src, start, end, end);
}

/** Byte after a backslash to the byte it means; 0 for none. */
const SIMPLE = new Uint8Array(128);
for (const [letter, value] of [
  ['b', 8],
  ['f', 12],
  ['n', 10],
  ['r', 13],
  ['t', 9],
  ['"', 34],
  ['\\', 92],
  ['/', 47],
] as const) {
  SIMPLE[letter.charCodeAt(0)] = value;
}

function readEscaped(src: Uint8Array, start: number, from: number, end: number, out: ByteWriter | null): number {
  if (scratch.bytes.length < end - from) scratch.bytes = new Uint8Array((end - from) * 2);
  const into = scratch.bytes;
  let length = 0;
  let high = -1; // a high surrogate that waits for its other half
  let at = from + 1;
  for (;;) {
    if (at >= end) throw unterminated(src, start, from, end);
    const byte = src[at]!;
    if (byte < 32)
      throw fail(`Character with value 0x${byte.toString(16).padStart(2, '0')} must be escaped.`, src, start, at, end);
    const isUnicode = byte === 92 && src[at + 1] === 117 && at + 1 < end;
    if (!isUnicode) {
      if (high >= 0 && out !== null) throw loneSurrogate(src, start, byte === 34 ? at + 1 : at + widthOf(byte), end);
      if (byte === 34) break;
      if (byte !== 92) {
        into[length++] = byte;
        at++;
        continue;
      }
      if (at + 1 >= end) throw unterminated(src, start, from, end);
      const value = SIMPLE[src[at + 1]!] ?? 0;
      if (value === 0) {
        const stop = Math.min(end, at + 1 + widthOf(src[at + 1]!));
        throw fail(`Escape sequence "${decodeText(src, at, stop)}" is invalid.`, src, start, stop, end);
      }
      into[length++] = value;
      at += 2;
      continue;
    }
    const code = hex4(src, start, at + 2, end);
    at += 6;
    if (out === null) continue;
    if (code === 0) {
      throw new SqlError(SqlState.untranslatableCharacter, 'unsupported Unicode escape sequence', {
        detail: '\\u0000 cannot be converted to text.',
        where: jsonContext(src, start, at, end),
      });
    }
    if (code >= 0xd800 && code < 0xdc00) {
      if (high >= 0) throw fail('Unicode high surrogate must not follow a high surrogate.', src, start, at, end);
      high = code;
    } else if (code >= 0xdc00 && code < 0xe000) {
      if (high < 0) throw loneSurrogate(src, start, at, end);
      length = putUtf8(into, length, 0x1_0000 + ((high - 0xd800) << 10) + (code - 0xdc00));
      high = -1;
    } else {
      if (high >= 0) throw loneSurrogate(src, start, at, end);
      length = putUtf8(into, length, code);
    }
  }
  scratch.used = true;
  scratch.length = length;
  if (out !== null) emitEscaped(into, 0, length, out);
  return at + 1;
}

function widthOf(lead: number): number {
  return lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

function loneSurrogate(src: Uint8Array, start: number, at: number, end: number): SqlError {
  return fail('Unicode low surrogate must follow a high surrogate.', src, start, at, end);
}

function hex4(src: Uint8Array, start: number, from: number, end: number): number {
  let code = 0;
  for (let at = from; at < from + 4; at++) {
    if (at >= end) throw fail(`Token "${decodeText(src, start, end)}" is invalid.`, src, start, end, end);
    const byte = src[at]!;
    const digit =
      byte >= 48 && byte <= 57 ? byte - 48 : (byte | 0x20) >= 97 && (byte | 0x20) <= 102 ? (byte | 0x20) - 87 : -1;
    if (digit < 0)
      throw fail(
        '"\\u" must be followed by four hexadecimal digits.',
        src,
        start,
        Math.min(end, at + widthOf(byte)),
        end,
      );
    code = code * 16 + digit;
  }
  return code;
}

function putUtf8(into: Uint8Array, at: number, code: number): number {
  let end = at;
  if (code < 0x80) {
    into[end++] = code;
  } else if (code < 0x800) {
    into[end++] = 0xc0 | (code >> 6);
    into[end++] = 0x80 | (code & 63);
  } else if (code < 0x1_0000) {
    into[end++] = 0xe0 | (code >> 12);
    into[end++] = 0x80 | ((code >> 6) & 63);
    into[end++] = 0x80 | (code & 63);
  } else {
    into[end++] = 0xf0 | (code >> 18);
    into[end++] = 0x80 | ((code >> 12) & 63);
    into[end++] = 0x80 | ((code >> 6) & 63);
    into[end++] = 0x80 | (code & 63);
  }
  return end;
}

const ESCAPES: ReadonlyMap<number, number> = new Map([
  [8, 98],
  [12, 102],
  [10, 110],
  [13, 114],
  [9, 116],
  [34, 34],
  [92, 92],
]);

/** A value's bytes as a quoted JSON string. */
export function emitEscaped(bytes: Uint8Array, start: number, end: number, out: ByteWriter): void {
  out.u8(34);
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte >= 32 && byte !== 34 && byte !== 92) {
      out.u8(byte);
      continue;
    }
    out.u8(92);
    const letter = ESCAPES.get(byte);
    if (letter !== undefined) out.u8(letter);
    else out.ascii(`u00${byte.toString(16).padStart(2, '0')}`);
  }
  out.u8(34);
}
