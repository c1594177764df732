/**
 * A table that could not be read comes back while the server runs, once its files are there again (U2): as a start has it, from
 * catalog, flush manifest and what the log still holds of it. Until then its statements answer as before.
 *
 * - R1 The log is kept as before until the table has everything (`Table.logHeldFrom`), at wal.max_size as well: nobody has asked for its
 *   frames since the start, and they may be all that there is.
 * - R2 What fails leaves the table detached as it was, with the newest reason; nothing of it is given up.
 */
import { SqlError, SqlState } from '../errors.ts';
import { isUnreadable, unreadable } from '../storage/iceberg/unreadable.ts';
import type { RecoveredTable } from '../storage/iceberg/lake-api.ts';
import { DataFileUnit } from '../storage/file-unit.ts';
import { decodeFrame } from '../storage/log/section-reader.ts';
import type { Table } from '../storage/table.ts';
import type { Lsn } from '../table-def.ts';
import { noteOperations } from './committer.ts';
import type { Database } from './database.ts';
import { followCatalog, isGone } from './gone-table.ts';
import { adoptFiles, placeStaged, replaySection, takeOver } from './recovery.ts';
import { HotNames } from './resolver.ts';

/** Beyond this share of the memory for rows the rest is left to a start, which flushes meanwhile. */
const MEMORY_FRACTION = 0.7;

/** False: it is not detached so any more. @throws why it cannot be read */
export function reattachTable(database: Database, table: Table): Promise<boolean> {
  return database.inLane(table, () => {
    let known = table;
    const work = async (): Promise<boolean> => {
      known = await identified(database, table);
      if (known === table) return reattachHeld(database, table);
      return database.inLane(known, () => reattachHeld(database, known));
    };
    return work().catch((error: unknown) => {
      if (!isGone(error)) throw error;
      return followCatalog(database, known);
    });
  });
}

/** U4: what the log has of it is found by its uuid, which its metadata says now. @throws as above, and 42P01 */
async function identified(database: Database, table: Table): Promise<Table> {
  if (table.dropped || table.detached?.reason !== 'unreadable' || table.uuidIs === 'proven') return table;
  const uuid = await database.lake.identify(table.def.uuid);
  if (table.dropped) return table;
  if (uuid !== table.def.uuid) return database.identified(table, uuid);
  table.uuidIs = 'proven';
  return table;
}

async function reattachHeld(database: Database, table: Table): Promise<boolean> {
  const before = table.detached;
  if (table.dropped || before?.reason !== 'unreadable') return false;
  const { def, specId, committedLsn, flushedLsn, uncommittedFrom, snapshotId, metadataLocation } = table;
  const kept = { committedLsn, flushedLsn, uncommittedFrom, snapshotId, metadataLocation };
  const { log, committer } = database;
  const to = committer.publishedLsn;
  const since = uncommittedFrom === 0 ? to : Math.min(uncommittedFrom - 1, to);
  await log.durable(to);
  const hold = await log.hold(since + 1); // behind every trim that is under way
  table.logHeldFrom = uncommittedFrom;
  try {
    const state = await database.lake.reopen({
      tableUuid: def.uuid,
      logFrom: log.firstLsn,
      logTo: to,
      neededFrom: uncommittedFrom,
    });
    if (state.detached?.reason === 'unreadable') {
      const { code = SqlState.dataCorrupted, message, detail, hint } = state.detached;
      throw new SqlError(code, message, { detail, hint });
    }
    if (table.dropped) return false;
    const { schema, name } = def;
    table.redefine({ ...state.def, oid: state.def.oid === 0 ? def.oid : state.def.oid, schema, name }, state.specId);
    await fill(database, table, state);
    // What is on disk as well the log may have no more.
    const missing = Math.max(since, table.flushedLsn);
    if (state.detached === null && missing < to) await replay(database, table, { since: missing, to, log: hold.place });
    if (table.dropped) {
      table.letGo();
      return false;
    }
    if (state.flush !== null && state.flush.logId !== log.logId && state.detached === null)
      await takeOver(database, table);
    table.publishedLsn = table.appliedLsn;
    if (table.changes !== null) table.changes.foreign = true;
    table.detached = state.detached;
  } catch (error) {
    table.letGo();
    if (!table.dropped) table.redefine(def, specId);
    Object.assign(table, kept, { unflushedFrom: 0, appliedLsn: flushedLsn });
    table.detached = isUnreadable(error) ? unreadable(error, before.last) : before;
    throw error;
  } finally {
    table.logHeldFrom = 0;
    hold.release();
  }
  database.generation++;
  database.onDefinition();
  database.follower.wake(table);
  return true;
}

/** Its files with their deletes, and what is staged. */
async function fill(database: Database, table: Table, state: RecoveredTable): Promise<void> {
  table.metadataLocation = state.metadataLocation;
  table.snapshotId = state.snapshotId;
  table.uncommittedFrom = 0;
  const { memory } = database;
  const units = state.files.map((info) => new DataFileUnit(memory, database.nextUnit(), table.def, info, 'iceberg'));
  table.install(null, units);
  await adoptFiles(database, table, state);
  await placeStaged(database, table, state);
}

interface Logged {
  readonly log: Parameters<Database['lake']['logFrames']>[0]['log'];
  readonly since: Lsn;
  readonly to: Lsn;
}

async function replay(database: Database, table: Table, { log, since, to }: Logged): Promise<void> {
  const { memory, lake } = database;
  const hot = new HotNames();
  for (let through = since; through < to;) {
    const read = await lake.logFrames({ log, tableUuid: table.uuidBytes, since: through, to });
    for (const { firstLsn, count, payload } of read.frames) {
      const lsn = firstLsn + count - 1;
      if (lsn <= table.flushedLsn) continue;
      for (const section of decodeFrame(payload)) {
        if (section.tableUuid !== table.def.uuid) continue;
        await replaySection(database, hot, table, section, lsn);
        noteOperations(table, firstLsn, lsn);
      }
      if (memory.slabBytes > memory.pool.budgetBytes * MEMORY_FRACTION)
        throw new SqlError(SqlState.outOfMemory, 'what the log holds of the table does not fit memory', {
          hint: 'Restart the server: a start moves rows to disk while it reads the log.',
        });
    }
    through = read.through;
  }
}
