/** What roles have waiting for them, and all that they have: what is said was taken from PostgreSQL 15. */
import type pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { RoleServer, said, script } from './role-server.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

let server: RoleServer;
let admin: pg.Client;

beforeAll(async () => {
  server = await RoleServer.start();
  admin = await server.as('arka');
  await admin.query(
    'CREATE ROLE ann LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE grp; CREATE ROLE maker CREATEROLE LOGIN',
  );
});
afterAll(() => server.destroy());

const SETTINGS =
  'SELECT r.rolname, s.setdatabase = 0, s.setconfig FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole ORDER BY 1, 2';

test('ALTER ROLE and ALTER DATABASE … SET are what the next session begins with, the nearest first', async () => {
  await script(admin, [
    ["ALTER ROLE ann SET work_mem = '8MB'", 'ALTER'],
    ['ALTER ROLE ann SET search_path = s, public', 'ALTER'],
    ["ALTER ROLE ann SET statement_timeout TO '30min'", 'ALTER'],
    ["ALTER DATABASE arka SET statement_timeout TO '90min'", 'ALTER'],
    ["ALTER DATABASE arka SET lock_timeout TO '7min'", 'ALTER'],
    ["ALTER ROLE ALL SET lock_timeout TO '5min'", 'ALTER'],
    ["ALTER ROLE ann IN DATABASE arka SET TIME ZONE 'Europe/Zurich'", 'ALTER'],
    ['ALTER ROLE ann SET bogus_thing = 1', '42704 unrecognized configuration parameter "bogus_thing"'],
    ["ALTER ROLE ann SET work_mem = 'many'", '22023 invalid value for parameter "work_mem": "many"'],
    ['ALTER ROLE ann SET max_connections = 5', /^55P02 parameter "max_connections" cannot be changed without/],
    ["ALTER ROLE nobody SET work_mem = '1MB'", '42704 role "nobody" does not exist'],
    ["ALTER ROLE ann IN DATABASE nodb SET work_mem = '1MB'", '3D000 database "nodb" does not exist'],
    ['ALTER ROLE ann SET role = bob', /^0A000 /],
  ]);
  await server.stop();
  await server.db.restart();
  await server.serve();
  admin = await server.as('arka');
  const ann = await server.as('ann');
  await script(ann, [
    ['SHOW work_mem', 'SHOW 8MB'],
    ['SHOW search_path', 'SHOW s, public'],
    ['SHOW statement_timeout', 'SHOW 30min'],
    ['SHOW lock_timeout', 'SHOW 7min'],
    ['SHOW timezone', 'SHOW Europe/Zurich'],
    ["SET work_mem = '1MB'", 'SET'],
    ['RESET ALL', 'RESET'],
    ['SHOW work_mem', 'SHOW 8MB'],
    [
      "SELECT name, source FROM pg_settings WHERE name IN ('lock_timeout', 'work_mem', 'TimeZone') ORDER BY 1",
      'SELECT TimeZone|database user lock_timeout|database work_mem|user',
    ],
    ["ALTER ROLE ann SET work_mem = '2MB'", 'ALTER'],
    ["ALTER ROLE bob SET work_mem = '2MB'", '42501 permission denied'],
    ["ALTER ROLE arka SET work_mem = '2MB'", '42501 must be superuser to alter superusers'],
    ["ALTER ROLE ALL SET work_mem = '2MB'", '42501 must be superuser to alter settings globally'],
    ["ALTER DATABASE arka SET work_mem = '2MB'", '42501 must be owner of database arka'],
  ]);
  await script(admin, [
    ['SHOW search_path', 'SHOW "$user", public'],
    [
      "SELECT setting, source, boot_val, reset_val FROM pg_settings WHERE name = 'search_path'",
      'SELECT "$user", public|default|"$user", public|"$user", public',
    ],
    ['SELECT current_schema(), current_schemas(true)', 'SELECT public|{pg_catalog,public}'],
    ['CREATE SCHEMA bob; SET ROLE bob', 'SET'],
    ['SELECT current_schema(), current_schemas(false)', 'SELECT public|{public}'],
    ['RESET ROLE; GRANT USAGE ON SCHEMA bob TO bob; SET ROLE bob', 'SET'],
    ['SELECT current_schema(), current_schemas(false)', 'SELECT bob|{bob,public}'],
    ['RESET ROLE; DROP SCHEMA bob', 'DROP'],
    ['CREATE SCHEMA ann AUTHORIZATION ann', 'CREATE'],
    ['CREATE TABLE public.mine (a int)', 'CREATE'],
  ]);
  await script(ann, [
    ['SET search_path = "$user", public', 'SET'],
    ['SHOW search_path', 'SHOW "$user", public'],
    ['CREATE TABLE mine (b int)', 'CREATE'],
    ["INSERT INTO mine (b) SELECT 1; SELECT current_schema(), 'mine'::regclass::text", 'SELECT ann|mine'],
    ['SELECT b FROM ann.mine', 'SELECT 1'],
    ['DROP TABLE mine; DROP SCHEMA ann', 'DROP'],
    ['SELECT current_schema()', 'SELECT public'],
  ]);
  await script(admin, [
    ['SET search_path = "$user", public; SELECT current_schema()', 'SELECT public'],
    ['DROP TABLE mine', 'DROP'],
    ['RESET search_path', 'RESET'],
    ['SHOW statement_timeout', 'SHOW 90min'],
    ['ALTER ROLE ann RESET statement_timeout', 'ALTER'],
    ['ALTER ROLE ann SET search_path TO DEFAULT', 'ALTER'],
    ['ALTER ROLE ALL RESET ALL', 'ALTER'],
    [
      SETTINGS,
      'SELECT ann|false|TimeZone=Europe/Zurich ann|true|work_mem=2MB |false|statement_timeout=90min,lock_timeout=7min',
    ],
    ['ALTER DATABASE arka RESET ALL', 'ALTER'],
    ['ALTER ROLE ann RESET ALL; ALTER ROLE ann IN DATABASE arka RESET ALL', 'ALTER'],
    [SETTINGS, 'SELECT'],
  ]);
});

