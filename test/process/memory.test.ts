/** What the whole process takes, read from outside. */
import { existsSync, readFileSync } from 'node:fs';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { startServer } from './server-process.ts';

const statusOf = (pid: number): string => readFileSync(`/proc/${pid}/status`, 'utf8');
const megabytes = (pid: number, field: string): number =>
  Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(statusOf(pid))![1]) / 1024;

test.runIf(existsSync('/proc/self/status'))(
  'statements by the thousand and PostgreSQL itself take no more than their parts, at no moment',
  async () => {
    await using server = await startServer({ settings: { 'memory.limit': '768MB' } });
    const client = new Client({ connectionString: server.url });
    await client.connect();
    await client.query('CREATE TABLE t (id bigint PRIMARY KEY, v int)');
    // long enough for V8 to think of optimizing the parser's WebAssembly, and then PGlite's
    for (let i = 0; i < 6000; i++) await client.query(`SET application_name = 'statement ${i}'`);
    for (let i = 0; i < 40; i++)
      await client.query('SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace');
    // the figures are read anew every two seconds
    const parts = 'SELECT rest_bytes::float8 / 1048576 AS rest FROM arka.memory WHERE catalog_bytes::int8 > 0';
    await expect.poll(async () => (await client.query(parts)).rows, { timeout: 20_000 }).toHaveLength(1);
    // code, at least: what is counted of the other parts is really there
    expect((await client.query(parts)).rows[0].rest).toBeGreaterThan(0);
    await client.end();
    expect(readFileSync(`/proc/${server.pid}/cmdline`, 'latin1')).toContain('\0--max-old-space-size=384\0');
    expect(megabytes(server.pid, 'VmHWM')).toBeLessThan(480);
  },
  60_000,
);

test('pages of the key index and footers of files that were read are told in arka.memory, as parts of heaps and engine', async () => {
  await using server = await startServer({ settings: { 'memory.limit': '768MB' } });
  const client = new Client({ connectionString: server.url });
  await client.connect();
  await client.query('CREATE TABLE t (id bigint PRIMARY KEY, v int)');
  await client.query('INSERT INTO t SELECT g, g FROM generate_series(1, 50000) g');
  await client.query('CHECKPOINT');
  await client.query('SELECT sum(v) FROM t');
  const told = async (): Promise<readonly number[]> => {
    const { rows } = await client.query('SELECT footer_bytes, engine_bytes, page_bytes, heap_bytes FROM arka.memory');
    return Object.values(rows[0] as Record<string, string>).map(Number);
  };
  // the figures are read anew every two seconds
  await expect.poll(async () => (await told()).slice(0, 3).every((bytes) => bytes > 0), { timeout: 20_000 }).toBe(true);
  const [footers, engine, pages, heaps] = (await told()) as [number, number, number, number];
  // three row groups of two columns
  expect(footers).toBe(6 * 1024);
  expect(engine).toBeGreaterThanOrEqual(footers);
  expect(heaps).toBeGreaterThan(pages);
  await client.end();
}, 60_000);
