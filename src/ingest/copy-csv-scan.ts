/**
 * COPY's CSV format by blocks: fields without quotes, and fields with one pair of quotes around all of them. Quotes in
 * the middle of a field, and everything wrong, go to `copy-csv.ts`, whose rules these are.
 */
import { ABSENT_NULL, type FieldBlock } from '../types/field-block.ts';
import type { LineScanner } from './copy-blocks.ts';
import { CR, isCrLf, isMarker, LF, oneByte, type CopyLines } from './copy-lines.ts';
import type { CopyCsvOptions } from './copy-csv.ts';

const BACKSLASH = 92;
const DOT = 46;
const PLAIN = 0;
const DELIMITER = 1;
const LINE_FEED = 2;
const OTHER = 3;
const QUOTE = 4;
const END = 5;

export class CsvScanner implements LineScanner {
  extraLines = 0;
  odd = false;
  readonly #outside = new Uint8Array(256);
  readonly #inside = new Uint8Array(256);
  readonly #marker: Uint8Array;
  readonly #quote: number;
  readonly #escape: number;
  /** Of the field that `#quoted` went through: where its copy ends, -1 for none, and its line ends. */
  #copied = -1;
  #feeds = 0;

  constructor(options: CopyCsvOptions) {
    this.#quote = oneByte('quote', options.quote ?? '"');
    this.#escape = options.escape === undefined ? this.#quote : oneByte('escape', options.escape);
    this.#outside[LF] = LINE_FEED;
    this.#outside[CR] = OTHER;
    this.#outside[0] = OTHER;
    this.#outside[oneByte('delimiter', options.delimiter)] = DELIMITER;
    this.#outside[this.#quote] = QUOTE;
    this.#inside[0] = OTHER;
    this.#inside[LF] = LINE_FEED;
    this.#inside[this.#escape] = QUOTE;
    this.#inside[this.#quote] = QUOTE;
    this.#marker = Buffer.from(options.null);
  }

  scan(block: FieldBlock, from: number, end: number, lines: CopyLines): number {
    const outside = this.#outside;
    const marker = this.#marker;
    const { src, columns, capacity, starts, ends } = block;
    this.odd = true;
    this.extraLines = 0;
    let line = from;
    for (let row = 0; row < capacity && columns > 0; row++) {
      let i = line;
      let kind = DELIMITER;
      let feeds = 0;
      if (src[i] === BACKSLASH && (i + 1 >= end || src[i + 1] === DOT)) return line;
      for (let at = row; kind === DELIMITER; at += capacity) {
        const start = i;
        while (i < end && outside[src[i]!] === PLAIN) i++;
        kind = i < end ? outside[src[i]!]! : END;
        const quoted = kind === QUOTE && i === start;
        if (quoted) {
          i = this.#quoted(block, i + 1, end);
          kind = i >= 0 && i < end ? outside[src[i]!]! : END;
          feeds += this.#feeds;
        }
        if (kind === END || (kind === OTHER && src[i] === CR && i + 1 >= end)) {
          this.odd = i < -1;
          return line;
        }
        if (kind === PLAIN) return line; // something after a closing quote
        if (at >= columns * capacity || (kind !== DELIMITER && at < (columns - 1) * capacity)) return line;
        if (kind >= OTHER && !isCrLf(src, i, end, lines)) return line;
        if (quoted) {
          starts[at] = start + 1;
          ends[at] = i - 1;
          if (this.#copied >= 0) {
            starts[at] = block.spill;
            block.spill = ends[at] = this.#copied;
          }
        } else if (i - start === marker.length && isMarker(marker, src, start, i)) {
          starts[at] = ABSENT_NULL;
          block.absent[(at / capacity) | 0]!++;
        } else {
          starts[at] = start;
          ends[at] = i;
        }
        i++;
      }
      if (kind === OTHER) i++;
      else if (lines.lineEnd !== 'lf') {
        if (lines.lineEnd !== 'unknown') return line;
        lines.lineEnd = 'lf';
      }
      line = i;
      block.rows = row + 1;
      this.extraLines += feeds;
    }
    this.odd = columns === 0;
    return line;
  }

  /**
   * After the closing quote of the field whose first byte is at `from`; -1: not complete, -2: not for here. From its first
   * escape on the field is copied behind the input.
   */
  #quoted(block: FieldBlock, from: number, end: number): number {
    const { src } = block;
    const inside = this.#inside;
    const quote = this.#quote;
    const escape = this.#escape;
    let i = from;
    let out = -1;
    this.#feeds = 0;
    for (;;) {
      if (out < 0) while (i < end && inside[src[i]!] === PLAIN) i++;
      else while (i < end && inside[src[i]!] === PLAIN) src[out++] = src[i++]!;
      if (i >= end) return -1;
      const kind = inside[src[i]!]!;
      if (kind === OTHER) return -2;
      if (kind === LINE_FEED) this.#feeds++;
      else {
        const next = i + 1 < end ? src[i + 1]! : -1;
        if (src[i] === escape && next < 0) return -1; // an escape, or the quote that ends the data: more bytes tell
        if (src[i] === escape && (next === quote || next === escape)) {
          if (out < 0) {
            out = block.spill;
            for (let k = from; k < i; k++) src[out++] = src[k]!;
          }
          i++; // what follows stands for itself
        } else if (src[i] === quote) break;
      }
      if (out >= 0) src[out++] = src[i]!;
      i++;
    }
    this.#copied = out;
    return i + 1;
  }
}
