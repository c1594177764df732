/** C7: another engine rewrites data files while deletes of ours are on their way to Iceberg. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Table } from '../../src/storage/table.ts';
import { foreignFile } from '../iceberg/foreign.ts';
import { TestDatabase } from './harness.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());

/** Ids 0 to 9 with v = 0, in one committed file. */
async function committed(keyed: boolean): Promise<Table> {
  const table = await db.newTable(false, keyed);
  const transaction = db.begin();
  await db.insert(
    transaction,
    table,
    Array.from({ length: 10 }, (_, id) => [id, 0, `n${id}`] as const),
  );
  await db.commit(transaction);
  await db.tiers.database.commit(table, 'test');
  return table;
}

async function remove(table: Table, where: string): Promise<void> {
  const transaction = db.begin();
  await db.delete(transaction, table, where);
  await db.commit(transaction);
}

/** What a compaction by another engine does: the same rows in another order, in one file instead of those before. */
async function rewriteByAnother(table: Table, select: string): Promise<void> {
  const infos = table.files.filter((file) => file.tier === 'iceberg').map((file) => file.info);
  await foreignFile(
    db.dataDir,
    table.def.name,
    infos[0]!,
    select,
    infos.map(({ location }) => location),
  );
}
const SAME = `SELECT range, 0, 'n' || range FROM range(10) ORDER BY range DESC`;
const names = (ids: readonly number[]): string[] => ids.map((id) => `${id}|0|n${id}`);

afterEach(() => db.dropAll());

describe.each([true, false])('with a key: %s', (keyed) => {
  test('C7: rows deleted before another engine rewrites their files stay deleted, flushed or not, and by transactions under way', async () => {
    const table = await committed(keyed);
    const { database } = db.tiers;
    await remove(table, 'id < 2');
    await database.flush(table, 'test');
    await remove(table, 'id = 2');
    const open = db.begin();
    await db.delete(open, table, 'id = 3');
    await rewriteByAnother(table, SAME);
    await database.refresh(table);
    expect(await db.rows(table)).toEqual(names([3, 4, 5, 6, 7, 8, 9]));
    expect(await db.rows(table, open)).toEqual(names([4, 5, 6, 7, 8, 9]));
    await database.commit(table, 'test');
    await db.commit(open);
    await remove(table, 'id = 4');
    expect(await db.rows(table)).toEqual(names([5, 6, 7, 8, 9]));
    await database.commit(table, 'test');
    await db.restart();
    expect(await db.rows(db.table(table.def.name))).toEqual(names([5, 6, 7, 8, 9]));
  });

  test('C7: a commit that meets the rewrite finds the rows itself, and goes on', async () => {
    const table = await committed(keyed);
    await remove(table, 'id >= 5');
    await rewriteByAnother(table, SAME);
    await db.tiers.database.commit(table, 'test');
    expect(await db.rows(table)).toEqual(names([0, 1, 2, 3, 4]));
    expect(table.committedLsn).toBe(table.appliedLsn);
    await db.restart();
    expect(await db.rows(db.table(table.def.name))).toEqual(names([0, 1, 2, 3, 4]));
  });

  test('C7: a restart after the rewrite finds the rows by the log, also where a flush had their old positions', async () => {
    const table = await committed(keyed);
    await remove(table, 'id < 2');
    await db.tiers.database.flush(table, 'test');
    await remove(table, 'id = 2');
    await rewriteByAnother(table, SAME);
    await db.restart();
    expect(await db.rows(db.table(table.def.name))).toEqual(names([3, 4, 5, 6, 7, 8, 9]));
    await db.tiers.database.commit(db.table(table.def.name), 'test');
    expect(await db.rows(db.table(table.def.name))).toEqual(names([3, 4, 5, 6, 7, 8, 9]));
  });

  test('a row that the other engine has deleted as well is gone once, and its transaction ends with 40001', async () => {
    const table = await committed(keyed);
    await remove(table, 'id = 1');
    const open = db.begin();
    await db.delete(open, table, 'id = 2');
    await rewriteByAnother(table, `SELECT range, 0, 'n' || range FROM range(10) WHERE range NOT IN (1, 2)`);
    await db.tiers.database.commit(table, 'test');
    expect(await db.rows(table)).toEqual(names([0, 3, 4, 5, 6, 7, 8, 9]));
    await expect(db.commit(open)).rejects.toMatchObject({ code: '40001' });
    expect(await db.rows(table)).toEqual(names([0, 3, 4, 5, 6, 7, 8, 9]));
  });
});

