/** COMMIT that waits for what is done to its tables, a flush or a commit that a store keeps waiting: it ends when its session wants it to. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Table } from '../../src/storage/table.ts';
import { RoleServer, said, script } from './role-server.ts';

let server: RoleServer;
let client: pg.Client;
let other: pg.Client;
beforeAll(async () => {
  server = await RoleServer.start();
  client = await server.as('arka');
  other = await server.as('arka');
}, 60_000);
afterAll(() => server.destroy());

let made = 0;
let name = '';
const table = (): Table => server.db.table(name);
beforeEach(async () => {
  name = `t${made++}`;
  await client.query(`CREATE TABLE ${name} (id bigint PRIMARY KEY); INSERT INTO ${name} VALUES (1), (2)`);
});

/** What is said to `work` while the table's lane is held. */
async function held<T>(work: () => Promise<T>): Promise<T> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const lane = server.db.tiers.database.inLane(table(), () => promise);
  try {
    return await work();
  } finally {
    resolve();
    await lane;
  }
}

/** What is said to a statement that is cancelled, from a moment on, until it has ended. */
async function cancelled(sql = 'COMMIT', from: Promise<void> = Promise.resolve()): Promise<string> {
  const { processID, secretKey } = client as pg.Client & { readonly processID: number; readonly secretKey: number };
  const request = Buffer.alloc(16);
  [16, 80_877_102, processID, secretKey].forEach((value, i) => request.writeInt32BE(value, i * 4));
  let answer = '';
  void said(client, sql).then((text) => (answer = text));
  await from;
  while (answer === '') {
    const socket = connect(server.listener.port, '127.0.0.1', () => socket.end(request)).resume();
    await once(socket, 'close');
  }
  return answer;
}

test('COMMIT of a TRUNCATE ends with lock_timeout, and the transaction with it: rows, settings and locks are as before', async () => {
  await held(async () => {
    await client.query(`SET lock_timeout = '5ms'; SET application_name = 'before'`);
    await client.query(`BEGIN; SET application_name = 'never'; TRUNCATE ${name}; INSERT INTO ${name} VALUES (3)`);
    await script(client, [
      ['COMMIT', '55P03 canceling statement due to lock timeout'],
      ['SHOW application_name', 'SHOW before'],
      [`SELECT id FROM ${name} ORDER BY id`, 'SELECT 1 2'],
    ]);
    expect(await said(other, `INSERT INTO ${name} VALUES (4)`)).toBe('INSERT');
  });
  await client.query('SET lock_timeout = 0');
  expect(await said(client, `TRUNCATE ${name}`)).toBe('TRUNCATE');
  expect(await said(client, `SELECT count(*) FROM ${name}`)).toBe('SELECT 0');
});

test('so it does by a cancel, and a TRUNCATE of its own by statement_timeout', async () => {
  await held(async () => {
    await client.query(`BEGIN; TRUNCATE ${name}`);
    expect(await cancelled()).toBe('57014 canceling statement due to user request');
    await client.query(`SET statement_timeout = '5ms'`);
    expect(await said(client, `TRUNCATE ${name}`)).toBe('57014 canceling statement due to statement timeout');
    await client.query('SET statement_timeout = 0');
    expect(await said(client, `SELECT count(*) FROM ${name}`)).toBe('SELECT 2');
  });
});

test('so does what a definition waits for, and nothing is defined', async () => {
  await held(async () => {
    await client.query(`SET lock_timeout = '5ms'`);
    for (const sql of [`DROP TABLE ${name}`, `ALTER TABLE ${name} RENAME TO other`])
      expect(await said(client, sql)).toBe('55P03 canceling statement due to lock timeout');
    await client.query('SET lock_timeout = 0');
    await client.query(`BEGIN; DROP TABLE ${name}; CREATE TABLE new (a int)`);
    expect(await cancelled()).toBe('57014 canceling statement due to user request');
    await script(client, [
      [`SELECT count(*) FROM ${name}`, 'SELECT 2'],
      ['SELECT * FROM new', '42P01 relation "new" does not exist'],
    ]);
  });
  expect(await said(client, `DROP TABLE ${name}`)).toBe('DROP');
});

test('an ALTER that moves what is in memory before it changes the shape of rows ends by a cancel and by statement_timeout, and has changed nothing', async () => {
  const add = `ALTER TABLE ${name} ADD COLUMN v int`;
  await held(async () => {
    expect(await cancelled(add)).toBe('57014 canceling statement due to user request');
    await client.query(`SET statement_timeout = '5ms'`);
    expect(await said(client, add)).toBe('57014 canceling statement due to statement timeout');
    await client.query('SET statement_timeout = 0');
    await client.query(`BEGIN; INSERT INTO ${name} VALUES (3)`);
    expect(await cancelled(add)).toBe('57014 canceling statement due to user request');
    await client.query('ROLLBACK');
    expect(await said(other, `INSERT INTO ${name} VALUES (4)`)).toBe('INSERT');
  });
  await script(client, [
    [`SELECT * FROM ${name} ORDER BY id`, 'SELECT 1 2 4'],
    [add, 'ALTER'],
    [`SELECT id FROM ${name} WHERE v IS NULL ORDER BY id`, 'SELECT 1 2 4'],
  ]);
});

test('so it does while it has the table alone, and others go on when it has ended', async () => {
  const { database } = server.db.tiers;
  const moving = Promise.withResolvers<void>();
  const { promise, resolve } = Promise.withResolvers<void>();
  const { flushHeld } = database;
  database.commit = () => Promise.resolve(); // what is moved before anybody waits
  database.flushHeld = async (...given) => {
    moving.resolve();
    await promise;
    return flushHeld.apply(database, given);
  };
  try {
    const ended = cancelled(`ALTER TABLE ${name} ADD COLUMN v int`, moving.promise);
    expect(await ended).toBe('57014 canceling statement due to user request');
    expect(await said(other, `SELECT count(*) FROM ${name}`)).toBe('SELECT 2');
    expect(await said(other, `INSERT INTO ${name} VALUES (4)`)).toBe('INSERT');
  } finally {
    resolve();
    Reflect.deleteProperty(database, 'commit');
    Reflect.deleteProperty(database, 'flushHeld');
  }
  await script(client, [
    [`ALTER TABLE ${name} ADD COLUMN v int`, 'ALTER'],
    [`SELECT id FROM ${name} WHERE v IS NULL ORDER BY id`, 'SELECT 1 2 4'],
  ]);
});
