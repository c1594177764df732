/**
 * The storage of a server: lake and engine threads, the log, recovery into memory. Opened in this order, closed in reverse.
 */
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Clock } from './clock.ts';
import { withColdFiles } from './federation/cold-files.ts';
import type { EngineApi } from './federation/engine-api.ts';
import { Database } from './ingest/database.ts';
import type { Marks } from './ingest/pressure.ts';
import { recover } from './ingest/recovery.ts';
import { Rights } from './rights/rights.ts';
import { RpcClient, type Api, type Remote, type ThreadApi } from './rpc.ts';
import { DiskCache } from './storage/disk/disk-cache.ts';
import { SoundFiles } from './storage/disk/sound-files.ts';
import type { IndexApi, IndexSettings } from './storage/index/index-api.ts';
import type { LakeApi, LakeSettings, LogFacts } from './storage/iceberg/lake-api.ts';
import type { S3Settings } from './storage/iceberg/s3-client.ts';
import { decodeCheckpoint } from './storage/log/checkpoint.ts';
import type { Log } from './storage/log/log-api.ts';
import { INDEX_WORK_BYTES, indexCacheBytes, memoryBudget, type MemoryBudget } from './memory-budget.ts';
import { openLog } from './storage/log/log.ts';
import { Memory } from './storage/memory/memory.ts';
import { uniqueNames } from './storage/unique-key.ts';
import { patiently, type Patience } from './store-patience.ts';
import { freeThreadsOfFlags, heapBytesOf } from './thread-heap.ts';
import type { WasmMemory } from './wasm-memory.ts';
import { workerUrl } from './worker-url.ts';

const MB = 2 ** 20;
const RING_BYTES = 16 * MB;
/** For new objects, in three parts: main has three times as much for those of all sessions. */
const YOUNG_MB = 8;
/** Of memory.limit: decoded manifests that the lake keeps. */
const MANIFESTS_FRACTION = 1 / 64;
/** What readers may keep from being freed, of memory.limit and of disk.limit (H5). */
const PINS_FRACTION = 0.1;

