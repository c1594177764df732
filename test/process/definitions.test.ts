/** What is defined beside columns, over the life of a server: sequences, checks and defaults through stops, crashes, a log that is gone. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
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

test('a table that another catalog takes over brings its sequences; those of a table that is gone leave', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'arka-taken-over-'));
  const catalogOf = (): DatabaseSync => new DatabaseSync(join(dir, 'catalog.db'));
  try {
    {
      await using server = await startServer({ dataDir: dir });
      await withClient(server.url, async (client) => {
        await client.query('CREATE TABLE t (id serial PRIMARY KEY, v text)');
        await client.query('CREATE TABLE i (id int GENERATED ALWAYS AS IDENTITY, v text)');
        await client.query('CREATE SEQUENCE s');
        await client.query(`INSERT INTO t (v) VALUES ('a'), ('b')`);
        await client.query('ALTER SEQUENCE i_id_seq RESTART WITH 100');
        await client.query('CHECKPOINT');
        await client.query('ALTER SEQUENCE i_id_seq RESTART WITH 10');
      });
      await server.stop();
    }
    const catalog = catalogOf();
    const forget = catalog.prepare('DELETE FROM iceberg_namespace_properties WHERE property_key = ?');
    expect(forget.run('arka.sequence.t_id_seq').changes).toBe(1);
    const gone = JSON.stringify({ tableUuid: '00000000-0000-4000-8000-000000000000', fieldId: 1, isIdentity: false });
    catalog
      .prepare(
        'UPDATE iceberg_namespace_properties SET property_value = replace(property_value, ?, ?) WHERE property_key = ?',
      )
      .run('"owner":null', `"owner":${gone}`, 'arka.sequence.s');
    catalog.close();
    await using server = await startServer({ dataDir: dir });
    await withClient(server.url, async (client) => {
      expect(await valueOf(client, `INSERT INTO t (v) VALUES ('c') RETURNING id`)).toBeGreaterThan(2);
      expect(await valueOf(client, `INSERT INTO i (v) VALUES ('c') RETURNING id`)).toBe(10); // what the catalog says last
      await expect(client.query(`SELECT nextval('s')`)).rejects.toMatchObject({ code: '42P01' });
      await client.query('CREATE SEQUENCE s');
    });
  } finally {
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  }
}, 90_000);
