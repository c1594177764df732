/**
 * The one scan function (C8): a unit list becomes a subquery, and nothing else in Arka reads units through DuckDB.
 *
 * - S1 `read_parquet` always with hive_partitioning=false, a schema by field id and file_row_number; never filename=true,
 *   union_by_name or a condition on paths: each of them renumbers files and brings deleted rows back.
 * - S2 file_index counts within one read_parquet call, so every call has delete sources of its own.
 * - S3 Clean files are read plainly; dirty ones by ANTI JOIN on (file_index, file_row_number) of DuckDB's own types;
 *   above DENSE_PART deleted by a bitmap (H17).
 * - S4 DuckDB keeps the order of rows through one read_parquet and filters over it, on one thread. Not through a join, and not
 *   through UNION ALL: the ends of its parts are mixed. So `filesInOrder` has neither.
 * - S5 Inside, columns are called by place; names of the user meet none of the reader's.
 * - S6 Of a UNION ALL that no column is wanted of, DuckDB reads the first column of every part: so a constant is the first,
 *   and `count(*)`, also with a filter, reads nothing for it. What is above sees the table's columns alone.
 * - S7 DuckDB opens no file to plan, and takes every one for 1,000 rows: joins then held whole files in memory instead of their
 *   deletes, or the wrong table. So each `read_parquet` says how many rows it has.
 */
import { quoteIdentifier, quoteLiteral, replaceNames } from '../sql-text.ts';
import { SqlError, SqlState } from '../errors.ts';
import type { ColumnDef } from '../table-def.ts';
import type { FileUnit, TableScan } from '../storage/scan-spec.ts';
import type { SlabDirectory } from '../storage/memory/slab.ts';
import { duckdbType, engineType, Oid } from '../types/pg-type.ts';
import { bitLiteral, bitmapSource, DENSE_PART, positionSource } from './delete-sources.ts';
import { changesSource } from './changes-source.ts';
import { memorySource } from './memory-source.ts';
import { engineForm, fromStored } from './stored-form.ts';
import { addSource, type SourceRegistry } from './row-source.ts';
import type { SlabReads } from './slab-reads.ts';
import type { StringMode } from './vector-builder.ts';

export interface ScanContext {
  readonly registry: SourceRegistry;
  readonly slabs: SlabDirectory;
  readonly mode: StringMode;
  readonly slabReads: SlabReads;
  /** Sources registered for the statement: the caller removes them when it has ended. */
  readonly sourceIds: number[];
}

/** `(SELECT … UNION ALL …)`, with the def's column names and, where asked for, `__unit` and `__position`. */
export function scanSql(scan: TableScan, context: ScanContext, inQueries = false): string {
  const branches: Branch[] = [];
  const columns = scan.def.columns;
  const seen = (sql: string, { type, name }: ColumnDef): string =>
    `${inQueries ? engineForm(sql, type) : sql} AS ${quoteIdentifier(name)}`;
  if (scan.changes !== undefined && scan.changes.to > scan.changes.since) {
    const source = addSource(context.registry, changesSource(scan.def, scan.changes, context.mode));
    context.sourceIds.push(source.id);
    const outputs = columns.map((column, i) => seen(fromStored(`c${i}`, column.type), column));
    branches.push({ outputs: outputs.join(', '), from: source.sql });
  }
  if (scan.memory.some((unit) => unit.rows > 0)) {
    const rows = memorySource(columns, scan.memory, context.slabs, context.mode);
    const source = addSource(context.registry, context.slabReads.watch(rows));
    context.sourceIds.push(source.id);
    context.slabReads.named(source.sql);
    const outputs = columns.map((column, i) => seen(fromStored(`c${i}`, column.type), column));
    if (scan.positions) outputs.push(`c${columns.length} AS "__unit"`, `c${columns.length + 1} AS "__position"`);
    branches.push({ outputs: outputs.join(', '), from: source.sql });
  }
  const clean: FileUnit[] = [];
  const sparse: FileUnit[] = [];
  const dense: FileUnit[] = [];
  for (const file of scan.files) {
    const deleted = file.deletes?.count ?? 0;
    if (file.rows === 0 || deleted >= file.rows) continue;
    (deleted === 0 ? clean : deleted <= file.rows * DENSE_PART ? sparse : dense).push(file);
  }
  if (clean.length > 0)
    branches.push({ outputs: fileOutputs(scan, clean, seen), from: `${readParquet(columns, clean)} f` });
  if (sparse.length > 0) {
    const source = addSource(context.registry, positionSource(sparse, context.slabs));
    context.sourceIds.push(source.id);
    branches.push({
      outputs: fileOutputs(scan, sparse, seen),
      from: `${readParquet(columns, sparse)} f ANTI JOIN ${source.sql} d ON f.file_index = d.c0 AND f.file_row_number = d.c1`,
    });
  }
  if (dense.length > 0) {
    const source = addSource(context.registry, context.slabReads.watch(bitmapSource(dense, context.slabs)));
    context.sourceIds.push(source.id);
    context.slabReads.named(source.sql);
    branches.push({
      outputs: fileOutputs(scan, dense, seen),
      from: `${readParquet(columns, dense)} f LEFT JOIN ${source.sql} d ON f.file_index = d.c0 WHERE get_bit(d.c1, f.file_row_number::INTEGER) = 0`,
    });
  }
  if (branches.length === 0) return emptyScan(scan, inQueries);
  if (branches.length === 1) return `(SELECT ${branches[0]!.outputs} FROM ${branches[0]!.from})`;
  return unionOf(scan, branches);
}

