/**
 * The process of a server of which memory alone is modelled: what its parts take, what they leave behind, and what gives it back,
 * by what was measured of each. Guard, pressure and budget are the code that ships; writers, scans and questions to the catalog ask
 * them as sessions do.
 *
 * What is asked for at one time is about what the budget has; what is left behind, garbage and free blocks, is beyond it, and all the guard's.
 *
 * - V5 RSS is within `memory.limit` at every sample: at each step of the clock, and after whatever takes memory.
 * - What is asked for goes on all the same.
 */
import type { Clock } from '../../src/clock.ts';
import { SqlError, SqlState } from '../../src/errors.ts';
import { Pressure } from '../../src/ingest/pressure.ts';
import { CATALOG_BYTES, memoryBudget } from '../../src/memory-budget.ts';
import { MemoryGuard, type GuardOptions } from '../../src/server-memory-guard.ts';
import { uncancelled } from '../../src/running.ts';
import { randomFrom, type Random } from './sim-disk.ts';

const MB = 2 ** 20;
const STEP_MS = 50;
/** From here on all that has a budget fits side by side: what has none is the guard's. */
const LIMIT_MB = 1024;
/** Code, heaps and buffers of threads and sessions, where nothing is garbage. */
const FIXED_MB = 212;
/** Of PGlite while it starts, for a second, and then. */
const CATALOG_START_MB = CATALOG_BYTES / MB;
const CATALOG_MB = 110;
/** DuckDB's files in and out. */
const CHORES_MB = 110;
/** V8 lets so much garbage of buffers wait in a thread, if nobody asks. */
const GARBAGE_MB_MAX = 64;
const THREADS = 4; // main is the first
/** Of what DuckDB has freed, malloc keeps so much until it is told to trim. */
const KEPT_SHARE = 0.25;
const WRITERS = 18;
const SCANS = 12;
/** What flushes take more in a step; a scan takes half of it. */
const GROWTH_MB = 2;
/** Of scans, those of wide rows, and what a chunk of these takes beyond DuckDB's limit. */
const WIDE_SHARE = 0.3;
const WIDE_MB = 34;

/** What a planted bug stands between. */
export interface Parts {
  options: GuardOptions;
  /** Writers hear of the guard. */
  joins: boolean;
  /** Scans and the start of a catalog worker ask the guard. */
  asks: boolean;
}

class SimClock implements Clock {
  time = 0;
  readonly #timers = new Set<{ readonly at: number; readonly run: () => void }>();

  now(): number {
    return this.time;
  }

  monotonic(): number {
    return this.time;
  }

