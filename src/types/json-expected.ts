/** What the JSON parser says when another token comes than it wanted. */
import type { SqlError } from '../errors.ts';
import { fail, isWordByte } from './json-error.ts';
import { scanNumber } from './json-number.ts';
import { readString } from './json-string.ts';
import { decodeText } from './utf8.ts';

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
      for (stop = -1 - stop; stop < end && isWordByte(src[stop]!);) stop++;
      return fail(`Token "${decodeText(src, at, stop)}" is invalid.`, src, start, stop, end);
    }
  } else if (!PUNCTUATION.has(byte)) {
    while (isWordByte(byte) && stop < end && isWordByte(src[stop]!)) stop++;
    const word = decodeText(src, at, stop);
    if (word !== 'true' && word !== 'false' && word !== 'null')
      return fail(`Token "${word}" is invalid.`, src, start, stop, end);
  }
  return fail(`Expected ${what}, but found "${decodeText(src, at, stop)}".`, src, start, stop, end);
}

const PUNCTUATION = new Set([123, 125, 91, 93, 44, 58]);