interface Branch {
  readonly outputs: string;
  readonly from: string;
}

/** S6. */
function unionOf(scan: TableScan, branches: readonly Branch[]): string {
  const names = scan.def.columns.map((column) => column.name);
  if (scan.positions) names.push('__unit', '__position');
  let constant = '__none';
  while (names.includes(constant)) constant += '_';
  const parts = branches.map(({ outputs, from }) => `SELECT 0::UTINYINT AS ${constant}, ${outputs} FROM ${from}`);
  return `(SELECT ${names.map(quoteIdentifier).join(', ')} FROM (${parts.join(' UNION ALL ')}))`;
}

/** The live rows of files by unit, then position, without a sort (S4); with `__unit` and `__position`. */
export function filesInOrder(scan: TableScan, context: ScanContext): string {
  const files = scan.files.filter((file) => file.rows > (file.deletes?.count ?? 0)).toSorted((a, b) => a.unit - b.unit);
  if (files.length === 0) return emptyScan(scan);
  const deleted = files.flatMap((file, i) =>
    file.deletes === null || file.deletes.count === 0
      ? []
      : [`WHEN ${i} THEN get_bit(${bitLiteral(file, context.slabs)}, f.file_row_number::INTEGER)`],
  );
  const where = deleted.length === 0 ? '' : ` WHERE CASE f.file_index ${deleted.join(' ')} ELSE 0 END = 0`;
  return `(SELECT ${fileOutputs(scan, files)} FROM ${readParquet(scan.def.columns, files)} f${where})`;
}

function emptyScan(scan: TableScan, inQueries = false): string {
  const typeOf = inQueries ? engineType : duckdbType;
  const outputs = scan.def.columns.map(
    (column) =>
      `NULL::${column.type.oid === Oid.pgLsn ? 'BIGINT' : typeOf(column.type)} AS ${quoteIdentifier(column.name)}`,
  );
  if (scan.positions) outputs.push('NULL::INTEGER AS "__unit"', 'NULL::BIGINT AS "__position"');
  return `(SELECT ${outputs.join(', ')} WHERE false)`;
}

function fileOutputs(
  scan: TableScan,
  files: readonly FileUnit[],
  seen = (sql: string, column: ColumnDef): string => `${sql} AS ${quoteIdentifier(column.name)}`,
): string {
  const outputs = scan.def.columns.map((column) => seen(`f.f${column.fieldId}`, column));
  if (scan.positions) outputs.push(`${unitOf(files)} AS "__unit"`, 'f.file_row_number AS "__position"');
  return outputs.join(', ');
}

/** The unit number of a row of this read_parquet call. */
export function unitOf(files: readonly FileUnit[]): string {
  if (files.length === 1) return `${files[0]!.unit}::INTEGER`;
  return `list_extract([${files.map((file) => file.unit).join(', ')}]::INTEGER[], f.file_index::BIGINT + 1)`;
}

/** S1, S7. Columns are called f<field id>; one that a file lacks is NULL. */
export function readParquet(columns: readonly ColumnDef[], files: readonly FileUnit[]): string {
  const paths = files.map((file) => quoteLiteral(file.path)).join(', ');
  const schema = columns.map(
    (column) =>
      `${column.fieldId}: {name: 'f${column.fieldId}', type: ${quoteLiteral(duckdbType(column.type))}, default_value: NULL}`,
  );
  const rows = files.reduce((sum, file) => sum + file.rows, 0);
  const known = rows === 0 ? '' : `, explicit_cardinality=${rows}`;
  return `read_parquet([${paths}], hive_partitioning=false, file_row_number=true${known}, schema=MAP {${schema.join(', ')}})`;
}

/** Puts each scan in the place of its placeholder. */
export function withScans(sql: string, scans: readonly TableScan[], context: ScanContext): string {
  const byName = new Map(scans.map((scan) => [scan.placeholder, scan]));
  // One subquery for all uses: a source can be opened any number of times.
  const subqueries = new Map<string, string>();
  const text = replaceNames(sql, (name) => {
    const scan = byName.get(name);
    if (scan === undefined) return undefined;
    let subquery = subqueries.get(name);
    if (subquery === undefined) subqueries.set(name, (subquery = scanSql(scan, context, true)));
    return subquery;
  });
  if (subqueries.size < scans.length) throw new SqlError(SqlState.internalError, 'a scan is missing in its statement');
  return text;
}
