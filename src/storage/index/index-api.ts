/**
 * The index thread's functions: where the keys of rows in files are, and those rows. Implemented by `index-service.ts` over
 * `key-source.ts`'s reader, served by `src/threads/index.ts`, called from main through `src/rpc.ts`.
 *
 * - X1 A lookup answers for every file that main holds for covered: what ceases to be covered is named in an answer before,
 *   or in the same, so that main scans it.
 * - X2 Answers name rows, dead ones included: main knows what lives.
 */
import type { ColumnVector } from '../../types/column-vector.ts';
import type { ColumnDef, TableDef } from '../../table-def.ts';
import type { Format } from '../../types/result-column.ts';

export interface IndexSettings {
  /** DATA_DIR/index. */
  readonly dir: string;
  /** For pages of runs. */
  readonly cacheBytes: number;
  /** For the reader of files. */
  readonly readerBytes: number;
  readonly tempDir: string;
  /** Main is asked for room before a run is written (`IndexEvents.room`). */
  readonly asksForRoom: boolean;
}

export interface IndexedFile {
  readonly unit: number;
  readonly location: string;
  readonly path: string;
  readonly rows: number;
  /** It stays readable under its path. Others are built when main lends them. */
  readonly local: boolean;
}

export interface FileChanges {
  readonly uuid: string;
  readonly added: readonly IndexedFile[];
  readonly removed: readonly number[];
  /** Files that are to be read elsewhere now. */
  readonly moved: readonly { readonly unit: number; readonly path: string; readonly local: boolean }[];
}

/** Parallel arrays: key row, unit, position. */
export interface KeyMatches {
  readonly rows: Int32Array;
  readonly units: Int32Array;
  readonly positions: Uint32Array;
  /** Units that are no longer covered (X1). */
  readonly lost: readonly number[];
}

/** One row of a file. */
export interface RowRequest {
  readonly path: string;
  /** Of the file. */
  readonly rows: number;
  /** How many columns it has. */
  readonly fileColumns: number;
  readonly position: number;
  readonly columns: readonly ColumnDef[];
  /** One a column; left out: text. */
  readonly formats: readonly Format[];
  readonly timeZone: string;
}

export interface IndexEvents {
  readonly covered: readonly number[];
  readonly lost: readonly number[];
  /** For the server's log. */
  readonly problems: readonly string[];
  /** Bytes that a run may take which is about to be written: `room` says whether it may. 0: it is written, or is not. Null: no news. */
  readonly room: number | null;
}

/** Where the chunks of a Parquet file's columns lie: of group g and the column at i, `starts` and `ends` at g × columns + i. */
export interface RowGroups {
  /** In each group. */
  readonly rows: readonly number[];
  readonly fieldIds: readonly number[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** What DuckDB holds in a thread. */
export interface EngineMemory {
  /** All of it. */
  readonly bytes: number;
  /** Of that, footers of files: those that it keeps, and those of files that are open. */
  readonly footerBytes: number;
}

export interface IndexStats {
  readonly cacheBytes: number;
  readonly fileBytes: number;
  readonly runs: number;
  readonly entries: number;
  /** Files that wait for their run. */
  readonly waiting: number;
  readonly hits: number;
  readonly misses: number;
}

export type IndexApi = {
  /** First call. `secret` is what hashes of keys are to be made with: that of the runs that are there. @throws 58030 */
  open(settings: IndexSettings): Promise<{ readonly secret: Uint8Array }>;
  /** The uuids of all tables there are: what the folder holds of others goes. */
  keepOnly(tables: readonly string[]): Promise<void>;
  /** Makes a table known, with no files yet; its runs are opened. */
  attach(def: TableDef): Promise<void>;
  /** The table is gone: its runs go too. */
  detach(uuid: string): Promise<void>;
  /** The table's files as they are now; units covered by runs come with the answer, others by `events` as they are built. */
  change(changes: FileChanges): Promise<{ readonly covered: readonly number[] }>;
  /** The key columns of a file that is not local can be read now, at that path; resolves when it need not be any longer: covered, failed or gone. */
  lend(file: { readonly uuid: string; readonly unit: number; readonly path: string }): Promise<void>;
  /** `keys`: four words a key (memory/key-encoder.ts). */
  lookup(request: { readonly uuid: string; readonly keys: Int32Array }): Promise<KeyMatches>;
  /** The row as a DataRow message. The caller's pin keeps the file. */
  readRow(request: RowRequest): Promise<Uint8Array>;
  /** The same as vectors of one row, in the order of its columns. */
  readVectors(request: RowRequest): Promise<readonly ColumnVector[]>;
  /** By the footer of a file alone: the rest of it need not be there. @throws XX001, 58030 */
  rowGroups(path: string): Promise<RowGroups>;
  /** Resolves when something has happened since the last call; one call at a time. Null at the end. */
  events(argument: null): Promise<IndexEvents | null>;
  /** The answer to `IndexEvents.room`. */
  room(isGranted: boolean): Promise<void>;
  stats(argument: null): Promise<IndexStats>;
  /** For arka.memory. */
  memory(argument: null): Promise<EngineMemory & { readonly pageBytes: number }>;
  shutdown(argument: null): Promise<void>;
};
