/** UNIQUE under concurrency, over a restart, and beside files: what one session alone cannot see. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../process/client.ts';
import { startServer, type ServerProcess } from '../process/server-process.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'arka-unique-'));
let server: ServerProcess;
let a: Client;
let b: Client;
let watch: Client;

async function start(): Promise<void> {
  server = await startServer({ dataDir });
  [a, b, watch] = await Promise.all([connect(server.url), connect(server.url), connect(server.url)]);
}

beforeAll(start, 60_000);
afterAll(async () => {
  await Promise.all([a.end(), b.end(), watch.end()]);
  await server[Symbol.asyncDispose]();
  rmSync(dataDir, { recursive: true, force: true });
});

/** Its tag, or SQLSTATE and DETAIL. */
async function outcome(client: Client, sql: string): Promise<string> {
  try {
    const { command, rowCount } = await client.query(sql);
    return `${command} ${rowCount}`;
  } catch (error) {
    const { code, detail = '' } = error as { code: string; detail?: string };
    return `${code} ${detail}`.trim();
  }
}

const rows = async (sql: string): Promise<unknown[]> => {
  const result = await a.query({ text: sql, rowMode: 'array' });
  return result.rows;
};

/** Until the other session waits for a lock. */
async function waiting(): Promise<void> {
  const waits = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'`;
  await expect.poll(async () => (await watch.query(waits)).rows, { timeout: 20_000 }).toEqual([{ n: 1 }]);
}

/** A table without a key has its rows locked by their places, one with a key by that. */
const TABLES = [
  ['with a key', 'CREATE TABLE t (id int PRIMARY KEY, v int UNIQUE)'],
  ['without a key', 'CREATE TABLE t (id int, v int UNIQUE)'],
] as const;
const TIERS = [
  ['memory', 'SELECT 1'],
  ['files', 'CHECKPOINT'],
] as const;
const CASES = TABLES.flatMap(([kind, create]) => TIERS.map(([tier, move]) => [kind, tier, create, move] as const));

test.each(CASES)(
  'C11: who wants a value that another transaction has written waits for its end, in a table %s, rows in %s',
  async (_, __, create, move) => {
    await a.query('DROP TABLE IF EXISTS t');
    await a.query(create);
    await a.query('INSERT INTO t VALUES (1, 10)');
    await a.query(move);

    await a.query('BEGIN');
    await a.query('INSERT INTO t VALUES (2, 20)');
    let second = outcome(b, 'INSERT INTO t VALUES (3, 20)');
    await waiting();
    await a.query('ROLLBACK');
    expect(await second).toBe('INSERT 1');

    await a.query('BEGIN');
    await a.query('INSERT INTO t VALUES (4, 40)');
    second = outcome(b, 'INSERT INTO t VALUES (5, 40)');
    await waiting();
    await a.query('COMMIT');
    expect(await second).toBe('23505 Key (v)=(40) already exists.');
    expect(await rows('SELECT id, v FROM t ORDER BY id')).toEqual([
      [1, 10],
      [3, 20],
      [4, 40],
    ]);
  },
);

test.each(CASES)(
  'who wants the value of a row that another transaction is about to delete waits, in a table %s, rows in %s',
  async (_, __, create, move) => {
    await a.query('DROP TABLE IF EXISTS t');
    await a.query(create);
    await a.query('INSERT INTO t VALUES (1, 10), (2, 20)');
    await a.query(move);

    await a.query('BEGIN');
    await a.query('DELETE FROM t WHERE v = 10');
    let second = outcome(b, 'INSERT INTO t VALUES (3, 10)');
    await waiting();
    // it may take the value itself meanwhile: who waits does not hold it
    await a.query('INSERT INTO t VALUES (4, 10)');
    await a.query('COMMIT');
    expect(await second).toBe('23505 Key (v)=(10) already exists.');

    await a.query('BEGIN');
    await a.query('UPDATE t SET v = 21 WHERE v = 20');
    second = outcome(b, 'INSERT INTO t VALUES (5, 20)');
    await waiting();
    await a.query('COMMIT');
    expect(await second).toBe('INSERT 1');

    await a.query('BEGIN');
    await a.query('UPDATE t SET id = id + 100 WHERE v = 21');
    second = outcome(b, 'INSERT INTO t VALUES (6, 21)');
    await waiting();
    await a.query('ROLLBACK');
    expect(await second).toBe('23505 Key (v)=(21) already exists.');
  },
);

