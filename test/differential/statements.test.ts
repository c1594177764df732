/** Statements that write give the rows, names, types, tags and errors that PostgreSQL gives, wherever the rows are. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';
import { SCENARIOS } from './all-scenarios.ts';
import { differences, expectedOf, openOracle, TIERS } from './compare.ts';
import { openSocket, type Session } from './wire.ts';

let server: ServerProcess;
let arka: Session;
let oracle: Session;

beforeAll(async () => {
  server = await startServer();
  arka = await openSocket('Arka', server.url);
  oracle = await openOracle();
}, 90_000);
afterAll(async () => {
  await arka.close();
  await oracle.close();
  await server[Symbol.asyncDispose]();
});

describe.each(SCENARIOS)('$title', (scenario) => {
  test('as in PostgreSQL', async () => {
    const expected = await expectedOf(oracle, scenario);
    for (const tier of scenario.tiers ?? TIERS)
      expect(await differences(arka, scenario, expected, tier), tier).toEqual([]);
  }, 60_000);
});
