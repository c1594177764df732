/** arka.changes over a real server: a relation like any other, and its errors. */
import { Client } from 'pg';
import { to } from 'pg-copy-streams';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
let client: Client;
beforeAll(async () => {
  server = await startServer();
  client = new Client({ connectionString: server.url });
  await client.connect();
  await client.query(`SET TimeZone = 'UTC'`);
  await client.query(
    `CREATE TABLE events (id bigint, kind text, ts timestamptz NOT NULL, price numeric(10,2), ok bool, doc jsonb, raw bytea, PRIMARY KEY (id, kind)) WITH (partition_by = 'day(ts)')`,
  );
  await client.query(
    `INSERT INTO events VALUES (1, 'a', '2026-01-01 10:00:00Z', 1.50, true, '{"b": 1}', '\\x00ff'), (2, 'b', '2026-01-02 10:00:00Z', NULL, NULL, NULL, NULL)`,
  );
  await client.query(`UPDATE events SET price = 2.25 WHERE id = 1`);
  await client.query(`DELETE FROM events WHERE id = 2`);
  await client.query('CREATE TABLE plain (op text, lsn int)');
  await client.query(`INSERT INTO plain VALUES ('x', 1), (NULL, 2)`);
  await client.query('DELETE FROM plain WHERE lsn = 2');
}, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
});

const rowsOf = async (sql: string, values: unknown[] = []): Promise<unknown[]> =>
  (await client.query({ text: sql, values, rowMode: 'array' })).rows;
const failure = (sql: string, values: unknown[] = []): Promise<string> =>
  client.query(sql, values).then(
    () => 'no error',
    (error: { code: string; message: string }) => `${error.code} ${error.message}`,
  );
async function copied(sql: string): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of client.query(to(sql))) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

test('the columns of a change stand before those of the table, with their types', async () => {
  const { fields } = await client.query(`SELECT * FROM arka.changes('public.events', 0)`);
  expect(fields.map(({ name, dataTypeID }) => `${name} ${dataTypeID}`)).toEqual([
    'op 25',
    'lsn 3220',
    'commit_lsn 3220',
    'committed_at 1184',
    'old_key 3802',
    'id 20',
    'kind 25',
    'ts 1184',
    'price 1700',
    'ok 16',
    'doc 3802',
    'raw 17',
  ]);
  expect(
    await copied(
      `COPY (SELECT op, lsn, commit_lsn, old_key, id, kind, ts, price, ok, doc, raw FROM arka.changes('events', '0/0')) TO STDOUT`,
    ),
  ).toBe(
    [
      'insert\t0/1\t0/2\t\\N\t1\ta\t2026-01-01 10:00:00+00\t1.50\tt\t{"b": 1}\t\\\\x00ff',
      'insert\t0/2\t0/2\t\\N\t2\tb\t2026-01-02 10:00:00+00\t\\N\t\\N\t\\N\t\\N',
      'update\t0/4\t0/4\t{"id": 1, "kind": "a"}\t1\ta\t2026-01-01 10:00:00+00\t2.25\tt\t{"b": 1}\t\\\\x00ff',
      'delete\t0/5\t0/5\t{"id": 2, "kind": "b"}\t2\tb\t\\N\t\\N\t\\N\t\\N\t\\N',
      '',
    ].join('\n'),
  );
  expect(
    await rowsOf(`SELECT count(*) FROM arka.changes('events', 0) WHERE committed_at > now() - interval '10 minutes'`),
  ).toEqual([['4']]);
});

test('WHERE, ORDER BY, LIMIT, aggregates and joins read it as any relation; LSNs compare as positions', async () => {
  expect(
    await rowsOf(`SELECT op, lsn FROM arka.changes('events', 0) AS c WHERE c.lsn > '0/1' ORDER BY lsn DESC LIMIT 2`),
  ).toEqual([
    ['delete', '0/5'],
    ['update', '0/4'],
  ]);
  expect(await rowsOf(`SELECT op, count(*), max(lsn) FROM arka.changes('events', 0) GROUP BY op ORDER BY op`)).toEqual([
    ['delete', '1', '0/5'],
    ['insert', '2', '0/2'],
    ['update', '1', '0/4'],
  ]);
  expect(
    await rowsOf(
      `SELECT c.op, e.price FROM arka.changes('events', 2) AS c LEFT JOIN events AS e ON e.id = c.id ORDER BY c.lsn`,
    ),
  ).toEqual([
    ['update', '2.25'],
    ['delete', null],
  ]);
  expect(await rowsOf(`SELECT lsn::text || '!', lsn - '0/1' FROM arka.changes('events', 3)`)).toEqual([
    ['0/4!', '3'],
    ['0/5!', '4'],
  ]);
  expect(await rowsOf(`EXPLAIN SELECT op FROM arka.changes('events', 3)`)).toContainEqual([
    '  ->  Log Scan of changes of public.events (since=0/3)',
  ]);
});

