/**
 * A unit's delete list: append-only entries (position, LSN), in LSN order (C4). A reader pins its published length;
 * a cut at L takes the entries ≤ L; a flush or commit carries over what came after the length it took.
 *
 * Positions lie in slab blocks, where the engine reads them; LSNs and the bits of what is dead stay on main. Entries of one
 * transaction have one LSN, so LSNs are kept by runs.
 *
 * A unit that goes as a whole costs one step, however many rows it has: the entries of all rows that were alive are there, in the
 * order of their positions, and lie nowhere (`killAll`). Such a list is at its end: a wholly dead unit gets no more rows, and no scan reads it.
 */
import { invariant } from '../../errors.ts';
import type { Lsn } from '../../table-def.ts';
import type { Pins } from '../pins.ts';
import type { DeleteRef } from '../scan-spec.ts';
import { RowBits } from './row-bits.ts';
import { BLOCK_BYTES_MIN, type SlabPool } from './slab-pool.ts';
import type { Address } from './slab.ts';

interface Block {
  readonly address: Address;
  readonly bytes: number;
  readonly words: Int32Array;
}

const BLOCK_BYTES_MAX = 1 << 20;
/** Fewer runs than these keep their LSNs. */
const SETTLE_RUNS_MIN = 64;
const NO_ENDS = new Uint32Array(0);
const NO_LSNS = new Float64Array(0);
const one = new Uint32Array(1);

export class DeleteList {
  readonly #pool: SlabPool;
  readonly #blocks: Block[] = [];
  /** Of the entries after the settled ones, by runs of one LSN: where each ends. */
  #ends = NO_ENDS;
  #lsns = NO_LSNS;
  #runs = 0;
  #settled = 0;
  readonly #dead = new RowBits();
  #capacity = 0;
  #retired = false;
  /** Rows of a unit that went as a whole; 0: it did not. Its entries up to `#listed` have positions in blocks. */
  #whole = 0;
  #listed = 0;
  /** Entries appended; those past `published` belong to transactions not yet visible. */
  length = 0;
  published = 0;
  /** After a flush or a rewrite: where later entries have gone, by their LSN; a transaction on its way publishes there too. */
  forward: DeleteList | null = null;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  /** Bytes of slab blocks. */
  get slabBytes(): number {
    return this.#capacity * 4;
  }

