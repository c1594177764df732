/** COPY of arka.changes with follow => true, with a real client: all changes, once, as they come; and arka.wait_for_lsn. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { to } from 'pg-copy-streams';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cancelRequest, connect } from '../process/client.ts';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
let client: Client;
beforeAll(async () => {
  server = await startServer({ settings: { 'wal.segment_size': '1MB', 'flush.min_interval': '1ms' } });
  client = await connect(server.url);
}, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
});

const position = (text: string): number => {
  const [high, low] = text.split('/').map((part) => Number.parseInt(part, 16));
  return high! * 2 ** 32 + low!;
};

/** Follows a table on a connection of its own and keeps a copy of it. */
class Copy {
  readonly rows: Map<number, number>;
  lsn: number;
  ended: Promise<string> = Promise.resolve('not begun');
  client: Client | null = null;
  #stream: Readable | null = null;
  #rest = '';
  #told: () => void = () => {};

  constructor(rows: ReadonlyMap<number, number> = new Map(), lsn = 0) {
    this.rows = new Map(rows);
    this.lsn = lsn;
  }

  async follow(table: string, url = server.url): Promise<void> {
    this.client = await connect(url);
    this.#rest = '';
    const sql = `COPY (SELECT op, lsn, id, v FROM arka.changes('${table}', ${this.lsn}, follow => true)) TO STDOUT`;
    const stream = this.client.query(to(sql));
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => this.#take(chunk.toString()));
    this.ended = once(stream, 'end').then(
      () => 'ended',
      ({ code, message }: { code?: string; message: string }) => `${code} ${message}`,
    );
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) {
      const [op, lsn, id, v] = line.split('\t') as [string, string, string, string];
      expect(position(lsn), line).toBeGreaterThan(this.lsn); // nothing twice, nothing out of order
      this.lsn = position(lsn);
      expect(this.rows.has(Number(id)), line).toBe(op !== 'insert');
      if (op === 'delete') this.rows.delete(Number(id));
      else this.rows.set(Number(id), Number(v));
    }
    this.#told();
  }

  /** Resolves when `done`; asked with each piece of the stream. */
  until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#told = () => {
        if (done()) resolve();
      };
      this.#told();
    });
  }

  /** The process of the consumer is gone, in the middle of whatever came. */
  kill(): void {
    this.#stream?.removeAllListeners('data');
    (this.client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  }
}

const rowsOf = async (sql: string): Promise<unknown[]> => (await client.query({ text: sql, rowMode: 'array' })).rows;
const tableRows = async (table: string): Promise<Map<number, number>> =>
  new Map((await rowsOf(`SELECT id, v FROM ${table} ORDER BY id`)) as [number, number][]);

test('each transaction comes as soon as it is durable, whole and in order; rows of others and what was rolled back do not', async () => {
  await client.query('CREATE TABLE one (id int PRIMARY KEY, v int); CREATE TABLE other (id int PRIMARY KEY, v int)');
  const copy = new Copy();
  await copy.follow('one');
  await client.query('INSERT INTO one VALUES (1, 1), (2, 2)');
  await copy.until(() => copy.rows.size === 2);
  await client.query('INSERT INTO other VALUES (7, 7)');
  await client.query('BEGIN; INSERT INTO one VALUES (3, 3); ROLLBACK');
  await client.query('BEGIN; UPDATE one SET v = 20 WHERE id = 2; DELETE FROM one WHERE id = 1; COMMIT');
  await copy.until(() => copy.rows.get(2) === 20 && !copy.rows.has(1));
  expect([...copy.rows]).toEqual([[2, 20]]);
  await cancelRequest(copy.client!);
  expect(await copy.ended).toBe('57014 canceling statement due to user request');
  expect((await copy.client!.query('SELECT 1 AS still')).rows).toEqual([{ still: 1 }]);
  await copy.client!.end();
});

