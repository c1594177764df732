/**
 * When a statement has read all that it reads of slabs: from then on it holds files alone, so a long scan of files does not
 * keep the memory of rows that were flushed meanwhile (H5).
 *
 * - A1 A table function in a statement is scanned once, to its end, or the statement ends before: DuckDB keeps what it reads
 *   more than once. Not so in a CTE, which may be scanned once for each of its uses, under a window, which may become a join of
 *   its input with itself, and in a query that is part of an expression, which nullif, avg or CASE may take twice: a statement that
 *   has one holds to its end.
 * - A2 A scan that begins after all have ended anyway fails: what it would read may be another's by now.
 */
import { SqlError, SqlState } from '../errors.ts';
import { hasQueryInExpression } from './expression-queries.ts';
import type { NextChunk, RowSource } from './row-source.ts';

const SCANNED_AGAIN = /\bWITH\s+(RECURSIVE\s+)?"|\bOVER\s*[("]/i;

export class SlabReads {
  /** Resolves when nothing of slabs is read any more. */
  readonly ended: Promise<void>;
  readonly #end: () => void;
  readonly #names: string[] = [];
  /** Scans to come or under way; infinite until the statement is known. */
  #left = Number.POSITIVE_INFINITY;
  #scanned = 0;
  #over = false;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#end = resolve;
  }

  /** What DuckDB gets in the place of a source that reads slabs. */
  watch(source: RowSource): RowSource {
    return { ...source, open: (projection) => this.#counted(source, projection) };
  }

  /** The SQL of a source that is watched. */
  named(sql: string): void {
    this.#names.push(sql);
  }

  /** The statement that is about to run. */
  begin(sql: string): void {
    if (this.#names.length > 0 && (SCANNED_AGAIN.test(sql) || hasQueryInExpression(sql))) return;
    const uses = this.#names.reduce((sum, name) => sum + sql.split(name).length - 1, 0);
    this.#left = uses - this.#scanned;
    this.#look();
  }

  /** The statement has ended. */
  close(): void {
    this.#left = 0;
    this.#look();
  }

  #counted(source: RowSource, projection: readonly number[]): NextChunk {
    if (this.#over)
      throw new SqlError(SqlState.internalError, 'rows in memory were to be read once more, and are given up');
    const next = source.open(projection);
    let open = true;
    return (chunk) => {
      const rows = next(chunk);
      if (rows === 0 && open) {
        open = false;
        this.#scanned++;
        this.#left--;
        this.#look();
      }
      return rows;
    };
  }

  #look(): void {
    if (this.#over || this.#left > 0) return;
    this.#over = true;
    this.#end();
  }
}
