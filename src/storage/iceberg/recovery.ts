/**
 * What is known of a table at start: its catalog entry and its flush manifest, reconciled.
 *
 * - R1 The catalog's properties decide what is committed (C1); the manifest keeps only what lies above (C5).
 * - R2 A manifest that does not fit (a file missing or damaged, deletes of a data file that is not there) is discarded
 *   whole; the log is replayed from arka.lsn + 1.
 * - R3 A catalog that knows less of the same log than we have seen went back: an accident, and not ours to repair (C6).
 * - R4 Rows of a table that is gone from the catalog are never silently away (M-4): their files go to DATA_DIR/lost.
 */
import { join } from 'node:path';
import { SqlError, SqlState } from '../../errors.ts';
import type { StoredFlush } from '../disk/flush-store.ts';
import type { Lake } from './lake.ts';
import type { RecoveredTable, TableState } from './lake-api.ts';
import type { LoadedTable } from './metadata.ts';

type Stores = Pick<Lake, 'flush' | 'settings'>;

export async function recoverTable(lake: Stores, table: LoadedTable, state: TableState): Promise<RecoveredTable> {
  const { uuid } = state.def;
  checkNotGoneBack(lake, table, state);
  if (state.logId !== null && state.committedLsn > 0) {
    lake.flush.dropCommitted(uuid, state.logId, state.committedLsn, []);
    lake.flush.saw(uuid, {
      logId: state.logId,
      lsn: state.committedLsn,
      snapshotId: state.snapshotId,
      metadataLocation: table.metadataLocation,
    });
  }
  const { flush, damage } = lake.flush.read(uuid);
  const reason = damage ?? (flush === null ? null : misfit(flush, state));
  if (reason === null)
    return {
      ...state,
      flush:
        flush === null
          ? null
          : { logId: flush.logId, flushedLsn: flush.flushedLsn, segments: flush.segments, deltas: flush.deltas },
    };
  process.emitWarning(
    `flush manifest of table "${table.schema}"."${table.name}" is discarded, the log will be replayed: ${reason}`,
    'ArkaLake',
  );
  await lake.flush.discard(uuid, join(lake.settings.dataDir, 'disk', 'discarded'));
  return { ...state, flush: null };
}

function checkNotGoneBack(lake: Stores, table: LoadedTable, state: TableState): void {
  const seen = lake.flush.seen(state.def.uuid);
  if (seen === null || seen.lsn === 0) return;
  if (state.snapshotId !== seen.snapshotId) lake.flush.distrustGarbage(state.def.uuid);
  const behind = state.logId === null || (state.logId === seen.logId && state.committedLsn < seen.lsn);
  if (!behind) return;
  throw new SqlError(
    SqlState.objectNotInPrerequisiteState,
    `catalog of table "${table.schema}"."${table.name}" went back: it has LSN ${state.committedLsn}, but LSN ${seen.lsn} was committed`,
    {
      detail: `The catalog shows metadata file "${table.metadataLocation}"; this server last saw "${seen.metadataLocation}".`,
      hint: 'Point the catalog to the newer metadata file again.',
    },
  );
}

/** R2. An already committed segment has left the manifest, so deletes may also name what the catalog has. */
function misfit(flush: StoredFlush, state: TableState): string | null {
  const places = new Set([...state.files, ...flush.segments].map((file) => file.location));
  const lost = flush.deltas.find((delta) => !places.has(delta.location));
  if (lost !== undefined) return `it has deletes of data file "${lost.location}", which is not in the table`;
  const twice = flush.segments.find((segment) => state.files.some((file) => file.location === segment.location));
  return twice === undefined ? null : `its segment "${twice.location}" is committed`;
}

export async function rescueLost(lake: Stores, present: ReadonlySet<string>): Promise<void> {
  for (const uuid of lake.flush.tables()) {
    if (present.has(uuid)) continue;
    const { flush, damage } = lake.flush.read(uuid);
    if (damage !== null || flush!.segments.length + flush!.deltas.length > 0) {
      const folder = join(lake.settings.dataDir, 'lost', uuid);
      process.emitWarning(
        `table ${uuid} is gone from the catalog: its uncommitted rows are in "${folder}"`,
        'ArkaLake',
      );
      await lake.flush.discard(uuid, folder);
    }
    lake.flush.forget(uuid);
  }
}
