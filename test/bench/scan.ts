/**
 * Question: what does the engine make of 1M rows in memory, how fast do results become messages, and how quick is a lookup?
 * Unit: rows/s of wall time (median of five), ms for lookups. Run: node test/bench/scan.ts
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEngine } from '../../src/federation/engine.ts';
import type { FileUnit, TableScan } from '../../src/storage/scan-spec.ts';
import { columnVector } from '../../src/types/column-vector.ts';
import { Oid } from '../../src/types/pg-type.ts';
import { tableDef, TestSlabs, vectorOf } from '../federation/units.ts';

const ROWS = 1_000_000;
const BATCH = 50_000;
const folder = mkdtempSync(join(tmpdir(), 'arka-bench-'));
const engine = createEngine();
await engine.open({ memoryLimitBytes: 1e9, threads: 2, tempDir: join(folder, 'tmp') });
const slabs = new TestSlabs((slab) => engine.addSlab(slab));
const types = [Oid.int8, Oid.timestamp, Oid.int4, Oid.text, Oid.float8, Oid.json].map((oid) => ({ oid, typmod: -1 }));
const def = tableDef(types, { key: [1] });
const ids = def.columns.map((column) => column.fieldId);
const actions = ['view', 'click', 'purchase', 'a much longer action name'];

function batch(start: number, rows: number): Parameters<TestSlabs['unit']>[2][number] {
  const longs = new BigInt64Array(rows);
  for (let i = 0; i < rows; i++) longs[i] = BigInt(start + i);
  const words = new Int32Array(longs.buffer);
  const indexes = Array.from({ length: rows }, (_, i) => start + i);
  const vectors = [
    columnVector('int64', { words }),
    columnVector('int64', { words }),
    vectorOf(
      types[2]!,
      indexes.map((i) => i % 1000),
    ),
    vectorOf(
      types[3]!,
      indexes.map((i) => actions[i % 4]!),
    ),
    vectorOf(
      types[4]!,
      indexes.map((i) => i / 3),
    ),
    vectorOf(
      types[5]!,
      indexes.map((i) => `{"n": ${i}, "page": "p"}`),
    ),
  ];
  return { rows, vectors };
}

const batches = Array.from({ length: ROWS / BATCH }, (_, i) => batch(i * BATCH, BATCH));
const memory = slabs.unit(1, ids, batches);
const dirty = slabs.unit(
  2,
  ids,
  batches,
  Array.from({ length: ROWS / 20 }, (_, i) => i * 20),
);
let cursor = 1;

async function read(sql: string, scans: readonly TableScan[]): Promise<void> {
  const number = cursor++;
  await engine.query({ cursor: number, sql, scans, columns: null, formats: [], output: 'rows', timeZone: 'UTC' });
  while (!(await engine.next(number)).done);
}

async function median(work: () => Promise<unknown>, times = 5): Promise<number> {
  const durations: number[] = [];
  for (let i = 0; i < times; i++) {
    const begun = performance.now();
    await work();
    durations.push(performance.now() - begun);
  }
  return durations.sort((a, b) => a - b)[times >> 1]!;
}

async function report(title: string, rows: number, work: () => Promise<unknown>): Promise<void> {
  const ms = await median(work);
  console.log(
    `${title.padEnd(44)} ${ms.toFixed(1).padStart(8)} ms ${(rows / ms / 1000).toFixed(2).padStart(8)} M rows/s`,
  );
}

const files: FileUnit[] = [];
for (let i = 0; i < 100; i++) {
  const path = join(folder, `f${i}.parquet`);
  const written = await engine.writeParquet({
    def,
    memory: [slabs.unit(10 + i, ids, [batch(i * 10_000, 10_000)])],
    files: [],
    path,
  });
  files.push({ unit: 10 + i, rows: written!.rows, path, deletes: null });
}
const sourced = (units: Partial<TableScan>): TableScan[] => [
  { placeholder: '__scan', def, memory: [], files: [], positions: false, ...units },
];
for (const [name, scans] of [
  ['memory', sourced({ memory: [memory] })],
  ['memory, 5 % deleted', sourced({ memory: [dirty] })],
  ['100 files', sourced({ files })],
] as const) {
  await report(`${name}: count(*)`, ROWS, () => read('SELECT count(*) FROM __scan s', scans));
  await report(`${name}: group by text, sum`, ROWS, () =>
    read('SELECT c3, count(*), sum(c2) FROM __scan s GROUP BY 1', scans),
  );
  await report(`${name}: select * to DataRows`, ROWS, () => read('SELECT * FROM __scan s', scans));
}
await report('writeParquet of memory', ROWS, () =>
  engine.writeParquet({
    def: { ...def, sort: [{ sourceId: 3, descending: false, nullsFirst: false }] },
    memory: [memory],
    files: [],
    path: join(folder, 'big.parquet'),
  }),
);
await report('newPositions of memory', ROWS, () =>
  engine.newPositions({
    def: { ...def, sort: [{ sourceId: 3, descending: false, nullsFirst: false }] },
    memory: [memory],
    files: [],
    path: '',
  }),
);
const big: FileUnit = { unit: 500, rows: ROWS, path: join(folder, 'big.parquet'), deletes: null };
for (const [name, where] of [
  ['1 file of 1M rows', [big]],
  ['100 files of 10k rows', files],
] as const) {
  for (const count of [1, 10, 100, 10_000]) {
    const keys = [
      vectorOf(
        types[0]!,
        Array.from({ length: count }, (_, i) => BigInt((i * 7919) % ROWS)),
      ),
    ];
    const ms = await median(() => engine.lookup({ def, files: where, keys, rows: count }), 9);
    console.log(`lookup of ${String(count).padStart(6)} keys in ${name.padEnd(24)} ${ms.toFixed(1)} ms`);
  }
}
await report('SELECT 1, one after the other (per query)', 1, () => read('SELECT 1', []));
await engine.shutdown(null);
rmSync(folder, { recursive: true });
