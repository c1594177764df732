/**
 * Locks of rows by their places, (unit, position): for each unit and transaction that has locked rows of it, a bit a row. A unit
 * is locked by few transactions at a time, so who holds a row is asked of each of them.
 */
import { invariant } from '../../errors.ts';
import { PagedBits } from './paged-bits.ts';

export class PlaceLocks {
  readonly #units = new Map<number, Map<number, PagedBits>>();
  /** Those of the unit and the holder that were asked for last. */
  #unit = 0;
  #holder = 0;
  #holders: Map<number, PagedBits> | null = null;
  #own: PagedBits | null = null;

  /** Heap bytes, about, for the accounting. */
  get bytes(): number {
    let bytes = 0;
    for (const holders of this.#units.values()) for (const bits of holders.values()) bytes += bits.bytes;
    return bytes;
  }

  /** The transaction that has locked the row; 0: none has. */
  holderOf(unit: number, position: number): number {
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
    invariant(this.#own!.add(position), 'a scan does not show rows that its transaction has deleted');
    return 0;
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
    if (holders === undefined || bits?.delete(position) !== true || bits.size > 0) return;
    this.#drop(unit, holders, holder);
  }

  /** Gives all locks of a transaction back. */
  release(holder: number): void {
    for (const [unit, holders] of this.#units) this.#drop(unit, holders, holder);
  }

  #drop(unit: number, holders: Map<number, PagedBits>, holder: number): void {
    holders.delete(holder);
    if (holders.size === 0) this.#units.delete(unit);
    this.#unit = 0;
    this.#holder = 0;
    this.#holders = null;
    this.#own = null;
  }
}
