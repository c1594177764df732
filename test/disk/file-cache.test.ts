/** The lake's side of the disk cache, over a store that a test holds in its hand. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { SqlError, SqlState } from '../../src/errors.ts';
import { checkFiles } from '../../src/storage/disk/check-files.ts';
import { BlockSums, compareSums } from '../../src/storage/disk/file-sums.ts';
import { openFlushStore } from '../../src/storage/disk/flush-store.ts';
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

test('a download with other bytes than were written is refused with XX001 and their place; a damaged copy is fetched anew', async () => {
  const sums = new BlockSums();
  sums.add(parquet);
  const expected = sums.take();
  let bytes = Buffer.from(parquet);
  const dir = mkdtempSync(join(tmpdir(), 'arka-cache-'));
  const store = await openFlushStore(dir);
  store.sums.note('t', LOCATION, expected);
  store.sums.store('t');
  store.close();
  const flush = await openFlushStore(dir); // as after a start
  const read = async function* (): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(bytes.subarray(0, 10));
    yield bytes.subarray(10);
  };
  const cache = fileCache(dir, { ...localStore(), read }, flush.sums);
  const path = cache.pathOf(LOCATION);
  bytes[12]! ^= 1;
  await expect(cache.fetch(path)).rejects.toMatchObject({
    code: 'XX001',
    message:
      'data file "a.parquet" is damaged between bytes 0 and 4194304: its checksum is another than when it was written',
  });
  expect(existsSync(path)).toBe(false);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  bytes = Buffer.from(parquet);
  expect(await checkFiles({ cache, flush }, [path])).toEqual([]);
  expect(readFileSync(path)).toEqual(parquet);
  flush.close();
});

test('checksums of a file are by blocks of 4 MiB, however its bytes come; the first other block is named', () => {
  const bytes = new Uint8Array(9 * 2 ** 20).fill(7);
  const sumsOf = (pieces: number): Uint32Array => {
    const sums = new BlockSums();
    for (let at = 0; at < bytes.length; at += pieces) sums.add(bytes.subarray(at, at + pieces));
    return sums.take();
  };
  const whole = sumsOf(bytes.length);
  expect(whole.length).toBe(3);
  expect(sumsOf(1_000_003)).toEqual(whole);
  compareSums('x', whole, sumsOf(2 ** 20));
  bytes[5 * 2 ** 20] = 8;
  expect(() => compareSums('x', whole, sumsOf(2 ** 20))).toThrow('between bytes 4194304 and 8388608');
  expect(() => compareSums('x', whole, whole.subarray(0, 2))).toThrow('between bytes 8388608 and 12582912');
});
