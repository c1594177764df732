/**
 * MERGE: one query says for each row of the source what is to become of which row. Matched rows are locked and deleted as those
 * of an UPDATE or DELETE, new ones inserted after them. When a row was changed meanwhile, the statement runs again as a whole.
 */
import { admitted } from './admission.ts';
import { SqlError, SqlState } from '../errors.ts';
import { appendRows } from '../ingest/change-rows.ts';
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
import { liveTable } from './cursor.ts';
import { CHECK_ROWS, moveRows } from './bulk.ts';
import { contextOf, drain, type WriteEnvironment } from './write-environment.ts';

type Merge = Extract<Statement, { kind: 'merge' }>;

/** Unit, position and the number of the WHEN come before the new row. */
const ROW_AT = 3;

export async function merge(environment: WriteEnvironment, statement: Merge): Promise<string> {
  const table = liveTable(environment.database, statement.def);
  for (;;) {
    if (environment.database.pressed) await admitted(environment.database, environment.running);
    const run = new MergeRun(environment, table, statement);
    try {
      await run.find();
      const count = await run.write();
      if (count !== null) return `MERGE ${count}`;
    } finally {
      run.retire();
    }
  }
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
  readonly #touched = new PositionSets();
  /** Rows found, and the new rows in their places. */
  readonly #updated = new RowPlaces();
  #count = 0;

  constructor(environment: WriteEnvironment, table: Table, statement: Merge) {
    const { memory } = environment.database;
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

  find(): Promise<void> {
    return drain(this.#environment, this.#statement.plan, (vectors, rows) => {
      for (let row = 0; row < rows; row++) this.#take(vectors, row);
    });
  }

  #take(vectors: readonly ColumnVector[], row: number): void {
    const { physicals } = this.#table;
    const when = integerAt(vectors[2]!, row);
    const action = this.#statement.actions[when]!;
    this.#count++;
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

  /** Rows that changed; null: one was changed by others since it was found. */
  async write(): Promise<number | null> {
    const { transaction } = this.#environment;
    const context = contextOf(this.#environment);
    const writes = transaction.of(this.#table);
    const { units, positions } = this.#places;
    const found: SnapshotRows = { units, positions, names: this.#names, dropped: new Set(), seen: null };
    if (!this.#table.keyed) {
      if (!(await deleteRows(context, transaction, writes, found))) {
        if (transaction.snapshot !== null) throw concurrentChange('update');
        return null;
      }
    } else {
      if ((await lockRows(context, transaction, writes, found)).length > 0) return null;
      recordFound(writes, found);
    }
    await this.#insert(writes);
    return this.#count;
  }

  /** The new rows become own rows, portion by portion. */
  async #insert(writes: TableWrites): Promise<void> {
    const { transaction } = this.#environment;
    const first = writes.inserted.rows;
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
      await moveRows(this.#environment, writes, first);
    }
  }

  retire(): void {
    this.#fresh.retire();
    this.#names.retire();
  }
}
