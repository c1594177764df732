/** D4–D6: one budget for all of the data directory but a local warehouse: what grows has its room before, and the books are the disk's. */
import { randomBytes } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RowSpool } from '../../src/gateway/row-spool.ts';
import { spill } from '../../src/ingest/spill-rows.ts';
import { streamRows } from '../../src/ingest/stream-writes.ts';
import type { Transaction } from '../../src/ingest/transaction.ts';
import type { Table } from '../../src/storage/table.ts';
import { createTable } from './define.ts';
import { noPartition, tableDef, TestDatabase } from './harness.ts';

const LIMIT = 24 * 2 ** 20;
let db: TestDatabase;
let table: Table;
let next = 0;
beforeAll(async () => {
  db = await TestDatabase.create(2 ** 30, null, { diskLimit: LIMIT, segmentBytes: 2 ** 18 });
  const sort = [{ sourceId: 2, descending: false, nullsFirst: false }] as never;
  table = (await createTable(db.tiers.database, { ...tableDef('t', noPartition), sort }))!;
}, 60_000);
afterAll(() => db.destroy());

/** What is there, each file once whatever its names. */
function bytesOnDisk(): number {
  const files = new Map<number, number>();
  for (const part of ['wal', 'disk', 'index', 'tmp', 'cache', 'lost', 'catalog.db']) {
    const path = join(db.dataDir, part);
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats?.isFile() === true) files.set(stats.ino, stats.size);
    if (stats?.isDirectory() !== true) continue;
    for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
      const { ino, size } = statSync(join(entry.parentPath, entry.name));
      if (entry.isFile()) files.set(ino, size);
    }
  }
  return [...files.values()].reduce((sum, bytes) => sum + bytes, 0);
}

/** Rows that hardly get smaller in a file. */
async function load(transaction: Transaction, rows: number): Promise<void> {
  for (let done = 0; done < rows; done += 200) {
    const some = Array.from({ length: 200 }, () => [next++, next % 7, randomBytes(600).toString('base64')] as const);
    await db.insert(transaction, table, some);
    await streamRows(db.tiers.database, transaction, transaction.of(table));
  }
}

const reservedNow = (): number => db.tiers.database.disk.parts.reserved;

test('the parts of arka.disk add up to what is on the disk, to 3 percent: log, a stream, files of a transaction, staged files, deltas, index, rows of a cursor', async () => {
  const { database, engine } = db.tiers;
  const { disk, index } = database;
  await db.transact((transaction) => load(transaction, 2000));
  await database.flush(table, 'test');
  await index!.sync(table);
  const transaction = db.begin();
  const spool = new RowSpool({ engine, room: () => disk.growing('Rows') });
  const before = reservedNow();
  try {
    await load(transaction, 8000);
    await spill(database, transaction, transaction.of(table), next);
    for (let i = 0; i < 15; i++) await spool.append(Buffer.alloc(100_000), 1);
    await expect.poll(() => table.files.every((file) => file.indexed)).toBe(true);
    await disk.recount();
    const { used, spill: aside, log, staged, index: runs } = disk.parts;
    for (const part of [aside, log, staged, runs]) expect(part).toBeGreaterThan(10_000);
    const there = bytesOnDisk();
    expect(Math.abs(used - there)).toBeLessThan(0.03 * there);
  } finally {
    await spool.close();
    transaction.finish();
  }
  await disk.recount();
  expect(disk.parts.spill).toBe(0);
  expect(reservedNow()).toBeLessThanOrEqual(before + 2 ** 20);
});

test('a transaction larger than what disk.limit leaves is 53100 that says what takes it, its files and its stream go, and others write on', async () => {
  const { database } = db.tiers;
  const transaction = db.begin();
  const fill = async (): Promise<never> => {
    for (;;) {
      await load(transaction, 800);
      if (transaction.of(table).inserted.batches.length > 2)
        await spill(database, transaction, transaction.of(table), next);
    }
  };
  const refusal = await fill().catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: '53100', message: 'no space left in disk.limit' });
  expect((refusal as { fields: { detail: string } }).fields.detail).toMatch(
    /^Of 25165824 bytes the log takes \d+, .* transaction.* may take \d+ bytes more\.$/,
  );
  expect(bytesOnDisk()).toBeLessThan(LIMIT);
  transaction.finish();
  await expect.poll(bytesOnDisk).toBeLessThan(LIMIT / 2);
  await db.transact((another) => load(another, 200));
  expect(await db.rows(table)).toHaveLength(2200);
});
