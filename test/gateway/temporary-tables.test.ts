/** Temporary tables as several sessions see them, and what is left of them: nothing. */
import { existsSync } from 'node:fs';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RoleServer, said, script } from './role-server.ts';

let server: RoleServer;
let one: pg.Client;
let two: pg.Client;
beforeAll(async () => {
  server = await RoleServer.start();
  one = await server.as('arka');
  await one.query(`
    CREATE TABLE shared (id int PRIMARY KEY, v text); INSERT INTO shared VALUES (1, 'one'), (2, 'two');
    CREATE ROLE bob LOGIN; GRANT SELECT ON shared TO bob`);
  two = await server.as('bob');
});
afterAll(() => server.destroy());

const TEMPORARY = `SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text LIKE 'pg\\_temp%'`;

test('each session has its own table of a name, and none reads that of another', async () => {
  await script(one, [
    ['CREATE TEMP TABLE shared (a int PRIMARY KEY)', 'CREATE'],
    ['INSERT INTO shared SELECT generate_series(1, 10)', 'INSERT'],
  ]);
  await script(two, [
    ['SELECT count(*) FROM shared', 'SELECT 2'],
    ['CREATE TEMP TABLE shared AS SELECT 7 AS a', 'SELECT'],
    ['SELECT a FROM shared', 'SELECT 7'],
    ['ALTER TABLE shared ADD COLUMN b int DEFAULT 1', 'ALTER'],
    ['CREATE VIEW v AS SELECT 1', '42501 permission denied for schema public'],
    ['UPDATE shared SET a = 8 RETURNING a + b', 'UPDATE 9'],
  ]);
  const { rows } = await one.query<{ schema: string }>('SELECT pg_my_temp_schema()::regnamespace::text AS schema');
  const { schema } = rows[0]!;
  for (const sql of [
    `SELECT * FROM ${schema}.shared`,
    `DROP TABLE ${schema}.shared`,
    `SELECT * FROM "${schema}" . "shared"`,
  ])
    expect(await said(two, sql)).toBe(`0A000 ${schema}: access to temporary tables of other sessions is not supported`);
  await script(two, [
    [`SELECT * FROM ${schema}.nothing`, `42P01 relation "${schema}.nothing" does not exist`],
    ['INSERT INTO pg_temp_999.x VALUES (1)', '42P01 relation "pg_temp_999.x" does not exist'],
    [`CREATE TABLE ${schema}.x (a int)`, '42P16 cannot create relations in temporary schemas of other sessions'],
    ['CREATE TABLE pg_temp_999.x (a int)', '3F000 schema "pg_temp_999" does not exist'],
  ]);
  expect(await said(two, `CALL arka.flush('${schema}.shared')`)).toBe(
    `42P01 relation "${schema}.shared" does not exist`,
  );
  await script(one, [['SELECT count(*), max(a) FROM shared', 'SELECT 10|10']]);
});

test('who has no TEMPORARY on the database makes none', async () => {
  await one.query('REVOKE TEMPORARY ON DATABASE arka FROM PUBLIC');
  await script(two, [
    ['CREATE TEMP TABLE no (a int)', '42501 permission denied to create temporary tables in database "arka"'],
  ]);
  await one.query('GRANT TEMPORARY ON DATABASE arka TO bob');
  await script(two, [['CREATE TEMP TABLE yes (a int)', 'CREATE']]);
});

test('a temporary table is neither in the change feed nor in Iceberg', async () => {
  await script(one, [
    [
      "CALL arka.commit('shared')",
      '0A000 arka.commit of a temporary table, which is never in Iceberg, is not supported',
    ],
    ["SELECT * FROM arka.changes('shared', '0/0')", '0A000 arka.changes of a temporary table is not supported'],
    ['SELECT count(*) FROM arka.tables', 'SELECT 1'],
  ]);
});

test('a temporary view is its session’s, reads with the rights of whoever that is, and outlives no session', async () => {
  await one.query('CREATE TABLE hidden (a int); INSERT INTO hidden VALUES (42)');
  await script(one, [
    ['CREATE TEMP VIEW seen AS SELECT * FROM hidden', 'CREATE'],
    ['SELECT * FROM seen', 'SELECT 42'],
    ['CREATE TEMP SEQUENCE counter', 'CREATE'],
    ['CREATE VIEW counts AS SELECT last_value FROM counter', 'CREATE'],
    ['SELECT * FROM counts', 'SELECT 1'],
    ['DROP SEQUENCE counter CASCADE', 'DROP'],
    [
      "SELECT viewname FROM pg_views v JOIN pg_class c ON c.relname = viewname WHERE pg_table_is_visible(c.oid) AND schemaname LIKE 'pg\\_temp%'",
      'SELECT seen',
    ],
    ['SET ROLE bob', 'SET'],
    ['SELECT * FROM seen', '42501 permission denied for table hidden'],
    ['RESET ROLE', 'RESET'],
  ]);
  await script(two, [
    ['SELECT * FROM seen', '42P01 relation "seen" does not exist'],
    ['CREATE TEMP VIEW seen AS SELECT * FROM hidden', 'CREATE'],
    ['SELECT * FROM seen', '42501 permission denied for table hidden'],
    ['CREATE TEMP VIEW two AS SELECT a + id AS n FROM shared, public.shared AS s', 'CREATE'],
    ['SELECT n FROM two ORDER BY 1', 'SELECT 9 10'],
    [
      "SELECT count(*) FROM pg_views WHERE viewname = 'seen' AND pg_table_is_visible((schemaname || '.' || viewname)::regclass)",
      'SELECT 1',
    ],
  ]);
  expect(server.notices).toContain('00000 view "counts" will be a temporary view');
  expect([...server.db.tiers.rights.state.objects.keys()].filter((key) => key.startsWith('view'))).toEqual([]);
});

