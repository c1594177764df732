/**
 * ALTER TABLE, part of a transaction as every definition is: the table is defined anew in memory at once, where the transaction alone sees it, since it
 * has the table alone; the catalog hears of it at COMMIT (commit-definitions.ts). All others see `committedDef` until then.
 *
 * - W1 Where the shape of rows changes, all rows of others are in Iceberg first (D2 of alter-table.ts): so none is in memory
 *   or in the log in an older shape. Until they are nothing has changed, and the statement can be cancelled: the move goes on as any
 *   other. The transaction's own rows change theirs (reshape-writes.ts).
 * - W2 A rollback, also one to a savepoint, gives the table its old definition back, and the own rows of before.
 *   A partition spec has no number before COMMIT: files of own rows get it then.
 * - W3 New columns with a default are filled by an UPDATE of the transaction, which is rolled back with it, and a crash between catalog
 *   and log leaves NULL (M-3); or, where the ALTER is all of the transaction, by files that COMMIT writes (fill-columns.ts).
 */
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { keyTypes, type Table } from '../storage/table.ts';
import { uniqueFields } from '../storage/unique-key.ts';
import type { SequenceDef } from '../sequence-def.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { adoptHeld, isOtherShape, type Alteration } from './alter-table.ts';
import type { Database } from './database.ts';
import { refreshTable } from './iceberg-commit.ts';
import { holdLanes } from './lanes.ts';
import { ownedBy } from './relations.ts';
import { isSpilled, reshapeWrites, type Reshaped } from './reshape-writes.ts';
import type { SchemaChanges } from './schema-changes.ts';
import type { Patience } from './table-locks.ts';
import { readOnly } from './read-only.ts';
import { unlessCanceled } from '../running.ts';

export interface AlterWithin {
  readonly database: Database;
  readonly changes: SchemaChanges;
  readonly patience: Patience;
}

/** Has the table alone, as the catalog has it now. @throws {SqlError} 42P01, 55000, 55P03, 40P01, 40001 */
export async function holdToAlter(given: AlterWithin, table: Table): Promise<void> {
  const { database, changes, patience } = given;
  const { transaction } = changes;
  await changes.lock([table.def.uuid], patience);
  if (table.dropped || !changes.has(table))
    throw new SqlError(SqlState.undefinedTable, `relation "${table.def.name}" does not exist`);
  if (table.detached !== null) throw readOnly(table.detached);
  if (changes.isNew(table) || table.committedDef !== null || table.temporary) return;
  const release = await holdLanes(database, [table], patience);
  try {
    await refreshTable(database, table);
    if (table.found === null) return;
    if (transaction.writes.has(table))
      throw new SqlError(
        SqlState.serializationFailure,
        `could not alter table "${table.def.name}": another writer has changed it`,
        { hint: 'The transaction might succeed if retried.' },
      );
    await adoptHeld(database, table);
  } finally {
    release();
  }
}

/**
 * @param change what becomes of the definition; null: nothing
 * @param check looks at the rows, as they are; which new columns they need values in
 * @returns those columns
 */
export async function alterWithin(
  given: AlterWithin,
  table: Table,
  change: (def: TableDef) => Alteration | null,
  check: (before: TableDef, after: TableDef) => Promise<readonly ColumnDef[]>,
): Promise<readonly ColumnDef[]> {
  const { database, changes } = given;
  const { transaction } = changes;
  const first = change(table.def);
  if (first === null) return [];
  // Most of what is in memory moves before anybody waits.
  const isOthers = !changes.isNew(table) && table.committedDef === null && !table.temporary && table.detached === null;
  if (isOthers && isOtherShape(table.def, first.def))
    await unlessCanceled(given.patience.running, database.commit(table, 'alter'));
  await holdToAlter(given, table);
  const { def: before } = table;
  const wanted = change(before);
  if (wanted === null) return [];
  const columns = await check(before, wanted.def);
  if (isOtherShape(before, wanted.def)) {
    refuseShape(given, table, wanted.def);
    if (!changes.isNew(table))
      await unlessCanceled(
        given.patience.running,
        database.inLane(table, async () => {
          await database.flushHeld(table, 'alter');
          if (!table.temporary) await database.commitHeld(table, 'alter');
        }),
      );
    if (transaction.state !== 'open') throw new SqlError(SqlState.inFailedSqlTransaction, 'the transaction has ended');
    reshape(given, table, wanted);
  } else changes.redefined(table, { ...wanted, before, back: () => table.setDef(before) });
  for (const sequence of ownedBy(changes, before.uuid))
    if (!isNeeded(wanted.def, changes.sequenceDefinition(sequence).owner!)) changes.dropSequence(sequence);
  return columns;
}

