/** COPY … TO STDOUT over a real server: what it writes is what COPY … FROM STDIN reads. */
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { Client } from 'pg';
import { from, to } from 'pg-copy-streams';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cancelRequest } from '../process/client.ts';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
let client: Client;
beforeAll(async () => {
  server = await startServer();
  client = new Client({ connectionString: server.url });
  await client.connect();
  await client.query(`CREATE TABLE big (id int PRIMARY KEY, pad text)`);
  await client.query(`INSERT INTO big SELECT i, repeat('x', 400) FROM generate_series(1, 50000) AS i`);
}, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
});

async function copied(sql: string): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of client.query(to(sql))) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('latin1');
}
const failure = (sql: string): Promise<string> =>
  client.query(sql).then(
    () => 'no error',
    (error: { code: string; message: string }) => `${error.code} ${error.message}`,
  );

const COLUMNS =
  'id int PRIMARY KEY, a text, b varchar(30), n numeric(12,3), f float8, t timestamptz, d date, k bool, j jsonb, x bytea';
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { freq: 4 });
const text = fc.string({ unit: fc.constantFrom('a', '\t', '\n', '\r', '\\', ',', '"', "'", '.', 'N', ';', 'é', '🙂') });
const row = fc.tuple(
  maybe(text),
  maybe(fc.string({ unit: 'grapheme', maxLength: 8 }).map((each) => each.replaceAll('\0', ''))),
  maybe(fc.integer({ min: -1e9, max: 1e9 }).map((each) => (each / 1000).toFixed(3))),
  maybe(fc.double({ noNaN: true })),
  maybe(
    fc
      .date({ min: new Date('1900-01-01'), max: new Date('2200-01-01'), noInvalidDate: true })
      .map((d) => d.toISOString()),
  ),
  maybe(fc.constantFrom('2000-02-29', '0044-03-15 BC', '9999-12-31')),
  maybe(fc.boolean()),
  maybe(fc.json()),
  maybe(fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes))),
);
const OPTIONS = [
  '',
  '(FORMAT csv)',
  '(FORMAT binary)',
  "(FORMAT csv, HEADER, DELIMITER ';', NULL 'NULL', QUOTE '''', ESCAPE '\\')",
  "(DELIMITER '|', NULL 'nil', HEADER)",
  '(FORMAT csv, FORCE_QUOTE (a, b))',
];

test('COPY FROM reads what COPY TO wrote, in every format, whatever the values', async () => {
  await client.query(`CREATE TABLE source (${COLUMNS}); CREATE TABLE target (${COLUMNS})`);
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { minLength: 1, maxLength: 8 }),
      fc.constantFrom(...OPTIONS),
      async (rows, options) => {
        await client.query('DELETE FROM source; DELETE FROM target');
        for (const [id, values] of rows.entries())
          await client.query('INSERT INTO source VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)', [id, ...values]);
        const read = options.replace(/, FORCE_QUOTE.*/, ')');
        const other = new Client({ connectionString: server.url });
        await other.connect();
        await pipeline(
          client.query(to(`COPY source TO STDOUT ${options}`)),
          other.query(from(`COPY target FROM STDIN ${read}`)),
        );
        await other.end();
        const all = (table: string) => client.query({ text: `SELECT * FROM ${table} ORDER BY id`, rowMode: 'array' });
        const [there, here] = [await all('target'), await all('source')];
        expect(there.rows).toEqual(here.rows);
      },
    ),
    { numRuns: 60 },
  );
}, 120_000);

test('a query, a list of columns, a header, and a statement without tables', async () => {
  await client.query(`CREATE TABLE few (id int PRIMARY KEY, name text)`);
  await client.query(`INSERT INTO few VALUES (1, 'a,b'), (2, NULL), (3, '')`);
  expect(await copied('COPY few (name, id) TO STDOUT CSV HEADER')).toBe('name,id\n"a,b",1\n,2\n"",3\n');
  expect(await copied('COPY (SELECT count(*), max(name) FROM few) TO STDOUT')).toBe('3\ta,b\n');
  expect(await copied(`COPY (VALUES (1, 'x'), (2, NULL)) TO STDOUT`)).toBe('1\tx\n2\t\\N\n');
  expect(await copied('COPY (SELECT name FROM few WHERE id = 2) TO STDOUT')).toBe('\\N\n');
  expect((await client.query(to('COPY few TO STDOUT')).toArray()).length).toBeGreaterThan(0);
  await client.query('BEGIN');
  await client.query(`INSERT INTO few VALUES (4, 'own')`);
  expect(await copied('COPY (SELECT * FROM few WHERE id > 3) TO STDOUT')).toBe('4\town\n');
  await client.query('ROLLBACK');
});

test('the tag counts the rows', async () => {
  const stream = client.query(to('COPY big TO STDOUT'));
  stream.resume();
  await once(stream, 'end');
  expect((stream as unknown as { rowCount: number }).rowCount).toBe(50_000);
});

test.each([
  ['COPY nope TO STDOUT', '42P01 relation "nope" does not exist'],
  ['COPY big (nope) TO STDOUT', '42703 column "nope" of relation "big" does not exist'],
  ['COPY (SELECT nope FROM big) TO STDOUT', '42703 column "nope" does not exist'],
  ['COPY big TO STDOUT (FORMAT csv, FORCE_QUOTE (zz))', '42703 column "zz" does not exist'],
  ['COPY (SELECT 1 / 0) TO STDOUT', '22012 division by zero'],
  ['COPY (SELECT id / 0 FROM big) TO STDOUT', '22012 division by zero'],
])('%s is refused: %s', async (sql, expected) => {
  expect(await failure(sql)).toBe(expected);
  expect(await copied('COPY (SELECT 1) TO STDOUT')).toBe('1\n');
});

test('a client that does not read stops it, and a cancel ends it with 57014', async () => {
  const reader = new Client({ connectionString: server.url });
  reader.on('error', () => {});
  await reader.connect();
  const stream = reader.query(to('COPY (SELECT a.pad FROM big AS a, big AS b WHERE b.id <= 50) TO STDOUT'));
  await once(stream, 'readable');
  const failed = once(stream, 'end').then(
    () => 'ended',
    ({ code }: { code: string }) => code,
  );
  await cancelRequest(reader);
  stream.resume();
  expect(await failed).toBe('57014');
  await reader.end();
});
