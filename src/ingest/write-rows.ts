/**
 * Putting rows into a transaction: keys are locked before anything is looked up (C11), an existing key is 23505 or,
 * with on_conflict = 'upsert', the old row's deletion. Deleting goes the same way, key by key.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { DataFileUnit } from '../storage/file-unit.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import type { Memory } from '../storage/memory/memory.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { Table } from '../storage/table.ts';
import type { UnitEngine } from '../storage/unit-engine.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { textOutput } from '../types/text-output.ts';
import { UTC } from '../types/time-zone.ts';
import { assertOpen, waitFor } from './key-locks.ts';
import { candidateFiles, resolveCold } from './resolver.ts';
import { KEY_OLD_DELETED, type TableWrites, type Transaction } from './transaction.ts';

export interface WriteContext {
  readonly memory: Memory;
  readonly engine: UnitEngine;
  readonly transaction: (id: number) => Transaction | undefined;
  /** Takes what ends a wait for a key, when the statement is cancelled. */
  readonly running: (cancel: () => void) => void;
}

const key: KeyWords = new Int32Array(4);

/** 23505 with the key in DETAIL, as PostgreSQL says it. */
function duplicateKey(table: Table, vectors: readonly ColumnVector[], row: number): SqlError {
  const out = new ByteWriter(64);
  const columns = table.keyColumns.map((index) => table.def.columns[index]!);
  const texts = columns.map((column, i) => {
    textOutput(column.type, { timeZone: UTC })(vectors[i]!, row, out);
    return Buffer.from(out.take()).toString();
  });
  return new SqlError(
    SqlState.uniqueViolation,
    `duplicate key value violates unique constraint "${table.def.keyName}"`,
    {
      detail: `Key (${columns.map((column) => column.name).join(', ')})=(${texts.join(', ')}) already exists.`,
      schema: table.def.schema,
      table: table.def.name,
      constraint: table.def.keyName,
    },
  );
}

/** Who holds the key, if another transaction does. */
function otherHolder(context: WriteContext, transaction: Transaction, table: Table): Transaction | null {
  if (!table.locks.get(key) || table.locks.a === transaction.id) return null;
  return context.transaction(table.locks.a) ?? null;
}

/** Locks the key in `key` for the transaction, which may hold it already. */
function lock(writes: TableWrites, transaction: Transaction, state: number): void {
  const { locks } = writes.table;
  const isNew = !locks.get(key);
  locks.set(key, transaction.id, state);
  if (isNew) writes.rememberLock(key);
}

function recordDeletion(
  writes: TableWrites,
  vectors: readonly ColumnVector[],
  row: number,
  unit: number,
  position: number,
): void {
  writes.deletedKeys.append(vectors, row, row + 1);
  writes.units.push(unit);
  writes.positions.push(position);
}

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
  if (!writes.table.keyed) return null;
  const cold: ColdRows = { rows: [], files: new Set() };
  const stopped = checkKeys(context, transaction, writes, from, upsert, cold);
  if (stopped === writes.inserted.rows && cold.rows.length === 0) return null;
  return finishInsert(context, transaction, writes, stopped, upsert, cold);
}

interface ColdRows {
  readonly rows: number[];
  readonly files: Set<DataFileUnit>;
}

async function finishInsert(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  from: number,
  upsert: boolean,
  cold: ColdRows,
): Promise<void> {
  let next = from;
  while (next < writes.inserted.rows) {
    keyOf(writes, next);
    const holder = otherHolder(context, transaction, writes.table);
    if (holder !== null) await waitFor(context, transaction, holder);
    next = checkKeys(context, transaction, writes, next, upsert, cold);
  }
  if (cold.rows.length === 0) return;
  const keys = new RowBuffer(context.memory, writes.table.keyPhysicals);
  const pin = context.memory.pins.acquire(); // a commit removes the staged files that it has copied
  try {
    for (const row of cold.rows) keys.append(keyVectors(writes, row), rowInBatch, rowInBatch + 1);
    await resolveCold(context.engine, writes.table, cold.files, keys, (index, unit, position) => {
      assertOpen(transaction);
      const vectors = keyVectors(writes, cold.rows[index]!);
      if (!upsert) throw duplicateKey(writes.table, vectors, rowInBatch);
      recordDeletion(writes, vectors, rowInBatch, unit, position);
      writes.table.encodeKey(vectors, rowInBatch, key);
      if (writes.table.locks.get(key))
        writes.table.locks.set(key, transaction.id, writes.table.locks.b | KEY_OLD_DELETED);
    });
  } finally {
    pin.release();
    keys.retire();
  }
}

