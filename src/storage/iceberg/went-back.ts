/** A catalog that shows less of a log than was committed (C6): an accident, such as a backup that was restored, and no rollback. */
import type { Seen } from '../disk/flush-store.ts';
import type { Detached, TableState } from './lake-api.ts';

/** What the catalog shows of a table. */
export type Shown = Pick<TableState, 'logId' | 'committedLsn' | 'metadataLocation'> & {
  readonly schema: string;
  readonly name: string;
};

/** Null: it shows all that was committed. @param logId of the log here; null: there is none */
export function wentBack(shown: Shown, last: Seen | null, logId: string | null): Detached | null {
  if (last === null) return null;
  const ours = shown.logId === last.logId;
  if (ours ? shown.committedLsn >= last.lsn : shown.logId !== null && logId === null) return null;
  const what =
    shown.logId === null || ours
      ? `catalog of table "${shown.schema}"."${shown.name}" went back: it has LSN ${ours ? shown.committedLsn : 0}, but LSN ${last.lsn} was committed`
      : `table "${shown.schema}"."${shown.name}" was committed by another Arka server, with log ${shown.logId}`;
  return {
    reason: 'catalog',
    message: what,
    detail: `The catalog shows metadata file "${shown.metadataLocation}"; this server last saw "${last.metadataLocation}".`,
    hint: 'Stop the server and run arka doctor --reattach to point the catalog to the newer file, or --accept to take the older one.',
    last: { lsn: last.lsn, snapshotId: last.snapshotId, metadataLocation: last.metadataLocation },
  };
}
