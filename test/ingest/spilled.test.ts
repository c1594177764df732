/** H1: rows of a transaction that memory has no room for are in files that nobody else sees, until its commit or its end. */
import fc from 'fast-check';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { moveAll } from '../../src/gateway/bulk.ts';
import type { WriteEnvironment } from '../../src/gateway/write-environment.ts';
import { spill } from '../../src/ingest/spill-rows.ts';
import { streamRows } from '../../src/ingest/stream-writes.ts';
import type { Transaction } from '../../src/ingest/transaction.ts';
import type { Running } from '../../src/running.ts';
import type { Table } from '../../src/storage/table.ts';
import type { UnitEngine, WrittenFile } from '../../src/storage/unit-engine.ts';
import { TestDatabase } from './harness.ts';

/** Rows of one insert: some batches. */
const MANY = 4000;

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);
const files = (): string[] => readdirSync(join(db.dataDir, 'disk')).filter((name) => name.endsWith('.parquet'));

/** Long enough that a transaction of some inserts is streamed, and short enough that one is not. */
const NAME = 'n'.repeat(300);

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
    ids.map((id) => [id, v, NAME] as const),
    upsert,
  );
  await streamRows(db.tiers.database, transaction, transaction.of(table));
}

const spillNow = (transaction: Transaction, table: Table): Promise<void> => {
  const writes = transaction.of(table);
  return spill(db.tiers.database, transaction, writes, writes.inserted.rows);
};

const put = (table: Table, ids: readonly number[], v: number, upsert = false): Promise<void> =>
  db.transact((transaction) => insert(transaction, table, ids, v, upsert));

/** Of each value how many rows have it. */
async function counts(table: Table, transaction: Transaction | null = null): Promise<Record<string, number>> {
  const out: Record<string, number> = {};
  for (const row of await db.rows(table, transaction)) {
    const v = row.split('|')[1]!;
    out[v] = (out[v] ?? 0) + 1;
  }
  return out;
}

/** A crash: the process would be gone, and its transactions with it. */
const again = (table: Table): Table => db.table(table.def.name);

afterEach(() => db.dropAll());

