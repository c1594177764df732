/** EXPLAIN ANALYZE of a statement that writes: it is carried out, and says which route the rows took. */
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
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

/** Three rows in Iceberg, two on disk, one in memory. */
async function fill(table: string, columns: string): Promise<void> {
  await client.query(`CREATE TABLE ${table} (${columns})`);
  await client.query(`INSERT INTO ${table} VALUES (1, 0), (2, 0), (3, 0)`);
  await client.query(`CALL arka.commit('public.${table}')`);
  await client.query(`INSERT INTO ${table} VALUES (4, 0), (5, 0)`);
  await client.query(`CALL arka.flush('public.${table}')`);
  await client.query(`INSERT INTO ${table} VALUES (6, 0)`);
}

const lines = async (sql: string): Promise<string[]> =>
  (await client.query<[string]>({ text: sql, rowMode: 'array' })).rows.map(([line]) => line.trim());
const routes = async (sql: string): Promise<string[]> =>
  (await lines(sql)).filter((line) => /^->  (ApplyTo|CreateDisk|QueueFor|Own|New)|^Result/.test(line));
const rows = async (table: string): Promise<unknown[][]> =>
  (await client.query<unknown[]>({ text: `SELECT id, v FROM ${table} ORDER BY id`, rowMode: 'array' })).rows;

test.each(['id int PRIMARY KEY, v int', 'id int, v int'])(
  'of (%s) the three routes have their rows',
  async (columns) => {
    await client.query('DROP TABLE IF EXISTS r');
    await fill('r', columns);
    const plain = await lines('EXPLAIN UPDATE r SET v = v + 1');
    expect(plain[0]).toBe('Update on public.r');
    expect(plain.some((line) => line.includes('rows=') && line.includes('ApplyToMemory'))).toBe(false);
    expect(await rows('r')).toEqual([1, 2, 3, 4, 5, 6].map((id) => [id, 0]));
    expect(await routes('EXPLAIN ANALYZE UPDATE r SET v = v + 1')).toEqual([
      '->  ApplyToMemory (tier=memory rows=1)',
      '->  CreateDiskDelta (tier=disk rows=2)',
      '->  QueueForIceberg (tier=iceberg rows=3)',
      '->  New rows (rows=6)',
      'Result: UPDATE 6',
    ]);
    expect(await rows('r')).toEqual([1, 2, 3, 4, 5, 6].map((id) => [id, 1]));
    const pending = `SELECT tier, rows::int, pending_deletes::int FROM arka.units WHERE table_name = 'r' AND deleted_rows > 0 ORDER BY rows`;
    expect((await client.query<unknown[]>({ text: pending, rowMode: 'array' })).rows).toEqual([
      ['disk', 2, 2],
      ['iceberg', 3, 3],
      ['memory', 7, 1],
    ]);
  },
);

test('INSERT, DELETE and MERGE say theirs, and what a block takes back is not there', async () => {
  await fill('m', 'id int PRIMARY KEY, v int');
  await client.query('BEGIN');
  expect(await routes('EXPLAIN ANALYZE INSERT INTO m SELECT id + 10, v FROM m')).toEqual([
    '->  New rows (rows=6)',
    'Result: INSERT 0 6',
  ]);
  expect(await routes('EXPLAIN ANALYZE DELETE FROM m WHERE id IN (1, 4, 11)')).toEqual([
    '->  CreateDiskDelta (tier=disk rows=1)',
    '->  QueueForIceberg (tier=iceberg rows=1)',
    '->  Own rows of the transaction (rows=1)',
    'Result: DELETE 3',
  ]);
  await client.query('ROLLBACK');
  expect(await rows('m')).toEqual([1, 2, 3, 4, 5, 6].map((id) => [id, 0]));
  expect(
    await routes(
      `EXPLAIN ANALYZE MERGE INTO m USING m AS s ON m.id = s.id + 3
       WHEN MATCHED AND s.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 9 WHEN NOT MATCHED THEN INSERT VALUES (s.id + 3, 8)`,
    ),
  ).toEqual([
    '->  ApplyToMemory (tier=memory rows=1)',
    '->  CreateDiskDelta (tier=disk rows=2)',
    '->  New rows (rows=5)',
    'Result: MERGE 6',
  ]);
});

