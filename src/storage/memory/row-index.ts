/**
 * A hash index from 32-bit hashes to 32-bit row references: 8 bytes a slot, at most 4/5 full, so 10 to 15 bytes a row.
 * No key is stored: the caller compares with the row itself, and has to only where all 32 bits agree.
 *
 * Ordered linear probing: slots are in the order of their hashes, each at its home (the hash scaled to the capacity) or
 * as soon after it as there is room.
 * - R1 A search ends at the first larger hash, so a miss costs what a hit costs, however full the part is.
 * - R2 Growing copies slots in order, and entering hashes in their order touches memory in order. For that there must be
 *   room where they go (`makeRoom`): hashes are spread evenly over all of them, never over the first few.
 * - R3 Parts cover ranges of hashes (extendible hashing): one grows by half up to PART_CAPACITY_MAX, then splits, so no
 *   step takes longer than copying one part.
 * - R4 The last slot of a part is empty: searches need no other end.
 */
const PART_CAPACITY_FIRST = 16;
const PART_CAPACITY_MAX = 65_536;
/** Slots past the homes: what the last ones are pushed into. */
const SLACK_FIRST = 16;
const SLACK_PER_SLOTS = 512;
/** Beyond it equal hashes fill the parts, and splitting does not help. */
const DEPTH_MAX = 14;
/** Hashes are signed words; their order is that of integers. */
const SIGN = -0x8000_0000;

interface Part {
  /** Hash and reference in turn; reference 0: empty. Homes lie in [0, capacity). */
  readonly slots: Int32Array;
  readonly capacity: number;
  /** Leading bits that its hashes have in common. */
  readonly depth: number;
  /** capacity / 2^32 */
  readonly scale: number;
  count: number;
}

function newPart(capacity: number, depth: number, slack: number): Part {
  return { slots: new Int32Array((capacity + slack) * 2), capacity, depth, scale: capacity / 2 ** 32, count: 0 };
}

const slackOf = (capacity: number): number => SLACK_FIRST + Math.ceil(capacity / SLACK_PER_SLOTS);
const isFull = (capacity: number, count: number): boolean => count * 5 > capacity * 4;
/** Just grown: 8/15 full. */
const capacityFor = (count: number): number => Math.max(PART_CAPACITY_FIRST, Math.ceil((count * 15) / 8));

function copy(from: Part, to: Part, isLive: ((ref: number) => boolean) | null): boolean {
  const { slots } = from;
  const end = to.slots.length - 2;
  let free = 0;
  for (let at = 0; at < slots.length; at += 2) {
    const ref = slots[at + 1]!;
    if (ref === 0 || (isLive !== null && !isLive(ref))) continue;
    const hash = slots[at]!;
    const home = (((((hash ^ SIGN) << to.depth) >>> 0) * to.scale) | 0) * 2;
    const slot = home > free ? home : free;
    if (slot >= end) return false;
    to.slots[slot] = hash;
    to.slots[slot + 1] = ref;
    to.count++;
    free = slot + 2;
  }
  return true;
}

/** The same entries in other slots. */
function rebuilt(part: Part, capacity: number, slackMin: number, isLive: ((ref: number) => boolean) | null): Part {
  for (let slack = Math.max(slackMin, slackOf(capacity)); ; slack *= 2) {
    const made = newPart(capacity, part.depth, slack);
    if (copy(part, made, isLive)) return made;
  }
}

/** Where entries whose hashes have the bit `depth` set begin. */
function middleOf(part: Part): number {
  const { slots } = part;
  const bit = 1 << (31 - part.depth);
  let at = 0;
  while (at < slots.length && (slots[at + 1] === 0 || ((slots[at]! ^ SIGN) & bit) === 0)) at += 2;
  return at;
}

function half(part: Part, from: number, to: number): Part {
  let count = 0;
  for (let at = from; at < to; at += 2) if (part.slots[at + 1] !== 0) count++;
  const taken = { ...part, slots: part.slots.subarray(from, to), depth: part.depth + 1 };
  return rebuilt(taken, capacityFor(count), 0, null);
}

