/** UPDATE, DELETE and MERGE of more rows than one portion, with rows in all tiers: portions are changed while the query goes on. */
import type { Client } from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { connect } from '../process/client.ts';
import { startServer, type ServerProcess } from '../process/server-process.ts';

/** Some portions of the rows that are changed together. */
const ROWS = 30_000;
const HOT = 20_000;

let server: ServerProcess;
let client: Client;
let other: Client;

beforeAll(async () => {
  server = await startServer({ settings: { 'memory.limit': '768MB' } });
  [client, other] = [await connect(server.url), await connect(server.url)];
}, 60_000);
afterAll(async () => {
  await client.end();
  await other.end();
  await server[Symbol.asyncDispose]();
});

/** A third of the rows in Iceberg, a third on disk, a third in memory. */
beforeEach(async () => {
  await client.query('CREATE TABLE t (id int PRIMARY KEY, v int, name text, note varchar(20), doc json)');
  const insert = (from: number, to: number): Promise<unknown> =>
    client.query(
      `INSERT INTO t SELECT g, 0, 'name ' || g, 'note', '{"a":1}' FROM generate_series(${from}, ${to - 1}) AS g`,
    );
  await insert(0, ROWS / 3);
  await client.query(`CALL arka.commit('public.t')`);
  await insert(ROWS / 3, HOT);
  await client.query(`CALL arka.flush('public.t')`);
  await insert(HOT, ROWS);
}, 60_000);
afterEach(async () => {
  await client.query('ROLLBACK');
  await other.query('ROLLBACK');
  await client.query('DROP TABLE t');
}, 60_000);

const one = async (sql: string, by = client): Promise<unknown> =>
  (await by.query({ text: sql, rowMode: 'array' })).rows[0];
const totals = (by = client): Promise<unknown> =>
  one('SELECT count(*)::int, count(DISTINCT id)::int, sum(v)::int FROM t', by);

test('a row that another transaction holds is looked at again when that has ended', async () => {
  await other.query('BEGIN');
  await other.query(`UPDATE t SET v = 100 WHERE id = 5`);
  await other.query(`DELETE FROM t WHERE id = ${HOT + 7}`);
  let answered = false;
  const updating = client.query('UPDATE t SET v = v + 1').finally(() => (answered = true));
  await sleep(300);
  expect(answered).toBe(false);
  await other.query('COMMIT');
  expect((await updating).rowCount).toBe(ROWS - 1);
  expect(await totals()).toEqual([ROWS - 1, ROWS - 1, ROWS - 1 + 100]);
  expect(await one('SELECT v FROM t WHERE id = 5')).toEqual([101]);
}, 60_000);

test('others wait for a row that it has changed, see nothing before its commit, and go on with what is there then', async () => {
  await client.query('BEGIN');
  expect((await client.query('UPDATE t SET v = v + 1 WHERE id % 2 = 0')).rowCount).toBe(ROWS / 2);
  expect(await totals(other)).toEqual([ROWS, ROWS, 0]);
  expect((await other.query('UPDATE t SET v = 10 WHERE id IN (1, 3)')).rowCount).toBe(2);
  let answered = false;
  const waiting = other.query('UPDATE t SET v = v + 10 WHERE id = 4').finally(() => (answered = true));
  await sleep(300);
  expect(answered).toBe(false);
  await client.query('COMMIT');
  await waiting;
  expect(await totals(other)).toEqual([ROWS, ROWS, ROWS / 2 + 30]);
  await expect(other.query(`INSERT INTO t VALUES (4, 0, '', '', NULL)`)).rejects.toMatchObject({ code: '23505' });
}, 60_000);

test('two that change all rows one after the other lose nothing, and a deadlock ends one of them', async () => {
  await client.query('BEGIN');
  await client.query('UPDATE t SET v = v + 1');
  const second = other.query('UPDATE t SET v = v + 1');
  await sleep(200);
  await client.query('COMMIT');
  expect((await second).rowCount).toBe(ROWS);
  expect(await totals()).toEqual([ROWS, ROWS, 2 * ROWS]);
  await client.query('BEGIN');
  await other.query('BEGIN');
  await client.query('UPDATE t SET v = 0 WHERE id < 15000');
  await other.query('UPDATE t SET v = 0 WHERE id >= 15000');
  const results = await Promise.allSettled([
    client.query('UPDATE t SET v = v + 1 WHERE id >= 15000'),
    sleep(200).then(() => other.query('UPDATE t SET v = v + 1 WHERE id < 15000')),
  ]);
  const failed = results.filter((result) => result.status === 'rejected');
  expect(failed.map(({ reason }) => (reason as { code: string }).code)).toEqual(['40P01']);
}, 60_000);

