/**
 * What the three COPY parsers share: where fields go, what they are told, how their errors say where.
 *
 * - P1 For each row: `field` or `nullField` once for each column in order, then `endRow`.
 * - P2 The bytes of a field hold only until `field` returns: they are a view into the client's chunk or scratch.
 */
import { isUtf8 } from 'node:buffer';
import { SqlError, SqlState } from '../errors.ts';
import type { FieldBlock } from '../types/field-block.ts';

export interface CopyRowSink {
  field(column: number, src: Uint8Array, start: number, end: number): void;
  nullField(column: number): void;
  /** `line` counts from 1 and includes the header; in binary it is the row's number. */
  endRow(line: number): void;
  /** Rows together instead of P1; false: not one was taken, they are to come one by one. */
  block?(block: FieldBlock): boolean;
}

export interface CopyTarget {
  /** For the context of errors: COPY events, line 3, column ts. */
  readonly table: string;
  /** Names, in the order of the fields. */
  readonly columns: readonly string[];
}

export interface CopyTextOptions extends CopyTarget {
  /** One byte. */
  readonly delimiter: string;
  /** What stands for NULL, as it is written in the data. */
  readonly null: string;
  readonly header?: boolean | 'match';
}

/** One line of text or CSV, one field of binary: the parser holds it whole. */
export const COPY_LINE_BYTES_MAX = 256 * 1024 * 1024;

/** A buffer that one long line or field has made larger is given back after it. */
export const CARRY_BYTES_KEPT = 1024 * 1024;

export function badCopy(message: string, hint?: string): SqlError {
  return new SqlError(SqlState.badCopyFileFormat, message, hint === undefined ? {} : { hint });
}

/** PostgreSQL's context line shows at most so much of a line or value. */
const SHOWN_BYTES_MAX = 100;

export function shown(src: Uint8Array, start: number, end: number): string {
  const cut = end - start > SHOWN_BYTES_MAX;
  let stop = cut ? start + SHOWN_BYTES_MAX : end;
  if (cut) while (stop > start && (src[stop]! & 0xc0) === 0x80) stop--;
  const text = Buffer.from(src.buffer, src.byteOffset + start, stop - start).toString('utf8');
  return cut ? `${text}...` : text;
}

/** Adds `where` to a client's error; our own bugs pass unchanged. */
export function located(error: unknown, where: string): unknown {
  return error instanceof SqlError ? error.with({ where }) : error;
}

/** @throws {SqlError} 22021 naming the first bad sequence of src[start, end) */
export function invalidUtf8(src: Uint8Array, start: number, end: number): SqlError {
  let at = start;
  let width = 1;
  while (at < end) {
    const first = src[at]!;
    width = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first === 0 || !isUtf8(src.subarray(at, Math.min(end, at + width)))) break;
    at += width;
  }
  const first = src[at] ?? 0;
  const count = first < 0xc0 || first > 0xf7 ? 1 : Math.min(width, end - at);
  const bad = Array.from(src.subarray(at, at + count), (byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(' ');
  return new SqlError(SqlState.characterNotInRepertoire, `invalid byte sequence for encoding "UTF8": ${bad}`);
}
