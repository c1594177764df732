/**
 * Disk to Iceberg: one commit of one table at a flush boundary (V4, C5). Staged segments become data files of the
 * table, as the same units; delete entries ≤ L become position-delete files (delete-files.ts).
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { SqlError, SqlState } from '../errors.ts';
import { DataFileUnit } from '../storage/file-unit.ts';
import type { CommitResult, DeleteFile, Segment, TableState } from '../storage/iceberg/lake-api.ts';
import { isRemote } from '../storage/iceberg/paths.ts';
import type { Table } from '../storage/table.ts';
import type { Lsn } from '../table-def.ts';
import type { Database } from './database.ts';
import {
  adoptDeletes,
  deleteBytesMax,
  locationsOf,
  planDeletes,
  positionsByLocation,
  positionsOf,
  readDeletes,
  settlePlan,
} from './delete-files.ts';
import { followCatalog, isGone } from './gone-table.ts';
import { RowsFoundAgain } from './rows-found-again.ts';
import { takenBack } from './taken-back.ts';
import { wentBack } from '../storage/iceberg/went-back.ts';

/** After such an error of a commit, what another client has done is looked at. */
const LOOK_AGAIN: ReadonlySet<SqlState> = new Set([
  SqlState.serializationFailure,
  SqlState.objectNotInPrerequisiteState,
  SqlState.undefinedTable,
]);

/** Staged segments go into a remote warehouse before the table's lane is taken: flushes need not wait for a slow store. */
export async function uploadStaged(database: Database, table: Table): Promise<void> {
  if (!isRemote(table.location)) return;
  const staged = listed(table)
    .filter(({ isLeaving }) => !isLeaving)
    .map((file) => file.info as Segment);
  if (!table.dropped && staged.length > 0) await database.lake.upload(staged);
}

/** Segments that are in the flush manifest: their rows are at or below `flushedLsn` (V4). */
function listed(table: Table): readonly DataFileUnit[] {
  return [...table.fileSets.staged].filter((file) => !file.isUnlisted);
}

/** Null: Iceberg had everything already. The table's lane is held by the caller, who has the log trimmed then. */
export async function commitTable(
  database: Database,
  table: Table,
  trigger: string,
  again = false,
): Promise<CommitResult | null> {
  if (table.dropped || table.detached !== null) return null;
  if (table.flushedLsn <= table.committedLsn || table.uncommittedFrom === 0) return null;
  const lsn = table.flushedLsn;
  const dirty = [...table.fileSets.dirty];
  const dropped = new Set(dirty.filter((file) => file.isLeaving && file.deletesFlushed >= file.rows));
  const staged = listed(table).filter((file) => !dropped.has(file));
  const touched = dirty
    .map((file) => ({ file, length: file.deletesFlushed }))
    .filter(({ file, length }) => length > file.deletesCommitted);
  const plan = planDeletes(table, touched, new Set(staged), dropped);
  const deletes: DeleteFile[] = [];
  using room = new DisposableStack();
  if (plan.files.length > 0) room.defer(await database.disk.claim(deleteBytesMax(plan)));
  for (const planned of plan.files) {
    const path = join(database.diskDir, `${randomUUID()}-deletes.parquet`);
    const positions = positionsOf(planned);
    const { rows, bytes } = await database.engine.writePositionDeletes({ path, deletes: positions });
    deletes.push({ targets: positions.map(({ location }) => location), scope: planned.scope, path, rows, bytes });
  }
  const segments = staged.map((file) => file.info as Segment);
  const request = {
    tableUuid: table.def.uuid,
    logId: database.log.logId,
    lsn,
    segments,
    deletes,
    dropped: Array.from(dropped, ({ info: { location }, lsnTo, tier }) => ({
      location,
      lsnTo: tier === 'disk' ? lsnTo : null,
    })),
    removedDeletes: locationsOf(table, plan.replaced),
    trigger,
  };
  const garbage = deletes.map((each) => each.path);
  let result: CommitResult;
  try {
    result = await database.lake.commit(request);
  } catch (error) {
    await database.lake.removeFiles(garbage);
    if (again || !(error instanceof SqlError)) throw error;
    // C7: a file that rows are deleted from is gone; they are found again, and deleted where they are now. C6, M-4: the table is.
    if (!LOOK_AGAIN.has(error.code)) throw error;
    await refreshTable(database, table);
    if (error.code === SqlState.objectNotInPrerequisiteState && table.detached === null) throw error;
    return commitTable(database, table, trigger, true);
  }
  for (const file of staged) {
    const path = result.paths.find((each) => each.location === file.info.location)?.path ?? file.path;
    if (path !== file.path) garbage.push(file.path);
    table.moveToIceberg(file, path);
    database.disk.found({ path, bytes: file.info.bytes });
  }
  settlePlan(table, plan, result);
  for (const { file, length } of touched) {
    file.deletesCommitted = length;
    file.deletes.settle(length);
  }
  for (const file of [...staged, ...touched.map((each) => each.file)]) table.fileSets.committed(file);
  if (dropped.size > 0) table.replaceFiles(table.files.filter((file) => !dropped.has(file)));
  for (const { path, tier } of dropped)
    if (tier === 'disk') garbage.push(path);
    else database.disk.forget([path]);
  table.committedLsn = lsn;
  table.uncommittedFrom = table.unflushedFrom;
  table.version++;
  database.memory.pins.whenUnpinned(
    () =>
      void database.lake.removeFiles(garbage).catch((error: unknown) => database.warn(error, 'removing staged files')),
    staged.reduce((sum, file) => sum + file.info.bytes, 0),
    'disk',
  );
  await adoptCommit(database, table, result);
  return result;
}

