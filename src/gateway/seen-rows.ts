/** Rows that are in an INSERT's way, in REPEATABLE READ. */
import { concurrentChange } from '../ingest/snapshot.ts';
import type { TableWrites } from '../ingest/transaction.ts';
import type { WriteEnvironment } from './write-environment.ts';

/**
 * A row that is in the way must be one that the transaction's snapshot shows. One that has moved into a file since, together with newer
 * ones, cannot be told from these.
 * @throws {SqlError} 40001
 */
export function checkSeen(
  { transaction: { snapshot } }: WriteEnvironment,
  { table, seen, unit: own, spilled }: TableWrites,
  unit: number,
  position: number,
): void {
  if (seen === null || snapshot === null || unit === own || spilled.find(unit) !== undefined) return;
  if (seen.view.has(unit, position)) return;
  const file = table.unit(unit);
  if (file === undefined || !('lsnTo' in file) || file.lsnTo > snapshot.lsn) throw concurrentChange('update');
}
