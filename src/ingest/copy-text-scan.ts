/**
 * COPY's text format by blocks: the lines that programs write. Escapes are resolved here when they stand for one ASCII
 * byte; numbers of bytes (\012, \x0a) and everything else go to `copy-text.ts`, whose rules these are.
 */
import { ABSENT_NULL, type FieldBlock } from '../types/field-block.ts';
import { CR, isMarker, LF, oneByte, type CopyLines } from './copy-lines.ts';
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
const END = 5;

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

  constructor(options: CopyTextOptions) {
    this.#classes[BACKSLASH] = ESCAPE;
    this.#classes[LF] = LINE_FEED;
    this.#classes[CR] = OTHER;
    this.#classes[0] = OTHER;
    this.#classes[oneByte('delimiter', options.delimiter)] = DELIMITER;
    this.#marker = Buffer.from(options.null);
  }

  scan(block: FieldBlock, from: number, end: number, lines: CopyLines): number {
    const classes = this.#classes;
    const marker = this.#marker;
    const { src, columns, capacity, starts, ends } = block;
    this.odd = true;
    let line = from;
    for (let row = 0; row < capacity && columns > 0; row++) {
      let i = line;
      let start = line;
      let kind = DELIMITER;
      for (let at = row; kind === DELIMITER; at += capacity) {
        let escaped = false;
        for (;;) {
          while (i < end && classes[src[i]!] === PLAIN) i++;
          kind = i < end ? classes[src[i]!]! : END;
          if (kind !== ESCAPE) break;
          // `\.` may end the data; digits and x name bytes; an escaped CR or byte 0 is rare.
          if (i + 1 < end && SPECIAL[src[i + 1]!] === 1) return line;
          escaped = true;
          i += 2;
        }
        // Of a line that is not whole nothing counts.
        if (i >= end || (kind === OTHER && !this.#isCrLf(src, i, end, lines))) {
          this.odd = i < end && !(src[i] === CR && i + 1 === end);
          return line;
        }
        if (at >= columns * capacity) return line;
        if (i - start === marker.length && isMarker(marker, src, start, i)) {
          starts[at] = ABSENT_NULL;
          block.absent[(at / capacity) | 0]!++;
        } else if (escaped) {
          starts[at] = block.spill;
          block.spill = ends[at] = unescape(src, start, i, block.spill);
        } else {
          starts[at] = start;
          ends[at] = i;
        }
        start = ++i;
        if (kind !== DELIMITER && at < (columns - 1) * capacity) return line;
      }
      if (kind === OTHER) i++;
      else if (lines.lineEnd !== 'lf') {
        if (lines.lineEnd !== 'unknown') return line;
        lines.lineEnd = 'lf';
      }
      line = i;
      block.rows = row + 1;
    }
    this.odd = columns === 0;
    return line;
  }

  /** The line end of files from Windows, once the first line has shown it. */
  #isCrLf(src: Uint8Array, at: number, end: number, lines: CopyLines): boolean {
    return lines.lineEnd === 'crlf' && src[at] === CR && at + 1 < end && src[at + 1] === LF;
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
