/**
 * One simulated machine: its disk, SQLite files, clock and scheduler, all from one seed, with Arka's storage code on it.
 *
 * Whatever is asynchronous (a file call, a call to the lake or the engine) waits for a turn; `drive` gives turns in the
 * order that the seed says, looks at the invariants after each, and moves the clock when nobody waits.
 */
import type { DatabaseSync } from 'node:sqlite';
import { setImmediate } from 'node:timers';
import type { Clock } from '../../src/clock.ts';
import { SqlError } from '../../src/errors.ts';
import { localStore } from '../../src/storage/iceberg/local-store.ts';
import type { ObjectStore } from '../../src/storage/iceberg/object-store.ts';
import { toLocalPath } from '../../src/storage/iceberg/paths.ts';
import { randomFrom, type Random } from './sim-disk.ts';
import type { EngineWorld } from './sim-engine.ts';
import { fsError, SimFs } from './sim-fs.ts';
import { simulate, type NodeWorld } from './sim-node.ts';
import { INDEX_DIR } from './sim-index.ts';
import { outsideS3, S3Objects, simulateS3 } from './sim-s3.ts';

/** How likely what goes wrong. */
export interface Faults {
  /** Of a file, SQLite or engine call. */
  readonly io: number;
  /** Of a read of a file. */
  readonly read: number;
  /** Of a SQLite commit: it fails, or takes place unheard. */
  readonly sqlite: number;
  readonly unheard: number;
  /** Of a sync of the log. */
  readonly logSync: number;
  /** Of one try of a request to S3, for each way to fail. */
  readonly store: number;
  /** Operations of the disk until the power goes, at most; 0: it stays. */
  readonly crashWithin: number;
}

export const NO_FAULTS: Faults = { io: 0, read: 0, sqlite: 0, unheard: 0, logSync: 0, store: 0, crashWithin: 0 };

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

/** An invariant is broken: seed and trace say how to see it again. */
export class Violation extends Error {}

/** Each line at once: SIM_TRACE=1. */
const TRACE = process.env['SIM_TRACE'] !== undefined;
const TRACE_MAX = 60;
/** Steps of a whole seed, and without anything that got done (`progress`); the longest that is in order is a disk that is full for a while. */
const STEPS_MAX = 60_000;
const IDLE_STEPS_MAX = 12_000;
/** Of Node's event loop, for what outsiders do in one step. */
const OUTSIDE_ROUNDS_MAX = 10_000;

interface Waiting {
  readonly what: string;
  readonly go: () => void;
}

export class World implements NodeWorld, EngineWorld {
  readonly seed: number;
  readonly random: Random;
  readonly databases = new Map<string, DatabaseSync>();
  sqliteWrites = 0;
  readonly s3 = new S3Objects();
  readonly clock: Clock;
  fs: SimFs;
  faults: Faults = NO_FAULTS;
  /** Files that nobody can read for a while. */
  readonly unreadable = new Set<string>();
  /** No turns are waited for: an onlooker or another writer acts, in one step. */
  instant = false;
  /** Called after each step. */
  look: () => Promise<void> | null = () => null;
  readonly #trace: string[] = [];
  #now = 1_700_000_000_000;
  #waiting: Waiting[] = [];
  /** What is under way, and since which step. */
  readonly #running = new Map<object, string>();
  #progressAt = 0;
  #timers: Timer[] = [];
  #failure: Violation | null = null;
  steps = 0;

