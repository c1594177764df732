/**
 * The memory rows of a table without a key by their whole images, for replay alone: where the log says that a row with this
 * image was deleted, one of those is found. Each row is given out once.
 *
 * A hash names the newest of its rows, each row the one before it: any number of equal rows costs one step each.
 */
import { invariant } from '../../errors.ts';
import type { ColumnVector } from '../../types/column-vector.ts';
import { equalImages, hashImage } from './row-images.ts';
import { RowIndex } from './row-index.ts';
import type { MemorySlice } from './slice.ts';

/** Rows with references from `first` on lie in the slice from `position` on. */
interface Run {
  readonly first: number;
  readonly slice: MemorySlice;
  readonly position: number;
}

const SPENT = -1;

export class ImageIndex {
  readonly #seed: number;
  #heads = new RowIndex();
  /** Of each reference the one before it with the same hash, 0: none. SPENT: neither it nor any before it is there. */
  #before = new Int32Array(1024);
  #runs: Run[] = [];
  #rows = 0;
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
      this.#heads = new RowIndex();
      this.#runs = [];
      this.#rows = 0;
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
    const hash = hashImage(vectors, probe, this.#seed);
    if (!this.#heads.seek(hash)) return false;
    let after = 0;
    if (this.#before[this.#heads.ref] === SPENT) return false;
    for (let ref = this.#heads.ref; ref > 0; ref = this.#before[ref]!) {
      const { slice, position, first } = this.#runOf(ref);
      const at = position + ref - first;
      const dead = slice.deletes.has(at);
      const { batch, row } = slice.locate(at);
      const found = !dead && equalImages(batch.vectors(), row, vectors, probe);
      if (!dead && !found) {
        after = ref;
        continue;
      }
      // Dead or given out: the chain goes past it.
      const before = this.#before[ref]!;
      if (after !== 0) this.#before[after] = before;
      else if (before !== 0) this.#heads.replace(before);
      else this.#before[ref] = SPENT;
      if (!found) continue;
      this.unit = slice.unit;
      this.position = at;
      return true;
    }
    return false;
  }

  #add(slice: MemorySlice, from: number): void {
    this.#runs.push({ first: this.#rows + 1, slice, position: from });
    for (let position = from; position < slice.rows;) {
      const { batch, row } = slice.locate(position);
      const vectors = batch.vectors();
      const end = Math.min(batch.rows, row + slice.rows - position);
      for (let each = row; each < end; each++, position++) this.#enter(hashImage(vectors, each, this.#seed));
    }
  }

  #enter(hash: number): void {
    const ref = ++this.#rows;
    if (ref >= this.#before.length) {
      const grown = new Int32Array(this.#before.length * 2);
      grown.set(this.#before);
      this.#before = grown;
    }
    if (this.#heads.seek(hash)) {
      const head = this.#heads.ref;
      this.#before[ref] = this.#before[head] === SPENT ? 0 : head;
      this.#heads.replace(ref);
    } else {
      this.#before[ref] = 0;
      this.#heads.insert(hash, ref);
    }
  }

  #runOf(ref: number): Run {
    let low = 0;
    let high = this.#runs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#runs[middle]!.first <= ref) low = middle;
      else high = middle - 1;
    }
    const run = this.#runs[low];
    invariant(run !== undefined, 'a reference lies in a run');
    return run;
  }
}
