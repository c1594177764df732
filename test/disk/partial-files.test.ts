/** Rows of remote files by ranges (H11): what is fetched is small, and what is read is what the whole file holds. */
import { mkdirSync, mkdtempSync, rmSync, statSync, existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import duckdb from '@duckdb/node-bindings';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { closeInstance, openInstance, type Instance } from '../../src/federation/connections.ts';
import { keySource } from '../../src/federation/key-source.ts';
import { rowGroups } from '../../src/federation/row-groups.ts';
import { rowReader, type RowReader } from '../../src/federation/row-reader.ts';
import { cachePath } from '../../src/storage/disk/cache-path.ts';
import { DiskCache } from '../../src/storage/disk/disk-cache.ts';
import { NO_USAGE } from '../../src/storage/disk/disk-usage.ts';
import { fileCache } from '../../src/storage/disk/file-cache.ts';
import type { ObjectStore, ObjectVersion } from '../../src/storage/iceberg/object-store.ts';
import type { FileUnit } from '../../src/storage/scan-spec.ts';
import { Oid } from '../../src/types/pg-type.ts';
import { tableDef } from '../federation/units.ts';

const ROWS = 200_000;
const LOCATION = 's3://bucket/t/data/f.parquet';
const columns = tableDef([Oid.int8, Oid.text, Oid.float8].map((oid) => ({ oid, typmod: -1 }))).columns;
let folder: string;
let original: string;
let instance: Instance;
let reader: RowReader;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'arka-parts-'));
  original = join(folder, 'original.parquet');
  const database = await duckdb.open(':memory:');
  const connection = await duckdb.connect(database);
  await duckdb.query(
    connection,
    `COPY (SELECT n AS c0, md5(n::VARCHAR) AS c1, random() AS c2 FROM range(${ROWS}) t(n))
     TO '${original}' (FORMAT parquet, ROW_GROUP_SIZE 20480, FIELD_IDS {c0: 1, c1: 2, c2: 3})`,
  );
  duckdb.disconnect_sync(connection);
  duckdb.close_sync(database);
  instance = await openInstance({ memoryLimitBytes: 100e6, threads: 1, tempDir: join(folder, 'tmp'), footerBytes: 0 });
  reader = rowReader(() => instance);
});
afterAll(async () => {
  reader.forget();
  await closeInstance(instance);
  rmSync(folder, { recursive: true, force: true });
});

/** A store with one object, which notes what is asked of it. */
class OneObject {
  readonly ranges: (readonly [number, number])[] = [];
  whole = 0;
  fails = false;
  get bytes(): number {
    return this.ranges.reduce((sum, [start, end]) => sum + end - start, 0);
  }

  tag = 'first';
  async get(
    location: string,
    start = 0,
    end = statSync(original).size,
    version: ObjectVersion = { tag: null },
  ): Promise<Uint8Array> {
    expect(location).toBe(LOCATION);
    if (version.tag !== null && version.tag !== this.tag) throw new Error('replaced');
    version.tag = this.tag;
    if (this.fails) throw new Error('away');
    this.ranges.push([start, end]);
    await using file = await open(original);
    const bytes = new Uint8Array(end - start);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
    return bytes.subarray(0, bytesRead);
  }

  async *read(): AsyncGenerator<Uint8Array> {
    this.whole++;
    await using file = await open(original);
    yield await file.readFile();
  }
}

let store: OneObject;
let cache: DiskCache;
let dataDir: string;
let unit: FileUnit;
let next = 0;
beforeEach(() => {
  dataDir = join(folder, `data-${next++}`);
  mkdirSync(dataDir);
  store = new OneObject();
  const files = fileCache(dataDir, store as unknown as ObjectStore);
  const dir = join(dataDir, 'cache');
  cache = new DiskCache({
    dir,
    limit: 1e9,
    clock: systemClock,
    lake: {
      fetchFile: (path) => files.fetch(path),
      fetchParts: (request) => files.fetchParts(request),
      cancelFetch: (path) => Promise.resolve(files.cancel(path)),
      removeFiles: async (paths) => {
        for (const path of paths) rmSync(path, { force: true });
      },
      diskUsage: () => Promise.resolve(NO_USAGE),
    },
    warn: (error) => {
      throw error;
    },
  });
  const path = cachePath(dir, LOCATION);
  mkdirSync(dirname(path), { recursive: true });
  unit = { unit: 1, rows: ROWS, path, bytes: statSync(original).size, deletes: null };
});

const index = { rowGroups: (path: string) => rowGroups(instance, path) };

async function rowAt(position: number, fieldIds: readonly number[], signal = new AbortController().signal) {
  const local = await cache.leaseRow(unit, { position, fieldIds }, index, signal);
  try {
    return { path: local.path, row: await read(local.path, position, fieldIds) };
  } finally {
    local.release();
  }
}

