/** H11: a row by its key out of a file that lies in S3 alone, of a real server and a store that counts what is asked of it. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startS3Server } from '../iceberg/s3-server.ts';
import { connect } from './client.ts';
import { startServer } from './server-process.ts';

const ROWS = 120_000;

const filesBelow = (folder: string, ending: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith(ending))
    : [];

test('SELECT and UPDATE by key of a row in S3, an upsert of some, and a query, UPDATE and DELETE of keys IN a list fetch ranges of their file; a scan then fetches it whole', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'arka-remote-'));
  await using store = await startS3Server();
  const start = () =>
    startServer({
      dataDir,
      args: ['--warehouse', 's3://bucket/house'],
      settings: { 's3.endpoint': store.endpoint },
      env: { AWS_ACCESS_KEY_ID: 'arka', AWS_SECRET_ACCESS_KEY: 'arka', AWS_REGION: 'us-east-1' },
    });
  try {
    const first = await start();
    let client = await connect(first.url);
    await client.query('CREATE TABLE t (id bigint PRIMARY KEY, h text, n int)');
    await client.query(`INSERT INTO t SELECT k, md5(k::text), 0 FROM generate_series(1, ${ROWS}) k`);
    const { rows: before } = await client.query('SELECT * FROM t WHERE id = 77777');
    await client.query('CHECKPOINT');
    // Without the index a key is looked for in the file itself.
    await expect.poll(() => filesBelow(join(dataDir, 'index'), '.run').length, { timeout: 20_000 }).toBe(1);
    await client.end();
    await first.stop();
    rmSync(join(dataDir, 'cache'), { recursive: true, force: true });

    await using second = await start();
    client = await connect(second.url);
    const object = [...store.objects.entries()].find(([name]) => name.endsWith('.parquet'))!;
    expect(object[1].length).toBeGreaterThan(2 ** 20);
    const here = (): string[] => filesBelow(join(dataDir, 'cache/s3'), '.parquet');
    expect((await client.query('SELECT * FROM t WHERE id = 77777')).rows).toEqual(before);
    expect((await client.query('UPDATE t SET n = n + 7 WHERE id = 77778')).rowCount).toBe(1);
    expect((await client.query('SELECT n FROM t WHERE id = 77778')).rows).toEqual([{ n: 7 }]);
    const some = Array.from({ length: 20 }, (_, i) => `(${77_700 + i}, 'new', 1)`).join(', ');
    await client.query(`INSERT INTO t VALUES ${some} ON CONFLICT (id) DO UPDATE SET n = t.n + excluded.n`);
    // One was changed before, one is not there, one is this transaction's to delete.
    await client.query('BEGIN');
    await client.query('DELETE FROM t WHERE id = 70002');
    const keys = 'id IN (77778, 70001, 70002, 70003, 70003, 999999)';
    const among = await client.query(
      `SELECT t.id::int, h = md5(t.id::text) AS same, n FROM t WHERE ${keys} ORDER BY t.id`,
    );
    expect(among.rows).toEqual([
      { id: 70_001, same: true, n: 0 },
      { id: 70_003, same: true, n: 0 },
      { id: 77_778, same: true, n: 7 },
    ]);
    const joined = await client.query(
      'SELECT count(*)::int AS n FROM generate_series(70000, 70010) g LEFT JOIN t ON t.id = g WHERE t.id IN (70001, 70002, 70005)',
    );
    expect(joined.rows).toEqual([{ n: 2 }]);
    await client.query('ROLLBACK');
    const changed = await client.query(
      `UPDATE t SET n = n + 1 WHERE id IN (77778, 70011, 70012, 70013, 999999) RETURNING id::int, h = md5(id::text) AS same, n`,
    );
    expect(changed.rows.toSorted((a, b) => a.id - b.id)).toEqual([
      { id: 70_011, same: true, n: 1 },
      { id: 70_012, same: true, n: 1 },
      { id: 70_013, same: true, n: 1 },
      { id: 77_778, same: true, n: 8 },
    ]);
    expect((await client.query('DELETE FROM t WHERE id IN (70012, 70013, 70014, 999999)')).rowCount).toBe(3);
    expect(here()).toEqual([]);
    expect((await client.query('SELECT sum(n) AS n, count(*)::int AS rows FROM t')).rows).toEqual([
      { n: '29', rows: ROWS - 3 },
    ]);
    expect(here()).toHaveLength(1);
    await client.end();
  } finally {
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
  }
}, 180_000);
