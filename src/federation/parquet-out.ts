/**
 * Parquet files in their final Iceberg form: field ids, sort order, zstd, row groups of 20,480 rows.
 *
 * - P1 The order is total: the def's sort, then unit, then position (H16), so `newPositions` finds every row by the same query.
 *   Without a sort the scan gives that order by itself (S4): sorting took all the memory there is, and more CPU than all the rest.
 * - P3 A row group has fewer rows where they are wide (row-group-rows.ts).
 * - P2 A file counts as written after fsync of file and folder (C10): DuckDB never does that. Written beside its name, then renamed.
 */
import { quoteIdentifier, quoteLiteral } from '../sql-text.ts';
import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type duckdb from '@duckdb/node-bindings';
import { invariant, SqlError, SqlState } from '../errors.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { ROW_GROUP_ROWS } from '../storage/file-footers.ts';
import type { FileColumnStats } from '../storage/file-stats.ts';
import { run, type Lease } from './connections.ts';
import { copyStatistics } from './copy-statistics.ts';
import type { WriteParquetRequest, WrittenFile } from './engine-api.ts';
import { columnStats } from './file-bounds.ts';
import { filesInOrder, scanSql, type ScanContext } from './scan-sql.ts';
import type { Fill } from '../storage/unit-engine.ts';
import { keySource } from './lookup.ts';
import { addSource } from './row-source.ts';
import { fromStored } from './stored-form.ts';
import { rowGroupRows, withSmallChunks } from './row-group-rows.ts';
import { eachChunk } from './vector-reader.ts';

export async function writeParquet(
  lease: Lease,
  request: WriteParquetRequest,
  context: ScanContext,
): Promise<WrittenFile | null> {
  const { def, fill } = request;
  const filled = fill === undefined ? null : fillSource(def, fill, context);
  const columns = def.columns.map((column) => {
    const name = quoteIdentifier(column.name);
    const at = fill?.fieldIds.indexOf(column.fieldId) ?? -1;
    return at < 0 ? name : `(SELECT ${fromStored(`c${at}`, column.type)} FROM ${filled}) AS ${name}`;
  });
  const scanned = { ...def, columns: def.columns.filter(({ fieldId }) => fill?.fieldIds.includes(fieldId) !== true) };
  const select = `SELECT ${columns.join(', ')} FROM ${orderedScan({ ...request, def: scanned }, context)}`;
  const fieldIds = def.columns.map((column) => `${quoteIdentifier(column.name)}: ${parquetIds(column)}`);
  const groupRows = await rowGroupRows(lease, request, context.slabs);
  return await withSmallChunks(lease, groupRows, () =>
    copyTo(lease, select, fieldIds, def.columns, request.path, groupRows),
  );
}

/** The field id of a column; of an array that of its elements, too. */
function parquetIds({ fieldId, elementId }: ColumnDef): string {
  return elementId === undefined ? String(fieldId) : `{__duckdb_field_id: ${fieldId}, element: ${elementId}}`;
}

/** The values of columns that no unit has, as a FROM item of one row. */
function fillSource(def: TableDef, { fieldIds, vectors }: Fill, context: ScanContext): string {
  const columns = fieldIds.map((fieldId) => def.columns.find((column) => column.fieldId === fieldId)!);
  const source = addSource(context.registry, keySource(columns, vectors, 1, context.mode));
  context.sourceIds.push(source.id);
  return source.sql;
}

export async function newPositions(
  lease: Lease,
  request: WriteParquetRequest,
  context: ScanContext,
): Promise<{ units: Int32Array; positions: Uint32Array }> {
  let live = 0;
  for (const unit of [...request.memory, ...request.files]) live += unit.rows - (unit.deletes?.count ?? 0);
  const units = new Int32Array(live);
  const positions = new Uint32Array(live);
  let at = 0;
  const result = await run(lease, `SELECT "__unit", "__position" FROM ${orderedScan(request, context)}`);
  await eachChunk(result, (vectors, rows) => {
    invariant(at + rows <= live, 'a unit has as many live rows as its counts say');
    units.set(vectors[0]!.words.subarray(0, rows), at);
    const words = vectors[1]!.words;
    for (let i = 0; i < rows; i++) positions[at + i] = words[i * 2]!;
    at += rows;
  });
  invariant(at === live, 'a unit has as many live rows as its counts say');
  return { units, positions };
}

/** The live rows in P1's order, as a FROM item, with an ORDER BY where one is needed. */
function orderedScan(request: WriteParquetRequest, context: ScanContext): string {
  const { def, files } = request;
  const memory = request.memory.toSorted((a, b) => a.unit - b.unit);
  const scan = { placeholder: '', def, memory, files, positions: true };
  const item = `${memory.length === 0 ? filesInOrder(scan, context) : scanSql(scan, context)} AS s`;
  if (def.sort.length === 0 && (memory.length === 0 || files.length === 0)) return item;
  return `${item} ORDER BY ${[...sortTerms(def), '"__unit"', '"__position"'].join(', ')}`;
}

function sortTerms(def: TableDef): readonly string[] {
  return def.sort.map((field) => {
    const column = def.columns.find((candidate) => candidate.fieldId === field.sourceId);
    invariant(column !== undefined, 'a sort field names a column');
    return `s.${quoteIdentifier(column.name)} ${field.descending ? 'DESC' : 'ASC'} NULLS ${field.nullsFirst ? 'FIRST' : 'LAST'}`;
  });
}

/** COPY, fsync, rename, fsync of the folder; null and no file when there are no rows. */
export async function copyTo(
  lease: Lease,
  select: string,
  fieldIds: readonly string[],
  columns: readonly ColumnDef[],
  path: string,
  groupRows = ROW_GROUP_ROWS,
): Promise<WrittenFile | null> {
  const temporary = `${path}.writing`;
  try {
    const result = await run(
      lease,
      `COPY (${select}) TO ${quoteLiteral(temporary)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE ${groupRows}, FIELD_IDS {${fieldIds.join(', ')}}, RETURN_STATS)`,
    );
    const { rows, stats } = await returnedStats(result, columns);
    if (rows === 0) {
      await rm(temporary, { force: true });
      return null;
    }
    await makeDurable(temporary, path);
    return { path, rows, bytes: (await stat(path)).size, columns: stats };
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw diskError(error);
  }
}

/** P2. */
async function makeDurable(temporary: string, path: string): Promise<void> {
  await fsync(temporary);
  await rename(temporary, path);
  await fsync(dirname(path));
}

async function fsync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function diskError(error: unknown): unknown {
  if (error instanceof SqlError || !(error instanceof Error)) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === undefined) return error;
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return new SqlError(
    full ? SqlState.diskFull : SqlState.ioError,
    full ? 'no space left for a data file' : 'could not write a data file',
    { cause: error },
  );
}

/** No row: no statistics, or none of the file. */
async function returnedStats(
  result: duckdb.Result,
  columns: readonly ColumnDef[],
): Promise<{ readonly rows: number; readonly stats: readonly FileColumnStats[] }> {
  const written = await copyStatistics(result);
  if (written === null) return { rows: 0, stats: [] };
  return {
    rows: written.rows,
    // Of an array there is nothing to say: what COPY counts are its elements.
    stats: columns
      .filter((column) => column.elementId === undefined)
      .map((column) =>
        columnStats(column, written.columns.get(quoteIdentifier(column.name)) ?? new Map(), written.rows),
      ),
  };
}
