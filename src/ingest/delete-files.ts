/**
 * Which position-delete files a commit writes (H12), and what the table remembers of them.
 *
 * - D1 A data file that comes with the commit, or has DELETES_OF_FILE_MIN deletes that no delete file of its own holds, gets
 *   one of its own with all of them. So a position is written again only with as many new ones.
 * - D2 The others of a spec and partition share one file, with what was deleted since the last commit.
 * - D3 Of those at most SHARED_MAX are alive in a partition: the commit after writes one for all of them, and again D1 holds
 *   for each data file. They also leave once no data file has deletes in them, after a rewrite most of all.
 * - D4 What is removed is named by location, and every position in it is in `deletes` of its data file.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { DataFileUnit } from '../storage/file-unit.ts';
import type { CommitResult, TableState } from '../storage/iceberg/lake-api.ts';
import type { Table } from '../storage/table.ts';
import type { PositionDeletes } from '../storage/unit-engine.ts';
import type { Database } from './database.ts';
import { equalityPositions, joined } from './equality-deletes.ts';

export const DELETES_OF_FILE_MIN = 1000;
export const SHARED_MAX = 8;
/** Of a delete file, beside its positions. */
const DELETE_FILE_BYTES = 4096;

/** A data file whose delete entries go to Iceberg up to a length. */
export interface Touched {
  readonly file: DataFileUnit;
  readonly length: number;
}

/** Entries [from, to) of a file's list. */
interface Part {
  readonly file: DataFileUnit;
  readonly from: number;
  readonly to: number;
}

export interface PlannedDeletes {
  readonly scope: 'file' | 'partition';
  readonly partitionKey: string;
  readonly parts: readonly Part[];
}

export interface DeletePlan {
  readonly files: readonly PlannedDeletes[];
  /** Partitions whose shared files so far are not needed any more. */
  readonly replaced: readonly string[];
}

/** `touched` have entries that Iceberg lacks; `added` come with the commit, and files of which no row is left go with it. */
export function planDeletes(
  table: Table,
  touched: readonly Touched[],
  added: ReadonlySet<DataFileUnit>,
  dropped: ReadonlySet<DataFileUnit> = new Set(),
): DeletePlan {
  const own = new Map<DataFileUnit, number>();
  const shared = new Map<string, Part[]>();
  const replaced: string[] = [];
  const partitions = new Set<string>();
  const take = (file: DataFileUnit, from: number, to: number): void => {
    if (to - file.deletesScoped >= DELETES_OF_FILE_MIN || added.has(file)) own.set(file, to);
    else {
      const parts = shared.get(file.partitionKey);
      if (parts === undefined) shared.set(file.partitionKey, [{ file, from, to }]);
      else parts.push({ file, from, to });
    }
  };
  for (const { file, length } of touched) {
    if (!dropped.has(file)) take(file, file.deletesCommitted, length);
    partitions.add(file.partitionKey);
  }
  for (const key of partitions) {
    const alive = table.partitionDeletes.get(key) ?? [];
    if (alive.length === 0) continue;
    const full = alive.length >= SHARED_MAX && shared.has(key);
    if (!full && (shared.has(key) || isNeeded(table, key, (file) => own.has(file) || dropped.has(file)))) continue;
    replaced.push(key);
    if (!full) continue;
    const lengths = new Map(shared.get(key)!.map(({ file, to }) => [file, to]));
    shared.delete(key);
    for (const file of table.fileSets.partition(key)) {
      if (dropped.has(file)) continue;
      const to = lengths.get(file) ?? (own.has(file) ? 0 : file.deletesCommitted);
      if (to > file.deletesScoped) take(file, file.deletesScoped, to);
    }
  }
  return {
    files: [
      ...Array.from(own, ([file, to]): PlannedDeletes => {
        const { partitionKey } = file;
        return { scope: 'file', partitionKey, parts: [{ file, from: 0, to }] };
      }),
      ...Array.from(shared, ([partitionKey, parts]): PlannedDeletes => ({ scope: 'partition', partitionKey, parts })),
    ],
    replaced,
  };
}

/** Whether a data file of the partition has deletes in its shared files, but for those that leave them. */
export function isNeeded(table: Table, partitionKey: string, leaves: (file: DataFileUnit) => boolean): boolean {
  for (const file of table.fileSets.partition(partitionKey))
    if (file.deletesCommitted > file.deletesScoped && !leaves(file)) return true;
  return false;
}

