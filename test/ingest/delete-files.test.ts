/** H12: which position-delete files stand in Iceberg after commits, rewrites, restarts and changes by other engines. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { vacuumFull } from '../../src/ingest/vacuum.ts';
import { localStore } from '../../src/storage/iceberg/local-store.ts';
import { Content, deleteTarget, EntryStatus, type ManifestEntry } from '../../src/storage/iceberg/manifest.ts';
import { currentSnapshot } from '../../src/storage/iceberg/metadata.ts';
import { toLocalPath } from '../../src/storage/iceberg/paths.ts';
import { tableReader } from '../../src/storage/iceberg/table-reader.ts';
import type { Table } from '../../src/storage/table.ts';
import { foreignDelete } from '../iceberg/foreign.ts';
import { duckdb } from '../iceberg/harness.ts';
import { tableDef, TestDatabase } from './harness.ts';
import { createTable, dropTable } from './define.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());
afterEach(async () => {
  const { database } = db.tiers;
  await database.close();
  for (const table of [...database.tables.values()]) await dropTable(database, table);
});

const BUCKETS = [{ sourceId: 1, fieldId: 1000, name: 'id_bucket', transform: 'bucket' as const, arg: 2 }];

const name = (): string => `d${randomUUID().slice(0, 8)}`;

/** One data file (in each partition) for each of `files`, of ids in a row. */
async function filesOf(table: string, files: readonly number[], partition: typeof BUCKETS | [] = []): Promise<void> {
  await createTable(db.tiers.database, tableDef(table, partition));
  let id = 0;
  for (const rows of files) {
    await put(
      table,
      Array.from({ length: rows }, () => id++),
    );
    await commit(table);
  }
}

async function put(table: string, ids: readonly number[]): Promise<void> {
  const transaction = db.tiers.database.begin(true);
  await db.insert(
    transaction,
    db.table(table),
    ids.map((id) => [id, 0, `n${id}`] as const),
  );
  await db.tiers.database.committer.commit(transaction);
}

async function remove(table: string, where: string): Promise<void> {
  const transaction = db.tiers.database.begin(true);
  await db.delete(transaction, db.table(table), where);
  await db.tiers.database.committer.commit(transaction);
}

const commit = (table: string): Promise<void> => db.tiers.database.commit(db.table(table), 'test');

async function live(table: Table): Promise<ManifestEntry[]> {
  const reader = tableReader(localStore(), toLocalPath);
  const metadata = await reader.metadata(table.metadataLocation);
  const entries: ManifestEntry[] = [];
  for (const manifest of await reader.manifests(currentSnapshot(metadata)))
    for (const entry of await reader.entries(manifest)) if (entry.status !== EntryStatus.deleted) entries.push(entry);
  return entries;
}

async function deleteFiles(table: string): Promise<ManifestEntry[]> {
  return (await live(db.table(table))).filter(({ file }) => file.content === Content.positionDeletes);
}

/** Rows of each delete file, with * where it is for one data file. */
async function shapes(table: string): Promise<string[]> {
  const found = await deleteFiles(table);
  return found.map(({ file }) => `${file.record_count}${deleteTarget(file) === null ? '' : '*'}`).sort();
}

/** The ids that a reader sees who knows nothing but the Iceberg specification. */
async function readByMetadata(table: string): Promise<number[]> {
  const entries = await live(db.table(table));
  const ids: number[] = [];
  for (const data of entries.filter(({ file }) => file.content === Content.data)) {
    const path = Buffer.from(data.file.file_path);
    const applying = entries.filter(({ file, sequence }) => {
      if (file.content !== Content.positionDeletes || sequence! < data.sequence!) return false;
      if (JSON.stringify(file.partition) !== JSON.stringify(data.file.partition)) return false;
      const [lower, upper] = [file.lower_bounds![0]!.value, file.upper_bounds![0]!.value];
      return lower.compare(path) <= 0 && upper.compare(path) >= 0;
    });
    const lists = applying.map(({ file }) => `'${toLocalPath(file.file_path)}'`).join(', ');
    const deleted = `SELECT pos FROM read_parquet([${lists}]) WHERE file_path = '${data.file.file_path}'`;
    const rows = await duckdb(
      `SELECT id FROM read_parquet('${toLocalPath(data.file.file_path)}', file_row_number = true, hive_partitioning = false)
       ${lists === '' ? '' : `WHERE file_row_number NOT IN (${deleted})`}`,
    );
    ids.push(...rows.map(([id]) => Number(id)));
  }
  return ids.sort((a, b) => a - b);
}

