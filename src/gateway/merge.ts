/**
 * MERGE: one query says for each row of the source what is to become of which row. Matched rows are locked and deleted as those
 * of an UPDATE or DELETE, new ones inserted after them. When a row was changed meanwhile, the statement runs again as a whole.
 *
 * - M1 Up to a portion all rows are found before the first is locked. Of more, portions are changed while the query goes on, where
 *   that is the first thing that the transaction does to the table, no key changes, and the query reads the table once: what it takes of
 *   memory has a bound.
 * - M2 Where a row of a portion was changed by others, or is in the way of a new one, or PostgreSQL itself has to find the rows after all,
 *   all that was done is forgotten, and the statement runs again, with all rows found first: what comes out does not depend on where portions end.
 * - M3 Rows that leave memory under a query are not where it found them. Where memory may get short by what a large MERGE writes, the
 *   table is flushed before the first portion is changed; where rows have moved all the same, the statement runs again in portions.
 */
import { admitted } from './admission.ts';
import { SqlError, SqlState } from '../errors.ts';
import { appendRows, changeRows } from '../ingest/change-rows.ts';
import { PositionSets } from '../ingest/position-sets.ts';
import { RowPlaces } from '../ingest/row-places.ts';
import { RowWriter } from '../ingest/row-writer.ts';
import { concurrentChange } from '../ingest/snapshot.ts';
import { lockRows, type SnapshotRows } from '../ingest/snapshot-writes.ts';
import type { TableWrites } from '../ingest/transaction.ts';
import { deleteRows, insertRows, recordFound } from '../ingest/write-rows.ts';
import type { Statement } from '../planner/plan.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import { integerAt } from '../storage/memory/slice.ts';
import type { Table } from '../storage/table.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { findCopied, resortOf } from './copied-change.ts';
import { liveTable } from './cursor.ts';
import { CHECK_ROWS, moveRows } from './bulk.ts';
import { MergeParts } from './merge-parts.ts';
import { isPortion } from './portions.ts';
import { contextOf, drain, type WriteEnvironment } from './write-environment.ts';

type Merge = Extract<Statement, { kind: 'merge' }>;

/** The statement is to run again, with all rows found first (M2). */
const CONFLICT = new Error('a row was changed since it was found');

/** Rows of the table are to leave memory first (M3). */
const IN_MEMORY = new Error('rows of the table are to leave memory first');
/** This share of the memory for rows. */
const IN_MEMORY_FRACTION = 0.1;
/** Runs that rows may move under. */
const MOVES_MAX = 3;

/** Unit, position and the number of the WHEN come before the new row. */
const ROW_AT = 3;

export async function merge(environment: WriteEnvironment, statement: Merge): Promise<string> {
  const { database, transaction } = environment;
  const table = liveTable(database, statement.def);
  let mode: Mode = goesInPortions(environment, table, statement) ? 'begin' : 'whole';
  for (let moves = 0; ;) {
    if (database.pressed) await admitted(database, environment.running);
    const run = new MergeRun(environment, table, statement, mode);
    try {
      await run.find();
      if (await run.finish()) return `MERGE ${run.count}`;
    } catch (error) {
      const isDuplicate = error instanceof SqlError && error.code === SqlState.uniqueViolation;
      if (error !== IN_MEMORY && (!run.isUnderWay || (error !== CONFLICT && !isDuplicate))) throw error;
      mode = error === IN_MEMORY || (run.hasMoved && ++moves < MOVES_MAX) ? 'portions' : 'whole';
      transaction.forget(table);
      transaction.wake();
      if (mode === 'portions') mode = await flushed(environment, table);
    } finally {
      run.retire();
    }
  }
}

/** `begin`: in portions, if memory lets it be. */
type Mode = 'begin' | 'portions' | 'whole';

/** M3. Where nothing can leave memory, all rows are found first, as far as there is room. */
function flushed({ database }: WriteEnvironment, table: Table): Promise<Mode> {
  return database.flush(table, 'merge').then(
    () => 'portions',
    (error: unknown) => {
      database.troubled(table, 'flush', error);
      return 'whole';
    },
  );
}

