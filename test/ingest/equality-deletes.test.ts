/** H14: equality deletes, as Flink's upserts commit them, are positions here once their snapshot is taken over. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { joined } from '../../src/ingest/equality-deletes.ts';
import { toLocalPath } from '../../src/storage/iceberg/paths.ts';
import type { Table } from '../../src/storage/table.ts';
import { duckdb } from '../iceberg/harness.ts';
import {
  foreignCompaction,
  foreignDelete,
  foreignEqualityDelete,
  foreignFile,
  foreignRollback,
} from '../iceberg/foreign.ts';
import { footerFlipped } from './damage.ts';
import { TestDatabase } from './harness.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());

async function committed(partitioned = false, keyed = true, ids: readonly number[] = [1, 2, 3]): Promise<Table> {
  const table = await db.newTable(partitioned, keyed);
  await db.transact((transaction) =>
    db.insert(
      transaction,
      table,
      ids.map((id) => [id, id, 'old'] as const),
    ),
  );
  await db.tiers.database.commit(table, 'test');
  return table;
}
const upsert = (table: Table, id: number, v: number): Promise<void> =>
  db.transact((transaction) => db.insert(transaction, table, [[id, v, 'new']], true));
const theirDelete = (table: Table, by: readonly number[] | string): Promise<void> =>
  foreignEqualityDelete(db.dataDir, table.def.name, by);
/** How often the engine looked for rows by value meanwhile, and in how many data files. */
async function searches(work: () => Promise<unknown>): Promise<number[]> {
  const { engine } = db.tiers.database;
  const files: number[] = [];
  const watched = new Proxy(engine, {
    get: (_, method: keyof typeof engine) =>
      method !== 'equalityPositions'
        ? engine[method]
        : (request: Parameters<typeof engine.equalityPositions>[0]) => {
            files.push(request.files.length);
            return engine.equalityPositions(request);
          },
  });
  Object.assign(db.tiers.database, { engine: watched });
  try {
    await work();
  } finally {
    Object.assign(db.tiers.database, { engine });
  }
  return files;
}

test('H14: rows that they delete are gone after a refresh and after a start, and later ones of the same key are not', async () => {
  const { database } = db.tiers;
  const table = await committed();
  await theirDelete(table, [2, 3, 4]);
  expect(await db.rows(table)).toEqual(['1|1|old', '2|2|old', '3|3|old']);
  await database.refresh(table);
  expect(await db.rows(table)).toEqual(['1|1|old']);
  await foreignFile(db.dataDir, table.def.name, table.files[0]!.info, "SELECT * FROM (VALUES (3, 30, 'theirs'))");
  await database.refresh(table);
  await upsert(table, 2, 20);
  await upsert(table, 4, 40);
  const expected = ['1|1|old', '2|20|new', '3|30|theirs', '4|40|new'];
  expect(await db.rows(table)).toEqual(expected);
  await database.commit(table, 'test');
  expect(await db.rows(table)).toEqual(expected);
  await db.restart();
  expect(await db.rows(db.table(table.def.name))).toEqual(expected);
});

test('H14: a pending upsert of a key that they delete leaves one live row, whoever commits first', async () => {
  const { database } = db.tiers;
  const table = await committed();
  await upsert(table, 2, 20);
  await theirDelete(table, [2, 3]);
  await database.commit(table, 'test'); // and takes theirs over
  expect(await db.rows(table)).toEqual(['1|1|old', '2|20|new']);
  await theirDelete(table, [2]);
  await upsert(table, 2, 21);
  await database.refresh(table);
  expect(await db.rows(table)).toEqual(['1|1|old', '2|21|new']);
  await database.commit(table, 'test');
  await db.restart();
  expect(await db.rows(db.table(table.def.name))).toEqual(['1|1|old', '2|21|new']);
});

test('H14: one of a partition is for its data files alone, and one by another column or by NULL for the rows that have it', async () => {
  const { database } = db.tiers;
  const ids = Array.from({ length: 30 }, (_, i) => i);
  const table = await committed(true, true, ids);
  const place = table.files[0]!;
  const own = new Set((await duckdb(`SELECT id FROM read_parquet('${place.path}')`)).map(([id]) => Number(id)));
  await foreignEqualityDelete(db.dataDir, table.def.name, ids, [1], place.info.location);
  await database.refresh(table);
  const left = ids.filter((id) => !own.has(id));
  expect(await db.rows(table, null, 'id, v, name')).toEqual(left.map((id) => `${id}|${id}|old`));

  const other = await committed(false, false);
  await db.transact((transaction) => db.insert(transaction, other, [[4, null, 'old']]));
  await database.commit(other, 'test');
  await foreignEqualityDelete(db.dataDir, other.def.name, 'SELECT unnest([NULL, 3])::INTEGER AS v', [2]);
  await database.refresh(other);
  expect(await db.rows(other)).toEqual(['1|1|old', '2|2|old']);
  await foreignEqualityDelete(
    db.dataDir,
    other.def.name,
    `SELECT 1::BIGINT AS id, 'other' AS name UNION ALL SELECT 2, 'old'`,
    [1, 3],
  );
  await database.refresh(other);
  expect(await db.rows(other)).toEqual(['1|1|old']);
});

