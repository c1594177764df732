/** Sessions side by side over one database, while rows move down the tiers under them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { vacuumFull } from '../../src/ingest/vacuum.ts';
import type { Table } from '../../src/storage/table.ts';
import { noPartition, tableDef, TestDatabase } from './harness.ts';
import { createTable, dropTable } from './define.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());

const put = (table: Table, rows: readonly (readonly [number, number])[], upsert = false): Promise<void> =>
  db.transact((transaction) =>
    db.insert(
      transaction,
      table,
      rows.map(([id, v]) => [id, v, `n${id}`] as const),
      upsert,
    ),
  );

function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const parse = (row: string): { readonly id: number; readonly v: number } => {
  const [id, v] = row.split('|');
  return { id: Number(id), v: Number(v) };
};

/** Rows move all the time until it is stopped. */
function mover(table: Table, seed: number): () => Promise<void> {
  const random = seeded(seed);
  let stopped = false;
  const done = (async () => {
    while (!stopped) {
      const { database } = db.tiers;
      const pick = random(10);
      if (pick < 6) await database.flush(table, 'test');
      else if (pick < 8) await database.commit(table, 'test');
      else if (pick < 9) await vacuumFull(database, table);
      else await database.checkpoint();
      await sleep(random(4));
    }
  })();
  return () => {
    stopped = true;
    return done;
  };
}

/** What must hold when no transaction is under way and no scan runs. */
afterEach(async () => {
  const { database } = db.tiers;
  await database.close();
  const { memory } = database;
  expect(memory.pins.active).toBe(0);
  expect(memory.pins.waiting).toBe(0);
  for (const table of [...database.tables.values()]) {
    expect(table.locks.size).toBe(0);
    await dropTable(database, table);
  }
  expect(memory.pool.usedBytes).toBe(0);
});

describe('transactions beside flushes and commits', () => {
  async function transfers(partitioned: boolean, rounds: number): Promise<void> {
    const accounts = 24;
    const table = await db.newTable(partitioned);
    await put(
      table,
      Array.from({ length: accounts }, (_, i) => [i, 100]),
    );
    const stop = mover(table, 7);
    let deadlocks = 0;
    let finished = false;
    const writer = async (seed: number): Promise<void> => {
      const random = seeded(seed);
      for (let round = 0; round < rounds; round++) {
        const from = random(accounts);
        const to = (from + 1 + random(accounts - 1)) % accounts;
        const amount = random(20);
        const transaction = db.begin();
        try {
          // As a client does it: lock by deleting one row after another, then write both anew from what is there.
          for (const [id, delta] of [
            [from, -amount],
            [to, amount],
          ] as const) {
            let seen: string | undefined;
            const deleted = await db.delete(transaction, table, `id = ${id}`, (rows) => {
              seen = rows[0];
            });
            expect(deleted).toBe(1);
            await db.insert(transaction, table, [[id, parse(seen!).v + delta, `r${round}`]]);
            if (random(4) === 0) await sleep(random(5));
          }
          if (random(5) === 0) transaction.finish();
          else await db.commit(transaction);
        } catch (error) {
          if (transaction.state !== 'done') transaction.finish();
          if ((error as { code?: string }).code !== '40P01') throw error;
          deadlocks++;
        }
      }
    };
    let reads = 0;
    const reader = async (): Promise<void> => {
      while (!finished) {
        const rows = (await db.rows(table)).map(parse);
        expect(rows.map(({ id }) => id)).toEqual(Array.from({ length: accounts }, (_, i) => i));
        expect(rows.reduce((sum, { v }) => sum + v, 0)).toBe(accounts * 100);
        reads++;
      }
    };
    const readers = [reader(), reader()];
    try {
      await Promise.all([1, 2, 3, 4, 5].map(writer));
    } finally {
      finished = true;
      await Promise.all(readers);
      await stop();
    }
    expect(reads).toBeGreaterThan(2);
    const before = await db.rows(table);
    await db.restart();
    expect(await db.rows(db.table(table.def.name))).toEqual(before);
  }

  test(
    'readers see every id once and the sum of all accounts unchanged while transfers run',
    () => transfers(false, 12),
    60_000,
  );
  test('the same over partitions', () => transfers(true, 8), 60_000);

  test('upserts from several sessions leave each id once, with the value of its last commit', async () => {
    const table = await db.newTable();
    const last = new Map<number, number>();
    const stop = mover(table, 3);
    let counter = 0;
    const writer = async (seed: number): Promise<void> => {
      const random = seeded(seed);
      for (let round = 0; round < 25; round++) {
        // ids in order: no deadlocks
        const ids = [...new Set(Array.from({ length: 1 + random(12) }, () => random(40)))].sort((a, b) => a - b);
        const v = ++counter;
        const transaction = db.begin();
        await db.insert(
          transaction,
          table,
          ids.map((id) => [id, v, null] as const),
          true,
        );
        if (random(6) === 0) transaction.finish();
        else {
          const committed = db.commit(transaction);
          for (const id of ids) last.set(id, v); // under the locks of these ids
          await committed;
        }
      }
    };
    await Promise.all([11, 12, 13, 14].map(writer));
    await stop();
    const expected = [...last].sort(([a], [b]) => a - b).map(([id, v]) => `${id}|${v}|null`);
    expect(await db.rows(table)).toEqual(expected);
    await db.restart();
    expect(await db.rows(db.table(table.def.name))).toEqual(expected);
  }, 60_000);

  test('C11: of several sessions that insert the same key exactly one wins, wherever the rows move meanwhile', async () => {
    const table = await db.newTable();
    const stop = mover(table, 5);
    for (let round = 0; round < 20; round++) {
      const results = await Promise.allSettled(
        [1, 2, 3, 4].map((v) =>
          put(table, [
            [round, v],
            [round + 1000, v],
          ]),
        ),
      );
      expect(results.filter(({ status }) => status === 'fulfilled').length).toBe(1);
      for (const result of results)
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: '23505' });
    }
    await stop();
    expect((await db.rows(table)).length).toBe(40);
  }, 60_000);
});