  constructor(seed: number) {
    this.seed = seed;
    this.random = randomFrom(seed);
    this.fs = new SimFs(this.random);
    this.clock = {
      now: () => this.#now,
      monotonic: () => this.#now,
      after: (milliseconds, callback) => {
        const timer = { at: this.#now + milliseconds, callback };
        this.#timers.push(timer);
        return () => void (this.#timers = this.#timers.filter((each) => each !== timer));
      },
    };
    simulate(this);
    simulateS3(this);
    this.#watch();
  }

  #watch(): void {
    this.fs.fault = (operation, path) => {
      if (this.instant) return;
      // a failed sync of the log ends the process; a stream's failure is its transaction's (H1)
      const stream = path.startsWith('/sim/wal/stream-') && operation !== 'name';
      if (path.startsWith('/sim/wal') && !stream) {
        if (operation === 'sync' && this.random() < this.faults.logSync) throw fsError('EIO', `${operation} ${path}`);
        return;
      }
      if (operation === 'read' && this.unreadable.has(path)) throw fsError('EIO', `${operation} ${path}`);
      const probability = operation === 'read' && !path.startsWith(INDEX_DIR) ? this.faults.read : this.faults.io;
      if (this.random() < probability) throw fsError('EIO', `${operation} ${path}`);
    };
  }

  /** The objects of the warehouse as others see and write them. */
  readonly objects: Pick<ObjectStore, 'get' | 'put'> = {
    get: (location) => this.#storeOf(location).get(location),
    put: (location, bytes) => this.#storeOf(location).put(location, bytes),
  };
  #storeOf(location: string): Pick<ObjectStore, 'get' | 'put'> {
    return location.startsWith('s3:') ? outsideS3(this) : localStore();
  }

