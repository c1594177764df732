/** Definitions inside transactions as several clients see them, over a real server. */
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
const clients: Client[] = [];
const connect = async (): Promise<Client> => {
  const client = new Client({ connectionString: server.url });
  clients.push(client);
  await client.connect();
  return client;
};
let client: Client;
let other: Client;
beforeAll(async () => {
  server = await startServer();
  client = await connect();
  other = await connect();
}, 60_000);
afterAll(async () => {
  for (const each of clients) await each.end();
  await server[Symbol.asyncDispose]();
});

const rowsOf = async (sql: string, by = client): Promise<unknown[]> =>
  (await by.query<unknown[]>({ text: sql, rowMode: 'array' })).rows;

const codeOf = (sql: string, by = client): Promise<string> =>
  by.query(sql).then(
    () => 'none',
    (error: { code: string }) => error.code,
  );

/** Whether it has not ended after some turns in which the server has answered others. */
async function isWaiting(work: Promise<unknown>): Promise<boolean> {
  let ended = false;
  void work.then(
    () => (ended = true),
    () => (ended = true),
  );
  const third = clients[2] ?? (await connect());
  for (let i = 0; i < 20; i++) await third.query('SHOW server_version');
  return !ended;
}

test('nobody else sees what a transaction defines, until all of it is there at once', async () => {
  await client.query('BEGIN; CREATE SCHEMA seen; CREATE TABLE seen.t (id serial PRIMARY KEY, v text)');
  await client.query(`INSERT INTO seen.t (v) SELECT 'row' FROM generate_series(1, 1000)`);
  expect(await rowsOf('SELECT count(*) FROM seen.t')).toEqual([['1000']]);
  expect(await codeOf('SELECT * FROM seen.t', other)).toBe('42P01');
  expect(await codeOf('CREATE TABLE seen.u (a int)', other)).toBe('3F000');
  expect(await rowsOf(`SELECT count(*) FROM pg_class WHERE relname IN ('t', 't_pkey', 't_id_seq')`, other)).toEqual([
    ['0'],
  ]);
  expect(await rowsOf(`SELECT count(*) FROM pg_class WHERE relname IN ('t', 't_pkey', 't_id_seq')`)).toEqual([['3']]);
  // whatever it sees while the transaction commits: no table, or all rows
  const seen = new Set<string>();
  const looking = (async () => {
    while (!seen.has('1000'))
      await other.query<{ count: string }>('SELECT count(*) FROM seen.t').then(
        ({ rows: [row] }) => seen.add(row!.count),
        (error: { code: string }) => seen.add(error.code),
      );
  })();
  await client.query('COMMIT');
  await looking;
  seen.delete('42P01');
  expect([...seen]).toEqual(['1000']);
  expect(
    await rowsOf(`SELECT relname FROM pg_class WHERE relname IN ('t', 't_pkey', 't_id_seq') ORDER BY 1`, other),
  ).toEqual([['t'], ['t_id_seq'], ['t_pkey']]);
});

test('a table that a transaction has dropped is waited for by others, and is theirs again after a rollback', async () => {
  await client.query('CREATE TABLE dropped (id int PRIMARY KEY); INSERT INTO dropped VALUES (1)');
  await client.query('BEGIN; DROP TABLE dropped');
  await other.query(`SET lock_timeout = '20ms'`);
  expect(await codeOf('SELECT * FROM dropped', other)).toBe('55P03');
  expect(await codeOf('INSERT INTO dropped VALUES (2)', other)).toBe('55P03');
  await other.query('SET lock_timeout = 0');
  const read = rowsOf('SELECT * FROM dropped', other);
  expect(await isWaiting(read)).toBe(true);
  await client.query('ROLLBACK');
  expect(await read).toEqual([[1]]);
  await client.query('BEGIN; DROP TABLE dropped');
  const insert = codeOf('INSERT INTO dropped VALUES (3)', other);
  expect(await isWaiting(insert)).toBe(true);
  await client.query('COMMIT');
  expect(await insert).toBe('42P01');
});

test('DROP TABLE waits for transactions that have read or written the table', async () => {
  await client.query('CREATE TABLE busy (id int PRIMARY KEY)');
  await other.query('BEGIN; SELECT * FROM busy');
  expect(await codeOf(`BEGIN; SET LOCAL lock_timeout = '20ms'; DROP TABLE busy`)).toBe('55P03');
  await client.query('ROLLBACK');
  const drop = client.query('DROP TABLE busy');
  expect(await isWaiting(drop)).toBe(true);
  await other.query('INSERT INTO busy VALUES (1); COMMIT');
  await drop;
  expect(await codeOf('SELECT * FROM busy', other)).toBe('42P01');
});

