/** The lake's side of the disk cache, over a store that a test holds in its hand. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { SqlError, SqlState } from '../../src/errors.ts';
import { fileCache, type FileCache } from '../../src/storage/disk/file-cache.ts';
import { localStore } from '../../src/storage/iceberg/local-store.ts';
import type { ObjectStore } from '../../src/storage/iceberg/object-store.ts';

const LOCATION = 's3://bucket/wh/t/data/a.parquet';
/** As much of a Parquet file as the check looks at. */
const parquet = Buffer.concat([
  Buffer.from('PAR1 some rows and a footer'),
  Buffer.from([4, 0, 0, 0]),
  Buffer.from('PAR1'),
]);

function world(read: ObjectStore['read']): { readonly cache: FileCache; readonly dir: string } {
  const dir = mkdtempSync(join(tmpdir(), 'arka-cache-'));
  return { dir, cache: fileCache(dir, { ...localStore(), read }) };
}
async function* inPieces(): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < parquet.length; at += 10) yield parquet.subarray(at, at + 10);
}
async function* endless(): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Uint8Array.of(0));
}
const leftovers = (dir: string): string[] => readdirSync(join(dir, 'cache', '.tmp'));

test('a file comes to its place whole, once, and files of this machine stay where they are', async () => {
  let reads = 0;
  const { cache, dir } = world(() => {
    reads++;
    return inPieces();
  });
  const path = cache.pathOf(LOCATION);
  expect(path).toBe(join(dir, 'cache/s3/bucket/wh/t/data/a.parquet'));
  expect(cache.pathOf('file:///x/y.parquet')).toBe('/x/y.parquet');
  expect(await cache.fetch(path)).toEqual({ path, bytes: parquet.length });
  expect(readFileSync(path)).toEqual(parquet);
  expect(await cache.fetch(path)).toEqual({ path, bytes: parquet.length });
  expect(reads).toBe(1);
});

test('a download that fails leaves no file', async () => {
  const { cache, dir } = world(async function* () {
    yield parquet.subarray(0, 10);
    await Promise.reject(new SqlError(SqlState.ioError, 'the store is away'));
  });
  const path = cache.pathOf(LOCATION);
  await expect(cache.fetch(path)).rejects.toMatchObject({ code: '58030', message: 'the store is away' });
  expect(existsSync(path)).toBe(false);
  expect(leftovers(dir)).toEqual([]);
});

test.each(['whose store stops at the signal', 'whose store goes on giving'])(
  'a download %s is cancelled in its middle, and leaves no file',
  async (which) => {
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const { cache, dir } = world(async function* (_, signal) {
      yield parquet.subarray(0, 10);
      begin(); // asked for more: what came is written
      if (which === 'whose store goes on giving') for (;;) yield* endless();
      await new Promise((_resolve, reject) => {
        if (signal!.aborted) reject(new Error('aborted'));
        else signal!.addEventListener('abort', () => reject(new Error('aborted')));
      });
    });
    const path = cache.pathOf(LOCATION);
    const fetching = cache.fetch(path);
    await begun;
    expect(leftovers(dir)).toHaveLength(1);
    cache.cancel(path);
    await expect(fetching).rejects.toMatchObject({ code: '57014' });
    expect(existsSync(path)).toBe(false);
    expect(leftovers(dir)).toEqual([]);
  },
);

test('a staged file that is kept is in the cache under its location, and also where it was', async () => {
  const { cache, dir } = world(inPieces);
  const staged = join(dir, 'staged.parquet');
  writeFileSync(staged, parquet);
  await cache.keep(LOCATION, staged);
  await cache.keep(LOCATION, staged);
  expect(readFileSync(cache.pathOf(LOCATION))).toEqual(parquet);
  expect(existsSync(staged)).toBe(true);
  expect(leftovers(dir)).toEqual([]);
});

test('at start stay whole copies that a table names, and nothing else', async () => {
  const { cache, dir } = world(inPieces);
  const put = (name: string, bytes: Uint8Array): string => {
    const path = cache.pathOf(`s3://bucket/${name}`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    return path;
  };
  const whole = put('whole.parquet', parquet);
  const deletes = put('deletes.parquet', parquet);
  const short = put('short.parquet', parquet.subarray(0, 20));
  const zeroed = put('zeroed.parquet', Buffer.alloc(parquet.length));
  const empty = put('empty.parquet', Buffer.alloc(0));
  const unknown = put('unknown.parquet', parquet);
  const missing = cache.pathOf('s3://bucket/missing.parquet');
  put('../.tmp/half', parquet);
  const size = parquet.length;
  const found = await cache.check(
    new Map([...[whole, short, zeroed, empty, missing].map((path): [string, number] => [path, size]), [deletes, null]]),
  );
  expect(found.map((each) => each.path).toSorted()).toEqual([deletes, whole]);
  expect([short, zeroed, empty, unknown].filter(existsSync)).toEqual([]);
  expect(existsSync(join(dir, 'cache/.tmp'))).toBe(false);
});
