/** COPY … FROM STDIN WHERE keeps the rows for which the condition is true, as PostgreSQL does. */
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
let client: Client;

beforeAll(async () => {
  server = await startServer();
  client = new Client({ connectionString: server.url });
  await client.connect();
  await client.query('CREATE TABLE kept (id int PRIMARY KEY, v text, n numeric(6,2) DEFAULT 1)');
}, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
});

const copy = (sql: string, data: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const stream = client.query(copyFrom(sql));
    stream.on('error', reject).on('finish', () => resolve((stream as unknown as { rowCount: number }).rowCount));
    stream.end(data);
  });

test('rows that the condition does not keep are neither counted nor checked for their keys', async () => {
  const lines = Array.from({ length: 20_000 }, (_, i) => `${i % 10_000}\tv${i}\n`).join('');
  expect(await copy(`COPY kept (id, v) FROM STDIN WHERE id % 2 = 0 AND length(v) < 6`, lines)).toBe(5000);
  expect((await client.query('SELECT count(*)::int AS c, sum(n)::int AS s FROM kept')).rows).toEqual([
    { c: 5000, s: 5000 },
  ]);
  expect(await copy(`COPY kept FROM STDIN (FORMAT csv) WHERE v IS NULL OR n > 2`, '1,,\n3,x,1.5\n5,y,2.5\n')).toBe(2);
  await expect(copy(`COPY kept FROM STDIN WHERE id > 0`, '0\ta\t1\n1\tb\t1\n')).rejects.toMatchObject({
    code: '23505',
  });
  await expect(copy(`COPY kept FROM STDIN WHERE nope > 0`, '')).rejects.toMatchObject({ code: '42703' });
  await expect(copy(`COPY kept FROM STDIN WHERE id IN (SELECT 1)`, '')).rejects.toMatchObject({ code: '0A000' });
  expect((await client.query('SELECT count(*)::int AS c FROM kept')).rows).toEqual([{ c: 5002 }]);
});

test('NOT NULL and CHECK are for the rows that the condition keeps', async () => {
  await client.query('CREATE TABLE strict (id int PRIMARY KEY, v text NOT NULL, n int CHECK (n > 0))');
  const columns = 'COPY strict (id, v, n) FROM STDIN';
  expect(await copy(`${columns} WHERE v IS NOT NULL AND n > 0`, '1\t\\N\t1\n2\tb\t-1\n3\tc\t3\n\\N\td\t-4\n')).toBe(1);
  expect((await client.query('SELECT * FROM strict')).rows).toEqual([{ id: 3, v: 'c', n: 3 }]);
  await expect(copy(`${columns} WHERE id > 0`, '4\t\\N\t1\n')).rejects.toMatchObject({ code: '23502' });
  await expect(copy(`${columns} WHERE id > 0`, '4\td\t-1\n')).rejects.toMatchObject({ code: '23514' });
  await expect(copy(`${columns} WHERE n > 0`, '\\N\td\t1\n')).rejects.toMatchObject({ code: '23502' });
});