/** M1 */
function goesInPortions({ transaction }: WriteEnvironment, table: Table, { plan, renames }: Merge): boolean {
  if (renames || table.uniques.length > 0 || transaction.statement !== null) return false;
  if (transaction.writes.has(table)) return false;
  return plan.tables.filter(({ def }) => def.uuid === table.def.uuid).length === 1;
}

class MergeRun {
  readonly #environment: WriteEnvironment;
  readonly #table: Table;
  readonly #statement: Merge;
  readonly #places = new RowPlaces();
  readonly #names: RowBuffer;
  /** New rows, updated and inserted. */
  readonly #fresh: RowBuffer;
  /** Of each WHEN, and the columns that the query gives it. */
  readonly #writers: readonly { readonly writer: RowWriter; readonly columns: readonly number[] }[];
  #touched = new PositionSets();
  /** Rows found, and the new rows in their places. */
  readonly #updated = new RowPlaces();
  #mode: Mode;
  /** The statement's first own row. */
  readonly #firstOwn: number;
  count = 0;
  /** A row was not where it had been found: a flush or a rewrite has moved it. */
  hasMoved = false;
  /** Portions are changed already. */
  isUnderWay = false;

  constructor(environment: WriteEnvironment, table: Table, statement: Merge, mode: Mode) {
    const { memory } = environment.database;
    this.#mode = mode;
    this.#firstOwn = environment.transaction.writes.get(table)?.inserted.rows ?? 0;
    this.#environment = environment;
    this.#table = table;
    this.#statement = statement;
    this.#names = new RowBuffer(memory, table.namePhysicals);
    this.#fresh = new RowBuffer(memory, table.physicals);
    const all = table.fieldIds.map((_, column) => column);
    this.#writers = statement.generated.map((fields) => {
      const columns = fields.length === 0 ? all : all.filter((column) => !fields.includes(table.fieldIds[column]!));
      const given = columns.map((column) => table.fieldIds[column]!);
      return { columns, writer: new RowWriter(table.def, given, this.#fresh, environment.time) };
    });
  }

