/**
 * What storage needs from the engine thread: Parquet out of units, positions by key, delete files. A subset of
 * the engine's API (federation/engine-api.ts), stated here because storage imports no engine.
 */
import type { TableDef } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import type { FileColumnStats } from './file-stats.ts';
import type { FileUnit, MemoryUnit } from './scan-spec.ts';

export interface WrittenFile {
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  readonly columns: readonly FileColumnStats[];
}

export interface WriteParquetRequest {
  readonly def: TableDef;
  readonly memory: readonly MemoryUnit[];
  readonly files: readonly FileUnit[];
  /** Absolute; the folder exists. Written, fsynced (file and folder, C10) before the answer. */
  readonly path: string;
  /** Columns that no unit has, with their one value. */
  readonly fill?: Fill;
}

/** One row of some columns. */
export interface Fill {
  readonly fieldIds: readonly number[];
  readonly vectors: readonly ColumnVector[];
}

/** Positions by key: `keys` are the key's columns in order, `rows` long, without nulls. */
export interface LookupRequest {
  readonly def: TableDef;
  readonly files: readonly FileUnit[];
  readonly keys: readonly ColumnVector[];
  readonly rows: number;
}
/** Parallel arrays: key row, unit, position. All matches, deleted rows included; main knows what lives. */
export interface LookupResult {
  readonly rows: Int32Array;
  readonly units: Int32Array;
  readonly positions: Uint32Array;
}

/** Columns of rows of one file, by position. */
export interface RowsRequest {
  readonly def: TableDef;
  readonly file: FileUnit;
  readonly positions: Uint32Array;
  readonly fieldIds: readonly number[];
}
/** Some of the rows; `vectors` in the order of the field ids. */
export interface RowsRead {
  readonly positions: Uint32Array;
  readonly vectors: readonly ColumnVector[];
  readonly rows: number;
}

/** Deleted rows of the data file at a location. */
export interface PositionDeletes {
  readonly location: string;
  readonly positions: Uint32Array;
}

/** Rows of data files by the values of some columns, as another writer's equality deletes have them (H14). */
export interface EqualityRequest {
  readonly def: TableDef;
  /** The columns that are compared; NULL equals NULL. */
  readonly fieldIds: readonly number[];
  /** Units are given back as they are here. */
  readonly files: readonly SequencedFile[];
  readonly deleteFiles: readonly SequencedFile[];
}
/** A row is deleted by a file of a higher number alone. */
export interface SequencedFile extends FileUnit {
  readonly sequence: number;
}

/** The functions themselves, as the caller sees them. */
export interface UnitEngine {
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
  /** Sorted positions by unit; units without any are left out. */
  equalityPositions(request: EqualityRequest): Promise<ReadonlyMap<number, Uint32Array>>;
  lookup(request: LookupRequest): Promise<LookupResult>;
  /** The same by whole rows: `keys` are all columns of the def, and may be NULL. */
  lookupImages(request: LookupRequest): Promise<LookupResult>;
  readRows(request: RowsRequest): Promise<readonly RowsRead[]>;
}
