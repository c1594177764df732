/** The rows of the benchmark: what each one measures, how, and its goal. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { coldKeys, pendingChanges, SETTLED, updateByKey, updateByPredicate, upserts } from './changes.ts';
import { keyIndexBytes } from './key-index.ts';
import { FullLog } from './restart.ts';
import { insertPrepared, insertStatement } from './row-bytes.ts';
import { openArka, openPostgres, type System, type SystemName } from './systems.ts';
import { bigResult, pgbench, pgbenchReads } from './outside-tools.ts';
import { catalogQueries, idleConnections } from './sessions.ts';
import {
  closedLoop,
  copy,
  forgetCopies,
  paced,
  pointReads,
  quantiles,
  readPoints,
  singleRow,
  WARM_UP_READS,
  type Measure,
} from './workloads.ts';

export type Goal =
  | { readonly kind: 'ratio'; readonly atLeast: number; readonly andValue?: number }
  | { readonly kind: 'at most'; readonly limit: number }
  | { readonly kind: 'at least'; readonly limit: number };

export interface Row {
  /** As given on the command line. */
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly goal: Goal;
  readonly systems: readonly SystemName[];
  /** Fewer where one round takes minutes. */
  readonly rounds?: number;
  /** Null: this version cannot measure it. */
  readonly measure: (system: SystemName, options: Options) => Promise<Measure | null>;
  readonly done?: () => void;
}

export interface Options {
  readonly seconds: number;
  readonly postgres: string;
}

export const COPY_ROWS = 500_000;
const BOTH: readonly SystemName[] = ['Arka', 'PostgreSQL'];

/** A round on a fresh system. */
const fresh =
  (
    work: (system: System, seconds: number) => Promise<Measure | null>,
    settings: Readonly<Record<string, string | number>> = {},
  ): Row['measure'] =>
  async (name, { seconds, postgres }) => {
    await using system = name === 'Arka' ? await openArka({ settings }) : await openPostgres(postgres);
    return await work(system, seconds);
  };

const ratio = (name: string, title: string, atLeast: number, work: Parameters<typeof fresh>[0]): Row => ({
  name,
  title,
  unit: 'rows/s',
  goal: { kind: 'ratio', atLeast },
  systems: BOTH,
  measure: fresh(work),
});

const singleRows = ([false, true] as const).flatMap((prepared) =>
  (
    [
      [1, 1],
      [8, 1.5],
      [64, 2.5],
    ] as const
  ).map(([connections, atLeast]) =>
    ratio(
      `${prepared ? 'prepared' : 'simple'}-${connections}`,
      `single-row autocommit INSERT, ${prepared ? 'prepared' : 'simple'}, ${connections} connection${connections > 1 ? 's' : ''}`,
      atLeast,
      (system, seconds) => singleRow(system, connections, seconds, prepared),
    ),
  ),
);

const copies = (
  [
    ['text', 2.5],
    ['csv', 2],
    ['binary', 2.5],
  ] as const
).map(([format, atLeast]): Row => ({
  ...ratio(`copy-${format}`, `COPY ${format}, 7 columns`, atLeast, (system) => copy(system, format, COPY_ROWS)),
  goal: { kind: 'ratio', atLeast, andValue: 300_000 },
  done: forgetCopies,
}));

