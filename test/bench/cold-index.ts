// Question: what does it cost to find a key among files, and to read its row? From main's request to the answer, index thread and all.
// Goals, of 50M rows in 100 files, warm: a key in 1 ms, 10,000 random ones at once in 200 ms, RAM within 15 % of memory.limit.
// Unit: ms, rows/s, bytes a key. Run: node test/bench/cold-index.ts [files 100] [rows a file 500000] [bigint | uuid | text | composite]
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import duckdb from '@duckdb/node-bindings';
import { RpcClient } from '../../src/rpc.ts';
import { INDEX_WORK_BYTES, indexCacheBytes, memoryBudget } from '../../src/memory-budget.ts';
import type { IndexApi } from '../../src/storage/index/index-api.ts';
import { keyEncoder } from '../../src/storage/memory/key-encoder.ts';
import { tableSecret } from '../../src/storage/memory/keyed-hash.ts';
import type { TableDef } from '../../src/table-def.ts';
import { columnVector, type ColumnVector } from '../../src/types/column-vector.ts';
import { Oid, physicalOf } from '../../src/types/pg-type.ts';
import { workerUrl } from '../../src/worker-url.ts';
import { tableDef } from '../ingest/harness.ts';

const FILES = Number(process.argv[2] ?? 100);
const ROWS = Number(process.argv[3] ?? 500_000);
const KEY = process.argv[4] ?? 'bigint';
/** What the index gets of it, all parts together, is the third goal. */
const MEMORY_LIMIT = 2 * 2 ** 30;
const BUDGET = memoryBudget(MEMORY_LIMIT);
const SINGLE = 5000;
const BATCH = 10_000;
const POINTS = 500;

const dir = mkdtempSync(join(tmpdir(), 'arka-bench-'));
const report = (what: string, value: string): void => console.log(`${what.padEnd(62)} ${value}`);
const percentile = (times: number[], part: number): string =>
  times.toSorted((a, b) => a - b)[Math.min(times.length - 1, Math.floor(times.length * part))]!.toFixed(3);
console.log(
  `${FILES} files × ${ROWS.toLocaleString('en')} rows, ${KEY} keys; ${availableParallelism()} × ${cpus()[0]!.model}, load ${loadavg()[0]!.toFixed(1)}, Node ${process.version}`,
);

// A bijection of row numbers, so that keys are in no order and every file has keys from everywhere.
const MIX = 0x9e37_79b9_7f4a_7c15n;
const idOf = (n: number): bigint => (BigInt(n) * MIX) & 0x7fff_ffff_ffff_ffffn;
const hexOf = (n: number): string => idOf(n).toString(16).padStart(32, '0');
const keySql: Readonly<Record<string, string>> = {
  bigint: 'id',
  uuid: `printf('%032x', id)::UUID`,
  text: `printf('%032x', id)`,
  composite: 'id',
};
const isComposite = KEY === 'composite';
const SECOND = ', (n % 1000)::INT AS k2';
const def: TableDef = {
  ...tableDef('bench', []),
  uuid: '0b5a7c1e-0000-4000-8000-000000000002',
  columns: [
    ['k', { bigint: Oid.int8, uuid: Oid.uuid, text: Oid.text, composite: Oid.int8 }[KEY]!],
    ['ts', Oid.timestamptz],
    ['v', Oid.int4],
    ['name', Oid.text],
    ['price', Oid.float8],
    ['doc', Oid.json],
    ['ok', Oid.bool],
    ...(isComposite ? [['k2', Oid.int4] as const] : []),
  ].map(([name, oid], i) => ({
    name: name as string,
    fieldId: i + 1,
    attnum: i + 1,
    type: { oid: oid as number, typmod: -1 },
    notNull: i === 0 || i === 7,
    default: null,
  })),
  key: isComposite ? [1, 8] : [1],
};

const POINT_FILES = 20;
const PAYLOAD = `, make_timestamptz(1700000000000000 + n) AS ts, (n % 1000)::INT AS v, 'name ' || (n % 5000) AS name,
  n / 4.0::DOUBLE AS price, '{"page":"a page of some length","n":' || (n % 100000) || '}' AS doc, true AS ok`;

