/**
 * Rows by their keys, to be changed: keys are locked first, all of them, then looked for (C11): among the transaction's own
 * rows, in memory, in files. While the locks are held nobody else changes what was found; rows still move.
 *
 * - K1 A place holds while the table's `version` is the one it was found at, and for own rows always. After a wait it is
 *   asked again: the locks are there, so nothing but places can differ.
 */
import type { KeyWords } from '../storage/memory/key-table.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { Table } from '../storage/table.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { lockKey, ownRowOf, settleKey, type OpenKeys } from './key-claims.ts';
import { assertOpen, waitFor } from './key-locks.ts';
import { mayBeInFiles, resolveCold } from './resolver.ts';
import { findSpilled } from './spilled-keys.ts';
import type { TableWrites, Transaction } from './transaction.ts';
import { holderOf, type WriteContext } from './write-rows.ts';

/** Keys as rows of vectors in the key's order. */
export interface KeyRows {
  readonly vectors: readonly ColumnVector[];
  readonly rows: number;
}

/** One a key: its row's unit and position; unit NOWHERE: there is none. */
export interface Located {
  readonly units: Int32Array;
  readonly positions: Float64Array;
  /** The table's, when the last place was found (K1). */
  version: number;
}
export const NOWHERE = -1;

const key: KeyWords = new Int32Array(4);

/** The keys of full rows. */
export function keysOf(table: Table, rows: RowBuffer): readonly KeyRows[] {
  return rows.batches.map((batch) => ({
    vectors: table.keyColumns.map((column) => batch.columns[column]!.vector()),
    rows: batch.rows,
  }));
}

/** @returns at once when no lock is to be waited for, and no file to be looked into */
export function lockAndLocate(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  keys: readonly KeyRows[],
): Located | Promise<Located> {
  const held = lockAll(transaction, writes, keys, 0, 0);
  if (held !== null) return lockSlowly(context, transaction, writes, keys, held);
  return locate(context, transaction, writes, keys);
}

interface Place {
  readonly batch: number;
  readonly row: number;
}

/** Locks from a place on; where another transaction holds a key, null: nowhere. */
function lockAll(
  transaction: Transaction,
  writes: TableWrites,
  keys: readonly KeyRows[],
  batch: number,
  row: number,
): Place | null {
  let first = row;
  for (let index = batch; index < keys.length; index++) {
    const { vectors, rows } = keys[index]!;
    for (let at = first; at < rows; at++) {
      writes.table.encodeKey(vectors, at, key);
      if (!lockKey(transaction, writes, key, vectors, at)) return { batch: index, row: at };
    }
    first = 0;
  }
  return null;
}

async function lockSlowly(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  keys: readonly KeyRows[],
  from: Place,
): Promise<Located> {
  for (let held: Place | null = from; held !== null;) {
    const { vectors } = keys[held.batch]!;
    writes.table.encodeKey(vectors, held.row, key);
    const holder = holderOf(context, transaction, writes, key, vectors, held.row);
    if (holder !== null) await waitFor(context, transaction, holder);
    held = lockAll(transaction, writes, keys, held.batch, held.row);
  }
  return locate(context, transaction, writes, keys);
}

/** Where rows are whose keys are locked by the transaction. */
export function locate(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  keys: readonly KeyRows[],
): Located | Promise<Located> {
  let rows = 0;
  for (const each of keys) rows += each.rows;
  const located = { units: new Int32Array(rows), positions: new Float64Array(rows), version: writes.table.version };
  const open: OpenKeys = { cold: [], spilled: [] };
  locateHot(writes, keys, located, open, NONE);
  if (open.spilled.length > 0) return locateSpilled(context, transaction, writes, keys, located, open.spilled);
  const { cold } = open;
  return cold.length === 0 ? located : locateCold(context, transaction, writes, keys, located, cold, NONE);
}

const NONE: ReadonlySet<number> = new Set();

/** Own rows in files are looked for first: they have taken the place of others. */
async function locateSpilled(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  keys: readonly KeyRows[],
  located: Located,
  asked: readonly number[],
): Promise<Located> {
  const names = new RowBuffer(context.memory, writes.table.keyPhysicals);
  const pin = context.memory.pins.acquire();
  const settled = new Set<number>();
  const absent = new Set<number>(asked);
  try {
    appendKeys(keys, asked, names);
    const places = await findSpilled(context.engine, writes, names);
    assertOpen(transaction);
    asked.forEach((n, i) => {
      if (places.units[i] === 0) return;
      absent.delete(n);
      settled.add(n);
      located.units[n] = places.positions[i]! < 0 ? NOWHERE : places.units[i]!;
      located.positions[n] = places.positions[i]!;
    });
  } finally {
    pin.release();
    names.retire();
  }
  located.version = writes.table.version;
  const open: OpenKeys = { cold: [], spilled: [] };
  locateHot(writes, keys, located, open, settled, absent);
  const { cold } = open;
  return cold.length === 0 ? located : locateCold(context, transaction, writes, keys, located, cold, settled, absent);
}

