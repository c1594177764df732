/**
 * A transaction's own rows and deletions when it changes the columns of their table: the same rows, under the same numbers, in
 * another shape. Columns go by field id; a new one is NULL, a wider type takes the values of the narrower.
 *
 * The old buffers stay until the transaction ends, for a rollback to a savepoint from before the change.
 */
import type { Memory } from '../storage/memory/memory.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { Table } from '../storage/table.ts';
import { nameFields, type TableDef } from '../table-def.ts';
import type { ColumnVector, Physical } from '../types/column-vector.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import { widened } from '../types/widen-vector.ts';
import type { TableWrites } from './transaction.ts';

/** What leads back, once the table has its old definition again, or lets the old buffers go. */
export interface Reshaped {
  readonly back: () => void;
  readonly keep: () => void;
}

/** The table has its new definition already. None of its own rows is in files. @throws {SqlError} 53200 */
export function reshapeWrites(memory: Memory, writes: TableWrites, before: TableDef): Reshaped {
  const { table, inserted, deletedNames } = writes;
  const fields = before.columns.map(({ fieldId }) => fieldId);
  const rows = reshaped(memory, inserted, fields, table.fieldIds, table.physicals);
  let names: RowBuffer;
  try {
    names = reshaped(memory, deletedNames, nameFields(before), nameFields(table.def), table.namePhysicals);
  } catch (error) {
    rows.retire();
    throw error;
  }
  put(writes, rows, names);
  return {
    back: () => {
      const { inserted: newRows, deletedNames: newNames } = writes;
      put(writes, inserted, deletedNames);
      newRows.retire();
      newNames.retire();
    },
    keep: () => {
      inserted.retire();
      deletedNames.retire();
    },
  };
}

function put(writes: TableWrites, inserted: RowBuffer, deletedNames: RowBuffer): void {
  writes.inserted = inserted;
  writes.deletedNames = deletedNames;
  writes.own?.reshaped(writes.table.keys, inserted);
}

function reshaped(
  memory: Memory,
  from: RowBuffer,
  fieldsBefore: readonly number[],
  fields: readonly number[],
  physicals: readonly Physical[],
): RowBuffer {
  const to = new RowBuffer(memory, physicals);
  try {
    for (const { columns, rows } of from.batches) {
      const vectors = physicals.map((physical, i) => {
        const column = columns[fieldsBefore.indexOf(fields[i]!)];
        return column === undefined ? nulls(physical, rows) : widened(column.vector(), physical, rows);
      });
      to.append(vectors, 0, rows);
    }
  } catch (error) {
    to.retire();
    throw error;
  }
  return to;
}

function nulls(physical: Physical, rows: number): ColumnVector {
  const builder = new VectorBuilder(physical);
  for (let row = 0; row < rows; row++) builder.null();
  return builder.vector();
}

/** Whether own rows of the table are in files, where they cannot be given another shape. */
export function isSpilled(writes: ReadonlyMap<Table, TableWrites>, table: Table): boolean {
  const own = writes.get(table);
  return own !== undefined && (own.spilled.size > 0 || own.deletedNames.first > 0);
}
