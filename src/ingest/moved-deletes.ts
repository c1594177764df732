/**
 * At a start: deletes of the flush manifest on files that another writer has removed since, when the log has been trimmed to
 * the disk and has their names no more (H3, C7). The names are read from the old files, which stay until they expire and which the
 * lake has seen to be there, and found again in the files that are there now (C3); a row that is nowhere was deleted by the other
 * writer as well. Where that fails the table cannot be read, and comes back by itself (`reattach.ts`).
 */
import { invariant, SqlError, SqlState } from '../errors.ts';
import { DataFileUnit } from '../storage/file-unit.ts';
import { isUnreadable } from '../storage/iceberg/unreadable.ts';
import type { Delta, RecoveredTable } from '../storage/iceberg/lake-api.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { Table } from '../storage/table.ts';
import type { Database } from './database.ts';
import { resolveCold } from './resolver.ts';

/** Iceberg's files and the deletes on them are there; staged segments and what the log has are not yet. @throws {SqlError} */
export async function placeMoved(
  database: Database,
  table: Table,
  flush: NonNullable<RecoveredTable['flush']>,
): Promise<void> {
  const names = new RowBuffer(database.memory, table.namePhysicals);
  try {
    for (const { location, path } of flush.moved) await readNames(database, table, location, path, flush.deltas, names);
    await place(database, table, flush, names);
  } catch (error) {
    throw passing(error);
  } finally {
    names.retire();
  }
}

/** The files are there: what failed may succeed another time, and until then the table is an unreadable one (U2). */
export function passing(error: unknown): unknown {
  if (isUnreadable(error) || !(error instanceof SqlError) || error.fields.transient === true) return error;
  const detail = 'Rows that are deleted on disk are looked for in the files of another writer.';
  return new SqlError(SqlState.ioError, error.message, { detail, cause: error });
}

async function readNames(
  database: Database,
  table: Table,
  location: string,
  path: string,
  deltas: readonly Delta[],
  names: RowBuffer,
): Promise<void> {
  const own = deltas.filter((delta) => delta.location === location);
  const whole = own.find((delta) => delta.whole !== undefined)?.whole;
  // Of a file of which nothing is left all rows are named: none of them was to be anywhere.
  const deleted =
    whole === undefined
      ? new Set(own.flatMap(({ positions }) => [...positions]))
      : Array.from({ length: whole }).keys();
  const positions = Uint32Array.from(deleted).sort();
  const file = { unit: database.nextUnit(), rows: positions.at(-1)! + 1, path, deletes: null };
  const fieldIds = table.nameColumns.map((column) => table.fieldIds[column]!);
  let count = 0;
  for (const read of await database.engine.readRows({ def: table.def, file, positions, fieldIds })) {
    names.append(read.vectors, 0, read.rows);
    count += read.rows;
  }
  if (count !== positions.length)
    throw new SqlError(SqlState.dataCorrupted, `file "${path}" has ${count} of ${positions.length} deleted rows`);
}

/** Staged segments are not there yet: a later row of the same name is of a later operation, and so is in them or in the log. */
async function place(
  database: Database,
  table: Table,
  flush: NonNullable<RecoveredTable['flush']>,
  names: RowBuffer,
): Promise<void> {
  // Of files of which nothing is left rows are named that were dead before: a later row of their key is named as well.
  const found = new Map<DataFileUnit, Set<number>>();
  await resolveCold(database.engine, table, names, (_, unit, position) => {
    const file = table.unit(unit);
    if (!(file instanceof DataFileUnit)) return;
    const places = found.get(file) ?? new Set();
    found.set(file, places.add(position));
  });
  const { committedLsn: lsnFrom, flushedLsn: lsnTo } = table;
  await database.lake.writeFlush({
    tableUuid: table.def.uuid,
    logId: flush.logId,
    fromLsn: lsnTo,
    flushedLsn: lsnTo,
    baseSnapshotId: table.snapshotId,
    segments: [],
    deltas: Array.from(found, ([file, positions]) => ({
      location: file.info.location,
      lsnFrom,
      lsnTo,
      positions: Uint32Array.from(positions),
      lsns: new Float64Array(positions.size).fill(lsnTo),
    })),
    removed: flush.moved.map(({ location }) => location),
  });
  for (const [file, positions] of found) {
    invariant(file.deletes.reserve(positions.size), 'V5 deletes of the manifest fit the reserve');
    for (const position of positions) file.deletes.append(position, lsnTo);
    file.deletes.publish(file.deletes.length);
    file.deletesFlushed = file.deletes.length;
    table.fileSets.deleted(file);
  }
}
