// Question: is Arka as fast as it promises to be, beside PostgreSQL on the same machine, disk and table? Unit: per row of goals.ts.
// Run: npm run bench -- [row …] [--seconds 3] [--rounds 3] [--postgres URL]
//
// All rows, without names: the results are written to test/bench/RESULTS.md. With names of rows, they are printed only.
// PostgreSQL is given by --postgres or BENCH_POSTGRES_URL (default postgresql://postgres@127.0.0.1:5499/postgres), as a superuser whom
// it trusts. With Debian's packages one starts like this, with its defaults, which have fsync on, on the disk of TMPDIR:
//   apt-get install postgresql-15
//   install -d -o postgres "${TMPDIR:-/tmp}/bench-postgres" && cd "${TMPDIR:-/tmp}/bench-postgres"
//   runuser -u postgres -- /usr/lib/postgresql/15/bin/initdb -D data -A trust
//   runuser -u postgres -- /usr/lib/postgresql/15/bin/pg_ctl -D data -l log -w -o '-p 5499 -k /tmp' start
// Rounds alternate (A B B A …), so that a slow minute of the disk hits both. The client is test/bench/raw-client.ts.
import { writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ROWS, type Options, type Row } from './goals.ts';
import { cells, machine, resultsPage, type Result } from './report.ts';
import { describePostgres, type SystemName } from './systems.ts';
import type { Measure } from './workloads.ts';

const RESULTS = fileURLToPath(new URL('RESULTS.md', import.meta.url));

const { values: given, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    postgres: {
      type: 'string',
      default: process.env['BENCH_POSTGRES_URL'] ?? 'postgresql://postgres@127.0.0.1:5499/postgres',
    },
  },
});
const options: Options = { seconds: Number(given.seconds), postgres: given.postgres };
const roundCount = Number(given.rounds);
if (!(options.seconds > 0) || !(roundCount >= 1)) fail('--seconds and --rounds take numbers of at least 1');
const unknown = names.filter((name) => !ROWS.some((row) => row.name === name));
if (unknown.length > 0) fail(`there is no row ${unknown[0]}; rows are ${ROWS.map((row) => row.name).join(', ')}`);
const rows = names.length === 0 ? ROWS : ROWS.filter((row) => names.includes(row.name));

function fail(why: string): never {
  console.error(`bench: ${why}`);
  process.exit(2);
}

async function measure(row: Row): Promise<Result> {
  const rounds = new Map<SystemName, Measure[]>(row.systems.map((name) => [name, []]));
  try {
    for (let round = 0; round < Math.min(roundCount, row.rounds ?? roundCount); round++) {
      for (const name of round % 2 === 0 ? row.systems : row.systems.toReversed()) {
        const measured = await row.measure(name, options);
        if (measured === null) return { row, rounds: null, failure: null };
        rounds.get(name)!.push(measured);
      }
    }
    return { row, rounds, failure: null };
  } catch (error) {
    return { row, rounds: null, failure: `failed: ${(error as Error).message.split('\n')[0]}` };
  } finally {
    row.done?.();
  }
}

const load = (): string => loadavg()[0]!.toFixed(1);
const before = load();
let postgres = 'PostgreSQL not used';
if (rows.some((row) => row.systems.includes('PostgreSQL'))) {
  postgres = await describePostgres(options.postgres).catch((error: unknown) => {
    const { message, code } = error as NodeJS.ErrnoException;
    return fail(
      `PostgreSQL at ${options.postgres.replace(/:[^:@/]*@/, '@')} cannot be used: ${message || code}. Give another by --postgres or BENCH_POSTGRES_URL; the head of test/bench/run.ts says how to start one.`,
    );
  });
}
const busy = Number(before) >= availableParallelism() / 2;
if (busy)
  console.log(`the machine is busy (load average ${before}): what is one process loses more by it than what is many`);
console.log(`${machine()}; ${postgres}; Node ${process.versions.node}`);
const results: Result[] = [];
for (const row of rows) {
  const result = await measure(row);
  results.push(result);
  const [title, unit, ours, theirs, ratio, goal, met, cores, extra] = cells(result);
  console.log(`${row.name.padEnd(14)} ${title}, ${unit}`);
  console.log(`${''.padEnd(14)} Arka ${ours}   PostgreSQL ${theirs}   ${ratio}   goal ${goal}: ${met}`);
  if (result.rounds !== null) console.log(`${''.padEnd(14)} cores ${cores}${extra === '' ? '' : `   ${extra}`}`);
}
if (names.length === 0) {
  const setting = { postgres, seconds: options.seconds, rounds: roundCount, load: `${before}, ${load()}`, busy };
  writeFileSync(RESULTS, resultsPage(results, setting));
  console.log(`written to ${RESULTS}`);
}
if (results.some((result) => result.failure !== null)) process.exitCode = 1;
