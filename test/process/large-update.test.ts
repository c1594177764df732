/** H1: what an UPDATE or DELETE of many rows does goes to the log's stream while it runs, and is there after a kill -9 behind its commit. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import { afterAll, expect, test } from 'vitest';
import { connect } from './client.ts';
import { startServer } from './server-process.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'arka-large-update-'));
afterAll(() => rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 }));

const ROWS = 40_000;
/** Long enough that the transaction is streamed. */
const NAME = 'n'.repeat(300);

const found = async (client: Client): Promise<unknown> =>
  (
    await client.query({
      text: 'SELECT count(*)::int, count(DISTINCT id)::int, sum(v)::int, min(length(name)) FROM t',
      rowMode: 'array',
    })
  ).rows[0];

test('rows in all tiers that one UPDATE has changed, and one DELETE, are so after a kill -9 right behind the commit', async () => {
  const left = ROWS - ROWS / 4;
  const after = [left, left, 2 * left, NAME.length];
  {
    await using server = await startServer({ dataDir });
    const client = await connect(server.url);
    await client.query('CREATE TABLE t (id int PRIMARY KEY, v int, name text)');
    for (const [i, move] of ['commit', 'flush', null].entries()) {
      const [from, to] = [Math.floor((i * ROWS) / 3), Math.floor(((i + 1) * ROWS) / 3)];
      await client.query(`INSERT INTO t SELECT g, 0, '${NAME}' FROM generate_series(${from}, ${to - 1}) AS g`);
      if (move !== null) await client.query(`CALL arka.${move}('public.t')`);
    }
    const { rows: lsns } = await client.query<{ lsn: string }>('SELECT arka.current_lsn() AS lsn');
    expect((await client.query('UPDATE t SET v = v + 1')).rowCount).toBe(ROWS);
    await client.query('BEGIN');
    await client.query('UPDATE t SET v = v + 1 WHERE id % 4 <> 3');
    await client.query('DELETE FROM t WHERE id % 4 = 3');
    await client.query('COMMIT');
    expect(await found(client)).toEqual(after);
    const { rows } = await client.query(
      `SELECT op, count(*)::int AS n FROM arka.changes('public.t', '${lsns[0]!.lsn}') GROUP BY op ORDER BY op`,
    );
    expect(rows).toEqual([
      { op: 'delete', n: ROWS - left },
      { op: 'update', n: ROWS + left },
    ]);
    await server.kill9();
  }
  await using server = await startServer({ dataDir });
  const client = await connect(server.url);
  expect(await found(client)).toEqual(after);
  await client.query('CHECKPOINT');
  expect(await found(client)).toEqual(after);
  await client.end();
}, 240_000);
