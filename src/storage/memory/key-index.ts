/**
 * The key index of a table's memory rows between two cuts: hash → row, the key itself being the row's own (C12).
 *
 * A reference (row-refs.ts) is a word.
 * - K1 Of the rows with one key at most one is alive; an entry whose row is dead counts as none. Deleting a row is its
 *   delete entry alone: the next row with its key takes the entry, and parts that fill up drop such entries.
 * - K2 The rows of a large transaction come with an index of their own, already made (own-index.ts): it is taken over as
 *   a segment. `settle` moves its entries into the main index later, some at a time, once the transaction has ended.
 */
import type { ColumnVector } from '../../types/column-vector.ts';
import type { OwnIndex } from './own-index.ts';
import { RowIndex } from './row-index.ts';
import type { RowKeys } from './row-keys.ts';
import { CHUNK_ROWS, refOf, RowRefs } from './row-refs.ts';
import type { MemorySlice } from './slice.ts';

/** Hashes of the rows under way, some at a time. */
const hashes = new Int32Array(CHUNK_ROWS);

export class KeyIndex {
  readonly #keys: RowKeys;
  readonly #refs = new RowRefs();
  readonly #main: RowIndex;
  #segments: readonly OwnIndex[] = [];
  /** Where the row found last is. */
  slice: MemorySlice | null = null;
  position = 0;

  constructor(keys: RowKeys) {
    this.#keys = keys;
    this.#main = new RowIndex((ref) => this.#isLive(ref));
  }

  /** Heap bytes, for the accounting. */
  get bytes(): number {
    let bytes = this.#main.bytes + this.#refs.bytes;
    for (const segment of this.#segments) bytes += segment.bytes;
    return bytes;
  }

  /** Entries held, those of dead rows among them. */
  get size(): number {
    let size = this.#main.size;
    for (const segment of this.#segments) size += segment.size;
    return size;
  }

  get segments(): number {
    return this.#segments.length;
  }

  /** Looks for the live row with the key of row `probe` of vectors in key order; sets `slice` and `position`. */
  find(hash: number, vectors: readonly ColumnVector[], probe: number): boolean {
    const main = this.#main;
    for (let more = main.seek(hash); more; more = main.next()) {
      const slice = this.#refs.sliceOf(main.ref);
      if (this.#matches(slice, this.#refs.positionOf(main.ref), vectors, probe)) return true;
    }
    for (const segment of this.#segments) {
      for (let more = segment.entries.seek(hash); more; more = segment.entries.next()) {
        const piece = segment.pieceOf(segment.entries.ref - 1);
        const position = piece.position + segment.entries.ref - 1 - piece.row;
        if (this.#matches(piece.slice, position, vectors, probe)) return true;
      }
    }
    return false;
  }

  #matches(slice: MemorySlice, position: number, vectors: readonly ColumnVector[], probe: number): boolean {
    if (slice.isDead(position)) return false; // K1
    const { batch, row } = slice.locate(position);
    if (!this.#keys.equal(batch, row, vectors, probe)) return false;
    this.slice = slice;
    this.position = position;
    return true;
  }

  /** Enters rows [start, end) of vectors in key order, which lie in the slice from `position` on. */
  add(slice: MemorySlice, vectors: readonly ColumnVector[], start: number, end: number, position: number): void {
    const numbers = this.#refs.cover(slice, position + end - start);
    for (let from = start; from < end; from += CHUNK_ROWS) {
      const to = Math.min(end, from + CHUNK_ROWS);
      this.#keys.hashRows(vectors, from, to, hashes);
      for (let row = from; row < to; row++) this.#enter(hashes[row - from]!, refOf(numbers, position + row - start));
    }
  }

  /** Takes the index of a transaction's rows over, all of which lie in slices of this generation. */
  adopt(own: OwnIndex): void {
    for (const { slice, position, rows } of own.pieces) this.#refs.cover(slice, position + rows);
    this.#segments = [...this.#segments, own];
  }

  /** Moves about so many entries of segments into the main index. */
  settle(count: number): void {
    const [segment] = this.#segments;
    if (segment === undefined || segment.isOpen) return;
    const left = segment.entries.drain(
      count,
      (prefix, depth, entries) => this.#main.makeRoom(prefix, depth, entries),
      (hash, ref) => {
        const piece = segment.pieceOf(ref - 1);
        const position = piece.position + ref - 1 - piece.row;
        this.#enter(hash, refOf(this.#refs.numbersOf(piece.slice), position));
      },
    );
    if (!left) this.#segments = this.#segments.slice(1);
  }

  #enter(hash: number, ref: number): void {
    const main = this.#main;
    for (let more = main.seek(hash); more; more = main.next()) {
      if (this.#isLive(main.ref)) continue;
      main.replace(ref);
      return;
    }
    main.insert(hash, ref);
  }

  #isLive(ref: number): boolean {
    return !this.#refs.sliceOf(ref).isDead(this.#refs.positionOf(ref));
  }
}
