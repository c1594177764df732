/** Views over a real server: what they read, what depends on them, and that they outlive it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type DatabaseError } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'arka-views-'));
let server: ServerProcess;
let client: Client;
let notices: string[] = [];

async function connect(): Promise<void> {
  server = await startServer({ dataDir });
  client = new Client({ connectionString: server.url });
  client.on('notice', ({ message, detail }) => notices.push([message, detail].filter(Boolean).join('\n')));
  client.on('error', () => undefined);
  await client.connect();
}

beforeAll(async () => {
  await connect();
  await client.query(
    `CREATE TABLE t (id int PRIMARY KEY, a text, b numeric(10,2), ts timestamptz, d date, f float8, j jsonb)`,
  );
  await client.query(`INSERT INTO t SELECT g, 'x' || g % 3, g * 1.5, '2026-01-01'::timestamptz + g * interval '1 hour',
    '2026-01-01'::date + g, g / 3.0, json_build_object('k', g)::jsonb FROM generate_series(1, 20) g`);
}, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
  rmSync(dataDir, { recursive: true, force: true });
});

const rowsOf = async (sql: string): Promise<unknown[][]> =>
  (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows;

async function errorOf(sql: string): Promise<readonly (string | undefined)[]> {
  return client.query(sql).then(
    () => ['none'],
    ({ code, message, detail }: DatabaseError) => [code, message, ...(detail === undefined ? [] : [detail])],
  );
}

/** What PostgreSQL prints of a view it must be able to read again, and mean the same. */
test.each([
  'SELECT * FROM t',
  `SELECT a, count(*), sum(b) AS total FROM t WHERE id > 2 AND a IN ('x0', 'x1') GROUP BY a`,
  `WITH c AS (SELECT a, max(b) m FROM t GROUP BY a) SELECT t.id, c.m, CASE WHEN id > 5 THEN 'big' ELSE 'small' END AS size FROM t JOIN c USING (a)`,
  `SELECT id, row_number() OVER (PARTITION BY a ORDER BY id DESC) rn, sum(f) OVER w AS sf FROM t WINDOW w AS (ORDER BY id ROWS 1 PRECEDING)`,
  `SELECT id::text AS x FROM t UNION ALL SELECT a FROM t EXCEPT SELECT '3'`,
  `SELECT extract(year FROM ts) y, date_trunc('day', ts) dt, ts AT TIME ZONE 'UTC' u, d + 1 AS dn, d - date '2026-01-01' AS dd, ts BETWEEN '2026-01-01' AND '2027-01-01' AS btw FROM t`,
  `SELECT j->>'k' AS k, a LIKE 'x%' AS l, a ~ '^x[12]$' AS r, a || '-' || id AS c, coalesce(a, 'n') AS co, nullif(id, 3) AS nu, id IN (1, 2, 3) AS i, id IS DISTINCT FROM 3 AS df, substring(a from 1 for 1) AS ss, trim(a) AS tr, a ILIKE 'X%' AS il FROM t`,
  `SELECT DISTINCT ON (a) a, id FROM t WHERE EXISTS (SELECT 1 FROM t u WHERE u.id = t.id AND u.a = 'x1') OR id = ANY ('{1,2}') ORDER BY a, id DESC LIMIT 5`,
  `SELECT string_agg(a, ',' ORDER BY id) AS s, array_agg(id ORDER BY id) FILTER (WHERE id < 4) AS f, avg(b) AS av FROM t`,
  `SELECT a, count(*) FROM t GROUP BY ROLLUP (a) HAVING count(*) > 2`,
  `SELECT t.id, l.x FROM t, LATERAL (SELECT t.id * 2 AS x) l LEFT JOIN t t2 ON t2.id = l.x`,
  `VALUES (1, 'a'), (2, 'b')`,
  `WITH RECURSIVE r(id) AS (SELECT id FROM t WHERE id = 1 UNION ALL SELECT r.id % 3 + 1 FROM r) CYCLE id SET c TO 'it''s' DEFAULT 'no' USING p SELECT id, c FROM r`,
  `SELECT relname FROM pg_class WHERE relname = 't'`,
  'SELECT count(*) AS n FROM arka.tables',
  `SELECT current_user AS me, now()::date = current_date AS today`,
])('a view shows what its query shows: %s', async (query) => {
  await client.query(`DROP VIEW IF EXISTS shown; CREATE VIEW shown AS ${query}`);
  const [direct, viewed] = [await rowsOf(query), await rowsOf('SELECT * FROM shown')];
  expect(viewed.map((row) => JSON.stringify(row)).sort()).toEqual(direct.map((row) => JSON.stringify(row)).sort());
  await client.query('DROP VIEW shown');
});

