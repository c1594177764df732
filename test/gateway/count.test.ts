/** `SELECT count(*) FROM t` is answered from what is known of the units: it is what a query over their rows says. */
import fc from 'fast-check';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../process/client.ts';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
let client: Client;
let other: Client;
let tables = 0;

beforeAll(async () => {
  server = await startServer();
  client = await connect(server.url);
  other = await connect(server.url);
}, 60_000);
afterAll(async () => {
  await client.end();
  await other.end();
  await server[Symbol.asyncDispose]();
});

const first = async (by: Client, text: string): Promise<string> =>
  (await by.query<[string]>({ text, rowMode: 'array' })).rows[0]![0];
const counted = (by: Client, table: string): Promise<string> => first(by, `SELECT count(*) FROM ${table}`);
const read = (by: Client, table: string): Promise<string> => first(by, `SELECT count(k) FROM ${table}`);

const SPAN = 60;
const range = fc.tuple(fc.nat(SPAN), fc.nat(20)).map(([from, more]) => `BETWEEN ${from} AND ${from + more}`);
const step = fc.oneof(
  range.map(
    (keys) =>
      `INSERT INTO $t SELECT k, 0 FROM generate_series(0, ${SPAN + 20}) k WHERE k ${keys} ON CONFLICT (k) DO UPDATE SET n = excluded.n`,
  ),
  range.map((keys) => `UPDATE $t SET n = n + 1 WHERE k ${keys}`),
  range.map((keys) => `DELETE FROM $t WHERE k ${keys}`),
  fc.constantFrom(`CALL arka.flush('public.$t')`, `CALL arka.commit('public.$t')`),
);
const mine = fc.oneof(
  { arbitrary: step, weight: 4 },
  { arbitrary: fc.constantFrom('SAVEPOINT s', 'ROLLBACK TO s', 'BEGIN', 'COMMIT', 'ROLLBACK'), weight: 2 },
  { arbitrary: fc.constant('BEGIN ISOLATION LEVEL REPEATABLE READ'), weight: 1 },
);

test('count(*) is the number of rows that a query reads, whatever was changed, moved, or is not committed', async () => {
  const steps = fc.array(
    fc.oneof(
      mine.map((sql) => ({ by: 'me', sql })),
      step.map((sql) => ({ by: 'other', sql })),
    ),
    {
      minLength: 4,
      maxLength: 25,
    },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const table = `counted_${tables++}`;
      await client.query(`CREATE TABLE ${table} (k int PRIMARY KEY, n int)`);
      await other.query(`SET lock_timeout = '20ms'`);
      try {
        for (const { by, sql } of all) {
          // Errors of a step (a savepoint that there is not, a lock that is held) are part of the sequence.
          await (by === 'me' ? client : other).query(sql.replaceAll('$t', table)).catch(() => undefined);
          const failed = await counted(client, table).catch(() => 'failed');
          if (failed === 'failed') await client.query('ROLLBACK');
          expect(await counted(client, table)).toBe(await read(client, table));
          expect(await counted(other, table)).toBe(await read(other, table));
        }
      } finally {
        await client.query('ROLLBACK');
        await client.query(`DROP TABLE ${table}`);
      }
    }),
    { numRuns: 12 },
  );
}, 120_000);

test('count(*) reads no unit, in text and binary, under any name; with a condition or a limit it is a query', async () => {
  await client.query('CREATE TABLE plain (k int PRIMARY KEY, n int)');
  await client.query('INSERT INTO plain SELECT k, k FROM generate_series(1, 100) k');
  await client.query('CHECKPOINT');
  await client.query('DELETE FROM plain WHERE k <= 10');
  await client.query('INSERT INTO plain VALUES (2000, 1), (2001, 1)');
  const one = async (text: string, binary: boolean): Promise<unknown> => {
    const types = { getTypeParser: () => (value: unknown) => value };
    const { rows, fields } = await client.query({
      text,
      rowMode: 'array',
      types,
      ...(binary ? { binary: true, queryMode: 'extended' } : {}),
    });
    return [
      fields[0]!.name,
      fields[0]!.dataTypeID,
      Buffer.from((rows as unknown as [[Buffer]])[0][0]).toString('latin1'),
    ];
  };
  expect(await one('SELECT count(*) FROM plain', false)).toEqual(['count', 20, '92']);
  expect(await one('SELECT count(*) AS "How many" FROM public.plain AS p', true)).toEqual([
    'How many',
    20,
    '\0\0\0\0\0\0\0\x5c',
  ]);
  expect((await client.query('SELECT count(*) FROM plain LIMIT 0')).rows).toEqual([]);
  const plan = (sql: string): Promise<string> => first(client, `EXPLAIN ${sql}`);
  expect(await plan('SELECT count(*) FROM plain')).toContain('Row Count of public.plain');
  for (const query of [
    'SELECT count(*) FROM plain WHERE n > 0',
    'SELECT count(*) FROM plain LIMIT 1',
    'SELECT count(*) FROM plain HAVING count(*) > 1',
    'SELECT count(*) FROM plain, plain p2',
    'SELECT count(*) FROM (SELECT 1 FROM plain) s',
  ])
    expect(await plan(query)).toBe('Engine (DuckDB)');
});
