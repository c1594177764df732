/** A byte of a Parquet file in Iceberg changes while the server is down: whoever reads the file hears of it, and nobody gets another value. */
import { basename } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Table } from '../../src/storage/table.ts';
import { filesOf, flippedAt } from './damage.ts';
import { TestDatabase } from './harness.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());

const put = (table: Table, from: number, to: number): Promise<void> =>
  db.transact((transaction) =>
    db.insert(
      transaction,
      table,
      Array.from({ length: to - from }, (_, i) => [from + i, (i * 7919) % 1000, `n${i * 31}`] as const),
    ),
  );

test('each page of a data file is covered, rewritten ones too: scans, lookups and rewrites say XX001 with file and place until it is restored', async () => {
  const names: string[] = [];
  for (const rewritten of [false, true]) {
    const table = await db.newTable();
    names.push(table.def.name);
    const { database } = db.tiers;
    await put(table, 0, 500);
    await database.commit(table, 'test');
    if (!rewritten) continue;
    await put(table, 500, 1000);
    await database.commit(table, 'test');
    expect(await database.rewrite(table, [[...table.files]], 'test')).toBe(true);
    await db.transact(async (transaction) => void (await db.delete(transaction, table, 'id < 5')));
    await database.commit(table, 'test');
  }
  const expected = await Promise.all(names.map((name) => db.rows(db.table(name))));
  for (const [i, name] of names.entries()) {
    const { data } = await filesOf(db.table(name));
    const undo = flippedAt(0.1 + i * 0.1)(data);
    await db.restart();
    const { database } = db.tiers;
    const table = db.table(name);
    const told = {
      code: 'XX001',
      message: `data file "${basename(data)}" is damaged between bytes 0 and 4194304: its checksum is another than when it was written`,
    };
    await expect(db.rows(table)).rejects.toMatchObject(told);
    await expect(database.rewrite(table, [[...table.files]], 'test')).rejects.toMatchObject(told);
    const [file] = table.files;
    const request = {
      unit: 0,
      path: file!.path,
      rows: file!.rows,
      fileColumns: 1,
      position: 1,
      columns: [],
      formats: [],
      timeZone: 'UTC',
    };
    await expect(database.index!.readRow(request)).rejects.toMatchObject(told);
    expect(await db.rows(db.table(names[1 - i]!))).toEqual(expected[1 - i]);
    undo();
    expect(await db.rows(table)).toEqual(expected[i]);
  }
}, 60_000);

test('of a delete file, too: its table is detached at the start, and comes back with it', async () => {
  const table = await db.newTable();
  const { name } = table.def;
  await put(table, 0, 50);
  await db.tiers.database.commit(table, 'test');
  await db.transact(async (transaction) => void (await db.delete(transaction, table, 'id < 5')));
  await db.tiers.database.commit(table, 'test');
  const expected = await db.rows(table);
  const { deletes } = await filesOf(table);
  const undo = flippedAt(30)(deletes);
  await db.restart();
  expect(db.table(name).detached).toMatchObject({ reason: 'unreadable', code: 'XX001' });
  expect(db.table(name).detached!.message).toContain(basename(deletes));
  undo();
  await db.restart();
  expect(await db.rows(db.table(name))).toEqual(expected);
}, 60_000);

test('checksums that are gone say nothing: files of a lost data directory are read', async () => {
  const table = await db.newTable();
  const { name } = table.def;
  await put(table, 0, 50);
  await db.tiers.database.commit(table, 'test');
  const expected = await db.rows(table);
  await db.close();
  const file = new DatabaseSync(`${db.dataDir}/disk/flush.db`);
  file.exec(`UPDATE file_sums SET sums = x'00'`);
  file.close();
  await db.open();
  expect(await db.rows(db.table(name))).toEqual(expected);
});
