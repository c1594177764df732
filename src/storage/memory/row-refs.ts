/**
 * Names of memory rows in 31 bits, for indexes: a reference is a number of a chunk of 1024 positions of one slice, and the
 * place in it. A chunk costs a few words, so slices may be many and small.
 */
import { invariant } from '../../errors.ts';
import type { MemorySlice } from './slice.ts';

export const CHUNK_BITS = 10;
export const CHUNK_ROWS = 1 << CHUNK_BITS;
/** References are positive words. */
const CHUNKS_MAX = 2 ** (31 - CHUNK_BITS);
/** A chunk object, its place in two lists, and its share of the slice's. */
const CHUNK_BYTES = 48;

interface Chunk {
  readonly slice: MemorySlice;
  /** Its first position. */
  readonly start: number;
}

export class RowRefs {
  /** By number; 0 is never used, so no reference is 0. */
  readonly #chunks: (Chunk | null)[] = [null];
  /** Of each slice, the numbers of its chunks. */
  readonly #numbers = new Map<MemorySlice, number[]>();

  /** Heap bytes, for the accounting. */
  get bytes(): number {
    return this.#chunks.length * CHUNK_BYTES;
  }

  sliceOf(ref: number): MemorySlice {
    return this.#chunks[ref >>> CHUNK_BITS]!.slice;
  }

  positionOf(ref: number): number {
    return this.#chunks[ref >>> CHUNK_BITS]!.start + (ref & (CHUNK_ROWS - 1));
  }

  /** The numbers of a slice's chunks, which cover its first `rows` positions: what `refOf` takes. */
  cover(slice: MemorySlice, rows: number): readonly number[] {
    let numbers = this.#numbers.get(slice);
    if (numbers === undefined) {
      numbers = [];
      this.#numbers.set(slice, numbers);
    }
    while (numbers.length * CHUNK_ROWS < rows) {
      invariant(this.#chunks.length < CHUNKS_MAX, 'a reference fits a word');
      numbers.push(this.#chunks.length);
      this.#chunks.push({ slice, start: (numbers.length - 1) * CHUNK_ROWS });
    }
    return numbers;
  }

  /** Of a slice that is covered. */
  numbersOf(slice: MemorySlice): readonly number[] {
    return this.#numbers.get(slice)!;
  }
}

export function refOf(numbers: readonly number[], position: number): number {
  return (numbers[position >>> CHUNK_BITS]! << CHUNK_BITS) | (position & (CHUNK_ROWS - 1));
}
