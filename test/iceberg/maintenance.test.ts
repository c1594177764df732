/** What the lake does to keep a table small: swaps of rewritten files, expiry, removal of files. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import type {
  CommitRequest,
  LakeApi,
  RewriteRequest,
  Segment,
  TableState,
} from '../../src/storage/iceberg/lake-api.ts';
import { createLake } from '../../src/storage/iceberg/lake.ts';
import { localStore } from '../../src/storage/iceberg/local-store.ts';
import { EntryStatus } from '../../src/storage/iceberg/manifest.ts';
import { currentSnapshot, type TableMetadata } from '../../src/storage/iceberg/metadata.ts';
import { toLocalPath } from '../../src/storage/iceberg/paths.ts';
import { tableReader } from '../../src/storage/iceberg/table-reader.ts';
import { foreignDelete, foreignTag } from './foreign.ts';
import { registerLostListTests } from './lost-list-suite.ts';
import {
  createTable,
  deleteFile,
  EVENTS,
  LOG,
  manualClock,
  segment,
  settings,
  tableDef,
  temporary,
} from './harness.ts';

const HOUR = 3_600_000;

registerLostListTests('local', () => ({ store: localStore(), settings: {} }));
const reader = tableReader(localStore(), toLocalPath);
const metadataOf = (location: string): Promise<TableMetadata> => reader.metadata(location);

interface World {
  readonly dir: string;
  readonly lake: LakeApi;
  readonly clock: ReturnType<typeof manualClock>;
  readonly table: TableState;
  location: string;
  lsn: number;
}

async function start(over: Parameters<typeof settings>[1] = {}): Promise<World> {
  const dir = temporary();
  const clock = manualClock(Date.now());
  const lake = createLake(clock);
  await lake.open(settings(dir, { fileGraceMs: 24 * HOUR, ...over }));
  const table = await createTable(lake, tableDef('t', EVENTS));
  return { dir, lake, clock, table, location: table.metadataLocation, lsn: 0 };
}

async function rows(world: World, from: number, count: number): Promise<Segment> {
  return segment(world.table, world.dir, `SELECT ${from} + range, NULL, 'x' FROM range(${count})`, [
    world.lsn,
    world.lsn + 1,
  ]);
}

async function commit(world: World, more: Partial<CommitRequest>): Promise<void> {
  const { uuid: tableUuid } = world.table.def;
  const none = { segments: [], deletes: [], removedDeletes: [] };
  const request = { tableUuid, logId: LOG, ...none, trigger: 'test', ...more };
  const { metadataLocation } = await world.lake.commit({ ...request, lsn: ++world.lsn });
  world.location = metadataLocation;
}

function rewrite(
  world: World,
  removed: readonly string[],
  more: Partial<RewriteRequest>,
): ReturnType<LakeApi['rewrite']> {
  return world.lake.rewrite({
    tableUuid: world.table.def.uuid,
    metadataLocation: world.location,
    removed,
    added: [],
    deletes: [],
    removedDeletes: [],
    commitId: randomUUID(),
    trigger: 'test',
    ...more,
  });
}

/** Three files of ten rows; two of the first are deleted. */
async function threeFiles(over: Parameters<typeof settings>[1] = {}): Promise<World & { files: Segment[] }> {
  const world = await start(over);
  const files: Segment[] = [];
  for (let i = 0; i < 3; i++) {
    files.push(await rows(world, i * 10, 10));
    await commit(world, { segments: [files.at(-1)!] });
  }
  await commit(world, { deletes: [await deleteFile(world.dir, files[0]!.location, [2, 3])] });
  return Object.assign(world, { files });
}

test('a rewrite is a replace snapshot: inputs and their delete files leave as DELETED, totals follow, rows keep their sequence number', async () => {
  const world = await threeFiles();
  const [a, b, c] = world.files;
  const merged = await rows(world, 100, 18);
  const late = await deleteFile(world.dir, merged.location, [7]);
  const result = await rewrite(world, [a!.location, b!.location], { added: [merged], deletes: [late] });
  expect(result).toMatchObject({ files: 1, rows: 18, deletes: 1, retries: 0, foreign: null });
  const metadata = await metadataOf(result!.metadataLocation);
  const snapshot = currentSnapshot(metadata)!;
  expect(snapshot.summary).toMatchObject({
    operation: 'replace',
    'added-data-files': '1',
    'deleted-data-files': '2',
    'added-records': '18',
    'deleted-records': '20',
    'removed-delete-files': '1',
    'removed-position-deletes': '2',
    'total-data-files': '2',
    'total-records': '28',
    'total-delete-files': '1',
    'total-position-deletes': '1',
    'arka.trigger': 'test',
  });
  expect(metadata.properties).toMatchObject({ 'arka.lsn': String(world.lsn), 'arka.log-id': LOG });
  const entries = [];
  for (const manifest of await reader.manifests(snapshot)) entries.push(...(await reader.entries(manifest)));
  const seen = entries.map(({ status, sequence, file }) => [
    file.content,
    status,
    Number(sequence),
    file.content === 0 ? file.file_path : file.referenced_data_file,
  ]);
  expect(seen.toSorted()).toEqual(
    [
      [0, EntryStatus.added, 2, merged.location],
      [0, EntryStatus.deleted, 1, a!.location],
      [0, EntryStatus.deleted, 2, b!.location],
      [0, EntryStatus.added, 3, c!.location],
      [1, EntryStatus.added, 5, merged.location],
      [1, EntryStatus.deleted, 4, a!.location],
    ].toSorted(),
  );
  const state = await world.lake.refresh({ tableUuid: world.table.def.uuid, metadataLocation: 'earlier' });
  expect(state!.files.map((file) => file.location).toSorted()).toEqual([c!.location, merged.location].toSorted());
  expect(state!.deletePaths).toHaveLength(1);
  await world.lake.shutdown(null);
});

