/**
 * The runs of one table and the files that they cover. Everything that changes `runs` is one synchronous step, so a lookup's
 * turn sees each row of a covered file in exactly one run.
 *
 * - T1 A file is covered when slices of live runs make up all its rows. Slices of runs never overlap.
 * - T2 A run that fails a check is dropped at once; its files are uncovered, and built again.
 * - T3 Files are known by location: the unit and the path of a location may change.
 */
import { createHmac, randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SqlError, SqlState } from '../../errors.ts';
import type { TableDef } from '../../table-def.ts';
import { isValid, type ColumnVector } from '../../types/column-vector.ts';
import { physicalOf } from '../../types/pg-type.ts';
import { isFixedKey, keyEncoder, type KeyEncoder } from '../memory/key-encoder.ts';
import { tableSecret } from '../memory/keyed-hash.ts';
import type { FileChanges, IndexedFile } from './index-api.ts';
import { tableOfIndex } from './index-name.ts';
import { keyOrder, type KeyOrder } from './key-order.ts';
import type { KeyReader } from './key-reader.ts';
import { readManifest, runFile, sweepRuns, syncFolder, writeManifest } from './manifest.ts';
import { mergeRuns, planMerge, sliceOf } from './merge.ts';
import { pickMerge } from './merge-policy.ts';
import type { Pace } from './pace.ts';
import type { PageCache } from './page-cache.ts';
import { DamagedRun, type Slice } from './run-format.ts';
import { RunReader } from './run-reader.ts';
import { RunWriter } from './run-writer.ts';
import { sortEntries, type SortSpace } from './sort.ts';

/** Rows of one run as it is built; the sort holds two copies of them. */
export const BUILD_ROWS = 2 ** 18;
const RETRY_MS = 5000;
/** Keys between two looks at the clock. */
const STEP = 64;
/** Of a run beside its entries: head, footer and manifest; and of each key its part of filters, fences and pages not full. */
const RUN_BYTES_MIN = 64 * 1024;
const OVERHEAD_BYTES = 3;

/** What runs of another table, other keys or another secret do not have. */
function fingerprintOf(def: TableDef, physicals: readonly string[], fixed: boolean, secret: Uint8Array): string {
  const keys = def.key.map((fieldId, i) => `${fieldId}:${physicals[i]!}`).join(',');
  return fixed ? keys : `${keys}:${createHmac('sha256', secret).update('run').digest('hex').slice(0, 16)}`;
}

export interface FileState {
  unit: number;
  readonly location: string;
  path: string;
  readonly rows: number;
  local: boolean;
  /** Ends the loan of a file that is not local; null: it is not lent. */
  giveBack: (() => void) | null;
  /** While it is lent: where. */
  lentPath: string | null;
  /** Was announced as covered. */
  covered: boolean;
  /** Not before this time is it read again. */
  retryAt: number;
  failures: number;
}

/** What a table tells its service. */
export interface TableEvents {
  covered(unit: number): void;
  lost(unit: number): void;
  problem(text: string): void;
  /** Room on the disk for a run, held to the end of the piece of work; false: there is none. */
  room(bytes: number): Promise<boolean>;
}

export class TableIndex {
  readonly def: TableDef;
  readonly dir: string;
  /** Resolves when the runs that were there are open. */
  readonly ready: Promise<void>;
  runs: RunReader[] = [];
  /** The manifest on disk names other runs. */
  stale = false;
  readonly #files = new Map<string, FileState>();
  readonly #byUnit = new Map<number, FileState>();
  /** Rows of a location that runs cover. */
  readonly #coveredRows = new Map<string, number>();
  /** Not covered, in the order they came. */
  readonly #waiting = new Set<FileState>();
  readonly #garbage: string[] = [];
  readonly #events: TableEvents;
  readonly #encode: KeyEncoder;
  readonly #order: KeyOrder;
  readonly #fingerprint: string;
  #known = false;

  constructor(def: TableDef, dir: string, secret: Uint8Array, events: TableEvents) {
    this.def = def;
    this.dir = dir;
    this.#events = events;
    const physicals = def.key.map((id) => physicalOf(def.columns.find((column) => column.fieldId === id)!.type));
    this.#encode = keyEncoder(physicals, tableSecret(secret, tableOfIndex(def.uuid)));
    this.#order = keyOrder(physicals);
    this.#fingerprint = fingerprintOf(def, physicals, isFixedKey(physicals), secret);
    this.ready = this.#open();
  }

