/**
 * The columns of a UNIQUE constraint or a unique index, as the write path sees them: which values are locked by whom, and where rows
 * with given values may be. Rows in memory are found by the hash index that every index has (memory/hash-index.ts), those in files by
 * an index over files of its own (index/README.md).
 *
 * - U1 Of the values of a live row, none of them NULL, there is no other live row, among those that this server wrote: values are
 *   locked before they are looked for (C11), until the transaction that writes them is visible or gone.
 * - U2 Columns are in the order of their field ids here, whatever the index's own order.
 */
import { invariant } from '../errors.ts';
import type { IndexDef, TableDef } from '../table-def.ts';
import type { ColumnVector, Physical } from '../types/column-vector.ts';
import { isValid } from '../types/column-vector.ts';
import { isSameList } from '../types/hashed-columns.ts';
import { physicalOf } from '../types/pg-type.ts';
import type { DataFileUnit } from './file-unit.ts';
import { indexName } from './index/index-name.ts';
import type { HashIndex } from './memory/hash-index.ts';
import type { HashSecret } from './memory/keyed-hash.ts';
import { LockTable } from './memory/lock-table.ts';
import { RowKeys } from './memory/row-keys.ts';
import type { MemorySlice } from './memory/slice.ts';
import type { Generation, Table } from './table.ts';

/** Rows that a writer takes into the hash index itself; of more it waits for some turns of the loop. */
export const LAG_ROWS_MAX = 8192;

/** One who may have deleted rows and is not visible yet. */
export interface UniqueWriter {
  /** The transaction's number. */
  readonly holder: number;
  hasDeleted(unit: number, position: number): boolean;
  /** Heap bytes of the values that it holds, beside their locks. */
  readonly heldBytes: number;
}

export class UniqueKey {
  readonly index: IndexDef;
  /** Of its index over files. */
  readonly name: string;
  readonly fieldIds: readonly number[];
  /** Indexes of its columns in def order. */
  readonly columns: readonly number[];
  readonly physicals: readonly Physical[];
  readonly keys: RowKeys;
  /** values → (transaction, own row + 1, times two). */
  readonly locks: LockTable;
  /** The table's, with these columns for a key: what rows are looked for by. */
  readonly def: TableDef;

  /** @param known those whose locks go on, where one is of the same values */
  constructor(def: TableDef, index: IndexDef, secret: HashSecret, known: readonly UniqueKey[] = []) {
    this.index = index;
    this.fieldIds = uniqueFields(index);
    this.name = indexName(def.uuid, this.fieldIds);
    this.def = { ...def, key: this.fieldIds };
    this.columns = this.fieldIds.map((fieldId) => def.columns.findIndex((column) => column.fieldId === fieldId));
    this.physicals = this.columns.map((column) => physicalOf(def.columns[column]!.type));
    this.keys = new RowKeys(this.columns, this.physicals, secret);
    const isSame = (other: UniqueKey): boolean =>
      isSameList(other.fieldIds, this.fieldIds) &&
      other.physicals.every((physical, i) => physical === this.physicals[i]);
    const before = known.find((each) => each.index.slot === index.slot && isSame(each));
    this.locks = before?.locks ?? new LockTable(this.physicals, this.keys.seed);
  }

  /** Whether rows that keep some columns, given in def order, keep its values. A generated column follows others. */
  isKept(kept: ReadonlySet<number>): boolean {
    return this.columns.every((column) => kept.has(column) && this.def.columns[column]!.generated === undefined);
  }

  /** A row with a NULL is equal to none. */
  isWhole(vectors: readonly ColumnVector[], row: number): boolean {
    for (const vector of vectors) if (!isValid(vector, row)) return false;
    return true;
  }

  /** Published rows of memory that the hash indexes do not hold yet. */
  lag(table: Table): number {
    let rows = 0;
    for (const generation of table.generations) rows += this.#hashes(generation).lag(generation.slices);
    return rows;
  }

  /** The visible memory rows with the values of row `row` of vectors. At most one of them lives, unless another writer's rows are among them. */
  findInMemory(
    table: Table,
    vectors: readonly ColumnVector[],
    row: number,
  ): readonly { readonly slice: MemorySlice; readonly position: number }[] {
    const found: { slice: MemorySlice; position: number }[] = [];
    for (const generation of table.generations) {
      const hashes = this.#hashes(generation);
      while (hashes.lag(generation.slices) > 0) hashes.follow(generation.slices, LAG_ROWS_MAX);
      const matches = { slices: [] as MemorySlice[], positions: [] as number[], stepsLeft: Number.MAX_SAFE_INTEGER };
      hashes.find(vectors, row, matches);
      matches.slices.forEach((slice, i) => found.push({ slice, position: matches.positions[i]! }));
    }
    return found;
  }

  #hashes({ hashes }: Generation): HashIndex {
    const own = hashes.find(({ fieldIds }) => isSameList(fieldIds, this.fieldIds));
    invariant(own !== undefined, 'U1 the values of a UNIQUE constraint are hashed together');
    return own;
  }

  mayBeIn(file: DataFileUnit, vectors: readonly ColumnVector[], row: number): boolean {
    return file.deletes.length < file.rows && file.mayHoldValues(this.fieldIds, vectors, row);
  }
}

/** In rising order. */
export function uniqueFields({ columns }: Pick<IndexDef, 'columns'>): readonly number[] {
  return [...new Set(columns.map(({ fieldId }) => fieldId))].toSorted((a, b) => a - b);
}

/** Names of the indexes over files that a table has, beside that of its key. */
export function uniqueNames({ uuid, indexes }: Pick<TableDef, 'uuid' | 'indexes'>): readonly string[] {
  const names = indexes.filter(({ unique }) => unique !== undefined).map((each) => indexName(uuid, uniqueFields(each)));
  return [...new Set(names)];
}
