/**
 * Rows that are there get the default of a new column. Iceberg 2 has no value for rows older than a column, so their files are
 * written anew with it, and swapped in with the schema that has the column (M-1): every reader finds the value.
 *
 * The table is held alone, and all of it is in Iceberg: nothing is pending, no position is remembered.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { notSupported } from '../errors.ts';
import { DataFileUnit } from '../storage/file-unit.ts';
import type { AlteredTable, AlterRequest, Segment } from '../storage/iceberg/lake-api.ts';
import { locationBeside, isRemote } from '../storage/iceberg/paths.ts';
import type { Table } from '../storage/table.ts';
import type { Fill } from '../storage/unit-engine.ts';
import type { TableDef } from '../table-def.ts';
import { nameOf, type Database } from './database.ts';
import { locationsOf } from './delete-files.ts';
import { UNPACKED } from './rewrite.ts';

export interface FilledFiles {
  readonly files: NonNullable<AlterRequest['files']>;
  /** Local copies, to be removed whatever becomes of them. */
  readonly written: readonly string[];
  /** Their room on the disk is no longer reserved: they are counted otherwise, or gone. */
  readonly giveBack: () => void;
}

/** @throws {SqlError} 0A000 for more bytes than are staged at one time */
export async function fillColumns(database: Database, table: Table, def: TableDef, fill: Fill): Promise<FilledFiles> {
  const bytes = table.files.reduce((sum, { info }) => sum + info.bytes, 0);
  if (bytes > database.filledBytesMax)
    throw notSupported(`ADD COLUMN with a default, of a table with ${bytes} bytes of files,`, {
      hint: 'Add the column without it, UPDATE the rows in parts, then SET DEFAULT; or raise iceberg.max_staged.',
    });
  const added: Segment[] = [];
  const written: string[] = [];
  const room = new DisposableStack();
  const giveBack = (): void => room.dispose();
  room.defer(await database.disk.reserve(bytes, 'The files with the new column'));
  if (def.sort.length > 0) {
    const largest = table.files.reduce((most, { info }) => Math.max(most, info.bytes), 0);
    room.defer(await database.disk.sortRoom(largest * UNPACKED, false));
  }
  try {
    for (const file of table.files) {
      if (file.deletes.length >= file.rows) continue;
      const name = `${randomUUID()}.parquet`;
      const path = join(database.diskDir, name);
      const request = { def, memory: [], files: [file.scan(file.deletes.length)], path, fill };
      const output = await database.engine.writeParquet(request);
      if (output === null) continue;
      written.push(path);
      const { location, partition, specId } = file.info;
      added.push({
        ...output,
        location: locationBeside(table.location, location, name),
        partition,
        specId,
        lsnFrom: file.lsnFrom,
        lsnTo: file.lsnTo,
      });
    }
    if (isRemote(table.location)) await database.lake.upload(added);
  } catch (error) {
    await discardFilled(database, table, { files: { removed: [], added, removedDeletes: [] }, written });
    giveBack();
    throw error;
  }
  const removed = table.files.map(({ info }) => info.location);
  const removedDeletes = locationsOf(table, new Set(table.partitionDeletes.keys()));
  return { files: { removed, added, removedDeletes }, written, giveBack };
}

/** They will not be swapped in. */
export async function discardFilled(
  database: Database,
  table: Table,
  { files, written }: Pick<FilledFiles, 'files' | 'written'>,
): Promise<void> {
  try {
    await database.lake.abandon(files.added.map(({ location }) => location));
    await database.lake.removeFiles(written);
  } catch (error) {
    database.warn(error, `removing rewritten files of ${nameOf(table)}`);
  }
}

/** In the same turn as the table's new definition. */
export function installFilled(
  database: Database,
  table: Table,
  { files, written }: FilledFiles,
  after: AlteredTable,
): void {
  const old = table.files.map(({ path }) => path);
  const units = files.added.map((segment) => {
    const path = after.paths.find((each) => each.location === segment.location)?.path ?? segment.path;
    database.disk.found({ path, bytes: segment.bytes });
    return new DataFileUnit(database.memory, database.nextUnit(), table.def, { ...segment, path }, 'iceberg');
  });
  table.replaceFiles(units);
  table.partitionDeletes.clear();
  database.disk.forget(old);
  void database.lake
    .removeFiles(written)
    .catch((error: unknown) => database.warn(error, `removing rewritten files of ${nameOf(table)}`));
}
