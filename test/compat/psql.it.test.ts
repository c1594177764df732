/**
 * psql as people use it. The expectations are PostgreSQL 15's own answers: with COMPAT_URL set to a PostgreSQL
 * (user and database `arka`, nothing in it) this file passes there as well.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ServerProcess, startServer } from '../process/server-process.ts';
import { psql } from './outside.ts';

const scratch = mkdtempSync(join(tmpdir(), 'arka-psql-'));
let server: ServerProcess | null = null;
let url = process.env['COMPAT_URL'] ?? '';
beforeAll(async () => {
  if (url === '') {
    server = await startServer();
    url = server.url;
  }
  const { stderr } = await psql(url, SCHEMA);
  expect(stderr).toBe('');
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true });
});

const SCHEMA = `
CREATE TABLE events (
  id bigint PRIMARY KEY, ts timestamptz NOT NULL DEFAULT now(), user_id int, action text DEFAULT 'click',
  amount double precision, price numeric(12,2), label varchar(20), payload jsonb
);
CREATE TABLE lines (a int, b text);
CREATE SCHEMA other;
CREATE TABLE other.points (x int, y int, PRIMARY KEY (x, y));
`;

/** What an aligned answer looks like without the blanks that psql leaves at the ends of its lines. */
const lines = (text: string): string[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => line.trimEnd());
async function shown(input: string, args: readonly string[] = []): Promise<string[]> {
  const { stdout, stderr } = await psql(url, input, args);
  expect(stderr).toBe('');
  return lines(stdout);
}

test('a session writes, changes, deletes and reads, and each command has PostgreSQL’s tag', async () => {
  const input = `
INSERT INTO events (id, ts, user_id, amount, payload) VALUES
  (1, '2026-01-02 03:04:05+00', 7, 1.5, '{"b": 1, "a": [true, null]}'), (2, '2026-01-02 03:04:06.5+00', 8, NULL, NULL);
UPDATE events SET action = 'buy', price = 9.9 WHERE id = 2;
DELETE FROM events WHERE id = 99;
BEGIN;
INSERT INTO events (id) VALUES (3);
ROLLBACK;
SELECT id, ts, user_id, action, amount, price, payload FROM events ORDER BY id;
`;
  expect(await shown(input)).toEqual([
    'INSERT 0 2',
    'UPDATE 1',
    'DELETE 0',
    'BEGIN',
    'INSERT 0 1',
    'ROLLBACK',
    ' id |            ts            | user_id | action | amount | price |           payload',
    '----+--------------------------+---------+--------+--------+-------+-----------------------------',
    '  1 | 2026-01-02 03:04:05+00   |       7 | click  |    1.5 |       | {"a": [true, null], "b": 1}',
    '  2 | 2026-01-02 03:04:06.5+00 |       8 | buy    |        |  9.90 |',
    '(2 rows)',
  ]);
});

test('\\d of a table shows columns, types, NOT NULL, defaults and the primary key', async () => {
  expect(await shown('\\d events')).toEqual([
    '                           Table "public.events"',
    ' Column  |           Type           | Collation | Nullable |    Default',
    '---------+--------------------------+-----------+----------+---------------',
    ' id      | bigint                   |           | not null |',
    ' ts      | timestamp with time zone |           | not null | now()',
    ' user_id | integer                  |           |          |',
    " action  | text                     |           |          | 'click'::text",
    ' amount  | double precision         |           |          |',
    ' price   | numeric(12,2)            |           |          |',
    ' label   | character varying(20)    |           |          |',
    ' payload | jsonb                    |           |          |',
    'Indexes:',
    '    "events_pkey" PRIMARY KEY, btree (id)',
  ]);
});

test('\\d of a table in another schema shows a key of two columns', async () => {
  const answer = await shown('\\d other.points');
  expect(answer[0]?.trim()).toBe('Table "other.points"');
  expect(answer.at(-1)).toBe('    "points_pkey" PRIMARY KEY, btree (x, y)');
});

test('\\d alone and \\dt list the tables of the search path, each once', async () => {
  const rows = ['public|events|table|arka', 'public|lines|table|arka'];
  expect(await shown('\\d', ['-At'])).toEqual(rows);
  expect(await shown('\\dt', ['-At'])).toEqual(rows);
  expect(await shown('\\dt other.*', ['-At'])).toEqual(['other|points|table|arka']);
});

test('\\dn lists the schemas', async () => {
  const names = (await shown('\\dn', ['-At'])).map((row) => row.split('|')[0]);
  expect(names).toEqual(expect.arrayContaining(['other', 'public']));
});