test('a consumer that is killed again and again and goes on after its last LSN has every change once', async () => {
  await client.query('CREATE TABLE busy (id int PRIMARY KEY, v int)');
  let writing = true;
  const writers = [0, 1, 2].map(async (part) => {
    const writer = await connect(server.url);
    for (let i = 0; writing; i++) {
      const id = part * 1000 + (i % 50);
      if (i % 7 === 3) await writer.query(`DELETE FROM busy WHERE id = ${id}`);
      else
        await writer.query(
          `BEGIN; DELETE FROM busy WHERE id = ${id}; INSERT INTO busy VALUES (${id}, ${i}), (${id + 100 + i * 3000}, ${i}); COMMIT`,
        );
      if (i % 40 === 0 && part === 0) await writer.query('CHECKPOINT');
    }
    await writer.end();
  });
  const copy = new Copy();
  for (let round = 0; round < 6; round++) {
    await copy.follow('busy');
    const from = copy.lsn;
    await copy.until(() => copy.lsn > from + 60);
    copy.kill();
  }
  writing = false;
  await Promise.all(writers);
  const rows = await tableRows('busy');
  const [[last]] = (await rowsOf(`SELECT max(lsn) FROM arka.changes('busy', 0)`)) as [[string]];
  await copy.follow('busy');
  await copy.until(() => copy.lsn === position(last));
  expect(new Map([...copy.rows].toSorted(([a], [b]) => a - b))).toEqual(rows);
  copy.kill();
}, 120_000);

test('after kill -9 of the server a consumer goes on after its last LSN: nothing lost, nothing twice', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'arka-follow-'));
  const copy = new Copy();
  try {
    for (let round = 0; round < 2; round++) {
      await using own = await startServer({ dataDir });
      const writer = await connect(own.url);
      await writer.query('CREATE TABLE IF NOT EXISTS t (id int PRIMARY KEY, v int)');
      await copy.follow('t', own.url);
      const writing = (async () => {
        for (let i = 0; ; i++) {
          await writer.query(`DELETE FROM t WHERE id = ${i % 90}`);
          await writer.query(`INSERT INTO t VALUES (${i % 90}, ${i})`);
          if (i % 60 === 59) await writer.query(i % 120 === 59 ? 'CHECKPOINT' : `CALL arka.flush('t')`);
        }
      })().catch((error: Error) => error.message);
      const from = copy.lsn;
      await copy.until(() => copy.lsn > from + 120);
      await own.kill9();
      expect(await copy.ended).not.toBe('ended');
      expect(await writing).toMatch(/terminated|closed|ECONNRESET/);
    }
    await using own = await startServer({ dataDir });
    const reader = await connect(own.url);
    const rows = (await reader.query({ text: 'SELECT id, v FROM t ORDER BY id', rowMode: 'array' })).rows;
    const [last] = (await reader.query(`SELECT max(lsn) AS lsn FROM arka.changes('t', ${copy.lsn})`)).rows as {
      lsn: string | null;
    }[];
    await copy.follow('t', own.url);
    await copy.until(() => last!.lsn === null || copy.lsn === position(last!.lsn));
    expect([...copy.rows].toSorted(([a], [b]) => a - b)).toEqual(rows);
    copy.kill();
    await reader.end();
  } finally {
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
  }
}, 120_000);

test('from a copy of the table and its position the feed goes on where the copy ends', async () => {
  await client.query('CREATE TABLE counter (id int PRIMARY KEY, v int)');
  await client.query('INSERT INTO counter SELECT i, 0 FROM generate_series(1, 20) AS i');
  let writing = true;
  const writer = (async () => {
    const own = await connect(server.url);
    for (let i = 1; writing; i++) await own.query(`UPDATE counter SET v = v + 1 WHERE id % 20 = ${i % 20}`);
    await own.end();
  })();
  for (let round = 0; round < 5; round++) {
    const snapshot = (await rowsOf('SELECT arka.current_lsn(), id, v FROM counter')) as [string, number, number][];
    const copy = new Copy(new Map(snapshot.map(([, id, v]) => [id, v])), position(snapshot[0]![0]));
    await copy.follow('counter');
    const from = copy.lsn;
    await copy.until(() => copy.lsn > from + 30);
    // every update adds one, so a change that was missed or came twice shows
    const there = (await rowsOf(
      `SELECT id, v FROM arka.changes('counter', ${from}) WHERE lsn <= '0/${copy.lsn.toString(16)}' ORDER BY lsn`,
    )) as [number, number][];
    const expected = new Map(snapshot.map(([, id, v]) => [id, v]));
    for (const [id, v] of there) {
      expect(v).toBe(expected.get(id)! + 1);
      expected.set(id, v);
    }
    copy.kill();
  }
  writing = false;
  await writer;
}, 60_000);