/** Row of the batch that `keyVectors` answered for. */
let rowInBatch = 0;
function keyVectors(writes: TableWrites, row: number): readonly ColumnVector[] {
  const index = writes.inserted.batchOf(row);
  rowInBatch = row - writes.inserted.batchStart(index);
  const { columns } = writes.inserted.batches[index]!;
  return writes.table.keyColumns.map((column) => columns[column]!.vector());
}

function keyOf(writes: TableWrites, row: number): void {
  writes.table.encodeKey(keyVectors(writes, row), rowInBatch, key);
}

/** Goes through own rows until one's key is held by another transaction; the row to go on with. */
function checkKeys(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  from: number,
  upsert: boolean,
  cold: ColdRows,
): number {
  const { table } = writes;
  let row = from;
  while (row < writes.inserted.rows) {
    const vectors = keyVectors(writes, row);
    const batchEnd = row - rowInBatch + writes.inserted.batches[writes.inserted.batchOf(row)]!.rows;
    for (let inBatch = rowInBatch; row < batchEnd; row++, inBatch++) {
      table.encodeKey(vectors, inBatch, key);
      if (otherHolder(context, transaction, table) !== null) return row;
      const held = table.locks.get(key) && table.locks.a === transaction.id;
      const state = held ? table.locks.b : 0;
      const own = (state >>> 1) - 1;
      if (own >= 0) {
        if (!upsert) throw duplicateKey(table, vectors, inBatch);
        writes.killOwn(own);
      }
      lock(writes, transaction, ((row + 1) << 1) | (state & KEY_OLD_DELETED));
      if (own >= 0 || (state & KEY_OLD_DELETED) !== 0) continue;
      if (table.findInMemory(key)) {
        if (!upsert) throw duplicateKey(table, vectors, inBatch);
        recordDeletion(writes, vectors, inBatch, table.foundUnit, table.foundPosition);
        table.locks.set(key, transaction.id, ((row + 1) << 1) | KEY_OLD_DELETED);
      } else if (table.files.length > 0 && candidateFiles(table, vectors, inBatch, cold.files)) {
        cold.rows.push(row);
      }
    }
  }
  return row;
}

/** Rows to delete: parallel arrays, with their keys in key order. */
export interface FoundRows {
  readonly units: Int32Array;
  readonly positions: Float64Array;
  readonly keys: RowBuffer;
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
  for (let row = 0; row < found.keys.rows; row++) {
    for (;;) {
      encodeFound(table, found, row);
      const holder = otherHolder(context, transaction, table);
      if (holder === null) break;
      await waitFor(context, transaction, holder);
    }
    encodeFound(table, found, row);
    if (!table.locks.get(key)) lock(writes, transaction, 0);
  }
  for (let row = 0; row < found.keys.rows; row++) {
    const unit = found.units[row]!;
    const position = found.positions[row]!;
    if (unit === writes.unit ? writes.isDead(position) : !isAlive(table, unit, position)) return false;
  }
  for (let row = 0; row < found.keys.rows; row++) {
    encodeFound(table, found, row);
    table.locks.get(key);
    const state = table.locks.b;
    if (found.units[row] === writes.unit) {
      writes.killOwn(found.positions[row]!);
      table.locks.set(key, transaction.id, state & KEY_OLD_DELETED);
    } else {
      recordDeletion(writes, foundVectors, foundRow, found.units[row]!, found.positions[row]!);
      table.locks.set(key, transaction.id, state | KEY_OLD_DELETED);
    }
  }
  return true;
}

let foundVectors: readonly ColumnVector[] = [];
let foundRow = 0;
function encodeFound(table: Table, found: FoundRows, row: number): void {
  const index = found.keys.batchOf(row);
  foundRow = row - found.keys.batchStart(index);
  foundVectors = found.keys.batches[index]!.vectors();
  table.encodeKey(foundVectors, foundRow, key);
}

function isAlive(table: Table, unit: number, position: number): boolean {
  const found = table.unit(unit);
  return found !== undefined && !found.deletes.has(position);
}
