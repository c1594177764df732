/** now() is one instant in a transaction, whoever works it out: main, the engine, PostgreSQL's own code, a default. */
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
let client: Client;

beforeAll(async () => {
  server = await startServer();
  client = new Client({ connectionString: server.url });
  await client.connect();
  await client.query(`CREATE TABLE seen (id int PRIMARY KEY, at timestamptz DEFAULT now(), local timestamp DEFAULT localtimestamp,
    day date DEFAULT current_date, ticked timestamptz DEFAULT clock_timestamp())`);
}, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
});

const one = async (sql: string, values: unknown[] = []): Promise<Record<string, unknown>> =>
  (await client.query<Record<string, unknown>>(sql, values)).rows[0]!;
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 3));

test('all rows and statements of a transaction have its now(), whichever way they come', async () => {
  await client.query('BEGIN');
  const { now } = await one('SELECT now()::text AS now');
  await pause();
  await client.query('INSERT INTO seen (id) VALUES (1), (2)');
  await client.query('INSERT INTO seen (id, at) VALUES ($1, now())', [3]);
  await client.query("INSERT INTO seen (id, at) VALUES (4, now() - interval '0 days')");
  await client.query('INSERT INTO seen (id, at) SELECT 5, CURRENT_TIMESTAMP');
  await client.query('INSERT INTO seen (id, at) SELECT 6, now() FROM seen WHERE id = 1');
  await client.query("INSERT INTO seen (id, at) VALUES (7, '1990-01-01'), (8, '1990-01-01')");
  await pause();
  await client.query('UPDATE seen SET at = now() WHERE id = 7');
  await client.query('UPDATE seen SET at = DEFAULT WHERE id > 7');
  const found = await one(
    `SELECT count(*)::int AS rows, count(DISTINCT at)::int AS ats, count(DISTINCT local)::int AS locals, min(at)::text AS at,
      bool_and(at = now()) AS same, bool_and(ticked >= now()) AS later, bool_and(day = current_date) AS day FROM seen`,
  );
  expect(found).toEqual({ rows: 8, ats: 1, locals: 1, at: now, same: true, later: true, day: true });
  expect(await one('SELECT statement_timestamp() > now() AS later, now() = transaction_timestamp() AS same')).toEqual({
    later: true,
    same: true,
  });
  await client.query('COMMIT');
  expect(await one('SELECT now() > $1::timestamptz AS later, statement_timestamp() = now() AS same', [now])).toEqual({
    later: true,
    same: true,
  });
});

test('statements of one Query message have one now(), those of two have two', async () => {
  const results = (await client.query('SELECT now()::text; SELECT pg_sleep(0.003); SELECT now()::text')) as unknown as {
    rows: { now: string }[];
  }[];
  const first = results[0]!.rows[0]!.now;
  expect(results[2]!.rows[0]!.now).toBe(first);
  await pause();
  expect((await one('SELECT now()::text'))['now']).not.toBe(first);
});

test('a prepared statement says the now() of the transaction that it runs in', async () => {
  const times = new Set<string>();
  for (const text of ['SELECT now()::text AS now', 'SELECT max(now())::text AS now FROM seen'])
    for (let i = 0; i < 3; i++) {
      times.add((await client.query<{ now: string }>({ name: text, text })).rows[0]!.now);
      await pause();
    }
  expect(times.size).toBe(6);
});

test('precision, zone, name and type of its relatives are as in PostgreSQL', async () => {
  await client.query("SET TIME ZONE 'Asia/Tokyo'");
  const result = await client.query(
    'SELECT now(), CURRENT_TIMESTAMP(3), LOCALTIMESTAMP, CURRENT_DATE, CURRENT_TIME, LOCALTIME(0), statement_timestamp()',
  );
  expect(result.fields.map(({ name, dataTypeID, dataTypeModifier }) => [name, dataTypeID, dataTypeModifier])).toEqual([
    ['now', 1184, -1],
    ['current_timestamp', 1184, 3],
    ['localtimestamp', 1114, -1],
    ['current_date', 1082, -1],
    ['current_time', 1266, -1],
    ['localtime', 1083, 0],
    ['statement_timestamp', 1184, -1],
  ]);
  const both = `SELECT bool_and(CURRENT_DATE = (now() AT TIME ZONE 'Asia/Tokyo')::date) AS day,
    bool_and(LOCALTIMESTAMP = now() AT TIME ZONE 'Asia/Tokyo') AS local`;
  expect(await one(both)).toEqual({ day: true, local: true });
  expect(await one(`${both} FROM seen`)).toEqual({ day: true, local: true });
  expect(await one('SELECT * FROM now() AS t(at) WHERE at = now()')).toHaveProperty('at');
});

test('a statement that Parse made reads its literals once, whatever zone is set before the next Execute', async () => {
  const named = {
    name: 'literals',
    text: "SELECT id, $1::int AS one FROM kept WHERE at = '2026-01-01 00:00'",
    values: [1],
  };
  await client.query("SET timezone = 'UTC'");
  await client.query('CREATE TABLE kept (id int PRIMARY KEY, at timestamptz)');
  await client.query("INSERT INTO kept VALUES (1, '2026-01-01 00:00+00'), (2, '2026-01-01 00:00+09')");
  expect((await client.query(named)).rows).toEqual([{ id: 1, one: 1 }]);
  await client.query("SET timezone = 'Asia/Tokyo'");
  expect((await client.query(named)).rows).toEqual([{ id: 1, one: 1 }]);
  expect((await client.query(named.text, named.values)).rows).toEqual([{ id: 2, one: 1 }]);
  await client.query("PREPARE ranges AS SELECT id FROM kept WHERE at = ANY ('{2026-01-01 00:00}')");
  await client.query('RESET timezone');
  await expect(client.query('EXECUTE ranges')).rejects.toMatchObject({ code: '0A000' });
});
