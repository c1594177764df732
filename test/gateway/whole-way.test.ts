/** The whole way with a real client: psql's protocol in, log, memory, disk, Iceberg, and back in one SELECT. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
let client: Client;

async function connect(): Promise<Client> {
  const made = new Client({ connectionString: server.url });
  made.on('error', () => {}); // the server is killed under it
  await made.connect();
  return made;
}

beforeAll(async () => {
  server = await startServer();
  client = await connect();
}, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
});

const rowsOf = async (sql: string, values: unknown[] = []): Promise<unknown[]> => (await client.query({ text: sql, values, rowMode: 'array' })).rows;
const codeOf = (work: Promise<unknown>): Promise<string> => work.then(() => 'no error', (error: { code: string }) => error.code);

const STAGES: readonly (readonly [string, string | null])[] = [
  ['memory', null],
  ['disk', `CALL arka.flush('public.moves')`],
  ['Iceberg', 'CHECKPOINT'],
];

test('the answers are the same wherever the rows are, and changes are seen at once by other sessions', async () => {
  await client.query(`CREATE TABLE moves (id bigint PRIMARY KEY, ts timestamptz NOT NULL, v int, name text, price numeric(10,2), ok boolean, doc jsonb) WITH (time_column = 'ts', partition_by = 'day(ts)')`);
  const expected = new Map<number, [number, string | null, string]>();
  for (let i = 1; i <= 40; i++) {
    const name = i % 7 === 0 ? null : `n${i}`;
    const price = (i / 4).toFixed(2);
    await client.query('INSERT INTO moves VALUES ($1, $2, $3, $4, $5, $6, $7)', [i, `2026-01-0${1 + (i % 3)}T00:00:0${i % 10}Z`, i * 10, name, price, i % 2 === 0, `{"b":${i},"a":[1]}`]);
    expected.set(i, [i * 10, name, price]);
  }
  const other = await connect();
  for (const [stage, move] of STAGES) {
    if (move !== null) await client.query(move);
    await client.query('UPDATE moves SET v = v + 1 WHERE id % 5 = 0');
    for (const [id, row] of expected) if (id % 5 === 0) row[0]++;
    const gone = stage === 'memory' ? 3 : stage === 'disk' ? 4 : 6;
    expect((await client.query('DELETE FROM moves WHERE id = $1', [gone])).rowCount).toBe(1);
    expected.delete(gone);
    const seen = await other.query({ text: 'SELECT id, v, name, price FROM moves ORDER BY id', rowMode: 'array' });
    expect(seen.rows, stage).toEqual([...expected].map(([id, [v, name, price]]) => [String(id), v, name, price]));
    const sum = [...expected.values()].reduce((total, [v]) => total + v, 0);
    expect(await rowsOf('SELECT count(*), sum(v) FROM moves')).toEqual([[String(expected.size), String(sum)]]);
    expect(await rowsOf('SELECT v, doc FROM moves WHERE id = $1', [10])).toEqual([[expected.get(10)![0], { a: [1], b: 10 }]]);
    expect(await rowsOf(`SELECT count(*) FROM moves WHERE ts >= '2026-01-02 00:00:00Z' AND ts < '2026-01-03 00:00:00Z'`)).toEqual([[String([...expected.keys()].filter((id) => id % 3 === 1).length)]]);
    expect(await codeOf(client.query(`INSERT INTO moves VALUES (10, now())`))).toBe('23505');
  }
  await other.end();
});

test('a transaction sees its own writes, others see them after COMMIT, nobody after ROLLBACK', async () => {
  await client.query('CREATE TABLE own (id int PRIMARY KEY, v text)');
  const other = await connect();
  await client.query('BEGIN');
  await client.query(`INSERT INTO own VALUES (1, 'a'), (2, 'b')`);
  await client.query(`UPDATE own SET v = 'c' WHERE id = 2`);
  expect(await rowsOf('SELECT id, v FROM own ORDER BY id')).toEqual([[1, 'a'], [2, 'c']]);
  expect((await other.query('SELECT * FROM own')).rowCount).toBe(0);
  await client.query('COMMIT');
  expect((await other.query('SELECT * FROM own')).rowCount).toBe(2);
  await client.query('BEGIN');
  await client.query('DELETE FROM own');
  expect(await rowsOf('SELECT count(*) FROM own')).toEqual([['0']]);
  await client.query('ROLLBACK');
  expect(await rowsOf('SELECT count(*) FROM own')).toEqual([['2']]);
  await other.end();
});

test('after an error a block refuses everything until ROLLBACK, and COMMIT rolls back', async () => {
  await client.query('BEGIN');
  await client.query(`INSERT INTO own VALUES (9, 'x')`);
  expect(await codeOf(client.query(`INSERT INTO own VALUES (1, 'again')`))).toBe('23505');
  expect(await codeOf(client.query('SELECT 1'))).toBe('25P02');
  expect((await client.query('COMMIT')).command).toBe('ROLLBACK');
  expect(await rowsOf('SELECT count(*) FROM own WHERE id = 9')).toEqual([['0']]);
});

describe('wrong input', () => {
  test.each([
    ['SELEC 1', '42601'],
    ['SELECT * FROM nowhere', '42P01'],
    ['SELECT nope FROM own', '42703'],
    [`INSERT INTO own VALUES ('x', 'y')`, '22P02'],
    ['INSERT INTO own VALUES (99999999999, NULL)', '22003'],
    ['INSERT INTO own (v) VALUES (NULL)', '23502'],
    ['CREATE TABLE own (id int)', '42P07'],
    ['CREATE TABLE odd (id money)', '0A000'],
    [`CREATE TABLE odd (id int) WITH (nonsense = '1')`, '22023'],
    ['SAVEPOINT s', '0A000'],
    ['BEGIN ISOLATION LEVEL SERIALIZABLE', '0A000'],
    ['DROP TABLE nowhere', '42P01'],
    [`INSERT INTO missing.t VALUES (1)`, '42P01'],
  ])('%s gives %s', async (sql, code) => {
    expect(await codeOf(client.query(sql))).toBe(code);
    expect(await rowsOf('SELECT count(*) FROM own')).toEqual([['2']]);
  });
});

test('kill -9 loses no acknowledged row, and a clean data directory without its disk cache gives the same answers', async () => {
  const dataDir = server.dataDir;
  await client.query('CREATE TABLE kept (id bigint PRIMARY KEY, v text)');
  let acknowledged = 0;
  for (let life = 0; life < 2; life++) {
    for (let i = 0; i < 30; i++) await client.query(`INSERT INTO kept VALUES ($1, 'life')`, [++acknowledged]);
    if (life === 0) await client.query(`CALL arka.flush('public.kept')`);
    await client.query(`DELETE FROM kept WHERE id = ${acknowledged - 15}`);
    await server.kill9();
    server = await startServer({ dataDir });
    client = await connect();
    expect(await rowsOf('SELECT count(*), max(id) FROM kept')).toEqual([[String(acknowledged - life - 1), String(acknowledged)]]);
  }
  await client.query('CHECKPOINT');
  const before = await rowsOf('SELECT id, v FROM kept ORDER BY id');
  const moves = await rowsOf('SELECT * FROM moves ORDER BY id');
  await client.end();
  await server.stop();
  rmSync(join(dataDir, 'disk'), { recursive: true });
  server = await startServer({ dataDir });
  client = await connect();
  expect(await rowsOf('SELECT id, v FROM kept ORDER BY id')).toEqual(before);
  expect(await rowsOf('SELECT * FROM moves ORDER BY id')).toEqual(moves);
}, 60_000);
