/** Compaction over real threads and a real warehouse: alone, beside writers, against other engines, and through a crash at every step. */
import { existsSync } from 'node:fs';
import { cp, rename, rm } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { SqlError, SqlState } from '../../src/errors.ts';
import type { Database } from '../../src/ingest/database.ts';
import type { Transaction } from '../../src/ingest/transaction.ts';
import { vacuum } from '../../src/ingest/vacuum.ts';
import type { DataFileUnit } from '../../src/storage/file-unit.ts';
import type { Table } from '../../src/storage/table.ts';
import { foreignDelete, foreignFile } from '../iceberg/foreign.ts';
import { noPartition, tableDef, TestDatabase } from './harness.ts';
import { createTable, dropTable } from './define.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await TestDatabase.create();
}, 60_000);
afterAll(() => db.destroy());

let made = 0;
async function newTable(sorted = false): Promise<Table> {
  const sort = sorted ? [{ sourceId: 2, descending: true, nullsFirst: false }] : [];
  return (await createTable(db.tiers.database, { ...tableDef(`r${made++}`, noPartition), sort }))!;
}

async function put(table: Table, rows: readonly (readonly [number, number])[], upsert = false): Promise<void> {
  const transaction = db.begin();
  await db.insert(
    transaction,
    table,
    rows.map(([id, v]) => [id, v, `n${id}`] as const),
    upsert,
  );
  await db.commit(transaction);
}

async function remove(table: Table, where: string): Promise<void> {
  const transaction = db.begin();
  await db.delete(transaction, table, where);
  await db.commit(transaction);
}

const dataFiles = (table: Table): readonly DataFileUnit[] => table.files.filter((file) => file.tier === 'iceberg');
const FILES = 4;

/** Rows 0 … 39 in files of ten, of each file the third row deleted. */
async function fourFiles(sorted: boolean): Promise<Table> {
  const { database } = db.tiers;
  const table = await newTable(sorted);
  for (let i = 0; i < FILES; i++) {
    await put(
      table,
      Array.from({ length: 10 }, (_, k) => [i * 10 + k, (k * 7 + i) % 10]),
    );
    await database.commit(table, 'test');
  }
  await remove(table, 'id % 10 = 3');
  await database.commit(table, 'test');
  return table;
}

type Api = 'engine' | 'lake';

/** Runs `around` in the place of one call of a thread's API, for a time. */
async function intercepted<T>(
  api: Api,
  method: string,
  around: (call: () => Promise<unknown>) => Promise<unknown>,
  work: () => Promise<T>,
): Promise<T> {
  const database = db.tiers.database as Database & Record<Api, unknown>;
  const real = database[api] as Record<string, (...args: unknown[]) => Promise<unknown>>;
  const wrapped = new Proxy(real, {
    get: (target, name: string) =>
      name === method ? (...args: unknown[]) => around(() => target[name]!(...args)) : target[name],
  });
  Object.defineProperty(database, api, { value: wrapped, configurable: true });
  try {
    return await work();
  } finally {
    Object.defineProperty(database, api, { value: real, configurable: true });
  }
}

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

/** The same rows now, after a new start, and after a commit. */
async function expectRows(name: string, rows: readonly string[]): Promise<void> {
  expect(await db.rows(db.table(name))).toEqual(rows);
  await db.restart();
  expect(await db.rows(db.table(name))).toEqual(rows);
  await db.tiers.database.commit(db.table(name), 'test');
  expect(await db.rows(db.table(name))).toEqual(rows);
}

test.each([
  ['a table', false],
  ['a sorted table', true],
])('small files of %s become one with the same rows', async (_, sorted) => {
  const table = await fourFiles(sorted);
  const before = await db.rows(table);
  expect(before).toHaveLength(36);
  expect(await db.tiers.database.rewrite(table, [dataFiles(table)], 'test')).toBe(true);
  expect(dataFiles(table).map((file) => [file.rows, file.deletes.length])).toEqual([[36, 0]]);
  expect(db.tiers.database.commits.at(-1)).toMatchObject({ files: 1, rows: 36, deletes: 4, trigger: 'test' });
  await expectRows(table.def.name, before);
});

