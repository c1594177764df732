/**
 * Where the rows of rewritten units have gone (H16). The order of a rewrite is total: sort, unit, position. Without a sort
 * the new position is counted: rows alive before it. With one, the engine tells it by the same query.
 */
import type { UnitEngine, WriteParquetRequest } from '../storage/unit-engine.ts';

/** New position of a row that was alive at the rewrite's pin, -1 for one that was not. */
export type MovedRows = (unit: number, position: number) => number;

/** A unit as the rewrite pinned it. */
export interface PinnedUnit {
  readonly unit: number;
  readonly rows: number;
  /** Deleted at the pin, in any order. */
  readonly deleted: Uint32Array;
}

/** Of a request whose def has no sort. */
export function countedRows(units: readonly PinnedUnit[]): MovedRows {
  const starts = new Map<number, { readonly first: number; readonly deleted: Uint32Array }>();
  let first = 0;
  for (const { unit, rows, deleted } of units.toSorted((a, b) => a.unit - b.unit)) {
    starts.set(unit, { first, deleted: deleted.toSorted() });
    first += rows - deleted.length;
  }
  return (unit, position) => {
    const found = starts.get(unit);
    if (found === undefined) return -1;
    const before = lowerBound(found.deleted, position);
    return found.deleted[before] === position ? -1 : found.first + position - before;
  };
}

/** The same of one unit as an array; null: no row was deleted, and each is where it was. */
export function countedPositions(rows: number, deleted: Uint32Array): Int32Array | null {
  if (deleted.length === 0) return null;
  const moved = new Int32Array(rows);
  for (const position of deleted) moved[position] = -1;
  for (let position = 0, next = 0; position < rows; position++) if (moved[position] === 0) moved[position] = next++;
  return moved;
}

/** The number of values below `value`. */
function lowerBound(sorted: Uint32Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Of any request, by the query that wrote it. */
export async function queriedRows(engine: UnitEngine, request: WriteParquetRequest): Promise<MovedRows> {
  const { units, positions } = await engine.newPositions(request);
  const moved = new Map<number, Int32Array>();
  for (const { unit, rows } of [...request.memory, ...request.files]) moved.set(unit, new Int32Array(rows).fill(-1));
  for (let i = 0; i < positions.length; i++) moved.get(units[i]!)![positions[i]!] = i;
  return (unit, position) => moved.get(unit)?.[position] ?? -1;
}
