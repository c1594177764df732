/** The change feed: what the log says of a table is what happened to it, once, in order, as far back as the log reaches. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SqlError } from '../../src/errors.ts';
import { changeRuns } from '../../src/federation/changes-source.ts';
import { streamRows } from '../../src/ingest/stream-writes.ts';
import type { Transaction } from '../../src/ingest/transaction.ts';
import { feedDef } from '../../src/planner/changes.ts';
import type { Table } from '../../src/storage/table.ts';
import type { Lsn } from '../../src/table-def.ts';
import { parseLsn } from '../../src/types/pg-lsn.ts';
import { changesOf, Consumer, openChanges } from './feed.ts';
import { noPartition, tableDef, TestDatabase } from './harness.ts';
import { createTable, dropTable } from './define.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
  db.logBytesKept = 2 ** 30;
  await db.restart();
}, 60_000);
afterAll(() => db.destroy());

let made = 0;
const newTable = async (keyed: boolean): Promise<Table> =>
  (await createTable(db.tiers.database, tableDef(`f${made++}`, noPartition, keyed)))!;
const commit = async (transaction: Transaction): Promise<Lsn> => {
  await db.tiers.database.committer.commit(transaction);
  return db.tiers.database.committer.publishedLsn;
};
type Row = readonly [number, number | null, string | null];
const LONG = 'x'.repeat(400);

async function put(table: Table, rows: readonly Row[], upsert = table.keyed): Promise<Lsn> {
  const transaction = db.begin();
  await db.insert(transaction, table, rows, upsert);
  return commit(transaction);
}

async function load(transaction: Transaction, table: Table, from: number, to: number, v: number): Promise<void> {
  for (let id = from; id < to; id += 2000) {
    const rows = Array.from({ length: Math.min(2000, to - id) }, (_, i) => [id + i, v, LONG] as const);
    await db.insert(transaction, table, rows, table.keyed);
    await streamRows(db.tiers.database, transaction, transaction.of(table));
  }
}

test('insert, update and delete are one row each, with the old key, the new row, and the LSNs of row and transaction', async () => {
  const table = await newTable(true);
  const start = db.tiers.database.log.lastLsn;
  await put(table, [
    [1, 1, 'a'],
    [2, null, null],
  ]);
  const transaction = db.begin();
  await db.delete(transaction, table, 'id = 2');
  await db.insert(transaction, table, [[1, 9, 'b']], true);
  await db.insert(transaction, table, [[3, 3, 'c']], true);
  await commit(transaction);
  const seen = await changesOf(db, table, start);
  expect(
    seen.map(({ time: _, ...rest }) => ({ ...rest, lsn: rest.lsn - start, commitLsn: rest.commitLsn - start })),
  ).toEqual([
    { op: 'insert', lsn: 1, commitLsn: 2, oldKey: null, row: '1|1|a' },
    { op: 'insert', lsn: 2, commitLsn: 2, oldKey: null, row: '2|null|null' },
    { op: 'delete', lsn: 3, commitLsn: 6, oldKey: '{"id": 2}', row: '2|null|null' },
    { op: 'update', lsn: 5, commitLsn: 6, oldKey: '{"id": 1}', row: '1|9|b' },
    { op: 'insert', lsn: 6, commitLsn: 6, oldKey: null, row: '3|3|c' },
  ]);
  const now = Date.now() * 1000;
  for (const { time } of seen) expect(Math.abs(now - time)).toBeLessThan(600e6);
  expect(seen[0]!.time).toBeLessThanOrEqual(seen[2]!.time);
});

test('a reader that stops within a transaction goes on with its next row, nothing twice', async () => {
  const table = await newTable(true);
  const start = db.tiers.database.log.lastLsn;
  await put(
    table,
    Array.from({ length: 10 }, (_, id) => [id, 1, 'a'] as const),
  );
  await put(
    table,
    Array.from({ length: 12 }, (_, id) => [id + 5, 2, 'b'] as const),
  );
  const all = await changesOf(db, table, start);
  expect(all.map(({ op }) => op)).toEqual([
    ...Array<string>(10).fill('insert'),
    ...Array<string>(5).fill('update'),
    ...Array<string>(7).fill('insert'),
  ]);
  for (let cut = start; cut <= start + 27; cut++)
    expect(await changesOf(db, table, cut)).toEqual(all.filter(({ lsn }) => lsn > cut));
});

test('a large transaction that was streamed is read from its file, with what it replaced as updates', async () => {
  const table = await newTable(true);
  const start = db.tiers.database.log.lastLsn;
  await put(
    table,
    Array.from({ length: 1000 }, (_, id) => [id, 1, 'a'] as const),
  );
  const transaction = db.begin();
  await load(transaction, table, 500, 20_500, 2);
  await commit(transaction);
  const consumer = new Consumer(true, start);
  const seen = await changesOf(db, table, start);
  expect(seen.filter(({ op }) => op === 'update').length).toBe(500);
  expect(seen.length).toBe(21_000);
  consumer.apply(seen);
  expect(consumer.rows).toEqual((await db.rows(table)).toSorted());
  expect((await changesOf(db, table, seen[15_000]!.lsn)).length).toBe(5999);
}, 60_000);

test('in however many groups the keys of a transaction are looked for, its changes are the same', async () => {
  const table = await newTable(true);
  const start = db.tiers.database.log.lastLsn;
  await put(
    table,
    Array.from({ length: 3000 }, (_, id) => [id, 1, LONG] as const),
  );
  const transaction = db.begin();
  await db.delete(transaction, table, 'id % 3 = 0');
  await load(transaction, table, 1000, 13_000, 2);
  const to = await commit(transaction);
  const hold = await db.tiers.database.log.hold(start + 1);
  const scan = { log: hold.place, since: start, to, key: table.def.key, keyed: true };
  const runs = (keysMax: number): string[] =>
    [...changeRuns(feedDef(table.def), scan, keysMax)].flatMap(({ change, count, lsn }) =>
      Array.from({ length: count }, (_, i) => `${change} ${lsn + i}`),
    );
  const whole = runs(Infinity);
  expect(whole.filter((each) => each.startsWith('update')).length).toBe(2000);
  expect(whole.filter((each) => each.startsWith('delete')).length).toBe(334);
  for (const keysMax of [1, 700, 5000]) expect(runs(keysMax)).toEqual(whole);
  hold.release();
}, 60_000);

test('beyond the log there is 55000, which names the first LSN that is there', async () => {
  const own = await TestDatabase.create();
  try {
    const table = (await createTable(own.tiers.database, tableDef('t', noPartition)))!;
    for (let i = 0; i < 50; i++) {
      const transaction = own.tiers.database.begin(true);
      await own.insert(
        transaction,
        table,
        Array.from({ length: 200 }, (_, id) => [i * 200 + id, 1, LONG] as const),
      );
      await own.tiers.database.committer.commit(transaction);
    }
    await own.tiers.database.checkpoint();
    await own.tiers.database.trimLog();
    const { firstLsn, lastLsn } = own.tiers.database.log;
    expect(firstLsn).toBeGreaterThan(1);
    await expect(changesOf(own, table, 0)).rejects.toMatchObject({
      code: '55000',
      fields: { detail: expect.stringContaining('The first LSN that is there is 0/') as string },
    });
    // The oldest segment may begin inside a transaction: the first LSN after that is named, and from there on all is read.
    const inside = await changesOf(own, table, firstLsn - 1).then(
      () => null,
      (error: unknown) => error as SqlError,
    );
    if (inside !== null)
      expect(inside).toMatchObject({ code: '55000', message: expect.stringMatching(/after LSN 0\/\w+ are/) as string });
    const whole = inside === null ? firstLsn : parseLsn(/is (0\/\w+)/.exec(inside.fields.detail!)![1]!);
    expect((await changesOf(own, table, whole - 1)).length).toBeGreaterThan(0);
    expect(await changesOf(own, table, lastLsn)).toEqual([]);
    await expect(changesOf(own, table, lastLsn + 1)).rejects.toMatchObject({ code: '55000' }); // of another log, perhaps
  } finally {
    await own.destroy();
  }
}, 60_000);

test('what a reader has not read yet is not trimmed; where the log must go, the reader gets 55000', async () => {
  const own = await TestDatabase.create();
  try {
    const { database } = own.tiers;
    const table = (await createTable(database, tableDef('t', noPartition)))!;
    for (let i = 0; i < 12; i++) {
      const transaction = database.begin(true);
      await own.insert(
        transaction,
        table,
        Array.from({ length: 2000 }, (_, id) => [i * 2000 + id, 1, LONG] as const),
      );
      await database.committer.commit(transaction);
    }
    const cursor = await openChanges(own, table, 0);
    await cursor.next();
    await database.checkpoint();
    await database.trimLog();
    expect(database.log.firstLsn).toBe(1);
    expect((await changesOf(own, table, 0)).length).toBe(24_000);
    let rows = 0;
    const half = await openChanges(own, table, 0);
    for (let chunk = await cursor.next(); chunk !== null; chunk = await cursor.next()) rows += chunk.rows;
    expect(rows).toBeGreaterThan(20_000);
    await half.next();
    database.log.loosen(database.log.lastLsn + 1); // as at wal.max_size
    await database.trimLog();
    expect(database.log.firstLsn).toBeGreaterThan(1);
    await expect(half.next()).rejects.toMatchObject({ code: '55000' });
    await half.close();
    await expect(openChanges(own, table, 0)).rejects.toMatchObject({ code: '55000' });
    await database.trimLog();
  } finally {
    await own.destroy();
  }
}, 60_000);

test('wal.keep_size of a log that Iceberg has stays, until the disk is at its limit: then it goes, under a reader, too', async () => {
  const own = await TestDatabase.create(2 ** 30, null, { logBytesKept: 2 ** 30 });
  try {
    const { database } = own.tiers;
    const table = (await createTable(database, tableDef('t', noPartition)))!;
    for (let i = 0; i < 6; i++) {
      const transaction = database.begin(true);
      await own.insert(
        transaction,
        table,
        Array.from({ length: 2000 }, (_, id) => [i * 2000 + id, 1, LONG] as const),
      );
      await database.committer.commit(transaction);
    }
    await database.checkpoint();
    await database.trimLog();
    expect(database.log.firstLsn).toBe(1);
    const hold = await database.log.hold(1);
    await database.retention.relieve();
    expect([database.log.firstLsn, hold.valid]).toEqual([1, true]);
    Object.defineProperty(database.disk, 'full', { value: true, configurable: true });
    await database.retention.relieve();
    expect(hold.valid).toBe(false);
    expect(database.log.firstLsn).toBeGreaterThan(1);
  } finally {
    await own.destroy();
  }
}, 60_000);

type Change =
  | { readonly kind: 'put'; readonly table: number; readonly rows: readonly Row[] }
  | { readonly kind: 'delete'; readonly table: number; readonly id: number }
  | { readonly kind: 'load'; readonly from: number; readonly count: number };
type Step =
  | { readonly kind: 'transaction'; readonly changes: readonly Change[]; readonly ending: 'commit' | 'rollback' }
  | { readonly kind: 'poll'; readonly limit: number }
  | { readonly kind: 'snapshot' | 'flush' | 'commit' | 'trim' | 'restart' };

const row = fc.tuple(
  fc.integer({ min: 0, max: 12 }),
  fc.option(fc.integer({ min: 0, max: 3 })),
  fc.option(fc.constantFrom('', 'a', 'a text too long for twelve bytes')),
);
const table = fc.integer({ min: 0, max: 1 });
const change = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('put' as const),
      table,
      rows: fc.uniqueArray(row, { selector: ([id]) => id, minLength: 1, maxLength: 8 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('delete' as const), table, id: fc.integer({ min: 0, max: 12 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('load' as const),
      from: fc.integer({ min: 0, max: 3000 }),
      count: fc.constantFrom(100, 5000, 12_000),
    }),
  },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('transaction' as const),
      changes: fc.array(change, { minLength: 1, maxLength: 4 }),
      ending: fc.constantFrom('commit' as const, 'commit' as const, 'commit' as const, 'rollback' as const),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('poll' as const), limit: fc.constantFrom(1, 3, 100, 1e9) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('snapshot' as const, 'flush' as const, 'commit' as const, 'trim' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
);

/** Two tables, keyed and keyless, their rows at each published LSN, and consumers that began at different times. */
class World {
  readonly names: readonly string[];
  readonly #at = new Map<Lsn, readonly (readonly string[])[]>();
  readonly #consumers: (readonly Consumer[])[] = [];

