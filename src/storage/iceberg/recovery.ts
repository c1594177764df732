/**
 * What is known of a table at start: its catalog entry, its flush manifest and what the log says of it, reconciled.
 *
 * - R1 The catalog's properties decide what is committed (C1); the manifest keeps only what lies above (C5).
 * - R2 A manifest that does not fit (a file missing or damaged, deletes of a data file that is not there, a base that is not
 *   in the table's history) is discarded whole, and the log is replayed from arka.lsn + 1.
 * - R3 A catalog that shows less of the log than was committed went back: an accident, and not ours to repair. That table
 *   is read-only until `arka doctor` is told what is right; the others work (C6). A head that is not a descendant of ours
 *   with our arka.lsn is a user's rollback: it is the truth.
 *   Where a fault of the disk keeps it from being read, and the log has no more what it says, the table is unreadable until that passes.
 * - R4 Rows that are neither in Iceberg, nor in the manifest, nor in the log any more are missed, never skipped: read-only.
 * - R5 Rows of a table that is gone from the catalog are never silently away (M-4): their files go to DATA_DIR/lost.
 */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { SqlError, SqlState } from '../../errors.ts';
import type { Lsn } from '../../table-def.ts';
import type { Seen, StoredFlush } from '../disk/flush-store.ts';
import { neededBy, type TableCheckpoint } from '../log/checkpoint.ts';
import { makeFolder } from './local-store.ts';
import type { Lake } from './lake.ts';
import type { Detached, LogFacts, LostTable, RecoveredTable, ReopenRequest, TableState } from './lake-api.ts';
import { currentSnapshot, type LoadedTable, type TableMetadata } from './metadata.ts';
import { wentBack } from './went-back.ts';

type Stores = Pick<Lake, 'cache' | 'flush' | 'settings'>;
type Moved = NonNullable<RecoveredTable['flush']>['moved'];

/** @throws {SqlError} of an unreadable table (`unreadable.ts`) */
export async function recoverTable(
  lake: Stores & Pick<Lake, 'store'>,
  table: LoadedTable,
  state: TableState,
): Promise<RecoveredTable> {
  const { uuid } = state.def;
  const log = lake.settings.log ?? null;
  const last = lastKnown(lake, uuid);
  if (last !== null && state.snapshotId !== last.snapshotId) lake.flush.distrustGarbage(uuid);
  const { schema, name } = table;
  const behind = wentBack({ ...state, schema, name }, last, log?.logId ?? null); // R3
  if (behind !== null) return detachedTable(state, log, last, behind);
  const ours = log === null || state.logId === log.logId;
  if (state.logId !== null && state.committedLsn > 0) {
    lake.flush.dropCommitted(uuid, state.logId, state.committedLsn, []);
    const { logId, committedLsn: lsn, snapshotId } = state;
    lake.flush.saw(uuid, { logId, lsn, snapshotId, metadataLocation: table.metadataLocation });
  }
  const committed = ours ? state.committedLsn : 0;
  const need = neededFrom(log, uuid, committed);
  const { flush, damage } = await wholeFlush(lake, uuid);
  const lsnSeen = Math.max(
    committed,
    last?.lsn ?? 0,
    log !== null && flush?.logId === log.logId ? flush.flushedLsn : 0,
  );
  const recovered = (kept: StoredFlush | null): RecoveredTable => ({
    ...state,
    flush:
      kept === null
        ? null
        : {
            logId: kept.logId,
            flushedLsn: kept.flushedLsn,
            segments: kept.segments,
            deltas: kept.deltas,
            moved: movedOf(lake, kept, state),
          },
    uncommittedFrom: need,
    neededFrom: Math.max(need, kept !== null && kept.logId === log?.logId ? kept.flushedLsn + 1 : 0),
    lsnSeen,
    detached: null,
  });
  const reason = damage?.message ?? (flush === null ? null : misfit(flush, state, table.metadata));
  if (reason === null) {
    const whole = recovered(flush);
    const hole = missing(log, whole.neededFrom);
    return hole === null ? whole : { ...whole, flush: null, detached: hole };
  }
  const hole = missing(log, need);
  if (hole !== null) {
    // What the log has no more stands in the manifest alone.
    if (damage === null && flush !== null) {
      const whole = recovered(flush);
      const gone = await goneOf(lake, whole.flush!.moved);
      return gone === null ? whole : { ...recovered(null), detached: withoutNames(gone, hole) };
    }
    if (damage instanceof SqlError && damage.code === SqlState.ioError) throw damage;
    return {
      ...recovered(null),
      detached: { ...hole, detail: `${hole.detail} The flush manifest does not fit: ${reason}.` },
    };
  }
  process.emitWarning(
    `flush manifest of table "${table.schema}"."${table.name}" is discarded, the log will be replayed: ${reason}`,
    'ArkaLake',
  );
  await lake.flush.discard(uuid, join(lake.settings.dataDir, 'disk', 'discarded'));
  return recovered(null);
}

