/**
 * The index of a large transaction's own rows in one table: hash → row of its row buffer. While the transaction is open it
 * is at the same time the lock of their keys: others that want one of them find it here and wait. At commit the index of
 * the memory rows takes it over as it is (key-index.ts, K2), so a commit costs nothing per row.
 *
 * - O1 A key that is in it is settled: whatever row with that key was there before is deleted by the transaction, or
 *   there was none. It stays so when the own row dies, too.
 */
import { invariant } from '../../errors.ts';
import type { ColumnVector } from '../../types/column-vector.ts';
import type { SpilledUnits } from '../spilled-units.ts';
import type { RowBuffer } from './row-buffer.ts';
import { RowIndex } from './row-index.ts';
import type { RowKeys } from './row-keys.ts';
import type { MemorySlice } from './slice.ts';

/** Own rows [row, row + rows) became positions of a slice from `position` on. */
export interface Piece {
  readonly row: number;
  readonly rows: number;
  readonly slice: MemorySlice;
  readonly position: number;
}

/** With fewer rows to drop they are looked for one by one. */
const RENUMBER_ROWS_PER_ENTRY = 16;

export class OwnIndex {
  /** Number of the transaction. */
  readonly holder: number;
  /** Its references are rows + 1. */
  readonly entries = new RowIndex();
  /** The transaction has not ended. */
  isOpen = true;
  #keys: RowKeys;
  #rows: RowBuffer;
  readonly #spilled: SpilledUnits | null;
  #pieces: readonly Piece[] = [];

  /** @param spilled own rows that are in files: the keys that those may hold are locked, too (U2) */
  constructor(holder: number, keys: RowKeys, rows: RowBuffer, spilled: SpilledUnits | null = null) {
    this.holder = holder;
    this.#keys = keys;
    this.#rows = rows;
    this.#spilled = spilled;
  }

  get bytes(): number {
    return this.entries.bytes;
  }

  get size(): number {
    return this.entries.size;
  }

  get pieces(): readonly Piece[] {
    return this.#pieces;
  }

  /** Enters an own row, given by its hash and as row `probe` of vectors in key order; the own row before it with that key, else -1. */
  claim(hash: number, vectors: readonly ColumnVector[], probe: number, row: number): number {
    const { entries } = this;
    for (let more = entries.seek(hash); more; more = entries.next()) {
      const before = entries.ref - 1;
      if (!this.#isKey(before, vectors, probe)) continue;
      entries.replace(row + 1);
      return before;
    }
    entries.insert(hash, row + 1);
    return -1;
  }

  /** Whether the key of row `probe` of vectors in key order is locked by it. */
  holds(hash: number, vectors: readonly ColumnVector[], probe: number): boolean {
    return this.rowOf(hash, vectors, probe) >= 0 || this.#spilled?.mayHold(vectors, probe) === true;
  }

  /** The last own row that was entered with that key, dead or alive; -1: none. */
  rowOf(hash: number, vectors: readonly ColumnVector[], probe: number): number {
    const { entries } = this;
    for (let more = entries.seek(hash); more; more = entries.next())
      if (this.#isKey(entries.ref - 1, vectors, probe)) return entries.ref - 1;
    return -1;
  }

  /** Own rows from `from` on are about to go: so do their entries. A row that one of them has replaced is not named again. */
  dropFrom(from: number): void {
    const rows = this.#rows;
    if ((rows.rows - from) * RENUMBER_ROWS_PER_ENTRY > this.entries.size) {
      this.entries.renumber((ref) => (ref > from ? 0 : ref));
      return;
    }
    for (let index = rows.batchOf(from); index < rows.batches.length; index++) {
      const start = rows.batchStart(index);
      const { columns, rows: count } = rows.batches[index]!;
      const vectors = this.#keys.columns.map((column) => columns[column]!.vector());
      for (let row = Math.max(0, from - start); row < count; row++)
        this.#drop(this.#keys.hashRow(vectors, row), start + row);
    }
  }

  #drop(hash: number, row: number): void {
    const { entries } = this;
    for (let more = entries.seek(hash); more; more = entries.next()) {
      if (entries.ref !== row + 1) continue;
      entries.remove();
      return;
    }
  }

  /** Own rows before `to` are in files now, and found there. */
  dropBefore(to: number): void {
    this.entries.renumber((ref) => (ref <= to ? 0 : ref));
  }

  /** The buffer was written anew without its dead rows. */
  compacted(rows: RowBuffer, isDead: (row: number) => boolean): void {
    const { first } = this.#rows;
    const to = new Int32Array(this.#rows.rows - first);
    for (let i = 0, next = 0; i < to.length; i++) to[i] = isDead(first + i) ? 0 : ++next;
    this.entries.renumber((ref) => to[ref - 1 - first]!);
    this.#rows = rows;
  }

  /** The same rows in another shape. */
  reshaped(keys: RowKeys, rows: RowBuffer): void {
    this.#keys = keys;
    this.#rows = rows;
  }

  /** The rows lie in slices now, all of them; pieces in row order. */
  place(pieces: readonly Piece[]): void {
    const joined: Piece[] = [];
    for (const piece of pieces) {
      const last = joined.at(-1);
      if (last?.slice === piece.slice && last.position + last.rows === piece.position)
        joined[joined.length - 1] = { ...last, rows: last.rows + piece.rows };
      else joined.push(piece);
    }
    this.#pieces = joined;
  }

  /** Where an own row is, after `place`. */
  pieceOf(row: number): Piece {
    let index = this.#pieces.length - 1;
    while (index > 0 && this.#pieces[index]!.row > row) index--;
    const piece = this.#pieces[index];
    invariant(piece !== undefined, 'a row that was placed is in a slice');
    return piece;
  }

  #isKey(row: number, vectors: readonly ColumnVector[], probe: number): boolean {
    if (this.#pieces.length > 0) {
      const piece = this.pieceOf(row);
      const at = piece.slice.locate(piece.position + row - piece.row);
      return this.#keys.equal(at.batch, at.row, vectors, probe);
    }
    const index = this.#rows.batchOf(row);
    return this.#keys.equal(this.#rows.batches[index]!, row - this.#rows.batchStart(index), vectors, probe);
  }
}
