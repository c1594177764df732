/**
 * Putting rows into a transaction: keys are locked before anything is looked up (C11), an existing key is 23505 or,
 * with on_conflict = 'upsert', the old row's deletion. Deleting goes the same way, key by key.
 */
import { invariant } from '../errors.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import type { Memory } from '../storage/memory/memory.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { Table } from '../storage/table.ts';
import type { UnitEngine } from '../storage/unit-engine.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { claimKeys, duplicateKey, lockKey, settleKey, type OpenKeys } from './key-claims.ts';
import { assertOpen, waitFor } from './key-locks.ts';
import { deletePlaces } from './position-locks.ts';
import { isTaken, resolveCold } from './resolver.ts';
import { claimSpilled } from './spilled-keys.ts';
import type { TableWrites, Transaction } from './transaction.ts';
import type { Running } from '../running.ts';
import { claimValues } from './unique-claims.ts';

export interface WriteContext {
  readonly memory: Memory;
  readonly engine: UnitEngine;
  readonly transaction: (id: number) => Transaction | undefined;
  /** Takes what ends a wait for a key, when the statement is cancelled. */
  readonly running: Running;
  /** Told of a wait for a lock, and how to end it when it takes too long; the answer is called when it is over. */
  readonly lockWait?: (expired: () => void) => () => void;
}

/** Entries that a statement moves out of adopted indexes (K2), a row of its own, and at least. */
const SETTLE_PER_ROW = 4;
const SETTLE_MIN = 64;

const key: KeyWords = new Int32Array(4);

/**
 * Checks and locks the keys of the own rows [from, end) that `writes.inserted` has got, and their values of UNIQUE constraints.
 * @param kept columns in which they have what rows had that were deleted for them
 * @returns null when it is done at once (no lock to wait for, no file to look into)
 */
export function insertRows(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  from: number,
  upsert: boolean,
  kept?: ReadonlySet<number>,
): Promise<void> | null {
  const claimed = insertKeys(context, transaction, writes, from, upsert);
  if (writes.table.uniques.length === 0) return claimed;
  if (claimed === null) return claimValues(context, transaction, writes, kept);
  return claimed.then(() => claimValues(context, transaction, writes, kept) ?? undefined);
}

function insertKeys(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  from: number,
  upsert: boolean,
): Promise<void> | null {
  const { table, inserted } = writes;
  if (!table.keyed) return null;
  writes.growInto(transaction.id, from);
  table.generations[0]!.index.settle(Math.max(SETTLE_MIN, (inserted.rows - from) * SETTLE_PER_ROW));
  const open: OpenKeys = { cold: [], spilled: [] };
  const stopped = claimKeys(transaction, writes, from, upsert, open);
  if (stopped === inserted.rows && open.cold.length === 0 && open.spilled.length === 0) return null;
  return finishInsert(context, transaction, writes, stopped, upsert, open);
}

async function finishInsert(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  from: number,
  upsert: boolean,
  open: OpenKeys,
): Promise<void> {
  const { table, inserted } = writes;
  let next = from;
  while (next < inserted.rows) {
    const vectors = keyVectors(writes, next);
    const row = rowInBatch;
    table.encodeKey(vectors, row, key);
    const holder = holderOf(context, transaction, writes, key, vectors, row);
    if (holder !== null && open.cold.length + open.spilled.length > 0) {
      // a row before this one may be refused: then nobody is waited for
      await lookInto(context, transaction, writes, upsert, open);
      assertOpen(transaction);
      continue;
    }
    if (holder !== null) {
      // Its row is there, and locked alone: whatever becomes of it, this one comes too early.
      const isLockedAlone = !upsert && table.locks.find(key, table.keys.hash(key)) && table.locks.b === 0;
      if (isLockedAlone && (await isTaken(context, table, vectors, row))) throw duplicateKey(table, vectors, row);
      assertOpen(transaction);
      await waitFor(context, transaction, holder);
    }
    next = claimKeys(transaction, writes, next, upsert, open);
  }
  await lookInto(context, transaction, writes, upsert, open);
}

