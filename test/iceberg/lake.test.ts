import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { CommitRequest, LakeApi, LakeState, TableState } from '../../src/storage/iceberg/lake-api.ts';
import { createLake } from '../../src/storage/iceberg/lake.ts';
import { localStore } from '../../src/storage/iceberg/local-store.ts';
import { currentSnapshot, type TableMetadata } from '../../src/storage/iceberg/metadata.ts';
import { toLocalPath } from '../../src/storage/iceberg/paths.ts';
import { guard } from '../../src/storage/iceberg/sqlite-catalog.ts';
import { tableReader } from '../../src/storage/iceberg/table-reader.ts';
import {
  ALL_TYPES,
  createSchema,
  createTable,
  deleteFile,
  dropSchema,
  dropTable,
  EVENTS,
  LOG,
  manualClock,
  part,
  segment,
  settings,
  tableDef,
  temporary,
} from './harness.ts';

async function start(dir = temporary(), over = {}): Promise<{ dir: string; lake: LakeApi; state: LakeState }> {
  const lake = createLake(systemClock);
  return { dir, lake, state: await lake.open(settings(dir, over)) };
}

const request = (table: TableState, lsn: number, more: Partial<CommitRequest> = {}): CommitRequest => ({
  tableUuid: table.def.uuid,
  logId: LOG,
  lsn,
  segments: [],
  deletes: [],
  removedDeletes: [],
  trigger: 'test',
  ...more,
});

const metadataOf = (location: string): Promise<TableMetadata> =>
  tableReader(localStore(), toLocalPath).metadata(location);

test('a committed segment is a live data file after a restart, with its partition and its LSN', async () => {
  const { dir, lake } = await start();
  const def = tableDef('t', EVENTS, {
    key: [1],
    keyName: 't_pkey',
    partition: [part(2, 1000, 'ts_day', 'day'), part(1, 1001, 'id_bucket', 'bucket', 4)],
  });
  const table = await createTable(lake, def);
  const s = await segment(table, dir, `SELECT 1, TIMESTAMP '2024-01-01 10:00:00', 'x'`, [0, 5], [19_723, 3]);
  const stats = {
    fieldId: 1,
    columnBytes: 30,
    valueCount: 1,
    nullCount: 0,
    nanCount: null,
    lower: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0),
    upper: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0),
  };
  expect(s.location).toContain('/data/ts_day=2024-01-01/id_bucket=3/');
  const result = await lake.commit(request(table, 5, { segments: [{ ...s, columns: [stats] }] }));
  expect(result).toMatchObject({ files: 1, rows: 1, retries: 0, foreign: null });
  await lake.shutdown(null);
  rmSync(s.path);
  const again = await start(dir);
  expect(again.state.schemas).toEqual(['public']);
  const [found] = again.state.tables;
  expect(found).toMatchObject({
    def,
    logId: LOG,
    committedLsn: 5,
    snapshotId: result.snapshotId,
    flush: null,
    deletePaths: [],
    partitionDeletes: [],
  });
  expect(found!.files).toEqual([
    {
      location: s.location,
      path: toLocalPath(s.location),
      rows: 1,
      bytes: s.bytes,
      columns: [stats],
      partition: [19_723, 3],
      specId: 0,
    },
  ]);
  expect(existsSync(found!.files[0]!.path)).toBe(true);
  await again.lake.shutdown(null);
});

test('a commit whose LSN the table has is answered and not repeated', async () => {
  const { dir, lake } = await start();
  const table = await createTable(lake, tableDef('t', EVENTS));
  const s = await segment(table, dir, `SELECT 1, NULL, 'x'`, [0, 5]);
  const first = await lake.commit(request(table, 5, { segments: [s] }));
  const second = await lake.commit(request(table, 5, { segments: [s] }));
  expect(second).toMatchObject({ snapshotId: first.snapshotId, metadataLocation: first.metadataLocation });
  await lake.shutdown(null);
});

