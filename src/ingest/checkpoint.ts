/**
 * CHECKPOINT over several tables: all are cut at one LSN (H2), so that Iceberg has whole transactions once it has ended. The lanes
 * of all tables are held when the cut is made, and each is given back when its table is committed.
 */
import type { Table } from '../storage/table.ts';
import type { Database } from './database.ts';
import { cutTable } from './flush.ts';
import { uploadStaged } from './iceberg-commit.ts';

/** One table's failure does not keep the others back. @throws the first of them */
export async function checkpointTables(database: Database, tables: readonly Table[], trigger: string): Promise<void> {
  for (const table of tables) await uploadStaged(database, table);
  const held = await Promise.all(tables.map((table) => holdLane(database, table)));
  const started = database.clock.monotonic();
  const cuts = tables.map((table) => cutTable(database, table)); // no await between two of them
  const failures: unknown[] = [];
  for (const [i, table] of tables.entries()) {
    try {
      await database.flushHeld(table, trigger, cuts[i]!);
      await uploadStaged(database, table);
      await database.commitHeld(table, trigger, started);
    } catch (error) {
      failures.push(error);
    } finally {
      held[i]!();
    }
  }
  if (failures.length > 0) throw failures[0];
}

/** Resolves when the lane is held; the answer gives it back. Lanes asked for in one turn never wait for each other in a circle. */
export function holdLane(database: Database, table: Table): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    database
      .inLane(table, () => {
        resolve(release);
        return released;
      })
      .catch(reject);
  });
}
