/**
 * Node's own modules over the simulated world: for paths below /sim/ the functions of node:fs, node:fs/promises and
 * node:sqlite that storage uses work on `world.fs`, and node:crypto's chance comes from the seed. So the storage code under
 * test is the code that ships, down to its calls of fsync.
 *
 * SQLite is a real one in memory: a transaction is atomic, and durable when COMMIT returns (synchronous=FULL). Each commit
 * is one operation of the power switch, which may cut before or behind it.
 */
import crypto from 'node:crypto';
import fs from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { dirname } from 'node:path';
import type * as Sqlite from 'node:sqlite';
import type { Random } from './sim-disk.ts';
import { fsError, PowerGone, type SimFile, type SimFs } from './sim-fs.ts';

const sqlite = process.getBuiltinModule('node:sqlite');

/** What the patched functions work on; null: nothing is simulated. */
export interface NodeWorld {
  fs: SimFs;
  readonly random: Random;
  readonly databases: Map<string, Sqlite.DatabaseSync>;
  /** Commits of all databases so far, those that failed, too. */
  sqliteWrites: number;
  /** The scheduler's turn: an asynchronous call goes on when it says so. */
  turn(what: string): Promise<void>;
  /** An onlooker or another writer acts, in one step. */
  readonly instant: boolean;
  /** Asked at each commit of a SQLite file: lost = the caller gets an error although (or because) it took place (or not). */
  sqliteFault(path: string): 'none' | 'failed' | 'unheard';
}
let world: NodeWorld | null = null;

const ours = (path: unknown): path is string =>
  world !== null && typeof path === 'string' && (path === '/' || path === '/sim' || path.startsWith('/sim/'));
/** The patched function that is being called, and its path. */
let called = '';
const never = new Promise<never>(() => {});

/** Waits for a turn, then acts; without power it never ends. */
async function act<T>(work: (fs: SimFs) => T, what = called): Promise<T> {
  const current = world!;
  const { fs: disk } = current;
  await current.turn(what);
  if (disk.crashed || current.fs !== disk) return never;
  try {
    return work(disk);
  } catch (error) {
    if (error instanceof PowerGone) return never;
    throw error;
  }
}

class SimHandle {
  readonly #path: string;
  readonly #file: SimFile;
  #position = 0;

  constructor(path: string, file: SimFile) {
    this.#path = path;
    this.#file = file;
  }

