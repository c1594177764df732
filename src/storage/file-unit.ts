/**
 * A Parquet file as a unit: a disk segment (T2) until a commit makes it a data file of the table (T3). It is the same
 * unit before and after: same rows, same positions, same delete list; only the tier and the path change.
 */
import { nameFields, type Lsn, type TableDef } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import type { DataFileInfo, Segment } from './iceberg/lake-api.ts';
import { placeKey } from './iceberg/transforms.ts';
import { excludesAll, type FileFilter } from './file-pruning.ts';
import { integerBounds, KeyBounds } from './key-bounds.ts';
import { DeleteList } from './memory/delete-list.ts';
import type { Memory } from './memory/memory.ts';
import { PackedBounds, statsBounds, type Bounds } from './packed-bounds.ts';
import type { FileUnit } from './scan-spec.ts';
import type { WarmCopy } from './warm-copies.ts';

interface Range {
  readonly min: number;
  readonly max: number;
}
const NO_COLUMNS: readonly [] = [];
const EVERYTHING: Range = { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY };

export class DataFileUnit {
  readonly unit: number;
  /** Of a data file without its columns: manifests have them, and what is asked for here are `#bounds` (H8). */
  info: DataFileInfo;
  readonly deletes: DeleteList;
  tier: 'disk' | 'iceberg';
  path: string;
  /** Rows have LSNs in (lsnFrom, lsnTo]; 0 where the file is older than this log. */
  lsnFrom: Lsn;
  lsnTo: Lsn;
  /** Written by a transaction that has committed since, and in no flush manifest yet: no commit to Iceberg may take it (V2). */
  isUnlisted = false;
  /** Entries of the delete list that a flush has made durable on disk, and that a commit has put into Iceberg. */
  deletesFlushed = 0;
  deletesCommitted = 0;
  /** Of those committed, the first that a delete file of this file alone holds; the others are in files of its partition (H12). */
  deletesScoped = 0;
  /** Entries up to here may be another writer's, in Iceberg already although they stand behind pending ones of ours. */
  deletesForeign = 0;
  /** Names spec and partition. */
  partitionKey: string;
  /** Its rows as far as they are in memory, too. */
  warm: WarmCopy | null = null;
  /** The index covers it: its rows are found by key without reading it. */
  indexed = false;
  time: Range = EVERYTHING;
  /** Of the key's first column, where it is an integer. */
  keyRange: Range = EVERYTHING;
  #def: TableDef;
  #bounds: Bounds;
  /** Of its rows' names, and of columns by field id, where they were asked for. */
  #nameBounds: KeyBounds | null = null;
  #valueBounds: Map<string, KeyBounds> | null = null;

  constructor(memory: Memory, unit: number, def: TableDef, info: DataFileInfo | Segment, tier: 'disk' | 'iceberg') {
    this.unit = unit;
    this.info = info;
    this.tier = tier;
    this.path = info.path;
    this.lsnFrom = 'lsnFrom' in info ? info.lsnFrom : 0;
    this.lsnTo = 'lsnTo' in info ? info.lsnTo : 0;
    this.deletes = new DeleteList(memory.pool);
    this.partitionKey = placeKey(info.specId, info.partition);
    this.#def = def;
    this.#bounds = statsBounds(info.columns, info.rows);
    if (tier === 'iceberg') this.#pack();
    this.defined(def);
  }

  /** The catalog has given the spec that it was written under a number. */
  ofSpec(specId: number): void {
    this.info = { ...this.info, specId };
    this.partitionKey = placeKey(specId, this.info.partition);
  }

  /** A commit has made it a data file; it is read there from now on. */
  moveToIceberg(path: string): void {
    this.path = path;
    this.tier = 'iceberg';
    this.#pack();
  }

  #pack(): void {
    this.#bounds = new PackedBounds(this.info.columns, this.info.rows);
    this.info = { ...this.info, columns: NO_COLUMNS };
  }

  /** The table's columns are others now: so are the names of rows, and the types that bounds are read as. */
  defined(def: TableDef): void {
    this.time = integerBounds(def, this.#bounds, def.timeColumn) ?? EVERYTHING;
    this.keyRange = integerBounds(def, this.#bounds, def.key[0] ?? null) ?? EVERYTHING;
    this.#def = def;
    this.#nameBounds = null;
    this.#valueBounds = null;
  }

  /** About what it takes on main's heap, as measured: a data file's bounds are packed, a segment's statistics are objects. */
  get heapBytes(): number {
    return 1000 + (this.#bounds instanceof PackedBounds ? this.#bounds.byteLength : this.info.columns.length * 510);
  }

  /** None of its rows is left, and Iceberg does not know: the next commit drops it. */
  get isLeaving(): boolean {
    return this.deletes.length >= this.rows && this.deletesCommitted < this.rows;
  }

  get rows(): number {
    return this.info.rows;
  }

  /** A transaction wrote it while it ran, and has LSNs now. */
  committed(lsnFrom: Lsn, lsnTo: Lsn): void {
    const segment: Segment = { ...this.info, lsnFrom, lsnTo };
    this.info = segment;
    this.lsnFrom = lsnFrom;
    this.lsnTo = lsnTo;
    this.isUnlisted = true;
  }

  /** False when the file cannot hold a row by its name, by the bounds of its columns; `vectors` in the name's order. */
  mayHold(vectors: readonly ColumnVector[], row: number): boolean {
    this.#nameBounds ??= new KeyBounds(this.#def, this.#bounds, nameFields(this.#def));
    return this.#nameBounds.mayHold(vectors, row);
  }

  /** The same for values of some columns; `vectors` in the order of these. */
  mayHoldValues(fieldIds: readonly number[], vectors: readonly ColumnVector[], row: number): boolean {
    const list = fieldIds.join();
    this.#valueBounds ??= new Map();
    let bounds = this.#valueBounds.get(list);
    if (bounds === undefined) this.#valueBounds.set(list, (bounds = new KeyBounds(this.#def, this.#bounds, fieldIds)));
    return bounds.mayHold(vectors, row);
  }

  /** Whether no row of the file passes a filter on the column. */
  excludes(fieldId: number, filter: FileFilter): boolean {
    return excludesAll(filter, this.#bounds.of(fieldId));
  }

  scan(deleteCount: number): FileUnit {
    const { rows, bytes } = this.info;
    return { unit: this.unit, rows, path: this.path, bytes, deletes: this.deletes.ref(deleteCount) };
  }
}
