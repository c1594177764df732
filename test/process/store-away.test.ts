/** A server whose object store is not there when it starts. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startS3Server, type S3Server } from '../iceberg/s3-server.ts';
import { connect } from './client.ts';
import { type ServerProcess, startServer } from './server-process.ts';

const WAREHOUSE = 's3://bucket/house';
const dataDir = mkdtempSync(join(tmpdir(), 'arka-away-'));
let store: S3Server;
beforeAll(async () => {
  store = await startS3Server();
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const start = (port: number, onSpawn: (kill: (signal: NodeJS.Signals) => void) => void = () => {}) =>
  startServer({
    dataDir,
    args: ['--warehouse', WAREHOUSE, '--port', String(port)],
    settings: { 's3.endpoint': store.endpoint },
    env: { AWS_ACCESS_KEY_ID: 'arka', AWS_SECRET_ACCESS_KEY: 'arka', AWS_REGION: 'us-east-1' },
    onSpawn: (child) => onSpawn((signal) => void child.kill(signal)),
  });

async function ids(server: ServerProcess): Promise<unknown[]> {
  const client = await connect(server.url);
  const { rows } = await client.query('SELECT id::int FROM t ORDER BY id');
  await client.end();
  return rows.map(({ id }) => id as unknown);
}

/** What a client meets. */
async function knock(port: number): Promise<unknown> {
  try {
    const client = await connect(`postgresql://arka@127.0.0.1:${port}/arka`);
    await client.end();
    return 'connected';
  } catch (error) {
    return error;
  }
}

const WAITS = { code: '57P03', message: `the database system is starting up: waiting for ${WAREHOUSE}` };

test('while its store is away a server waits and says 57P03; when it is back, every acknowledged row is there', async () => {
  const first = await start(0);
  const client = await connect(first.url);
  await client.query('CREATE TABLE t (id bigint PRIMARY KEY)');
  await client.query('INSERT INTO t VALUES (1), (2)');
  await client.query('CHECKPOINT');
  await client.query('DELETE FROM t WHERE id = 1');
  await client.query('CHECKPOINT');
  await client.query('INSERT INTO t VALUES (3)');
  await client.end();
  await first.kill9();
  rmSync(join(dataDir, 'cache'), { recursive: true, force: true });

  store.away = true;
  const port = await freePort();
  const starting = start(port);
  await expect.poll(() => knock(port), { timeout: 50_000 }).toMatchObject(WAITS);
  store.away = false;
  await using server = await starting;
  expect(server.stderr()).toContain(`the start waits for ${WAREHOUSE}`);
  expect(await ids(server)).toEqual([2, 3]);
  await server.stop();
}, 120_000);

test('a server that waits for its store ends at the first SIGTERM, and the next start has every row', async () => {
  store.away = true;
  const port = await freePort();
  let kill: (signal: NodeJS.Signals) => void = () => {};
  const starting = start(port, (given) => {
    kill = given;
  });
  const ended = expect(starting).rejects.toThrow('the server ended (0) before it was ready');
  await expect.poll(() => knock(port), { timeout: 50_000 }).toMatchObject(WAITS);
  kill('SIGTERM');
  await ended;
  store.away = false;
  await using server = await start(0);
  expect(await ids(server)).toEqual([2, 3]);
  await server.stop();
}, 120_000);

test('an object of a table that is missing is no store that is away: the server starts without the table, and names it', async () => {
  for (const name of store.objects.keys()) if (name.endsWith('.metadata.json')) store.objects.delete(name);
  await using server = await start(0);
  await expect(ids(server)).rejects.toThrow(/house\/public\/t-.*metadata\.json/);
  await server.stop();
}, 60_000);
