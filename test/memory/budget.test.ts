/** The budget for rows in memory over real threads: 96 MB of slabs, the least there is. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Transaction } from '../../src/ingest/transaction.ts';
import type { Table } from '../../src/storage/table.ts';
import { noPartition, tableDef, TestDatabase } from '../ingest/harness.ts';
import { createTable, dropTable } from '../ingest/define.ts';

const MB = 2 ** 20;
let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create(768 * MB);
}, 60_000);
afterAll(() => db.destroy());

let made = 0;
const buckets = [{ sourceId: 1, fieldId: 1000, name: 'id_bucket', transform: 'bucket' as const, arg: 3 }];
let table: Table;
beforeEach(async () => {
  const { database } = db.tiers;
  await database.close();
  for (const each of [...database.tables.values()]) await dropTable(database, each);
  expect(database.memory.pins.active).toBe(0);
  expect(database.memory.pool.usedBytes).toBe(0);
  const { fileBytes, pool, sliceBytes } = database.memory;
  expect({ fileBytes, sliceBytes, deleteBytes: pool.deleteBytes, heapBytes: pool.heapBytes }).toEqual({
    fileBytes: 0,
    sliceBytes: 0,
    deleteBytes: 0,
    heapBytes: 0,
  });
  table = (await createTable(database, tableDef(`m${made++}`, noPartition)))!;
});

const wide = 'x'.repeat(16_000);
/** About `count` × 16 KB. */
function rows(first: number, count: number, text = wide): readonly (readonly [number, number, string])[] {
  return Array.from({ length: count }, (_, i) => [first + i, i, text] as const);
}

async function counted(): Promise<number> {
  return (await db.rows(table)).length;
}

async function write(first: number, count: number, text = wide): Promise<void> {
  const { database } = db.tiers;
  await database.admit();
  const transaction = database.begin(true);
  try {
    await db.insert(transaction, table, rows(first, count, text));
    await database.committer.commit(transaction);
  } catch (error) {
    if (transaction.state !== 'done') transaction.finish();
    throw error;
  }
}

test('a writer at the budget waits for other open transactions; when all wait, one ends with 53200 and the others go on', async () => {
  const { database } = db.tiers;
  const one = database.begin(true);
  await db.insert(one, table, rows(0, 2200));
  const two = database.begin(true);
  await db.insert(two, table, rows(10_000, 2200));
  const three = database.begin(true);
  await db.insert(three, table, rows(20_000, 600));
  expect(database.pressed).toBe(true);
  const waiter = async (transaction: Transaction): Promise<void> => {
    try {
      await database.admit();
    } catch (error) {
      transaction.finish();
      throw error;
    }
  };
  const first = waiter(one);
  let waits = true;
  void first
    .catch(() => {})
    .then(() => {
      waits = false;
    });
  await sleep(100);
  expect(waits).toBe(true);
  const results = await Promise.allSettled([first, waiter(two), waiter(three)]);
  const failed = results.filter((result) => result.status === 'rejected');
  expect(failed.length).toBe(1);
  expect(failed[0]!.reason).toMatchObject({ code: '53200' });
  for (const each of [one, two, three]) if (each.state !== 'done') await database.committer.commit(each);
  await database.flush(table, 'test');
  expect(database.memory.slabBytes).toBe(0);
}, 60_000);

test('a flush leaves in memory what delete lists of files need, and of the rows what gives way', async () => {
  const { database } = db.tiers;
  const { pool, warm } = database.memory;
  await write(0, 200);
  expect(pool.usedBytes).toBeGreaterThan(200 * 16_000);
  await database.flush(table, 'test');
  expect(pool.usedBytes).toBe(warm.slabBytes);
  warm.clear();
  expect(pool.usedBytes).toBe(0);
  const transaction = database.begin(true);
  await db.delete(transaction, table, 'id < 5');
  await database.committer.commit(transaction);
  await database.flush(table, 'test');
  expect(pool.usedBytes).toBe(4096);
  await database.commit(table, 'test');
  expect(pool.usedBytes).toBe(4096);
  expect(await counted()).toBe(195);
});