test('FORMAT JSON is the same as one document of type json, its lines as a tree', async () => {
  await fill('j', 'id int PRIMARY KEY, v int');
  const { fields, rows: documents } = await client.query<{ 'QUERY PLAN': unknown }>(
    'EXPLAIN (FORMAT JSON, ANALYZE, VERBOSE) WITH d AS (DELETE FROM j WHERE id < 3 RETURNING *) INSERT INTO j SELECT id + 10, v FROM d',
  );
  expect(fields.map(({ name, dataTypeID }) => [name, dataTypeID])).toEqual([['QUERY PLAN', 114]]);
  expect(documents).toHaveLength(1);
  const [document] = documents[0]!['QUERY PLAN'] as [Record<string, unknown>];
  expect(document).toMatchObject({
    Plan: {
      'Node Type': 'Insert on public.j',
      Plans: [
        { 'Node Type': 'CTE d', 'Parent Relationship': 'InitPlan', Plans: [{ 'Node Type': 'Delete on public.j' }] },
        { 'Node Type': 'Engine (DuckDB)', Plans: [{ 'Node Type': 'CTE Scan on d' }] },
      ],
    },
    Result: 'INSERT 0 2',
    'Execution Time': expect.any(Number) as number,
  });
  const { rows: plain } = await client.query<{ 'QUERY PLAN': unknown }>(
    'EXPLAIN (FORMAT JSON) SELECT * FROM j WHERE v < $1 + 1',
    ['5'],
  );
  expect(plain[0]!['QUERY PLAN']).toMatchObject([
    {
      Plan: {
        Plans: [
          {
            'Node Type': 'Merge of units of public.j',
            Plans: [
              { Tier: 'memory', 'Unit List': [expect.stringMatching(/^read: /)] },
              { Tier: 'disk', Rows: 2 },
              { Tier: 'iceberg', Rows: 3 },
            ],
          },
        ],
      },
    },
  ]);
});

test('its parameters are those of the statement, with ANALYZE it has their values', async () => {
  await fill('p', 'id int PRIMARY KEY, v int');
  const { rows: lines } = await client.query('EXPLAIN ANALYZE UPDATE p SET v = $1 WHERE id > $2 AND v < length($3)', [
    7,
    4,
    'x',
  ]);
  expect(lines).toContainEqual({ 'QUERY PLAN': 'Result: UPDATE 2' });
  const inserted = await client.query('EXPLAIN ANALYZE INSERT INTO p VALUES ($1, $2)', [9, 9]);
  expect(inserted.rows).toContainEqual({ 'QUERY PLAN': 'Result: INSERT 0 1' });
  expect(await rows('p')).toEqual([...[1, 2, 3, 4].map((id) => [id, 0]), [5, 7], [6, 7], [9, 9]]);
});

test('the parts of a WITH that writes are explained, and carried out with the statement that ANALYZE carries out', async () => {
  await fill('w', 'id int PRIMARY KEY, v int');
  const sql = 'WITH d AS (DELETE FROM w WHERE id < 3 RETURNING *) INSERT INTO w SELECT id + 10, v FROM d';
  const plain = await lines(`EXPLAIN ${sql}`);
  expect(plain.slice(0, 2)).toEqual(['CTE d', 'Delete on public.w']);
  expect(plain).toContain('->  CTE Scan on d');
  expect(await rows('w')).toHaveLength(6);
  expect(await lines(`EXPLAIN ANALYZE ${sql}`)).toContain('Result: INSERT 0 2');
  expect((await rows('w')).map(([id]) => id)).toEqual([3, 4, 5, 6, 11, 12]);
  await client.query('DROP TABLE w');
});