/** Files as parquet-out.ts writes them. */
async function generate(): Promise<string[]> {
  const database = await duckdb.open(':memory:');
  const connection = await duckdb.connect(database);
  const paths: string[] = [];
  for (let file = 0; file < FILES; file++) {
    const path = join(dir, `${file}.parquet`);
    const id = `((n::HUGEINT * ${MIX}) % 9223372036854775808)::BIGINT`;
    // Only files whose rows are read have all columns.
    const others = file < POINT_FILES ? PAYLOAD : '';
    const second = isComposite ? SECOND : '';
    const ids = `${file < POINT_FILES ? ', ts: 2, v: 3, name: 4, price: 5, doc: 6, ok: 7' : ''}${isComposite ? ', k2: 8' : ''}`;
    await duckdb.query(
      connection,
      `COPY (SELECT ${keySql[KEY]!} AS k ${others}${second} FROM (SELECT n, ${id} AS id FROM range(${file * ROWS}, ${(file + 1) * ROWS}) t(n)))
       TO '${path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480, FIELD_IDS {k: 1${ids}})`,
    );
    paths.push(path);
  }
  duckdb.disconnect_sync(connection);
  duckdb.close_sync(database);
  return paths;
}

function vectorsOf(n: number): ColumnVector[] {
  const first = vectorOf(n);
  return isComposite ? [first, columnVector('int32', { words: Int32Array.of(n % 1000) })] : [first];
}

function vectorOf(n: number): ColumnVector {
  if (KEY === 'bigint' || isComposite)
    return columnVector('int64', { words: new Int32Array(BigInt64Array.of(idOf(n)).buffer) });
  if (KEY === 'uuid')
    return columnVector('fixed16', { words: new Int32Array(Uint8Array.from(Buffer.from(hexOf(n), 'hex')).buffer) });
  const heap = new TextEncoder().encode(hexOf(n));
  return columnVector('bytes', { heap, starts: Int32Array.of(0), ends: Int32Array.of(heap.length) });
}

