/**
 * The lake's side of the disk cache, DATA_DIR/cache: copies of remote files, brought here, kept or checked. Which of
 * them stay is decided on main (disk-cache.ts).
 *
 * - F1 A name in the cache is a whole file: it is written beside, fsynced and renamed.
 * - F2 At start a copy that no table names, that has another size than its table says, or that does not end as a Parquet
 *   file ends is removed: a cache is never repaired, only fetched again.
 */
import { randomBytes } from 'node:crypto';
import { access, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { canceled, invariant } from '../../errors.ts';
import { ioError, linkOrCopy } from '../iceberg/local-store.ts';
import type { ObjectStore, ObjectVersion } from '../iceberg/object-store.ts';
import { isRemote, toLocalPath } from '../iceberg/paths.ts';
import { Slots } from '../slots.ts';
import { BlockSums, compareSums, type KnownSums } from './file-sums.ts';
import { cachedLocation, cachePath } from './cache-path.ts';
import { fetchParts, type PartsRequest } from './file-parts.ts';

export interface CachedFile {
  readonly path: string;
  readonly bytes: number;
}

export interface FileCache {
  /** Where the file of a location is read: in place, or its copy's place in the cache. Pure. */
  pathOf(location: string): string;
  /** The other way round. Pure. */
  locationOf(path: string): string;
  /** Brings the file of a path here, unless it is. @throws {SqlError} 58030, 53100, 57014 after `cancel` */
  fetch(path: string): Promise<CachedFile>;
  cancel(path: string): void;
  /** Ranges of the file of a path, into a file of their own. @throws {SqlError} 58030, 53100, XX001 */
  fetchParts(request: PartsRequest): Promise<number>;
  /** Makes a local file the copy of the object that it was uploaded to; the file keeps its own name as well. */
  keep(location: string, path: string): Promise<void>;
  /** F2. `expected` has the paths that tables name, with their sizes where known. */
  check(expected: ReadonlyMap<string, number | null>): Promise<CachedFile[]>;
}

const FETCHES_MAX = 8;
/** Small ones do not wait for those of whole files. */
const PARTS_MAX = 16;
const CHECKS_MAX = 16;
/** Many more than there are parts at a time. */
const VERSIONS_MAX = 4096;
export const TEMPORARY = '.tmp';

/** @param known the checksums that objects were written with */
export function fileCache(dataDir: string, store: ObjectStore, known: KnownSums | null = null): FileCache {
  const dir = resolve(dataDir, 'cache');
  const slots = new Slots(FETCHES_MAX);
  const partSlots = new Slots(PARTS_MAX);
  const running = new Map<string, AbortController>();
  const versions = new Map<string, ObjectVersion>();
  return {
    pathOf: (location) => (isRemote(location) ? cachePath(dir, location) : toLocalPath(location)),
    locationOf: (path) => cachedLocation(dir, path) ?? `file://${path}`,
    fetch: async (path) => {
      const location = cachedLocation(dir, path);
      invariant(location !== null, 'only files of the cache are fetched');
      const abort = new AbortController();
      running.set(path, abort);
      try {
        const here = await sizeOf(path);
        if (here !== null) return { path, bytes: here };
        return await slots.hold(1, () => download({ store, dir, location, path, known, signal: abort.signal }));
      } catch (error) {
        throw abort.signal.aborted ? canceled() : error;
      } finally {
        if (running.get(path) === abort) running.delete(path);
      }
    },
    cancel: (path) => running.get(path)?.abort(),
    fetchParts: (request) => {
      const location = cachedLocation(dir, request.path);
      invariant(location !== null, 'only files of the cache are fetched in part');
      return partSlots.hold(1, () => fetchParts(store, location, request, versionOf(versions, request)));
    },
    keep: async (location, path) => {
      const copy = cachePath(dir, location);
      await inPlace(dir, copy, (temporary) => linkOrCopy(path, temporary));
    },
    check: (expected) => check(dir, expected),
  };
}

/** Of the object that the footer of a part is from; those of parts that are long gone are forgotten. */
function versionOf(versions: Map<string, ObjectVersion>, { part, ranges }: PartsRequest): ObjectVersion {
  const known = ranges === null ? undefined : versions.get(part);
  const version = known ?? { tag: null };
  versions.delete(part);
  versions.set(part, version);
  if (versions.size > VERSIONS_MAX) versions.delete(versions.keys().next().value!);
  return version;
}

interface Download {
  readonly store: ObjectStore;
  readonly dir: string;
  readonly location: string;
  readonly path: string;
  readonly known: KnownSums | null;
  readonly signal: AbortSignal;
}

async function download({ store, dir, location, path, known, signal }: Download): Promise<CachedFile> {
  signal.throwIfAborted();
  let bytes = 0;
  const expected = known?.of(location) ?? null;
  const sums = new BlockSums();
  await inPlace(dir, path, async (temporary) => {
    await using file = await open(temporary, 'w');
    for await (const chunk of store.read(location, signal)) {
      signal.throwIfAborted(); // a cancel may come where the store is not waiting for anything
      for (let at = 0; at < chunk.length;) at += (await file.write(chunk, at)).bytesWritten;
      bytes += chunk.length;
      if (expected !== null) sums.add(chunk);
    }
    if (expected !== null) compareSums(path, expected, sums.take());
    await file.sync();
  });
  if (expected !== null) known?.looked(location);
  return { path, bytes };
}

/** F1. */
async function inPlace(dir: string, path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = join(dir, TEMPORARY, randomBytes(8).toString('hex'));
  try {
    await mkdir(dirname(temporary), { recursive: true });
    await mkdir(dirname(path), { recursive: true });
    await make(temporary);
    await rename(temporary, path);
  } catch (error) {
    throw ioError(error, path);
  } finally {
    // also after a rename of two links to one file, which does nothing
    await rm(temporary, { force: true });
  }
}

async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw ioError(error, path);
  }
}

async function check(dir: string, expected: ReadonlyMap<string, number | null>): Promise<CachedFile[]> {
  const found: CachedFile[] = [];
  await rm(join(dir, TEMPORARY), { recursive: true, force: true });
  if (!(await exists(dir))) return found;
  const entries = (await readdir(dir, { recursive: true, withFileTypes: true })).values();
  const worker = async (): Promise<void> => {
    for (const entry of entries) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const size = expected.get(path);
      const bytes = (await sizeOf(path)) ?? -1;
      if (size !== undefined && (size === null || size === bytes) && (await endsAsParquet(path, bytes)))
        found.push({ path, bytes });
      else await rm(path, { force: true });
    }
  };
  await Promise.all(Array.from({ length: CHECKS_MAX }, worker));
  return found;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Footer, its length, and the magic of both ends. */
async function endsAsParquet(path: string, bytes: number): Promise<boolean> {
  if (bytes < 12) return false;
  await using file = await open(path, 'r');
  const ends = Buffer.alloc(12);
  await file.read(ends, 0, 4, 0);
  await file.read(ends, 4, 8, bytes - 8);
  return (
    ends.toString('latin1', 0, 4) === 'PAR1' &&
    ends.toString('latin1', 8) === 'PAR1' &&
    ends.readUInt32LE(4) + 12 <= bytes
  );
}
