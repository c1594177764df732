/** New names of schemas, tables and sequences, as clients see them: codes and messages were taken from PostgreSQL 15. */
import type pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { RoleServer, said, script } from './role-server.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

let server: RoleServer;
let admin: pg.Client;
let other: pg.Client;

beforeAll(async () => {
  server = await RoleServer.start();
  await connect();
  await admin.query('CREATE ROLE ann LOGIN; CREATE ROLE bob LOGIN');
});
afterAll(() => server.destroy());

async function connect(): Promise<void> {
  admin = await server.as('arka');
  other = await server.as('arka');
}

/** The server is another one, over the same data. */
async function restart(): Promise<void> {
  await server.stop();
  await server.db.restart();
  await server.serve();
  await connect();
}

test('ALTER SCHEMA … RENAME takes all that is in the schema along, rows of all tiers included', async () => {
  await script(admin, [
    ['CREATE SCHEMA old', 'CREATE'],
    ["COMMENT ON SCHEMA old IS 'the old one'", 'COMMENT'],
    ['CREATE TABLE old.t (id serial PRIMARY KEY, v text)', 'CREATE'],
    ["INSERT INTO old.t (v) VALUES ('in Iceberg')", 'INSERT'],
    ["CALL arka.commit('old.t')", 'CALL'],
    ["INSERT INTO old.t (v) VALUES ('on disk')", 'INSERT'],
    ["CALL arka.flush('old.t')", 'CALL'],
    ["INSERT INTO old.t (v) VALUES ('in memory')", 'INSERT'],
    ['CREATE SEQUENCE old.s START 41', 'CREATE'],
    ["SELECT nextval('old.s')", 'SELECT 41'],
    ['CREATE VIEW old.w AS SELECT id, upper(v) AS v FROM old.t', 'CREATE'],
    ['CREATE VIEW above AS SELECT count(*) AS n FROM old.w', 'CREATE'],
    ['CREATE TABLE reads (a int DEFAULT 1, b bigint DEFAULT nextval($$old.s$$))', 'CREATE'],
    ['GRANT USAGE ON SCHEMA old TO ann', 'GRANT'],
    ['GRANT SELECT ON old.w TO ann', 'GRANT'],
    ['PREPARE p AS SELECT count(*) FROM old.t', 'PREPARE'],
    ['EXECUTE p', 'SELECT 3'],
    ['ALTER SCHEMA old RENAME TO new', 'ALTER'],
    ['EXECUTE p', '42P01 relation "old.t" does not exist'],
    ['SELECT * FROM old.t', '42P01 relation "old.t" does not exist'],
    ["INSERT INTO new.t (v) VALUES ('after') RETURNING id", 'INSERT 4'],
    ['SELECT string_agg(v, $$, $$ ORDER BY id) FROM new.w', 'SELECT IN ICEBERG, ON DISK, IN MEMORY, AFTER'],
    ['SELECT n FROM above', 'SELECT 4'],
    ['INSERT INTO reads DEFAULT VALUES RETURNING b', 'INSERT 42'],
    ["SELECT nextval('new.s')", 'SELECT 43'],
    ["SELECT pg_get_serial_sequence('new.t', 'id')", 'SELECT new.t_id_seq'],
    ["SELECT pg_get_viewdef('above'::regclass) ~ 'new\\.w'", 'SELECT true'],
    ["SELECT obj_description('new'::regnamespace)", 'SELECT the old one'],
    ["SELECT count(*) FROM pg_namespace WHERE nspname = 'old'", 'SELECT 0'],
    ["SELECT has_schema_privilege('ann', 'new', 'USAGE')", 'SELECT true'],
    ['CREATE SCHEMA old', 'CREATE'],
    ["SELECT has_schema_privilege('ann', 'old', 'USAGE')", 'SELECT false'],
    ['DROP SCHEMA old', 'DROP'],
  ]);
  expect(await said(await server.as('ann'), 'SELECT count(*) FROM new.w')).toBe('SELECT 4');
});

