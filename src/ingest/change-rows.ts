/**
 * Rows that a statement changes by the thousand, in a table with a key: some at a time they are locked, deleted, and their new
 * versions, which have the same keys, become own rows. All of it in one turn of the loop, with one search a row.
 *
 * - C1 The lock of a row that gets a new version is its key in the index of own rows; of one that is deleted, an entry of the lock
 *   table. Nothing is done to a row that another transaction has locked or changed since it was found: it is told, and looked
 *   at again by itself.
 */
import { invariant } from '../errors.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import { KEY_SETTLED } from '../storage/memory/lock-table.ts';
import type { OwnIndex } from '../storage/memory/own-index.ts';
import type { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import type { RowPlaces } from './row-places.ts';
import type { TableWrites, Transaction } from './transaction.ts';

const key: KeyWords = new Int32Array(4);

export interface FoundChunk {
  readonly places: RowPlaces;
  /** The rows' keys. */
  readonly names: RowBuffer;
  /** The new rows; null: they are deleted. */
  readonly fresh: RowBuffer | null;
}

/** Changes rows; how many. @param left told of each row that was left as it is (C1) */
export function changeRows(
  transaction: Transaction,
  writes: TableWrites,
  { places, names, fresh }: FoundChunk,
  left: (row: number) => void,
): number {
  invariant(
    writes.table.keyed && writes.seen === null,
    'rows are changed in portions where each can be looked at again',
  );
  if (fresh !== null) writes.growInto(transaction.id, writes.inserted.rows, 0);
  const change = new RowsChange(transaction, writes, places, fresh);
  for (let i = 0; i < names.batches.length; i++)
    change.batch(names.batches[i]!.vectors(), names.batchStart(i), names.batches[i]!.rows, left);
  return change.count;
}

class RowsChange {
  count = 0;
  readonly #transaction: Transaction;
  readonly #writes: TableWrites;
  readonly #own: OwnIndex | null;
  readonly #places: RowPlaces;
  readonly #fresh: RowBuffer | null;

  constructor(transaction: Transaction, writes: TableWrites, places: RowPlaces, fresh: RowBuffer | null) {
    this.#transaction = transaction;
    this.#writes = writes;
    this.#own = writes.own;
    this.#places = places;
    this.#fresh = fresh;
  }

  /** Rows of one batch of names, the first of which is row `start` of the chunk. */
  batch(keys: readonly ColumnVector[], start: number, rows: number, left: (row: number) => void): void {
    const writes = this.#writes;
    const { units, positions } = this.#places;
    const hashes = new Int32Array(rows);
    writes.table.keys.hashRows(keys, 0, rows, hashes);
    // Runs of rows that are others' and stay in order are copied together.
    let from = 0;
    for (let row = 0; row < rows; row++) {
      const unit = units[start + row]!;
      const isOwn = writes.isOwn(unit);
      const position = unit === writes.unit ? writes.ownRow(positions[start + row]!) : positions[start + row]!;
      const isFree = writes.isAlive(unit, position) && !this.#isHeld(hashes[row]!, keys, row);
      if (isFree && !isOwn) continue;
      this.#take(keys, start, from, row, hashes);
      from = row + 1;
      if (!isFree) {
        left(start + row);
        continue;
      }
      writes.delete(keys, row, unit, position);
      this.#replace(keys, start, row, row + 1, hashes);
      this.count++;
    }
    this.#take(keys, start, from, rows, hashes);
  }

  /** Rows [from, to), of others, are free: they are deleted. */
  #take(keys: readonly ColumnVector[], start: number, from: number, to: number, hashes: Int32Array): void {
    if (from === to) return;
    const { deleted, deletedNames } = this.#writes;
    const { units, positions } = this.#places;
    deletedNames.append(keys, from, to);
    for (let row = start + from; row < start + to; row++) deleted.push(units[row]!, positions[row]!);
    this.#replace(keys, start, from, to, hashes);
    this.count += to - from;
  }

  /** The keys of rows [from, to) are locked; their new versions become own rows. */
  #replace(keys: readonly ColumnVector[], start: number, from: number, to: number, hashes: Int32Array): void {
    const writes = this.#writes;
    const own = this.#own;
    const fresh = this.#fresh;
    if (fresh === null || own === null) {
      for (let row = from; row < to; row++) this.#settle(keys, row, hashes[row]!);
      return;
    }
    const { inserted } = writes;
    const first = inserted.rows;
    appendRows(fresh, start + from, start + to, inserted);
    for (let row = from; row < to; row++) {
      const before = own.claim(hashes[row]!, keys, row, first + row - from);
      if (before >= 0) writes.keys.replaced(before);
    }
  }

  #settle(keys: readonly ColumnVector[], row: number, hash: number): void {
    const { table, keys: held } = this.#writes;
    const { locks } = table;
    table.encodeKey(keys, row, key);
    if (held.lockSettled(key, hash)) return;
    held.changing(key, locks.b);
    locks.put(KEY_SETTLED);
  }

  #isHeld(hash: number, keys: readonly ColumnVector[], row: number): boolean {
    const { table } = this.#writes;
    const { locks, ownIndexes } = table;
    if (ownIndexes.length > 0)
      for (const each of ownIndexes) if (each !== this.#own && each.holds(hash, keys, row)) return true;
    if (locks.size === 0) return false;
    table.encodeKey(keys, row, key);
    return locks.find(key, hash) && locks.a !== this.#transaction.id;
  }
}

/** Copies rows [from, to) of a buffer. */
export function appendRows(source: RowBuffer, from: number, to: number, target: RowBuffer): void {
  if (from === to) return;
  for (let i = source.batchOf(from); i < source.batches.length && source.batchStart(i) < to; i++) {
    const batch = source.batches[i]!;
    const start = source.batchStart(i);
    target.append(batch.vectors(), Math.max(0, from - start), Math.min(batch.rows, to - start));
  }
}
