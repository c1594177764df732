/**
 * The one resolver from names to positions (C3), for writes and replay alike: the index of memory rows, then one
 * semi-join over the files whose key bounds allow the key. It answers with live rows only.
 */
import type { DataFileUnit } from '../storage/file-unit.ts';
import type { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { Table } from '../storage/table.ts';
import type { LookupResult, UnitEngine } from '../storage/unit-engine.ts';
import type { ColumnVector } from '../types/column-vector.ts';

/** Files that may hold the key of a row; `vectors` in key order. */
export function candidateFiles(
  table: Table,
  vectors: readonly ColumnVector[],
  row: number,
  into: Set<DataFileUnit>,
): boolean {
  let any = false;
  for (const file of table.files) {
    if (file.deletes.length >= file.rows || !file.mayHoldKey(vectors, row)) continue;
    into.add(file);
    any = true;
  }
  return any;
}

/** Calls back with each key row found alive in the files. The caller holds the keys' locks, so nobody deletes them meanwhile. */
export async function resolveCold(
  engine: UnitEngine,
  table: Table,
  files: ReadonlySet<DataFileUnit>,
  keys: RowBuffer,
  found: (row: number, unit: number, position: number) => void,
): Promise<void> {
  for (let i = 0; i < keys.batches.length; i++) {
    const batch = keys.batches[i]!;
    const start = keys.batchStart(i);
    const vectors = batch.vectors();
    let wanted = files;
    let result: LookupResult;
    for (;;) {
      const request = {
        def: table.def,
        files: [...wanted].map((file) => file.scan(0)),
        keys: vectors,
        rows: batch.rows,
      };
      result = await engine.lookup(request);
      if (table.dropped || [...wanted].every((file) => table.unit(file.unit) === file)) break;
      // A rewrite has moved rows to a file that was not looked into.
      const now = new Set<DataFileUnit>();
      for (let row = 0; row < batch.rows; row++) candidateFiles(table, vectors, row, now);
      wanted = now;
    }
    for (let k = 0; k < result.rows.length; k++) {
      const unit = table.unit(result.units[k]!);
      if (unit === undefined || unit.deletes.has(result.positions[k]!)) continue;
      found(start + result.rows[k]!, result.units[k]!, result.positions[k]!);
    }
  }
}