test('C7: a rewrite of a file that another writer removed is 40001; of one it deleted from it is asked to look again', async () => {
  const world = await threeFiles();
  const [a, b] = world.files;
  const merged = await rows(world, 100, 10);
  await expect(
    rewrite(world, [`${world.table.location}/data/gone.parquet`], { added: [merged] }),
  ).rejects.toMatchObject({ code: '40001' });
  await foreignDelete(world.dir, 't', b!.location, [1]);
  expect(await rewrite(world, [b!.location], { added: [merged] })).toBeNull();
  expect(await rewrite(world, [a!.location], { added: [merged] })).toMatchObject({ foreign: { files: { length: 3 } } });
  await world.lake.shutdown(null);
});

test('a rewrite that is asked for twice takes place once', async () => {
  const world = await threeFiles();
  const merged = await rows(world, 100, 10);
  const request = { added: [merged], commitId: randomUUID() };
  const first = await rewrite(world, [world.files[1]!.location], request);
  const second = await rewrite(world, [world.files[1]!.location], request);
  expect(second).toMatchObject({ metadataLocation: first!.metadataLocation, snapshotId: first!.snapshotId });
  await world.lake.shutdown(null);
});

test('H15: a replaced file goes file_grace after the last snapshot that needs it has expired', async () => {
  const world = await threeFiles({ keepSnapshots: 2 });
  const [a] = world.files;
  const merged = await rows(world, 100, 8);
  const { metadataLocation } = (await rewrite(world, [a!.location], { added: [merged] }))!;
  world.location = metadataLocation;
  const there = (): boolean => existsSync(toLocalPath(a!.location));
  world.clock.ms += 48 * HOUR;
  await world.lake.collectGarbage(null);
  expect(there()).toBe(true); // the snapshot before the rewrite still has it
  await commit(world, { segments: [await rows(world, 200, 1)] });
  world.clock.ms += 23 * HOUR;
  await world.lake.collectGarbage(null);
  expect(there()).toBe(true);
  world.clock.ms += 2 * HOUR;
  expect(await world.lake.collectGarbage(null)).toBeGreaterThan(0);
  expect(there()).toBe(false);
  expect(existsSync(toLocalPath(merged.location))).toBe(true);
  await world.lake.shutdown(null);
});

test('H15: a tag holds its snapshot and every file of it, whatever expires around it', async () => {
  const world = await threeFiles({ keepSnapshots: 1 });
  const [a, b] = world.files;
  await foreignTag(world.dir, 't', 'kept');
  const uuid = world.table.def.uuid;
  world.location = (await world.lake.refresh({ tableUuid: uuid, metadataLocation: world.location }))!.metadataLocation;
  const tagged = currentSnapshot(await metadataOf(world.location))!;
  world.location = (await rewrite(world, [a!.location], { added: [await rows(world, 100, 8)] }))!.metadataLocation;
  for (let i = 0; i < 3; i++) {
    await commit(world, { segments: [await rows(world, 200 + i, 1)] });
    world.clock.ms += 100 * HOUR;
    await world.lake.collectGarbage(null);
    await world.lake.vacuum(uuid);
  }
  const metadata = await metadataOf(world.location);
  expect(metadata.snapshots!.map((snapshot) => snapshot['snapshot-id'])).toContain(tagged['snapshot-id']);
  expect(metadata.snapshots).toHaveLength(2);
  for (const manifest of await reader.manifests(tagged))
    for (const { file } of await reader.entries(manifest)) expect(existsSync(toLocalPath(file.file_path))).toBe(true);
  expect(existsSync(toLocalPath(b!.location))).toBe(true);
  await world.lake.shutdown(null);
});