async function readHere(table: string): Promise<number[]> {
  return (await db.rows(db.table(table))).map((row) => Number(row.split('|')[0]));
}

test('H12: deletes of several data files go into one file of their partition, whose bounds are whole paths', async () => {
  const t = name();
  await filesOf(t, [40, 40, 40], BUCKETS);
  await remove(t, 'id % 2 = 1');
  await commit(t);
  const found = await deleteFiles(t);
  expect(found).toHaveLength(2);
  const data = (await live(db.table(t))).filter(({ file }) => file.content === Content.data);
  for (const { file, sequence } of found) {
    const paths = data
      .filter((each) => JSON.stringify(each.file.partition) === JSON.stringify(file.partition))
      .map((each) => each.file.file_path)
      .sort();
    expect(file.file_path).toMatch(/\/id_bucket=[01]\/arka-partition-deletes-[0-9a-f-]{36}\.parquet$/);
    expect(file.referenced_data_file).toBeNull();
    expect(file.lower_bounds).toEqual([{ key: 2147483546, value: Buffer.from(paths[0]!) }]);
    expect(file.upper_bounds).toEqual([{ key: 2147483546, value: Buffer.from(paths.at(-1)!) }]);
    expect(sequence).toBe(4n);
    const rows = await duckdb(`SELECT file_path, pos FROM read_parquet('${toLocalPath(file.file_path)}')`);
    expect(rows).toEqual(rows.toSorted(([a, p], [b, q]) => (a! < b! ? -1 : a! > b! ? 1 : Number(p) - Number(q))));
    expect(rows).toHaveLength(Number(file.record_count));
  }
  expect(found.reduce((sum, { file }) => sum + Number(file.record_count), 0)).toBe(60);
  expect(await readByMetadata(t)).toEqual(await readHere(t));
});

test('H12: each commit writes what was deleted since the last, not what its file had before', async () => {
  const t = name();
  await filesOf(t, [40, 40]);
  await remove(t, 'id % 40 < 5');
  await commit(t);
  await remove(t, 'id % 40 = 7');
  await commit(t);
  await remove(t, 'id = 9');
  await commit(t);
  expect(await shapes(t)).toEqual(['1*', '10', '2']);
  expect(await readByMetadata(t)).toEqual(await readHere(t));
});

test('H12: a data file with 1,000 deletes that it shares with others gets a file of its own, with all of them', async () => {
  const t = name();
  await filesOf(t, [3000, 3000]);
  await remove(t, 'id < 600 OR id = 3001');
  await commit(t);
  expect(await shapes(t)).toEqual(['601']);
  await remove(t, 'id BETWEEN 600 AND 1000 OR id = 3002');
  await commit(t);
  // 3002 alone goes into a file of the partition, which happens to be for one data file
  expect(await shapes(t)).toEqual(['1*', '1001*', '601']);
  await remove(t, 'id BETWEEN 1001 AND 1100');
  await commit(t);
  expect(await shapes(t)).toEqual(['1*', '100*', '1001*', '601']);
  expect(await readByMetadata(t)).toEqual(await readHere(t));
});

test('H12: a data file that comes with the commit has a delete file of its own', async () => {
  const t = name();
  await filesOf(t, [20, 20]);
  await put(t, [100, 101, 102]);
  await db.tiers.database.flush(db.table(t), 'test');
  await remove(t, 'id IN (101, 1, 21)');
  await commit(t);
  expect(await shapes(t)).toEqual(['1*', '2']);
  expect(await readByMetadata(t)).toEqual(await readHere(t));
});

