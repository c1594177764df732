/**
 * The engine: two DuckDB instances on one thread. `queries` runs what clients ask; `chores` has one thread and half of
 * the memory for files in and out and lookups, so that a flush and a point read share neither connections nor a
 * thread pool with heavy queries (threads cannot be set per connection).
 */
import { join } from 'node:path';
import { systemClock, type Clock } from '../clock.ts';
import { canceled, invariant, SqlError, SqlState } from '../errors.ts';
import { SlabDirectory } from '../storage/memory/slab.ts';
import type { TableScan } from '../storage/scan-spec.ts';
import {
  closeInstance,
  openFooters,
  openInstance,
  renewWorn,
  setMemoryLimit,
  setSpillLimit,
  settle,
  withLease,
  type Instance,
  type InstanceSettings,
  type Lease,
} from './connections.ts';
import { openCursor, type Cursor, type OpeningCursor } from './cursor.ts';
import type { EngineApi, EngineSettings, QueryRequest } from './engine-api.ts';
import { located } from './damaged-file.ts';
import { equalityPositions } from './equality-deletes.ts';
import { fetchRows } from './row-fetch.ts';
import { lookupImages } from './image-lookup.ts';
import { lookup } from './lookup.ts';
import { readRows } from './row-lookup.ts';
import { newPositions, writeParquet } from './parquet-out.ts';
import { readPositionDeletes, writePositionDeletes } from './position-deletes.ts';
import { registerEngineFunctions } from './engine-functions.ts';
import { registerSourceFunction, removeSources, sourceRegistry } from './row-source.ts';
import type { ScanContext } from './scan-sql.ts';
import { openSpoolFiles, type SpoolFiles } from './spool-files.ts';
import { SlabReads } from './slab-reads.ts';
import { heldBy } from './instance-memory.ts';
import { bulkStringsWork } from './vector-builder.ts';

/** Of DuckDB's memory; the rest is for chores. */
const QUERIES_SHARE = 0.5;
/** Of the memory of queries, what footers of files may take beside it: they are worth it for many small files, of which that is a thousand. */
const FOOTERS_SHARE = 1 / 16;

interface Instances {
  readonly queries: Instance;
  readonly chores: Instance;
}

/** A cursor from the moment `query` is called. */
interface Entry {
  readonly opening: OpeningCursor;
  readonly request: QueryRequest;
  cursor: Cursor | null;
}

export function createEngine(clock: Clock = systemClock): EngineApi {
  const slabs = new SlabDirectory();
  const registry = sourceRegistry();
  const mode = { bulk: false };
  let instances: Instances | null = null;
  let opening: Promise<void> = Promise.resolve();
  let spools: SpoolFiles | null = null;

  const opened = (): Instances => {
    if (instances === null) throw new SqlError(SqlState.cannotConnectNow, 'the query engine is not running');
    return instances;
  };
  const context = (): ScanContext => ({ registry, slabs, mode, slabReads: new SlabReads(), sourceIds: [] });
  const explain = (error: unknown, { scans }: QueryRequest): Promise<SqlError> => {
    const files = scans.flatMap((scan) => scan.files);
    return located(error, pathsOf(files), () => opened().chores);
  };
  const cursors = cursorTable(() => opened().queries, context, explain, clock);
  const { chore, whenIdle } = choreLane(() => opened().chores, context);

  const open = async (settings: EngineSettings): Promise<void> => {
    invariant(instances === null, 'the engine opens once');
    mode.bulk = bulkStringsWork();
    spools = await openSpoolFiles(join(settings.tempDir, 'cursors'));
    instances = await openInstances(settings, (connection) => {
      registerSourceFunction(connection, registry);
      registerEngineFunctions(connection, mode);
    });
  };

  return {
    open: (settings) => (opening = open(settings)),
    spoolWrite: (request) => spools!.write(request),
    spoolRead: (request) => spools!.read(request),
    spoolClose: async (spool) => spools?.close(spool),
    addSlab: ({ index, buffer }) => slabs.add(index, buffer),
    query: cursors.query,
    next: cursors.next,
    slabsRead: cursors.slabsRead,
    close: cursors.close,
    writeParquet: (request) => chore((lease, own) => writeParquet(lease, request, own), request),
    newPositions: (request) => chore((lease, own) => newPositions(lease, request, own), request),
    writePositionDeletes: (request) => chore((lease, own) => writePositionDeletes(lease, request, own)),
    readPositionDeletes: (paths) =>
      chore(
        (lease) => readPositionDeletes(lease, paths),
        null,
        paths.map((path) => ({ path })),
      ),
    equalityPositions: (request) => chore((lease) => equalityPositions(lease, request), request, request.deleteFiles),
    lookup: (request) => chore((lease, own) => lookup(lease, request, own), request),
    fetchRows: (request) => chore((lease, own) => fetchRows(lease, request, own), request),
    readRows: (request) => chore((lease) => readRows(lease, request), { ...request, files: [request.file] }),
    lookupImages: (request) => chore((lease, own) => lookupImages(lease, request, own), request),
    limitMemory: async (share) => {
      const { queries, chores } = opened();
      // First what is never refused: it has free memory given back, also while running queries hold too much for a lower limit.
      await setMemoryLimit(chores, chores.settings.memoryLimitBytes);
      await setMemoryLimit(queries, queries.settings.memoryLimitBytes * share).finally(() => {
        for (const instance of [chores, queries]) renewWorn(instance, clock.monotonic());
      });
    },
    limitSpill: (bytes) => setSpillLimit(opened().queries, bytes),
    limitSorts: (bytes) => setSpillLimit(opened().chores, bytes),
    memory: async () => {
      const { queries, chores } = opened();
      const [one, other] = [await heldBy(queries), await heldBy(chores)];
      return { bytes: one.bytes + other.bytes, footerBytes: one.footerBytes + other.footerBytes };
    },
    shutdown: async () => {
      await opening.catch(() => undefined); // its caller has heard of it
      if (instances === null) return;
      const ending = instances;
      await cursors.closeAll();
      await whenIdle();
      await spools?.closeAll();
      instances = null;
      for (const instance of [ending.queries, ending.chores]) {
        for (const lease of instance.all) await settle(lease);
        await closeInstance(instance);
      }
    },
  };
}

