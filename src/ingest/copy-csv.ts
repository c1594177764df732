/**
 * COPY's CSV format: quotes may open and close anywhere in a field, a quoted field is never NULL, a quoted line end is
 * data (PostgreSQL's documentation of COPY, "CSV Format").
 *
 * Marks of a field: 0 no quotes, 1 one pair around all of it (its inside is handed out as a view), 2 to be unquoted.
 */
import type { CopyRowSink, CopyTextOptions } from './copy-row-sink.ts';
import { badCopy, invalidUtf8 } from './copy-row-sink.ts';
import { CopyBlocks } from './copy-blocks.ts';
import { CsvScanner } from './copy-csv-scan.ts';
import { CopyLines, CR, isMarker, LF, type LineFormat, oneByte } from './copy-lines.ts';
import { endMarker, lineBreak, type LineEndErrors } from './copy-text.ts';

export interface CopyCsvOptions extends CopyTextOptions {
  /** One byte; '"' by default. */
  readonly quote?: string;
  /** One byte; the quote by default. */
  readonly escape?: string;
  /** FORCE_NULL and FORCE_NOT_NULL, by field number. */
  readonly forceNull?: ReadonlySet<number>;
  readonly forceNotNull?: ReadonlySet<number>;
}

const PLAIN = 0;
const DELIMITER = 1;
const QUOTE = 2;
const ESCAPE = 3;
const LINE = 4;
const ZERO = 5;
const BACKSLASH = 92;
const DOT = 46;

const UNQUOTED: LineEndErrors = {
  cr: ['unquoted carriage return found in data', 'Use quoted CSV field to represent carriage return.'],
  lf: ['unquoted newline found in data', 'Use quoted CSV field to represent newline.'],
};

export class CopyCsvParser {
  readonly #parser: CopyLines | CopyBlocks;

  constructor(options: CopyCsvOptions, sink: CopyRowSink) {
    const lines = new CopyLines(options, sink, new CsvFormat(options));
    const byRows = sink.block === undefined || options.forceNull !== undefined || options.forceNotNull !== undefined;
    this.#parser = byRows ? lines : new CopyBlocks(lines, new CsvScanner(options), sink);
  }

  get heldBytes(): number {
    return this.#parser.heldBytes;
  }

  push(bytes: Uint8Array): void {
    this.#parser.push(bytes);
  }

  /** Reads the lines that are whole. */
  takeWhole(): void {
    if (this.#parser instanceof CopyBlocks) this.#parser.takeWhole();
  }

  finish(): void {
    this.#parser.finish();
  }
}

class CsvFormat implements LineFormat {
  readonly #outside = new Uint8Array(256);
  readonly #inside = new Uint8Array(256);
  readonly #marker: Uint8Array;
  readonly #quote: number;
  readonly #escape: number;
  readonly #forceNull: ReadonlySet<number> | null;
  readonly #forceNotNull: ReadonlySet<number> | null;
  #inQuotes = false;
  /** Of the field under way: quotes seen, and whether an escape was used. */
  #quotes = 0;
  #escaped = false;
  #scratch = new Uint8Array(256);

