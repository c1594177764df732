/**
 * Keeps the indexes of memory rows up with the rows: some rows a turn of the loop, for rows just committed, for those of a
 * table that got an index, and for those that a start has replayed. Readers take in the rest themselves (index-lookup.ts).
 */
import type { Table } from '../storage/table.ts';

/** About a millisecond. */
const ROWS_PER_TURN = 8192;

export class IndexFollower {
  readonly #behind = new Set<Table>();
  #scheduled = false;
  #closed = false;

  /** Rows have come, or an index. */
  wake(table: Table): void {
    if (table.def.indexes.length === 0 || this.#closed) return;
    this.#behind.add(table);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  close(): void {
    this.#closed = true;
    this.#behind.clear();
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    let left = ROWS_PER_TURN;
    for (const table of this.#behind) {
      left -= table.followIndexes(left);
      if (left === 0) break;
      this.#behind.delete(table);
    }
    if (this.#behind.size === 0) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  };
}
