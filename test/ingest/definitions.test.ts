/** M-3: what a transaction defines is in the catalog before its rows are in the log, whatever fails or crashes in between. */
import { cp, rename, rm } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SqlError } from '../../src/errors.ts';
import { alterWithin } from '../../src/ingest/alter-within.ts';
import { commitDefinitions } from '../../src/ingest/commit-definitions.ts';
import { reattachTable } from '../../src/ingest/reattach.ts';
import { SchemaChanges } from '../../src/ingest/schema-changes.ts';
import type { Transaction } from '../../src/ingest/transaction.ts';
import type { LakeApi } from '../../src/storage/iceberg/lake-api.ts';
import type { Table } from '../../src/storage/table.ts';
import type { TableDef } from '../../src/table-def.ts';
import { foreignFile } from '../iceberg/foreign.ts';
import { noPartition, tableDef, TestDatabase } from './harness.ts';
import { createSchema, createSequence, createTable, patient as patience } from './define.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

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
  const first = (await createTable(database, tableDef('t', noPartition)))!;
  await db.transact((transaction) => db.insert(transaction, first, [[1, 1, 'first']]));
  await database.checkpoint();
  const { transaction, changes } = begin();
  await db.insert(transaction, first, [[2, 2, 'first']]);
  await changes.dropTable(first, patience);
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

/** With a column more, `n int`, as ALTER TABLE makes it. */
function withColumn(def: TableDef): { readonly def: TableDef; readonly removed: readonly string[] } {
  const column = { name: 'n', fieldId: 4, attnum: 4, type: { oid: 23, typmod: -1 }, notNull: false, default: null };
  return { def: { ...def, columns: [...def.columns, column] }, removed: [] };
}

/** The process is gone before or after the lake has carried the definitions out: a start finds the disk as it was then. */
async function crashAt(when: 'before' | 'after', transaction: Transaction): Promise<void> {
  const { dataDir } = db;
  const asItWas = `${dataDir}-as-it-was`;
  defining((carryOut) => async (request) => {
    if (when === 'after') await carryOut(request);
    await cp(dataDir, asItWas, { recursive: true });
    throw new Error('the process is gone');
  });
  await expect(commit(transaction)).rejects.toThrow('the process is gone');
  await db.close();
  await rm(dataDir, { recursive: true });
  await rename(asItWas, dataDir);
  await db.open();
}

/** Two rows of before, one of the transaction from before ALTER TABLE. */
async function alterOne(table: Table): Promise<Transaction> {
  const { transaction, changes } = begin();
  await db.insert(transaction, table, [[3, 30, 'c']]);
  await db.delete(transaction, table, 'id = 1');
  await alterWithin({ database: db.tiers.database, changes, patience }, table, withColumn, () => Promise.resolve([]));
  return transaction;
}

async function tableOfTwo(): Promise<Table> {
  const table = await db.newTable();
  await db.transact((transaction) =>
    db.insert(transaction, table, [
      [1, 10, 'a'],
      [2, 20, 'b'],
    ]),
  );
  return table;
}

test('M-3: a column that a transaction adds is there with its rows, in log and catalog', async () => {
  const table = await tableOfTwo();
  const transaction = await alterOne(table);
  expect(table.committedDef?.columns.length).toBe(3);
  expect(await db.rows(table, transaction)).toEqual(['2|20|b', '3|30|c']);
  await commit(transaction);
  expect(table.committedDef).toBeNull();
  for (let pass = 0; pass < 2; pass++) {
    await db.restart();
    const restored = db.table(table.def.name);
    expect(restored.def.columns.map(({ name }) => name)).toEqual(['id', 'v', 'name', 'n']);
    expect(await db.rows(restored)).toEqual(['2|20|b', '3|30|c']);
    await db.tiers.database.checkpoint();
  }
});

