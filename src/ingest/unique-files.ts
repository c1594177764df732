/**
 * Rows of files by the values of a UNIQUE constraint: what `resolver.ts` is for keys. The constraint's index over files answers for
 * those that it covers, a scan of the columns for the others, unless their bounds leave the values out (M-13).
 */
import type { DataFileUnit } from '../storage/file-unit.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import type { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { Table } from '../storage/table.ts';
import type { UniqueKey } from '../storage/unique-key.ts';
import type { UnitEngine } from '../storage/unit-engine.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import type { Found, Names } from './resolver.ts';

/** So many covered files are asked for their bounds; with more, the index answers sooner. */
const BOUNDS_ASKED_MAX = 64;

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
  for (let i = 0; i < values.batches.length; i++) {
    const batch = values.batches[i]!;
    const start = values.batchStart(i);
    const names = { vectors: batch.vectors(), rows: batch.rows };
    await resolveBatch(engine, table, unique, names, (row, unit, position) => found(start + row, unit, position));
  }
}

async function resolveBatch(
  engine: UnitEngine,
  table: Table,
  unique: UniqueKey,
  names: Names,
  found: Found,
): Promise<void> {
  for (;;) {
    const { files } = table;
    const rows: number[] = [];
    const units: number[] = [];
    const positions: number[] = [];
    const take: Found = (row, unit, position) => {
      rows.push(row);
      units.push(unit);
      positions.push(position);
    };
    await askFiles(engine, table, unique, files, names, take);
    // Rows may have moved from files that are gone into others: what was asked of those is worth nothing.
    const moved = table.files !== files && files.some((file) => table.unit(file.unit) !== file);
    if (moved && !table.dropped) continue;
    for (let k = 0; k < rows.length; k++)
      if (table.isAlive(units[k]!, positions[k]!)) found(rows[k]!, units[k]!, positions[k]!);
    return;
  }
}

async function askFiles(
  engine: UnitEngine,
  table: Table,
  unique: UniqueKey,
  files: readonly DataFileUnit[],
  names: Names,
  take: Found,
): Promise<void> {
  const scanned = await askIndex(table, unique, files, names, take);
  if (scanned.length === 0) return;
  const request = {
    def: unique.def,
    files: scanned.map((file) => file.scan(0)),
    keys: names.vectors,
    rows: names.rows,
  };
  const result = await engine.lookup(request);
  for (let k = 0; k < result.rows.length; k++) take(result.rows[k]!, result.units[k]!, result.positions[k]!);
}

/** Takes what the index finds; the files that it does not answer for and that may hold a value. */
async function askIndex(
  table: Table,
  unique: UniqueKey,
  files: readonly DataFileUnit[],
  names: Names,
  take: Found,
): Promise<readonly DataFileUnit[]> {
  const { index } = table;
  const mayHoldAny = (file: DataFileUnit): boolean => {
    for (let row = 0; row < names.rows; row++) if (unique.mayBeIn(file, names.vectors, row)) return true;
    return false;
  };
  const covered = new Set<number>();
  const uncovered: DataFileUnit[] = [];
  for (const file of files) {
    if (index?.covers(table, unique, file) === true) covered.add(file.unit);
    else if (mayHoldAny(file)) uncovered.push(file);
  }
  if (index === null || covered.size === 0) return uncovered;
  const { losses } = index;
  const matches = await index.lookupUnique(table, unique, valueWords(unique, names));
  if (index.losses !== losses) {
    // What ceased to be covered is scanned, whatever the index still knew of it.
    for (const file of files) {
      if (index.covers(table, unique, file) || !covered.delete(file.unit)) continue;
      if (mayHoldAny(file)) uncovered.push(file);
    }
  }
  for (let k = 0; k < matches.rows.length; k++)
    if (covered.has(matches.units[k]!)) take(matches.rows[k]!, matches.units[k]!, matches.positions[k]!);
  return uncovered;
}

const value: KeyWords = new Int32Array(4);

function valueWords({ keys }: UniqueKey, { vectors, rows }: Names): Int32Array {
  const words = new Int32Array(rows * 4);
  for (let row = 0; row < rows; row++) {
    keys.encode(vectors, row, value);
    words.set(value, row * 4);
  }
  return words;
}