/** The table stands on the commit's metadata, with what another writer has put below it. Files that are due go. */
export async function adoptCommit(database: Database, table: Table, commit: CommitResult): Promise<void> {
  if (commit.foreign !== null) await adoptState(database, table, commit.foreign);
  table.metadataLocation = commit.metadataLocation;
  table.snapshotId = commit.snapshotId;
  void collectLater(database, table);
}

/**
 * Deletes the table's files that are due now, after the readers that are under way: their Versions may still have them.
 * @returns how many; null: readers are to end first
 */
export function collectLater(database: Database, table: Table): Promise<number> | null {
  const due = { tableUuid: table.def.uuid, beforeMs: Math.floor(database.clock.now()) };
  let collecting: Promise<number> | null = null;
  const collect = (): void => {
    collecting = database.lake.collectGarbage(due).catch((error: unknown) => {
      database.warn(error, 'removing expired files');
      return 0;
    });
  };
  database.memory.pins.whenUnpinned(collect, 0, 'disk');
  return collecting;
}

/**
 * Takes over what another writer has committed: files come and go, position deletes are added. Rows of ours that were deleted
 * from files which are gone are found again by their names.
 * @throws {SqlError} 55000 when they cannot be
 */
export async function adoptState(database: Database, table: Table, state: TableState): Promise<void> {
  const deletes = await readDeletes(database, table, state);
  const deleted = positionsByLocation(deletes);
  const live = new Set(state.files.map((info) => info.location));
  const taken = takenBack(database, table, state.files, deleted);
  const known = new Map(table.files.map((file) => [file.info.location, file]));
  const files = state.files.map((info) => {
    const file = known.get(info.location);
    if (file !== undefined) return taken.get(file) ?? file;
    return new DataFileUnit(database.memory, database.nextUnit(), table.def, info, 'iceberg');
  });
  const heard = state.logId === database.log.logId ? state.committedLsn : 0;
  const gone = table.files.filter((file) => !live.has(file.info.location) && wasCommitted(file, heard));
  // What a commit that went through unheard took of their deletes is not looked for again: an equal row would die for it.
  for (const file of gone) file.deletesCommitted = Math.max(file.deletesCommitted, file.deletes.lengthAt(heard));
  const again = new RowsFoundAgain(
    database,
    table,
    gone,
    files.filter((file) => !known.has(file.info.location)),
    taken,
    deleted,
  );
  try {
    await catchUp(database, table, gone, taken, again);
  } catch (error) {
    for (const { deletes } of taken.values()) deletes.free();
    throw error;
  }
  again.install();
  if (gone.length + taken.size > 0 && table.changes !== null) table.changes.foreign = true;
  const left = new Set(gone);
  const staged = table.files.filter((file) => !live.has(file.info.location) && !left.has(file));
  table.replaceFiles([...files, ...staged]);
  database.disk.forget(gone.map((file) => file.path));
  adoptDeletes(database, table, state, deletes, database.committer.appliedLsn);
  table.metadataLocation = state.metadataLocation;
  table.snapshotId = state.snapshotId;
  database.definitionFound(table, state);
}

/** A data file; or a segment whose commit took place, although main did not hear of it: the LSN in the catalog says so. */
function wasCommitted(file: DataFileUnit, heard: Lsn): boolean {
  return file.tier === 'iceberg' || (!file.isUnlisted && file.lsnTo > 0 && file.lsnTo <= heard);
}

/** Until nothing has come in between: then `install` may follow, in the same turn. @throws {SqlError} 55000 */
async function catchUp(
  database: Database,
  table: Table,
  gone: readonly DataFileUnit[],
  taken: ReadonlyMap<DataFileUnit, DataFileUnit>,
  again: RowsFoundAgain,
): Promise<void> {
  for (;;) {
    // Nothing may be on its way to visibility while positions of others are put behind it.
    if (table.files.some((file) => file.deletes.published < file.deletes.length)) {
      await database.committer.published(database.committer.appliedLsn);
      continue;
    }
    const search = again.catchUp();
    // Entries of another writer behind ours are not told apart: by name they could hit an equal row.
    const leaving = [...(search === null ? [] : gone), ...taken.keys()];
    const mixed = leaving.find((file) => file.deletesForeign > file.deletesCommitted);
    if (mixed !== undefined) throw removed(mixed);
    if (search === null) return;
    await search.catch((error: unknown) => {
      throw removed(gone[0]!, error);
    });
  }
}

function removed(file: DataFileUnit, cause?: unknown): SqlError {
  return new SqlError(
    SqlState.objectNotInPrerequisiteState,
    `another writer has removed ${file.info.location}, and deletes from it were pending here`,
    { cause, hint: 'Run CHECKPOINT before another engine rewrites the table.' },
  );
}

/** Looks for commits of other writers. The table's lane is held by the caller. */
export async function refreshTable(database: Database, table: Table): Promise<void> {
  if (table.dropped || table.detached !== null) return;
  const { metadataLocation } = table;
  const state = await database.lake
    .refresh({ tableUuid: table.def.uuid, metadataLocation })
    .catch(async (error: unknown) => {
      if (!isGone(error)) throw error;
      if (await followCatalog(database, table)) await refreshTable(database, table);
      return null;
    });
  if (state === null || table.dropped) return;
  const { committedLsn: lsn, def, snapshotId } = table;
  const { logId } = database.log;
  const last = lsn === 0 ? null : { logId, lsn, snapshotId, metadataLocation };
  const back = wentBack({ ...state, schema: def.schema, name: def.name }, last, logId);
  if (back === null) return adoptState(database, table, state);
  // What is in memory alone goes to disk first: from now on nothing moves it.
  await database.flushHeld(table, 'catalog');
  table.detached = back;
  database.generation++;
  database.warn(new Error(back.message), `${def.schema}.${def.name} is read-only`);
}
