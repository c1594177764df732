/** A sink that keeps rows as strings, and the ways to feed a parser. */
import { CopyBinaryParser } from '../../src/ingest/copy-binary.ts';
import { CopyCsvParser } from '../../src/ingest/copy-csv.ts';
import type { CopyRowSink } from '../../src/ingest/copy-row-sink.ts';
import { CopyTextParser } from '../../src/ingest/copy-text.ts';
import { SqlError } from '../../src/errors.ts';

export type Row = (string | null)[];

export class Rows implements CopyRowSink {
  readonly rows: Row[] = [];
  readonly lines: number[] = [];
  #row: Row = [];
  field(column: number, src: Uint8Array, start: number, end: number): void {
    if (column !== this.#row.length) throw new Error('P1: columns in order');
    this.#row.push(Buffer.from(src.subarray(start, end)).toString('latin1'));
  }
  nullField(column: number): void {
    if (column !== this.#row.length) throw new Error('P1: columns in order');
    this.#row.push(null);
  }
  endRow(line: number): void {
    this.rows.push(this.#row);
    this.lines.push(line);
    this.#row = [];
  }
}

export interface Parser {
  readonly heldBytes: number;
  push(bytes: Uint8Array): void;
  takeWhole?(): void;
  finish(): void;
}
export type Make = (sink: CopyRowSink) => Parser;

const target = (columns: number) => ({ table: 't', columns: ['a', 'b', 'c', 'd'].slice(0, columns) });
export const text =
  (columns: number, more: object = {}): Make =>
  (sink) =>
    new CopyTextParser({ ...target(columns), delimiter: '\t', null: '\\N', ...more }, sink);
export const csv =
  (columns: number, more: object = {}): Make =>
  (sink) =>
    new CopyCsvParser({ ...target(columns), delimiter: ',', null: '', ...more }, sink);
export const binary =
  (columns: number): Make =>
  (sink) =>
    new CopyBinaryParser(target(columns), sink);

/** The rows, or the error as `code message | where`. */
export function parse(
  make: Make,
  bytes: Uint8Array,
  cuts: readonly number[] = [],
): { rows: Row[]; error: string | null } {
  const sink = new Rows();
  const parser = make(sink);
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((x, y) => x - y);
  try {
    let from = 0;
    for (const to of [...at, bytes.length]) {
      const chunk = new Uint8Array(bytes.subarray(from, to)); // Buffer.slice would be a view
      parser.push(chunk);
      chunk.fill(0x3f); // P2: nothing may be kept
      from = to;
    }
    parser.finish();
    return { rows: sink.rows, error: null };
  } catch (error) {
    if (!(error instanceof SqlError)) throw error;
    return { rows: sink.rows, error: `${error.code} ${error.message} | ${error.fields.where}` };
  }
}