test('since_lsn is a pg_lsn or a bigint, a constant or a parameter', async () => {
  const expected = [['delete']];
  for (const since of [`'0/4'`, `'0/4'::pg_lsn`, '4', `'4'`, '4::bigint'])
    expect(await rowsOf(`SELECT op FROM arka.changes('events', ${since})`), since).toEqual(expected);
  for (const since of ['0/4', 4, '4'])
    expect(await rowsOf(`SELECT op FROM arka.changes('events', $1)`, [since])).toEqual(expected);
  expect(await rowsOf(`SELECT op FROM arka.changes('events', $1::bigint) WHERE lsn > $2`, [2, '0/4'])).toEqual(
    expected,
  );
  expect(await rowsOf(`SELECT op FROM arka.changes('events', pg_current_wal_lsn())`)).toEqual([]);
});

test('binary COPY gives positions as eight bytes, and a position of another log is refused', async () => {
  const chunks = await client
    .query(to(`COPY (SELECT op, lsn FROM arka.changes('events', 4)) TO STDOUT BINARY`))
    .toArray();
  expect(Buffer.concat(chunks as Buffer[]).toString('hex')).toBe(
    '5047434f50590aff0d0a000000000000000000' +
      '0002' +
      '00000006' +
      Buffer.from('delete').toString('hex') +
      '000000080000000000000005' +
      'ffff',
  );
  expect(await failure(`SELECT * FROM arka.changes('events', 'A/0')`)).toBe(
    '55000 LSN A/0 is beyond the end of the log',
  );
});

test('without a key a row is named by all of it, and a name that the table has is kept from it', async () => {
  expect(await rowsOf(`SELECT _op, old_key, op, lsn FROM arka.changes('plain', 0) ORDER BY _lsn`)).toEqual([
    ['insert', null, 'x', 1],
    ['insert', null, null, 2],
    ['delete', { op: null, lsn: 2 }, null, 2],
  ]);
});

test.each([
  [`SELECT * FROM arka.changes('nope', 0)`, '42P01 relation "nope" does not exist'],
  [`SELECT * FROM arka.changes('events')`, '42883 no function arka.changes takes these arguments'],
  [`SELECT * FROM arka.changes('events', 0, since => 1)`, '42883 no function arka.changes takes these arguments'],
  [`SELECT * FROM arka.changes('events', '0/xyz')`, '22P02 invalid input syntax for type pg_lsn: "0/xyz"'],
  [`SELECT nope FROM arka.changes('events', 0)`, '42703 column "nope" does not exist'],
  [
    `SELECT concat(lsn) FROM arka.changes('events', 0)`,
    '0A000 function concat of pg_lsn over Arka tables is not supported',
  ],
  [`SELECT arka.changes('events', 0)`, '0A000 arka.changes outside FROM is not supported'],
])('%s is refused: %s', async (sql, expected) => {
  expect(await failure(sql)).toBe(expected);
});

test('a parameter that is no position is refused', async () => {
  const sql = `SELECT op FROM arka.changes('events', $1)`;
  expect(await failure(sql, [null])).toBe('22004 since_lsn of arka.changes must not be null');
  expect(await failure(sql, ['x'])).toBe('22P02 invalid input syntax for type pg_lsn: "x"');
});

test('arka.current_lsn() is the position of the rows beside it, whatever is written meanwhile', async () => {
  await client.query('CREATE TABLE moving (id int PRIMARY KEY, v int)');
  await client.query('INSERT INTO moving VALUES (0, 0)');
  const writer = new Client({ connectionString: server.url });
  await writer.connect();
  let going = true;
  const writing = (async () => {
    for (let v = 1; going; v++) await writer.query('UPDATE moving SET v = $1 WHERE id = 0', [v]);
  })();
  for (let i = 0; i < 40; i++) {
    const [[lsn, v]] = (await rowsOf(`SELECT arka.current_lsn(), v FROM moving WHERE id >= 0`)) as [[string, number]];
    const [[next]] = (await rowsOf(`SELECT coalesce(min(v), 0) FROM arka.changes('moving', $1)`, [lsn])) as [[number]];
    expect(next === 0 || next === v + 1, `${next} after ${v} at ${lsn}`).toBe(true);
  }
  going = false;
  await writing;
  await writer.end();
  const [[last]] = (await rowsOf('SELECT arka.current_lsn()')) as [[string]];
  expect(last).toBe(((await rowsOf('SELECT pg_current_wal_lsn()')) as [[string]])[0][0]);
});
