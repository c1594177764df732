/** Footers of files that DuckDB keeps: counted, and forgotten with the database that kept them. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import duckdb from '@duckdb/node-bindings';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  acquire,
  closeInstance,
  countFooters,
  keepFooters,
  openInstance,
  release,
  renewWorn,
  run,
  withLease,
  type Instance,
  type Lease,
} from '../../src/federation/connections.ts';
import { registerEngineFunctions } from '../../src/federation/engine-functions.ts';
import { createEngine } from '../../src/federation/engine.ts';
import { FooterCache, openFooterBytes } from '../../src/federation/footer-cache.ts';
import { heldBy } from '../../src/federation/instance-memory.ts';
import { eachChunk } from '../../src/federation/vector-reader.ts';
import type { TableScan } from '../../src/storage/scan-spec.ts';
import { Oid } from '../../src/types/pg-type.ts';
import { tableDef } from './units.ts';

const KB = 1024;
let folder: string;
let instance: Instance;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'arka-test-'));
  instance = await openInstance({
    memoryLimitBytes: 100e6,
    threads: 2,
    tempDir: join(folder, 'tmp'),
    footerBytes: 20 * KB,
  });
});
afterAll(async () => {
  await closeInstance(instance);
  await rm(folder, { recursive: true });
});

const twoColumns = tableDef([Oid.int8, Oid.text].map((oid) => ({ oid, typmod: -1 })));
function scanOf(...files: readonly { readonly path: string; readonly rows: number }[]): TableScan {
  const units = files.map((file, unit) => ({ ...file, unit, deletes: null }));
  return { placeholder: 't', def: twoColumns, memory: [], files: units, positions: false };
}

test('a footer counts by columns and row groups of its file, once however often it is read', () => {
  const cache = new FooterCache(20 * KB);
  cache.add([scanOf({ path: 'a', rows: 1 }, { path: 'b', rows: 20_481 })]);
  expect(cache.bytes).toBe(6 * KB);
  cache.add([scanOf({ path: 'b', rows: 20_481 })]);
  expect(cache.bytes).toBe(6 * KB);
  cache.clear();
  expect(cache.bytes).toBe(0);
});

test('F3: a statement with more footers than may be kept, or than there is room for, leaves those of others alone', () => {
  const cache = new FooterCache(20 * KB);
  cache.add([scanOf({ path: 'a', rows: 20_480 * 9 })]);
  expect(cache.add([scanOf({ path: 'a', rows: 20_480 * 9 }, { path: 'b', rows: 20_480 * 2 })])).toBe(false);
  expect(cache.bytes).toBe(18 * KB);
  expect(cache.crowded).toBe(false);
  expect(cache.add([scanOf({ path: 'b', rows: 20_480 })])).toBe(true);
  expect(cache.bytes).toBe(20 * KB);
  expect(cache.crowded).toBe(false);
  expect(cache.add([scanOf({ path: 'a', rows: 20_480 * 9 })])).toBe(true);
  expect(cache.add([scanOf({ path: 'c', rows: 1 })])).toBe(false);
  expect(cache.bytes).toBe(20 * KB);
  expect(cache.crowded).toBe(true);
  cache.clear();
  expect(cache.crowded).toBe(false);
});

test('F4: footers that are not kept are counted while their statement runs: of two files a thread, the largest', async () => {
  const files = [1, 4, 2, 3, 5].map((groups) => ({ path: `${groups}`, rows: groups * 20_480 }));
  expect(openFooterBytes({ files, columns: 2 }, 1)).toBe((4 + 5) * 2 * KB);
  expect(openFooterBytes({ files, columns: 2 }, 2)).toBe((2 + 3 + 4 + 5) * 2 * KB);
  const engine = createEngine();
  await engine.open({ memoryLimitBytes: 200e6, threads: 1, tempDir: join(folder, 'counting') });
  const path = join(folder, 'counted.parquet');
  await withLease(instance, (lease) =>
    run(lease, `COPY (SELECT range AS f1 FROM range(9)) TO '${path}' (FORMAT parquet)`),
  );
  const rows = 20_480 * 10_000; // as the manifest has it: more footers than are kept
  const asked = { sql: 'SELECT count(*) FROM t', columns: null, formats: [], output: 'rows', timeZone: 'UTC' } as const;
  const scans = [{ ...scanOf({ path, rows }), placeholder: 't' }];
  await engine.query({ ...asked, cursor: 1, scans });
  const { bytes, footerBytes } = await engine.memory(null);
  expect(footerBytes).toBe(10_000 * 2 * KB);
  expect(bytes).toBeGreaterThanOrEqual(footerBytes);
  await engine.close(1);
  expect(await engine.memory(null)).toMatchObject({ footerBytes: 0 });
  await engine.shutdown(null);
});

let read = 0;
let now = 0;
/** A new file, read and counted as a statement does it. */
async function readOne(rows: number): Promise<void> {
  const path = join(folder, `${read++}.parquet`);
  const lease = await acquire(instance);
  await run(lease, `COPY (SELECT range AS f1, 'text' AS f2 FROM range(${rows})) TO '${path}' (FORMAT parquet)`);
  release(lease);
  countFooters(instance, [scanOf({ path, rows })], now);
  const reader = await acquire(instance);
  await run(reader, `SELECT count(f2) FROM read_parquet('${path}') WHERE f1 = 7`);
  release(reader);
}

