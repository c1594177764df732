/**
 * Keys of own rows that are in files (H1): a key that is locked, and that the index of own rows does not have, is looked for
 * there before it is looked for among the rows of others.
 *
 * - W1 A key that such a file has, in a row dead or alive, is settled: the row of others that had it is deleted by the
 *   transaction already.
 */
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { UnitEngine } from '../storage/unit-engine.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { duplicateKey, isSettled, lookUp, type OpenKeys } from './key-claims.ts';
import { assertOpen } from './key-locks.ts';
import { askFiles } from './resolver.ts';
import type { TableWrites, Transaction } from './transaction.ts';
import type { WriteContext } from './write-rows.ts';

export interface SpilledPlaces {
  /** One a name: the unit that has its key, and the position of the live row; unit 0: no file has it, position -1: none is alive. */
  readonly units: Int32Array;
  readonly positions: Float64Array;
}

/** Where in the files of own rows keys are, given in the key's columns. */
export async function findSpilled(engine: UnitEngine, writes: TableWrites, names: RowBuffer): Promise<SpilledPlaces> {
  const places = { units: new Int32Array(names.rows), positions: new Float64Array(names.rows).fill(-1) };
  for (let i = 0; i < names.batches.length; i++) {
    const batch = names.batches[i]!;
    const start = names.batchStart(i);
    const vectors = batch.vectors();
    await askFiles(engine, writes.table, writes.spilled.files, { vectors, rows: batch.rows }, (row, unit, position) => {
      const name = start + row;
      if (places.units[name] === 0) places.units[name] = unit;
      if (!writes.isAlive(unit, position)) return;
      places.units[name] = unit;
      places.positions[name] = position;
    });
  }
  return places;
}

/** Settles the keys of own rows in `open.spilled`, or goes on with them to the rows of others. @throws {SqlError} 23505 */
export async function claimSpilled(
  context: WriteContext,
  transaction: Transaction,
  writes: TableWrites,
  upsert: boolean,
  open: OpenKeys,
): Promise<void> {
  const { table, inserted } = writes;
  const rows = open.spilled.splice(0);
  const names = new RowBuffer(context.memory, table.keyPhysicals);
  const pin = context.memory.pins.acquire();
  const keyOf = (row: number): { readonly vectors: readonly ColumnVector[]; readonly inBatch: number } => {
    const index = inserted.batchOf(row);
    const { columns } = inserted.batches[index]!;
    return {
      vectors: table.keyColumns.map((column) => columns[column]!.vector()),
      inBatch: row - inserted.batchStart(index),
    };
  };
  try {
    for (const row of rows) {
      const { vectors, inBatch } = keyOf(row);
      names.append(vectors, inBatch, inBatch + 1);
    }
    const places = await findSpilled(context.engine, writes, names);
    assertOpen(transaction);
    rows.forEach((row, n) => {
      const { vectors, inBatch } = keyOf(row);
      if (places.units[n] === 0) {
        if (isSettled(table, vectors, inBatch)) return;
        lookUp(writes, table.keys.hashRow(vectors, inBatch), vectors, inBatch, row, upsert, open.cold);
        return;
      }
      if (places.positions[n]! < 0) return; // W1
      if (!upsert) throw duplicateKey(table, vectors, inBatch);
      writes.killSpilled(writes.spilled.find(places.units[n]!)!, places.positions[n]!);
    });
  } finally {
    pin.release();
    names.retire();
  }
}
