/**
 * The same statements on Arka and on PostgreSQL: rows, tags, columns and errors must be equal.
 *
 * PostgreSQL is the server that ARKA_TEST_POSTGRES names (postgresql://user@host:port/database), without it PGlite. Each run of
 * a scenario has a schema of its own on both sides, so that scenarios may share a server.
 */
import { isDeepStrictEqual } from 'node:util';
import { openPglite, openSocket, type Outcome, type Session, type Step } from './wire.ts';

export interface Scenario {
  readonly title: string;
  /** Tables and rows, before the rows move. */
  readonly setup: readonly string[];
  readonly steps: readonly Step[];
  /** Left out: all. */
  readonly tiers?: readonly Tier[];
}

/** Where a scenario's rows are when its steps begin; `mixed`: they move between any two steps. */
export type Tier = 'memory' | 'disk' | 'Iceberg' | 'mixed';
export const TIERS: readonly Tier[] = ['memory', 'disk', 'Iceberg', 'mixed'];

export function openOracle(): Promise<Session> {
  const url = process.env['ARKA_TEST_POSTGRES'];
  return url === undefined ? openPglite() : openSocket('PostgreSQL', url);
}

/** What is compared of an outcome: rows in an order of their own where the statement gives none. */
export function comparable(step: Step, { columns, rows, tag, error, status }: Outcome): unknown {
  const sql = typeof step === 'string' ? step : step.sql;
  const sorted = /\border\s+by\b/i.test(sql)
    ? rows
    : rows.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  // A failed statement may have described its columns before.
  return error === null ? { columns, rows: sorted, tag, status } : { error, status };
}

let nextSchema = 1;

export const newSchema = (): string => `differential_${process.pid}_${nextSchema++}`;

export async function prepare(session: Session, scenario: Scenario, schema: string): Promise<void> {
  for (const sql of [`CREATE SCHEMA ${schema}`, `SET search_path = ${schema}`, ...scenario.setup]) {
    const { error } = await session.run(sql);
    if (error !== null) throw new Error(`${session.name}: ${sql}: ${JSON.stringify(error)}`);
  }
}

export async function move(arka: Session, schema: string, tier: Tier): Promise<void> {
  if (tier === 'Iceberg') await arka.run('CHECKPOINT');
  if (tier !== 'disk') return;
  const { rows } = await arka.run(`SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = '${schema}'`);
  for (const [table] of rows) await arka.run(`CALL arka.flush('${schema}.${table}')`);
}

/** What PostgreSQL says to each step. */
export async function expectedOf(oracle: Session, scenario: Scenario): Promise<readonly Outcome[]> {
  const schema = newSchema();
  await prepare(oracle, scenario, schema);
  const outcomes: Outcome[] = [];
  for (const step of scenario.steps) outcomes.push(await oracle.run(step));
  await oracle.run('ROLLBACK');
  await oracle.run('DISCARD TEMP'); // it would hide the next scenario's tables
  await oracle.run(`DROP SCHEMA ${schema} CASCADE`);
  return outcomes.map((outcome) => plain(outcome, schema));
}

/** Without the names of schemas: its own, and the session's for what is temporary. */
export function plain(outcome: Outcome, schema: string): Outcome {
  return JSON.parse(
    JSON.stringify(outcome)
      .replaceAll(schema, 'schema')
      .replaceAll(/pg_temp_\d+/g, 'pg_temp'),
  ) as Outcome;
}

const MOVES: readonly Tier[] = ['memory', 'disk', 'Iceberg'];

export interface Difference {
  readonly step: Step;
  readonly arka: unknown;
  readonly oracle: unknown;
}

/** Runs the scenario on Arka; the steps in which it differs from what PostgreSQL said. */
export async function differences(
  arka: Session,
  scenario: Scenario,
  expected: readonly Outcome[],
  tier: Tier,
): Promise<readonly Difference[]> {
  const schema = newSchema();
  await prepare(arka, scenario, schema);
  await move(arka, schema, tier);
  const found: Difference[] = [];
  for (const [i, step] of scenario.steps.entries()) {
    const outcome = await arka.run(step);
    const seen = comparable(step, plain(outcome, schema));
    const wanted = comparable(step, expected[i]!);
    if (!isDeepStrictEqual(seen, wanted)) found.push({ step, arka: seen, oracle: wanted });
    if (tier === 'mixed' && outcome.status === 'I') await move(arka, schema, MOVES[i % MOVES.length]!);
  }
  await arka.run('ROLLBACK');
  await arka.run('DISCARD TEMP');
  await arka.run('SET search_path = public');
  return found;
}
