/**
 * MemSlice (T1): a unit of rows of one partition between two cuts. Batches in LSN order; `rows` counts what
 * transactions have appended, `published` what readers may see. Frozen by a cut, replaced by a disk segment.
 */
import { invariant } from '../../errors.ts';
import { wordsToNumber } from '../../types/decimal-digits.ts';
import { isValid, type ColumnVector, type Physical } from '../../types/column-vector.ts';
import type { PartitionValue } from '../iceberg/lake-api.ts';
import type { MemoryUnit } from '../scan-spec.ts';
import { Batch, nextBlockBytes } from './batch.ts';
import { DeleteList } from './delete-list.ts';
import type { FlushedRows } from '../warm-copies.ts';
import type { Memory } from './memory.ts';

/** From so many rows or bytes on, a transaction's batch becomes the slice's own instead of being copied. */
export const ADOPT_ROWS_MIN = 1024;
export const ADOPT_BYTES_MIN = 1 << 18;
/** A slice is one file of a flush, sorted and written within the engine's budget, which grows with that for rows. */
const SLICES_PER_BUDGET = 6;

export class MemorySlice {
  readonly tier = 'memory';
  readonly unit: number;
  readonly partitionKey: string;
  readonly partition: readonly PartitionValue[];
  readonly deletes: DeleteList;
  rows = 0;
  published = 0;
  /** Bounds of the time column in its own unit (microseconds, days); infinite while empty. Nulls have none. */
  timeMin = Number.POSITIVE_INFINITY;
  timeMax = Number.NEGATIVE_INFINITY;
  /** It should take no further rows. */
  large = false;
  lsnMin = 0;
  lsnMax = 0;
  /** After its flush: where its rows are, while it stays as a copy of them. */
  flushed: FlushedRows | null = null;
  readonly #memory: Memory;
  readonly #physicals: readonly Physical[];
  readonly #timeColumn: number;
  readonly #batches: Batch[] = [];
  readonly #starts: number[] = [];
  #adopted = false;
  /** Slab bytes of its batches. */
  #held = 0;

  /** @param timeColumn index of the time column in the def, or -1 */
  constructor(
    memory: Memory,
    unit: number,
    physicals: readonly Physical[],
    timeColumn: number,
    partitionKey: string,
    partition: readonly PartitionValue[],
  ) {
    this.#memory = memory;
    this.unit = unit;
    this.#physicals = physicals;
    this.#timeColumn = timeColumn;
    this.partitionKey = partitionKey;
    this.partition = partition;
    this.deletes = new DeleteList(memory.pool);
  }

  /** Bytes of the rows held. */
  get bytes(): number {
    let bytes = 0;
    for (const batch of this.#batches) bytes += batch.dataBytes;
    return bytes;
  }

  /** Copies rows of vectors; the first got position `rows` before the call. */
  append(vectors: readonly ColumnVector[], start: number, end: number): void {
    this.#seeTime(vectors, start, end);
    let at = start;
    while (at < end) {
      const head = this.#head();
      const before = head.heldBytes;
      const count = head.append(vectors, at, end);
      this.#hold(head.heldBytes - before);
      at += count;
      this.rows += count;
    }
  }

  /** Takes a whole batch over, without copying. */
  adopt(batch: Batch): void {
    this.#seeTime(batch.vectors(), 0, batch.rows);
    this.#add(batch);
    this.rows += batch.rows;
    this.#adopted = true;
  }

  /** The batch of a row and the row inside it. */
  locate(position: number): { readonly batch: Batch; readonly row: number } {
    invariant(position < this.rows, 'a position lies in its slice');
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#starts[middle]! <= position) low = middle;
      else high = middle - 1;
    }
    return { batch: this.#batches[low]!, row: position - this.#starts[low]! };
  }

  /** What a scan of the first `rows` rows and `deletes` delete entries reads. */
  scan(rows: number, deleteCount: number, fieldIds: readonly number[]): MemoryUnit {
    const shape = new Float64Array(this.#batches.length * (1 + 4 * this.#physicals.length));
    let at = 0;
    for (let i = 0; i < this.#batches.length && this.#starts[i]! < rows; i++) {
      const batch = this.#batches[i]!;
      at += batch.describe(shape, at, Math.min(batch.rows, rows - this.#starts[i]!));
    }
    return { unit: this.unit, rows, shape: shape.subarray(0, at), deletes: this.deletes.ref(deleteCount), fieldIds };
  }

  /** Whether the row is deleted, by a visible transaction or one on its way. */
  isDead(position: number): boolean {
    return this.flushed === null ? this.deletes.has(position) : this.flushed.isDead(position);
  }

  /** Gives the memory back once no reader can name it. */
  retire(): void {
    this.#hold(-this.#held);
    for (const batch of this.#batches) batch.retire();
    this.deletes.retire(this.#memory.pins);
  }

  /** Its rows are in a file, and are not the table's any more: what stays of it, until `free`, are its blocks; their bytes. */
  release(): number {
    const bytes = this.#held;
    this.#hold(-bytes);
    this.deletes.retire(this.#memory.pins);
    return bytes;
  }

  /** After `release`, when no reader can name the blocks. */
  free(): void {
    for (const batch of this.#batches.splice(0)) batch.free();
  }

  #head(): Batch {
    const last = this.#batches.at(-1);
    if (last !== undefined && !this.#adopted && !last.full) return last;
    const batch = new Batch(this.#memory, this.#physicals, nextBlockBytes(last));
    this.#add(batch);
    this.#adopted = false;
    return batch;
  }

  #add(batch: Batch): void {
    this.#batches.push(batch);
    this.#starts.push(this.rows);
    this.#hold(batch.heldBytes);
    this.large = this.bytes >= this.#memory.pool.budgetBytes / SLICES_PER_BUDGET;
  }

  #hold(bytes: number): void {
    this.#held += bytes;
    this.#memory.sliceBytes += bytes;
  }

  #seeTime(vectors: readonly ColumnVector[], start: number, end: number): void {
    const vector = vectors[this.#timeColumn];
    if (vector === undefined) return;
    for (let row = start; row < end; row++) {
      if (!isValid(vector, row)) continue;
      const time = integerAt(vector, row);
      if (time < this.timeMin) this.timeMin = time;
      if (time > this.timeMax) this.timeMax = time;
    }
  }
}

/** An int32 or int64 value as a double; rounding beyond 2^53 keeps order. */
export function integerAt(vector: ColumnVector, row: number): number {
  if (vector.physical === 'int32') return vector.words[row]!;
  return wordsToNumber(vector.words[row * 2]!, vector.words[row * 2 + 1]!);
}