test('what a follower cannot do is refused, and a table that is dropped ends it', async () => {
  const refused = (sql: string): Promise<string> =>
    client.query(sql).then(
      () => 'no error',
      ({ code, message }: { code: string; message: string }) => `${code} ${message}`,
    );
  const feed = `arka.changes('one', 0, follow => true)`;
  expect(await refused(`SELECT * FROM ${feed}`)).toBe(
    '0A000 follow => true outside COPY (SELECT …) TO STDOUT is not supported',
  );
  expect(await refused(`COPY (SELECT count(*) FROM ${feed}) TO STDOUT`)).toMatch(/^0A000 function count over/);
  expect(await refused(`COPY (SELECT id FROM ${feed} ORDER BY lsn) TO STDOUT`)).toMatch(/^0A000 ORDER BY over/);
  expect(await refused(`COPY (SELECT id FROM ${feed} LIMIT 3) TO STDOUT`)).toMatch(/^0A000 LIMIT over/);
  await client.query('CREATE TABLE gone (id int PRIMARY KEY, v int); INSERT INTO gone VALUES (1, 1)');
  const copy = new Copy();
  await copy.follow('gone');
  await copy.until(() => copy.rows.size === 1);
  await client.query('DROP TABLE gone');
  expect(await copy.ended).toBe('42P01 relation "gone" does not exist');
  await copy.client!.end();
});

test('a client that does not read holds little of the server, and none of the others up', async () => {
  await client.query('CREATE TABLE wide (id int PRIMARY KEY, v text)');
  const slow = await connect(server.url);
  const stream = slow.query(to(`COPY (SELECT * FROM arka.changes('wide', 0, follow => true)) TO STDOUT`));
  await sleep(50);
  for (let i = 0; i < 40; i++)
    await client.query(`INSERT INTO wide SELECT ${i * 1000} + n, repeat('x', 1000) FROM generate_series(1, 1000) AS n`);
  expect(await rowsOf('SELECT count(*) FROM wide')).toEqual([['40000']]);
  const [[sessions]] = (await rowsOf('SELECT session_bytes FROM arka.memory')) as [[string]];
  expect(Number(sessions)).toBeLessThan(32 * 2 ** 20);
  let lines = 0;
  const all = new Promise<void>((resolve) => {
    stream.on('data', (chunk: Buffer) => {
      for (const byte of chunk) if (byte === 10) lines++;
      if (lines >= 40_000) resolve();
    });
  });
  await all;
  expect(lines).toBe(40_000);
  stream.on('error', () => {}); // it is left in the middle
  (slow as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}, 60_000);

test('arka.wait_for_lsn returns when the LSN is readable, and says 57014 when it is not in time', async () => {
  const waiting = await connect(server.url);
  const [[now]] = (await rowsOf('SELECT arka.current_lsn()')) as [[string]];
  const next = position(now) + 1;
  expect(await rowsOf(`SELECT arka.wait_for_lsn('${now}')`)).toEqual([[true]]);
  const done = waiting.query(`SELECT arka.wait_for_lsn(${next}) AS there, (SELECT count(*) FROM one) AS n`);
  await client.query('INSERT INTO one VALUES (1000, 1)');
  expect((await done).rows).toMatchObject([{ there: true }]);
  await expect(waiting.query(`SELECT arka.wait_for_lsn('F/0', 20)`)).rejects.toMatchObject({ code: '57014' });
  const cancelled = waiting.query(`SELECT arka.wait_for_lsn('F/0')`).catch(({ code }: { code: string }) => code);
  await sleep(20);
  await cancelRequest(waiting);
  expect(await cancelled).toBe('57014');
  await waiting.end();
});
