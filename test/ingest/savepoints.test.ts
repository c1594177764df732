/** Savepoints: a rollback to one leaves rows, deletions and locks as they were, however large the transaction has become. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Transaction } from '../../src/ingest/transaction.ts';
import type { Table } from '../../src/storage/table.ts';
import { VectorBuilder } from '../../src/types/vector-builder.ts';
import { TestDatabase } from './harness.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

/** Whether some transaction holds the key. */
function isLocked(table: Table, id: number): boolean {
  const builder = new VectorBuilder(table.keyPhysicals[0]!);
  builder.int64(id, 0);
  const vectors = [builder.vector()];
  const words = new Int32Array(4);
  table.encodeKey(vectors, 0, words);
  return table.holderOf(words, table.keys.hash(words), vectors, 0) !== 0;
}

type Step =
  | { readonly kind: 'insert' | 'upsert'; readonly from: number; readonly count: number }
  | { readonly kind: 'delete'; readonly from: number; readonly count: number }
  | { readonly kind: 'savepoint' | 'flush' }
  | { readonly kind: 'release' | 'rollback'; readonly which: number };

const KEYS = 3000;
const from = fc.oneof(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: KEYS }));
const count = fc.constantFrom(1, 3, 12, 12, 400, 1100);
const which = fc.nat(3);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('insert' as const, 'upsert' as const), from, count }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('upsert' as const), from, count }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), from, count }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'savepoint' as const }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('rollback' as const), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const), which }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'flush' as const }) },
);

interface State {
  rows: Map<number, number>;
  locked: Set<number>;
}
const copy = ({ rows, locked }: State): State => ({ rows: new Map(rows), locked: new Set(locked) });
const textOf = (rows: ReadonlyMap<number, number>): string[] =>
  [...rows].sort(([a], [b]) => a - b).map(([id, v]) => `${id}|${v}|null`);

async function run(steps: readonly Step[], ending: 'commit' | 'rollback'): Promise<void> {
  const table = await db.newTable();
  const first = db.begin();
  const put = (transaction: Transaction, ids: readonly number[], v: number, upsert: boolean): Promise<void> =>
    db.insert(
      transaction,
      table,
      ids.map((id) => [id, v, null] as const),
      upsert,
    );
  await put(first, range(0, 20), 0, false);
  await db.commit(first);
  const before = new Map(range(0, 20).map((id) => [id, 0]));
  let now: State = { rows: new Map(before), locked: new Set() };
  const marks: State[] = [];
  const transaction = db.begin();
  let v = 0;
  const back = (index: number): void => {
    transaction.rollbackTo(index);
    now = copy(marks[index]!);
    marks.length = index + 1;
  };
  for (const each of steps) {
    v++;
    switch (each.kind) {
      case 'insert':
      case 'upsert': {
        const ids = range(each.from, each.count);
        const upsert = each.kind === 'upsert';
        const clash = !upsert && ids.some((id) => now.rows.has(id));
        if (clash && marks.length === 0) break;
        const writing = put(transaction, ids, v, upsert);
        if (clash) {
          await expect(writing).rejects.toMatchObject({ code: '23505' });
          back(marks.length - 1);
          break;
        }
        await writing;
        for (const id of ids) {
          now.rows.set(id, v);
          now.locked.add(id);
        }
        break;
      }
      case 'delete':
        await db.delete(transaction, table, `id >= ${each.from} AND id < ${each.from + each.count}`);
        for (const id of range(each.from, each.count)) if (now.rows.delete(id)) now.locked.add(id);
        break;
      case 'savepoint':
        transaction.savepoint();
        marks.push(copy(now));
        break;
      case 'release':
        if (each.which >= marks.length) break;
        transaction.releaseTo(each.which);
        marks.length = each.which;
        break;
      case 'rollback':
        if (each.which < marks.length) back(each.which);
        break;
      default:
        await db.tiers.database.flush(table, 'test');
    }
    expect(await db.rows(table, transaction)).toEqual(textOf(now.rows));
    const probes = [...range(0, 60), ...range(each.kind === 'upsert' ? each.from : 0, 20)];
    expect(probes.filter((id) => isLocked(table, id))).toEqual(probes.filter((id) => now.locked.has(id)));
  }
  if (ending === 'rollback') transaction.finish();
  else await db.commit(transaction);
  expect([table.locks.size, table.ownIndexes.length]).toEqual([0, 0]);
  const after = ending === 'rollback' ? before : now.rows;
  expect(await db.rows(table)).toEqual(textOf(after));
  // the index of keys agrees: each key is taken, or free
  const probe = db.begin();
  for (const id of range(0, 40)) {
    probe.savepoint();
    const writing = put(probe, [id], -1, false);
    if (after.has(id)) await expect(writing, `key ${id}`).rejects.toMatchObject({ code: '23505' });
    else await writing;
    probe.rollbackTo(0);
    probe.releaseTo(0);
  }
  probe.finish();
}

