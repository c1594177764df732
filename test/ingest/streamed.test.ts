/** H1: a large transaction's rows go to the log while it runs, and are there whole with its commit, or not at all. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { streamRows } from '../../src/ingest/stream-writes.ts';
import type { Transaction } from '../../src/ingest/transaction.ts';
import type { Table } from '../../src/storage/table.ts';
import { noPartition, tableDef, TestDatabase } from './harness.ts';
import { createTable } from './define.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());

const LONG = 'x'.repeat(400);
const streams = (): string[] => readdirSync(join(db.dataDir, 'wal')).filter((name) => name.startsWith('stream-'));
const newTable = async (name: string): Promise<Table> =>
  (await createTable(db.tiers.database, tableDef(name, noPartition)))!;

/** Upserts rows [from, to) with `v`, and lets what is complete go on its way as COPY does. */
async function load(transaction: Transaction, table: Table, from: number, to: number, v: number): Promise<void> {
  for (let id = from; id < to; id += 2000) {
    const rows = Array.from({ length: Math.min(2000, to - id) }, (_, i) => [id + i, v, LONG] as const);
    await db.insert(transaction, table, rows, true);
    await streamRows(db.tiers.database, transaction, transaction.of(table));
  }
}

async function put(table: Table, from: number, to: number, v: number): Promise<void> {
  const transaction = db.tiers.database.begin(true);
  await load(transaction, table, from, to, v);
  await db.tiers.database.committer.commit(transaction);
}

const expectRows = async (table: Table, valueOf: (id: number) => number | null, end: number): Promise<void> => {
  const wanted: string[] = [];
  for (let id = 0; id < end; id++) if (valueOf(id) !== null) wanted.push(`${id}|${valueOf(id)}|${LONG}`);
  expect(await db.rows(table)).toEqual(wanted);
};

test('H1: a large transaction comes back from its stream, with what it replaced gone, and the stream goes with the log', async () => {
  const table = await newTable('s1');
  await put(table, 0, 1000, 1);
  const before = db.tiers.database.log.lastLsn;
  await put(table, 500, 20_500, 2);
  expect(db.tiers.database.log.lastLsn).toBe(before + 20_500);
  await put(table, 20_400, 20_600, 3);
  const valueOf = (id: number): number => (id < 500 ? 1 : id < 20_400 ? 2 : 3);
  await expectRows(table, valueOf, 20_600);
  expect(streams().length).toBe(1);
  await db.restart();
  await expectRows(db.table('s1'), valueOf, 20_600);
  await db.tiers.database.checkpoint();
  await db.tiers.database.trimLog();
  expect(streams()).toEqual([]);
});

test('a transaction whose own rows die again gives its stream up, and is written as any other', async () => {
  const table = await newTable('s2');
  const transaction = db.tiers.database.begin(true);
  await load(transaction, table, 0, 16_000, 1);
  expect(streams().length).toBe(1);
  await load(transaction, table, 100, 200, 2);
  await db.tiers.database.committer.commit(transaction);
  await db.restart();
  expect(streams()).toEqual([]);
  await expectRows(db.table('s2'), (id) => (id >= 100 && id < 200 ? 2 : 1), 16_000);
});

test('a disk without room for all frames of a transaction is 53100 that leaves nothing, and does not wait for room', async () => {
  const table = await newTable('s6');
  const { database } = db.tiers;
  const { log } = database;
  log.reserve = () => Promise.resolve(false);
  await expect(put(table, 0, 4000, 1)).rejects.toMatchObject({ code: '53100' });
  Reflect.deleteProperty(log, 'reserve');
  const { append } = log;
  log.append = () => {
    Object.defineProperty(log, 'full', { value: true, configurable: true });
    return false;
  };
  await expect(put(table, 0, 100, 1)).rejects.toMatchObject({ code: '53100' });
  log.append = append;
  Reflect.deleteProperty(log, 'full');
  await put(table, 0, 10, 2);
  await db.restart();
  await expectRows(db.table('s6'), (id) => (id < 10 ? 2 : null), 4000);
});

test('rows that a rollback to a savepoint took back do not come from the stream, those before and after it do', async () => {
  const table = await newTable('s5');
  const transaction = db.tiers.database.begin(true);
  await load(transaction, table, 0, 16_000, 1);
  transaction.savepoint();
  await load(transaction, table, 16_000, 32_000, 2);
  transaction.rollbackTo(0);
  await load(transaction, table, 20_000, 36_000, 3);
  expect(streams().length).toBe(1);
  await db.tiers.database.committer.commit(transaction);
  const valueOf = (id: number): number | null => (id < 16_000 ? 1 : id < 20_000 ? null : 3);
  await expectRows(table, valueOf, 36_000);
  await db.restart();
  await expectRows(db.table('s5'), valueOf, 36_000);
  await db.tiers.database.checkpoint();
  await db.tiers.database.trimLog();
});

test('H1: a large transaction that is rolled back, or under way at a stop, leaves neither rows nor a stream', async () => {
  const table = await newTable('s3');
  const transaction = db.tiers.database.begin(true);
  await load(transaction, table, 0, 16_000, 1);
  transaction.finish();
  await put(table, 0, 10, 5);
  await expect.poll(streams).toEqual([]); // by the log's thread, in its time
  const open = db.tiers.database.begin(true);
  await load(open, table, 100, 16_000, 1);
  await db.restart();
  expect(streams()).toEqual([]);
  await expectRows(db.table('s3'), () => 5, 10);
});

test('H1: with a full disk, where no checkpoint can be written, a start has the stream of every frame that it may meet', async () => {
  const { database } = db.tiers;
  // The log begins with the stream's frame, and no checkpoint says that the idle table needs nothing of it.
  await database.checkpoint();
  const table = await newTable('full');
  const idle = await newTable('idle');
  await put(table, 0, 20_000, 1);
  await put(idle, 0, 10, 2);
  expect(streams().length).toBe(1);
  const { log } = database;
  Object.defineProperty(log, 'full', { configurable: true, get: () => true });
  await database.commit(table, 'test');
  await database.trimLog();
  expect(streams().length).toBe(1);
  Reflect.deleteProperty(log, 'full');
  await database.trimLog();
  expect(streams()).toEqual([]);
  await db.restart();
  await expectRows(db.table('idle'), () => 2, 10);
});
