/**
 * Single rows of remote files that are not here: of such a file the footer and the column chunks of the rows that are asked for
 * are fetched by ranges into a file with holes (H11), instead of the whole of it.
 *
 * - R1 A lease names a file in which the row's columns are in place; it stays until the lease is given back.
 * - R2 What is fetched stays for the next row of the same row group, within `bytesMax` of all files; the oldest that nobody
 *   uses goes first.
 * - R3 A file of which a quarter would be here is better fetched whole: then there is no lease of it.
 * - R4 Whole columns, which the index over keys reads once, are in a part of their own that goes with its lease: of more than half of a
 *   file there is none.
 */
import type { Remote } from '../../rpc.ts';
import type { LakeApi } from '../iceberg/lake-api.ts';
import type { IndexApi, RowGroups } from '../index/index-api.ts';

export interface PartialFilesOptions {
  /** Absolute, of its own. */
  readonly dir: string;
  readonly bytesMax: number;
  readonly lake: Pick<Remote<LakeApi>, 'removeFiles' | 'fetchParts'>;
  readonly warn: (error: unknown, where: string) => void;
  /** Told when `bytes` has grown, before anything is written. */
  readonly grows: () => void;
}

export interface RowPlace {
  readonly path: string;
  readonly bytes: number;
  readonly position: number;
  readonly fieldIds: readonly number[];
}

export interface LocalRow {
  readonly path: string;
  readonly release: () => void;
}

interface Entry {
  readonly path: string;
  readonly part: string;
  readonly layout: Promise<RowGroups>;
  /** Chunks by their first byte: here, or on their way. */
  readonly chunks: Map<number, Promise<unknown>>;
  bytes: number;
  users: number;
}

const FILES_MAX = 256;
/** Below it one request for the whole is as quick. */
const FILE_BYTES_MIN = 1 << 20;
const WHOLE_PART = 1 / 4;
const COLUMNS_PART = 1 / 2;
/** The lake holds what one request gives. */
const LEASE_BYTES_MAX = 16 * 2 ** 20;
/** Two ranges that are nearer than this are one request. */
const GAP_BYTES_MAX = 32 * 1024;

export class PartialFiles {
  readonly #options: PartialFilesOptions;
  /** By path of the whole copy; the one used last comes last. */
  readonly #entries = new Map<string, Entry>();
  /** R4: what each takes. */
  readonly #columns = new Map<string, number>();
  #next = 1;

  constructor(options: PartialFilesOptions) {
    this.#options = options;
  }