async function bytesOfFooters(lease: Lease): Promise<bigint> {
  const tag = "SELECT coalesce(sum(memory_usage_bytes), 0)::BIGINT FROM duckdb_memory() WHERE tag = 'OBJECT_CACHE'";
  const chunk = (await duckdb.fetch_chunk(await run(lease, tag)))!;
  const data = duckdb.vector_get_data(duckdb.data_chunk_get_vector(chunk, 0), 8);
  return new DataView(data.buffer, data.byteOffset).getBigInt64(0, true);
}

test('where there is no room for more footers a new database takes the place of the one that keeps them, which is closed', async () => {
  const before = instance.database;
  for (let i = 0; i < 10; i++) await readOne(100);
  expect(instance.database).toBe(before);
  await readOne(100);
  await instance.renewing;
  expect(instance.database).not.toBe(before);
  expect(before.users).toBe(0);
  expect(instance.footers.bytes).toBe(0);
  const lease = await acquire(instance);
  expect(await bytesOfFooters(lease)).toBe(0n);
  release(lease);
  await readOne(100);
  expect((await heldBy(instance)).bytes).toBeLessThan(100 * KB);
});

test('F2: footers that there is no room for replace the database every ten seconds, and are not kept meanwhile', async () => {
  const { database } = instance;
  for (now = 500; now < 10_000; now += 500) await readOne(100);
  expect(instance.renewing).toBe(null);
  expect(instance.database).toBe(database);
  expect(instance.footers.bytes).toBe(20 * KB);
  now = 10_000;
  await readOne(100);
  await instance.renewing;
  expect(instance.database).not.toBe(database);
  expect(instance.footers.bytes).toBe(0);
});

test('a statement whose footers are not to be kept leaves none, and the next one keeps its own', async () => {
  const path = join(folder, 'whole.parquet');
  const lease = await acquire(instance);
  await run(lease, `COPY (SELECT range AS f1 FROM range(100)) TO '${path}' (FORMAT parquet)`);
  const bytes = await bytesOfFooters(lease);
  await keepFooters(lease, false);
  await run(lease, `SELECT count(f1) FROM read_parquet('${path}') WHERE f1 = 7`);
  expect(await bytesOfFooters(lease)).toBe(bytes);
  await keepFooters(lease, true);
  await run(lease, `SELECT count(f1) FROM read_parquet('${path}') WHERE f1 = 7`);
  expect(await bytesOfFooters(lease)).toBeGreaterThan(bytes);
  release(lease);
});

async function temporaryFolder(lease: Lease): Promise<string> {
  let path = '';
  const setting = await run(lease, "SELECT current_setting('temp_directory')");
  await eachChunk(setting, ([text]) => {
    path = Buffer.from(text!.heap.subarray(text!.starts[0], text!.ends[0])).toString();
  });
  return path;
}

