/**
 * Tables of definitions of which nobody knows whether they took place (08007): the catalog did not say. They are detached, as those whose
 * files cannot be read, and come back as the catalog has them once it answers (`reattach.ts`): as they were, otherwise, under another name,
 * or not at all.
 *
 * - U1 Until then they take nothing that could be lost with them, and show nothing that may be there no more.
 * - U2 Their rows are in Iceberg, in the flush manifest and in the log, which is kept from the first that Iceberg lacks.
 * - U3 The transaction has had them alone, and their lanes: nobody else is at them.
 */
import type { SqlError } from '../errors.ts';
import { unreadable } from '../storage/iceberg/unreadable.ts';
import type { Table } from '../storage/table.ts';
import { nameOf, type Database } from './database.ts';

/** @param finish rolls the transaction back here; from then on others come to the tables */
export async function detachUnsettled(
  database: Database,
  concerned: readonly Table[],
  error: SqlError,
  finish: () => void,
): Promise<void> {
  const { committer } = database;
  const tables = concerned.filter((table) => !table.temporary && !table.dropped && table.detached === null);
  for (const table of tables) {
    const { committedLsn: lsn, snapshotId, metadataLocation } = table;
    table.detached = unreadable(error, { lsn, snapshotId, metadataLocation });
  }
  finish();
  await committer.published(committer.appliedLsn);
  for (const table of tables) {
    if (table.dropped) continue;
    table.letGo();
    table.unflushedFrom = 0;
    table.appliedLsn = table.flushedLsn;
    database.warn(error, `${nameOf(table)} is detached`);
  }
  database.generation++;
  database.onDefinition();
}