  constructor(tables: readonly Table[], lsn: Lsn) {
    this.names = tables.map(({ def }) => def.name);
    this.#at.set(
      lsn,
      tables.map(() => []),
    );
    this.#consumers.push(tables.map(({ keyed }) => new Consumer(keyed, lsn)));
  }

  tables(): Table[] {
    return this.names.map((name) => db.table(name));
  }

  async run(each: Step): Promise<void> {
    const { database } = db.tiers;
    switch (each.kind) {
      case 'transaction':
        await this.#transaction(each.changes);
        return each.ending === 'commit' ? this.#commit() : this.#current!.finish();
      case 'poll':
        for (const consumers of this.#consumers) await this.#poll(consumers, each.limit);
        return;
      case 'snapshot':
        return this.#snapshot();
      case 'flush':
        for (const one of this.tables()) await database.flush(one, 'test');
        return;
      case 'commit':
        return database.checkpoint();
      case 'trim':
        return database.trimLog();
      case 'restart':
        return db.restart();
    }
  }

  #current: Transaction | null = null;

  async #transaction(changes: readonly Change[]): Promise<void> {
    const transaction = (this.#current = db.begin());
    for (const each of changes) {
      if (each.kind === 'load') {
        await load(transaction, this.tables()[0]!, each.from, each.from + each.count, each.count);
        continue;
      }
      const one = this.tables()[each.table]!;
      if (each.kind === 'put') await db.insert(transaction, one, each.rows, one.keyed);
      else await db.delete(transaction, one, `id = ${each.id}`);
    }
  }

  async #commit(): Promise<void> {
    const lsn = await commit(this.#current!);
    this.#at.set(lsn, await Promise.all(this.tables().map(async (one) => (await db.rows(one)).toSorted())));
  }

  /** No writer is under way, so rows and LSN belong together. */
  async #snapshot(): Promise<void> {
    const lsn = db.tiers.database.committer.publishedLsn;
    const consumers = this.tables().map(async (one) => new Consumer(one.keyed, lsn, await db.rows(one)));
    this.#consumers.push(await Promise.all(consumers));
    if (this.#consumers.length > 4) this.#consumers.splice(1, 1);
  }

  async #poll(consumers: readonly Consumer[], limit: number): Promise<void> {
    for (const [i, consumer] of consumers.entries()) {
      const seen = await changesOf(db, this.tables()[i]!, consumer.lsn, limit);
      consumer.apply(seen);
      const last = seen.at(-1);
      if (last !== undefined && last.lsn === last.commitLsn) this.#check(consumer, i, last.lsn);
    }
  }

  /** At the end of a transaction the consumer has what the table had then. */
  #check(consumer: Consumer, i: number, lsn: Lsn): void {
    const rows = this.#at.get(lsn);
    if (rows !== undefined) expect(consumer.rows).toEqual(rows[i]);
  }

  async finish(): Promise<void> {
    for (const consumers of this.#consumers) {
      await this.#poll(consumers, Infinity);
      for (const [i, one] of this.tables().entries())
        expect(consumers[i]!.rows).toEqual((await db.rows(one)).toSorted());
    }
    for (const one of this.tables()) await dropTable(db.tiers.database, one);
  }
}

test('a consumer of the feed, from the beginning or from a snapshot, has the rows of the table at every published LSN', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 16 }), async (steps) => {
      const tables = [await newTable(true), await newTable(false)];
      const world = new World(tables, db.tiers.database.committer.publishedLsn);
      for (const each of steps) await world.run(each);
      await world.finish();
    }),
    { numRuns: Number(process.env['FEED_RUNS'] ?? 6) },
  );
}, 300_000);
