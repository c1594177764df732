/**
 * The disk cache as main keeps its books: which copies of remote files are here, who uses them, and what must go to stay
 * within `disk.limit`. The lake moves the files (file-cache.ts).
 *
 * - D1 One budget: log, staged files, deltas, index, spill and cache. What is not cache may never go, so the cache
 *   gets what the others leave; when they alone take everything, `full` is true and new writes get 53100 (M-12).
 * - D2 A lease names files that are here and stay until it is given back. All its files are admitted at once or none:
 *   two that wait hold nothing that the other needs.
 * - D4 What grows has its room before: rows in memory and the log's next segment count as the files that they will be, and who
 *   writes a file reserves what it may take. For that the cache gives way at once, also on the disk, and writes are refused earlier.
 *   Only copies that readers hold cannot give way.
 *   A reader whose files do not fit beside the others now waits for what they give back; it is refused at once only by `limit` itself.
 * - D5 What queries put aside has its room as well (spill-room.ts), and so has what sorts of flushes and rewrites do (sort-room.ts).
 * - D6 Streams of large transactions and rows of cursors grow by steps, each reserved before it is written (growing-room.ts).
 * - D3 Requests for one file share one download; it is cancelled when nobody waits for it any more.
 */
import type { Clock } from '../../clock.ts';
import { canceled, SqlError, SqlState } from '../../errors.ts';
import type { Remote } from '../../rpc.ts';
import type { LakeApi } from '../iceberg/lake-api.ts';
import type { IndexApi } from '../index/index-api.ts';
import type { FileUnit } from '../scan-spec.ts';
import { CacheIndex } from './cache-index.ts';
import { NO_USAGE, type DiskUsage } from './disk-usage.ts';
import { TEMPORARY, type CachedFile } from './file-cache.ts';
import { GrowingRoom } from './growing-room.ts';
import { SortRoom, type LimitSorts } from './sort-room.ts';
import type { SoundFiles } from './sound-files.ts';
import { SpillRoom, type LimitSpill, type SpillBytes } from './spill-room.ts';
import { PartialFiles, type LocalRow, type RowPlace } from './partial-files.ts';

export interface WantedFile {
  readonly path: string;
  /** Unknown: it is counted when it is here. */
  readonly bytes?: number;
}

export interface DiskCacheOptions {
  /** Absolute: files below it are copies. */
  readonly dir: string;
  readonly limit: number;
  readonly clock: Clock;
  readonly lake: Pick<Remote<LakeApi>, 'fetchFile' | 'fetchParts' | 'cancelFetch' | 'removeFiles' | 'diskUsage'>;
  /** Left out: what queries put aside is counted only. */
  readonly limitSpill?: LimitSpill;
  /** The same of sorts. */
  readonly limitSorts?: LimitSorts;
  readonly warn: (error: unknown, where: string) => void;
  readonly sound?: SoundFiles;
}

/** Bytes of the budget by part. */
export interface DiskParts extends DiskUsage {
  readonly log: number;
  readonly staged: number;
  readonly cache: number;
  /** Of remote files, ranges that were fetched for single rows. */
  readonly ranges: number;
  readonly used: number;
  /** Not used yet, and spoken for (D4). */
  readonly reserved: number;
  readonly limit: number;
  readonly files: number;
}

/** What main's books say. */
export interface OwnBytes {
  readonly log: number;
  readonly staged: number;
  /** What rows in memory and the log's next segment may take. */
  readonly coming: number;
}

interface Fetch {
  readonly done: Promise<unknown>;
  waiters: number;
}

const NO_LEASE = (): void => {};
const PARTS_BYTES_MAX = 64 * 2 ** 20;
const ROOM_WAIT_MS = 30_000;
const TICK_MS = 1000;
const TICK_MS_MAX = 10_000;
const COUNT_PART = 20;
const RECOUNT_MS = 100;
const GROWTH_BYTES_MAX = 2 ** 20;
/** Of what grows, reserved at a time. */
const STEP_BYTES_MAX = 16 * 2 ** 20;
/** DuckDB's least memory sorts fewer without the disk. */
const SORT_BYTES_MIN = 32 * 2 ** 20;

