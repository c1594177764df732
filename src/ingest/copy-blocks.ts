/**
 * COPY's text and CSV by blocks: whole lines are scanned into a `FieldBlock` and go to the columns together. What a
 * scanner does not take (the header, odd escapes and quotes, line ends other than the first, any error) goes to
 * `CopyLines` line by line; so do the lines of a block whose values are not all good. Rows and errors are the same
 * on both ways (the property tests compare them).
 *
 * - K1 Bytes are copied once into a buffer of its own, which is scanned when it is full, the data end or `takeWhole` is called; a chunk may be
 *   as small as the client likes.
 * - K2 `lines` is between two lines whenever a block is scanned, and its line number is that of the block's first line.
 */
import { isUtf8 } from 'node:buffer';
import { FieldBlock } from '../types/field-block.ts';
import { LF, type CopyLines } from './copy-lines.ts';
import type { CopyRowSink } from './copy-row-sink.ts';

/** With the heaps' own limits this never makes a batch's heap grow past its size (see batch.ts). */
export const BLOCK_BYTES = 60 * 1024;
/** Unescaped values go behind the lines; loads of whole words may read a little further. */
const BUFFER_BYTES = BLOCK_BYTES * 2 + 64;

/** Scans whole lines of one format. */
export interface LineScanner {
  /** Rows of the lines from `at` on go into the block, until it is full, the bytes end or something needs `CopyLines`; where it stopped. */
  scan(block: FieldBlock, at: number, end: number, lines: CopyLines): number;
  /** Line ends inside the values of the last `scan`. */
  readonly extraLines: number;
  /** The last `scan` stopped at a line for `CopyLines`, not at the end of the bytes or the block. */
  readonly odd: boolean;
}

export class CopyBlocks {
  readonly #lines: CopyLines;
  readonly #scanner: LineScanner;
  readonly #sink: CopyRowSink;
  readonly #block: FieldBlock;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #filled = 0;

  constructor(lines: CopyLines, scanner: LineScanner, sink: CopyRowSink) {
    this.#lines = lines;
    this.#scanner = scanner;
    this.#sink = sink;
    this.#block = new FieldBlock(lines.options.columns.length);
    this.#block.over(this.#buffer);
    this.#block.isText = true;
  }

  get heldBytes(): number {
    return this.#buffer.length + this.#block.heldBytes + this.#lines.heldBytes;
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      const stop = Math.min(bytes.length, at + BLOCK_BYTES - this.#filled);
      this.#buffer.set(at === 0 && stop === bytes.length ? bytes : bytes.subarray(at, stop), this.#filled);
      this.#filled += stop - at;
      at = stop;
      if (this.#filled === BLOCK_BYTES) this.#take();
    }
  }

  /** Reads the lines that are whole. */
  takeWhole(): void {
    if (this.#filled > 0) this.#take();
  }

  finish(): void {
    this.#take();
    this.#lines.push(this.#buffer.subarray(0, this.#filled));
    this.#lines.finish();
  }

  /** Takes the whole lines that are there; the rest moves to the front. */
  #take(): void {
    const lines = this.#lines;
    const end = this.#filled;
    let at = 0;
    while (at < end && !lines.done) {
      if (!lines.between || lines.lineEnd === 'cr') at = this.#oneByOne(at, end);
      else {
        const from = at;
        at = this.#scan(at, end);
        if (at > from && !this.#scanner.odd) continue;
        if (this.#scanner.odd) at = this.#oneByOne(at, end);
        else if (at === 0 && end === BLOCK_BYTES) at = this.#oneByOne(0, end); // one line that fills the buffer
        else break;
      }
    }
    this.#buffer.copyWithin(0, lines.done ? end : at, end);
    this.#filled = lines.done ? 0 : end - at;
  }

  /** A scan and what becomes of it; where it stopped. */
  #scan(from: number, end: number): number {
    const block = this.#block;
    const lines = this.#lines;
    block.clear();
    block.spill = end;
    const stop = this.#scanner.scan(block, from, end, lines);
    if (block.rows === 0) return stop;
    const part = this.#buffer.subarray(from, stop);
    if (isUtf8(part) && this.#sink.block!(block)) lines.skip(block.rows + this.#scanner.extraLines);
    else lines.push(part);
    return stop;
  }

  /** Up to the next line end, which may be inside a value; in lines that end with CR, everything. */
  #oneByOne(at: number, end: number): number {
    const feed = this.#lines.lineEnd === 'cr' ? -1 : this.#buffer.subarray(0, end).indexOf(LF, at);
    const stop = feed < 0 ? end : feed + 1;
    this.#lines.push(this.#buffer.subarray(at, stop));
    return stop;
  }
}
