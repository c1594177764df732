/**
 * The index thread's API (`index-api.ts`) over the tables' runs: calls are answered at once, in turns; one piece of background
 * work at a time builds, merges and cleans up.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../clock.ts';
import { invariant, SqlError, SqlState } from '../../errors.ts';
import type { IndexApi, IndexEvents, IndexSettings, IndexStats } from './index-api.ts';
import type { KeyReader } from './key-reader.ts';
import { readSecret } from './manifest.ts';
import { Pace, Stopped } from './pace.ts';
import { PageCache } from './page-cache.ts';
import { SortSpace } from './sort.ts';
import { TableIndex, type TableEvents } from './table-index.ts';

const BACKOFF_MS = 10_000;

export type IndexCore = Omit<IndexApi, 'open' | 'readRow' | 'readVectors' | 'rowGroups' | 'memory'> & {
  open(settings: Omit<IndexSettings, 'readerBytes' | 'tempDir'>): Promise<{ readonly secret: Uint8Array }>;
};

interface Opened {
  readonly dir: string;
  readonly cache: PageCache;
  readonly secret: Uint8Array;
}

/** What main has not heard yet. */
class News {
  #covered: number[] = [];
  #lost: number[] = [];
  #problems: string[] = [];
  #room: number | null = null;
  #waiter: ((events: IndexEvents | null) => void) | null = null;

  covered(unit: number): void {
    this.#covered.push(unit);
    this.#tell();
  }

  lost(unit: number): void {
    this.#lost.push(unit);
    // Not told alone: the next answer of a lookup takes it along, or the next call of `next`.
  }

  problem(text: string): void {
    this.#problems.push(text);
    this.#tell();
  }

  room(bytes: number): void {
    this.#room = bytes;
    this.#tell();
  }

  /** What a lookup's answer must say (X1). */
  takeLost(): readonly number[] {
    const lost = this.#lost;
    this.#lost = [];
    return lost;
  }

  /** What an answer to a change says itself. */
  takeCovered(units: ReadonlySet<number>): readonly number[] {
    const taken = this.#covered.filter((unit) => units.has(unit));
    this.#covered = this.#covered.filter((unit) => !units.has(unit));
    return taken;
  }

  next(): Promise<IndexEvents | null> {
    invariant(this.#waiter === null, 'one call for events at a time');
    return new Promise((resolve) => {
      this.#waiter = resolve;
      this.#tell();
    });
  }

  end(): void {
    this.#waiter?.(null);
    this.#waiter = null;
  }

  #tell(): void {
    const count = this.#covered.length + this.#problems.length + this.#lost.length;
    if (this.#waiter === null || (count === 0 && this.#room === null)) return;
    this.#waiter({ covered: this.#covered, lost: this.#lost, problems: this.#problems, room: this.#room });
    this.#waiter = null;
    this.#room = null;
    this.#covered = [];
    this.#lost = [];
    this.#problems = [];
  }
}

/** Room on the disk for the run that is about to be written: one at a time. */
class RunRoom {
  readonly #news: News;
  isAsked = false;
  #answer: ((isGranted: boolean) => void) | null = null;
  #held = false;
  #closed = false;

  constructor(news: News) {
    this.#news = news;
  }

