/** Advisory locks are of the whole server, as in PostgreSQL: migration tools and job queues keep each other out with them. */
import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
let one: Client;
let two: Client;

beforeAll(async () => {
  server = await startServer();
  [one, two] = [new Client({ connectionString: server.url }), new Client({ connectionString: server.url })];
  await Promise.all([one.connect(), two.connect()]);
  await one.query('CREATE TABLE seen (id int PRIMARY KEY)');
}, 60_000);
afterAll(async () => {
  await one.end();
  await two.end();
  await server[Symbol.asyncDispose]();
});
beforeEach(async () => {
  for (const client of [one, two]) {
    await client.query('ROLLBACK');
    await client.query('SELECT pg_advisory_unlock_all()');
  }
});

const value = async (client: Client, sql: string, values: unknown[] = []): Promise<unknown> =>
  Object.values((await client.query<Record<string, unknown>>(sql, values)).rows[0]!)[0];

test('a lock is one session’s until it gives it back as often as it took it', async () => {
  expect(await value(one, 'SELECT pg_advisory_lock(7)')).toBe('');
  expect(await value(one, 'SELECT pg_try_advisory_lock($1)', [7])).toBe(true);
  expect(await value(two, 'SELECT pg_try_advisory_lock(7)')).toBe(false);
  expect(await value(two, 'SELECT pg_try_advisory_lock(0, 7)')).toBe(true); // two integers are keys of their own
  expect(await value(one, 'SELECT pg_advisory_unlock(7)')).toBe(true);
  expect(await value(two, 'SELECT pg_try_advisory_lock($1::bigint) AS got', ['7'])).toBe(false);
  const waiting = value(two, 'SELECT pg_advisory_lock(7)');
  expect(await value(one, 'SELECT pg_advisory_unlock(7)')).toBe(true);
  await waiting;
  expect(await value(one, 'SELECT pg_try_advisory_lock(7)')).toBe(false);
  const said: string[] = [];
  one.on('notice', ({ message }) => said.push(message ?? ''));
  expect(await value(one, 'SELECT pg_advisory_unlock(7)')).toBe(false);
  expect(said).toEqual(["you don't own a lock of type ExclusiveLock"]);
});

test('shared locks admit each other, and a lock of a transaction ends with it, or with its savepoint', async () => {
  await one.query('SELECT pg_advisory_lock_shared(1)');
  expect(await value(two, 'SELECT pg_try_advisory_lock_shared(1)')).toBe(true);
  expect(await value(two, 'SELECT pg_try_advisory_lock(1)')).toBe(false);
  await one.query('BEGIN');
  await one.query(`SELECT pg_advisory_xact_lock(hashtext('migrations'))`);
  await one.query('SAVEPOINT a');
  await one.query('SELECT pg_try_advisory_xact_lock(3)');
  const tries = async (): Promise<unknown[]> => [
    await value(two, `SELECT pg_try_advisory_lock(hashtext('migrations'))`),
    await value(two, 'SELECT pg_try_advisory_lock(3)'),
  ];
  expect(await tries()).toEqual([false, false]);
  await one.query('ROLLBACK TO a');
  expect(await tries()).toEqual([false, true]);
  await one.query('SELECT 1 / 0').catch(() => {}); // fails back to the savepoint
  expect(await tries()).toEqual([false, true]);
  await one.query('ROLLBACK');
  expect(await tries()).toEqual([true, true]);
  await one.query('SELECT pg_advisory_xact_lock(9)'); // a transaction of its own
  expect(await value(two, 'SELECT pg_try_advisory_lock(9)')).toBe(true);
});

test('who waits for a transaction’s lock sees what it wrote', async () => {
  for (let i = 0; i < 20; i++) {
    await one.query('BEGIN');
    await one.query('SELECT pg_advisory_xact_lock(5)');
    const waiting = two
      .query('SELECT pg_advisory_xact_lock(5)')
      .then(() => value(two, 'SELECT count(*)::int FROM seen'));
    await one.query('INSERT INTO seen VALUES ($1)', [i]);
    await one.query('COMMIT');
    expect(await waiting).toBe(i + 1);
  }
});

test('waits end by lock_timeout, by a circle, and by the end of the session that holds the lock', async () => {
  await one.query('SELECT pg_advisory_lock(1)');
  await two.query(`SET lock_timeout = '30ms'`);
  await expect(two.query('SELECT pg_advisory_lock(1)')).rejects.toMatchObject({ code: '55P03' });
  await two.query('RESET lock_timeout');
  await two.query('SELECT pg_advisory_lock(2)');
  const waiting = one.query('SELECT pg_advisory_lock(2)');
  await expect(two.query('SELECT pg_advisory_lock(1)')).rejects.toMatchObject({ code: '40P01' });
  await two.query('SELECT pg_advisory_unlock(2)');
  await waiting;
  const three = new Client({ connectionString: server.url });
  await three.connect();
  await three.query('SELECT pg_advisory_lock(3)');
  const third = two.query('SELECT pg_advisory_lock(3)');
  await three.end();
  await third;
});

test('a lock is taken for each row that comes, and one inside an expression is refused', async () => {
  const rows = await one.query('SELECT id, pg_try_advisory_lock(id) AS got FROM seen WHERE id < 5 ORDER BY id LIMIT 2');
  expect(rows.rows).toEqual([
    { id: 0, got: true },
    { id: 1, got: true },
  ]);
  expect(await value(two, 'SELECT pg_try_advisory_lock(1)')).toBe(false);
  expect(await value(two, 'SELECT pg_try_advisory_lock(2)')).toBe(true);
  for (const sql of [
    'SELECT id FROM seen WHERE pg_try_advisory_lock(id)',
    'SELECT * FROM pg_try_advisory_lock(1)',
    'SELECT NOT pg_try_advisory_lock(1)',
  ])
    await expect(one.query(sql), sql).rejects.toMatchObject({ code: '0A000' });
  await expect(one.query('SELECT pg_advisory_lock()')).rejects.toMatchObject({ code: '42883' });
});
