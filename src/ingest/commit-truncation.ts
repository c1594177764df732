/** COMMIT of a transaction that has truncated tables: no flush, commit or rewrite of them is under way meanwhile (T1 in `truncation.ts`). */
import type { Table } from '../storage/table.ts';
import { holdLane } from './checkpoint.ts';
import type { Database } from './database.ts';
import type { Transaction } from './transaction.ts';

/** Tables whose lanes its commit holds: who asks for several of them does so in one turn. */
export function truncatedTables(transaction: Transaction): readonly Table[] {
  const tables: Table[] = [];
  if (!transaction.hasTruncated) return tables;
  for (const { isTruncated, table } of transaction.writes.values()) if (isTruncated) tables.push(table);
  return tables;
}

/** @throws {SqlError} the transaction is rolled back */
export async function commitTruncation(database: Database, transaction: Transaction): Promise<void> {
  const lanes = await Promise.all(truncatedTables(transaction).map((table) => holdLane(database, table)));
  try {
    await database.committer.commit(transaction);
  } finally {
    for (const release of lanes) release();
  }
}
