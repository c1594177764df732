// Question: how fast do bytes of COPY become Arrow columns, and what do the parsers alone take of it?
// Unit: rows/s and MB/s of input by CPU time of one thread, best of ROUNDS. Run: node test/bench/copy.ts
import { CopyBinaryParser } from '../../src/ingest/copy-binary.ts';
import { CopyCsvParser } from '../../src/ingest/copy-csv.ts';
import type { CopyRowSink } from '../../src/ingest/copy-row-sink.ts';
import { CopyTextParser } from '../../src/ingest/copy-text.ts';
import { RowWriter } from '../../src/ingest/row-writer.ts';
import { Memory } from '../../src/storage/memory/memory.ts';
import { RowBuffer } from '../../src/storage/memory/row-buffer.ts';
import type { TableDef } from '../../src/table-def.ts';
import { physicalOf } from '../../src/types/pg-type.ts';
import { UTC } from '../../src/types/time-zone.ts';
import { typeNamed } from '../types/codec.ts';
import { copyBytes, FIRST_ID, type CopyFormat } from './row-bytes.ts';

const ROWS = 100_000;
const ROUNDS = 9;
const types = ['int8', 'timestamptz', 'int4', 'text', 'float8', 'json', 'bool'].map(typeNamed);
const def = {
  name: 't',
  schema: 'public',
  columns: types.map((type, i) => ({
    name: `c${i}`,
    fieldId: i + 1,
    attnum: i + 1,
    type,
    notNull: i === 0,
    default: null,
  })),
} as unknown as TableDef;
const fieldIds = types.map((_, i) => i + 1);
const target = { table: 't', columns: def.columns.map((column) => column.name) };
/** The contents of the CopyData messages. */
function dataOf(format: CopyFormat): Buffer {
  const messages = copyBytes(format, FIRST_ID, ROWS);
  const parts: Buffer[] = [];
  for (let at = 0; messages[at] === 'd'.charCodeAt(0);) {
    const end = at + 1 + messages.readInt32BE(at + 1);
    parts.push(messages.subarray(at + 5, end));
    at = end;
  }
  return Buffer.concat(parts);
}
const [text, csv, binary] = (['text', 'csv', 'binary'] as const).map(dataOf) as [Buffer, Buffer, Buffer];

/** CPU time of this thread: what others run beside it does not count. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

interface Parser {
  push(bytes: Uint8Array): void;
  finish(): void;
}

const nothing: CopyRowSink = { field: () => {}, nullField: () => {}, endRow: () => {}, block: () => true };
const memory = new Memory(256 * 1024 * 1024);

function measure(
  name: string,
  data: Uint8Array,
  chunk: number,
  make: (sink: CopyRowSink) => Parser,
  binaryFormat: boolean,
): void {
  const best = { parse: Infinity, columns: Infinity };
  for (let round = 0; round < ROUNDS; round++) {
    for (const stage of ['parse', 'columns'] as const) {
      const rows = new RowBuffer(memory, types.map(physicalOf));
      const writer = new RowWriter(def, fieldIds, rows, { timeZone: UTC, now: () => 0 });
      if (binaryFormat) writer.useBinary();
      const parser = make(stage === 'parse' ? nothing : writer);
      const started = cpuMs();
      for (let at = 0; at < data.length; at += chunk) parser.push(data.subarray(at, at + chunk));
      parser.finish();
      best[stage] = Math.min(best[stage], cpuMs() - started);
      if (stage === 'columns' && rows.rows !== ROWS) throw new Error(`${rows.rows} rows`);
      rows.retire();
    }
  }
  const rate = (ms: number): string =>
    `${(ROWS / ms / 1000).toFixed(2)}M rows/s ${(data.length / ms / 1000).toFixed(0).padStart(4)} MB/s`;
  console.log(`${name.padEnd(14)} parser ${rate(best.parse)} · to columns ${rate(best.columns)}`);
}

for (const chunk of [8192, 65_536]) {
  measure(
    `text ${chunk}`,
    text,
    chunk,
    (sink) => new CopyTextParser({ ...target, delimiter: '\t', null: '\\N' }, sink),
    false,
  );
  measure(
    `csv ${chunk}`,
    csv,
    chunk,
    (sink) => new CopyCsvParser({ ...target, delimiter: ',', null: '' }, sink),
    false,
  );
  measure(`binary ${chunk}`, binary, chunk, (sink) => new CopyBinaryParser(target, sink), true);
}
