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
import { claimKeys, duplicateKey, lockKey, settleKey } from './key-claims.ts';
import { assertOpen, waitFor } from './key-locks.ts';
import { deletePlaces } from './position-locks.ts';
import { resolveCold } from './resolver.ts';
import type { TableWrites, Transaction } from './transaction.ts';

export interface WriteContext {
  readonly memory: Memory;
  readonly engine: UnitEngine;
  readonly transaction: (id: number) => Transaction | undefined;
  /** Takes what ends a wait for a key, when the statement is cancelled. */
  readonly running: (cancel: () => void) => void;
}

/** Entries that a statement moves out of adopted indexes (K2), a row of its own, and at least. */
const SETTLE_PER_ROW = 4;
const SETTLE_MIN = 64;

const key: KeyWords = new Int32Array(4);

/**
 * Checks and locks the keys of the own rows [from, end) that `writes.inserted` has got.
 * @returns null when it is done at once (no lock to wait for, no file to look into)
 */
export function insertRows(
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
  const cold: number[] = [];
  const stopped = claimKeys(transaction, writes, from, upsert, cold);
  if (stopped === inserted.rows && cold.length === 0) return null;
  return finishInsert(context, transaction, writes, stopped, upsert, cold);
}

async function finishInsert(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  from: number,
  upsert: boolean,
  cold: number[],
): Promise<void> {
  const { table, inserted } = writes;
  let next = from;
  while (next < inserted.rows) {
    const vectors = keyVectors(writes, next);
    table.encodeKey(vectors, rowInBatch, key);
    const holder = holderOf(context, transaction, writes, key, vectors, rowInBatch);
    if (holder !== null) await waitFor(context, transaction, holder);
    next = claimKeys(transaction, writes, next, upsert, cold);
  }
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

/** Rows to delete: parallel arrays, with their names (C3). */
export interface FoundRows {
  readonly units: Int32Array;
  readonly positions: Float64Array;
  readonly names: RowBuffer;
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
  const { table } = writes;
  if (!table.keyed) return deletePlaces(context, transaction, writes, found);
  for (let row = 0; row < found.names.rows; row++) {
    for (;;) {
      encodeFound(table, found, row);
      if (lockKey(transaction, writes, key, foundVectors, foundRow)) break;
      const holder = holderOf(context, transaction, writes, key, foundVectors, foundRow);
      invariant(holder !== null, 'a key that cannot be locked is held');
      await waitFor(context, transaction, holder);
    }
  }
  for (let row = 0; row < found.names.rows; row++) {
    const unit = found.units[row]!;
    const position = found.positions[row]!;
    if (unit === writes.unit ? writes.isDead(position) : !table.isAlive(unit, position)) return false;
  }
  for (let row = 0; row < found.names.rows; row++) {
    encodeFound(table, found, row);
    if (found.units[row] === writes.unit) writes.killOwn(found.positions[row]!);
    else writes.recordDeletion(foundVectors, foundRow, found.units[row]!, found.positions[row]!);
    settleKey(writes, key);
  }
  return true;
}

let foundVectors: readonly ColumnVector[] = [];
let foundRow = 0;
function encodeFound(table: Table, found: FoundRows, row: number): void {
  const index = found.names.batchOf(row);
  foundRow = row - found.names.batchStart(index);
  foundVectors = found.names.batches[index]!.vectors();
  table.encodeKey(foundVectors, foundRow, key);
}
