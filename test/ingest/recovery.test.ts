/** Starts after what happened to a catalog, a disk or a log: what is found again, and what is said. */
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Table } from '../../src/storage/table.ts';
import { duckdb } from '../iceberg/harness.ts';
import { noPartition, tableDef, TestDatabase } from './harness.ts';
import { treat } from './treat.ts';
import { createTable, dropTable } from './define.ts';

let db: TestDatabase;
beforeEach(async () => {
  db = await TestDatabase.create();
  await createTable(db.tiers.database, tableDef('t', noPartition));
});
afterEach(() => db.destroy());

async function write(name: string, ids: readonly number[], v = 1): Promise<void> {
  const transaction = db.tiers.database.begin(true);
  await db.insert(
    transaction,
    db.table(name),
    ids.map((id) => [id, v, 'x'] as const),
    true,
  );
  await db.tiers.database.committer.commit(transaction);
}

async function remove(name: string, where: string): Promise<void> {
  const transaction = db.tiers.database.begin(true);
  await db.delete(transaction, db.table(name), where);
  await db.tiers.database.committer.commit(transaction);
}

const ids = async (name = 't'): Promise<number[]> =>
  (await db.rows(db.table(name))).map((row) => Number(row.split('|')[0]));
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const commit = (name = 't'): Promise<void> => db.tiers.database.commit(db.table(name), 'test');
const flush = (name = 't'): Promise<void> => db.tiers.database.flush(db.table(name), 'test');
const local = (location: string): string => location.replace('file://', '');

function inCatalog(sql: string, ...values: string[]): void {
  const catalog = new DatabaseSync(join(db.dataDir, 'catalog.db'));
  catalog.prepare(sql).run(...values);
  catalog.close();
}

/** A metadata file as another client would write it: `change` of the current one, and the catalog shows it. */
function foreignMetadata(table: Table, change: (metadata: Record<string, unknown>, text: string) => object): void {
  const path = local(table.metadataLocation);
  const text = readFileSync(path, 'utf8');
  const next = path.replace(/\/(\d+)-/, (_, version: string) => `/${String(Number(version) + 1).padStart(5, '0')}-f`);
  // snapshot ids do not fit a double: they stay texts on the way
  const quoted = JSON.parse(text.replace(/:(-?\d{16,})/g, ':"#$1"')) as Record<string, unknown>;
  writeFileSync(next, JSON.stringify(change(quoted, text)).replace(/"#(-?\d+)"/g, '$1'));
  inCatalog(`UPDATE iceberg_tables SET metadata_location = ? WHERE table_name = ?`, `file://${next}`, table.def.name);
}

/** t is committed twice; the catalog then shows the first commit again, and nothing of it is on disk elsewhere. */
async function goBack(): Promise<void> {
  await createTable(db.tiers.database, tableDef('other', noPartition));
  await write('t', range(0, 5));
  await commit();
  const older = db.table('t').metadataLocation;
  await write('t', range(5, 9));
  await commit();
  await write('t', [100]);
  await write('other', [1]);
  await db.close();
  inCatalog(`UPDATE iceberg_tables SET metadata_location = ? WHERE table_name = 't'`, older);
}

test.each(['with the flush manifest', 'by the log alone'])(
  'C6: a catalog that went back makes that table read-only with 55000, %s, and the others work',
  async (by) => {
    await goBack();
    if (by === 'by the log alone') rmSync(join(db.dataDir, 'disk'), { recursive: true });
    await db.open();
    expect(await ids('other')).toEqual([1]);
    await write('other', [2]);
    await expect(write('t', [7])).rejects.toMatchObject({
      code: '55000',
      message: expect.stringContaining('catalog of table "public"."t" went back'),
      fields: { detail: expect.stringMatching(/The catalog shows .*00001-.* last saw .*00002-/) },
    });
    expect(await ids()).toEqual(range(0, 5));
    await db.restart();
    await expect(write('t', [7])).rejects.toMatchObject({ code: '55000' });
    expect(await ids('other')).toEqual([1, 2]);
  },
);

test('C6: arka doctor --reattach points the catalog to the newer metadata file, and everything is there again', async () => {
  await goBack();
  expect((await treat(db.dataDir, null))[0]).toContain(
    'public.t is read-only: catalog of table "public"."t" went back',
  );
  await treat(db.dataDir, { table: 'public.t', how: 'repoint' });
  await db.open();
  expect(await ids()).toEqual([...range(0, 9), 100]);
  await write('t', [101]);
});

