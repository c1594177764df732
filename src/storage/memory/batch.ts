/**
 * A batch: some rows of a table as Arrow columns in the slab pool. One block holds validity and fixed-width data of
 * all columns, each bytes column has a heap block of its own. Rows are only ever added; a published prefix never changes.
 */
import type { Physical } from '../../types/column-vector.ts';
import type { ColumnVector } from '../../types/column-vector.ts';
import { BatchColumn } from './batch-column.ts';
import type { Memory } from './memory.ts';
import { blockBytes } from './slab-pool.ts';
import { SLAB_BYTES, type Address } from './slab.ts';

/** A batch is full when one heap has grown to this: copying larger ones costs more than a new batch. */
const HEAP_BYTES_SOFT = 1 << 20;
/** Rows written value by value stop a little before it: the row that passes it would double the block for nothing. */
const HEAP_BYTES_FULL = HEAP_BYTES_SOFT - HEAP_BYTES_SOFT / 16;
export const BLOCK_BYTES_FIRST = 4096;
const BLOCK_BYTES_MAX = 1 << 20;
/** A heap larger than this is not kept for later rows. */
const HEAP_BYTES_KEPT = 1 << 14;
const ALIGNMENT = 64;

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function fixedBytes(physicals: readonly Physical[], capacity: number): number {
  let bytes = 0;
  for (const physical of physicals)
    bytes += aligned(capacity >> 3) + aligned(BatchColumn.dataBytes(physical, capacity));
  return bytes;
}

/** Rows that fit a block, a multiple of 64; at least 64 (then the block must be larger). */
function capacityFor(physicals: readonly Physical[], blockBytes: number): number {
  let low = 1;
  let high = 2048; // × 64 rows
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (fixedBytes(physicals, middle * 64) <= blockBytes) low = middle;
    else high = middle - 1;
  }
  return low * 64;
}

/** The fixed block of the batch after `last`: larger each time, smaller when heaps ended it long before its rows did. */
export function nextBlockBytes(last: Batch | undefined): number {
  if (last === undefined) return BLOCK_BYTES_FIRST;
  if (last.rows * 4 <= last.capacity) return Math.max(BLOCK_BYTES_FIRST, last.blockBytes / 4);
  return last.rows < last.capacity ? last.blockBytes : Math.min(last.blockBytes * 4, BLOCK_BYTES_MAX);
}

export class Batch {
  /** The size of the fixed block aimed at. */
  readonly blockBytes: number;
  readonly columns: readonly BatchColumn[];
  readonly capacity: number;
  rows = 0;
  readonly #memory: Memory;
  readonly #fixedAddress: Address;
  readonly #fixedBytes: number;
  /** A reader was told where its rows are (N1 of batch-column.ts). */
  isNamed = false;
  /** Who reads it, under a pin, and says when it has been read. */
  readers = 0;
  /** Rows were taken back that somebody reads still: no others may come in their place. */
  isClosed = false;

  /** @throws {SqlError} 53200 */
  constructor(memory: Memory, physicals: readonly Physical[], blockBytes: number) {
    this.#memory = memory;
    this.blockBytes = blockBytes;
    this.capacity = capacityFor(physicals, Math.min(blockBytes, SLAB_BYTES));
    this.#fixedBytes = Math.max(64, fixedBytes(physicals, this.capacity));
    this.#fixedAddress = memory.take(this.#fixedBytes);
    let address = this.#fixedAddress;
    const columns: BatchColumn[] = [];
    for (const physical of physicals) {
      const data = address + aligned(this.capacity >> 3);
      columns.push(new BatchColumn(memory, physical, address, data, this.capacity));
      address = data + aligned(BatchColumn.dataBytes(physical, this.capacity));
    }
    this.columns = columns;
  }

  /** No further row should be added. */
  get full(): boolean {
    if (this.isClosed || this.rows >= this.capacity) return true;
    for (const column of this.columns) if (column.heapUsed >= HEAP_BYTES_FULL) return true;
    return false;
  }

  /** Bytes of rows held, without the unused ends of blocks. */
  get dataBytes(): number {
    let bytes = 0;
    for (const column of this.columns) bytes += column.heapUsed;
    return bytes + Math.ceil((this.#fixedBytes * this.rows) / this.capacity);
  }

  /** Bytes taken from the pool. */
  get heldBytes(): number {
    let bytes = blockBytes(this.#fixedBytes);
    for (const column of this.columns) if (column.heapCapacity > 0) bytes += blockBytes(column.heapCapacity);
    return bytes;
  }

  vectors(): readonly ColumnVector[] {
    return this.columns.map((column) => column.vector());
  }

  /** Ends the rows whose values each column has got. */
  endRows(count: number): void {
    this.rows += count;
  }

  /** Copies rows [start, end) of vectors in column order as far as they fit; how many were copied. */
  append(vectors: readonly ColumnVector[], start: number, end: number): number {
    const count = this.#fitting(vectors, start, Math.min(end - start, this.capacity - this.rows));
    for (let i = 0; i < this.columns.length; i++) this.columns[i]!.append(vectors[i]!, start, start + count);
    this.rows += count;
    return count;
  }

  /** How many of the rows fit before a heap passes its soft limit; at least one. */
  #fitting(vectors: readonly ColumnVector[], start: number, countMax: number): number {
    let count = countMax;
    for (let i = 0; i < this.columns.length; i++) {
      const column = this.columns[i]!;
      if (column.physical !== 'bytes') continue;
      const { starts, ends } = vectors[i]!;
      let used = column.heapUsed;
      for (let k = 0; k < count; k++) {
        used += ends[start + k]! - starts[start + k]!;
        if (used > HEAP_BYTES_SOFT) count = Math.max(1, k);
      }
    }
    return count;
  }

  /** Drops what was written of a row that failed. */
  truncateRow(): void {
    for (const column of this.columns) if (column.rows > this.rows) column.truncate(this.rows);
  }

  /**
   * Writes this batch's part of a MemoryUnit's shape; how many numbers.
   * @param names false: who asks counts as one of `readers` until it has been read
   */
  describe(shape: Float64Array, at: number, rows: number, names = true): number {
    let next = at;
    if (names) {
      this.isNamed = true;
      for (const column of this.columns) column.heapNamed = true;
    }
    shape[next++] = rows;
    for (const column of this.columns) {
      const bytes = column.physical === 'bytes';
      shape[next++] = column.hasNull ? column.validityAddress : -1;
      shape[next++] = bytes ? -1 : column.dataAddress;
      shape[next++] = bytes ? column.dataAddress : -1;
      shape[next++] = bytes ? column.heapAddress : -1;
    }
    return next - at;
  }

  /** Empties it for other rows; false when it holds more memory than is worth keeping. No reader may name it any more. */
  reset(): boolean {
    for (const column of this.columns) if (column.heapCapacity > HEAP_BYTES_KEPT) return false;
    this.rows = 0;
    this.isNamed = false;
    this.isClosed = false;
    for (const column of this.columns) column.reset();
    return true;
  }

  /** Gives the blocks back at once: whoever was told of them reads them no more. */
  free(): void {
    const { pool } = this.#memory;
    pool.free(this.#fixedAddress, this.#fixedBytes);
    for (const column of this.columns) if (column.heapAddress >= 0) pool.free(column.heapAddress, column.heapCapacity);
  }

  /** Gives the blocks back, those at once that no reader was told of. */
  retire(): void {
    const isRead = this.readers > 0;
    this.#memory.giveBack(this.#fixedAddress, this.#fixedBytes, isRead || this.isNamed);
    for (const column of this.columns) column.retireHeap(isRead);
  }
}