  /** By the engine, or where it has no way by PostgreSQL itself. */
  async find(): Promise<void> {
    const { plan, copied } = this.#statement;
    const take = (vectors: readonly ColumnVector[], rows: number): Promise<void> | undefined => {
      for (let row = 0; row < rows; row++) this.#take(vectors, row);
      const waiting = this.#names.rows + this.#fresh.rows;
      return this.#mode !== 'whole' && isPortion(waiting, [this.#names, this.#fresh]) ? this.#portion() : undefined;
    };
    try {
      await drain(this.#environment, plan, take);
    } catch (error) {
      const resort = resortOf(this.#environment, copied, error);
      if (resort === null) throw error;
      if (this.isUnderWay) throw CONFLICT;
      this.#mode = 'whole';
      this.#begin();
      await findCopied(this.#environment, resort, take, () => this.#begin());
    }
  }

  #begin(): void {
    this.#places.truncate(0);
    this.#names.truncate(0);
    this.#fresh.truncate(0);
    this.#updated.truncate(0);
    this.#touched = new PositionSets();
    this.count = 0;
  }

  /** What is left. False: nothing was done, for a row was changed by others since it was found. */
  async finish(): Promise<boolean> {
    if (!this.isUnderWay) return this.#write();
    await this.#portion();
    return true;
  }

  /** @throws what tells M2, too */
  async #portion(): Promise<void> {
    const { transaction } = this.#environment;
    if (this.#mode === 'begin' && !this.isUnderWay && this.#isInMemory()) throw IN_MEMORY;
    this.isUnderWay = true;
    if (this.#table.keyed && transaction.snapshot === null) await this.#changePortion();
    else if (!(await this.#write())) throw this.#conflict();
    this.#places.truncate(0);
    this.#updated.truncate(0);
    this.#names.truncate(0);
    this.#fresh.truncate(0);
  }

  /** So much of it that what the statement writes may have it flushed. A snapshot is to find rows where they are. */
  #isInMemory(): boolean {
    const { database, transaction } = this.#environment;
    if (transaction.snapshot !== null || this.#table.temporary) return false;
    let bytes = 0;
    for (const slice of this.#table.slices()) bytes += slice.bytes;
    return bytes > database.memory.pool.budgetBytes * IN_MEMORY_FRACTION;
  }

  #conflict(): Error {
    const { units, length } = this.#places;
    for (let row = 0; row < length; row++) this.hasMoved ||= this.#table.unit(units[row]!) === undefined;
    return CONFLICT;
  }

  /** With one search a row, and no lock of its own for one that is updated (`ingest/change-rows.ts`). */
  async #changePortion(): Promise<void> {
    const { transaction } = this.#environment;
    const writes = transaction.of(this.#table);
    const parts = new MergeParts(this.#names, this.#fresh);
    try {
      parts.split(this.#places, this.#updated);
      const conflict = (): never => {
        throw this.#conflict();
      };
      for (const chunk of [parts.updates, parts.deletes]) changeRows(transaction, writes, chunk, conflict);
      const from = writes.inserted.rows;
      appendRows(parts.inserts, 0, parts.inserts.rows, writes.inserted);
      await insertRows(contextOf(this.#environment), transaction, writes, from, false);
      await moveRows(this.#environment, writes, this.#firstOwn);
    } finally {
      parts.retire();
    }
  }

  #take(vectors: readonly ColumnVector[], row: number): void {
    const { physicals } = this.#table;
    const when = integerAt(vectors[2]!, row);
    const action = this.#statement.actions[when]!;
    this.count++;
    if (action !== 'insert') {
      const [unit, position] = [integerAt(vectors[0]!, row), integerAt(vectors[1]!, row)];
      this.#touch(unit, position);
      this.#places.push(unit, position);
      this.#names.append(vectors.slice(ROW_AT + physicals.length), row, row + 1);
    }
    if (action === 'update') this.#updated.push(this.#names.rows - 1, this.#fresh.rows);
    if (action === 'delete') return;
    const { writer, columns } = this.#writers[when]!;
    columns.forEach((column, value) => writer.vectorField(value, vectors[ROW_AT + column]!, row));
    writer.endRow();
  }

  #touch(unit: number, position: number): void {
    if (!this.#touched.add(unit, position))
      throw new SqlError(SqlState.cardinalityViolation, 'MERGE command cannot affect row a second time', {
        hint: 'Ensure that not more than one source row matches any one target row.',
      });
  }

  /** False: a row was changed by others since it was found. */
  async #write(): Promise<boolean> {
    const { transaction } = this.#environment;
    const context = contextOf(this.#environment);
    const writes = transaction.of(this.#table);
    const { units, positions } = this.#places;
    const found: SnapshotRows = { units, positions, names: this.#names, dropped: new Set(), seen: null };
    if (!this.#table.keyed) {
      if (!(await deleteRows(context, transaction, writes, found))) {
        if (transaction.snapshot !== null) throw concurrentChange('update');
        return false;
      }
    } else {
      if ((await lockRows(context, transaction, writes, found)).length > 0) return false;
      recordFound(writes, found);
    }
    await this.#insert(writes);
    return true;
  }

  /** The new rows become own rows, portion by portion. */
  async #insert(writes: TableWrites): Promise<void> {
    const { transaction } = this.#environment;
    for (let row = 0, next = 0; row < this.#fresh.rows; row += CHECK_ROWS) {
      const from = writes.inserted.rows;
      const end = Math.min(row + CHECK_ROWS, this.#fresh.rows);
      appendRows(this.#fresh, row, end, writes.inserted);
      const { units: olds, positions: news, length } = this.#updated;
      for (; this.#table.keyed && next < length && news[next]! < end; next++) {
        const index = this.#names.batchOf(olds[next]!);
        const inBatch = olds[next]! - this.#names.batchStart(index);
        writes.rename(this.#names.batches[index]!.vectors(), inBatch, from + news[next]! - row);
      }
      await insertRows(contextOf(this.#environment), transaction, writes, from, false);
      await moveRows(this.#environment, writes, this.#firstOwn);
    }
  }

  retire(): void {
    this.#fresh.retire();
    this.#names.retire();
  }
}
