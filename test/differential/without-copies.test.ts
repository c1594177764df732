/**
 * What statements that write give while nothing is few enough to be copied: PostgreSQL's answer, or 0A000.
 *
 * Some of the scenarios, their rows in memory; DIFFERENTIAL_WITHOUT_COPIES=all takes all of them, wherever the rows are.
 */
import { expect, test } from 'vitest';
import { SCENARIOS } from './all-scenarios.ts';
import { withoutCopies } from './without-copies.ts';
import { besideOracle } from './beside.ts';

const ONE_OF = 20;
const takesAll = process.env['DIFFERENTIAL_WITHOUT_COPIES'] === 'all';
const tiers = takesAll ? (['memory', 'disk', 'Iceberg'] as const) : (['memory'] as const);
const taken = SCENARIOS.filter((_, i) => takesAll || i % ONE_OF === 0);

const sessions = besideOracle({ 'planner.fallback_rows': 0 });

const cases = taken.flatMap((scenario) =>
  tiers
    .filter((tier) => scenario.tiers?.includes(tier) !== false)
    .map((tier) => ({ title: scenario.title, scenario, tier })),
);

test.each(cases)(
  '$title: as in PostgreSQL, or 0A000, with its rows in $tier',
  async ({ scenario, tier }) => {
    expect((await withoutCopies(sessions.arka, sessions.oracle, scenario, tier)).found).toEqual([]);
  },
  60_000,
);
