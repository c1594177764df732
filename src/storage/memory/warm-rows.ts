/**
 * Slices that a flush has moved to files, kept in memory while it has room: a cache, so that a row which was just written is read
 * without Parquet. What they are a copy of says warm-copies.ts; here is how much of memory they may take, and who goes first.
 *
 * - W1 Their bytes count in no zone: they make no writer wait and cause no flush. As soon as the use of memory with them
 *   passes the green line they give way, at the end of the turn; at once where a block is wanted that the pool has not.
 * - W2 First go those that nobody has touched since their flush, the oldest first, then the one touched longest ago. A bulk load
 *   so passes by what is in use. Touched ones take PROTECTED_SHARE of the bytes at most before they go first.
 * - W3 Rows are read within one turn of the loop, so no pin is asked; the slice touched last does not give way to a block that
 *   its reader wants. Only a reader that pinned the slice before its flush names its blocks for longer: they wait for it.
 */
import type { MemorySlice } from './slice.ts';
import type { Memory } from './memory.ts';

const PROTECTED_SHARE = 0.8;

interface Kept {
  readonly slabBytes: number;
  heapBytes: number;
  /** Frees once no reader from before the flush is left. */
  readonly release: (free: () => void, bytes: number) => void;
  readonly gone: () => void;
  touched: boolean;
}

export class WarmRows {
  /** Of blocks, and on the heap of main: maps of positions and indexes of keys. */
  slabBytes = 0;
  heapBytes = 0;
  /** Share of the budgets that is green. */
  greenShare = 0.6;
  readonly #memory: Memory;
  /** Oldest first. */
  readonly #untouched = new Map<MemorySlice, Kept>();
  readonly #touched = new Map<MemorySlice, Kept>();
  #touchedBytes = 0;
  #newest: MemorySlice | null = null;
  #scheduled = false;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  get size(): number {
    return this.#untouched.size + this.#touched.size;
  }

  /** Oldest first. */
  get slices(): readonly MemorySlice[] {
    return [...this.#untouched.keys(), ...this.#touched.keys()];
  }

  get bytes(): number {
    return this.slabBytes + this.heapBytes;
  }

  /** In the place of `slice.retire()`. @param gone told when its rows are not to be read any more; may not throw */
  keep(slice: MemorySlice, heapBytes: number, gone: () => void): void {
    const release = this.#memory.pins.whenUnpinnedLater();
    const slabBytes = slice.release();
    this.#untouched.set(slice, { slabBytes, heapBytes, release, gone, touched: false });
    this.slabBytes += slabBytes;
    this.heapBytes += heapBytes;
    this.trimSoon();
  }

  /** Its maps take other bytes from now on. */
  resize(slice: MemorySlice, heapBytes: number): void {
    const kept = this.#touched.get(slice) ?? this.#untouched.get(slice);
    if (kept === undefined) return;
    this.heapBytes += heapBytes - kept.heapBytes;
    kept.heapBytes = heapBytes;
    this.trimSoon();
  }

  /** A row of it is read. */
  touch(slice: MemorySlice): void {
    if (slice === this.#newest) return;
    const known = this.#touched.get(slice) ?? this.#untouched.get(slice);
    if (known === undefined) return;
    this.#newest = slice;
    if (known.touched) this.#touched.delete(slice);
    else {
      known.touched = true;
      this.#touchedBytes += known.slabBytes;
      this.#untouched.delete(slice);
    }
    this.#touched.set(slice, known);
  }

  drop(slice: MemorySlice): void {
    const kept = this.#touched.get(slice) ?? this.#untouched.get(slice);
    if (kept === undefined) return;
    this.#untouched.delete(slice);
    if (this.#touched.delete(slice)) this.#touchedBytes -= kept.slabBytes;
    if (this.#newest === slice) this.#newest = null;
    this.slabBytes -= kept.slabBytes;
    this.heapBytes -= kept.heapBytes;
    kept.gone();
    kept.release(() => slice.free(), kept.slabBytes);
  }

  clear(): void {
    for (const slice of this.slices) this.drop(slice);
  }

  /** W1. Asked for by every block beyond the green line. */
  trimSoon(): void {
    if (this.#scheduled || this.size === 0) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.trim();
    });
  }

  trim(): void {
    for (let next = this.#next(null); next !== null && this.#isOver(); next = this.#next(null)) this.drop(next);
  }

  /** A block is wanted now. False: nothing is left that may go. */
  giveOne(): boolean {
    const next = this.#next(this.#newest);
    if (next === null) return false;
    this.drop(next);
    return true;
  }

  #isOver(): boolean {
    const { pool, budgetBytes, usedBytes } = this.#memory;
    return (
      pool.usedBytes > this.greenShare * pool.budgetBytes || usedBytes + this.bytes > this.greenShare * budgetBytes
    );
  }

  /** W2 */
  #next(spared: MemorySlice | null): MemorySlice | null {
    const first = this.#touchedBytes > this.slabBytes * PROTECTED_SHARE ? this.#touched : this.#untouched;
    for (const each of [first, this.#untouched, this.#touched])
      for (const slice of each.keys()) if (slice !== spared) return slice;
    return null;
  }
}