test('its own rows are changed and deleted again, inserted again, and taken back by savepoints', async () => {
  await client.query('BEGIN');
  await client.query('UPDATE t SET v = v + 1');
  await client.query('SAVEPOINT a');
  await client.query('UPDATE t SET v = v + 1 WHERE id < 25000');
  expect(await totals()).toEqual([ROWS, ROWS, ROWS + 25_000]);
  await client.query('DELETE FROM t WHERE id >= 1000');
  expect(await totals()).toEqual([1000, 1000, 2000]);
  await client.query(`INSERT INTO t VALUES (29999, 7, 'again', 'n', NULL)`);
  await expect(client.query(`INSERT INTO t VALUES (29999, 7, 'again', 'n', NULL)`)).rejects.toMatchObject({
    code: '23505',
  });
  await client.query('ROLLBACK TO a');
  expect(await totals()).toEqual([ROWS, ROWS, ROWS]);
  await client.query('DELETE FROM t WHERE id % 3 = 0');
  await client.query(`INSERT INTO t VALUES (0, 5, 'again', 'n', NULL)`);
  await client.query('UPDATE t SET v = v + 1');
  const left = ROWS - ROWS / 3;
  const after = [left + 1, left + 1, 2 * left + 6];
  expect(await totals()).toEqual(after);
  expect(await totals(other)).toEqual([ROWS, ROWS, 0]);
  await client.query('COMMIT');
  expect(await totals(other)).toEqual(after);
  await client.query(`CALL arka.commit('public.t')`);
  expect(await totals(other)).toEqual(after);
}, 90_000);

test('the keys of rows that a large DELETE takes are locked, and are its own to insert again, before and after a rollback to a savepoint', async () => {
  const insert = (id: number): string => `INSERT INTO t VALUES (${id}, 5, 'again', 'n', NULL)`;
  await client.query('BEGIN');
  await client.query('SAVEPOINT a');
  await client.query(`DELETE FROM t WHERE id < ${HOT}`);
  await client.query('ROLLBACK TO a');
  await client.query(`DELETE FROM t WHERE id >= ${ROWS - HOT}`);
  await client.query('SAVEPOINT b');
  for (const id of [ROWS - HOT + 1, ROWS - 1]) await client.query(insert(id));
  await client.query('ROLLBACK TO b');
  for (const id of [ROWS - HOT + 1, ROWS - 2]) await client.query(insert(id));
  await expect(client.query(insert(ROWS - 2))).rejects.toMatchObject({ code: '23505' });
  await client.query('ROLLBACK TO b');
  await client.query(insert(ROWS - 2));
  expect(await totals()).toEqual([ROWS - HOT + 1, ROWS - HOT + 1, 5]);
  // of the rows that the first DELETE had locked nothing is left
  await other.query(`UPDATE t SET v = 1 WHERE id = 3`);
  await other.query('BEGIN');
  await other.query(`SET LOCAL lock_timeout = '50ms'`);
  await expect(other.query(insert(ROWS - 1))).rejects.toMatchObject({ code: '55P03' });
  await other.query('ROLLBACK');
  await client.query('COMMIT');
  await other.query(insert(ROWS - 1));
  expect(await totals()).toEqual([ROWS - HOT + 2, ROWS - HOT + 2, 11]);
}, 60_000);

