/** Roles and rights over the wire, as PostgreSQL 15 has them: codes and messages were taken from one. */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COLUMN_RIGHTS } from './column-rights.ts';
import { RoleServer, said, script } from './role-server.ts';

let server: RoleServer;
let admin: pg.Client;
let notices: string[];
const as = (user: string): Promise<pg.Client> => server.as(user);

beforeAll(async () => {
  server = await RoleServer.start();
  ({ notices } = server);
  admin = await as('arka');
  await admin.query(`
    CREATE TABLE t (a int PRIMARY KEY, b int); CREATE TABLE u (a int PRIMARY KEY, b int);
    INSERT INTO t VALUES (1, 10), (2, 20); INSERT INTO u VALUES (1, 100);
    CREATE SCHEMA s; CREATE TABLE s.x (a int); CREATE SEQUENCE q`);
  await admin.query('CREATE ROLE ann LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE readers');
});
afterAll(async () => {
  await server.destroy();
});

describe('roles', () => {
  test('who logs in must be a role that may', async () => {
    await expect(as('nobody')).rejects.toMatchObject({ code: '28000', message: 'role "nobody" does not exist' });
    await expect(as('readers')).rejects.toMatchObject({ message: 'role "readers" is not permitted to log in' });
  });

  test('CREATE, ALTER, DROP ROLE and membership say what PostgreSQL says', async () => {
    notices.length = 0;
    await script(admin, [
      ['CREATE ROLE ann', '42710 role "ann" already exists'],
      ['CREATE ROLE pg_x', '42939 role name "pg_x" is reserved'],
      ['CREATE ROLE none', '42939 role name "none" is reserved'],
      ['CREATE USER c1 CREATEROLE LOGIN LOGIN', '42601 conflicting or redundant options'],
      ['ALTER ROLE nope LOGIN', '42704 role "nope" does not exist'],
      ['ALTER ROLE ann CONNECTION LIMIT -5', '22023 invalid connection limit: -5'],
      ["ALTER ROLE ann VALID UNTIL 'garbage'", /^22007 /],
      ['DROP ROLE nope', '42704 role "nope" does not exist'],
      ['DROP ROLE IF EXISTS nope', 'DROP'],
      ['DROP ROLE arka', '55006 current user cannot be dropped'],
      ['DROP ROLE public', '22023 cannot use special role specifier in DROP ROLE'],
      ['CREATE USER c1 CREATEDB IN ROLE readers ROLE bob ADMIN ann', 'CREATE'],
      ['GRANT c1 TO bob', 'GRANT'],
      ['GRANT bob TO c1', '0LP01 role "bob" is a member of role "c1"'],
      ['GRANT c1 TO c1', '0LP01 role "c1" is a member of role "c1"'],
      ['REVOKE readers FROM ann', 'REVOKE'],
      [
        "SELECT r.rolname, m.rolname, a.admin_option FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member WHERE r.rolname IN ('readers', 'c1') ORDER BY 1, 2",
        'SELECT c1|ann|true c1|bob|false readers|c1|false',
      ],
      ["SELECT rolcanlogin, rolcreatedb, rolsuper FROM pg_roles WHERE rolname = 'c1'", 'SELECT true|true|false'],
      ['ALTER ROLE c1 RENAME TO c2', 'ALTER'],
      ["SELECT usename FROM pg_user WHERE usename ~ '^c' OR usesuper ORDER BY 1", 'SELECT arka c2'],
      ['DROP USER c2', 'DROP'],
      ["SELECT count(*) FROM pg_roles WHERE rolname = 'c2'", 'SELECT 0'],
    ]);
    expect(notices).toEqual([
      '00000 role "nope" does not exist, skipping',
      '00000 role "bob" is already a member of role "c1"',
      '01000 role "ann" is not a member of role "readers"',
    ]);
  });

  test('who is no superuser changes no roles, but his own password', async () => {
    const ann = await as('ann');
    await script(ann, [
      ['CREATE ROLE x', '42501 permission denied to create role'],
      ['DROP ROLE bob', '42501 permission denied to drop role'],
      ['ALTER ROLE bob LOGIN', '42501 permission denied'],
      ['ALTER ROLE ann CREATEDB', '42501 permission denied'],
      ["ALTER ROLE ann PASSWORD 'secret'", 'ALTER'],
      ['GRANT readers TO ann', '42501 must have admin option on role "readers"'],
      ['ALTER ROLE bob RENAME TO bobby', '42501 permission denied to rename role'],
      ['SELECT rolpassword FROM pg_authid', '42501 permission denied for table pg_authid'],
      ["SELECT count(*) FROM pg_roles WHERE rolname = 'ann'", 'SELECT 1'],
      ["SELECT passwd FROM pg_user WHERE usename = 'ann'", 'SELECT ********'],
      ['CHECKPOINT', '42501 must be superuser or have privileges of pg_checkpoint to do CHECKPOINT'],
    ]);
    await script(admin, [
      ["SELECT left(rolpassword, 19) FROM pg_authid WHERE rolname = 'ann'", 'SELECT SCRAM-SHA-256$4096:'],
    ]);
  });

  test('no function lets a statement become somebody else inside PostgreSQL', async () => {
    const ann = await as('ann');
    const secrets = "ts_stat('SELECT to_tsvector(rolpassword) FROM pg_authid WHERE rolpassword IS NOT NULL')";
    for (const sql of [
      "SELECT length(set_config('role', 'arka', true))",
      `SELECT length(set_config('session_authorization', 'arka', true)), word FROM ${secrets}`,
      `SELECT a.word FROM ts_stat('SELECT to_tsvector(set_config(''role'', ''arka'', true))') a, ${secrets} b`,
      "UPDATE pg_settings SET setting = 'arka' WHERE name = 'role'",
      "SELECT pg_read_file('/etc/passwd')",
      "SELECT query_to_xml('SELECT rolpassword FROM pg_authid', true, true, '')",
    ])
      expect(`${sql}: ${await said(ann, sql)}`).toMatch(/: (42501|0A000) [^:]*$/);
  });

  test('pg_stat_activity says no password to anybody, and to whom is no superuser nothing of others', async () => {
    const client = await as('arka');
    await client.query("ALTER ROLE ann PASSWORD 'hush hush'");
    const ann = await as('ann');
    const [seen, hidden] = await Promise.all(
      [admin, ann].map(async (each) => JSON.stringify((await each.query('SELECT * FROM pg_stat_activity')).rows)),
    );
    expect(seen).toContain("ALTER ROLE ann PASSWORD '********'");
    expect(hidden).toContain('<insufficient privilege>');
    expect(hidden).toContain('SELECT * FROM pg_stat_activity');
    for (const text of [seen, hidden]) expect(text).not.toContain('hush');
    expect(hidden).not.toContain('ALTER ROLE');
  });

  test('SET ROLE and SET SESSION AUTHORIZATION make the session somebody else, and end with their transaction', async () => {
    const ann = await as('ann');
    await script(ann, [
      ['SET ROLE readers', '42501 permission denied to set role "readers"'],
      ['SET ROLE nobody', '22023 role "nobody" does not exist'],
      ['SET SESSION AUTHORIZATION bob', '42501 permission denied to set session authorization'],
      ["SELECT set_config('role', 'arka', false)", '42501 permission denied to set role "arka"'],
      ["SELECT set_config('ROLE', 'arka', false)", '42501 permission denied to set role "arka"'],
      ['SET "Session_Authorization" = \'arka\'', '42501 permission denied to set session authorization'],
      ['SET SESSION AUTHORIZATION ann', 'SET'],
    ]);
    const client = await as('arka');
    await script(client, [
      ['SET ROLE ann', 'SET'],
      ['SELECT current_user, session_user', 'SELECT ann|arka'],
      ['SHOW is_superuser', 'SHOW off'],
      ['SHOW role', 'SHOW ann'],
      ['SELECT * FROM t', '42501 permission denied for table t'],
      ['RESET ROLE', 'RESET'],
      ['SHOW is_superuser', 'SHOW on'],
      ['BEGIN; SET LOCAL ROLE bob', 'SET'],
      ['SELECT current_user', 'SELECT bob'],
      ['ROLLBACK', 'ROLLBACK'],
      ['SELECT current_user', 'SELECT arka'],
      ['SET SESSION AUTHORIZATION bob', 'SET'],
      ['SELECT current_user, session_user', 'SELECT bob|bob'],
      ['RESET ALL', 'RESET'],
      ['SELECT current_user', 'SELECT bob'],
      ['DISCARD ALL', 'DISCARD'],
      ['SELECT current_user', 'SELECT arka'],
    ]);
    const bad = new pg.Client({
      port: server.listener.port,
      host: '127.0.0.1',
      user: 'ann',
      database: 'arka',
      options: '-c session_authorization=arka',
    });
    await expect(bad.connect()).rejects.toMatchObject({ code: '42501' });
  });

  test('a role has so many connections as its limit says', async () => {
    await admin.query('CREATE ROLE few LOGIN CONNECTION LIMIT 1');
    await as('few');
    await expect(as('few')).rejects.toMatchObject({ code: '53300', message: 'too many connections for role "few"' });
  });
});