test('C6: arka doctor --accept takes the older state, and replays what was never committed and nothing else', async () => {
  await goBack();
  await treat(db.dataDir, { table: 'public.t', how: 'accept' });
  await db.open();
  expect(await ids()).toEqual([...range(0, 5), 100]);
  await write('t', [101]);
  await commit();
  await db.restart();
  expect(await ids()).toEqual([...range(0, 5), 100, 101]);
});

test('C6: a catalog whose file is lost does not start; arka doctor --reattach registers its tables as they were last seen', async () => {
  await write('t', range(0, 5));
  await commit();
  await write('t', [7]);
  await flush();
  await write('t', [8]);
  await db.close();
  rmSync(join(db.dataDir, 'catalog.db'));
  const lost = {
    code: 'XX001',
    message: expect.stringMatching(/catalog ".*catalog\.db" is empty, but the log knows 1 table /),
  };
  await expect(treat(db.dataDir, null)).rejects.toMatchObject(lost);
  await expect(db.open()).rejects.toMatchObject(lost);
  await treat(db.dataDir, { table: 'public.t', how: 'repoint' });
  await db.open();
  expect(await ids()).toEqual([...range(0, 5), 7, 8]);
  await write('t', [9]);
  await commit();
  await db.restart();
  expect(await ids()).toEqual([...range(0, 5), 7, 8, 9]);
});

test("C6: a user's rollback is the truth: nothing up to arka.lsn is replayed, and pending deletes find their rows by name", async () => {
  await write('t', range(0, 5));
  await commit();
  const [first] = [db.table('t').snapshotId!];
  await write('t', [0, 1], 2); // the same keys, in another file from now on
  await write('t', range(5, 9));
  await commit();
  await remove('t', 'id = 0');
  await flush(); // the delete is a position in the second file
  await write('t', [200]);
  const table = db.table('t');
  await db.close();
  foreignMetadata(table, (metadata) => ({
    ...metadata,
    'current-snapshot-id': `#${first}`,
    refs: { main: { 'snapshot-id': `#${first}`, type: 'branch' } },
  }));
  await db.open();
  expect(await ids()).toEqual([1, 2, 3, 4, 200]);
  await commit();
  await db.restart();
  expect(await ids()).toEqual([1, 2, 3, 4, 200]);
});

test('C1: properties decide: when every snapshot of ours has expired, nothing is replayed twice', async () => {
  await write('t', range(0, 5));
  await commit();
  const table = db.table('t');
  await db.close();
  foreignMetadata(table, (metadata) => {
    const [snapshot] = metadata['snapshots'] as Record<string, unknown>[];
    const theirs = { ...snapshot, 'snapshot-id': 77, summary: { operation: 'replace' } };
    return { ...metadata, 'current-snapshot-id': 77, snapshots: [theirs], refs: {}, 'snapshot-log': [] };
  });
  await db.open();
  expect(await ids()).toEqual(range(0, 5));
});

test.each([
  ['a missing segment', (files: string[]) => rmSync(files.find((file) => file.endsWith('.parquet'))!)],
  [
    'a damaged delta file',
    (files: string[]) =>
      writeFileSync(
        files.find((file) => file.endsWith('.delta'))!,
        'x'.repeat(100),
      ),
  ],
  ['a lost flush.db', (files: string[]) => rmSync(files.find((file) => file.endsWith('flush.db'))!)],
  [
    'a damaged flush.db',
    (files: string[]) =>
      writeFileSync(
        files.find((file) => file.endsWith('flush.db'))!,
        'x'.repeat(5000),
      ),
  ],
])('C5: with %s the log is replayed from arka.lsn + 1, and every row and delete is there', async (_, damage) => {
  await write('t', range(0, 10));
  await commit();
  await write('t', range(10, 20));
  await remove('t', 'id IN (3, 4)');
  await flush();
  await remove('t', 'id IN (5, 12)');
  await flush();
  await write('t', range(20, 22));
  await db.close();
  damage(
    readdirSync(join(db.dataDir, 'disk'), { recursive: true, encoding: 'utf8' }).map((name) =>
      join(db.dataDir, 'disk', name),
    ),
  );
  await db.open();
  const expected = range(0, 22).filter((id) => ![3, 4, 5, 12].includes(id));
  expect(await ids()).toEqual(expected);
  await commit();
  await db.restart();
  expect(await ids()).toEqual(expected);
});

