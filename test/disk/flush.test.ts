import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { DatabaseSync } from 'node:sqlite';
import { openFlushStore } from '../../src/storage/disk/flush-store.ts';
import { decodeDelta, encodeDelta } from '../../src/storage/disk/delta-file.ts';
import type { Delta, LakeApi, RecoveredTable, Segment, TableState } from '../../src/storage/iceberg/lake-api.ts';
import { createLake } from '../../src/storage/iceberg/lake.ts';
import { createTable, EVENTS, LOG, part, segment, settings, tableDef, temporary } from '../iceberg/harness.ts';

const delta = (location: string, lsnFrom: number, lsnTo: number): Delta => ({
  location,
  lsnFrom,
  lsnTo,
  positions: Uint32Array.of(3, 1),
  lsns: Float64Array.of(lsnFrom + 1, lsnTo),
});

test('a delta file gives back its entries, and any changed byte is found', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(), fc.maxSafeNat())),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (entries, at, change) => {
        const content = {
          lsnFrom: 1,
          lsnTo: 2 ** 52,
          positions: Uint32Array.from(entries, (e) => e[0]),
          lsns: Float64Array.from(entries, (e) => e[1]),
        };
        const bytes = encodeDelta(content);
        expect(decodeDelta(bytes, 'd')).toEqual(content);
        bytes[at % bytes.length]! ^= change;
        expect(() => decodeDelta(bytes, 'd')).toThrow(expect.objectContaining({ code: 'XX001' }));
      },
    ),
  );
});

interface World {
  dir: string;
  lake: LakeApi;
  table: TableState;
  segments: Segment[];
}

/** Two flushes, to LSN 5 and 9, each with a segment; the second deletes from the first's segment. */
async function twoFlushes(): Promise<World> {
  const dir = temporary();
  const lake = createLake(systemClock);
  await lake.open(settings(dir));
  const table = await createTable(lake, tableDef('t', EVENTS, { partition: [part(1, 1000, 'id', 'identity')] }));
  const a = await segment(table, dir, `SELECT 7, NULL, 'a' FROM range(10)`, [0, 5], [7n]);
  const b = await segment(table, dir, `SELECT 7, NULL, 'b'`, [5, 9], [7n]);
  const flush = { tableUuid: table.def.uuid, logId: LOG, baseSnapshotId: null };
  await lake.writeFlush({ ...flush, fromLsn: 0, flushedLsn: 5, segments: [a], deltas: [] });
  await lake.writeFlush({ ...flush, fromLsn: 5, flushedLsn: 9, segments: [b], deltas: [delta(a.location, 5, 9)] });
  return { dir, lake, table, segments: [a, b] };
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at]! ^= 1;
  writeFileSync(path, bytes);
}

async function restart(world: World): Promise<RecoveredTable> {
  await world.lake.shutdown(null);
  world.lake = createLake(systemClock);
  return (await world.lake.open(settings(world.dir))).tables[0]!;
}

test('what was flushed and not committed is found again; files that no manifest names are removed', async () => {
  const world = await twoFlushes();
  const leftover = join(world.dir, 'disk', 'left.parquet');
  writeFileSync(leftover, 'x');
  const { flush } = await restart(world);
  expect(flush).toEqual({
    logId: LOG,
    flushedLsn: 9,
    segments: world.segments,
    deltas: [delta(world.segments[0]!.location, 5, 9)],
    moved: [],
  });
  expect(existsSync(leftover)).toBe(false);
  await world.lake.shutdown(null);
});

test('a flush whose caller did not hear that it took place is replaced by the one that has its rows again', async () => {
  const world = await twoFlushes();
  const [a] = world.segments;
  const again = await segment(world.table, world.dir, `SELECT 7, NULL, 'b'`, [5, 11], [7n]);
  await world.lake.writeFlush({
    tableUuid: world.table.def.uuid,
    logId: LOG,
    fromLsn: 5,
    flushedLsn: 11,
    baseSnapshotId: null,
    segments: [again],
    deltas: [delta(a!.location, 5, 11)],
  });
  const { flush } = await restart(world);
  expect(flush).toMatchObject({ flushedLsn: 11, segments: [a, again], deltas: [delta(a!.location, 5, 11)] });
  await world.lake.shutdown(null);
});

test('a commit takes its part of the manifest with it, and only that', async () => {
  const world = await twoFlushes();
  await world.lake.commit({
    tableUuid: world.table.def.uuid,
    logId: LOG,
    lsn: 5,
    segments: [world.segments[0]!],
    deletes: [],
    removedDeletes: [],
    trigger: 'test',
  });
  const recovered = await restart(world);
  expect(recovered.files.map((file) => file.location)).toEqual([world.segments[0]!.location]);
  expect(recovered.flush!.segments).toEqual([world.segments[1]]);
  expect(recovered.flush!.deltas).toHaveLength(1);
  await world.lake.shutdown(null);
});

