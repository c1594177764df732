/**
 * Random sequences in lockstep with PostgreSQL, few and short: `npm run test:model` runs thousands, of several sessions.
 * MODEL_SEED and MODEL_RUNS choose others; a failure prints the script to the first difference, shortened.
 */
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DIFFERENCES } from './differences.ts';
import { emptyReport, Lockstep } from './lockstep.ts';
import { anySequence } from './sequence.ts';
import { openServers, type Servers } from './servers.ts';

let servers: Servers;
beforeAll(async () => {
  servers = await openServers({ built: false });
}, 90_000);
afterAll(() => servers[Symbol.asyncDispose]());

test('rows, tags, RETURNING and SQLSTATEs are those of PostgreSQL at each step, whatever moves, restarts or crashes', async () => {
  const report = emptyReport();
  const kinds = { sessions: ['a'], restarts: 1, stepsMax: 12 };
  await fc.assert(
    fc.asyncProperty(anySequence(kinds), (sequence) =>
      new Lockstep(servers.arka, servers.oracle, sequence, report).run(),
    ),
    { numRuns: Number(process.env['MODEL_RUNS'] ?? 50), seed: Number(process.env['MODEL_SEED'] ?? 7) },
  );
  expect(report.statements.size, 'kinds of statements that were run').toBeGreaterThan(10);
}, 1_800_000);

test('every known difference is a row of the table in README.md', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  for (const { title } of DIFFERENCES) expect(readme).toContain(`\n| ${title} |`);
});
