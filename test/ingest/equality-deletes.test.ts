/** H14: equality deletes, as Flink's upserts commit them, are refused: what they delete would be shown. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Table } from '../../src/storage/table.ts';
import { foreignCompaction, foreignEqualityDelete } from '../iceberg/foreign.ts';
import { TestDatabase } from './harness.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());

const REFUSED = { code: '0A000', message: 'reading Iceberg equality deletes is not supported' };

async function committed(): Promise<Table> {
  const table = await db.newTable();
  await db.transact((transaction) =>
    db.insert(transaction, table, [
      [1, 1, 'a'],
      [2, 2, 'b'],
      [3, 3, 'c'],
    ]),
  );
  await db.tiers.database.commit(table, 'test');
  return table;
}
const upsert = (table: Table, v: number): Promise<void> =>
  db.transact((transaction) => db.insert(transaction, table, [[2, v, 'new']], true));

test('H14: a table with them is read as it was before, said with 0A000, and an upsert of a key that they delete leaves one live row', async () => {
  const { database } = db.tiers;
  const table = await committed();
  await upsert(table, 20);
  await foreignEqualityDelete(db.dataDir, table.def.name, [2]);
  await expect(database.refresh(table)).rejects.toMatchObject(REFUSED);
  await upsert(table, 21);
  expect(await db.rows(table)).toEqual(['1|1|a', '2|21|new', '3|3|c']);
  const { committedLsn } = table;
  await expect(database.commit(table, 'test')).rejects.toMatchObject(REFUSED);
  expect(table.committedLsn).toBe(committedLsn);
  expect(await db.rows(table)).toEqual(['1|1|a', '2|21|new', '3|3|c']);
});

test('H14: a commit that meets them does not take place: once another engine has compacted them away it does, whole', async () => {
  const { database } = db.tiers;
  const table = await committed();
  await upsert(table, 20);
  await foreignEqualityDelete(db.dataDir, table.def.name, [3]);
  await expect(database.commit(table, 'test')).rejects.toMatchObject(REFUSED);
  await foreignCompaction(
    db.dataDir,
    table.def.name,
    table.files[0]!.info,
    "SELECT * FROM (VALUES (1, 1, 'a'), (2, 2, 'b'))",
  );
  await database.commit(table, 'test');
  expect(await db.rows(table)).toEqual(['1|1|a', '2|20|new']);
  await db.restart();
  expect(await db.rows(db.table(table.def.name))).toEqual(['1|1|a', '2|20|new']);
});

test('H14: at a start the table is detached with 0A000 and what helps, and the others work', async () => {
  const [table, other] = [await committed(), await committed()];
  await foreignEqualityDelete(db.dataDir, table.def.name, [2]);
  await db.restart();
  const { detached } = db.table(table.def.name);
  expect(detached).toMatchObject(REFUSED);
  expect(detached!.hint).toMatch(/^Compact the table with the engine/);
  expect(await db.rows(db.table(other.def.name))).toEqual(['1|1|a', '2|2|b', '3|3|c']);
});