describe.each([
  { partitioned: false, keyed: true },
  { partitioned: true, keyed: true },
  { partitioned: false, keyed: false },
])('$partitioned $keyed', ({ partitioned, keyed }) => {
  test('its own scans see rows in files and in memory, nobody else does, and its commit shows all of them at once', async () => {
    const table = await db.newTable(partitioned, keyed);
    await put(table, [-1], 0);
    const transaction = db.begin();
    for (let i = 0; i < 3; i++) {
      await insert(transaction, table, range(i * MANY, MANY), 1);
      await spillNow(transaction, table);
    }
    expect(transaction.of(table).inserted.batches.length).toBe(1);
    expect(transaction.of(table).spilled.size).toBeGreaterThan(partitioned ? 3 : 1);
    expect(await counts(table, transaction)).toEqual({ 0: 1, 1: 3 * MANY });
    expect(await counts(table)).toEqual({ 0: 1 });
    const before = db.tiers.database.log.lastLsn;
    await db.commit(transaction);
    expect(db.tiers.database.log.lastLsn).toBe(before + 3 * MANY);
    expect(await counts(table)).toEqual({ 0: 1, 1: 3 * MANY });
    if (keyed) await expect(put(table, [MANY + 7], 2)).rejects.toMatchObject({ code: '23505' });
    await db.restart();
    expect(await counts(again(table))).toEqual({ 0: 1, 1: 3 * MANY });
    await db.tiers.database.checkpoint();
    expect(await counts(again(table))).toEqual({ 0: 1, 1: 3 * MANY });
  });

  test('a rollback, and a stop under way, leave neither rows nor files', async () => {
    const table = await db.newTable(partitioned, keyed);
    for (const ending of ['rollback', 'stop'] as const) {
      const before = new Set(files());
      const transaction = db.begin();
      await insert(transaction, again(table), range(0, MANY), 1);
      await spillNow(transaction, again(table));
      const added = (): string[] => files().filter((name) => !before.has(name));
      expect(added().length).toBeGreaterThan(0);
      if (ending === 'rollback') transaction.finish();
      else await db.restart();
      await expect.poll(added).toEqual([]);
      expect(await counts(again(table))).toEqual({});
    }
  });

  test('E3: a cancel ends the wait for a file that is being written; a rollback to a savepoint then overwrites no row that it is written from', async () => {
    const table = await db.newTable(partitioned, keyed);
    const before = new Set(files());
    const transaction = db.begin();
    await insert(transaction, table, range(0, MANY), 1);
    transaction.savepoint();
    await insert(transaction, table, range(MANY, MANY), 2);
    const { memory, engine, lake, disk, diskDir, index, nextUnit, warn, log } = db.tiers.database;
    const [asked, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const written: (WrittenFile | null)[] = [];
    const writeParquet: UnitEngine['writeParquet'] = async (request) => {
      const isAhead = request.memory[0]!.picks!.at(-1)! < MANY; // before the savepoint
      if (isAhead) return engine.writeParquet(request);
      asked.resolve();
      await gate.promise;
      written.push(await engine.writeParquet(request));
      return written.at(-1)!;
    };
    const database = {
      memory,
      engine: { writeParquet },
      lake,
      disk,
      diskDir,
      pressed: false,
      index,
      nextUnit,
      warn,
      log,
    };
    let cancel = (): void => {};
    const running: Running = (given) => {
      cancel = given;
      return () => {};
    };
    const environment = { database, transaction, running } as unknown as WriteEnvironment;
    const moving = moveAll(environment, transaction.of(table));
    await asked.promise;
    cancel();
    await expect(moving).rejects.toMatchObject({ code: '57014' });
    transaction.rollbackTo(0);
    await insert(transaction, table, range(2 * MANY, MANY), 3);
    gate.resolve();
    await expect.poll(() => written.length).toBe(1);
    await expect.poll(() => files().filter((name) => !before.has(name))).toEqual([]);
    const two = Uint8Array.of(2, 0, 0, 0); // v of the rows that were taken back
    expect(written[0]!.columns[1]).toMatchObject({ lower: two, upper: two });
    expect(await counts(table, transaction)).toEqual({ 1: MANY, 3: MANY });
    await db.commit(transaction);
    expect(await counts(table)).toEqual({ 1: MANY, 3: MANY });
  });

  test('rows in files are deleted by their transaction, and by a rollback to a savepoint come back or go', async () => {
    const table = await db.newTable(partitioned, keyed);
    const transaction = db.begin();
    await insert(transaction, table, range(0, MANY), 1);
    transaction.savepoint();
    await insert(transaction, table, range(MANY, MANY), 2);
    await spillNow(transaction, table);
    expect(await db.delete(transaction, table, 'id < 100')).toBe(100);
    expect(await db.delete(transaction, table, `id >= ${2 * MANY - 10}`)).toBe(10);
    expect(await counts(table, transaction)).toEqual({ 1: MANY - 100, 2: MANY - 10 });
    transaction.savepoint();
    await insert(transaction, table, range(0, 50), 3);
    await insert(transaction, table, range(3 * MANY, MANY), 3);
    await spillNow(transaction, table);
    expect(await counts(table, transaction)).toEqual({ 1: MANY - 100, 2: MANY - 10, 3: MANY + 50 });
    transaction.rollbackTo(1);
    expect(await counts(table, transaction)).toEqual({ 1: MANY - 100, 2: MANY - 10 });
    transaction.rollbackTo(0);
    expect(await counts(table, transaction)).toEqual({ 1: MANY });
    await insert(transaction, table, range(MANY, MANY), 4);
    expect(await db.delete(transaction, table, 'id >= 10 AND id < 30')).toBe(20);
    const own = { 1: MANY - 20, 4: MANY };
    expect(await counts(table, transaction)).toEqual(own);
    await db.commit(transaction);
    expect(await counts(table)).toEqual(own);
    await db.restart();
    expect(await counts(again(table))).toEqual(own);
  });
});

describe.each([false, true])('partitioned: %s', (partitioned) => {
  test('a key that is in a file of its own is a duplicate in its transaction, or replaced by it', async () => {
    const table = await db.newTable(partitioned);
    await put(table, range(0, 200), 0);
    await db.tiers.database.flush(table, 'test');
    await put(table, range(200, 200), 0);
    const transaction = db.begin();
    await insert(transaction, table, range(100, MANY), 1, true);
    await spillNow(transaction, table);
    await insert(transaction, table, [...range(50, 100), ...range(2 * MANY, MANY)], 2, true);
    await spillNow(transaction, table);
    await insert(transaction, table, range(140, 20), 3, true);
    expect(await db.delete(transaction, table, 'id >= 150 AND id < 170')).toBe(20);
    await insert(transaction, table, range(150, 5), 4);
    const own = { 0: 50, 1: MANY - 50 - 20 + 10 - 0, 2: 90 + MANY, 3: 10, 4: 5 };
    own[1] = MANY - 70;
    expect(await counts(table, transaction)).toEqual(own);
    expect(await counts(table)).toEqual({ 0: 400 });
    await db.commit(transaction);
    expect(await counts(table)).toEqual(own);
    await db.restart();
    expect(await counts(again(table))).toEqual(own);
    const duplicate = db.begin();
    await insert(duplicate, again(table), range(50_000, MANY), 1);
    await spillNow(duplicate, again(table));
    await expect(insert(duplicate, again(table), [50_007], 2)).rejects.toMatchObject({ code: '23505' });
    duplicate.finish();
  });

  test('a key whose row of others it has deleted is found in a file of its own all the same', async () => {
    const table = await db.newTable(partitioned);
    await put(table, range(0, 100), 0);
    const transaction = db.begin();
    expect(await db.delete(transaction, table, 'id < 50')).toBe(50);
    await insert(transaction, table, range(10, MANY), 1, true);
    await spillNow(transaction, table);
    await expect(insert(transaction, table, [12], 2)).rejects.toMatchObject({ code: '23505' });
    transaction.finish();
    const again = db.begin();
    expect(await db.delete(again, table, 'id < 50')).toBe(50);
    await insert(again, table, range(10, MANY), 1, true);
    await spillNow(again, table);
    await insert(again, table, range(0, 40), 2, true);
    const own = { 1: MANY - 30, 2: 40 };
    expect(await counts(table, again)).toEqual(own);
    await db.commit(again);
    expect(await counts(table)).toEqual(own);
  });

  test('others wait for a key that a file of a transaction may hold, and go on with other keys', async () => {
    const table = await db.newTable(partitioned);
    for (const ending of ['rollback', 'commit'] as const) {
      const large = db.begin();
      await insert(large, table, range(0, MANY), 1);
      await spillNow(large, table);
      await put(table, [ending === 'commit' ? 100_000 : 100_001], 5);
      const small = db.begin();
      let answered = false;
      const waiting = insert(small, table, [12], 2).finally(() => {
        answered = true;
      });
      waiting.catch(() => {});
      await sleep(20);
      expect(answered).toBe(false);
      if (ending === 'commit') {
        await db.commit(large);
        await expect(waiting).rejects.toMatchObject({ code: '23505' });
      } else {
        large.finish();
        await waiting;
      }
      small.finish();
    }
    expect(await counts(table)).toEqual({ 1: MANY, 5: 2 });
  });

  test('flushes and commits meanwhile take nothing of it, and those after it all of it', async () => {
    const table = await db.newTable(partitioned);
    await put(table, range(0, 10), 0);
    const transaction = db.begin();
    await insert(transaction, table, range(100, MANY), 1, true);
    await spillNow(transaction, table);
    await db.tiers.database.commit(table, 'test');
    await insert(transaction, table, range(5, 10), 2, true);
    await db.tiers.database.flush(table, 'test');
    expect(await counts(table)).toEqual({ 0: 10 });
    await db.commit(transaction);
    const own = { 0: 5, 1: MANY, 2: 10 };
    expect(await counts(table)).toEqual(own);
    await db.tiers.database.commit(table, 'test');
    expect(await counts(table)).toEqual(own);
    await db.restart();
    expect(await counts(again(table))).toEqual(own);
  });
});

type Step =
  | { readonly kind: 'insert'; readonly from: number; readonly count: number }
  | { readonly kind: 'delete'; readonly from: number; readonly count: number }
  | { readonly kind: 'spill' | 'savepoint' | 'back' | 'flush' | 'commit' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('insert' as const),
      from: fc.nat(6000),
      count: fc.constantFrom(5, 700, 3000),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: 'spill' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('delete' as const),
      from: fc.nat(8000),
      count: fc.constantFrom(3, 400, 2000),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('savepoint' as const, 'back' as const, 'flush' as const, 'commit' as const),
    }),
  },
);