  get bytes(): number {
    let bytes = 0;
    for (const entry of this.#entries.values()) bytes += entry.bytes;
    for (const taken of this.#columns.values()) bytes += taken;
    return bytes;
  }

  /** Null: the whole file is to be fetched (R3), also after any error here: then what is wrong shows there. Or the signal came. */
  async lease(
    place: RowPlace,
    index: Pick<Remote<IndexApi>, 'rowGroups'>,
    signal: AbortSignal,
  ): Promise<LocalRow | null> {
    if (place.bytes < FILE_BYTES_MIN || signal.aborted) return null;
    const entry = this.#entryOf(place, index);
    entry.users++;
    const release = once(() => {
      entry.users--;
      this.#shrink();
    });
    try {
      if (await until(this.#inPlace(entry, place), signal)) return { path: entry.part, release };
    } catch {
      // as the comment above says
    }
    release();
    return null;
  }

  /** R4. Null: the whole file is to be fetched, also after any error here. */
  async leaseColumns(
    { path, bytes, fieldIds }: Omit<RowPlace, 'position'>,
    index: Pick<Remote<IndexApi>, 'rowGroups'>,
  ): Promise<LocalRow | null> {
    if (bytes < FILE_BYTES_MIN) return null;
    const { lake, grows } = this.#options;
    const part = this.#newPart();
    this.#columns.set(part, 0);
    const release = once(() => this.#removeColumns(part));
    try {
      this.#columns.set(part, await lake.fetchParts({ path, part, bytes, ranges: null }));
      const layout = await index.rowGroups(part);
      const groups = layout.rows.map((_, group) => joined(chunksOfGroup(layout, group, fieldIds)));
      if (sizeOf(groups.flat()) <= bytes * COLUMNS_PART) {
        for (const ranges of portions(groups)) {
          this.#columns.set(part, this.#columns.get(part)! + sizeOf(ranges));
          grows();
          await lake.fetchParts({ path, part, bytes, ranges });
        }
        return { path: part, release };
      }
    } catch {
      // what is wrong shows when the whole is fetched
    }
    release();
    return null;
  }

  #removeColumns(part: string): void {
    this.#columns.delete(part);
    this.#remove(part);
  }

  #newPart(): string {
    return `${this.#options.dir}/${this.#next++}.parquet`;
  }

  /** Whether the row's columns are in the part now; false: they would be too much of the file. */
  async #inPlace(entry: Entry, place: RowPlace): Promise<boolean> {
    const ranges = chunksOf(await entry.layout, place);
    const missing = ranges.filter(([start]) => !entry.chunks.has(start));
    const more = sizeOf(missing);
    if (more > LEASE_BYTES_MAX || entry.bytes + more > place.bytes * WHOLE_PART) return false;
    if (missing.length > 0) this.#fetch(entry, place.bytes, missing);
    await Promise.all(ranges.map(([start]) => entry.chunks.get(start)!));
    return true;
  }

  /** The files are gone from their tables. */
  forget(paths: readonly string[]): void {
    for (const path of paths) {
      const entry = this.#entries.get(path);
      if (entry?.users === 0) this.#drop(entry);
    }
  }

  #entryOf({ path, bytes }: RowPlace, index: Pick<Remote<IndexApi>, 'rowGroups'>): Entry {
    const known = this.#entries.get(path);
    if (known !== undefined) {
      this.#entries.delete(path);
      this.#entries.set(path, known);
      return known;
    }
    const part = this.#newPart();
    const footer = this.#options.lake.fetchParts({ path, part, bytes, ranges: null });
    const layout = footer.then(() => index.rowGroups(part));
    const entry: Entry = { path, part, layout, chunks: new Map(), bytes: 0, users: 0 };
    footer.then((fetched) => (entry.bytes += fetched)).catch(() => undefined);
    layout.catch(() => this.#drop(entry));
    this.#entries.set(path, entry);
    return entry;
  }

  #fetch(entry: Entry, bytes: number, missing: readonly Range[]): void {
    const { path, part } = entry;
    const ranges = joined(missing);
    entry.bytes += sizeOf(ranges);
    this.#options.grows();
    const done = this.#options.lake.fetchParts({ path, part, bytes, ranges });
    for (const [start] of missing) entry.chunks.set(start, done);
    done.catch(() => {
      for (const [start] of missing) entry.chunks.delete(start);
    });
  }

  #shrink(): void {
    for (const entry of this.#entries.values()) {
      if (this.#entries.size <= FILES_MAX && this.bytes <= this.#options.bytesMax) return;
      if (entry.users === 0) this.#drop(entry);
    }
  }

  /** No new reader finds it. Who has it open reads on. */
  #drop(entry: Entry): void {
    if (this.#entries.get(entry.path) !== entry) return;
    this.#entries.delete(entry.path);
    this.#remove(entry.part);
  }

  #remove(part: string): void {
    const { lake, warn } = this.#options;
    lake.removeFiles([part]).catch((error: unknown) => warn(error, `removing ${part}`));
  }
}

type Range = readonly [start: number, end: number];

/** The chunks of the columns in the row group that has the position, in the order of the file. A column that the file lacks has none. */
function chunksOf(layout: RowGroups, { position, fieldIds }: RowPlace): Range[] {
  const { rows } = layout;
  let group = 0;
  for (let before = 0; group < rows.length - 1 && position >= before + rows[group]!; group++) before += rows[group]!;
  return chunksOfGroup(layout, group, fieldIds);
}

function chunksOfGroup({ fieldIds, starts, ends }: RowGroups, group: number, wanted: readonly number[]): Range[] {
  const ranges: Range[] = [];
  for (const fieldId of new Set(wanted)) {
    const column = fieldIds.indexOf(fieldId);
    const at = group * fieldIds.length + column;
    if (column >= 0) ranges.push([starts[at]!, ends[at]!]);
  }
  return ranges.toSorted(([a], [b]) => a - b);
}

/** Ranges of groups, as many at a time as the lake should hold; one group is so many at most (`WriteParquetRequest`), or is asked for alone. */
function* portions(groups: readonly (readonly Range[])[]): IterableIterator<readonly Range[]> {
  let some: Range[] = [];
  for (const ranges of groups) {
    if (some.length > 0 && sizeOf(some) + sizeOf(ranges) > LEASE_BYTES_MAX) {
      yield some;
      some = [];
    }
    some.push(...ranges);
  }
  if (some.length > 0) yield some;
}

function joined(ranges: readonly Range[]): Range[] {
  const all: [number, number][] = [];
  for (const [start, end] of ranges) {
    const last = all.at(-1);
    if (last !== undefined && start - last[1] <= GAP_BYTES_MAX) last[1] = Math.max(last[1], end);
    else all.push([start, end]);
  }
  return all;
}

const sizeOf = (ranges: readonly Range[]): number => ranges.reduce((sum, [start, end]) => sum + end - start, 0);

/** False as soon as the signal comes. */
async function until(work: Promise<boolean>, signal: AbortSignal): Promise<boolean> {
  const { promise: aborted, resolve } = Promise.withResolvers<boolean>();
  const abort = (): void => resolve(false);
  signal.addEventListener('abort', abort, { once: true });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}
