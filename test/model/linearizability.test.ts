/**
 * Single-row operations of several connections at once are linearizable: each takes effect at one moment between its begin and its end,
 * also over flushes, commits and a kill of the server. MODEL_SEED chooses another run.
 */
import fc from 'fast-check';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isLinearizable, type Operation } from './linearizability.ts';

describe('the checker', () => {
  const append = (value: string, begin: number, end: number): Operation => ({ kind: 'append', value, begin, end });
  const read = (value: string, begin: number, end: number): Operation => ({ kind: 'read', value, begin, end });
  test.each<[string, Operation[], boolean]>([
    ['a read after an append sees it', [append('a', 1, 2), read('a;', 3, 4)], true],
    ['a read after an append that does not see it', [append('a', 1, 2), read('', 3, 4)], false],
    ['a read beside an append may or may not see it', [append('a', 1, 4), read('', 2, 3)], true],
    ['two reads in turn that go back', [append('a', 1, 6), read('a;', 2, 3), read('', 4, 5)], false],
    ['two appends in the wrong order', [append('a', 1, 2), append('b', 3, 4), read('b;a;', 5, 6)], false],
    ['a lost append', [append('a', 1, 4), append('b', 2, 3), read('b;', 5, 6)], false],
    ['an append without an answer, seen', [append('a', 1, Infinity), read('a;', 2, 3)], true],
    [
      'an append without an answer, seen and then not',
      [append('a', 1, Infinity), read('a;', 2, 3), read('', 4, 5)],
      false,
    ],
  ])('%s', (_, history, expected) => {
    expect(isLinearizable(history)).toBe(expected);
  });
});

const dataDir = mkdtempSync(join(tmpdir(), 'arka-linear-'));
const settings = { 'iceberg.min_interval': '100ms', 'flush.min_interval': '100ms' };
let server: ServerProcess;
beforeAll(async () => {
  server = await startServer({ dataDir, settings });
}, 90_000);
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 });
});

const KEYS = [1, 2, 3];
const CLIENTS = 6;
const OPERATIONS = 25;

interface Recorder {
  moment: number;
  next: number;
  readonly histories: ReadonlyMap<number, Operation[]>;
}

async function open(): Promise<Client> {
  const client = new Client({ connectionString: server.url });
  client.on('error', () => {});
  await client.connect();
  return client;
}

type Choice = {
  readonly key: number;
  readonly what: 'read' | 'read by predicate' | 'append' | 'append in a block' | 'upsert';
};

/** Begins and ends are numbered by one counter: who had ended before another began has the lower number. */
async function operate(client: Client, recorder: Recorder, table: string, { key, what }: Choice): Promise<void> {
  const begin = recorder.moment++;
  const value = `${recorder.next++}`;
  const history = recorder.histories.get(key)!;
  try {
    if (what.startsWith('read')) {
      const where = what === 'read' ? `k = ${key}` : `abs(k) = ${key}`;
      const { rows } = await client.query<{ list: string }>(`SELECT list FROM ${table} WHERE ${where}`);
      history.push({ kind: 'read', value: rows[0]?.list ?? '', begin, end: recorder.moment++ });
      return;
    }
    const update = `UPDATE ${table} SET list = list || '${value};' WHERE k = ${key}`;
    const upsert = `INSERT INTO ${table} AS t VALUES (${key}, '${value};') ON CONFLICT (k) DO UPDATE SET list = t.list || excluded.list`;
    const text = what === 'append' ? update : what === 'upsert' ? upsert : `BEGIN; ${update}; COMMIT`;
    const results = [await client.query(text)].flat();
    if (!results.some(({ rowCount }) => rowCount === 1)) throw new Error(`${text}: no row`);
    history.push({ kind: 'append', value, begin, end: recorder.moment++ });
  } catch (error) {
    if (!what.startsWith('read')) history.push({ kind: 'append', value, begin, end: Infinity });
    throw error;
  }
}

async function work(recorder: Recorder, table: string, choices: readonly Choice[]): Promise<void> {
  const client = await open();
  try {
    for (const choice of choices) await operate(client, recorder, table, choice);
  } finally {
    await client.end().catch(() => {});
  }
}

const anyChoice: fc.Arbitrary<Choice> = fc.record({
  key: fc.constantFrom(...KEYS),
  what: fc.constantFrom('read', 'read', 'read by predicate', 'append', 'append', 'append in a block', 'upsert'),
});

async function record(table: string, seed: number, kill: boolean): Promise<Recorder> {
  const recorder = { moment: 0, next: 0, histories: new Map(KEYS.map((key) => [key, []])) };
  const sampled = fc.sample(fc.array(anyChoice, { minLength: OPERATIONS, maxLength: OPERATIONS }), {
    seed,
    numRuns: CLIENTS,
  });
  const mover = await open();
  await mover.query(`CREATE TABLE ${table} (k int PRIMARY KEY, list text NOT NULL)`);
  await mover.query(`INSERT INTO ${table} SELECT g, '' FROM generate_series(1, ${KEYS.length}) g`);
  const working = Promise.allSettled(sampled.map((choices) => work(recorder, table, choices)));
  let over = false;
  void working.then(() => (over = true));
  for (let i = 0; !over; i++) {
    if (kill && recorder.next > (CLIENTS * OPERATIONS) / 2) {
      await server.kill9();
      break;
    }
    await mover.query(i % 2 === 0 ? `CALL arka.flush('${table}')` : 'CHECKPOINT');
  }
  await mover.end().catch(() => {});
  const results = await working;
  if (kill) server = await startServer({ dataDir, settings });
  else expect(results.map(({ status }) => status)).toEqual(results.map(() => 'fulfilled'));
  // what is there at the end is read by one more
  await work(
    recorder,
    table,
    KEYS.map((key) => ({ key, what: 'read' })),
  );
  return recorder;
}

const seed = Number(process.env['MODEL_SEED'] ?? 1);
test.each([
  ['reads and appends of several connections are linearizable while rows move', 'moving', false],
  ['… and over a kill of the server, which may have taken those it did not answer', 'killed', true],
])(
  '%s',
  async (_, table, kill) => {
    const { histories } = await record(table, seed, kill);
    for (const [key, history] of histories) {
      expect(history.length).toBeGreaterThan(10);
      expect(isLinearizable(history), `key ${key}: ${JSON.stringify(history)}`).toBe(true);
    }
  },
  120_000,
);
