/**
 * COMMIT of a transaction that has defined something (M-3): the catalog first, all of it in one transaction of its own, then
 * the rows' frame. A crash between leaves tables without rows, never rows without a table.
 *
 * - D1 What can speak against the rows is asked before the catalog changes: after it only the log's disk can fail.
 * - D2 No other transaction commits in between, and the tables concerned are held alone until the rows are visible: who sees
 *   the definitions sees the rows.
 *   For the same reason no sequence goes back before the rows are in the log: until then the catalog covers both of its ways.
 *   Rights that go with the definitions are in the same transaction of the catalog: no crash leaves one without the other.
 * - D3 Lanes of tables are taken before the committer's: flushes and commits of them are over, and none begins.
 * - D4 Where another writer has committed rows to a table that is altered, they are taken over, and the commit is tried again, as
 *   one of rows is. What it has changed of the definition is 40001: the ALTER was planned by another one.
 * - D5 Where the catalog does not say what became of it (08007), the tables concerned are as it has them once it answers (`unsettled-tables.ts`).
 */
import { SqlError, SqlState } from '../errors.ts';
import {
  NO_DEFINITIONS,
  type AlteredTable,
  type AlterRequest,
  type DefinitionsResult,
} from '../storage/iceberg/lake-api.ts';
import type { SequenceDef } from '../sequence-def.ts';
import type { Table } from '../storage/table.ts';
import { isTemporarySchema, type TableDef } from '../table-def.ts';
import { viewKey } from '../view-def.ts';
import { reindexed } from './alter-table.ts';
import { NotYet } from './committer.ts';
import { nameOf, type Database } from './database.ts';
import { discardFilled, fillColumns, installFilled, type FilledFiles } from './fill-columns.ts';
import { refreshTable } from './iceberg-commit.ts';
import { holdLanes } from './lanes.ts';
import type { SchemaChanges } from './schema-changes.ts';
import type { AlteredHere, SchemaResult } from './schema-result.ts';
import type { Sequence } from './sequence.ts';
import type { Patience } from './table-locks.ts';
import { dropTemporary } from './temporary-tables.ts';
import type { Transaction } from './transaction.ts';
import { truncatedTables } from './truncation.ts';
import { detachUnsettled } from './unsettled-tables.ts';

/** Rights that the transaction has changed: `store` makes them durable, with what else it stores. Null: none have changed. */
export type WithRights = <T>(store: (roles: string | null) => Promise<T>) => Promise<T>;
export const NO_RIGHTS: WithRights = (store) => store(null);

/** D4 */
const TRIES_MAX = 10;

/** @param patience for how long lanes are waited for. @throws {SqlError} the transaction is rolled back, definitions, rights and all */
export async function commitDefinitions(
  database: Database,
  transaction: Transaction,
  changes: SchemaChanges,
  withRights: WithRights = NO_RIGHTS,
  patience: Patience | null = null,
): Promise<void> {
  const { result } = changes;
  const { alteredTables, droppedTables, restartedSequences } = result;
  const before = new Map(alteredTables.map(({ table }) => [table, table.committedDef!]));
  const inTurn = isNothing(lasting(result)) ? <T>(work: () => Promise<T>) => work() : database.define.bind(database);
  await inTurn(async () => {
    const concerned = new Set([...before.keys(), ...droppedTables, ...truncatedTables(transaction)]);
    let release = (): void => {};
    try {
      release = await holdLanes(database, concerned, patience);
      for (const table of transaction.writes.keys()) if (!changes.has(table)) transaction.forget(table);
      await inTries(database, [...before.keys()], () =>
        filling(database, changes, (filled) =>
          database.committer.commit(transaction, () => apply(database, changes, filled, withRights)),
        ),
      );
      for (const sequence of restartedSequences) await restarted(database, sequence);
      for (const each of alteredTables) await filled(database, each);
      for (const [table, def] of before) await reindexed(database, table, def);
    } catch (error) {
      const finish = (): void => {
        if (transaction.state !== 'done') transaction.finish();
      };
      if (isUnknown(error)) await detachUnsettled(database, [...before.keys(), ...droppedTables], error, finish);
      else finish();
      throw error;
    } finally {
      release();
    }
  });
  if (droppedTables.some(({ temporary }) => !temporary)) await database.trimLog(); // with a checkpoint frame that does not have them: their frames are missed by nobody
  for (const table of droppedTables) void database.index?.sync(table);
}

/** D4. Tables are as the catalog has them before each try. */
async function inTries(database: Database, altered: readonly Table[], commit: () => Promise<void>): Promise<void> {
  for (let left = TRIES_MAX - 1; ; left--) {
    for (const table of altered) if (!table.temporary) await refreshTable(database, table);
    try {
      await commit();
      return;
    } catch (error) {
      if (!(error instanceof NotYet)) throw error;
      if (left === 0 || isUnknown(error.cause) || altered.some(({ found }) => found !== null)) throw error.cause;
    }
  }
}

