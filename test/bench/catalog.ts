// Question: what does the catalog cost: start, mirroring, describing, small queries, and memory? Unit: ms and MB of RSS, through the
// worker. Run: node test/bench/catalog.ts
import { CatalogClient } from '../../src/catalog/catalog-client.ts';
import { systemClock } from '../../src/clock.ts';
import { Oid } from '../../src/types/pg-type.ts';
import { column, context, request, table } from '../catalog/catalog-fixture.ts';

const rss = (): string => `${process.memoryUsage().rss >> 20} MB`;
async function took(what: string, work: () => Promise<unknown>): Promise<void> {
  const started = performance.now();
  await work();
  console.log(`${what}: ${(performance.now() - started).toFixed(0)} ms, RSS ${rss()}`);
}
async function latency(what: string, work: (i: number) => Promise<unknown>): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < 500; i++) {
    const started = performance.now();
    await work(i);
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  console.log(`${what}: p50 ${times[250]!.toFixed(3)} ms, p99 ${times[495]!.toFixed(2)} ms`);
}

const tables = Array.from({ length: 200 }, (_, i) =>
  table(
    `t${i}`,
    20_000 + 16 * i,
    [
      column('id', 1, Oid.int8, { notNull: true }),
      column('ts', 2, Oid.timestamptz, { default: { kind: 'now', sql: 'now()' } }),
      column('v', 3, Oid.varchar, { typmod: 24 }),
      column('n', 4, Oid.numeric, { typmod: ((10 << 16) | 2) + 4 }),
      column('j', 5, Oid.jsonb),
    ],
    { key: [1], keyName: `t${i}_pkey` },
  ),
);
const client = new CatalogClient({ clock: systemClock });
console.log(`before: RSS ${rss()}`);
await took('start and first query', () => client.query(request('SELECT 1')));
client.setContents({ schemas: ['public'], tables });
await took('200 tables mirrored', () => client.query(request('SELECT 1')));
await latency('describe, new text', (i) =>
  client.describe({ sql: `SELECT *, ${i} FROM t7 WHERE id = $1`, parameterOids: [], context }),
);
await latency('describe, cached', () =>
  client.describe({ sql: 'SELECT *, 1 FROM t7 WHERE id = $1', parameterOids: [], context }),
);
await latency('SELECT 1', () => client.query(request('SELECT 1')));
await latency('pg_class join', () =>
  client.query(
    request(
      "SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.oid = 20000",
    ),
  ),
);
console.log(`after: RSS ${rss()}`);
await client.close();
