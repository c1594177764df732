/**
 * The object store on a local file system: an object is a file, its location `file://` and the path.
 *
 * A put writes a temporary file beside the target, fsyncs it, links or renames it into place and fsyncs the folder;
 * folders made on the way are fsynced into theirs (O1, C10). Temporary names end in `.tmp` and are not listed.
 */
import { randomBytes } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { copyFile, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SqlError, SqlState } from '../../errors.ts';
import { sideBySide } from '../../side-by-side.ts';
import { toLocalPath } from './paths.ts';
import type { NewObject, ObjectInfo, ObjectStore } from './object-store.ts';

const TEMPORARY = '.tmp';
const PUTS_MAX = 8;

export function localStore(): ObjectStore {
  return {
    get: (location, start, end) => guard(location, () => readRange(toLocalPath(location), start ?? 0, end)),
    read: (location, signal) => read(location, signal),
    head: (location) => guard(location, () => head(location)),
    put: (location, bytes) => guard(location, () => place(location, (path) => writeSynced(path, bytes))),
    putAll,
    putIfAbsent: (location, bytes) => guard(location, () => putIfAbsent(location, bytes)),
    putFile: (location, source) => guard(location, () => place(location, (path) => linkOrCopy(source, path))),
    list: (prefix) => list(prefix),
    delete: (locations) => guard(locations[0] ?? '', () => deleteAll(locations)),
    deleteBelow: (prefix) => guard(prefix, () => rm(toLocalPath(prefix), { recursive: true, force: true })),
  };
}

async function guard<T>(location: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw ioError(error, location);
  }
}

/** 53100 or 58030 that names the path. */
export function ioError(error: unknown, path: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (error instanceof SqlError || code === undefined) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new SqlError(SqlState.diskFull, `could not write "${path}": no space left`, { cause: error });
  const what =
    code === 'ENOENT'
      ? 'no such file or directory'
      : code === 'EACCES' || code === 'EROFS' || code === 'EPERM'
        ? 'permission denied'
        : code;
  return new SqlError(SqlState.ioError, `could not access "${path}": ${what}`, { cause: error });
}

async function readRange(path: string, start: number, end: number | undefined): Promise<Uint8Array> {
  await using file = await open(path, 'r');
  const stop = Math.min(end ?? Infinity, (await file.stat()).size);
  const bytes = new Uint8Array(Math.max(0, stop - start));
  for (let at = 0; at < bytes.length;) {
    const { bytesRead } = await file.read(bytes, at, bytes.length - at, start + at);
    if (bytesRead === 0)
      throw new SqlError(SqlState.dataCorrupted, `file "${path}" ended at byte ${start + at}, expected ${stop}`);
    at += bytesRead;
  }
  return bytes;
}

async function* read(location: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of createReadStream(toLocalPath(location), signal === undefined ? {} : { signal }))
      yield chunk as Uint8Array;
  } catch (error) {
    signal?.throwIfAborted();
    throw ioError(error, location);
  }
}

async function head(location: string): Promise<ObjectInfo | null> {
  try {
    const info = await stat(toLocalPath(location));
    return info.isFile() ? { location, bytes: info.size, modifiedMs: info.mtimeMs } : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ENOTDIR')
      return null;
    throw error;
  }
}

/** Their folders are fsynced once. */
async function putAll(objects: readonly NewObject[]): Promise<void> {
  await sideBySide(objects, PUTS_MAX, ({ location, bytes }) =>
    guard(location, () => makeAndName(location, (path) => writeSynced(path, bytes))),
  );
  for (const folder of new Set(objects.map(({ location }) => dirname(toLocalPath(location)))))
    await guard(folder, () => syncFolder(folder));
}

async function place(location: string, make: (path: string) => Promise<void>): Promise<void> {
  await makeAndName(location, make);
  await syncFolder(dirname(toLocalPath(location)));
}

/** Makes the object as a temporary file through `make`, then gives it its name, which is not durable yet. */
async function makeAndName(location: string, make: (path: string) => Promise<void>): Promise<void> {
  const target = toLocalPath(location);
  const temporary = await temporaryBeside(target);
  try {
    await make(temporary);
    await rename(temporary, target);
    // rename of two links to one file does nothing and leaves both names
    await rm(temporary, { force: true });
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function putIfAbsent(location: string, bytes: Uint8Array): Promise<boolean> {
  const target = toLocalPath(location);
  const temporary = await temporaryBeside(target);
  try {
    await writeSynced(temporary, bytes);
    await link(temporary, target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
  await syncFolder(dirname(target));
  return true;
}

async function temporaryBeside(target: string): Promise<string> {
  await makeFolder(dirname(target));
  return join(dirname(target), `.${randomBytes(8).toString('hex')}${TEMPORARY}`);
}

export async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  await using file = await open(path, 'w');
  for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten;
  await file.sync();
}

/** A link where the file system has them, else a copy. The bytes are fsynced either way: the writer may not have done it. */
export async function linkOrCopy(source: string, path: string): Promise<void> {
  try {
    await link(source, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw ioError(error, source);
    await copyFile(source, path, constants.COPYFILE_FICLONE);
  }
  await using file = await open(path, 'r');
  await file.sync();
}

/** Folders whose names this process has made durable, or found so. */
const durableFolders = new Set<string>();

/** At the start of a run: what another one knew says nothing about this disk. */
export function forgetFolders(): void {
  durableFolders.clear();
}

/**
 * mkdir -p; every folder above it is fsynced into its parent once. Also those that are there already: a run that ended between
 * mkdir and fsync, or whose fsync failed, has left a name that a power cut takes away with all that is in it.
 */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined && durableFolders.has(path)) return;
  const synced: string[] = [];
  for (let folder = path; folder !== dirname(folder); folder = dirname(folder)) {
    const made = first !== undefined && folder.length >= first.length;
    if (durableFolders.has(folder) && !made) break;
    try {
      await syncFolder(dirname(folder));
    } catch (error) {
      // Folders above ours belong to others, and may not be readable: those were there before us.
      if (made || !['EACCES', 'EPERM', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
    synced.push(folder);
  }
  for (const folder of synced) durableFolders.add(folder); // none is before all above it are
}

export async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}

async function* list(prefix: string): AsyncGenerator<ObjectInfo> {
  const root = toLocalPath(prefix).replace(/\/+$/, '');
  let entries;
  try {
    entries = await readdir(root, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw ioError(error, root);
  }
  const base = prefix.replace(/\/+$/, '');
  for (const entry of entries) {
    const location = `${base}/${entry.name}`;
    if (entry.isDirectory()) yield* list(location);
    else if (!entry.name.endsWith(TEMPORARY)) {
      const info = await head(location);
      if (info !== null) yield info;
    }
  }
}

async function deleteAll(locations: readonly string[]): Promise<void> {
  for (const location of locations) await rm(toLocalPath(location), { force: true });
}
