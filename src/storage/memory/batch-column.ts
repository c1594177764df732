/**
 * One column of a batch: Arrow's buffers in slab memory, and the sink that values are written through.
 *
 * Blocks come dirty from the pool, so each row writes its validity bit once the column has a null; before that the
 * column counts as all valid. The heap grows by moving to a block twice as large.
 *
 * - N1 A block whose address no reader was told goes back at once; one that was named waits for the pins.
 */
import { SqlError, SqlState } from '../../errors.ts';
import {
  columnVector,
  FIXED_WIDTH,
  isValid,
  NO_BYTES,
  NO_WORDS,
  type ColumnVector,
  type Physical,
} from '../../types/column-vector.ts';
import type { BlockSink } from '../../types/block-input.ts';
import type { Memory } from './memory.ts';
import { SLAB_BYTES, type Address } from './slab.ts';

const HEAP_BYTES_MIN = 4096;
/** Fewer values are copied one by one. */
const RUN_ROWS_MIN = 4;
const NO_VIEW = new DataView(NO_BYTES.buffer);

export class BatchColumn implements BlockSink {
  readonly physical: Physical;
  readonly validityAddress: Address;
  readonly dataAddress: Address;
  heapAddress: Address = -1;
  heapCapacity = 0;
  heapUsed = 0;
  /** A reader was told where the heap is (N1). */
  heapNamed = false;
  /** Rows written; the batch's own count may be one behind while a row is under way. */
  rows = 0;
  hasNull = false;
  readonly #memory: Memory;
  readonly #validity: Uint8Array;
  readonly bits: Uint8Array;
  readonly words: Int32Array;
  readonly float32s: Float32Array;
  readonly float64s: Float64Array;
  readonly offsets: Int32Array;
  heap: Uint8Array = NO_BYTES;
  heapView: DataView = NO_VIEW;
  #vector: ColumnVector | null = null;

  constructor(memory: Memory, physical: Physical, validityAddress: Address, dataAddress: Address, capacity: number) {
    this.#memory = memory;
    this.physical = physical;
    this.validityAddress = validityAddress;
    this.dataAddress = dataAddress;
    const slabs = memory.pool.directory;
    this.#validity = slabs.bytes(validityAddress, capacity >> 3);
    this.bits = physical === 'bool' ? slabs.bytes(dataAddress, capacity >> 3) : NO_BYTES;
    const words = physical === 'float32' || physical === 'float64' ? 0 : FIXED_WIDTH[physical] / 4;
    this.words = words > 0 ? slabs.words(dataAddress, words * capacity) : NO_WORDS;
    this.float32s = slabs.float32(dataAddress, physical === 'float32' ? capacity : 0);
    this.float64s = slabs.float64(dataAddress, physical === 'float64' ? capacity : 0);
    this.offsets = physical === 'bytes' ? slabs.words(dataAddress, capacity + 1) : NO_WORDS;
    if (physical === 'bytes') this.offsets[0] = 0;
  }

  /** Bytes a row of this type takes in the batch's fixed block, its validity bit aside. */
  static dataBytes(physical: Physical, capacity: number): number {
    if (physical === 'bool') return capacity >> 3;
    if (physical === 'bytes') return (capacity + 1) * 4;
    return FIXED_WIDTH[physical] * capacity;
  }

  open(count: number, heapBytes: number): void {
    if (heapBytes > 0) this.reserveHeap(heapBytes);
    if (!this.hasNull) return;
    for (let row = this.rows; row < this.rows + count; row++) this.#validity[row >> 3]! |= 1 << (row & 7);
  }

  null(): void {
    this.nullAt(this.rows);
    this.rows++;
  }

  nullAt(row: number): void {
    if (!this.hasNull) {
      this.#validity.fill(0xff);
      this.hasNull = true;
      this.#vector = null;
    }
    this.#validity[row >> 3]! &= ~(1 << (row & 7));
    switch (this.physical) {
      case 'bool':
        this.bits[row >> 3]! &= ~(1 << (row & 7));
        break;
      case 'bytes':
        this.offsets[row + 1] = this.heapUsed;
        break;
      case 'float32':
        this.float32s[row] = 0;
        break;
      case 'float64':
        this.float64s[row] = 0;
        break;
      default: {
        const width = FIXED_WIDTH[this.physical] / 4;
        this.words.fill(0, row * width, (row + 1) * width);
      }
    }
  }

  bool(value: boolean): void {
    const row = this.#valid();
    if (value) this.bits[row >> 3]! |= 1 << (row & 7);
    else this.bits[row >> 3]! &= ~(1 << (row & 7));
  }

