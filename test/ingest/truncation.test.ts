/** TRUNCATE: a table's rows go by the unit, in every tier, at one LSN; and files of which no row is left go with the next commit. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { streamRows } from '../../src/ingest/stream-writes.ts';
import type { Transaction } from '../../src/ingest/transaction.ts';
import { truncate } from '../../src/ingest/truncation.ts';
import { localStore } from '../../src/storage/iceberg/local-store.ts';
import { Content, EntryStatus } from '../../src/storage/iceberg/manifest.ts';
import { currentSnapshot } from '../../src/storage/iceberg/metadata.ts';
import { toLocalPath } from '../../src/storage/iceberg/paths.ts';
import { tableReader } from '../../src/storage/iceberg/table-reader.ts';
import type { Table } from '../../src/storage/table.ts';
import { foreignFile } from '../iceberg/foreign.ts';
import { commitTruncation } from './commit-truncation.ts';
import { changesOf } from './feed.ts';
import { TestDatabase } from './harness.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
  db.logBytesKept = 2 ** 30;
  await db.restart();
}, 60_000);
afterAll(() => db.destroy());
afterEach(() => db.dropAll());

async function put(table: Table, from: number, to: number): Promise<void> {
  await db.transact(async (transaction) => load(transaction, table, from, to));
}

async function load(transaction: Transaction, table: Table, from: number, to: number): Promise<void> {
  const rows = Array.from({ length: to - from }, (_, i) => [from + i, 0, `n${from + i}`] as const);
  await db.insert(transaction, table, rows);
}

async function truncated(
  table: Table,
  more: (transaction: Transaction) => Promise<void> = async () => {},
): Promise<void> {
  const transaction = db.begin();
  try {
    truncate(db.tiers.database.memory, transaction, table);
    await more(transaction);
    await commitTruncation(db.tiers.database, transaction);
  } finally {
    if (transaction.state !== 'done') transaction.finish();
  }
}

const names = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `${from + i}|0|n${from + i}`);

/** Ids 0 to 9 in Iceberg, 10 to 19 on disk, 20 to 29 in memory; one of each deleted. */
async function overAllTiers(keyed: boolean, partitioned = false): Promise<Table> {
  const { database } = db.tiers;
  const table = await db.newTable(partitioned, keyed);
  await put(table, 0, 10);
  await database.commit(table, 'test');
  await put(table, 10, 20);
  await database.flush(table, 'test');
  await put(table, 20, 30);
  await db.transact(async (transaction) => void (await db.delete(transaction, table, 'id % 10 = 3')));
  return table;
}

/** Live entries of the table's current snapshot, and what its summary says. */
async function inIceberg(table: Table): Promise<{ data: number; deletes: number; operation: string | undefined }> {
  const reader = tableReader(localStore(), toLocalPath);
  const snapshot = currentSnapshot(await reader.metadata(table.metadataLocation));
  let [data, deletes] = [0, 0];
  for (const manifest of await reader.manifests(snapshot))
    for (const { status, file } of await reader.entries(manifest)) {
      if (status === EntryStatus.deleted) continue;
      if (file.content === Content.data) data++;
      else deletes++;
    }
  return { data, deletes, operation: snapshot?.summary?.['operation'] };
}

async function restarted(table: Table): Promise<Table> {
  await db.restart();
  return db.table(table.def.name);
}

test.each([true, false])(
  'V1: a reader of before sees all rows, its transaction none but its own, and all others none once it has committed; with a key: %s',
  async (keyed) => {
    const { database } = db.tiers;
    const table = await overAllTiers(keyed, true);
    const before = await db.rows(table);
    expect(before).toHaveLength(27);
    const transaction = db.begin();
    await load(transaction, table, 40, 42);
    truncate(database.memory, transaction, table);
    expect(await db.rows(table, transaction)).toEqual([]);
    await load(transaction, table, 0, 2);
    expect(await db.rows(table, transaction)).toEqual(names(0, 2));
    expect(await db.rows(table)).toEqual(before);
    await commitTruncation(database, transaction);
    expect(await db.rows(table)).toEqual(names(0, 2));
    await put(table, 2, 4);
    await database.commit(table, 'test');
    expect(await db.rows(table)).toEqual(names(0, 4));
    expect(await db.rows(await restarted(table))).toEqual(names(0, 4));
  },
);

