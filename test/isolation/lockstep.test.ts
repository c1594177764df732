/**
 * Random transactions of three sessions in lockstep on Arka and on a PostgreSQL server: after each step both have said the same, and
 * the same sessions wait. Runs where ARKA_TEST_POSTGRES names a server; LOCKSTEP_RUNS says how often.
 *
 * Left out, because the README says that it differs: ON CONFLICT DO NOTHING, a key deleted and inserted again in one transaction, and which of two
 * transactions a deadlock ends: the sequence ends there. Of two that wait PostgreSQL itself lets now one, now the other go first.
 */
import fc from 'fast-check';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';
import { WireClient } from './wire-client.ts';

const postgres = process.env['ARKA_TEST_POSTGRES'];
const SCHEMA = 'arka_lockstep';
const SESSIONS = ['a', 'b', 'c'] as const;
type Session = (typeof SESSIONS)[number];

let server: ServerProcess | null = null;
beforeAll(async () => {
  if (postgres === undefined) return;
  server = await startServer();
  for (const url of [server.url, postgres]) {
    const client = await WireClient.open(url, {});
    await client.query(`DROP TABLE IF EXISTS ${SCHEMA}.t`);
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${SCHEMA}`);
    const made = await client.query(`CREATE TABLE ${SCHEMA}.t (id bigint PRIMARY KEY, v int)`);
    if (made[0] !== 'CREATE TABLE') throw new Error(made.join('\n'));
    await client.close();
  }
}, 60_000);
afterAll(() => server?.[Symbol.asyncDispose]());

interface Step {
  readonly session: Session;
  readonly sql: string;
  /** It deletes, or inserts, this key. */
  readonly deletes?: number;
  readonly inserts?: number;
}

const id = fc.integer({ min: 1, max: 5 });
const k = fc.integer({ min: 1, max: 9 });
const of = (...texts: readonly string[]): fc.Arbitrary<Omit<Step, 'session'>> =>
  fc.constantFrom(...texts.map((sql) => ({ sql })));
const statement: fc.Arbitrary<Omit<Step, 'session'>> = fc.oneof(
  { weight: 6, arbitrary: of('BEGIN', 'BEGIN', 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'BEGIN READ ONLY') },
  { weight: 6, arbitrary: of('COMMIT', 'COMMIT', 'ROLLBACK', 'END') },
  { weight: 4, arbitrary: of('SAVEPOINT x', 'SAVEPOINT y', 'ROLLBACK TO x', 'ROLLBACK TO y', 'RELEASE x') },
  { weight: 3, arbitrary: of('SELECT * FROM t ORDER BY id', 'SELECT count(*), sum(v) FROM t', 'SELECT 1/0') },
  { weight: 6, arbitrary: fc.tuple(id, k).map(([i, n]) => ({ sql: `UPDATE t SET v = v + ${n} WHERE id = ${i}` })) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(id, k)
      .map(([i, n]) => ({ sql: `UPDATE t SET v = v * 2 WHERE id = ${i} AND v > ${n} RETURNING *` })),
  },
  { weight: 3, arbitrary: id.map((i) => ({ sql: `DELETE FROM t WHERE id = ${i}`, deletes: i })) },
  { weight: 3, arbitrary: fc.tuple(id, k).map(([i, n]) => ({ sql: `INSERT INTO t VALUES (${i}, ${n})`, inserts: i })) },
  {
    weight: 3,
    arbitrary: fc.tuple(id, k).map(([i, n]) => ({
      sql: `INSERT INTO t VALUES (${i}, ${n}) ON CONFLICT (id) DO UPDATE SET v = t.v + excluded.v`,
      inserts: i,
    })),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(id, fc.constantFrom('', '', ' NOWAIT', ' SKIP LOCKED'))
      .map(([i, wait]) => ({ sql: `SELECT * FROM t WHERE id = ${i} FOR UPDATE${wait}` })),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(id, id)
      .map(([i, j]) => ({ sql: `UPDATE t SET v = 0 WHERE id = ${i}; UPDATE t SET v = 1 WHERE id = ${j}; SELECT 1/0` })),
  },
);
const step: fc.Arbitrary<Step> = fc
  .tuple(fc.constantFrom(...SESSIONS), statement)
  .map(([session, each]) => ({ session, ...each }));

/** One server with its sessions. */
class World implements AsyncDisposable {
  readonly #clients: Readonly<Record<Session, WireClient>>;
  readonly #observer: WireClient;
  readonly #waiting = new Map<Session, Promise<readonly string[]>>();

  private constructor(clients: Readonly<Record<Session, WireClient>>, observer: WireClient) {
    this.#clients = clients;
    this.#observer = observer;
  }

  static async open(url: string): Promise<World> {
    const open = (): Promise<WireClient> => WireClient.open(url, { search_path: SCHEMA });
    const observer = await open();
    await observer.query('DELETE FROM t');
    await observer.query('INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)');
    return new World({ a: await open(), b: await open(), c: await open() }, observer);
  }

  async send(session: Session, sql: string): Promise<void> {
    this.#waiting.set(session, this.#clients[session].query(sql));
    await Promise.resolve();
  }

  isWaiting(session: Session): boolean {
    return this.#waiting.has(session);
  }

  /** What each session has said, when all that are not blocked have answered. */
  async settle(): Promise<string[]> {
    const said = new Map<Session, readonly string[]>();
    // who answers may have let another go
    for (let more = true; more;) {
      more = false;
      for (const [session, answer] of this.#waiting) {
        const client = this.#clients[session];
        while (!client.isIdle && !(await this.#isBlocked(client))) await sleep(1);
        if (!client.isIdle) continue;
        more = true;
        this.#waiting.delete(session);
        said.set(session, await answer);
      }
    }
    for (const session of this.#waiting.keys()) said.set(session, ['(waits)']);
    return [...said].sort().flatMap(([session, lines]) => lines.map((line) => `${session}: ${line}`));
  }

  async #isBlocked({ pid }: WireClient): Promise<boolean> {
    return (await this.#observer.query(`SELECT cardinality(pg_blocking_pids(${pid}))`))[0]?.trim() !== '0';
  }

  async rows(): Promise<readonly string[]> {
    return this.#observer.query('SELECT * FROM t ORDER BY id');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // all at once: one that waits ends with the one that it waits for
    await Promise.all([...Object.values(this.#clients), this.#observer].map((client) => client.close()));
  }
}

async function run(steps: readonly Step[]): Promise<void> {
  await using arka = await World.open(server!.url);
  await using other = await World.open(postgres!);
  const deleted: Record<Session, Set<number>> = { a: new Set(), b: new Set(), c: new Set() };
  const history: string[] = [];
  for (const { session, sql, deletes, inserts } of steps) {
    if (other.isWaiting(session)) continue;
    if (inserts !== undefined && deleted[session].has(inserts)) continue;
    if (deletes !== undefined) deleted[session].add(deletes);
    await arka.send(session, sql);
    await other.send(session, sql);
    history.push(`${session}> ${sql}`);
    const said = await arka.settle();
    if (said.some((line) => line.includes('40P01'))) return;
    const wanted = await other.settle();
    if (wanted.some((line) => line.includes('40P01'))) return;
    if (wanted.filter((line) => line.endsWith(': (waits)')).length > 1) return;
    expect(said, history.join('\n')).toEqual(wanted);
    history.push(...wanted.map((line) => `   ${line}`));
    if (wanted.some((line) => line === `${session}: COMMIT` || line === `${session}: ROLLBACK`))
      deleted[session].clear();
  }
  expect(await arka.rows(), history.join('\n')).toEqual(await other.rows());
}

test.runIf(postgres !== undefined)(
  'three sessions are told the same as by PostgreSQL, and wait where they wait there',
  async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), run), {
      numRuns: Number(process.env['LOCKSTEP_RUNS'] ?? 50),
      endOnFailure: process.env['LOCKSTEP_SHRINK'] === undefined,
    });
  },
  1_800_000,
);