test('a view is read as a table is: joined, renamed, in subqueries, with parameters, by other statements', async () => {
  await client.query(`CREATE VIEW small (n, label) AS SELECT id, a FROM t WHERE id <= 4`);
  expect(await rowsOf('SELECT s.n, t.f FROM small s JOIN t ON t.id = s.n + 2 ORDER BY 1')).toHaveLength(4);
  expect(await rowsOf('SELECT public.small.label FROM public.small WHERE public.small.n = 2')).toEqual([['x2']]);
  expect(await rowsOf('SELECT z.x FROM small z (x) WHERE y IS NULL IS NOT NULL LIMIT 1').catch(() => 'y')).toBe('y');
  expect(await rowsOf('SELECT x FROM small z (x) ORDER BY 1 DESC LIMIT 1')).toEqual([[4]]);
  const { rows } = await client.query('SELECT label FROM small WHERE n = $1', ['3']);
  expect(rows).toEqual([{ label: 'x0' }]);
  expect(await rowsOf('WITH small AS (SELECT 7 AS seven) SELECT * FROM small')).toEqual([[7]]);
  await client.query('CREATE TABLE other AS SELECT * FROM small');
  await client.query(`INSERT INTO other SELECT n + 10, label FROM small WHERE n < 3`);
  await client.query(`UPDATE other SET label = 'seen' FROM small WHERE small.n = other.n`);
  await client.query('DELETE FROM other WHERE n IN (SELECT n FROM small WHERE n > 2)');
  expect(await rowsOf('SELECT * FROM other ORDER BY n')).toEqual([
    [1, 'seen'],
    [2, 'seen'],
    [11, 'x1'],
    [12, 'x2'],
  ]);
  const { fields } = await client.query('SELECT n FROM small');
  const [[oid]] = (await rowsOf(`SELECT 'small'::regclass::oid::int8`)) as [[string]];
  expect([fields[0]!.tableID, fields[0]!.columnID]).toEqual([Number(oid), 1]);
  await client.query('DROP TABLE other');
});

test('what a view needs cannot go without it, in PostgreSQL’s words', async () => {
  await client.query(`CREATE TABLE base (id int, a text); CREATE VIEW above AS SELECT a FROM base`);
  await client.query('CREATE VIEW higher AS SELECT upper(a) AS a FROM above');
  const both = 'view above depends on table base\nview higher depends on view above';
  expect(await errorOf('DROP TABLE base')).toEqual([
    '2BP01',
    'cannot drop table base because other objects depend on it',
    both,
  ]);
  expect(await errorOf('DROP VIEW above')).toEqual([
    '2BP01',
    'cannot drop view above because other objects depend on it',
    'view higher depends on view above',
  ]);
  expect((await errorOf('ALTER TABLE base DROP COLUMN a'))[0]).toBe('2BP01');
  expect(await errorOf('ALTER TABLE base ALTER COLUMN a TYPE varchar(10)')).toEqual([
    '0A000',
    'cannot alter type of a column used by a view or rule',
    'rule _RETURN on view above depends on column "a"',
  ]);
  await client.query(`ALTER TABLE base ALTER COLUMN id TYPE bigint`);
  notices = [];
  await client.query('ALTER TABLE base DROP COLUMN a CASCADE');
  expect(notices).toEqual([
    'drop cascades to 2 other objects\ndrop cascades to view above\ndrop cascades to view higher',
  ]);
  expect(await rowsOf(`SELECT viewname FROM pg_views WHERE schemaname = 'public'`)).toEqual([['small']]);
  await client.query('CREATE VIEW above AS SELECT id FROM base');
  await client.query('DROP TABLE base CASCADE');
  expect((await errorOf('SELECT * FROM above'))[0]).toBe('42P01');
});

