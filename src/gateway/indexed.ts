/**
 * Reads by an indexed column that need no query: all rows with the value are in memory, or the bounds of the files say so.
 * They are found and sent in one turn of the loop, so what it sees is one Version, and no pin is needed.
 */
import type { IndexedRead } from '../planner/plan.ts';
import { lookupMemory } from '../storage/index-lookup.ts';
import type { Table } from '../storage/table.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { rowEncoder } from '../types/data-row.ts';
import type { Format } from '../types/result-column.ts';
import { timeZone } from '../types/time-zone.ts';
import { NO_ROW, type PointAnswer, type PointEnvironment } from './point.ts';
import { lookupValue } from './operands.ts';

/** The rows in the order in which they were written. Null: the engine must look. */
export function readIndexed(
  environment: PointEnvironment,
  { def, lookup, fieldIds }: IndexedRead,
  formats: readonly Format[],
): PointAnswer | null {
  const table = readable(environment, def.uuid);
  if (table === null) return null;
  const value = lookupValue(table.def, lookup, environment.timeZone);
  if (value === null) return NO_ROW;
  if (inFiles(table, lookup.fieldId, value)) return null;
  const matches = lookupMemory(table, lookup.fieldId, value);
  if (matches === null) return null;
  const columns = fieldIds.map((fieldId) => table.fieldIds.indexOf(fieldId));
  const encode = rowEncoder(
    columns.map((column, i) => ({ type: table.def.columns[column]!.type, format: formats[i] ?? 0 })),
    { timeZone: timeZone(environment.timeZone) },
  );
  const rows = matches.positions.length;
  const out = new ByteWriter(256);
  for (let i = rows - 1; i >= 0; i--) {
    const { batch, row } = matches.slices[i]!.locate(matches.positions[i]!);
    encode(
      columns.map((column) => batch.columns[column]!.vector()),
      row,
      out,
    );
  }
  return { rows, messages: out.take() };
}

/** Whether `readIndexed` would answer, for EXPLAIN. */
export function canReadIndexed(environment: PointEnvironment, { def, lookup }: IndexedRead): boolean {
  const table = readable(environment, def.uuid);
  if (table === null) return false;
  const value = lookupValue(table.def, lookup, environment.timeZone);
  if (value === null) return true;
  return !inFiles(table, lookup.fieldId, value) && lookupMemory(table, lookup.fieldId, value) !== null;
}

/** Not with rows of the transaction's own: they are in no index. */
function readable({ context, transaction }: PointEnvironment, uuid: string): Table | null {
  const table = context.database.tableOf(uuid);
  return table === undefined || transaction?.writes.has(table) === true || transaction?.snapshot != null ? null : table;
}

function inFiles(table: Table, fieldId: number, value: ColumnVector): boolean {
  return table.files.some((file) => file.deletes.published < file.rows && file.mayHoldValue(fieldId, value));
}
