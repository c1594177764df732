/** CHECKPOINT over several tables, with writers beside it (H2). */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Table } from '../../src/storage/table.ts';
import { noPartition, tableDef, TestDatabase } from './harness.ts';
import { createTable } from './define.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());

test('H2: CHECKPOINT takes all tables to Iceberg as of one LSN, the end of a transaction, while transactions over several of them go on', async () => {
  const { database } = db.tiers;
  const tables: Table[] = [];
  for (const name of ['left', 'right', 'idle'])
    tables.push((await createTable(database, tableDef(name, noPartition)))!);
  const [left, right, idle] = tables;
  let id = 0;
  const transfer = async (): Promise<number> => {
    const transaction = database.begin(true);
    await db.insert(transaction, left!, [[++id, 1, 'left']]);
    await db.insert(transaction, right!, [[id, -1, 'right']]);
    await database.committer.commit(transaction);
    return database.committer.publishedLsn;
  };
  const acknowledged = await transfer();
  let stopped = false;
  const writing = (async () => {
    while (!stopped) await transfer();
  })();
  for (let round = 0; round < 5; round++) {
    const before = database.committer.publishedLsn;
    await Promise.all([database.checkpoint(), database.checkpoint()]);
    expect(left!.committedLsn).toBe(right!.committedLsn);
    expect(left!.committedLsn % 2).toBe(0); // each transaction has two operations
    expect(left!.committedLsn).toBeGreaterThanOrEqual(before);
  }
  stopped = true;
  await writing;
  expect(acknowledged).toBeGreaterThan(0);
  expect(idle!.committedLsn).toBe(0);
  await database.checkpoint();
  const rows = (table: Table): number => table.files.reduce((sum, file) => sum + file.rows, 0);
  expect([rows(left!), rows(right!)]).toEqual([id, id]);
}, 120_000);

test('a table that cannot be committed does not keep the others from CHECKPOINT, and its failure is said', async () => {
  const { database } = db.tiers;
  const good = (await createTable(database, tableDef('good', noPartition)))!;
  const bad = (await createTable(database, tableDef('bad', noPartition)))!;
  const transaction = database.begin(true);
  await db.insert(transaction, bad, [[1, 1, 'a']]);
  await db.insert(transaction, good, [[1, 1, 'a']]);
  await database.committer.commit(transaction);
  const held = database.commitHeld.bind(database);
  database.commitHeld = (table, ...rest) =>
    table === bad ? Promise.reject(new Error('the store says no')) : held(table, ...rest);
  await expect(database.checkpoint()).rejects.toThrow('the store says no');
  database.commitHeld = held;
  expect(good.committedLsn).toBe(database.committer.appliedLsn);
  await database.checkpoint();
  expect(bad.committedLsn).toBe(good.committedLsn);
});

test('CHECKPOINT of many tables moves several at a time, trims the log once, and a start reads all of them', async () => {
  const { database } = db.tiers;
  const tables: Table[] = [];
  for (let i = 0; i < 20; i++) tables.push((await createTable(database, tableDef(`many${i}`, noPartition)))!);
  const transaction = database.begin(true);
  for (const [i, table] of tables.entries()) await db.insert(transaction, table, [[i, i, 'a']]);
  await database.committer.commit(transaction);
  let moving = 0;
  let most = 0;
  const held = database.flushHeld.bind(database);
  database.flushHeld = async (...given) => {
    most = Math.max(most, ++moving);
    await held(...given).finally(() => moving--);
  };
  let trims = 0;
  const trimLog = database.trimLog.bind(database);
  database.trimLog = () => {
    trims++;
    return trimLog();
  };
  await database.checkpoint();
  database.flushHeld = held;
  database.trimLog = trimLog;
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(8);
  expect(trims).toBe(1);
  expect(new Set(tables.map((table) => table.committedLsn))).toEqual(new Set([database.committer.appliedLsn]));
  await db.restart();
  const again = tables.map(({ def }) => db.tiers.database.table(def.schema, def.name)!);
  expect(again.map((table) => table.files.reduce((sum, { rows }) => sum + rows, 0))).toEqual(tables.map(() => 1));
});
