/**
 * The rows that an UPDATE or DELETE finds by a query of the engine: they are locked, looked at again, and deleted; an UPDATE's
 * new rows become own rows.
 *
 * - G1 Up to a portion all rows are found before the first is locked. Of more, portions are changed while the query goes on:
 *   what it takes of memory has a bound. In READ COMMITTED rows with a key that others hold or have changed are left to the end
 *   (`ingest/change-rows.ts`); in REPEATABLE READ, and without a key, others are waited for as their rows come.
 * - G2 Rows of a table with a key that another transaction has changed are looked for again, they alone: what they are now
 *   decides, as PostgreSQL does it. Without a key the statement runs again, over all rows but its own new ones. In REPEATABLE READ
 *   a changed row is 40001.
 * - G3 Portions make own rows leave memory while the query goes on, which names them by their places: those of before are in files when it
 *   begins, or nothing is changed before all is found.
 */
import { admitted } from './admission.ts';
import { appendRows, changeRows } from '../ingest/change-rows.ts';
import type { KeySet } from '../ingest/key-set.ts';
import { RowPlaces } from '../ingest/row-places.ts';
import { concurrentChange } from '../ingest/snapshot.ts';
import { lockRows, type SnapshotRows } from '../ingest/snapshot-writes.ts';
import { StaleRows } from '../ingest/stale-rows.ts';
import type { TableWrites } from '../ingest/transaction.ts';
import { deleteRows, recordFound } from '../ingest/write-rows.ts';
import type { CopiedChange, QueryPlan } from '../planner/plan.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import { integerAt } from '../storage/memory/slice.ts';
import type { Table } from '../storage/table.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import type { MaybePromise } from '../wire/gateway-api.ts';
import { moveAll } from './bulk.ts';
import { findCopied, resortOf } from './copied-change.ts';
import { isPortion } from './portions.ts';
import { contextOf, drain, type WriteEnvironment } from './write-environment.ts';

/** Ends a query (G3). */
const OWN_ROWS_IN_MEMORY = new Error('own rows of the transaction are to leave memory first');

/** What a statement does with the rows that its query finds. */
export interface Change {
  readonly plan: QueryPlan;
  readonly copied: (() => CopiedChange) | null;
  /** Where in the query's rows, behind unit and position, the names' columns are. */
  readonly namesAt: readonly number[];
  /** Null: the rows are deleted. Else what a found row becomes is here, row by row. */
  readonly fresh: RowBuffer | null;
  /** The keys may change: all old ones are given up before the first new one is taken. */
  readonly renames: boolean;
  /** Values of UNIQUE constraints may change, so that all old rows are given up before, too. */
  readonly isWhole: boolean;
  /** Takes what is needed of rows [start, end) of the query's vectors. */
  readonly take: (vectors: readonly ColumnVector[], start: number, end: number) => void;
  /** Forgets what was taken. */
  readonly forget: () => void;
  /** After some rows were changed; `isDropped` says which of those taken were not. Their new versions are own rows from `from` on. */
  readonly changed: (from: number, isDropped: (row: number) => boolean) => MaybePromise<void>;
  /** Own rows from `from` on have new keys. */
  readonly claim: (from: number) => Promise<void> | null;
  /** The same where they have the keys of before. */
  readonly claimKept: () => Promise<void> | null;
}

/** Finds rows and changes them; how many. */
export async function changeFound(environment: WriteEnvironment, table: Table, change: Change): Promise<number> {
  const run = new FoundRun(environment, table, change);
  try {
    return await run.toEnd();
  } finally {
    run.retire();
  }
}

class FoundRun {
  readonly #environment: WriteEnvironment;
  readonly #table: Table;
  readonly #change: Change;
  readonly #writes: TableWrites;
  readonly #places = new RowPlaces();
  readonly #names: RowBuffer;
  /** Rows taken that are not to be changed after all. */
  readonly #dropped = new Set<number>();
  #inPortions: boolean;
  /** Others have changed rows of a portion, which have no key: the query is to run again. */
  #runsAgain = false;
  /** The statement's first own row: what comes from there on is not found by it. */
  readonly #firstOwn: number;
  /** Only they are looked for in this round. */
  #wanted: KeySet | null = null;
  readonly #stale: StaleRows;
  #count = 0;

  constructor(environment: WriteEnvironment, table: Table, change: Change) {
    const { database, transaction } = environment;
    this.#environment = environment;
    this.#table = table;
    this.#change = change;
    this.#writes = transaction.of(table);
    this.#names = new RowBuffer(database.memory, table.namePhysicals);
    this.#stale = new StaleRows(table);
    // A query that reads the table elsewhere, too, must not see what the statement has done when it is asked again.
    const isReadOnce = change.plan.tables.filter(({ def }) => def.uuid === table.def.uuid).length === 1;
    this.#inPortions = !change.renames && !change.isWhole && isReadOnce;
    this.#firstOwn = this.#writes.inserted.rows;
  }