test('a rolled back transaction gives all its memory back, also what a scan of its own rows has read', async () => {
  const { database } = db.tiers;
  await write(0, 10);
  const first = database.begin(true); // leaves a small batch for keys to those that come after it
  await db.delete(first, table, 'id = 1');
  first.finish();
  const before = database.memory.pool.usedBytes;
  const transaction = database.begin(true);
  await db.insert(transaction, table, rows(5, 300), true);
  await db.delete(transaction, table, 'id >= 100 AND id < 200');
  expect((await db.rows(table, transaction)).length).toBe(205);
  expect(database.memory.pool.usedBytes).toBeGreaterThan(before + 300 * 16_000);
  transaction.finish();
  expect(database.memory.pool.usedBytes).toBe(before);
});

test.each([
  { width: 1000, count: 3000 },
  { width: 16_000, count: 200 },
])(
  'at the budget writes wait for the flush and go on: several sessions write three times the memory in rows of $width bytes',
  async ({ width, count }) => {
    let most = 0;
    const { pool } = db.tiers.database.memory;
    const session = async (index: number): Promise<void> => {
      for (let i = 0; i < 20; i++) {
        await write(index * 100_000 + i * count, count, 'y'.repeat(width));
        most = Math.max(most, pool.usedBytes);
      }
    };
    await Promise.all([1, 2, 3, 4].map(session));
    expect(most).toBeLessThanOrEqual(pool.budgetBytes);
    expect(pool.slabs.length * 16 * MB).toBe(pool.budgetBytes);
    const { tiers } = db;
    await tiers.database.flush(table, 'test');
    expect(tiers.database.memory.slabBytes).toBe(0);
    expect(table.files.reduce((sum, file) => sum + file.rows, 0)).toBe(count * 80);
  },
  60_000,
);

describe('a transaction that is too large', () => {
  async function fails(transaction: Transaction, work: () => Promise<void>): Promise<void> {
    await expect(work()).rejects.toMatchObject({ code: '53200' });
    transaction.finish();
  }

  test('ends with 53200 while it collects its rows, and leaves nothing behind', async () => {
    const { database } = db.tiers;
    await write(0, 10);
    const before = database.memory.pool.usedBytes;
    const transaction = database.begin(true);
    await fails(transaction, async () => {
      for (let i = 0; i < 40; i++) await db.insert(transaction, table, rows(1000 + i * 200, 200));
    });
    expect(database.memory.pool.usedBytes).toBe(before);
    expect(table.locks.size).toBe(0);
    expect(await counted()).toBe(10);
    await write(1000, 10);
    expect(await counted()).toBe(20);
  }, 60_000);

  test('ends with 53200 at its commit, writes nothing to the log, and leaves nothing behind', async () => {
    const { database } = db.tiers;
    table = (await createTable(database, tableDef(`m${made++}`, buckets)))!; // rows of partitions are copied
    const filler = database.begin(true);
    await db.insert(filler, table, rows(500_000, 2500));
    const transaction = database.begin(true);
    await db.insert(transaction, table, rows(1, 1500));
    const { lastLsn } = database.log;
    await fails(transaction, () => database.committer.commit(transaction));
    expect(database.log.lastLsn).toBe(lastLsn);
    filler.finish();
    expect(database.memory.pool.usedBytes).toBe(0);
    expect(await counted()).toBe(0);
    await write(1, 10);
    expect(await counted()).toBe(10);
  }, 60_000);
});

test('a transaction of many frames that waits for room in the log finds its rows where a flush has moved them', async () => {
  const { database } = db.tiers;
  await write(0, 1000);
  for (let round = 0; round < 2; round++) {
    const transaction = database.begin(true);
    await db.insert(transaction, table, rows(0, 1000), true);
    await db.insert(transaction, table, rows(10_000 + round * 1000, 300));
    await Promise.all([
      database.committer.commit(transaction),
      database.flush(table, 'test'),
      database.flush(table, 'test'),
    ]);
    await database.flush(table, 'test');
  }
  expect(await counted()).toBe(1600);
  await db.restart();
  table = db.table(table.def.name);
  expect(await counted()).toBe(1600);
}, 60_000);

