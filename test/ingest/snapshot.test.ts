/** REPEATABLE READ: one Version of all tables, whatever others write and wherever rows move meanwhile. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Snapshot } from '../../src/ingest/snapshot.ts';
import type { Transaction } from '../../src/ingest/transaction.ts';
import { vacuumFull } from '../../src/ingest/vacuum.ts';
import type { Table } from '../../src/storage/table.ts';
import { TestDatabase } from './harness.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

async function repeatable(): Promise<Transaction> {
  const transaction = db.tiers.database.begin(true);
  transaction.snapshot = await Snapshot.take(db.tiers.database);
  return transaction;
}

const put = (transaction: Transaction, table: Table, ids: readonly number[], v: number, upsert = true): Promise<void> =>
  db.insert(
    transaction,
    table,
    ids.map((id) => [id, v, null] as const),
    upsert,
  );

type Step =
  | { readonly kind: 'upsert' | 'delete' | 'own delete' | 'own insert'; readonly from: number; readonly count: number }
  | { readonly kind: 'flush' | 'commit' | 'rewrite' };

const KEYS = 30;
const from = fc.integer({ min: 0, max: KEYS });
const count = fc.integer({ min: 1, max: 6 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('upsert' as const), from, count }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), from, count }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('own delete' as const), from, count }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('own insert' as const), from, count }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom('flush' as const, 'commit' as const, 'rewrite' as const) }),
  },
);
const textOf = (rows: ReadonlyMap<number, number>): string[] =>
  [...rows].sort(([a], [b]) => a - b).map(([id, v]) => `${id}|${v}|null`);

/** One transaction of REPEATABLE READ beside others, which leave alone the keys that it has locked. */
async function run(steps: readonly Step[]): Promise<void> {
  const { database } = db.tiers;
  const table = await db.newTable();
  const before = database.begin(true);
  await put(before, table, range(0, KEYS / 2), 0);
  await db.commit(before);
  const now = new Map(range(0, KEYS / 2).map((id) => [id, 0]));
  const transaction = await repeatable();
  try {
    await beside(table, transaction, now, steps);
  } finally {
    transaction.finish();
  }
  expect(table.changes).toBe(null);
  expect(database.memory.pins.active).toBe(0);
}

async function beside(
  table: Table,
  transaction: Transaction,
  now: Map<number, number>,
  steps: readonly Step[],
): Promise<void> {
  const { database } = db.tiers;
  const seen = new Map(now);
  const changed = new Set<number>();
  const locked = new Set<number>();
  let v = 0;
  for (const each of steps) {
    v++;
    if (each.kind === 'flush') await database.flush(table, 'test');
    else if (each.kind === 'commit') await database.commit(table, 'test');
    else if (each.kind === 'rewrite') await vacuumFull(database, table);
    else if ('from' in each) {
      const ids = range(each.from, each.count);
      const free = ids.filter((id) => !locked.has(id));
      if (each.kind === 'upsert' && free.length > 0) {
        const other = database.begin(true);
        await put(other, table, free, v);
        await db.commit(other);
        for (const id of free) {
          if (now.has(id)) changed.add(id);
          now.set(id, v);
        }
      } else if (each.kind === 'delete' && free.length > 0) {
        const other = database.begin(true);
        await db.delete(other, table, `id IN (${free.join()})`);
        await db.commit(other);
        for (const id of free) if (now.delete(id)) changed.add(id);
      } else if (each.kind === 'own delete') {
        const writing = db.delete(transaction, table, `id >= ${each.from} AND id < ${each.from + each.count}`);
        const mine = ids.filter((id) => seen.has(id));
        if (mine.some((id) => changed.has(id))) {
          await expect(writing).rejects.toMatchObject({ code: '40001' });
          break;
        }
        expect(await writing).toBe(mine.length);
        for (const id of mine) {
          seen.delete(id);
          locked.add(id);
          now.delete(id);
        }
      } else if (each.kind === 'own insert') {
        const fresh = ids.filter((id) => !now.has(id) && !seen.has(id));
        await put(transaction, table, fresh, v, false);
        for (const id of fresh) {
          seen.set(id, v);
          locked.add(id);
          now.set(id, v);
        }
      }
    }
    expect(await db.rows(table, transaction)).toEqual(textOf(seen));
  }
  expect(await db.rows(table, transaction)).toEqual(textOf(seen));
}

test('whatever others write and wherever rows move, a snapshot shows the same rows, and only unchanged ones are written', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), run), {
    numRuns: Number(process.env['MODEL_RUNS'] ?? 25),
  });
}, 600_000);

test('what it wrote on rows that moved is there after its commit, and after a restart', async () => {
  const { database } = db.tiers;
  const table = await db.newTable();
  const first = database.begin(true);
  await put(first, table, range(0, 10), 1);
  await db.commit(first);
  const transaction = await repeatable();
  await database.flush(table, 'test');
  expect(await db.delete(transaction, table, 'id < 3')).toBe(3);
  await put(transaction, table, [0, 1], 2, false);
  await database.commit(table, 'test');
  expect(await db.delete(transaction, table, 'id = 5')).toBe(1);
  const wanted = ['0|2|null', '1|2|null', ...[3, 4, 6, 7, 8, 9].map((id) => `${id}|1|null`)];
  expect(await db.rows(table, transaction)).toEqual(wanted);
  await db.commit(transaction);
  expect(await db.rows(table)).toEqual(wanted);
  await db.restart();
  expect(await db.rows(db.table(table.def.name))).toEqual(wanted);
});

test('H5: a snapshot that holds too much is given up with 72000, and the memory goes', async () => {
  const { database } = db.tiers;
  const table = await db.newTable();
  const first = database.begin(true);
  await put(first, table, range(0, 1000), 1);
  await db.commit(first);
  const transaction = await repeatable();
  expect((await db.rows(table, transaction)).length).toBe(1000);
  await database.flush(table, 'test');
  database.memory.warm.clear(); // else its rows are the copy of their file, and hold nobody up
  expect(database.memory.pins.heldBytes.memory).toBeGreaterThan(0);
  database.memory.pins.giveWay('memory', 0);
  await expect(db.rows(table, transaction)).rejects.toMatchObject({ code: '72000' });
  await expect(put(transaction, table, [1], 2)).rejects.toMatchObject({ code: '72000' });
  expect(database.memory.pins.heldBytes.memory).toBe(0);
  transaction.finish();
  expect((await db.rows(table)).length).toBe(1000);
});

test('without a key, a row that moved since the snapshot is not written', async () => {
  const { database } = db.tiers;
  const table = await db.newTable(false, false);
  const first = database.begin(true);
  await put(first, table, [1, 1, 2], 1);
  await db.commit(first);
  const transaction = await repeatable();
  expect(await db.delete(transaction, table, 'id = 2')).toBe(1);
  await database.flush(table, 'test');
  expect(await db.rows(table, transaction)).toEqual(['1|1|null', '1|1|null']);
  await expect(db.delete(transaction, table, 'id = 1')).rejects.toMatchObject({ code: '40001' });
  await db.commit(transaction);
  expect(await db.rows(table)).toEqual(['1|1|null', '1|1|null']);
});
