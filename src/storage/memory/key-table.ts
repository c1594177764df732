/**
 * The lock table of a table's keys: from keys to two integers, in typed arrays: open addressing, linear probing, 24 bytes
 * a slot, at most 5/8 full, in shards so that no growth stops main for long.
 *
 * A key is four words: the key's own bytes up to 16 when fixed width, else a 128-bit hash keyed per table (C12).
 * A slot is k0 k1 k2 k3 (words), a, b; a = 0 marks an empty slot. Whoever asks gives the key's hash along (`hashKey`), and
 * one search serves finding, entering and changing: the table stands where it searched last.
 */
import { invariant } from '../../errors.ts';

const SLOT = 6;
const SHARDS = 16;
const CAPACITY_FIRST = 16;
/** An empty shard keeps so many slots. */
const CAPACITY_KEPT = 4096;

/** Where a probe reads and writes its key: shared by all tables of a thread, so no call allocates. */
export type KeyWords = Int32Array;

/** A key's hash, a signed word. */
export function hashKey(key: KeyWords, seed: number): number {
  return hashWords(key[0]!, key[1]!, key[2]!, key[3]!, seed);
}

function hashWords(k0: number, k1: number, k2: number, k3: number, seed: number): number {
  let h = Math.imul(k0 ^ seed, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15) ^ k1, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 13) ^ k2, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 16) ^ k3, 0x165667b1);
  return h ^ (h >>> 15);
}

class Shard {
  slots = new Int32Array(CAPACITY_FIRST * SLOT);
  mask = CAPACITY_FIRST - 1;
  count = 0;
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

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

  #home(slots: Int32Array, at: number): number {
    return (hashWords(slots[at]!, slots[at + 1]!, slots[at + 2]!, slots[at + 3]!, this.#seed) >>> 4) & this.mask;
  }

  grow(): void {
    const old = this.slots;
    const capacity = (this.mask + 1) * 2;
    this.slots = new Int32Array(capacity * SLOT);
    this.mask = capacity - 1;
    for (let at = 0; at < old.length; at += SLOT) {
      if (old[at + 4] === 0) continue;
      let slot = this.#home(old, at);
      while (this.slots[slot * SLOT + 4] !== 0) slot = (slot + 1) & this.mask;
      for (let i = 0; i < SLOT; i++) this.slots[slot * SLOT + i] = old[at + i]!;
    }
  }

  /** Gives the memory of many keys back once they are all gone. */
  reset(): void {
    if (this.mask < CAPACITY_KEPT) return;
    this.slots = new Int32Array(CAPACITY_FIRST * SLOT);
    this.mask = CAPACITY_FIRST - 1;
  }

  /** Empties a slot and moves later ones of its run back, so that probes never stop early. */
  remove(slot: number): void {
    const { slots, mask } = this;
    let hole = slot;
    let next = (slot + 1) & mask;
    while (slots[next * SLOT + 4] !== 0) {
      const home = this.#home(slots, next * SLOT);
      // The entry may move into the hole unless its home lies after the hole (cyclically).
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        for (let i = 0; i < SLOT; i++) slots[hole * SLOT + i] = slots[next * SLOT + i]!;
        hole = next;
      }
      next = (next + 1) & mask;
    }
    slots[hole * SLOT + 4] = 0;
    this.count--;
  }
}

export class KeyTable {
  readonly #shards: readonly Shard[];
  #shard: Shard;
  #slot = 0;
  #size = 0;
  /** The value found last. */
  a = 0;
  b = 0;

  /** @param seed the one of the hashes that are given */
  constructor(seed: number) {
    this.#shards = Array.from({ length: SHARDS }, () => new Shard(seed));
    this.#shard = this.#shards[0]!;
  }

  get size(): number {
    return this.#size;
  }

  /** Heap bytes, for the accounting. */
  get bytes(): number {
    let bytes = 0;
    for (const shard of this.#shards) bytes += shard.slots.byteLength;
    return bytes;
  }

  /** Whether the key is there; its value is then in `a` and `b`. */
  find(key: KeyWords, hash: number): boolean {
    const shard = this.#shards[hash & (SHARDS - 1)]!;
    const slot = shard.find(key, hash);
    if (slot < 0) return false;
    this.#stand(shard, slot);
    return true;
  }

  /** Enters the key with a value, `a` not 0. False: it is there already; its value is then in `a` and `b`. */
  claim(key: KeyWords, hash: number, a: number, b: number): boolean {
    const shard = this.#shards[hash & (SHARDS - 1)]!;
    let slot = shard.find(key, hash);
    if (slot >= 0) {
      this.#stand(shard, slot);
      return false;
    }
    invariant(a !== 0, 'a key table marks empty slots by 0');
    if ((shard.count + 1) * 8 > (shard.mask + 1) * 5) {
      shard.grow();
      slot = shard.find(key, hash);
    }
    slot = -slot - 1;
    const at = slot * SLOT;
    for (let i = 0; i < 4; i++) shard.slots[at + i] = key[i]!;
    shard.slots[at + 4] = a;
    shard.slots[at + 5] = b;
    shard.count++;
    this.#size++;
    this.#stand(shard, slot);
    return true;
  }

  /** Changes `b` of the key that `find` or `claim` has found, or entered, last. */
  put(b: number): void {
    this.#shard.slots[this.#slot * SLOT + 5] = b;
    this.b = b;
  }

  delete(key: KeyWords, hash: number): boolean {
    const shard = this.#shards[hash & (SHARDS - 1)]!;
    const slot = shard.find(key, hash);
    if (slot < 0) return false;
    shard.remove(slot);
    this.#size--;
    if (shard.count === 0) shard.reset();
    return true;
  }

  #stand(shard: Shard, slot: number): void {
    this.#shard = shard;
    this.#slot = slot;
    this.a = shard.slots[slot * SLOT + 4]!;
    this.b = shard.slots[slot * SLOT + 5]!;
  }
}
