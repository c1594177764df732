/**
 * What is temporary, in PGlite: permanent there, in a schema of the session's name. PostgreSQL makes nothing in a schema of temporary
 * tables that is not its own session's, so the schema has another name while something is made in it; and it would not read such a
 * table, so `relpersistence` is what it should be only while a client's statement asks for it (relation-facts.ts).
 */
import { quoteIdentifier } from '../sql-text.ts';
import { isTemporarySchema } from '../table-def.ts';

const OPEN = 'arka temporary';

/** SQL that makes `def`; what it takes of its schema's other things must be of `opened`, too. */
export function madeIn<T extends { readonly schema: string }>(
  def: T,
  sqlOf: (def: T, opened: Opened) => string,
): string {
  if (!isTemporarySchema(def.schema)) return sqlOf(def, (other) => other);
  const schema = quoteIdentifier(def.schema);
  const opened: Opened = (other) => (other.schema === def.schema ? { ...other, schema: OPEN } : other);
  const open = quoteIdentifier(OPEN);
  return [
    `ALTER SCHEMA ${schema} RENAME TO ${open}`,
    sqlOf(opened(def), opened),
    `ALTER SCHEMA ${open} RENAME TO ${schema}`,
  ].join(';\n');
}

export type Opened = <T extends { readonly schema: string }>(other: T) => T;

/** For a statement that asks for `relpersistence`. */
export const PERSISTENCE_SQL = `UPDATE pg_catalog.pg_class c SET relpersistence = 't' FROM pg_catalog.pg_namespace n
  WHERE n.oid = c.relnamespace AND n.nspname LIKE 'pg\\_temp\\_%' AND c.relkind IN ('r', 'i', 'S', 'v')`;
