/** Texts that come again: their plans are kept, and answer as if each were planned anew. */
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KeptPlans } from '../../src/gateway/kept-plans.ts';
import type { ParsedStatement, Statement } from '../../src/planner/plan.ts';
import { RoleServer, said, script } from './role-server.ts';

let server: RoleServer;
let one: pg.Client;
let two: pg.Client;
beforeAll(async () => {
  server = await RoleServer.start();
  one = await server.as('arka');
  await one.query(`
    CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one'), (2, 'two');
    CREATE SCHEMA other; CREATE TABLE other.t (id int PRIMARY KEY, v text); INSERT INTO other.t VALUES (1, 'uno');
    CREATE ROLE ann LOGIN; GRANT SELECT ON t TO ann`);
  two = await server.as('ann');
});
afterAll(() => server.destroy());

const ROW = 'SELECT v FROM t WHERE id = $1';
const row = (client: pg.Client, id: unknown = 1): Promise<string> => said(client, ROW, [id]);

test('a kept plan of a row by its key sees definitions that others have changed since', async () => {
  const extended = 'SELECT * FROM t WHERE id = 1 AND $1';
  for (let i = 0; i < 3; i++) expect(await said(one, extended, [true])).toBe('SELECT 1|one');
  await two.query('SELECT 1');
  await one.query('ALTER TABLE t ADD COLUMN n int DEFAULT 7');
  expect(await said(one, extended, [true])).toBe('SELECT 1|one|7');
  await one.query('ALTER TABLE t RENAME COLUMN v TO w');
  expect(await row(one)).toBe('42703 column "v" does not exist');
  await one.query('ALTER TABLE t RENAME COLUMN w TO v; ALTER TABLE t DROP COLUMN n');
  expect(await row(one)).toBe('SELECT one');
});

test('a plan that is made anew takes the place of its older one, not that of another text', () => {
  const plans = new KeptPlans();
  const parsed = Array.from({ length: 16 }, (_, i) => Object.freeze({ text: `SELECT ${i}` }) as ParsedStatement);
  const statement = { kind: 'query' } as Statement;
  const first = { generation: 1, rights: 1, parameterOids: [] };
  for (const each of parsed) plans.keep(each, statement, first);
  plans.keep(parsed[5]!, statement, { ...first, generation: 2 });
  expect(parsed.map((each) => plans.find(each, first))).toEqual(parsed.map((_, i) => (i === 5 ? null : statement)));
  expect(plans.find(parsed[5]!, { ...first, generation: 2 })).toBe(statement);
});

test('in a transaction a text means its own definitions, and after ROLLBACK the old ones', async () => {
  expect(await row(one)).toBe('SELECT one');
  await one.query('BEGIN; ALTER TABLE t RENAME TO gone; CREATE TABLE t (id int PRIMARY KEY, v text)');
  await one.query("INSERT INTO t VALUES (1, 'new')");
  expect(await row(one)).toBe('SELECT new');
  await one.query('ROLLBACK');
  expect(await row(one)).toBe('SELECT one');
});

test('the search path, a temporary table and the role decide anew what a text is about', async () => {
  for (let i = 0; i < 2; i++) expect(await row(one)).toBe('SELECT one');
  await one.query('SET search_path = other');
  expect(await row(one)).toBe('SELECT uno');
  await one.query('RESET search_path');
  expect(await row(one)).toBe('SELECT one');
  await one.query("CREATE TEMP TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'own')");
  expect(await row(one)).toBe('SELECT own');
  await one.query('DROP TABLE pg_temp.t');
  expect(await row(one)).toBe('SELECT one');
});

test('a right that is taken away is asked for at the next execution', async () => {
  const denied = '42501 permission denied for table t';
  for (let i = 0; i < 2; i++) expect(await row(two)).toBe('SELECT one');
  await one.query('REVOKE SELECT ON t FROM ann');
  expect(await row(two)).toBe(denied);
  await one.query('GRANT SELECT ON t TO ann');
  expect(await row(two)).toBe('SELECT one');
  await one.query('SET ROLE ann');
  expect(await said(one, 'DELETE FROM t WHERE id = $1', [9])).toBe(denied);
  await one.query('RESET ROLE');
  expect(await said(one, 'DELETE FROM t WHERE id = $1', [9])).toBe('DELETE');
});

test('a parameter of another type makes another plan, and functions of the session answer anew', async () => {
  expect(await row(one, '2')).toBe('SELECT two');
  expect(await said(one, 'SELECT $1', ['2'])).toBe('SELECT 2');
  for (const [zone, offset] of [
    ['UTC', '+00'],
    ['Asia/Tokyo', '+09'],
  ]) {
    await one.query(`SET TIME ZONE '${zone}'`);
    await script(one, [['SHOW timezone', `SHOW ${zone}`]]);
    expect(await said(one, "SELECT current_setting('timezone')")).toBe(`SELECT ${zone}`);
    expect(await said(one, "SELECT '2026-01-01'::timestamptz::text")).toBe(`SELECT 2026-01-01 00:00:00${offset}`);
  }
  await one.query('RESET TIME ZONE');
});

test("a literal 'now' is the time of each execution", async () => {
  const sql = "SELECT 'now'::timestamptz::text";
  const first = await said(one, sql);
  await new Promise((resolve) => setTimeout(resolve, 3));
  expect(await said(one, sql)).not.toBe(first);
});

test('a row is read anew after each write of its own transaction and of others', async () => {
  await one.query('BEGIN');
  expect(await row(one)).toBe('SELECT one');
  await one.query("UPDATE t SET v = 'mine' WHERE id = 1");
  expect(await row(one)).toBe('SELECT mine');
  expect(await row(two)).toBe('SELECT one');
  await one.query('COMMIT');
  expect(await row(two)).toBe('SELECT mine');
  await two.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  expect(await row(two, 2)).toBe('SELECT two');
  await one.query("UPDATE t SET v = 'later'");
  expect(await row(two, 2)).toBe('SELECT two');
  await two.query('COMMIT');
  expect(await row(two, 2)).toBe('SELECT later');
});

test('a table that is to be dropped is waited for, and is gone then', async () => {
  await one.query(
    'CREATE TABLE brief (id int PRIMARY KEY); INSERT INTO brief VALUES (1); GRANT SELECT ON brief TO ann',
  );
  const sql = 'SELECT id FROM brief WHERE id = $1';
  for (let i = 0; i < 2; i++) expect(await said(two, sql, [1])).toBe('SELECT 1');
  await one.query('BEGIN; DROP TABLE brief');
  const waiting = said(two, sql, [1]);
  await one.query('COMMIT');
  expect(await waiting).toBe('42P01 relation "brief" does not exist');
  await two.query('BEGIN');
  expect(await row(two)).toBe('SELECT later');
  const dropped = one.query('BEGIN; ALTER TABLE t ADD COLUMN m int; COMMIT');
  const first = await Promise.race([dropped.then(() => 'altered'), new Promise((resolve) => setTimeout(resolve, 50))]);
  expect(first).toBeUndefined();
  await two.query('COMMIT');
  await dropped;
});
