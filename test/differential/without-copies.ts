/**
 * A scenario on a server with `planner.fallback_rows = 0`, as if its tables were large: what PostgreSQL would answer over copies of few
 * rows is 0A000 then, or the engine's own answer, which must be the same.
 *
 * - N1 0A000 is allowed wherever PostgreSQL answers. What it should have written is brought over from PostgreSQL; a block ends on both.
 * - N2 Where that does not succeed, because a definition was refused, the rest of the scenario is left out.
 */
import { isDeepStrictEqual } from 'node:util';
import { comparable, move, newSchema, plain, prepare, type Difference, type Scenario, type Tier } from './compare.ts';
import type { Outcome, Session, Step } from './wire.ts';

export interface WithoutCopies {
  readonly found: readonly Difference[];
  /** Steps that were compared, that were refused, and that were left out. */
  readonly compared: number;
  readonly refused: number;
  readonly leftOut: number;
}

export async function withoutCopies(
  arka: Session,
  oracle: Session,
  scenario: Scenario,
  tier: Tier,
): Promise<WithoutCopies> {
  const schema = newSchema();
  const found: Difference[] = [];
  const counts = { compared: 0, refused: 0 };
  const { steps } = scenario;
  let i = 0;
  try {
    await prepare(oracle, scenario, schema);
    if (!(await prepare(arka, scenario, schema).then(() => true, isRefusal)))
      return { found, ...counts, leftOut: steps.length };
    await move(arka, schema, tier);
    for (; i < steps.length; i++) {
      const step = steps[i]!;
      const [wanted, seen] = [await oracle.run(step), await arka.run(step)];
      counts.compared++;
      const [expected, given] = [comparable(step, plain(wanted, schema)), comparable(step, plain(seen, schema))];
      if (isDeepStrictEqual(given, expected)) continue;
      if (seen.error?.['code'] !== '0A000') found.push({ step, arka: given, oracle: expected });
      else counts.refused++;
      if (!(await alike(arka, oracle, schema, step, wanted))) break;
    }
    return { found, ...counts, leftOut: Math.max(0, steps.length - i - 1) };
  } finally {
    for (const session of [arka, oracle])
      for (const sql of ['ROLLBACK', 'DISCARD ALL', `DROP SCHEMA IF EXISTS ${schema} CASCADE`]) await session.run(sql);
  }
}

/** @throws what else kept the tables from being made */
function isRefusal(error: unknown): false {
  if (!String(error).includes('0A000')) throw error;
  return false;
}

const READS = /^\s*(?:select|table|values|show|fetch|close|explain|\()/i;

/** Both sides have the same rows again; false: they have not. */
async function alike(arka: Session, oracle: Session, schema: string, step: Step, wanted: Outcome): Promise<boolean> {
  const sql = typeof step === 'string' ? step : step.sql;
  if (wanted.status !== 'I') {
    await oracle.run('ROLLBACK');
    await arka.run('ROLLBACK');
    return true;
  }
  if (READS.test(sql) && !/\binto\b|nextval|setval/i.test(sql)) return true;
  if (/^\s*(?:create|alter|drop|declare|prepare|deallocate|set|reset)\b/i.test(sql)) return false;
  await arka.run('ROLLBACK');
  const tables = await oracle.run(`SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = '${schema}'`);
  for (const [table] of tables.rows) {
    const { rows } = await oracle.run(`SELECT * FROM ${schema}."${table!}"`);
    const data = rows.map((row) => `${row.map(copyText).join('\t')}\n`).join('');
    if ((await arka.run(`DELETE FROM ${schema}."${table!}"`)).error !== null) return false;
    if ((await arka.run({ sql: `COPY ${schema}."${table!}" FROM STDIN`, data })).error !== null) return false;
  }
  const sequences = await oracle.run(
    `SELECT sequencename, last_value, start_value FROM pg_catalog.pg_sequences WHERE schemaname = '${schema}'`,
  );
  for (const [name, last, start] of sequences.rows)
    await arka.run(`SELECT setval('${schema}."${name!}"', ${last ?? start!}, ${last !== null})`);
  return true;
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

const copyText = (value: string | null): string =>
  value === null ? '\\N' : value.replaceAll(/[\\\t\n\r]/g, (char) => ESCAPES[char]!);
