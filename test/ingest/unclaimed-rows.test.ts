/** Tables whose metadata cannot be read and which nothing else names by its uuid: what the log has may be theirs (U4; N1 to N3). */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { reattachTable } from '../../src/ingest/reattach.ts';
import { duckdb } from '../iceberg/harness.ts';
import { inCatalog } from '../iceberg/foreign.ts';
import { removed } from './damage.ts';
import { createTable } from './define.ts';
import { noPartition, tableDef, TestDatabase } from './harness.ts';

let db: TestDatabase;
/** Of tables that are made after the only checkpoint in the log, by name. */
let files: Map<string, string>;
let uuids: Map<string, string>;
beforeEach(async () => {
  db = await TestDatabase.create();
  files = new Map();
  uuids = new Map();
});
afterEach(() => db.destroy());

const write = (name: string, ids: readonly number[]): Promise<void> =>
  db.transact((transaction) =>
    db.insert(
      transaction,
      db.table(name),
      ids.map((id) => [id, 1, name] as const),
      true,
    ),
  );
const ids = async (name: string): Promise<number[]> =>
  (await db.rows(db.table(name))).map((row) => Number(row.split('|')[0]));
const again = (name: string): Promise<boolean> => reattachTable(db.tiers.database, db.table(name));
const logFrom = (): number => db.tiers.database.retention.trimTo(false);
const unclaimed = (): string[] => [...db.tiers.database.unclaimed.tables].map(({ uuid }) => uuid);
const isLost = (name: string): boolean => existsSync(join(db.dataDir, 'lost', uuids.get(name)!));

async function lostIds(name: string): Promise<number[]> {
  const folder = join(db.dataDir, 'lost', uuids.get(name)!);
  const list = readdirSync(folder).map((file) => `'${join(folder, file)}'`);
  const found = await duckdb(`SELECT field_1 FROM read_parquet([${list.join(', ')}]) ORDER BY 1`);
  return found.map(([id]) => Number(id));
}

async function made(...names: readonly string[]): Promise<void> {
  for (const name of names) {
    const table = (await createTable(db.tiers.database, tableDef(name, noPartition)))!;
    files.set(name, table.metadataLocation.replace('file://', ''));
    uuids.set(name, table.def.uuid);
  }
}

/** The server is down, and of its data directory the log alone is left. */
async function lostDirectory(): Promise<void> {
  await db.close();
  rmSync(join(db.dataDir, 'disk'), { recursive: true });
  rmSync(join(db.dataDir, 'index'), { recursive: true, force: true });
}

const drop = (name: string): void => inCatalog(db.dataDir, (catalog) => catalog.remove('public', name));

test('tables that nothing names but files which cannot be read come back with what the log has of them, however often the server starts', async () => {
  await made('a', 'b', 'well');
  await write('well', [1]);
  await write('a', [1, 2]);
  await write('b', [3]);
  await write('a', [4]);
  await lostDirectory();
  const harmed = [removed(files.get('a')!), removed(files.get('b')!)];
  await db.open();
  for (let start = 0; start < 2; start++) {
    for (const name of ['a', 'b']) {
      expect(db.table(name)).toMatchObject({ uuidIs: 'made', uncommittedFrom: 2, detached: { code: '58030' } });
      await expect(again(name)).rejects.toMatchObject({ code: '58030' });
    }
    expect(unclaimed()).toEqual([uuids.get('a'), uuids.get('b')]);
    await write('well', [10 + start]);
    await db.tiers.database.checkpoint();
    expect(logFrom()).toBe(2);
    await db.restart();
  }
  harmed[0]!();
  expect(await again('a')).toBe(true);
  expect(db.table('a').def.uuid).toBe(uuids.get('a'));
  expect(await ids('a')).toEqual([1, 2, 4]);
  await write('a', [5]);
  await db.tiers.database.checkpoint();
  expect(logFrom()).toBe(2); // of b nobody knows which operations are its own
  harmed[1]!();
  expect(await again('b')).toBe(true);
  expect(await ids('b')).toEqual([3]);
  await db.tiers.database.checkpoint();
  expect(logFrom()).toBe(db.tiers.database.committer.appliedLsn + 1);
  expect(unclaimed()).toEqual([]);
  await db.restart();
  expect([await ids('a'), await ids('b'), await ids('well')]).toEqual([[1, 2, 4, 5], [3], [1, 10, 11]]);
  expect(existsSync(join(db.dataDir, 'lost'))).toBe(false);
}, 120_000);