/** The manifest, when all that it names is as it was written. */
async function wholeFlush(lake: Stores, uuid: string): Promise<ReturnType<Stores['flush']['read']>> {
  const read = lake.flush.read(uuid);
  const damage = read.damage ?? (await lake.flush.check(uuid));
  return damage === null ? read : { flush: null, damage };
}

/** What was last committed or seen of the table in this log, by the flush manifest's file and by the log itself. */
export function lastKnown(lake: Pick<Lake, 'flush' | 'settings'>, uuid: string): Seen | null {
  const log = lake.settings.log ?? null;
  const stored = lake.flush.seen(uuid);
  const seen = stored !== null && stored.lsn > 0 && (log === null || stored.logId === log.logId) ? stored : null;
  const entry = entryOf(log, uuid);
  if (log === null || entry === undefined || entry.committedLsn === 0) return seen;
  if (seen !== null && seen.lsn >= entry.committedLsn) return seen;
  const { committedLsn: lsn, snapshotId, metadataLocation } = entry;
  return { logId: log.logId, lsn, snapshotId, metadataLocation };
}

function entryOf(log: LogFacts | null, uuid: string): TableCheckpoint | undefined {
  return log?.checkpoint?.tables.find((table) => table.uuid === uuid);
}

function detachedTable(state: TableState, log: LogFacts | null, last: Seen | null, detached: Detached): RecoveredTable {
  const committed = last?.lsn ?? 0;
  const need = neededFrom(log, state.def.uuid, committed);
  return {
    ...state,
    flush: null,
    neededFrom: need,
    uncommittedFrom: need,
    lsnSeen: committed,
    detached,
  };
}

/** The first LSN that only the log can have, once `committed` is in Iceberg (H3). */
export function neededFrom(log: LogFacts | null, uuid: string, committed: Lsn): Lsn {
  const checkpoint = log?.checkpoint ?? null;
  return checkpoint === null ? committed + 1 : neededBy(checkpoint, entryOf(log, uuid), committed);
}

/** With a checkpoint as it would be written now, of this table alone; a log that had none goes on without. */
export function logNow(
  log: LogFacts,
  { tableUuid: uuid, logFrom: firstLsn, logTo: lsn, neededFrom }: ReopenRequest,
): LogFacts {
  const { checkpoint } = log;
  if (checkpoint === null) return { ...log, firstLsn };
  const known = checkpoint.tables.find((entry) => entry.uuid === uuid);
  const entry = {
    ...(known ?? { uuid, committedLsn: 0, snapshotId: null, metadataLocation: '' }),
    neededFrom: neededFrom || lsn + 1,
    lastLsn: neededFrom === 0 ? 0 : lsn,
  };
  return { ...log, firstLsn, checkpoint: { lsn, tables: [entry] } };
}

/** R4. A log without a checkpoint frame cannot say what it does not have. */
function missing(log: LogFacts | null, from: Lsn): Detached | null {
  if (log === null || log.checkpoint === null || from >= log.firstLsn) return null;
  return {
    reason: 'rows',
    message: `operations ${from} to ${log.firstLsn - 1} are not in Iceberg and not on disk, and the log begins at ${log.firstLsn}`,
    detail:
      'Either the log was trimmed to what had been flushed, because it had reached wal.max_size, and that is gone from DATA_DIR/disk; or older files are gone from DATA_DIR/wal.',
    hint: 'Restore what is gone; or stop the server and run arka doctor --accept to go on without these operations.',
    last: { lsn: log.firstLsn - 1, snapshotId: null, metadataLocation: '' },
  };
}

/** R2. An already committed segment has left the manifest, so deletes may also name what the catalog has. */
function misfit(flush: StoredFlush, state: TableState, metadata: TableMetadata): string | null {
  const lost = lostPlace(flush, state);
  if (lost !== null) return lost;
  const twice = flush.segments.find((segment) => state.files.some((file) => file.location === segment.location));
  if (twice !== undefined) return `its segment "${twice.location}" is committed`;
  if (flush.deltas.length > 0 && flush.baseSnapshotId !== null && !descends(metadata, flush.baseSnapshotId))
    return `its base, snapshot ${flush.baseSnapshotId}, is not in the table's history`;
  return null;
}

