/**
 * Hash → any number of rows (row-refs.ts): the hash names the newest of its rows, each row the one before it. Any number
 * of equal rows costs one step each; no values are stored, so the caller compares with the row itself.
 *
 * - H1 A walk (`seek`, `next`) gives the rows of a hash from the newest to the oldest; nothing is entered meanwhile.
 * - H2 A row that is unlinked is never given again; links are 4 bytes a row, in blocks, so that no growth copies them.
 */
import { RowIndex } from './row-index.ts';
import { CHUNK_BITS, CHUNK_ROWS } from './row-refs.ts';

/** Of a head: neither it nor any row before it is linked. */
const SPENT = -1;

export class RowChains {
  readonly #heads = new RowIndex((ref) => this.#before(ref) !== SPENT);
  readonly #blocks: Int32Array[] = [];
  /** Where the walk stands: the row after it, 0: it is the newest; and the row before it. */
  #after = 0;
  #next = 0;
  #unlinked = false;
  /** The row that the walk stands at. */
  ref = 0;

  /** Heap bytes, for the accounting. */
  get bytes(): number {
    return this.#heads.bytes + this.#blocks.length * CHUNK_ROWS * 4;
  }

  enter(hash: number, ref: number): void {
    while (this.#blocks.length <= ref >>> CHUNK_BITS) this.#blocks.push(new Int32Array(CHUNK_ROWS));
    const heads = this.#heads;
    if (!heads.seek(hash)) {
      heads.insert(hash, ref);
      return;
    }
    const before = this.#before(heads.ref);
    if (before !== SPENT) this.#link(ref, heads.ref);
    heads.replace(ref);
  }

  /** Whether rows have this hash; the newest is then in `ref`. */
  seek(hash: number): boolean {
    if (!this.#heads.seek(hash)) return false;
    const before = this.#before(this.#heads.ref);
    if (before === SPENT) return false;
    this.ref = this.#heads.ref;
    this.#after = 0;
    this.#next = before;
    this.#unlinked = false;
    return true;
  }

  /** After a hit: whether an older row has the same hash. */
  next(): boolean {
    if (!this.#unlinked) this.#after = this.ref;
    this.#unlinked = false;
    this.ref = this.#next;
    if (this.ref === 0) return false;
    this.#next = this.#before(this.ref);
    return true;
  }

  /** Takes the row that the walk stands at out; the walk goes on from there. */
  unlink(): void {
    this.#unlinked = true;
    if (this.#after !== 0) this.#link(this.#after, this.#next);
    else if (this.#next !== 0) this.#heads.replace(this.#next);
    else this.#link(this.ref, SPENT);
  }

  #before(ref: number): number {
    return this.#blocks[ref >>> CHUNK_BITS]![ref & (CHUNK_ROWS - 1)]!;
  }

  #link(ref: number, before: number): void {
    this.#blocks[ref >>> CHUNK_BITS]![ref & (CHUNK_ROWS - 1)] = before;
  }
}
