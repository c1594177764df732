/** H15: what is to be deleted late stands in a list on local disk; the law of what happens when that list is lost. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import type { LakeSettings, Segment } from '../../src/storage/iceberg/lake-api.ts';
import { createLake } from '../../src/storage/iceberg/lake.ts';
import type { ObjectStore } from '../../src/storage/iceberg/object-store.ts';
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

export interface WarehouseUnderTest {
  readonly store: ObjectStore;
  readonly settings: Partial<LakeSettings>;
}

export function registerLostListTests(name: string, open: () => WarehouseUnderTest): void {
  test(`H15: files whose list was lost after the swap are found again by VACUUM, in a ${name} warehouse`, async () => {
    const { store, settings: over } = open();
    const dir = temporary();
    const clock = manualClock(Date.now());
    const lake = createLake(clock);
    await lake.open(settings(dir, { keepSnapshots: 1, fileGraceMs: 24 * HOUR, ...over }));
    const table = await createTable(lake, tableDef('t', EVENTS));
    const { uuid } = table.def;
    let lsn = 0;
    let metadataLocation = table.metadataLocation;
    const file = (): Promise<Segment> => segment(table, dir, `SELECT range, NULL, 'x' FROM range(10)`, [lsn, lsn + 1]);
    const commit = async (segments: Segment[], of: string | null = null): Promise<void> => {
      const deletes = of === null ? [] : [await deleteFile(dir, of, [1])];
      const request = { tableUuid: uuid, logId: LOG, segments, deletes, removedDeletes: [], trigger: 'test' };
      ({ metadataLocation } = await lake.commit({ ...request, lsn: ++lsn }));
    };
    const [a, b, merged] = [await file(), await file(), await file()];
    await commit([a, b]);
    await commit([], a.location);
    const before: string[] = [];
    for await (const { location } of store.list(`${table.location}/`)) before.push(location);
    const list = new DatabaseSync(join(dir, 'disk', 'flush.db'));
    list.exec(`CREATE TRIGGER lost BEFORE INSERT ON garbage BEGIN SELECT RAISE(FAIL, 'planted'); END`);
    const request = {
      tableUuid: uuid,
      metadataLocation,
      removed: [a.location, b.location],
      added: [merged],
      deletes: [],
      removedDeletes: [],
      commitId: randomUUID(),
      trigger: 'test',
    };
    await lake.rewrite(request);
    list.exec('DROP TRIGGER lost');
    list.close();
    await lake.shutdown(null); // a crash there would have left the same
    await lake.open(settings(dir, { keepSnapshots: 1, fileGraceMs: 24 * HOUR, ...over }));
    const later = await file();
    await commit([later]);
    expect(await store.head(a.location)).not.toBeNull();
    clock.ms += 23 * HOUR;
    expect(await lake.vacuum(uuid)).toMatchObject({ orphanFiles: 0 });
    clock.ms += 3 * HOUR;
    const { orphanFiles, metadataLocation: now } = await lake.vacuum(uuid);
    expect(orphanFiles).toBeGreaterThan(4); // a, b, the delete file, and metadata of the expired snapshots
    const left: string[] = [];
    for await (const { location } of store.list(`${table.location}/data/`)) left.push(location);
    expect(left.toSorted()).toEqual([merged.location, later.location].toSorted());
    expect(before.filter((location) => location.includes('/data/'))).toHaveLength(3);
    const state = await lake.refresh({ tableUuid: uuid, metadataLocation: 'earlier' });
    expect(state).toMatchObject({ metadataLocation: now, files: { length: 2 }, deletePaths: [] });
    await lake.shutdown(null);
  });
}
