/**
 * Temporary tables: a session's alone, and gone with it. They are tables of the engine like any other – slices, files under memory
 * pressure, keys, locks, savepoints – but for what makes the others durable and shared.
 *
 * - T1 Nothing of them is in the log, in a flush manifest, in the catalog or in Iceberg: a crash leaves only files that no manifest
 *   names, which a start removes. Their rows take no LSN: a transaction that writes to them alone waits for no sync, and what it
 *   wrote is there when it ends. One that writes to permanent tables too ends for both in one step.
 * - T2 They lie in a schema of the session's, `pg_temp_N`. Only its own names lead there, so nobody else reads or writes them.
 * - T3 They share OIDs, names of one schema and PostgreSQL's catalogs with all others, as in PostgreSQL.
 */
import type { Table } from '../storage/table.ts';
import type { ViewDef } from '../view-def.ts';
import type { Database } from './database.ts';

export class TemporaryTables {
  /** By uuid, of all sessions. */
  readonly tables = new Map<string, Table>();
  /** Of sessions that have, or had, something temporary. */
  readonly schemas = new Set<string>();
  /** Rises with each change, whosever. */
  generation = 0;
  readonly #generations = new Map<string, number>();

  /** Plans of the schema's session were made with what was there before; those of others are as good as they were (T2). */
  changed(schema: string): void {
    this.generation++;
    this.#generations.set(schema, (this.#generations.get(schema) ?? 0) + 1);
  }

  generationOf(schema: string): number {
    return this.#generations.size === 0 ? 0 : (this.#generations.get(schema) ?? 0);
  }

  ended(schema: string): boolean {
    this.generation++;
    this.#generations.delete(schema);
    return this.schemas.delete(schema);
  }
}

/** The table is nobody's any more: its rows go at once, its files when nobody reads them. */
export function dropTemporary(database: Database, table: Table): void {
  const files = [...table.files];
  database.removed(table);
  void database.index?.sync(table);
  const paths = files.map(({ path }) => path);
  if (paths.length === 0) return;
  const remove = (): void =>
    void database.lake
      .removeFiles(paths)
      .catch((error: unknown) => database.warn(error, 'removing files of a temporary table'));
  database.memory.pins.whenUnpinned(
    remove,
    files.reduce((sum, { info }) => sum + info.bytes, 0),
    'disk',
  );
}

/** A session has ended: what lies in its schema goes with it. False: there was nothing. */
export function endTemporary(database: Database, schema: string): boolean {
  const { temporary, sequences, views } = database;
  if (!temporary.ended(schema)) return false;
  const isIn = (def: { readonly schema: string }): boolean => def.schema === schema;
  for (const table of [...temporary.tables.values()].filter(({ def }) => isIn(def))) dropTemporary(database, table);
  for (const sequence of [...sequences.all].filter(({ def }) => isIn(def))) sequences.removed(sequence);
  for (const [key, view] of [...views] as [string, ViewDef][]) if (isIn(view)) views.delete(key);
  return true;
}
