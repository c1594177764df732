/** Transactions of many rows, whose keys are locked by an index of their own, beside small ones on the same keys. */
import fc from 'fast-check';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Transaction } from '../../src/ingest/transaction.ts';
import type { Table } from '../../src/storage/table.ts';
import { TestDatabase } from './harness.ts';

/** More rows than a transaction keeps in the lock table. */
const MANY = 2500;

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

async function insert(
  transaction: Transaction,
  table: Table,
  ids: readonly number[],
  v: number,
  upsert = false,
): Promise<void> {
  await db.insert(
    transaction,
    table,
    ids.map((id) => [id, v, null] as const),
    upsert,
  );
}

const put = (table: Table, ids: readonly number[], v: number, upsert = false): Promise<void> =>
  db.transact((transaction) => insert(transaction, table, ids, v, upsert));

/** Of each value how many rows have it. */
async function counts(table: Table, transaction: Transaction | null = null): Promise<Record<string, number>> {
  const out: Record<string, number> = {};
  const seen = new Set<string>();
  for (const row of await db.rows(table, transaction)) {
    const [id, v] = row.split('|');
    expect(seen.has(id!)).toBe(false);
    seen.add(id!);
    out[v!] = (out[v!] ?? 0) + 1;
  }
  return out;
}

afterEach(() => db.dropAll());

describe.each([false, true])('partitioned: %s', (partitioned) => {
  test('a key of a large transaction is 23505 for the next after its commit, and free after its rollback', async () => {
    const table = await db.newTable(partitioned);
    for (const ending of ['rollback', 'commit'] as const) {
      const large = db.begin();
      await insert(large, table, range(0, MANY), 1);
      const small = db.begin();
      let answered = false;
      const waiting = insert(small, table, [1234], 2).finally(() => {
        answered = true;
      });
      waiting.catch(() => {});
      await sleep(20);
      expect(answered).toBe(false);
      if (ending === 'commit') {
        await db.commit(large);
        await expect(waiting).rejects.toMatchObject({
          code: '23505',
          fields: { detail: 'Key (id)=(1234) already exists.' },
        });
      } else {
        large.finish();
        await waiting;
      }
      small.finish();
    }
    expect(await counts(table)).toEqual({ 1: MANY });
    await expect(put(table, [MANY - 1], 3)).rejects.toMatchObject({ code: '23505' });
  });

  test('a large transaction waits for the keys of small and of large ones', async () => {
    const table = await db.newTable(partitioned);
    for (const size of [1, MANY]) {
      const first = db.begin();
      await insert(first, table, range(5000, size), 1, true);
      const second = db.begin();
      const waiting = insert(second, table, range(3000, MANY), 2, true);
      await sleep(20);
      await db.commit(first);
      await waiting;
      await db.commit(second);
    }
    expect(await counts(table)).toEqual({ 1: MANY - 500, 2: MANY });
  });

  test("two large transactions that want each other's keys: one ends with 40P01, the other goes on", async () => {
    const table = await db.newTable(partitioned);
    const [one, two] = [db.begin(), db.begin()];
    await insert(one, table, range(0, MANY), 1);
    await insert(two, table, range(10_000, MANY), 2);
    const results = await Promise.allSettled(
      (
        [
          [one, 10_000],
          [two, 0],
        ] as const
      ).map(async ([transaction, from]) => {
        try {
          await insert(transaction, table, [from + 7], 3);
          await db.commit(transaction);
        } catch (error) {
          transaction.finish();
          throw error;
        }
      }),
    );
    const failed = results.filter((result) => result.status === 'rejected');
    expect(failed.map(({ reason }) => (reason as { code: string }).code)).toEqual(['40P01']);
    expect((await db.rows(table)).length).toBe(MANY + 1);
  });

  test('own rows of a large transaction are found, replaced, deleted and written again, before and after it grew', async () => {
    const table = await db.newTable(partitioned);
    await put(table, range(0, 4000), 0);
    const transaction = db.begin();
    await insert(transaction, table, range(0, 10), 1, true);
    expect(await db.delete(transaction, table, 'id >= 5 AND id < 15')).toBe(10);
    await insert(transaction, table, range(10, 5), 2); // deleted by it: no duplicates
    await expect(put(table, [3999], 9)).rejects.toMatchObject({ code: '23505' });
    await insert(transaction, table, range(1000, MANY), 3, true);
    await insert(transaction, table, range(1000, 100), 4, true);
    expect(await db.delete(transaction, table, 'id >= 1050 AND id < 1200')).toBe(150);
    await insert(transaction, table, range(1100, 50), 5);
    await insert(transaction, table, range(5, 2), 6);
    const own = { 0: 4000 - 15 - MANY, 1: 5, 2: 5, 3: MANY - 200, 4: 50, 5: 50, 6: 2 };
    expect(await counts(table, transaction)).toEqual(own);
    expect(await counts(table)).toEqual({ 0: 4000 });
    await db.commit(transaction);
    expect(await counts(table)).toEqual(own);
    // what it deleted is free, what it wrote is not
    await put(table, [1060, 7], 7);
    await expect(put(table, [1149], 7)).rejects.toMatchObject({ code: '23505' });
    await put(table, range(0, 5000), 8, true);
    expect(await counts(table)).toEqual({ 8: 5000 });
    await db.restart();
    expect(await counts(db.table(table.def.name))).toEqual({ 8: 5000 });
  });

  test('rows of large transactions are found by key while their indexes are moved, and after every move of the rows', async () => {
    const table = await db.newTable(partitioned);
    await put(table, range(0, 6000), 0);
    for (let round = 1; round <= 6; round++) {
      await put(table, range(round * 500, MANY), round, true);
      await put(table, [0, round], round, true);
      await expect(put(table, [5999 - round], 9)).rejects.toMatchObject({ code: '23505' });
      if (round % 3 === 0) await db.tiers.database.flush(table, 'test');
    }
    expect((await db.rows(table)).length).toBe(6000);
    const { index } = table.generations[0]!;
    for (let i = 0; i < 200; i++) await put(table, [i], 10, true);
    expect(index.segments).toBe(0);
    expect((await counts(table))[10]).toBe(200);
  });
});

