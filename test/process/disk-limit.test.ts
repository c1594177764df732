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
  readonly reserved_bytes: string;
  readonly index_bytes: string;
}
const disk = async (): Promise<Disk> => (await client.query<Disk>('SELECT * FROM arka.disk')).rows[0]!;

test('what is used stays within disk.limit at each look; when log and rows have taken it, writes are 53100 until Iceberg has the rows, and reads go on', async () => {
  const watcher = new Client({ connectionString: server.url });
  await watcher.connect();
  let stopped = false;
  let most = 0;
  const watching = (async () => {
    while (!stopped) {
      const { rows: seen } = await watcher.query<Disk>('SELECT * FROM arka.disk');
      most = Math.max(most, Number(seen[0]!.used_bytes));
    }
    await watcher.end();
  })();
  let rows = 0;
  const fill = async (): Promise<unknown> => {
    for (;;) {
      const values = Array.from({ length: 200 }, () => `(${rows++}, '${crypto.randomUUID().repeat(8)}')`);
      try {
        await client.query(`INSERT INTO t VALUES ${values.join(', ')}`);
      } catch (error) {
        rows -= 200;
        return error;
      }
    }
  };
  const refusal = await fill();
  expect(refusal).toMatchObject({ code: '53100', message: 'no space left in disk.limit' });
  const said =
    /^Of 4194304 bytes the log takes (\d+), files that are not in Iceberg yet (\d+), and rows in memory and what is being written may take (\d+)/.exec(
      (refusal as { detail: string }).detail,
    );
  const taken = said!.slice(1).reduce((sum, part) => sum + Number(part), 0);
  const parts = await disk();
  expect(taken + Number(parts.index_bytes)).toBeGreaterThan(LIMIT * 0.9);
  expect(Number(parts.limit_bytes)).toBe(LIMIT);
  expect(Number(parts.reserved_bytes)).toBeGreaterThan(0);
  const { rows: counted } = await client.query<{ n: string }>('SELECT count(*) AS n FROM t');
  expect(Number(counted[0]!.n)).toBe(rows);

  await client.query('CHECKPOINT');
  await expect.poll(async () => Number((await disk()).used_bytes), { timeout: 10_000 }).toBeLessThan(LIMIT / 2);
  await expect
    .poll(() => client.query(`INSERT INTO t VALUES (-1, '')`).then(() => 'done', String), { timeout: 10_000 })
    .toBe('done');
  for (let round = 0; round < 3; round++) {
    await fill();
    await client.query(`CALL arka.flush('public.t')`);
    await client.query('CHECKPOINT');
  }
  stopped = true;
  await watching;
  expect(most).toBeLessThanOrEqual(LIMIT);
});
