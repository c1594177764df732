/**
 * Locking the keys of a transaction's own new rows, and looking for the rows that have them already (C11).
 *
 * The keys of a few rows go into the table's lock table, one search each. From OWN_INDEX_ROWS_MIN rows on they go into an
 * index of the transaction's own, which is its lock and, at commit, becomes part of the index of memory rows.
 */
import { invariant, type SqlError } from '../errors.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import { KEY_SETTLED } from '../storage/memory/lock-table.ts';
import type { OwnIndex } from '../storage/memory/own-index.ts';
import type { Table } from '../storage/table.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { mayBeInFiles } from './resolver.ts';
import { uniqueViolation } from './row-errors.ts';
import type { TableWrites, Transaction } from './transaction.ts';

const key: KeyWords = new Int32Array(4);
const HASHES = 1024;
const hashes = new Int32Array(HASHES);

/** Own rows whose keys are locked, and in question still. */
export interface OpenKeys {
  /** Files may hold the key. */
  readonly cold: number[];
  /** Own rows that are in files may have the key (spilled-keys.ts): those are looked into first. */
  readonly spilled: number[];
}

/**
 * Goes through own rows until one's key is held by another transaction; the row to go on with.
 */
export function claimKeys(
  transaction: Transaction,
  writes: TableWrites,
  from: number,
  upsert: boolean,
  open: OpenKeys,
): number {
  const { inserted, table, own } = writes;
  let row = from;
  for (let index = inserted.batchOf(from); index < inserted.batches.length; index++) {
    const batch = inserted.batches[index]!;
    const start = inserted.batchStart(index);
    const vectors = table.keyColumns.map((column) => batch.columns[column]!.vector());
    const end = start + batch.rows;
    while (row < end) {
      const to = Math.min(end, row + HASHES);
      table.keys.hashRows(vectors, row - start, to - start, hashes);
      for (const first = row; row < to; row++) {
        const hash = hashes[row - first]!;
        const claimed =
          own === null
            ? claimLocked(transaction, writes, hash, vectors, row - start, row, upsert)
            : claimOwn(transaction, writes, own, hash, vectors, row - start, row, upsert);
        if (claimed === HELD) return row;
        if (claimed === SETTLED) continue;
        if (writes.spilled.mayHold(vectors, row - start)) open.spilled.push(row);
        else if (claimed === NEW) lookUp(writes, hash, vectors, row - start, row, upsert, open.cold);
      }
    }
  }
  return row;
}

/**
 * The key is another transaction's; it is ours, and nothing is known of it; it is ours and settled; it is settled but for own rows
 * that are in files: others have no row with it.
 */
const HELD = 0;
const NEW = 1;
const SETTLED = 2;
const SETTLED_OUTSIDE = 3;
type Claimed = typeof HELD | typeof NEW | typeof SETTLED | typeof SETTLED_OUTSIDE;

function claimLocked(
  transaction: Transaction,
  writes: TableWrites,
  hash: number,
  vectors: readonly ColumnVector[],
  inBatch: number,
  row: number,
  upsert: boolean,
): Claimed {
  const { table } = writes;
  const { locks } = table;
  for (const each of table.ownIndexes) if (each.holds(hash, vectors, inBatch)) return HELD;
  table.encodeKey(vectors, inBatch, key);
  if (locks.claim(key, hash, transaction.id, (row + 1) << 1)) {
    writes.keys.remember(key);
    return NEW;
  }
  if (locks.a !== transaction.id) return HELD;
  const state = locks.b;
  const before = (state >>> 1) - 1;
  if (before >= 0 && !upsert) throw duplicateKey(table, vectors, inBatch);
  writes.keys.changing(key, state);
  if (locks.put(((row + 1) << 1) | (state & KEY_SETTLED))) writes.keys.remember(key);
  if (before >= 0) writes.killOwn(before);
  return before >= 0 || (state & KEY_SETTLED) !== 0 ? SETTLED : NEW;
}

