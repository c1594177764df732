/** COMMENT ON over a real server: what it is on, in Iceberg's words, in transactions and after a restart. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'arka-comments-'));
let server: ServerProcess;
let client: Client;

async function connect(): Promise<void> {
  server = await startServer({ dataDir });
  client = new Client({ connectionString: server.url });
  client.on('error', () => undefined);
  await client.connect();
}

beforeAll(connect, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
  rmSync(dataDir, { recursive: true, force: true });
});

const rowsOf = async (sql: string): Promise<unknown[][]> =>
  (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows;

const codeOf = (sql: string): Promise<string> =>
  client.query(sql).then(
    () => 'none',
    (error: { code: string }) => error.code,
  );

const ALL = `SELECT obj_description('t'::regclass), col_description('t'::regclass, 2), obj_description('i'::regclass),
  obj_description('t_pkey'::regclass), obj_description('v'::regclass), col_description('v'::regclass, 1),
  (SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = 'positive'),
  obj_description('s'::regnamespace), shobj_description((SELECT oid FROM pg_database WHERE datname = 'arka'), 'pg_database'),
  shobj_description('arka'::regrole, 'pg_authid')`;
const SAID = ['on t', "on it's a", 'on i', 'on key', 'on v', 'on v.id', 'on check', 'on s', 'on arka', 'on role'];

test('COMMENT ON tables, columns, indexes, constraints, views, schemas, the database and roles is shown where PostgreSQL shows it', async () => {
  await client.query(`CREATE TABLE t (id int PRIMARY KEY, a int, CONSTRAINT positive CHECK (a > 0))`);
  await client.query(`CREATE INDEX i ON t USING hash (a); CREATE VIEW v AS SELECT id FROM t; CREATE SCHEMA s`);
  expect(await rowsOf(ALL)).toEqual([SAID.map(() => null)]);
  for (const [i, object] of [
    'TABLE t',
    'COLUMN public.t.a',
    'INDEX i',
    'INDEX t_pkey',
    'VIEW v',
    'COLUMN v.id',
    'CONSTRAINT positive ON t',
    'SCHEMA s',
    'DATABASE arka',
    'ROLE arka',
  ].entries())
    await client.query(`COMMENT ON ${object} IS '${SAID[i]!.replace("'", "''")}'`);
  expect(await rowsOf(ALL)).toEqual([SAID]);
});

test('Iceberg has the comment of a table as its property, and those of columns as doc', () => {
  const folder = join(dataDir, 'warehouse', 'public');
  const [table] = readdirSync(folder);
  const files = readdirSync(join(folder, table!, 'metadata'))
    .filter((name) => name.endsWith('.metadata.json'))
    .sort();
  const metadata = JSON.parse(readFileSync(join(folder, table!, 'metadata', files.at(-1)!), 'utf8')) as {
    'current-schema-id': number;
    schemas: { 'schema-id': number; fields: { name: string; doc?: string }[] }[];
    properties: Record<string, string>;
  };
  expect(metadata.properties['comment']).toBe('on t');
  const schema = metadata.schemas.find((each) => each['schema-id'] === metadata['current-schema-id'])!;
  expect(schema.fields.map(({ doc }) => doc)).toEqual([undefined, "on it's a"]);
});

test('comments are part of a transaction, and outlive the server', async () => {
  await client.query(`BEGIN; COMMENT ON TABLE t IS 'other'; COMMENT ON SCHEMA s IS NULL; COMMENT ON VIEW v IS 'other'`);
  expect((await rowsOf(ALL))[0]!.slice(0, 5)).toEqual(['other', "on it's a", 'on i', 'on key', 'other']);
  await client.query('ROLLBACK');
  await server.kill9();
  await client.end().catch(() => undefined);
  await connect();
  expect(await rowsOf(ALL)).toEqual([SAID]);
}, 60_000);

test('a comment follows what it is on: names change, columns go, and NULL or an empty text takes it away', async () => {
  await client.query('ALTER TABLE t RENAME CONSTRAINT positive TO above; ALTER TABLE t RENAME COLUMN id TO key');
  expect(
    await rowsOf(`SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = 'above'`),
  ).toEqual([['on check']]);
  await client.query(`COMMENT ON TABLE t IS NULL; COMMENT ON COLUMN t.a IS ''; COMMENT ON INDEX i IS NULL`);
  await client.query(
    `COMMENT ON VIEW v IS NULL; COMMENT ON ROLE arka IS NULL; COMMENT ON CONSTRAINT above ON t IS NULL`,
  );
  expect((await rowsOf(ALL))[0]).toEqual([null, null, null, 'on key', null, 'on v.id', null, 'on s', 'on arka', null]);
  await client.query('DROP SCHEMA s; CREATE SCHEMA s');
  expect(await rowsOf(`SELECT obj_description('s'::regnamespace)`)).toEqual([[null]]);
});

test.each([
  [`COMMENT ON TABLE nosuch IS 'x'`, '42P01'],
  [`COMMENT ON COLUMN t.nosuch IS 'x'`, '42703'],
  [`COMMENT ON CONSTRAINT nosuch ON t IS 'x'`, '42704'],
  [`COMMENT ON INDEX t IS 'x'`, '42809'],
  [`COMMENT ON TABLE v IS 'x'`, '42809'],
  [`COMMENT ON VIEW t IS 'x'`, '42809'],
  [`COMMENT ON SCHEMA nosuch IS 'x'`, '3F000'],
  [`COMMENT ON ROLE nosuch IS 'x'`, '42704'],
  [`COMMENT ON FUNCTION now() IS 'x'`, '0A000'],
  [`COMMENT ON TABLE arka.tiers IS 'x'`, '42501'],
])('%s is %s', async (sql, code) => {
  expect(await codeOf(sql)).toBe(code);
});
