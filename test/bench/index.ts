// Question: what does the key index of memory rows cost? Memory at 10M rows, a row entered, found and missed; COPY with and without a key.
// Unit: bytes of heap a row, ns of CPU, rows/s. Run: npm run build && node test/bench/index.ts [rows]
import { once } from 'node:events';
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { KeyIndex } from '../../src/storage/memory/key-index.ts';
import { Memory } from '../../src/storage/memory/memory.ts';
import { OwnIndex } from '../../src/storage/memory/own-index.ts';
import { RowBuffer } from '../../src/storage/memory/row-buffer.ts';
import { RowKeys } from '../../src/storage/memory/row-keys.ts';
import { MemorySlice } from '../../src/storage/memory/slice.ts';
import type { Physical } from '../../src/types/column-vector.ts';
import { startServer } from '../process/server-process.ts';

const ROWS = Number(process.argv[2] ?? 10_000_000);
const BATCH = 100_000;
const COPY_ROWS = 500_000;

const report = (what: string, value: string): void => console.log(`${what.padEnd(52)} ${value}`);
/** Milliseconds of CPU: other processes do not count. */
const cpu = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const ns = (ms: number, count: number): string => `${((ms * 1e6) / count).toFixed(0)} ns`;

/** A key per number; neighbours in the table are not neighbours by key. */
const putKey: Readonly<Record<string, (rows: RowBuffer, n: number) => void>> = {
  int64: (rows, n) => rows.sinks()[0]!.int64(n, 0),
  fixed16: (rows, n) => rows.sinks()[0]!.words4(Math.imul(n, 0x9e3779b1), n, 7, 8),
  bytes: (rows, n) => {
    const text = Buffer.from(`customer-${n}`);
    rows.sinks()[0]!.bytes(text, 0, text.length);
  },
};

function keys(memory: Memory, physical: Physical, from: number, count: number): RowBuffer {
  const rows = new RowBuffer(memory, [physical]);
  for (let i = 0; i < count; i++) {
    putKey[physical]!(rows, from + i);
    rows.endRow();
  }
  return rows;
}

/** Calls back with each batch and its hashes. */
function eachBatch(rows: RowBuffer, rowKeys: RowKeys, visit: (index: number, hashes: Int32Array) => void): void {
  rows.batches.forEach((batch, index) => {
    const hashes = new Int32Array(batch.rows);
    rowKeys.hashRows(batch.vectors(), 0, batch.rows, hashes);
    visit(index, hashes);
  });
}

function measure(physical: Physical, rowCount: number): void {
  const memory = new Memory(2 ** 32);
  const rowKeys = new RowKeys([0], [physical], Int32Array.of(1, 2, 3, 4));
  const slice = new MemorySlice(memory, 1, [physical], -1, '', []);
  const index = new KeyIndex(rowKeys);
  let spent = 0;
  let bytesMax = 0;
  for (let from = 0; from < rowCount; from += BATCH) {
    const rows = keys(memory, physical, from, BATCH);
    for (const batch of rows.release()) {
      const position = slice.rows;
      slice.adopt(batch);
      const begun = cpu();
      index.add(slice, batch.vectors(), 0, batch.rows, position);
      spent += cpu() - begun;
    }
    if (from >= rowCount / 10) bytesMax = Math.max(bytesMax, index.bytes / (from + BATCH));
  }
  report(
    `${physical}: ${rowCount.toLocaleString('en')} rows entered one by one`,
    `${(index.bytes / rowCount).toFixed(1)} bytes a row (at most ${bytesMax.toFixed(1)} on the way), ${ns(spent, rowCount)} a row`,
  );
  for (const [what, from] of [
    ['found', 0],
    ['missed', rowCount],
  ] as const) {
    const count = 1_000_000;
    let found = 0;
    const probes = new RowBuffer(memory, [physical]);
    for (let i = 0; i < count; i++) {
      putKey[physical]!(probes, from + ((i * 7919) % rowCount));
      probes.endRow();
    }
    const begun = cpu();
    eachBatch(probes, rowKeys, (at, hashes) => {
      const vectors = probes.batches[at]!.vectors();
      for (let row = 0; row < hashes.length; row++) if (index.find(hashes[row]!, vectors, row)) found++;
    });
    report(`${physical}: ${what}, ${found} of ${count}`, ns(cpu() - begun, count));
    probes.retire();
  }
  const own = keys(memory, physical, rowCount * 2, COPY_ROWS);
  const ownIndex = new OwnIndex(1, rowKeys, own);
  let begun = cpu();
  eachBatch(own, rowKeys, (at, hashes) => {
    const vectors = own.batches[at]!.vectors();
    const start = own.batchStart(at);
    for (let row = 0; row < hashes.length; row++) ownIndex.claim(hashes[row]!, vectors, row, start + row);
  });
  report(`${physical}: locked by a large transaction`, `${ns(cpu() - begun, COPY_ROWS)} a row`);
  begun = cpu();
  let row = 0;
  const pieces = own.release().map((batch) => {
    const piece = { row, rows: batch.rows, slice, position: slice.rows };
    slice.adopt(batch);
    row += batch.rows;
    return piece;
  });
  ownIndex.place(pieces);
  index.adopt(ownIndex);
  report(`${physical}: its commit`, `${((cpu() - begun) * 1000).toFixed(0)} µs for ${COPY_ROWS} rows`);
  ownIndex.isOpen = false;
  begun = cpu();
  while (index.segments > 0) index.settle(1000);
  report(
    `${physical}: moved later`,
    `${ns(cpu() - begun, COPY_ROWS)} a row, then ${(index.bytes / index.size).toFixed(1)} bytes a row`,
  );
  slice.retire();
}

measure('int64', ROWS);
measure('fixed16', ROWS / 10);
measure('bytes', ROWS / 10);

const server = await startServer({ built: true });
const client = new Client({ connectionString: server.url });
await client.connect();
const columns = 'id bigint, ts timestamptz, v int, name text, price float8, payload json, ok bool';
const copy = async (table: string): Promise<void> => {
  const chunks: string[] = [];
  for (let from = 0; from < COPY_ROWS; from += 5000) {
    let text = '';
    for (let id = from; id < from + 5000; id++)
      text += `${id}\t2026-01-01 00:00:${String(id % 60).padStart(2, '0')}+00\t${id % 1000}\tname ${id % 5000}\t${id / 4}\t{"user":${id % 1000},"page":"a page of some length"}\tt\n`;
    chunks.push(text);
  }
  const begun = performance.now();
  const stream = client.query(copyFrom(`COPY ${table} FROM STDIN`));
  for (const chunk of chunks) if (!stream.write(chunk)) await once(stream, 'drain');
  stream.end();
  await once(stream, 'finish');
  report(
    `COPY of ${COPY_ROWS.toLocaleString('en')} rows, ${table}`,
    `${Math.round(COPY_ROWS / ((performance.now() - begun) / 1000)).toLocaleString('en')} rows/s`,
  );
};
for (let round = 0; round < 3; round++) {
  await client.query(`CREATE TABLE keyed (${columns}, PRIMARY KEY (id))`);
  await client.query(`CREATE TABLE keyless (${columns})`);
  await copy('keyless');
  await copy('keyed');
  await client.query('DROP TABLE keyed, keyless');
}
await client.end();
await server.stop();
await server[Symbol.asyncDispose]();