  stat = () => act(() => statOf(this.#file), `stat ${this.#path}`);
  read = (into: Uint8Array, start: number, length: number, position: number) =>
    act((disk) => {
      disk.fault('read', this.#path);
      const piece = this.#file.bytes.subarray(position, position + length);
      into.set(piece, start);
      return { bytesRead: piece.length };
    }, `read ${this.#path}`);
  write = (bytes: Uint8Array, start = 0, length = bytes.length - start, position = this.#position) =>
    act((disk) => {
      disk.write(this.#path, this.#file, [bytes.subarray(start, start + length)], position);
      this.#position = position + length;
      return { bytesWritten: length };
    }, `write ${this.#path}`);
  writeFile = (data: string | Uint8Array) => this.write(typeof data === 'string' ? Buffer.from(data) : data);
  sync = () => act((disk) => disk.sync(this.#path, this.#file), `sync ${this.#path}`);
  datasync = () => this.sync();
  close = () => Promise.resolve();
  [Symbol.asyncDispose] = () => Promise.resolve();
}

const statOf = (file: SimFile) => ({
  size: file.bytes.length,
  mtimeMs: 0,
  isFile: () => !file.dir,
  isDirectory: () => file.dir,
});

const entryOf = (disk: SimFs, path: string) => {
  const file = disk.get(path);
  return {
    name: path.slice(path.lastIndexOf('/') + 1),
    parentPath: dirname(path),
    isFile: () => !file.dir,
    isDirectory: () => file.dir,
  };
};

function entries(disk: SimFs, path: string, recursive: boolean): ReturnType<typeof entryOf>[] {
  return disk
    .children(path)
    .flatMap((child) => [
      entryOf(disk, child),
      ...(recursive && disk.get(child).dir ? entries(disk, child, true) : []),
    ]);
}

function openFlags(disk: SimFs, path: string, flags: string): SimFile {
  disk.alive();
  if (flags === 'w') return disk.truncate(path);
  if (flags === 'wx') {
    if (disk.names.has(path)) throw fsError('EEXIST', path);
    return disk.create(path);
  }
  return disk.get(path);
}

type Any = (...args: never[]) => unknown;
/** For simulated paths `simulated`, else Node's own. */
function patch<M extends object>(module: M, name: keyof M & string, simulated: Any): void {
  const real = module[name] as Any;
  (module as Record<string, unknown>)[name] = (...args: unknown[]): unknown =>
    ours(args[0]) ? ((called = `${name} ${args[0]}`), simulated(...(args as never[]))) : real(...(args as never[]));
}

function patchPromises(): void {
  patch(promises, 'open', (path: string, flags = 'r') =>
    act((disk) => new SimHandle(path, openFlags(disk, path, flags))),
  );
  patch(promises, 'mkdir', (path: string, options?: { recursive?: boolean }) =>
    act((disk) => {
      if (options?.recursive === true) return disk.makeFolders(path);
      if (disk.names.has(path)) throw fsError('EEXIST', path);
      disk.makeFolders(path);
      return undefined;
    }),
  );
  patch(promises, 'readdir', (path: string, options?: { withFileTypes?: boolean; recursive?: boolean }) =>
    act((disk) => {
      const found = entries(disk, path, options?.recursive === true);
      return options?.withFileTypes === true ? found : found.map((entry) => entry.name);
    }),
  );
  patch(promises, 'rename', (from: string, to: string) => act((disk) => disk.rename(from, to)));
  patch(promises, 'rm', (path: string, options?: object) => act((disk) => disk.remove(path, options)));
  patch(promises, 'stat', (path: string) => act((disk) => statOf(disk.get(path))));
  patch(promises, 'access', (path: string) => act((disk) => void disk.get(path)));
  patch(promises, 'link', (from: string, to: string) => act((disk) => disk.link(from, to)));
  patch(promises, 'copyFile', (from: string, to: string) =>
    act((disk) => disk.write(to, disk.truncate(to), [disk.reading(from).bytes.slice()], 0)),
  );
  patch(promises, 'readFile', (path: string, encoding?: BufferEncoding) =>
    act((disk) => {
      const bytes = Buffer.from(disk.reading(path).bytes);
      return encoding === undefined ? bytes : bytes.toString(encoding);
    }),
  );
}

function patchFs(): void {
  const disk = (): SimFs => {
    world!.fs.alive();
    return world!.fs;
  };
  patch(fs, 'readFileSync', (path: string, encoding?: BufferEncoding) => {
    const bytes = Buffer.from(disk().reading(path).bytes);
    return encoding === undefined ? bytes : bytes.toString(encoding);
  });
  patch(fs, 'statSync', (path: string) => statOf(disk().get(path)));
  patch(fs, 'existsSync', (path: string) => disk().names.has(path));
  patch(fs, 'mkdirSync', (path: string) => disk().makeFolders(path));
  patch(fs, 'writeFileSync', (path: string, text: string) => {
    const file = disk().truncate(path);
    disk().write(path, file, [Buffer.from(text)], 0);
  });
}

/** Files that synchronous code has open, by descriptor; numbers that the system does not give. */
const descriptors = new Map<number, { readonly path: string; readonly file: SimFile }>();
const DESCRIPTOR_MIN = 2 ** 30;

function patchDescriptors(): void {
  const { openSync, closeSync, fstatSync, readSync } = fs;
  let next = DESCRIPTOR_MIN;
  Object.assign(fs, {
    openSync: (path: string, ...rest: [string]) => {
      if (!ours(path)) return openSync(path, ...rest);
      world!.fs.alive();
      descriptors.set(next, { path, file: world!.fs.get(path) });
      return next++;
    },
    closeSync: (fd: number) => (fd < DESCRIPTOR_MIN ? closeSync(fd) : void descriptors.delete(fd)),
    fstatSync: (fd: number) => (fd < DESCRIPTOR_MIN ? fstatSync(fd) : statOf(descriptors.get(fd)!.file)),
    readSync: (fd: number, into: Uint8Array, start: number, length: number, position: number) => {
      if (fd < DESCRIPTOR_MIN) return readSync(fd, into, start, length, position);
      const { path, file } = descriptors.get(fd)!;
      world!.fs.alive();
      world!.fs.fault('read', path);
      const piece = file.bytes.subarray(position, position + length);
      into.set(piece, start);
      return piece.length;
    },
  });
}

/** Long work gives way by setImmediate: when it goes on is the scheduler's to say, too. */
function patchTurns(): void {
  const { setImmediate: real } = globalThis;
  globalThis.setImmediate = ((callback: () => void, ...rest: []): unknown =>
    world === null || world.instant
      ? real(callback, ...rest)
      : void world.turn('setImmediate').then(callback)) as typeof setImmediate;
}

const sqliteError = (errcode: number): Error =>
  Object.assign(new Error('simulated disk I/O error'), { code: 'ERR_SQLITE_ERROR', errcode });

const IOERR = 10;
const FULL = 13;

/** A connection of one life to a database of the world. */
class SimDatabase {
  readonly #path: string;
  readonly #real: Sqlite.DatabaseSync;
  readonly #disk: SimFs;
  readonly #world: NodeWorld;
  #wrote = false;

  constructor(path: string, RealDatabase: typeof sqlite.DatabaseSync) {
    this.#world = world!;
    this.#disk = world!.fs;
    this.#path = path;
    this.#disk.alive();
    let real = world!.databases.get(path);
    if (real === undefined) {
      real = new RealDatabase(':memory:');
      world!.databases.set(path, real);
    }
    this.#real = real;
  }

  get isTransaction(): boolean {
    return this.#real.isTransaction;
  }

  /** What makes a change durable. */
  #durable<T>(work: () => T): T {
    this.#world.sqliteWrites++;
    const fault = this.#world.sqliteFault(this.#path);
    if (fault === 'failed') throw sqliteError(this.#disk.capacity === Infinity ? IOERR : FULL);
    if (this.#disk.crashIn <= 0) {
      if (this.#world.random() < 0.5) work();
      this.#disk.cut();
    }
    const result = work();
    this.#disk.tick();
    if (fault === 'unheard') throw sqliteError(IOERR);
    return result;
  }

  exec(sql: string): void {
    this.#disk.alive();
    if (sql === 'COMMIT' && this.#wrote) {
      this.#durable(() => this.#real.exec(sql));
      this.#wrote = false;
      return;
    }
    if (sql === 'ROLLBACK') this.#wrote = false;
    this.#real.exec(sql);
  }

  prepare(sql: string): object {
    this.#disk.alive();
    const statement = this.#real.prepare(sql);
    return {
      all: (...values: Sqlite.SQLInputValue[]) => {
        this.#disk.alive();
        return statement.all(...values);
      },
      get: (...values: Sqlite.SQLInputValue[]) => {
        this.#disk.alive();
        return statement.get(...values);
      },
      run: (...values: Sqlite.SQLInputValue[]) => {
        this.#disk.alive();
        if (!this.#real.isTransaction) return this.#durable(() => statement.run(...values));
        this.#wrote = true;
        return statement.run(...values);
      },
    };
  }

  close(): void {
    if (!this.#disk.crashed && this.#real.isTransaction) this.#real.exec('ROLLBACK');
  }
}

/**
 * What `import { DatabaseSync } from 'node:sqlite'` must give: `vi.mock('node:sqlite', …)` in the test file does it, because
 * this module's exports cannot be replaced from outside.
 */
export const DatabaseSync: unknown = new Proxy(sqlite.DatabaseSync, {
  construct: (target, [path, ...rest]: [string, ...never[]]) =>
    ours(path) ? new SimDatabase(path, target) : new target(path, ...rest),
});

function patchCrypto(): void {
  const { randomBytes, randomUUID, randomInt } = crypto;
  const seeded = (count: number): Buffer =>
    Buffer.from(Array.from({ length: count }, () => Math.floor(world!.random() * 256)));
  const uuid = (): string => {
    const bytes = seeded(16);
    bytes[6] = (bytes[6]! & 0x0f) | 0x40;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  };
  Object.assign(crypto, {
    randomBytes: (count: number) => (world === null ? randomBytes(count) : seeded(count)),
    randomUUID: () => (world === null ? randomUUID() : uuid()),
    randomInt: (max: number) => (world === null ? randomInt(max) : Math.floor(world.random() * max)),
  });
}

let patched = false;
/** From now on Node's modules work on `next`; null ends it. */
export function simulate(next: NodeWorld | null): void {
  world = next;
  descriptors.clear();
  if (patched) return;
  patched = true;
  patchPromises();
  patchFs();
  patchDescriptors();
  patchTurns();
  patchCrypto();
  syncBuiltinESMExports();
}
