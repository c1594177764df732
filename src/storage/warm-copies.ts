/**
 * Warm copies: slices that a flush has put into files stay readable by key and by position (memory/warm-rows.ts says for how long).
 *
 * - C1 A file unit is the unit (V1): the index answers with file and position, and its delete list alone says which rows live. A
 *   copy says what a row is, never whether it is there; dropping it changes no answer, only what that costs.
 * - C2 A row of the file and its row in the slice have the same values: `newOf` is the order in which the flush wrote the slice, -1 for
 *   what was dead at its cut. Without such rows and without a sort the order is the same, and there is no map.
 *   A rewrite of files composes its own map with it, where that is there and the rows are few enough for one turn.
 * - C3 While a file's copy is whole, each live row of it is found by `find`: who has found none need not look into the file.
 */
import { invariant } from '../errors.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import type { DataFileUnit } from './file-unit.ts';
import type { Batch } from './memory/batch.ts';
import type { KeyIndex } from './memory/key-index.ts';
import type { Memory } from './memory/memory.ts';
import type { MemorySlice } from './memory/slice.ts';

/** A table's flushed generations with a slice in memory: each costs a search for a key that none has. */
const GENERATIONS_MAX = 8;
/** With more rows than these the copies of rewritten files go: about 10 ms of the main thread. */
const CARRIED_ROWS_MAX = 2 ** 18;

/** Where a flush has put the rows of a slice. */
export interface Flushed {
  readonly file: DataFileUnit;
  /** Old position → new one, -1: dead at the cut. Null: the same. */
  readonly newOf: Int32Array | null;
}

/** What is in memory of a file's rows. */
export class WarmCopy {
  /** Whose rows it has, one after another; null: that one is gone. */
  readonly #slices: (MemorySlice | null)[];
  /** The number of the first row of each. */
  readonly #starts: readonly number[];
  /** Position → number of the row, -1: in no slice. Null: the same. */
  readonly #rowOf: Int32Array | null;
  readonly #hasAll: boolean;

  /** @param hasAll false: live rows of the file are in none of the slices */
  constructor(slices: readonly MemorySlice[], rowOf: Int32Array | null, hasAll = true) {
    this.#hasAll = hasAll;
    let rows = 0;
    this.#slices = [...slices];
    this.#starts = slices.map((slice) => {
      rows += slice.rows;
      return rows - slice.rows;
    });
    this.#rowOf = rowOf;
  }

  get slices(): readonly MemorySlice[] {
    return this.#slices.filter((slice) => slice !== null);
  }

  /** C3 */
  get isWhole(): boolean {
    return this.#hasAll && !this.#slices.includes(null);
  }

  /** @returns whether nothing is left */
  remove(slice: MemorySlice): boolean {
    this.#slices[this.#slices.indexOf(slice)] = null;
    return this.#slices.every((each) => each === null);
  }

  /** A row by its position in the file, to be read before anything is waited for (W3). */
  locate(position: number): { readonly batch: Batch; readonly row: number } | null {
    const row = this.#rowOf === null ? position : this.#rowOf[position]!;
    if (row < 0) return null;
    let index = this.#starts.length - 1;
    while (this.#starts[index]! > row) index--;
    return this.#slices[index]?.locate(row - this.#starts[index]!) ?? null;
  }
}

/** The inverse of a map of positions. */
function inverse(newOf: Int32Array, rows: number): Int32Array {
  const rowOf = new Int32Array(rows).fill(-1);
  for (let row = 0; row < newOf.length; row++) if (newOf[row]! >= 0) rowOf[newOf[row]!] = row;
  return rowOf;
}

interface WarmGeneration {
  readonly index: KeyIndex;
  readonly slices: Set<MemorySlice>;
  readonly bytes: number;
}

/** Those of one table. */
export class WarmCopies {
  readonly #memory: Memory;
  /** Newest first. */
  #generations: readonly WarmGeneration[] = [];
  readonly #files = new Map<MemorySlice, DataFileUnit>();
  /** The row found last. */
  unit = 0;
  position = 0;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  get size(): number {
    return this.#files.size;
  }

  /** Looks for the live row with the key of row `probe` of vectors in key order; sets `unit` and `position`. */
  find(hash: number, vectors: readonly ColumnVector[], probe: number): boolean {
    for (const { index } of this.#generations) {
      if (!index.find(hash, vectors, probe)) continue;
      const slice = index.slice!;
      this.unit = slice.flushed!.unit;
      this.position = slice.flushed!.positionOf(index.position);
      this.#memory.warm.touch(slice);
      return true;
    }
    return false;
  }