test('rows of a table that is gone wait until every table is known, and are then written to DATA_DIR/lost', async () => {
  await made('a', 'gone');
  await write('a', [1]);
  await write('gone', [7, 8]);
  await lostDirectory();
  const undo = removed(files.get('a')!);
  drop('gone');
  await db.open();
  expect(isLost('gone')).toBe(false);
  undo();
  expect(await again('a')).toBe(true);
  await db.tiers.database.checkpoint();
  expect(unclaimed()).toEqual([uuids.get('gone')]);
  expect(logFrom()).toBe(2);
  expect(db.tiers.database.retention.refused().fields).toMatchObject({
    detail: expect.stringMatching(
      /From LSN 2 on it is kept for table with uuid .*: the table is gone from the catalog/,
    ),
    hint: expect.stringContaining('Restart the server'),
  });
  await db.restart();
  expect(await lostIds('gone')).toEqual([7, 8]);
  expect(unclaimed()).toEqual([]);
  expect(await ids('a')).toEqual([1]);
  await db.tiers.database.checkpoint();
  expect(logFrom()).toBe(db.tiers.database.committer.appliedLsn + 1);
  await db.restart();
  expect(await lostIds('gone')).toEqual([7, 8]);
});

test('M-4: what only the log has of an unreadable table that another client drops meanwhile is written to DATA_DIR/lost by the next start', async () => {
  await made('a', 'b');
  await write('a', [1]);
  await write('b', [2]);
  await lostDirectory();
  const harmed = [removed(files.get('a')!), removed(files.get('b')!)];
  await db.open();
  // One that is known by then, and one of which nothing is known but that it is gone.
  harmed[1]!();
  const { database } = db.tiers;
  const known = database.identified(db.table('b'), await database.lake.identify(db.table('b').def.uuid));
  drop('b');
  removed(files.get('b')!);
  expect(await reattachTable(database, known)).toBe(false);
  expect(db.table('b')).toBeUndefined();
  drop('a');
  expect(await again('a')).toBe(false);
  await db.tiers.database.checkpoint();
  expect(logFrom()).toBe(1);
  await db.restart();
  expect([await lostIds('a'), await lostIds('b')]).toEqual([[1], [2]]);
});

test('M-4: a table that was made after the newest checkpoint and is gone at the next start leaves its rows in DATA_DIR/lost, also when nothing else needs the log', async () => {
  await made('gone');
  await write('gone', [5]);
  await lostDirectory();
  drop('gone');
  await db.open();
  expect(await lostIds('gone')).toEqual([5]);
});

test('a table that another client drops and registers again while it cannot be read has what the log has of it', async () => {
  await made('a');
  await write('a', [1, 2]);
  await db.tiers.database.flush(db.table('a'), 'test');
  await write('a', [3]);
  await db.close();
  const undo = removed(files.get('a')!);
  await db.open();
  const { database } = db.tiers;
  const { lake } = database;
  (database as { lake: unknown }).lake = new Proxy(lake, {
    get: (target, method: keyof typeof lake) =>
      method !== 'adoptNew'
        ? target[method]
        : (place: Parameters<typeof lake.adoptNew>[0]) => {
            undo();
            inCatalog(db.dataDir, (catalog) =>
              catalog.insert({ ...place, metadataLocation: `file://${files.get('a')!}` }),
            );
            return lake.adoptNew(place);
          },
  });
  drop('a');
  expect(await again('a')).toBe(false);
  expect(db.table('a').detached).toMatchObject({ message: expect.stringContaining('has not been read yet') });
  expect(await again('a')).toBe(true);
  expect(await ids('a')).toEqual([1, 2, 3]);
  expect(unclaimed()).toEqual([]);
  await db.restart();
  expect(await ids('a')).toEqual([1, 2, 3]);
});