describe('a transaction open while its rows move', () => {
  const moves = {
    flush: (table: Table) => db.tiers.database.flush(table, 'test'),
    commit: (table: Table) => db.tiers.database.commit(table, 'test'),
  } as const;
  for (const [name, move] of Object.entries(moves)) {
    for (const ending of ['commit', 'rollback'] as const) {
      test(`H16: deletes, upserts and own rows survive a ${name}, then ${ending}`, async () => {
        const table = await db.newTable();
        await put(
          table,
          Array.from({ length: 10 }, (_, i) => [i, 0]),
        );
        const transaction = db.begin();
        expect(await db.delete(transaction, table, 'id < 3')).toBe(3);
        await db.insert(
          transaction,
          table,
          [
            [3, 33, null],
            [20, 20, null],
          ],
          true,
        );
        const own = ['3|33|null', '4|0|n4', '5|0|n5', '6|0|n6', '7|0|n7', '8|0|n8', '9|0|n9', '20|20|null'];
        expect(await db.rows(table, transaction)).toEqual(own);
        await move(table);
        expect(await db.rows(table, transaction)).toEqual(own);
        await put(table, [[30, 1]]);
        await move(table);
        await db.insert(
          transaction,
          table,
          [
            [3, 34, null],
            [4, 44, null],
          ],
          true,
        );
        await move(table);
        const others = Array.from({ length: 10 }, (_, i) => `${i}|0|n${i}`);
        expect(await db.rows(table)).toEqual([...others, '30|1|n30']);
        if (ending === 'commit') await db.commit(transaction);
        else transaction.finish();
        const expected =
          ending === 'commit'
            ? ['3|34|null', '4|44|null', '5|0|n5', '6|0|n6', '7|0|n7', '8|0|n8', '9|0|n9', '20|20|null', '30|1|n30']
            : [...others, '30|1|n30'];
        expect(await db.rows(table)).toEqual(expected);
        await move(table);
        expect(await db.rows(table)).toEqual(expected);
        await db.restart();
        expect(await db.rows(db.table(table.def.name))).toEqual(expected);
      }, 60_000);
    }
  }

  test('rows that move between the log and the tables take the deletions on their way along', async () => {
    const table = await db.newTable();
    const many = Array.from({ length: 3000 }, (_, i) => [i, 0] as const);
    await put(table, many);
    // commits and flushes start in the same turn, again and again
    for (let round = 0; round < 8; round++) {
      const transaction = db.begin();
      expect(await db.delete(transaction, table, `id >= ${round * 300} AND id < ${round * 300 + 300}`)).toBe(300);
      await Promise.all([
        db.tiers.database.flush(table, 'test'),
        db.commit(transaction),
        put(table, [[10_000 + round, 1]]),
        db.tiers.database.commit(table, 'test'),
      ]);
      expect((await db.rows(table)).length).toBe(3000 - (round + 1) * 300 + round + 1);
    }
  }, 60_000);
});

