/**
 * The keys of one table, or the values of one UNIQUE constraint, that a transaction holds in the lock table: for giving them back, at its end or at a rollback to a
 * savepoint.
 *
 * - S1 While no savepoint is open nothing is kept but the keys themselves.
 * - S2 While one is open, each change to a key that may have been held before is kept with what it was: a rollback walks the
 *   changes backwards, then gives back what was locked since. What it puts back are own rows of before the savepoint only.
 */
import { invariant } from '../errors.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import type { Table } from '../storage/table.ts';
import { PackedPlaces } from './packed-places.ts';

const key: KeyWords = new Int32Array(4);
const NONE = new Int32Array(0);

/** Five words a change: the key and its state, or no key and an own row that the index of own rows has forgotten. */
const CHANGE = 6;
const OF_STATE = 1;
const OF_OWN_ROW = 2;

/** How far the keys were at a savepoint. */
export interface KeysMark {
  readonly held: number;
  readonly bits: number;
  readonly changes: number;
}

/** A table, or one of its UNIQUE constraints. */
type Locked = Pick<Table, 'locks' | 'keys'>;

export class HeldKeys {
  readonly #table: Locked;
  readonly #holder: number;
  /** Those that are bits of the lock table, by upper and lower word; made with the first. */
  #bits: PackedPlaces | null = null;
  /** Four words each. */
  #words = NONE;
  #held = 0;
  #changes = NONE;
  #changed = 0;
  /** A savepoint is open. */
  #recording = false;

  constructor(table: Locked, holder: number) {
    this.#table = table;
    this.#holder = holder;
  }

  /** Heap bytes. */
  get bytes(): number {
    return this.#words.byteLength + this.#changes.byteLength;
  }