test.each([
  ['a missing segment', (w: World) => rmSync(w.segments[1]!.path)],
  ['a longer segment', (w: World) => appendFileSync(w.segments[0]!.path, 'x')],
  ['a segment with another byte', (w: World) => flip(w.segments[0]!.path, 8)],
  [
    'a manifest with another byte in what it says of a segment',
    (w: World) => {
      const path = join(w.dir, 'disk', 'flush.db');
      flip(path, readFileSync(path).indexOf(`"rows":`) + 7);
    },
  ],
  [
    'a damaged delta file',
    (w: World) => {
      const folder = join(w.dir, 'disk', w.table.def.uuid);
      const name = readdirSync(folder).find((file) => file.endsWith('.delta'))!;
      const bytes = encodeDelta(delta('x', 5, 9));
      bytes[40]! ^= 1;
      writeFileSync(join(folder, name), bytes);
    },
  ],
])('%s discards the manifest whole', async (_, damage) => {
  const world = await twoFlushes();
  damage(world);
  expect((await restart(world)).flush).toBeNull();
  expect((await restart(world)).flush).toBeNull();
  await world.lake.shutdown(null);
});

test('without DATA_DIR/disk there is no manifest, and the tables are still there', async () => {
  const world = await twoFlushes();
  await world.lake.shutdown(null);
  rmSync(join(world.dir, 'disk'), { recursive: true });
  const recovered = await restart(world);
  expect(recovered.flush).toBeNull();
  expect(recovered.def).toEqual(world.table.def);
  await world.lake.shutdown(null);
});

test('a flush after a commit by the same log is above its LSN; a manifest of another log is returned as it is', async () => {
  const world = await twoFlushes();
  await world.lake.commit({
    tableUuid: world.table.def.uuid,
    logId: 'b'.repeat(32),
    lsn: 100,
    segments: [],
    deletes: [],
    removedDeletes: [],
    trigger: 'test',
  });
  const recovered = await restart(world);
  expect(recovered.logId).toBe('b'.repeat(32));
  expect(recovered.flush).toMatchObject({ logId: LOG, flushedLsn: 9 });
  expect(recovered.flush!.segments).toHaveLength(2);
  await world.lake.shutdown(null);
});

test('another value in any row of what the manifest says of a table is found: nothing of it is believed until it is discarded', async () => {
  const { dir, lake, table } = await twoFlushes();
  const { uuid } = table.def;
  await lake.shutdown(null);
  const store = await openFlushStore(dir);
  store.saw(uuid, { logId: LOG, lsn: 3, snapshotId: 7n, metadataLocation: 'm' });
  expect(store.read(uuid)).toMatchObject({ damage: null, flush: { flushedLsn: 9 } });
  store.close();
  const file = join(dir, 'disk', 'flush.db');
  const good = readFileSync(file);
  for (const [name, columns] of [
    ['flush', ['log_id', 'flushed_lsn', 'base_snapshot', 'table_uuid']],
    ['segment', ['location', 'path', 'bytes', 'lsn_from', 'lsn_to', 'info', 'table_uuid']],
    ['delta', ['path', 'location', 'bytes', 'lsn_from', 'lsn_to', 'table_uuid']],
    ['seen', ['log_id', 'lsn', 'snapshot_id', 'metadata_location', 'table_uuid']],
    ['def', ['def', 'table_uuid']],
    ['seal', ['sum', 'table_uuid']],
  ] as const)
    for (const column of columns) {
      const db = new DatabaseSync(file);
      db.exec(
        `UPDATE ${name} SET ${column} = CASE typeof(${column}) WHEN 'integer' THEN ${column} + 1 ELSE coalesce(${column}, '') || '0' END`,
      );
      db.close();
      const damaged = await openFlushStore(dir);
      expect(damaged.read(uuid), `${name}.${column}`).toEqual({
        flush: null,
        damage: new Error(`what "${file}" says of table ${uuid} is damaged: it has a wrong checksum`),
      });
      expect([damaged.seen(uuid), damaged.def(uuid)]).toEqual([null, null]);
      if (column !== columns[0]) {
        damaged.close();
        writeFileSync(file, good);
        continue;
      }
      damaged.saw(uuid, { logId: LOG, lsn: 4, snapshotId: 7n, metadataLocation: 'm' });
      expect(damaged.seen(uuid)).toBeNull();
      await damaged.discard(uuid, join(dir, 'discarded'));
      damaged.saw(uuid, { logId: LOG, lsn: 4, snapshotId: 7n, metadataLocation: 'm' });
      expect(damaged.seen(uuid)).toMatchObject({ lsn: 4 });
      expect(damaged.read(uuid)).toEqual({ flush: null, damage: null });
      damaged.close();
      writeFileSync(file, good);
    }
});

test('a manifest of before there were checksums gets them when it is opened', async () => {
  const { dir, lake, table } = await twoFlushes();
  await lake.shutdown(null);
  const db = new DatabaseSync(join(dir, 'disk', 'flush.db'));
  db.exec('DROP TABLE seal; DROP TABLE file_sums; PRAGMA user_version = 0');
  db.close();
  for (let i = 0; i < 2; i++) {
    const store = await openFlushStore(dir);
    expect(store.read(table.def.uuid)).toMatchObject({ damage: null, flush: { flushedLsn: 9 } });
    store.close();
  }
});