test('ALTER SCHEMA … RENAME says what PostgreSQL says of what it cannot do', async () => {
  await admin.query('CREATE SCHEMA mine AUTHORIZATION ann; CREATE SCHEMA taken');
  await script(admin, [
    ['ALTER SCHEMA nope RENAME TO x', '3F000 schema "nope" does not exist'],
    ['ALTER SCHEMA mine RENAME TO taken', '42P06 schema "taken" already exists'],
    ['ALTER SCHEMA mine RENAME TO mine', '42P06 schema "mine" already exists'],
    ['ALTER SCHEMA mine RENAME TO pg_mine', '42939 unacceptable schema name "pg_mine"'],
    ['ALTER SCHEMA public RENAME TO x', '0A000 renaming schema public is not supported'],
  ]);
  const ann = await server.as('ann');
  await script(ann, [
    ['ALTER SCHEMA taken RENAME TO x', '42501 must be owner of schema taken'],
    ['ALTER SCHEMA mine RENAME TO x', '42501 permission denied for database arka'],
  ]);
  await admin.query('GRANT CREATE ON DATABASE arka TO ann');
  expect(await said(ann, 'ALTER SCHEMA mine RENAME TO hers; CREATE TABLE hers.t (a int)')).toBe('CREATE');
});

test('a renamed schema is the transaction’s own until it commits, and whoever is at its tables is waited for', async () => {
  await admin.query('CREATE SCHEMA a1; CREATE TABLE a1.t (id int PRIMARY KEY); CREATE SEQUENCE a1.s');
  await other.query('BEGIN; INSERT INTO a1.t VALUES (1)');
  await script(admin, [
    ["SET lock_timeout = '30ms'", 'SET'],
    ['ALTER SCHEMA a1 RENAME TO a2', /^55P03 /],
  ]);
  await other.query('COMMIT');
  await script(admin, [
    ['BEGIN', 'BEGIN'],
    ['ALTER SCHEMA a1 RENAME TO a2', 'ALTER'],
    ['INSERT INTO a2.t VALUES (2)', 'INSERT'],
    ['SAVEPOINT x', 'SAVEPOINT'],
    ['ALTER SCHEMA a2 RENAME TO a3', 'ALTER'],
    ["SELECT nextval('a3.s'), (SELECT count(*) FROM a3.t)", 'SELECT 1|2'],
    ['ROLLBACK TO x', 'ROLLBACK'],
    ['SELECT count(*) FROM a2.t', 'SELECT 2'],
    ['CREATE SCHEMA a1', 'CREATE'],
    ['CREATE TABLE a1.t AS SELECT 7 AS id', 'SELECT'],
  ]);
  expect(await said(other, "SET lock_timeout = '30ms'; SELECT * FROM a2.t")).toMatch(/^42P01 /);
  await admin.query('ROLLBACK');
  expect(await said(other, 'SELECT * FROM a1.t')).toBe('SELECT 1');
  // names go round in a circle, in one commit
  await admin.query(`CREATE SCHEMA b1; CREATE TABLE b1.t (id int); BEGIN; ALTER SCHEMA a1 RENAME TO c1;
    ALTER SCHEMA b1 RENAME TO a1; ALTER SCHEMA c1 RENAME TO b1; INSERT INTO b1.t VALUES (3); COMMIT`);
  expect(await said(other, 'SELECT count(*), (SELECT count(*) FROM a1.t) FROM b1.t')).toBe('SELECT 2|0');
});

test('a sequence gets another name or schema in a transaction, and draws on', async () => {
  await admin.query('CREATE SCHEMA d1; CREATE SEQUENCE q1; CREATE TABLE owns (id serial)');
  await script(admin, [
    ["SELECT nextval('q1')", 'SELECT 1'],
    ['BEGIN', 'BEGIN'],
    ['ALTER SEQUENCE q1 RENAME TO q2', 'ALTER'],
    ['ALTER SEQUENCE q2 INCREMENT 10', 'ALTER'],
    ['ALTER SEQUENCE q2 SET SCHEMA d1', 'ALTER'],
    ["SELECT nextval('d1.q2')", 'SELECT 11'],
    ['CREATE SEQUENCE q1 START 100', 'CREATE'],
    ['COMMIT', 'COMMIT'],
    ["SELECT nextval('d1.q2'), nextval('q1')", 'SELECT 21|100'],
    ["SELECT nextval('q2')", '42P01 relation "q2" does not exist'],
    ['BEGIN', 'BEGIN'],
    ['ALTER SEQUENCE d1.q2 RENAME TO q3', 'ALTER'],
    ["SELECT nextval('d1.q3')", 'SELECT 31'],
    ['ROLLBACK', 'ROLLBACK'],
    ["SELECT nextval('d1.q2') > 31", 'SELECT true'],
    ['ALTER SEQUENCE q1 RENAME TO owns', '42P07 relation "owns" already exists'],
    ['ALTER SEQUENCE q1 SET SCHEMA nope', '3F000 schema "nope" does not exist'],
    ['ALTER SEQUENCE owns_id_seq SET SCHEMA d1', '0A000 cannot move an owned sequence into another schema'],
  ]);
});

