/**
 * COPY's text format by blocks: the lines that programs write. Escapes are resolved here when they stand for one ASCII
 * byte; numbers of bytes (\012, \x0a) and everything else go to `copy-text.ts`, whose rules these are.
 */
import { ONES, TOP_BITS } from '../types/byte-words.ts';
import { ABSENT_NULL, type FieldBlock } from '../types/field-block.ts';
import { CR, isCrLf, isMarker, LF, oneByte, type CopyLines } from './copy-lines.ts';
import type { LineScanner } from './copy-blocks.ts';
import type { CopyTextOptions } from './copy-row-sink.ts';

const BACKSLASH = 92;
const DOT = 46;
const X = 120;
const PLAIN = 0;
const DELIMITER = 1;
const ESCAPE = 2;
const LINE_FEED = 3;
const OTHER = 4;

const SIXTEENS = 16 * ONES;
const BACKSLASHES = BACKSLASH * ONES;

/** Bytes that mean something of their own after a backslash. */
const SPECIAL = new Uint8Array(256);
for (const byte of [0, CR, DOT, X]) SPECIAL[byte] = 1;
SPECIAL.fill(1, 48, 56); // octal digits

/** What a letter after a backslash stands for; 0: itself. */
export const SIMPLE_ESCAPES = new Uint8Array(128);
for (const [letter, byte] of [
  ['b', 8],
  ['f', 12],
  ['n', 10],
  ['r', 13],
  ['t', 9],
  ['v', 11],
] as const) {
  SIMPLE_ESCAPES[letter.charCodeAt(0)] = byte;
}

export class TextScanner implements LineScanner {
  readonly extraLines = 0;
  odd = false;
  readonly #classes = new Uint8Array(256);
  readonly #marker: Uint8Array;
  readonly #delimiters: number;

  constructor(options: CopyTextOptions) {
    this.#delimiters = oneByte('delimiter', options.delimiter) * ONES;
    this.#classes[BACKSLASH] = ESCAPE;
    this.#classes[LF] = LINE_FEED;
    this.#classes[CR] = OTHER;
    this.#classes[0] = OTHER;
    this.#classes[oneByte('delimiter', options.delimiter)] = DELIMITER;
    this.#marker = Buffer.from(options.null);
  }

  scan(block: FieldBlock, from: number, end: number, lines: CopyLines): number {
    const { src, words, columns, capacity } = block;
    const classes = this.#classes;
    const delimiters = this.#delimiters;
    const last = (columns - 1) * capacity;
    this.odd = true;
    if (columns === 0) return from;
    let line = from;
    let start = from;
    let row = 0;
    let at = 0;
    let escaped = false;
    let skip = from - 1;
    const stop = (end + 3) >> 2;
    for (let word = from >> 2; word < stop; word++) {
      // Four bytes at a time: a bit for each that is below 16, a backslash or a delimiter, and now and then for another.
      const w = words[word]!;
      const x = w ^ BACKSLASHES;
      const y = w ^ delimiters;
      let found = (((w - SIXTEENS) & ~w) | ((x - ONES) & ~x) | ((y - ONES) & ~y)) & TOP_BITS;
      while (found !== 0) {
        const lowest = found & -found;
        found ^= lowest;
        const i = (word << 2) + ((31 - Math.clz32(lowest)) >> 3);
        const kind = classes[src[i]!]!;
        if (i <= skip || kind === PLAIN) continue;
        if (i >= end) break;
        if (kind === ESCAPE) {
          // `\.` may end the data; digits and x name bytes; an escaped CR or byte 0 is rare.
          if (i + 1 < end && SPECIAL[src[i + 1]!] === 1) return line;
          escaped = true;
          skip = i + 1;
          continue;
        }
        if (kind === OTHER) {
          if (!isCrLf(src, i, end, lines)) {
            this.odd = !(src[i] === CR && i + 1 === end);
            return line;
          }
          skip = i + 1;
        }
        if (at > last + row) return line;
        if (escaped || i - start === this.#marker.length) this.#putOdd(block, at, start, i, escaped);
        else {
          block.starts[at] = start;
          block.ends[at] = i;
        }
        escaped = false;
        start = i + 1;
        if (kind === DELIMITER) {
          at += capacity;
          continue;
        }
        if (at < last + row) return line;
        if (kind === OTHER) start++;
        else if (lines.lineEnd !== 'lf') {
          if (lines.lineEnd !== 'unknown') return line;
          lines.lineEnd = 'lf';
        }
        line = start;
        at = block.rows = ++row;
        if (row === capacity) {
          this.odd = false;
          return line;
        }
      }
    }
    this.odd = false;
    return line;
  }

  /** A field that has escapes, or may be NULL. */
  #putOdd(block: FieldBlock, at: number, start: number, end: number, escaped: boolean): void {
    if (end - start === this.#marker.length && isMarker(this.#marker, block.src, start, end)) {
      block.starts[at] = ABSENT_NULL;
      block.absent[(at / block.capacity) | 0]!++;
    } else if (escaped) {
      block.starts[at] = block.spill;
      block.spill = block.ends[at] = unescape(block.src, start, end, block.spill);
    } else {
      block.starts[at] = start;
      block.ends[at] = end;
    }
  }
}

/** Resolves src[start, end) to `to` on in the same buffer; where it ends. */
function unescape(src: Uint8Array, start: number, end: number, to: number): number {
  let out = to;
  for (let i = start; i < end; i++) {
    let byte = src[i]!;
    if (byte === BACKSLASH) {
      byte = src[++i]!;
      if (byte < 128 && SIMPLE_ESCAPES[byte] !== 0) byte = SIMPLE_ESCAPES[byte]!;
    }
    src[out++] = byte;
  }
  return out;
}