test('whatever a transaction upserts, deletes, spills and takes back, it sees its own state, others see the old one, and a start finds what was committed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 4, maxLength: 14 }),
      fc.boolean(),
      fc.boolean(),
      async (steps, partitioned, commits) => {
        const table = await db.newTable(partitioned);
        const outside = new Map<number, number>(range(0, 2000).map((id) => [id * 3, 0]));
        await put(table, [...outside.keys()], 0);
        const { database } = db.tiers;
        const transaction = db.begin();
        let own = new Map(outside);
        const saved: Map<number, number>[] = [];
        let v = 0;
        for (const each of steps) {
          if (each.kind === 'insert') {
            const ids = range(each.from, each.count);
            v++;
            await insert(transaction, table, ids, v, true);
            for (const id of ids) own.set(id, v);
          } else if (each.kind === 'delete') {
            const end = each.from + each.count;
            const wanted = [...own.keys()].filter((id) => id >= each.from && id < end);
            expect(await db.delete(transaction, table, `id >= ${each.from} AND id < ${end}`)).toBe(wanted.length);
            for (const id of wanted) own.delete(id);
          } else if (each.kind === 'spill') {
            const { inserted, mayRevive } = transaction.of(table);
            if (inserted.batches.length > 1 && !mayRevive) await spillNow(transaction, table);
          } else if (each.kind === 'savepoint') {
            transaction.savepoint();
            saved.push(new Map(own));
          } else if (each.kind === 'back') {
            if (saved.length === 0) continue;
            transaction.rollbackTo(saved.length - 1);
            own = new Map(saved.at(-1)!);
          } else if (each.kind === 'flush') await database.flush(table, 'test');
          else await database.commit(table, 'test');
        }
        const textsOf = (rows: ReadonlyMap<number, number>): string[] =>
          [...rows].sort(([a], [b]) => a - b).map(([id, value]) => `${id}|${value}|${NAME}`);
        expect(await db.rows(table, transaction)).toEqual(textsOf(own));
        expect(await db.rows(table)).toEqual(textsOf(outside));
        if (commits) await db.commit(transaction);
        else transaction.finish();
        const expected = textsOf(commits ? own : outside);
        expect(await db.rows(table)).toEqual(expected);
        if (v % 2 === 0) await db.restart();
        else await db.tiers.database.commit(table, 'test');
        expect(await db.rows(again(table))).toEqual(expected);
      },
    ),
    { numRuns: Number(process.env['MODEL_RUNS'] ?? 12) },
  );
}, 600_000);
