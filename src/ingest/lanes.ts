/**
 * Holding the lanes of tables: their flushes, commits and swaps of rewrites are over, and none begins until they are given back. Such a
 * move may wait for a store that is away, so who holds lanes for a statement waits no longer than the statement does.
 */
import { canceled, SqlError, SqlState } from '../errors.ts';
import type { Table } from '../storage/table.ts';
import type { Database } from './database.ts';
import type { Patience } from './table-locks.ts';

export type Release = () => void;

/** Of each table: resolves when the lane is held. Lanes asked for in one turn never wait for each other in a circle. */
export function askedLanes(database: Database, tables: Iterable<Table>): Promise<Release>[] {
  return Array.from(tables, (table) => askedLane(database, table));
}

function askedLane(database: Database, table: Table): Promise<Release> {
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

/** All of them, to be given back together. @throws {SqlError} 57014, 55P03: none is held, or will be */
export async function holdLanes(
  database: Database,
  tables: Iterable<Table>,
  patience: Patience | null,
): Promise<Release> {
  const asked = askedLanes(database, tables);
  const releaseAll = (): void => {
    for (const each of asked)
      void each.then(
        (release) => release(),
        () => {},
      );
  };
  if (patience === null || asked.length === 0) {
    await Promise.all(asked);
    return releaseAll;
  }
  const { promise: given, reject } = Promise.withResolvers<never>();
  const waited = patience.lockWait(() =>
    reject(new SqlError(SqlState.lockNotAvailable, 'canceling statement due to lock timeout')),
  );
  const over = patience.running(() => reject(canceled()));
  try {
    await Promise.race([Promise.all(asked), given]);
    return releaseAll;
  } catch (error) {
    releaseAll();
    throw error;
  } finally {
    waited();
    over();
  }
}