test('V5: a rewrite that does not fit the memory of the engine is done in parts, and rows of all of them stay', async () => {
  const { database } = db.tiers;
  const table = await fourFiles(false);
  const before = await db.rows(table);
  let calls = 0;
  const tooLarge = async (call: () => Promise<unknown>): Promise<unknown> => {
    if (calls++ === 0) throw new SqlError(SqlState.outOfMemory, 'out of memory');
    return await call();
  };
  await intercepted('engine', 'writeParquet', tooLarge, () => database.rewrite(table, [dataFiles(table)], 'test'));
  expect(calls).toBe(3);
  expect(dataFiles(table).map((file) => file.rows)).toEqual([18, 18]);
  expect(await db.rows(table)).toEqual(before);
});

test('V5: a single file that does not fit the memory of the engine fails with 53200, and nothing has changed', async () => {
  const { database } = db.tiers;
  const table = await fourFiles(false);
  const before = dataFiles(table);
  const never = (): Promise<unknown> => Promise.reject(new SqlError(SqlState.outOfMemory, 'out of memory'));
  const work = intercepted('engine', 'writeParquet', never, () => database.rewrite(table, [dataFiles(table)], 'test'));
  await expect(work).rejects.toMatchObject({ code: '53200' });
  expect(dataFiles(table)).toEqual(before);
  expect((await db.rows(table)).length).toBe(36);
});

test('files whose rows are all deleted leave without a successor', async () => {
  const { database } = db.tiers;
  const table = await fourFiles(false);
  await remove(table, 'id < 15'); // where no row is left of our own doing the commit drops the file
  await database.commit(table, 'test');
  expect(dataFiles(table)).toHaveLength(3);
  const [{ info, rows }] = dataFiles(table) as [DataFileUnit];
  const positions = Array.from({ length: rows }, (_, position) => position);
  await foreignDelete(db.dataDir, table.def.name, info.location, positions);
  await database.refresh(table);
  const before = await db.rows(table);
  const file = dataFiles(table).find((each) => each.info.location === info.location)!;
  expect(await database.rewrite(table, [[file]], 'test')).toBe(true);
  expect(dataFiles(table)).toHaveLength(2);
  await expectRows(table.def.name, before);
});

const MOMENTS: readonly (readonly [string, Api, string, 'before' | 'after'])[] = [
  ['while files are written', 'engine', 'writeParquet', 'after'],
  ['before the swap', 'lake', 'refresh', 'before'],
  ['during the swap, before it', 'lake', 'rewrite', 'before'],
  ['during the swap, after it', 'lake', 'rewrite', 'after'],
];

describe.each(MOMENTS)('what happens %s is carried over', (_, api, method, when) => {
  async function rewriteWith(sorted: boolean, meanwhile: (table: Table) => Promise<void>): Promise<Table> {
    const table = await fourFiles(sorted);
    let first = true;
    await intercepted(
      api,
      method,
      async (call) => {
        const once = first;
        first = false;
        if (once && when === 'before') await meanwhile(table);
        const answer = await call();
        if (once && when === 'after') await meanwhile(table);
        return answer;
      },
      () => db.tiers.database.rewrite(table, [dataFiles(table)], 'test'),
    );
    return table;
  }

  /** Deletes and changes, some of them moved on if the lane is free; a transaction that stays open; a key looked for in files on their way out. */
  async function everything(
    own: Table,
    move: 'flush' | 'commit' | null,
  ): Promise<{ readonly open: Transaction; readonly refused: Promise<unknown> }> {
    await remove(own, 'id IN (5, 17, 36)');
    await put(
      own,
      [
        [0, 100],
        [25, 101],
      ],
      true,
    );
    await remove(own, 'id = 11');
    if (move !== null) await db.tiers.database[move](own, 'test');
    await remove(own, 'id IN (30, 0)');
    const open = db.begin();
    await db.delete(open, own, 'id IN (1, 22, 39)');
    await db.insert(open, own, [[22, 500, 'again']]);
    const looking = db.begin();
    const refused = db.insert(looking, own, [[14, 1, 'twice']]).then(
      () => null,
      (error: unknown) => error,
    );
    return { open, refused: refused.finally(() => looking.finish()) };
  }

  test.each([
    ['of a table, then committed', false, true, null],
    ['of a sorted table, then rolled back', true, false, null],
    ...(api === 'lake'
      ? []
      : ([
          ['of a table with a flush in between', false, false, 'flush'],
          ['of a sorted table with a commit in between', true, true, 'commit'],
        ] as const)),
  ] as const)('%s', async (_name, sorted, commits, move) => {
    let meanwhile: Awaited<ReturnType<typeof everything>> | null = null;
    const table = await rewriteWith(sorted, async (own) => {
      meanwhile = await everything(own, move);
    });
    const { open, refused } = meanwhile!;
    expect(await refused).toMatchObject({ code: '23505' });
    if (commits) await db.commit(open);
    else open.finish();
    const gone = [0, 5, 11, 17, 30, 36, ...(commits ? [1, 39] : [])];
    const rows = await db.rows(table);
    expect(rows.map((row) => Number(row.split('|')[0]))).toEqual(
      Array.from({ length: 40 }, (_each, i) => i).filter((i) => i % 10 !== 3 && !gone.includes(i)),
    );
    expect(rows.includes('22|500|again')).toBe(commits);
    expect(rows).toContain('25|101|n25');
    await expectRows(table.def.name, rows);
  });
});