test('a segment whose commit went through unheard is not added once more by the next commit', async () => {
  const { dir, lake } = await start();
  const table = await createTable(lake, tableDef('t', EVENTS));
  const s = await segment(table, dir, `SELECT 1, NULL, 'x'`, [0, 5]);
  await lake.commit(request(table, 5, { segments: [s] })); // its answer is lost: the caller still calls it staged
  const next = await segment(table, dir, `SELECT 2, NULL, 'y'`, [5, 9]);
  const deletes = [await deleteFile(dir, s.location, [0])];
  const last = await lake.commit(request(table, 9, { segments: [s, next], deletes }));
  expect(last.paths.map((each) => each.location)).toEqual([s.location, next.location]);
  const state = await lake.refresh({ tableUuid: table.def.uuid, metadataLocation: 'earlier' });
  expect(state!.files.map((file) => file.location).toSorted()).toEqual([s.location, next.location].toSorted());
  expect(state!.deletePaths).toHaveLength(1);
  await lake.shutdown(null);
});

test('a commit without files moves the properties and keeps the head', async () => {
  const { lake } = await start();
  const table = await createTable(lake, tableDef('t', EVENTS));
  const result = await lake.commit(request(table, 9));
  expect(result.snapshotId).toBe(-1n);
  expect((await metadataOf(result.metadataLocation)).properties).toMatchObject({
    'arka.lsn': '9',
    'arka.log-id': LOG,
    'arka.owner': 'test',
  });
  await lake.shutdown(null);
});

test("a data file's delete file replaces the earlier one, and the totals follow", async () => {
  const { dir, lake } = await start();
  const table = await createTable(lake, tableDef('t', EVENTS, { partition: [part(3, 1000, 'note', 'identity')] }));
  const s = await segment(table, dir, `SELECT range, NULL, 'x' FROM range(10)`, [0, 5], ['x']);
  await lake.commit(request(table, 5, { segments: [s] }));
  await lake.commit(request(table, 6, { deletes: [await deleteFile(dir, s.location, [1])] }));
  const last = await lake.commit(request(table, 7, { deletes: [await deleteFile(dir, s.location, [1, 4])] }));
  const metadata = await metadataOf(last.metadataLocation);
  expect(currentSnapshot(metadata)!.summary).toMatchObject({
    operation: 'delete',
    'total-records': '10',
    'total-data-files': '1',
    'total-delete-files': '1',
    'total-position-deletes': '2',
    'removed-position-deletes': '1',
    'added-position-deletes': '2',
    'arka.lsn': '7',
  });
  const state = await lake.refresh({ tableUuid: table.def.uuid, metadataLocation: 'earlier' });
  expect(state!.deletePaths).toHaveLength(1);
  expect(state!.files).toHaveLength(1);
  await lake.shutdown(null);
});

test('deleting from a data file that another writer removed is 40001 and leaves the table as it was', async () => {
  const { dir, lake } = await start();
  const table = await createTable(lake, tableDef('t', EVENTS));
  await expect(
    lake.commit(request(table, 5, { deletes: [await deleteFile(dir, `${table.location}/data/gone.parquet`, [1])] })),
  ).rejects.toMatchObject({ code: '40001' });
  expect(await lake.refresh({ tableUuid: table.def.uuid, metadataLocation: table.metadataLocation })).toBeNull();
  await lake.shutdown(null);
});

test('a swap by another writer in between is retried on its metadata, and told', async () => {
  const { dir, lake } = await start();
  const table = await createTable(lake, tableDef('t', EVENTS));
  const theirs = toLocalPath(table.metadataLocation).replace('00000-', '00001-');
  copyFileSync(toLocalPath(table.metadataLocation), theirs);
  const db = new DatabaseSync(join(dir, 'catalog.db'));
  db.prepare('UPDATE iceberg_tables SET metadata_location = ?').run(`file://${theirs}`);
  db.close();
  const result = await lake.commit(
    request(table, 5, { segments: [await segment(table, dir, `SELECT 1, NULL, 'x'`, [0, 5])] }),
  );
  expect(result.foreign!.files).toHaveLength(1);
  expect((await metadataOf(result.metadataLocation))['metadata-log']!.at(-1)!['metadata-file']).toBe(
    `file://${theirs}`,
  );
  await lake.shutdown(null);
});