export class RowIndex {
  /** 2 ** depth of them; a part of lesser depth is there several times. */
  #parts: Part[] = [newPart(PART_CAPACITY_FIRST, 0, SLACK_FIRST)];
  #depth = 0;
  #slotBytes = this.#parts[0]!.slots.byteLength;
  #size = 0;
  /** Where `seek` and `next` stand. */
  #part: Part = this.#parts[0]!;
  #at = 0;
  /** Where `drain` goes on: a part, and a place in it. */
  #drained = 0;
  #drainedAt = 0;
  readonly #isLive: ((ref: number) => boolean) | null;
  /** The reference found last. */
  ref = 0;

  /** @param isLive the entries that it refuses are dropped when their part is full */
  constructor(isLive: ((ref: number) => boolean) | null = null) {
    this.#isLive = isLive;
  }

  get size(): number {
    return this.#size;
  }

  /** Heap bytes, for the accounting. */
  get bytes(): number {
    return this.#slotBytes + this.#parts.length * 8;
  }

  /** Whether an entry has this hash; its reference is then in `ref`. */
  seek(hash: number): boolean {
    const part = this.#parts[((hash ^ SIGN) >>> 1) >>> (31 - this.#depth)]!;
    const { slots } = part;
    let at = (((((hash ^ SIGN) << part.depth) >>> 0) * part.scale) | 0) * 2;
    let ref = slots[at + 1]!;
    while (ref !== 0 && slots[at]! < hash) {
      at += 2;
      ref = slots[at + 1]!;
    }
    this.#part = part;
    this.#at = at;
    this.ref = ref;
    return ref !== 0 && slots[at] === hash;
  }

