/** disk.limit as clients meet it, with a warehouse on this machine: the copies of a remote one are in test/compat. */
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ServerProcess, startServer } from './server-process.ts';

const LIMIT = 4 * 2 ** 20;
let server: ServerProcess;
let client: Client;
beforeAll(async () => {
  server = await startServer({
    settings: { 'disk.limit': '4MB', 'wal.segment_size': '64kB', 'iceberg.commit_interval': '1h' },
  });
  client = new Client({ connectionString: server.url });
  await client.connect();
  await client.query('CREATE TABLE t (id bigint PRIMARY KEY, v text)');
});
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
});

interface Disk {
  readonly used_bytes: string;
  readonly limit_bytes: string;
  readonly log_bytes: string;
  readonly staged_bytes: string;
}
const disk = async (): Promise<Disk> => (await client.query<Disk>('SELECT * FROM arka.disk')).rows[0]!;

test('when log and staged files have taken disk.limit, writes are 53100 until Iceberg has the rows; reads go on', async () => {
  let rows = 0;
  const refusal = await (async () => {
    for (;;) {
      const values = Array.from({ length: 200 }, () => `(${rows++}, '${crypto.randomUUID().repeat(8)}')`);
      try {
        await client.query(`INSERT INTO t VALUES ${values.join(', ')}`);
      } catch (error) {
        rows -= 200;
        return error;
      }
    }
  })();
  expect(refusal).toMatchObject({ code: '53100', message: 'no space left in disk.limit' });
  expect((refusal as { detail: string }).detail).toMatch(/^Of 4194304 bytes the log takes \d+, /);
  const full = await disk();
  expect(Number(full.limit_bytes)).toBe(LIMIT);
  expect(Number(full.log_bytes) + Number(full.staged_bytes)).toBeGreaterThan(LIMIT / 2);
  const { rows: counted } = await client.query<{ n: string }>('SELECT count(*) AS n FROM t');
  expect(Number(counted[0]!.n)).toBe(rows);

  await client.query('CHECKPOINT');
  await expect.poll(async () => Number((await disk()).used_bytes), { timeout: 10_000 }).toBeLessThan(LIMIT / 2);
  await expect
    .poll(() => client.query(`INSERT INTO t VALUES (-1, '')`).then(() => 'done', String), { timeout: 10_000 })
    .toBe('done');
});
