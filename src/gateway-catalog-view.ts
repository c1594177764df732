/** The planner's view of names: tables and sequences as they are now, along a session's search path. */
import type { Database } from './ingest/database.ts';
import { readOnly } from './ingest/transaction.ts';
import type { CatalogView } from './planner/plan.ts';

export function catalogView(database: Database, searchPath: readonly string[]): CatalogView {
  const along = <T>(schema: string | null, find: (schema: string) => T | undefined): T | undefined => {
    for (const each of schema === null ? searchPath : [schema]) {
      const found = find(each);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return {
    searchPath,
    hasSchema: (name) => database.schemas.has(name),
    table: (schema, name) => {
      const table = along(schema, (each) => database.table(each, name));
      if (table?.detached?.reason === 'unreadable') throw readOnly(table.detached);
      return table?.def;
    },
    sequence: (schema, name) => along(schema, (each) => database.sequences.named(each, name))?.def,
    ownedSequence: (tableUuid, fieldId) =>
      database.sequences.ownedBy(tableUuid).find(({ def }) => def.owner?.fieldId === fieldId)?.def,
  };
}
