/** What statements on rows of files cost in calls of the other threads (H10, H11). */
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { CatalogClient } from '../../src/catalog/catalog-client.ts';
import { systemClock } from '../../src/clock.ts';
import { discard } from '../../src/gateway/columns.ts';
import { createGateway } from '../../src/gateway/gateway.ts';
import { Turns } from '../../src/gateway/last-resort.ts';
import { loadParser } from '../../src/planner/parse.ts';
import type { FetchRequest } from '../../src/federation/engine-api.ts';
import type { RowRequest } from '../../src/storage/index/index-api.ts';
import type { GatewaySession } from '../../src/wire/gateway-api.ts';
import { TestDatabase } from '../ingest/harness.ts';

const FILES = 20;
const ROWS_PER_FILE = 100;

interface Call {
  readonly method: string;
  readonly argument: unknown;
}
const calls: Call[] = [];
const of = (method: string): unknown[] => calls.filter((call) => call.method === method).map((call) => call.argument);
/** Notes each call. */
const noting = <T extends object>(target: T): T =>
  new Proxy(target, {
    get: (_, method: string) => {
      const member: unknown = Reflect.get(target, method, target);
      if (typeof member !== 'function') return member;
      return (...given: readonly unknown[]): unknown => {
        calls.push({ method, argument: given[0] });
        return (member as (...given: readonly unknown[]) => unknown).apply(target, [...given]);
      };
    },
  });

let db: TestDatabase;
let catalog: CatalogClient;
let session: GatewaySession;
const run = async (sql: string): Promise<void> => {
  await session.simple(sql, discard());
};

beforeAll(async () => {
  db = await TestDatabase.create();
  const { tiers } = db;
  await loadParser();
  catalog = new CatalogClient({ clock: systemClock, onProblem: (problem, error) => console.error(problem, error) });
  Object.assign(tiers.database, { engine: noting(tiers.database.engine), index: noting(tiers.database.index!) });
  const gateway = createGateway(
    {
      ...tiers,
      engine: noting(tiers.engine),
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
  session = await gateway.open(new Map([['user', 'arka']]), events, {
    cancelKeyBytes: 4,
    sessions: 1,
    address: '127.0.0.1',
    port: 1,
    serverAddress: '127.0.0.1',
    serverPort: 2,
  });
  await run('CREATE TABLE c (id bigint PRIMARY KEY, v int, name text)');
  for (let file = 0; file < FILES; file++) {
    // each file holds keys of the whole range, so that bounds leave none out
    const rows = Array.from({ length: ROWS_PER_FILE }, (_, i) => `(${i * FILES + file}, 0, 'name ${file}')`);
    await run(`INSERT INTO c VALUES ${rows.join(', ')}`);
    await run(`CALL arka.flush('public.c')`);
  }
  await run('CHECKPOINT');
  const table = tiers.database.table('public', 'c')!;
  while (table.files.some((file) => !file.indexed)) await new Promise((resolve_) => setTimeout(resolve_, 10));
}, 120_000);
afterAll(async () => {
  await catalog.close();
  await db.destroy();
});
beforeEach(() => {
  calls.length = 0;
  db.tiers.database.memory.warm.clear(); // rows of files, not their copies
});

/** Half of the keys of each file. */
const KEYS = Array.from({ length: (FILES * ROWS_PER_FILE) / 2 }, (_, i) => i);
const valuesOf = (v: string): string => KEYS.map((id) => `(${id}, ${v}, 'x')`).join(', ');

test('H10: new values of many cold rows by their old ones take one fetch for all of them, which names each file once and the columns that are needed', async () => {
  await run(
    `INSERT INTO c VALUES ${valuesOf('1')} ON CONFLICT (id) DO UPDATE SET v = c.v + excluded.v, name = excluded.name`,
  );
  const fetches = of('fetchRows') as FetchRequest[];
  expect(fetches).toHaveLength(1);
  const [{ files, fieldIds, positions }] = fetches as [FetchRequest];
  expect(new Set(files.map(({ unit }) => unit)).size).toBe(files.length);
  expect(files).toHaveLength(FILES);
  expect(positions).toHaveLength(KEYS.length);
  expect(fieldIds).not.toContain(3); // name: nothing asks for its old value
  expect(of('readVectors')).toEqual([]);
  await run('CHECKPOINT');
});

test('H10: an upsert of whole rows reads no row of a file', async () => {
  await run(
    `INSERT INTO c VALUES ${valuesOf('2')} ON CONFLICT (id) DO UPDATE SET v = excluded.v, name = excluded.name`,
  );
  for (const method of ['fetchRows', 'readVectors', 'readRow', 'readRows', 'query']) expect(of(method)).toEqual([]);
  await run('CHECKPOINT');
});

test('H11: a row of a file by its key is read by the thread of the index, without a query; a row in memory without any other thread', async () => {
  const cold = FILES * ROWS_PER_FILE - 1;
  await run(`SELECT v, name FROM c WHERE id = ${cold}`);
  expect(of('readRow')).toHaveLength(1);
  const [{ position, columns }] = of('readRow') as [RowRequest];
  expect(position).toBe(ROWS_PER_FILE - 1);
  expect(columns.map(({ name }) => name)).toEqual(['v', 'name']);
  expect(of('query')).toEqual([]);
  await run(`INSERT INTO c VALUES (${cold + 1}, 1, 'hot')`);
  calls.length = 0;
  await run(`SELECT v, name FROM c WHERE id = ${cold + 1}`);
  for (const method of ['query', 'readRow', 'lookup']) expect(of(method)).toEqual([]);
});

test('H11: nothing that the main thread loads can read Parquet', () => {
  const root = resolve(import.meta.dirname, '../../src');
  const loaded = new Set<string>();
  const packages = new Set<string>();
  const load = (path: string): void => {
    if (loaded.has(path)) return;
    loaded.add(path);
    // `import type` and `export type` leave nothing behind
    for (const [, kind, from] of readFileSync(path, 'utf8').matchAll(
      /^(?:import|export)( type)? [^;]*?from '([^']+)';/gms,
    )) {
      if (kind !== undefined) continue;
      if (from!.startsWith('.')) load(join(dirname(path), from!));
      else packages.add(from!);
    }
  };
  load(join(root, 'server.ts'));
  expect(loaded.size).toBeGreaterThan(150);
  expect([...packages].filter((name) => /duckdb|parquet|arrow|avsc|sqlite/.test(name))).toEqual([]);
});
