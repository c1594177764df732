/**
 * The storage of a server: lake and engine threads, the log, recovery into memory. Opened in this order, closed in reverse.
 */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Clock } from './clock.ts';
import { withColdFiles } from './federation/cold-files.ts';
import type { EngineApi } from './federation/engine-api.ts';
import { Database } from './ingest/database.ts';
import { recover } from './ingest/recovery.ts';
import { RpcClient, type Api, type Remote } from './rpc.ts';
import { DiskCache } from './storage/disk/disk-cache.ts';
import type { LakeApi, LogFacts } from './storage/iceberg/lake-api.ts';
import type { S3Settings } from './storage/iceberg/s3-client.ts';
import { decodeCheckpoint } from './storage/log/checkpoint.ts';
import type { Log } from './storage/log/log-api.ts';
import { openLog } from './storage/log/log.ts';
import { Memory } from './storage/memory/memory.ts';
import { workerUrl } from './worker-url.ts';

const MB = 2 ** 20;
/** What the process holds beside rows: threads, and PGlite while it runs (H6). */
const THREADS_BYTES = 300 * MB;
const CATALOG_BYTES = 450 * MB;
const ENGINE_FRACTION = 0.2;
const ENGINE_OVERHEAD = 1.5;
const INDEX_FRACTION = 0.15;
const SLAB_BYTES_MIN = 96 * MB;
const RING_BYTES = 16 * MB;

/** The budget of H6: slabs get what the other parts leave. */
export function slabBudget(limit: number): number {
  return Math.max(
    SLAB_BYTES_MIN,
    limit * (1 - ENGINE_FRACTION * ENGINE_OVERHEAD - INDEX_FRACTION) - THREADS_BYTES - CATALOG_BYTES,
  );
}

interface Thread<A extends Api> {
  readonly remote: Remote<A>;
  close(): Promise<void>;
}

/** A standing thread; its unexpected end is the end of the process: the log recovers. */
function startThread<A extends Api>(
  name: string,
  entry: URL,
  heapMb: number,
  fatal: (error: unknown, where: string) => void,
  shutdown: (remote: Remote<A>) => Promise<unknown>,
): Thread<A> {
  const worker = new Worker(entry, { name, resourceLimits: { maxOldGenerationSizeMb: heapMb } });
  const rpc = new RpcClient<A>(worker);
  let closing = false;
  const ended = (error: unknown): void => {
    if (!closing) fatal(error, `thread ${name}`);
  };
  worker.on('error', ended);
  worker.on('exit', (code) => ended(new Error(`the thread ended with code ${code}`)));
  return {
    remote: rpc.remote,
    close: async () => {
      if (closing) return;
      closing = true;
      await shutdown(rpc.remote);
      await worker.terminate();
    },
  };
}

export interface TierOptions {
  readonly dataDir: string;
  /** Empty: DATA_DIR/warehouse. */
  readonly warehouse: string;
  readonly catalogName: string;
  readonly keepSnapshots: number;
  readonly maxSnapshotAgeMs: number;
  readonly fileGraceMs?: number;
  readonly targetFileBytes?: number;
  readonly memoryLimit: number;
  readonly segmentBytes: number;
  /** wal.max_size; left out: no limit. */
  readonly logBytesMax?: number;
  /** Bytes of log, staged files, index and cache; none: no limit. */
  readonly diskLimit?: number;
  readonly s3?: S3Settings;
  readonly clock: Clock;
  readonly warn: (error: unknown, where: string) => void;
  /** Must not return to normal work: the process ends, or the test fails. */
  readonly fatal: (error: unknown, where: string) => void;
}

export interface Tiers {
  readonly database: Database;
  readonly engine: Remote<EngineApi>;
}

/** What is opened is closed by `stack`. @throws {SqlError} 55000 in use, 58030 unwritable, XX001 damaged log */
export async function openTiers(options: TierOptions, stack: AsyncDisposableStack): Promise<Tiers> {
  const { clock, dataDir, fatal, memoryLimit, warn } = options;
  const lake = startThread<LakeApi>('lake', workerUrl('./threads/lake', import.meta.url), 160, fatal, (remote) =>
    remote.shutdown(null),
  );
  stack.defer(() => lake.close());
  await lake.remote.lock(dataDir);
  const engine = startThread<EngineApi>(
    'engine',
    workerUrl('./threads/engine', import.meta.url),
    160,
    fatal,
    (remote) => remote.shutdown(null),
  );
  stack.defer(() => engine.close());
  const tempDir = join(dataDir, 'tmp');
  await mkdir(tempDir, { recursive: true });
  await engine.remote.open({ memoryLimitBytes: Math.floor(memoryLimit * ENGINE_FRACTION), threads: 2, tempDir });
  const memory = new Memory(slabBudget(memoryLimit));
  memory.pool.announce = (index, buffer) => void engine.remote.addSlab({ index, buffer });
  const log = await openLog({ dir: join(dataDir, 'wal'), segmentBytes: options.segmentBytes, ringBytes: RING_BYTES });
  stack.use(log);
  log.onFatal = (error) => fatal(error, 'the log');
  const state = await lake.remote.open({
    dataDir,
    warehouse: options.warehouse === '' ? join(dataDir, 'warehouse') : options.warehouse,
    catalogName: options.catalogName,
    owner: `${hostname()}:${process.pid}`,
    keepSnapshots: options.keepSnapshots,
    maxSnapshotAgeMs: options.maxSnapshotAgeMs,
    fileGraceMs: options.fileGraceMs ?? 24 * 3_600_000,
    log: logFacts(log),
    ...(options.s3 === undefined ? {} : { s3: options.s3 }),
  });
  const disk = new DiskCache({
    dir: resolve(dataDir, 'cache'),
    limit: options.diskLimit ?? Number.POSITIVE_INFINITY,
    clock,
    lake: lake.remote,
    warn,
  });
  for (const file of state.cached) disk.found(file);
  const reader = withColdFiles(engine.remote, disk);
  const database = new Database({
    clock,
    memory,
    log,
    engine: reader,
    disk,
    lake: lake.remote,
    diskDir: join(dataDir, 'disk'),
    targetFileBytes: options.targetFileBytes ?? 128 * MB,
    secret: randomBytes(32),
    ...(options.logBytesMax === undefined ? {} : { logBytesMax: options.logBytesMax }),
    warn,
  });
  await recover(database, state, join(dataDir, 'lost'));
  stack.defer(() => database.close());
  stack.defer(disk.start());
  return { database, engine: reader };
}

/** What the lake must know of the log to reconcile both (C5, C6). */
export function logFacts(log: Log): LogFacts {
  const { logId, firstLsn, lastLsn, checkpoint } = log;
  return { logId, firstLsn, lastLsn, checkpoint: checkpoint === null ? null : decodeCheckpoint(checkpoint) };
}