test('H14: a pair of a data file and a delete file is looked at once, and not at all where their bounds do not meet', async () => {
  const { database } = db.tiers;
  const table = await committed();
  const { info } = table.files[0]!;
  const refreshed = (): Promise<number[]> => searches(() => database.refresh(table));
  await theirDelete(table, [2]);
  expect(await refreshed()).toEqual([1]);
  await foreignFile(db.dataDir, table.def.name, info, "SELECT * FROM (VALUES (9, 9, 'theirs'))");
  expect(await refreshed()).toEqual([]);
  await theirDelete(table, [100, 200]);
  expect(await refreshed()).toEqual([1]); // the other writer said nothing of its own file's bounds
  await foreignDelete(db.dataDir, table.def.name, info.location, [0]);
  expect(await refreshed()).toEqual([]);
  expect(await db.rows(table)).toEqual(['3|3|old', '9|9|theirs']);
});

test('H14: what they delete of a file while it is rewritten stays deleted; so do their deletes of files that are', async () => {
  const { database } = db.tiers;
  const table = await committed();
  await theirDelete(table, [1]);
  await database.refresh(table);
  await upsert(table, 5, 5);
  await database.commit(table, 'test');
  const { engine } = database;
  const during = new Proxy(engine, {
    get: (_, method: keyof typeof engine) =>
      method !== 'writeParquet'
        ? engine[method]
        : async (request: Parameters<typeof engine.writeParquet>[0]) => {
            const written = await engine.writeParquet(request);
            await theirDelete(table, [3]);
            return written;
          },
  });
  Object.assign(database, { engine: during });
  try {
    expect(await database.rewrite(table, [[...table.files]], 'test')).toBe(true);
  } finally {
    Object.assign(database, { engine });
  }
  expect(await db.rows(table)).toEqual(['2|2|old', '5|5|new']);
  await db.restart();
  expect(await db.rows(db.table(table.def.name))).toEqual(['2|2|old', '5|5|new']);
});

test('H14: a rollback by another engine, or a compaction, takes them back or away', async () => {
  const { database } = db.tiers;
  const table = await committed();
  const before = table.snapshotId!;
  await theirDelete(table, [2]);
  await database.refresh(table);
  expect(await db.rows(table)).toEqual(['1|1|old', '3|3|old']);
  await foreignRollback(db.dataDir, table.def.name, before);
  await database.refresh(table);
  expect(await db.rows(table)).toEqual(['1|1|old', '2|2|old', '3|3|old']);
  await theirDelete(table, [3]);
  await database.refresh(table);
  await upsert(table, 2, 20);
  const all = "SELECT * FROM (VALUES (1, 1, 'old'), (2, 2, 'old'))";
  await foreignCompaction(db.dataDir, table.def.name, table.files[0]!.info, all);
  await database.commit(table, 'test');
  expect(await db.rows(table)).toEqual(['1|1|old', '2|20|new']);
});

test('H14: one that cannot be read detaches its table alone at a start, and one by a column that is gone is refused with 0A000', async () => {
  const [table, other] = [await committed(), await committed()];
  await theirDelete(table, [2]);
  const { database } = db.tiers;
  await database.refresh(table);
  const state = await database.lake.refresh({ tableUuid: table.def.uuid, metadataLocation: '' });
  const path = toLocalPath(state!.equality!.files[0]!.location);
  const undo = footerFlipped(path);
  await db.restart();
  expect(db.table(table.def.name).detached).toMatchObject({ reason: 'unreadable', code: 'XX001' });
  expect(db.table(table.def.name).detached!.message).toContain(path.slice(path.lastIndexOf('/') + 1));
  expect((await db.rows(db.table(other.def.name))).length).toBe(3);
  undo();
  await db.restart();
  expect(await db.rows(db.table(table.def.name))).toEqual(['1|1|old', '3|3|old']);
  await foreignEqualityDelete(db.dataDir, other.def.name, 'SELECT 1 AS gone', [77]);
  await expect(db.tiers.database.refresh(db.table(other.def.name))).rejects.toMatchObject({
    code: '0A000',
    message: 'reading Iceberg equality deletes by columns that the table does not have is not supported',
  });
  expect((await db.rows(db.table(other.def.name))).length).toBe(3);
});

const positions = fc.uniqueArray(fc.nat(50)).map((list) => Uint32Array.from(list).sort());
test('the union of two lists of positions has each once, in order', () => {
  fc.assert(
    fc.property(positions, positions, (left, right) => {
      const all = [...new Set([...left, ...right])].sort((a, b) => a - b);
      expect([...joined(left, right)]).toEqual(all);
    }),
  );
});