describe('other engines', () => {
  /** `meanwhile` runs while files are written. */
  async function rewriteBeside(meanwhile: (table: Table) => Promise<void>, table: Table): Promise<boolean> {
    let first = true;
    return intercepted(
      'engine',
      'writeParquet',
      async (call) => {
        const answer = await call();
        if (first) await meanwhile(table);
        first = false;
        return answer;
      },
      () => db.tiers.database.rewrite(table, [dataFiles(table)], 'test'),
    );
  }
  const fileOf = async (table: Table, id: number): Promise<DataFileUnit> => dataFiles(table)[Math.floor(id / 10)]!;

  test('C7: rows that another engine deletes from an input stay deleted', async () => {
    const table = await fourFiles(false);
    await rewriteBeside(async (own) => {
      await foreignDelete(db.dataDir, own.def.name, (await fileOf(own, 10)).info.location, [5, 9]);
    }, table);
    const rows = await db.rows(table);
    expect(rows).toHaveLength(34);
    expect(rows.filter((row) => /^(15|19)\|/.test(row))).toEqual([]);
    expect(dataFiles(table)).toHaveLength(1);
    await expectRows(table.def.name, rows);
  });

  test('they stay deleted behind pending deletes of ours', async () => {
    const table = await fourFiles(true);
    await rewriteBeside(async (own) => {
      await remove(own, 'id = 11');
      await foreignDelete(db.dataDir, own.def.name, (await fileOf(own, 10)).info.location, [5]);
    }, table);
    const rows = await db.rows(table);
    expect(rows).toHaveLength(34);
    await expectRows(table.def.name, rows);
  });

  test('H16: a delete that comes between the last look and the swap is carried over, too', async () => {
    const table = await fourFiles(false);
    const { location } = (await fileOf(table, 10)).info;
    let swaps = 0;
    await intercepted(
      'lake',
      'rewrite',
      async (call) => {
        if (swaps++ === 0) await foreignDelete(db.dataDir, table.def.name, location, [5, 9]);
        return call();
      },
      () => db.tiers.database.rewrite(table, [dataFiles(table)], 'test'),
    );
    expect(swaps).toBe(2);
    const rows = await db.rows(table);
    expect(rows).toHaveLength(34);
    expect(dataFiles(table)).toHaveLength(1);
    await expectRows(table.def.name, rows);
  });

  test('rows that another engine appends between the last look and the swap are taken over', async () => {
    const table = await fourFiles(false);
    const like = dataFiles(table)[0]!.info;
    let swaps = 0;
    await intercepted(
      'lake',
      'rewrite',
      async (call) => {
        if (swaps++ === 0) await foreignFile(db.dataDir, table.def.name, like, `SELECT 100, 1, 'theirs'`);
        return call();
      },
      () => db.tiers.database.rewrite(table, [dataFiles(table)], 'test'),
    );
    expect(swaps).toBe(1);
    const rows = await db.rows(table);
    expect(rows).toHaveLength(37);
    expect(dataFiles(table)).toHaveLength(2);
    await expectRows(table.def.name, rows);
  });

  test('C7: an input that another engine has rewritten itself takes its group with it, and the others are swapped in', async () => {
    const table = await fourFiles(false);
    const [a, b, c, d] = dataFiles(table);
    let first = true;
    const rewritten = await intercepted(
      'engine',
      'writeParquet',
      async (call) => {
        if (first)
          await foreignFile(db.dataDir, table.def.name, a!.info, `SELECT range, 1, 'theirs' FROM range(10)`, [
            a!.info.location,
          ]);
        first = false;
        return call();
      },
      () =>
        db.tiers.database.rewrite(
          table,
          [
            [a!, b!],
            [c!, d!],
          ],
          'test',
        ),
    );
    expect(rewritten).toBe(true);
    const rows = await db.rows(table);
    expect(rows).toHaveLength(10 + 27);
    expect(dataFiles(table)).toHaveLength(3);
    await expectRows(table.def.name, rows);
  });
});

