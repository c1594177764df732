/**
 * A column on the plain heap that grows: parameters, keys and tests, where the slab pool is not at hand.
 *
 * V1 exactly one call of the sink a row. V2 `vector()` views the builder's arrays: it stays true until the next
 * value or `reset`. A null's slot is zero, its heap range empty. Arrays that a column does not need are shared empty ones: a
 * statement by key makes a builder a value, and making an array costs as much as the value.
 */
import type { ColumnSink, ColumnVector, Physical } from './column-vector.ts';
import { columnVector, FIXED_WIDTH, NO_BYTES, NO_FLOAT32, NO_FLOAT64, NO_WORDS } from './column-vector.ts';

/** Replaced before it is written. */
const FIRST_OFFSET = new Int32Array(1);

/** Arrays of 64 bytes and less are made in V8's own heap, at a tenth of the price: a value of a statement by key. */
const FIRST_ROWS = 8;

export class VectorBuilder implements ColumnSink {
  readonly physical: Physical;
  rows = 0;
  #capacity = 0;
  #nulls = 0;
  #heapEnd = 0;
  readonly #words: number;
  #validity = NO_BYTES;
  #bits = NO_BYTES;
  #ints = NO_WORDS;
  #float32 = NO_FLOAT32;
  #float64 = NO_FLOAT64;
  #heap = NO_BYTES;
  #offsets = FIRST_OFFSET;

  constructor(physical: Physical) {
    this.physical = physical;
    this.#words = physical === 'float32' || physical === 'float64' ? 0 : FIXED_WIDTH[physical] / 4;
  }

  /** The next row, marked valid or null; grows the arrays first. */
  #next(valid: boolean): number {
    const row = this.rows++;
    if (row === this.#capacity) this.#grow();
    const mask = 1 << (row & 7);
    if (valid) {
      this.#validity[row >> 3]! |= mask;
    } else {
      this.#validity[row >> 3]! &= ~mask;
      this.#nulls++;
    }
    return row;
  }

  #grow(): void {
    const capacity = Math.max(FIRST_ROWS, this.#capacity * 2);
    this.#capacity = capacity;
    this.#validity = widened(this.#validity, new Uint8Array(capacity / 8));
    switch (this.physical) {
      case 'bool':
        this.#bits = widened(this.#bits, new Uint8Array(capacity / 8));
        return;
      case 'float32':
        this.#float32 = widened(this.#float32, new Float32Array(capacity));
        return;
      case 'float64':
        this.#float64 = widened(this.#float64, new Float64Array(capacity));
        return;
      case 'bytes':
        this.#offsets = widened(this.#offsets, new Int32Array(capacity + 1));
        return;
      default:
        this.#ints = widened(this.#ints, new Int32Array(capacity * this.#words));
    }
  }

  null(): void {
    const row = this.#next(false);
    switch (this.physical) {
      case 'bool':
        this.#bits[row >> 3]! &= ~(1 << (row & 7));
        return;
      case 'float32':
        this.#float32[row] = 0;
        return;
      case 'float64':
        this.#float64[row] = 0;
        return;
      case 'bytes':
        this.#offsets[row + 1] = this.#heapEnd;
        return;
      default:
        this.#ints.fill(0, row * this.#words, (row + 1) * this.#words);
    }
  }

  bool(value: boolean): void {
    const row = this.#next(true);
    if (value) this.#bits[row >> 3]! |= 1 << (row & 7);
    else this.#bits[row >> 3]! &= ~(1 << (row & 7));
  }

  int32(value: number): void {
    const row = this.#next(true);
    this.#ints[row] = value;
  }

  int64(low: number, high: number): void {
    const at = this.#next(true) * 2;
    this.#ints[at] = low;
    this.#ints[at + 1] = high;
  }

  words4(w0: number, w1: number, w2: number, w3: number): void {
    const at = this.#next(true) * 4;
    const ints = this.#ints;
    ints[at] = w0;
    ints[at + 1] = w1;
    ints[at + 2] = w2;
    ints[at + 3] = w3;
  }

  float32(value: number): void {
    const row = this.#next(true);
    this.#float32[row] = value;
  }

  float64(value: number): void {
    const row = this.#next(true);
    this.#float64[row] = value;
  }

  bytes(src: Uint8Array, start: number, end: number): void {
    const row = this.#next(true);
    const at = this.#heapEnd;
    const needed = at + end - start;
    if (needed > this.#heap.length)
      this.#heap = widened(this.#heap, new Uint8Array(Math.max(256, needed, this.#heap.length * 2)));
    const heap = this.#heap;
    if (end - start < 32) for (let from = start, to = at; from < end; from++, to++) heap[to] = src[from]!;
    else heap.set(src.subarray(start, end), at);
    this.#heapEnd = needed;
    this.#offsets[row + 1] = needed;
  }

  /** The rows so far (V2). */
  vector(): ColumnVector {
    const { physical, rows } = this;
    const isBytes = physical === 'bytes';
    return columnVector(physical, {
      validity: this.#nulls === 0 ? null : this.#validity.subarray(0, (rows + 7) >> 3),
      bits: physical === 'bool' ? this.#bits.subarray(0, (rows + 7) >> 3) : NO_BYTES,
      words: this.#words > 0 && !isBytes ? this.#ints.subarray(0, rows * this.#words) : NO_WORDS,
      float32: physical === 'float32' ? this.#float32.subarray(0, rows) : NO_FLOAT32,
      float64: physical === 'float64' ? this.#float64.subarray(0, rows) : NO_FLOAT64,
      heap: isBytes ? this.#heap.subarray(0, this.#heapEnd) : NO_BYTES,
      starts: isBytes ? this.#offsets.subarray(0, rows) : NO_WORDS,
      ends: isBytes ? this.#offsets.subarray(1, rows + 1) : NO_WORDS,
    });
  }

  /** Empty again; the arrays stay. */
  reset(): void {
    this.rows = 0;
    this.#nulls = 0;
    this.#heapEnd = 0;
  }
}

function widened<T extends Uint8Array | Int32Array | Float32Array | Float64Array>(old: T, wide: T): T {
  wide.set(old);
  return wide;
}
