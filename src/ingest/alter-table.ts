/**
 * ALTER TABLE: another definition of a table, with rows in all tiers and readers on their way.
 *
 * - D1 Whoever is at the table ends first, and whoever comes waits (table-locks.ts): plans, writers and rows of transactions
 *   are never of two definitions. A reader that has its Version keeps it.
 * - D2 Where the shape of rows changes, the catalog has all rows of the old one first: memory is flushed and committed, most of
 *   it before anybody waits. So the log has no frame of an older shape that a start would replay into the new one (M-2), and
 *   files are read by field id (C8).
 * - D3 The catalog first, then main in one synchronous step: a crash between leaves the new definition.
 */
import { SqlError, SqlState } from '../errors.ts';
import { keyTypes, type Table } from '../storage/table.ts';
import type { Fill } from '../storage/unit-engine.ts';
import type { TableDef } from '../table-def.ts';
import { nameOf, type Database } from './database.ts';
import { ownedBy } from './relations.ts';
import { discardFilled, fillColumns, installFilled } from './fill-columns.ts';
import { refreshTable } from './iceberg-commit.ts';
import type { Patience, TableHold } from './table-locks.ts';
import { readOnly } from './transaction.ts';

const ATTEMPTS_MAX = 10;
const ADOPT_PATIENCE_MS = 100;
const ADOPT_RETRY_MS = 1000;

/** What becomes of a definition: pure, since it is asked again where another writer was faster. */
export interface Alteration {
  readonly def: TableDef;
  /** Properties of the Iceberg table that are to go. */
  readonly removed: readonly string[];
}

export interface AlterOptions {
  readonly hold: TableHold;
  readonly patience: Patience;
  /** Null: nothing is to be changed. @throws {SqlError} what speaks against it */
  readonly change: (def: TableDef) => Alteration | null;
  /** Looks at the rows, which nobody changes meanwhile; what they get in new columns. @throws {SqlError} 23502 and the like */
  readonly check: (before: TableDef, after: TableDef) => Promise<Fill | null>;
}

export async function alterTable(database: Database, table: Table, options: AlterOptions): Promise<void> {
  if (table.detached !== null) throw readOnly(table.detached);
  const first = options.change(table.def);
  if (first === null) return;
  if (isOtherShape(table.def, first.def)) await database.commit(table, 'alter');
  const release = await database.locks.alone(options.hold, table.def.uuid, options.patience);
  try {
    await database.define(() => database.inLane(table, () => alterHeld(database, table, options)));
  } finally {
    release();
  }
}

/** The table is held alone, and its lane is. */
async function alterHeld(database: Database, table: Table, { change, check }: AlterOptions): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    if (table.dropped) throw new SqlError(SqlState.undefinedTable, `relation "${table.def.name}" does not exist`);
    if (table.detached !== null) throw readOnly(table.detached);
    await refreshTable(database, table);
    if (table.found !== null) await adoptHeld(database, table);
    const { def: before } = table;
    const wanted = change(before);
    if (wanted === null) return;
    const reshaped = isOtherShape(before, wanted.def);
    const fill = await check(before, wanted.def);
    if (reshaped) {
      await database.flushHeld(table, 'alter');
      await database.commitHeld(table, 'alter');
    }
    const filled = fill === null ? null : await fillColumns(database, table, wanted.def, fill);
    try {
      const { metadataLocation } = table;
      const { def, removed } = wanted;
      const files = filled === null ? {} : { files: filled.files };
      const after = await database.lake.alterTable({ def, removed, metadataLocation, specId: table.specId, ...files });
      table.metadataLocation = after.metadataLocation;
      table.snapshotId = after.snapshotId;
      if (reshaped) table.redefine(after.def, after.specId);
      else table.setDef(after.def);
      if (filled !== null) installFilled(database, table, filled, after);
      database.generation++;
      await reindexed(database, table, before);
      for (const sequence of ownedBy(database.relations, before.uuid))
        if (
          !after.def.columns.some(
            ({ fieldId }) => fieldId === database.relations.sequenceDefinition(sequence).owner!.fieldId,
          )
        )
          await database.sequences.drop(sequence);
      return;
    } catch (error) {
      const unknown = error instanceof SqlError && error.code === SqlState.transactionResolutionUnknown;
      if (filled !== null && !unknown) await discardFilled(database, table, filled);
      if (!(error instanceof SqlError) || error.code !== SqlState.serializationFailure) throw error;
      if (attempt >= ATTEMPTS_MAX) throw error;
    } finally {
      filled?.giveBack();
    }
  }
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
  return table.specId !== specId || said(table.committedDef ?? table.def) !== said(def);
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
    running: () => {},
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
