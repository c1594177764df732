/**
 * Rows of one transaction before they are visible: batches of their own, written value by value through sinks or
 * copied from vectors. A row may die again before commit (the transaction deleted what it had inserted).
 */
import type { ColumnSink, ColumnVector, Physical } from '../../types/column-vector.ts';
import type { BatchPool } from './batch-pool.ts';
import { Batch, nextBlockBytes } from './batch.ts';
import type { Memory } from './memory.ts';

export class RowBuffer {
  readonly physicals: readonly Physical[];
  readonly #memory: Memory;
  readonly #pool: BatchPool | null;
  #batches: Batch[] = [];
  /** First row of each batch. */
  #starts: number[] = [];
  rows = 0;

  /** @param pool where the first batch comes from, and small ones go back to */
  constructor(memory: Memory, physicals: readonly Physical[], pool: BatchPool | null = null) {
    this.#memory = memory;
    this.#pool = pool;
    this.physicals = physicals;
  }

  /** An empty buffer for rows of the same shape. */
  like(): RowBuffer {
    return new RowBuffer(this.#memory, this.physicals);
  }

  get batches(): readonly Batch[] {
    return this.#batches;
  }

  batchStart(index: number): number {
    return this.#starts[index]!;
  }

  /** The first row that is still here. */
  get first(): number {
    return this.#starts[0] ?? this.rows;
  }

  /** The first `count` batches go; rows keep their numbers. */
  dropBatches(count: number): void {
    this.#starts.splice(0, count);
    for (const batch of this.#batches.splice(0, count)) batch.retire();
  }

  /** The batches so far take no more rows. @throws {SqlError} 53200 */
  close(): void {
    if (this.first === this.rows) return;
    this.#batches.push(new Batch(this.#memory, this.physicals, nextBlockBytes(undefined)));
    this.#starts.push(this.rows);
  }

  /** The batch that takes the next row. @throws {SqlError} 53200 */
  head(): Batch {
    const last = this.#batches.at(-1);
    if (last !== undefined && !last.full) return last;
    const batch =
      last === undefined && this.#pool !== null
        ? this.#pool.take()
        : new Batch(this.#memory, this.physicals, nextBlockBytes(last));
    this.#batches.push(batch);
    this.#starts.push(this.rows);
    return batch;
  }

  /** Sinks of the next row, one a column; end it by `endRow`. Ask anew for each row: the head moves. */
  sinks(): readonly ColumnSink[] {
    return this.head().columns;
  }

  endRow(): void {
    this.endRows(1);
  }

  /** Ends rows that were written into the columns of the last `head()`. */
  endRows(count: number): void {
    this.#batches.at(-1)!.endRows(count);
    this.rows += count;
  }

  /** Drops what was written of a row that failed. */
  dropRow(): void {
    this.#batches.at(-1)?.truncateRow();
  }

  append(vectors: readonly ColumnVector[], start: number, end: number): void {
    let at = start;
    while (at < end) {
      const count = this.head().append(vectors, at, end);
      at += count;
      this.rows += count;
    }
  }

  /** The batch of a row; the row inside it is row - batchStart. */
  batchOf(row: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#starts[middle]! <= row) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Drops the rows after the first `rows`, when a statement of the transaction failed. */
  truncate(rows: number): void {
    while (this.#batches.length > 0 && this.#starts.at(-1)! >= rows) {
      this.#batches.pop()!.retire();
      this.#starts.pop();
    }
    const last = this.#batches.at(-1);
    if (last !== undefined) {
      if (last.readers > 0) last.isClosed = true;
      last.rows = rows - this.#starts.at(-1)!;
      for (const column of last.columns) column.truncate(last.rows);
    }
    this.rows = rows;
  }

  /** Hands the batches over; the buffer is empty again. */
  release(): readonly Batch[] {
    const batches = this.#batches;
    this.#batches = [];
    this.#starts = [];
    this.rows = 0;
    return batches;
  }

  /** Gives a released batch's memory back. */
  retireBatch(batch: Batch): void {
    if (this.#pool === null) batch.retire();
    else this.#pool.give(batch);
  }

  /** Gives everything back. */
  retire(): void {
    if (this.#batches.length === 0) return;
    for (const batch of this.release()) this.retireBatch(batch);
  }
}
