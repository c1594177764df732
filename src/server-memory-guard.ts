/**
 * Holds the whole process below `memory.limit` (H6). Zones follow live bytes; this one looks at RSS, and acts on what
 * can be given back: free blocks that malloc keeps, DuckDB's own memory, an idle catalog worker.
 *
 * - G1 From TIGHT on: a catalog worker that nobody has asked for IDLE_MS ends (from RED on any idle one), for it takes more
 *   while it starts than while it waits; queries get half their memory, no scan starts beside another, and no
 *   catalog worker beside a scan. It is TIGHT, too, when one is to start that does not fit below RED. From RED on writes wait as well.
 * - G5 From TRIM on the threads that no session waits for collect their garbage, at most once in COLLECT_MS: V8 would leave it for
 *   later (thread-heap.ts). From TIGHT on main does as well, at most once in COLLECT_MAIN_MS: all sessions wait for it.
 * - G2 Free memory goes back to the system at most once in TRIM_MS: DuckDB trims malloc when its limit is set.
 * - G4 Scans of wide rows take turns, for what is in flight of them is beyond DuckDB's limit: another starts when one has ended,
 *   or, one a look, while RSS is below TRIM, so that a reader that stands still does not stop the others.
 * - G3 The way back to normal is at CALM, so that it does not swing.
 */
import type { CatalogClient } from './catalog/catalog-client.ts';
import type { Clock } from './clock.ts';
import { canceled, SqlError, SqlState } from './errors.ts';
import type { Signal } from './ingest/pressure.ts';
import { CATALOG_BYTES } from './memory-budget.ts';
import type { Tiers } from './server-tiers.ts';
import { collectGarbage, heapBytesOfMain } from './thread-heap.ts';
import { uncancelled, type Running } from './running.ts';

export type GuardLevel = 'calm' | 'tight' | 'red';

const CALM = 0.8;
const TIGHT = 0.9;
const RED = 0.97;
/** From here on malloc's free blocks go back now and then. */
const TRIM = 0.7;
const TRIM_MS: Readonly<Record<GuardLevel, number>> = { calm: 2_000, tight: 1_000, red: 500 };
const COLLECT_MS: Readonly<Record<GuardLevel, number>> = { calm: 10_000, tight: 3_000, red: 1_000 };
const COLLECT_MAIN_MS: Readonly<Record<GuardLevel, number>> = { calm: Infinity, tight: 10_000, red: 1_000 };
const IDLE_MS = 10_000;
const LOOK_MS = 100;
const FIGURES_MS = 2_000;
const WAIT_MS = 30_000;
/** Of the limit: a scan is of wide rows when one chunk of them takes more. */
const WIDE = 1 / 32;
/** Of their memory, what queries keep while it is tight; flushes keep all of theirs. */
const ENGINE_SHARE_TIGHT = 0.5;

export function guardLevel(before: GuardLevel, rssShare: number): GuardLevel {
  if (rssShare >= RED) return 'red';
  if (rssShare >= TIGHT) return 'tight';
  return before === 'calm' || rssShare < CALM ? 'calm' : 'tight';
}

export interface GuardOptions {
  readonly clock: Clock;
  readonly limitBytes: number;
  /** What a catalog worker takes. */
  readonly catalogBytes: number;
  /** Of the process. */
  readonly rss: () => number;
  /** The share of its memory that DuckDB's queries may use from now on; gives free memory back to the system, too. */
  readonly limitEngine: (share: number) => Promise<unknown>;
  /** Ends the catalog worker unless it has worked in the last so many milliseconds; true when there is none now. */
  readonly stopCatalog: (idleMs: number) => boolean;
  /** Of the threads, and of main when it is said. */
  readonly collectGarbage: (ofMain: boolean) => Promise<unknown>;
  /** Reads anew what other threads hold, for arka.memory. */
  readonly readFigures: () => Promise<unknown>;
  readonly warn: (error: unknown, where: string) => void;
}

