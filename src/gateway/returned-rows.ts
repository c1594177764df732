/** What RETURNING gives inside WITH, or a query there that runs once, kept as rows of a table while the other parts of the statement read it. */
import { SqlError, SqlState } from '../errors.ts';
import type { QueryPlan, Returning } from '../planner/plan.ts';
import type { Batch } from '../storage/memory/batch.ts';
import type { Memory } from '../storage/memory/memory.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { TableDef } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { physicalOf } from '../types/pg-type.ts';
import type { MaybePromise } from '../wire/gateway-api.ts';
import type { StandIn } from './query.ts';
import { unitsOf, type RowTaker, type WrittenRows } from './returning.ts';
import { drain, type WriteEnvironment } from './write-environment.ts';

/** Rows that the other parts of a statement read take at most this share of the slab budget. */
const KEPT_FRACTION = 0.4;

export class ReturnedRows implements RowTaker {
  readonly rows: RowBuffer;
  readonly #memory: Memory;

  constructor(memory: Memory, { columns }: TableDef) {
    this.#memory = memory;
    this.rows = new RowBuffer(
      memory,
      columns.map(({ type }) => physicalOf(type)),
    );
  }

  take(environment: WriteEnvironment, returning: Returning, written: WrittenRows): MaybePromise<void> {
    const { from, buffer } = written;
    if (from === buffer.rows) return undefined;
    if (returning.columns === null) return this.#takeByEngine(environment, returning, written);
    for (let index = buffer.batchOf(from); index < buffer.batches.length; index++)
      this.#takeBatch(returning.columns, written, buffer.batches[index]!, buffer.batchStart(index));
    this.#checkSize();
    return undefined;
  }

  /** Rows of one batch that live, run by run. */
  #takeBatch(columns: readonly number[], { from, isDead }: WrittenRows, batch: Batch, start: number): void {
    const vectors = columns.map((column) => batch.columns[column]!.vector());
    let first = Math.max(0, from - start);
    for (let row = first; row < batch.rows; row++) {
      if (isDead?.(start + row) !== true) continue;
      this.rows.append(vectors, first, row);
      first = row + 1;
    }
    this.rows.append(vectors, first, batch.rows);
  }

  async #takeByEngine(environment: WriteEnvironment, returning: Returning, written: WrittenRows): Promise<void> {
    const { buffers, release } = unitsOf(environment, returning, written);
    try {
      await this.takeQuery(environment, returning.kept().plan, buffers);
    } finally {
      release();
    }
  }

  async takeQuery(environment: WriteEnvironment, plan: QueryPlan, buffers?: StandIn['buffers']): Promise<void> {
    const take = (vectors: readonly ColumnVector[], rows: number): void => {
      this.rows.append(vectors, 0, rows);
      this.#checkSize();
    };
    await drain(environment, plan, take, buffers);
  }

  #checkSize(): void {
    const bytesMax = this.#memory.pool.budgetBytes * KEPT_FRACTION;
    let bytes = 0;
    for (const batch of this.rows.batches) bytes += batch.dataBytes;
    if (bytes > bytesMax)
      throw new SqlError(
        SqlState.programLimitExceeded,
        'too many rows of WITH that other parts of the statement read',
        {
          detail: `Rows that other parts of a statement read may take ${Math.floor(bytesMax)} bytes.`,
          hint: 'Change fewer rows by one statement, or raise memory.limit.',
        },
      );
  }
}
