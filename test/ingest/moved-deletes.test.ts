/**
 * A start whose deletes on disk are of files that another writer has removed, when the log has no more what was deleted: the rows
 * are found again by the old files, when those can be read (H3, C7).
 */
import { mkdirSync, rmdirSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { reattachTable } from '../../src/ingest/reattach.ts';
import { foreignFile } from '../iceberg/foreign.ts';
import { emptied, removed, type Harm } from './damage.ts';
import { noPartition, tableDef, TestDatabase } from './harness.ts';
import { treat } from './treat.ts';
import { createTable } from './define.ts';

/** What is read of the file fails, and it is there. */
const aFolder: Harm = (path) => {
  const undo = removed(path);
  mkdirSync(path);
  return () => {
    rmdirSync(path);
    undo();
  };
};
const CASES = { whole: () => () => {}, away: aFolder, damaged: emptied, restored: removed, accepted: removed } as const;
type Name = keyof typeof CASES;
const NAMES = Object.keys(CASES) as Name[];

let db: TestDatabase;
const old = new Map<Name, string>();
const undo = new Map<Name, () => void>();
/** Of each: ids 0 to 9 in one file; 0 to 3 are deleted on disk alone, 20 is staged, 21 in the log; another writer has rewritten the file. */
beforeAll(async () => {
  db = await TestDatabase.create(2 ** 30, null, { segmentBytes: 2 ** 17, logBytesMax: 2 ** 18 });
  const { database } = db.tiers;
  for (const name of [...NAMES, 'filler']) await createTable(database, tableDef(name, noPartition));
  for (const name of NAMES) {
    await write(name, [...Array(10).keys()]);
    await database.commit(db.table(name), 'test');
  }
  const { lake } = database;
  (database as { lake: unknown }).lake = new Proxy(lake, {
    get: (target, method: keyof typeof lake) =>
      method === 'commit' ? () => Promise.reject(new Error('the catalog is away')) : target[method],
  });
  for (const name of NAMES) {
    await db.transact(async (transaction) => void (await db.delete(transaction, db.table(name), 'id < 4')));
    await write(name, [20]);
    await database.flush(db.table(name), 'test');
  }
  const deletedTo = database.log.lastLsn;
  for (let i = 0; i < 4; i++) {
    await write('filler', [6 * i, 6 * i + 1, 6 * i + 2, 6 * i + 3, 6 * i + 4, 6 * i + 5], 'x'.repeat(15_000));
    await database.retention.relieve();
  }
  expect(database.log.firstLsn).toBeGreaterThan(deletedTo);
  for (const name of NAMES) await write(name, [21]);
  const files = NAMES.map((name) => db.table(name).files[0]!);
  await db.close();
  for (const [i, name] of NAMES.entries()) {
    const { info, path } = files[i]!;
    old.set(name, path);
    const select = `SELECT range, 1, 'n' FROM range(10) ORDER BY range DESC`;
    await foreignFile(db.dataDir, name, info, select, [info.location]);
    undo.set(name, CASES[name](path));
  }
  await db.open();
}, 60_000);
afterAll(() => db.destroy());

const write = (name: string, keys: readonly number[], text = 'n'): Promise<void> =>
  db.transact((transaction) =>
    db.insert(
      transaction,
      db.table(name),
      keys.map((id) => [id, 1, text] as const),
      true,
    ),
  );
const ids = async (name: Name): Promise<number[]> =>
  (await db.rows(db.table(name))).map((row) => Number.parseInt(row, 10));
const ALL = [4, 5, 6, 7, 8, 9, 20, 21];

test('C7: the deleted rows are found in the new file by the old one, which is not needed again', async () => {
  expect(await ids('whole')).toEqual(ALL);
  rmSync(old.get('whole')!);
});

describe.each([
  ['away', '58030'],
  ['damaged', 'XX001'],
] as const)('U2: an old file that is %s', (name, code) => {
  test('makes its table alone unreadable, until it is whole again while the server runs', async () => {
    const { database } = db.tiers;
    const table = db.table(name);
    const message = expect.stringContaining(basename(old.get(name)!));
    expect(table.detached).toMatchObject({ reason: 'unreadable', code, message });
    await expect(reattachTable(database, table)).rejects.toMatchObject({ code });
    undo.get(name)!();
    expect(await reattachTable(database, table)).toBe(true);
    expect(await ids(name)).toEqual(ALL);
    await write(name, [22]);
    await database.commit(table, 'test');
    expect(await ids(name)).toEqual([...ALL, 22]);
  });
});

test('R4: an old file that is gone makes the table read-only with 55000, until it is restored or given up', async () => {
  for (const name of ['restored', 'accepted'] as const) {
    const message = expect.stringContaining(
      `${basename(old.get(name)!)}" are on disk, and another writer has removed that data file`,
    );
    await expect(write(name, [22])).rejects.toMatchObject({ code: '55000', message });
  }
  await db.close();
  expect((await treat(db.dataDir, null)).join('\n')).toMatch(
    /public.accepted is read-only: deletes of[^]*public.restored/,
  );
  undo.get('restored')!();
  await treat(db.dataDir, { table: 'public.accepted', how: 'accept' });
  await db.open();
  expect(await ids('restored')).toEqual(ALL);
  expect(await ids('accepted')).toEqual([...Array(10).keys(), 21]);
  for (const name of ['restored', 'accepted'] as const) await write(name, [22]);
});

test('all of it is there after the next start', async () => {
  await db.tiers.database.checkpoint();
  await db.restart();
  expect(await ids('whole')).toEqual(ALL);
  for (const name of ['away', 'damaged', 'restored'] as const) expect(await ids(name)).toEqual([...ALL, 22]);
});