test('a row that is locked alone is in the way, and nobody waits for it', async () => {
  await a.query('DROP TABLE IF EXISTS t');
  await a.query('CREATE TABLE t (id int PRIMARY KEY, v int UNIQUE)');
  await a.query('INSERT INTO t VALUES (1, 21)');
  await a.query('BEGIN');
  await a.query('SELECT * FROM t WHERE v = 21 FOR UPDATE');
  expect(await outcome(b, 'INSERT INTO t VALUES (6, 21)')).toBe('23505 Key (v)=(21) already exists.');
  await a.query('ROLLBACK');
});

test.each([
  'ALTER TABLE t ADD COLUMN w int',
  'ALTER TABLE t DROP CONSTRAINT t_v_key',
  'ALTER TABLE t DROP COLUMN v',
  'ALTER TABLE t ADD CONSTRAINT again UNIQUE (v)',
  'CREATE UNIQUE INDEX again ON t (v)',
])('values of own rows stay locked when %s is rolled back to a savepoint', async (alter) => {
  await a.query('DROP TABLE IF EXISTS t');
  await a.query('CREATE TABLE t (id int PRIMARY KEY, v int UNIQUE)');
  await a.query('BEGIN');
  await a.query('INSERT INTO t VALUES (1, 1)');
  await a.query('SAVEPOINT s');
  await a.query('INSERT INTO t VALUES (2, 2)');
  await a.query(alter);
  await a.query('INSERT INTO t (id) VALUES (5)');
  await a.query('ROLLBACK TO s');
  expect(await outcome(b, 'INSERT INTO t VALUES (3, 2)')).toBe('INSERT 1');
  const second = outcome(b, 'INSERT INTO t VALUES (4, 1)');
  await waiting();
  await a.query('COMMIT');
  expect(await second).toBe('23505 Key (v)=(1) already exists.');
});

test('own rows of before are held by a constraint that the transaction makes', async () => {
  await a.query('DROP TABLE IF EXISTS t');
  await a.query('CREATE TABLE t (id int PRIMARY KEY, v int)');
  await a.query('BEGIN');
  await a.query('INSERT INTO t VALUES (1, 1), (2, 2)');
  await a.query('ALTER TABLE t ADD UNIQUE (v)');
  await a.query('SAVEPOINT s');
  expect(await outcome(a, 'INSERT INTO t VALUES (3, 2)')).toBe('23505 Key (v)=(2) already exists.');
  await a.query('ROLLBACK TO s');
  await a.query('DELETE FROM t WHERE v = 2');
  expect(await outcome(a, 'INSERT INTO t VALUES (3, 2)')).toBe('INSERT 1');
  await a.query('COMMIT');
  expect(await outcome(b, 'INSERT INTO t VALUES (4, 1)')).toBe('23505 Key (v)=(1) already exists.');
});

test('two that want each other’s values are a deadlock, and one of them goes on', async () => {
  await a.query('DROP TABLE IF EXISTS t');
  await a.query('CREATE TABLE t (id int PRIMARY KEY, v int UNIQUE)');
  await a.query('BEGIN');
  await b.query('BEGIN');
  await a.query('INSERT INTO t VALUES (1, 1)');
  await b.query('INSERT INTO t VALUES (2, 2)');
  const first = outcome(a, 'INSERT INTO t VALUES (3, 2)');
  await waiting();
  const second = await outcome(b, 'INSERT INTO t VALUES (4, 1)');
  expect(second).toMatch(/^40P01/);
  await b.query('ROLLBACK');
  expect(await first).toBe('INSERT 1');
  await a.query('COMMIT');
});

