/** Statements that write give the rows, names, types, tags and errors that PostgreSQL gives, wherever the rows are. */
import { describe, expect, test } from 'vitest';
import { SCENARIOS } from './all-scenarios.ts';
import { differences, expectedOf, TIERS, type Tier } from './compare.ts';
import { besideOracle } from './beside.ts';

/** In memory, and in one other place, each scenario in the next one; DIFFERENTIAL_TIERS=all takes all. */
function tiersOf(given: readonly Tier[], number: number): readonly Tier[] {
  const [first, ...others] = given;
  if (process.env['DIFFERENTIAL_TIERS'] === 'all' || others.length < 2) return given;
  return [first!, others[number % others.length]!];
}

const taken = SCENARIOS.map((scenario, i) => ({ ...scenario, tiers: tiersOf(scenario.tiers ?? TIERS, i) }));

/** @param part of `of`, from 1: files of tests run side by side, tests of a file do not */
export function agreement(part: number, of: number): void {
  const sessions = besideOracle();

  describe.each(taken.filter((_, i) => i % of === part - 1))('$title', (scenario) => {
    test('as in PostgreSQL', async () => {
      const expected = await expectedOf(sessions.oracle, scenario);
      for (const tier of scenario.tiers)
        expect(await differences(sessions.arka, scenario, expected, tier), tier).toEqual([]);
    }, 60_000);
  });
}