test('M-3: a crash after the catalog and before the log leaves the column NULL, and the rows as they were', async () => {
  const table = await tableOfTwo();
  defining((carryOut) => async (request) => {
    await carryOut(request);
    throw new Error('the process is gone');
  });
  await expect(commit(await alterOne(table))).rejects.toThrow('the process is gone');
  await db.restart();
  const restored = db.table(table.def.name);
  expect(restored.def.columns.map(({ name }) => name)).toEqual(['id', 'v', 'name', 'n']);
  expect(await db.rows(restored)).toEqual(['1|10|a', '2|20|b']);
});

test('a table that was to be altered is as it was when the catalog refuses, and takes rows and flushes', async () => {
  const { database } = db.tiers;
  const table = await tableOfTwo();
  const back = defining(() => () => Promise.reject(new Error('the catalog is away')));
  await expect(commit(await alterOne(table))).rejects.toThrow('the catalog is away');
  back();
  expect(table.committedDef).toBeNull();
  expect(table.def.columns.length).toBe(3);
  await db.transact((transaction) => db.insert(transaction, table, [[1, 1, 'once more']], true));
  expect(await db.rows(table)).toEqual(['1|1|once more', '2|20|b']);
  await database.checkpoint();
  await db.restart();
  expect(await db.rows(db.table(table.def.name))).toEqual(['1|1|once more', '2|20|b']);
});

test('flushes, commits and rewrites beside a transaction that alters a table leave it alone', async () => {
  const { database } = db.tiers;
  const table = await tableOfTwo();
  await database.checkpoint();
  await db.transact((transaction) => db.insert(transaction, table, [[4, 40, 'd']]));
  await database.checkpoint();
  const transaction = await alterOne(table);
  await database.checkpoint();
  expect(await database.rewrite(table, [table.files], 'test')).toBe(false);
  await database.refresh(table);
  expect(await db.rows(table, transaction)).toEqual(['2|20|b', '3|30|c', '4|40|d']);
  await commit(transaction);
  expect(await database.rewrite(table, [table.files], 'test')).toBe(true);
  await db.restart();
  expect(await db.rows(db.table(table.def.name))).toEqual(['2|20|b', '3|30|c', '4|40|d']);
});

/** The next value of a sequence, once it may leave. */
async function draw(name: string): Promise<number> {
  const sequence = db.tiers.database.sequences.named('public', name)!;
  const value = sequence.next();
  await sequence.saving;
  return Number(value);
}

/** A table whose sequence has come beyond a block of values, and a transaction that begins both anew. */
async function restartedTable(): Promise<Transaction> {
  const { database } = db.tiers;
  const table = (await createTable(database, tableDef('t', noPartition)))!;
  await createSequence(database, { schema: 'public', name: 's' });
  database.sequences.named('public', 's')!.set(5000n, true);
  await db.transact(async (transaction) => {
    for (let i = 0; i < 3; i++) await db.insert(transaction, table, [[await draw('s'), 0, 'before']]);
  });
  const { transaction, changes } = begin();
  await changes.restartSequence(database.sequences.named('public', 's')!, patience);
  await db.delete(transaction, table, 'true');
  await db.insert(transaction, table, [[await draw('s'), 0, 'after']]);
  return transaction;
}

test('M-5: a sequence that a transaction restarts goes on from its start, also after a restart of the server', async () => {
  await commit(await restartedTable());
  expect(await draw('s')).toBe(2);
  await db.restart();
  expect(await db.rows(db.table('t'))).toEqual(['1|0|after']);
  expect(await draw('s')).toBe(3);
});

test('M-5: a crash after the catalog and before the log does not take a restarted sequence back below the rows', async () => {
  await crashAt('after', await restartedTable());
  expect(await db.rows(db.table('t'))).toEqual(['5001|0|before', '5002|0|before', '5003|0|before']);
  expect(await draw('s')).toBeGreaterThan(5003);
});

