/** arka.memory: every byte of the slabs is in one of its parts, whatever happens to the rows. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { viewRows } from '../../src/gateway/views.ts';
import { STUB_VIEWS } from '../../src/catalog/stub-views.ts';
import { noPartition, tableDef, TestDatabase } from '../ingest/harness.ts';
import { createTable, dropTable } from '../ingest/define.ts';

const { columns } = STUB_VIEWS.find(({ name }) => name === 'memory')!;
let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create(768 * 2 ** 20);
}, 60_000);
afterAll(() => db.destroy());

function parts(): Record<string, number> {
  const { budget, database } = db.tiers;
  const [row] = viewRows({ budget, database, startedAt: 0 }, { superuser: true, reads: () => true }, 'arka.memory')!;
  return Object.fromEntries(columns.map((name, i) => [name, Number(row![i] ?? 0)]));
}

test('rows are a transaction’s, then a slice’s, then a copy of their file, then retired for as long as a reader may name them, then gone', async () => {
  const { database } = db.tiers;
  const table = (await createTable(database, tableDef('t', noPartition)))!;
  const seen: Record<string, number>[] = [];
  const look = (): Record<string, number> => {
    const now = parts();
    seen.push(now);
    return now;
  };
  const none = { slice_bytes: 0, transaction_bytes: 0, retired_bytes: 0, delete_bytes: 0, slab_bytes: 0 };
  expect(look()).toMatchObject(none);
  const first = database.begin(true);
  await db.insert(
    first,
    table,
    Array.from({ length: 3000 }, (_, i) => [i, i, 'x'.repeat(500)] as const),
  );
  expect(look()).toMatchObject({ slice_bytes: 0, transaction_bytes: look()['slab_bytes'], retired_bytes: 0 });
  await database.committer.commit(first);
  const committed = look();
  expect(committed).toMatchObject({ slice_bytes: committed['slab_bytes'], transaction_bytes: 0, delete_bytes: 0 });
  await expect.poll(() => parts()['index_bytes']).toBeGreaterThan(3000 * 4); // summed again after 10 ms or more
  const second = database.begin(true);
  await db.delete(second, table, 'id < 100');
  await database.committer.commit(second);
  expect(look()).toMatchObject({ delete_bytes: 4096 });
  const pin = database.memory.pins.acquire();
  await database.flush(table, 'test');
  expect(look()).toMatchObject({ slice_bytes: 0, transaction_bytes: 0 });
  expect(look()['warm_bytes']).toBeGreaterThan(3000 * 500);
  database.memory.warm.clear();
  const flushed = look();
  expect(flushed).toMatchObject({ slice_bytes: 0, transaction_bytes: 0, warm_bytes: 0, pins: 1 });
  expect(flushed['retired_bytes']).toBe(flushed['slab_bytes']);
  expect(flushed['file_bytes']).toBeGreaterThan(0);
  pin.release();
  expect(look()).toMatchObject(none);
  await dropTable(database, table);
  expect(look()).toMatchObject({ ...none, file_bytes: 0 });
  for (const each of seen) {
    const sum = each['slice_bytes']! + each['transaction_bytes']! + each['retired_bytes']! + each['delete_bytes']!;
    expect(sum).toBe(each['slab_bytes']);
    const whole = ['pool_bytes', 'heap_bytes', 'engine_bytes', 'catalog_bytes', 'rest_bytes'];
    expect(whole.reduce((all, name) => all + each[name]!, 0)).toBe(each['rss_bytes']);
    expect(each['pool_bytes']! % 2 ** 24).toBe(0);
    expect(each['pool_bytes']).toBeGreaterThanOrEqual(each['slab_bytes']!);
    expect(each['used_bytes']).toBe(each['slab_bytes']! + each['index_bytes']! + each['queue_bytes']!);
  }
}, 60_000);
