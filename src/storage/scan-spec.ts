/**
 * What one scan of one table reads, as plain data that crosses to the engine thread: the pinned Version's units,
 * each with its row count and the length of its delete list at the pin (V1). Main holds the pin until the engine
 * has said that it is done.
 */
import type { Lsn, TableDef } from '../table-def.ts';
import type { LogPlace } from './log/log-api.ts';
import type { Address } from './memory/slab.ts';

/**
 * Batches of memory slices in Arrow layout. `shape` is flat: for each batch, first its row count, then for each
 * column of the scan's `def` in order four numbers: validity address (-1: all valid), data address, offsets
 * address, heap address (bytes columns have offsets and heap, the others data; -1 where unused). Offsets are
 * int32, rows + 1 of them, relative to the heap address. bool data is an LSB bitmap.
 */
export interface MemoryUnit {
  readonly unit: number;
  readonly rows: number;
  readonly shape: Float64Array;
  readonly deletes: DeleteRef | null;
  /** Left out: all its rows are read. Else the rows at these positions alone, in rising order, of which none is deleted. */
  readonly picks?: Uint32Array;
  /** Copies of a file's rows: of each row the unit and the position that it has there, instead of those here. */
  readonly places?: { readonly units: Int32Array; readonly positions: Uint32Array };
  /** The def whose columns `shape` follows, where it is older than the scan's: null means the same. */
  readonly fieldIds: readonly number[];
}

/** A Parquet file in final Iceberg form: columns carry field ids. `path` is local. */
export interface FileUnit {
  readonly unit: number;
  readonly rows: number;
  readonly path: string;
  /** Size, where a copy in the disk cache may have to be made. */
  readonly bytes?: number;
  readonly deletes: DeleteRef | null;
}

/** The first `count` entries of an append-only delete list: u32 row positions, in blocks, in no order, each once. */
export interface DeleteRef {
  readonly count: number;
  readonly blocks: readonly { readonly address: Address; readonly count: number }[];
}

export interface TableScan {
  /** The identifier that stands for this table in the SQL; unique in the statement. */
  readonly placeholder: string;
  readonly def: TableDef;
  readonly memory: readonly MemoryUnit[];
  readonly files: readonly FileUnit[];
  /** Also give the columns `__unit` (INTEGER) and `__position` (BIGINT, row in its unit). */
  readonly positions: boolean;
  /** Instead of units: what the log says of the table. */
  readonly changes?: ChangesScan;
}

/** The changes of a table after `since`, up to `to`, which is the end of a durable transaction. */
export interface ChangesScan {
  readonly log: LogPlace;
  readonly since: Lsn;
  readonly to: Lsn;
  /** Field ids of what names a row. */
  readonly key: readonly number[];
  readonly keyed: boolean;
}
