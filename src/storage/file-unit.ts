/**
 * A Parquet file as a unit: a disk segment (T2) until a commit makes it a data file of the table (T3). It is the same
 * unit before and after: same rows, same positions, same delete list; only the tier and the path change.
 */
import type { Lsn, TableDef } from '../table-def.ts';
import { physicalOf } from '../types/pg-type.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { decodeBound } from './iceberg/bounds.ts';
import type { DataFileInfo, Segment } from './iceberg/lake-api.ts';
import { DeleteList } from './memory/delete-list.ts';
import type { Memory } from './memory/memory.ts';
import { integerAt } from './memory/slice.ts';
import type { FileUnit } from './scan-spec.ts';

interface Bounds {
  readonly min: number;
  readonly max: number;
}
const EVERYTHING: Bounds = { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY };

export class DataFileUnit {
  readonly unit: number;
  readonly info: DataFileInfo;
  readonly deletes: DeleteList;
  tier: 'disk' | 'iceberg';
  path: string;
  /** Rows have LSNs in (lsnFrom, lsnTo]; 0 where the file is older than this log. */
  readonly lsnFrom: Lsn;
  readonly lsnTo: Lsn;
  /** Entries of the delete list that a flush has made durable on disk, and that a commit has put into Iceberg. */
  deletesFlushed = 0;
  deletesCommitted = 0;
  readonly time: Bounds;
  readonly #key: Bounds;

  constructor(memory: Memory, unit: number, def: TableDef, info: DataFileInfo | Segment, tier: 'disk' | 'iceberg') {
    this.unit = unit;
    this.info = info;
    this.tier = tier;
    this.path = info.path;
    this.lsnFrom = 'lsnFrom' in info ? info.lsnFrom : 0;
    this.lsnTo = 'lsnTo' in info ? info.lsnTo : 0;
    this.deletes = new DeleteList(memory.pool);
    this.time = boundsOf(def, info, def.timeColumn);
    this.#key = boundsOf(def, info, def.key[0] ?? null);
  }

  get rows(): number {
    return this.info.rows;
  }

  /** False when the file cannot hold the key, by the bounds of its first column. */
  mayHoldKey(first: ColumnVector, row: number): boolean {
    if (this.#key === EVERYTHING) return true;
    const value = integerAt(first, row);
    return value >= this.#key.min && value <= this.#key.max;
  }

  scan(deleteCount: number): FileUnit {
    return { unit: this.unit, rows: this.info.rows, path: this.path, deletes: this.deletes.ref(deleteCount) };
  }
}

/** Numeric bounds of an integer-like column (integers, date, timestamps); everything for others or without bounds. */
function boundsOf(def: TableDef, info: DataFileInfo, fieldId: number | null): Bounds {
  const column = def.columns.find((each) => each.fieldId === fieldId);
  if (column === undefined) return EVERYTHING;
  const physical = physicalOf(column.type);
  if (physical !== 'int32' && physical !== 'int64') return EVERYTHING;
  const stats = info.columns.find((each) => each.fieldId === fieldId);
  if (stats === undefined || stats.lower === null || stats.upper === null) return EVERYTHING;
  return { min: Number(decodeBound(column.type, stats.lower)), max: Number(decodeBound(column.type, stats.upper)) };
}