test('RETURNING gives each row once, new ones of INSERT and UPDATE, old ones of DELETE', async () => {
  const ids = (rows: readonly unknown[][]): number => new Set(rows.map(([id]) => id)).size;
  const run = async (text: string): Promise<unknown[][]> => (await client.query({ text, rowMode: 'array' })).rows;
  const updated = await run('UPDATE t SET v = id + 1 RETURNING id, v, note');
  expect([updated.length, ids(updated)]).toEqual([ROWS, ROWS]);
  expect(updated.every(([id, v, note]) => v === (id as number) + 1 && note === 'note')).toBe(true);
  const inserted = await run(
    `INSERT INTO t SELECT id + ${ROWS}, v, name, note, doc FROM t RETURNING id, v - ${ROWS}, upper(name)`,
  );
  expect([inserted.length, ids(inserted)]).toEqual([ROWS, ROWS]);
  const upserted = await run(
    `INSERT INTO t SELECT id, v, name, note, doc FROM t WHERE id < ${ROWS} ON CONFLICT (id) DO UPDATE SET v = -1 RETURNING id, v`,
  );
  expect([upserted.length, ids(upserted), upserted.every(([, v]) => v === -1)]).toEqual([ROWS, ROWS, true]);
  // Rows of another table stand beside those that they were joined with.
  const joined = await run(
    `UPDATE t SET v = u.v - 1 FROM t AS u WHERE u.id = t.id + ${ROWS} RETURNING t.id, u.id - ${ROWS}, t.v, u.v - 1, u.name`,
  );
  expect([joined.length, ids(joined)]).toEqual([ROWS, ROWS]);
  expect(
    joined.every(([id, same, v, new_, name]) => id === same && v === new_ && name === `name ${id as number}`),
  ).toBe(true);
  await client.query(`UPDATE t SET v = -1 WHERE id < ${ROWS}`);
  const deleted = await run(`DELETE FROM t WHERE id < ${ROWS} RETURNING id, v`);
  expect([deleted.length, ids(deleted), deleted.every(([, v]) => v === -1)]).toEqual([ROWS, ROWS, true]);
  expect(await one('SELECT count(*)::int FROM t')).toEqual([ROWS]);
}, 90_000);

test('a value that is refused late leaves nothing of the statement, and what was there before is not looked at again', async () => {
  await client.query(`UPDATE t SET note = 'short' WHERE id = 0`);
  await expect(
    client.query(`UPDATE t SET note = CASE WHEN id = 29000 THEN repeat('x', 21) ELSE note END, v = 1`),
  ).rejects.toMatchObject({ code: '22001' });
  expect(await totals()).toEqual([ROWS, ROWS, 0]);
  expect((await client.query('UPDATE t SET v = v + 2')).rowCount).toBe(ROWS);
  expect(await totals()).toEqual([ROWS, ROWS, 2 * ROWS]);
}, 60_000);

test('a statement that is cancelled at any moment has changed all rows or none, and leaves no lock', async () => {
  for (const ms of [5, 10, 20, 40, 80])
    for (const sql of ['UPDATE t SET v = v + 1', 'DELETE FROM t', 'INSERT INTO t SELECT id + 100000 FROM t']) {
      await client.query('BEGIN');
      await client.query(`SET LOCAL statement_timeout = ${ms}`);
      const outcome = await client.query(sql).then(
        ({ rowCount }) => rowCount,
        ({ code }: { code: string }) => code,
      );
      expect([ROWS, '57014']).toContain(outcome);
      await client.query('ROLLBACK');
    }
  expect(await totals()).toEqual([ROWS, ROWS, 0]);
  expect((await other.query('UPDATE t SET v = v + 1')).rowCount).toBe(ROWS);
  expect(await totals()).toEqual([ROWS, ROWS, ROWS]);
}, 90_000);

test('MERGE of many rows updates, deletes and inserts each once', async () => {
  await client.query('CREATE TABLE IF NOT EXISTS s (id int PRIMARY KEY, v int)');
  await client.query(`INSERT INTO s SELECT g, g % 3 FROM generate_series(${ROWS / 2}, ${ROWS + ROWS / 2 - 1}) AS g`);
  const { rowCount } = await client.query(
    `MERGE INTO t USING s ON t.id = s.id
     WHEN MATCHED AND s.v = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v
     WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v, 'new', 'n', NULL)`,
  );
  expect(rowCount).toBe(ROWS);
  const third = ROWS / 6;
  expect(await totals()).toEqual([ROWS + ROWS / 2 - third, ROWS + ROWS / 2 - third, 2 * third * 3]);
  await client.query('DROP TABLE s');
}, 60_000);

