/**
 * Ways around rights that somebody may try, each with what it is answered. Where PostgreSQL has an answer, it is PostgreSQL's: codes
 * and messages were taken from one.
 */
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RoleServer, said, script } from './role-server.ts';

let server: RoleServer;
let admin: pg.Client;
let bob: pg.Client;

beforeAll(async () => {
  server = await RoleServer.start();
  admin = await server.as('arka');
  await admin.query(`
    CREATE TABLE secret (a int PRIMARY KEY, owner text, s text);
    INSERT INTO secret VALUES (1, 'ann', 'of ann'), (2, 'bob', '7'), (3, 'bob', '8'), (4, 'arka', 'of arka');
    CREATE TABLE own (a int, b text); INSERT INTO own VALUES (1, 'x');
    CREATE ROLE bob LOGIN; GRANT SELECT, INSERT ON own TO bob`);
  bob = await server.as('bob');
});
afterAll(() => server.destroy());

test('what stands for a scan or a time inside Arka is a text like any other where a client writes it', async () => {
  await script(bob, [
    ...[1, 2, 3, 20, 40, 60].map((i) => [`SELECT '__arka_scan_${i}' FROM own`, `SELECT __arka_scan_${i}`] as const),
    ["SELECT '__arka_transaction_time', a FROM own", 'SELECT __arka_transaction_time|1'],
    ["SELECT '__arka_statement_time'", 'SELECT __arka_statement_time'],
    ["SELECT '__arka_version_lsn' || b FROM own", 'SELECT __arka_version_lsnx'],
    ['SELECT a AS "__arka_transaction_time" FROM own', 'SELECT 1'],
    ["SELECT count(*) FROM own WHERE now() > '2020-01-01' AND b <> 'a\"\"''now'", 'SELECT 1'],
  ]);
});

test('a view with security_invoker reads as who names it, in every spelling of true, also below a view of somebody else', async () => {
  for (const [i, on] of ['', '=on', '=1', '=yes', "='TRUE'", '=t'].entries()) {
    await admin.query(`CREATE VIEW inv${i} WITH (security_invoker${on}) AS SELECT * FROM secret`);
    await admin.query(`CREATE VIEW over${i} AS SELECT * FROM inv${i}; GRANT SELECT ON inv${i}, over${i} TO bob`);
    await script(bob, [
      [`SELECT * FROM inv${i}`, '42501 permission denied for table secret'],
      [`SELECT * FROM over${i}`, '42501 permission denied for table secret'],
    ]);
  }
  await admin.query('CREATE VIEW def WITH (security_invoker=off) AS SELECT a FROM secret; GRANT SELECT ON def TO bob');
  await script(bob, [['SELECT a FROM def ORDER BY a LIMIT 1', 'SELECT 1']]);
});

test('a condition sees no row that a view with security_barrier leaves out', async () => {
  await admin.query(`
    CREATE VIEW mine WITH (security_barrier=on) AS SELECT a, s FROM secret WHERE owner = current_user;
    GRANT SELECT ON mine TO bob`);
  await script(bob, [
    ['SELECT s FROM mine WHERE s::int = 7', 'SELECT 7'],
    ['SELECT m.a FROM mine m JOIN own o ON m.s::int > o.a WHERE m.s::int < 8', 'SELECT 2'],
    ['SELECT sum(s::int) FROM mine', 'SELECT 15'],
    ['SELECT x.a FROM (SELECT * FROM mine) AS x (a, n) WHERE n::int / 1 = 8', 'SELECT 3'],
  ]);
});

test('comments of a view are its owner’s to make', async () => {
  await script(bob, [
    ["COMMENT ON VIEW mine IS 'x'", '42501 must be owner of view mine'],
    ["COMMENT ON VIEW public.mine IS 'x'", '42501 must be owner of view mine'],
    ["COMMENT ON COLUMN mine.a IS 'x'", '42501 must be owner of view mine'],
  ]);
  await script(admin, [["COMMENT ON COLUMN mine.a IS 'x'", 'COMMENT']]);
});

test('a row that may take the place of another asks for UPDATE, too', async () => {
  await admin.query(`
    CREATE TABLE up (a int PRIMARY KEY, b text) WITH (on_conflict = 'upsert'); INSERT INTO up VALUES (1, 'first');
    GRANT INSERT ON up TO bob`);
  const denied = '42501 permission denied for table up';
  await script(bob, [
    ["INSERT INTO up VALUES (1, 'second')", denied],
    ["INSERT INTO up SELECT 1, 'second'", denied],
    ["WITH w AS (INSERT INTO up VALUES (1, 'second')) SELECT 1", denied],
    ['COPY up FROM STDIN', denied],
  ]);
  await admin.query('GRANT UPDATE ON up TO bob');
  await script(bob, [["INSERT INTO up VALUES (1, 'second')", 'INSERT']]);
  await script(admin, [['SELECT b FROM up', 'SELECT second']]);
});