  async toEnd(): Promise<number> {
    for (;;) {
      const { database, running } = this.#environment;
      if (database.pressed) await admitted(database, running);
      if (!(await this.#find())) continue;
      if (!(await this.#changeTaken()) || this.#runsAgain) {
        this.#runsAgain = false;
        this.#begin();
        continue;
      }
      if (this.#stale.count === 0) return this.#count;
      this.#begin();
      this.#wanted = this.#stale.take();
    }
  }

  /** False: own rows are elsewhere now, and nothing was changed (G3). */
  async #find(): Promise<boolean> {
    try {
      await this.#drain();
      return true;
    } catch (error) {
      if (error !== OWN_ROWS_IN_MEMORY) throw error;
    }
    this.#begin();
    this.#inPortions = await moveAll(this.#environment, this.#writes);
    return false;
  }

  /** By the engine, or where it has no way by PostgreSQL itself: then all rows are found before the first is changed. */
  async #drain(): Promise<void> {
    const environment = this.#environment;
    const { plan, copied } = this.#change;
    let hasBegun = false;
    const take = (vectors: readonly ColumnVector[], rows: number): MaybePromise<void> => {
      hasBegun = true;
      return this.#found(vectors, rows);
    };
    try {
      await drain(environment, plan, take);
    } catch (error) {
      const resort = hasBegun ? null : resortOf(environment, copied, error);
      if (resort === null) throw error;
      this.#inPortions = false;
      await findCopied(environment, resort, take, () => this.#begin());
    }
  }

  retire(): void {
    this.#names.retire();
    this.#stale[Symbol.dispose]();
  }

  #begin(): void {
    this.#places.truncate(0);
    this.#names.truncate(0);
    this.#dropped.clear();
    this.#change.forget();
  }

  #found(vectors: readonly ColumnVector[], rows: number): MaybePromise<void> {
    const wanted = this.#wanted;
    if (wanted === null) this.#putOlder(vectors, rows);
    else {
      const keys = this.#change.namesAt.map((index) => vectors[index]!);
      for (let row = 0; row < rows; row++) if (wanted.has(keys, row)) this.#put(vectors, row, row + 1);
    }
    if (!this.#inPortions || !isPortion(this.#places.length, [this.#names, this.#change.fresh])) return undefined;
    return this.#portion();
  }

  /** All of them, but for what the statement itself has written: a query that runs again finds it. */
  #putOlder(vectors: readonly ColumnVector[], rows: number): void {
    const writes = this.#writes;
    if (writes.inserted.rows === this.#firstOwn || this.#table.keyed) {
      this.#put(vectors, 0, rows);
      return;
    }
    const [units, positions] = [vectors[0]!, vectors[1]!];
    let from = 0;
    for (let row = 0; row < rows; row++) {
      if (!writes.isWrittenSince(this.#firstOwn, integerAt(units, row), integerAt(positions, row))) continue;
      this.#put(vectors, from, row);
      from = row + 1;
    }
    this.#put(vectors, from, rows);
  }

  #put(vectors: readonly ColumnVector[], start: number, end: number): void {
    if (start === end) return;
    const [units, positions] = [vectors[0]!, vectors[1]!];
    for (let row = start; row < end; row++) this.#places.push(integerAt(units, row), integerAt(positions, row));
    const names = this.#change.namesAt.map((index) => vectors[index]!);
    this.#names.append(names, start, end);
    this.#change.take(vectors, start, end);
  }

  /** G1 */
  async #portion(): Promise<void> {
    const { transaction } = this.#environment;
    if (this.#writes.inserted.first < this.#firstOwn) throw OWN_ROWS_IN_MEMORY;
    if (!this.#table.keyed || transaction.snapshot !== null) {
      if (!(await this.#changeTaken())) this.#runsAgain = true;
      this.#begin();
      return;
    }
    const from = this.#writes.inserted.rows;
    const chunk = { places: this.#places, names: this.#names, fresh: this.#change.fresh };
    this.#count += changeRows(transaction, this.#writes, chunk, (row) => this.#lookAgain(row));
    await this.#change.claimKept();
    await this.#change.changed(from, (row) => this.#dropped.has(row));
    this.#begin();
  }

  #lookAgain(row: number): void {
    this.#dropped.add(row);
    this.#stale.add(...rowOf(this.#names, row));
  }

  /** Changes the rows that were taken, waiting for others where it must. False: nothing was done to them, and the query is to run again. */
  async #changeTaken(): Promise<boolean> {
    const { transaction } = this.#environment;
    const writes = this.#writes;
    const context = contextOf(this.#environment);
    const { units, positions, length } = this.#places;
    const found: SnapshotRows = { units, positions, names: this.#names, dropped: this.#dropped, seen: null };
    if (!this.#table.keyed) {
      if (!(await deleteRows(context, transaction, writes, found))) {
        if (transaction.snapshot !== null) throw concurrentChange('update');
        return false;
      }
    } else {
      const stale = await lockRows(context, transaction, writes, found);
      for (const row of stale) this.#lookAgain(row);
      recordFound(writes, found);
    }
    this.#count += length - this.#dropped.size;
    const from = writes.inserted.rows;
    const { fresh } = this.#change;
    if (fresh !== null) copyKept(fresh, this.#dropped, writes.inserted);
    if (this.#change.renames && this.#table.keyed) this.#noteRenames(from);
    await this.#change.claim(from);
    await this.#change.changed(from, (row) => this.#dropped.has(row));
    return true;
  }

  /** Own rows from `from` on have the places of rows that had other keys. */
  #noteRenames(from: number): void {
    const names = this.#names;
    let own = from;
    for (let row = 0; row < names.rows; row++)
      if (!this.#dropped.has(row)) this.#writes.rename(...rowOf(names, row), own++);
  }
}

function rowOf(rows: RowBuffer, row: number): [readonly ColumnVector[], number] {
  const index = rows.batchOf(row);
  return [rows.batches[index]!.vectors(), row - rows.batchStart(index)];
}

function copyKept(rows: RowBuffer, dropped: ReadonlySet<number>, to: RowBuffer): void {
  let from = 0;
  for (const row of [...dropped].sort((a, b) => a - b)) {
    appendRows(rows, from, row, to);
    from = row + 1;
  }
  appendRows(rows, from, rows.rows, to);
}
