/**
 * INSERT … ON CONFLICT. Proposed rows come in portions; of each the keys are locked and looked for (`ingest/keyed-rows.ts`), old
 * rows are read where the new ones depend on them, and all new rows of a portion are computed at once: by main where it
 * can, else by one query over (old, excluded).
 *
 * - F1 Rows go in the order in which they were proposed, and RETURNING with them.
 * - F2 A key is written once in a statement (21000); DO NOTHING leaves later ones out.
 */
import { invariant, SqlError, SqlState } from '../errors.ts';
import {
  deleteLocated,
  keysOf,
  locate,
  lockAndLocate,
  noteAbsent,
  NOWHERE,
  type KeyRows,
  type Located,
} from '../ingest/keyed-rows.ts';
import { assertOpen } from '../ingest/key-locks.ts';
import type { TableWrites } from '../ingest/transaction.ts';
import { insertRows } from '../ingest/write-rows.ts';
import type { Conflict } from '../planner/plan.ts';
import { OwnIndex } from '../storage/memory/own-index.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import type { MaybePromise } from '../wire/gateway-api.ts';
import { appendRow, newRowsOf, noNewRows, touchedTwice, type NewRows, type Update } from './conflict-rows.ts';
import { readOldRows } from './old-rows.ts';
import { moveRows } from './bulk.ts';
import { checkSeen } from './seen-rows.ts';
import { insertByValues } from './unique-conflict.ts';
import { contextOf, type WriteEnvironment } from './write-environment.ts';

/** Proposed rows looked at together. */
const PORTION_ROWS = 8192;

export class ConflictingInsert {
  /** Rows proposed and not yet looked at. */
  readonly proposed: RowBuffer;
  readonly #environment: WriteEnvironment;
  readonly #writes: TableWrites;
  readonly #conflict: Conflict;
  /** First own row of the statement. */
  readonly #from: number;
  readonly #answer: (from: number) => MaybePromise<void>;

  /** @param answer called when own rows from `from` on are written: they are in memory still (RETURNING) */
  constructor(
    environment: WriteEnvironment,
    writes: TableWrites,
    conflict: Conflict,
    answer: (from: number) => MaybePromise<void> = () => {},
  ) {
    this.#answer = answer;
    this.#environment = environment;
    this.#writes = writes;
    this.#conflict = conflict;
    this.#from = writes.inserted.rows;
    this.proposed = new RowBuffer(environment.database.memory, writes.table.physicals);
  }

  /** After some rows were proposed. */
  async advance(): Promise<void> {
    if (this.proposed.rows >= PORTION_ROWS) await this.finish();
  }