function lostPlace(flush: StoredFlush, state: TableState): string | null {
  const places = new Set([...state.files, ...flush.segments].map((file) => file.location));
  const lost = flush.deltas.find((delta) => !places.has(delta.location));
  return lost === undefined ? null : `it has deletes of data file "${lost.location}", which is not in the table`;
}

function movedOf(lake: Stores, flush: StoredFlush, state: TableState): Moved {
  const places = new Set([...state.files, ...flush.segments].map((file) => file.location));
  const moved = new Set(flush.deltas.map((delta) => delta.location).filter((location) => !places.has(location)));
  return Array.from(moved, (location) => ({ location, path: lake.cache.pathOf(location) }));
}

/** The first that is neither in the warehouse any more nor, of a remote one, here as a copy. @throws {SqlError} 58030 */
async function goneOf({ store }: Pick<Lake, 'store'>, moved: Moved): Promise<string | null> {
  for (const { location, path } of moved) {
    const isHere = await access(path).then(
      () => true,
      () => false,
    );
    if (!isHere && (await store.head(location)) === null) return location;
  }
  return null;
}

/** R4. The names of rows that were deleted stood in the old file alone (C3). */
function withoutNames(location: string, { last }: Detached): Detached {
  return {
    reason: 'rows',
    message: `deletes of "${location}" are on disk, and another writer has removed that data file`,
    detail:
      'The rows cannot be found again in the files that are there now: the log was trimmed to what had been flushed.',
    hint: 'Restore the file and start the server again; or stop it and run arka doctor --accept to go on without these operations.',
    last,
  };
}

/** Whether the head of main descends from the snapshot, as far as the metadata still says so. */
export function descends(metadata: TableMetadata, ancestor: bigint): boolean {
  const byId = new Map((metadata.snapshots ?? []).map((snapshot) => [snapshot['snapshot-id'], snapshot]));
  let at = currentSnapshot(metadata) ?? undefined;
  while (at !== undefined && at['snapshot-id'] !== ancestor) at = byId.get(at['parent-snapshot-id'] ?? -1n);
  return at !== undefined;
}

/** R5: what the manifest has of tables that are not `present`; their frames in the log are main's to save. */
export async function rescueLost(lake: Stores, present: ReadonlySet<string>): Promise<LostTable[]> {
  const lost: LostTable[] = [];
  for (const uuid of lake.flush.remembered()) {
    if (present.has(uuid)) continue;
    const { flush, damage } = lake.flush.read(uuid);
    const staged = damage !== null || (flush !== null && flush.segments.length + flush.deltas.length > 0);
    lost.push(staged ? await rescueTable(lake, uuid) : nothingStaged(lake, uuid, flush));
  }
  return lost;
}

function nothingStaged(lake: Stores, uuid: string, flush: StoredFlush | null): LostTable {
  const flushedLsn = flush !== null && flush.logId === lake.settings.log?.logId ? flush.flushedLsn : 0;
  const folder = join(lake.settings.dataDir, 'lost', uuid);
  return { uuid, def: lake.flush.def(uuid), flushedLsn, folder, files: 0, rows: 0 };
}

/** The folder is made: main may have more for it. */
export async function rescueTable(lake: Stores, uuid: string): Promise<LostTable> {
  const { flush, damage } = lake.flush.read(uuid);
  const def = lake.flush.def(uuid);
  const folder = join(lake.settings.dataDir, 'lost', uuid);
  const staged = damage !== null || (flush !== null && flush.segments.length + flush.deltas.length > 0);
  if (!staged) await makeFolder(folder);
  else {
    process.emitWarning(
      `table ${def === null ? uuid : `"${def.schema}"."${def.name}"`} is gone from the catalog: its uncommitted rows are in "${folder}"`,
      'ArkaLake',
    );
    await lake.flush.discard(uuid, folder);
  }
  lake.flush.forget(uuid, false);
  return {
    uuid,
    def,
    flushedLsn: flush !== null && flush.logId === lake.settings.log?.logId ? flush.flushedLsn : 0,
    folder,
    files: flush?.segments.length ?? 0,
    rows: (flush?.segments ?? []).reduce((sum, segment) => sum + segment.rows, 0),
  };
}