test('what a transaction makes of a sequence is seen by nobody else until it commits', async () => {
  const shown = `SELECT increment_by, max_value, last_value, pg_get_serial_sequence('seen', 'id'), pg_get_serial_sequence('seen', 'n')
    FROM pg_sequences WHERE sequencename = 'seen_id_seq'`;
  await script(admin, [
    ['CREATE TABLE seen (id serial, n int)', 'CREATE'],
    ["SELECT nextval('seen_id_seq')", 'SELECT 1'],
    ["SELECT nextval('seen_id_seq')", 'SELECT 2'],
    ['BEGIN', 'BEGIN'],
    ['ALTER SEQUENCE seen_id_seq INCREMENT 5 MAXVALUE 900 RESTART 50 OWNED BY seen.n', 'ALTER'],
    ["SELECT nextval('seen_id_seq')", 'SELECT 50'],
    [shown, 'SELECT 5|900|50||public.seen_id_seq'],
    ['SELECT * FROM seen_id_seq', 'SELECT 50|32|true'],
  ]);
  const before = 'SELECT 1|2147483647|2|public.seen_id_seq|';
  await other.query('CREATE TABLE also_now (id int)'); // the catalogs of all are made anew
  await script(other, [
    [shown, before],
    ['SELECT * FROM seen_id_seq', 'SELECT 2|31|true'],
    ['BEGIN', 'BEGIN'],
    ['CREATE TABLE also (id int)', 'CREATE'], // with definitions of its own, too
    [shown, before],
    ['ROLLBACK', 'ROLLBACK'],
  ]);
  await admin.query('ROLLBACK');
  await script(other, [
    [shown, before],
    ["SELECT nextval('seen_id_seq')", 'SELECT 3'],
  ]);
  await admin.query('BEGIN; ALTER SEQUENCE seen_id_seq INCREMENT 5 RESTART 50; COMMIT');
  await script(other, [
    ["SELECT nextval('seen_id_seq')", 'SELECT 50'],
    [shown, 'SELECT 5|2147483647|50|public.seen_id_seq|'],
  ]);
});

test('ALTER TABLE … SET SCHEMA waits for whoever drops or renames that schema', async () => {
  await admin.query('CREATE SCHEMA e1; CREATE TABLE goes (a int)');
  await admin.query('BEGIN; DROP SCHEMA e1');
  expect(await said(other, "SET lock_timeout = '30ms'; ALTER TABLE goes SET SCHEMA e1")).toMatch(/^55P03 /);
  await admin.query('COMMIT');
  expect(await said(other, 'ALTER TABLE goes SET SCHEMA e1')).toBe('3F000 schema "e1" does not exist');
});

test('a start finds all of it under the new names', async () => {
  await restart();
  await script(admin, [
    ['SELECT string_agg(v, $$, $$ ORDER BY id) FROM new.w', 'SELECT IN ICEBERG, ON DISK, IN MEMORY, AFTER'],
    ['SELECT n FROM above', 'SELECT 4'],
    ["SELECT nextval('new.s')", 'SELECT 44'],
    ['INSERT INTO new.t (v) VALUES (NULL) RETURNING id', 'INSERT 5'],
    ["SELECT obj_description('new'::regnamespace)", 'SELECT the old one'],
    ["SELECT count(*) FROM pg_namespace WHERE nspname = 'old'", 'SELECT 0'],
    ["SELECT has_schema_privilege('ann', 'new', 'USAGE')", 'SELECT true'],
  ]);
  expect(await said(other, 'SELECT count(*), (SELECT count(*) FROM a1.t) FROM b1.t')).toBe('SELECT 2|0');
  expect(await said(other, "SELECT nextval('b1.s') > 1")).toBe('SELECT true');
  await script(admin, [
    ["SELECT nextval('d1.q2') > 41, nextval('q1') > 100", 'SELECT true|true'],
    ["SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relname ~ '^q[0-9]'", 'SELECT q1 q2'],
  ]);
});