const codeOf = (error: unknown): SqlState | null => (error instanceof SqlError ? error.code : null);

/** 08007 */
const isUnknown = (error: unknown): error is SqlError => codeOf(error) === SqlState.transactionResolutionUnknown;

type Filled = ReadonlyMap<Table, FilledFiles>;

/** Carries a commit out when the files that it swaps in are written. */
async function filling(
  database: Database,
  changes: SchemaChanges,
  commit: (filled: Filled) => Promise<void>,
): Promise<void> {
  const filled = new Map<Table, FilledFiles>();
  try {
    for (const [table, fill] of changes.fills)
      if (changes.has(table)) filled.set(table, await fillColumns(database, table, table.def, fill));
    await commit(filled);
  } catch (error) {
    if (!changes.isCommitted && !isUnknown(error instanceof NotYet ? error.cause : error))
      for (const [table, files] of filled) await discardFilled(database, table, files);
    throw error;
  } finally {
    for (const { giveBack } of filled.values()) giveBack();
  }
}

const isNothing = (result: SchemaResult): boolean =>
  Object.values(result).every((each: readonly unknown[]) => each.length === 0);

/** What the catalog is to hear of: nothing that is temporary (temporary-tables.ts). */
function lasting(result: SchemaResult): SchemaResult {
  const isLasting = ({ schema }: { readonly schema: string }): boolean => !isTemporarySchema(schema);
  const tables = <T extends Table>(all: readonly T[]): readonly T[] => all.filter(({ temporary }) => !temporary);
  const sequences = (all: readonly Sequence[]): readonly Sequence[] => all.filter(({ def }) => isLasting(def));
  return {
    ...result,
    newTables: tables(result.newTables),
    alteredTables: result.alteredTables.filter(({ table }) => !table.temporary),
    droppedTables: tables(result.droppedTables),
    newSequences: sequences(result.newSequences),
    alteredSequences: sequences(result.alteredSequences),
    droppedSequences: sequences(result.droppedSequences),
    restartedSequences: sequences(result.restartedSequences),
    storedViews: result.storedViews.filter(isLasting),
    removedViews: result.removedViews.filter(isLasting),
  };
}

/** Catalog, then main, where all is said in one turn. */
async function apply(
  database: Database,
  changes: SchemaChanges,
  filled: Filled,
  withRights: WithRights,
): Promise<void> {
  const { result } = changes;
  const stored = lasting(result);
  const sequencesOf = ({ newSequences, alteredSequences }: SchemaResult): Map<Sequence, SequenceDef> =>
    new Map([...newSequences, ...alteredSequences].map((each) => [each, changes.sequenceDefinition(each)]));
  const requests = stored.alteredTables.filter(isChanged).map((each) => alterRequest(each, filled));
  const isRenamed = ({ table }: AlteredHere): boolean => nameKey(table.def) !== nameKey(table.committedDef!);
  const renamed = result.alteredTables.filter(isRenamed).map(({ table }) => table);
  const done = await withRights(async (roles): Promise<DefinitionsResult> => {
    if (!isNothing(stored)) return store(database, { ...stored, roles }, sequencesOf(stored), requests, renamed);
    if (roles !== null) await database.lake.writeRoles(roles);
    return { created: [], altered: [] };
  }).catch((error: unknown) => {
    if (!(error instanceof SqlError)) throw error;
    const { transaction } = changes;
    // A stream is sealed once.
    const mayTryAgain = transaction.streamed === null && !transaction.hasLeftMemory;
    const isFaster = codeOf(error) === SqlState.serializationFailure;
    if ((mayTryAgain && isFaster) || isUnknown(error)) throw new NotYet(error);
    throw error;
  });
  if (isNothing(result)) return;
  for (const name of result.newSchemas) database.schemas.add(name);
  for (const table of result.droppedTables)
    if (table.temporary) dropTemporary(database, table);
    else dropped(database, table);
  for (const { table } of result.alteredTables) {
    const at = requests.findIndex(({ def }) => def.uuid === table.def.uuid);
    altered(database, changes.transaction, table, done.altered[at], filled.get(table));
  }
  database.renamedAll(renamed);
  for (const sequence of result.droppedSequences) database.sequences.removed(sequence);
  for (const [i, table] of stored.newTables.entries()) database.committed(table, done.created[i]!);
  for (const table of result.newTables) if (table.temporary) database.joinTemporary(table);
  for (const each of sequencesOf(result)) database.sequences.committed(...each);
  for (const view of result.removedViews) database.views.delete(viewKey(view));
  for (const view of result.storedViews) database.views.set(viewKey(view), view);
  for (const [of, comment] of result.comments)
    if (comment === null) database.comments.delete(of);
    else database.comments.set(of, comment);
  for (const name of result.droppedSchemas) database.schemas.delete(name);
  changes.isCommitted = true;
}