  async take(bytes: number): Promise<boolean> {
    if (!this.isAsked) return true;
    if (this.#closed) throw new Stopped();
    this.#held = true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#answer = resolve;
    this.#news.room(bytes);
    const isGranted = await promise;
    if (this.#closed) throw new Stopped();
    return isGranted;
  }

  answer(isGranted: boolean): void {
    this.#answer?.(isGranted);
    this.#answer = null;
  }

  giveBack(): void {
    if (this.#held) this.#news.room(0);
    this.#held = false;
  }

  close(): void {
    this.#closed = true;
    this.answer(false);
  }
}

export function createIndexCore(clock: Clock, reader: KeyReader): IndexCore {
  const tables = new Map<string, TableIndex>();
  const news = new News();
  let opened: Opened | null = null;
  const room = new RunRoom(news);
  const background = backgroundWork(clock, reader, tables, news, room);
  const events: TableEvents = {
    room: (bytes) => room.take(bytes),
    covered: (unit) => news.covered(unit),
    lost: (unit) => {
      news.lost(unit);
      background.wake();
    },
    problem: (text) => news.problem(text),
  };

  const own = (): Opened => {
    if (opened === null) throw new SqlError(SqlState.cannotConnectNow, 'the index is not open');
    return opened;
  };

  return {
    open: async ({ dir, cacheBytes, asksForRoom }) => {
      invariant(opened === null, 'the index opens once');
      room.isAsked = asksForRoom;
      try {
        await mkdir(dir, { recursive: true });
        const secret = await readSecret(dir);
        opened = { dir, secret, cache: new PageCache(cacheBytes) };
        return { secret };
      } catch (error) {
        throw new SqlError(SqlState.ioError, `could not open the index in "${dir}": ${(error as Error).message}`, {
          cause: error,
        });
      }
    },
    keepOnly: (uuids) => sweepFolders(own().dir, uuids),
    attach: async (def) => {
      const { dir, secret } = own();
      const table = new TableIndex(def, join(dir, def.uuid), secret, events);
      tables.set(def.uuid, table);
      await table.ready;
    },
    detach: async (uuid) => {
      const table = tables.get(uuid);
      if (table === undefined) return;
      tables.delete(uuid);
      await background.outside(async () => {
        await table.ready.catch(() => undefined);
        table.close();
        await rm(table.dir, { recursive: true, force: true });
      });
    },
    change: async ({ uuid, ...changes }) => {
      const table = tables.get(uuid);
      if (table === undefined) return { covered: [] };
      await table.ready;
      table.change(changes);
      background.wake();
      return { covered: news.takeCovered(new Set(changes.added.map((file) => file.unit))) };
    },
    lend: async ({ uuid, unit, path }) => {
      const table = tables.get(uuid);
      await table?.ready;
      const done = table?.lend(unit, path);
      background.wake();
      await done;
    },
    lookup: async ({ uuid, keys }) => {
      const rows: number[] = [];
      const units: number[] = [];
      const positions: number[] = [];
      const table = tables.get(uuid);
      await table?.ready;
      await table?.lookup(keys, own().cache, new Pace(clock), (row, unit, position) => {
        rows.push(row);
        units.push(unit);
        positions.push(position);
      });
      const found = {
        rows: Int32Array.from(rows),
        units: Int32Array.from(units),
        positions: Uint32Array.from(positions),
      };
      return { ...found, lost: news.takeLost() };
    },
    events: () => news.next(),
    room: async (isGranted) => room.answer(isGranted),
    stats: async () => statsOf(own().cache, [...tables.values()]),
    shutdown: async () => {
      room.close();
      await background.end();
      for (const table of tables.values()) table.close();
      tables.clear();
      news.end();
    },
  };
}

function statsOf(cache: PageCache, tables: readonly TableIndex[]): IndexStats {
  const runs = tables.flatMap((table) => table.runs);
  return {
    cacheBytes: cache.heldBytes,
    fileBytes: runs.reduce((sum, run) => sum + run.bytes, 0),
    runs: runs.length,
    entries: runs.reduce((sum, run) => sum + run.footer.entries, 0),
    waiting: tables.reduce((sum, table) => sum + table.waiting, 0),
    hits: cache.hits,
    misses: cache.misses,
  };
}

/** Folders of tables that are gone. */
async function sweepFolders(dir: string, uuids: readonly string[]): Promise<void> {
  for (const entry of await readdir(dir, { withFileTypes: true }))
    if (entry.isDirectory() && !uuids.includes(entry.name))
      await rm(join(dir, entry.name), { recursive: true, force: true });
}

interface Background {
  wake(): void;
  /** Runs when no piece of work is under way. */
  outside<T>(work: () => Promise<T>): Promise<T>;
  end(): Promise<void>;
}

function backgroundWork(
  clock: Clock,
  reader: KeyReader,
  tables: ReadonlyMap<string, TableIndex>,
  news: News,
  room: RunRoom,
): Background {
  const pace = new Pace(clock);
  let space: SortSpace | null = null;
  let lane: Promise<unknown> = Promise.resolve();
  let awake = false;
  let again = false;
  let cancel = (): void => undefined;

  const inLane = <T>(work: () => Promise<T>): Promise<T> => {
    const next = lane.then(work);
    lane = next.catch(() => undefined);
    return next;
  };
  const sleep = (milliseconds: number): void => {
    cancel();
    cancel = clock.after(milliseconds, wake);
  };
  /** One piece of one table; whether there was one. */
  const piece = async (): Promise<boolean> => {
    space ??= new SortSpace();
    await pace.turn();
    try {
      for (const table of tables.values()) if (await table.work(reader, space, pace, clock.monotonic())) return true;
      return false;
    } finally {
      room.giveBack();
    }
  };
  const run = async (): Promise<void> => {
    try {
      do {
        again = false;
        while (!pace.stopped && (await inLane(piece)));
      } while (again && !pace.stopped);
    } catch (error) {
      if (error instanceof Stopped) return;
      // Such as a full disk: what is not covered is scanned meanwhile.
      news.problem(`the index could not go on, and tries again: ${(error as Error).message}`);
      sleep(BACKOFF_MS);
      return;
    } finally {
      awake = false;
    }
    const waits = [...tables.values()].map((table) => table.retryAt).filter((at) => at !== null);
    if (waits.length > 0) sleep(Math.max(1, Math.min(...waits) - clock.monotonic()));
    // With nothing to build the space goes: it may be larger than a small cache.
    else space = null;
  };
  const wake = (): void => {
    again = true;
    if (awake || pace.stopped) return;
    awake = true;
    cancel();
    void run();
  };
  return {
    wake,
    outside: inLane,
    end: async () => {
      pace.stopped = true;
      cancel();
      await lane;
    },
  };
}
