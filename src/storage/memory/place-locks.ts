/**
 * Locks of rows by their places, (unit, position): for each unit and transaction that has locked rows of it, a bit a row. A unit
 * is locked by few transactions at a time, so who holds a row is asked of each of them.
 */
import { invariant } from '../../errors.ts';
import { PAGE_HEAP_BYTES, PagedBits } from './paged-bits.ts';

export class PlaceLocks {
  readonly #units = new Map<number, Map<number, PagedBits>>();
  /** Rows that are locked. */
  size = 0;
  #pages = 0;
  /** Those of the unit and the holder that were asked for last. */
  #unit = 0;
  #holder = 0;
  #holders: Map<number, PagedBits> | null = null;
  #own: PagedBits | null = null;

  /** Heap bytes, about, for the accounting. */
  get bytes(): number {
    return this.#pages * PAGE_HEAP_BYTES;
  }

  /** The transaction that has locked the row; 0: none has. */
  holderOf(unit: number, position: number): number {
    if (unit === this.#unit && this.#own !== null) {
      if (this.#own.has(position)) return this.#holder;
      if (this.#holders!.size === 1) return 0;
    }
    for (const [holder, bits] of this.#units.get(unit) ?? []) if (bits.has(position)) return holder;
    return 0;
  }

  /** Locks a row that `holder` has not locked yet; 0, or the other transaction that has. */
  claim(unit: number, position: number, holder: number): number {
    if (unit !== this.#unit || holder !== this.#holder) this.#stand(unit, holder);
    if (this.#holders!.size > 1) {
      const other = this.holderOf(unit, position);
      if (other !== 0 && other !== holder) return other;
    }
    const own = this.#own!;
    const { pages } = own;
    invariant(own.add(position), 'a scan does not show rows that its transaction has deleted');
    this.#pages += own.pages - pages;
    this.size++;
    return 0;
  }

  /** Whether the lock of a row takes no page more, or all of them are `pagesFree` at most, and one more for each so many rows. */
  hasRoom(unit: number, position: number, holder: number, pagesFree: number, rowsAPage: number): boolean {
    const isKnown = unit === this.#unit && holder === this.#holder;
    const own = isKnown ? this.#own : this.#units.get(unit)?.get(holder);
    return own?.covers(position) === true || this.#pages < pagesFree + this.size / rowsAPage;
  }

  #stand(unit: number, holder: number): void {
    let holders = this.#units.get(unit);
    if (holders === undefined) this.#units.set(unit, (holders = new Map()));
    let own = holders.get(holder);
    if (own === undefined) holders.set(holder, (own = new PagedBits()));
    this.#unit = unit;
    this.#holder = holder;
    this.#holders = holders;
    this.#own = own;
  }

  /** Gives the lock of one row back. */
  delete(unit: number, position: number, holder: number): void {
    const holders = this.#units.get(unit);
    const bits = holders?.get(holder);
    if (holders === undefined || bits?.delete(position) !== true) return;
    this.size--;
    if (bits.size === 0) this.#drop(unit, holders, holder);
  }

  /** Gives all locks of a transaction back. */
  release(holder: number): void {
    for (const [unit, holders] of this.#units) this.#drop(unit, holders, holder);
  }

  #drop(unit: number, holders: Map<number, PagedBits>, holder: number): void {
    const bits = holders.get(holder);
    this.size -= bits?.size ?? 0;
    this.#pages -= bits?.pages ?? 0;
    holders.delete(holder);
    if (holders.size === 0) this.#units.delete(unit);
    this.#unit = 0;
    this.#holder = 0;
    this.#holders = null;
    this.#own = null;
  }
}