test('DROP TABLE and ALTER SEQUENCE of a sequence that the table owns wait for each other, and end with 40P01 where they would for ever', async () => {
  const exists = (name: string): Promise<unknown> =>
    rowsOf(`SELECT count(*)::int FROM pg_sequences WHERE sequencename = '${name}'`);
  await client.query('CREATE TABLE owning (id serial PRIMARY KEY); CREATE TABLE holding (id serial PRIMARY KEY)');
  await client.query('BEGIN; ALTER SEQUENCE owning_id_seq INCREMENT 5');
  await other.query(`SET lock_timeout = '20ms'`);
  expect(await codeOf('DROP TABLE owning', other)).toBe('55P03');
  await other.query('SET lock_timeout = 0');
  const dropped = other.query('DROP TABLE owning');
  expect(await isWaiting(dropped)).toBe(true);
  await client.query('COMMIT');
  await dropped;
  expect(await exists('owning_id_seq')).toEqual([[0]]);
  for (const end of ['ROLLBACK', 'COMMIT']) {
    await client.query('BEGIN; DROP TABLE holding');
    const altered = codeOf('ALTER SEQUENCE holding_id_seq INCREMENT 5', other);
    expect(await isWaiting(altered)).toBe(true);
    await client.query(end);
    expect(await altered).toBe(end === 'COMMIT' ? '42P01' : 'none');
  }
  await client.query('CREATE TABLE near (id serial PRIMARY KEY); CREATE TABLE far (id serial PRIMARY KEY)');
  await client.query('BEGIN; ALTER SEQUENCE near_id_seq INCREMENT 5');
  await other.query('BEGIN; ALTER SEQUENCE far_id_seq INCREMENT 5');
  const codes = [codeOf('DROP TABLE far'), codeOf('DROP TABLE near', other)];
  await Promise.race(codes);
  for (const by of [client, other]) void by.query('ROLLBACK');
  expect((await Promise.all(codes)).toSorted()).toEqual(['40P01', 'none']);
  await client.query('INSERT INTO near DEFAULT VALUES; INSERT INTO far DEFAULT VALUES');
});

test('two transactions do not make one name: the second waits, and gets 42P07 or the name', async () => {
  await client.query('BEGIN; CREATE TABLE twice (a int)');
  const second = codeOf('CREATE TABLE twice (b text)', other);
  expect(await isWaiting(second)).toBe(true);
  await client.query('COMMIT');
  expect(await second).toBe('42P07');
  await client.query('BEGIN; CREATE TABLE once (a int)');
  const third = other.query('CREATE TABLE IF NOT EXISTS once (b text)');
  expect(await isWaiting(third)).toBe(true);
  await client.query('ROLLBACK');
  await third;
  expect(await rowsOf('SELECT b FROM once')).toEqual([]);
  await client.query('BEGIN; CREATE SCHEMA same');
  const schema = codeOf('CREATE SCHEMA same', other);
  expect(await isWaiting(schema)).toBe(true);
  await client.query('COMMIT');
  expect(await schema).toBe('42P06');
});

test('two transactions that drop the tables of each other end with 40P01 for one of them', async () => {
  await client.query('CREATE TABLE left_one (a int); CREATE TABLE right_one (a int)');
  await client.query('BEGIN; DROP TABLE left_one');
  await other.query('BEGIN; DROP TABLE right_one');
  const codes = [codeOf('DROP TABLE right_one'), codeOf('DROP TABLE left_one', other)];
  await Promise.race(codes);
  for (const by of [client, other]) void by.query('ROLLBACK');
  expect((await Promise.all(codes)).toSorted()).toEqual(['40P01', 'none']);
  await client.query('SELECT * FROM left_one, right_one');
});

test('the statements of one Query message are one transaction, definitions too', async () => {
  expect(await codeOf(`CREATE TABLE whole (id int PRIMARY KEY); INSERT INTO whole VALUES (1); SELECT 1/0`)).toBe(
    '22012',
  );
  expect(await codeOf('SELECT * FROM whole')).toBe('42P01');
  await client.query(
    `CREATE TABLE whole (id int PRIMARY KEY); INSERT INTO whole VALUES (1); CREATE INDEX ON whole USING hash (id)`,
  );
  expect(await rowsOf('SELECT * FROM whole', other)).toEqual([[1]]);
});

test('a session that ends in the middle leaves nothing of its transaction', async () => {
  const gone = await connect();
  await gone.query('BEGIN; CREATE TABLE unfinished (a serial); INSERT INTO unfinished DEFAULT VALUES');
  await gone.end();
  clients.splice(clients.indexOf(gone), 1);
  await client.query('CREATE TABLE unfinished (b text)');
  expect(await rowsOf('SELECT * FROM unfinished')).toEqual([]);
});

test('what PostgreSQL refuses in a transaction block is refused with 25001', async () => {
  for (const sql of [
    'CREATE DATABASE x',
    'DROP DATABASE x',
    'ALTER SYSTEM SET work_mem = 1',
    'VACUUM',
    'REINDEX DATABASE arka',
  ]) {
    await client.query('BEGIN');
    expect(await codeOf(sql)).toBe('25001');
    await client.query('ROLLBACK');
  }
});