test('a crash while a schema is renamed leaves it under one of its names, with all that is in it', async () => {
  for (const isLate of [false, true]) {
    const { database } = db.tiers;
    const name = isLate ? 'late' : 'early';
    await createSchema(database, name);
    const def = { ...tableDef('t', noPartition), schema: name };
    const table = (await createTable(database, def))!;
    await createSequence(database, { schema: name, name: 's' });
    await db.transact((transaction) => db.insert(transaction, table, [[1, 10, 'a']]));
    const { transaction, changes } = begin();
    await changes.renameSchema(name, 'other', patience);
    await crashAt(isLate ? 'after' : 'before', transaction);
    const [is, was] = isLate ? ['other', name] : [name, 'other'];
    const { schemas, sequences } = db.tiers.database;
    expect([schemas.has(is), schemas.has(was)]).toEqual([true, false]);
    expect(await db.rows(db.tiers.database.table(is, 't')!)).toEqual(['1|10|a']);
    expect([...sequences.all].map((each) => `${each.def.schema}.${each.def.name}`)).toContain(`${is}.s`);
    expect(sequences.named(was, 's')).toBeUndefined();
  }
});

/** Rows that another engine puts into a file of its own. */
async function appendByAnother(table: Table, id: number): Promise<void> {
  await foreignFile(db.dataDir, table.def.name, table.files[0]!.info, `SELECT ${id}, ${id}0, 'theirs'`);
}

test('D4: an ALTER goes on where another engine commits rows before its own commit, which then has both', async () => {
  const table = await tableOfTwo();
  await db.tiers.database.checkpoint();
  let commits = 0;
  const back = defining((carryOut) => async (request) => {
    if (commits++ < 2) await appendByAnother(table, 10 + commits);
    return carryOut(request);
  });
  await commit(await alterOne(table));
  back();
  expect(commits).toBe(3);
  const rows = ['2|20|b', '3|30|c', '11|110|theirs', '12|120|theirs'];
  expect(table.def.columns.length).toBe(4);
  expect(await db.rows(table)).toEqual(rows);
  await db.restart();
  expect(await db.rows(db.table(table.def.name))).toEqual(rows);
});

test('D4: another engine that is always faster makes it 40001, and nothing of the transaction is there', async () => {
  const table = await tableOfTwo();
  await db.tiers.database.checkpoint();
  let commits = 0;
  const back = defining((carryOut) => async (request) => {
    await appendByAnother(table, 10 + ++commits);
    return carryOut(request);
  });
  await expect(commit(await alterOne(table))).rejects.toMatchObject({ code: '40001' });
  back();
  expect(commits).toBe(10);
  expect(table.def.columns.length).toBe(3);
  await db.tiers.database.refresh(table);
  expect(await db.rows(table)).toHaveLength(12);
});

test.each([true, false])(
  'D5: a table of definitions of which nobody knows whether they took place is what the catalog has, once it answers (they did: %s)',
  async (tookPlace) => {
    const { database } = db.tiers;
    const altered = await tableOfTwo();
    const gone = (await createTable(database, tableDef('gone', noPartition)))!;
    await db.transact((transaction) => db.insert(transaction, gone, [[1, 1, 'there']]));
    const back = defining((carryOut) => async (request) => {
      if (tookPlace) await carryOut(request);
      throw new SqlError('08007', 'planted');
    });
    const transaction = await alterOne(altered);
    await transaction.definitions!.dropTable(gone, patience);
    await expect(commit(transaction)).rejects.toMatchObject({ code: '08007' });
    back();
    for (const table of [altered, gone]) {
      expect(() => db.begin().of(table)).toThrow('detached');
      expect(await reattachTable(database, table)).toBe(!tookPlace || table === altered);
    }
    expect(altered.def.columns.length).toBe(tookPlace ? 4 : 3);
    expect(gone.dropped).toBe(tookPlace);
    for (let pass = 0; pass < 2; pass++) {
      expect(await db.rows(db.table(altered.def.name))).toEqual(['1|10|a', '2|20|b']);
      if (!tookPlace) expect(await db.rows(db.table('gone'))).toEqual(['1|1|there']);
      if (pass > 0) break;
      await db.transact((writing) => db.insert(writing, db.table(altered.def.name), [[1, 10, 'a']], true));
      await db.restart();
    }
  },
);
