/** H5: one reader that stands still never stops ingestion. A whole server at the least memory there is. */
import { once } from 'node:events';
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { message, RawClient, STARTUP } from '../wire/fake-gateway.ts';
import { startServer, type ServerProcess } from './server-process.ts';

const wide = 'x'.repeat(16_000);
const ROWS_PER_COPY = 1200; // 19 MB
let server: ServerProcess;
let client: Client;
beforeAll(async () => {
  server = await startServer({ settings: { 'memory.limit': '768MB' } });
  client = new Client({ connectionString: server.url });
  await client.connect();
}, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
});

async function copy(table: string, first: number, rows = ROWS_PER_COPY, name = wide): Promise<void> {
  const stream = client.query(copyFrom(`COPY ${table} FROM STDIN`));
  for (let id = first; id < first + rows; id++) if (!stream.write(`${id}\t${name}\n`)) await once(stream, 'drain');
  stream.end();
  await once(stream, 'finish');
}

const MANY_ROWS = 80_000;
/** 39 chunks of the engine, about half of which it reads ahead of a client; one large COPY would go to disk. */
async function copyManyRows(table: string): Promise<void> {
  for (let first = 0; first < MANY_ROWS; first += 10_000) await copy(table, first, 10_000, 'x'.repeat(300));
}

async function memory(): Promise<Record<string, number>> {
  const { rows } = await client.query<Record<string, string>>('SELECT * FROM arka.memory');
  return Object.fromEntries(Object.entries(rows[0]!).map(([name, value]) => [name, Number(value)]));
}

const startup = Buffer.from(STARTUP.toString('latin1').replace('user\0a\0', 'user\0arka\0'), 'latin1');
startup.writeInt32BE(startup.length, 0);
const port = (): number => Number(new URL(server.url).port);
const query = (text: string): Buffer => message('Q', `${text}\0`);

/** A portal that has given ten rows. */
async function suspendedPortal(sql = 'SELECT id, name FROM t'): Promise<RawClient> {
  const reader = new RawClient(port());
  reader.socket.write(Buffer.concat([startup, query('BEGIN')]));
  await reader.until((c) => c.types().endsWith('CZ'));
  const parse = message('P', `\0${sql}\0\0\0`);
  const bind = message('B', '\0\0\0\0\0\0\0\0');
  const execute = message('E', '\0\0\0\0\x0a');
  reader.socket.write(Buffer.concat([parse, bind, execute, message('H')]));
  await reader.until((c) => c.types().endsWith('s'));
  return reader;
}

/** A client that asks for everything and reads nothing. */
async function deafClient(): Promise<RawClient> {
  const reader = new RawClient(port());
  reader.socket.write(startup);
  await reader.until((c) => c.types().endsWith('Z'));
  reader.socket.write(query('SELECT id, name FROM t'));
  await reader.until((c) => c.types().includes('D'));
  reader.socket.pause();
  return reader;
}

test.each([
  ['a suspended portal', () => suspendedPortal(), message('E', '\0\0\0\0\0')],
  ['a client that does not read', deafClient, Buffer.alloc(0)],
])(
  'H5: %s gives way with 72000 to a writer of several times the memory for rows, who hears nothing of it',
  async (_, open, goOn) => {
    await client.query('CREATE TABLE t (id bigint PRIMARY KEY, name text)');
    await client.query('CREATE TABLE w (id bigint PRIMARY KEY, name text)');
    await copyManyRows('t');
    const reader = await open();
    const { slab_budget_bytes: budget } = await memory();
    for (let written = 0; written < 2 * budget!; written += ROWS_PER_COPY * wide.length) await copy('w', written);
    const { pins, retired_bytes: retired, session_bytes: sessions } = await memory();
    expect({ pins, retired }).toEqual({ pins: 0, retired: 0 });
    expect(sessions).toBeLessThan(20_000_000); // one chunk of the engine;
    reader.socket.resume();
    if (goOn.length > 0) reader.socket.write(goOn);
    await reader.until((c) => c.received.includes('C72000\0Msnapshot too old\0'));
    reader.socket.destroy();
    await client.query('DROP TABLE t');
    await client.query('DROP TABLE w');
  },
  120_000,
);

test('H5: a suspended portal that has read all of memory, as for a sort, holds none of it, and goes on after any amount of writes', async () => {
  await client.query('CREATE TABLE t (id bigint PRIMARY KEY, name text)');
  await client.query('CREATE TABLE w (id bigint PRIMARY KEY, name text)');
  await copyManyRows('t');
  const reader = await suspendedPortal('SELECT id, length(name) FROM t ORDER BY id');
  const { slab_budget_bytes: budget } = await memory();
  for (let written = 0; written < 2 * budget!; written += ROWS_PER_COPY * wide.length) await copy('w', written);
  const { retired_bytes: retired, pins } = await memory();
  expect({ pins, retired }).toEqual({ pins: 1, retired: 0 });
  reader.socket.write(Buffer.concat([message('E', '\0\0\0\0\0'), message('S'), query('ROLLBACK')]));
  await reader.until((c) => c.types().endsWith('CZ'));
  expect(reader.received.includes(`SELECT ${MANY_ROWS - 10}\0`)).toBe(true);
  reader.socket.destroy();
  await client.query('DROP TABLE t');
  await client.query('DROP TABLE w');
}, 120_000);

test('V5: session_bytes of arka.memory counts the line of a COPY that has not come to its end', async () => {
  await client.query('CREATE TABLE long (id bigint, name text)');
  const writer = new Client({ connectionString: server.url });
  await writer.connect();
  const { session_bytes: before } = await memory();
  const stream = writer.query(copyFrom('COPY long FROM STDIN'));
  stream.write(`1\t${wide}`);
  for (let i = 0; i < 400; i++) if (!stream.write(wide)) await once(stream, 'drain');
  const bytes = 401 * wide.length;
  let held = 0;
  while (held < bytes - 100_000) held = (await memory())['session_bytes']! - before!;
  expect(held).toBeLessThan(bytes * 2.1 + 1_000_000);
  stream.end('\n2\tx\n');
  await once(stream, 'finish');
  const { rows } = await client.query('SELECT id, length(name) FROM long ORDER BY id');
  expect(rows.map(({ length }) => length)).toEqual([bytes, 1]);
  const { session_bytes: after } = await memory();
  expect(after! - before!).toBeLessThan(200_000);
  await writer.end();
  await client.query('DROP TABLE long');
}, 60_000);