async function read(path: string, position: number, fieldIds: readonly number[]): Promise<string> {
  const wanted = fieldIds.map((fieldId) => columns.find((column) => column.fieldId === fieldId)!);
  const file = { path, rows: ROWS, fileColumns: columns.length };
  const message = await reader.readRow({ ...file, position, columns: wanted, formats: [], timeZone: 'UTC' });
  return Buffer.from(message).toString('latin1');
}

test('H11: a row of a remote file takes its footer and the chunks of its columns, and is the row of the whole file', async () => {
  const { path, row } = await rowAt(123_456, [1, 3]);
  expect(row).toBe(await read(original, 123_456, [1, 3]));
  expect(row).toContain('123456');
  expect(path).not.toBe(unit.path);
  expect(store.whole).toBe(0);
  expect(store.ranges.length).toBeLessThanOrEqual(3);
  expect(store.bytes).toBeLessThan(unit.bytes! / 10);
  expect(cache.parts.used).toBe(store.bytes);
  const before = store.bytes;
  expect((await rowAt(123_457, [3])).row).toBe(await read(original, 123_457, [3])); // the same row group
  expect(store.bytes).toBe(before);
  expect((await rowAt(123_457, [2])).row).toBe(await read(original, 123_457, [2])); // another column of it
  expect(store.bytes).toBeGreaterThan(before);
});

test('R1–R3: rows at any positions, side by side, are those of the whole file, which is fetched once too much would be here', async () => {
  const place = fc.tuple(fc.nat(ROWS - 1), fc.uniqueArray(fc.constantFrom(1, 2, 3), { minLength: 1 }));
  await fc.assert(
    fc.asyncProperty(fc.array(place, { minLength: 1, maxLength: 12 }), async (places) => {
      const rows = await Promise.all(places.map(([position, fieldIds]) => rowAt(position, fieldIds)));
      for (const [i, { row }] of rows.entries()) expect(row).toBe(await read(original, ...places[i]!));
    }),
    { numRuns: 15 },
  );
  for (let group = 0; group < 5; group++) await rowAt(group * 20_480, [1, 2, 3]);
  expect(store.whole).toBe(1);
  expect(existsSync(unit.path)).toBe(true);
  const before = store.bytes;
  expect((await rowAt(199_999, [1, 2, 3])).path).toBe(unit.path);
  expect(store.bytes).toBe(before);
}, 30_000);

test('H9, R4: whole columns come alone, are those of the file, count in the budget and go with their lease; of more than half of the file the whole comes', async () => {
  const keysIn = async (path: string): Promise<string> => {
    const seen: number[] = [];
    await keySource(() => instance).readKeys(
      { ...tableDef([]), columns, key: [1] },
      { path, rows: ROWS },
      0,
      ROWS,
      ([ids], _, rows) => {
        for (let row = 0; row < rows; row += 1000) seen.push(ids!.words[row * 2]!);
      },
    );
    return seen.join();
  };
  const { path, release } = await cache.leaseColumns(unit, [1], index);
  expect(path).not.toBe(unit.path);
  expect(await keysIn(path)).toBe(await keysIn(original));
  expect(store.whole).toBe(0);
  expect(store.bytes).toBeLessThan(unit.bytes! / 2);
  expect(cache.parts.used).toBe(store.bytes);
  release();
  expect(cache.parts.used).toBe(0);
  await expect.poll(() => existsSync(path)).toBe(false);
  const whole = await cache.leaseColumns(unit, [1, 2], index);
  expect(whole.path).toBe(unit.path);
  expect(store.whole).toBe(1);
  whole.release();
});

test('ranges of an object that was replaced since its footer was read are not put beside those before: the whole of it is fetched', async () => {
  await rowAt(5, [1]);
  expect(store.whole).toBe(0);
  store.tag = 'second';
  expect((await rowAt(6, [2])).path).toBe(unit.path);
  expect(store.whole).toBe(1);
});

test('a range that cannot be had, or a file that is not what its table says, is fetched whole; a cancelled row is 57014', async () => {
  store.fails = true;
  const { path, row } = await rowAt(5, [1]);
  expect(path).toBe(unit.path);
  expect(row).toBe(await read(original, 5, [1]));
  expect(store.whole).toBe(1);
  const abort = new AbortController();
  abort.abort();
  cache.forget([unit.path]);
  await expect(rowAt(5, [1], abort.signal)).rejects.toMatchObject({ code: '57014' });
  unit = { ...unit, bytes: unit.bytes! - 1 };
  store.fails = false;
  expect((await rowAt(6, [1])).row).toBe(await read(original, 6, [1]));
  expect(store.whole).toBe(2);
});
