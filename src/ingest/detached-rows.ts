/**
 * What a start has of a table that cannot be read (U1 in `src/storage/iceberg/unreadable-table.ts`): no rows, only how far the
 * log must be kept for it, which is found by looking at the log itself (H3).
 */
import { isUnreadable, unreadable } from '../storage/iceberg/unreadable.ts';
import type { RecoveredTable } from '../storage/iceberg/lake-api.ts';
import type { Table } from '../storage/table.ts';
import type { Lsn } from '../table-def.ts';
import type { Database } from './database.ts';

/** Read-only until someone decides (C6), or gone until its files are back: the log keeps what it may need. */
export function detachRecovered(table: Table, state: RecoveredTable): void {
  const { detached, uuidIs = 'proven' } = state;
  table.uuidIs = uuidIs;
  if (detached === null) return;
  table.detached = detached;
  table.committedLsn = detached.reason === 'rows' ? table.committedLsn : detached.last.lsn;
  if (detached.reason === 'unreadable') {
    table.flushedLsn = Math.max(table.committedLsn, state.neededFrom - 1);
    table.snapshotId = detached.last.snapshotId;
    table.metadataLocation = detached.last.metadataLocation;
    table.uncommittedFrom = state.uncommittedFrom;
    return;
  }
  table.flushedLsn = table.committedLsn;
  if (detached.reason === 'catalog') {
    table.snapshotId = detached.last.snapshotId;
    table.metadataLocation = detached.last.metadataLocation;
  }
  table.uncommittedFrom = state.neededFrom;
}

/** A start met a file of the table that cannot be read: it goes on without the table. @throws what is no such error */
export function detachAtStart(database: Database, table: Table, error: unknown): void {
  if (!isUnreadable(error)) throw error;
  const { committedLsn: lsn, metadataLocation, snapshotId } = table;
  table.detached = unreadable(error, { lsn, snapshotId, metadataLocation });
  table.letGo();
  table.unflushedFrom = 0;
  table.appliedLsn = table.flushedLsn;
  database.warn(error, `table ${table.def.schema}.${table.def.name} is detached`);
}

/** What the log has of nobody may be its own (N1 in unclaimed-rows.ts). */
export function noteUnclaimed(table: Table, from: Lsn): void {
  if (table.uuidIs === 'proven' || from === 0) return;
  table.uncommittedFrom = table.uncommittedFrom === 0 ? from : Math.min(table.uncommittedFrom, from);
}

/** The log has operations on it that nothing else has. */
export function noteHeld(table: Table, firstLsn: Lsn, lsn: Lsn): void {
  if (table.detached?.reason !== 'unreadable' || lsn <= table.flushedLsn) return;
  if (table.uncommittedFrom === 0) table.uncommittedFrom = firstLsn;
}
