/** kill -9 of a server while clients run migrations, again and again over one data directory. CRASH_ROUNDS: how often. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { afterAll, expect, test } from 'vitest';
import { connectTo } from './real-load.ts';
import { startServer } from './server-process.ts';

const ROUNDS = Number(process.env['CRASH_ROUNDS'] ?? 2);
const ROWS = 200;
const dataDir = mkdtempSync(join(tmpdir(), 'arka-kill-'));
afterAll(() => rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 }));

type State = 'none' | 'made' | 'altered' | 'dropped';
/** What is acknowledged of a table, and what was on its way when the server was killed. */
interface Known {
  done: State;
  sent: State;
}

const STEPS: readonly { readonly to: State; readonly sql: (name: string) => string[] }[] = [
  {
    to: 'made',
    sql: (name) => [
      'BEGIN',
      `CREATE TABLE ${name} (id bigserial PRIMARY KEY, v int NOT NULL)`,
      `INSERT INTO ${name} (v) SELECT i FROM generate_series(1, ${ROWS}) AS s(i)`,
      'COMMIT',
    ],
  },
  {
    to: 'altered',
    sql: (name) => [
      'BEGIN',
      `ALTER TABLE ${name} ADD COLUMN n int DEFAULT 7 NOT NULL`,
      `UPDATE ${name} SET v = v + 1000`,
      `SAVEPOINT s; ALTER TABLE ${name} DROP COLUMN v; ROLLBACK TO s`,
      `CREATE TABLE ${name}_log AS SELECT id FROM ${name}`,
      'COMMIT',
    ],
  },
  { to: 'dropped', sql: (name) => ['BEGIN', `DROP TABLE ${name}, ${name}_log`, 'COMMIT'] },
];

async function migrate(client: Client, prefix: string, book: Map<string, Known>, isOver: () => boolean): Promise<void> {
  for (let n = 0; !isOver(); n++) {
    const name = `${prefix}_${n}`;
    const known: Known = { done: 'none', sent: 'none' };
    book.set(name, known);
    for (const { to, sql } of n % 3 === 0 ? STEPS : STEPS.slice(0, 2)) {
      known.sent = to;
      for (const each of sql(name)) await client.query(each);
      known.done = to;
    }
  }
}

/** What a table looks like. */
async function stateOf(client: Client, name: string): Promise<string> {
  const rows = async (sql: string): Promise<string> => {
    try {
      return ((await client.query<{ state: string }>(sql)).rows[0] ?? { state: '' }).state;
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  const bare = await rows(`SELECT count(*) || ' ' || coalesce(sum(v), 0) AS state FROM ${name}`);
  const altered = await rows(`SELECT count(n) || ' ' || coalesce(sum(n), 0) AS state FROM ${name}`);
  const log = await rows(`SELECT count(*)::text AS state FROM ${name}_log`);
  return [bare, altered, log].join(', ');
}

const sum = (ROWS * (ROWS + 1)) / 2;
/** By what was done, and what was on its way: its own outcome, and what a crash between catalog and log leaves (M-3). */
const MADE = `${ROWS} ${sum}, 42703, 42P01`;
const ALTERED = `${ROWS} ${sum + ROWS * 1000}, ${ROWS} ${ROWS * 7}, ${ROWS}`;
const GONE = '42P01, 42P01, 42P01';
const FINAL: Readonly<Record<State, string>> = { none: GONE, made: MADE, altered: ALTERED, dropped: GONE };
const HALF: Readonly<Record<State, readonly string[]>> = {
  none: [],
  made: ['0 0, 42703, 42P01'],
  altered: [`${ROWS} ${sum}, 0 0, 0`],
  dropped: [],
};

test(
  'M-3: after kill -9 during migrations each is there whole, or not at all, or without its rows; what was acknowledged is there',
  async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const book = new Map<string, Known>();
      {
        await using server = await startServer({
          dataDir,
          settings: { 'flush.min_interval': '100ms', 'iceberg.min_interval': '200ms' },
        });
        let over = false;
        const clients = await Promise.all([0, 1].map(() => connectTo(server.url)));
        const errors: string[] = [];
        const loops = clients.map((client, i) =>
          migrate(client, `r${round}_${i}`, book, () => over).catch((error: Error) => errors.push(error.message)),
        );
        await sleep(3000 + round * 700);
        over = true;
        await server.kill9();
        await Promise.all(loops);
        expect(errors.filter((message) => !/terminated|ECONN|closed|not queryable/i.test(message))).toEqual([]);
      }
      await using server = await startServer({ dataDir });
      const client = await connectTo(server.url);
      const wrong: string[] = [];
      for (const [name, { done, sent }] of book) {
        const found = await stateOf(client, name);
        const fine = sent === done ? [FINAL[done]] : [FINAL[done], FINAL[sent], ...HALF[sent]];
        if (!fine.includes(found)) wrong.push(`${name}: ${done} → ${sent}: ${found}`);
      }
      expect(wrong).toEqual([]);
      expect(book.size).toBeGreaterThan(0);
      await client.end();
    }
  },
  ROUNDS * 120_000,
);