const DEFAULTS =
  "SELECT pg_get_userbyid(defaclrole), n.nspname, defaclobjtype, array_to_string(defaclacl, ' ') FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = defaclnamespace ORDER BY 1, 2, 3";
const LISTS =
  "SELECT relname, array_to_string(relacl, ' ') FROM pg_class WHERE relkind IN ('r', 'v', 'S') AND relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('s', 's2')) ORDER BY 1";

test('ALTER DEFAULT PRIVILEGES: what a role makes from then on has them', async () => {
  await admin.query('CREATE SCHEMA s AUTHORIZATION ann');
  const bob = await server.as('bob');
  expect(await said(bob, 'ALTER DEFAULT PRIVILEGES FOR ROLE ann GRANT SELECT ON TABLES TO grp')).toBe(
    '42501 must be member of role "ann"',
  );
  await script(admin, [
    ['ALTER DEFAULT PRIVILEGES FOR ROLE ann IN SCHEMA s GRANT SELECT, INSERT ON TABLES TO bob', 'ALTER'],
    ['ALTER DEFAULT PRIVILEGES FOR ROLE ann GRANT UPDATE ON TABLES TO bob WITH GRANT OPTION', 'ALTER'],
    ['ALTER DEFAULT PRIVILEGES FOR ROLE ann GRANT USAGE ON SEQUENCES TO grp', 'ALTER'],
    ['ALTER DEFAULT PRIVILEGES FOR ROLE ann REVOKE DELETE ON TABLES FROM ann', 'ALTER'],
    ['ALTER DEFAULT PRIVILEGES IN SCHEMA nope GRANT SELECT ON TABLES TO bob', '3F000 schema "nope" does not exist'],
    [
      'ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT USAGE ON SCHEMAS TO bob',
      '0LP01 cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS',
    ],
    ['ALTER DEFAULT PRIVILEGES GRANT USAGE ON TABLES TO bob', '0LP01 invalid privilege type USAGE for relation'],
    ['ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO bob', /^0A000 /],
    [DEFAULTS, 'SELECT ann|s|r|bob=ar/ann ann||S|ann=rwU/ann grp=U/ann ann||r|ann=arwDxt/ann bob=w*/ann'],
  ]);
  const ann = await server.as('ann');
  await ann.query('CREATE TABLE s.t (id serial, a int); CREATE VIEW s.v AS SELECT a FROM s.t');
  await ann.query('CREATE TABLE s.u AS SELECT 1 AS x; GRANT USAGE ON SCHEMA s TO bob');
  const ofTable = 'ann=arwDxt/ann bob=arw*/ann';
  expect(await said(admin, LISTS)).toBe(`SELECT t|${ofTable} t_id_seq|ann=rwU/ann grp=U/ann u|${ofTable} v|${ofTable}`);
  expect(await said(bob, 'SELECT count(*) FROM s.u')).toBe('SELECT 1');
  expect(await said(ann, 'DELETE FROM s.u')).toBe('42501 permission denied for table u');
  await script(admin, [
    ['ALTER SCHEMA s RENAME TO s2', 'ALTER'],
    ['ALTER DEFAULT PRIVILEGES FOR ROLE ann REVOKE UPDATE ON TABLES FROM bob', 'ALTER'],
    ['ALTER DEFAULT PRIVILEGES FOR ROLE ann GRANT DELETE ON TABLES TO ann', 'ALTER'],
    ['ALTER DEFAULT PRIVILEGES FOR ROLE ann REVOKE USAGE ON SEQUENCES FROM grp', 'ALTER'],
    [DEFAULTS, 'SELECT ann|s2|r|bob=ar/ann'],
    ['DROP ROLE bob', '2BP01 role "bob" cannot be dropped because some objects depend on it'],
  ]);
});

