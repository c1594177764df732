/**
 * What the footer of a Parquet file takes in memory while the file is open: DuckDB decodes the whole of it, whatever is wanted of the file.
 *
 * - N1 COLUMN_BYTES for each column of each row group. A file with row groups smaller than Arka's takes more than is counted.
 * - N2 Rows that compress well make files of 50 million rows below the target size, of which a footer is 15 MB, several times over
 *   while scans, a rewrite and reads by key have such files open. So rows are not merged into one file beyond a footer's bound.
 */
export const ROW_GROUP_ROWS = 20_480;
export const ROW_GROUP_BYTES = 8 * 2 ** 20;
/** Measured: 0.9 KB, with statistics of short values. */
const COLUMN_BYTES = 1024;

/** N1. */
export function footerBytes(file: { readonly rows: number; readonly bytes?: number }, columns: number): number {
  const groups = Math.max(Math.ceil(file.rows / ROW_GROUP_ROWS), Math.ceil((file.bytes ?? 0) / ROW_GROUP_BYTES));
  return groups * columns * COLUMN_BYTES;
}

/** N2: as many rows as a footer of so many bytes is of; of one row group at least. */
export function rowsOfFooter(bytes: number, columns: number): number {
  return Math.max(1, Math.floor(bytes / (columns * COLUMN_BYTES))) * ROW_GROUP_ROWS;
}