test('views about the server tell nothing of rows that one may not read', async () => {
  await admin.query("SELECT * FROM pg_class WHERE no_such = 'a literal'").catch(() => undefined);
  expect(await said(admin, "SELECT current_setting('arka_rows.unhandled') FROM arka.unhandled")).toContain('a literal');
  await script(bob, [
    ["WITH x AS (SELECT * FROM arka.unhandled) SELECT current_setting('arka_rows.unhandled')", 'SELECT []'],
    ['SELECT * FROM arka.unhandled', '42501 permission denied for view unhandled'],
    ["SELECT arka.metadata_location('secret')", '42501 permission denied for table secret'],
    ["SELECT arka.metadata_location('own') LIKE 'file:%'", 'SELECT true'],
  ]);
  await admin.query('CALL arka.flush($$secret$$)');
  const paths = "SELECT count(path) FROM arka.units WHERE table_name = 'secret'";
  await script(admin, [[paths, 'SELECT 1']]);
  await script(bob, [[paths, 'SELECT 0']]);
});

test('functions of PostgreSQL inside that run a text, give its OIDs or set what all sessions share are nobody’s', async () => {
  const refused = /^0A000 \w+\(\) is not supported$/;
  for (const client of [admin, bob])
    await script(client, [
      ["SELECT query_to_xml('SELECT * FROM secret', true, false, '')", refused],
      ["SELECT table_to_xml('secret', true, false, '')", refused],
      ["SELECT * FROM ts_stat('SELECT s::tsvector FROM secret')", refused],
      ["SELECT binary_upgrade_set_next_pg_type_oid('77777')", refused],
      ['SELECT binary_upgrade_set_record_init_privs(true)', refused],
      ['SELECT setseed(0.5)', refused],
    ]);
  await script(bob, [
    ["SELECT binary_upgrade_set_next_pg_type_oid_inside('77777')", /^42501 permission denied for function/],
    ["SELECT pg_read_file_inside('PG_VERSION')", /^42501 permission denied for function/],
  ]);
});

test('a session stays the role that it is: renamed, and not another one of the same name', async () => {
  await admin.query('CREATE ROLE eve LOGIN; GRANT SELECT ON own TO eve; GRANT SELECT ON own TO bob');
  const eve = await server.as('eve');
  await script(eve, [['SELECT a FROM own', 'SELECT 1']]);
  await admin.query('ALTER ROLE eve RENAME TO eva; CREATE ROLE eve SUPERUSER');
  await script(eve, [
    ['SELECT current_user, session_user', 'SELECT eva|eva'],
    ['SELECT a FROM own', 'SELECT 1'],
    ['SELECT a FROM secret', '42501 permission denied for table secret'],
    ['SELECT count(*) FROM pg_authid', '42501 permission denied for table pg_authid'],
    ['CREATE ROLE friend', '42501 permission denied to create role'],
  ]);
  await admin.query('REVOKE SELECT ON own FROM eva; DROP ROLE eva; CREATE ROLE eva SUPERUSER');
  await script(eve, [
    ['SELECT a FROM secret', /^42704 role "eve" does not exist$/],
    ['SET ROLE eva', '42501 permission denied to set role "eva"'],
    ['SET SESSION AUTHORIZATION eve', '42501 permission denied to set session authorization'],
    ['SELECT 1 FROM own', /^42704/],
    ['ROLLBACK', 'ROLLBACK'],
  ]);
});

test('what a transaction grants to a role that it makes is never another’s', async () => {
  await script(admin, [
    ['BEGIN', 'BEGIN'],
    ['CREATE ROLE boss', 'CREATE'],
    ['GRANT SELECT ON secret TO boss', 'GRANT'],
  ]);
  const other = await server.as('arka');
  await other.query('CREATE ROLE mallory');
  await admin.query('COMMIT');
  await script(admin, [
    [
      "SELECT has_table_privilege('boss', 'secret', 'SELECT'), has_table_privilege('mallory', 'secret', 'SELECT')",
      'SELECT true|false',
    ],
  ]);
});

test('with CREATEROLE nobody becomes a superuser, nor a member of one that is a member of a superuser', async () => {
  await admin.query(
    'CREATE ROLE root SUPERUSER; CREATE ROLE middle; GRANT root TO middle; CREATE ROLE cr LOGIN CREATEROLE',
  );
  const client = await server.as('cr');
  await script(client, [
    ['GRANT middle TO cr', '42501 must be superuser to alter superusers'],
    ['CREATE ROLE mine IN ROLE middle', '42501 must be superuser to alter superusers'],
    ['GRANT root TO cr', '42501 must be superuser to alter superusers'],
    ['SET ROLE root', '42501 permission denied to set role "root"'],
  ]);
});