describe('rights', () => {
  test('every kind of statement asks for the privilege that it uses', async () => {
    const bob = await as('bob');
    const all: readonly (readonly [privilege: string, sql: string])[] = [
      ['SELECT', 'SELECT * FROM t WHERE a = 1'],
      ['SELECT', 'SELECT count(*) FROM t'],
      ['SELECT', 'SELECT 1 WHERE EXISTS (SELECT 1 FROM t)'],
      ['SELECT', 'WITH w AS (SELECT * FROM t) SELECT w.a FROM w'],
      ['SELECT', 'EXPLAIN SELECT * FROM t'],
      ['SELECT', "SELECT * FROM arka.changes('t', '0/0')"],
      ['INSERT', 'INSERT INTO t VALUES (7, 7)'],
      ['INSERT, SELECT', 'INSERT INTO t VALUES (8, 8) RETURNING a'],
      ['INSERT, SELECT', 'INSERT INTO t VALUES (8, 8) ON CONFLICT (a) DO NOTHING'],
      ['INSERT, SELECT, UPDATE', 'INSERT INTO t VALUES (8, 8) ON CONFLICT (a) DO UPDATE SET b = excluded.b'],
      ['UPDATE', 'UPDATE t SET b = 1'],
      ['UPDATE, SELECT', 'UPDATE t SET b = b + 1'],
      ['UPDATE, SELECT', 'UPDATE t SET b = 1 WHERE a = 1'],
      ['DELETE, SELECT', 'DELETE FROM t WHERE a = 8'],
      ['DELETE', 'DELETE FROM t'],
      [
        'INSERT, UPDATE, SELECT',
        'MERGE INTO t USING (VALUES (9)) v(a) ON t.a = v.a WHEN MATCHED THEN UPDATE SET b = 1 WHEN NOT MATCHED THEN INSERT VALUES (v.a, 1)',
      ],
      ['SELECT, UPDATE', 'SELECT a FROM t WHERE a = 9 FOR UPDATE'],
      ['TRUNCATE', 'TRUNCATE t'],
    ];
    for (const [privileges, sql] of all) {
      const each = privileges.split(', ');
      for (const missing of each) {
        const rest = each.filter((name) => name !== missing);
        if (rest.length > 0) await admin.query(`GRANT ${rest.join(', ')} ON t TO bob`);
        expect(`${missing}: ${sql}: ${await said(bob, sql)}`).toBe(
          `${missing}: ${sql}: 42501 permission denied for table t`,
        );
        await admin.query('REVOKE ALL ON t FROM bob');
      }
      await admin.query(`GRANT ${privileges} ON t TO bob`);
      expect(`${sql}: ${await said(bob, sql)}`).not.toContain('42501');
      await admin.query('REVOKE ALL ON t FROM bob');
    }
    // what is read beside it
    await admin.query('GRANT ALL ON t TO bob');
    for (const sql of [
      'INSERT INTO t SELECT * FROM u',
      'UPDATE t SET b = u.b FROM u WHERE u.a = t.a',
      'DELETE FROM t USING u WHERE u.a = t.a',
      'SELECT * FROM t JOIN u USING (a)',
      'INSERT INTO t VALUES (90, 1) RETURNING (SELECT max(a) FROM u)',
      'CREATE TABLE v AS SELECT * FROM u',
    ])
      expect(`${sql}: ${await said(bob, sql)}`).toMatch(/42501 permission denied for (table u|schema public)$/);
    await admin.query('REVOKE ALL ON t FROM bob');
  });

  test('a view asks SELECT of whoever names it, and what it reads of its owner', async () => {
    await admin.query('CREATE VIEW all_t AS SELECT * FROM t; GRANT SELECT ON all_t TO ann');
    const ann = await as('ann');
    const bob = await as('bob');
    await script(ann, [
      ['SELECT count(*) >= 0 FROM all_t', 'SELECT true'],
      ['SELECT count(*) FROM t', '42501 permission denied for table t'],
      ['SELECT count(*) FROM all_t, t', '42501 permission denied for table t'],
      ['WITH t AS (SELECT 1) SELECT count(*) >= 0 FROM all_t', 'SELECT true'],
      ['DROP VIEW all_t', '42501 must be owner of view all_t'],
      ['CREATE OR REPLACE VIEW all_t AS SELECT 1 AS a, 2 AS b', '42501 permission denied for schema public'],
    ]);
    await script(bob, [['SELECT * FROM all_t', '42501 permission denied for view all_t']]);
    await script(admin, [
      ['ALTER VIEW all_t OWNER TO bob', 'ALTER'],
      ["SELECT viewowner FROM pg_views WHERE viewname = 'all_t'", 'SELECT bob'],
    ]);
    await script(ann, [['SELECT * FROM all_t', '42501 permission denied for table t']]);
    await script(admin, [['DROP VIEW all_t', 'DROP']]);
  });

  test('each part of WITH asks for its own', async () => {
    const bob = await as('bob');
    await admin.query('GRANT SELECT, DELETE ON t TO bob');
    const sql = 'WITH d AS (DELETE FROM t WHERE a = -1 RETURNING *) INSERT INTO u SELECT * FROM d';
    await script(bob, [[sql, '42501 permission denied for table u']]);
    await admin.query('GRANT INSERT ON u TO bob');
    await script(bob, [[sql, 'INSERT']]);
    await admin.query('REVOKE DELETE ON t FROM bob');
    await script(bob, [[sql, '42501 permission denied for table t']]);
    await admin.query('REVOKE ALL ON t, u FROM bob');
  });

  test('a prepared statement is asked again when rights change; COPY asks too', async () => {
    const bob = await as('bob');
    const insert = (a: number): Promise<pg.QueryResult> =>
      bob.query({ name: 'i', text: 'INSERT INTO t VALUES ($1, $2)', values: [a, a] });
    await admin.query('GRANT INSERT ON t TO bob');
    await insert(100);
    await admin.query('REVOKE INSERT ON t FROM bob');
    await expect(insert(101)).rejects.toMatchObject({ code: '42501' });
    await admin.query('GRANT INSERT ON t TO bob');
    await insert(102);
    await script(bob, [
      ['COPY t TO STDOUT', '42501 permission denied for table t'],
      ['COPY (SELECT * FROM u) TO STDOUT', '42501 permission denied for table u'],
      ['CREATE TABLE like_u (LIKE u)', '42501 permission denied for table u'],
      ['COPY u FROM STDIN', '42501 permission denied for table u'],
    ]);
    await admin.query('REVOKE INSERT ON t FROM bob');
  });

  test('definitions ask for ownership; who makes a table owns it', async () => {
    const bob = await as('bob');
    await script(bob, [
      ['ALTER TABLE t ADD COLUMN c int', '42501 must be owner of table t'],
      ['ALTER TABLE t RENAME TO tt', '42501 must be owner of table t'],
      ['DROP TABLE t', '42501 must be owner of table t'],
      ['CREATE INDEX ON t USING hash (b)', '42501 must be owner of table t'],
      ['REINDEX TABLE t', '42501 must be owner of table t'],
      ['REINDEX SCHEMA s', '42501 must be owner of schema s'],
      ['REINDEX DATABASE arka', '42501 must be owner of database arka'],
      ["CALL arka.flush('t')", '42501 must be owner of table t'],
      ['DROP SEQUENCE q', '42501 must be owner of sequence q'],
      ['CREATE TABLE own (a int)', '42501 permission denied for schema public'],
      ['CREATE SCHEMA own', '42501 permission denied for database arka'],
      ['DROP SCHEMA s', '42501 must be owner of schema s'],
      ['SELECT * FROM s.x', '42501 permission denied for schema s'],
      ["SELECT nextval('q')", '42501 permission denied for sequence q'],
      ['GRANT SELECT ON t TO ann', '42501 permission denied for table t'],
      ['ALTER TABLE t OWNER TO bob', '42501 must be owner of table t'],
    ]);
    await admin.query(
      'GRANT CREATE ON SCHEMA public TO bob; GRANT USAGE ON SEQUENCE q TO bob; GRANT CREATE ON DATABASE arka TO bob',
    );
    notices.length = 0;
    await script(bob, [
      ["SELECT nextval('q')", 'SELECT 1'],
      ['CREATE TABLE own (a int PRIMARY KEY, n serial)', 'CREATE'],
      ['INSERT INTO own (a) VALUES (1)', 'INSERT'],
      ['CREATE TABLE copy AS SELECT * FROM own', /^(SELECT|CREATE)/],
      ['SELECT count(*) FROM copy', 'SELECT 1'],
      ['CREATE SCHEMA mine; CREATE TABLE mine.z (a int)', 'CREATE'],
      [
        "SELECT tableowner FROM pg_tables WHERE tablename IN ('own', 'copy', 'z', 't') ORDER BY 1",
        'SELECT arka bob bob bob',
      ],
      ["SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname IN ('own_n_seq', 'own_pkey')", 'SELECT bob bob'],
      ['VACUUM t', 'VACUUM'],
      ['GRANT SELECT ON own TO PUBLIC', 'GRANT'],
      ['ALTER TABLE own ADD COLUMN c text', 'ALTER'],
      ['BEGIN; CREATE TABLE gone (a int); GRANT SELECT ON gone TO ann; ROLLBACK', 'ROLLBACK'],
      [
        'BEGIN; CREATE TABLE stays (a int); SAVEPOINT p; GRANT ALL ON stays TO ann; ROLLBACK TO p; GRANT SELECT ON stays TO ann',
        'GRANT',
      ],
      ["SELECT relacl FROM pg_class WHERE relname = 'stays'", 'SELECT {bob=arwdDxt/bob,ann=r/bob}'],
      ['COMMIT', 'COMMIT'],
      ['ALTER TABLE own OWNER TO ann', '42501 must be member of role "ann"'],
    ]);
    expect(notices).toEqual(['01000 permission denied to vacuum "t", skipping it']);
    const ann = await as('ann');
    await script(ann, [
      ['SELECT a FROM own', 'SELECT 1'],
      ['SELECT * FROM stays', 'SELECT'],
      ['INSERT INTO stays VALUES (1)', '42501 permission denied for table stays'],
      ['DROP TABLE own', '42501 must be owner of table own'],
    ]);
    await script(admin, [
      ['DROP ROLE bob', '2BP01 role "bob" cannot be dropped because some objects depend on it'],
      ['DROP TABLE own, copy, stays, mine.z', 'DROP'],
      ['DROP SCHEMA mine', 'DROP'],
    ]);
  });

  test('grants are granted on, warned of and revoked as in PostgreSQL, and psql reads them', async () => {
    const acl = "SELECT unnest(relacl) FROM pg_class WHERE relname = 't'";
    notices.length = 0;
    await admin.query('REVOKE ALL ON t FROM bob');
    await script(admin, [
      ['GRANT foo ON t TO ann', '42601 unrecognized privilege type "foo"'],
      ['GRANT USAGE ON t TO ann', '0LP01 invalid privilege type USAGE for table'],
      ['GRANT SELECT ON nope TO ann', '42P01 relation "nope" does not exist'],
      ['GRANT SELECT ON t TO nope', '42704 role "nope" does not exist'],
      ['GRANT SELECT, INSERT ON t TO ann WITH GRANT OPTION', 'GRANT'],
    ]);
    const ann = await as('ann');
    await script(ann, [
      ['GRANT SELECT, UPDATE ON t TO bob', 'GRANT'],
      ['GRANT ALL ON t TO bob', 'GRANT'],
    ]);
    await script(admin, [
      [acl, 'SELECT arka=arwdDxt/arka ann=a*r*/arka bob=ar/ann'],
      ['REVOKE SELECT ON t FROM ann', '2BP01 dependent privileges exist'],
      ['REVOKE GRANT OPTION FOR SELECT ON t FROM ann', '2BP01 dependent privileges exist'],
      ['REVOKE SELECT ON t FROM ann CASCADE', 'REVOKE'],
      [acl, 'SELECT arka=arwdDxt/arka ann=a*/arka bob=a/ann'],
      [
        "SELECT has_table_privilege('bob', 't', 'INSERT'), has_table_privilege('bob', 't', 'SELECT')",
        'SELECT true|false',
      ],
      ['GRANT SELECT ON ALL TABLES IN SCHEMA public TO readers; GRANT readers TO bob', 'GRANT'],
      ["SELECT pg_has_role('bob', 'readers', 'member')", 'SELECT true'],
      ['ALTER TABLE t OWNER TO ann', 'ALTER'],
      [acl, 'SELECT ann=a*rwdDxt/ann bob=a/ann readers=r/ann'],
      ['ALTER TABLE t OWNER TO arka', 'ALTER'],
    ]);
    const bob = await as('bob');
    await script(bob, [
      ['SELECT count(*) > 0 FROM t', 'SELECT true'],
      ["SELECT has_table_privilege('t', 'SELECT'), has_table_privilege('u', 'UPDATE')", 'SELECT true|false'],
      ['SET ROLE readers', 'SET'],
      ['SELECT count(*) > 0 FROM t', 'SELECT true'],
      ['RESET ROLE', 'RESET'],
      ['SELECT count(*) >= 1 FROM arka.tables', 'SELECT true'],
    ]);
    await admin.query('ALTER ROLE bob NOINHERIT');
    await script(bob, [['SELECT count(*) > 0 FROM t', '42501 permission denied for table t']]);
    expect(notices).toEqual(['01007 not all privileges were granted for "t"']);
  });

  test('roles, passwords and rights are there after a restart', async () => {
    await admin.query("CREATE ROLE lasting LOGIN PASSWORD 'pencil'; GRANT UPDATE ON u TO lasting");
    await server.stop();
    await server.db.restart();
    await server.serve();
    admin = await as('arka');
    const lasting = await as('lasting');
    await script(lasting, [
      ['UPDATE u SET b = 5', 'UPDATE'],
      ['SELECT * FROM u', '42501 permission denied for table u'],
    ]);
    expect(server.db.tiers.rights.credential('lasting', 0).doomed).toBe(false);
    await admin.query("ALTER ROLE lasting VALID UNTIL '2000-01-01'");
    expect(server.db.tiers.rights.credential('lasting', Date.now()).doomed).toBe(true);
  });
});

