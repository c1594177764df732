/** Errors of JSON input, worded as PostgreSQL's: the DETAIL given, and the line up to the bad token. */
import { SqlError, SqlState } from '../errors.ts';
import { decodeText } from './utf8.ts';

/** Bytes that PostgreSQL takes for one bad token: letters, digits, '_', everything beyond ASCII. */
export function isWordByte(byte: number): boolean {
  return (
    (byte >= 97 && byte <= 122) ||
    (byte >= 65 && byte <= 90) ||
    (byte >= 48 && byte <= 57) ||
    byte === 95 ||
    byte >= 128
  );
}

/** 22P02 at the token before `tokenEnd`. */
export function fail(detail: string, src: Uint8Array, start: number, tokenEnd: number, end: number): SqlError {
  return new SqlError(SqlState.invalidTextRepresentation, 'invalid input syntax for type json', {
    detail,
    where: jsonContext(src, start, tokenEnd, end),
  });
}

/** `JSON data, line 1: …`: at most 50 bytes of the line before the token's end. */
export function jsonContext(src: Uint8Array, start: number, tokenEnd: number, end: number): string {
  let line = 1;
  let lineStart = start;
  for (let at = start; at < tokenEnd; at++) {
    if (src[at] === 10) {
      line++;
      lineStart = at + 1;
    }
  }
  let from = lineStart;
  while (tokenEnd - from >= 50) {
    from++;
    while ((src[from]! & 0xc0) === 0x80) from++;
  }
  if (from - lineStart <= 3) from = lineStart;
  const prefix = from > lineStart ? '...' : '';
  const suffix = tokenEnd < end && src[tokenEnd] !== 10 && src[tokenEnd] !== 13 ? '...' : '';
  return `JSON data, line ${line}: ${prefix}${decodeText(src, from, tokenEnd)}${suffix}`;
}
