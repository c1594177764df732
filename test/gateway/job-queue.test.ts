/** FOR UPDATE in a subquery: workers that take jobs of a table from each other, as job queues on PostgreSQL do it. */
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
const clients: Client[] = [];

beforeAll(async () => {
  server = await startServer();
  for (let i = 0; i < 4; i++) {
    const client = new Client({ connectionString: server.url });
    await client.connect();
    clients.push(client);
  }
  await clients[0]!.query(`CREATE TABLE jobs (id int PRIMARY KEY, queue text, state text DEFAULT 'new', worker int)`);
  await clients[0]!.query(`CREATE TABLE done (id int PRIMARY KEY, queue text)`);
  await clients[0]!.query(`INSERT INTO jobs (id, queue) SELECT g, 'q' || g % 2 FROM generate_series(1, 60) g`);
}, 60_000);
afterAll(async () => {
  for (const client of clients) await client.end();
  await server[Symbol.asyncDispose]();
});

const TAKE = `UPDATE jobs SET state = 'taken', worker = $1
  WHERE id IN (SELECT id FROM jobs WHERE state = 'new' AND queue = $2 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING id`;

test('of several workers that take jobs by UPDATE each gets others, and together all', async () => {
  const worker = async (client: Client, number: number): Promise<number[]> => {
    const taken: number[] = [];
    for (let misses = 0; misses < 3;) {
      const { rows } = await client.query<{ id: number }>({ name: 'take', text: TAKE, values: [number, 'q0', 2] });
      taken.push(...rows.map(({ id }) => id));
      if (rows.length === 0) misses++;
    }
    return taken;
  };
  const taken = (await Promise.all(clients.map(worker))).flat();
  expect(taken.sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, i) => 2 * (i + 1)));
});

test('rows that another transaction has locked are left out, waited for, or an error, as the subquery says', async () => {
  const [one, two] = clients as [Client, Client];
  await one.query('BEGIN');
  await one.query('SELECT id FROM jobs WHERE id = 1 FOR UPDATE');
  const next = (how: string): string =>
    `WITH next AS (SELECT id FROM jobs WHERE queue = 'q1' AND state = 'new' ORDER BY id LIMIT 1 FOR UPDATE ${how})
     DELETE FROM jobs USING next WHERE jobs.id = next.id RETURNING jobs.id`;
  expect((await two.query(next('SKIP LOCKED'))).rows).toEqual([{ id: 3 }]);
  await expect(two.query(next('NOWAIT'))).rejects.toMatchObject({ code: '55P03' });
  const waiting = two.query(next(''));
  await one.query(`UPDATE jobs SET state = 'held' WHERE id = 1`);
  await one.query('COMMIT');
  expect((await waiting).rows).toEqual([{ id: 5 }]); // 1 is no longer new
});

test('INSERT and SELECT lock the rows of their subqueries until the end of the transaction', async () => {
  const [one, two] = clients as [Client, Client];
  await one.query('BEGIN');
  const moved = await one.query(
    `WITH gone AS MATERIALIZED (SELECT id, queue FROM jobs WHERE id IN (7, 9) FOR UPDATE) INSERT INTO done SELECT * FROM gone RETURNING id`,
  );
  expect(moved.rows).toHaveLength(2);
  const counted = await one.query(
    `SELECT count(*)::int AS c FROM (SELECT * FROM jobs WHERE id IN (11, 13) FOR NO KEY UPDATE) AS held`,
  );
  expect(counted.rows).toEqual([{ c: 2 }]);
  await two.query(`SET lock_timeout = '50ms'`);
  for (const id of [7, 9, 11, 13])
    await expect(two.query(`UPDATE jobs SET worker = 0 WHERE id = ${id}`)).rejects.toMatchObject({ code: '55P03' });
  await one.query('COMMIT');
  expect((await two.query('UPDATE jobs SET worker = 0 WHERE id IN (7, 9, 11, 13)')).rowCount).toBe(4);
  await two.query('RESET lock_timeout');
});

test('what cannot be locked first is refused', async () => {
  const [one] = clients as [Client];
  const refused = [
    'UPDATE jobs SET worker = 1 WHERE id IN (SELECT j.id FROM jobs AS j WHERE j.id = jobs.id FOR UPDATE)',
    'UPDATE jobs SET worker = 1 WHERE id IN (SELECT j.id FROM jobs AS j, done FOR UPDATE)',
    'CREATE TABLE copied AS SELECT * FROM (SELECT * FROM jobs FOR UPDATE) AS held',
  ];
  for (const sql of refused) await expect(one.query(sql), sql).rejects.toMatchObject({ code: '0A000' });
  await expect(one.query('DELETE FROM jobs WHERE id IN (SELECT nope FROM jobs FOR UPDATE)')).rejects.toMatchObject({
    code: '42703',
  });
  await one.query('BEGIN READ ONLY');
  await expect(one.query('SELECT * FROM (SELECT * FROM jobs FOR UPDATE) AS held')).rejects.toMatchObject({
    code: '25006',
  });
  await one.query('ROLLBACK');
});
