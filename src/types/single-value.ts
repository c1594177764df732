/**
 * One value that is not NULL as a vector of one row, such as a part of a key. Its arrays are made once and written again by the next
 * value: `vector` is true until then. Integers of fewer bits than the vector has are widened.
 */
import { invariant } from '../errors.ts';
import { columnVector, FIXED_WIDTH, NO_BYTES, NO_WORDS } from './column-vector.ts';
import type { ColumnSink, ColumnVector, Physical } from './column-vector.ts';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

const HEAP_BYTES = 64;

export class SingleValue implements ColumnSink {
  readonly vector: ColumnVector;
  readonly #vector: Writable<ColumnVector>;
  readonly #isWide: boolean;

  constructor(physical: Physical) {
    const isBytes = physical === 'bytes';
    const isFloat = physical === 'float32' || physical === 'float64';
    this.#isWide = physical === 'int64';
    this.#vector = columnVector(physical, {
      bits: physical === 'bool' ? new Uint8Array(1) : NO_BYTES,
      words: isBytes || isFloat ? NO_WORDS : new Int32Array(FIXED_WIDTH[physical] / 4),
      ...(isFloat ? { float32: new Float32Array(1), float64: new Float64Array(1) } : {}),
      heap: isBytes ? new Uint8Array(HEAP_BYTES) : NO_BYTES,
      starts: isBytes ? new Int32Array(1) : NO_WORDS,
      ends: isBytes ? new Int32Array(1) : NO_WORDS,
    });
    this.vector = this.#vector;
  }

  null(): void {
    invariant(false, 'a single value is not NULL');
  }

  bool(value: boolean): void {
    this.#vector.bits[0] = value ? 1 : 0;
  }

  int32(value: number): void {
    const { words } = this.#vector;
    words[0] = value;
    if (this.#isWide) words[1] = value >> 31;
  }

  int64(low: number, high: number): void {
    const { words } = this.#vector;
    words[0] = low;
    words[1] = high;
  }

  words4(w0: number, w1: number, w2: number, w3: number): void {
    const { words } = this.#vector;
    words[0] = w0;
    words[1] = w1;
    words[2] = w2;
    words[3] = w3;
  }

  float32(value: number): void {
    this.#vector.float32[0] = value;
  }

  float64(value: number): void {
    this.#vector.float64[0] = value;
  }

  bytes(src: Uint8Array, start: number, end: number): void {
    const length = end - start;
    const vector = this.#vector;
    if (vector.heap.length < length) vector.heap = new Uint8Array(length * 2);
    const { heap } = vector;
    if (length <= HEAP_BYTES) for (let i = 0; i < length; i++) heap[i] = src[start + i]!;
    else heap.set(src.subarray(start, end));
    vector.ends[0] = length;
  }
}
