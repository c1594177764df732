/** V5, its other half: RSS within memory.limit, by guard and pressure over a modelled process; and bugs planted between them. */
import { expect, test } from 'vitest';
import { Resident, type Parts } from './resident.ts';

const SEEDS = Number(process.env['SIM_SEEDS'] ?? 20);
/** For a planted bug. */
const SEEDS_MAX = 300;
const SECONDS = 30;

test('V5: whatever writers, scans and questions to the catalog ask for, RSS is within memory.limit at every sample, and all of it goes on', async () => {
  const done = { writes: 0, scans: 0, questions: 0, refused: 0 };
  let peak = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const process = new Resident(seed);
    peak = Math.max(peak, await process.run(SECONDS).catch((error: unknown) => fail(seed, error)));
    for (const what of ['writes', 'scans', 'questions', 'refused'] as const) done[what] += process.done[what];
  }
  expect(peak).toBeGreaterThan(990); // or nothing was asked of the guard
  expect(done.refused / done.scans).toBeLessThan(0.01);
  expect(done.writes / SEEDS).toBeGreaterThan(1000);
  expect(done.scans / SEEDS).toBeGreaterThan(30);
  expect(done.questions / SEEDS).toBeGreaterThan(1);
});

function fail(seed: number, error: unknown): never {
  throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
}

const BUGS: readonly (readonly [name: string, plant: (parts: Parts) => void])[] = [
  ['RSS is read once', ({ options }) => once(options, 'rss')],
  ['writers do not hear of it', (parts) => void (parts.joins = false)],
  ['scans and the catalog do not ask it', (parts) => void (parts.asks = false)],
  ['garbage of the threads is left to V8', ({ options }) => idle(options, 'collectGarbage')],
  ['free blocks stay with malloc', ({ options }) => idle(options, 'limitEngine')],
];

function once(options: Parts['options'], name: 'rss'): void {
  const first = options[name]();
  Object.assign(options, { [name]: () => first });
}

function idle(options: Parts['options'], name: 'collectGarbage' | 'limitEngine'): void {
  Object.assign(options, { [name]: () => Promise.resolve() });
}

test.each(BUGS)('a planted bug of the memory guard is found: %s', async (_, plant) => {
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    const failure = await new Resident(seed, plant).run(SECONDS).then(
      () => null,
      (error: unknown) => (error as Error).message,
    );
    if (failure === null) continue;
    expect(failure).toMatch(/^V5: RSS/);
    return;
  }
  expect.fail(`${SEEDS_MAX} seeds have not found it`);
});
