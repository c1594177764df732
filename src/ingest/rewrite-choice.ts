/**
 * Which data files of one spec and partition are to be written anew, and which of them together. Pure.
 *
 * - W1 A file is small below SMALL_FRACTION of the target, in bytes, and of the most rows that are merged. Small files are merged once `max_small_files` of them are alike:
 *   in order of size, each at most twice as large as all before it together. So what is merged grows by half at least,
 *   and a row is rewritten a logarithmic number of times.
 * - W2 A file above DELETED_FRACTION deleted is rewritten (H12); one wholly deleted just leaves.
 * - W3 Files of one output hold neighbouring times, so that pruning stays as good as it was.
 */
import type { RewriteTrigger } from './migration-choice.ts';

export interface RewriteFile {
  readonly bytes: number;
  readonly rows: number;
  /** Of them deleted, in Iceberg. */
  readonly deleted: number;
  /** Least value of the time column; infinite where there is none. */
  readonly timeMin: number;
}

export interface RewriteLimits {
  readonly targetFileBytes: number;
  readonly smallFilesMax: number;
  /** Most rows that are merged into one output, as its footer is in memory while the file is open; a larger file is rewritten alone. */
  readonly mergedRowsMax: number;
  /** Most rows of one output: where each went is held in memory for a moment. A file with more stays as it is. */
  readonly rowsMax: number;
}

/** Indexes of the files that become one; none of them becomes nothing when all its rows are deleted. */
export interface RewriteChoice {
  readonly trigger: RewriteTrigger;
  readonly groups: readonly (readonly number[])[];
}

const SMALL_FRACTION = 0.75;
/** Files below it are all alike. */
const TINY_FRACTION = 1 / 64;
const DELETED_FRACTION = 0.3;
const FILES_PER_OUTPUT = 1000;

/** `full`: all that is small or has deleted rows, as VACUUM FULL wants it. Null: nothing is worth it. */
export function chooseRewrite(
  limits: RewriteLimits,
  files: readonly RewriteFile[],
  full: boolean,
): RewriteChoice | null {
  const chosen = new Set<number>();
  files.forEach(({ deleted, rows }, i) => {
    if (deleted > rows * (full ? 0 : DELETED_FRACTION)) chosen.add(i);
  });
  const dense = chosen.size;
  const small = alike(limits, files, full);
  for (const i of small) chosen.add(i);
  const groups = pack(limits, files, [...chosen]);
  if (groups.length === 0) return null;
  return { trigger: chosen.size > dense ? 'max_small_files' : 'deleted_rows', groups };
}

/** W1. The first run of enough files that are alike. */
function alike(limits: RewriteLimits, files: readonly RewriteFile[], full: boolean): readonly number[] {
  const { mergedRowsMax, smallFilesMax, targetFileBytes } = limits;
  const small = files
    .map(({ bytes, rows }, i) => ({ size: Math.max(bytes / targetFileBytes, rows / mergedRowsMax), i }))
    .filter(({ size }) => size < SMALL_FRACTION)
    .sort((a, b) => a.size - b.size || a.i - b.i);
  if (full) return small.map(({ i }) => i);
  let run: number[] = [];
  let sum = 0;
  for (const { size, i } of small) {
    if (size > Math.max(2 * sum, TINY_FRACTION)) {
      if (run.length >= smallFilesMax) return run;
      run = [];
      sum = 0;
    }
    run.push(i);
    sum += size;
  }
  return run.length >= smallFilesMax ? run : [];
}

/** W3. Live bytes up to the target; a file that stays alone and has no deleted rows is left as it is. */
function pack(limits: RewriteLimits, files: readonly RewriteFile[], chosen: readonly number[]): number[][] {
  const order = chosen.toSorted((a, b) => compare(files[a]!.timeMin, files[b]!.timeMin) || a - b);
  const groups: number[][] = [];
  let group: number[] = [];
  let bytes = 0;
  let rows = 0;
  for (const i of order) {
    const file = files[i]!;
    const liveRows = file.rows - file.deleted;
    const liveBytes = (file.bytes * liveRows) / file.rows;
    if (liveRows > limits.rowsMax) continue;
    const fits =
      bytes + liveBytes <= limits.targetFileBytes &&
      rows + liveRows <= Math.min(limits.rowsMax, limits.mergedRowsMax) &&
      group.length < FILES_PER_OUTPUT;
    if (!fits && group.length > 0) {
      groups.push(group);
      group = [];
      bytes = 0;
      rows = 0;
    }
    group.push(i);
    bytes += liveBytes;
    rows += liveRows;
  }
  if (group.length > 0) groups.push(group);
  return groups.filter((members) => members.length > 1 || files[members[0]!]!.deleted > 0);
}

function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
