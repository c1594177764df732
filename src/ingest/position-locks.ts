/**
 * Deleting rows of a table without a key. The lock of a row is its place, (unit, position), in the table's lock table; own
 * rows need none. A transaction holds the places that it has recorded for deletion, no others: when rows move, both move
 * along (H2).
 */
import { invariant } from '../errors.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import type { Table } from '../storage/table.ts';
import { waitFor } from './key-locks.ts';
import { concurrentChange } from './snapshot.ts';
import type { TableWrites, Transaction } from './transaction.ts';
import { foundPosition, type FoundRows, type WriteContext } from './write-rows.ts';

const key: KeyWords = new Int32Array(4);

/** Puts the lock of a place into `key`; its hash. */
function placeKey(table: Table, unit: number, position: number): number {
  key[0] = unit;
  key[1] = position | 0;
  key[2] = Math.floor(position / 2 ** 32);
  key[3] = 0;
  return table.keys.hash(key);
}

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
    for (; locked < found.names.rows; locked++) await lockPlace(context, transaction, writes, found, locked);
    for (let row = 0; row < found.names.rows; row++) {
      if (!writes.isAlive(found.units[row]!, foundPosition(writes, found, row))) return false;
    }
    done = true;
  } finally {
    if (!done) for (let row = 0; row < locked; row++) unlockPlace(table, found.units[row]!, found.positions[row]!);
  }
  for (let row = 0; row < found.names.rows; row++) {
    const index = found.names.batchOf(row);
    const vectors = found.names.batches[index]!.vectors();
    const inBatch = row - found.names.batchStart(index);
    writes.delete(vectors, inBatch, found.units[row]!, foundPosition(writes, found, row));
  }
  return true;
}

async function lockPlace(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  { units, positions }: FoundRows,
  row: number,
): Promise<void> {
  if (writes.isOwn(units[row]!)) return;
  const { table } = writes;
  for (;;) {
    const hash = placeKey(table, units[row]!, positions[row]!);
    if (table.locks.claim(key, hash, transaction.id, 0)) return;
    invariant(table.locks.a !== transaction.id, 'a scan does not show rows that its transaction has deleted');
    const holder = context.transaction(table.locks.a);
    invariant(holder !== undefined, 'locks go with their transaction');
    await waitFor(context, transaction, holder);
  }
}

/** Gives the lock of a place back; of an own row there is none. */
export function unlockPlace(table: Table, unit: number, position: number): void {
  const hash = placeKey(table, unit, position);
  table.locks.delete(key, hash);
}

/** A locked row has moved. */
export function movePlace(
  table: Table,
  holder: number,
  from: { readonly unit: number; readonly position: number },
  to: { readonly unit: number; readonly position: number },
): void {
  unlockPlace(table, from.unit, from.position);
  const hash = placeKey(table, to.unit, to.position);
  invariant(table.locks.claim(key, hash, holder, 0), 'nobody can have found a row where it is only now');
}