test('after any order of writes, savepoints, releases and rollbacks a transaction sees, holds and commits what a plain map says', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 4, maxLength: 16 }),
      fc.constantFrom('commit' as const, 'commit' as const, 'rollback' as const),
      run,
    ),
    { numRuns: Number(process.env['MODEL_RUNS'] ?? 25) },
  );
}, 600_000);

test('a transaction that outgrew the lock table after a savepoint gives back exactly what it locked since', async () => {
  await run(
    [
      { kind: 'upsert', from: 0, count: 12 },
      { kind: 'delete', from: 3, count: 3 },
      { kind: 'savepoint' },
      { kind: 'upsert', from: 0, count: 12 },
      { kind: 'upsert', from: 100, count: 1100 },
      { kind: 'upsert', from: 1200, count: 1100 },
      { kind: 'upsert', from: 5, count: 3 },
      { kind: 'savepoint' },
      { kind: 'delete', from: 0, count: 12 },
      { kind: 'upsert', from: 0, count: 3 },
      { kind: 'rollback', which: 1 },
      { kind: 'rollback', which: 0 },
      { kind: 'upsert', from: 4, count: 1 },
    ],
    'commit',
  );
});

test('without a key, rows deleted since a savepoint are free for others after a rollback to it', async () => {
  const table = await db.newTable(false, false);
  const first = db.begin();
  await db.insert(first, table, [
    [1, 1, 'a'],
    [1, 1, 'a'],
    [2, 2, 'b'],
  ]);
  await db.commit(first);
  const transaction = db.begin();
  expect(await db.delete(transaction, table, 'id = 2')).toBe(1);
  transaction.savepoint();
  expect(await db.delete(transaction, table, 'id = 1')).toBe(2);
  await db.insert(transaction, table, [[3, 3, 'c']]);
  transaction.rollbackTo(0);
  expect(await db.rows(table, transaction)).toEqual(['1|1|a', '1|1|a']);
  const other = db.begin();
  expect(await db.delete(other, table, 'id = 1')).toBe(2);
  await db.commit(other);
  await db.commit(transaction);
  expect(await db.rows(table)).toEqual([]);
  expect(table.locks.size).toBe(0);
});

test('who waits for a key goes on when a rollback to a savepoint gives it back', async () => {
  const table = await db.newTable();
  const holder = db.begin();
  await db.insert(holder, table, [[1, 1, null]]);
  holder.savepoint();
  await db.insert(holder, table, [[2, 1, null]]);
  const waiter = db.begin();
  const waiting = db.insert(waiter, table, [[2, 2, null]]);
  await Promise.resolve();
  expect(waiter.waitsFor).toBe(holder);
  holder.rollbackTo(0);
  await waiting;
  await db.commit(waiter);
  await expect(db.insert(holder, table, [[2, 3, null]])).rejects.toMatchObject({ code: '23505' });
  holder.rollbackTo(0);
  await db.commit(holder);
  expect(await db.rows(table)).toEqual(['1|1|null', '2|2|null']);
});

test('V5: own rows that died after a savepoint, and live again after a rollback to it, leave no memory behind', async () => {
  const table = await db.newTable();
  const { pool } = db.tiers.database.memory;
  await db.transact((transaction) => db.insert(transaction, table, [[0, 0, null]]));
  const held = (): number => pool.deleteBytes + pool.heapBytes;
  const before = held();
  await db.transact(async (transaction) => {
    await db.insert(transaction, table, [[1, 1, null]]);
    transaction.savepoint();
    await db.insert(transaction, table, [[1, 2, null]], true);
    transaction.rollbackTo(0);
  });
  expect(await db.rows(table)).toEqual(['0|0|null', '1|1|null']);
  expect(held()).toBe(before);
});