test('MERGE of more than a portion waits for a row that others hold, and looks at all of it again', async () => {
  await other.query('BEGIN');
  await other.query(`UPDATE t SET v = 100 WHERE id = ${ROWS - 1}`);
  const merging = client.query(
    `MERGE INTO t USING generate_series(1, ${ROWS + 99}) AS s(id) ON t.id = s.id
     WHEN MATCHED AND t.v < 100 THEN UPDATE SET v = t.v + 1 WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, 0)`,
  );
  const isWaiting = `SELECT count(*)::int FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'MERGE INTO t%'`;
  while (((await one(isWaiting, other)) as number[])[0] === 0) await sleep(5);
  await other.query('COMMIT');
  expect((await merging).rowCount).toBe(ROWS - 2 + 100);
  expect(await totals()).toEqual([ROWS + 100, ROWS + 100, ROWS - 2 + 100]);
  expect(await totals(other)).toEqual([ROWS + 100, ROWS + 100, ROWS - 2 + 100]);
}, 60_000);

test('what MERGE does with keys that it takes away and gives again does not depend on where portions end', async () => {
  const half = ROWS / 2;
  await client.query('BEGIN');
  await client.query(`SAVEPOINT before`);
  const { rowCount } = await client.query(
    `MERGE INTO t USING generate_series(0, ${ROWS - 1}) AS s(id) ON t.id = s.id AND s.id < ${half}
     WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id - ${half}, 1)`,
  );
  expect(rowCount).toBe(ROWS);
  expect(await totals()).toEqual([ROWS, ROWS, half]);
  await client.query('ROLLBACK TO before');
  expect(await totals()).toEqual([ROWS, ROWS, 0]);
  await expect(
    client.query(
      `MERGE INTO t USING generate_series(0, ${ROWS - 1}) AS s(id) ON t.id = s.id AND s.id <> 5
       WHEN MATCHED THEN UPDATE SET v = 1 WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, 1)`,
    ),
  ).rejects.toMatchObject({ code: '23505', detail: 'Key (id)=(5) already exists.' });
  await client.query('ROLLBACK');
  expect(await totals(other)).toEqual([ROWS, ROWS, 0]);
}, 60_000);

test('rows move to another table by one statement, out of all tiers, and back with those that came meanwhile', async () => {
  await client.query('CREATE TABLE moved (id int PRIMARY KEY, v int, name text, note varchar(20), doc json)');
  const move = (from: string, to: string): Promise<unknown> =>
    one(`WITH m AS (DELETE FROM ${from} WHERE id >= 0 RETURNING *), i AS (INSERT INTO ${to} SELECT * FROM m RETURNING id, v + 1)
         SELECT (SELECT count(*) FROM m)::int, (SELECT count(*) FROM i)::int, (SELECT count(*) FROM ${from})::int`);
  expect(await move('t', 'moved')).toEqual([ROWS, ROWS, ROWS]);
  expect(await totals()).toEqual([0, 0, null]);
  await client.query(`CALL arka.flush('public.moved')`);
  expect(await one(`SELECT name, doc FROM moved WHERE id = 12345`)).toEqual(['name 12345', { a: 1 }]);
  await client.query('BEGIN');
  await client.query('INSERT INTO t (id, v) VALUES (-1, 5)');
  await client.query('DELETE FROM moved WHERE id < 10');
  await move('moved', 't');
  await client.query('COMMIT');
  expect(await totals()).toEqual([ROWS - 9, ROWS - 9, 5]);
  await client.query('DROP TABLE moved');
}, 60_000);

/** Rows without a key, of some MB, in all tiers. */
async function makeBag(): Promise<void> {
  await client.query('DROP TABLE IF EXISTS bag');
  await client.query(`CREATE TABLE bag (id int, v int, name text)`);
  await client.query(`INSERT INTO bag SELECT id, v, name || repeat('.', 180) FROM t WHERE id < ${HOT}`);
  await client.query(`CALL arka.flush('public.bag')`);
  await client.query(`INSERT INTO bag SELECT id, v, name || repeat('.', 180) FROM t WHERE id >= ${HOT}`);
}
const bagTotals = (by = client): Promise<unknown> =>
  one('SELECT count(*)::int, count(DISTINCT id)::int, sum(v)::int, max(v) FROM bag', by);

