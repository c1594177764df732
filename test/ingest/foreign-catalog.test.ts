/** What another client does to a table's entry in the catalog while the server runs: rollback, drop, replace, rename, restore (C6, M-4). */
import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Table } from '../../src/storage/table.ts';
import { duckdb } from '../iceberg/harness.ts';
import { foreignRollback, foreignTable, inCatalog } from '../iceberg/foreign.ts';
import { noPartition, tableDef, TestDatabase } from './harness.ts';
import { createTable } from './define.ts';

let db: TestDatabase;
let table: Table;
beforeEach(async () => {
  db = await TestDatabase.create();
  await createTable(db.tiers.database, tableDef('other', noPartition));
});
afterEach(() => db.destroy());

const write = (to: Table, ids: readonly number[], v = 1): Promise<void> =>
  db.transact((transaction) =>
    db.insert(
      transaction,
      to,
      ids.map((id) => [id, v, 'x'] as const),
      to.keyed,
    ),
  );
const remove = (where: string): Promise<void> =>
  db.transact(async (transaction) => void (await db.delete(transaction, table, where)));
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const rows = async (of = table): Promise<string[]> =>
  (await db.rows(of)).map((row) => row.split('|').slice(0, 2).join('='));
const commit = (): Promise<void> => db.tiers.database.commit(table, 'test');
const flush = (): Promise<void> => db.tiers.database.flush(table, 'test');

/** The other table is as good as before. */
async function othersWork(): Promise<void> {
  const other = db.table('other');
  await write(other, [1, 2]);
  await db.tiers.database.checkpoint();
  expect(await rows(other)).toEqual(['1=1', '2=1']);
}

const SEEN = [
  ['a refresh', () => db.tiers.database.refresh(table)],
  ['the next commit', commit],
] as const;

describe.each([true, false])('with a key: %s', (keyed) => {
  beforeEach(async () => {
    const def = tableDef('t', noPartition, keyed);
    table = (await createTable(db.tiers.database, def))!;
  });

  test.each(SEEN)(
    'C6: a rollback is taken over by %s: committed rows and deletes go, what is pending stays, also after a restart',
    async (_, see) => {
      await write(table, range(0, 6));
      await commit();
      const { snapshotId } = table;
      await remove('id IN (0, 1)');
      await write(table, [10], 2);
      await commit();
      await remove('id = 2');
      await flush();
      await remove('id = 3');
      await write(table, [11], 3);
      await foreignRollback(db.dataDir, 't', snapshotId!);
      const open = db.begin();
      await db.delete(open, table, 'id = 4');
      await see();
      await db.commit(open);
      const expected = ['0=1', '1=1', '5=1', '11=3'];
      expect(await rows()).toEqual(expected);
      await write(table, [12]);
      await commit();
      expect(await rows()).toEqual([...expected, '12=1']);
      await othersWork();
      await db.restart();
      table = db.table('t');
      expect(table.detached).toBeNull();
      expect(await rows()).toEqual([...expected, '12=1']);
    },
  );
});

