/**
 * COPY's text format: fields between delimiters, backslash escapes, NULL as a marker that is compared before escapes
 * are resolved (PostgreSQL's documentation of COPY, "Text Format").
 *
 * A byte class table makes the scan one load and one compare per ordinary byte.
 */
import { isUtf8 } from 'node:buffer';
import { badCopy, type CopyRowSink, type CopyTextOptions, invalidUtf8 } from './copy-row-sink.ts';
import { CopyBlocks } from './copy-blocks.ts';
import { SIMPLE_ESCAPES, TextScanner } from './copy-text-scan.ts';
import { CopyLines, CR, isMarker, LF, type LineFormat, oneByte } from './copy-lines.ts';

const BACKSLASH = 92;
const DOT = 46;
const PLAIN = 0;
const DELIMITER = 1;
const ESCAPE = 2;
const LINE = 3;
const ZERO = 4;

export class CopyTextParser {
  readonly #parser: CopyLines | CopyBlocks;

  constructor(options: CopyTextOptions, sink: CopyRowSink) {
    const lines = new CopyLines(options, sink, new TextFormat(options));
    this.#parser = sink.block === undefined ? lines : new CopyBlocks(lines, new TextScanner(options), sink);
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

class TextFormat implements LineFormat {
  readonly #classes = new Uint8Array(256);
  readonly #marker: Uint8Array;
  readonly #markerEscaped: boolean;
  /** The field under way has a backslash. */
  #escaped = 0;
  #scratch = new Uint8Array(256);

  constructor(options: CopyTextOptions) {
    this.#classes[oneByte('delimiter', options.delimiter)] = DELIMITER;
    this.#classes[BACKSLASH] = ESCAPE;
    this.#classes[CR] = LINE;
    this.#classes[LF] = LINE;
    this.#classes[0] = ZERO;
    this.#marker = Buffer.from(options.null);
    this.#markerEscaped = options.null.includes('\\');
  }

  scan(line: CopyLines, src: Uint8Array, lineStart: number, end: number, last: boolean): number {
    const classes = this.#classes;
    let i = lineStart + line.scan;
    for (;;) {
      while (i < end && classes[src[i]!] === PLAIN) i++;
      if (i >= end) {
        if (!last) break;
        return this.#endLine(line, i - lineStart, end);
      }
      const kind = classes[src[i]!];
      if (kind === DELIMITER) {
        line.endField(i - lineStart, this.#escaped);
        this.#escaped = 0;
        i++;
        line.fieldStart = i - lineStart;
        continue;
      }
      line.scan = i - lineStart;
      if (kind === LINE) {
        const next = lineBreak(line, src, i, end, last, LITERAL);
        if (next < 0) break;
        return this.#endLine(line, i - lineStart, next);
      } else if (kind === ZERO) throw line.failLine(invalidUtf8(src, i, i + 1));
      else if (i + 1 >= end && !last) break;
      else if (src[i + 1] === DOT && i + 1 < end) {
        const next = endMarker(line, src, i + 2, end, last);
        if (next === -1) break;
        if (next < 0) throw line.failLine(badCopy('end-of-copy marker corrupt'));
        line.endMarker = true;
        return this.#endLine(line, i - lineStart, next);
      } else {
        this.#escaped = 1;
        if (i + 1 < end && src[i + 1] === 0) throw line.failLine(invalidUtf8(src, i + 1, i + 2));
        i = Math.min(i + 2, end); // whatever follows a backslash is data, a line feed too
      }
    }
    line.scan = i - lineStart;
    return -1;
  }

  field(line: CopyLines, k: number, src: Uint8Array, start: number, end: number): void {
    const escaped = line.marks[k] === 1;
    if ((escaped || !this.#markerEscaped) && isMarker(this.#marker, src, start, end)) line.sink.nullField(k);
    else if (escaped) {
      const length = this.#unescape(src, start, end);
      line.sink.field(k, this.#scratch, 0, length);
    } else line.sink.field(k, src, start, end);
  }

  value(line: CopyLines, k: number, src: Uint8Array, start: number, end: number): Uint8Array | null {
    const escaped = line.marks[k] === 1;
    if ((escaped || !this.#markerEscaped) && isMarker(this.#marker, src, start, end)) return null;
    if (!escaped) return src.subarray(start, end);
    const length = this.#resolve(src, start, end); // may make a new scratch
    return this.#scratch.subarray(0, length);
  }

  reset(): void {
    this.#escaped = 0;
  }

  #endLine(line: CopyLines, contentEnd: number, next: number): number {
    line.endField(contentEnd, this.#escaped);
    line.contentEnd = contentEnd;
    return next;
  }

  #unescape(src: Uint8Array, start: number, end: number): number {
    const length = this.#resolve(src, start, end);
    const result = this.#scratch.subarray(0, length);
    // \0, \xff: only escapes can bring in what the pass over the lines has not seen.
    if (result.includes(0) || !isUtf8(result)) throw invalidUtf8(this.#scratch, 0, length);
    return length;
  }

  /** Resolves the escapes of src[start, end) into scratch; never longer than the source. */
  #resolve(src: Uint8Array, start: number, end: number): number {
    if (this.#scratch.length < end - start) this.#scratch = new Uint8Array((end - start) * 2);
    const out = this.#scratch;
    let length = 0;
    let i = start;
    while (i < end) {
      let byte = src[i++]!;
      if (byte !== BACKSLASH) {
        out[length++] = byte;
        continue;
      }
      if (i >= end) break; // PostgreSQL drops a backslash at the very end
      byte = src[i++]!;
      if (byte >= 48 && byte <= 55) {
        let value = byte - 48;
        for (let digits = 1; digits < 3 && i < end && src[i]! >= 48 && src[i]! <= 55; digits++)
          value = value * 8 + src[i++]! - 48;
        byte = value & 255;
      } else if (byte === 120 && i < end && hex(src[i]!) >= 0) {
        let value = hex(src[i++]!);
        if (i < end && hex(src[i]!) >= 0) value = value * 16 + hex(src[i++]!);
        byte = value;
      } else if (byte < 128 && SIMPLE_ESCAPES[byte] !== 0) byte = SIMPLE_ESCAPES[byte]!;
      out[length++] = byte;
    }
    return length;
  }
}

function hex(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

/** What a format says about a line end that is not the first line's. */
export interface LineEndErrors {
  readonly cr: readonly [message: string, hint: string];
  readonly lf: readonly [message: string, hint: string];
}
const LITERAL: LineEndErrors = {
  cr: ['literal carriage return found in data', 'Use "\\r" to represent carriage return.'],
  lf: ['literal newline found in data', 'Use "\\n" to represent newline.'],
};

/** The position after the line end at `i`, or -1 when more bytes must tell; the first line decides for all. */
export function lineBreak(
  line: CopyLines,
  src: Uint8Array,
  i: number,
  end: number,
  last: boolean,
  errors: LineEndErrors,
): number {
  if (src[i] === LF) {
    if (line.lineEnd === 'cr' || line.lineEnd === 'crlf') throw line.failLine(badCopy(...errors.lf));
    line.lineEnd = 'lf';
    return i + 1;
  }
  if (line.lineEnd === 'lf') throw line.failLine(badCopy(...errors.cr));
  if (line.lineEnd === 'cr') return i + 1;
  if (i + 1 >= end && !last) return -1;
  if (i + 1 < end && src[i + 1] === LF) {
    line.lineEnd = 'crlf';
    return i + 2;
  }
  if (line.lineEnd === 'crlf') throw line.failLine(badCopy(...errors.cr));
  line.lineEnd = 'cr';
  return i + 1;
}

/** After `\.` at `i`: the position after its line end, -1 when more bytes must tell, -2 when something else follows. */
export function endMarker(line: CopyLines, src: Uint8Array, i: number, end: number, last: boolean): number {
  if (i >= end) return last ? end : -1;
  const byte = src[i]!;
  if (byte !== CR && byte !== LF) return -2;
  if (byte === CR && line.lineEnd !== 'cr' && i + 1 >= end && !last) return -1;
  const found = byte === LF ? 'lf' : i + 1 < end && src[i + 1] === LF ? 'crlf' : 'cr';
  if (line.lineEnd !== 'unknown' && !(line.lineEnd === found || (line.lineEnd === 'cr' && byte === CR))) {
    throw line.failLine(badCopy('end-of-copy marker does not match previous newline style'));
  }
  return found === 'crlf' ? i + 2 : i + 1;
}