test('what a session does to its temporary things has no other session plan anew', async () => {
  const { database } = server.db.tiers;
  const statement = { name: 'counted', text: 'SELECT count(*)::int AS n FROM shared' };
  const other = await server.as('arka');
  expect((await other.query(statement)).rows).toEqual([{ n: 2 }]);
  await one.query('DROP TABLE shared');
  expect((await one.query(statement)).rows).toEqual([{ n: 2 }]);
  const { generation } = database;
  await script(one, [
    ['CREATE TEMP TABLE shared (a serial PRIMARY KEY, b int)', 'CREATE'],
    ['INSERT INTO shared (b) VALUES (1), (2), (3)', 'INSERT'],
    ['CREATE INDEX by_b ON shared USING hash (b)', 'CREATE'],
    ['ALTER INDEX by_b RENAME TO of_b', 'ALTER'],
    ['CREATE TEMP VIEW above AS SELECT a FROM shared', 'CREATE'],
    ['ALTER TABLE shared ADD COLUMN c int', 'ALTER'],
  ]);
  expect((await one.query(statement)).rows).toEqual([{ n: 3 }]);
  await script(one, [
    ['ALTER TABLE shared RENAME TO moved', 'ALTER'],
    ['BEGIN', 'BEGIN'],
    ['DROP TABLE moved CASCADE', 'DROP'],
    ['ROLLBACK', 'ROLLBACK'],
    ['SELECT count(*) FROM moved', 'SELECT 3'],
  ]);
  expect((await one.query(statement)).rows).toEqual([{ n: 2 }]);
  await script(one, [
    ['DROP TABLE moved CASCADE', 'DROP'],
    ['CREATE TEMP TABLE shared AS SELECT generate_series(1, 10) AS a', 'SELECT'],
  ]);
  expect(database.generation).toBe(generation);
  await other.end();
  expect(database.generation).toBe(generation);
});

test('rows that have gone to files are read, changed and dropped like others', async () => {
  await one.query('CREATE TEMP TABLE large (id int PRIMARY KEY, v text)');
  const large = [...server.db.tiers.database.temporary.tables.values()].find(({ def }) => def.name === 'large')!;
  await one.query(`INSERT INTO large SELECT i, 'row ' || i FROM generate_series(1, 5000) i`);
  await one.query(`CALL arka.flush('large')`);
  const files = large.files.map(({ path }) => path);
  expect(files.map((path) => existsSync(path))).toEqual([true]);
  await script(one, [
    ['UPDATE large SET v = upper(v) WHERE id = 17 RETURNING v', 'UPDATE ROW 17'],
    ['INSERT INTO large VALUES (17)', '23505 duplicate key value violates unique constraint "large_pkey"'],
    ['DELETE FROM large WHERE id > 20', 'DELETE'],
    ['SELECT count(*), max(v) FROM large', 'SELECT 20|row 9'],
    ['BEGIN', 'BEGIN'],
    ['ALTER TABLE large DROP COLUMN v', 'ALTER'],
    ['SELECT sum(id) FROM large', 'SELECT 210'],
    ['ROLLBACK', 'ROLLBACK'],
    ['SELECT v FROM large WHERE id = 17', 'SELECT ROW 17'],
    ['VACUUM', 'VACUUM'],
    ['CHECKPOINT', 'CHECKPOINT'],
    ['DROP TABLE large', 'DROP'],
  ]);
  await expect.poll(() => files.some((path) => existsSync(path))).toBe(false);
});

test('nothing of it is in the log, and nothing is left when its session ends', async () => {
  const { database } = server.db.tiers;
  const { lastLsn } = database.log;
  await script(one, [
    ['CREATE TEMP TABLE unlogged (a serial PRIMARY KEY, b text)', 'CREATE'],
    ["INSERT INTO unlogged (b) SELECT 'x' FROM generate_series(1, 3000)", 'INSERT'],
    ['UPDATE unlogged SET a = a + 10000', 'UPDATE'],
    ['CREATE INDEX ON unlogged USING hash (b)', 'CREATE'],
    ["COMMENT ON TABLE unlogged IS 'mine'", 'COMMENT'],
    ["SELECT count(*) FROM unlogged WHERE b = 'x'", 'SELECT 3000'],
    ["SELECT obj_description('unlogged'::regclass)", 'SELECT mine'],
  ]);
  expect(database.log.lastLsn).toBe(lastLsn);
  expect([...database.temporary.tables.values()].map(({ def }) => def.name).toSorted()).toEqual([
    'shared',
    'shared',
    'unlogged',
    'yes',
  ]);
  await one.end();
  await two.end();
  await expect.poll(() => database.temporary.tables.size + database.temporary.schemas.size).toBe(0);
  const again = await server.as('arka');
  await script(again, [
    ['SELECT * FROM unlogged', '42P01 relation "unlogged" does not exist'],
    ['SELECT count(*) FROM shared', 'SELECT 2'],
    [TEMPORARY, 'SELECT 0'],
    ["SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg\\_temp%'", 'SELECT 0'],
  ]);
});