describe('rights on columns', () => {
  test('they are granted, used, granted on, revoked and shown as in PostgreSQL', async () => {
    const bob = await as('bob');
    notices.length = 0;
    const answers: (readonly [string, string, string])[] = [];
    for (const [who, sql] of COLUMN_RIGHTS) answers.push([who, sql, await said(who === 'bob' ? bob : admin, sql)]);
    expect(answers).toEqual(COLUMN_RIGHTS);
    expect(notices).toEqual([
      '01007 no privileges were granted for column "a" of relation "ct"',
      '01007 not all privileges were granted for column "b" of relation "ct"',
    ]);
  }, 120_000);

  test('a right on a column is none on the whole: not for COPY, the change feed, views of one’s own, or values that were bound', async () => {
    const bob = await as('bob');
    await admin.query(`CREATE TABLE w (a int PRIMARY KEY, b int, secret text); INSERT INTO w VALUES (1, 10, 's');
      GRANT SELECT (a, b), INSERT (a, b) ON w TO bob`);
    for (const sql of [
      'COPY w TO STDOUT',
      'COPY w (a, secret) TO STDOUT',
      'COPY (SELECT secret FROM w) TO STDOUT',
      'COPY w FROM STDIN',
      'COPY w (a, secret) FROM STDIN',
      "SELECT a FROM arka.changes('w', '0/0')",
      'DECLARE c CURSOR WITH HOLD FOR SELECT secret FROM w',
      'EXPLAIN ANALYZE SELECT secret FROM w',
      'EXPLAIN (FORMAT JSON) INSERT INTO w (secret) VALUES (1)',
      'SELECT w.* FROM (SELECT 1) AS x LEFT JOIN w ON true',
      'SELECT to_jsonb(w) FROM w',
      'SELECT a FROM w NATURAL JOIN (SELECT 1 AS a) AS x WHERE w.secret IS NULL',
    ])
      expect(`${sql}: ${await said(bob, sql)}`).toBe(`${sql}: 42501 permission denied for table w`);
    await bob.query('CREATE TEMP VIEW mine AS SELECT secret FROM w');
    expect(await said(bob, 'SELECT * FROM mine')).toBe('42501 permission denied for table w');
    const bound = (text: string, values: unknown[]): Promise<pg.QueryResult> => bob.query({ text, values });
    expect((await bound('SELECT a FROM w WHERE b = $1 AND a < $2', [10, 5])).rows).toEqual([{ a: 1 }]);
    await expect(bound('SELECT a FROM w WHERE secret = $1', ['s'])).rejects.toMatchObject({ code: '42501' });
    await bound('INSERT INTO w (a, b) VALUES ($1, $2)', [2, 20]);
    await expect(bound('INSERT INTO w (a, secret) VALUES ($1, $2)', [3, 'x'])).rejects.toMatchObject({ code: '42501' });
    expect(await said(bob, 'SELECT 1 / 0 FROM w WHERE secret IS NULL')).toMatch(/^(22012|42501) /);
    await admin.query('REVOKE SELECT (b) ON w FROM bob');
    await expect(bound('SELECT a FROM w WHERE b = $1 AND a < $2', [10, 5])).rejects.toMatchObject({ code: '42501' });
    const other = await as('arka');
    await other.query('PREPARE planned AS SELECT secret FROM w; SET ROLE bob');
    expect(await said(other, 'EXECUTE planned')).toBe('42501 permission denied for table w');
    await admin.query('DROP TABLE w CASCADE');
    expect([...server.db.tiers.rights.state.objects.keys()].filter((key) => key.startsWith('column'))).toEqual([]);
  });
});