  int32(value: number): void {
    this.words[this.#valid()] = value;
  }

  int64(low: number, high: number): void {
    const at = this.#valid() * 2;
    this.words[at] = low;
    this.words[at + 1] = high;
  }

  words4(w0: number, w1: number, w2: number, w3: number): void {
    const at = this.#valid() * 4;
    this.words[at] = w0;
    this.words[at + 1] = w1;
    this.words[at + 2] = w2;
    this.words[at + 3] = w3;
  }

  float32(value: number): void {
    this.float32s[this.#valid()] = value;
  }

  float64(value: number): void {
    this.float64s[this.#valid()] = value;
  }

  bytes(src: Uint8Array, start: number, end: number): void {
    const count = end - start;
    this.reserveHeap(count);
    const used = this.heapUsed;
    if (count < 32) for (let i = 0; i < count; i++) this.heap[used + i] = src[start + i]!;
    else this.heap.set(src.subarray(start, end), used);
    this.heapUsed = used + count;
    this.offsets[this.#valid() + 1] = this.heapUsed;
  }

  /** Copies rows [start, end) of a vector of the same physical type; the batch has room for them. */
  append(source: ColumnVector, start: number, end: number): void {
    if (source.validity !== null) {
      for (let row = start; row < end; row++) {
        if (isValid(source, row)) this.#appendValid(source, row, row + 1);
        else this.null();
      }
    } else {
      this.#appendValid(source, start, end);
    }
  }

  /** Forgets the row under way, when another column of it failed. */
  truncate(rows: number): void {
    this.rows = rows;
    if (this.physical === 'bytes') this.heapUsed = this.offsets[rows]!;
  }

  /** Forgets all rows. */
  reset(): void {
    this.rows = 0;
    this.heapUsed = 0;
    this.heapNamed = false;
    if (this.hasNull) {
      this.hasNull = false;
      this.#vector = null;
    }
  }

  vector(): ColumnVector {
    this.#vector ??= columnVector(this.physical, {
      validity: this.hasNull ? this.#validity : null,
      bits: this.bits,
      words: this.physical === 'bytes' ? NO_WORDS : this.words,
      float32: this.float32s,
      float64: this.float64s,
      heap: this.heap,
      starts: this.offsets,
      ends: this.physical === 'bytes' ? this.offsets.subarray(1) : NO_WORDS,
    });
    return this.#vector;
  }

  /** Makes room for `count` more heap bytes. @throws {SqlError} 53200 no memory, 54000 beyond the largest block */
  reserveHeap(count: number): void {
    const needed = this.heapUsed + count;
    if (needed <= this.heapCapacity) return;
    if (needed > SLAB_BYTES) {
      throw new SqlError(
        SqlState.programLimitExceeded,
        `a value of ${count} bytes does not fit: the values of a column in one batch hold at most ${SLAB_BYTES} bytes`,
      );
    }
    const capacity = Math.max(HEAP_BYTES_MIN, 2 ** (32 - Math.clz32(needed - 1)));
    const address = this.#memory.take(capacity);
    const heap = this.#memory.pool.directory.bytes(address, capacity);
    heap.set(this.heap.subarray(0, this.heapUsed));
    this.retireHeap();
    this.heapAddress = address;
    this.heapCapacity = capacity;
    this.heapNamed = false;
    this.heap = heap;
    this.heapView = new DataView(heap.buffer, heap.byteOffset, capacity);
    this.#vector = null;
  }

  /** Gives the heap's block back (N1). */
  retireHeap(isRead = false): void {
    if (this.heapAddress >= 0) this.#memory.giveBack(this.heapAddress, this.heapCapacity, isRead || this.heapNamed);
  }

  #valid(): number {
    const row = this.rows++;
    if (this.hasNull) this.#validity[row >> 3]! |= 1 << (row & 7);
    return row;
  }

  /** Values that lie side by side: one copy of their bytes. */
  #appendRun({ heap, starts, ends }: ColumnVector, start: number, end: number): void {
    const from = starts[start]!;
    const to = ends[end - 1]!;
    this.reserveHeap(to - from);
    this.heap.set(heap.subarray(from, to), this.heapUsed);
    const shift = this.heapUsed - from;
    const { offsets, rows } = this;
    for (let row = start; row < end; row++) offsets[rows + row - start + 1] = ends[row]! + shift;
    this.heapUsed += to - from;
  }

  #appendValid(source: ColumnVector, start: number, end: number): void {
    const count = end - start;
    switch (this.physical) {
      case 'bool':
        for (let row = start; row < end; row++) this.bool((source.bits[row >> 3]! & (1 << (row & 7))) !== 0);
        return;
      case 'bytes':
        if (count >= RUN_ROWS_MIN && liesInOneRun(source, start, end)) {
          this.#appendRun(source, start, end);
          break;
        }
        for (let row = start; row < end; row++) this.bytes(source.heap, source.starts[row]!, source.ends[row]!);
        return;
      case 'float32':
        this.float32s.set(source.float32.subarray(start, end), this.rows);
        break;
      case 'float64':
        this.float64s.set(source.float64.subarray(start, end), this.rows);
        break;
      default: {
        const width = FIXED_WIDTH[this.physical] / 4;
        if (count === 1)
          for (let i = 0; i < width; i++) this.words[this.rows * width + i] = source.words[start * width + i]!;
        else this.words.set(source.words.subarray(start * width, end * width), this.rows * width);
      }
    }
    if (this.hasNull)
      for (let row = this.rows; row < this.rows + count; row++) this.#validity[row >> 3]! |= 1 << (row & 7);
    this.rows += count;
  }
}

function liesInOneRun({ starts, ends }: ColumnVector, start: number, end: number): boolean {
  for (let row = start + 1; row < end; row++) if (starts[row] !== ends[row - 1]) return false;
  return true;
}
