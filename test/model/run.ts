// Runs sequences of the model and prints the shortest script that differs.
// A third of them are of one session, with what waits for all others (ALTER TABLE, TRUNCATE); MODEL_SESSIONS=a takes these alone.
// MODEL_SURVEY=1 goes on after a difference and shortens none.
// Run: npm run test:model -- [sequences, 1000] [seed]; ARKA_TEST_POSTGRES=postgresql://user@host:port/database
import fc from 'fast-check';
import { emptyReport, Lockstep } from './lockstep.ts';
import { anySequence, type Sequence } from './sequence.ts';
import { openServers } from './servers.ts';

const [sequences = '1000', seed = String(Math.floor(Math.random() * 2 ** 31))] = process.argv.slice(2);
const isSurvey = process.env['MODEL_SURVEY'] === '1';
const given = process.env['MODEL_SESSIONS'];
await using servers = await openServers({ built: true });
if (!servers.several)
  console.log('ARKA_TEST_POSTGRES names no PostgreSQL server: PGlite takes its place, with one session.');
const report = emptyReport();
let done = 0;
const of = (sessions: string): fc.Arbitrary<Sequence> =>
  anySequence({ sessions: [...sessions], restarts: 1, stepsMax: 30 });
const mixed = fc.oneof({ weight: 2, arbitrary: of('abc') }, { weight: 1, arbitrary: of('a') });
const result = await fc.check(
  fc.asyncProperty(servers.several ? (given === undefined ? mixed : of(given)) : of('a'), async (sequence) => {
    const run = new Lockstep(servers.arka, servers.oracle, sequence, report).run();
    await (isSurvey ? run.catch((error: unknown) => console.log(`\n${String(error)}\n`)) : run);
    if (++done % 20 === 0) console.log(`${done} sequences`);
  }),
  { numRuns: Number(sequences), seed: Number(seed), interruptAfterTimeLimit: 3_000_000 },
);
const table = (of: ReadonlyMap<string, number>): string =>
  [...of]
    .toSorted(([, a], [, b]) => b - a)
    .map(([what, n]) => `  ${n} ${what}`)
    .join('\n');
console.log(`seed ${seed}, ${result.numRuns} sequences, shrunk ${result.numShrinks} times`);
console.log(`statements\n${table(report.statements)}\nrefused with 0A000\n${table(report.refused)}`);
console.log(`errors\n${table(report.errors)}\nleft at a known difference\n${table(report.left)}`);
if (result.failed) {
  console.log(
    `\n${result.errorInstance instanceof Error ? result.errorInstance.message : String(result.errorInstance)}`,
  );
  process.exitCode = 1;
}
