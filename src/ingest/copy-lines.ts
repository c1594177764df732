/**
 * The part that COPY's text and CSV formats share: chunks of any split in, whole lines with field bounds out.
 *
 * A format scans bytes and notes the bounds of fields relative to the line's start. What remains of a line at the
 * end of a chunk is carried over together with the state of the scan, so no byte is scanned twice however long the
 * line and small the chunks (L1). Fields of a line that lies inside one chunk are views into it (L2).
 */
import { isUtf8 } from 'node:buffer';
import { SqlError, SqlState } from '../errors.ts';
import {
  badCopy,
  CARRY_BYTES_KEPT,
  COPY_LINE_BYTES_MAX,
  type CopyRowSink,
  type CopyTextOptions,
  invalidUtf8,
  located,
  shown,
} from './copy-row-sink.ts';

export const CR = 13;
export const LF = 10;

/** How lines end, decided by the first line. */
export type LineEnd = 'unknown' | 'lf' | 'cr' | 'crlf';

const NO_BYTES = new Uint8Array(0);

/** What a format does; the scanner's fields are its registers. */
export interface LineFormat {
  /**
   * Scans from `line.scan` (relative to `lineStart`) and notes fields; returns the position after the line's end, or
   * -1 when the line is not complete. `last`: no byte will follow `end`. Before it throws, `line.scan` says where.
   */
  scan(line: CopyLines, src: Uint8Array, lineStart: number, end: number, last: boolean): number;
  /** Hands field `k` of the line to the sink. */
  field(line: CopyLines, k: number, src: Uint8Array, start: number, end: number): void;
  /** The value of field `k` for the header and for errors, null for NULL; holds until the next call. */
  value(line: CopyLines, k: number, src: Uint8Array, start: number, end: number): Uint8Array | null;
  /** A line is over: forget what was noted for it. */
  reset(): void;
}

export class CopyLines {
  /** Bounds of the line's fields, relative to its start; `marks` is the format's own note on a field. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly marks: Uint8Array;
  /** Fields complete so far; counted beyond the columns, not stored. */
  count = 0;
  /** Where the scan goes on, and where the field under way began: relative to the line's start. */
  scan = 0;
  fieldStart = 0;
  lineEnd: LineEnd = 'unknown';
  /** Set by the format: the line's text ends here, and after it the data end. */
  contentEnd = 0;
  endMarker = false;
  /** The number of the line under way, from 1. */
  lineNumber = 1;

  readonly options: CopyTextOptions;
  readonly sink: CopyRowSink;
  readonly #format: LineFormat;
  readonly #columns: number;
  #carry: Uint8Array = NO_BYTES;
  #carried = 0;
  #headerDue: boolean;
  #done = false;
  #column = -1;

