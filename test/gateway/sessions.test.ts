/**
 * What sessions say to each other and of themselves, byte for byte as the protocol has it: notifications, sleep, cancel and terminate,
 * settings, the views about them. A conversation is `> ` what the client sends and the messages that come back.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';
import { message, queryMessage } from '../process/wire-connection.ts';
import { Talker } from './talker.ts';

let server: ServerProcess;
const open: Talker[] = [];

beforeAll(async () => {
  server = await startServer();
}, 60_000);
afterAll(async () => {
  for (const talker of open) await talker.end();
  await server[Symbol.asyncDispose]();
});

async function talker(settings: Record<string, string> = {}): Promise<Talker> {
  const made = await Talker.connect(server.url, settings);
  open.push(made);
  return made;
}

test('a transaction is heard once it is committed, in its order, each text once, by an idle session at once', async () => {
  const [one, two] = [await talker(), await talker()];
  expect(await one.query('LISTEN news')).toEqual(['C LISTEN', 'Z I']);
  expect(await two.query("BEGIN; LISTEN other; NOTIFY news, 'a'; NOTIFY news, 'b'; NOTIFY news, 'a'")).toEqual([
    'C BEGIN',
    'C LISTEN',
    'C NOTIFY',
    'C NOTIFY',
    'C NOTIFY',
    'Z T',
  ]);
  expect(await two.query("SAVEPOINT s; NOTIFY news, 'gone'; ROLLBACK TO s; NOTIFY news")).toEqual([
    'C SAVEPOINT',
    'C NOTIFY',
    'C ROLLBACK',
    'C NOTIFY',
    'Z T',
  ]);
  expect(one.heard).toEqual([]);
  expect(await two.query('COMMIT')).toEqual(['C COMMIT', 'Z I']);
  expect(await one.hears(3)).toEqual([`A ${two.pid} news a`, `A ${two.pid} news b`, `A ${two.pid} news `]);
  // one's own come before ReadyForQuery, and those of a session in a transaction after it
  expect(await one.query("SELECT pg_notify('news', 'own')")).toEqual([
    'T pg_notify:2278',
    'D ',
    'C SELECT 1',
    `A ${one.pid} news own`,
    'Z I',
  ]);
  await one.query('BEGIN');
  await two.query("NOTIFY news, 'later'");
  expect(await one.query('SELECT 1 AS x')).toEqual(['T x:23', 'D 1', 'C SELECT 1', 'Z T']);
  expect(await one.query('ROLLBACK')).toEqual(['C ROLLBACK', `A ${two.pid} news later`, 'Z I']);
  await two.query("BEGIN; NOTIFY news, 'never'; ROLLBACK");
  expect(await one.query('UNLISTEN *')).toEqual(['C UNLISTEN', 'Z I']);
  expect(await two.query('NOTIFY news')).toEqual(['C NOTIFY', 'Z I']);
  expect(await one.query('SELECT count(*) FROM pg_listening_channels()')).toEqual([
    'T count:20',
    'D 0',
    'C SELECT 1',
    'Z I',
  ]);
});

test('what NOTIFY cannot say is refused', async () => {
  const one = await talker();
  expect(await one.query("SELECT pg_notify('', 'x')")).toContain('E 22023 channel name cannot be empty');
  expect(await one.query(`SELECT pg_notify('${'c'.repeat(64)}', 'x')`)).toContain('E 22023 channel name too long');
  expect(await one.query(`NOTIFY n, '${'p'.repeat(8000)}'`)).toContain('E 22023 payload string too long');
  expect(await one.query("SELECT 1 WHERE pg_notify('n', 'x') IS NULL")).toContain(
    'E 0A000 pg_notify() inside an expression is not supported',
  );
});

test('many sessions sleep at once, and each is woken by cancel, by its timeout or by the end of its sleep', async () => {
  const sleepers = await Promise.all(Array.from({ length: 20 }, () => talker()));
  const boss = await talker();
  const sleeping = sleepers.map((each, i) =>
    each.query(i < 10 ? 'SELECT pg_sleep(600)' : "SELECT pg_sleep_for('5 ms')"),
  );
  await boss.until(`SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%600%'`, 'D 10');
  for (const { pid } of sleepers.slice(0, 9))
    expect(await boss.query(`SELECT pg_cancel_backend(${pid})`)).toContain('D t');
  expect(await boss.query(`SELECT pg_terminate_backend(${sleepers[9]!.pid})`)).toContain('D t');
  const ended = await Promise.all(sleeping);
  for (const said of ended.slice(0, 9)) expect(said).toContain('E 57014 canceling statement due to user request');
  expect(ended[9]).toContain('E 57P01 terminating connection due to administrator command');
  for (const said of ended.slice(10)) expect(said).toEqual(['T pg_sleep_for:2278', 'D ', 'C SELECT 1', 'Z I']);
  expect(await boss.query('SELECT pg_cancel_backend(-1)')).toEqual([
    'T pg_cancel_backend:16',
    'N 01000 PID -1 is not a PostgreSQL server process',
    'D f',
    'C SELECT 1',
    'Z I',
  ]);
  await boss.query('SET statement_timeout = 20');
  expect(await boss.query('SELECT pg_sleep(600)')).toContain('E 57014 canceling statement due to statement timeout');
});

test('a session that waits for a row shows what it waits for, and ends when it is cancelled', async () => {
  const [one, two, boss] = [await talker(), await talker(), await talker()];
  await one.query('CREATE TABLE waited (id int PRIMARY KEY, v int)');
  await one.query('INSERT INTO waited VALUES (1, 1)');
  await one.query('BEGIN; UPDATE waited SET v = 2 WHERE id = 1; SELECT pg_advisory_lock(7)');
  const waiting = two.query('UPDATE waited SET v = 3 WHERE id = 1');
  await boss.until(`SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active'`, 'D 1');
  expect(
    await boss.query(`SELECT locktype, mode, granted FROM pg_locks WHERE pid = ${two.pid} AND NOT granted`),
  ).toContain('D transactionid|ShareLock|f');
  expect(
    await boss.query(
      `SELECT locktype, mode, relation::regclass::text FROM pg_locks WHERE pid = ${one.pid} ORDER BY 1, 2`,
    ),
  ).toEqual(expect.arrayContaining(['D advisory|ExclusiveLock|NULL', 'D relation|RowExclusiveLock|waited']));
  expect(await boss.query(`SELECT pg_cancel_backend(${two.pid})`)).toContain('D t');
  expect(await waiting).toContain('E 57014 canceling statement due to user request');
  expect(await one.query('ROLLBACK')).toEqual(['C ROLLBACK', 'Z I']);
});

test('a cancel ends a statement that waits for a table, a COPY whose client says nothing, and no statement behind them', async () => {
  const [one, two, boss] = [await talker(), await talker(), await talker()];
  await boss.query('CREATE TABLE held (id int, v text)');
  await boss.query('BEGIN; LOCK TABLE held');
  const waits = async (): Promise<void> =>
    one.until(`SELECT count(*) FROM pg_stat_activity WHERE pid = ${two.pid} AND wait_event_type = 'Lock'`, 'D 1');
  for (const _ of [1, 2]) {
    const waiting = two.query('SELECT * FROM held');
    await waits();
    await one.query(`SELECT pg_cancel_backend(${two.pid})`);
    expect(await waiting).toEqual(['E 57014 canceling statement due to user request', 'Z I']);
  }
  await boss.query('COMMIT');
  const copying = two.send(Buffer.concat([queryMessage('COPY held FROM STDIN'), message('d', '1\tone\n2\t')]));
  await one.until(`SELECT count(*) FROM pg_stat_activity WHERE pid = ${two.pid} AND query LIKE 'COPY%'`, 'D 1');
  while (!(await one.query(`SELECT pg_cancel_backend(${two.pid})`)).includes('D t'));
  expect(await copying).toEqual(['G', 'E 57014 canceling statement due to user request', 'Z I']);
  // what it sent meanwhile is nothing to PostgreSQL, either
  const more = [message('d', 'two\n'), message('c'), queryMessage('SELECT count(*) FROM held')];
  expect(await two.send(Buffer.concat(more))).toEqual(['T count:20', 'D 0', 'C SELECT 1', 'Z I']);
});

test('settings are checked by their type, reported when they change, and go back with their transaction', async () => {
  const one = await talker({ application_name: 'talk' });
  expect(await one.query("SET application_name = 'other'")).toEqual(['C SET', 'S application_name=other', 'Z I']);
  expect(await one.query("BEGIN; SET TimeZone = 'Asia/Tokyo'; SET work_mem = '16MB'")).toEqual([
    'C BEGIN',
    'C SET',
    'C SET',
    'S TimeZone=Asia/Tokyo',
    'Z T',
  ]);
  expect(await one.query("SAVEPOINT s; SET TimeZone = 'UTC'; ROLLBACK TO s")).not.toContain('S TimeZone=UTC');
  expect(await one.query('ROLLBACK')).toEqual(['C ROLLBACK', 'S TimeZone=UTC', 'Z I']);
  expect(await one.query('SHOW work_mem')).toEqual(['T work_mem:25', 'D 4MB', 'C SHOW', 'Z I']);
  for (const [sql, error] of [
    ['SET work_mem = 1', '22023 1 kB is outside the valid range for parameter "work_mem" (64 .. 2097151)'],
    ["SET work_mem = '1 parsec'", '22023 invalid value for parameter "work_mem": "1 parsec"'],
    ['SET enable_sort = maybe', '22023 parameter "enable_sort" requires a Boolean value'],
    ['SET client_min_messages = loud', '22023 invalid value for parameter "client_min_messages": "loud"'],
    ['SET nothing = 1', '42704 unrecognized configuration parameter "nothing"'],
    ['SHOW nothing', '42704 unrecognized configuration parameter "nothing"'],
    ['SET fsync = off', '55P02 parameter "fsync" cannot be changed now'],
    ['SET server_version = 1', '55P02 parameter "server_version" cannot be changed'],
    ['SET standard_conforming_strings = off', '0A000 standard_conforming_strings = off is not supported'],
  ])
    expect(await one.query(sql!), sql).toContain(`E ${error}`);
  await one.query("SET app.tenant = 'x'; SET statement_timeout = '90s'");
  expect(
    await one.query(`SELECT name, setting, source FROM pg_settings
      WHERE name IN ('statement_timeout', 'work_mem', 'app.tenant') ORDER BY 1`),
  ).toEqual([
    'T name:25|setting:25|source:25',
    'D app.tenant|x|session',
    'D statement_timeout|90000|session',
    'D work_mem|4096|default',
    'C SELECT 3',
    'Z I',
  ]);
  const all = await one.query('SHOW ALL');
  expect(all).toContain('D statement_timeout|90s|Sets the maximum allowed duration of any statement.');
  expect(all.at(-2)).toBe('C SHOW');
  expect(await one.query('SET work_mem TO DEFAULT')).toEqual(['C SET', 'Z I']);
  expect(await one.query('RESET work_mem')).toEqual(['C RESET', 'Z I']);
  expect(await one.query('DROP TABLE IF EXISTS nowhere')).toEqual([
    'N 00000 table "nowhere" does not exist, skipping',
    'C DROP TABLE',
    'Z I',
  ]);
  expect(await one.query('SET client_min_messages = error; DROP TABLE IF EXISTS nowhere; COMMIT')).toEqual([
    'C SET',
    'C DROP TABLE',
    'C COMMIT',
    'Z I',
  ]);
  expect(await one.query('DISCARD ALL')).toEqual(['C DISCARD ALL', 'S application_name=talk', 'Z I']);
  expect(await one.query('SHOW statement_timeout')).toContain('D 0');
});

test('statements and cursors are listed, whichever way they were made', async () => {
  const one = await talker();
  await one.query('PREPARE by_sql (int) AS SELECT $1');
  expect(await one.extended({ statement: 'by_message', sql: 'SELECT 1 AS x' })).toEqual(['1', 'Z I']);
  expect(await one.query('EXECUTE by_message')).toEqual(['T x:23', 'D 1', 'C SELECT 1', 'Z I']);
  expect(await one.query('SELECT name, parameter_types, from_sql FROM pg_prepared_statements ORDER BY 1')).toEqual([
    'T name:25|parameter_types:2211|from_sql:16',
    'D by_message|{}|f',
    'D by_sql|{integer}|t',
    'C SELECT 2',
    'Z I',
  ]);
  // PostgreSQL shows all of the message that a statement came in
  await one.query('/* two */ PREPARE first AS SELECT 1; PREPARE second AS SELECT 2 ;');
  expect(
    await one.query("SELECT DISTINCT statement FROM pg_prepared_statements WHERE name IN ('first', 'second')"),
  ).toEqual([
    'T statement:25',
    'D /* two */ PREPARE first AS SELECT 1; PREPARE second AS SELECT 2 ;',
    'C SELECT 1',
    'Z I',
  ]);
  await one.query('DECLARE held SCROLL CURSOR WITH HOLD FOR SELECT g FROM generate_series(1, 3) g');
  expect(await one.query('SELECT name, is_holdable, is_scrollable FROM pg_cursors')).toContain('D held|t|t');
  // the protocol's Execute takes rows of a cursor by its name, and a Bind may not take that
  expect(await one.execute('held', 2)).toEqual(['D 1', 'D 2', 's', 'Z I']);
  expect(await one.query('FETCH ALL held')).toEqual(['T g:23', 'D 3', 'C FETCH 1', 'Z I']);
  expect(await one.bind('held', 'by_message')).toEqual(['E 42P03 cursor "held" already exists', 'Z I']);
});
