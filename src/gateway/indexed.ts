/**
 * Reads by indexed columns: which memory rows a query has to look at, and those that need no query, because all rows with the
 * values are in memory, or the bounds of the files say so. The latter are found and sent in one turn of the loop, so what is seen is
 * one Version, and no pin is needed.
 */
import type { ColumnFilter, IndexedRead } from '../planner/plan.ts';
import { lookupMemory } from '../storage/index-lookup.ts';
import type { Matches } from '../storage/memory/hash-index.ts';
import type { Table } from '../storage/table.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { rowEncoder } from '../types/data-row.ts';
import { hashedColumns, type HashedColumns } from '../types/hashed-columns.ts';
import type { Format } from '../types/result-column.ts';
import { timeZone } from '../types/time-zone.ts';
import { fileTest, valuesOf } from './file-filters.ts';
import type { PointAnswer, PointEnvironment } from './point.ts';

export interface Indexed {
  /** The index that the rows were found by. */
  readonly index: string;
  readonly matches: Matches;
}

/** The memory rows that may pass the filters, and perhaps some that do not. Null: no index says it, all must be looked at. */
export function findIndexed(table: Table, filters: readonly ColumnFilter[], zone: string): Indexed | null {
  if (table.def.indexes.length === 0 || filters.length === 0) return null;
  for (const { index, fieldIds } of hashedColumns(table.def)) {
    const values = valuesOf(table, fieldIds, filters, zone);
    const matches = values === null ? null : lookupMemory(table, fieldIds, values);
    if (matches !== null) return { index, matches };
  }
  return null;
}

/** The rows in the order in which they were written, if one value is asked for. Null: the engine must look. */
export function readIndexed(
  environment: PointEnvironment,
  read: IndexedRead,
  formats: readonly Format[],
): PointAnswer | null {
  const table = readable(environment, read.def.uuid);
  const found = table === null ? null : find(table, read, environment.timeZone);
  if (table === null || found === null) return null;
  const { matches } = found;
  const columns = read.fieldIds.map((fieldId) => table.fieldIds.indexOf(fieldId));
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

/** The index by which `readIndexed` would answer, for EXPLAIN; null: it would not. */
export function indexedBy(environment: PointEnvironment, read: IndexedRead): string | null {
  const table = readable(environment, read.def.uuid);
  return table === null ? null : (find(table, read, environment.timeZone)?.index ?? null);
}

/** By an index that has all the columns that are asked for: what it finds is what passes. */
function find(table: Table, { filters }: IndexedRead, zone: string): Indexed | null {
  const whole = hashedColumns(table.def).find((each) => isAbout(each, filters));
  const values = whole === undefined ? null : valuesOf(table, whole.fieldIds, filters, zone);
  if (whole === undefined || values === null || inFiles(table, filters, zone)) return null;
  const matches = lookupMemory(table, whole.fieldIds, values);
  return matches === null ? null : { index: whole.index, matches };
}

/** One filter a column. */
function isAbout({ fieldIds }: HashedColumns, filters: readonly ColumnFilter[]): boolean {
  return (
    filters.length === fieldIds.length &&
    fieldIds.every((fieldId) => filters.some((filter) => filter.fieldId === fieldId))
  );
}

/** Not with rows of the transaction's own: they are in no index. */
function readable({ context, transaction }: PointEnvironment, uuid: string): Table | null {
  const table = context.database.tableOf(uuid);
  return table === undefined || transaction?.writes.has(table) === true || transaction?.snapshot != null ? null : table;
}

function inFiles(table: Table, filters: readonly ColumnFilter[], zone: string): boolean {
  if (table.files.length === 0) return false;
  const excluded = fileTest(table, filters, zone);
  return table.files.some((file) => file.deletes.published < file.rows && (excluded?.(file) ?? null) === null);
}
