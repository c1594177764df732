/** Tables without a key: a row's name is its whole image, and equal rows stay distinct (C3). */
import fc from 'fast-check';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Table } from '../../src/storage/table.ts';
import { TestDatabase } from './harness.ts';
import { dropTable } from './define.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());

type Row = readonly [number, number | null, string | null];

async function put(table: Table, rows: readonly Row[]): Promise<void> {
  const transaction = db.begin();
  await db.insert(transaction, table, rows);
  await db.commit(transaction);
}

afterEach(() => db.dropAll());

type Step =
  | { readonly kind: 'insert' | 'rollback'; readonly rows: readonly Row[] }
  | {
      readonly kind: 'delete' | 'update';
      readonly id: number;
      readonly parity: number;
      readonly ending: 'commit' | 'rollback';
    }
  | { readonly kind: 'flush' | 'commit' | 'restart' };

/** Few different rows, many of them equal. */
const row = fc.tuple<[number, number | null, string | null]>(
  fc.integer({ min: 0, max: 3 }),
  fc.option(fc.integer({ min: 0, max: 1 })),
  fc.option(fc.constantFrom('', 'a', 'a text too long for twelve bytes')),
);
const rows = fc.array(row, { minLength: 1, maxLength: 12 });
const change = (kind: 'delete' | 'update') =>
  fc.record({
    kind: fc.constant(kind),
    id: fc.integer({ min: 0, max: 3 }),
    parity: fc.integer({ min: 0, max: 2 }),
    ending: fc.constantFrom('commit' as const, 'commit' as const, 'rollback' as const),
  });
const only = <K extends Step['kind']>(kind: K) => fc.record({ kind: fc.constant(kind) });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('insert' as const), rows }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rollback' as const), rows }) },
  { weight: 4, arbitrary: change('delete') },
  { weight: 2, arbitrary: change('update') },
  { weight: 2, arbitrary: only('flush') as fc.Arbitrary<Step> },
  { weight: 2, arbitrary: only('commit') as fc.Arbitrary<Step> },
  { weight: 2, arbitrary: only('restart') as fc.Arbitrary<Step> },
);

const textOf = ([id, v, name]: Row): string => `${id}|${v ?? 'null'}|${name ?? 'null'}`;
const rowOf = (text: string): Row => {
  const [id, v, name] = text.split('|');
  return [Number(id), v === 'null' ? null : Number(v), name === 'null' ? null : name!];
};

/** Carries the steps out beside a bag of rows; `parity` 0 and 1 take every other of equal rows, 2 takes all. */
async function run(steps: readonly Step[], partitioned: boolean): Promise<void> {
  const { name } = (await db.newTable(partitioned, false)).def;
  let bag: string[] = [];
  for (const each of steps) {
    const { database } = db.tiers;
    const table = db.table(name);
    switch (each.kind) {
      case 'flush':
        await database.flush(table, 'test');
        break;
      case 'commit':
        await database.commit(table, 'test');
        break;
      case 'restart':
        await db.restart();
        break;
      case 'insert':
      case 'rollback': {
        const transaction = db.begin();
        await db.insert(transaction, table, each.rows);
        if (each.kind === 'insert') {
          await db.commit(transaction);
          bag.push(...each.rows.map(textOf));
        } else transaction.finish();
        break;
      }
      default: {
        const transaction = db.begin();
        let seen: readonly string[] = [];
        const where = each.parity === 2 ? `id = ${each.id}` : `id = ${each.id} AND __position % 2 = ${each.parity}`;
        await db.delete(transaction, table, where, (texts) => {
          seen = texts;
        });
        const next = [...bag];
        for (const text of seen) {
          const at = next.indexOf(text);
          expect(at).toBeGreaterThanOrEqual(0);
          next.splice(at, 1);
        }
        if (each.kind === 'update') {
          // some become equal to others
          const changed = seen.map((text) => [rowOf(text)[0], 1, 'a'] as const);
          await db.insert(transaction, table, changed);
          next.push(...changed.map(textOf));
        }
        if (each.parity === 2 && each.kind === 'delete')
          expect(next.some((text) => text.startsWith(`${each.id}|`))).toBe(false);
        if (each.ending === 'commit') {
          await db.commit(transaction);
          bag = next;
        } else transaction.finish();
      }
    }
    expect((await db.rows(db.table(name))).sort()).toEqual([...bag].sort());
  }
  await dropTable(db.tiers.database, db.table(name));
}

test('any order of writes, deletions, flushes, commits and restarts leaves exactly the bag of rows, equal ones counted', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), fc.boolean(), run), {
    numRuns: Number(process.env['MODEL_RUNS'] ?? 15),
  });
}, 600_000);

