/** Rows of a buffer as the values that they have in a UNIQUE constraint: the vectors of a batch are made once. */
import type { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { UniqueKey } from '../storage/unique-key.ts';
import type { ColumnVector } from '../types/column-vector.ts';

/** Where a row is that is looked for: vectors of the constraint's columns, and its place in them. */
export interface ValuesAt {
  readonly vectors: readonly ColumnVector[];
  readonly row: number;
}

export class BufferValues {
  readonly #rows: RowBuffer;
  readonly #columns: readonly number[];
  #vectors: readonly ColumnVector[] = [];
  #start = 0;
  #end = 0;

  constructor(rows: RowBuffer, { columns }: Pick<UniqueKey, 'columns'>) {
    this.#rows = rows;
    this.#columns = columns;
  }

  at(row: number): ValuesAt {
    if (row < this.#start || row >= this.#end) {
      const index = this.#rows.batchOf(row);
      const { columns, rows } = this.#rows.batches[index]!;
      this.#start = this.#rows.batchStart(index);
      this.#end = this.#start + rows;
      this.#vectors = this.#columns.map((column) => columns[column]!.vector());
    }
    return { vectors: this.#vectors, row: row - this.#start };
  }
}