  after(milliseconds: number, run: () => void): () => void {
    const timer = { at: this.time + milliseconds, run };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => void this.after(milliseconds, resolve));
  }

  /** All that is due until then has been called, and has done what it can do without time. */
  async advance(milliseconds: number): Promise<void> {
    this.time += milliseconds;
    for (const timer of [...this.#timers].toSorted((a, b) => a.at - b.at)) {
      if (timer.at > this.time || !this.#timers.delete(timer)) continue;
      timer.run();
    }
    await new Promise(setImmediate);
  }
}

export class Resident {
  readonly clock = new SimClock();
  readonly guard: MemoryGuard;
  readonly pressure: Pressure;
  readonly #budget = memoryBudget(LIMIT_MB * MB);
  readonly #random: Random;
  readonly #parts: Parts;
  /** All in MB. */
  readonly #garbage: number[] = Array.from({ length: THREADS }, () => 0);
  #slabs = 0;
  #index = 0;
  #scanning = 0;
  /** Chunks of wide rows in flight. */
  #wide = 0;
  #chores = 0;
  #kept = 0;
  #catalog = 0;
  #catalogAsked = 0;
  #share = 1;
  #peak = 0;
  #over = false;
  #failure: Error | null = null;
  readonly done = { writes: 0, scans: 0, questions: 0, refused: 0 };

  constructor(seed: number, plant: (parts: Parts) => void = () => {}) {
    this.#random = randomFrom(seed);
    const parts: Parts = { options: this.#options(), joins: true, asks: true };
    plant(parts);
    this.#parts = parts;
    this.guard = new MemoryGuard(parts.options);
    this.pressure = new Pressure({ clock: this.clock });
    if (parts.joins) this.pressure.join(this.guard.signal);
  }

  /** @returns the most that RSS was, in MB. @throws what was violated */
  async run(seconds: number): Promise<number> {
    this.guard.start();
    for (let i = 0; i < WRITERS; i++) void this.#writer();
    for (let i = 0; i < SCANS; i++) void this.#scanner();
    void this.#questions();
    void this.#flushes();
    const end = this.clock.time + seconds * 1000;
    while (this.clock.time < end && this.#failure === null) {
      await this.clock.advance(STEP_MS);
      this.#look();
    }
    this.#over = true;
    this.guard.stop();
    if (this.#failure !== null) throw this.#failure;
    return this.#peak;
  }

  get #rss(): number {
    const garbage = this.#garbage.reduce((sum, each) => sum + each, 0);
    const engine = this.#scanning + this.#wide + this.#chores + this.#kept;
    return FIXED_MB + this.#slabs + this.#index + garbage + engine + this.#catalog;
  }

  #look(): void {
    this.#peak = Math.max(this.#peak, this.#rss);
    if (this.#rss <= LIMIT_MB) return;
    const parts = `slabs ${this.#slabs.toFixed()}, index ${this.#index.toFixed()}, garbage ${this.#garbage.map((each) => each.toFixed()).join('+')}, scans ${this.#scanning.toFixed()} and ${this.#wide}, chores ${this.#chores.toFixed()}, free blocks ${this.#kept.toFixed()}, catalog ${this.#catalog.toFixed()}`;
    this.#failure ??= new Error(
      `V5: RSS of ${this.#rss.toFixed()} MB at ${(this.clock.time / 1000).toFixed(2)} s, the limit is ${LIMIT_MB}: ${parts}`,
    );
  }

  #options(): GuardOptions {
    return {
      clock: this.clock,
      limitBytes: LIMIT_MB * MB,
      catalogBytes: CATALOG_BYTES,
      rss: () => this.#rss * MB,
      limitEngine: (share) => {
        this.#kept = 0;
        if (this.#scanning > this.#queriesMax * share)
          return Promise.reject(new SqlError(SqlState.outOfMemory, 'running queries hold more than that'));
        this.#share = share;
        return Promise.resolve();
      },
      stopCatalog: (idleMs) => {
        if (this.#catalog > 0 && this.clock.time - this.#catalogAsked >= idleMs) this.#catalog = 0;
        return this.#catalog === 0;
      },
      collectGarbage: (ofMain) => {
        this.#garbage.fill(0, ofMain ? 0 : 1);
        return Promise.resolve();
      },
      readFigures: () => Promise.resolve(),
      warn: (error) => void (this.#failure ??= error as Error),
    };
  }

  /** Half of DuckDB's memory is the queries', and they take half as much again. */
  get #queriesMax(): number {
    return (this.#budget.engineBytes / MB / 2) * 1.5;
  }

  /** In main, or a thread by chance. */
  #litter(megabytes: number): void {
    const thread = Math.floor(this.#random() * THREADS);
    const now = this.#garbage[thread]! + megabytes;
    this.#garbage[thread] = now > GARBAGE_MB_MAX ? 0 : now;
    this.#look();
  }

  async #writer(): Promise<void> {
    while (!this.#over) {
      try {
        await this.pressure.admit(() => this.#over);
        this.#slabs = Math.min(this.#budget.slabBytes / MB, this.#slabs + 2);
        this.#index = Math.min(this.#budget.indexBytes / MB, this.#index + this.#random() / 4);
        this.#litter(this.#random());
        this.done.writes++;
      } catch {
        this.done.refused++;
      }
      await this.clock.sleep(STEP_MS * (1 + this.#random()));
    }
  }

  async #scanner(): Promise<void> {
    while (!this.#over) {
      await this.clock.sleep(this.#random() * 1500);
      let end: () => void;
      const wide = this.#random() < WIDE_SHARE ? WIDE_MB : 0;
      try {
        end = this.#parts.asks ? await this.guard.scan(uncancelled, wide * MB) : () => {};
      } catch {
        this.done.refused++;
        continue;
      }
      const wanted = 10 + this.#random() * 80;
      let held = 0;
      this.#wide += wide;
      for (let steps = 4 + this.#random() * 40; steps > 0; steps--) {
        // beyond its limit DuckDB puts aside
        const more = Math.max(
          0,
          Math.min(GROWTH_MB / 2, wanted - held, this.#queriesMax * this.#share - this.#scanning),
        );
        held += more;
        this.#scanning += more;
        this.#litter(this.#random() / 4);
        await this.clock.sleep(STEP_MS);
      }
      this.#scanning -= held;
      this.#wide -= wide;
      this.#kept += (held + wide) * KEPT_SHARE;
      end();
      this.done.scans++;
    }
  }

  async #flushes(): Promise<void> {
    while (!this.#over) {
      await this.clock.sleep(500 + this.#random() * 2000);
      const wanted = CHORES_MB * this.#random();
      for (; this.#chores < wanted; await this.clock.sleep(STEP_MS)) this.#chores += GROWTH_MB;
      this.#litter(4);
      this.#kept += this.#chores * KEPT_SHARE;
      this.#chores = 0;
    }
  }

  async #questions(): Promise<void> {
    while (!this.#over) {
      await this.clock.sleep(this.#random() * 12_000);
      if (this.#catalog === 0) {
        if (this.#parts.asks) await this.guard.catalog().catch(() => void this.done.refused++);
        this.#catalogAsked = this.clock.time;
        this.#catalog = CATALOG_START_MB;
        this.#look();
        await this.clock.sleep(1000);
        if (this.#catalog > 0) this.#catalog = CATALOG_MB;
      }
      this.#catalogAsked = this.clock.time;
      this.done.questions++;
    }
  }
}
