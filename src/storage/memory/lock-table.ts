/**
 * The locks of a table's keys: key → (transaction, state), in a hash table (`key-table.ts`); of whole numbers whose rows a large transaction
 * deletes a bit each, where they lie close together.
 *
 * - L1 A bit says: the transaction holds the key, in state SETTLED. What the hash table says of a key is newer: once the key's entry
 *   there goes, at a rollback to a savepoint, the bit holds again.
 */
import type { Physical } from '../../types/column-vector.ts';
import { KeyTable, type KeyWords } from './key-table.ts';
import { PlaceLocks } from './place-locks.ts';

/**
 * What a transaction knows of a key that it has locked in the lock table: state & 1 (KEY_SETTLED) = settled: the row that was there is
 * deleted by it, or there was none; state >> 1 = own row + 1, whose key is settled, too. With an index of its own (`own`)
 * the own row is looked for there.
 */
export const KEY_SETTLED = 1;

/** Bits of a transaction may take so many pages, and one more for each so many keys in them. */
const FREE_PAGES = 1024;
const KEYS_A_PAGE_MIN = 16;

/** What became of a key to be locked as settled: it is entered, as a bit or an entry, or it was locked before. */
export type Settled = 'bit' | 'entry' | 'held';

export class LockTable {
  readonly #entries: KeyTable;
  /** By the upper and the lower word of a key; null: keys are no whole numbers. */
  readonly #bits: PlaceLocks | null;
  /** The value found last. */
  a = 0;
  b = 0;
  /** It was a bit, of that key. */
  #isBit = false;
  readonly #key: KeyWords = new Int32Array(4);
  #hash = 0;

  /** @param seed the one of the hashes that are given */
  constructor(physicals: readonly Physical[], seed: number) {
    this.#entries = new KeyTable(seed);
    const [physical] = physicals;
    const isWhole = physicals.length === 1 && (physical === 'int32' || physical === 'int64');
    this.#bits = isWhole ? new PlaceLocks() : null;
  }

  get size(): number {
    return this.#entries.size + (this.#bits?.size ?? 0);
  }

  /** Heap bytes, for the accounting. */
  get bytes(): number {
    return this.#entries.bytes + (this.#bits?.bytes ?? 0);
  }

  /** Whether the key is locked; by whom and in which state is then in `a` and `b`. */
  find(key: KeyWords, hash: number): boolean {
    if (this.#entries.size > 0 && this.#entries.find(key, hash)) return this.#stand();
    return this.#findBit(key, hash);
  }

  #stand(): true {
    this.a = this.#entries.a;
    this.b = this.#entries.b;
    this.#isBit = false;
    return true;
  }

  #findBit(key: KeyWords, hash: number): boolean {
    const bits = this.#bits;
    if (bits === null || bits.size === 0) return false;
    const holder = bits.holderOf(key[1]!, key[0]! >>> 0);
    if (holder === 0) return false;
    this.a = holder;
    this.b = KEY_SETTLED;
    this.#isBit = true;
    this.#key.set(key);
    this.#hash = hash;
    return true;
  }

  /** Locks the key for `a`, in state `b`. False: it is locked; what of it is known is then in `a` and `b`. */
  claim(key: KeyWords, hash: number, a: number, b: number): boolean {
    if (this.#findBit(key, hash)) {
      if (this.#entries.find(key, hash)) this.#stand();
      return false;
    }
    const entered = this.#entries.claim(key, hash, a, b);
    this.#stand();
    return entered;
  }

  /** Locks a key of a large transaction whose row it deletes. */
  claimSettled(key: KeyWords, hash: number, holder: number): Settled {
    if (this.size > 0 && this.find(key, hash)) return 'held';
    const bits = this.#bits;
    const [upper, lower] = [key[1]!, key[0]! >>> 0];
    if (bits === null || !bits.hasRoom(upper, lower, holder, FREE_PAGES, KEYS_A_PAGE_MIN))
      return this.claim(key, hash, holder, KEY_SETTLED) ? 'entry' : 'held';
    bits.claim(upper, lower, holder);
    return 'bit';
  }

  /** Changes the state of the key that `find` or `claim` has found, or entered, last. True: it has an entry since, which is to be given back. */
  put(b: number): boolean {
    this.b = b;
    if (!this.#isBit) {
      this.#entries.put(b);
      return false;
    }
    if (b === KEY_SETTLED) return false;
    this.#isBit = false;
    return this.#entries.claim(this.#key, this.#hash, this.a, b);
  }

  /** Takes the entry of a key away (L1). */
  delete(key: KeyWords, hash: number): boolean {
    return this.#entries.delete(key, hash);
  }

  /** Gives the bit of one key back, given by its upper and lower word. */
  deleteBit(upper: number, lower: number, holder: number): void {
    this.#bits?.delete(upper, lower, holder);
  }

  /** Gives all bits of a transaction back. */
  releaseBits(holder: number): void {
    if (this.#bits !== null && this.#bits.size > 0) this.#bits.release(holder);
  }
}
