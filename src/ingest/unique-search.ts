/**
 * Looking for rows by the values of a UNIQUE constraint, each locked before (C11): among own rows, in memory, in files.
 *
 * - C1 A value is locked before it is looked for, to the end of the transaction. Who finds a row in the way that another transaction
 *   is about to delete waits for that, as PostgreSQL does, without the lock of that value, which the other may want; then it looks anew.
 */
import { invariant } from '../errors.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { Table } from '../storage/table.ts';
import { LAG_ROWS_MAX, type UniqueKey } from '../storage/unique-key.ts';
import type { ValuesAt } from './buffer-values.ts';
import { assertOpen, waitFor } from './key-locks.ts';
import type { TableWrites, Transaction } from './transaction.ts';
import { resolveValues, valuesMayBeInFiles } from './unique-files.ts';
import type { HeldValues } from './unique-writes.ts';
import type { WriteContext } from './write-rows.ts';

const value: KeyWords = new Int32Array(4);
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export abstract class ValueSearch {
  protected readonly transaction: Transaction;
  protected readonly writes: TableWrites;
  protected readonly table: Table;
  protected readonly part: HeldValues;
  protected readonly unique: UniqueKey;
  readonly #context: WriteContext;
  /** Rows to be looked for once more, and those that files may have the values of. */
  readonly #again: number[] = [];
  readonly #cold: number[] = [];
  #next: number;

  constructor(context: WriteContext, transaction: Transaction, writes: TableWrites, part: HeldValues, first: number) {
    this.#context = context;
    this.transaction = transaction;
    this.writes = writes;
    this.table = writes.table;
    this.part = part;
    this.unique = part.unique;
    this.#next = first;
  }

  /** How many rows there are. */
  protected abstract get rows(): number;

  /** Null: it need not be looked for. */
  protected abstract valuesOf(row: number): ValuesAt | null;

  /**
   * The value is locked by the transaction. `state`: what was known of it before, 0: nothing; else an own row has had it, and others
   * have none. The lock table stands at it, `words` are its own. Whether the rows of others are to be asked.
   */
  protected abstract locked(row: number, at: ValuesAt, state: number, words: KeyWords): boolean;

  /** A live row has the value, and nobody is about to delete it. */
  protected abstract met(row: number, at: ValuesAt, unit: number, position: number): void;

  /** Null: it is done at once. */
  run(): Promise<void> | null {
    if (this.unique.lag(this.table) > LAG_ROWS_MAX) return this.#slowly(null);
    const holder = this.#advance();
    return holder !== null || this.#cold.length > 0 ? this.#slowly(holder) : null;
  }

  async #slowly(first: Transaction | null): Promise<void> {
    for (let holder = first; ;) {
      // a row before this one may be refused: then nobody is waited for
      const other = this.#cold.length > 0 ? await this.#lookInto() : null;
      holder ??= other;
      if (holder !== null) {
        await nextTurn(); // who has waited for a value that is free again does not wait any more
        await waitFor(this.#context, this.transaction, holder);
      }
      await this.#caughtUp();
      holder = this.#advance();
      if (holder === null && this.#cold.length === 0) return;
    }
  }

  /** The index of memory rows may be far behind after a large commit: others have their turns meanwhile. */
  async #caughtUp(): Promise<void> {
    while (this.unique.lag(this.table) > LAG_ROWS_MAX) {
      this.table.followIndexes(LAG_ROWS_MAX);
      await nextTurn();
    }
    assertOpen(this.transaction);
  }

  /** Goes on until somebody is to be waited for; null: all rows are looked for, or are to be looked for in files. */
  #advance(): Transaction | null {
    for (let row; (row = this.#again.at(-1)) !== undefined; this.#again.pop()) {
      const holder = this.#look(row);
      if (holder !== null) return holder;
    }
    for (; this.#next < this.rows; this.#next++) {
      const holder = this.#look(this.#next);
      if (holder !== null) return holder;
    }
    return null;
  }

  /** Whom the row has to wait for. */
  #look(row: number): Transaction | null {
    const at = this.valuesOf(row);
    if (at === null || !this.unique.isWhole(at.vectors, at.row)) return null;
    const { locks, keys } = this.unique;
    keys.encode(at.vectors, at.row, value);
    const isNew = locks.claim(value, keys.hash(value), this.transaction.id, 0);
    if (!isNew && locks.a !== this.transaction.id) return this.#transactionOf(locks.a);
    if (isNew) this.part.keys.remember(value);
    if (!this.locked(row, at, locks.b, value) || this.writes.isTruncated) return null;
    for (const { slice, position } of this.unique.findInMemory(this.table, at.vectors, at.row)) {
      if (slice.isDead(position)) continue;
      const holder = this.#inTheWay(row, at, slice.unit, position);
      if (holder !== null) return holder;
    }
    if (valuesMayBeInFiles(this.table, this.unique, at.vectors, at.row)) this.#cold.push(row);
    return null;
  }

  /** A live row has the values. Who is about to delete it, and is to be waited for (C1); null: the transaction itself has, or nobody is. */
  #inTheWay(row: number, at: ValuesAt, unit: number, position: number): Transaction | null {
    if (this.writes.uniques!.hasDeleted(unit, position)) return null;
    for (const writer of this.table.writers) {
      if (writer.holder === this.transaction.id || !writer.hasDeleted(unit, position)) continue;
      this.giveBack(at);
      return this.#transactionOf(writer.holder);
    }
    this.met(row, at, unit, position);
    return null;
  }

  /** The value is anybody's again, where it is this search's lock. */
  protected giveBack({ vectors, row }: ValuesAt): void {
    const { keys, locks } = this.unique;
    keys.encode(vectors, row, value);
    if (!locks.find(value, keys.hash(value)) || locks.a !== this.transaction.id) return;
    this.part.keys.giveBackOne(value);
    this.transaction.wake();
  }

  /** Looks into files for the values that may be there; whom a row has to wait for. */
  async #lookInto(): Promise<Transaction | null> {
    const { memory, engine } = this.#context;
    const cold = this.#cold.splice(0);
    const values = new RowBuffer(memory, this.unique.physicals);
    const pin = memory.pins.acquire(); // a commit removes the staged files that it has copied
    let holder: Transaction | null = null;
    try {
      for (const row of cold) {
        const at = this.valuesOf(row)!;
        values.append(at.vectors, at.row, at.row + 1);
      }
      const waiting = new Set<number>();
      await resolveValues(engine, this.table, this.unique, values, (n, unit, position) => {
        assertOpen(this.transaction);
        const row = cold[n]!;
        if (waiting.has(row)) return;
        const other = this.#inTheWay(row, this.valuesOf(row)!, unit, position);
        if (other === null) return;
        waiting.add(row);
        this.#again.push(row);
        holder ??= other;
      });
    } finally {
      pin.release();
      values.retire();
    }
    assertOpen(this.transaction);
    return holder;
  }

  #transactionOf(id: number): Transaction {
    const holder = this.#context.transaction(id);
    invariant(holder !== undefined, 'locks go with their transaction');
    return holder;
  }
}