  /** What an object holds, at once. @throws when it is not there */
  bytesAt(location: string): Uint8Array {
    if (!location.startsWith('s3:')) return this.fs.get(toLocalPath(location)).bytes;
    const object = this.s3.objects.get(location.slice('s3://'.length));
    if (object === undefined) throw new Error(`no object ${location}`);
    return object.bytes;
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  below(count: number): number {
    return Math.floor(this.random() * count);
  }

  trace(line: string): void {
    this.progress();
    this.#trace.push(line);
    if (TRACE) process.stdout.write(`${this.steps} ${line}\n`);
    if (this.#trace.length > TRACE_MAX) this.#trace.shift();
  }

  fail(what: string): never {
    this.#failure ??= new Violation(
      `seed ${this.seed}: ${what}\n  ${this.#trace.join('\n  ')}\nstep ${this.steps}; ${this.#underWay()}`,
    );
    throw this.#failure;
  }

  /** Something got done. */
  progress(): void {
    this.#progressAt = this.steps;
  }

  /** `work` is named in a failure for as long as it has not ended. */
  async during<T>(what: string, work: Promise<T>): Promise<T> {
    const key = {};
    this.#running.set(key, `${what} (since step ${this.steps})`);
    try {
      return await work;
    } finally {
      this.#running.delete(key);
    }
  }

  #underWay(): string {
    const turns = this.#waiting.map(({ what }) => what).join(', ');
    const timers = this.#timers.map(({ at }) => `in ${at - this.#now} ms`).join(', ');
    const running = [...this.#running.values()].map((each) => `\n  ${each}`).join('');
    return `wait for a turn: ${turns || 'nobody'}; timers: ${timers || 'none'}; under way:${running || ' nothing'}`;
  }

  /** Throws what an onlooker inside of Arka's own calls has found. */
  rethrow(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  /** `what` waits for it, should that never come. */
  turn(what: string): Promise<void> {
    if (this.instant) return Promise.resolve();
    return new Promise((go) => this.#waiting.push({ what, go }));
  }

  engineFault(): void {
    if (!this.instant && this.random() < this.faults.io) throw fsError('EIO', 'engine');
  }

  sqliteFault(path: string): 'none' | 'failed' | 'unheard' {
    if (this.instant || path.endsWith('arka.lock')) return 'none';
    if (this.random() < this.faults.sqlite) return 'failed';
    return this.random() < this.faults.unheard ? 'unheard' : 'none';
  }

  /** Gives turns until `work` is settled or the power is gone; its result, null after a crash. @throws what it throws */
  async drive<T>(work: Promise<T>): Promise<T | null> {
    let outcome: { readonly value: T } | { readonly error: unknown } | null = null;
    work.then(
      (value) => (outcome = { value }),
      (error: unknown) => (outcome = { error }),
    );
    const settled = (): { readonly value: T } | { readonly error: unknown } | null => outcome;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      this.rethrow();
      const ended = settled();
      if (this.fs.crashed) return null;
      if (ended !== null) {
        if ('error' in ended) throw ended.error;
        return ended.value;
      }
      const looking = this.look();
      if (looking !== null) await looking;
      this.#step();
    }
  }

  #step(): void {
    if (++this.steps > STEPS_MAX) this.fail('it never ends');
    if (this.steps - this.#progressAt > IDLE_STEPS_MAX) this.fail(`${IDLE_STEPS_MAX} steps, and nothing got done`);
    const timer = this.#timers.reduce<Timer | null>(
      (first, each) => (first === null || each.at < first.at ? each : first),
      null,
    );
    if (this.#waiting.length > 0 && (timer === null || this.random() < 0.98)) {
      const index = this.below(this.#waiting.length);
      const [next] = this.#waiting.splice(index, 1);
      next!.go();
      return;
    }
    if (timer === null)
      this.fail('nobody waits for a turn and there is no timer, but the work has not ended: a deadlock');
    this.#timers = this.#timers.filter((each) => each !== timer);
    this.#now = Math.max(this.#now, timer.at);
    timer.callback();
  }

  /** What others do to the world, at once and without faults. */
  async outside<T>(work: () => Promise<T>): Promise<T> {
    const { capacity, crashIn } = this.fs;
    this.fs.capacity = Infinity;
    this.instant = true;
    this.fs.crashIn = Infinity;
    try {
      return await this.#atOnce(work());
    } finally {
      this.instant = false;
      this.fs.crashIn = crashIn;
      this.fs.capacity = capacity;
    }
  }

  /** It ends between two turns of the event loop; nobody would give it a turn that it waits for. */
  async #atOnce<T>(work: Promise<T>): Promise<T> {
    const { promise: never, reject } = Promise.withResolvers<never>();
    let left = OUTSIDE_ROUNDS_MAX;
    let ended = false;
    const look = (): void => {
      if (ended) return;
      if (--left > 0) setImmediate(look);
      else reject(new Violation(`seed ${this.seed}: what an onlooker or another writer does never ends`));
    };
    setImmediate(look);
    try {
      return await Promise.race([work, never]);
    } finally {
      ended = true;
    }
  }

  /** The process ends itself: nothing it does has an effect any more, and the machine runs on. */
  halted = false;
  halt(): void {
    this.halted = true;
    this.fs.crashed = true;
  }

  /** The power goes (if it has not), and comes back: what was under way is gone. */
  async restartPower(): Promise<void> {
    this.fs.crashed = true;
    await this.#endProcess(true);
  }

  /** The process has ended and the machine runs on: the page cache stays. */
  async endProcess(): Promise<void> {
    this.fs.crashed = true;
    await this.#endProcess(false);
  }

  async #endProcess(powerCut: boolean): Promise<void> {
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
    for (const database of this.databases.values()) if (database.isTransaction) database.exec('ROLLBACK');
    this.halted = false;
    this.#waiting = [];
    this.#timers = [];
    this.#running.clear();
    const { lazySync } = this.fs;
    this.fs = powerCut ? this.fs.afterCrash() : this.fs.afterKill();
    this.fs.lazySync = lazySync;
    this.fs.crashIn = Infinity;
    this.#watch();
    this.rethrow();
  }
}

/** An error that the world itself has caused. */
export function isSimulated(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if (/simulated|the power is gone/.test(at.message)) return true;
  return false;
}

/** What a client may meet in good order. */
export const codeOf = (error: unknown): string => (error instanceof SqlError ? error.code : '');
