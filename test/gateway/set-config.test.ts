/** set_config() does what SET does, in this session and its transaction. */
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
let client: Client;

beforeAll(async () => {
  server = await startServer();
  client = new Client({ connectionString: server.url });
  await client.connect();
}, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
});

const one = async (sql: string, values: unknown[] = []): Promise<Record<string, unknown>> =>
  (await client.query<Record<string, unknown>>(sql, values)).rows[0]!;

test('a setting that set_config() changes is changed, and shares the fate of the transaction', async () => {
  expect(await one(`SELECT set_config('lock_timeout', '5000', false)`)).toEqual({ set_config: '5s' });
  expect(await one('SHOW lock_timeout')).toEqual({ lock_timeout: '5s' });
  await client.query('BEGIN');
  expect(await one('SELECT set_config($1, $2, $3) AS now', ['lock_timeout', '7s', true])).toEqual({ now: '7s' });
  expect(await one('SHOW lock_timeout')).toEqual({ lock_timeout: '7s' });
  await client.query('COMMIT');
  expect(await one('SHOW lock_timeout')).toEqual({ lock_timeout: '5s' });
  await client.query('BEGIN');
  await client.query(`SELECT set_config('lock_timeout', '1s', false), set_config('app.user', 'ann', false)`);
  expect(await one(`SELECT current_setting('app.user')`)).toEqual({ current_setting: 'ann' });
  await client.query('ROLLBACK');
  expect(await one('SHOW lock_timeout')).toEqual({ lock_timeout: '5s' });
});

test('with the search path of a dump, names need their schema', async () => {
  await client.query('CREATE TABLE there (id int PRIMARY KEY)');
  expect(await one(`SELECT pg_catalog.set_config('search_path', '', false)`)).toEqual({ set_config: '' });
  await expect(client.query('SELECT * FROM there')).rejects.toMatchObject({ code: '42P01' });
  expect((await client.query('SELECT * FROM public.there')).rows).toEqual([]);
  await client.query('RESET search_path');
  expect((await client.query('SELECT * FROM there')).rows).toEqual([]);
});

test('what SET refuses is refused', async () => {
  await expect(client.query(`SELECT set_config('lock_timeout', 'soon', false)`)).rejects.toMatchObject({
    code: '22023',
  });
  await expect(client.query(`SELECT set_config(NULL, 'soon', false)`)).rejects.toMatchObject({ code: '22004' });
  await expect(client.query(`SELECT 1 WHERE set_config('lock_timeout', '1', false) = '1'`)).rejects.toMatchObject({
    code: '0A000',
  });
});