export class MemoryGuard {
  level: GuardLevel = 'calm';
  /** At the last look. */
  rssBytes = 0;
  readonly #options: GuardOptions;
  #scans = 0;
  readonly #waiting: (() => void)[] = [];
  #wideScans = 0;
  readonly #wideWaiting: (() => void)[] = [];
  #trimming = false;
  #trimmedAt = Number.NEGATIVE_INFINITY;
  #figuresAt = Number.NEGATIVE_INFINITY;
  #collectedAt = Number.NEGATIVE_INFINITY;
  #mainCollectedAt = Number.NEGATIVE_INFINITY;
  #engineShare = 1;
  #refused = false;
  #cancel = (): void => {};
  #stopped = false;

  constructor(options: GuardOptions) {
    this.#options = options;
  }

  start(): void {
    this.look();
    if (!this.#stopped) this.#cancel = this.#options.clock.after(LOOK_MS, () => this.start());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  look(): void {
    const { clock, limitBytes, rss, stopCatalog } = this.#options;
    this.rssBytes = rss();
    const share = this.rssBytes / limitBytes;
    this.level = guardLevel(this.level, share);
    if (this.level !== 'calm') stopCatalog(this.level === 'red' ? 0 : IDLE_MS);
    const engineShare = this.level === 'calm' ? 1 : ENGINE_SHARE_TIGHT;
    const now = clock.monotonic();
    if (this.level !== 'calm' || share >= TRIM) this.#collect(now);
    const due = now - this.#trimmedAt >= TRIM_MS[this.level];
    if (due ? share >= TRIM || engineShare !== this.#engineShare : engineShare !== this.#engineShare && !this.#refused)
      this.#limitEngine(engineShare, now);
    if (now - this.#figuresAt >= FIGURES_MS) {
      this.#figuresAt = now;
      this.#watched(this.#options.readFigures(), 'reading what threads hold');
    }
    if (this.level === 'calm') for (const resolve of this.#waiting.splice(0)) resolve();
    if (share < TRIM) this.#wideWaiting.shift()?.();
  }

  /** G5. */
  #collect(now: number): void {
    const ofMain = this.level !== 'calm' && now - this.#mainCollectedAt >= COLLECT_MAIN_MS[this.level];
    if (!ofMain && now - this.#collectedAt < COLLECT_MS[this.level]) return;
    this.#collectedAt = now;
    if (ofMain) this.#mainCollectedAt = now;
    this.#watched(this.#options.collectGarbage(ofMain), 'collecting garbage');
  }

  #limitEngine(share: number, now: number): void {
    if (this.#trimming) return;
    this.#trimming = true;
    this.#engineShare = share;
    this.#trimmedAt = now;
    const done = this.#options.limitEngine(share).then(
      () => {
        this.#trimming = false;
        this.#refused = false;
      },
      (error: unknown) => {
        this.#trimming = false;
        this.#refused = true;
        this.#engineShare = 1;
        // Running queries hold more than that: tried again after a while.
        if (!(error instanceof SqlError) || error.code !== SqlState.outOfMemory) throw error;
      },
    );
    this.#watched(done, "changing the engine's memory");
  }

  #watched(work: Promise<unknown>, where: string): void {
    work.catch((error: unknown) => {
      if (!this.#stopped) this.#options.warn(error, where);
    });
  }

  /**
   * A scan's turn, G1 and G4; the answer is called once when it has ended.
   * @param chunkBytes what one chunk of its rows may take
   * @throws {SqlError} 53200 after 30 s; 57014 when cancelled
   */
  async scan(running: Running, chunkBytes = 0): Promise<() => void> {
    const wide = chunkBytes > this.#options.limitBytes * WIDE;
    if (wide && this.#wideScans > 0) await this.#wait(running, this.#wideWaiting);
    if (wide) this.#wideScans++;
    const endWide = (): void => {
      if (!wide) return;
      this.#wideScans--;
      this.#wideWaiting.shift()?.();
    };
    if (this.level !== 'calm' && this.#scans > 0)
      await this.#calm(running).catch((error: unknown) => {
        endWide();
        throw error;
      });
    this.#scans++;
    let open = true;
    return () => {
      if (!open) return;
      open = false;
      this.#scans--;
      endWide();
      if (this.#scans === 0) this.#waiting.shift()?.();
    };
  }

  /** Before a catalog worker starts, G1. */
  async catalog(): Promise<void> {
    const { catalogBytes, limitBytes } = this.#options;
    if (this.level === 'calm' && this.rssBytes + catalogBytes > limitBytes * RED) this.level = 'tight';
    if (this.level !== 'calm' && this.#scans > 0) await this.#calm(uncancelled);
  }

  /** Resolves when memory is calm, or when no scan runs any more and this is the first to wait. */
  #calm(running: Running): Promise<void> {
    return this.#wait(running, this.#waiting);
  }

  /** Resolves when it is taken from the queue and called. */
  #wait(running: Running, queue: (() => void)[]): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      let over = (): void => {};
      const settle = (done: () => void) => (): void => {
        const at = queue.indexOf(admitted);
        if (at >= 0) queue.splice(at, 1);
        cancelTimer();
        over();
        done();
      };
      const admitted = settle(resolve);
      const cancelTimer = this.#options.clock.after(
        WAIT_MS,
        settle(() => reject(this.#short())),
      );
      queue.push(admitted);
      over = running(settle(() => reject(canceled())));
    });
  }

  /** For writers (pressure.ts): they never slow down by RSS, they wait at RED. */
  get signal(): Signal {
    return {
      reason: 'rss',
      marks: { yellow: RED, red: RED },
      usage: () => this.rssBytes / this.#options.limitBytes,
      relieve: () => {
        this.look();
        return Promise.resolve(true);
      },
      refused: () => this.#short(),
    };
  }

  #short(): SqlError {
    return new SqlError(SqlState.outOfMemory, 'out of memory', {
      detail: `The process takes ${this.rssBytes} of memory.limit = ${this.#options.limitBytes} bytes.`,
      hint: 'Run fewer large queries at one time, or raise memory.limit.',
    });
  }
}