interface CursorTable {
  readonly query: EngineApi['query'];
  readonly next: EngineApi['next'];
  readonly slabsRead: EngineApi['slabsRead'];
  readonly close: EngineApi['close'];
  closeAll(): Promise<void>;
}

/** Cursors by main's numbers, from the call of `query` to their end. */
function cursorTable(
  instance: () => Instance,
  context: () => ScanContext,
  explain: (error: unknown, request: QueryRequest) => Promise<SqlError>,
  clock: Clock,
): CursorTable {
  const cursors = new Map<number, Entry>();
  const close = async (number: number): Promise<void> => {
    const entry = cursors.get(number);
    if (entry === undefined) return;
    if (entry.cursor === null) entry.opening.cancel();
    // A cursor that failed to open has given everything back.
    await entry.opening.cursor.then(
      (cursor) => cursor.close(),
      () => undefined,
    );
    cursors.delete(number);
  };
  return {
    async query(request) {
      invariant(!cursors.has(request.cursor), 'cursor numbers are unique');
      const entry: Entry = { opening: openCursor(instance(), request, context(), clock), request, cursor: null };
      cursors.set(request.cursor, entry);
      try {
        entry.cursor = await entry.opening.cursor;
        return entry.cursor.opened;
      } catch (error) {
        cursors.delete(request.cursor);
        throw await explain(error, request);
      }
    },
    async next(number) {
      const entry = cursors.get(number);
      if (entry === undefined) throw canceled();
      try {
        const cursor = entry.cursor ?? (await entry.opening.cursor);
        const chunk = await cursor.next();
        if (chunk.done) cursors.delete(number);
        return chunk;
      } catch (error) {
        cursors.delete(number);
        throw await explain(error, entry.request);
      }
    },
    slabsRead: (number) => cursors.get(number)?.opening.slabsRead ?? Promise.resolve(),
    close,
    async closeAll() {
      await Promise.all([...cursors.keys()].map((number) => close(number)));
    },
  };
}

interface FilePath {
  readonly path: string;
}

const pathsOf = (files: readonly FilePath[]): string[] => files.map(({ path }) => path);

type Read = Pick<TableScan, 'def' | 'files'>;

interface ChoreLane {
  /**
   * One piece of work on a connection of `chores`; whatever becomes of it, its sources go and its connection is clean.
   * @param others files beside those of `read`, whose footers are small
   */
  chore<T>(
    work: (lease: Lease, own: ScanContext) => Promise<T>,
    read?: Read | null,
    others?: readonly FilePath[],
  ): Promise<T>;
  whenIdle(): Promise<void>;
}

function choreLane(instance: () => Instance, context: () => ScanContext): ChoreLane {
  const running = new Set<Promise<unknown>>();
  const perform = async <T>(
    work: (lease: Lease, own: ScanContext) => Promise<T>,
    read: Read | null,
    others: readonly FilePath[],
  ): Promise<T> => {
    const own = context();
    const closeFooters = openFooters(
      instance(),
      read === null ? [] : [{ files: read.files, columns: read.def.columns.length }],
    );
    try {
      return await withLease(instance(), (lease) => work(lease, own));
    } catch (error) {
      throw await located(error, pathsOf([...(read?.files ?? []), ...others]), instance);
    } finally {
      closeFooters();
      removeSources(own.registry, own.sourceIds);
    }
  };
  return {
    async chore(work, read = null, others = []) {
      const done = perform(work, read, others);
      running.add(done);
      try {
        return await done;
      } finally {
        running.delete(done);
      }
    },
    async whenIdle() {
      await Promise.allSettled(running);
    },
  };
}

async function openInstances(
  settings: EngineSettings,
  begin: NonNullable<InstanceSettings['begin']>,
): Promise<Instances> {
  const part = (bytes: number, threads: number, footerShare: number, folder: string): InstanceSettings => ({
    memoryLimitBytes: bytes,
    threads,
    tempDir: join(settings.tempDir, folder),
    footerBytes: Math.floor(bytes * footerShare),
    begin,
  });
  return {
    queries: await openInstance(
      part(settings.memoryLimitBytes * QUERIES_SHARE, settings.threads, FOOTERS_SHARE, 'queries'),
    ),
    // What a rewrite reads is read once.
    chores: await openInstance(part(settings.memoryLimitBytes * (1 - QUERIES_SHARE), 1, 0, 'chores')),
  };
}