  constructor(options: CopyCsvOptions) {
    this.#quote = oneByte('quote', options.quote ?? '"');
    this.#escape = options.escape === undefined ? this.#quote : oneByte('escape', options.escape);
    for (const classes of [this.#outside, this.#inside]) {
      classes[CR] = LINE;
      classes[LF] = LINE;
      classes[0] = ZERO;
    }
    this.#outside[oneByte('delimiter', options.delimiter)] = DELIMITER;
    this.#inside[this.#escape] = ESCAPE;
    this.#outside[this.#quote] = QUOTE;
    this.#inside[this.#quote] = QUOTE;
    this.#marker = Buffer.from(options.null);
    this.#forceNull = options.forceNull ?? null;
    this.#forceNotNull = options.forceNotNull ?? null;
  }

  scan(line: CopyLines, src: Uint8Array, lineStart: number, end: number, last: boolean): number {
    let i = lineStart + line.scan;
    if (line.scan === 0 && src[i] === BACKSLASH) {
      if (i + 1 >= end && !last) return -1;
      if (i + 1 < end && src[i + 1] === DOT) {
        // Without a line end after it, `\.` is data here, unlike in text.
        const next = i + 2 >= end && last ? -2 : endMarker(line, src, i + 2, end, last);
        if (next === -1) return -1;
        if (next >= 0) {
          line.endMarker = true;
          return next;
        }
      }
    }
    let classes = this.#inQuotes ? this.#inside : this.#outside;
    for (;;) {
      while (i < end && classes[src[i]!] === PLAIN) i++;
      if (i >= end) {
        if (!last) break;
        line.scan = i - lineStart;
        if (this.#inQuotes) throw line.fail(badCopy('unterminated CSV quoted field'), src, lineStart, end);
        return this.#endLine(line, src, lineStart, i, end);
      }
      const kind = classes[src[i]!];
      if (kind === DELIMITER) {
        this.#endField(line, src, lineStart, i);
        i++;
        line.fieldStart = i - lineStart;
        continue;
      }
      line.scan = i - lineStart;
      if (kind === QUOTE) {
        this.#quotes++;
        this.#inQuotes = !this.#inQuotes;
        classes = this.#inQuotes ? this.#inside : this.#outside;
        i++;
      } else if (kind === ZERO) throw line.failLine(invalidUtf8(src, i, i + 1));
      else if (kind === LINE && !this.#inQuotes) {
        const next = lineBreak(line, src, i, end, last, UNQUOTED);
        if (next < 0) break;
        return this.#endLine(line, src, lineStart, i, next);
      } else if (kind === LINE) {
        if (src[i] === (line.lineEnd === 'cr' ? CR : LF)) line.lineNumber++;
        i++;
      } else if (i + 1 >= end && !last) break;
      else {
        const next = i + 1 < end ? src[i + 1]! : -1;
        if (next === this.#quote || next === this.#escape) {
          this.#escaped = true;
          i += 2;
        } else i++;
      }
    }
    line.scan = i - lineStart;
    return -1;
  }

  field(line: CopyLines, k: number, src: Uint8Array, start: number, end: number): void {
    const mark = line.marks[k]!;
    if (mark === 0) {
      if (isMarker(this.#marker, src, start, end) && !this.#forceNotNull?.has(k)) line.sink.nullField(k);
      else line.sink.field(k, src, start, end);
      return;
    }
    let [bytes, from, to] = [src, start + 1, end - 1];
    if (mark === 2) {
      to = this.#unquote(src, start, end);
      from = 0;
      bytes = this.#scratch;
    }
    if (this.#forceNull !== null && this.#forceNull.has(k) && isMarker(this.#marker, bytes, from, to))
      line.sink.nullField(k);
    else line.sink.field(k, bytes, from, to);
  }

  value(line: CopyLines, k: number, src: Uint8Array, start: number, end: number): Uint8Array | null {
    if (line.marks[k] === 0) return isMarker(this.#marker, src, start, end) ? null : src.subarray(start, end);
    const length = this.#unquote(src, start, end); // may make a new scratch
    return this.#scratch.subarray(0, length);
  }

  reset(): void {
    this.#inQuotes = false;
    this.#quotes = 0;
    this.#escaped = false;
  }

  #endField(line: CopyLines, src: Uint8Array, lineStart: number, at: number): void {
    let mark = 0;
    if (this.#quotes > 0) {
      const whole =
        this.#quotes === 2 &&
        !this.#escaped &&
        src[lineStart + line.fieldStart] === this.#quote &&
        src[at - 1] === this.#quote;
      mark = whole ? 1 : 2;
      this.#quotes = 0;
      this.#escaped = false;
    }
    line.endField(at - lineStart, mark);
  }

  #endLine(line: CopyLines, src: Uint8Array, lineStart: number, at: number, next: number): number {
    this.#endField(line, src, lineStart, at);
    line.contentEnd = at - lineStart;
    return next;
  }

  /** src[start, end) without its quotes into scratch. */
  #unquote(src: Uint8Array, start: number, end: number): number {
    if (this.#scratch.length < end - start) this.#scratch = new Uint8Array((end - start) * 2);
    const out = this.#scratch;
    const quote = this.#quote;
    const escape = this.#escape;
    let inQuotes = false;
    let length = 0;
    for (let i = start; i < end; i++) {
      const byte = src[i]!;
      if (inQuotes && byte === escape && i + 1 < end && (src[i + 1] === escape || src[i + 1] === quote))
        out[length++] = src[++i]!;
      else if (byte === quote) inQuotes = !inQuotes;
      else out[length++] = byte;
    }
    return length;
  }
}
