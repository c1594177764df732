/** Flushed slices as copies of their files: what is read from them, when they give way, and what they may hold. */
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { vacuumFull } from '../../src/ingest/vacuum.ts';
import type { DataFileUnit } from '../../src/storage/file-unit.ts';
import { integerAt } from '../../src/storage/memory/slice.ts';
import type { Table } from '../../src/storage/table.ts';
import { isValid } from '../../src/types/column-vector.ts';
import { VectorBuilder } from '../../src/types/vector-builder.ts';
import { noPartition, tableDef, TestDatabase, threeBuckets } from './harness.ts';
import { createTable, dropTable } from './define.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());
afterEach(async () => {
  const { database } = db.tiers;
  await database.close();
  for (const table of [...database.tables.values()]) await dropTable(database, table);
  const { warm, pool } = database.memory;
  expect([warm.size, warm.bytes, pool.usedBytes]).toEqual([0, 0, 0]);
});

let made = 0;
async function newTable(shape: 'plain' | 'sorted' | 'partitioned'): Promise<Table> {
  const def = tableDef(`w${made++}`, shape === 'partitioned' ? threeBuckets : noPartition);
  const sort = shape === 'sorted' ? [{ sourceId: 2, descending: true, nullsFirst: false }] : [];
  return (await createTable(db.tiers.database, { ...def, sort }))!;
}

function keyOf(id: number) {
  const builder = new VectorBuilder('int64');
  builder.int64(id, id < 0 ? -1 : 0);
  return [builder.vector()];
}

/** `id|v|name` of the row with a key as memory has it; null: memory has none. */
function inMemory(table: Table, id: number): string | null {
  const key = keyOf(id);
  if (!table.findInMemory(table.keys.hashRow(key, 0), key, 0)) return null;
  const unit = table.unit(table.foundUnit)!;
  const at = table.foundPosition;
  const place = unit.tier === 'memory' ? unit.locate(at) : unit.warm!.locate(at);
  const [ids, values, names] = place!.batch.vectors();
  const { row } = place!;
  const name = Buffer.from(names!.heap.subarray(names!.starts[row], names!.ends[row])).toString();
  return `${integerAt(ids!, row)}|${isValid(values!, row) ? values!.words[row] : 'null'}|${isValid(names!, row) ? name : 'null'}`;
}

const mayBeCold = (table: Table): boolean => table.files.some(({ warm }) => warm?.isWhole !== true);

/** Each row of the table is what memory says of it, and memory has what it says that files need not be asked for. */
async function check(table: Table, keys: number): Promise<void> {
  const rows = new Map((await db.rows(table)).map((row) => [Number(row.split('|')[0]), row]));
  for (let id = 0; id < keys; id++) {
    const found = inMemory(table, id);
    if (found !== null || !mayBeCold(table)) expect(found).toBe(rows.get(id) ?? null);
  }
}

const KEYS = 40;
const anyStep = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('upsert' as const),
      keys: fc.uniqueArray(fc.nat(KEYS - 1), { minLength: 1, maxLength: 8 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), from: fc.nat(KEYS - 1) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('flush' as const, 'flush' as const, 'commit' as const, 'rewrite' as const, 'give' as const),
    }),
  },
);

test.each(['plain', 'sorted', 'partitioned'] as const)(
  'a row of a file read from its copy is the row that the file has, whatever was written, moved or dropped (%s)',
  async (shape) => {
    const { database } = db.tiers;
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { minLength: 4, maxLength: 14 }), async (steps) => {
        const table = await newTable(shape);
        let n = 0;
        for (const step of steps) {
          if (step.kind === 'upsert')
            await db.transact((transaction) => {
              const rows = step.keys.map(
                (key) => [key, ++n % 5 === 0 ? null : n, n % 3 === 0 ? null : `n${n}`] as const,
              );
              return db.insert(transaction, table, rows, true);
            });
          else if (step.kind === 'delete')
            await db.transact(
              async (transaction) =>
                void (await db.delete(transaction, table, `id BETWEEN ${step.from} AND ${step.from + 2}`)),
            );
          else if (step.kind === 'flush') await database.flush(table, 'test');
          else if (step.kind === 'commit') await database.commit(table, 'test');
          else if (step.kind === 'rewrite') await vacuumFull(database, table);
          else database.memory.warm.giveOne();
          await check(table, KEYS);
        }
        await dropTable(database, table);
      }),
      { numRuns: 8 },
    );
  },
  120_000,
);

const manyRows = (from: number, count: number, width: number) =>
  Array.from({ length: count }, (_, i) => [from + i, i, 'x'.repeat(width)] as const);

async function flushed(table: Table, from: number, count: number, width: number): Promise<DataFileUnit> {
  await db.transact((transaction) => db.insert(transaction, table, manyRows(from, count, width)));
  await db.tiers.database.flush(table, 'test');
  return table.files.at(-1)!;
}

