/**
 * Rows of one table that got another key, while statements look for rows: who found such a row before, or waited for it, follows it to
 * its key of now, as PostgreSQL follows the versions of a row.
 *
 * - F1 In the order of commits; a statement follows what was committed after its search began.
 * - F2 Kept while a statement searches, no longer.
 */
import type { KeyWords } from './memory/key-table.ts';

/** Old key, new key. */
const ENTRY = 8;
const NONE = new Int32Array(0);

/** Those of one transaction, each with the number of its own row. */
export class RenamedRows {
  words = NONE;
  count = 0;
  readonly #rows: number[] = [];

  add(before: KeyWords, after: KeyWords, row: number): void {
    const at = this.count * ENTRY;
    if (at === this.words.length) this.words = grown(this.words, at + ENTRY);
    this.words.set(before, at);
    this.words.set(after, at + 4);
    this.#rows[this.count++] = row;
  }

  /** Own rows from `row` on are taken back. */
  truncate(row: number): void {
    while (this.count > 0 && this.#rows[this.count - 1]! >= row) this.count--;
    this.#rows.length = this.count;
  }
}

export class KeyRenames {
  #words = NONE;
  #count = 0;
  #searches = 0;

  /** A search begins. @returns where it stands, for `follow` */
  enter(): number {
    this.#searches++;
    return this.#count;
  }

  leave(): void {
    if (--this.#searches > 0) return;
    this.#words = NONE;
    this.#count = 0;
  }

  get count(): number {
    return this.#count;
  }

  /** A transaction has committed. */
  note({ words, count }: RenamedRows): void {
    if (this.#searches === 0 || count === 0) return;
    const at = this.#count * ENTRY;
    if (at + count * ENTRY > this.#words.length) this.#words = grown(this.#words, at + count * ENTRY);
    this.#words.set(words.subarray(0, count * ENTRY), at);
    this.#count += count;
  }

  /** Puts in the place of each key, four words, the one that its row has now. */
  follow(keys: Int32Array, since: number): void {
    if (this.#count === since) return;
    const text = (words: Int32Array, at: number): string => words.subarray(at, at + 4).join();
    const rows = new Map<string, number[]>();
    for (let at = 0; at < keys.length; at += 4) {
      const key = text(keys, at);
      rows.set(key, [...(rows.get(key) ?? []), at]);
    }
    for (let entry = since; entry < this.#count; entry++) {
      const at = entry * ENTRY;
      const before = text(this.#words, at);
      const moved = rows.get(before);
      if (moved === undefined) continue;
      const after = text(this.#words, at + 4);
      rows.delete(before);
      rows.set(after, [...(rows.get(after) ?? []), ...moved]);
      for (const row of moved) keys.set(this.#words.subarray(at + 4, at + 8), row);
    }
  }
}

function grown(words: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(Math.max(length, words.length * 2, ENTRY * 8));
  larger.set(words);
  return larger;
}