/** Times inside Arka's process, taken by a probe that is loaded before it (socket-timer.ts). */
async function insideArka(_: SystemName, { seconds }: Options): Promise<Measure> {
  const folder = mkdtempSync(join(tmpdir(), 'arka-bench-times-'));
  const path = join(folder, 'times');
  try {
    const probe = new URL('socket-timer.ts', import.meta.url).href;
    let measure: Measure;
    {
      await using system = await openArka({
        env: { NODE_OPTIONS: `--import ${probe}`, BENCH_SOCKET_TIMES: path },
      });
      measure = await readPoints(system, seconds, 0);
    }
    const bytes = readFileSync(path);
    const pairs = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    const of = (which: 0 | 1) => quantiles(pairs.filter((_, i) => i % 2 === which).subarray(WARM_UP_READS));
    const [answered, written] = [of(0), of(1)];
    return {
      ...measure,
      value: written.p99 * 1000,
      more: {
        p50: written.p50 * 1000,
        p99: written.p99 * 1000,
        p999: written.p999 * 1000,
        p50BeforeWrite: answered.p50 * 1000,
        p99BeforeWrite: answered.p99 * 1000,
      },
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const arkaAlone = (name: string, title: string, unit: string, goal: Goal, work: Parameters<typeof fresh>[0]): Row => ({
  name,
  title,
  unit,
  goal,
  systems: ['Arka'],
  rounds: 1,
  measure: fresh(work, SETTLED),
});

const changes: readonly Row[] = [
  {
    ...ratio('update-8', 'UPDATE of a hot row by key, prepared, 8 connections', 1.5, updateByKey),
    measure: fresh(updateByKey, SETTLED),
  },
  arkaAlone(
    'upsert-1000',
    'upserts in batches of 1,000, 1M keys over all tiers',
    'rows/s',
    { kind: 'at least', limit: 100_000 },
    upserts,
  ),
  {
    ...ratio('update-where', 'UPDATE of 1M of 10M rows on disk, by predicate', 5, updateByPredicate),
    rounds: 1,
    measure: fresh(updateByPredicate, SETTLED),
  },
  arkaAlone(
    'cold-upsert',
    'upserts of whole rows, 1,000 random keys of 100 files a statement',
    'rows/s',
    { kind: 'at least', limit: 100_000 },
    (system, seconds) => coldKeys(system, seconds, true),
  ),
  arkaAlone(
    'cold-update',
    'SET v = v + 1, 1,000 random keys of 100 files a statement',
    'rows/s',
    { kind: 'at least', limit: 5_000 },
    (system, seconds) => coldKeys(system, seconds, false),
  ),
  arkaAlone(
    'pending',
    '8 queries on 10M rows in 100 files, 100k changes pending in 10 of them, against none',
    '× as long',
    { kind: 'at most', limit: 1.3 },
    pendingChanges,
  ),
];

const reads: readonly Row[] = [
  ...(['simple', 'extended', 'prepared'] as const).map((mode): Row => ({
    ...ratio(`select-1-${mode}`, `SELECT 1 by pgbench, ${mode}, 8 connections`, 0.9, (system, seconds) =>
      pgbench(system, seconds, mode, 'SELECT 1;\n'),
    ),
    unit: 'transactions/s',
  })),
  {
    ...ratio('point-8', 'point SELECT by key by pgbench, prepared, 8 connections, 200k hot rows', 1, pgbenchReads),
    measure: fresh(pgbenchReads, SETTLED),
  },
  {
    name: 'result',
    title: '10M rows of 7 columns by COPY TO to psql, text',
    unit: 'rows/s',
    goal: { kind: 'at least', limit: 700_000 },
    systems: BOTH,
    rounds: 1,
    measure: fresh(bigResult),
  },
  {
    name: 'idle-200',
    title: '200 idle connections, memory of each',
    unit: 'KB',
    goal: { kind: 'at most', limit: 100 },
    systems: ['Arka'],
    rounds: 1,
    measure: fresh(idleConnections, { 'server.max_connections': 500 }),
  },
  {
    name: 'catalog',
    title: 'question to the catalog, warm, p50',
    unit: 'ms',
    goal: { kind: 'at most', limit: 5 },
    systems: BOTH,
    rounds: 1,
    measure: fresh(catalogQueries),
  },
];

const byCopy = new FullLog(false);
const byRow = new FullLog(true);

export const ROWS: readonly Row[] = [
  ...singleRows,
  ratio('pipelined', 'prepared INSERT, 1,000 a Sync, 1 connection', 3, (system, seconds) =>
    closedLoop(system, 1, seconds, true, () => insertPrepared(1000)),
  ),
  ratio('insert-1000', 'INSERT of 1,000 rows, 1 connection', 5, (system, seconds) =>
    closedLoop(system, 1, seconds, false, () => insertStatement(1000)),
  ),
  ...copies,
  {
    name: 'latency',
    title: 'acknowledgement at 2,000 INSERT/s, p99',
    unit: 'ms',
    goal: { kind: 'at most', limit: 10 },
    systems: BOTH,
    measure: fresh(paced),
  },
  {
    name: 'point-server',
    title: 'point read of a hot row, inside the server, one after the other, p99',
    unit: 'µs',
    goal: { kind: 'at most', limit: 100 },
    systems: ['Arka'],
    measure: insideArka,
  },
  {
    name: 'point-wire',
    title: 'point read of a hot row, over the wire, idle, p99',
    unit: 'ms',
    goal: { kind: 'at most', limit: 1 },
    systems: BOTH,
    measure: fresh(pointReads),
  },
  ...reads,
  {
    name: 'key-index',
    title: 'key index at 10M rows',
    unit: 'bytes a row',
    goal: { kind: 'at most', limit: 16 },
    systems: ['Arka'],
    rounds: 1,
    measure: keyIndexBytes,
  },
  {
    name: 'restart',
    title: 'restart with 1 GB of log, filled by COPY',
    unit: 'rows/s replayed',
    goal: { kind: 'at least', limit: 500_000 },
    systems: ['Arka'],
    measure: () => byCopy.measure(),
    done: () => byCopy.drop(),
  },
  {
    name: 'restart-single',
    title: 'restart with 1 GB of log, one row a transaction',
    unit: 'rows/s replayed',
    goal: { kind: 'at least', limit: 500_000 },
    systems: ['Arka'],
    measure: () => byRow.measure(),
    done: () => byRow.drop(),
  },
  ...changes,
];