  /** After a hit: whether a further entry has the same hash. */
  next(): boolean {
    const { slots } = this.#part;
    const hash = slots[this.#at];
    this.#at += 2;
    this.ref = slots[this.#at + 1]!;
    return this.ref !== 0 && slots[this.#at] === hash;
  }

  /** After a hit: the entry names another row from now on. */
  replace(ref: number): void {
    this.#part.slots[this.#at + 1] = ref;
  }

  /** After a hit: drops the entry. Entries behind it that are not at home move up by one (R1). */
  remove(): void {
    const part = this.#part;
    const { slots } = part;
    let at = this.#at;
    for (let next = at + 2; slots[next + 1] !== 0; next += 2) {
      const home = (((((slots[next]! ^ SIGN) << part.depth) >>> 0) * part.scale) | 0) * 2;
      if (home === next) break;
      slots[at] = slots[next]!;
      slots[at + 1] = slots[next + 1]!;
      at = next;
    }
    slots[at + 1] = 0;
    part.count--;
    this.#size--;
  }

  /** Enters the hash that `seek` or `next` has just said no to. */
  insert(hash: number, ref: number): void {
    if (isFull(this.#part.capacity, this.#part.count + 1)) {
      this.#grow(this.#first(this.#part, hash));
      this.seek(hash);
      this.insert(hash, ref);
      return;
    }
    const part = this.#part;
    const { slots } = part;
    let at = this.#at;
    let movedHash = hash;
    let movedRef = ref;
    for (let there = slots[at + 1]!; there !== 0; there = slots[at + 1]!) {
      const thereHash = slots[at]!;
      slots[at] = movedHash;
      slots[at + 1] = movedRef;
      movedHash = thereHash;
      movedRef = there;
      at += 2;
    }
    slots[at] = movedHash;
    slots[at + 1] = movedRef;
    part.count++;
    this.#size++;
    if (at === slots.length - 2)
      this.#put(this.#first(part, hash), rebuilt(part, part.capacity, (slots.length / 2 - part.capacity) * 2, null));
  }

  /** Makes room for `count` more entries, spread evenly over the hashes. */
  reserve(count: number): void {
    this.makeRoom(0, 0, count);
  }

  /** The same over the hashes whose first `depth` bits are `prefix`. */
  makeRoom(prefix: number, depth: number, count: number): void {
    if (count === 0) return;
    const range = (first: number): Part => this.#parts[first]!;
    while (this.#depth < depth) this.#double();
    const first = prefix << (this.#depth - depth);
    if (range(first).depth < depth) {
      this.#split(this.#start(first, range(first)));
      this.makeRoom(prefix, depth, count);
      return;
    }
    const part = range(first);
    if (part.depth > depth) {
      this.makeRoom(prefix * 2, depth + 1, count / 2);
      this.makeRoom(prefix * 2 + 1, depth + 1, count / 2);
      return;
    }
    if (!isFull(part.capacity, part.count + count)) return;
    const capacity = capacityFor(part.count + count);
    if (capacity > PART_CAPACITY_MAX && depth < DEPTH_MAX) {
      this.#split(first);
      this.makeRoom(prefix, depth, count);
      return;
    }
    this.#put(first, rebuilt(part, capacity, 0, this.#isLive));
  }

  /** Gives each entry another reference; 0 drops it. */
  renumber(to: (ref: number) => number): void {
    for (let first = 0; first < this.#parts.length;) {
      const part = this.#parts[first]!;
      const { slots } = part;
      let dropped = false;
      for (let at = 1; at < slots.length; at += 2) {
        if (slots[at] === 0) continue;
        slots[at] = to(slots[at]!);
        dropped ||= slots[at] === 0;
      }
      if (dropped) this.#put(first, rebuilt(part, part.capacity, slots.length / 2 - part.capacity, null));
      first += 2 ** (this.#depth - part.depth);
    }
  }

  /**
   * Hands the next `count` entries to `take` in the order of their hashes; false: none is left. A part is there until all
   * of it has gone.
   * @param begin is told before each part: the bits that its hashes begin with, how many, and how many entries come
   */
  drain(
    count: number,
    begin: (prefix: number, depth: number, count: number) => void,
    take: (hash: number, ref: number) => void,
  ): boolean {
    for (let left = count; this.#drained < this.#parts.length;) {
      const { slots, depth, count: entries } = this.#parts[this.#drained]!;
      const places = 2 ** (this.#depth - depth);
      if (this.#drainedAt === 0) begin(this.#drained / places, depth, entries);
      let at = this.#drainedAt;
      for (; at < slots.length && left > 0; at += 2) {
        if (slots[at + 1] === 0) continue;
        take(slots[at]!, slots[at + 1]!);
        left--;
      }
      this.#drainedAt = at;
      if (at < slots.length) return true;
      this.#put(this.#drained, newPart(1, depth, 1));
      this.#drained += places;
      this.#drainedAt = 0;
    }
    return false;
  }

  /** The first place of a part that covers a hash. */
  #first(part: Part, hash: number): number {
    return this.#start(((hash ^ SIGN) >>> 1) >>> (31 - this.#depth), part);
  }

  #start(place: number, part: Part): number {
    return place & -(2 ** (this.#depth - part.depth));
  }

  /** Room for more in a full part. */
  #grow(first: number): void {
    const part = this.#parts[first]!;
    let live = part.count;
    if (this.#isLive !== null)
      for (let at = 1; at < part.slots.length; at += 2)
        if (part.slots[at] !== 0 && !this.#isLive(part.slots[at]!)) live--;
    if (live * 2 < part.capacity) this.#put(first, rebuilt(part, capacityFor(live + 1), 0, this.#isLive));
    else if (part.capacity * 1.5 <= PART_CAPACITY_MAX || part.depth >= DEPTH_MAX)
      this.#put(first, rebuilt(part, Math.ceil(part.capacity * 1.5), 0, this.#isLive));
    else this.#split(first);
  }

  #split(first: number): void {
    const part = this.#parts[first]!;
    if (part.depth === this.#depth) {
      this.#double();
      this.#split(first * 2);
      return;
    }
    const middle = middleOf(part);
    const places = 2 ** (this.#depth - part.depth);
    const [low, high] = [half(part, 0, middle), half(part, middle, part.slots.length)];
    this.#put(first, low);
    this.#parts.fill(high, first + places / 2, first + places);
    this.#slotBytes += high.slots.byteLength;
    this.#size += high.count;
  }

  #double(): void {
    this.#parts = this.#parts.flatMap((part) => [part, part]);
    this.#depth++;
  }

  /** Puts a part in the place of the one that begins there. */
  #put(first: number, part: Part): void {
    const before = this.#parts[first]!;
    this.#parts.fill(part, first, first + 2 ** (this.#depth - part.depth));
    this.#slotBytes += part.slots.byteLength - before.slots.byteLength;
    this.#size += part.count - before.count;
  }
}