test('REASSIGN OWNED and DROP OWNED take all that a role has, in one transaction', async () => {
  const bob = await server.as('bob');
  await script(bob, [
    ['REASSIGN OWNED BY ann TO bob', '42501 permission denied to reassign objects'],
    ['DROP OWNED BY ann', '42501 permission denied to drop objects'],
  ]);
  await admin.query('GRANT SELECT ON s2.t TO grp');
  await script(admin, [
    ['REASSIGN OWNED BY nobody TO bob', '42704 role "nobody" does not exist'],
    ['REASSIGN OWNED BY arka TO bob', /^2BP01 cannot reassign ownership of objects owned by role arka because/],
    ['CREATE SEQUENCE s2.q; ALTER TABLE s2.q OWNER TO ann', 'ALTER'],
    ['REASSIGN OWNED BY ann TO maker', 'REASSIGN'],
    ['DROP SEQUENCE s2.q', 'DROP'],
    ["SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 's2'::regnamespace", 'SELECT maker'],
    ["SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 's2'", 'SELECT maker'],
    ['DROP OWNED BY ann', 'DROP'],
    ['DROP OWNED BY bob', 'DROP'],
    [DEFAULTS, 'SELECT'],
    [
      LISTS,
      'SELECT t|maker=arwDxt/maker grp=r/maker t_id_seq|maker=rwU/maker grp=U/maker u|maker=arwDxt/maker v|maker=arwDxt/maker',
    ],
    ['DROP ROLE ann, bob', 'DROP'],
    ['CREATE VIEW public.w AS SELECT * FROM s2.v', 'CREATE'],
    ['DROP OWNED BY maker', /^2BP01 /],
    ['SELECT count(*) FROM s2.u', 'SELECT 1'],
    ['BEGIN', 'BEGIN'],
    ['DROP OWNED BY maker CASCADE', 'DROP'],
    ['ROLLBACK', 'ROLLBACK'],
    ['SELECT count(*) FROM s2.u', 'SELECT 1'],
    ['DROP OWNED BY maker CASCADE', 'DROP'],
    ["SELECT count(*) FROM pg_namespace WHERE nspname = 's2'", 'SELECT 0'],
    ['SELECT * FROM public.w', '42P01 relation "public.w" does not exist'],
    ['DROP ROLE maker, grp', 'DROP'],
  ]);
});

test('CREATE TABLE … AS fills its table without a right to insert, and asks for what its query reads', async () => {
  await admin.query(
    'CREATE ROLE cas LOGIN; CREATE SCHEMA cas AUTHORIZATION cas; CREATE TABLE hidden (a int); ALTER DEFAULT PRIVILEGES FOR ROLE cas REVOKE INSERT ON TABLES FROM cas',
  );
  const cas = await server.as('cas');
  await script(cas, [
    ['CREATE TABLE cas.filled AS SELECT generate_series(1, 3) AS a', 'SELECT'],
    ['PREPARE two AS SELECT 1 AS a UNION ALL SELECT 2', 'PREPARE'],
    ['CREATE TABLE cas.prepared AS EXECUTE two', 'SELECT'],
    ['INSERT INTO cas.filled VALUES (4)', '42501 permission denied for table filled'],
    ['INSERT INTO cas.filled SELECT generate_series(1, 3) AS a', '42501 permission denied for table filled'],
    ['CREATE TABLE cas.seen AS SELECT * FROM hidden', '42501 permission denied for table hidden'],
    ['PREPARE reads AS SELECT * FROM hidden', 'PREPARE'],
    ['CREATE TABLE cas.seen AS EXECUTE reads', '42501 permission denied for table hidden'],
  ]);
});
