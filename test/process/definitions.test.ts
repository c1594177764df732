/** What is defined beside columns, over the life of a server: sequences, checks and defaults through stops, crashes, a log that is gone. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Client } from 'pg';
import { startServer } from './server-process.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'arka-sequences-'));
afterAll(() => rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 }));

async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {}); // the server is killed under it
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}

const valueOf = async (client: Client, sql: string): Promise<number> =>
  Number((await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows[0]![0]);

test('numbers go on without a gap after a stop, without a duplicate after kill -9, and without the log', async () => {
  let highest = 0;
  const insert = async (client: Client): Promise<number> =>
    valueOf(client, `INSERT INTO t (v) VALUES ('x') RETURNING id`);
  {
    await using server = await startServer({ dataDir });
    highest = await withClient(server.url, async (client) => {
      await client.query('CREATE TABLE t (id serial PRIMARY KEY, v text)');
      await client.query('CREATE TABLE i (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text)');
      await client.query('CREATE SEQUENCE s START 5');
      await client.query('CREATE TABLE c (a int CHECK (a > 0), u uuid DEFAULT gen_random_uuid())');
      expect(await valueOf(client, `SELECT nextval('s')`)).toBe(5);
      await client.query(`INSERT INTO i (v) VALUES ('a')`);
      await client.query(`INSERT INTO t (v) SELECT 'r' FROM generate_series(1, 1500)`);
      return insert(client);
    });
    expect(highest).toBe(1501);
    await server.stop();
  }
  {
    await using server = await startServer({ dataDir });
    await withClient(server.url, async (client) => {
      expect(await insert(client)).toBe(1502);
      expect(await valueOf(client, `SELECT nextval('s')`)).toBe(6);
      for (let i = 0; i < 50; i++) highest = await insert(client);
    });
    await server.kill9();
  }
  {
    await using server = await startServer({ dataDir });
    highest = await withClient(server.url, async (client) => {
      const next = await insert(client);
      expect(next).toBeGreaterThan(highest);
      expect(await valueOf(client, `SELECT nextval('s')`)).toBeGreaterThan(6);
      expect(await valueOf(client, `INSERT INTO i (v) VALUES ('b') RETURNING id`)).toBeGreaterThan(1);
      expect(await valueOf(client, 'SELECT count(*) FROM t')).toBe(1503 + 50);
      await client.query('CHECKPOINT');
      return next;
    });
    await server.kill9();
  }
  // what is left when a node is lost: the catalog and the warehouse
  for (const name of readdirSync(dataDir))
    if (!/^(catalog\.db|warehouse)/.test(name)) rmSync(join(dataDir, name), { recursive: true, force: true });
  await using server = await startServer({ dataDir });
  await withClient(server.url, async (client) => {
    await expect(client.query('INSERT INTO c VALUES (0)')).rejects.toMatchObject({
      code: '23514',
      constraint: 'c_a_check',
    });
    const made = await client.query<{ u: string }>('INSERT INTO c VALUES (1) RETURNING u');
    expect(made.rows[0]!.u).toMatch(/^[0-9a-f-]{36}$/);
    expect(await insert(client)).toBeGreaterThan(highest);
    expect(await valueOf(client, `SELECT nextval('s')`)).toBeGreaterThan(6);
  });
}, 120_000);

test('a table that another catalog takes over brings its sequences in its properties', async () => {
  await using server = await startServer();
  await withClient(server.url, async (client) => {
    await client.query('CREATE TABLE t (id serial PRIMARY KEY, v text)');
    await client.query(`INSERT INTO t (v) VALUES ('a')`);
    await client.query('CHECKPOINT');
    const { DatabaseSync } = await import('node:sqlite');
    const { readFileSync } = await import('node:fs');
    const catalog = new DatabaseSync(join(server.dataDir, 'catalog.db'), { readOnly: true });
    const location = catalog.prepare('SELECT metadata_location AS at FROM iceberg_tables').get()!['at'] as string;
    const { properties } = JSON.parse(readFileSync(new URL(location), 'utf8')) as {
      properties: Record<string, string>;
    };
    catalog.close();
    const [owned] = JSON.parse(properties['arka.sequences']!) as { def: { name: string }; state: { last: string } }[];
    expect(owned!.def.name).toBe('t_id_seq');
    expect(Number(owned!.state.last)).toBeGreaterThanOrEqual(1);
  });
}, 60_000);