export function locationsOf(table: Table, partitionKeys: Iterable<string>): string[] {
  return Array.from(partitionKeys, (key) => table.partitionDeletes.get(key) ?? []).flat();
}

/** What the plan's files may take on the disk until they are in Iceberg: each names its data files, and a position takes eight bytes at most. */
export function deleteBytesMax({ files }: DeletePlan): number {
  let bytes = 0;
  for (const { parts } of files) {
    bytes += DELETE_FILE_BYTES;
    for (const { file, from, to } of parts) bytes += file.info.location.length + (to - from) * 8;
  }
  return bytes;
}

export function positionsOf({ parts }: PlannedDeletes): PositionDeletes[] {
  return parts.map(({ file, from, to }) => ({
    location: file.info.location,
    positions: file.deletes.positions(from, to),
  }));
}

/** The plan is in Iceberg. Locations may be missing: the state that comes with the result has them then. */
export function settlePlan(table: Table, plan: DeletePlan, { deleteLocations }: CommitResult): void {
  for (const key of plan.replaced) table.partitionDeletes.delete(key);
  for (const [i, { scope, partitionKey, parts }] of plan.files.entries()) {
    if (scope === 'file') {
      for (const { file, to } of parts) file.deletesScoped = to;
      continue;
    }
    const location = deleteLocations[i];
    if (location === undefined) continue;
    table.partitionDeletes.set(partitionKey, [...(table.partitionDeletes.get(partitionKey) ?? []), location]);
  }
}

/** What the delete files of a state hold, by who has to hold it on. */
export interface ReadDeletes {
  /** In files that stay as long as their data files do, or until one of ours has all that they have. */
  readonly scoped: readonly PositionDeletes[];
  readonly shared: readonly PositionDeletes[];
}

export async function readDeletes(database: Database, table: Table, state: TableState): Promise<ReadDeletes> {
  const read = async (paths: readonly string[]): Promise<readonly PositionDeletes[]> =>
    paths.length === 0 ? [] : database.engine.readPositionDeletes(paths);
  const scoped = await read(state.deletePaths);
  const shared = await read(state.partitionDeletes.map(({ path }) => path));
  return { scoped: joinedLists(scoped, await equalityPositions(database, table, state)), shared };
}

export function positionsByLocation({ scoped, shared }: ReadDeletes): Map<string, Uint32Array> {
  return new Map(joinedLists(scoped, shared).map(({ location, positions }) => [location, positions]));
}

/** One list a data file. */
function joinedLists(left: readonly PositionDeletes[], right: readonly PositionDeletes[]): readonly PositionDeletes[] {
  if (left.length === 0 || right.length === 0) return left.length === 0 ? right : left;
  const all = new Map(left.map(({ location, positions }) => [location, positions]));
  for (const { location, positions } of right)
    all.set(location, joined(all.get(location) ?? new Uint32Array(0), positions));
  return Array.from(all, ([location, positions]) => ({ location, positions }));
}

/** The table's files take what was read, `lsn` being that of the newest operation. */
export function adoptDeletes(
  database: Database,
  table: Table,
  state: TableState,
  { scoped, shared }: ReadDeletes,
  lsn: number,
): void {
  const byLocation = new Map(table.files.map((file) => [file.info.location, file]));
  for (const { location, positions } of [...scoped, ...shared]) {
    const rows = byLocation.get(location)?.rows;
    const last = positions.at(-1);
    if (rows !== undefined && last !== undefined && last >= rows)
      throw new SqlError(
        SqlState.dataCorrupted,
        `a delete file of ${location} is damaged: row ${last} of ${rows} rows`,
      );
  }
  for (const { location, positions } of scoped) {
    const file = byLocation.get(location);
    if (file === undefined) continue;
    const alone = file.deletesScoped === file.deletes.length;
    database.addCommittedDeletes(table, file, positions, lsn);
    if (alone) file.deletesScoped = file.deletesCommitted;
  }
  for (const { location, positions } of shared) {
    const file = byLocation.get(location);
    if (file !== undefined) database.addCommittedDeletes(table, file, positions, lsn);
  }
  table.partitionDeletes.clear();
  for (const { partitionKey, location } of state.partitionDeletes)
    table.partitionDeletes.set(partitionKey, [...(table.partitionDeletes.get(partitionKey) ?? []), location]);
}
