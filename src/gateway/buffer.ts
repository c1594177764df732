/**
 * Rows of a statement under way as a unit for the engine: they stand for a table in a query of their own (RETURNING,
 * ON CONFLICT). The buffer must stay as it is until the query has ended.
 */
import type { Memory } from '../storage/memory/memory.ts';
import type { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { DeleteRef, MemoryUnit } from '../storage/scan-spec.ts';

export interface BufferUnit {
  readonly unit: MemoryUnit;
  /** After the query has ended. */
  release(): void;
}

/** The rows from `from` on that `isDead` does not name; `fieldIds` are those of the buffer's columns. */
export function bufferUnit(
  memory: Memory,
  buffer: RowBuffer,
  fieldIds: readonly number[],
  from = 0,
  isDead: (row: number) => boolean = () => false,
): BufferUnit {
  const first = buffer.batchOf(from);
  const start = buffer.batches.length === 0 ? 0 : buffer.batchStart(first);
  const rows = buffer.rows - start;
  const batches = buffer.batches.slice(first);
  const shape = new Float64Array(batches.length * (1 + 4 * buffer.physicals.length));
  let at = 0;
  const skipped: number[] = [];
  for (let row = 0; row < rows; row++) if (start + row < from || isDead(start + row)) skipped.push(row);
  const bytes = skipped.length * 4;
  const address = bytes === 0 ? -1 : memory.take(bytes);
  if (bytes > 0) memory.pool.directory.words(address, skipped.length).set(skipped);
  for (const batch of batches) {
    batch.readers++;
    at += batch.describe(shape, at, batch.rows, false);
  }
  const deletes: DeleteRef | null =
    bytes === 0 ? null : { count: skipped.length, blocks: [{ address, count: skipped.length }] };
  return {
    unit: { unit: 0, rows, shape: shape.subarray(0, at), deletes, fieldIds },
    release: () => {
      for (const batch of batches.splice(0)) batch.readers--;
      if (bytes > 0) memory.pool.free(address, bytes);
    },
  };
}
