/**
 * Blocks of fields into a transaction's own rows, column by column. What `RowWriter` does one by one, for COPY and for
 * INSERT … VALUES; where both take a row they write the same bytes.
 *
 * A block is taken whole or not at all: on a no its rows go one by one, so that the first error in the order of the
 * data is the one a client gets.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { Batch } from '../storage/memory/batch.ts';
import type { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { blockBinaryInput } from '../types/block-binary-input.ts';
import { blockInput, type BlockInput } from '../types/block-input.ts';
import type { ColumnSink } from '../types/column-vector.ts';
import { ABSENT_NULL, type FieldBlock } from '../types/field-block.ts';
import type { TimeContext } from '../types/text-input.ts';
import type { GeneratedColumn } from './generated-columns.ts';

/** A column that no value is given for. */
export interface Missing {
  readonly index: number;
  readonly put: (sink: ColumnSink) => void;
}

/** Columns that the block has no values for. */
export interface BlockColumns {
  readonly missing: readonly Missing[];
  readonly computed: readonly GeneratedColumn[];
}

export class BlockWriter {
  readonly #targets: readonly number[];
  readonly #inputs: readonly BlockInput[];
  readonly #notNull: readonly boolean[];
  readonly #missing: readonly Missing[];
  readonly #computed: readonly GeneratedColumn[];

  /** @param targets for each value its column, in def order index */
  constructor(
    def: TableDef,
    targets: readonly number[],
    { missing, computed }: BlockColumns,
    context: TimeContext,
    binary: boolean,
  ) {
    const input = (column: ColumnDef): BlockInput =>
      binary ? blockBinaryInput(column.type) : blockInput(column.type, context);
    const columns = targets.map((index) => def.columns[index]!);
    this.#targets = targets;
    this.#inputs = columns.map(input);
    this.#notNull = columns.map((column) => column.notNull);
    this.#missing = missing;
    this.#computed = computed;
  }

  /** Appends the block's rows; false: a value needs a second look, and nothing was appended. */
  append(block: FieldBlock, rows: RowBuffer): boolean {
    if (this.#hasForbiddenNull(block)) return false;
    const before = rows.rows;
    try {
      for (let first = 0; first < block.rows;) first += this.#appendToHead(block, first, rows);
      return true;
    } catch (error) {
      rows.truncate(before);
      if (error instanceof SqlError) return false;
      throw error;
    }
  }

  /** As many rows from `first` on as the head takes. */
  #appendToHead(block: FieldBlock, first: number, rows: RowBuffer): number {
    const batch = rows.head();
    const count = Math.min(block.rows - first, batch.capacity - batch.rows);
    const inputs = this.#inputs;
    for (let value = 0; value < inputs.length; value++) {
      const sink = batch.columns[this.#targets[value]!]!;
      inputs[value]!(block, value * block.capacity + first, count, sink);
    }
    for (const { index, put } of this.#missing) {
      const sink = batch.columns[index]!;
      for (let k = 0; k < count; k++) put(sink);
    }
    if (this.#computed.length > 0) this.#compute(batch, count);
    rows.endRows(count);
    return count;
  }

  /** @throws {SqlError} for a row whose value cannot be worked out, or is NULL where none may be */
  #compute(batch: Batch, count: number): void {
    const row = batch.vectors();
    for (const { index, notNull, put } of this.#computed)
      for (let k = 0; k < count; k++)
        if (!put(row, batch.rows + k, batch.columns[index]!) && notNull)
          throw new SqlError(SqlState.notNullViolation, 'a row of the block is refused');
  }

  #hasForbiddenNull({ absent, starts, capacity, rows }: FieldBlock): boolean {
    for (let value = 0; value < this.#notNull.length; value++) {
      if (absent[value] === 0 || !this.#notNull[value]) continue;
      const at = value * capacity;
      for (let row = 0; row < rows; row++) if (starts[at + row] === ABSENT_NULL) return true;
    }
    return false;
  }
}