  /** A generation whose slices have become files; those that are not in `flushed` are gone, and the index must not find their rows. */
  keep(index: KeyIndex, slices: readonly MemorySlice[], flushed: ReadonlyMap<MemorySlice, Flushed>): void {
    if (flushed.size === 0) return;
    for (const slice of slices) if (!flushed.has(slice)) slice.flushed = GONE;
    const generation: WarmGeneration = { index, slices: new Set(flushed.keys()), bytes: index.bytes };
    this.#generations = [generation, ...this.#generations];
    this.#memory.warm.heapBytes += generation.bytes;
    for (const [slice, { file, newOf }] of flushed) {
      const rowOf = newOf === null ? null : inverse(newOf, file.rows);
      slice.flushed = new FlushedRows(file, newOf);
      file.warm = new WarmCopy([slice], rowOf);
      this.#files.set(slice, file);
      const heapBytes = (newOf?.byteLength ?? 0) + (rowOf?.byteLength ?? 0);
      this.#memory.warm.keep(slice, heapBytes, () => this.#gone(generation, slice));
    }
    for (const [slice, { deletes, rows }] of this.#files) if (deletes.length >= rows) this.#memory.warm.drop(slice);
    while (this.#generations.length > GENERATIONS_MAX)
      for (const slice of [...this.#emptiest().slices]) this.#memory.warm.drop(slice);
  }

  /** Of the generations but the newest the one with the fewest live rows. */
  #emptiest(): WarmGeneration {
    const live = ({ slices }: WarmGeneration): number => {
      let rows = 0;
      for (const slice of slices) {
        const file = this.#files.get(slice)!;
        rows += file.rows - file.deletes.length;
      }
      return rows;
    };
    return this.#generations.slice(1).reduce((least, each) => (live(each) < live(least) ? each : least));
  }

  /** Files are about to be replaced by one: what memory has of them is the copy of that one. @param moved -1: the row is left out */
  carry(
    files: readonly DataFileUnit[],
    successor: DataFileUnit,
    moved: (unit: number, position: number) => number,
  ): void {
    const slices = files.flatMap(({ warm }) => warm?.slices ?? []);
    const count = slices.reduce((sum, slice) => sum + slice.rows, 0);
    if (count === 0 || count > CARRIED_ROWS_MAX || successor.rows > CARRIED_ROWS_MAX) return;
    const hasAll = files.every(({ warm }) => warm?.isWhole === true);
    const rowOf = new Int32Array(successor.rows).fill(-1);
    let start = 0;
    for (const slice of slices) {
      const newOf = new Int32Array(slice.rows);
      const { flushed } = slice;
      const { unit } = flushed!;
      for (let row = 0; row < newOf.length; row++) {
        const position = flushed!.positionOf(row);
        const to = position < 0 ? -1 : moved(unit, position);
        newOf[row] = to;
        if (to >= 0) rowOf[to] = start + row;
      }
      start += newOf.length;
      slice.flushed = new FlushedRows(successor, newOf);
      this.#files.set(slice, successor);
      this.#memory.warm.resize(slice, newOf.byteLength + Math.ceil(rowOf.byteLength / slices.length));
    }
    for (const file of files) file.warm = null;
    successor.warm = new WarmCopy(slices, rowOf, hasAll);
  }

  /** The file leaves the table, or all its rows are deleted. */
  drop(file: DataFileUnit): void {
    for (const slice of file.warm?.slices ?? []) this.#memory.warm.drop(slice);
  }

  clear(): void {
    for (const slice of [...this.#files.keys()]) this.#memory.warm.drop(slice);
  }

  #gone(generation: WarmGeneration, slice: MemorySlice): void {
    const file = this.#files.get(slice);
    invariant(file?.warm !== undefined && file.warm !== null, 'C1 a warm slice is a copy of a file');
    slice.flushed = GONE;
    if (file.warm.remove(slice)) file.warm = null;
    this.#files.delete(slice);
    generation.slices.delete(slice);
    if (generation.slices.size > 0) return;
    this.#memory.warm.heapBytes -= generation.bytes;
    this.#generations = this.#generations.filter((each) => each !== generation);
  }
}

/** Of a slice after its flush: where its rows are. */
export class FlushedRows {
  readonly #file: DataFileUnit | null;
  readonly #newOf: Int32Array | null;

  constructor(file: DataFileUnit | null, newOf: Int32Array | null) {
    this.#file = file;
    this.#newOf = newOf;
  }

  get unit(): number {
    return this.#file!.unit;
  }

  positionOf(position: number): number {
    return this.#newOf === null ? position : this.#newOf[position]!;
  }

  /** C1. What is gone from memory counts as dead: it is found in its file. */
  isDead(position: number): boolean {
    if (this.#file === null) return true;
    const to = this.positionOf(position);
    return to < 0 || this.#file.deletes.has(to);
  }
}

const GONE = new FlushedRows(null, null);