let sorted = 0;
/** Where its rows go in a flush only the engine can tell. */
async function sortedTable(): Promise<Table> {
  const def = tableDef(`sorted${sorted++}`, noPartition);
  const sort = [{ sourceId: 2, descending: true, nullsFirst: false }];
  return (await createTable(db.tiers.database, { ...def, sort }))!;
}

test('an engine that cannot tell where rows went does not make a flush write them twice', async () => {
  const table = await sortedTable();
  await put(
    table,
    Array.from({ length: 10 }, (_, i) => [i, 0]),
  );
  const { database } = db.tiers;
  const { engine, lake, warn } = database;
  const warnings: unknown[] = [];
  let failures = 2;
  const late = db.begin();
  const failing = {
    ...methods(engine, ['writeParquet', 'writePositionDeletes', 'readPositionDeletes', 'lookup', 'newPositions']),
    newPositions: (request: never) =>
      failures-- > 0 ? Promise.reject(new Error('no memory')) : engine.newPositions(request),
  };
  // the transaction deletes while the manifest is written, so that the map is first needed after it
  const during = {
    ...methods(lake, ['removeFiles', 'commit', 'define']),
    writeFlush: async (request: never) => {
      await lake.writeFlush(request);
      await db.delete(late, table, 'id < 2');
    },
  };
  Object.assign(database, { engine: failing, lake: during, warn: (error: unknown) => warnings.push(error) });
  try {
    await database.flush(table, 'test');
  } finally {
    Object.assign(database, { engine, lake, warn });
  }
  expect(warnings.length).toBe(2);
  await db.commit(late);
  await db.restart();
  expect((await db.rows(db.table(table.def.name))).length).toBe(8);
});

test.each(['writeParquet', 'newPositions', 'writeFlush', 'commit', 'writePositionDeletes'] as const)(
  'a flush or commit whose %s fails changes nothing, and the next one takes everything',
  async (name) => {
    const table = name === 'newPositions' ? await sortedTable() : await db.newTable();
    await put(
      table,
      Array.from({ length: 10 }, (_, i) => [i, 0]),
    );
    const { database } = db.tiers;
    await database.flush(table, 'test');
    await put(
      table,
      [
        [0, 1],
        [20, 1],
        [21, 1],
      ],
      true,
    );
    const open = db.begin();
    await db.insert(
      open,
      table,
      [
        [1, 9, null],
        [20, 9, null],
      ],
      true,
    );
    const { engine, lake } = database;
    const fail = (): Promise<never> => Promise.reject(new Error('the disk said no'));
    const engineMethods = methods(engine, [
      'writeParquet',
      'writePositionDeletes',
      'readPositionDeletes',
      'lookup',
      'newPositions',
    ]);
    const lakeMethods = methods(lake, ['removeFiles', 'commit', 'define', 'writeFlush']);
    Object.assign(
      database,
      name in engineMethods
        ? { engine: { ...engineMethods, [name]: fail } }
        : { lake: { ...lakeMethods, [name]: fail } },
    );
    const before = await db.rows(table);
    try {
      for (let i = 0; i < 2; i++) {
        await expect(database.commit(table, 'test')).rejects.toThrow('the disk said no');
        expect(await db.rows(table)).toEqual(before);
      }
      await put(table, [[21, 2]], true);
    } finally {
      Object.assign(database, { engine, lake });
    }
    await database.commit(table, 'test');
    await db.commit(open);
    const expected = [
      '0|1|n0',
      '1|9|null',
      ...Array.from({ length: 8 }, (_, i) => `${i + 2}|0|n${i + 2}`),
      '20|9|null',
      '21|2|n21',
    ];
    expect(await db.rows(table)).toEqual(expected);
    await db.restart();
    expect(await db.rows(db.table(table.def.name))).toEqual(expected);
  },
);

