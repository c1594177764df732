/**
 * Deleting rows that a snapshot shows. A row that is no longer where the snapshot has it has moved, and is followed by its key, or
 * was changed: then the first writer has won (40001).
 */
import type { KeyWords } from '../storage/memory/key-table.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import { locate, NOWHERE } from './keyed-rows.ts';
import { concurrentChange, type Snapshot } from './snapshot.ts';
import type { TableWrites, Transaction } from './transaction.ts';
import { lockFound, type FoundRows, type WriteContext } from './write-rows.ts';

const key: KeyWords = new Int32Array(4);

/** Found rows of a table with a key; where they are in the snapshot, once some of them have moved. */
export interface SnapshotRows extends FoundRows {
  readonly units: Numbers;
  readonly positions: Numbers;
  seen: { readonly units: ArrayLike<number>; readonly positions: ArrayLike<number> } | null;
}
type Numbers = ArrayLike<number> & { [row: number]: number };

/**
 * Locks found rows of a table with a key, waiting where it must.
 * @returns those that were changed or moved since they were found; in REPEATABLE READ none
 * @throws {SqlError} 40001 in REPEATABLE READ for a row that was changed
 */
export async function lockRows(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  found: SnapshotRows,
): Promise<readonly number[]> {
  let stale = await lockFound(context, transaction, writes, found);
  for (const { snapshot } = transaction; snapshot !== null && stale.length > 0;) {
    await followMoved(context, transaction, snapshot, writes, found, stale);
    stale = await lockFound(context, transaction, writes, found);
  }
  return stale;
}

/** Puts the places of rows that have moved, whose keys are locked, into `found`. */
async function followMoved(
  context: WriteContext,
  transaction: Transaction,
  snapshot: Snapshot,
  writes: TableWrites,
  found: SnapshotRows,
  stale: readonly number[],
): Promise<void> {
  const { table } = writes;
  found.seen ??= { units: Array.from(found.units), positions: Array.from(found.positions) };
  const keys = new RowBuffer(context.memory, table.keyPhysicals);
  try {
    for (const row of stale) {
      const index = found.names.batchOf(row);
      const at = row - found.names.batchStart(index);
      keys.append(found.names.batches[index]!.vectors(), at, at + 1);
    }
    const batches = keys.batches.map((batch) => ({ vectors: batch.vectors(), rows: batch.rows }));
    const { units, positions } = await locate(context, transaction, writes, batches);
    stale.forEach((row, i) => {
      const index = keys.batchOf(i);
      table.encodeKey(batches[index]!.vectors, i - keys.batchStart(index), key);
      const isThere = units[i] !== NOWHERE;
      const hasMoved = table.unit(found.units[row]!) === undefined && table.changes?.since(snapshot.lsn, key) === false;
      if (!isThere || !hasMoved) throw concurrentChange(isThere ? 'update' : 'delete');
      found.units[row] = units[i]!;
      found.positions[row] = positions[i]!;
    });
  } finally {
    keys.retire();
  }
}