/** PGlite's memory grows seldom, and looking at it takes milliseconds. */
const WASM_LOOKS = 5;

/** Watches RSS (H6), and keeps the figures of arka.memory that other threads know. */
export function openGuard(
  { database, engine, budget, heapBytes, collectGarbage: collectInThreads, wasmMemories, engineBytes }: Tiers,
  warn: GuardOptions['warn'],
  catalog: () => CatalogClient,
): MemoryGuard {
  const { account } = database.memory;
  const figures = { engine: 0, footers: 0, pages: 0, catalog: 0, heaps: 0 };
  for (const name of ['engine', 'footers', 'pages', 'catalog', 'heaps'] as const)
    account.report(name, false, () => figures[name]);
  /** What WebAssembly has reserved and not touched: PGlite, which uses most of its memory, and main's parser. */
  const untouched = { catalog: 0, main: 0 };
  let looks = 0;
  const readFigures = async (): Promise<void> => {
    Object.assign(figures, await engineBytes());
    const inCatalog = await catalog().heapBytes();
    if (looks++ % WASM_LOOKS === 0 || (untouched.catalog === 0) !== (inCatalog === 0)) {
      const sorted = (await wasmMemories()).toSorted((a, b) => b.residentBytes - a.residentBytes);
      const unused = sorted.map(({ bytes, residentBytes }) => bytes - residentBytes);
      untouched.catalog = inCatalog === 0 ? 0 : (unused.shift() ?? 0);
      untouched.main = unused.reduce((sum, bytes) => sum + bytes, 0);
    }
    figures.catalog = Math.max(0, inCatalog - untouched.catalog);
    figures.heaps = Math.max(0, heapBytesOfMain() - untouched.main) + (await heapBytes());
  };
  const guard = new MemoryGuard({
    clock: database.clock,
    limitBytes: budget.limitBytes,
    catalogBytes: CATALOG_BYTES,
    rss: () => process.memoryUsage.rss(),
    limitEngine: (share) => engine.limitMemory(share),
    stopCatalog: (idleMs) => catalog().stopIfIdle(idleMs),
    collectGarbage: (ofMain) => {
      if (ofMain) collectGarbage();
      return collectInThreads();
    },
    readFigures,
    warn,
  });
  database.pressure.join(guard.signal);
  database.admitScan = (running, chunkBytes) => guard.scan(running, chunkBytes);
  return guard;
}