type Step = { readonly ids: readonly number[]; readonly ending: 'commit' | 'rollback'; readonly again: boolean };

/** Some are beyond the size that gets an index of its own. */
const step: fc.Arbitrary<Step> = fc.record({
  ids: fc
    .tuple(fc.integer({ min: 0, max: 3000 }), fc.constantFrom(1, 3, 40, MANY))
    .map(([from, count]) => range(from, count)),
  ending: fc.constantFrom('commit', 'commit', 'commit', 'rollback'),
  again: fc.boolean(),
});

test('of large and small upserts and deletes side by side each key has the value of its last commit', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(step, { minLength: 2, maxLength: 6 }), { minLength: 2, maxLength: 4 }),
      fc.boolean(),
      async (sessions, partitioned) => {
        const table = await db.newTable(partitioned);
        const last = new Map<number, number>();
        let counter = 0;
        const session = async (steps: readonly Step[]): Promise<void> => {
          for (const { ids, ending, again } of steps) {
            const v = ++counter;
            const transaction = db.begin();
            try {
              await insert(transaction, table, ids, v, true);
              const low = ids[0]!;
              if (again) {
                await db.delete(transaction, table, `id >= ${low} AND id < ${low + 20} AND v = ${v}`);
                await insert(transaction, table, ids.slice(0, 10), v, true);
              }
              if (ending === 'rollback') transaction.finish();
              else {
                const committed = db.commit(transaction);
                ids.forEach((id, i) => {
                  if (again && i >= 10 && i < 20) last.delete(id);
                  else last.set(id, v);
                });
                await committed;
              }
            } catch (error) {
              if (transaction.state !== 'done') transaction.finish();
              if ((error as { code?: string }).code !== '40P01') throw error;
            }
          }
        };
        let finished = false;
        const mover = async (): Promise<void> => {
          for (let i = 0; !finished; i++) {
            await sleep(15);
            if (i % 2 === 0) await db.tiers.database.flush(table, 'test');
            else await db.tiers.database.commit(table, 'test');
          }
        };
        const moving = mover();
        try {
          await Promise.all(sessions.map(session));
        } finally {
          finished = true;
          await moving;
        }
        const expected = [...last].sort(([a], [b]) => a - b).map(([id, v]) => `${id}|${v}|null`);
        expect(await db.rows(table)).toEqual(expected);
      },
    ),
    { numRuns: Number(process.env['MODEL_RUNS'] ?? 8) },
  );
}, 600_000);