  /** Of LSNs and bits, as the pool has counted them. */
  #heapBytes = 0;
  #count(bytes: number): void {
    this.#heapBytes += bytes;
    this.#pool.heapBytes += bytes;
  }

  /** Makes sure that `count` more entries fit; false when the pool has no room. Call before the LSN is taken. */
  reserve(count: number): boolean {
    while (this.#capacity < this.length + count) {
      const last = this.#blocks.at(-1);
      const bytes = last === undefined ? BLOCK_BYTES_MIN : Math.min(last.bytes * 2, BLOCK_BYTES_MAX);
      const address = this.#pool.allocate(bytes);
      if (address < 0) return false;
      this.#blocks.push({ address, bytes, words: this.#pool.directory.words(address, bytes / 4) });
      this.#capacity += bytes / 4;
      this.#pool.deleteBytes += bytes;
    }
    return true;
  }

  /** Appends a deleted position; its room was reserved. The position must be alive. */
  append(position: number, lsn: Lsn): void {
    one[0] = position;
    this.appendAll(one, lsn);
  }

  /** Appends deleted positions; their room was reserved. All must be alive. */
  appendAll(positions: Uint32Array, lsn: Lsn): void {
    const count = positions.length;
    const { length } = this;
    invariant(this.#whole === 0 || count === 0, 'no row of a unit is deleted that is wholly gone');
    invariant(length === 0 || this.lsnAt(length - 1) <= lsn, 'delete entries are in LSN order');
    invariant(length + count <= this.#capacity, 'room for a delete entry was reserved');
    if (count === 0) return;
    this.#stamp(length + count, lsn);
    let done = 0;
    let start = 0;
    for (const { words } of this.#blocks) {
      const at = length + done - start;
      start += words.length;
      if (at >= words.length) continue;
      const part = Math.min(count - done, words.length - at);
      if (part === 1) words[at] = positions[done]!;
      else words.set(positions.subarray(done, done + part), at);
      done += part;
      if (done === count) break;
    }
    this.length = length + count;
    for (let i = 0; i < count; i++) this.#kill(positions[i]!);
  }

  /** Deletes all of the unit's rows that are alive; it gets no more. How many they were. */
  killAll(rows: number, lsn: Lsn): number {
    const { length } = this;
    if (length >= rows) return 0;
    invariant(length === 0 || this.lsnAt(length - 1) <= lsn, 'delete entries are in LSN order');
    this.#listed = length;
    this.#whole = rows;
    this.#stamp(rows, lsn);
    this.length = rows;
    return rows - length;
  }

  /** Entries that have positions of their own; those after them are of the rows that went together. */
  get listed(): number {
    return this.#whole === 0 ? this.length : this.#listed;
  }

  /** Entries up to `end` have that LSN. */
  #stamp(end: number, lsn: Lsn): void {
    if (this.#runs > 0 && this.#lsns[this.#runs - 1] === lsn) {
      this.#ends[this.#runs - 1] = end;
      return;
    }
    if (this.#runs === this.#lsns.length) this.#keepRuns(0, Math.max(16, this.#runs * 2));
    this.#ends[this.#runs] = end;
    this.#lsns[this.#runs++] = lsn;
  }

  /** The runs from `first` on, in arrays with room for so many. */
  #keepRuns(first: number, capacity: number): void {
    const [ends, lsns] = [new Uint32Array(capacity), new Float64Array(capacity)];
    ends.set(this.#ends.subarray(first, this.#runs));
    lsns.set(this.#lsns.subarray(first, this.#runs));
    this.#count(ends.byteLength + lsns.byteLength - this.#ends.byteLength - this.#lsns.byteLength);
    this.#ends = ends;
    this.#lsns = lsns;
    this.#runs -= first;
  }

  /** The run of an entry that is not settled. */
  #runOf(index: number): number {
    let low = 0;
    let high = this.#runs;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ends[middle]! <= index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #kill(position: number): void {
    invariant(!this.#dead.has(position), 'a row is deleted once');
    const grown = this.#dead.add(position);
    if (grown > 0) this.#count(grown);
  }

  /** Takes the entries after the first `length` back; for a list that no reader has pinned any further. */
  truncate(length: number): void {
    const { listed } = this;
    if (length < this.length) this.#whole = 0;
    for (const position of this.#listedPositions(Math.min(length, listed), listed)) this.#dead.delete(position);
    this.length = length;
    this.published = Math.min(this.published, length);
    this.#runs = length > this.#settled ? this.#runOf(length - 1) + 1 : 0;
    if (this.#runs > 0) this.#ends[this.#runs - 1] = length;
  }

  /** Makes the first `length` entries visible. */
  publish(length: number): void {
    if (length > this.published) this.published = length;
    if (this.forward !== null && length > 0) this.forward.publish(this.forward.lengthAt(this.lsnAt(length - 1)));
  }

  /** Whether the row is deleted, by a visible transaction or one on its way. */
  has(position: number): boolean {
    return position < this.#whole || this.#dead.has(position);
  }

  /** Whether the row is deleted by a visible transaction. Looks through the entries of those on their way. */
  hasPublished(position: number): boolean {
    if (!this.has(position)) return false;
    if (this.published === this.length) return true;
    const { listed, published } = this;
    return this.#dead.has(position) && !this.#listedPositions(Math.min(published, listed), listed).includes(position);
  }

  /** 0 for settled entries. */
  lsnAt(index: number): Lsn {
    if (index < this.#settled) return 0;
    return index === this.length - 1 ? this.#lsns[this.#runs - 1]! : this.#lsns[this.#runOf(index)]!;
  }

  /** The first `length` entries are in Iceberg: no cut asks for their LSNs any more, and their memory goes. */
  settle(length: number): void {
    if (length <= this.#settled) return;
    const last = this.#runOf(length - 1);
    const dropped = this.#ends[last] === length ? last + 1 : last;
    if (dropped < SETTLE_RUNS_MIN) return;
    this.#settled = this.#ends[dropped - 1]!;
    this.#keepRuns(dropped, this.#runs - dropped);
  }

  /** Entries with an LSN ≤ `lsn`. */
  lengthAt(lsn: Lsn): number {
    let low = 0;
    let high = this.#runs;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#lsns[middle]! <= lsn) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? this.#settled : this.#ends[low - 1]!;
  }

  /** The positions of entries [from, to), copied. */
  positions(from: number, to: number): Uint32Array {
    const { listed } = this;
    if (to <= listed) return this.#listedPositions(from, to);
    const out = new Uint32Array(to - from);
    if (from < listed) out.set(this.#listedPositions(from, listed));
    let entry = listed;
    for (let position = 0; position < this.#whole && entry < to; position++) {
      if (this.#dead.has(position)) continue;
      if (entry >= from) out[entry - from] = position;
      entry++;
    }
    return out;
  }

  #listedPositions(from: number, to: number): Uint32Array {
    const out = new Uint32Array(to - from);
    let start = 0;
    for (const block of this.#blocks) {
      const end = start + block.words.length;
      const low = Math.max(from, start);
      const high = Math.min(to, end);
      if (low < high)
        out.set(
          new Uint32Array(block.words.buffer, block.words.byteOffset + (low - start) * 4, high - low),
          low - from,
        );
      start = end;
    }
    return out;
  }

  lsns(from: number, to: number): Float64Array {
    const out = new Float64Array(to - from);
    const start = Math.max(from, this.#settled);
    if (start >= to) return out;
    for (let at = start, run = this.#runOf(start); at < to; run++) {
      const end = Math.min(to, this.#ends[run]!);
      out.fill(this.#lsns[run]!, at - from, end - from);
      at = end;
    }
    return out;
  }

  /** The first `count` entries for a scan, or null when there are none. */
  ref(count: number): DeleteRef | null {
    if (count === 0) return null;
    invariant(count <= this.listed, 'a unit that is wholly gone is not scanned');
    const blocks: { address: Address; count: number }[] = [];
    let left = count;
    for (const block of this.#blocks) {
      if (left === 0) break;
      const taken = Math.min(left, block.words.length);
      blocks.push({ address: block.address, count: taken });
      left -= taken;
    }
    return { count, blocks };
  }

  /** Gives the memory back once no reader can name it. */
  retire(pins: Pins): void {
    this.#pool.deleteBytes -= this.slabBytes;
    this.#retired = true;
    pins.whenUnpinned(() => this.free(), this.slabBytes);
  }

  /** Gives the blocks back; only when no pin can name them. */
  free(): void {
    for (const block of this.#blocks) this.#pool.free(block.address, block.bytes);
    if (!this.#retired) this.#pool.deleteBytes -= this.slabBytes;
    this.#count(-this.#heapBytes);
    this.#blocks.length = 0;
    this.#capacity = 0;
  }
}
