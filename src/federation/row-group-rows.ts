/**
 * How many rows a row group of a new file gets: DuckDB holds a group three times over while it writes it, and 20,480 rows of a
 * megabyte are more memory than there is. It can end a group by bytes, but only where it gives up the order of rows (S4, H16).
 *
 * - B1 ROW_GROUP_BYTES by the average width of the rows, and no more than WIDEST_BYTES where all were as wide as those of the
 *   widest part: wide rows may stand together. Widths are of values without compression; repeated ones may count once.
 * - B2 A filter must not gather few wide rows into a chunk of 2,048, as DuckDB does for speed: a group ends between chunks.
 */
import { ROW_GROUP_BYTES, ROW_GROUP_ROWS } from '../storage/file-footers.ts';
import type { MemoryUnit } from '../storage/scan-spec.ts';
import type { SlabDirectory } from '../storage/memory/slab.ts';
import { quoteLiteral } from '../sql-text.ts';
import type { TableDef } from '../table-def.ts';
import { physicalOf } from '../types/pg-type.ts';
import { run, type Lease } from './connections.ts';
import type { WriteParquetRequest } from './engine-api.ts';
import { CHUNK_ROWS } from './row-source.ts';
import { eachChunk } from './vector-reader.ts';

const WIDEST_BYTES = 4 * ROW_GROUP_BYTES;

/** Rows and their bytes, of a whole and of its part with the widest rows. */
class Widths {
  rows = 0;
  bytes = 0;
  widest = 0;

  add(rows: number, bytes: number): void {
    if (rows === 0) return;
    this.rows += rows;
    this.bytes += bytes;
    this.widest = Math.max(this.widest, bytes / rows);
  }

  get groupRows(): number {
    if (this.bytes === 0) return ROW_GROUP_ROWS;
    const rows = Math.min((ROW_GROUP_BYTES * this.rows) / this.bytes, WIDEST_BYTES / this.widest);
    return Math.max(1, Math.min(ROW_GROUP_ROWS, Math.floor(rows)));
  }
}

/** B1. */
export async function rowGroupRows(
  lease: Lease,
  { def, memory, files }: Pick<WriteParquetRequest, 'def' | 'memory' | 'files'>,
  slabs: SlabDirectory,
): Promise<number> {
  const widths = new Widths();
  for (const unit of memory) addBatches(widths, def, unit, slabs);
  if (files.length > 0) {
    const paths = files.map(({ path }) => quoteLiteral(path)).join(', ');
    const groups = `SELECT max(row_group_num_rows) AS n, sum(total_uncompressed_size) AS b FROM parquet_metadata([${paths}]) GROUP BY file_name, row_group_id`;
    const result = await run(lease, `SELECT n::DOUBLE, b::DOUBLE FROM (${groups})`);
    await eachChunk(result, ([rows, bytes], count) => {
      for (let i = 0; i < count; i++) widths.add(rows!.float64[i]!, bytes!.float64[i]!);
    });
  }
  return widths.groupRows;
}

/** B2. Runs `work` with that off where groups are small. */
export async function withSmallChunks<T>(lease: Lease, groupRows: number, work: () => Promise<T>): Promise<T> {
  if (groupRows >= CHUNK_ROWS) return await work();
  await run(lease, 'SET enable_caching_operators = false');
  try {
    return await work();
  } finally {
    await run(lease, 'SET enable_caching_operators = true');
  }
}

/** What a batch takes beside its texts is little: of them only the lengths are asked for. */
function addBatches(widths: Widths, def: TableDef, { fieldIds, shape }: MemoryUnit, slabs: SlabDirectory): void {
  const ids = fieldIds.length === 0 ? def.columns.map((column) => column.fieldId) : fieldIds;
  const stride = 1 + 4 * ids.length;
  const texts = ids.flatMap((fieldId, i) => {
    const column = def.columns.find((each) => each.fieldId === fieldId);
    return column !== undefined && physicalOf(column.type) === 'bytes' ? [1 + 4 * i] : [];
  });
  for (let at = 0; at < shape.length; at += stride) {
    const rows = shape[at]!;
    let bytes = rows * 8 * ids.length;
    for (const slot of texts) bytes += slabs.words(shape[at + slot + 2]!, rows + 1)[rows]!;
    widths.add(rows, bytes);
  }
}
