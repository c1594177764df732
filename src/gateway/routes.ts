/**
 * What became of the rows that a statement changed, for EXPLAIN ANALYZE: the route of each old row is where it was found, and
 * new rows are the transaction's own until its commit.
 */
import type { TableWrites, Transaction } from '../ingest/transaction.ts';
import type { Table } from '../storage/table.ts';

/** How much a transaction has written to a table. */
export interface WritesMark {
  readonly deleted: number;
  readonly ownDeleted: number;
  readonly inserted: number;
}
const NOTHING: WritesMark = { deleted: 0, ownDeleted: 0, inserted: 0 };

const ROUTES = { memory: 'ApplyToMemory', disk: 'CreateDiskDelta', iceberg: 'QueueForIceberg' } as const;

const writesOf = (transaction: Transaction | null, table: Table): TableWrites | null =>
  transaction?.writes.get(table) ?? null;

export function markOf(transaction: Transaction | null, table: Table): WritesMark {
  const writes = writesOf(transaction, table);
  if (writes === null) return NOTHING;
  const { deleted, dead, spilled, inserted } = writes;
  return { deleted: deleted.length, ownDeleted: dead.length + spilled.dead, inserted: inserted.rows };
}

/** One line for each route that rows took since `mark`. */
export function routeLines(transaction: Transaction | null, table: Table, mark: WritesMark): string[] {
  const counts = { memory: 0, disk: 0, iceberg: 0 };
  const { deleted } = writesOf(transaction, table) ?? { deleted: null };
  for (const [id, count] of deleted?.counts(mark.deleted) ?? []) {
    const unit = table.unit(id);
    if (unit !== undefined) counts[unit.tier] += count;
  }
  const now = markOf(transaction, table);
  const lines: string[] = [];
  for (const tier of ['memory', 'disk', 'iceberg'] as const)
    if (counts[tier] > 0) lines.push(`->  ${ROUTES[tier]} (tier=${tier} rows=${counts[tier]})`);
  const own = now.ownDeleted - mark.ownDeleted;
  if (own > 0) lines.push(`->  Own rows of the transaction (rows=${own})`);
  const added = now.inserted - mark.inserted;
  if (added > 0) lines.push(`->  New rows (rows=${added})`);
  return lines;
}
