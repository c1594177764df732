/**
 * The keys of one table whose rows were deleted or replaced while transactions of REPEATABLE READ are open: whether a row
 * that they saw, and that has moved since, is still the same.
 *
 * - One entry a key, with the LSN of its last change. Beyond `KEYS_MAX` it gives up: the snapshots are too old then (H5).
 */
import { KeyTable, type KeyWords } from './memory/key-table.ts';
import type { RowBuffer } from './memory/row-buffer.ts';
import type { RowKeys } from './memory/row-keys.ts';
import type { Lsn } from '../table-def.ts';

/** About 40 MB. */
const KEYS_MAX = 1_000_000;
/** An LSN in two words, the first of them never 0. */
const LOW = 2 ** 30;

const key: KeyWords = new Int32Array(4);

export class KeyChanges {
  readonly #keys: RowKeys;
  readonly #changed: KeyTable;
  readonly #full: () => void;
  /** Rows have come from another writer: nothing is known of those that moved. */
  foreign = false;

  /** @param full called when there are too many */
  constructor(keys: RowKeys, full: () => void) {
    this.#keys = keys;
    this.#changed = new KeyTable(keys.seed);
    this.#full = full;
  }

  /** A transaction has deleted rows, given by their keys. */
  note(names: RowBuffer, lsn: Lsn): void {
    const [low, high] = [(lsn % LOW) + 1, Math.floor(lsn / LOW)];
    for (const batch of names.batches) {
      const vectors = batch.vectors();
      for (let row = 0; row < batch.rows; row++) {
        this.#keys.encode(vectors, row, key);
        const hash = this.#keys.hash(key);
        this.#changed.delete(key, hash);
        this.#changed.claim(key, hash, low, high);
      }
    }
    if (this.#changed.size > KEYS_MAX) this.#full();
  }

  /** A transaction has deleted so many rows that their keys are not at hand. */
  lose(): void {
    this.foreign = true;
    this.#full();
  }

  /** Whether the row with a key, a row of vectors in key order, was changed after `lsn`. */
  since(lsn: Lsn, words: KeyWords): boolean {
    if (this.foreign) return true;
    return this.#changed.find(words, this.#keys.hash(words)) && this.#changed.b * LOW + this.#changed.a - 1 > lsn;
  }
}