test('C3: a row deleted from a committed file, by its image alone, stays deleted after a restart; its equals stay', async () => {
  const table = await db.newTable(false, false);
  const equal: Row = [1, 1, 'the same'];
  await put(table, [equal, equal, equal, [2, null, null], [2, null, null], [3, 3, 'other']]);
  await db.tiers.database.commit(table, 'test');
  await put(table, [equal, [2, null, null]]);
  const transaction = db.begin();
  expect(
    await db.delete(transaction, table, '(id = 1 AND __position = 0) OR (id = 2 AND __position = 4)'),
  ).toBeGreaterThan(1);
  await db.commit(transaction);
  const before = await db.rows(table);
  await db.restart();
  expect(await db.rows(db.table(table.def.name))).toEqual(before);
  await db.tiers.database.commit(db.table(table.def.name), 'test');
  await db.restart();
  expect(await db.rows(db.table(table.def.name))).toEqual(before);
});

test('many equal rows are deleted and replayed at the cost of their number', async () => {
  const table = await db.newTable(false, false);
  const same = Array.from({ length: 3000 }, (): Row => [7, 7, 'same']);
  for (let i = 0; i < 3; i++) await put(table, same);
  const transaction = db.begin();
  expect(await db.delete(transaction, table, '__position % 3 = 0')).toBe(3000);
  await db.commit(transaction);
  await db.restart();
  expect((await db.rows(db.table(table.def.name))).length).toBe(6000);
}, 60_000);

test('the second of two transactions that change one row waits for the first, and looks again', async () => {
  const table = await db.newTable(false, false);
  await put(table, [
    [1, 10, null],
    [1, 10, null],
  ]);
  const [one, two] = [db.begin(), db.begin()];
  expect(await db.delete(one, table, 'id = 1 AND __position = 0')).toBe(1);
  const second = db.delete(two, table, 'id = 1');
  await sleep(20);
  // rows move while it waits
  await db.tiers.database.flush(table, 'test');
  await db.commit(one);
  expect(await second).toBe(1);
  await db.tiers.database.flush(table, 'test');
  await db.commit(two);
  expect(await db.rows(table)).toEqual([]);
});

test('rows locked by a transaction stay locked where a flush has moved them', async () => {
  const table = await db.newTable(false, false);
  await put(table, [
    [1, 1, null],
    [2, 2, null],
  ]);
  const one = db.begin();
  expect(await db.delete(one, table, 'id = 1')).toBe(1);
  await db.tiers.database.flush(table, 'test');
  const two = db.begin();
  const waiting = db.delete(two, table, 'id = 1');
  let answered = false;
  void waiting.finally(() => {
    answered = true;
  });
  await sleep(30);
  expect(answered).toBe(false);
  one.finish();
  expect(await waiting).toBe(1);
  await db.commit(two);
  expect(await db.rows(table)).toEqual(['2|2|null']);
});

test("two transactions that want each other's rows: one ends with 40P01 and holds nothing more", async () => {
  const table = await db.newTable(false, false);
  await put(table, [
    [1, 1, null],
    [2, 2, null],
  ]);
  const both = [db.begin(), db.begin()];
  expect(await db.delete(both[0]!, table, 'id = 1')).toBe(1);
  expect(await db.delete(both[1]!, table, 'id = 2')).toBe(1);
  const results = await Promise.allSettled(
    both.map(async (transaction, i) => {
      try {
        await db.delete(transaction, table, `id = ${2 - i}`);
        await db.commit(transaction);
      } catch (error) {
        transaction.finish();
        throw error;
      }
    }),
  );
  const failed = results.filter((result) => result.status === 'rejected');
  expect(failed.map(({ reason }) => (reason as { code: string }).code)).toEqual(['40P01']);
  expect(await db.rows(table)).toEqual([]);
});

test('counters in a table without a key lose no step while rows move and sessions wait for each other', async () => {
  const table = await db.newTable(false, false);
  const counters = 6;
  await put(
    table,
    Array.from({ length: counters }, (_, i): Row => [i, 0, null]),
  );
  let steps = 0;
  let finished = false;
  const mover = async (): Promise<void> => {
    for (let i = 0; !finished; i++) {
      if (i % 3 === 2) await db.tiers.database.commit(table, 'test');
      else await db.tiers.database.flush(table, 'test');
      await sleep(3);
    }
  };
  const writer = async (seed: number): Promise<void> => {
    for (let round = 0; round < 15; round++) {
      const id = (seed * 7 + round * 5) % counters;
      const transaction = db.begin();
      let seen: readonly string[] = [];
      expect(
        await db.delete(transaction, table, `id = ${id}`, (texts) => {
          seen = texts;
        }),
      ).toBe(1);
      await db.insert(transaction, table, [[id, rowOf(seen[0]!)[1]! + 1, null]]);
      if (round % 4 === 3) transaction.finish();
      else {
        await db.commit(transaction);
        steps++;
      }
    }
  };
  const moving = mover();
  try {
    await Promise.all([1, 2, 3, 4].map(writer));
  } finally {
    finished = true;
    await moving;
  }
  const sum = (texts: readonly string[]): number => texts.reduce((total, text) => total + rowOf(text)[1]!, 0);
  expect(sum(await db.rows(table))).toBe(steps);
  await db.restart();
  expect(sum(await db.rows(db.table(table.def.name)))).toBe(steps);
}, 60_000);