function claimOwn(
  transaction: Transaction,
  writes: TableWrites,
  own: OwnIndex,
  hash: number,
  vectors: readonly ColumnVector[],
  inBatch: number,
  row: number,
  upsert: boolean,
): Claimed {
  const { table } = writes;
  const { locks } = table;
  if (table.ownIndexes.length > 1)
    for (const each of table.ownIndexes) if (each !== own && each.holds(hash, vectors, inBatch)) return HELD;
  let state = 0;
  if (locks.size > 0) {
    table.encodeKey(vectors, inBatch, key);
    if (locks.find(key, hash)) {
      if (locks.a !== transaction.id) return HELD;
      state = locks.b;
    }
  }
  const before = own.claim(hash, vectors, inBatch, row);
  if (before < 0) return (state & KEY_SETTLED) !== 0 ? SETTLED_OUTSIDE : NEW;
  writes.keys.replaced(before);
  if (writes.isDead(before)) return SETTLED;
  if (!upsert) throw duplicateKey(table, vectors, inBatch);
  writes.killOwn(before);
  return SETTLED;
}

/** Looks for the row of others that has the key of own row `row`, given as a row of vectors. */
export function lookUp(
  writes: TableWrites,
  hash: number,
  vectors: readonly ColumnVector[],
  inBatch: number,
  row: number,
  upsert: boolean,
  cold: number[],
): void {
  const { table } = writes;
  if (writes.isTruncated) return;
  if (table.findInMemory(hash, vectors, inBatch)) {
    if (!upsert) throw duplicateKey(table, vectors, inBatch);
    writes.recordDeletion(vectors, inBatch, table.foundUnit, table.foundPosition);
  } else if (mayBeInFiles(table, vectors, inBatch)) {
    cold.push(row);
  }
}

/** Whether the key in `words` is locked by the transaction now; it may have been before. False: another holds it. */
export function lockKey(
  transaction: Transaction,
  writes: TableWrites,
  words: KeyWords,
  vectors: readonly ColumnVector[],
  row: number,
): boolean {
  const { table, own } = writes;
  const hash = table.keys.hash(words);
  for (const each of table.ownIndexes) if (each !== own && each.holds(hash, vectors, row)) return false;
  if (table.locks.claim(words, hash, transaction.id, 0)) writes.keys.remember(words);
  return table.locks.a === transaction.id;
}

/** Whether others have no row with a key that is locked: it was deleted by the transaction, or there was none. */
export function isSettled({ locks, keys }: Table, vectors: readonly ColumnVector[], row: number): boolean {
  keys.encode(vectors, row, key);
  return locks.find(key, keys.hash(key)) && (locks.b & KEY_SETTLED) !== 0;
}

/**
 * The live own row in memory with a key that is locked; -1: what others had is deleted, or nothing was; null: that is not
 * known. Own rows in files are another question.
 */
export function ownRowOf(
  writes: TableWrites,
  words: KeyWords,
  hash: number,
  vectors: readonly ColumnVector[],
  row: number,
): number | null {
  const { locks } = writes.table;
  const state = locks.find(words, hash) ? locks.b : 0;
  let own = (state >>> 1) - 1;
  if (own >= 0 && own < writes.inserted.first && !writes.isDead(own)) own = -1; // it is in a file since
  if (own < 0 && writes.own !== null) own = writes.own.rowOf(hash, vectors, row);
  if (own >= 0) return writes.isDead(own) ? -1 : own;
  return (state & KEY_SETTLED) === 0 ? null : -1;
}

/** Notes that the row with the key in `words`, which the transaction has locked, is deleted by it, or that there is none. */
export function settleKey(writes: TableWrites, words: KeyWords): void {
  const { locks, keys } = writes.table;
  invariant(locks.find(words, keys.hash(words)), 'C11 a key is locked before its row is deleted');
  writes.keys.changing(words, locks.b);
  locks.put(KEY_SETTLED);
}

export function duplicateKey({ def, keyColumns }: Table, vectors: readonly ColumnVector[], row: number): SqlError {
  const columns = keyColumns.map((index) => def.columns[index]!);
  return uniqueViolation(def, def.keyName, columns, vectors, row);
}
