// Question: what does one autocommit INSERT cost the main thread, without sockets? Unit: µs of main's CPU and of wall time per row.
// Run: node test/bench/commit.ts [sessions] [seconds] [batch]   (batch: Executes per Sync)
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CatalogClient } from '../../src/catalog/catalog-client.ts';
import { systemClock } from '../../src/clock.ts';
import { createGateway } from '../../src/gateway/gateway.ts';
import { Turns } from '../../src/gateway/last-resort.ts';
import { loadParser } from '../../src/planner/parse.ts';
import { openTiers } from '../../src/server-tiers.ts';
import { discard } from '../../src/gateway/columns.ts';
import { parametersOf } from '../../src/wire/bound-parameters.ts';

const sessions = Number(process.argv[2] ?? 8);
const seconds = Number(process.argv[3] ?? 3);
const batch = Number(process.argv[4] ?? 1);
const dataDir = mkdtempSync(join(tmpdir(), 'arka-bench-'));
const stack = new AsyncDisposableStack();
stack.defer(() => rmSync(dataDir, { recursive: true }));
const fail = (error: unknown, where: string): void => console.error(where, error);
const tiers = await openTiers(
  {
    dataDir,
    warehouse: '',
    catalogName: 'arka',
    keepSnapshots: 20,
    maxSnapshotAgeMs: 1e9,
    memoryLimit: 2 ** 31,
    segmentBytes: 2 ** 26,
    clock: systemClock,
    warn: fail,
    fatal: fail,
  },
  stack,
);
await loadParser();
const catalog = new CatalogClient({ clock: systemClock, onProblem: (problem, error) => fail(error, problem) });
stack.defer(() => catalog.close());
const gateway = createGateway(
  {
    ...tiers,
    catalog,
    clock: systemClock,
    startedAt: 0,
    copies: { rowsMax: 0, turns: new Turns() },
    definitionsChanged: () => {},
  },
  { defaults: new Map() },
);
const events = {
  parameter: () => {},
  encoding: () => {},
  notice: () => {},
  notification: () => true,
  terminate: () => {},
};
const open = (): ReturnType<typeof gateway.open> =>
  gateway.open(new Map([['user', 'arka']]), events, {
    cancelKeyBytes: 4,
    sessions: 1,
    address: '127.0.0.1',
    port: 1,
    serverAddress: '127.0.0.1',
    serverPort: 2,
  });
const first = await open();
await first.simple(
  'CREATE TABLE b (id bigint PRIMARY KEY, ts timestamptz, v int, name text, price float8, payload json, ok bool)',
  discard(),
);
let next = 1;
const values = (): Uint8Array[] => {
  const id = next++;
  return [
    `${id}`,
    '2026-01-01 00:00:00+00',
    `${id % 1000}`,
    `name ${id % 5000}`,
    `${id / 4}`,
    `{"user":${id % 1000},"page":"a page of some length","n":${id % 10}}`,
    't',
  ].map((text) => Buffer.from(text));
};
const all = await Promise.all(Array.from({ length: sessions }, open));
const out = discard();
const rounds = async (until: number): Promise<void> => {
  await Promise.all(
    all.map(async (session) => {
      const prepared = await session.parse('INSERT INTO b VALUES ($1,$2,$3,$4,$5,$6,$7)', []);
      while (performance.now() < until) {
        for (let i = 0; i < batch; i++) {
          const portal = await session.bind(prepared, parametersOf([], values()), [], '');
          await session.execute(portal, 0, out);
          portal.close();
        }
        await session.sync();
      }
    }),
  );
};
await rounds(performance.now() + 1000);
const from = next;
const cpu = process.threadCpuUsage();
const begun = performance.now();
await rounds(begun + seconds * 1000);
const used = process.threadCpuUsage(cpu);
const rows = next - from;
console.log(
  `${sessions} sessions: ${Math.round((rows / (performance.now() - begun)) * 1000)} rows/s, main ${((used.user + used.system) / rows).toFixed(1)} µs a row (user ${(used.user / rows).toFixed(1)})`,
);
for (const session of all) await session.close();
await first.close();
await stack.disposeAsync();