test('commits to one table take turns, and after 45 of them manifests were merged, snapshots expired, no row lost', async () => {
  const dir = temporary();
  const { lake } = await start(dir, { keepSnapshots: 5 });
  const table = await createTable(lake, tableDef('t', EVENTS));
  const one = await segment(table, dir, `SELECT 1, NULL, 'x'`, [0, 1]);
  const results = await Promise.all(
    Array.from({ length: 45 }, (_, i) =>
      lake.commit(
        request(table, i + 1, {
          segments: [{ ...one, location: `${table.location}/data/${i}.parquet`, lsnFrom: i, lsnTo: i + 1 }],
        }),
      ),
    ),
  );
  const metadata = await metadataOf(results.at(-1)!.metadataLocation);
  expect(metadata.snapshots).toHaveLength(5);
  expect(metadata['snapshot-log']).toHaveLength(5);
  expect(metadata['metadata-log']).toHaveLength(20);
  expect(metadata['last-sequence-number']).toBe(45n);
  const reader = tableReader(localStore(), toLocalPath);
  const manifests = await reader.manifests(currentSnapshot(metadata));
  expect(manifests.length).toBeLessThanOrEqual(20);
  const entries = (await Promise.all(manifests.map((manifest) => reader.entries(manifest)))).flat();
  expect(entries.map((entry) => Number(entry.sequence)).toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 45 }, (_, i) => i + 1),
  );
  // V5: what is decoded is kept within a bound; beyond it a manifest is read again.
  const store = localStore();
  let reads = 0;
  const counted = { ...store, get: (location: string) => (reads++, store.get(location)) };
  for (const [bytesMax, expected] of [
    [undefined, manifests.length],
    [0, manifests.length * 3],
  ] as const) {
    reads = 0;
    const bounded = tableReader(counted, toLocalPath, bytesMax);
    for (let round = 0; round < 3; round++) for (const manifest of manifests) await bounded.entries(manifest);
    expect(reads).toBe(expected);
  }
  // Nor is that kept which a commit has replaced, or whose table is gone.
  const forgetful = tableReader(counted, toLocalPath);
  const readAll = async (): Promise<number> => {
    reads = 0;
    for (const manifest of manifests) await forgetful.entries(manifest);
    return reads;
  };
  expect(await readAll()).toBe(manifests.length);
  forgetful.forget([manifests[0]!.manifest_path, 'no manifest']);
  expect(await readAll()).toBe(1);
  forgetful.forgetBelow(`${table.location}x`);
  expect(await readAll()).toBe(0);
  forgetful.forgetBelow(table.location);
  expect(await readAll()).toBe(manifests.length);
  await lake.shutdown(null);
});

test('M-6: timestamps of metadata and snapshots rise although the clock goes back', async () => {
  const dir = temporary();
  const clock = manualClock();
  const lake = createLake(clock);
  await lake.open(settings(dir));
  const table = await createTable(lake, tableDef('t', EVENTS));
  const times: number[] = [];
  for (let i = 1; i <= 3; i++) {
    clock.ms -= 60_000;
    const { metadataLocation } = await lake.commit(
      request(table, i, { segments: [await segment(table, dir, `SELECT 1, NULL, 'x'`, [i - 1, i])] }),
    );
    const metadata = await metadataOf(metadataLocation);
    expect(currentSnapshot(metadata)!['timestamp-ms']).toBe(metadata['last-updated-ms']);
    times.push(metadata['last-updated-ms']);
  }
  expect(times).toEqual([1, 2, 3].map((i) => 1_700_000_000_000 + i));
  await lake.shutdown(null);
});

test('a second server on the data directory is refused with 55000, and admitted after the first ended', async () => {
  const { dir, lake } = await start();
  await expect(createLake(systemClock).open(settings(dir))).rejects.toMatchObject({
    code: '55000',
    message: `data directory "${dir}" is in use by process ${process.pid}`,
  });
  await lake.shutdown(null);
  await (await start(dir)).lake.shutdown(null);
});

test('a data directory that cannot be written is 58030 and named', async () => {
  await expect(createLake(systemClock).open(settings('/dev/null/arka'))).rejects.toMatchObject({
    code: '58030',
    message: expect.stringContaining('/dev/null/arka'),
  });
});

test('C6: a table whose catalog went back is detached and names both metadata files; the others are there', async () => {
  const { dir, lake } = await start();
  const table = await createTable(lake, tableDef('t', EVENTS));
  await createTable(lake, tableDef('other', EVENTS));
  const result = await lake.commit(
    request(table, 5, { segments: [await segment(table, dir, `SELECT 1, NULL, 'x'`, [0, 5])] }),
  );
  await lake.shutdown(null);
  const db = new DatabaseSync(join(dir, 'catalog.db'));
  db.prepare(`UPDATE iceberg_tables SET metadata_location = ? WHERE table_name = 't'`).run(table.metadataLocation);
  db.close();
  const again = await start(dir);
  expect(again.state.tables.map((each) => each.detached)).toEqual([
    null,
    {
      reason: 'catalog',
      message: 'catalog of table "public"."t" went back: it has LSN 0, but LSN 5 was committed',
      detail: `The catalog shows metadata file "${table.metadataLocation}"; this server last saw "${result.metadataLocation}".`,
      hint: expect.stringContaining('arka doctor'),
      last: { lsn: 5, snapshotId: result.snapshotId, metadataLocation: result.metadataLocation },
    },
  ]);
  await again.lake.shutdown(null);
});

