/** M-3: what a transaction defines is in the catalog before its rows are in the log, whatever fails or crashes in between. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { commitDefinitions } from '../../src/ingest/commit-definitions.ts';
import { SchemaChanges } from '../../src/ingest/schema-changes.ts';
import type { Transaction } from '../../src/ingest/transaction.ts';
import type { LakeApi } from '../../src/storage/iceberg/lake-api.ts';
import type { Table } from '../../src/storage/table.ts';
import { noPartition, tableDef, TestDatabase } from './harness.ts';

let db: TestDatabase;
beforeEach(async () => {
  db = await TestDatabase.create();
});
afterEach(() => db.destroy());

function begin(): { readonly transaction: Transaction; readonly changes: SchemaChanges } {
  const { database } = db.tiers;
  const transaction = db.begin();
  const hold = database.locks.open(() => transaction);
  const changes = (transaction.definitions = new SchemaChanges(database, transaction, hold));
  return { transaction, changes };
}

/** A transaction that makes a table with rows, and writes to one that is there. */
async function makeTwo(old: Table): Promise<Transaction> {
  const { transaction, changes } = begin();
  const made = (await changes.createTable(tableDef('made', noPartition), false))!;
  await db.insert(transaction, made, [
    [1, 10, 'a'],
    [2, 20, 'b'],
  ]);
  await db.insert(transaction, old, [[7, 70, 'old']]);
  return transaction;
}

const commit = (transaction: Transaction): Promise<void> =>
  commitDefinitions(db.tiers.database, transaction, transaction.definitions!);

/** The lake thread carries definitions out otherwise; the answer ends that. */
function defining(define: (carryOut: LakeApi['define']) => LakeApi['define']): () => void {
  const { database } = db.tiers;
  const { lake } = database;
  const other = define((request) => lake.define(request));
  const replaced = new Proxy(lake, { get: (all, name) => (name === 'define' ? other : Reflect.get(all, name)) });
  Object.assign(database, { lake: replaced });
  return () => Object.assign(database, { lake });
}

test('M-3: a table and its rows are there after a restart, in log and catalog', async () => {
  const old = await db.newTable();
  await commit(await makeTwo(old));
  expect(await db.rows(db.table('made'))).toEqual(['1|10|a', '2|20|b']);
  for (let pass = 0; pass < 2; pass++) {
    await db.restart();
    expect(await db.rows(db.table('made'))).toEqual(['1|10|a', '2|20|b']);
    expect(await db.rows(db.table(old.def.name))).toEqual(['7|70|old']);
    await db.tiers.database.checkpoint();
  }
});

test('M-3: where the catalog refuses, nothing of the transaction is there, and its rows are in no log', async () => {
  const old = await db.newTable();
  const back = defining(() => () => Promise.reject(new Error('the catalog is away')));
  await expect(commit(await makeTwo(old))).rejects.toThrow('the catalog is away');
  back();
  expect(db.table('made')).toBeUndefined();
  expect(await db.rows(old)).toEqual([]);
  await commit(await makeTwo(old));
  await db.restart();
  expect(await db.rows(db.table('made'))).toEqual(['1|10|a', '2|20|b']);
  expect(await db.rows(db.table(old.def.name))).toEqual(['7|70|old']);
});

test('M-3: a crash after the catalog and before the log leaves the table without rows', async () => {
  const old = await db.newTable();
  defining((carryOut) => async (request) => {
    await carryOut(request);
    throw new Error('the process is gone');
  });
  await expect(commit(await makeTwo(old))).rejects.toThrow('the process is gone');
  await db.restart();
  expect(await db.rows(db.table('made'))).toEqual([]);
  expect(await db.rows(db.table(old.def.name))).toEqual([]);
  await db.transact((transaction) => db.insert(transaction, db.table('made'), [[3, 30, 'c']]));
  expect(await db.rows(db.table('made'))).toEqual(['3|30|c']);
});

test('M-3: rows that have no room are refused before the catalog hears of the definitions', async () => {
  const transaction = await makeTwo(await db.newTable());
  Object.defineProperty(db.tiers.database.log, 'full', { value: true, configurable: true });
  await expect(commit(transaction)).rejects.toMatchObject({ code: '53100' });
  Reflect.deleteProperty(db.tiers.database.log, 'full');
  expect(db.table('made')).toBeUndefined();
  await db.restart();
  expect(db.table('made')).toBeUndefined();
});

test('a transaction that drops a table, and makes another of that name, leaves the other one alone', async () => {
  const { database } = db.tiers;
  const first = (await database.createTable(tableDef('t', noPartition), false))!;
  await db.transact((transaction) => db.insert(transaction, first, [[1, 1, 'first']]));
  await database.checkpoint();
  const { transaction, changes } = begin();
  await db.insert(transaction, first, [[2, 2, 'first']]);
  changes.dropTable(first);
  const second = (await changes.createTable(tableDef('t', noPartition), false))!;
  await db.insert(transaction, second, [[1, 1, 'second']]);
  expect(db.table('t')).toBe(first);
  await commit(transaction);
  expect(first.dropped).toBe(true);
  expect(await db.rows(db.table('t'))).toEqual(['1|1|second']);
  await db.restart();
  expect(await db.rows(db.table('t'))).toEqual(['1|1|second']);
});

test('definitions and rows of a rolled back transaction give all memory back', async () => {
  const { database } = db.tiers;
  const old = await db.newTable();
  const used = (): number => database.memory.pool.usedBytes;
  const before = used();
  const { transaction, changes } = begin();
  const made = (await changes.createTable(tableDef('made', noPartition), false))!;
  await db.insert(transaction, made, [[1, 10, 'a']]);
  await db.insert(transaction, old, [[1, 10, 'a']]);
  transaction.savepoint();
  const more = (await changes.createTable(tableDef('more', noPartition), false))!;
  await db.insert(transaction, more, [[1, 10, 'a']]);
  transaction.rollbackTo(0);
  expect(database.tableOf(more.def.uuid)).toBeUndefined();
  transaction.finish();
  expect(database.tableOf(made.def.uuid)).toBeUndefined();
  expect(used() - before).toBeLessThanOrEqual(4096 * 8); // what pools of batches keep
});
