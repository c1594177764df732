/** Files of one table that come to harm, as clients see it: while the server runs, and at a start. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Client } from 'pg';
import { afterAll, expect, test } from 'vitest';
import { flippedAt, footerFlipped, removed, truncated } from '../ingest/damage.ts';
import { startServer } from './server-process.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'arka-damaged-'));
afterAll(() => rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 }));

type Rows = (sql: string) => Promise<unknown[]>;

async function life(commitInterval: string, work: (rows: Rows) => Promise<void>): Promise<void> {
  await using server = await startServer({
    dataDir,
    settings: {
      'iceberg.commit_interval': commitInterval,
      'iceberg.min_interval': '1ms',
      'iceberg.refresh_interval': '100ms',
      'flush.min_interval': '1ms',
    },
  });
  const client = new Client({ connectionString: server.url });
  await client.connect();
  try {
    await work(async (sql) => (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows);
  } finally {
    await client.end();
  }
}

const local = (location: unknown): string => String(location).replace('file://', '');
const metadataOf = async (rows: Rows): Promise<string> =>
  local(((await rows(`SELECT arka.metadata_location('public.ill')`))[0] as unknown[])[0]);
const dataFileOf = async (rows: Rows): Promise<string> =>
  local(((await rows(`SELECT path FROM arka.units WHERE table_name = 'ill' AND tier = 'iceberg'`))[0] as unknown[])[0]);

/** Waits for what the server does by itself. */
async function until(rows: Rows, sql: string, wanted: unknown): Promise<void> {
  for (;;) if (JSON.stringify(await rows(sql)) === JSON.stringify(wanted)) return;
}

async function wellWorks(rows: Rows, id: number): Promise<void> {
  await rows(`INSERT INTO well VALUES (${id}, 'new')`);
  await rows(`UPDATE well SET v = 'changed' WHERE id IN (1, ${id})`);
  await rows(`CALL arka.commit('well')`);
  expect(await rows(`SELECT v FROM well WHERE id = ${id}`)).toEqual([['changed']]);
  await rows(`DELETE FROM well WHERE id = ${id}`);
}

test('a damaged file fails the statements that read it, and what is done by itself is tried again and seen in arka.tables; others go on', async () => {
  await life('100ms', async (rows) => {
    for (const name of ['ill', 'well']) {
      await rows(`CREATE TABLE ${name} (id int PRIMARY KEY, v text)`);
      await rows(`INSERT INTO ${name} SELECT i, md5(i::text) FROM generate_series(1, 1000) i`);
      await rows(`CALL arka.commit('${name}')`);
    }
    const data = await dataFileOf(rows);
    for (const [harm, code] of [
      [removed, '58030'],
      [truncated, 'XX001'],
    ] as const) {
      const undo = harm(data);
      const told = { code, message: expect.stringContaining(`data file "${basename(data)}"`) };
      await expect(rows('SELECT count(DISTINCT v) FROM ill')).rejects.toMatchObject(told);
      await expect(rows('UPDATE ill SET v = v || id WHERE id > 990')).rejects.toMatchObject({ code });
      await wellWorks(rows, 2000);
      undo();
    }
    expect(await rows('SELECT count(DISTINCT v)::int FROM ill')).toEqual([[1000]]);

    const metadata = await metadataOf(rows);
    const undo = truncated(metadata);
    await rows(`INSERT INTO ill VALUES (1001, 'pending')`);
    const state = `SELECT state, sqlstate, chore, message LIKE '%${basename(metadata)}" is damaged at byte %' FROM arka.tables WHERE table_name = 'ill' AND chore = 'commit'`;
    await until(rows, state, [['failing', 'XX001', 'commit', true]]);
    await expect(rows(`CALL arka.commit('ill')`)).rejects.toMatchObject({
      code: 'XX001',
      message: expect.stringContaining(basename(metadata)),
    });
    await wellWorks(rows, 2001);
    expect(await rows('SELECT v FROM ill WHERE id = 1001')).toEqual([['pending']]);
    const warned = `SELECT warning LIKE 'commit failed: %${basename(metadata)}%' FROM arka.commits WHERE table_name = 'ill' AND snapshot_id IS NULL AND trigger = 'commit'`;
    expect(await rows(warned)).toEqual([[true]]);
    undo();
    await rows(`CALL arka.commit('ill')`);
    await until(rows, `SELECT DISTINCT state FROM arka.tables WHERE table_name = 'ill'`, [['writable']]);
  });
}, 120_000);

const STATEMENTS = [
  'SELECT * FROM ill',
  'SELECT count(*) FROM well JOIN ill USING (id)',
  'SELECT * FROM ill WHERE id = 1',
  `INSERT INTO ill VALUES (5000, 'x')`,
  'INSERT INTO ill (nothing) SELECT 1',
  `UPDATE ill SET v = 'y' WHERE id = 1`,
  'DELETE FROM ill',
  'TRUNCATE ill',
  'EXPLAIN SELECT * FROM ill',
  'COPY ill TO STDOUT',
  'ALTER TABLE ill ADD COLUMN w int',
  'ALTER TABLE ill RENAME TO other',
  'CREATE INDEX i ON ill USING hash (v)',
  'VACUUM ill',
  'VACUUM FULL ill',
  `CALL arka.flush('ill')`,
  `CALL arka.commit('ill')`,
];

test.each([
  ['metadata file', metadataOf, flippedAt(0.4), 'XX001'],
  ['data file of pending changes', dataFileOf, footerFlipped, 'XX001'],
] as const)(
  'with a damaged or missing %s every statement on its table names it, the others work, and with it restored all is there again by itself',
  async (_, fileOf, harm, code) => {
    let path = '';
    await life('1h', async (rows) => {
      path = await fileOf(rows);
      await rows(`UPDATE ill SET v = 'changed' WHERE id = 7`);
      await rows(`INSERT INTO ill VALUES (3000, 'more') ON CONFLICT DO NOTHING`);
    });
    rmSync(join(dataDir, 'index'), { recursive: true });
    const undo = harm(path);
    await life('1h', async (rows) => {
      for (const statement of STATEMENTS)
        await expect(rows(statement), statement).rejects.toMatchObject({
          code,
          message: expect.stringContaining(basename(path)),
        });
      await wellWorks(rows, 2000);
      await rows('CHECKPOINT');
      await rows('VACUUM');
      const state = `SELECT state, sqlstate, log_kept_from IS NOT NULL FROM arka.tables WHERE table_name = 'ill'`;
      expect(await rows(state)).toEqual([['detached', code, true]]);
      expect(await rows(`SELECT count(*)::int FROM pg_class WHERE relname = 'ill'`)).toEqual([[1]]);
      undo();
      await until(rows, `SELECT DISTINCT state FROM arka.tables WHERE table_name = 'ill'`, [['writable']]);
      expect(await rows(`SELECT count(*)::int, max(id) FROM ill`)).toEqual([[1002, 3000]]);
      expect(await rows('SELECT v FROM ill WHERE id = 7')).toEqual([['changed']]);
      await rows('CHECKPOINT');
    });
  },
  180_000,
);

test('a detached table can be dropped, and its name is free', async () => {
  let path = '';
  await life('1h', async (rows) => void (path = await metadataOf(rows)));
  removed(path);
  await life('1h', async (rows) => {
    await rows('DROP TABLE ill');
    await rows('CREATE TABLE ill (id int)');
    await rows('INSERT INTO ill VALUES (1)');
    expect(await rows('SELECT * FROM ill')).toEqual([[1]]);
    expect(await rows(`SELECT DISTINCT state FROM arka.tables`)).toEqual([['writable']]);
  });
}, 120_000);