test('C2: a table that another Arka server has begun to commit is not committed here, with 55000', async () => {
  const { dir, lake } = await start();
  const table = await createTable(lake, tableDef('t', EVENTS));
  await lake.commit(request(table, 5));
  const db = new DatabaseSync(join(dir, 'catalog.db'));
  const { metadata_location: at } = db.prepare('SELECT metadata_location FROM iceberg_tables').get() as {
    metadata_location: string;
  };
  const theirs = toLocalPath(at).replace('00001-', '00002-');
  writeFileSync(theirs, readFileSync(toLocalPath(at), 'utf8').replace(LOG, 'b'.repeat(32)));
  db.prepare('UPDATE iceberg_tables SET metadata_location = ?').run(`file://${theirs}`);
  db.close();
  await expect(lake.commit(request(table, 9))).rejects.toMatchObject({
    code: '55000',
    message: `table "public"."t" is committed by another Arka server, with log ${'b'.repeat(32)}`,
  });
  await lake.shutdown(null);
});

test('schemas are listed, dropped when empty, kept when not; a dropped table leaves nothing', async () => {
  const { lake } = await start();
  await createSchema(lake, 's');
  const table = await createTable(lake, tableDef('t', ALL_TYPES, { schema: 's' }));
  await expect(createTable(lake, tableDef('t', EVENTS, { schema: 's' }))).rejects.toMatchObject({ code: '42P07' });
  await expect(dropSchema(lake, 's')).rejects.toMatchObject({ code: '2BP01' });
  await dropTable(lake, table.def.uuid);
  expect(existsSync(toLocalPath(table.location))).toBe(false);
  await dropSchema(lake, 's');
  await lake.shutdown(null);
});

test('a file of SQLite that has no room is 53100 that names it and says what to do', () => {
  const db = new DatabaseSync(':memory:');
  db.exec('PRAGMA max_page_count = 2; CREATE TABLE t (v BLOB)');
  const fill = (): void => guard('/data/flush.db', () => db.exec('INSERT INTO t VALUES (zeroblob(100000))'));
  expect(fill).toThrow('could not use "/data/flush.db": database or disk is full');
  expect(fill).toThrow(
    expect.objectContaining({
      code: '53100',
      fields: expect.objectContaining({ hint: expect.stringContaining('Free') }),
    }),
  );
  db.close();
});

test('a catalog with another value in a row than the last stop has left is damaged, unless another client has written since', async () => {
  const { dir, lake } = await start();
  await createTable(lake, tableDef('some', EVENTS));
  await lake.shutdown(null);
  const path = join(dir, 'catalog.db');
  const good = readFileSync(path);
  const again = createLake(systemClock);
  for (const [offset, what] of [
    [0, 'row 1 missing from index'], // the table's name, which an index has, too
    [60, 'its rows have another checksum than when the server stopped'],
  ] as const) {
    const bytes = Buffer.from(good);
    const at = bytes.lastIndexOf('somefile:') + offset;
    bytes[at]! ^= 1;
    writeFileSync(path, bytes);
    const told = { code: 'XX001', message: expect.stringContaining(`the catalog "${path}" is damaged: ${what}`) };
    await expect(again.open(settings(dir))).rejects.toMatchObject(told);
  }
  const headless = Buffer.from(good);
  headless[3]! ^= 1;
  writeFileSync(path, headless);
  await expect(again.open(settings(dir))).rejects.toMatchObject({
    code: 'XX001',
    message: `"${path}" is damaged at byte 3: file is not a database`,
    fields: { hint: expect.stringContaining('move it away and run arka doctor --reattach') },
  });
  writeFileSync(path, good);
  const db = new DatabaseSync(path);
  db.exec(`UPDATE iceberg_tables SET table_name = 'renamed'`);
  db.close();
  expect((await again.open(settings(dir))).tables.map(({ def }) => def.name)).toEqual(['renamed']);
  await again.shutdown(null);
});
