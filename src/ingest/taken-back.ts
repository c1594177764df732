/**
 * Deletes that a rollback by another engine has taken back: rows of files that stay are alive again (C6). A delete list only
 * grows, so such a file becomes another unit with the same rows at the same positions; what is pending here goes with it
 * (`rows-found-again.ts`).
 */
import { DataFileUnit } from '../storage/file-unit.ts';
import type { DataFileInfo } from '../storage/iceberg/lake-api.ts';
import type { Table } from '../storage/table.ts';
import type { Database } from './database.ts';

/**
 * The files that leave so, each with its successor, which has the deletes that Iceberg has of it.
 * @param live the table's files as Iceberg has them now
 * @param deleted positions that are deleted of them there, by location
 */
export function takenBack(
  database: Database,
  table: Table,
  live: readonly DataFileInfo[],
  deleted: ReadonlyMap<string, Uint32Array>,
): ReadonlyMap<DataFileUnit, DataFileUnit> {
  const infos = new Map(live.map((info) => [info.location, info]));
  const successors = new Map<DataFileUnit, DataFileUnit>();
  for (const file of table.files) {
    const info = infos.get(file.info.location);
    if (info === undefined || file.tier !== 'iceberg' || file.deletesCommitted === 0) continue;
    const positions = deleted.get(info.location) ?? new Uint32Array(0);
    const now = new Set(positions);
    if (file.deletes.positions(0, file.deletesCommitted).every((position) => now.has(position))) continue;
    const successor = new DataFileUnit(database.memory, database.nextUnit(), table.def, info, 'iceberg');
    // Not the table's yet: that is the last step of whoever asked.
    const { deletes } = successor;
    database.memory.pool.unbounded(() => deletes.reserve(positions.length));
    for (const position of positions) deletes.append(position, table.committedLsn);
    deletes.publish(deletes.length);
    successor.deletesFlushed = deletes.length;
    successor.deletesCommitted = deletes.length;
    successors.set(file, successor);
  }
  return successors;
}