/** A remote's functions as an object that can be spread: the remote itself answers to any name. */
function methods<T extends object>(remote: T, names: readonly (keyof T)[]): Partial<T> {
  return Object.fromEntries(
    names.map((name) => [name, (...args: unknown[]) => (remote[name] as (...all: unknown[]) => unknown)(...args)]),
  ) as Partial<T>;
}

describe('key locks', () => {
  test('C11: the second of two transactions waits for the first, and sees what it did', async () => {
    const table = await db.newTable();
    const [one, two] = [db.begin(), db.begin()];
    await db.insert(one, table, [[1, 1, null]]);
    let answered = false;
    const second = db.insert(two, table, [[1, 2, null]]).finally(() => {
      answered = true;
    });
    second.catch(() => {});
    await sleep(20);
    expect(answered).toBe(false);
    await db.commit(one);
    await expect(second).rejects.toMatchObject({ code: '23505' });
    two.finish();

    const [three, four] = [db.begin(), db.begin()];
    expect(await db.delete(three, table, 'id = 1')).toBe(1);
    const waiting = db.insert(four, table, [[1, 4, null]]);
    await sleep(20);
    await db.commit(three);
    await waiting;
    await db.commit(four);
    expect(await db.rows(table)).toEqual(['1|4|null']);
  });

  test('a circle of three transactions ends with 40P01 for one, and the others go on', async () => {
    const table = await db.newTable();
    await put(table, [
      [0, 0],
      [1, 0],
      [2, 0],
    ]);
    const all = [db.begin(), db.begin(), db.begin()];
    for (const [i, transaction] of all.entries()) await db.insert(transaction, table, [[i, i + 10, null]], true);
    const results = await Promise.allSettled(
      all.map(async (transaction, i) => {
        try {
          await db.insert(transaction, table, [[(i + 1) % 3, i + 20, null]], true);
          await db.commit(transaction);
        } catch (error) {
          transaction.finish();
          throw error;
        }
      }),
    );
    const failed = results.filter((result) => result.status === 'rejected');
    expect(failed.map(({ reason }) => (reason as { code: string }).code)).toEqual(['40P01']);
    expect((await db.rows(table)).length).toBe(3);
  });

  test('a cancelled wait for a key ends with 57014, and the transaction can be rolled back at once', async () => {
    const table = await db.newTable();
    const [holder, waiter] = [db.begin(), db.begin()];
    await db.insert(holder, table, [[1, 1, null]]);
    const waiting = db.insert(waiter, table, [[1, 2, null]]);
    db.cancel();
    await expect(waiting).rejects.toMatchObject({ code: '57014' });
    waiter.finish();
    await db.commit(holder);
    expect(await db.rows(table)).toEqual(['1|1|null']);
  });

  test('a transaction rolled back while it waits for a key locks and records nothing after it', async () => {
    const table = await db.newTable();
    await put(table, [[1, 1]]);
    for (const wait of ['delete', 'insert'] as const) {
      const [holder, leaving] = [db.begin(), db.begin()];
      await db.insert(holder, table, [[1, 5, null]], true);
      const waiting =
        wait === 'delete' ? db.delete(leaving, table, 'id = 1') : db.insert(leaving, table, [[1, 7, null]], true);
      waiting.catch(() => {});
      await sleep(30);
      leaving.finish(); // its client went away
      await expect(waiting).rejects.toMatchObject({ code: '57014' });
      holder.finish();
      expect(table.locks.size).toBe(0);
      await expect(put(table, [[1, 9]])).rejects.toMatchObject({ code: '23505' });
    }
    expect(await db.rows(table)).toEqual(['1|1|n1']);
  });
});

test('a dropped table fails the transactions that wrote to it, with 42P01 and nothing left in memory', async () => {
  const table = await db.newTable();
  await put(table, [
    [1, 1],
    [2, 2],
  ]);
  const transaction = db.begin();
  await db.delete(transaction, table, 'id = 1');
  await db.insert(transaction, table, [[7, 7, null]]);
  await dropTable(db.tiers.database, table);
  await expect(db.commit(transaction)).rejects.toMatchObject({ code: '42P01' });
  transaction.finish();
});
