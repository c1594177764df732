/**
 * Main's allocator over the slab pool: buddy blocks of 4 KiB to 16 MiB in slabs of 16 MiB (T1, C13).
 *
 * - V5 `usedBytes` is exact: the sum of the blocks given out. Slabs are made up to the budget (`unbounded` aside), never dropped.
 * - A freed block may be given out at once: free it only when no pin can name it (pins.ts).
 */
import { invariant } from '../../errors.ts';
import { SLAB_BYTES, SlabDirectory, type Address } from './slab.ts';

const ORDER_MIN = 12; // 4 KiB
const ORDER_MAX = 24; // 16 MiB

export const BLOCK_BYTES_MIN = 2 ** ORDER_MIN;

/** The order of the smallest block that holds so many bytes. */
function orderOf(bytes: number): number {
  return Math.max(ORDER_MIN, 32 - Math.clz32(bytes - 1));
}

/** Bytes that a block for `bytes` takes from the budget. */
export function blockBytes(bytes: number): number {
  return 2 ** orderOf(bytes);
}

/** Blocks that are given back when they are wanted. */
export interface Cache {
  readonly greenShare: number;
  trimSoon(): void;
  /** Frees some, if no reader has them; false: none is left. */
  giveOne(): boolean;
}

export class SlabPool {
  readonly directory = new SlabDirectory();
  readonly budgetBytes: number;
  usedBytes = 0;
  /** Of it, what delete lists hold; and what they hold beside the slabs (LSNs, bitmaps). */
  deleteBytes = 0;
  heapBytes = 0;
  cache: Cache | null = null;
  #bounded = true;
  /** Called with each new slab before any address in it is given out: posts it to the other threads. */
  announce: (index: number, slab: SharedArrayBuffer) => void = () => {};
  readonly #slabsMax: number;
  readonly #free: Set<Address>[] = Array.from({ length: ORDER_MAX + 1 }, () => new Set<Address>());
  readonly #slabs: SharedArrayBuffer[] = [];

  constructor(budgetBytes: number) {
    this.#slabsMax = Math.max(2, Math.floor(budgetBytes / SLAB_BYTES));
    this.budgetBytes = this.#slabsMax * SLAB_BYTES;
  }

  /** The slabs made so far, for a thread that starts late. */
  get slabs(): readonly SharedArrayBuffer[] {
    return this.#slabs;
  }

  /** A block of at least `bytes`, not zeroed, or -1 when the budget has none. */
  allocate(bytes: number): Address {
    invariant(bytes > 0 && bytes <= SLAB_BYTES, 'a block fits a slab');
    const order = orderOf(bytes);
    let found = this.#orderFrom(order);
    while (found > ORDER_MAX && this.#slabs.length >= this.#slabsMax && this.cache?.giveOne() === true)
      found = this.#orderFrom(order);
    if (found > ORDER_MAX) {
      if (this.#bounded && this.#slabs.length >= this.#slabsMax) return -1;
      this.#grow();
      found = ORDER_MAX;
    }
    const [address] = this.#free[found]!;
    invariant(address !== undefined, 'a free list that is not empty has a first');
    this.#free[found]!.delete(address);
    while (found > order) {
      found--;
      this.#free[found]!.add(address + 2 ** found);
    }
    this.usedBytes += 2 ** order;
    if (this.cache !== null && this.usedBytes > this.budgetBytes * this.cache.greenShare) this.cache.trimSoon();
    return address;
  }

  /** The smallest order with a free block, from one on. */
  #orderFrom(order: number): number {
    let found = order;
    while (found <= ORDER_MAX && this.#free[found]!.size === 0) found++;
    return found;
  }

  /**
   * Carries out what may not fail any more (its log frame is written, its segment is on disk): when fragments or
   * others have used up the room that was made sure of before, a slab beyond the budget is made.
   */
  unbounded<T>(work: () => T): T {
    const before = this.#bounded;
    this.#bounded = false;
    try {
      return work();
    } finally {
      this.#bounded = before;
    }
  }

  /** Gives a block back; `bytes` as it was asked for. */
  free(address: Address, bytes: number): void {
    let order = orderOf(bytes);
    this.usedBytes -= 2 ** order;
    let block = address;
    while (order < ORDER_MAX) {
      const slabStart = block - (block % SLAB_BYTES);
      const offset = block - slabStart;
      const buddy = slabStart + (offset % 2 ** (order + 1) === 0 ? offset + 2 ** order : offset - 2 ** order);
      if (!this.#free[order]!.delete(buddy)) break;
      block = Math.min(block, buddy);
      order++;
    }
    invariant(!this.#free[order]!.has(block), 'a block is freed once');
    this.#free[order]!.add(block);
  }

  #grow(): void {
    const slab = new SharedArrayBuffer(SLAB_BYTES);
    const index = this.#slabs.push(slab) - 1;
    this.directory.add(index, slab);
    this.announce(index, slab);
    this.#free[ORDER_MAX]!.add(index * SLAB_BYTES);
  }
}