test('a transaction of REPEATABLE READ reads and writes the tables that it makes', async () => {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; CREATE TABLE repeatable (id int PRIMARY KEY)');
  await client.query(
    'INSERT INTO repeatable VALUES (1), (2); UPDATE repeatable SET id = 3 WHERE id = 1; DELETE FROM repeatable WHERE id = 2',
  );
  expect(await rowsOf('SELECT * FROM repeatable')).toEqual([[3]]);
  await client.query('COMMIT');
  expect(await rowsOf('SELECT * FROM repeatable', other)).toEqual([[3]]);
});

test('a large table is made and filled in one transaction, with a savepoint that is rolled back', async () => {
  await client.query('BEGIN; CREATE TABLE large (id int PRIMARY KEY, v text)');
  await client.query(`INSERT INTO large SELECT i, 'value ' || i FROM generate_series(1, 200000) AS s(i)`);
  await client.query(
    'SAVEPOINT s; INSERT INTO large SELECT i FROM generate_series(200001, 200100) AS s(i); ROLLBACK TO s',
  );
  expect(await rowsOf('SELECT count(*), sum(id) FROM large')).toEqual([['200000', '20000100000']]);
  await client.query('COMMIT');
  await client.query('CHECKPOINT');
  expect(await rowsOf(`SELECT v FROM large WHERE id = 77777`, other)).toEqual([['value 77777']]);
});

test('others see a table as it was until the transaction that alters it ends, and wait to read it', async () => {
  await client.query(`CREATE TABLE altered (id int PRIMARY KEY, v text); INSERT INTO altered VALUES (1, 'a')`);
  await client.query('BEGIN; ALTER TABLE altered ADD COLUMN n int DEFAULT 5; ALTER TABLE altered RENAME TO renamed');
  expect(await rowsOf('SELECT * FROM renamed')).toEqual([[1, 'a', 5]]);
  const columns = `SELECT attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relname = 'altered' AND attnum > 0 ORDER BY attnum`;
  expect(await rowsOf(columns, other)).toEqual([['id'], ['v']]);
  expect(await rowsOf(columns)).toEqual([]);
  expect(await codeOf('SELECT * FROM renamed', other)).toBe('42P01');
  expect(await codeOf('CREATE TABLE altered (a int)', other)).toBe('42P07');
  const read = rowsOf('SELECT * FROM altered', other);
  expect(await isWaiting(read)).toBe(true);
  await client.query('ROLLBACK');
  expect(await read).toEqual([[1, 'a']]);
  await client.query('BEGIN; ALTER TABLE altered DROP COLUMN v, ADD COLUMN n int NOT NULL DEFAULT 5');
  const insert = other.query(`INSERT INTO altered VALUES (2, 7)`);
  expect(await isWaiting(insert)).toBe(true);
  await client.query('COMMIT');
  await insert;
  expect(await rowsOf('SELECT * FROM altered ORDER BY id')).toEqual([
    [1, 5],
    [2, 7],
  ]);
  expect(await codeOf('INSERT INTO altered VALUES (3, NULL)')).toBe('23502');
});

test('an ALTER TABLE that waits for a transaction which waits for it ends with 40P01', async () => {
  await client.query('CREATE TABLE first_of (id int PRIMARY KEY); CREATE TABLE second_of (id int PRIMARY KEY)');
  await client.query('BEGIN; ALTER TABLE first_of ADD COLUMN a int');
  await other.query('BEGIN; INSERT INTO second_of VALUES (1)');
  const codes = [codeOf('ALTER TABLE second_of ADD COLUMN a int'), codeOf('SELECT * FROM first_of', other)];
  await Promise.race(codes);
  for (const by of [client, other]) void by.query('ROLLBACK');
  expect((await Promise.all(codes)).toSorted()).toEqual(['40P01', 'none']);
});

test('an index that a transaction makes is used by all after its COMMIT, and gone after a ROLLBACK', async () => {
  await client.query(
    `CREATE TABLE indexed (id int PRIMARY KEY, v int); INSERT INTO indexed SELECT i, i % 10 FROM generate_series(1, 100) AS s(i)`,
  );
  await client.query('BEGIN; CREATE INDEX by_v ON indexed USING hash (v); INSERT INTO indexed VALUES (101, 3)');
  expect(await rowsOf('SELECT count(*) FROM indexed WHERE v = 3')).toEqual([['11']]);
  await client.query('ROLLBACK');
  expect(await rowsOf(`SELECT count(*) FROM pg_indexes WHERE indexname = 'by_v'`)).toEqual([['0']]);
  await client.query('BEGIN; CREATE INDEX by_v ON indexed USING hash (v); INSERT INTO indexed VALUES (101, 3); COMMIT');
  expect(await rowsOf('SELECT count(*) FROM indexed WHERE v = 3', other)).toEqual([['11']]);
  expect(await rowsOf('EXPLAIN SELECT * FROM indexed WHERE v = 3', other)).toEqual(
    expect.arrayContaining([[expect.stringContaining('by_v')]]),
  );
});
