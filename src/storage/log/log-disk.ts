/**
 * The files of the log behind one tiny interface, so that a simulation can drop what was not synced: the real writer and
 * reader run over it. Everything is synchronous: the log's thread has nothing else to do, and a hop through the libuv pool
 * costs 0.05 ms and can be held up for seconds by others.
 *
 * - A file's bytes are durable after `sync` of the file, its name after `syncDir`.
 */
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';

export interface LogFile {
  /** The descriptor, good on every thread of the process; -1 on a simulated disk. */
  readonly fd: number;
  size(): number;
  /** Fills `into` from `offset`; returns fewer bytes only at the end of the file. */
  read(into: Uint8Array, offset: number): number;
  /** Writes `parts` one after another, all of them. */
  write(parts: readonly Uint8Array[], offset: number): void;
  /** fdatasync. */
  sync(): void;
  close(): void;
}

/** One directory, flat, of the log alone. */
export interface LogDisk {
  list(): string[];
  /** Opens for reading and writing. `create`: the file is new, and empty. */
  open(name: string, create: boolean): LogFile;
  rename(from: string, to: string): void;
  remove(name: string): void;
  syncDir(): void;
}

/** The directory `dir`, made durably when it is missing. */
export function openNodeDisk(dir: string): LogDisk {
  const made = fs.mkdirSync(dir, { recursive: true });
  // mkdir names the topmost directory it made: each of them down to `dir` is an entry of its parent
  if (made !== undefined)
    for (let path = dir; path.length >= made.length; path = dirname(path)) syncPath(dirname(path));
  return {
    list: () => fs.readdirSync(dir),
    open: (name, create) => openNodeFile(join(dir, name), create),
    rename: (from, to) => fs.renameSync(join(dir, from), join(dir, to)),
    remove: (name) => fs.rmSync(join(dir, name), { force: true }),
    syncDir: () => syncPath(dir),
  };
}

function syncPath(path: string): void {
  const fd = fs.openSync(path, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function openNodeFile(path: string, create: boolean): LogFile {
  return fileOver(fs.openSync(path, create ? 'w+' : 'r+'));
}

/** A file that is open already, here or on another thread. */
export function fileOver(fd: number): LogFile {
  return {
    fd,
    size: () => fs.fstatSync(fd).size,
    read(into, offset) {
      let done = 0;
      while (done < into.length) {
        const got = fs.readSync(fd, into, done, into.length - done, offset + done);
        if (got === 0) break;
        done += got;
      }
      return done;
    },
    write(parts, offset) {
      const total = parts.reduce((sum, part) => sum + part.length, 0);
      const written = fs.writevSync(fd, parts, offset);
      if (written < total) writeRest(fd, parts, offset, written);
    },
    sync: () => fs.fdatasyncSync(fd),
    close: () => fs.closeSync(fd),
  };
}

/** A short write (a signal, a disk that is nearly full) goes on where it stopped; the next error tells why. */
function writeRest(fd: number, parts: readonly Uint8Array[], offset: number, written: number): void {
  let at = 0;
  for (const part of parts) {
    let done = Math.min(part.length, Math.max(0, written - at));
    while (done < part.length) done += fs.writeSync(fd, part, done, part.length - done, offset + at + done);
    at += part.length;
  }
}

export const isDiskFull = (error: unknown): boolean =>
  error instanceof Error && ['ENOSPC', 'EDQUOT'].includes(String((error as NodeJS.ErrnoException).code));
