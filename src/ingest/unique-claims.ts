/**
 * Locking the values that a transaction's own new rows have in UNIQUE constraints, and looking for the rows that have them already.
 *
 * - C1 Rows of a statement are looked at when all that it deletes is deleted.
 */
import { invariant, type SqlError } from '../errors.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import type { Table } from '../storage/table.ts';
import type { UniqueKey } from '../storage/unique-key.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import type { TableWrites, Transaction } from './transaction.ts';
import { BufferValues, type ValuesAt } from './buffer-values.ts';
import { uniqueViolation } from './row-errors.ts';
import { ValueSearch } from './unique-search.ts';
import { ownRowOf, stateOf, type HeldValues } from './unique-writes.ts';
import type { WriteContext } from './write-rows.ts';

const value: KeyWords = new Int32Array(4);
const NOTHING_KEPT: ReadonlySet<number> = new Set();

/**
 * Claims the values of all own rows that are not claimed yet.
 * @param kept columns, in def order, in which these rows have what rows had that the transaction has deleted for them: nobody else
 * has that
 * @returns null when it is done at once
 * @throws {SqlError} 23505, 40P01, 55P03, 57014
 */
export function claimValues(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  kept: ReadonlySet<number> = NOTHING_KEPT,
): Promise<void> | null {
  const { parts } = writes.claimed();
  for (let i = 0; i < parts.length; i++) {
    const done = claimPart(context, transaction, writes, parts[i]!, kept);
    if (done !== null) return done.then(() => claimRest(context, transaction, writes, parts.slice(i + 1), kept));
  }
  return null;
}

async function claimRest(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  parts: readonly HeldValues[],
  kept: ReadonlySet<number>,
): Promise<void> {
  for (const part of parts) await claimPart(context, transaction, writes, part, kept);
}

function claimPart(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  part: HeldValues,
  kept: ReadonlySet<number>,
): Promise<void> | null {
  const isKept = part.unique.isKept(kept);
  const { rows } = writes.inserted;
  const searched = new Claim(context, transaction, writes, part, isKept).run();
  if (searched === null) part.claimed = rows;
  return searched?.then(() => void (part.claimed = rows)) ?? null;
}

class Claim extends ValueSearch {
  readonly #isKept: boolean;
  readonly #values: BufferValues;

  constructor(context: WriteContext, transaction: Transaction, writes: TableWrites, part: HeldValues, isKept: boolean) {
    super(context, transaction, writes, part, part.claimed);
    this.#isKept = isKept;
    this.#values = new BufferValues(writes.inserted, part.unique);
  }

  protected override get rows(): number {
    return this.writes.inserted.rows;
  }

  protected override valuesOf(row: number): ValuesAt | null {
    return this.writes.isDead(row) ? null : this.#values.at(row);
  }

  protected override locked(row: number, at: ValuesAt, state: number, words: KeyWords): boolean {
    const own = ownRowOf(state);
    if (own >= 0 && own !== row && !this.writes.isDead(own))
      throw duplicateValue(this.table, this.unique, at.vectors, at.row);
    if (state !== 0) this.part.keys.changing(words, state);
    this.unique.locks.put(stateOf(row));
    return state === 0 && !this.#isKept;
  }

  protected override met(_row: number, at: ValuesAt): void {
    this.giveBack(at);
    throw duplicateValue(this.table, this.unique, at.vectors, at.row);
  }
}

/** Own row `row` has a value that is locked. */
export function noteOwnRow({ unique, keys: held }: HeldValues, { vectors, row: at }: ValuesAt, row: number): void {
  const { keys, locks } = unique;
  keys.encode(vectors, at, value);
  invariant(locks.find(value, keys.hash(value)), 'C11 a value is locked before a row has it');
  if (locks.b !== 0) held.changing(value, locks.b);
  locks.put(stateOf(row));
}

/** `vectors` in the constraint's order (U2 of unique-key.ts). */
function duplicateValue(
  { def }: Table,
  { index, fieldIds }: UniqueKey,
  vectors: readonly ColumnVector[],
  row: number,
): SqlError {
  const columns = index.columns.map(({ fieldId }) => def.columns.find((column) => column.fieldId === fieldId)!);
  const inOrder = columns.map(({ fieldId }) => vectors[fieldIds.indexOf(fieldId)]!);
  return uniqueViolation(def, index.name, columns, inOrder, row);
}
