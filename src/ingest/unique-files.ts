/**
 * Rows of files by the values of a UNIQUE constraint: what `resolver.ts` is for keys. The constraint's index over files answers for
 * those that it covers, a scan of the columns for the others, unless their bounds leave the values out (M-13).
 */
import type { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { Table } from '../storage/table.ts';
import type { UniqueKey } from '../storage/unique-key.ts';
import type { UnitEngine } from '../storage/unit-engine.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { BOUNDS_ASKED_MAX, lookupRequest, resolveBatch, wordsOf, type Found, type Sought } from './resolver.ts';

/** Whether a file may hold a row with the values, which memory was asked for in the same turn. */
export function valuesMayBeInFiles(
  table: Table,
  unique: UniqueKey,
  vectors: readonly ColumnVector[],
  row: number,
): boolean {
  let asked = 0;
  for (const file of table.files) {
    if (file.deletes.length >= file.rows) continue;
    if (table.index?.covers(table, unique, file) === true && ++asked > BOUNDS_ASKED_MAX) return true;
    if (unique.mayBeIn(file, vectors, row)) return true;
  }
  return false;
}

/** Calls back with each row of files that has given values and lives. The caller holds the values' locks, and a pin. */
export async function resolveValues(
  engine: UnitEngine,
  table: Table,
  unique: UniqueKey,
  values: RowBuffer,
  found: Found,
): Promise<void> {
  const sought = byValues(table, unique);
  for (let i = 0; i < values.batches.length; i++) {
    const batch = values.batches[i]!;
    const start = values.batchStart(i);
    const names = { vectors: batch.vectors(), rows: batch.rows };
    const take: Found = (row, unit, position) => found(start + row, unit, position);
    await resolveBatch(engine, table, names, take, sought);
  }
}

function byValues(table: Table, unique: UniqueKey): Sought {
  const { encode } = unique.keys;
  return {
    isCovered: (file) => table.index?.covers(table, unique, file) === true,
    mayBeIn: (file, vectors, row) => unique.mayBeIn(file, vectors, row),
    askIndex: (index, names) => index.lookupUnique(table, unique, wordsOf(names, encode)),
    scan: (engine, files, names) => engine.lookup(lookupRequest(unique.def, files, names)),
  };
}
