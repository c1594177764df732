/**
 * What each session is told while others work on the same rows, word for word as PostgreSQL says it: the anomalies of each
 * isolation level, waits, deadlocks, savepoints, blocks. Where ARKA_TEST_POSTGRES names a PostgreSQL server the same scripts run there, too.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';
import { parseScripts, play, stepText, type Scenario, type Step } from './script.ts';

let server: ServerProcess;
beforeAll(async () => {
  server = await startServer();
}, 60_000);
afterAll(() => server[Symbol.asyncDispose]());

const postgres = process.env['ARKA_TEST_POSTGRES'];
const scripts = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.script'));

async function check(url: string, scenario: Scenario, expected: (step: Step) => readonly string[]): Promise<void> {
  const answers = await play(url, scenario);
  const told = scenario.steps.map((step, i) => [stepText(step), ...answers[i]!]);
  expect(told).toEqual(scenario.steps.map((step) => [stepText(step), ...expected(step)]));
}

describe.each(scripts)('%s', (name) => {
  const scenarios = parseScripts(readFileSync(join(import.meta.dirname, name), 'utf8'));

  test.each(scenarios)('$title', (scenario) =>
    check(server.url, scenario, ({ expected, own }) => (own.length > 0 ? own.slice(1) : expected)),
  );

  test.runIf(postgres !== undefined).each(scenarios)('PostgreSQL: $title', (scenario) =>
    check(postgres!, scenario, ({ expected }) => expected),
  );
});
