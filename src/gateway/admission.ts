/** A writer's turn under pressure (ingest/pressure.ts), which a cancel ends: a wait for memory or disk may take 30 s. */
import { canceled } from '../errors.ts';
import type { Database } from '../ingest/database.ts';
import type { Running } from '../running.ts';

/** @throws {SqlError} 57014, or what the pressure says */
export async function admitted(database: Database, running: Running): Promise<void> {
  const { promise: cancelled, reject } = Promise.withResolvers<never>();
  let isOver = false;
  const over = running(() => {
    isOver = true;
    reject(canceled());
  });
  await Promise.race([cancelled, database.admit(() => isOver)]).finally(over);
}
