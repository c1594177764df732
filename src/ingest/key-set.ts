/** Keys of one table, as a set. */
import { KeyTable, type KeyWords } from '../storage/memory/key-table.ts';
import type { Table } from '../storage/table.ts';
import type { ColumnVector } from '../types/column-vector.ts';

const key: KeyWords = new Int32Array(4);

export class KeySet {
  readonly #table: Table;
  readonly #keys: KeyTable;

  constructor(table: Table) {
    this.#table = table;
    this.#keys = new KeyTable(table.keys.seed);
  }

  /** A key is a row of vectors in key order. */
  add(vectors: readonly ColumnVector[], row: number): void {
    this.#table.encodeKey(vectors, row, key);
    this.addWords(key);
  }

  addWords(words: KeyWords): void {
    this.#keys.claim(words, this.#table.keys.hash(words), 1, 0);
  }

  has(vectors: readonly ColumnVector[], row: number): boolean {
    this.#table.encodeKey(vectors, row, key);
    return this.#keys.find(key, this.#table.keys.hash(key));
  }
}