test('a log larger than the memory is replayed by flushing on the way, also under a lower limit than it was written with', async () => {
  const large = await TestDatabase.create(2048 * MB);
  try {
    await createTable(large.tiers.database, tableDef('replayed', noPartition));
    const { database } = large.tiers;
    for (let i = 0; i < 8; i++) {
      const transaction = database.begin(true);
      // each takes over some rows of the one before it
      await large.insert(transaction, large.table('replayed'), rows(i * 1000, 1200), true);
      await database.committer.commit(transaction);
    }
    expect(database.memory.pool.usedBytes).toBeGreaterThan(96 * MB);
    await large.close();
    await large.open(768 * MB);
    const { pool } = large.tiers.database.memory;
    expect(pool.usedBytes).toBeLessThanOrEqual(pool.budgetBytes);
    const found = await large.rows(large.table('replayed'), null, 'id, v, NULL::VARCHAR AS name');
    expect(found).toEqual(
      Array.from({ length: 8200 }, (_, id) => `${id}|${id % 1000 < 200 && id >= 8000 ? id - 7000 : id % 1000}|null`),
    );
  } finally {
    await large.destroy();
  }
}, 60_000);

test('a commit whose memory others take while it waits for the log still becomes visible, whole', async () => {
  const { database } = db.tiers;
  table = (await createTable(database, tableDef(`m${made++}`, buckets)))!; // rows of partitions are copied
  const { pool } = database.memory;
  await write(0, 50);
  const transaction = database.begin(true);
  // small batches are copied into the slice, which needs room after the log has them
  for (let i = 0; i < 30; i++) await db.insert(transaction, table, rows(1000 + i * 40, 40));
  const taken: { readonly address: number; readonly bytes: number }[] = [];
  const committed = database.committer.commit(transaction);
  await Promise.resolve();
  for (const bytes of [16 * MB, MB, 65_536, 4096]) {
    for (let address = pool.allocate(bytes); address >= 0; address = pool.allocate(bytes))
      taken.push({ address, bytes });
  }
  await committed;
  for (const { address, bytes } of taken) pool.free(address, bytes);
  expect(await counted()).toBe(1250);
}, 60_000);

test('a table dropped while a commit waits for the log takes its own rows away and leaves those of other tables', async () => {
  const { database } = db.tiers;
  const other = (await createTable(database, tableDef(`m${made++}`, noPartition)))!;
  await write(0, 100);
  const transaction = database.begin(true);
  await db.insert(transaction, table, rows(0, 1300), true); // more than the log's ring takes at once
  await db.insert(transaction, other, rows(0, 10));
  const [committed] = await Promise.allSettled([database.committer.commit(transaction), dropTable(database, table)]);
  if (committed.status === 'rejected') {
    expect(committed.reason).toMatchObject({ code: '42P01' });
    transaction.finish();
  }
  expect((await db.rows(other)).length).toBe(committed.status === 'fulfilled' ? 10 : 0);
  await dropTable(database, other);
  expect(database.memory.pool.usedBytes).toBe(0);
}, 60_000);

test('a cursor that stays open reads its rows to the end, and only then their memory is free', async () => {
  const { database } = db.tiers;
  const { memory } = database;
  await write(0, 1000);
  const pin = memory.pins.acquire();
  await database.flush(table, 'test');
  memory.warm.clear();
  const held = memory.pool.usedBytes;
  expect(held).toBeGreaterThan(1000 * 16_000);
  await write(5000, 100);
  await database.flush(table, 'test');
  memory.warm.clear();
  expect(memory.pool.usedBytes).toBeGreaterThan(held);
  pin.release();
  expect(memory.pool.usedBytes).toBe(0);
});
