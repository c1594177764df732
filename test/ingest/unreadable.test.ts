/** Files of one table that are damaged or away at a start: it alone is detached, and comes back whole with them (U1, U2). */
import { rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  emptied,
  filesOf,
  flippedAt,
  footerFlipped,
  removed,
  truncated,
  type Harm,
  type TableFiles,
} from './damage.ts';
import { viewRows } from '../../src/gateway/views.ts';
import { STUB_VIEWS } from '../../src/catalog/stub-views.ts';
import { reattachTable } from '../../src/ingest/reattach.ts';
import { noPartition, tableDef, TestDatabase } from './harness.ts';
import { createTable, dropTable } from './define.ts';

const CASES: readonly (readonly [string, keyof TableFiles, Harm, string])[] = [
  ['a truncated metadata.json', 'metadata', truncated, 'XX001'],
  ['an empty metadata.json', 'metadata', emptied, 'XX001'],
  ['a metadata.json with another byte', 'metadata', flippedAt(0.3), 'XX001'],
  ['no metadata.json', 'metadata', removed, '58030'],
  ['another byte in the manifest list', 'list', flippedAt(0.9), 'XX001'],
  ['a truncated manifest list', 'list', truncated, 'XX001'],
  ['no manifest list', 'list', removed, '58030'],
  ['another byte in a manifest', 'manifest', flippedAt(0.95), 'XX001'],
  ['no manifest', 'manifest', removed, '58030'],
  ['another byte in the footer of a position-delete file', 'deletes', footerFlipped, 'XX001'],
  ['a truncated position-delete file', 'deletes', truncated, 'XX001'],
  ['an empty position-delete file', 'deletes', emptied, 'XX001'],
  ['no position-delete file', 'deletes', removed, '58030'],
  ['no data file, and deletes of it in the log', 'data', removed, '58030'],
  ['a truncated data file, and deletes of it in the log', 'data', truncated, 'XX001'],
  ['another byte in the footer of a data file, and deletes of it in the log', 'data', footerFlipped, 'XX001'],
];
const ill = CASES.map((_, i) => `ill${i}`);

