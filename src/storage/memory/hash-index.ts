/**
 * A secondary index of the memory rows between two cuts: the hash of the values of one column or several → their rows, for
 * CREATE INDEX. The values are the rows' own and compared exactly; NULL is in no index, as it is equal to nothing.
 *
 * - S1 It follows the slices: `follow` takes in what they have beyond what it covers, in bulk and some rows at a time, so a
 *   commit pays nothing, and building it for rows that are there is the same work. It answers once `lag` is 0.
 * - S2 A reader's Version is (published rows, published deletes) of each slice, looked at in one turn of the loop: rows
 *   beyond it are left out, and only what is dead for everybody from now on leaves the index.
 * - S3 Of one slice it holds rows in the order of their positions.
 */
import { isValid, type ColumnVector } from '../../types/column-vector.ts';
import { RowChains } from './row-chains.ts';
import type { RowKeys } from './row-keys.ts';
import { CHUNK_ROWS, refOf, RowRefs } from './row-refs.ts';
import type { MemorySlice } from './slice.ts';

/** Hashes of the rows under way, some at a time. */
const hashes = new Int32Array(CHUNK_ROWS);

/** Rows found, from the newest to the oldest: parallel arrays. */
export interface Matches {
  readonly slices: MemorySlice[];
  readonly positions: number[];
  /** Steps that may still be made; below 0: there were too many, and the matches say nothing. */
  stepsLeft: number;
}

export class HashIndex {
  readonly fieldIds: readonly number[];
  readonly #keys: RowKeys;
  readonly #chains = new RowChains();
  readonly #refs = new RowRefs();
  readonly #covered = new Map<MemorySlice, number>();

  /** @param keys of the columns with these field ids */
  constructor(fieldIds: readonly number[], keys: RowKeys) {
    this.fieldIds = fieldIds;
    this.#keys = keys;
  }

  /** Heap bytes, for the accounting. */
  get bytes(): number {
    return this.#chains.bytes + this.#refs.bytes;
  }

  /** Published rows of the slices that it does not hold yet. */
  lag(slices: readonly MemorySlice[]): number {
    let rows = 0;
    for (const slice of slices) rows += Math.max(0, slice.published - (this.#covered.get(slice) ?? 0));
    return rows;
  }

  /** Takes in at most so many rows; how many. */
  follow(slices: readonly MemorySlice[], rowsMax: number): number {
    let left = rowsMax;
    for (const slice of slices) {
      const from = this.#covered.get(slice) ?? 0;
      if (from === slice.rows) continue;
      const to = Math.min(slice.rows, from + left);
      this.#add(slice, from, to);
      this.#covered.set(slice, to);
      left -= to - from;
      if (left === 0) break;
    }
    return rowsMax - left;
  }

  /** Adds the visible rows whose values are those of row `probe` of vectors, one a column. */
  find(vectors: readonly ColumnVector[], probe: number, matches: Matches): void {
    this.#keys.hashRows(vectors, probe, probe + 1, hashes);
    const chains = this.#chains;
    for (let more = chains.seek(hashes[0]!); more; more = chains.next()) {
      if (--matches.stepsLeft < 0) return;
      const slice = this.#refs.sliceOf(chains.ref);
      const position = this.#refs.positionOf(chains.ref);
      const { deletes } = slice;
      if (deletes.has(position)) {
        matches.stepsLeft -= deletes.length - deletes.published;
        if (matches.stepsLeft < 0) return;
        if (deletes.hasPublished(position)) {
          chains.unlink();
          continue;
        }
      }
      if (position >= slice.published) continue;
      const { batch, row } = slice.locate(position);
      if (!this.#keys.equal(batch, row, vectors, probe)) continue;
      matches.slices.push(slice);
      matches.positions.push(position);
    }
  }

  #add(slice: MemorySlice, from: number, to: number): void {
    const numbers = this.#refs.cover(slice, to);
    for (let position = from; position < to;) {
      const { batch, row } = slice.locate(position);
      const vectors = this.#keys.columns.map((column) => batch.columns[column]!.vector());
      const end = Math.min(batch.rows, row + Math.min(to - position, CHUNK_ROWS));
      this.#keys.hashRows(vectors, row, end, hashes);
      for (let each = row; each < end; each++, position++)
        if (allValid(vectors, each)) this.#chains.enter(hashes[each - row]!, refOf(numbers, position));
    }
  }
}

function allValid(vectors: readonly ColumnVector[], row: number): boolean {
  for (const vector of vectors) if (!isValid(vector, row)) return false;
  return true;
}
