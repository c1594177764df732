/**
 * What another client has done to a table's entry in the catalog while the server runs: renamed, it has the new name here, too;
 * dropped, it is gone here, and rows that were not committed go to DATA_DIR/lost (M-4), as at a start; replaced, the other
 * table is there under the name.
 */
import { SqlError, SqlState } from '../errors.ts';
import { isNeeded } from '../storage/log/checkpoint.ts';
import { unreadable } from '../storage/iceberg/unreadable.ts';
import type { Table } from '../storage/table.ts';
import { nameOf, type Database } from './database.ts';
import { adoptDeletes, readDeletes } from './delete-files.ts';
import { detachAtStart } from './detached-rows.ts';
import { writeLost } from './lost-rows.ts';
import { ownedBy } from './relations.ts';
import { tellLost } from './lost-table.ts';

/** What the lake answers of a table that is not where it was. */
export function isGone(error: unknown): boolean {
  return error instanceof SqlError && error.code === SqlState.undefinedTable;
}

/** The table's lane is held by the caller. True: it is there under another name. */
export async function followCatalog(database: Database, table: Table): Promise<boolean> {
  if (table.dropped) return false;
  const { uuid, schema, name } = table.def;
  const where = await database.lake.whereIs(uuid);
  if (where.kind === 'renamed') {
    database.schemas.add(where.schema);
    database.renamed(table, where);
    database.onDefinition();
    return true;
  }
  await leave(database, table);
  await adopt(database, schema, name).catch((error: unknown) =>
    database.warn(error, `the table that another client has put in the place of ${schema}.${name}`),
  );
  database.onDefinition();
  return false;
}

async function leave(database: Database, table: Table): Promise<void> {
  const { committer } = database;
  // No transaction is between its check and its rows: all that was acknowledged is in the slices.
  await committer.exclusive(() => database.forgetTable(table));
  await committer.published(committer.appliedLsn);
  if (table.detached?.reason === 'unreadable') leaveInLog(database, table);
  else await rescue(database, table);
  await database.trimLog(); // with a checkpoint frame that does not have it: its frames are missed by nobody
  if (table.uuidIs !== 'proven') return;
  for (const sequence of ownedBy(database.relations, table.def.uuid)) await database.sequences.drop(sequence);
}

async function rescue(database: Database, table: Table): Promise<void> {
  const staged = table.uncommittedFrom > 0 ? await database.lake.rescue(table.def.uuid) : null;
  const written = staged === null ? { rows: 0, files: 0 } : await writeLost(database, table, staged.folder);
  const rows = written.rows + (staged?.rows ?? 0);
  const files = written.files + (staged?.files ?? 0);
  database.disk.forget(table.files.map((file) => file.path));
  table.letGo();
  if (rows + files > 0) {
    const lsn = table.publishedLsn;
    tellLost(database, nameOf(table), { folder: staged!.folder, rows, files, lsn });
  } else
    database.warn(new Error('another client has dropped the table; all its rows had been committed'), nameOf(table));
}

/** N3 in unclaimed-rows.ts: what there is of it lies in the log, and on disk in files that a start looks at together with the log. */
function leaveInLog(database: Database, table: Table): void {
  const { committedLsn, def, metadataLocation, snapshotId, uncommittedFrom: neededFrom, uuidIs } = table;
  if (neededFrom === 0 || uuidIs === 'made') return;
  const { lastLsn } = database.log;
  database.unclaimed.keep({ uuid: def.uuid, committedLsn, neededFrom, lastLsn, snapshotId, metadataLocation });
  database.warn(
    new Error(
      'another client has dropped the table; its rows that were not committed go to DATA_DIR/lost at the next start',
    ),
    nameOf(table),
  );
}

async function adopt(database: Database, schema: string, name: string): Promise<void> {
  if (database.table(schema, name) !== undefined) return;
  const state = await database.lake.adoptNew({ schema, name });
  if (state === null || database.table(schema, name) !== undefined) return;
  const table = database.addTable(state);
  const known = database.unclaimed.claim(state.def.uuid);
  if (known !== null && isNeeded(known)) {
    const { committedLsn: lsn, snapshotId, metadataLocation } = known;
    const error = new SqlError(SqlState.ioError, 'what the log has of the table has not been read yet');
    table.detached = unreadable(error, { lsn, snapshotId, metadataLocation });
    table.letGo();
    table.lacks(known, database.committer.publishedLsn);
    return;
  }
  const lsn = database.committer.appliedLsn;
  table.committedLsn = state.logId === database.log.logId ? state.committedLsn : 0;
  table.appliedLsn = lsn;
  table.publishedLsn = lsn;
  table.flushedLsn = lsn;
  try {
    adoptDeletes(database, table, state, await readDeletes(database, table, state), 0);
  } catch (error) {
    detachAtStart(database, table, error);
  }
  database.generation++;
}