  constructor(options: CopyTextOptions, sink: CopyRowSink, format: LineFormat) {
    this.options = options;
    this.sink = sink;
    this.#format = format;
    this.#columns = options.columns.length;
    this.#headerDue = options.header !== undefined && options.header !== false;
    this.starts = new Int32Array(this.#columns + 1);
    this.ends = new Int32Array(this.#columns + 1);
    this.marks = new Uint8Array(this.#columns + 1);
  }

  /** Nothing of a line is under way, and the next one is a row. */
  get between(): boolean {
    return this.#carried === 0 && this.scan === 0 && this.count === 0 && !this.#headerDue;
  }

  /** Of the line under way. */
  get heldBytes(): number {
    return this.#carry.length;
  }

  /** The end marker has been read: what follows does not count. */
  get done(): boolean {
    return this.#done;
  }

  /** Lines that another took. */
  skip(lines: number): void {
    this.lineNumber += lines;
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    // The line under way goes on in the carry, up to the next line feed; then the chunk itself is scanned (L2).
    while (this.#carried > 0 && at < bytes.length && !this.#done) {
      const feed = bytes.indexOf(LF, at);
      const stop = feed < 0 ? bytes.length : feed + 1;
      this.#append(bytes, at, stop);
      at = stop;
      this.#keep(this.#carry, this.#lines(this.#carry, 0, this.#carried, false), this.#carried);
    }
    if (at < bytes.length && !this.#done) this.#keep(bytes, this.#lines(bytes, at, bytes.length, false), bytes.length);
  }

  /** The end of the data: an unfinished last line counts. */
  finish(): void {
    if (this.#done) return;
    this.#lines(this.#carry, 0, this.#carried, true);
    this.#done = true;
    this.#carry = NO_BYTES;
  }

  /** Notes the end of the field under way. */
  endField(end: number, mark: number): void {
    const count = this.count++;
    if (count <= this.#columns) {
      this.starts[count] = this.fieldStart;
      this.ends[count] = end;
      this.marks[count] = mark;
    }
  }

  /** The error with its line, and with the line's text as far as it is there. */
  fail(error: SqlError, src: Uint8Array, lineStart: number, lineEnd: number): SqlError {
    return error.with({
      where: `COPY ${this.options.table}, line ${this.lineNumber}: "${shown(src, lineStart, lineEnd)}"`,
    });
  }

  /** The error with its line alone: its text is not known to be whole, or not to be UTF-8. */
  failLine(error: SqlError): SqlError {
    return error.with({ where: `COPY ${this.options.table}, line ${this.lineNumber}` });
  }

  /** Handles whole lines of src[from, end); returns where the first incomplete one begins. */
  #lines(src: Uint8Array, from: number, end: number, last: boolean): number {
    let at = from;
    // One native pass over all lines; only when it fails, one a line, to find the line.
    let valid: boolean | null = null;
    while (at < end && !this.#done) {
      const next = this.#scan(src, at, end, last);
      if (next < 0) break;
      valid ??= isUtf8(src.subarray(from, end));
      if (!valid) this.#checkUtf8(src, at, next);
      this.#line(src, at, next);
      at = next;
    }
    return at;
  }

  #scan(src: Uint8Array, at: number, end: number, last: boolean): number {
    try {
      return this.#format.scan(this, src, at, end, last);
    } catch (error) {
      this.#checkUtf8(src, at, at + this.scan); // a bad byte is a better answer than what it led to
      throw error;
    }
  }

  #checkUtf8(src: Uint8Array, start: number, end: number): void {
    if (!isUtf8(src.subarray(start, end))) throw this.failLine(invalidUtf8(src, start, end));
  }

  #line(src: Uint8Array, start: number, next: number): void {
    if (this.endMarker) this.#done = true;
    if (!(this.endMarker && this.contentEnd === 0)) {
      if (this.#headerDue) this.#header(src, start);
      else this.#row(src, start);
    }
    this.#headerDue = false;
    this.lineNumber++;
    this.#reset();
    if (next - start > COPY_LINE_BYTES_MAX) throw tooLong();
  }

  #row(src: Uint8Array, start: number): void {
    const columns = this.#columns;
    const count = this.count;
    const contentEnd = start + this.contentEnd;
    if (count > columns && !(columns === 0 && this.contentEnd === 0)) {
      throw this.fail(badCopy('extra data after last expected column'), src, start, contentEnd);
    }
    const format = this.#format;
    const present = count < columns ? count : columns;
    try {
      for (let k = 0; k < present; k++) {
        this.#column = k;
        format.field(this, k, src, start + this.starts[k]!, start + this.ends[k]!);
      }
    } catch (error) {
      throw located(error, this.#whereField(src, start));
    }
    if (count < columns) {
      throw this.fail(badCopy(`missing data for column "${this.options.columns[count]}"`), src, start, contentEnd);
    }
    try {
      this.sink.endRow(this.lineNumber);
    } catch (error) {
      throw error instanceof SqlError ? this.fail(error, src, start, contentEnd) : error;
    }
  }

  #whereField(src: Uint8Array, start: number): string {
    const k = this.#column;
    const at = `COPY ${this.options.table}, line ${this.lineNumber}, column ${this.options.columns[k]}`;
    const value = this.#format.value(this, k, src, start + this.starts[k]!, start + this.ends[k]!);
    return value === null ? `${at}: null input` : `${at}: "${shown(value, 0, value.length)}"`;
  }

  #header(src: Uint8Array, start: number): void {
    if (this.options.header !== 'match') return;
    const { columns } = this.options;
    if (this.count !== columns.length) {
      const message = `wrong number of fields in header line: got ${this.count}, expected ${columns.length}`;
      throw this.fail(badCopy(message), src, start, start + this.contentEnd);
    }
    for (let k = 0; k < columns.length; k++) {
      const value = this.#format.value(this, k, src, start + this.starts[k]!, start + this.ends[k]!);
      const got = value === null ? null : Buffer.from(value).toString();
      if (got === columns[k]) continue;
      const found = got === null ? `got null value ("${this.options.null}"), expected` : `got "${got}", expected`;
      const message = `column name mismatch in header line field ${k + 1}: ${found} "${columns[k]}"`;
      throw this.fail(badCopy(message), src, start, start + this.contentEnd);
    }
  }

  #reset(): void {
    this.count = 0;
    this.scan = 0;
    this.fieldStart = 0;
    this.contentEnd = 0;
    this.endMarker = false;
    this.#format.reset();
  }

  #append(bytes: Uint8Array, start: number, end: number): void {
    const needed = this.#carried + end - start;
    if (needed > COPY_LINE_BYTES_MAX) throw tooLong();
    if (needed > this.#carry.length) {
      const grown = new Uint8Array(Math.max(needed, this.#carry.length * 2, 1024));
      grown.set(this.#carry.subarray(0, this.#carried));
      this.#carry = grown;
    }
    this.#carry.set(bytes.subarray(start, end), this.#carried);
    this.#carried = needed;
  }

  /** Carries src[from, end) over. */
  #keep(src: Uint8Array, from: number, end: number): void {
    if (src === this.#carry) {
      const left = this.#carry.subarray(from, end);
      if (this.#carry.length > CARRY_BYTES_KEPT && left.length < CARRY_BYTES_KEPT) this.#carry = left.slice();
      else if (from > 0) this.#carry.copyWithin(0, from, end);
      this.#carried = left.length;
    } else {
      this.#carried = 0;
      if (from < end) this.#append(src, from, end);
    }
  }
}

function tooLong(): SqlError {
  return new SqlError(SqlState.programLimitExceeded, `a line of COPY data is longer than ${COPY_LINE_BYTES_MAX} bytes`);
}

/** The one byte of an option such as DELIMITER. */
export function oneByte(option: string, text: string): number {
  const code = text.charCodeAt(0);
  if (text.length !== 1 || code > 127)
    throw new SqlError(SqlState.featureNotSupported, `COPY ${option} must be a single one-byte character`);
  return code;
}

/** Whether src[start, end) is the NULL marker. */
export function isMarker(marker: Uint8Array, src: Uint8Array, start: number, end: number): boolean {
  if (end - start !== marker.length) return false;
  for (let i = 0; i < marker.length; i++) if (src[start + i] !== marker[i]) return false;
  return true;
}

/** The line end of files from Windows, once the first line has shown it. */
export function isCrLf(src: Uint8Array, at: number, end: number, { lineEnd }: CopyLines): boolean {
  return lineEnd === 'crlf' && src[at] === CR && at + 1 < end && src[at + 1] === LF;
}