test('VACUUM lets snapshots expire by age, also of a table that nobody writes', async () => {
  const world = await threeFiles({ maxSnapshotAgeMs: 5 * 24 * HOUR });
  expect(await world.lake.vacuum(world.table.def.uuid)).toMatchObject({ expiredSnapshots: 0 });
  world.clock.ms += 6 * 24 * HOUR;
  const done = await world.lake.vacuum(world.table.def.uuid);
  expect(done.expiredSnapshots).toBe(3);
  const metadata = await metadataOf(done.metadataLocation);
  expect(metadata.snapshots).toHaveLength(1);
  expect(metadata['current-snapshot-id']).toBe((await metadataOf(world.location))['current-snapshot-id']);
  await world.lake.shutdown(null);
});

test('VACUUM removes files of the table that nothing names and that are old, and nothing else', async () => {
  const world = await threeFiles();
  const make = (location: string, ageHours: number): string => {
    const path = toLocalPath(location);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, 'x');
    const seconds = (world.clock.ms - ageHours * HOUR) / 1000;
    utimesSync(path, seconds, seconds);
    return path;
  };
  const { location } = world.table;
  const orphans = [
    make(`${location}/data/lost-1.parquet`, 25),
    make(`${location}/data/id=1/lost-2.parquet`, 48),
    make(`${location}/metadata/lost-m0.avro`, 25),
    make(`${location}/metadata/00001-lost.metadata.json`, 25),
  ];
  const others = [
    make(`${location}/data/of-a-commit-on-its-way.parquet`, 23),
    make(`${location}/data/of-no-known-age.parquet`, world.clock.ms / HOUR),
    make(`${location}/metadata/version-hint.text`, 99),
    make(`${location}/elsewhere/lost.parquet`, 99),
    make(`${location}-other/data/lost.parquet`, 99),
    make(`${location.slice(0, location.lastIndexOf('/'))}/lost.parquet`, 99),
  ];
  for (const { location: own } of world.files) {
    const seconds = (world.clock.ms - 99 * HOUR) / 1000;
    utimesSync(toLocalPath(own), seconds, seconds);
  }
  const staged = await rows(world, 300, 1);
  make(staged.location, 99); // put there by a commit that is to be tried again
  await world.lake.writeFlush({
    tableUuid: world.table.def.uuid,
    logId: LOG,
    fromLsn: world.lsn,
    flushedLsn: world.lsn + 1,
    baseSnapshotId: null,
    segments: [staged],
    deltas: [],
  });
  expect(await world.lake.vacuum(world.table.def.uuid)).toMatchObject({ orphanFiles: orphans.length });
  expect(orphans.filter((path) => existsSync(path))).toEqual([]);
  expect(others.filter((path) => !existsSync(path))).toEqual([]);
  expect(existsSync(toLocalPath(staged.location))).toBe(true);
  for (const { location: own } of world.files) expect(existsSync(toLocalPath(own))).toBe(true);
  await world.lake.shutdown(null);
});

test('no grace is so short that a file of another writer on its way is taken for an orphan', async () => {
  const world = await threeFiles({ fileGraceMs: 1 });
  const path = toLocalPath(`${world.table.location}/data/theirs.parquet`);
  writeFileSync(path, 'x');
  world.clock.ms += HOUR / 2;
  expect(await world.lake.vacuum(world.table.def.uuid)).toMatchObject({ orphanFiles: 0 });
  expect(existsSync(path)).toBe(true);
  await world.lake.shutdown(null);
});

test('C6: files due for deletion are spared while the catalog has gone back to where they are needed', async () => {
  const world = await threeFiles({ keepSnapshots: 1, fileGraceMs: HOUR });
  const before = world.location;
  const [a] = world.files;
  world.location = (await rewrite(world, [a!.location], { added: [await rows(world, 100, 8)] }))!.metadataLocation;
  await commit(world, { segments: [await rows(world, 200, 1)] });
  await world.lake.shutdown(null);
  const { DatabaseSync } = await import('node:sqlite');
  const db = new DatabaseSync(`${world.dir}/catalog.db`);
  db.prepare('UPDATE iceberg_tables SET metadata_location = ?').run(before);
  db.close();
  world.clock.ms += 48 * HOUR;
  const lake = createLake(world.clock);
  await lake.open(settings(world.dir, { keepSnapshots: 1, fileGraceMs: HOUR }));
  await lake.collectGarbage(null);
  expect(existsSync(toLocalPath(a!.location))).toBe(true);
  const snapshot = currentSnapshot(await metadataOf(before))!;
  const needed = [before, snapshot['manifest-list']];
  for (const manifest of await reader.manifests(snapshot)) needed.push(manifest.manifest_path);
  expect(needed.filter((location) => !existsSync(toLocalPath(location)))).toEqual([]);
  await lake.shutdown(null);
});