test('V6: with everything committed the data directory but its catalog and warehouse may be deleted, log and all', async () => {
  await write('t', range(0, 10));
  await remove('t', 'id = 4');
  await db.tiers.database.checkpoint();
  await db.close();
  for (const name of ['wal', 'disk']) rmSync(join(db.dataDir, name), { recursive: true });
  await db.open();
  expect(db.table('t').committedLsn).toBe(0); // C2: LSNs compare only inside one log
  await write('t', [50]);
  await db.restart();
  expect(await ids()).toEqual([0, 1, 2, 3, 5, 6, 7, 8, 9, 50]);
  await commit();
  await db.restart();
  expect(await ids()).toEqual([0, 1, 2, 3, 5, 6, 7, 8, 9, 50]);
});

test('C2: without its log, which is said once, what is on disk is taken over by the new one and committed; it does not hold the log', async () => {
  using said = vi.spyOn(console, 'error').mockImplementation(() => {});
  await write('t', range(0, 10));
  await commit();
  await write('t', range(10, 20));
  await remove('t', 'id = 4');
  await flush();
  await db.close();
  rmSync(join(db.dataDir, 'wal'), { recursive: true });
  await db.open();
  const lost = expect.objectContaining({ message: expect.stringContaining('is lost (tables public.t)') });
  expect(said.mock.calls).toEqual([[lost]]);
  await remove('t', 'id = 5');
  const expected = range(0, 20).filter((id) => id !== 4 && id !== 5);
  expect(await ids()).toEqual(expected);
  await db.restart();
  expect(await ids()).toEqual(expected);
  await commit();
  await db.restart();
  expect(await ids()).toEqual(expected);
  expect(db.table('t').uncommittedFrom).toBe(0);
  expect(said).toHaveBeenCalledTimes(1);
});

async function lostRows(): Promise<unknown[][]> {
  return duckdb(`SELECT id, v FROM read_parquet('${join(db.dataDir, 'lost', '*', '*.parquet')}') ORDER BY id`);
}

test('M-4: rows of a table that is gone from the catalog go to DATA_DIR/lost as Parquet, and arka.commits says so', async () => {
  await write('t', range(0, 3));
  await commit();
  await write('t', range(10, 12));
  await flush();
  await write('t', range(20, 23));
  await remove('t', 'id = 21');
  await db.close();
  inCatalog(`DELETE FROM iceberg_tables WHERE table_name = 't'`);
  await db.open();
  expect(db.table('t')).toBeUndefined();
  expect(await lostRows()).toEqual([
    ['10', 1],
    ['11', 1],
    ['20', 1],
    ['22', 1],
  ]);
  expect(db.tiers.database.commits).toEqual([
    expect.objectContaining({ table: 'public.t', trigger: 'lost', rows: 4, warning: expect.stringContaining('lost') }),
  ]);
  await db.restart();
  expect((await lostRows()).length).toBe(4);
  expect(db.tiers.database.commits).toEqual([]);
});

test('M-4: a table that was dropped here leaves nothing to save, whatever the log still has of it', async () => {
  await createTable(db.tiers.database, tableDef('other', noPartition));
  await write('other', [1]);
  await write('t', range(0, 3));
  await dropTable(db.tiers.database, db.table('t'));
  await db.restart();
  expect(existsSync(join(db.dataDir, 'lost'))).toBe(false);
  expect(await ids('other')).toEqual([1]);
});

test('H3: rows that neither the log nor the disk has any more are missed and said, not skipped', async () => {
  await db.destroy();
  db = await TestDatabase.create(2 ** 30, null, { segmentBytes: 2 ** 17, logBytesMax: 2 ** 18 });
  const { database } = db.tiers;
  await createTable(database, tableDef('t', noPartition));
  const { lake } = database;
  (database as { lake: unknown }).lake = new Proxy(lake, {
    get: (target, method: keyof typeof lake) =>
      method === 'commit' ? () => Promise.reject(new Error('the catalog is away')) : target[method],
  });
  for (let i = 0; i < 30; i++) {
    await database.admit();
    await write('t', range(i * 1000, i * 1000 + 300));
  }
  await database.flush(db.table('t'), 'test');
  expect(database.log.firstLsn).toBeGreaterThan(1);
  await db.close();
  const copy = join(db.dataDir, 'flush.db');
  copyFileSync(join(db.dataDir, 'disk', 'flush.db'), copy);
  rmSync(join(db.dataDir, 'disk', 'flush.db'));
  await db.open();
  await expect(write('t', [1])).rejects.toMatchObject({
    code: '55000',
    message: expect.stringMatching(/operations \d+ to \d+ are not in Iceberg and not on disk/),
  });
  await db.close();
  copyFileSync(copy, join(db.dataDir, 'disk', 'flush.db'));
  await db.open();
  expect((await ids()).length).toBe(9000);
});
