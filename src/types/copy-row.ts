/**
 * Rows of vectors to CopyData messages of COPY … TO STDOUT, one a row, as PostgreSQL writes them.
 *
 *   text, csv  'd', int32 length (itself included), the line with its end
 *   binary     'd', int32 length, int16 columns, then per column int32 length and the value, -1 for NULL
 *
 * A value's text is made in place first; only one that holds a character of the format is written anew.
 * @see https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
 */
import { invariant } from '../errors.ts';
import { ByteWriter } from './byte-writer.ts';
import { rowEncoder, type RowColumn, type RowEncoder } from './data-row.ts';
import { Oid } from './pg-type.ts';
import { textOutput, type OutputSettings } from './text-output.ts';

/** Each of `delimiter`, `quote` and `escape` is one byte. */
export interface CopyStyle {
  readonly format: 'text' | 'csv' | 'binary';
  readonly delimiter: string;
  readonly null: string;
  readonly quote: string;
  readonly escape: string;
  /** CSV: one a column, values that are always quoted. */
  readonly forceQuote: readonly boolean[];
}

const COPY_DATA = 100;
const DATA_ROW = 68;
const BACKSLASH = 92;
const NEWLINE = 10;

/** 'PGCOPY\n\377\r\n\0', no flags, no extension. */
const BINARY_HEADER = Uint8Array.from([80, 71, 67, 79, 80, 89, 10, 255, 13, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

/** What stands before the first row: the binary signature, or the line of names. Null: nothing. */
export function copyHead(style: CopyStyle, header: boolean, names: readonly string[]): Uint8Array | null {
  const out = new ByteWriter(64);
  out.u8(COPY_DATA);
  out.i32(0);
  if (style.format === 'binary') out.raw(BINARY_HEADER);
  else if (!header) return null;
  else {
    const line = lineWriter({ ...style, forceQuote: names.map(() => false) }, names.length);
    names.forEach((name, i) => {
      line.begin(i, out);
      out.utf8(name);
      line.end(i, out);
    });
    out.u8(NEWLINE);
  }
  out.setI32(1, out.length - 1);
  return out.take();
}

/** The first of the messages with what stands before it, as one. */
export function withHead(head: Uint8Array, messages: Uint8Array): Uint8Array {
  const out = new ByteWriter(head.length + messages.length);
  out.raw(head);
  out.raw(messages.subarray(5));
  const first = new DataView(messages.buffer, messages.byteOffset).getInt32(1);
  out.setI32(1, head.length - 5 + first);
  return out.take();
}

/** What stands after the last row; null: nothing. */
export function copyTail(style: CopyStyle): Uint8Array | null {
  return style.format === 'binary' ? Uint8Array.from([COPY_DATA, 0, 0, 0, 6, 255, 255]) : null;
}

/** @throws {SqlError} 0A000 for a binary format that does not exist */
export function copyEncoder(columns: readonly RowColumn[], settings: OutputSettings, style: CopyStyle): RowEncoder {
  if (style.format === 'binary') {
    const encode = rowEncoder(columns, settings);
    return (vectors, row, out) => {
      const start = out.length;
      encode(vectors, row, out);
      out.bytes[start] = COPY_DATA; // the rest of a DataRow is the tuple of a binary COPY
    };
  }
  const outputs = columns.map(({ type, shown }) => textOutput(type, settings, shown));
  const isStyled = settings.timeZone.styles !== undefined;
  const plain = columns.map(({ type }, i) => !isStyled && isPlain(type.oid, i, style));
  const count = outputs.length;
  const line = lineWriter(style, count);
  return (vectors, row, out) => {
    invariant(vectors.length === count, 'as many vectors as columns');
    const start = out.length;
    out.u8(COPY_DATA);
    out.i32(0);
    for (let i = 0; i < count; i++) {
      const vector = vectors[i]!;
      const { validity } = vector;
      line.begin(i, out);
      if (validity !== null && (validity[row >> 3]! & (1 << (row & 7))) === 0) {
        line.null(out);
        continue;
      }
      outputs[i]!(vector, row, out);
      if (!plain[i]!) line.end(i, out);
    }
    out.u8(NEWLINE);
    out.setI32(start + 1, out.length - start - 1);
  };
}

const PLAIN_TYPES: ReadonlySet<number> = new Set([
  Oid.bool,
  Oid.int2,
  Oid.int4,
  Oid.int8,
  Oid.float4,
  Oid.float8,
  Oid.numeric,
  Oid.date,
  Oid.time,
  Oid.timestamp,
  Oid.timestamptz,
  Oid.uuid,
]);
/** What values of those types are written with. */
const PLAIN = /^[0-9A-Za-z+\-.: ]*$/;

/** Nothing in a value of the column can mean anything to the format. */
function isPlain(oid: number, column: number, style: CopyStyle): boolean {
  if (!PLAIN_TYPES.has(oid) || PLAIN.test(style.delimiter)) return false;
  if (style.format === 'text') return true;
  const mayBeNull = style.null !== '' && PLAIN.test(style.null);
  return !mayBeNull && !PLAIN.test(style.quote) && style.forceQuote[column] !== true;
}

/** Whole DataRow messages, whose values are in the format that `style` wants, as CopyData messages. */
export function copyDataRows(messages: Uint8Array, style: CopyStyle): Uint8Array {
  if (style.format === 'binary') return retyped(messages);
  const view = new DataView(messages.buffer, messages.byteOffset, messages.byteLength);
  const out = new ByteWriter(messages.length + 64);
  let line: LineWriter | null = null;
  for (let at = 0; at < messages.length;) {
    const end = at + 1 + view.getInt32(at + 1);
    const count = view.getInt16(at + 5);
    line ??= lineWriter(style, count);
    const start = out.length;
    out.u8(COPY_DATA);
    out.i32(0);
    for (let i = 0, field = at + 7; i < count; i++) {
      const length = view.getInt32(field);
      field += 4;
      line.begin(i, out);
      if (length < 0) {
        line.null(out);
        continue;
      }
      out.raw(messages, field, field + length);
      line.end(i, out);
      field += length;
    }
    out.u8(NEWLINE);
    out.setI32(start + 1, out.length - start - 1);
    at = end;
  }
  return out.take();
}

function retyped(messages: Uint8Array): Uint8Array {
  const out = messages.slice();
  const view = new DataView(out.buffer);
  for (let at = 0; at < out.length; at += 1 + view.getInt32(at + 1)) {
    invariant(out[at] === DATA_ROW, 'rows are DataRow messages');
    out[at] = COPY_DATA;
  }
  return out;
}

/** The values of a line, one after another: `begin`, then either `null` or the value's text and `end`. */
interface LineWriter {
  begin(column: number, out: ByteWriter): void;
  null(out: ByteWriter): void;
  end(column: number, out: ByteWriter): void;
}

function lineWriter(style: CopyStyle, columns: number): LineWriter {
  const delimiter = style.delimiter.charCodeAt(0);
  const nullText = new TextEncoder().encode(style.null);
  let start = 0;
  const finish = style.format === 'csv' ? csvValue(style, nullText, columns) : textValue(delimiter);
  return {
    begin(column, out) {
      if (column > 0) out.u8(delimiter);
      start = out.length;
    },
    null: (out) => out.raw(nullText),
    end: (column, out) => finish(column, start, out),
  };
}

type FinishValue = (column: number, start: number, out: ByteWriter) => void;

/** Bytes that must not stand as they are → what follows the backslash. */
function textEscapes(delimiter: number): Uint8Array {
  const escapes = new Uint8Array(256);
  for (const [byte, letter] of [
    [8, 'b'],
    [9, 't'],
    [10, 'n'],
    [11, 'v'],
    [12, 'f'],
    [13, 'r'],
  ] as const)
    escapes[byte] = letter.charCodeAt(0);
  if (escapes[delimiter] === 0) escapes[delimiter] = delimiter;
  escapes[BACKSLASH] = BACKSLASH;
  return escapes;
}

function textValue(delimiter: number): FinishValue {
  const escapes = textEscapes(delimiter);
  return (_column, start, out) => {
    const { bytes, length } = out;
    let at = start;
    while (at < length && escapes[bytes[at]!] === 0) at++;
    if (at === length) return;
    const rest = bytes.slice(at, length);
    out.length = at;
    out.reserve(rest.length * 2);
    for (const byte of rest) {
      const escape = escapes[byte]!;
      if (escape !== 0) out.bytes[out.length++] = BACKSLASH;
      out.bytes[out.length++] = escape === 0 ? byte : escape;
    }
  };
}

function csvValue(style: CopyStyle, nullText: Uint8Array, columns: number): FinishValue {
  const quote = style.quote.charCodeAt(0);
  const escape = style.escape.charCodeAt(0);
  const special = new Uint8Array(256);
  for (const byte of [style.delimiter.charCodeAt(0), quote, NEWLINE, 13]) special[byte] = 1;
  const isNullText = (bytes: Uint8Array, start: number, length: number): boolean => {
    if (length - start !== nullText.length) return false;
    for (let i = 0; i < nullText.length; i++) if (bytes[start + i] !== nullText[i]) return false;
    return true;
  };
  return (column, start, out) => {
    const { bytes, length } = out;
    let quoted = style.forceQuote[column] === true || isNullText(bytes, start, length);
    // a line of "\." alone would end the data for those who read it by lines
    if (columns === 1 && length - start === 2 && bytes[start] === BACKSLASH && bytes[start + 1] === 46) quoted = true;
    for (let at = start; !quoted && at < length; at++) quoted = special[bytes[at]!] === 1;
    if (!quoted) return;
    const value = bytes.slice(start, length);
    out.length = start;
    out.reserve(value.length * 2 + 2);
    out.bytes[out.length++] = quote;
    for (const byte of value) {
      if (byte === quote || byte === escape) out.bytes[out.length++] = escape;
      out.bytes[out.length++] = byte;
    }
    out.bytes[out.length++] = quote;
  };
}