const worker = new Worker(workerUrl('../../src/threads/index', import.meta.url), { name: 'index' });
const index = new RpcClient<IndexApi>(worker, 'index').remote;
try {
  let begun = performance.now();
  const paths = await generate();
  const fileBytes = paths.reduce((sum, path) => sum + statSync(path).size, 0);
  report(
    'generated by DuckDB COPY',
    `${((performance.now() - begun) / 1000).toFixed(1)} s, ${Math.round(fileBytes / 1e6)} MB`,
  );

  const rssBefore = process.memoryUsage.rss();
  const { secret } = await index.open({
    dir: join(dir, 'index'),
    cacheBytes: indexCacheBytes(BUDGET),
    readerBytes: INDEX_WORK_BYTES,
    tempDir: join(dir, 'tmp'),
    asksForRoom: false,
  });
  await index.attach(def);
  const encode = keyEncoder(
    def.key.map((fieldId) => physicalOf(def.columns[fieldId - 1]!.type)),
    tableSecret(secret, def.uuid),
  );
  const words = (numbers: readonly number[]): Int32Array => {
    const keys = new Int32Array(numbers.length * 4);
    numbers.forEach((n, i) => encode(vectorsOf(n), 0, keys.subarray(i * 4, i * 4 + 4)));
    return keys;
  };
  const lookup = (keys: Int32Array) => index.lookup({ uuid: def.uuid, keys });

  begun = performance.now();
  const building = process.cpuUsage();
  const added = paths.map((path, i) => ({ unit: i + 1, location: path, path, rows: ROWS, local: true }));
  await index.change({ uuid: def.uuid, added, removed: [], moved: [] });
  const during: number[] = [];
  let covered = 0;
  while (covered < FILES) {
    const events = await index.events(null);
    for (const problem of events!.problems) console.log(problem);
    covered += events!.covered.length;
    const at = performance.now();
    await lookup(words([covered]));
    during.push(performance.now() - at);
  }
  const seconds = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(building);
  report(
    'built, until all files are covered',
    `${Math.round((FILES * ROWS) / seconds).toLocaleString('en')} rows/s, ${Math.round((FILES * ROWS * 1e6) / (user + system)).toLocaleString('en')} rows per CPU second`,
  );
  report('a lookup meanwhile, p50 · max', `${percentile(during, 0.5)} · ${percentile(during, 1)} ms`);
  let stats = await index.stats(null);
  for (
    let runs = -1;
    runs !== stats.runs;
    await new Promise((resolve) => setTimeout(resolve, 3000)), stats = await index.stats(null)
  )
    ({ runs } = stats);
  report('runs · on disk', `${stats.runs} · ${(stats.fileBytes / stats.entries).toFixed(2)} bytes a key`);

  const total = FILES * ROWS;
  const random = (from: number): number => from + Math.floor(Math.random() * total);
  for (const [what, from, matches] of [
    ['a key that is there', 0, 1],
    ['a key that is not', total, 0],
  ] as const) {
    const times: number[] = [];
    for (let i = -SINGLE; i < SINGLE; i++) {
      const n = random(from);
      const keys = words([n]);
      const at = performance.now();
      const answer = await lookup(keys);
      if (i >= 0) times.push(performance.now() - at);
      if (answer.rows.length !== matches) throw new Error(`key ${n}: ${answer.rows.length} rows`);
      if (matches === 1 && (answer.units[0] !== Math.floor(n / ROWS) + 1 || answer.positions[0] !== n % ROWS))
        throw new Error(`key ${n} is elsewhere`);
    }
    report(`${what}, warm, p50 · p99`, `${percentile(times, 0.5)} · ${percentile(times, 0.99)} ms`);
  }
  for (const [what, from] of [
    ['random keys that are there', 0],
    ['random keys that are not', total],
  ] as const) {
    const times: number[] = [];
    const cpu: number[] = [];
    for (let round = 0; round < 10; round++) {
      const keys = words(Array.from({ length: BATCH }, () => random(from)));
      const used = process.cpuUsage();
      const at = performance.now();
      const answer = await lookup(keys);
      times.push(performance.now() - at);
      const { user, system } = process.cpuUsage(used);
      cpu.push((user + system) / 1000);
      if (answer.rows.length !== (from === 0 ? BATCH : 0)) throw new Error(`${answer.rows.length} rows`);
    }
    report(
      `${BATCH.toLocaleString('en')} ${what}, first · p50 · max, CPU p50`,
      `${times[0]!.toFixed(1)} · ${percentile(times, 0.5)} · ${percentile(times, 1)} ms, ${percentile(cpu, 0.5)} ms`,
    );
  }
  const times: number[] = [];
  for (let i = -POINTS; i < POINTS; i++) {
    const n = random(0) % (Math.min(FILES, POINT_FILES) * ROWS);
    const at = performance.now();
    const { units, positions } = await lookup(words([n]));
    const { path } = added[units[0]! - 1]!;
    const request = {
      path,
      rows: ROWS,
      fileColumns: def.columns.length,
      position: positions[0]!,
      columns: def.columns,
      formats: [],
      timeZone: 'UTC',
    };
    await index.readRow(request);
    if (i >= 0) times.push(performance.now() - at);
  }
  report(
    `its row, 7 columns, one of ${POINT_FILES} files, warm, p50 · p99`,
    `${percentile(times, 0.5)} · ${percentile(times, 0.99)} ms`,
  );
  stats = await index.stats(null);
  const { bytes: engineBytes } = await index.memory(null);
  const held = worker
    .getHeapStatistics()
    .then(({ external_memory, used_heap_size }) => external_memory + used_heap_size);
  const share = (((await held) + engineBytes) / MEMORY_LIMIT) * 100;
  report('page cache', `${Math.round(stats.cacheBytes / 1e6)} MB`);
  report('the whole index thread, DuckDB and heap, of memory.limit = 2GB', `${share.toFixed(1)} %`);
  report('RSS of the process more than before', `${Math.round((process.memoryUsage.rss() - rssBefore) / 1e6)} MB`);
  await index.shutdown(null);
} finally {
  await worker.terminate();
  rmSync(dir, { recursive: true, force: true });
}
