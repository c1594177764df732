/**
 * What DuckDB keeps of the footers of files that it has read, counted here, because nobody else does it well.
 *
 * A footer that is kept halves what a scan of many small files costs. But DuckDB (1.5) keeps that of every file it has
 * ever read, also when the file is gone: one of 10 row groups and 6 columns takes 55 KB and counts as 16. Files come and
 * go by the minute here, so memory grew by 20 MB a minute.
 * - F1 Bytes follow from the files named to the instance since its database was opened: COLUMN_BYTES for each column of
 *   each row group. A file with row groups smaller than Arka's takes more than is counted.
 * - F2 Above the limit the database is replaced by a new one (connections.ts): there is no other way to make it forget.
 * - F3 What a statement with more footers than the limit reads is not kept: each such statement would replace the database.
 */
import type { TableScan } from '../storage/scan-spec.ts';
import { ROW_GROUP_BYTES, ROW_GROUP_ROWS } from './row-group-rows.ts';

/** Measured: 0.9 KB, with statistics of short values. */
const COLUMN_BYTES = 1024;

export class FooterCache {
  readonly bytesMax: number;
  bytes = 0;
  readonly #paths = new Set<string>();

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get full(): boolean {
    return this.bytes > this.bytesMax;
  }

  /** A statement is about to read these. False: their footers are not to be kept (F3). */
  add(scans: readonly TableScan[]): boolean {
    const fresh = new Set<string>();
    let whole = 0;
    let added = 0;
    for (const { def, files } of scans) {
      for (const { path, rows, bytes } of files) {
        const groups = Math.max(Math.ceil(rows / ROW_GROUP_ROWS), Math.ceil((bytes ?? 0) / ROW_GROUP_BYTES));
        const footer = groups * def.columns.length * COLUMN_BYTES;
        whole += footer;
        if (this.#paths.has(path) || fresh.has(path)) continue;
        fresh.add(path);
        added += footer;
      }
    }
    if (whole > this.bytesMax) return false;
    for (const path of fresh) this.#paths.add(path);
    this.bytes += added;
    return true;
  }

  clear(): void {
    this.#paths.clear();
    this.bytes = 0;
  }
}
