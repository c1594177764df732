/**
 * Deleting rows of a table without a key. The lock of a row is its place, (unit, position), in the table's place locks; own
 * rows need none. A transaction holds the places that it has recorded for deletion, no others: when rows move, both move
 * along (H2).
 */
import { invariant } from '../errors.ts';
import type { Table } from '../storage/table.ts';
import { waitFor } from './key-locks.ts';
import type { Place } from './packed-places.ts';
import { concurrentChange } from './snapshot.ts';
import type { TableWrites, Transaction } from './transaction.ts';
import { foundPosition, type FoundRows, type WriteContext } from './write-rows.ts';

/**
 * Deletes found rows, named by their images, in the transaction.
 * @returns false when a row was changed or moved since it was found: the statement must run again on a new Version
 */
export async function deletePlaces(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  found: FoundRows,
): Promise<boolean> {
  const { table } = writes;
  const isThere = (row: number): boolean =>
    writes.unitOf(found.units[row]!) !== undefined || found.units[row] === writes.unit;
  if (transaction.snapshot !== null)
    for (let row = 0; row < found.names.rows; row++) if (!isThere(row)) throw concurrentChange('update'); // or moved: without a key that is not told apart
  let locked = 0;
  let done = false;
  try {
    for (; locked < found.names.rows; locked++) {
      const waiting = lockPlace(context, transaction, writes, found, locked);
      if (waiting !== null) await waiting;
    }
    for (let row = 0; row < found.names.rows; row++) {
      if (!writes.isAlive(found.units[row]!, foundPosition(writes, found, row))) return false;
    }
    done = true;
  } finally {
    for (let row = 0; !done && row < locked; row++)
      table.placeLocks.delete(found.units[row]!, found.positions[row]!, transaction.id);
  }
  for (let row = 0; row < found.names.rows; row++) {
    const index = found.names.batchOf(row);
    const vectors = found.names.batches[index]!.vectors();
    const inBatch = row - found.names.batchStart(index);
    writes.delete(vectors, inBatch, found.units[row]!, foundPosition(writes, found, row));
  }
  return true;
}

/** Null: it is locked. */
function lockPlace(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  { units, positions }: FoundRows,
  row: number,
): Promise<void> | null {
  if (writes.isOwn(units[row]!)) return null;
  const holder = writes.table.placeLocks.claim(units[row]!, positions[row]!, transaction.id);
  return holder === 0 ? null : lockBehind(context, transaction, writes, units[row]!, positions[row]!, holder);
}

async function lockBehind(
  context: WriteContext,
  transaction: Transaction,
  { table }: TableWrites,
  unit: number,
  position: number,
  first: number,
): Promise<void> {
  for (let id = first; id !== 0; id = table.placeLocks.claim(unit, position, transaction.id)) {
    const holder = context.transaction(id);
    invariant(holder !== undefined, 'locks go with their transaction');
    await waitFor(context, transaction, holder);
  }
}

/** A locked row has moved. */
export function movePlace(table: Table, holder: number, from: Place, to: Place): void {
  table.placeLocks.delete(from.unit, from.position, holder);
  const other = table.placeLocks.claim(to.unit, to.position, holder);
  invariant(other === 0, 'nobody can have found a row where it is only now');
}