describe('a failure', () => {
  test.each<[Api, string]>([
    ['engine', 'writeParquet'],
    ['lake', 'refresh'],
    ['lake', 'commit'],
    ['lake', 'rewrite'],
    ['engine', 'writePositionDeletes'],
  ])('of %s.%s changes nothing, and the next rewrite takes everything', async (api, method) => {
    const table = await fourFiles(false);
    const failing = async (): Promise<boolean> => {
      let first = true;
      return intercepted(
        'engine',
        'writeParquet',
        async (call) => {
          if (api === 'engine' && method === 'writeParquet') throw new Error('planted');
          const answer = await call();
          if (first) {
            first = false;
            await remove(table, 'id = 8');
            await db.tiers.database.commit(table, 'test');
            await remove(table, 'id = 9');
            await db.tiers.database.flush(table, 'test');
          }
          return answer;
        },
        () => db.tiers.database.rewrite(table, [dataFiles(table)], 'test'),
      );
    };
    const planted =
      method === 'writeParquet'
        ? failing()
        : intercepted(
            api,
            method,
            async (call) => (method === 'commit' && first(table) ? call() : Promise.reject(new Error('planted'))),
            failing,
          );
    await expect(planted).rejects.toThrow('planted');
    expect(dataFiles(table)).toHaveLength(FILES);
    const before = await db.rows(table);
    expect(await db.tiers.database.rewrite(table, [dataFiles(table)], 'test')).toBe(true);
    expect(dataFiles(table)).toHaveLength(1);
    expect(await db.rows(table)).toEqual(before);
  });

  /** The first commit is the one in between. */
  const commits = new WeakMap<Table, boolean>();
  function first(table: Table): boolean {
    const before = commits.get(table) ?? false;
    commits.set(table, true);
    return !before;
  }

  test('of the engine to tell where rows went, once the swap is done, is waited out', async () => {
    const table = await fourFiles(true);
    let swapped = false;
    let failures = 0;
    await intercepted(
      'lake',
      'rewrite',
      async (call) => {
        const answer = await call();
        swapped = true;
        await remove(table, 'id IN (1, 38)');
        return answer;
      },
      () =>
        intercepted(
          'engine',
          'newPositions',
          async (call) => {
            if (swapped && failures++ === 0) throw new Error('planted');
            return call();
          },
          () => db.tiers.database.rewrite(table, [dataFiles(table)], 'test'),
        ),
    );
    expect(failures).toBe(2);
    const rows = await db.rows(table);
    expect(rows).toHaveLength(34);
    await expectRows(table.def.name, rows);
  });

  test('a swap whose answer is lost is asked for again, and done once', async () => {
    const table = await fourFiles(false);
    const before = await db.rows(table);
    const { SqlError } = await import('../../src/errors.ts');
    let swaps = 0;
    await intercepted(
      'lake',
      'rewrite',
      async (call) => {
        const answer = await call();
        if (swaps++ === 0) throw new SqlError('08007', 'planted');
        return answer;
      },
      () => db.tiers.database.rewrite(table, [dataFiles(table)], 'test'),
    );
    expect(swaps).toBe(2);
    expect(dataFiles(table)).toHaveLength(1);
    await expectRows(table.def.name, before);
  });
});

