/** COMMIT of a transaction that may have truncated tables, as a session carries it out (gateway/transaction.ts). */
import type { Database } from '../../src/ingest/database.ts';
import { holdLanes } from '../../src/ingest/lanes.ts';
import type { Transaction } from '../../src/ingest/transaction.ts';
import { truncatedTables } from '../../src/ingest/truncation.ts';

/** @throws {SqlError} the transaction is rolled back */
export async function commitTruncation(database: Database, transaction: Transaction): Promise<void> {
  const release = await holdLanes(database, truncatedTables(transaction), null);
  try {
    await database.committer.commit(transaction);
  } finally {
    release();
  }
}
