/**
 * Text is UTF-8 without the byte 0, checked once, where it enters; everything after trusts it.
 * Short ASCII, nearly all there is, is checked by a loop; the rest by Node's native check.
 */
import { isUtf8 } from 'node:buffer';
import { SqlError, SqlState } from '../errors.ts';

const SHORT_BYTES = 64;

/** @throws {SqlError} 22021 that names the first bad sequence. */
export function checkUtf8(src: Uint8Array, start: number, end: number): void {
  if (end - start <= SHORT_BYTES) {
    let at = start;
    while (at < end && (src[at]! - 1) >>> 0 < 127) at++;
    if (at === end) return;
  }
  const part = src.subarray(start, end);
  if (!isUtf8(part) || part.includes(0)) throw badSequence(part);
}

function badSequence(part: Uint8Array): SqlError {
  let at = 0;
  while (at < part.length) {
    const width = sequenceWidth(part[at]!);
    if (part[at] === 0 || width === 0 || at + width > part.length || !isUtf8(part.subarray(at, at + width))) {
      const shown = part.subarray(at, at + Math.max(1, width));
      const bytes = Array.from(shown, (byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(' ');
      return new SqlError(SqlState.characterNotInRepertoire, `invalid byte sequence for encoding "UTF8": ${bytes}`);
    }
    at += width;
  }
  return new SqlError(SqlState.characterNotInRepertoire, 'invalid byte sequence for encoding "UTF8"');
}

function sequenceWidth(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead < 0xc0) return 0;
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 0;
}

/** Characters of valid UTF-8: the bytes that do not continue one. */
export function countCharacters(src: Uint8Array, start: number, end: number): number {
  let count = 0;
  for (let i = start; i < end; i++) if ((src[i]! & 0xc0) !== 0x80) count++;
  return count;
}

/** U+FEFF is a character of a value like another, at its beginning, too. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const encoder = new TextEncoder();

/** For messages and slow paths. */
export function decodeText(src: Uint8Array, start: number, end: number): string {
  return decoder.decode(src.subarray(start, end));
}

export function encodeText(text: string): Uint8Array {
  return encoder.encode(text);
}