interface Thread<A extends Api> {
  readonly remote: Remote<A>;
  /** What its JavaScript holds. */
  heapBytes(): Promise<number>;
  collectGarbage(): Promise<void>;
  wasmMemories(): Promise<readonly WasmMemory[]>;
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
  const worker = new Worker(entry, {
    name,
    resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: YOUNG_MB },
  });
  const rpc = new RpcClient<A>(worker, name);
  let closing = false;
  let gone = false;
  const ended = (error: unknown): void => {
    gone = true;
    if (!closing) fatal(error, `thread ${name}`);
  };
  worker.on('error', ended);
  worker.on('exit', (code) => ended(new Error(`the thread ended with code ${code}`)));
  return {
    remote: rpc.remote,
    heapBytes: () => heapBytesOf(worker),
    collectGarbage: () => (rpc.remote as unknown as Remote<ThreadApi>).collectGarbage(null),
    wasmMemories: () => (rpc.remote as unknown as Remote<ThreadApi>).wasmMemories(null),
    close: async () => {
      if (closing) return;
      closing = true;
      if (!gone) await shutdown(rpc.remote);
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
  readonly memoryMarks?: Marks;
  readonly segmentBytes: number;
  /** wal.max_size; left out: no limit. */
  readonly logBytesMax?: number;
  readonly filledBytesMax?: number;
  /** wal.keep_size; left out: nothing is kept that is not needed. */
  readonly logBytesKept?: number;
  /** Bytes of log, staged files, index and cache; none: no limit. */
  readonly diskLimit?: number;
  readonly s3?: S3Settings;
  /** The first superuser, left out: arka; and its password, empty: as it was. */
  readonly superuser?: { readonly user: string; readonly password: string };
  readonly clock: Clock;
  /** The start waits for the store: told before each pause. Left out: the start fails instead. */
  readonly waiting?: Patience['waiting'];
  /** Ends that waiting. */
  readonly signal?: AbortSignal;
  readonly warn: (error: unknown, where: string) => void;
  /** Must not return to normal work: the process ends, or the test fails. */
  readonly fatal: (error: unknown, where: string) => void;
}

export interface Tiers {
  readonly database: Database;
  readonly engine: Remote<EngineApi>;
  readonly rights: Rights;
  readonly budget: MemoryBudget;
  /** What JavaScript holds in the threads of engine and lake. */
  readonly heapBytes: () => Promise<number>;
  /** The threads collect their garbage. */
  readonly collectGarbage: () => Promise<unknown>;
  /** Of the whole process, asked of a thread that may wait for files. */
  readonly wasmMemories: () => Promise<readonly WasmMemory[]>;
  /** What DuckDB holds, in all its instances; of that, footers of files; and pages of the key index, which are on the index thread's heap. */
  readonly engineBytes: () => Promise<Readonly<Record<'engine' | 'footers' | 'pages', number>>>;
}

function indexSettings(dataDir: string, tempDir: string, budget: MemoryBudget, asksForRoom: boolean): IndexSettings {
  return {
    dir: join(dataDir, 'index'),
    cacheBytes: indexCacheBytes(budget),
    readerBytes: INDEX_WORK_BYTES,
    tempDir: join(tempDir, 'index'),
    asksForRoom,
  };
}

/** R5 in `storage/log/log-recovery.ts`. */
function tornTail({ name, offset }: { readonly name: string; readonly offset: number }): Error {
  return new Error(
    `the write-ahead log ends with a group that is not whole, in file "${name}" at offset ${offset}, and was cut there. A crash ` +
      'while it was written leaves this, and nothing in it was acknowledged then; if the disk has damaged the file, the last ' +
      'commits before the stop are lost unless it is restored',
  );
}

/** What is opened is closed by `stack`. @throws {SqlError} 55000 in use, 58030 unwritable, XX001 damaged log */
export async function openTiers(options: TierOptions, stack: AsyncDisposableStack): Promise<Tiers> {
  const { clock, dataDir, fatal, memoryLimit, warn } = options;
  const budget = memoryBudget(memoryLimit);
  freeThreadsOfFlags();
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
  const engineOpened = engine.remote.open({ memoryLimitBytes: budget.engineBytes, threads: 2, tempDir });
  const index = startThread<IndexApi>('index', workerUrl('./threads/index', import.meta.url), 96, fatal, (remote) =>
    remote.shutdown(null),
  );
  stack.defer(() => index.close());
  const indexOpened = index.remote.open(indexSettings(dataDir, tempDir, budget, options.diskLimit !== undefined));
  const [, { secret }] = await Promise.all([engineOpened, indexOpened]);
  const memory = new Memory(budget.slabBytes, budget.liveBytes);
  memory.pins.budgetBytes.memory = memoryLimit * PINS_FRACTION;
  memory.pins.budgetBytes.disk = (options.diskLimit ?? Number.POSITIVE_INFINITY) * PINS_FRACTION;
  memory.pool.announce = (index, buffer) => void engine.remote.addSlab({ index, buffer }).catch(() => undefined);
  const log = await openLog({ dir: join(dataDir, 'wal'), segmentBytes: options.segmentBytes, ringBytes: RING_BYTES });
  stack.use(log);
  log.onFatal = (error) => fatal(error, 'the log');
  if (log.torn !== null) warn(tornTail(log.torn), 'the write-ahead log');
  const patience = patienceOf(options);
  const settings: LakeSettings = {
    dataDir,
    warehouse: options.warehouse === '' ? join(dataDir, 'warehouse') : options.warehouse,
    catalogName: options.catalogName,
    owner: `${hostname()}:${process.pid}`,
    keepSnapshots: options.keepSnapshots,
    maxSnapshotAgeMs: options.maxSnapshotAgeMs,
    fileGraceMs: options.fileGraceMs ?? 24 * 3_600_000,
    manifestBytesMax: Math.floor(memoryLimit * MANIFESTS_FRACTION),
    log: logFacts(log),
    ...(options.s3 === undefined ? {} : { s3: options.s3 }),
  };
  const state = await patience(() => lake.remote.open(settings));
  const rights = await Rights.open({
    ...(options.superuser ?? { user: 'arka', password: '' }),
    stored: await lake.remote.readRoles(null),
    store: (text) => lake.remote.writeRoles(text),
  });
  const disk = new DiskCache({
    dir: resolve(dataDir, 'cache'),
    limit: options.diskLimit ?? Number.POSITIVE_INFINITY,
    clock,
    lake: lake.remote,
    limitSpill: engine.remote.limitSpill,
    limitSorts: engine.remote.limitSorts,
    warn,
    sound: new SoundFiles(lake.remote, resolve(dataDir, 'disk')),
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
    secret,
    index: index.remote,
    ...(options.filledBytesMax === undefined ? {} : { filledBytesMax: options.filledBytesMax }),
    ...(options.logBytesMax === undefined ? {} : { logBytesMax: options.logBytesMax }),
    logBytesKept: Math.min(options.logBytesKept ?? 0, (options.diskLimit ?? Number.POSITIVE_INFINITY) / 8),
    ...(options.memoryMarks === undefined ? {} : { memoryMarks: options.memoryMarks }),
    warn,
  });
  await index.remote.keepOnly(state.tables.flatMap(({ def }) => [def.uuid, ...uniqueNames(def)]));
  disk.patience = patience;
  await recover(database, state, join(dataDir, 'lost'));
  disk.patience = (download) => download();
  for (const { def, detached } of database.tables.values())
    if (detached !== null && detached.reason !== 'unreadable')
      warn(
        new Error(`${detached.message}. ${detached.detail} ${detached.hint}`),
        `table ${def.schema}.${def.name} is read-only`,
      );
  stack.defer(() => database.close());
  stack.defer(disk.start());
  return { database, engine: reader, rights, budget, ...memoryOf(lake, engine, index) };
}

/** What the threads hold. */
function memoryOf(
  lake: Thread<LakeApi>,
  engine: Thread<EngineApi>,
  index: Thread<IndexApi>,
): Pick<Tiers, 'heapBytes' | 'collectGarbage' | 'wasmMemories' | 'engineBytes'> {
  const threads = [lake, engine, index];
  return {
    heapBytes: async () => {
      const heaps = await Promise.all(threads.map((thread) => thread.heapBytes()));
      return heaps.reduce((sum, bytes) => sum + bytes, 0);
    },
    engineBytes: async () => {
      const [engines, keys] = await Promise.all([engine.remote.memory(null), index.remote.memory(null)]);
      return {
        engine: engines.bytes + keys.bytes,
        footers: engines.footerBytes + keys.footerBytes,
        pages: keys.pageBytes,
      };
    },
    collectGarbage: () => Promise.all(threads.map((thread) => thread.collectGarbage())),
    wasmMemories: lake.wasmMemories,
  };
}

/** A start repeats what fails because the store is away, where it is told to. */
function patienceOf({ clock, signal, waiting }: TierOptions): <T>(work: () => Promise<T>) => Promise<T> {
  if (waiting === undefined) return (work) => work();
  const patience = { clock, waiting, ...(signal === undefined ? {} : { signal }) };
  return (work) => patiently(patience, work);
}

/** What the lake must know of the log to reconcile both (C5, C6). */
export function logFacts(log: Log): LogFacts {
  const { logId, firstLsn, lastLsn, checkpoint } = log;
  return { logId, firstLsn, lastLsn, checkpoint: checkpoint === null ? null : decodeCheckpoint(checkpoint) };
}
