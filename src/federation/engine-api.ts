/**
 * The engine thread's functions (DuckDB): queries over units, Parquet out, positions by key. Implemented in
 * `federation/`, served by `src/threads/engine.ts`, called from main through `src/rpc.ts`.
 *
 * Every scan of a unit list goes through one function (C8). Nothing here knows sessions or transactions.
 */
import type { FileUnit, TableScan } from '../storage/scan-spec.ts';
import type { TableDef } from '../table-def.ts';
import type {
  EqualityRequest,
  LookupRequest,
  LookupResult,
  PositionDeletes,
  RowsRead,
  RowsRequest,
  WriteParquetRequest,
  WrittenFile,
} from '../storage/unit-engine.ts';

export type { LookupRequest, LookupResult, WriteParquetRequest, WrittenFile } from '../storage/unit-engine.ts';
import type { EngineMemory } from '../storage/index/index-api.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import type { CopyStyle } from '../types/copy-row.ts';

/** A result column: what RowDescription promises, and the format it is encoded in. */
export interface OutputColumn {
  readonly typeOid: number;
  readonly typmod: number;
  readonly format: 0 | 1;
}

export interface QueryRequest {
  /** Names the cursor; made by main, unique. */
  readonly cursor: number;
  /** DuckDB SQL. Each scan appears as the (quoted) identifier `placeholder`, and is replaced by the scan of its units. */
  readonly sql: string;
  readonly scans: readonly TableScan[];
  /** The types PostgreSQL gives the result columns, to cast to; null: take DuckDB's own, see `QueryOpened.columns`. */
  readonly columns: readonly OutputColumn[] | null;
  /** Formats when `columns` is null: 0, 1 or n codes as in Bind. */
  readonly formats: readonly (0 | 1)[];
  /** rows: DataRow messages, or with `copy` CopyData messages. vectors: ColumnVectors for writes (types must be column types; no HUGEINT etc.). */
  readonly output: 'rows' | 'vectors';
  readonly copy?: CopyStyle;
  readonly timeZone: string;
}

export interface QueryOpened {
  readonly columns: readonly { readonly name: string; readonly typeOid: number; readonly typmod: number }[];
}

/** One turn of a cursor; `done` true: it is closed and its pins may go. At most about 1 MB of rows a turn. */
export interface QueryChunk {
  readonly rows: number;
  /** output rows: complete DataRow messages. */
  readonly messages: Uint8Array | null;
  /** output vectors: one a column, `rows` long. */
  readonly vectors: readonly ColumnVector[] | null;
  readonly done: boolean;
}

/** Rows of files by their places: row i is at `positions[i]` of `files[indexes[i]]`. Each place once or more. */
export interface FetchRequest {
  readonly def: TableDef;
  readonly files: readonly FileUnit[];
  readonly indexes: Int32Array;
  readonly positions: Float64Array;
  readonly fieldIds: readonly number[];
}
/** Some of them: which, and their columns in the order of the field ids. */
export interface Fetched {
  readonly rows: Int32Array;
  readonly vectors: readonly ColumnVector[];
}

export interface EngineSettings {
  readonly memoryLimitBytes: number;
  readonly threads: number;
  readonly tempDir: string;
}

export type EngineApi = {
  /** First call. `self-test` of the bulk string layout included. */
  open(settings: EngineSettings): Promise<void>;
  addSlab(slab: { index: number; buffer: SharedArrayBuffer }): void;
  query(request: QueryRequest): Promise<QueryOpened>;
  /** The next rows; resolves when there are some or the end is reached. */
  next(cursor: number): Promise<QueryChunk>;
  /** Resolves when the cursor reads nothing of slabs any more, at its end at the latest: those that it was given may go. */
  slabsRead(cursor: number): Promise<void>;
  /** Ends a cursor early (also one whose query still runs: interrupts it, 57014); idempotent. */
  close(cursor: number): Promise<void>;
  /** Rows that a cursor puts aside, from `offset` on in its file; `spool` names it. @throws {SqlError} 53100, 58030 */
  spoolWrite(request: { spool: number; offset: number; bytes: Uint8Array }): Promise<void>;
  spoolRead(request: { spool: number; offset: number; length: number }): Promise<Uint8Array>;
  spoolClose(spool: number): Promise<void>;
  /** The live rows of the units, ordered by the def's sort, then unit, then position (total: H16), as one file. Null: no live row. */
  writeParquet(request: WriteParquetRequest): Promise<WrittenFile | null>;
  /**
   * Where each row of the same request went: parallel arrays of (unit, old position), in new position order.
   * Must be called with the same request (same pinned lengths) as writeParquet.
   */
  newPositions(request: WriteParquetRequest): Promise<{ units: Int32Array; positions: Uint32Array }>;
  /** An Iceberg v2 position-delete file, sorted by data file and position. Each file has some. fsynced. */
  writePositionDeletes(request: { path: string; deletes: readonly PositionDeletes[] }): Promise<WrittenFile>;
  /** Positions per data file location, of Iceberg position-delete files. */
  readPositionDeletes(paths: readonly string[]): Promise<readonly PositionDeletes[]>;
  /** Rows that equality deletes are of: sorted positions by unit; units without any are left out. */
  equalityPositions(request: EqualityRequest): Promise<ReadonlyMap<number, Uint32Array>>;
  lookup(request: LookupRequest): Promise<LookupResult>;
  /** The same by whole rows: `keys` are all columns of the def, and may be NULL. */
  lookupImages(request: LookupRequest): Promise<LookupResult>;
  readRows(request: RowsRequest): Promise<readonly RowsRead[]>;
  fetchRows(request: FetchRequest): Promise<readonly Fetched[]>;
  /** The share of its memory that queries may use from now on; free memory of the process goes back to the system, too. */
  limitMemory(share: number): Promise<void>;
  /** What queries may put aside on the disk; false: they have put aside more, and the bound before stays. */
  limitSpill(bytes: number): Promise<boolean>;
  /** The same for flushes, rewrites and lookups. */
  limitSorts(bytes: number): Promise<boolean>;
  /** For arka.memory. */
  memory(argument: null): Promise<EngineMemory>;
  shutdown(argument: null): Promise<void>;
};