/** One transaction of the catalog. */
async function store(
  database: Database,
  stored: SchemaResult & { readonly roles: string | null },
  sequences: ReadonlyMap<Sequence, SequenceDef>,
  alteredTables: readonly AlterRequest[],
  renamed: readonly Table[],
): Promise<DefinitionsResult> {
  const storedSequences = await Promise.all([...sequences].map((each) => database.sequences.stored(...each)));
  const renamedSequences = stored.alteredSequences.filter(
    (each) => nameKey(each.def) !== nameKey(sequences.get(each)!),
  );
  return database.lake.define({
    newSchemas: stored.newSchemas,
    droppedSchemas: stored.droppedSchemas,
    renamedSchemas: stored.renamedSchemas,
    newTables: stored.newTables.map(({ def, location }) => ({ def, location })),
    alteredTables,
    renamedTables: renamed
      .filter(({ temporary }) => !temporary)
      .map(({ def }) => ({ tableUuid: def.uuid, schema: def.schema, name: def.name })),
    droppedTables: stored.droppedTables.map(({ def }) => def.uuid),
    storedSequences,
    removedSequences: [...stored.droppedSequences, ...renamedSequences].map(({ def: { schema, name } }) => ({
      schema,
      name,
    })),
    storedViews: stored.storedViews,
    comments: stored.comments,
    roles: stored.roles,
    removedViews: stored.removedViews.map(({ schema, name }) => ({ schema, name })),
  });
}

const nameKey = ({ schema, name }: Pick<TableDef, 'schema' | 'name'>): string => JSON.stringify([schema, name]);

/** A new name alone is a change of the catalog. */
function isChanged({ table, removed }: AlteredHere): boolean {
  const { def, committedDef: before } = table;
  const { schema, name } = before!;
  return removed.length > 0 || JSON.stringify({ ...def, schema, name }) !== JSON.stringify(before);
}

/** What was NULL in rows from before stays so until the rows that have values are in the log (M-3). */
function alterRequest({ table, removed, filled: fieldIds }: AlteredHere, filled: Filled): AlterRequest {
  const columns = table.def.columns.map((column) =>
    fieldIds.includes(column.fieldId) ? { ...column, notNull: false } : column,
  );
  const { metadataLocation } = table;
  const specId = table.committedSpecId ?? table.specId;
  const files = filled.get(table)?.files;
  return {
    def: { ...table.def, columns },
    metadataLocation,
    specId,
    removed,
    ...(files === undefined ? {} : { files }),
  };
}

function dropped(database: Database, table: Table): void {
  if (table.committedDef !== null) table.setDef(table.committedDef);
  table.committedDef = null;
  table.committedSpecId = null;
  database.removed(table);
}

function altered(
  database: Database,
  transaction: Transaction,
  table: Table,
  after: AlteredTable | undefined,
  filled: FilledFiles | undefined,
): void {
  const { def } = table;
  table.committedDef = null;
  table.committedSpecId = null;
  if (table.temporary) database.follower.wake(table);
  if (after === undefined) return;
  table.metadataLocation = after.metadataLocation;
  table.snapshotId = after.snapshotId;
  if (table.specId !== after.specId) {
    table.specId = after.specId;
    for (const file of transaction.writes.get(table)?.spilled.files ?? []) file.ofSpec(after.specId);
  }
  table.setDef({ ...after.def, columns: def.columns, schema: def.schema, name: def.name });
  if (filled !== undefined) installFilled(database, table, filled, after);
  database.follower.wake(table);
}

/** Where this fails it goes on from where it was before, as after a crash: a gap. */
async function restarted(database: Database, sequence: Sequence): Promise<void> {
  await sequence.redefine(sequence.def, sequence.state).catch((error: unknown) => {
    database.warn(error, `the restart of sequence ${sequence.def.name}`);
  });
}

/** Columns that are NOT NULL, now that all rows have values. Where this fails the catalog goes on saying that they may be NULL. */
async function filled(database: Database, { table, filled: fieldIds }: AlteredHere): Promise<void> {
  const { def, metadataLocation, specId } = table;
  if (table.temporary) return;
  if (!def.columns.some((column) => column.notNull && fieldIds.includes(column.fieldId))) return;
  try {
    const alteredTables = [{ def, removed: [], metadataLocation, specId }];
    const [after] = (await database.lake.define({ ...NO_DEFINITIONS, alteredTables })).altered as [AlteredTable];
    table.metadataLocation = after.metadataLocation;
    table.snapshotId = after.snapshotId;
    table.setDef(after.def);
  } catch (error) {
    database.warn(error, `NOT NULL of new columns of ${nameOf(table)}`);
  }
}