function isNeeded({ columns }: TableDef, { fieldId, isIdentity }: NonNullable<SequenceDef['owner']>): boolean {
  return columns.some((column) => column.fieldId === fieldId && (!isIdentity || column.identity !== undefined));
}

/** @throws {SqlError} 0A000 */
function refuseShape({ changes }: AlterWithin, table: Table, def: TableDef): void {
  const { writes, snapshot } = changes.transaction;
  const isNew = changes.isNew(table);
  const refused = (what: string): SqlError =>
    notSupported(`ALTER TABLE inside a transaction block, ${what},`, { hint: 'COMMIT before it.' });
  if (isSpilled(writes, table)) throw refused('of a table with so many rows of the transaction that they are on disk');
  if (snapshot !== null && !isNew) throw refused('in REPEATABLE READ, of columns of a table that was there before');
  const isOtherKey = keyTypes(def) !== keyTypes(table.def);
  if (isOtherKey && writes.get(table)?.isEmpty === true) changes.transaction.forget(table);
  if (isOtherKey && writes.has(table)) throw refused('of the type of a key, with rows of the transaction in the table');
  const own = writes.get(table);
  if (own !== undefined && !own.isEmpty && retypesUnique(table.def, def))
    throw refused('of the type of a UNIQUE column, with rows of the transaction in the table');
}

/** Whether a column of a UNIQUE constraint gets another type. */
function retypesUnique({ columns, indexes }: TableDef, after: TableDef): boolean {
  const fields = indexes.filter(({ unique }) => unique !== undefined).flatMap((index) => uniqueFields(index));
  return fields.some((id) => {
    const [old, now] = [columns, after.columns].map((all) => all.find(({ fieldId }) => fieldId === id)?.type.oid);
    return now !== undefined && now !== old;
  });
}

function partitionOf({ partition }: TableDef): string {
  return JSON.stringify(partition.map(({ sourceId, transform, arg }) => [sourceId, transform, arg]));
}

/** No file has it; the catalog gives another number at COMMIT. What is temporary has no other numbers than these. */
const newSpec = ({ specId, temporary }: Table): number => (temporary ? specId + 1 : -1);

function reshape({ database, changes }: AlterWithin, table: Table, wanted: Alteration): void {
  const { transaction } = changes;
  const { def: before, specId, shape } = table;
  const writes = transaction.writes.get(table);
  if (writes !== undefined && transaction.streamed?.reaches(writes, { rows: 0, deletions: 0 }) === true)
    transaction.giveUpStream();
  const isOtherSpec = !changes.isNew(table) && partitionOf(wanted.def) !== partitionOf(before);
  table.redefine(wanted.def, isOtherSpec ? newSpec(table) : specId);
  let own: Reshaped | null = null;
  const back = (): void => {
    if (writes === undefined) transaction.forget(table);
    table.redefine(before, specId);
    table.shape = shape;
    if (writes === undefined || transaction.writes.get(table) === writes) own?.back();
    else own?.keep(); // a COMMIT that failed had forgotten them: the table was dropped after it was altered
  };
  try {
    own = writes === undefined ? null : reshapeWrites(database.memory, writes, before);
  } catch (error) {
    back();
    throw error;
  }
  const committed = isOtherSpec && !table.temporary ? { specId } : {};
  changes.redefined(table, { ...wanted, before, ...committed, back, kept: () => own?.keep() });
}
