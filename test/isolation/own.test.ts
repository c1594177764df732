/** What PostgreSQL 15 has no answer for: rows that move under a transaction, SERIALIZABLE in the place of which another level goes, later settings. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';
import { WireClient } from './wire-client.ts';

let server: ServerProcess;
let a: WireClient;
let b: WireClient;
beforeAll(async () => {
  server = await startServer();
  a = await WireClient.open(server.url, {});
  b = await WireClient.open(server.url, {});
}, 60_000);
afterAll(async () => {
  await a.close();
  await b.close();
  await server[Symbol.asyncDispose]();
});

const MOVES = [`CALL arka.flush('public.t')`, 'CHECKPOINT', 'VACUUM FULL t'];

async function rows(client: WireClient): Promise<readonly string[]> {
  const lines = await client.query('SELECT id, v FROM t ORDER BY id');
  return lines.filter((line) => line.startsWith('  ')).map((line) => line.trim());
}

test('REPEATABLE READ: rows that move down the tiers stay what they were, and unchanged ones are written and locked', async () => {
  await b.query('CREATE TABLE t (id bigint PRIMARY KEY, v int)');
  await b.query('INSERT INTO t SELECT i, 0 FROM generate_series(1, 8) AS g(i)');
  await a.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  expect((await rows(a)).length).toBe(8);
  let key = 1;
  for (const move of MOVES) {
    await b.query(`UPDATE t SET v = v + 1 WHERE id = 8`);
    expect((await b.query(move)).at(-1), move).not.toMatch(/ERROR/);
    expect(await a.query(`SELECT v FROM t WHERE id = ${key} FOR UPDATE`)).toEqual([
      '  0',
      'SELECT 1',
      '(in transaction)',
    ]);
    expect((await a.query(`UPDATE t SET v = ${key} WHERE id = ${key}`))[0], move).toBe('UPDATE 1');
    expect((await a.query(`UPDATE t SET v = v + 10 WHERE id = ${key}`))[0], move).toBe('UPDATE 1');
    expect((await a.query(`SELECT v FROM t WHERE id = 8`))[0], move).toBe('  0');
    key++;
  }
  expect(await rows(a)).toEqual(['1 | 11', '2 | 12', '3 | 13', '4 | 0', '5 | 0', '6 | 0', '7 | 0', '8 | 0']);
  expect(await a.query('COMMIT')).toEqual(['COMMIT']);
  expect(await rows(b)).toEqual(['1 | 11', '2 | 12', '3 | 13', '4 | 0', '5 | 0', '6 | 0', '7 | 0', '8 | 3']);
});

test('REPEATABLE READ: a row that was changed and has moved is 40001', async () => {
  for (const move of MOVES) {
    await a.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await rows(a);
    await b.query('UPDATE t SET v = v + 1 WHERE id = 8');
    await b.query('DELETE FROM t WHERE id = 7');
    await b.query(move);
    await a.query('SAVEPOINT s');
    expect((await a.query('UPDATE t SET v = 0 WHERE id = 8'))[0], move).toBe(
      'ERROR 40001: could not serialize access due to concurrent update',
    );
    await a.query('ROLLBACK TO s');
    expect((await a.query('DELETE FROM t WHERE id = 7'))[0], move).toBe(
      'ERROR 40001: could not serialize access due to concurrent delete',
    );
    await a.query('ROLLBACK');
    await b.query('INSERT INTO t VALUES (7, 0)');
  }
});

test('SERIALIZABLE is refused, unless REPEATABLE READ may take its place', async () => {
  const refused = [
    'ERROR 0A000: isolation level SERIALIZABLE is not supported',
    `  HINT: Use REPEATABLE READ, or SET arka.serializable = 'repeatable_read' to get that in its place.`,
  ];
  expect(await a.query('BEGIN ISOLATION LEVEL SERIALIZABLE')).toEqual(refused);
  expect(await a.query(`SET default_transaction_isolation = 'serializable'`)).toEqual(refused);
  expect(await a.query('SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE')).toEqual(refused);
  expect((await a.query(`SET arka.serializable = 'maybe'`))[0]).toMatch(/^ERROR 22023/);
  await a.query(`SET arka.serializable = 'repeatable_read'`);
  expect(await a.query('BEGIN ISOLATION LEVEL SERIALIZABLE')).toEqual([
    'WARNING 01000: SERIALIZABLE is carried out as REPEATABLE READ: write skew is possible',
    'BEGIN',
    '(in transaction)',
  ]);
  expect((await a.query('SHOW transaction_isolation'))[0]).toBe('  repeatable read');
  await a.query('ROLLBACK');
  await a.query('RESET arka.serializable');
  const c = await WireClient.open(server.url, { default_transaction_isolation: 'serializable' });
  expect(await c.query('BEGIN')).toEqual(refused);
  await c.close();
});

test('transaction_timeout ends a session whose block takes too long, and its locks go', async () => {
  const c = await WireClient.open(server.url, {});
  await c.query(`SET transaction_timeout = '20ms'`);
  await c.query('BEGIN');
  const told = [...(await c.query('UPDATE t SET v = 100 WHERE id = 1')), ...(await c.untilClosed())];
  expect(told).toContain('FATAL 25P04: terminating connection due to transaction timeout');
  expect((await a.query('UPDATE t SET v = 11 WHERE id = 1'))[0]).toBe('UPDATE 1');
});

test('an INSERT whose row is refused does not wait for a row behind it, wherever the first one is', async () => {
  for (const move of MOVES) {
    await b.query('DELETE FROM t');
    await b.query('INSERT INTO t VALUES (1, 1), (2, 2)');
    await b.query(move);
    await a.query('BEGIN');
    await a.query('UPDATE t SET v = 3 WHERE id = 2');
    expect((await b.query('INSERT INTO t VALUES (7, 7), (1, 1), (2, 2)'))[0], move).toMatch(/^ERROR 23505/);
    await a.query('ROLLBACK');
  }
});

test('a COPY past statement_timeout ends with the next message of its client, and keeps nothing', async () => {
  const c = await WireClient.open(server.url, {});
  await c.query(`SET statement_timeout = '5ms'`);
  const answer = c.query('COPY t FROM STDIN');
  await c.untilCopyIn();
  await sleep(50);
  c.copyData('100\t1\n');
  expect(await answer).toEqual(['ERROR 57014: canceling statement due to statement timeout']);
  expect(await a.query('SELECT * FROM t WHERE id = 100')).toEqual(['SELECT 0']);
  await c.close();
});
