/** What a transaction hears that has deleted a row whose file another writer has rewritten. */
import { SqlError, SqlState } from '../errors.ts';
import type { Table } from '../storage/table.ts';

export function replaced(table: Table): never {
  throw new SqlError(
    SqlState.serializationFailure,
    `could not serialize access: another writer has replaced a file of "${table.def.name}"`,
  );
}