test('copies count in no zone, and give way before a writer would be slowed: untouched ones first, then the one touched longest ago', async () => {
  const { memory } = db.tiers.database;
  const table = await newTable('plain');
  const files: DataFileUnit[] = [];
  for (let i = 0; i < 4; i++) files.push(await flushed(table, i * 1000, 500, 2000));
  expect(memory.slabBytes).toBe(0);
  expect(files.map(({ warm }) => warm !== null)).toEqual([true, true, true, true]);
  inMemory(table, 0);
  inMemory(table, 2000);
  inMemory(table, 0);
  const share = memory.warm.greenShare;
  const left = async (copies: number): Promise<readonly boolean[]> => {
    memory.warm.greenShare = (memory.warm.slabBytes * copies) / files.length / memory.pool.budgetBytes;
    memory.warm.trimSoon();
    await Promise.resolve();
    memory.warm.greenShare = share;
    return files.map(({ warm }) => warm !== null);
  };
  expect(await left(3)).toEqual([true, false, true, true]);
  expect(await left(2.7)).toEqual([true, false, true, false]);
  expect(await left(2)).toEqual([true, false, false, false]);
});

test('a block that the pool has not is taken from a copy, but not from the one touched last', async () => {
  const { memory } = db.tiers.database;
  const table = await newTable('plain');
  const first = await flushed(table, 0, 500, 2000);
  const second = await flushed(table, 1000, 500, 2000);
  inMemory(table, 0);
  expect(memory.warm.giveOne()).toBe(true);
  expect([first.warm !== null, second.warm]).toEqual([true, null]);
  expect(memory.warm.giveOne()).toBe(false);
  expect(inMemory(table, 7)).toBe(`7|7|${'x'.repeat(2000)}`);
});

test('a copy that gives way waits for the readers from before its flush, and for no others', async () => {
  const { memory } = db.tiers.database;
  const table = await newTable('plain');
  await db.transact((transaction) => db.insert(transaction, table, manyRows(0, 500, 2000)));
  const before = memory.pins.acquire();
  await db.tiers.database.flush(table, 'test');
  const after = memory.pins.acquire();
  memory.warm.clear();
  expect(memory.pins.heldBytes.memory).toBeGreaterThan(500 * 2000);
  expect(memory.pool.usedBytes).toBe(memory.pins.heldBytes.memory);
  before.release();
  expect(memory.pool.usedBytes).toBe(0);
  after.release();
});

test('a file whose copy is whole is not asked for a key that memory does not have', async () => {
  const table = await newTable('plain');
  const file = await flushed(table, 0, 100, 10);
  await db.transact(async (transaction) => void (await db.delete(transaction, table, 'id = 50')));
  const { engine } = db.tiers.database;
  let asked = 0;
  const { lookup } = engine;
  const counting = Object.assign(Object.create(engine) as typeof engine, {
    lookup: (request: never) => {
      asked++;
      return lookup(request);
    },
  });
  const context = { ...db.context, engine: counting };
  expect(file.indexed || file.warm?.isWhole).toBe(true);
  const { isTaken } = await import('../../src/ingest/resolver.ts');
  expect(await isTaken(context, table, keyOf(50), 0)).toBe(false);
  expect(await isTaken(context, table, keyOf(51), 0)).toBe(true);
  expect(asked).toBe(0);
});

test('a compaction takes the copies of its inputs along, whole when theirs are', async () => {
  const { database } = db.tiers;
  const { memory } = database;
  const table = await newTable('sorted');
  for (let i = 0; i < 3; i++) await flushed(table, i * 100, 50, 5);
  await db.transact(async (transaction) => void (await db.delete(transaction, table, 'id < 10')));
  await database.commit(table, 'test');
  await vacuumFull(database, table);
  const [file] = table.files;
  expect([table.files.length, file!.rows, file!.warm?.isWhole]).toEqual([1, 140, true]);
  await check(table, 300);
  expect(inMemory(table, 120)).toBe('120|20|xxxxx');
  memory.warm.giveOne();
  expect(file!.warm?.isWhole).toBe(false);
  await check(table, 300);
  await flushed(table, 1000, 50, 5);
  await database.commit(table, 'test');
  await vacuumFull(database, table);
  expect([table.files.length, table.files[0]!.warm?.isWhole]).toEqual([1, false]);
  await check(table, 1050);
});

test('a table keeps copies of eight flushes at most: those with the most live rows', async () => {
  const table = await newTable('plain');
  for (let i = 0; i < 10; i++) await flushed(table, i * 100, i === 4 || i === 6 ? 2 : 10, 5);
  expect(table.files.map(({ warm }) => warm === null)).toEqual(
    [4, 6].reduce((all, i) => all.with(i, true), Array<boolean>(10).fill(false)),
  );
});
