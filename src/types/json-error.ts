/** Errors of JSON input, worded as PostgreSQL's: what was expected, the token found, and the line up to it. */
import { SqlError, SqlState } from '../errors.ts';
import { readString } from './json-string.ts';
import { scanNumber } from './jsonb.ts';
import { decodeText } from './utf8.ts';

/** Bytes that PostgreSQL takes for one bad token: letters, digits, '_', everything beyond ASCII. */
export function isWordByte(byte: number): boolean {
  return (byte >= 97 && byte <= 122) || (byte >= 65 && byte <= 90) || (byte >= 48 && byte <= 57) || byte === 95 || byte >= 128;
}

/** 22P02 at the token before `tokenEnd`. */
export function fail(detail: string, src: Uint8Array, start: number, tokenEnd: number, end: number): SqlError {
  return new SqlError(SqlState.invalidTextRepresentation, 'invalid input syntax for type json', {
    detail, where: jsonContext(src, start, tokenEnd, end),
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

/** The parser wanted `what` at `at`. Tokens that are no JSON at all are reported as such. */
export function failExpected(what: string, src: Uint8Array, start: number, at: number, end: number): SqlError {
  if (at >= end) return fail('The input string ended unexpectedly.', src, start, end, end);
  const byte = src[at]!;
  let stop = at + 1;
  if (byte === 34) {
    stop = readString(src, start, at, end, null);
  } else if (byte === 45 || (byte >= 48 && byte <= 57)) {
    stop = scanNumber(src, at, end);
    if (stop < 0) {
      for (stop = at + 1; stop < end && isWordByte(src[stop]!);) stop++;
      return fail(`Token "${decodeText(src, at, stop)}" is invalid.`, src, start, stop, end);
    }
  } else if (!PUNCTUATION.has(byte)) {
    while (isWordByte(byte) && stop < end && isWordByte(src[stop]!)) stop++;
    const word = decodeText(src, at, stop);
    if (word !== 'true' && word !== 'false' && word !== 'null') return fail(`Token "${word}" is invalid.`, src, start, stop, end);
  }
  return fail(`Expected ${what}, but found "${decodeText(src, at, stop)}".`, src, start, stop, end);
}

const PUNCTUATION = new Set([123, 125, 91, 93, 44, 58]);
