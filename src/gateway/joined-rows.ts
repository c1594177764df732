/**
 * Rows that were joined with those that a statement changes, for its RETURNING: kept row by row beside what was found, and sent
 * with it.
 */
import { appendRows } from '../ingest/change-rows.ts';
import type { Returning } from '../planner/plan.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { physicalOf } from '../types/pg-type.ts';
import { sendWritten, type WrittenRows } from './returning.ts';
import type { WriteEnvironment } from './write-environment.ts';

export class JoinedRows {
  readonly #environment: WriteEnvironment;
  readonly #returning: Returning | null;
  readonly #buffers: readonly RowBuffer[];
  /** Where in the query's rows their columns begin. */
  readonly #at: number;

  constructor(environment: WriteEnvironment, returning: Returning | null, at: number) {
    this.#environment = environment;
    this.#returning = returning;
    this.#at = at;
    const { memory } = environment.database;
    const joined = environment.answer === null ? [] : (returning?.joined ?? []);
    this.#buffers = joined.map(
      ({ def }) =>
        new RowBuffer(
          memory,
          def.columns.map(({ type }) => physicalOf(type)),
        ),
    );
  }

  take(vectors: readonly ColumnVector[], start: number, end: number): void {
    let at = this.#at;
    for (const buffer of this.#buffers) {
      buffer.append(vectors.slice(at, at + buffer.physicals.length), start, end);
      at += buffer.physicals.length;
    }
  }

  forget(): void {
    for (const buffer of this.#buffers) buffer.truncate(0);
  }

  /**
   * Sends the rows that a statement has changed, with those that they were joined with.
   * @param written as many as were found, but for those that `isDropped` names: in `written` they are, or are not, as `hasDropped` says
   */
  async send(written: WrittenRows, isDropped: (row: number) => boolean, hasDropped: boolean): Promise<void> {
    if (this.#buffers.length === 0) {
      await sendWritten(this.#environment, this.#returning, hasDropped ? { ...written, isDead: isDropped } : written);
      return;
    }
    const { buffer, from } = written;
    const rows = new RowBuffer(this.#environment.database.memory, buffer.physicals);
    const joined: RowBuffer[] = [];
    try {
      if (hasDropped) copyKept(buffer, isDropped, rows);
      else appendRows(buffer, from, buffer.rows, rows);
      for (const each of this.#buffers) {
        const kept = each.like();
        joined.push(kept);
        copyKept(each, isDropped, kept);
      }
      await sendWritten(this.#environment, this.#returning, { def: written.def, buffer: rows, from: 0, joined });
    } finally {
      rows.retire();
      for (const each of joined) each.retire();
    }
  }

  retire(): void {
    for (const buffer of this.#buffers) buffer.retire();
  }
}

function copyKept(source: RowBuffer, isDropped: (row: number) => boolean, to: RowBuffer): void {
  let from = 0;
  for (let row = 0; row < source.rows; row++) {
    if (!isDropped(row)) continue;
    appendRows(source, from, row, to);
    from = row + 1;
  }
  appendRows(source, from, source.rows, to);
}