let db: TestDatabase;
let expected: readonly string[];
let firstLsn = 0;
let harmed: readonly { readonly path: string; readonly undo: () => void }[];
beforeAll(async () => {
  db = await TestDatabase.create();
  for (const name of ['well', ...ill]) {
    await createTable(db.tiers.database, tableDef(name, noPartition));
    await write(name, range(0, 100));
    await db.tiers.database.commit(db.table(name), 'test');
    await remove(name, 'id < 10');
    await db.tiers.database.commit(db.table(name), 'test');
  }
  for (const name of ['well', ...ill]) {
    await write(name, [10, 200], 2);
    await db.tiers.database.flush(db.table(name), 'test');
    await write(name, [11, 201], 3);
    await remove(name, 'id = 12');
  }
  const all = [...range(13, 100).map((id) => `${id}=1`), '10=2', '200=2', '11=3', '201=3'];
  expected = all.toSorted((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
  expect(await ids('ill0')).toEqual(expected);
  firstLsn = db.tiers.database.retention.trimTo(false);
  const files = await Promise.all(ill.map((name) => filesOf(db.table(name))));
  await db.close();
  harmed = CASES.map(([, kind, harm], i) => {
    const path = files[i]![kind];
    return { path, undo: harm(path) };
  });
  // A key that the index knows is found without its file.
  rmSync(join(db.dataDir, 'index'), { recursive: true });
  await db.open();
}, 240_000);
afterAll(() => db.destroy());

const write = (name: string, ids: readonly number[], v = 1): Promise<void> =>
  db.transact((transaction) =>
    db.insert(
      transaction,
      db.table(name),
      ids.map((id) => [id, v, 'x'.repeat(100)] as const),
      true,
    ),
  );
const remove = (name: string, where: string): Promise<void> =>
  db.transact(async (transaction) => void (await db.delete(transaction, db.table(name), where)));
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const ids = async (name: string): Promise<string[]> =>
  (await db.rows(db.table(name))).map((row) => row.split('|').slice(0, 2).join('='));

/** Read, written, flushed, committed. */
async function worksFully(name: string): Promise<void> {
  expect(await ids(name)).toEqual(expected);
  const { database } = db.tiers;
  await write(name, [300]);
  await database.commit(db.table(name), 'test');
  await remove(name, 'id = 300');
  await database.checkpoint();
  expect(await ids(name)).toEqual(expected);
}

describe('a start', () => {
  test.each(CASES.map(([what, , , code], i) => [what, code, i] as const))(
    'with %s detaches that table with %s, which names the file',
    (_, code, i) => {
      const table = db.table(ill[i]!);
      expect(table.detached).toMatchObject({ reason: 'unreadable', code });
      expect(table.detached!.message).toContain(basename(harmed[i]!.path));
      expect(() => db.begin().of(table)).toThrow(expect.objectContaining({ code }));
      expect([...table.slices()].length + table.files.length).toBe(0);
    },
  );

  test('leaves all other tables working, and keeps the log and the files of the detached ones, however often', async () => {
    for (let start = 0; start < 2; start++) {
      await worksFully('well');
      expect(db.tiers.database.retention.trimTo(false)).toBe(firstLsn);
      expect(db.tiers.database.log.firstLsn).toBeLessThanOrEqual(firstLsn);
      await db.restart();
      for (const [i, [, , , code]] of CASES.entries()) expect(db.table(ill[i]!).detached).toMatchObject({ code });
    }
  }, 120_000);

  test('a table that is being read again is shown with the log that is kept for it, as before', async () => {
    const { database } = db.tiers;
    const table = db.table('ill12');
    const shown = (): unknown => {
      const view = STUB_VIEWS.find(({ name }) => name === 'tables')!;
      const at = (column: string): number => view.columns.indexOf(column);
      const reader = { superuser: true, reads: () => true };
      const context = { database, budget: db.tiers.budget, startedAt: 0 };
      const row = viewRows(context, reader, 'arka.tables')!.find((each) => each[at('table_name')] === table.def.name)!;
      return [row[at('state')], row[at('log_kept_from')]];
    };
    const before = shown();
    expect(before).toEqual(['detached', expect.any(String)]);
    const during: unknown[] = [];
    const { install } = Object.getPrototypeOf(table) as typeof table;
    table.install = (...given) => {
      during.push(shown());
      return install.apply(table, given);
    };
    await expect(reattachTable(database, table)).rejects.toMatchObject({ code: '58030' });
    expect(during).toEqual([before]);
    expect(shown()).toEqual(before);
  });

  test('with the files restored has every row again, while the server runs or at a start, also those that were pending; dropped tables are not missed', async () => {
    const { database } = db.tiers;
    await dropTable(database, db.table('ill0'));
    await dropTable(database, db.table('ill9'));
    const back = ill.filter((_, i) => i % 2 === 0 && i > 0);
    for (const name of back) {
      const i = ill.indexOf(name);
      const [, , , code] = CASES[i]!;
      const table = db.table(name);
      await expect(reattachTable(database, table)).rejects.toMatchObject({ code });
      expect(table.detached).toMatchObject({ reason: 'unreadable', code });
      expect([...table.slices()].length + table.files.length).toBe(0);
      harmed[i]!.undo();
      expect([name, await reattachTable(database, table)]).toEqual([name, true]);
      expect([name, await ids(name)]).toEqual([name, expected]);
      expect(await reattachTable(database, table)).toBe(false);
    }
    await worksFully(back[0]!);
    expect(database.retention.trimTo(false)).toBe(firstLsn);
    await db.close();
    for (const [i, { undo }] of harmed.entries()) if (i % 2 === 1 && i !== 9) undo();
    await db.open();
    for (const [i, name] of ill.entries()) {
      if (i === 0 || i === 9) {
        expect(db.table(name)).toBeUndefined();
        continue;
      }
      expect([name, db.table(name).detached]).toEqual([name, null]);
      expect([name, await ids(name)]).toEqual([name, expected]);
    }
    await db.tiers.database.checkpoint();
    for (const [i, name] of ill.entries()) if (i % 5 === 1) await worksFully(name);
    expect(db.tiers.database.commits.filter(({ warning }) => warning !== undefined)).toEqual([]);
  }, 120_000);
});