test('\\d of a table that is not there says so', async () => {
  const { stderr } = await psql(url, '\\d nothing');
  expect(stderr).toContain('Did not find any relation named "nothing".');
});

test('\\copy reads a CSV file with header, quotes, NULL and line breaks in values', async () => {
  const file = join(scratch, 'lines.csv');
  writeFileSync(file, 'a,b\n1,plain\n2,"with ""quotes"", and\na line break"\n3,\n4,""\n');
  const input = `\\copy lines FROM '${file}' WITH (FORMAT csv, HEADER)\nSELECT a, b, b IS NULL FROM lines ORDER BY a;\n`;
  expect(await shown(input, ['-At'])).toEqual([
    'COPY 4',
    '1|plain|f',
    '2|with "quotes", and',
    'a line break|f',
    '3||t',
    '4||f',
  ]);
});

test('COPY FROM STDIN reads text with tabs, \\N and escapes from the script itself', async () => {
  const input = `CREATE TABLE pasted (a int, b text);\nCOPY pasted FROM STDIN;\n1\ttab\\there\n2\t\\N\n\\.\nSELECT a, b, b IS NULL FROM pasted ORDER BY a;\n`;
  expect(await shown(input, ['-At'])).toEqual(['CREATE TABLE', 'COPY 2', '1|tab\there|f', '2||t']);
});

test.each<[string, string, string[]]>([
  [
    'a syntax error',
    'SELECT 1;\nSELEC 2;\n',
    ['psql:<stdin>:2: ERROR:  syntax error at or near "SELEC"', 'LINE 1: SELEC 2;', '        ^'],
  ],
  [
    'an unknown column',
    'SELECT id, nope FROM events;\n',
    [
      'psql:<stdin>:1: ERROR:  column "nope" does not exist',
      'LINE 1: SELECT id, nope FROM events;',
      '                   ^',
    ],
  ],
  [
    'an unknown table',
    'SELECT * FROM nowhere;\n',
    [
      'psql:<stdin>:1: ERROR:  relation "nowhere" does not exist',
      'LINE 1: SELECT * FROM nowhere;',
      '                      ^',
    ],
  ],
  [
    'an unknown function',
    'SELECT nofunction(1);\n',
    [
      'psql:<stdin>:1: ERROR:  function nofunction(integer) does not exist',
      'LINE 1: SELECT nofunction(1);',
      '               ^',
      'HINT:  No function matches the given name and argument types. You might need to add explicit type casts.',
    ],
  ],
  [
    'a value that is no integer',
    "INSERT INTO lines VALUES ('x', 'y');\n",
    [
      'psql:<stdin>:1: ERROR:  invalid input syntax for type integer: "x"',
      "LINE 1: INSERT INTO lines VALUES ('x', 'y');",
      '                                  ^',
    ],
  ],
  [
    'a second row of the same key',
    'INSERT INTO other.points VALUES (1, 2);\nINSERT INTO other.points VALUES (1, 2);\n',
    [
      'psql:<stdin>:2: ERROR:  duplicate key value violates unique constraint "points_pkey"',
      'DETAIL:  Key (x, y)=(1, 2) already exists.',
    ],
  ],
  [
    'a value that COPY cannot take',
    'COPY lines FROM STDIN;\n1\ta\n2x\tb\n\\.\n',
    [
      'psql:<stdin>:4: ERROR:  invalid input syntax for type integer: "2x"',
      'CONTEXT:  COPY lines, line 2, column a: "2x"',
    ],
  ],
  [
    'a statement after an error in a transaction',
    'BEGIN;\nSELECT 1/0;\nSELECT 1;\nROLLBACK;\n',
    [
      'psql:<stdin>:2: ERROR:  division by zero',
      'psql:<stdin>:3: ERROR:  current transaction is aborted, commands ignored until end of transaction block',
    ],
  ],
])('%s is shown as PostgreSQL shows it, with its place', async (_, input, expected) => {
  const { stderr } = await psql(url, input);
  expect(lines(stderr)).toEqual(expected);
});

test('nothing of a COPY that failed is kept', async () => {
  await psql(url, 'CREATE TABLE kept (a int);\nCOPY kept FROM STDIN;\n1\nx\n\\.\n');
  expect(await shown('SELECT count(*) FROM kept;', ['-At'])).toEqual(['0']);
});

test('psql ends with 3 at an error when ON_ERROR_STOP is set', async () => {
  const { code } = await psql(url, 'SELECT 1/0;\n', ['-At', '-v', 'ON_ERROR_STOP=1']);
  expect(code).toBe(3);
});