export class DiskCache {
  /** Where copies of remote files lie. */
  readonly dir: string;
  readonly #dir: string;
  readonly #options: DiskCacheOptions;
  readonly #index = new CacheIndex();
  readonly #parts: PartialFiles;
  readonly #fetches = new Map<string, Fetch>();
  /** Evicted names whose files are on their way out: a fetch of the same name waits. */
  readonly #leaving = new Map<string, Promise<void>>();
  readonly #waitingForRoom = new Set<() => void>();
  #full = false;
  #countedUntil = 0;
  /** Around each download: while the server starts, one that fails because the store is away is waited for. */
  patience: <T>(download: () => Promise<T>) => Promise<T> = (download) => download();
  readonly #spill: SpillRoom | null;
  readonly #sorts: SortRoom | null;
  #usage = NO_USAGE;
  /** Rows of cursors. */
  #kept = 0;
  #ownBytes: () => OwnBytes = () => ({ log: 0, staged: 0, coming: 0 });
  #memoryBytes: () => number = () => 0;
  #countedBytes = 0;
  #reserved = 0;

  constructor(options: DiskCacheOptions) {
    this.#options = options;
    this.dir = options.dir;
    this.#dir = `${options.dir}/`;
    const { lake, warn, limit, limitSpill, limitSorts } = options;
    const isBounded = Number.isFinite(limit);
    this.#spill = limitSpill === undefined || !isBounded ? null : new SpillRoom(limit, limitSpill);
    this.#sorts = limitSorts === undefined || !isBounded ? null : new SortRoom(limit, limitSorts);
    const bytesMax = Math.min(PARTS_BYTES_MAX, limit / 16);
    const grows = (): void => void this.#makeRoom();
    this.#parts = new PartialFiles({ dir: `${this.#dir}${TEMPORARY}/parts`, bytesMax, lake, warn, grows });
  }

  /** @param memoryBytes at no cost: when it has changed much, what is `full` is counted again */
  count(own: () => OwnBytes, memoryBytes: () => number = () => 0): void {
    this.#ownBytes = own;
    this.#memoryBytes = memoryBytes;
  }

  /** A copy that is here: found at start, or made from a staged file by a commit. */
  found({ path, bytes }: CachedFile): void {
    if (path.startsWith(this.#dir)) this.#index.add(path, bytes);
  }

  /**
   * Room for a file that is about to be written, until the answer is called: then it is counted as what it is, or gone (D4).
   * @throws {SqlError} 53100
   */
  async reserve(bytes: number, what = 'Files that were to be written'): Promise<() => void> {
    const giveBack = this.#hold(bytes);
    await this.#takeRoom(giveBack, `${what} may take ${bytes} bytes more.`);
    return giveBack;
  }

  /** What was just reserved is there, or is not wanted. @throws {SqlError} 53100 */
  async #takeRoom(giveBack: () => void, what: string): Promise<void> {
    if (this.#isShort && this.#unusedSpill > 0) await this.#spillGivesWay();
    const made = this.#makeRoom();
    if (this.#isShort) {
      giveBack();
      await made;
      throw this.#noRoom(what);
    }
    await made;
  }

  /** D6. @param what it is for, at the beginning of a sentence */
  growing(what: string): GrowingRoom {
    const { limit } = this.#options;
    const reserved = (change: number): void => this.#reserve(change);
    const books = {
      reserve: (bytes: number) => {
        reserved(bytes);
        return this.#takeRoom(() => reserved(-bytes), `${what} may take ${bytes} bytes more.`);
      },
      reserved,
      kept: (change: number) => void (this.#kept += change),
    };
    return new GrowingRoom(books, Math.min(STEP_BYTES_MAX, Math.floor(limit / 256)));
  }

  /**
   * Room for what a sort of so many bytes may put aside, as much as there is: DuckDB is bounded by it. `isClaimed`: as `claim`.
   * @returns gives it back
   */
  async sortRoom(bytes: number, isClaimed: boolean): Promise<() => void> {
    const sorts = this.#sorts;
    if (sorts === null || bytes < SORT_BYTES_MIN) return NO_LEASE;
    const claimed = sorts.claim(bytes);
    const giveBack = (): void => {
      claimed();
      this.#reserve(0);
      this.#lookAgain();
      void this.#settleSorts();
    };
    this.#reserve(0);
    if (isClaimed) await this.#giveWay();
    else if (!(await this.#takeRoom(giveBack, '').then(yes, no))) return NO_LEASE;
    await this.#settleSorts();
    return giveBack;
  }

  #settleSorts(): Promise<void> {
    const done = this.#sorts?.settle() ?? Promise.resolve();
    return done.catch((error: unknown) => this.#options.warn(error, 'bounding what sorts put aside'));
  }

  /** The same for what cannot be refused, because it is a part of what frees the disk. */
  async claim(bytes: number): Promise<() => void> {
    const giveBack = this.#hold(bytes);
    await this.#giveWay();
    return giveBack;
  }

  async #giveWay(): Promise<void> {
    if (this.#isShort) await this.#spillGivesWay();
    await this.#makeRoom();
  }

  get #isShort(): boolean {
    return this.#index.bytes > this.#capacity();
  }

  /** D5. */
  async #fitSpill(): Promise<void> {
    await this.#spillTurn(
      this.#spill?.adjust(
        () => this.#spillBytes(0, 0),
        () => this.#makeRoom(),
      ),
    );
  }

  /** D5. @param wanted of copies that nobody uses yet, and of those that are not here. @returns whether others have more room than before */
  #spillGivesWay(wanted = 0, missing = 0): Promise<boolean> {
    return this.#spillTurn(this.#spill?.giveWay(() => this.#spillBytes(wanted, missing)));
  }

