/**
 * Rows of a table whose indexed column has a value: those in memory by the index, and the files that may have more. One
 * Version, looked at in one turn of the loop.
 */
import type { ColumnVector } from '../types/column-vector.ts';
import type { HashIndex, Matches } from './memory/hash-index.ts';
import type { Table } from './table.ts';

/** Rows that a reader takes into the index itself, when it lags behind what is visible; of more the scan is the better way. */
const FOLLOW_ROWS_MAX = 8192;
/** Steps along equal hashes: beyond them a scan is the better way, and main has waited long enough. */
const STEPS_MAX = 16_384;

/**
 * The visible memory rows, from the newest to the oldest. Null: the index cannot say, it is being built or has too many.
 * @param value a vector of one row, not NULL
 */
export function lookupMemory(table: Table, fieldId: number, value: ColumnVector): Matches | null {
  const matches: Matches = { slices: [], positions: [], stepsLeft: STEPS_MAX };
  let rowsMax = FOLLOW_ROWS_MAX;
  for (const { hashes, slices } of table.generations) {
    const index = hashes.find((each) => each.fieldId === fieldId);
    if (index === undefined) return null;
    rowsMax -= index.lag(slices);
    if (rowsMax < 0) return null;
    catchUp(index, slices);
    index.find([value], 0, matches);
    if (matches.stepsLeft < 0) return null;
  }
  return matches;
}

function catchUp(index: HashIndex, slices: Table['generations'][number]['slices']): void {
  while (index.lag(slices) > 0) index.follow(slices, FOLLOW_ROWS_MAX);
}
