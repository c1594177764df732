/**
 * A hash table from keys to two integers, in typed arrays: open addressing, linear probing, 24 bytes a slot, at most
 * 5/8 full, in shards so that no growth stops main for long. Serves as the key index of memory rows and as lock table.
 *
 * A key is four words: the key's own bytes up to 16 when fixed width, else a 128-bit hash keyed per table (C12).
 * A slot is k0 k1 k2 k3 (words), a, b; a = 0 marks an empty slot.
 */
import { invariant } from '../../errors.ts';

const SLOT = 6;
const SHARDS = 16;
const CAPACITY_FIRST = 16;
/** An empty shard keeps so many slots. */
const CAPACITY_KEPT = 4096;

/** Where a probe reads and writes its key: shared by all tables of a thread, so no call allocates. */
export type KeyWords = Int32Array;

function mix(key: KeyWords): number {
  let h = Math.imul(key[0]! ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15) ^ key[1]!, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 13) ^ key[2]!, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 16) ^ key[3]!, 0x165667b1);
  h ^= h >>> 15;
  return h >>> 0;
}

class Shard {
  slots = new Int32Array(CAPACITY_FIRST * SLOT);
  mask = CAPACITY_FIRST - 1;
  count = 0;

  /** The slot of the key, or -(empty slot) - 1. */
  find(key: KeyWords, hash: number): number {
    const { slots, mask } = this;
    let slot = (hash >>> 4) & mask;
    for (;;) {
      const at = slot * SLOT;
      if (slots[at + 4] === 0) return -slot - 1;
      if (slots[at] === key[0] && slots[at + 1] === key[1] && slots[at + 2] === key[2] && slots[at + 3] === key[3])
        return slot;
      slot = (slot + 1) & mask;
    }
  }

  grow(): void {
    const old = this.slots;
    const capacity = (this.mask + 1) * 2;
    this.slots = new Int32Array(capacity * SLOT);
    this.mask = capacity - 1;
    const key = new Int32Array(4);
    for (let at = 0; at < old.length; at += SLOT) {
      if (old[at + 4] === 0) continue;
      key.set(old.subarray(at, at + 4));
      let slot = (mix(key) >>> 4) & this.mask;
      while (this.slots[slot * SLOT + 4] !== 0) slot = (slot + 1) & this.mask;
      this.slots.set(old.subarray(at, at + SLOT), slot * SLOT);
    }
  }

  /** Gives the memory of a large transaction's keys back once they are all gone. */
  reset(): void {
    if (this.mask < CAPACITY_KEPT) return;
    this.slots = new Int32Array(CAPACITY_FIRST * SLOT);
    this.mask = CAPACITY_FIRST - 1;
  }

  /** Empties a slot and moves later ones of its run back, so that probes never stop early. */
  remove(slot: number): void {
    const { slots, mask } = this;
    const key = new Int32Array(4);
    let hole = slot;
    let next = (slot + 1) & mask;
    while (slots[next * SLOT + 4] !== 0) {
      key.set(slots.subarray(next * SLOT, next * SLOT + 4));
      const home = (mix(key) >>> 4) & mask;
      // The entry may move into the hole unless its home lies after the hole (cyclically).
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        slots.copyWithin(hole * SLOT, next * SLOT, next * SLOT + SLOT);
        hole = next;
      }
      next = (next + 1) & mask;
    }
    slots[hole * SLOT + 4] = 0;
    this.count--;
  }
}

export class KeyTable {
  readonly #shards: Shard[] = Array.from({ length: SHARDS }, () => new Shard());
  /** The value found last by `get`. */
  a = 0;
  b = 0;

  get size(): number {
    let size = 0;
    for (const shard of this.#shards) size += shard.count;
    return size;
  }

  /** Heap bytes, for the accounting. */
  get bytes(): number {
    let bytes = 0;
    for (const shard of this.#shards) bytes += shard.slots.byteLength;
    return bytes;
  }

  /** Whether the key is there; its value is then in `a` and `b`. */
  get(key: KeyWords): boolean {
    const hash = mix(key);
    const shard = this.#shards[hash & (SHARDS - 1)]!;
    const slot = shard.find(key, hash);
    if (slot < 0) return false;
    this.a = shard.slots[slot * SLOT + 4]!;
    this.b = shard.slots[slot * SLOT + 5]!;
    return true;
  }

  /** Sets the key's value; `a` is not 0. */
  set(key: KeyWords, a: number, b: number): void {
    invariant(a !== 0, 'a key table marks empty slots by 0');
    const hash = mix(key);
    const shard = this.#shards[hash & (SHARDS - 1)]!;
    let slot = shard.find(key, hash);
    if (slot < 0) {
      if ((shard.count + 1) * 8 > (shard.mask + 1) * 5) {
        shard.grow();
        slot = shard.find(key, hash);
      }
      slot = -slot - 1;
      shard.slots.set(key, slot * SLOT);
      shard.count++;
    }
    shard.slots[slot * SLOT + 4] = a;
    shard.slots[slot * SLOT + 5] = b;
  }

  delete(key: KeyWords): boolean {
    const hash = mix(key);
    const shard = this.#shards[hash & (SHARDS - 1)]!;
    const slot = shard.find(key, hash);
    if (slot < 0) return false;
    shard.remove(slot);
    if (shard.count === 0) shard.reset();
    return true;
  }
}
