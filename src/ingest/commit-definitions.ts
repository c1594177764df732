/**
 * COMMIT of a transaction that has defined something (M-3): the catalog first, all of it in one transaction of its own, then
 * the rows' frame. A crash between leaves tables without rows, never rows without a table.
 *
 * - D1 What can speak against the rows is asked before the catalog changes: after it only the log's disk can fail.
 * - D2 No other transaction commits in between, and the tables concerned are held alone until the rows are visible: who sees
 *   the definitions sees the rows.
 * - D3 Lanes of tables are taken before the committer's: flushes and commits of them are over, and none begins.
 */
import type { Database } from './database.ts';
import { holdLane } from './checkpoint.ts';
import type { SchemaChanges } from './schema-changes.ts';
import type { Transaction } from './transaction.ts';

/** @throws {SqlError} the transaction is rolled back, definitions and all */
export async function commitDefinitions(
  database: Database,
  transaction: Transaction,
  changes: SchemaChanges,
): Promise<void> {
  const { droppedTables } = changes.result;
  await database.define(async () => {
    const lanes = await Promise.all(droppedTables.map((table) => holdLane(database, table)));
    try {
      for (const table of transaction.writes.keys()) if (!changes.has(table)) transaction.forget(table);
      await database.committer.commit(transaction, () => apply(database, changes));
    } catch (error) {
      if (transaction.state !== 'done') transaction.finish();
      throw error;
    } finally {
      for (const release of lanes) release();
    }
  });
  if (droppedTables.length === 0) return;
  await database.trimLog(); // with a checkpoint frame that does not have them: their frames are missed by nobody
  for (const table of droppedTables) void database.index?.sync(table);
}

/** Catalog, then main, where all is said in one turn. */
async function apply(database: Database, changes: SchemaChanges): Promise<void> {
  const { result } = changes;
  const { newSchemas, droppedSchemas, newTables, droppedTables, newSequences, droppedSequences } = result;
  if (Object.values(result).every((each: readonly unknown[]) => each.length === 0)) return;
  const storedSequences = await Promise.all(newSequences.map((sequence) => database.sequences.stored(sequence)));
  const { created } = await database.lake.define({
    newSchemas,
    droppedSchemas,
    newTables: newTables.map(({ def, location }) => ({ def, location })),
    droppedTables: droppedTables.map(({ def }) => def.uuid),
    storedSequences,
    removedSequences: droppedSequences.map(({ def }) => ({ schema: def.schema, name: def.name })),
  });
  for (const name of newSchemas) database.schemas.add(name);
  for (const table of droppedTables) database.removed(table);
  for (const sequence of droppedSequences) database.sequences.removed(sequence);
  for (const [i, table] of newTables.entries()) database.committed(table, created[i]!);
  for (const sequence of newSequences) database.sequences.committed(sequence);
  for (const name of droppedSchemas) database.schemas.delete(name);
  changes.isCommitted = true;
}
