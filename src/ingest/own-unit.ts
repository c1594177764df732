/** Own rows of a transaction that are in memory, as a unit of its own scans. */
import type { Batch } from '../storage/memory/batch.ts';
import type { MemoryUnit } from '../storage/scan-spec.ts';
import type { TableWrites } from './transaction.ts';

/** The first `rows` of some batches. @param names the batches' slabs are named, not lent */
export function ownUnit(
  { dead, inserted, table, unit }: Pick<TableWrites, 'dead' | 'inserted' | 'table' | 'unit'>,
  batches: readonly Batch[],
  rows: number,
  names: boolean,
): MemoryUnit {
  const { first, physicals } = inserted;
  const shape = new Float64Array(batches.length * (1 + 4 * physicals.length));
  let at = 0;
  let left = rows;
  for (const batch of batches) {
    at += batch.describe(shape, at, Math.min(batch.rows, left), names);
    left -= batch.rows;
  }
  return {
    unit,
    rows,
    shape: shape.subarray(0, at),
    deletes: first === 0 ? dead.ref(dead.length) : null,
    fieldIds: table.fieldIds,
  };
}