  /** Locks a key whose row a large transaction deletes. False: it holds it already. */
  lockSettled(words: KeyWords, hash: number): boolean {
    const settled = this.#table.locks.claimSettled(words, hash, this.#holder);
    if (settled === 'held') return false;
    if (settled === 'entry') this.remember(words);
    else (this.#bits ??= new PackedPlaces()).push(words[1]!, words[0]! >>> 0);
    return true;
  }

  /** A key was entered in the lock table. */
  remember(words: KeyWords): void {
    const at = this.#held++ * 4;
    if (at === this.#words.length) this.#words = grown(this.#words, 16);
    for (let i = 0; i < 4; i++) this.#words[at + i] = words[i]!;
  }

  /** Gives a key back that was the last to be entered, and that nothing was done with. False: another one was. */
  giveBackLast(words: KeyWords): boolean {
    if (this.#held === 0) return false;
    if (!this.#isAt(this.#held - 1, words)) return false;
    this.#giveBack(this.#held - 1);
    return true;
  }

  /** Gives a key back, whatever was done with it: it is as if it had not been entered. Of the last ones it is found soon. */
  giveBackOne(words: KeyWords): void {
    const { locks, keys } = this.#table;
    let n = this.#held - 1;
    while (n >= 0 && !this.#isAt(n, words)) n--;
    invariant(n >= 0, 'S2 a key that is given back is held');
    locks.delete(words, keys.hash(words));
    this.#words.copyWithin(n * 4, (n + 1) * 4, this.#held * 4);
    this.#held--;
  }

  #isAt(n: number, words: KeyWords): boolean {
    for (let i = 0; i < 4; i++) if (this.#words[n * 4 + i] !== words[i]) return false;
    return true;
  }

  /** Gives back the keys entered since, while no savepoint began, with which nothing was done. @returns whether there were any */
  giveBackUnused({ held: from }: KeysMark): boolean {
    const { locks } = this.#table;
    const before = this.#held;
    this.#held = from;
    for (let n = from; n < before; n++) {
      const hash = this.#load(n);
      if (locks.find(key, hash) && locks.b === 0) locks.delete(key, hash);
      else this.remember(key);
    }
    return this.#held < before;
  }

  /** The state of a key that is held is about to change. */
  changing(words: KeyWords, state: number): void {
    if (this.#recording) this.#record(OF_STATE, words, state);
  }

  /** The index of own rows names another row in the place of this one. */
  replaced(ownRow: number): void {
    if (this.#recording) this.#record(OF_OWN_ROW, key, ownRow);
  }

  #record(kind: number, words: KeyWords, value: number): void {
    const at = this.#changed++ * CHANGE;
    if (at === this.#changes.length) this.#changes = grown(this.#changes, CHANGE * 8);
    this.#changes[at] = kind;
    for (let i = 0; i < 4; i++) this.#changes[at + 1 + i] = words[i]!;
    this.#changes[at + 5] = value;
  }

  /** A savepoint begins, or the last one has ended. */
  record(recording: boolean): void {
    this.#recording = recording;
    if (recording) return;
    this.#changes = NONE;
    this.#changed = 0;
  }

  mark(): KeysMark {
    return { held: this.#held, bits: this.#bits?.length ?? 0, changes: this.#changed };
  }

  /**
   * Back to a savepoint.
   * @param restore told of own rows that the index of own rows has to name again, the last word on a key last
   */
  rollbackTo(mark: KeysMark, restore: (ownRow: number) => void): void {
    const { locks } = this.#table;
    while (this.#changed > mark.changes) {
      const at = --this.#changed * CHANGE;
      const value = this.#changes[at + 5]!;
      if (this.#changes[at] === OF_OWN_ROW) {
        restore(value);
        continue;
      }
      key.set(this.#changes.subarray(at + 1, at + 5));
      invariant(locks.find(key, this.#table.keys.hash(key)), 'S2 a key that was changed is held');
      locks.put(value);
      if (value >> 1 !== 0) restore((value >> 1) - 1);
    }
    this.#giveBack(mark.held);
    this.#bits?.forRuns((upper, lowers) => {
      for (const lower of lowers) locks.deleteBit(upper, lower, this.#holder);
    }, mark.bits);
    this.#bits?.truncate(mark.bits);
  }

  /** Gives all of them back. */
  release(): void {
    this.#giveBack(0);
    this.#words = NONE;
    if (this.#bits !== null) this.#table.locks.releaseBits(this.#holder);
    this.#bits = null;
    this.record(false);
  }

  #giveBack(from: number): void {
    const { locks } = this.#table;
    while (this.#held > from) {
      const hash = this.#load(--this.#held);
      locks.delete(key, hash);
    }
  }

  /**
   * An index of own rows has taken over: it holds the keys of own rows. Those that a rollback asks for stay here, too.
   * @param marks of the savepoints that are open, in order: as they are afterwards is answered
   */
  keepDeletedOnly(marks: readonly KeysMark[]): readonly KeysMark[] {
    const { locks } = this.#table;
    const asked = new Set<string>();
    for (let at = 0; at < this.#changed * CHANGE; at += CHANGE)
      if (this.#changes[at] === OF_STATE) asked.add(this.#changes.subarray(at + 1, at + 5).join());
    const held = marks.map((mark) => mark.held);
    const before = this.#held;
    this.#held = 0;
    for (let n = 0, next = 0; n <= before; n++) {
      for (; next < marks.length && marks[next]!.held === n; next++) held[next] = this.#held;
      if (n === before) break;
      const hash = this.#load(n);
      const isOwn = !locks.find(key, hash) || locks.b >> 1 !== 0;
      if (isOwn && !asked.has(key.join())) locks.delete(key, hash);
      else this.remember(key);
    }
    return marks.map((mark, i) => ({ ...mark, held: held[i]! }));
  }

  /** Puts the `n`th key into `key`; its hash. */
  #load(n: number): number {
    for (let i = 0; i < 4; i++) key[i] = this.#words[n * 4 + i]!;
    return this.#table.keys.hash(key);
  }
}

function grown(words: Int32Array, first: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(Math.max(first, words.length * 2));
  larger.set(words);
  return larger;
}
