/** What PostgreSQL's catalogs say of the server's state, over a real server. */
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
let client: Client;
beforeAll(async () => {
  server = await startServer();
  client = new Client({ connectionString: server.url });
  await client.connect();
  await client.query('CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE empty (a int)');
  await client.query(`INSERT INTO t SELECT g, 'value' FROM generate_series(1, 1000) g`);
}, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
});

const rowsOf = async (sql: string): Promise<unknown[][]> =>
  (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows;

test('pg_stat_user_tables counts what was done to each table, live', async () => {
  const counts = `SELECT n_live_tup::int, n_dead_tup::int, n_tup_ins::int, n_tup_upd::int, n_tup_del::int
    FROM pg_stat_user_tables ORDER BY relname`;
  expect(await rowsOf(counts)).toEqual([
    [0, 0, 0, 0, 0],
    [1000, 0, 1000, 0, 0],
  ]);
  await client.query('UPDATE t SET v = $1 WHERE id <= 10', ['other']);
  await client.query('DELETE FROM t WHERE id > 995');
  await client.query('BEGIN; DELETE FROM t; ROLLBACK');
  expect((await rowsOf(counts))[1]).toEqual([995, 15, 1000, 10, 5]);
  expect(await rowsOf(`SELECT pg_stat_get_live_tuples('t'::regclass)::int`)).toEqual([[995]]);
  expect(
    await rowsOf(`SELECT reltuples::int, relpages > 0 FROM pg_class WHERE relname IN ('t', 'empty') ORDER BY 1`),
  ).toEqual([
    [0, false],
    [995, true],
  ]);
});

test('sizes are those of all tiers', async () => {
  const sizes = async (): Promise<number[]> =>
    (
      await rowsOf(`SELECT pg_relation_size('t')::int, pg_table_size('t')::int, pg_total_relation_size('t'::regclass)::int,
        pg_database_size(current_database())::int, pg_relation_size('empty')::int, pg_relation_size('t', 'vm')::int`)
    )[0] as number[];
  const [size, ...rest] = await sizes();
  const tiers = (await rowsOf(`SELECT sum(bytes)::int FROM arka.tiers WHERE table_name = 't'`)) as [[number]];
  expect(size).toBe(tiers[0][0]);
  expect(rest).toEqual([size, size, size, 0, 0]);
  expect(size).toBeGreaterThan(5000);
  await client.query('CHECKPOINT');
  expect((await sizes())[0]).toBeGreaterThan(0);
  expect(await rowsOf(`SELECT pg_relation_size('pg_class') > 0`)).toEqual([[true]]);
  await expect(client.query(`SELECT pg_database_size('nosuch')`)).rejects.toMatchObject({ code: '3D000' });
});

test.each([
  'lo_create(0)',
  'pg_get_shmem_allocations_numa()',
  'pg_reload_conf()',
  'pg_stat_reset()',
  'pg_export_snapshot()',
  'pg_switch_wal()',
  `pg_read_file('PG_VERSION')`,
  `pg_ls_dir('.')`,
])('%s would act on a server that is not there: 0A000', async (call) => {
  await expect(client.query(`SELECT ${call}`)).rejects.toMatchObject({ code: '0A000' });
});

test('arka.unhandled has each query of the catalogs that failed, and how often', async () => {
  for (const sql of ['SELECT nosuch FROM pg_class', 'SELECT nosuch FROM pg_class', 'SELECT nosuch(oid) FROM pg_class'])
    await client.query(sql).catch(() => undefined);
  await client.query('SELECT nosuch FROM t').catch(() => undefined);
  await client.query({ text: 'SELECT other FROM pg_namespace WHERE oid = $1', values: [1] }).catch(() => undefined);
  const rows = await rowsOf(
    `SELECT query, sqlstate, count::int FROM arka.unhandled WHERE query LIKE '%FROM%' ORDER BY first_at DESC`,
  );
  expect(rows).toEqual([
    ['SELECT other FROM pg_namespace WHERE oid = $1', '42703', 1],
    ['SELECT nosuch(oid) FROM pg_class', '42883', 1],
    ['SELECT nosuch FROM pg_class', '42703', 2],
  ]);
});
