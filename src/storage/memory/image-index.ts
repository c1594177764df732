/**
 * The memory rows of a table without a key by their whole images, for replay alone: where the log says that a row with this
 * image was deleted, one of those is found. Each row is given out once.
 */
import type { ColumnVector } from '../../types/column-vector.ts';
import { RowChains } from './row-chains.ts';
import { equalImages, hashImage } from './row-images.ts';
import { refOf, RowRefs } from './row-refs.ts';
import type { MemorySlice } from './slice.ts';

export class ImageIndex {
  readonly #seed: number;
  #chains = new RowChains();
  #refs = new RowRefs();
  readonly #seen = new Map<MemorySlice, number>();
  /** Where the row taken last is. */
  unit = 0;
  position = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Takes in what has come since; when a slice has gone, all anew. */
  follow(slices: readonly MemorySlice[]): void {
    const there = new Set(slices);
    for (const slice of this.#seen.keys()) {
      if (there.has(slice)) continue;
      this.#chains = new RowChains();
      this.#refs = new RowRefs();
      this.#seen.clear();
      break;
    }
    for (const slice of slices) {
      const from = this.#seen.get(slice) ?? 0;
      if (from < slice.rows) this.#add(slice, from);
      this.#seen.set(slice, slice.rows);
    }
  }

  /** Finds a live row with the image of row `probe` of vectors in def order, and gives it out: `unit` and `position`. */
  take(vectors: readonly ColumnVector[], probe: number): boolean {
    const chains = this.#chains;
    for (let more = chains.seek(hashImage(vectors, probe, this.#seed)); more; more = chains.next()) {
      const slice = this.#refs.sliceOf(chains.ref);
      const position = this.#refs.positionOf(chains.ref);
      const dead = slice.deletes.has(position);
      const { batch, row } = slice.locate(position);
      const found = !dead && equalImages(batch.vectors(), row, vectors, probe);
      if (dead || found) chains.unlink();
      if (!found) continue;
      this.unit = slice.unit;
      this.position = position;
      return true;
    }
    return false;
  }

  #add(slice: MemorySlice, from: number): void {
    const numbers = this.#refs.cover(slice, slice.rows);
    for (let position = from; position < slice.rows;) {
      const { batch, row } = slice.locate(position);
      const vectors = batch.vectors();
      const end = Math.min(batch.rows, row + slice.rows - position);
      for (let each = row; each < end; each++, position++)
        this.#chains.enter(hashImage(vectors, each, this.#seed), refOf(numbers, position));
    }
  }
}
