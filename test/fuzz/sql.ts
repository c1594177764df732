// Question: does any statement that SQLsmith (Debian's `sqlsmith`) makes up crash the server, answer XX000, or make memory grow?
// Unit: statements, and how many were answered without an error; a failure is a line of its own and exit code 1.
// Run: npm run fuzz:sql -- [SECONDS, 60] [SEED]
import { spawn } from 'node:child_process';
import { Talker } from '../gateway/talker.ts';
import { WatchedServer } from './server-watch.ts';

/** Rows in memory, on disk and in Iceberg, deletes in each. */
const DEFINITIONS = [
  `CREATE TABLE events (id int PRIMARY KEY, name text, amount numeric(12,2), at timestamptz, ok boolean, part double precision,
     big bigint, day date, doc jsonb, tags text[])`,
  `INSERT INTO events SELECT g, 'name ' || g, g * 1.25, timestamptz '2024-01-01' + g * interval '1 hour', g % 3 = 0, g / 7.0, g * 1000000007::bigint,
     date '2024-01-01' + g, '{"a": [1, null]}', ARRAY['x', 'y'] FROM generate_series(1, 200) g`,
  'CREATE TABLE plain (a int, b text, c timestamp)',
  "INSERT INTO plain SELECT g % 7, nullif('b' || g % 11, 'b3'), timestamp '2024-02-29' FROM generate_series(1, 60) g",
  'CHECKPOINT',
  'DELETE FROM events WHERE id % 10 = 0',
  'CALL arka.flush($$events$$)',
  "INSERT INTO events (id, name) SELECT g, 'late' FROM generate_series(500, 520) g",
  'CREATE VIEW joined AS SELECT e.id, e.name, p.b FROM events e JOIN plain p ON e.id = p.a',
];
/** Errors that nobody but Arka's own mistakes make, by their text: SQLsmith shows no codes. */
const STRANGE =
  /internal error|invariant|INTERNAL|Binder Error|Catalog Error|Parser Error|Conversion Error|is missing in its statement|session is lost/;

const [seconds = '60', seed = String(Date.now() % 2 ** 31)] = process.argv.slice(2);
const failures: string[] = [];
await using watched = await WatchedServer.start();
const { hostname, port } = new URL(watched.server.url);
const admin = await Talker.connect(watched.server.url);
for (const sql of DEFINITIONS) {
  const answer = await admin.query(sql);
  if (answer.some((each) => each.startsWith('E'))) throw new Error(`${sql}: ${answer.join(' | ')}`);
}

const target = `host=${hostname} port=${port} dbname=arka user=arka`;
let report = '';
const problems = (error: Error): void => void failures.push(`sqlsmith: ${error.message}; apt-get install sqlsmith`);
/** One over all relations, one over those of users alone: catalogs are many. */
async function smith(seedOfIt: number, ...more: string[]): Promise<void> {
  const process = spawn('sqlsmith', [
    `--target=${target}`,
    `--seed=${seedOfIt}`,
    '--verbose',
    '--dump-all-queries',
    ...more,
  ]);
  process.stdout.resume();
  process.stderr.on('data', (bytes: Buffer) => (report = (report + bytes.toString()).slice(-1_000_000)));
  process.on('error', problems);
  const timer = setTimeout(() => process.kill('SIGINT'), Number(seconds) * 1000);
  await new Promise<void>((resolve) => {
    process.on('close', () => resolve());
    process.on('error', () => resolve());
  });
  clearTimeout(timer);
}
await Promise.all([smith(Number(seed)), smith(Number(seed) + 1, '--exclude-catalog')]);

const errors = new Map<string, number>();
for (const [, count, text] of report.matchAll(/^(\d+)\t(?:ERROR|FATAL): {2}(.*)$/gm))
  errors.set(text!, (errors.get(text!) ?? 0) + Number(count));
for (const [text, count] of errors) if (STRANGE.test(text)) failures.push(`${count} × ${text}`);
if (!watched.isOver) {
  const answer = await admin.query('SELECT count(*) > 0 FROM pg_class');
  if (!answer.includes('D t')) failures.push(`afterwards: ${answer.join(' | ')}`);
  const unhandled = await admin.query("SELECT count, message, query FROM arka.unhandled WHERE sqlstate LIKE 'XX%'");
  for (const row of unhandled) if (row.startsWith('D ')) failures.push(row);
  await admin.end();
}
failures.push(...watched.verdict());
const statements = [...report.matchAll(/queries: (\d+)/g)].reduce(
  (most, [, count]) => Math.max(most, Number(count)),
  0,
);
const failed = [...errors.values()].reduce((sum, count) => sum + count, 0);
console.log(
  `seed ${seed}: at least ${statements} statements, ${failed} of them refused, memory +${watched.growth() >> 20} MB`,
);
for (const [text, count] of [...errors].toSorted(([, a], [, b]) => b - a).slice(0, 15))
  console.log(`  ${count} ${text.slice(0, 150)}`);
for (const failure of failures) console.log(`FAILED ${failure.slice(0, 1500)}`);
process.exitCode = failures.length === 0 ? 0 : 1;
