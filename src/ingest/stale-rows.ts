/** Rows that a statement found and that others have changed before it had their locks: by which keys to look for them again. */
import type { KeyWords } from '../storage/memory/key-table.ts';
import type { Table } from '../storage/table.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { KeySet } from './key-set.ts';

const key: KeyWords = new Int32Array(4);

export class StaleRows implements Disposable {
  readonly #table: Table;
  #since: number;
  #keys: number[] = [];

  /** Before the search begins. */
  constructor(table: Table) {
    this.#table = table;
    this.#since = table.renames.enter();
  }

  get count(): number {
    return this.#keys.length / 4;
  }

  /** A row by its key, a row of vectors in key order. */
  add(vectors: readonly ColumnVector[], row: number): void {
    this.#table.encodeKey(vectors, row, key);
    this.#keys.push(...key);
  }

  /** Those that were added: the search begins anew. */
  forget(): void {
    this.#keys = [];
  }

  /** The keys that they have now; what the search for these finds may be stale in its turn. */
  take(): KeySet {
    const keys = Int32Array.from(this.#keys);
    this.#keys = [];
    this.#table.renames.follow(keys, this.#since);
    this.#since = this.#table.renames.count;
    const set = new KeySet(this.#table);
    for (let at = 0; at < keys.length; at += 4) set.addWords(keys.subarray(at, at + 4));
    return set;
  }

  [Symbol.dispose](): void {
    this.#table.renames.leave();
  }
}