test.each([false, true])(
  'H12: of a partition eight are alive, and the next commit makes one of them (after a restart: %s)',
  async (restart) => {
    const t = name();
    await filesOf(t, [40, 40]);
    for (let i = 0; i < 8; i++) {
      await remove(t, `id % 40 = ${i}`);
      await commit(t);
    }
    expect(await shapes(t)).toEqual(Array.from({ length: 8 }, () => '2'));
    if (restart) await db.restart();
    await remove(t, 'id = 30');
    await commit(t);
    expect(await shapes(t)).toEqual(['17']);
    const summary = currentSnapshot(
      await tableReader(localStore(), toLocalPath).metadata(db.table(t).metadataLocation),
    )!.summary;
    expect(summary).toMatchObject({
      operation: 'delete',
      'added-delete-files': '1',
      'added-position-deletes': '17',
      'removed-delete-files': '8',
      'removed-position-deletes': '16',
      'total-delete-files': '1',
      'total-position-deletes': '17',
    });
    expect(await readByMetadata(t)).toEqual(await readHere(t));
  },
);

test('H12: files of a partition leave when their data files have files of their own, or have been rewritten', async () => {
  const t = name();
  await filesOf(t, [2000, 40]);
  await remove(t, 'id < 2');
  await commit(t);
  await remove(t, 'id < 1500');
  await commit(t);
  expect(await shapes(t)).toEqual(['1500*']);
  await remove(t, 'id IN (1501, 2001)');
  await commit(t);
  expect(await shapes(t)).toEqual(['1500*', '2']);
  await vacuumFull(db.tiers.database, db.table(t));
  expect(await shapes(t)).toEqual([]);
  expect(await readByMetadata(t)).toEqual(await readHere(t));
});

test('H12: Arka removes only delete files that it wrote', async () => {
  const t = name();
  await filesOf(t, [40, 40]);
  const { location } = db.table(t).files[0]!.info;
  await foreignDelete(db.dataDir, t, location, [1, 2]);
  await db.tiers.database.refresh(db.table(t));
  for (let i = 10; i < 19; i++) {
    await remove(t, `id % 40 = ${i}`);
    await commit(t);
  }
  const theirs = (await deleteFiles(t)).filter(({ file }) => file.file_path.includes('/theirs-'));
  expect(theirs.map(({ file }) => file.record_count)).toEqual([2n]);
  expect(await shapes(t)).toEqual(['18', '2*']);
  expect(await readByMetadata(t)).toEqual(await readHere(t));
  await db.restart();
  await remove(t, 'id % 40 = 39');
  await commit(t);
  expect(await readByMetadata(t)).toEqual(await readHere(t));
});

test('H12: whatever is deleted, committed, rewritten and restarted, a reader of the files sees what Arka sees', async () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('delete' as const),
        from: fc.nat(6000),
        count: fc.integer({ min: 1, max: 900 }),
        every: fc.constantFrom(1, 7, 100),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constantFrom('put' as const, 'foreign' as const, 'rewrite' as const, 'restart' as const),
      }),
    },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 16 }), async (steps) => {
      const t = name();
      await filesOf(t, [2500, 2500, 500, 500], BUCKETS);
      let next = 6000;
      for (const what of steps) {
        if (what.kind === 'delete')
          await remove(t, `id BETWEEN ${what.from} AND ${what.from + what.count} AND id % ${what.every} = 0`);
        else if (what.kind === 'put')
          await put(
            t,
            Array.from({ length: 50 }, () => next++),
          );
        else if (what.kind === 'rewrite') await vacuumFull(db.tiers.database, db.table(t));
        else if (what.kind === 'restart') await db.restart();
        else {
          const [file] = db.table(t).files.filter(({ tier }) => tier === 'iceberg');
          if (file !== undefined) await foreignDelete(db.dataDir, t, file.info.location, [0, 3]);
          await db.tiers.database.refresh(db.table(t));
        }
        await commit(t);
        const shared = (await deleteFiles(t)).filter(({ file }) => file.file_path.includes('/arka-partition-deletes-'));
        for (const bucket of [0, 1])
          expect(shared.filter(({ file }) => file.partition['p1000'] === bucket).length).toBeLessThanOrEqual(8);
      }
      expect(await readByMetadata(t)).toEqual(await readHere(t));
      await dropTable(db.tiers.database, db.table(t));
    }),
    { numRuns: Number(process.env['DELETE_FILES_RUNS'] ?? 3) },
  );
}, 120_000);