/**
 * @param open gets what files may hold, as numbers of keys
 * @param settled keys that were found in files of own rows
 * @param absent keys that are in none of those, although they may be
 */
function locateHot(
  writes: TableWrites,
  keys: readonly KeyRows[],
  located: Located,
  { cold, spilled }: OpenKeys,
  settled: ReadonlySet<number>,
  absent: ReadonlySet<number> = NONE,
): void {
  const { table } = writes;
  let n = 0;
  for (const { vectors, rows } of keys) {
    for (let row = 0; row < rows; row++, n++) {
      if (settled.has(n)) continue;
      located.units[n] = NOWHERE;
      table.encodeKey(vectors, row, key);
      const hash = table.keys.hash(key);
      const own = ownRowOf(writes, key, hash, vectors, row);
      if (own !== null && own >= 0) {
        located.units[n] = writes.unit;
        located.positions[n] = own;
      } else if (!absent.has(n) && writes.spilled.mayHold(vectors, row)) {
        spilled.push(n);
      } else if (own !== null || writes.isTruncated) {
        continue;
      } else if (table.findInMemory(hash, vectors, row)) {
        located.units[n] = table.foundUnit;
        located.positions[n] = table.foundPosition;
      } else if (mayBeInFiles(table, vectors, row)) cold.push(n);
    }
  }
}

async function locateCold(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  keys: readonly KeyRows[],
  located: Located,
  first: readonly number[],
  settled: ReadonlySet<number>,
  absent: ReadonlySet<number> = NONE,
): Promise<Located> {
  const { table } = writes;
  let cold = first;
  const pin = context.memory.pins.acquire(); // a commit removes the staged files that it has copied
  try {
    for (;;) {
      const { version } = table;
      const names = new RowBuffer(context.memory, table.keyPhysicals);
      try {
        appendKeys(keys, cold, names);
        await resolveCold(context.engine, table, names, (index, unit, position) => {
          located.units[cold[index]!] = unit;
          located.positions[cold[index]!] = position;
        });
      } finally {
        names.retire();
      }
      assertOpen(transaction);
      located.version = version;
      if (table.version === version) return located;
      const open: OpenKeys = { cold: [], spilled: [] };
      locateHot(writes, keys, located, open, settled, absent);
      cold = open.cold;
    }
  } finally {
    pin.release();
  }
}

function appendKeys(keys: readonly KeyRows[], numbers: readonly number[], names: RowBuffer): void {
  let batch = 0;
  let start = 0;
  for (const n of numbers) {
    while (n - start >= keys[batch]!.rows) start += keys[batch++]!.rows;
    names.append(keys[batch]!.vectors, n - start, n - start + 1);
  }
}

/** The transaction deletes a located row, given by its key as well. False: it has deleted it before, in this statement. */
export function deleteLocated(
  writes: TableWrites,
  vectors: readonly ColumnVector[],
  row: number,
  unit: number,
  position: number,
): boolean {
  const { table } = writes;
  table.encodeKey(vectors, row, key);
  const isDeleted = writes.isOwn(unit)
    ? !writes.isAlive(unit, position)
    : ownRowOf(writes, key, table.keys.hash(key), vectors, row) !== null;
  if (isDeleted) return false;
  writes.delete(vectors, row, unit, position);
  settleKey(writes, key);
  return true;
}

/** There is no row with a key that the transaction has locked: what inserts it need not look. */
export function noteAbsent(writes: TableWrites, vectors: readonly ColumnVector[], row: number): void {
  writes.table.encodeKey(vectors, row, key);
  settleKey(writes, key);
}

/** A key that was locked, and has no row: it is everybody's again, where the lock was this statement's. */
export function giveBack(
  transaction: Transaction,
  writes: TableWrites,
  vectors: readonly ColumnVector[],
  row: number,
): void {
  const { table, keys } = writes;
  table.encodeKey(vectors, row, key);
  if (ownRowOf(writes, key, table.keys.hash(key), vectors, row) === null && keys.giveBackLast(key)) transaction.wake();
}