test('statements that run while the database is replaced come to their end on the old one', async () => {
  now += 60_000;
  const old = instance.database;
  const lease = await acquire(instance);
  const oldFolder = await temporaryFolder(lease);
  const statement = await duckdb.prepare(lease.connection, 'SELECT range, hash(range) FROM range(50000)');
  const stream = await duckdb.execute_prepared_streaming(statement);
  let rows = duckdb.data_chunk_get_size((await duckdb.fetch_chunk(stream))!);
  // connections that are being made meanwhile
  const others = Promise.all(Array.from({ length: 4 }, () => acquire(instance)));
  for (const path of ['large', 'larger']) countFooters(instance, [scanOf({ path, rows: 20_480 * 9 })], now);
  await instance.renewing;
  expect(instance.database).not.toBe(old);
  // what the old one keeps is there as long as it is, and no third one beside both
  expect((await heldBy(instance)).footerBytes).toBe(18 * KB);
  now += 60_000;
  for (const path of ['large', 'larger']) countFooters(instance, [scanOf({ path, rows: 20_480 * 9 })], now);
  expect(instance.renewing).toBe(null);
  // D7: both may put aside what they hold, at the same time
  const next = await acquire(instance);
  expect(await temporaryFolder(next)).not.toBe(oldFolder);
  release(next);
  for (;;) {
    const chunk = await duckdb.fetch_chunk(stream);
    const more = chunk === null ? 0 : duckdb.data_chunk_get_size(chunk);
    if (more === 0) break;
    rows += more;
  }
  expect(rows).toBe(50_000);
  expect(old.users).toBeGreaterThan(0);
  for (const other of await others) {
    await run(other, 'SELECT 1');
    release(other);
  }
  release(lease);
  expect(old.users).toBe(0);
  expect((await heldBy(instance)).footerBytes).toBe(18 * KB);
  for (const each of instance.all) expect(each.database).toBe(instance.database);
});

test('what registers functions does so for each database', async () => {
  let begun = 0;
  const own = await openInstance({
    memoryLimitBytes: 100e6,
    threads: 1,
    tempDir: join(folder, 'own'),
    footerBytes: 2 * KB,
    begin: () => begun++,
  });
  for (const path of ['a', 'b']) countFooters(own, [scanOf({ path, rows: 1 })], 0);
  await own.renewing;
  expect(begun).toBe(2);
  await closeInstance(own);
});

test('functions of a new database take no buffers before they are called', async () => {
  const before = process.memoryUsage().arrayBuffers;
  const begin = (connection: duckdb.Connection): void => registerEngineFunctions(connection, { bulk: false });
  const tempDir = join(folder, 'own');
  const own = await openInstance({ memoryLimitBytes: 100e6, threads: 1, tempDir, footerBytes: 0, begin });
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
  await closeInstance(own);
});

test('D8: a database that has run many statements is replaced, while nothing runs on it and at most once a minute', async () => {
  const own = await openInstance({ memoryLimitBytes: 100e6, threads: 1, tempDir: join(folder, 'own'), footerBytes: 0 });
  const isReplaced = async (now: number): Promise<boolean> => {
    const before = own.database;
    renewWorn(own, now);
    await own.renewing;
    await own.upkeep;
    return own.database !== before;
  };
  const work = async (): Promise<void> => {
    for (let i = 0; i < 200; i++) await withLease(own, () => Promise.resolve());
  };
  expect(await isReplaced(0)).toBe(false);
  await work();
  const lease = await acquire(own);
  expect(await isReplaced(0)).toBe(false);
  release(lease);
  expect(await isReplaced(0)).toBe(true);
  await work();
  expect(await isReplaced(59_999)).toBe(false);
  expect(await isReplaced(60_000)).toBe(true);
  await closeInstance(own);
});

test('D7: what a process that ended early had put aside is gone when an instance opens', async () => {
  const left = join(folder, 'own', 'left', 'duckdb_temp_storage_DEFAULT-0.tmp');
  await mkdir(dirname(left), { recursive: true });
  await writeFile(left, 'rows');
  const settings = { memoryLimitBytes: 100e6, threads: 1, tempDir: join(folder, 'own'), footerBytes: 0 };
  await closeInstance(await openInstance(settings));
  expect(existsSync(left)).toBe(false);
});

test('D6: an instance is closed when all that is under way on it has ended, a connection that is being made, too', async () => {
  const own = await openInstance({ memoryLimitBytes: 100e6, threads: 1, tempDir: join(folder, 'own'), footerBytes: 0 });
  const ended: string[] = [];
  const asked = heldBy(own).then(() => ended.push('asked'));
  await closeInstance(own);
  ended.push('closed');
  await asked;
  expect(ended).toEqual(['asked', 'closed']);
});

test('D6: an engine that is still being opened ends when it is open: its thread may not go while DuckDB works for it', async () => {
  const engine = createEngine();
  const ended: string[] = [];
  const settings = { memoryLimitBytes: 200e6, threads: 1, tempDir: join(folder, 'opening') };
  const opened = engine.open(settings).then(() => ended.push('opened'));
  await engine.shutdown(null);
  ended.push('closed');
  await opened;
  expect(ended).toEqual(['opened', 'closed']);
});