test('a view follows what it reads to another name', async () => {
  await client.query(`CREATE TABLE named (id int, a text); INSERT INTO named VALUES (1, 'one')`);
  await client.query('CREATE SCHEMA away; CREATE VIEW follows AS SELECT * FROM named');
  await client.query('ALTER TABLE named RENAME COLUMN a TO b');
  await client.query('ALTER TABLE named RENAME TO renamed');
  await client.query('ALTER TABLE renamed SET SCHEMA away');
  expect(await rowsOf('SELECT a FROM follows')).toEqual([['one']]);
  await client.query('ALTER VIEW follows RENAME COLUMN a TO c');
  await client.query('ALTER VIEW follows RENAME TO followed');
  expect(await rowsOf('SELECT c FROM followed')).toEqual([['one']]);
  expect((await rowsOf(`SELECT pg_get_viewdef('followed'::regclass)`))[0]![0]).toContain(
    'b AS c\n   FROM away.renamed',
  );
});

test('OR REPLACE keeps the columns there are, as PostgreSQL asks for', async () => {
  expect(await errorOf('CREATE OR REPLACE VIEW followed AS SELECT id FROM away.renamed')).toEqual([
    '42P16',
    'cannot drop columns from view',
  ]);
  await client.query('CREATE OR REPLACE VIEW followed AS SELECT id * 2 AS id, b AS c, 1 AS one FROM away.renamed');
  expect(await rowsOf('SELECT * FROM followed')).toEqual([[2, 'one', 1]]);
  expect((await errorOf('CREATE VIEW followed AS SELECT 1'))[0]).toBe('42P07');
  expect((await errorOf('CREATE TABLE followed (a int)'))[0]).toBe('42P07');
  expect((await errorOf('CREATE VIEW t AS SELECT 1'))[0]).toBe('42P07');
  expect(await errorOf('DROP TABLE followed')).toEqual(['42809', '"followed" is not a table']);
  expect(await errorOf('TRUNCATE followed')).toEqual(['42809', '"followed" is not a table']);
  expect((await errorOf('CREATE VIEW wrong AS SELECT nosuch FROM t'))[0]).toBe('42703');
  expect((await errorOf('CREATE MATERIALIZED VIEW m AS SELECT 1'))[0]).toBe('0A000');
});

test('views are part of a transaction, savepoints included, and nobody else sees them before COMMIT', async () => {
  const other = new Client({ connectionString: server.url });
  await other.connect();
  await client.query('BEGIN; CREATE TABLE inside (a int); INSERT INTO inside VALUES (1), (2)');
  await client.query('CREATE VIEW within AS SELECT sum(a) AS s FROM inside; SAVEPOINT one; DROP VIEW within');
  await expect(client.query('ROLLBACK TO one; SELECT * FROM within')).resolves.toBeDefined();
  await expect(other.query('SELECT * FROM within')).rejects.toMatchObject({ code: '42P01' });
  await client.query('COMMIT');
  expect((await other.query('SELECT * FROM within')).rows).toEqual([{ s: '3' }]);
  await client.query('BEGIN; DROP TABLE inside CASCADE; ROLLBACK');
  expect((await other.query('SELECT * FROM within')).rows).toEqual([{ s: '3' }]);
  await other.end();
});

test('a schema goes with the views in it and those above it', async () => {
  expect((await errorOf('DROP SCHEMA away'))[0]).toBe('2BP01');
  notices = [];
  await client.query('DROP SCHEMA away CASCADE');
  expect(notices).toEqual([
    'drop cascades to 2 other objects\ndrop cascades to table away.renamed\ndrop cascades to view followed',
  ]);
});

test('views are there after kill -9, above rows in every tier', async () => {
  await client.query('CHECKPOINT');
  await client.query(`INSERT INTO t (id, a) VALUES (-1, 'new')`);
  const before = await rowsOf('SELECT * FROM small ORDER BY 1');
  expect(before).toHaveLength(5);
  await server.kill9();
  await client.end().catch(() => undefined);
  await connect();
  expect(await rowsOf('SELECT * FROM small ORDER BY 1')).toEqual(before);
  expect(await rowsOf('SELECT * FROM within')).toEqual([['3']]);
  await client.query('CREATE TABLE later (a int)');
  expect(await rowsOf('SELECT count(DISTINCT oid) = count(*) FROM pg_class')).toEqual([[true]]);
}, 60_000);
