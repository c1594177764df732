/**
 * The values of UNIQUE constraints of one table that a transaction has locked, and the rows of others that it has deleted, by place:
 * whoever finds a row with a value that it wants asks whether somebody is about to delete it.
 *
 * - U1 Each own row's values are claimed by the end of the statement that writes it (unique-claims.ts); a commit asserts it.
 * - U2 Own rows stay in memory, where their values are looked up: none is spilled to files.
 * - U3 A rollback to a savepoint takes values back as it does keys (S2 of held-keys.ts).
 */
import { invariant, SqlError, SqlState } from '../errors.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import { PagedBits } from '../storage/memory/paged-bits.ts';
import type { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { Table } from '../storage/table.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { BufferValues } from './buffer-values.ts';
import type { UniqueKey, UniqueWriter } from '../storage/unique-key.ts';
import { HeldKeys, type KeysMark } from './held-keys.ts';
import type { PackedPlaces } from './packed-places.ts';

/** Of one constraint. */
export interface HeldValues {
  unique: UniqueKey;
  readonly keys: HeldKeys;
  /** Own rows before this one have their values locked. */
  claimed: number;
}

interface ValuesMark {
  readonly keys: KeysMark;
  readonly claimed: number;
}
/** By lock table: that is what stays when a definition changes. */
export type UniqueMark = ReadonlyMap<UniqueKey['locks'], ValuesMark>;

const value: KeyWords = new Int32Array(4);

/** The state of a value's lock: the last own row that has had it. */
export const stateOf = (row: number): number => (row + 1) << 1;
/** -1: none. */
export const ownRowOf = (state: number): number => (state >>> 1) - 1;

const NO_KEYS: KeysMark = { held: 0, bits: 0, changes: 0 };

export class UniqueWrites implements UniqueWriter {
  readonly holder: number;
  readonly #deleted: PackedPlaces;
  parts: HeldValues[] = [];
  #of: readonly UniqueKey[] = [];
  /** Of the first `#known` deletions, by unit. */
  #bits = new Map<number, PagedBits>();
  #known = 0;

  constructor(holder: number, deleted: PackedPlaces) {
    this.holder = holder;
    this.#deleted = deleted;
  }

  /** The constraints that the table has now: values of those that are gone are given back. */
  of(table: Table): this {
    const { uniques } = table;
    if (uniques === this.#of) return this;
    table.writers.add(this);
    const before = this.parts;
    this.parts = uniques.map((unique) => {
      const known = before.find((each) => each.unique.locks === unique.locks);
      if (known === undefined) return this.#newPart(unique);
      known.unique = unique;
      return known;
    });
    for (const each of before) if (!this.parts.includes(each)) each.keys.release();
    this.#of = uniques;
    return this;
  }

  #newPart(unique: UniqueKey): HeldValues {
    const keys = new HeldKeys(unique, this.holder);
    keys.record(true); // a savepoint may be open
    return { unique, keys, claimed: 0 };
  }

  /** U1 @throws {SqlError} XX000 */
  assertClaimed(table: Table, rows: number): void {
    for (const { unique, claimed } of this.of(table).parts)
      if (claimed < rows)
        throw new SqlError(SqlState.internalError, `values of "${unique.index.name}" were not claimed before COMMIT`);
  }

  /**
   * Constraints have come, or have come back: own rows have their values locked there, too. What others have was looked at before, and the
   * transaction has the table alone.
   */
  carry(table: Table, inserted: RowBuffer, isDead: (row: number) => boolean): void {
    for (const part of this.of(table).parts) {
      const values = new BufferValues(inserted, part.unique);
      for (let row = part.claimed; row < inserted.rows; row++) {
        if (isDead(row)) continue;
        const { vectors, row: at } = values.at(row);
        if (part.unique.isWhole(vectors, at)) this.#lock(part, vectors, at, row);
      }
      part.claimed = Math.max(part.claimed, inserted.rows);
    }
  }

  #lock(
    { unique: { keys, locks }, keys: held }: HeldValues,
    vectors: readonly ColumnVector[],
    at: number,
    row: number,
  ): void {
    keys.encode(vectors, at, value);
    if (locks.claim(value, keys.hash(value), this.holder, stateOf(row))) held.remember(value);
    else {
      invariant(locks.a === this.holder, 'who has the table alone has its values alone');
      held.changing(value, locks.b);
      locks.put(stateOf(row));
    }
  }

  get heldBytes(): number {
    let bytes = 0;
    for (const { keys } of this.parts) bytes += keys.bytes;
    return bytes;
  }

  /** Whether it has deleted that row of others. */
  hasDeleted(unit: number, position: number): boolean {
    if (this.#known < this.#deleted.length) {
      this.#deleted.forRuns((each, positions) => {
        let bits = this.#bits.get(each);
        if (bits === undefined) this.#bits.set(each, (bits = new PagedBits()));
        for (const one of positions) bits.add(one);
      }, this.#known);
      this.#known = this.#deleted.length;
    }
    return this.#bits.get(unit)?.has(position) === true;
  }

  /** Deletions were taken back, or rows have gone elsewhere. */
  deletionsMoved(): void {
    this.#bits = new Map();
    this.#known = 0;
  }

  mark(): UniqueMark {
    for (const { keys } of this.parts) keys.record(true);
    return new Map(
      this.parts.map(({ unique, keys, claimed }) => [unique.locks, { keys: keys.mark(), claimed }] as const),
    );
  }

  record(recording: boolean): void {
    for (const { keys } of this.parts) keys.record(recording);
  }

  /** @param mark null: nothing was locked then */
  rollbackTo(mark: UniqueMark | null): void {
    for (const part of this.parts) {
      const before = mark?.get(part.unique.locks);
      part.keys.rollbackTo(before?.keys ?? NO_KEYS, () => {});
      part.claimed = Math.min(part.claimed, before?.claimed ?? 0);
    }
  }

  release(table: Table): void {
    table.writers.delete(this);
    for (const { keys } of this.parts) keys.release();
    this.parts = [];
    this.#of = [];
  }
}