describe('a table', () => {
  beforeEach(async () => {
    table = (await createTable(db.tiers.database, tableDef('t', noPartition)))!;
    await write(table, range(0, 5));
    await commit();
  });

  const pending = async (): Promise<void> => {
    await write(table, [5, 6]);
    await flush();
    await write(table, [7]);
  };
  const drop = (): void => inCatalog(db.dataDir, (catalog) => catalog.remove('public', 't'));
  async function lostIds(): Promise<number[]> {
    const folder = join(db.dataDir, 'lost', table.def.uuid);
    const files = readdirSync(folder).filter((name) => name.endsWith('.parquet'));
    const list = files.map((name) => `'${join(folder, name)}'`).join(', ');
    return (await duckdb(`SELECT id FROM read_parquet([${list}]) ORDER BY 1`)).map(([id]) => Number(id));
  }

  test.each(SEEN)(
    'M-4: that another client drops is gone after %s; its uncommitted rows are in DATA_DIR/lost, and arka.commits says so',
    async (_, see) => {
      await pending();
      const { database } = db.tiers;
      drop();
      const open = db.begin();
      await db.insert(open, table, [[8, 1, 'x']]);
      await see();
      await expect(db.commit(open)).rejects.toMatchObject({ code: '42P01' });
      expect(database.table('public', 't')).toBeUndefined();
      expect(await lostIds()).toEqual([5, 6, 7]);
      expect(database.commits.at(-1)).toMatchObject({ table: 'public.t', snapshotId: null, rows: 3, trigger: 'lost' });
      expect(database.commits.at(-1)!.warning).toContain(table.def.uuid);
      await othersWork();
      expect(database.retention.trimTo(false)).toBe(database.committer.appliedLsn + 1);
      expect((await createTable(database, tableDef('t', noPartition)))?.def.name).toBe('t');
      await db.restart();
      expect(db.tiers.database.commits).toEqual([]);
      expect(await rows(db.table('t'))).toEqual([]);
    },
  );

  test('that another client drops with nothing uncommitted leaves nothing behind', async () => {
    drop();
    await db.tiers.database.refresh(table);
    expect(db.tiers.database.table('public', 't')).toBeUndefined();
    expect(() => readdirSync(join(db.dataDir, 'lost'))).toThrow('ENOENT');
    expect(db.tiers.database.commits.some(({ trigger }) => trigger === 'lost')).toBe(false);
  });

  test.each(SEEN)('M-4: that another client replaces is the other one after %s', async (_, see) => {
    await pending();
    const { database } = db.tiers;
    drop();
    const def = { ...tableDef('t', noPartition), uuid: randomUUID() };
    await foreignTable(db.dataDir, def);
    await see();
    expect(await lostIds()).toEqual([5, 6, 7]);
    const theirs = db.table('t');
    expect(theirs.def.uuid).toBe(def.uuid);
    await write(theirs, [1]);
    await database.commit(theirs, 'test');
    expect(await rows(theirs)).toEqual(['1=1']);
    await othersWork();
    await db.restart();
    expect(await rows(db.table('t'))).toEqual(['1=1']);
  });

  test.each(SEEN)('that another client renames has the new name after %s, and every row', async (_, see) => {
    await pending();
    inCatalog(db.dataDir, (catalog) =>
      catalog.rename({ schema: 'public', name: 't' }, { schema: 'public', name: 'u' }),
    );
    await see();
    expect(db.tiers.database.table('public', 't')).toBeUndefined();
    expect(db.table('u')).toBe(table);
    expect(await rows()).toEqual(range(0, 8).map((id) => `${id}=1`));
    await commit();
    await db.restart();
    expect(await rows(db.table('u'))).toEqual(range(0, 8).map((id) => `${id}=1`));
  });

  test.each(SEEN)(
    'C6: of which the catalog goes back is read-only with 55000 after %s, and loses nothing',
    async (_, see) => {
      const older = table.metadataLocation;
      await write(table, [10]);
      await commit();
      await pending();
      const { database } = db.tiers;
      inCatalog(db.dataDir, (catalog) => catalog.swap('public', 't', table.metadataLocation, older));
      await see();
      expect(table.detached).toMatchObject({ reason: 'catalog' });
      await expect(write(table, [20])).rejects.toMatchObject({
        code: '55000',
        message: expect.stringContaining('catalog of table "public"."t" went back'),
      });
      expect(await rows()).toHaveLength(9);
      await commit();
      await othersWork();
      inCatalog(db.dataDir, (catalog) =>
        catalog.swap('public', 't', older, database.table('public', 't')!.metadataLocation),
      );
      await db.restart();
      table = db.table('t');
      expect(table.detached).toBeNull();
      expect(await rows()).toHaveLength(9);
    },
  );
});

test('M-14: a commit waits for another client that has the catalog, and takes place when it is done', async () => {
  await write(db.table('other'), [1, 2]);
  const theirs = new DatabaseSync(join(db.dataDir, 'catalog.db'));
  theirs.exec('BEGIN IMMEDIATE');
  const committed = db.tiers.database.commit(db.table('other'), 'test');
  await new Promise<void>((resolve) => setTimeout(resolve, 50));
  expect(db.table('other').committedLsn).toBe(0);
  theirs.exec('ROLLBACK');
  theirs.close();
  await committed;
  expect(db.table('other').committedLsn).toBeGreaterThan(0);
  expect(await rows(db.table('other'))).toEqual(['1=1', '2=1']);
});