/** Looks into files for the keys that may be there. */
async function lookInto(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  upsert: boolean,
  open: OpenKeys,
): Promise<void> {
  const { table } = writes;
  if (open.spilled.length > 0) await claimSpilled(context, transaction, writes, upsert, open);
  const cold = open.cold.splice(0);
  if (cold.length === 0) return;
  const keys = new RowBuffer(context.memory, table.keyPhysicals);
  const pin = context.memory.pins.acquire(); // a commit removes the staged files that it has copied
  try {
    for (const row of cold) keys.append(keyVectors(writes, row), rowInBatch, rowInBatch + 1);
    await resolveCold(context.engine, table, keys, (index, unit, position) => {
      assertOpen(transaction);
      const vectors = keyVectors(writes, cold[index]!);
      if (!upsert) throw duplicateKey(table, vectors, rowInBatch);
      writes.recordDeletion(vectors, rowInBatch, unit, position);
    });
  } finally {
    pin.release();
    keys.retire();
  }
}

/** Who holds the key in `words`, given as a row of vectors, too, if another transaction does. */
export function holderOf(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  words: KeyWords,
  vectors: readonly ColumnVector[],
  row: number,
): Transaction | null {
  const { table, own } = writes;
  const id = table.holderOf(words, table.keys.hash(words), vectors, row, own);
  if (id === 0 || id === transaction.id) return null;
  const holder = context.transaction(id);
  invariant(holder !== undefined, 'locks go with their transaction');
  return holder;
}

/** Row of the batch that `keyVectors` answered for. */
let rowInBatch = 0;
function keyVectors(writes: TableWrites, row: number): readonly ColumnVector[] {
  const index = writes.inserted.batchOf(row);
  rowInBatch = row - writes.inserted.batchStart(index);
  const { columns } = writes.inserted.batches[index]!;
  return writes.table.keyColumns.map((column) => columns[column]!.vector());
}

/** Rows to delete, as a scan gives them: parallel arrays, with their names (C3). */
export interface FoundRows {
  readonly units: ArrayLike<number>;
  readonly positions: ArrayLike<number>;
  readonly names: RowBuffer;
  /** Rows that are not to be deleted after all. */
  readonly dropped?: ReadonlySet<number>;
  /** Where a snapshot has them, if it is elsewhere. */
  readonly seen?: { readonly units: ArrayLike<number>; readonly positions: ArrayLike<number> } | null;
}

/**
 * Deletes found rows in the transaction.
 * @returns false when a row was changed or moved since it was found: the statement must run again on a new Version
 */
export async function deleteRows(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  found: FoundRows,
): Promise<boolean> {
  if (!writes.table.keyed) return deletePlaces(context, transaction, writes, found);
  const stale = await lockFound(context, transaction, writes, found);
  if (stale.length > 0) return false;
  recordFound(writes, found);
  return true;
}

/** Locks the keys of found rows, waiting where it must; the rows that were changed or moved since they were found. */
export async function lockFound(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  found: FoundRows,
): Promise<readonly number[]> {
  const { table } = writes;
  for (let row = 0; row < found.names.rows; row++) {
    if (found.dropped?.has(row) === true) continue;
    for (;;) {
      encodeFound(table, found, row);
      if (lockKey(transaction, writes, key, foundVectors, foundRow)) break;
      const holder = holderOf(context, transaction, writes, key, foundVectors, foundRow);
      invariant(holder !== null, 'a key that cannot be locked is held');
      await waitFor(context, transaction, holder);
    }
  }
  const stale: number[] = [];
  for (let row = 0; row < found.names.rows; row++) {
    if (found.dropped?.has(row) === true) continue;
    if (!writes.isAlive(found.units[row]!, foundPosition(writes, found, row))) stale.push(row);
  }
  return stale;
}

/** Deletes found rows, which are locked and alive. */
export function recordFound(writes: TableWrites, found: FoundRows): void {
  for (let row = 0; row < found.names.rows; row++) {
    if (found.dropped?.has(row) === true) continue;
    encodeFound(writes.table, found, row);
    const { units, positions } = found.seen ?? found;
    const position = foundPosition(writes, found, row);
    writes.delete(foundVectors, foundRow, found.units[row]!, position, units[row], positions[row]);
    settleKey(writes, key);
  }
}

export function foundPosition(writes: TableWrites, { units, positions }: FoundRows, row: number): number {
  return units[row] === writes.unit ? writes.ownRow(positions[row]!) : positions[row]!;
}

let foundVectors: readonly ColumnVector[] = [];
let foundRow = 0;
function encodeFound(table: Table, found: FoundRows, row: number): void {
  const index = found.names.batchOf(row);
  foundRow = row - found.names.batchStart(index);
  foundVectors = found.names.batches[index]!.vectors();
  table.encodeKey(foundVectors, foundRow, key);
}
