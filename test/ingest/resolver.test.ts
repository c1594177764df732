/** Whether a key is taken, while whoever holds it moves its row: nothing keeps the row in its place for who only asks. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { isTaken, resolveCold } from '../../src/ingest/resolver.ts';
import { RowBuffer } from '../../src/storage/memory/row-buffer.ts';
import type { Table } from '../../src/storage/table.ts';
import type { UnitEngine } from '../../src/storage/unit-engine.ts';
import { VectorBuilder } from '../../src/types/vector-builder.ts';
import { putText } from '../../src/types/parse-text-value.ts';
import { textInput } from '../../src/types/text-input.ts';
import { UTC } from '../../src/types/time-zone.ts';
import { TestDatabase } from './harness.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());

/** Asks for id 1; `move` happens when the files have been chosen and before they are looked into. */
async function taken(table: Table, move: () => Promise<void>): Promise<boolean> {
  let left: (() => Promise<void>) | null = move;
  const once = async (): Promise<void> => {
    const work = left;
    left = null;
    await work?.();
  };
  const { engine, memory } = db.context;
  const asking: UnitEngine = Object.create(engine, {
    lookup: {
      value: async (...request: Parameters<UnitEngine['lookup']>) => {
        await once();
        return engine.lookup(...request);
      },
    },
  }) as UnitEngine;
  const { index } = table;
  const spy =
    index === null
      ? null
      : vi.spyOn(index, 'lookup').mockImplementation(async (...request) => {
          spy!.mockRestore();
          await once();
          return index.lookup(...request);
        });
  const builder = new VectorBuilder('int64');
  putText(textInput({ oid: 20, typmod: -1 }, { timeZone: UTC, now: () => 0 }), '1', builder);
  try {
    return await isTaken({ memory, engine: asking }, table, [builder.vector()], 0);
  } finally {
    spy?.mockRestore();
    expect(left, 'a file was asked').toBe(null);
  }
}

async function tableWithRowInFile(): Promise<Table> {
  const table = await db.newTable();
  await db.transact((transaction) => db.insert(transaction, table, [[1, 1, 'a']]));
  await db.tiers.database.flush(table, 'test');
  while (db.tiers.database.memory.warm.giveOne()); // with a copy of it in memory no file is asked
  return table;
}

const rewrite = (table: Table): Promise<void> =>
  db.transact(async (transaction) => {
    await db.delete(transaction, table, 'id = 1');
    await db.insert(transaction, table, [[1, 2, 'b']]);
  });

test('a key whose row moves from a file to memory while the file is looked into is taken', async () => {
  const table = await tableWithRowInFile();
  expect(await taken(table, () => rewrite(table))).toBe(true);
});

test('a key whose row moves from a file by way of memory to another file meanwhile is taken', async () => {
  const table = await tableWithRowInFile();
  const move = async (): Promise<void> => {
    await rewrite(table);
    await db.tiers.database.flush(table, 'test');
  };
  expect(await taken(table, move)).toBe(true);
});

test('a key whose row is deleted meanwhile is not taken', async () => {
  const table = await tableWithRowInFile();
  const move = (): Promise<void> =>
    db.transact(async (transaction) => void (await db.delete(transaction, table, 'id = 1')));
  expect(await taken(table, move)).toBe(false);
});

test('where files cannot be asked, the names of a table without a key give their memory back (V5)', async () => {
  const table = await db.newTable(false, false);
  await db.transact((transaction) => db.insert(transaction, table, [[1, 1, 'a']]));
  await db.tiers.database.flush(table, 'test');
  const { engine, memory } = db.context;
  const failing: UnitEngine = Object.create(engine, {
    lookupImages: { value: () => Promise.reject(new Error('EIO')) },
  }) as UnitEngine;
  const used = memory.pool.usedBytes;
  const names = new RowBuffer(memory, table.namePhysicals);
  const builders = table.namePhysicals.map((physical) => new VectorBuilder(physical));
  for (const builder of builders) builder.null();
  names.append(
    builders.map((builder) => builder.vector()),
    0,
    1,
  );
  await expect(resolveCold(failing, table, names, () => {})).rejects.toThrow('EIO');
  names.retire();
  expect(memory.pool.usedBytes).toBe(used);
});
