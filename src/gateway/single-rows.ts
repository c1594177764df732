/** Rows of files, each by a prepared statement of the thread that reads single rows, some side by side: a scan would read, or fetch, much more. */
import type { Database } from '../ingest/database.ts';
import { sideBySide } from '../side-by-side.ts';
import type { DataFileUnit } from '../storage/file-unit.ts';
import type { FileUnit } from '../storage/scan-spec.ts';
import type { TableDef } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';

const READS_MAX = 16;

export interface SingleRow {
  readonly file: DataFileUnit;
  /** The file as it is to be read. */
  readonly scan: FileUnit;
  readonly position: number;
}

/**
 * The fields of each row as vectors of one row, in the order of the rows. Whoever asks holds the files (a pin), and an index is open.
 * @throws {SqlError} 57014 when `signal` says so while a file is fetched; what a store says
 */
export function readSingly(
  { disk, index }: Database,
  timeZone: string,
  def: TableDef,
  fieldIds: readonly number[],
  rows: readonly SingleRow[],
  signal: AbortSignal,
): Promise<(readonly ColumnVector[])[]> {
  const columns = fieldIds.map((fieldId) => def.columns.find((column) => column.fieldId === fieldId)!);
  const shared = { columns, fileColumns: def.columns.length, formats: [], timeZone };
  return sideBySide(rows, READS_MAX, async ({ file, scan, position }) => {
    const { path, release } = await disk.leaseRow(scan, { position, fieldIds }, index!, signal);
    try {
      return await index!.readVectors({ ...shared, path, rows: file.rows, position });
    } finally {
      release();
    }
  });
}
