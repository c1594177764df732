/**
 * The filters of a statement's WHERE made ready for a look at each file of a table (storage/file-pruning.ts): values as the
 * column has them, and for equality with a column of `bucket(n, column)` the buckets that can have them.
 */
import type { Names } from '../ingest/resolver.ts';
import type { ColumnFilter } from '../planner/plan.ts';
import { partitionTransform } from '../storage/iceberg/transforms.ts';
import type { FileFilter } from '../storage/file-pruning.ts';
import type { DataFileUnit } from '../storage/file-unit.ts';
import type { Table } from '../storage/table.ts';
import type { ColumnDef, PgType } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { putText } from '../types/parse-text-value.ts';
import { Oid, physicalOf } from '../types/pg-type.ts';
import { textInput } from '../types/text-input.ts';
import { timeZone } from '../types/time-zone.ts';
import { VectorBuilder } from '../types/vector-builder.ts';

/** Why a file need not be read; null: it must be. */
export type FileTest = (file: DataFileUnit) => string | null;

/** Looks at all files with all values of a filter stay below this: beyond, the engine is quicker. */
const COMPARISONS_MAX = 2_000_000;

export function fileTest(table: Table, filters: readonly ColumnFilter[], zone: string): FileTest | null {
  const tests = filters.flatMap((filter) => testsOf(table, filter, zone));
  if (tests.length === 0) return null;
  return (file) => {
    for (const test of tests) {
      const why = test(file);
      if (why !== null) return why;
    }
    return null;
  };
}

function testsOf(table: Table, filter: ColumnFilter, zone: string): FileTest[] {
  const column = table.def.columns.find((each) => each.fieldId === filter.fieldId);
  const ready = column === undefined ? null : readyFilter(column, filter, zone);
  if (column === undefined || ready === null) return [];
  if ('rows' in ready && ready.rows * table.files.length > COMPARISONS_MAX) return [];
  const reason = `${column.name} outside the bounds`;
  const test: FileTest = (file) => (file.excludes(filter.fieldId, ready) ? reason : null);
  return ready.kind === '=' ? [...bucketTests(table, column, ready), test] : [test];
}

/** Keys are looked up by the index; of more a scan is as good. */
const KEYS_MAX = 1000;

/** All keys that rows may have which pass the filters, each column's values in the key's order; null: not known, or too many. */
export function keysOf(table: Table, filters: readonly ColumnFilter[], zone: string): Names | null {
  return valuesOf(table, table.def.key, filters, zone);
}

/** The same of other columns: all that rows may have in them, none of it NULL. */
export function valuesOf(
  table: Table,
  fieldIds: readonly number[],
  filters: readonly ColumnFilter[],
  zone: string,
): Names | null {
  const lists: { readonly column: ColumnDef; readonly texts: readonly string[] }[] = [];
  let rows = 1;
  for (const fieldId of fieldIds) {
    const column = table.def.columns.find((each) => each.fieldId === fieldId)!;
    const texts = filters
      .flatMap((filter) =>
        filter.fieldId === fieldId && filter.kind === 'compare' && filter.operator === '=' ? [filter.texts] : [],
      )
      .toSorted((a, b) => a.length - b.length)[0];
    if (texts === undefined) return null;
    rows *= texts.length;
    if (rows > KEYS_MAX) return null;
    lists.push({ column, texts });
  }
  let repeats = rows;
  const vectors: ColumnVector[] = [];
  for (const { column, texts } of lists) {
    repeats /= texts.length;
    const all = Array.from({ length: rows }, (_, row) => texts[Math.floor(row / repeats) % texts.length]!);
    const vector = textsVector(column.type, all, zone);
    if (vector === null) return null;
    vectors.push(vector);
  }
  return { vectors, rows };
}

function readyFilter(column: ColumnDef, filter: ColumnFilter, zone: string): FileFilter | null {
  if (filter.kind === 'null') return { kind: filter.is ? 'null' : 'not null' };
  const texts = filter.kind === 'prefix' ? [filter.text] : filter.texts;
  const type = comparedType(column.type);
  const vector = textsVector(column.type, texts, zone);
  const kind = filter.kind === 'prefix' ? 'prefix' : filter.operator;
  return vector === null ? null : { kind, type, vector, rows: texts.length };
}

/** The column's length and precision say nothing about the other side of a comparison; the scale is its form. */
function comparedType(type: PgType): PgType {
  return type.oid === Oid.numeric ? type : { ...type, typmod: -1 };
}

/** Null: one of them is no value of the type. The engine says what is wrong with it, if it comes to that. */
function textsVector(type: PgType, texts: readonly string[], zone: string): ColumnVector | null {
  const builder = new VectorBuilder(physicalOf(type));
  try {
    const input = textInput(comparedType(type), { timeZone: timeZone(zone), now: () => 0 });
    for (const text of texts) putText(input, text, builder);
  } catch {
    return null;
  }
  return builder.vector();
}

function bucketTests(
  table: Table,
  column: ColumnDef,
  { vector, rows }: Extract<FileFilter, { readonly rows: number }>,
): FileTest[] {
  return table.def.partition.flatMap((field, place): FileTest[] => {
    if (field.transform !== 'bucket' || field.sourceId !== column.fieldId) return [];
    const bucketOf = partitionTransform(field, column.type);
    const buckets = new Set(Array.from({ length: rows }, (_, row) => bucketOf(vector, row)));
    return [
      ({ info }) =>
        info.specId === table.specId && !buckets.has(info.partition[place] ?? null) ? 'another bucket' : null,
    ];
  });
}
