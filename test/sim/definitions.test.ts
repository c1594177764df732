/** Definitions on a machine with faults and crashes (definitions.ts). SIM_SEEDS, SIM_FROM, SIM_SEED: as in storage.test.ts. */
import { expect, test, vi } from 'vitest';
import { runDefinitions } from './definitions.ts';

vi.mock('node:sqlite', async () => ({ DatabaseSync: (await import('./sim-node.ts')).DatabaseSync }));
vi.mock('@aws-sdk/client-s3', async () => (await import('./sim-s3.ts')).simCommands());
vi.mock('../../src/storage/iceberg/s3-client.ts', async (original) => ({
  ...(await original<object>()),
  connectS3: (await import('./sim-s3.ts')).connectSimS3,
}));

const LIVES = 4;
const from = Number(process.env['SIM_FROM'] ?? 1);
const count = Number(process.env['SIM_SEEDS'] ?? 10);
const one = process.env['SIM_SEED'];
const SEEDS = one === undefined ? Array.from({ length: count }, (_, i) => from + i) : [Number(one)];

test.each(SEEDS)(
  'seed %i: what sessions define is there whole, with its owners, or not at all',
  async (seed) => {
    await runDefinitions(seed, LIVES);
  },
  60_000,
);

test('a planted bug is found: rights become durable before the definitions that they go with', async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const failure = await runDefinitions(seed, LIVES, {
      lake: (lake) => {
        const { define, writeRoles } = lake;
        lake.define = async (request) => {
          if (request.roles !== null) await writeRoles(request.roles);
          return define({ ...request, roles: null });
        };
      },
    }).then(
      () => null,
      (error: unknown) => (error as Error).message,
    );
    if (failure === null) continue;
    expect(failure).toMatch(/rights are of/);
    return;
  }
  expect.fail('30 seeds have not found it');
}, 120_000);
