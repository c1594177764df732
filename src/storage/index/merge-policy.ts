/**
 * Which runs to merge: size-tiered, so that a key is rewritten about log₂(keys) / 2 times and few runs remain to be asked.
 * Small ones of like size together; those with mostly dead entries alone; more than RUNS_MAX never for long.
 */
import { RUN_ROWS_MAX } from './run-format.ts';

export interface RunSize {
  readonly entries: number;
  /** Rows of the files' parts that it covers, and how many of them lie in files that are gone. */
  readonly rows: number;
  readonly deadRows: number;
}

const INPUTS_MIN = 4;
const INPUTS_MAX = 32;
const RUNS_MAX = 12;
/** While files wait for their runs, small runs may pile up: merged all at once they cost less. */
const RUNS_MAX_BUILDING = 32;

/** Indexes of the runs to merge now; none: leave them. One alone is rewritten without its dead entries. */
export function pickMerge(runs: readonly RunSize[], building: boolean): readonly number[] {
  const gone = runs.findIndex((run) => run.deadRows >= run.rows);
  if (gone >= 0) return [gone];
  if (building && runs.length < RUNS_MAX_BUILDING) return [];
  const half = runs.findIndex((run) => run.deadRows * 2 > run.rows);
  if (half >= 0) return [half];
  const bySize = runs.map((_, i) => i).toSorted((a, b) => runs[a]!.entries - runs[b]!.entries);
  const picked: number[] = [];
  let entries = 0;
  let rows = 0;
  for (const i of bySize) {
    const run = runs[i]!;
    const alike = picked.length === 0 || run.entries <= entries;
    const forced = runs.length > RUNS_MAX && picked.length < RUNS_MAX / 2;
    if (picked.length === INPUTS_MAX || rows + run.rows > RUN_ROWS_MAX || !(alike || forced)) break;
    picked.push(i);
    entries += run.entries;
    rows += run.rows;
  }
  return picked.length >= INPUTS_MIN ? picked : [];
}