  get width(): number {
    return this.#order.width;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Opens the runs that the manifest names; what is damaged, or of other keys, is left out. */
  async #open(): Promise<void> {
    await mkdir(this.dir, { recursive: true });
    const manifest = await readManifest(this.dir).catch((error: unknown) => this.#damaged(error, null));
    const names = manifest?.fingerprint === this.#fingerprint ? manifest.runs : [];
    for (const id of names) {
      try {
        const run = RunReader.open(id, join(this.dir, runFile(id)));
        const { fingerprint, tableUuid, width } = run.footer;
        if (fingerprint !== this.#fingerprint || tableUuid !== this.def.uuid || width !== this.width)
          throw new DamagedRun(run.path, run.bytes, 'a footer of another table');
        this.#add(run);
      } catch (error) {
        this.#damaged(error, null);
      }
    }
    await sweepRuns(
      this.dir,
      this.runs.map((run) => run.id),
    );
    if (this.runs.length !== (manifest?.runs.length ?? 0)) this.stale = true;
  }

  /** Units that are covered already are announced before it returns. */
  change({ added, removed, moved }: Omit<FileChanges, 'uuid'>): void {
    this.#known = true;
    for (const unit of removed) {
      const file = this.#byUnit.get(unit);
      if (file === undefined) continue;
      this.#byUnit.delete(unit);
      if (this.#files.get(file.location) !== file) continue;
      this.#files.delete(file.location);
      this.#waiting.delete(file);
      file.giveBack?.();
    }
    for (const { unit, path, local } of moved) {
      const file = this.#byUnit.get(unit);
      if (file === undefined) continue;
      file.path = path;
      file.local = local;
      file.retryAt = 0;
    }
    for (const each of added) this.#addFile(each);
  }

  /** Resolves when the file need not be readable at that path any longer. */
  lend(unit: number, path: string): Promise<void> {
    const file = this.#byUnit.get(unit);
    if (file === undefined || !this.#waiting.has(file)) return Promise.resolve();
    return new Promise((resolve) => {
      file.retryAt = 0;
      file.lentPath = path;
      file.giveBack = () => {
        file.giveBack = null;
        file.lentPath = null;
        resolve();
      };
    });
  }

  #addFile({ unit, location, path, rows, local }: IndexedFile): void {
    const state = { giveBack: null, lentPath: null, covered: false, retryAt: 0, failures: 0 };
    const file: FileState = { unit, location, path, rows, local, ...state };
    this.#files.set(location, file);
    this.#byUnit.set(unit, file);
    if (!this.#look(file)) this.#waiting.add(file);
  }

  /** Whether the file is covered (T1); says so when it is news. */
  #look(file: FileState): boolean {
    if ((this.#coveredRows.get(file.location) ?? 0) < file.rows) return false;
    this.#waiting.delete(file);
    file.giveBack?.();
    if (!file.covered) {
      file.covered = true;
      this.#events.covered(file.unit);
    }
    return true;
  }

  #add(run: RunReader): void {
    this.runs = [...this.runs, run];
    this.#count(run, 1);
  }

  #remove(run: RunReader): void {
    if (!this.runs.includes(run)) return;
    this.runs = this.runs.filter((each) => each !== run);
    this.#count(run, -1);
  }

  #count({ footer }: RunReader, sign: number): void {
    for (const { location, from, to } of footer.slices) {
      const rows = (this.#coveredRows.get(location) ?? 0) + sign * (to - from);
      if (rows === 0) this.#coveredRows.delete(location);
      else this.#coveredRows.set(location, rows);
    }
  }

  /** T2. Null for a call in an expression. */
  #damaged(error: unknown, run: RunReader | null): null {
    if (!(error instanceof Error)) throw error;
    const damage = error instanceof DamagedRun || (!(error instanceof SqlError) && 'code' in error);
    if (!damage) throw error;
    this.#events.problem(error.message);
    this.stale = true;
    if (run === null) return null;
    this.#remove(run);
    this.#discard(run);
    for (const { location } of run.footer.slices) {
      const file = this.#files.get(location);
      if (file === undefined || this.#look(file)) continue;
      if (file.covered) this.#events.lost(file.unit);
      file.covered = false;
      this.#waiting.add(file);
    }
    return null;
  }

  #discard(run: RunReader): void {
    run.close();
    this.#garbage.push(run.path);
    this.stale = true;
  }

  /** Calls back with (key, unit, position) of every row of covered files that has one of the keys. */
  async lookup(
    keys: Int32Array,
    cache: PageCache,
    pace: Pace,
    found: (key: number, unit: number, position: number) => void,
  ): Promise<void> {
    const { width } = this.#order;
    const stride = width + 1;
    const rows = keys.length / 4;
    const arranged = new Int32Array(rows * stride);
    for (let row = 0; row < rows; row++) {
      this.#order.arrange(keys, row * 4, arranged, row * stride);
      arranged[row * stride + width] = row;
    }
    const sorted =
      rows === 1 ? arranged : await sortEntries(arranged, new Int32Array(arranged.length), rows, width, pace);
    for (let i = 0; i < rows;) {
      const end = Math.min(rows, i + STEP);
      for (; i < end; i++) this.#lookupOne(sorted, i * stride, sorted[i * stride + width]!, cache, found);
      if (i < rows && pace.due) await pace.turn();
    }
  }

  #lookupOne(
    keys: Int32Array,
    at: number,
    row: number,
    cache: PageCache,
    found: (key: number, unit: number, position: number) => void,
  ): void {
    for (const run of this.runs) {
      if (!run.mayHold(keys, at)) continue;
      try {
        run.search(cache, keys, at, (locator) => {
          const index = sliceOf(run.bases, locator);
          const slice = run.footer.slices[index]!;
          const file = this.#files.get(slice.location);
          if (file !== undefined) found(row, file.unit, slice.from + locator - run.bases[index]!);
        });
      } catch (error) {
        this.#damaged(error, run);
      }
    }
  }

  /** One piece of background work, if there is some: a run built, runs merged, the manifest written. False: nothing to do. */
  async work(reader: KeyReader, space: SortSpace, pace: Pace, now: number): Promise<boolean> {
    if (!this.#known) return false;
    const worked = (await this.#merge(pace)) || (await this.#build(reader, space, pace, now));
    if (!worked && !this.stale) return false;
    await this.#save();
    return true;
  }

  /** When a file that failed is to be read again; null: none waits. */
  get retryAt(): number | null {
    let at: number | null = null;
    for (const file of this.#waiting) if (file.local && (at === null || file.retryAt < at)) at = file.retryAt;
    return at;
  }

  async #save(): Promise<void> {
    this.stale = false;
    const garbage = this.#garbage.splice(0);
    await syncFolder(this.dir);
    await writeManifest(this.dir, {
      version: 1,
      fingerprint: this.#fingerprint,
      runs: this.runs.map((run) => run.id),
    });
    for (const path of garbage) await rm(path, { force: true });
  }

  async #merge(pace: Pace): Promise<boolean> {
    const sizes = this.runs.map((run) => {
      let rows = 0;
      let deadRows = 0;
      for (const slice of run.footer.slices) {
        rows += slice.to - slice.from;
        if (!this.#isLive(slice)) deadRows += slice.to - slice.from;
      }
      return { entries: run.footer.entries, rows, deadRows };
    });
    const picked = pickMerge(sizes, this.#waiting.size > 0);
    if (picked.length === 0) return false;
    const runs = picked.map((i) => this.runs[i]!);
    if (!(await this.#events.room(runs.reduce((sum, { bytes }) => sum + bytes, RUN_BYTES_MIN)))) return false;
    if (!runs.every((run) => this.runs.includes(run))) return true; // one was lost meanwhile
    const plan = planMerge(runs, (slice) => this.#isLive(slice));
    const id = randomUUID();
    const path = join(this.dir, runFile(id));
    try {
      const head = { tableUuid: this.def.uuid, fingerprint: this.#fingerprint };
      if (plan.slices.length > 0) await mergeRuns(runs, plan, path, head, pace);
      const merged = plan.slices.length > 0 ? RunReader.open(id, path) : null;
      for (const run of runs) {
        this.#remove(run);
        this.#discard(run);
      }
      if (merged !== null) this.#add(merged);
      for (const { location } of plan.slices) {
        const file = this.#files.get(location);
        if (file !== undefined) this.#look(file);
      }
    } catch (error) {
      if (!(error instanceof DamagedRun)) throw error;
      this.#damaged(error, runs.find((run) => run.path === error.path) ?? null);
    }
    return true;
  }

  #isLive({ location, rows }: Slice): boolean {
    return this.#files.get(location)?.rows === rows;
  }

  async #build(reader: KeyReader, space: SortSpace, pace: Pace, now: number): Promise<boolean> {
    const stride = this.width + 1;
    const parts = this.#nextParts(now);
    if (parts.length === 0) return false;
    const waiting = parts.reduce((sum, { from, to }) => sum + to - from, 0);
    const bytes = RUN_BYTES_MIN + waiting * (stride * 4 + OVERHEAD_BYTES);
    if (!(await this.#events.room(bytes)))
      throw new SqlError(SqlState.diskFull, `no space left in disk.limit for a run of ${waiting} keys`);
    const { entries, scratch } = space.of(waiting * stride);
    const slices: Slice[] = [];
    let count = 0;
    let rows = 0;
    for (const { file, from, to } of parts) {
      try {
        count = await this.#read(reader, file, from, to, entries, count, rows);
        slices.push({ location: file.location, rows: file.rows, from, to });
        rows += to - from;
      } catch (error) {
        this.#failed(file, error, now);
      }
    }
    if (slices.length === 0) return false;
    const sorted = await sortEntries(entries, scratch, count, this.width, pace);
    const id = randomUUID();
    const path = join(this.dir, runFile(id));
    await this.#write(path, slices, sorted, count, stride, pace);
    this.#add(RunReader.open(id, path));
    for (const { location } of slices) {
      const file = this.#files.get(location);
      if (file !== undefined) this.#look(file);
    }
    return true;
  }

  /** Rows that wait and can be read now, as many as one run takes. */
  #nextParts(now: number): readonly { readonly file: FileState; readonly from: number; readonly to: number }[] {
    const parts = [];
    let rows = 0;
    for (const file of this.#waiting) {
      if (file.retryAt > now || !(file.local || file.giveBack !== null)) continue;
      const range = this.#missing(file);
      if (range === null) continue;
      const to = Math.min(range.to, range.from + BUILD_ROWS - rows);
      if (to <= range.from) break;
      parts.push({ file, from: range.from, to });
      rows += to - range.from;
    }
    return parts;
  }

  /** The first rows of a file that no run covers. */
  #missing(file: FileState): { readonly from: number; readonly to: number } | null {
    const slices = this.runs
      .flatMap((run) => run.footer.slices)
      .filter((slice) => slice.location === file.location)
      .toSorted((a, b) => a.from - b.from);
    let from = 0;
    for (const slice of slices) {
      if (slice.from > from) return { from, to: slice.from };
      from = slice.to;
    }
    return from < file.rows ? { from, to: file.rows } : null;
  }

  /** Puts the file's entries behind the `count` that are there; how many there are then. */
  async #read(
    reader: KeyReader,
    file: FileState,
    from: number,
    to: number,
    entries: Int32Array,
    count: number,
    base: number,
  ): Promise<number> {
    const stride = this.width + 1;
    const key = new Int32Array(4);
    let at = count;
    let seen = 0;
    await reader.readKeys(
      this.def,
      { path: file.lentPath ?? file.path, rows: file.rows },
      from,
      to,
      (vectors, positions, rows) => {
        seen += rows;
        if (seen > to - from) throw new Error(`${file.path} has more than ${file.rows} rows`);
        const nullable = vectors.filter((vector) => vector.validity !== null);
        for (let row = 0; row < rows; row++) {
          if (nullable.length > 0 && !allValid(nullable, row)) continue;
          this.#encode(vectors, row, key);
          this.#order.arrange(key, 0, entries, at * stride);
          entries[at * stride + this.width] = base + positions[row]! - from;
          at++;
        }
      },
    );
    if (seen !== to - from) throw new Error(`${file.path} has fewer than ${file.rows} rows`);
    return at;
  }

  #failed(file: FileState, error: unknown, now: number): void {
    if (!(error instanceof Error)) throw error;
    file.retryAt = now + RETRY_MS * 2 ** Math.min(6, file.failures);
    file.failures++;
    file.giveBack?.();
    // The first failure may be a file on its way from disk to Iceberg.
    if (file.failures === 2) this.#events.problem(`could not index "${file.path}": ${error.message}`);
  }

  async #write(
    path: string,
    slices: readonly Slice[],
    entries: Int32Array,
    count: number,
    stride: number,
    pace: Pace,
  ): Promise<void> {
    const head = { tableUuid: this.def.uuid, fingerprint: this.#fingerprint, width: this.width, slices };
    const writer = await RunWriter.create(path, head);
    try {
      for (let done = 0; done < count;) {
        const taken = Math.min(writer.room, 4096, count - done);
        writer.add(entries, done * stride, taken);
        done += taken;
        await writer.flush();
        if (pace.due) await pace.turn();
      }
      await writer.finish();
    } catch (error) {
      await writer.abandon();
      throw error;
    }
  }

  close(): void {
    for (const file of this.#waiting) file.giveBack?.();
    for (const run of this.runs) run.close();
  }
}

function allValid(vectors: readonly ColumnVector[], row: number): boolean {
  for (const vector of vectors) if (!isValid(vector, row)) return false;
  return true;
}
