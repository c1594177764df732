/**
 * Another definition of a table, with rows in all tiers and readers on their way: what of it is another shape of rows, and what
 * another writer has changed. ALTER TABLE is alter-within.ts.
 *
 * - D1 Whoever is at the table ends first, and whoever comes waits (table-locks.ts): plans, writers and rows of transactions
 *   are never of two definitions. A reader that has its Version keeps it.
 * - D2 Where the shape of rows changes, the catalog has all rows of the old one first: memory is flushed and committed. So the log has no
 *   frame of an older shape that a start would replay into the new one (M-2), and files are read by field id (C8).
 */
import { SqlError, SqlState } from '../errors.ts';
import { keyTypes, type Table } from '../storage/table.ts';
import type { TableDef } from '../table-def.ts';
import { nameOf, type Database } from './database.ts';
import { uncancelled } from '../running.ts';

const ADOPT_PATIENCE_MS = 100;
const ADOPT_RETRY_MS = 1000;

/** What becomes of a definition: pure, since it is asked again where another writer was faster. */
export interface Alteration {
  readonly def: TableDef;
  /** Properties of the Iceberg table that are to go. */
  readonly removed: readonly string[];
}

/** Rows lie in memory otherwise, or elsewhere, or have other names. */
export function isOtherShape(before: TableDef, after: TableDef): boolean {
  const shape = (def: TableDef): string =>
    JSON.stringify([
      def.columns.map(({ fieldId, type }) => [fieldId, type]),
      def.key,
      def.partition.map(({ sourceId, transform, arg }) => [sourceId, transform, arg]),
      def.sort,
      def.timeColumn,
      def.indexes,
    ]);
  return shape(before) !== shape(after);
}

/** Of what Iceberg says; the rest is Arka's own. */
export function isOtherDefinition(table: Table, def: TableDef, specId: number): boolean {
  const said = ({ columns, key }: TableDef): string =>
    JSON.stringify([columns.map(({ name, fieldId, type }) => [name, fieldId, type]), key]);
  return (table.committedSpecId ?? table.specId) !== specId || said(table.committedDef ?? table.def) !== said(def);
}

/**
 * Takes over what another writer has changed of the definition. Nobody here waits for it long: where the table is held, it is
 * given up for a moment, and tried again.
 */
export async function adoptDefinition(database: Database, table: Table): Promise<void> {
  const { clock, locks } = database;
  const hold = locks.open(() => null);
  const patience = {
    lockWait: (expired: () => void) => clock.after(ADOPT_PATIENCE_MS, expired),
    running: uncancelled,
  };
  try {
    while (table.found !== null && !database.closing) {
      const release = await locks.alone(hold, table.def.uuid, patience).catch((error: unknown) => {
        if (error instanceof SqlError && error.code === SqlState.lockNotAvailable) return null;
        throw error;
      });
      if (release === null) {
        await new Promise<void>((resolve) => clock.after(ADOPT_RETRY_MS, resolve));
        continue;
      }
      try {
        await database.define(() => database.inLane(table, () => adoptHeld(database, table)));
      } finally {
        release();
      }
    }
  } finally {
    locks.close(hold);
    table.found = null; // a failure is tried again with what another writer's next commit says
  }
}

export async function adoptHeld(database: Database, table: Table): Promise<void> {
  if (table.dropped || table.detached !== null) table.found = null;
  if (table.found === null) return;
  await database.flushHeld(table, 'alter');
  await database.commitHeld(table, 'alter');
  const { def: before } = table;
  const { def, specId } = table.found;
  table.redefine({ ...def, oid: before.oid, schema: before.schema, name: before.name }, specId);
  table.found = null;
  database.generation++;
  database.onDefinition();
  await reindexed(database, table, before);
}

/** Where the key is of other types now, the index over files begins anew. */
export async function reindexed(database: Database, table: Table, before: TableDef): Promise<void> {
  if (keyTypes(before) === keyTypes(table.def)) return;
  await database.index?.forget(table).catch((error: unknown) => database.warn(error, `index of ${nameOf(table)}`));
}
