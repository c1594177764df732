/**
 * Random transactions of three sessions in lockstep on Arka and on a PostgreSQL server: after each step both have said the same, and
 * the same sessions wait. Runs where ARKA_TEST_POSTGRES names a server; LOCKSTEP_RUNS says how often.
 *
 * Left out, because the README says that it differs: ON CONFLICT DO NOTHING, a key deleted and inserted again in one transaction, and which of two
 * transactions a deadlock ends: the sequence ends there. Of two that wait PostgreSQL itself lets now one, now the other go first.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSocket, type Outcome } from '../differential/wire.ts';
import { Side } from '../model/side.ts';
import { startServer, type ServerProcess } from '../process/server-process.ts';

const postgres = process.env['ARKA_TEST_POSTGRES'];
const SCHEMA = 'arka_lockstep';
const SESSIONS = ['a', 'b', 'c'] as const;
type Session = (typeof SESSIONS)[number];

let server: ServerProcess | null = null;
let arka: Side | null = null;
let other: Side | null = null;
beforeAll(async () => {
  if (postgres === undefined) return;
  server = await startServer();
  const settings = { search_path: SCHEMA, options: '-c deadlock_timeout=1ms' };
  arka = new Side('Arka', () => openSocket('Arka', server!.url, settings));
  other = new Side('PostgreSQL', () => openSocket('PostgreSQL', postgres, settings));
  for (const side of [arka, other]) {
    await side.observe(`DROP TABLE IF EXISTS ${SCHEMA}.t`);
    await side.observe(`CREATE SCHEMA IF NOT EXISTS ${SCHEMA}`);
    const { error } = await side.observe(`CREATE TABLE ${SCHEMA}.t (id bigint PRIMARY KEY, v int)`);
    if (error !== null) throw new Error(JSON.stringify(error));
  }
}, 60_000);
afterAll(async () => {
  for (const side of [arka, other]) await (await side?.session('observer'))?.close();
  await server?.[Symbol.asyncDispose]();
});

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

/** The statement's answer, or that it waits, and what others that waited have been told since. */
async function play(side: Side, session: Session, sql: string): Promise<string[]> {
  const said = new Map<string, Outcome | null>();
  const answer = await side.run(session, sql);
  for (const [other, outcome] of await side.settled()) said.set(other, outcome);
  for (const other of side.waiting) said.set(other, null);
  if (answer !== null) said.set(session, answer);
  return [...said].toSorted().flatMap(([name, outcome]) => textOf(outcome).map((line) => `${name}: ${line}`));
}

function textOf(outcome: Outcome | null): string[] {
  if (outcome === null) return ['(waits)'];
  const { notices, rows, tag, error, status } = outcome;
  const { code, message, detail, hint } = error ?? {};
  return [
    ...notices,
    ...rows.map((row) => row.join(' | ')),
    ...[tag, code, message, detail, hint].filter((line) => line != null),
    status,
  ];
}

async function begin(side: Side): Promise<void> {
  for (const sql of [`SET search_path = ${SCHEMA}`, 'DELETE FROM t', 'INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)'])
    expect((await side.observe(sql)).error).toBe(null);
}

async function run(steps: readonly Step[]): Promise<void> {
  for (const side of [arka!, other!]) await begin(side);
  const deleted: Record<Session, Set<number>> = { a: new Set(), b: new Set(), c: new Set() };
  const history: string[] = [];
  try {
    for (const { session, sql, deletes, inserts } of steps) {
      if (other!.isWaiting(session)) continue;
      if (inserts !== undefined && deleted[session].has(inserts)) continue;
      if (deletes !== undefined) deleted[session].add(deletes);
      const said = await play(arka!, session, sql);
      const wanted = await play(other!, session, sql);
      history.push(`${session}> ${sql}`);
      if ([...said, ...wanted].some((line) => line.includes('40P01'))) return;
      if (wanted.filter((line) => line.endsWith(': (waits)')).length > 1) return;
      expect(said, history.join('\n')).toEqual(wanted);
      history.push(...wanted.map((line) => `   ${line}`));
      if (wanted.some((line) => line === `${session}: COMMIT` || line === `${session}: ROLLBACK`))
        deleted[session].clear();
    }
    const [seen, wanted] = await Promise.all(
      [arka!, other!].map((side) => side.observe('SELECT * FROM t ORDER BY id')),
    );
    expect(seen!.rows, history.join('\n')).toEqual(wanted!.rows);
  } finally {
    await Promise.all([arka!.forget(), other!.forget()]);
  }
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
