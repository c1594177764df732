/**
 * Files with a transaction's own rows of one table that had no more room in memory (H1). Until its commit nobody else sees
 * them: they are in no Version and in no manifest, and the transaction's own deletions are in their delete lists.
 *
 * - U1 A file holds own rows [from, to) and no others, without those that were dead when it was written. No file spans a
 *   savepoint, so a rollback to one drops whole files.
 * - U2 Whatever key a file may hold by its bounds is locked by the transaction.
 */
import type { Lsn } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import type { DataFileUnit } from './file-unit.ts';
import { integerAt } from './memory/slice.ts';

export interface SpilledUnit {
  readonly file: DataFileUnit;
  /** The own rows that it was written from. */
  readonly from: number;
  readonly to: number;
}

const NO_RANGE = { min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY };

export class SpilledUnits {
  readonly #units: SpilledUnit[] = [];
  /** Made with the first: every transaction has one of these, and few have files. */
  #byNumber: Map<number, SpilledUnit> | null = null;
  /** Of the key's first column, over all files. */
  #range = NO_RANGE;

  get size(): number {
    return this.#units.length;
  }

  get all(): readonly SpilledUnit[] {
    return this.#units;
  }

  get files(): readonly DataFileUnit[] {
    return this.#units.map(({ file }) => file);
  }

  /** Rows that are deleted again. */
  get dead(): number {
    let dead = 0;
    for (const { file } of this.#units) dead += file.deletes.length;
    return dead;
  }

  find(unit: number): SpilledUnit | undefined {
    return this.#byNumber?.get(unit);
  }

  add(unit: SpilledUnit): void {
    this.#units.push(unit);
    this.#byNumber ??= new Map();
    this.#byNumber.set(unit.file.unit, unit);
    this.#widen(unit.file);
  }

  #widen({ keyRange }: DataFileUnit): void {
    const { min, max } = this.#range;
    this.#range = { min: Math.min(min, keyRange.min), max: Math.max(max, keyRange.max) };
  }

  /** Whether a file may hold a row by its key; `vectors` in the key's order. Rising integers are seen to be in none at once. */
  mayHold(vectors: readonly ColumnVector[], row: number): boolean {
    if (this.#units.length === 0) return false;
    const first = vectors[0]!;
    if (first.physical === 'int32' || first.physical === 'int64') {
      const value = integerAt(first, row);
      if (value < this.#range.min || value > this.#range.max) return false;
    }
    for (let i = this.#units.length - 1; i >= 0; i--) if (this.#units[i]!.file.mayHold(vectors, row)) return true;
    return false;
  }

  /** The transaction deletes one of its rows. False: there is no room for the entry. */
  kill({ file: { deletes } }: SpilledUnit, position: number): boolean {
    if (!deletes.reserve(1)) return false;
    deletes.append(position, 0);
    deletes.publish(deletes.length);
    return true;
  }

  /** The transaction deletes all of them. */
  killAll({ file: { deletes, rows } }: SpilledUnit): void {
    deletes.killAll(rows, 0);
    deletes.publish(deletes.length);
  }

  /** Lengths of the delete lists, for `rollbackTo`. */
  mark(): readonly number[] {
    return this.#units.map(({ file }) => file.deletes.length);
  }

  /** Back to a mark, with so many own rows: files of later rows are taken out and returned, later deletions are forgotten. */
  rollbackTo(rows: number, mark: readonly number[]): readonly SpilledUnit[] {
    const kept = this.#units.findIndex(({ to }) => to > rows); // U1: they are in the order of their rows
    const dropped = kept < 0 ? [] : this.#units.splice(kept);
    for (const { file } of dropped) this.#byNumber?.delete(file.unit);
    this.#units.forEach(({ file: { deletes } }, i) => {
      const length = mark[i] ?? 0; // rows from before the mark that were spilled after it
      if (deletes.length > length) deletes.truncate(length);
    });
    this.#range = NO_RANGE;
    for (const { file } of this.#units) this.#widen(file);
    return dropped;
  }

  /** The commit has LSNs: the files are units of the table now, those that still have rows; the others are returned, too. */
  release(
    lsnFrom: Lsn,
    lsnTo: Lsn,
  ): { readonly live: readonly DataFileUnit[]; readonly empty: readonly DataFileUnit[] } {
    const files = this.#units.splice(0).map(({ file }) => file);
    this.#byNumber = null;
    this.#range = NO_RANGE;
    for (const file of files) file.committed(lsnFrom, lsnTo);
    return {
      live: files.filter((file) => file.deletes.length < file.rows),
      empty: files.filter((file) => file.deletes.length === file.rows),
    };
  }
}