test.each([
  ['nothing', true],
  ['a flush', false],
  ['a commit', true],
] as const)('V3: after %s a start finds it again, and what came after', async (what, keyed) => {
  const { database } = db.tiers;
  let table = await overAllTiers(keyed);
  await truncated(table, (transaction) => load(transaction, table, 5, 8));
  await put(table, 20, 22);
  if (what === 'a flush') await database.flush(table, 'test');
  if (what === 'a commit') await database.commit(table, 'test');
  const rows = [...names(5, 8), ...names(20, 22)];
  table = await restarted(table);
  expect(await db.rows(table)).toEqual(rows);
  await db.tiers.database.commit(table, 'test');
  expect(await db.rows(table)).toEqual(rows);
  expect(await inIceberg(table)).toEqual({ data: 1, deletes: 0, operation: 'overwrite' });
});

test('C7: files of other writers stay that came later, also when the log is replayed', async () => {
  const table = await overAllTiers(true);
  const [{ info }] = table.files as [Table['files'][0]];
  await truncated(table);
  await foreignFile(db.dataDir, table.def.name, info, `SELECT range, 0, 'n' || range FROM range(100, 103)`, []);
  const again = await restarted(table);
  expect(await db.rows(again)).toEqual(names(100, 103));
  await db.tiers.database.commit(again, 'test');
  expect(await db.rows(again)).toEqual(names(100, 103));
  expect(await inIceberg(again)).toEqual({ data: 1, deletes: 0, operation: 'delete' });
});

test.each([
  ['while the server runs', false, false, false],
  ['before a start, which replays the log', true, false, true],
  ['before a start, which replays the log, without a key', true, false, false],
  ['before a start, for which the flush manifest has the files of before', true, true, true],
])('C7: rows that another engine rewrites meanwhile stay gone: %s', async (_, restarts, flushes, keyed) => {
  const { database } = db.tiers;
  let table = await db.newTable(false, keyed);
  await put(table, 0, 10);
  await database.commit(table, 'test');
  const [{ info }] = table.files as [Table['files'][0]];
  await truncated(table, (transaction) => load(transaction, table, 20, 22));
  if (flushes) await database.flush(table, 'test');
  const select = `SELECT range, 0, 'n' || range FROM range(10) UNION ALL SELECT 50, 0, 'n50'`;
  await foreignFile(db.dataDir, table.def.name, info, select, [info.location]);
  if (restarts) table = await restarted(table);
  else await database.refresh(table);
  const rows = [...names(20, 22), ...names(50, 51)];
  expect(await db.rows(table)).toEqual(rows);
  await db.tiers.database.commit(table, 'test');
  expect(await db.rows(table)).toEqual(rows);
});

test.each([true, false])('a rollback, and one to a savepoint, bring everything back, with a key: %s', async (keyed) => {
  const { database } = db.tiers;
  const table = await overAllTiers(keyed);
  const before = await db.rows(table);
  const transaction = db.begin();
  await load(transaction, table, 40, 42);
  await db.delete(transaction, table, 'id = 5');
  transaction.savepoint();
  truncate(database.memory, transaction, table);
  await load(transaction, table, 0, 2);
  expect(await db.rows(table, transaction)).toEqual(names(0, 2));
  transaction.rollbackTo(0);
  const rows = [...before.filter((row) => !row.startsWith('5|')), ...names(40, 42)];
  expect(await db.rows(table, transaction)).toEqual(rows);
  await commitTruncation(database, transaction);
  expect(await db.rows(table)).toEqual(rows);
  const undone = db.begin();
  truncate(database.memory, undone, table);
  undone.finish();
  expect(await db.rows(table)).toEqual(rows);
  expect(await db.rows(await restarted(table))).toEqual(rows);
});