/** A commit that takes place, and main does not hear of it. */
async function commitUnheard(table: Table): Promise<void> {
  const { database } = db.tiers;
  const { lake } = database;
  const deaf = new Proxy(lake, {
    get: (target, method: keyof typeof lake) =>
      method === 'commit'
        ? async (request: never) => {
            await target.commit(request);
            throw new Error('unheard');
          }
        : target[method],
  });
  Object.assign(database, { lake: deaf });
  try {
    await expect(database.commit(table, 'test')).rejects.toThrow('unheard');
  } finally {
    Object.assign(database, { lake });
  }
}

test.each([true, false])(
  'C7: rows whose commit went through unheard are there once when another engine has rewritten them, with a key: %s',
  async (keyed) => {
    const table = await db.newTable(false, keyed);
    const { database } = db.tiers;
    await db.transact((transaction) =>
      db.insert(
        transaction,
        table,
        Array.from({ length: 10 }, (_, id) => [id, 0, `n${id}`] as const),
      ),
    );
    await database.flush(table, 'test');
    const [staged] = table.files;
    await commitUnheard(table);
    expect(staged!.tier).toBe('disk');
    await remove(table, 'id = 3');
    await foreignFile(db.dataDir, table.def.name, staged!.info, SAME, [staged!.info.location]);
    await database.refresh(table);
    expect(await db.rows(table)).toEqual(names([0, 1, 2, 4, 5, 6, 7, 8, 9]));
    await database.commit(table, 'test');
    expect(await db.rows(table)).toEqual(names([0, 1, 2, 4, 5, 6, 7, 8, 9]));
    await db.restart();
    expect(await db.rows(db.table(table.def.name))).toEqual(names([0, 1, 2, 4, 5, 6, 7, 8, 9]));
  },
);

test('C3: a deletion whose commit went through unheard takes no equal row from what another engine has made of its file', async () => {
  const table = await db.newTable(false, false);
  const { database } = db.tiers;
  await db.transact((transaction) =>
    db.insert(
      transaction,
      table,
      Array.from({ length: 10 }, () => [7, null, 'same'] as const),
    ),
  );
  await database.commit(table, 'test');
  await remove(table, '__position IN (2, 3, 8)');
  await database.flush(table, 'test');
  await commitUnheard(table);
  await remove(table, '__position = 4');
  await rewriteByAnother(table, `SELECT 7, NULL, 'same' FROM range(7)`);
  await database.refresh(table);
  expect((await db.rows(table)).length).toBe(6);
  await database.commit(table, 'test');
  expect((await db.rows(table)).length).toBe(6);
  await db.restart();
  expect((await db.rows(db.table(table.def.name))).length).toBe(6);
});

test('C3: of equal rows without a key as many stay deleted as were', async () => {
  const table = await db.newTable(false, false);
  const transaction = db.begin();
  await db.insert(
    transaction,
    table,
    Array.from({ length: 10 }, () => [7, null, 'same'] as const),
  );
  await db.commit(transaction);
  await db.tiers.database.commit(table, 'test');
  await remove(table, '__position IN (2, 3, 8)');
  const open = db.begin();
  await db.delete(open, table, '__position IN (0, 9)');
  await rewriteByAnother(table, `SELECT 7, NULL, 'same' FROM range(10)`);
  await db.tiers.database.commit(table, 'test');
  expect((await db.rows(table)).length).toBe(7);
  await db.commit(open);
  expect((await db.rows(table)).length).toBe(5);
  await db.restart();
  expect((await db.rows(db.table(table.def.name))).length).toBe(5);
});