  /** Writes what is proposed. @param answers false: nobody is told of it, for the statement fails */
  async finish(answers = true): Promise<void> {
    const { proposed } = this;
    if (proposed.rows === 0) return;
    const { table, inserted } = this.#writes;
    const before = inserted.rows;
    if (this.#conflict.arbiters.slots.length > 0) {
      await insertByValues(this.#environment, this.#writes, this.#conflict, proposed, this.#from);
      await insertRows(contextOf(this.#environment), this.#environment.transaction, this.#writes, before, false);
    } else if (!table.keyed) for (const batch of proposed.batches) inserted.append(batch.vectors(), 0, batch.rows);
    else {
      const keys = keysOf(table, proposed);
      const context = contextOf(this.#environment);
      const { transaction } = this.#environment;
      const mark = this.#writes.keys.mark();
      const located = await lockAndLocate(context, transaction, this.#writes, keys);
      if (this.#conflict.action === 'nothing') {
        this.#insertNew(keys, located);
        // a row that is there already was only looked at
        if (this.#writes.keys.giveBackUnused(mark)) transaction.wake();
      } else await this.#upsert(this.#conflict, keys, located);
      await this.#claim(before);
    }
    proposed.truncate(0);
    if (answers) await this.#answer(before);
    await moveRows(this.#environment, this.#writes, this.#from);
  }

  retire(): void {
    this.proposed.retire();
  }

  #insertNew(keys: readonly KeyRows[], located: Located): void {
    const { table } = this.#writes;
    const seen = new OwnIndex(0, table.keys, this.proposed);
    this.#eachProposal(keys, (n, vectors, row, full) => {
      if (located.units[n] !== NOWHERE) {
        checkSeen(this.#environment, this.#writes, located.units[n]!, located.positions[n]!);
        return;
      }
      table.encodeKey(vectors, row, words);
      if (seen.claim(table.keys.hash(words), vectors, row, n) >= 0) return;
      noteAbsent(this.#writes, vectors, row);
      this.#writes.inserted.append(full, row, row + 1);
    });
  }

  async #upsert(conflict: Update, keys: readonly KeyRows[], given: Located): Promise<void> {
    const writes = this.#writes;
    for (let n = 0; n < given.units.length; n++)
      if (this.#isNew(given.units[n]!, given.positions[n]!)) throw touchedTwice();
    const fresh = conflict.replaces ? null : await this.#newRows(conflict, keys, given);
    try {
      let located = given;
      const context = contextOf(this.#environment);
      while (located.version !== writes.table.version)
        located = await locate(context, this.#environment.transaction, writes, keys);
      assertOpen(this.#environment.transaction);
      this.#eachProposal(keys, (n, vectors, row, full) => {
        if (located.units[n] === NOWHERE) {
          noteAbsent(writes, vectors, row);
          writes.inserted.append(full, row, row + 1);
          return;
        }
        const made = fresh === null ? -1 : fresh.of[n]!;
        if (fresh !== null && made < 0) return;
        if (!deleteLocated(writes, vectors, row, located.units[n]!, located.positions[n]!)) throw touchedTwice();
        if (fresh === null) writes.inserted.append(full, row, row + 1);
        else appendRow(fresh.rows, made, writes.inserted);
        if (conflict.renames) writes.rename(vectors, row, writes.inserted.rows - 1);
      });
    } finally {
      fresh?.rows.retire();
    }
  }

  /** Whether an own row is one of this statement's. */
  #isNew(unit: number, position: number): boolean {
    const row = unit === this.#writes.unit ? position : (this.#writes.spilled.find(unit)?.from ?? -1);
    const { statement } = this.#environment.transaction;
    return row >= (statement?.firstRow(this.#writes) ?? this.#from);
  }

  /** The rows of the keys that are there, as SET and WHERE have them. */
  async #newRows(conflict: Update, keys: readonly KeyRows[], located: Located): Promise<NewRows> {
    const { table } = this.#writes;
    if (located.units.every((unit) => unit === NOWHERE)) return noNewRows(this.#environment, table, this.proposed.rows);
    const again = (): Located | Promise<Located> =>
      lockAndLocate(contextOf(this.#environment), this.#environment.transaction, this.#writes, keys);
    const old = await readOldRows(this.#environment, this.#writes, again, located, conflict.needed, () => true);
    try {
      return await newRowsOf(this.#environment, table, conflict, this.proposed, old);
    } finally {
      old.rows.retire();
    }
  }

  /** Own rows from `first` on get their keys: nobody else has them, so a duplicate is one of the statement's own. */
  async #claim(first: number): Promise<void> {
    try {
      await insertRows(contextOf(this.#environment), this.#environment.transaction, this.#writes, first, false);
    } catch (error) {
      const renames = this.#conflict.action === 'update' && this.#conflict.renames;
      if (renames || !(error instanceof SqlError) || error.code !== SqlState.uniqueViolation) throw error;
      if (error.fields.constraint !== this.#writes.table.def.keyName) throw error;
      invariant(this.#conflict.action === 'update', 'DO NOTHING leaves duplicates out');
      throw touchedTwice();
    }
  }

  /** Each proposal in order: its number, its key, its whole row. */
  #eachProposal(
    keys: readonly KeyRows[],
    visit: (n: number, key: readonly ColumnVector[], row: number, full: readonly ColumnVector[]) => void,
  ): void {
    let n = 0;
    for (const [index, { vectors, rows }] of keys.entries()) {
      const full = this.proposed.batches[index]!.vectors();
      for (let row = 0; row < rows; row++) visit(n++, vectors, row, full);
    }
  }
}

const words = new Int32Array(4);
