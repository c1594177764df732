/** The whole way with a real client: psql's protocol in, log, memory, disk, Iceberg, and back in one SELECT. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect } from '../process/client.ts';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
let client: Client;

beforeAll(async () => {
  server = await startServer();
  client = await connect(server.url);
}, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
});

const rowsOf = async (sql: string, values: unknown[] = []): Promise<unknown[]> =>
  (await client.query({ text: sql, values, rowMode: 'array' })).rows;
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'no error',
    (error: { code: string }) => error.code,
  );

const STAGES: readonly (readonly [string, string | null])[] = [
  ['memory', null],
  ['disk', `CALL arka.flush('public.moves')`],
  ['Iceberg', 'CHECKPOINT'],
];

test('a statement of constants has the same answer each time, in every session and format', async () => {
  const other = await connect(server.url);
  const sql = "SELECT 1, 'x' AS name, NULL, true, 1.50";
  const first = await client.query({ text: sql, rowMode: 'array' });
  expect(first.rows).toEqual([[1, 'x', null, true, '1.50']]);
  for (const each of [client, other, client]) {
    const again = await each.query({ text: sql, rowMode: 'array' });
    expect(again.rows).toEqual(first.rows);
    expect(again.fields).toEqual(first.fields);
    const inBinary = { text: 'SELECT 7', rowMode: 'array' as const, binary: true };
    expect((await each.query<unknown[]>(inBinary)).rows).toEqual([[7]]);
    expect((await each.query({ text: 'SELECT 7', rowMode: 'array' })).rows).toEqual([[7]]);
  }
  await other.end();
});

test('rows made up by a long generate_series are those of PostgreSQL, of any number', async () => {
  await client.query('CREATE TABLE made (id bigint PRIMARY KEY, v int, name text, price numeric(10,2))');
  const made = `SELECT g, g % 10, 'n' || g, g / 4.0 FROM generate_series(30000, 1, -1) AS g`;
  expect((await client.query(`INSERT INTO made ${made}`)).rowCount).toBe(30_000);
  expect(await rowsOf('SELECT count(*), sum(id), sum(v), max(name), sum(price), min(id) FROM made')).toEqual([
    ['30000', '450015000', '135000', 'n9999', '112503750.00', '1'],
  ]);
  expect(
    await rowsOf(
      'SELECT g.n, made.v FROM generate_series(1, 20000) g(n) JOIN made ON id = n WHERE n > 19998 ORDER BY n',
    ),
  ).toEqual([
    [19_999, 9],
    [20_000, 0],
  ]);
  expect(await rowsOf('SELECT * FROM generate_series(1, 20001) LIMIT 2 OFFSET 19999')).toEqual([[20_000], [20_001]]);
  await client.query('DROP TABLE made');
});

test('the answers are the same wherever the rows are, and changes are seen at once by other sessions', async () => {
  await client.query(
    `CREATE TABLE moves (id bigint PRIMARY KEY, ts timestamptz NOT NULL, v int, name text, price numeric(10,2), ok boolean, doc jsonb) WITH (time_column = 'ts', partition_by = 'day(ts)')`,
  );
  const expected = new Map<number, [number, string | null, string]>();
  for (let i = 1; i <= 40; i++) {
    const name = i % 7 === 0 ? null : `n${i}`;
    const price = (i / 4).toFixed(2);
    await client.query('INSERT INTO moves VALUES ($1, $2, $3, $4, $5, $6, $7)', [
      i,
      `2026-01-0${1 + (i % 3)}T00:00:0${i % 10}Z`,
      i * 10,
      name,
      price,
      i % 2 === 0,
      `{"b":${i},"a":[1]}`,
    ]);
    expected.set(i, [i * 10, name, price]);
  }
  const other = await connect(server.url);
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
    expect(await rowsOf('SELECT v, doc FROM moves WHERE id = $1', [10])).toEqual([
      [expected.get(10)![0], { a: [1], b: 10 }],
    ]);
    expect(
      await rowsOf(`SELECT count(*) FROM moves WHERE ts >= '2026-01-02 00:00:00Z' AND ts < '2026-01-03 00:00:00Z'`),
    ).toEqual([[String([...expected.keys()].filter((id) => id % 3 === 1).length)]]);
    expect(await codeOf(client.query(`INSERT INTO moves VALUES (10, now())`))).toBe('23505');
  }
  await other.end();
});

test('a transaction sees its own writes, others see them after COMMIT, nobody after ROLLBACK', async () => {
  await client.query('CREATE TABLE own (id int PRIMARY KEY, v text)');
  const other = await connect(server.url);
  await client.query('BEGIN');
  await client.query(`INSERT INTO own VALUES (1, 'a'), (2, 'b')`);
  await client.query(`UPDATE own SET v = 'c' WHERE id = 2`);
  expect(await rowsOf('SELECT id, v FROM own ORDER BY id')).toEqual([
    [1, 'a'],
    [2, 'c'],
  ]);
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

test('positions of errors count in the whole text that the client sent', async () => {
  const at = (sql: string): Promise<string | undefined> =>
    client.query(sql).then(
      () => undefined,
      (error: { position?: string }) => error.position,
    );
  expect(await at('SELECT 1;  SELECT nope FROM own')).toBe('19');
  expect(await at('SELECT 1; SELECT lower(5)')).toBe('18');
  expect(await at('SELECT FROM WHERE')).toBe('13');
  expect(await at(`UPDATE own SET v = lower(5)`)).toBe('20');
});

describe('wrong input', () => {
  beforeAll(() =>
    client
      .query('CREATE TABLE copied_small (id int PRIMARY KEY, s smallint)')
      .then(() => client.query('INSERT INTO copied_small VALUES (1, 1)')),
  );

  test.each([
    ['SELEC 1', '42601'],
    ['SELECT * FROM nowhere', '42P01'],
    ['SELECT nope FROM own', '42703'],
    [`INSERT INTO own VALUES ('x', 'y')`, '22P02'],
    ['INSERT INTO own VALUES (99999999999, NULL)', '22003'],
    ['INSERT INTO own (v) VALUES (NULL)', '23502'],
    ['UPDATE copied_small SET s = 40000', '22003'],
    ['CREATE TABLE own (id int)', '42P07'],
    ['CREATE TABLE odd (id money)', '0A000'],
    [`CREATE TABLE odd (id int) WITH (nonsense = '1')`, '22023'],
    ['SAVEPOINT s', '25P01'],
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
    client = await connect(server.url);
    expect(await rowsOf('SELECT count(*), max(id) FROM kept')).toEqual([
      [String(acknowledged - life - 1), String(acknowledged)],
    ]);
  }
  await client.query('CHECKPOINT');
  const before = await rowsOf('SELECT id, v FROM kept ORDER BY id');
  const moves = await rowsOf('SELECT * FROM moves ORDER BY id');
  await client.end();
  await server.stop();
  rmSync(join(dataDir, 'disk'), { recursive: true });
  server = await startServer({ dataDir });
  client = await connect(server.url);
  expect(await rowsOf('SELECT id, v FROM kept ORDER BY id')).toEqual(before);
  expect(await rowsOf('SELECT * FROM moves ORDER BY id')).toEqual(moves);
}, 60_000);

test('a warehouse elsewhere holds everything after CHECKPOINT: without the disk cache the answers stay', async () => {
  const warehouse = mkdtempSync(join(tmpdir(), 'arka-warehouse-'));
  const args = ['--warehouse', `file://${warehouse}`];
  let own = await startServer({ args });
  const { dataDir } = own;
  const open = async (): Promise<Client> => {
    const made = new Client({ connectionString: own.url });
    await made.connect();
    return made;
  };
  let session = await open();
  await session.query(`CREATE TABLE far (id int PRIMARY KEY, v text) WITH (partition_by = 'bucket(4, id)')`);
  await session.query(`INSERT INTO far SELECT g, 'v' || g FROM generate_series(1, 500) g`);
  await session.query('CHECKPOINT');
  await session.query('DELETE FROM far WHERE id % 9 = 0');
  await session.query(`UPDATE far SET v = 'changed' WHERE id % 50 = 0`);
  await session.query('CHECKPOINT');
  const text = 'SELECT id, v FROM far ORDER BY id';
  const before = (await session.query(text)).rows;
  expect(before).toHaveLength(500 - 55);
  await session.end();
  await own.kill9();
  rmSync(join(dataDir, 'disk'), { recursive: true });
  own = await startServer({ dataDir, args });
  session = await open();
  expect((await session.query(text)).rows).toEqual(before);
  expect(readdirSync(join(warehouse, 'public'))).toHaveLength(1);
  const plan = (await session.query(`EXPLAIN SELECT count(*) FROM far`)).rows
    .map((line: { 'QUERY PLAN': string }) => line['QUERY PLAN'])
    .join('\n');
  expect(plan).toMatch(/Iceberg Scan \(tier=iceberg units=\d+ rows=\d+ pruned=0\)/);
  await session.end();
  await own.stop();
  rmSync(dataDir, { recursive: true });
  rmSync(warehouse, { recursive: true });
}, 60_000);

test('COPY takes text and CSV, and an error names line and column and keeps nothing', async () => {
  await client.query('CREATE TABLE copied (id int PRIMARY KEY, v text NOT NULL, n numeric(5,2))');
  const copy = (sql: string, data: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const stream = client.query(copyFrom(sql));
      stream.on('error', reject).on('finish', resolve);
      stream.end(data);
    });
  await copy(`COPY copied FROM STDIN`, '1\tone\t1.5\n2\ttwo\t\\N\n');
  await copy(
    `COPY copied (v, id) FROM STDIN (FORMAT csv, HEADER, DELIMITER ';', NULL '-')`,
    'v;id\n"three; ""3""";3\n',
  );
  expect(await rowsOf('SELECT id, v, n FROM copied ORDER BY id')).toEqual([
    [1, 'one', '1.50'],
    [2, 'two', null],
    [3, 'three; "3"', null],
  ]);
  const bad = copy(`COPY copied FROM STDIN`, '4\tfour\t1\n5\tfive\tx\n');
  await expect(bad).rejects.toMatchObject({ code: '22P02', where: 'COPY copied, line 2, column n: "x"' });
  await expect(copy(`COPY copied FROM STDIN`, '6\t\\N\t1\n')).rejects.toMatchObject({ code: '23502' });
  await expect(copy(`COPY copied FROM STDIN`, '7\tseven\t12345\n')).rejects.toMatchObject({ code: '22003' });
  await expect(copy(`COPY copied FROM STDIN`, '8\teight\t1\n1\tagain\t1\n')).rejects.toMatchObject({ code: '23505' });
  expect(await rowsOf('SELECT count(*) FROM copied')).toEqual([['3']]);
});

test('with synchronous_commit off a write is visible at once and survives a clean stop', async () => {
  await client.query('CREATE TABLE quick (id int PRIMARY KEY)');
  await client.query('SET synchronous_commit = off');
  for (let id = 0; id < 50; id++) await client.query('INSERT INTO quick VALUES ($1)', [id]);
  expect(await rowsOf('SELECT count(*) FROM quick')).toEqual([['50']]);
  const { dataDir } = server;
  await client.end();
  await server.stop();
  server = await startServer({ dataDir });
  client = await connect(server.url);
  expect(await rowsOf('SELECT count(*) FROM quick')).toEqual([['50']]);
}, 30_000);

test('two sessions that change one row take turns, and no change is lost', async () => {
  await client.query('CREATE TABLE counter (id int PRIMARY KEY, n int)');
  await client.query('INSERT INTO counter VALUES (1, 0)');
  const sessions = await Promise.all(Array.from({ length: 4 }, () => connect(server.url)));
  await Promise.all(
    sessions.map(async (session) => {
      for (let i = 0; i < 15; i++) await session.query('UPDATE counter SET n = n + 1 WHERE id = 1');
    }),
  );
  expect(await rowsOf('SELECT n FROM counter')).toEqual([[60]]);
  await Promise.all(sessions.map((session) => session.end()));
}, 30_000);

test('a name in schema arka that is no view there does not exist, as anywhere else', async () => {
  expect(await codeOf(rowsOf('SELECT * FROM arka.nothing'))).toBe('42P01');
});
