/** A table that is gone from the catalog: what becomes known of its rows. */
import type { LostTable } from '../storage/iceberg/lake-api.ts';
import type { Lsn } from '../table-def.ts';
import type { Database } from './database.ts';
import { record } from './events.ts';

/** Its rows are in a folder now: shown in arka.commits, and said (M-4). */
export function tellLost(
  database: Database,
  name: string,
  lost: Pick<LostTable, 'folder' | 'files' | 'rows'> & { readonly lsn: Lsn },
): void {
  const { folder, files, rows, lsn } = lost;
  const warning = `the table is gone from the catalog: its uncommitted rows are in ${folder}`;
  database.warn(new Error(warning), name);
  const event = {
    at: new Date(database.clock.now()).toISOString(),
    bytes: 0,
    durationMs: 0,
    snapshotId: null,
    deletes: 0,
    retries: 0,
    trigger: 'lost',
  };
  record(database.commits, { table: name, lsn, files, rows, warning, ...event });
}
