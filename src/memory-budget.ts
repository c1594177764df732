/**
 * How `memory.limit` is divided (H6): the limit is the RSS of the whole process, so what code and threads take comes off
 * first, and rows get what the other parts leave. What really happens is watched by memory-guard.ts.
 *
 * Measured: 170 MB idle, of which 85 are the executable and DuckDB's library; heaps of main 30–80 MB under load, of the
 * other threads 15–25 each; PGlite 130 MB; DuckDB takes up to twice its own limit while it sorts, until it is trimmed.
 */
const MB = 2 ** 20;
/** Code, heaps of the threads, the log's ring, buffers of sessions. */
const THREADS_BYTES = 230 * MB;
export const CATALOG_BYTES = 130 * MB;
const ENGINE_FRACTION = 0.2;
/** Two halves: with less than 128 MB for files a flush, a rewrite and lookups at one time end with 53200. */
const ENGINE_BYTES_MIN = 256 * MB;
/** What DuckDB takes beyond what it counts. */
const ENGINE_OVERHEAD = 1.5;
const INDEX_FRACTION = 0.15;
/** Of the budget for the index over files: what its reader and its sorting take, the rest is for pages. */
export const INDEX_WORK_BYTES = 32 * MB;
const INDEX_CACHE_BYTES_MIN = 4 * MB;
/** Of slabs, key indexes and queue together: the rest is for keys of the rows that the slabs hold. */
const SLAB_FRACTION = 0.85;
const SLAB_BYTES_MIN = 96 * MB;

export interface MemoryBudget {
  readonly limitBytes: number;
  /** DuckDB's memory_limit, of all its instances together. */
  readonly engineBytes: number;
  /** The key index over files, all of it. */
  readonly indexBytes: number;
  /** V5: slabs, indexes of rows in memory, locks and the log's queue together. */
  readonly liveBytes: number;
  /** V5: slabs alone. */
  readonly slabBytes: number;
}

export function memoryBudget(limitBytes: number): MemoryBudget {
  const engineBytes = Math.max(ENGINE_BYTES_MIN, Math.floor(limitBytes * ENGINE_FRACTION));
  const indexBytes = Math.floor((limitBytes - THREADS_BYTES - CATALOG_BYTES) * INDEX_FRACTION);
  const rest = limitBytes - THREADS_BYTES - CATALOG_BYTES - engineBytes * ENGINE_OVERHEAD - indexBytes;
  const slabBytes = Math.floor(Math.max(SLAB_BYTES_MIN, rest * SLAB_FRACTION));
  return {
    limitBytes,
    engineBytes,
    indexBytes,
    slabBytes,
    liveBytes: Math.floor(Math.max(rest, slabBytes / SLAB_FRACTION)),
  };
}

export function indexCacheBytes({ indexBytes }: MemoryBudget): number {
  return Math.max(INDEX_CACHE_BYTES_MIN, indexBytes - INDEX_WORK_BYTES);
}
