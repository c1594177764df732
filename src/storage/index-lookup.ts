/**
 * Rows of a table whose indexed columns have given values: those in memory, by the index. One Version, looked at in one turn of
 * the loop.
 */
import type { ColumnVector } from '../types/column-vector.ts';
import { isSameList } from '../types/hashed-columns.ts';
import type { HashIndex, Matches } from './memory/hash-index.ts';
import type { MemorySlice } from './memory/slice.ts';
import type { Table } from './table.ts';

/** Rows that a reader takes into the index itself, when it lags behind what is visible; of more the scan is the better way. */
const FOLLOW_ROWS_MAX = 8192;
/** Steps along equal hashes: beyond them a scan is the better way, and main has waited long enough. */
const STEPS_MAX = 16_384;

/** Values of columns, a row each that is asked for; none is NULL. */
export interface LookupValues {
  readonly vectors: readonly ColumnVector[];
  readonly rows: number;
}

/**
 * The visible memory rows, of one value from the newest to the oldest; each is there once. Null: the index cannot say, it is being
 * built or has too many.
 * @param fieldIds a list of `hashedColumns`
 */
export function lookupMemory(table: Table, fieldIds: readonly number[], values: LookupValues): Matches | null {
  const matches: Matches = { slices: [], positions: [], stepsLeft: STEPS_MAX };
  let rowsMax = FOLLOW_ROWS_MAX;
  for (const { hashes, slices } of table.generations) {
    const index = hashes.find((each) => isSameList(each.fieldIds, fieldIds));
    if (index === undefined) return null;
    rowsMax -= index.lag(slices);
    if (rowsMax < 0) return null;
    catchUp(index, slices);
    for (let row = 0; row < values.rows; row++) {
      index.find(values.vectors, row, matches);
      if (matches.stepsLeft < 0) return null;
    }
  }
  return values.rows === 1 ? matches : withoutRepeats(matches);
}

function catchUp(index: HashIndex, slices: readonly MemorySlice[]): void {
  while (index.lag(slices) > 0) index.follow(slices, FOLLOW_ROWS_MAX);
}

/** Two of the values may have been the same, in other words. */
function withoutRepeats({ slices, positions, stepsLeft }: Matches): Matches {
  const once: Matches = { slices: [], positions: [], stepsLeft };
  const seen = new Map<MemorySlice, Set<number>>();
  for (const [i, slice] of slices.entries()) {
    const position = positions[i]!;
    let known = seen.get(slice);
    if (known === undefined) seen.set(slice, (known = new Set()));
    if (known.has(position)) continue;
    known.add(position);
    once.slices.push(slice);
    once.positions.push(position);
  }
  return once;
}
