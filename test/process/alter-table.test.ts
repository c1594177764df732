/** ALTER TABLE over the life of a server: crashes, a log with rows of older shapes, numbers that are not given twice. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, expect, test } from 'vitest';
import { startServer } from './server-process.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'arka-alter-'));
afterAll(() => rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 }));

type Rows = (sql: string) => Promise<unknown[]>;

/** A life of the server that ends with kill -9. */
async function life(work: (rows: Rows) => Promise<void>): Promise<void> {
  await using server = await startServer({ dataDir });
  const client = new Client({ connectionString: server.url });
  client.on('error', () => {}); // the server is killed under it
  await client.connect();
  try {
    await work(async (sql) => (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows);
  } finally {
    await server.kill9();
    await client.end().catch(() => {});
  }
}

test('a column that was dropped and added again under its name has no value of the old one, whatever crashes between', async () => {
  let oid: unknown[] = [];
  await life(async (rows) => {
    await rows('CREATE TABLE t (id int PRIMARY KEY, a int, b text)');
    await rows(`INSERT INTO t VALUES (1, 10, 'x'), (2, 20, 'y')`);
    oid = await rows(`SELECT 't'::regclass::oid`);
    await rows('ALTER TABLE t DROP COLUMN a');
    await rows(`INSERT INTO t VALUES (3, 'z')`);
  });
  await life(async (rows) => {
    expect(await rows('SELECT * FROM t ORDER BY id')).toEqual([
      [1, 'x'],
      [2, 'y'],
      [3, 'z'],
    ]);
    await rows('ALTER TABLE t ADD COLUMN a int');
    await rows(`INSERT INTO t VALUES (4, 'w', 4)`);
    await rows('DELETE FROM t WHERE id = 2');
  });
  await life(async (rows) => {
    expect(await rows('SELECT * FROM t ORDER BY id')).toEqual([
      [1, 'x', null],
      [3, 'z', null],
      [4, 'w', 4],
    ]);
    expect(await rows(`SELECT 't'::regclass::oid`)).toEqual(oid);
    const numbers = `SELECT attname, attnum FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`;
    expect(await rows(numbers)).toEqual([
      ['id', 1],
      ['b', 3],
      ['a', 4],
    ]);
    await rows('ALTER TABLE t DROP COLUMN a');
  });
  await life(async (rows) => {
    await rows('ALTER TABLE t ADD COLUMN c int, RENAME COLUMN b TO d').catch(() => undefined);
    await rows('ALTER TABLE t ADD COLUMN c int');
    await rows('ALTER TABLE t RENAME COLUMN b TO d');
    await rows('ALTER TABLE t RENAME TO u');
    const numbers = `SELECT attname, attnum FROM pg_attribute WHERE attrelid = 'u'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`;
    expect(await rows(numbers)).toEqual([
      ['id', 1],
      ['d', 3],
      ['c', 5],
    ]);
    await rows('INSERT INTO u VALUES (5, NULL, 5)');
  });
  await life(async (rows) => {
    expect(await rows('SELECT id, c, d FROM u ORDER BY id')).toEqual([
      [1, null, 'x'],
      [3, null, 'z'],
      [4, null, 'w'],
      [5, 5, null],
    ]);
    expect(await rows(`SELECT 'u'::regclass::oid`)).toEqual(oid);
    await rows('ALTER TABLE u ALTER id TYPE bigint, ALTER c TYPE bigint, ALTER d SET DEFAULT 7');
    await rows('INSERT INTO u (id, c) VALUES (-6, 6000000000)');
  });
  await life(async (rows) => {
    expect(await rows('SELECT * FROM u WHERE id = -6')).toEqual([['-6', '7', '6000000000']]);
    await expect(rows('INSERT INTO u VALUES (5)')).rejects.toMatchObject({ code: '23505' });
    expect(await rows('UPDATE u SET c = c + 1 WHERE c IS NOT NULL RETURNING id, c')).toHaveLength(2);
    await rows('CHECKPOINT');
    expect(await rows('SELECT sum(c)::text, count(*)::int FROM u')).toEqual([['6000000007', 5]]);
  });
}, 240_000);