  async #spillTurn(turn: Promise<boolean> | undefined): Promise<boolean> {
    try {
      return (await turn) ?? false;
    } catch (error) {
      this.#options.warn(error, 'bounding what queries put aside');
      return false;
    }
  }

  #spillBytes(wanted: number, missing: number): SpillBytes {
    const used = this.#usage.queries;
    const left = this.#capacity() + this.#unusedSpill + used;
    return { room: left - this.#index.usedBytes - wanted, free: left - this.#index.bytes - missing, used };
  }

  get #unusedSpill(): number {
    return Math.max(0, (this.#spill?.grantedBytes ?? 0) - this.#usage.queries);
  }

  get #unusedSorts(): number {
    return Math.max(0, (this.#sorts?.grantedBytes ?? 0) - this.#usage.sorts);
  }

  #hold(bytes: number): () => void {
    let held = bytes;
    this.#reserve(held);
    return () => {
      this.#reserve(-held);
      held = 0;
      this.#lookAgain();
    };
  }

  #reserve(change: number): void {
    this.#reserved += change;
    this.#countedUntil = 0;
  }

  #lookAgain(): void {
    for (const look of this.#waitingForRoom) look();
  }

  /** Copies go until the others have their room; resolves when they are gone from the disk. */
  async #makeRoom(): Promise<void> {
    const victims = this.#index.evict(Math.max(0, this.#capacity()), NOTHING);
    this.#remove(victims);
    for (const path of victims) await this.#leaving.get(path);
  }

  /** Copies that no new reader will name: out of the way when they are unused, else with the next that must go. */
  forget(paths: readonly string[]): void {
    const unused = paths.filter((path) => this.#index.has(path) && !this.#index.inUse(path));
    for (const path of unused) this.#index.delete(path);
    this.#remove(unused);
    this.#parts.forget(paths);
    this.#options.sound?.forget(paths);
  }

  /** Whether the files are as they were written; null: that is known. @throws {SqlError} XX001 */
  check(files: readonly WantedFile[]): Promise<void> | null {
    return this.#options.sound?.check(files) ?? null;
  }

  concerns(files: readonly WantedFile[]): boolean {
    return files.some(({ path }) => path.startsWith(this.#dir));
  }

  /** A copy that is not here: of single rows, `leaseRow` brings a part of it. */
  isAway(path: string): boolean {
    return path.startsWith(this.#dir) && !this.#index.has(path);
  }

  get parts(): DiskParts {
    const { log, staged, coming } = this.#ownBytes();
    const cache = this.#index.bytes;
    const { limit } = this.#options;
    const { deltas, index, rest } = this.#usage;
    const spill = this.#usage.spill + this.#kept;
    const ranges = this.#parts.bytes;
    const used = log + staged + deltas + index + spill + rest + ranges + cache;
    const reserved = coming + this.#reserved + this.#unusedSpill + this.#unusedSorts;
    return { ...this.#usage, spill, log, staged, cache, ranges, used, reserved, limit, files: this.#index.files };
  }

  /** D1: no room for new writes, whatever the cache gives up. Asked by every statement: counted ten times a second, or after as much growth. */
  get full(): boolean {
    const { clock, limit } = this.#options;
    const now = clock.monotonic();
    const bytes = this.#memoryBytes();
    const grown = Math.abs(bytes - this.#countedBytes);
    if (now >= this.#countedUntil || grown > Math.min(GROWTH_BYTES_MAX, limit / 256)) {
      const left = this.#capacity();
      // Queries give way: what they may take and have not yet is no reason to refuse a write.
      if (left <= 0 && this.#unusedSpill > 0) void this.#spillGivesWay();
      this.#full = left + this.#unusedSpill <= 0;
      this.#countedUntil = now + RECOUNT_MS;
      this.#countedBytes = bytes;
    }
    return this.#full;
  }

  /** @throws {SqlError} 53100 when `full` */
  admit(): void {
    if (this.full) throw this.#noRoom();
  }

  #noRoom(more = ''): SqlError {
    const { log, staged, reserved, limit } = this.parts;
    const taken = `Of ${limit} bytes the log takes ${log}, files that are not in Iceberg yet ${staged}, and rows in memory and what is being written may take ${Math.ceil(reserved - this.#unusedSpill)}.`;
    return new SqlError(SqlState.diskFull, 'no space left in disk.limit', {
      detail: more === '' ? taken : `${taken} ${more}`,
      hint: 'Writes go on by themselves after the next Iceberg commit; see arka.disk, and raise disk.limit.',
    });
  }

  /** How much of what index and deltas leave is taken by what commits to Iceberg give back. */
  get pressure(): number {
    const { log, staged, reserved, deltas, index, rest, spill, limit } = this.parts;
    const left = limit - deltas - index - rest - spill - this.#unusedSorts;
    const given = log + staged + reserved - this.#unusedSpill - this.#unusedSorts; // queries give up theirs by themselves
    return left > 0 ? given / left : 1;
  }

  #capacity(): number {
    const { used, reserved, cache, limit } = this.parts;
    return limit - (used - cache) - reserved;
  }

  /**
   * Makes the files local and keeps them so until the answer is called.
   * @throws {SqlError} 57014 by the signal, 58030 when the store does not give one, 53100 when they do not fit
   */
  async lease(files: readonly WantedFile[], signal?: AbortSignal): Promise<() => void> {
    const wanted = new Map<string, number>();
    for (const { path, bytes } of files) if (path.startsWith(this.#dir)) wanted.set(path, bytes ?? 0);
    if (wanted.size === 0) return NO_LEASE;
    await this.#admit(wanted, signal);
    const held = [...wanted.keys()];
    const release = (): void => {
      for (const path of held.splice(0)) this.#index.release(path);
      this.#lookAgain();
    };
    try {
      await Promise.all(
        [...wanted.keys()].map((path) => this.#fetches.get(path)).map((fetch) => this.#join(fetch, signal)),
      );
      return release;
    } catch (error) {
      release();
      throw error;
    }
  }

  /**
   * The same for one row: where its file is not here, and a small part of it is enough, that part alone is fetched.
   * @throws {SqlError} as `lease`
   */
  async leaseRow(
    file: FileUnit,
    row: Pick<RowPlace, 'position' | 'fieldIds'>,
    index: Pick<Remote<IndexApi>, 'rowGroups'>,
    signal: AbortSignal,
  ): Promise<LocalRow> {
    const { path, bytes } = file;
    if (bytes !== undefined && this.isAway(path)) {
      const part = await this.#parts.lease({ path, bytes, ...row }, index, signal);
      if (part !== null) return part;
      if (signal.aborted) throw canceled();
    }
    return { path, release: await this.lease([file], signal) };
  }

  /** The same for whole columns, which are read once: then they alone come, and go with the lease. */
  async leaseColumns(
    file: FileUnit,
    fieldIds: readonly number[],
    index: Pick<Remote<IndexApi>, 'rowGroups'>,
  ): Promise<LocalRow> {
    const { path, bytes } = file;
    const part =
      bytes !== undefined && this.isAway(path)
        ? await this.#parts.leaseColumns({ path, bytes, fieldIds }, index)
        : null;
    return part ?? { path, release: await this.lease([file]) };
  }

  /** D2: in one turn, all files are in use and those that are missing are on their way. */
  async #admit(wanted: ReadonlyMap<string, number>, signal: AbortSignal | undefined): Promise<void> {
    const { clock, limit } = this.#options;
    const deadline = clock.monotonic() + ROOM_WAIT_MS;
    for (let asked = false; ;) {
      if (signal?.aborted === true) throw canceled();
      let missing = 0;
      for (const [path, bytes] of wanted) if (!this.#index.has(path)) missing += bytes;
      const capacity = this.#capacity();
      const all = [...wanted.values()].reduce((sum, bytes) => sum + bytes, 0);
      if (!asked && missing > 0 && this.#index.bytes + missing > capacity && this.#unusedSpill > 0) {
        // Before copies go.
        asked = true;
        await this.#spillGivesWay(all, missing);
        continue;
      }
      if (missing > 0) this.#remove(this.#index.evict(capacity - missing, wanted));
      if (missing === 0 || this.#index.bytes + missing <= capacity) break;
      // Log, staged files, spill, runs of an index that is being merged and what is reserved come and go: they are waited for.
      if (all > limit || clock.monotonic() >= deadline)
        throw new SqlError(SqlState.diskFull, 'the files that this statement reads do not fit the disk cache', {
          detail: `They take ${all} bytes; of disk.limit, ${limit} bytes, ${Math.max(0, capacity)} are left for the cache.`,
          hint: 'Raise disk.limit, or read a shorter range of time.',
        });
      await this.#released(deadline, signal);
      asked = false;
    }
    for (const [path, bytes] of wanted) {
      const again = this.#index.has(path) && !this.#fetches.has(path);
      if (!this.#index.has(path)) {
        this.#index.add(path, bytes);
        this.#fetch(path);
      }
      this.#index.hold(path, again, this.#capacity());
    }
  }

  #fetch(path: string): void {
    const { lake } = this.#options;
    const leaving = this.#leaving.get(path);
    const run = async (): Promise<void> => {
      await leaving;
      try {
        const file = await this.patience(() => lake.fetchFile(path));
        if (this.#fetches.get(path) === fetch) this.#index.add(path, file.bytes);
      } catch (error) {
        if (this.#fetches.get(path) === fetch) this.#index.delete(path);
        throw error;
      } finally {
        if (this.#fetches.get(path) === fetch) this.#fetches.delete(path);
      }
    };
    const fetch: Fetch = { done: Promise.resolve().then(run), waiters: 0 };
    fetch.done.catch(() => undefined);
    this.#fetches.set(path, fetch);
  }

  /** D3. */
  async #join(fetch: Fetch | undefined, signal: AbortSignal | undefined): Promise<void> {
    if (fetch === undefined) return;
    fetch.waiters++;
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    aborted.catch(() => undefined);
    const abort = (): void => reject(canceled());
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted === true) abort();
    try {
      await Promise.race([fetch.done, aborted]);
    } finally {
      signal?.removeEventListener('abort', abort);
      fetch.waiters--;
      if (fetch.waiters === 0) this.#abandon(fetch);
    }
  }

  #abandon(fetch: Fetch): void {
    for (const [path, running] of this.#fetches) {
      if (running !== fetch) continue;
      this.#fetches.delete(path);
      this.#index.delete(path);
      // The next fetch of the name begins when this one has ended, whichever way.
      this.#leave(path, async () => {
        await this.#options.lake.cancelFetch(path);
        await fetch.done.catch(() => undefined);
        await this.#options.lake.removeFiles([path]);
      });
      return;
    }
  }

  #remove(paths: readonly string[]): void {
    for (const path of paths) this.#leave(path, () => this.#options.lake.removeFiles([path]));
  }

  #leave(path: string, work: () => Promise<unknown>): void {
    const before = this.#leaving.get(path) ?? Promise.resolve();
    const left: Promise<void> = before
      .then(work)
      .catch((error: unknown) => this.#options.warn(error, `removing ${path} from the disk cache`))
      .then(() => {
        if (this.#leaving.get(path) === left) this.#leaving.delete(path);
      });
    this.#leaving.set(path, left);
  }

  #released(deadline: number, signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const go = (): void => {
        this.#waitingForRoom.delete(go);
        signal?.removeEventListener('abort', go);
        stop();
        resolve();
      };
      const stop = clock.after(Math.max(0, deadline - clock.monotonic()), go);
      this.#waitingForRoom.add(go);
      signal?.addEventListener('abort', go, { once: true });
    });
  }

  /** What other threads have written is known now. */
  async recount(): Promise<void> {
    this.#usage = await this.#options.lake.diskUsage(null);
  }

  /** Counts again, and gives back what other parts need, once a second (or less often: so that the lake counts a twentieth of its time). */
  start(): () => void {
    const { clock, warn } = this.#options;
    let stopped = false;
    let cancel = NO_LEASE;
    const tick = async (): Promise<void> => {
      const begun = clock.monotonic();
      await this.recount().catch((error: unknown) => {
        if (!stopped) warn(error, 'counting the disk');
      });
      const pause = Math.min(TICK_MS_MAX, Math.max(TICK_MS, (clock.monotonic() - begun) * COUNT_PART));
      if (stopped) return;
      await this.#fitSpill();
      await this.#settleSorts();
      if (stopped) return;
      void this.#makeRoom();
      this.#lookAgain();
      cancel = clock.after(pause, () => void tick());
    };
    cancel = clock.after(TICK_MS, () => void tick());
    void this.#fitSpill();
    void this.#settleSorts();
    return () => {
      stopped = true;
      cancel();
    };
  }
}

const NOTHING: ReadonlySet<string> = new Set();
const yes = (): boolean => true;
const no = (): boolean => false;
