/**
 * Values of many rows as bounds in one buffer, column by column: what scanners of COPY and INSERT note and block
 * inputs read. Value of column c in row r: src[starts[c · capacity + r], ends[c · capacity + r]).
 *
 * - F1 A start below 0 is no value: ABSENT_NULL or ABSENT_NOW; `absent[c]` counts them.
 * - F2 `src` lies at the start of its ArrayBuffer at a multiple of 8, and `view` and `words` see the same bytes.
 * - F3 Text that needed unescaping lies in `src` behind the input, from `spill` on: a value is never longer than what it
 *   was made of, so twice the input is room enough.
 */
import { NO_BYTES, NO_WORDS } from './column-vector.ts';

export const ABSENT_NULL = -1;
/** The statement's time: now() and CURRENT_TIMESTAMP. */
export const ABSENT_NOW = -2;

/** Rows of a block: enough to forget what a column costs once a block, few enough for the cache. */
const ROWS_MAX = 1024;
const ROWS_MIN = 64;
const FIELDS_MAX = 8192;

export class FieldBlock {
  readonly columns: number;
  readonly capacity: number;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly absent: Int32Array;
  rows = 0;
  src: Uint8Array = NO_BYTES;
  view: DataView = new DataView(NO_BYTES.buffer);
  words: Int32Array = NO_WORDS;
  /** Where the next unescaped value goes. */
  spill = 0;
  /** src[…] of the block is UTF-8 without the byte 0. */
  isText = false;

  constructor(columns: number) {
    this.columns = columns;
    this.capacity = Math.max(ROWS_MIN, Math.min(ROWS_MAX, FIELDS_MAX / Math.max(1, columns)) & ~7);
    this.starts = new Int32Array(columns * this.capacity);
    this.ends = new Int32Array(columns * this.capacity);
    this.absent = new Int32Array(columns);
  }

  /** Takes a buffer whose length is a multiple of 4. */
  over(src: Uint8Array<ArrayBuffer>): void {
    this.src = src;
    this.view = new DataView(src.buffer, src.byteOffset, src.length);
    this.words = new Int32Array(src.buffer, src.byteOffset, src.length >> 2);
  }

  /** Of its bounds; the buffer is its owner's. */
  get heldBytes(): number {
    return this.starts.byteLength + this.ends.byteLength + this.absent.byteLength;
  }

  /** Empty again, over the same buffer. */
  clear(): void {
    this.rows = 0;
    this.absent.fill(0);
  }
}