test('a table without a key is changed in portions: others are waited for, and own new rows are not found again', async () => {
  await makeBag();
  await other.query('BEGIN');
  await other.query('UPDATE bag SET v = 100 WHERE id = 5');
  await other.query(`DELETE FROM bag WHERE id = ${HOT + 7}`);
  let answered = false;
  const updating = client.query('UPDATE bag SET v = v + 1').finally(() => (answered = true));
  await sleep(200);
  expect(answered).toBe(false);
  await other.query('COMMIT');
  expect((await updating).rowCount).toBe(ROWS - 1);
  expect(await bagTotals()).toEqual([ROWS - 1, ROWS - 1, ROWS - 1 + 100, 101]);
}, 60_000);

test('names of deleted rows leave memory with the log’s stream, and are read again where the stream was given up', async () => {
  await makeBag();
  const since = ((await one('SELECT pg_current_wal_lsn()')) as string[])[0];
  await client.query('BEGIN');
  await client.query('SAVEPOINT begun');
  expect((await client.query('UPDATE bag SET v = 7')).rowCount).toBe(ROWS);
  await client.query('ROLLBACK TO begun');
  expect(await bagTotals()).toEqual([ROWS, ROWS, 0, 0]);
  expect((await client.query('UPDATE bag SET v = v + 1')).rowCount).toBe(ROWS);
  await other.query(`CALL arka.flush('public.bag')`);
  expect((await client.query('UPDATE bag SET v = v + 1 WHERE id % 3 = 0')).rowCount).toBe(ROWS / 3);
  expect((await client.query('DELETE FROM bag WHERE id % 3 = 1')).rowCount).toBe(ROWS / 3);
  await client.query('COMMIT');
  const left = [(ROWS / 3) * 2, (ROWS / 3) * 2, ROWS, 2];
  expect(await bagTotals()).toEqual(left);
  const feed = `SELECT count(*) FILTER (WHERE op = 'delete')::int, count(*) FILTER (WHERE op = 'insert')::int, count(*)::int FROM arka.changes('bag', '${since}')`;
  const [deletes, inserts, all] = (await one(feed)) as number[];
  expect(deletes! - inserts!).toBe(ROWS / 3);
  expect(all).toBeGreaterThanOrEqual(ROWS);
}, 60_000);

test('in REPEATABLE READ rows are changed in portions, and a row that was changed since ends the statement', async () => {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  expect(await totals()).toEqual([ROWS, ROWS, 0]);
  await other.query(`CALL arka.flush('public.t')`);
  expect((await client.query('UPDATE t SET v = v + 1')).rowCount).toBe(ROWS);
  expect((await client.query('DELETE FROM t WHERE id % 2 = 0')).rowCount).toBe(ROWS / 2);
  expect((await client.query('UPDATE t SET v = v + 1')).rowCount).toBe(ROWS / 2);
  expect(await totals()).toEqual([ROWS / 2, ROWS / 2, ROWS]);
  await client.query('COMMIT');
  expect(await totals(other)).toEqual([ROWS / 2, ROWS / 2, ROWS]);
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await totals();
  await other.query(`UPDATE t SET v = 0 WHERE id = ${ROWS - 3}`);
  await expect(client.query('UPDATE t SET v = v + 1')).rejects.toMatchObject({ code: '40001' });
  await client.query('ROLLBACK');
  expect(await totals()).toEqual([ROWS / 2, ROWS / 2, ROWS - 2]);
}, 60_000);

test('own rows of before are found where they are, although own rows leave memory meanwhile', async () => {
  await client.query('BEGIN');
  await client.query(
    `INSERT INTO t SELECT g, 0, 'own', 'note', '{}' FROM generate_series(${ROWS}, ${ROWS + 19_999}) AS g`,
  );
  expect((await client.query(`UPDATE t SET v = v + 1, name = repeat('x', 3000) WHERE id >= ${ROWS}`)).rowCount).toBe(
    20_000,
  );
  expect(await totals()).toEqual([ROWS + 20_000, ROWS + 20_000, 20_000]);
  await client.query('COMMIT');
  expect(await totals(other)).toEqual([ROWS + 20_000, ROWS + 20_000, 20_000]);
}, 60_000);
