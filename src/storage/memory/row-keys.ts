/**
 * What an index knows of a table's key: its hash, the same for equal keys, from the table's secret so that no one can
 * prepare collisions, and whether the key of a row in a batch is a given one (exact: the values themselves are compared).
 */
import type { ColumnVector, Physical } from '../../types/column-vector.ts';
import type { Batch } from './batch.ts';
import { equalValue } from './equal-value.ts';
import { keyEncoder, type KeyEncoder } from './key-encoder.ts';
import { hashKey, type KeyWords } from './key-table.ts';
import type { HashSecret } from './keyed-hash.ts';

const words: KeyWords = new Int32Array(4);

export class RowKeys {
  /** Indexes of the key's columns in def order. */
  readonly columns: readonly number[];
  readonly physicals: readonly Physical[];
  readonly encode: KeyEncoder;
  readonly seed: number;
  readonly #single: Physical | null;

  constructor(columns: readonly number[], physicals: readonly Physical[], secret: HashSecret) {
    this.columns = columns;
    this.physicals = physicals;
    this.seed = secret[0]!;
    this.encode = keyEncoder(physicals, secret);
    this.#single = physicals.length === 1 ? physicals[0]! : null;
  }

  /** The hash of a key as `encode` wrote it. */
  hash(key: KeyWords): number {
    return hashKey(key, this.seed);
  }

  hashRow(vectors: readonly ColumnVector[], row: number): number {
    this.encode(vectors, row, words);
    return hashKey(words, this.seed);
  }

  /** The hashes of rows [start, end) of vectors in key order, from out[0] on. */
  hashRows(vectors: readonly ColumnVector[], start: number, end: number, out: Int32Array): void {
    if (this.#single === 'int64' || this.#single === 'int32') {
      const data = vectors[0]!.words;
      const width = this.#single === 'int64' ? 2 : 1;
      words.fill(0);
      for (let row = start; row < end; row++) {
        words[0] = data[row * width]!;
        if (width === 2) words[1] = data[row * 2 + 1]!;
        out[row - start] = hashKey(words, this.seed);
      }
      return;
    }
    for (let row = start; row < end; row++) {
      this.encode(vectors, row, words);
      out[row - start] = hashKey(words, this.seed);
    }
  }

  /** Whether a row of a batch has the key of row `probe` of vectors in key order. */
  equal(batch: Batch, row: number, vectors: readonly ColumnVector[], probe: number): boolean {
    for (let i = 0; i < this.columns.length; i++)
      if (!equalValue(batch.columns[this.columns[i]!]!.vector(), row, vectors[i]!, probe)) return false;
    return true;
  }
}