test('counters that sessions raise by ON CONFLICT over a UNIQUE column lose nothing while rows are flushed and committed', async () => {
  await a.query('DROP TABLE IF EXISTS counters');
  await a.query('CREATE TABLE counters (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, name text UNIQUE, n int)');
  const sessions = await Promise.all(Array.from({ length: 4 }, () => connect(server.url)));
  let done = false;
  const moving = (async () => {
    for (let i = 0; !done; i++)
      await a.query(i % 2 === 0 ? `CALL arka.flush('public.counters')` : `CALL arka.commit('public.counters')`);
  })();
  await Promise.all(
    sessions.map(async (session, s) => {
      for (let i = 0; i < 25; i++)
        await session.query({
          text: 'INSERT INTO counters (name, n) VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET n = counters.n + excluded.n',
          values: [`c${(i * (s + 1)) % 5}`],
        });
    }),
  );
  done = true;
  await moving;
  expect(await rows('SELECT count(*)::int, count(DISTINCT name)::int, sum(n)::int FROM counters')).toEqual([
    [5, 5, 100],
  ]);
  await Promise.all(sessions.map((session) => session.end()));
}, 60_000);

test('a table with UNIQUE keeps it over a restart and a kill, with rows in memory and in files', async () => {
  await a.query('DROP TABLE IF EXISTS t');
  await a.query('CREATE TABLE t (id int PRIMARY KEY, v int UNIQUE, w text)');
  await a.query('CREATE UNIQUE INDEX t_w ON t (w, v)');
  await a.query(`INSERT INTO t SELECT i, i * 2, 'w' || i FROM generate_series(1, 1000) i`);
  await a.query('CHECKPOINT');
  await a.query(`INSERT INTO t VALUES (2000, 4000, 'x')`);
  await a.query('DELETE FROM t WHERE id = 7');
  await server.kill9();
  await start();
  expect(await outcome(a, `INSERT INTO t VALUES (3000, 4000, 'y')`)).toBe('23505 Key (v)=(4000) already exists.');
  expect(await outcome(a, `INSERT INTO t VALUES (3000, 500, 'y')`)).toBe('23505 Key (v)=(500) already exists.');
  expect(await outcome(a, `INSERT INTO t VALUES (3000, 14, 'y')`)).toBe('INSERT 1');
  expect(
    await rows(
      `SELECT indexrelid::regclass::text, indisunique FROM pg_index WHERE indrelid = 't'::regclass ORDER BY 1`,
    ),
  ).toEqual([
    ['t_pkey', true],
    ['t_v_key', true],
    ['t_w', true],
  ]);
}, 60_000);

test('values are found in files that were merged, and after most of them have moved', async () => {
  await a.query('DROP TABLE IF EXISTS t');
  await a.query('CREATE TABLE t (id int PRIMARY KEY, v int UNIQUE)');
  for (let file = 0; file < 4; file++) {
    await a.query(`INSERT INTO t SELECT i, i FROM generate_series(${file * 100 + 1}, ${file * 100 + 100}) i`);
    await a.query('CHECKPOINT');
  }
  await a.query('DELETE FROM t WHERE v % 10 = 0');
  await a.query('VACUUM FULL t');
  expect(await outcome(a, 'INSERT INTO t VALUES (1000, 55)')).toBe('23505 Key (v)=(55) already exists.');
  expect(await outcome(a, 'INSERT INTO t VALUES (1000, 50)')).toBe('INSERT 1');
  expect(await outcome(a, 'UPDATE t SET v = v + 1')).toBe('UPDATE 361');
  expect(await outcome(a, 'INSERT INTO t VALUES (1001, 56)')).toBe('23505 Key (v)=(56) already exists.');
  expect(await outcome(a, 'INSERT INTO t VALUES (1001, 1)')).toBe('INSERT 1');
});

test('many rows are refused at a value that is there, or among themselves, and leave nothing', async () => {
  await a.query('DROP TABLE IF EXISTS t, s');
  await a.query('CREATE TABLE t (id int PRIMARY KEY, v int UNIQUE)');
  await a.query('INSERT INTO t SELECT i, i FROM generate_series(1, 20000) i');
  expect(await outcome(a, 'INSERT INTO t SELECT i + 50000, i + 19990 FROM generate_series(1, 9000) i')).toMatch(
    /^23505 Key \(v\)=\(199\d\d\) already exists\.$/,
  );
  expect(await outcome(a, 'INSERT INTO t SELECT i + 50000, (i + 50000) / 2 FROM generate_series(1, 9000) i')).toMatch(
    /^23505/,
  );
  expect(await rows('SELECT count(*)::int FROM t')).toEqual([[20_000]]);
});
