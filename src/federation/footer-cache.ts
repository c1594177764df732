/**
 * What DuckDB keeps of the footers of files that it has read, counted here, because nobody else does it well.
 *
 * A footer that is kept halves what a scan of many small files costs. But DuckDB (1.5) keeps that of every file it has
 * ever read, also when the file is gone: one of 10 row groups and 6 columns takes 55 KB and counts as 16. Files come and
 * go by the minute here, so memory grew by 20 MB a minute.
 * - F1 Bytes follow from the files named to the instance since its database was opened (N1 of src/storage/file-footers.ts).
 * - F2 There is no way to make it forget but a new database (connections.ts). One takes the place of the old when there is no room beside
 *   what is kept, at most every ten seconds and when nothing runs on an older one, which keeps its own till then: where the files of a table
 *   have more footers than the limit, each UPDATE names some of them.
 * - F3 What there is no room for is not kept. A statement with more footers than the limit does not ask for room.
 * - F4 Those that are not kept are counted while their statement runs: DuckDB has two files open a thread, and lets go of one at its end.
 */
import { footerBytes } from '../storage/file-footers.ts';
import type { FileUnit, TableScan } from '../storage/scan-spec.ts';

/** A thread reads one, and opens the next. */
const FILES_OPEN = 2;

/** Files that one statement reads, of so many columns. */
export interface ReadFiles {
  readonly files: readonly Pick<FileUnit, 'path' | 'rows' | 'bytes'>[];
  readonly columns: number;
}

/** F4: of a statement on so many threads. */
export function openFooterBytes({ files, columns }: ReadFiles, threads: number): number {
  const largest = files.map((file) => footerBytes(file, columns)).toSorted((a, b) => b - a);
  return largest.slice(0, threads * FILES_OPEN).reduce((sum, bytes) => sum + bytes, 0);
}

export class FooterCache {
  readonly bytesMax: number;
  bytes = 0;
  readonly #paths = new Set<string>();
  #crowded = false;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** There was no room for what a statement reads, beside what is kept for others, maybe of files that are gone (F2). */
  get crowded(): boolean {
    return this.#crowded;
  }

  /** A statement is about to read these. False: their footers are not to be kept (F3). */
  add(scans: readonly TableScan[]): boolean {
    const fresh = new Set<string>();
    let whole = 0;
    let added = 0;
    for (const { def, files } of scans) {
      for (const file of files) {
        const footer = footerBytes(file, def.columns.length);
        whole += footer;
        if (this.#paths.has(file.path) || fresh.has(file.path)) continue;
        fresh.add(file.path);
        added += footer;
      }
    }
    if (whole > this.bytesMax) return false;
    if (this.bytes + added > this.bytesMax) {
      this.#crowded = true;
      return false;
    }
    for (const path of fresh) this.#paths.add(path);
    this.bytes += added;
    return true;
  }

  clear(): void {
    this.#paths.clear();
    this.#crowded = false;
    this.bytes = 0;
  }
}