test('an expired file stays until the last reader of this server that may name it has ended, whatever the grace', async () => {
  const shared = db;
  db = await TestDatabase.create(2 ** 30, null, { keepSnapshots: 1, fileGraceMs: 0 });
  try {
    const { database } = db.tiers;
    const table = await fourFiles(false);
    const old = dataFiles(table).map((file) => file.path);
    const there = (): boolean[] => old.map((path) => existsSync(path));
    const pin = database.memory.pins.acquire();
    await database.rewrite(table, [dataFiles(table)], 'test');
    await put(table, [[500, 1]]);
    await database.commit(table, 'test');
    await vacuum(database, table);
    expect(there()).toEqual([true, true, true, true]);
    const merged = dataFiles(table).map((file) => file.path);
    const later = database.memory.pins.acquire(); // reads the merged file
    await database.rewrite(table, [dataFiles(table)], 'test');
    await put(table, [[501, 1]]);
    await database.commit(table, 'test');
    pin.release();
    await expect.poll(there).toEqual([false, false, false, false]);
    await vacuum(database, table);
    expect(merged.every((path) => existsSync(path))).toBe(true);
    later.release();
    await expect.poll(() => merged.some((path) => existsSync(path))).toBe(false);
    expect(await db.rows(table)).toHaveLength(38);
  } finally {
    await db.destroy();
    db = shared;
  }
});

test('a crash at any step of a rewrite leaves every row once', async () => {
  const shared = db;
  db = await TestDatabase.create();
  try {
    await crashAtEveryStep();
  } finally {
    await rm(db.dataDir, { recursive: true, force: true });
    db = shared;
  }
}, 120_000);

async function crashAtEveryStep(): Promise<void> {
  const table = await fourFiles(true);
  const copies: { readonly at: string; readonly dir: string; readonly rows: readonly string[] }[] = [];
  let made = 0;
  const crash = async (at: string): Promise<void> => {
    const dir = `${db.dataDir}-${made++}`;
    await cp(db.dataDir, dir, { recursive: true });
    copies.push({ at, dir, rows: await db.rows(table) });
  };
  const watched = (api: Api, method: string, work: () => Promise<boolean>): Promise<boolean> =>
    intercepted(
      api,
      method,
      async (call) => {
        if (method === 'rewrite') await crash('before the swap');
        const answer = await call();
        if (method === 'writeParquet') {
          await remove(table, 'id IN (4, 15)');
          await db.tiers.database.commit(table, 'test');
          await remove(table, 'id IN (6, 25)');
          await db.tiers.database.flush(table, 'test');
          await remove(table, 'id IN (8, 35)');
        }
        await crash(`after ${method}`);
        return answer;
      },
      work,
    );
  const steps: readonly (readonly [Api, string])[] = [
    ['engine', 'writeParquet'],
    ['engine', 'newPositions'],
    ['engine', 'writePositionDeletes'],
    ['lake', 'refresh'],
    ['lake', 'rewrite'],
  ];
  const work = steps.reduceRight<() => Promise<boolean>>(
    (inner, [api, method]) =>
      () =>
        watched(api, method, inner),
    () => db.tiers.database.rewrite(table, [dataFiles(table)], 'test'),
  );
  expect(await work()).toBe(true);
  await crash('after everything');
  expect(copies.length).toBeGreaterThanOrEqual(6);
  const { dataDir } = db;
  await db.destroy();
  for (const { at, dir, rows } of copies) {
    await rename(dir, dataDir); // locations are absolute
    db = await TestDatabase.create(2 ** 30, dataDir);
    const found = db.table(table.def.name);
    expect(await db.rows(found), at).toEqual(rows);
    await db.tiers.database.commit(found, 'test');
    expect(await db.tiers.database.rewrite(found, [dataFiles(found)], 'test')).toBe(true);
    expect(await db.rows(found), at).toEqual(rows);
    expect(dataFiles(found)).toHaveLength(1);
    await db.destroy();
  }
}