test('rows of the same transaction that go to a stream of the log come after it', async () => {
  const { database } = db.tiers;
  const table = await overAllTiers(true);
  await truncated(table, async (transaction) => {
    for (let from = 0; from < 20_000; from += 2000) {
      const rows = Array.from({ length: 2000 }, (_, i) => [from + i, 0, 'x'.repeat(400)] as const);
      await db.insert(transaction, table, rows);
      await streamRows(database, transaction, transaction.of(table));
    }
    expect(transaction.streamed).not.toBeNull();
  });
  const again = await restarted(table);
  expect(await db.rows(again)).toHaveLength(20_000);
});

test('its keys are free at once, and their rows are found by key', async () => {
  const { database } = db.tiers;
  const table = await overAllTiers(true);
  await truncated(table, (transaction) => load(transaction, table, 0, 30));
  await db.transact(async (transaction) => expect(await db.delete(transaction, table, 'id = 7')).toBe(1));
  await expect(put(table, 8, 9)).rejects.toMatchObject({ code: '23505' });
  await database.commit(table, 'test');
  await expect(put(table, 8, 9)).rejects.toMatchObject({ code: '23505' });
  expect(await db.rows(table)).toHaveLength(29);
});

test('the delete list, the manifest and the log of it do not follow the number of rows', async () => {
  const { database } = db.tiers;
  const table = await db.newTable();
  await put(table, 0, 50_000);
  await database.commit(table, 'test');
  const [file] = table.files as [Table['files'][0]];
  const { lastLsn } = database.log;
  await truncated(table);
  expect(database.log.lastLsn - lastLsn).toBe(2);
  expect(file.deletes).toMatchObject({ length: 50_000, published: 50_000, slabBytes: 0 });
  await database.flush(table, 'test');
  const manifest = new DatabaseSync(join(db.dataDir, 'disk/flush.db'), { readOnly: true });
  const deltas = manifest.prepare('SELECT path, bytes FROM delta WHERE table_uuid = ?').all(table.def.uuid);
  manifest.close();
  expect(deltas).toEqual([{ path: expect.stringMatching(/^whole-/), bytes: 50_000 }]);
  await database.commit(table, 'test');
  expect(table.files).toEqual([]);
  expect(await inIceberg(table)).toEqual({ data: 0, deletes: 0, operation: 'delete' });
});

test('a file of which DELETE has taken the last row leaves Iceberg with the commit, without a delete file', async () => {
  const { database } = db.tiers;
  const table = await db.newTable();
  for (const from of [0, 10, 20]) {
    await put(table, from, from + 10);
    await database.commit(table, 'test');
  }
  await db.transact(async (transaction) => void (await db.delete(transaction, table, 'id BETWEEN 5 AND 21')));
  await database.commit(table, 'test');
  expect(table.files).toHaveLength(2);
  expect(await inIceberg(table)).toEqual({ data: 2, deletes: 1, operation: 'delete' });
  expect(await db.rows(table)).toEqual([...names(0, 5), ...names(22, 30)]);
  expect(await db.rows(await restarted(table))).toEqual([...names(0, 5), ...names(22, 30)]);
});

test('arka.changes has one row for it, in the place of what its transaction had deleted and before what it inserted', async () => {
  const table = await db.newTable();
  await put(table, 0, 3);
  const since = db.tiers.database.log.lastLsn;
  const transaction = db.begin();
  await db.delete(transaction, table, 'id = 1');
  truncate(db.tiers.database.memory, transaction, table);
  await load(transaction, table, 1, 2);
  await commitTruncation(db.tiers.database, transaction);
  const seen = await changesOf(db, table, since);
  expect(seen.map(({ op, lsn, oldKey, row }) => [op, lsn - since, oldKey, row])).toEqual([
    ['truncate', 1, null, 'null|null|null'],
    ['insert', 2, null, '1|0|n1'],
  ]);
});
