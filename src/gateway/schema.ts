/**
 * Definitions as a statement makes them, each its transaction's own until it ends (ingest/schema-changes.ts). What is changed is held
 * alone meanwhile, and so are the names of what is made. An index that is made or dropped by itself keeps nobody from the table.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { Database } from '../ingest/database.ts';
import { holdToAlter } from '../ingest/alter-within.ts';
import { createIndex, dropIndex, type IndexDraft } from '../ingest/define-index.ts';
import { along, indexedTable, type Relations } from '../ingest/relations.ts';
import type { SchemaChanges } from '../ingest/schema-changes.ts';
import type { Sequence } from '../ingest/sequence.ts';
import type { Patience, TableHold } from '../ingest/table-locks.ts';
import type { OwnedSequence, SequenceOptions } from '../sequence-def.ts';
import type { Table } from '../storage/table.ts';
import type { IndexToMake, TableDef } from '../table-def.ts';

export interface SchemaEnvironment {
  readonly database: Database;
  /** Of the transaction that the statement is in. */
  readonly changes: SchemaChanges;
  /** The statement is all of it. */
  readonly isAlone: boolean;
  /** As the statement sees them. */
  readonly relations: Relations;
  readonly searchPath: readonly string[];
  readonly hold: TableHold;
  readonly patience: Patience;
}

export const ofName = (schema: string, name: string): string => `name ${schema}\u0000${name}`;
const ofSchema = (name: string): string => `schema ${name}`;

/** What the key stands for stays as it is until the transaction ends. */
export async function shared({ database, hold, patience }: SchemaEnvironment, key: string): Promise<void> {
  for (let wait; (wait = database.locks.share(hold, [key], patience)) !== null;) await wait;
}

/** Null: it was there and `ifNotExists` said that is fine. @throws {SqlError} 3F000, 42P07 */
export async function makeTable(
  environment: SchemaEnvironment,
  draft: TableDef,
  ifNotExists: boolean,
  owned: readonly OwnedSequence[] = [],
): Promise<Table | null> {
  const { changes, patience } = environment;
  const { schema, name, keyName } = draft;
  await shared(environment, ofSchema(schema));
  const names = [name, ...(draft.key.length > 0 ? [keyName] : [])];
  await changes.lock(
    names.map((each) => ofName(schema, each)),
    patience,
  );
  return changes.createTable(draft, ifNotExists, owned);
}

/** @throws {SqlError} 42P01 when another session was faster */
export async function dropTables({ changes, patience }: SchemaEnvironment, tables: readonly Table[]): Promise<void> {
  await changes.lock(
    tables.map(({ def }) => def.uuid),
    patience,
  );
  for (const table of tables)
    if (table.dropped) throw new SqlError(SqlState.undefinedTable, `table "${table.def.name}" does not exist`);
  for (const table of new Set(tables)) await changes.dropTable(table, patience);
}

/** @throws {SqlError} 42P06 */
export async function makeSchema({ changes, patience }: SchemaEnvironment, name: string): Promise<void> {
  await changes.lock([ofSchema(name)], patience);
  changes.createSchema(name);
}

/** @throws {SqlError} 2BP01 */
export async function dropSchema({ changes, patience, searchPath }: SchemaEnvironment, name: string): Promise<void> {
  await changes.lock([ofSchema(name)], patience);
  changes.dropSchema(name, searchPath);
}

/**
 * Whoever makes something in the schema, or is at one of its tables, is waited for. `trial`: what becomes of views, once nobody
 * else can change what they read.
 * @throws {SqlError} 3F000, 42P06
 */
export async function renameSchema(
  environment: SchemaEnvironment,
  { name, to }: { readonly name: string; readonly to: string },
  trial: () => Promise<void>,
): Promise<void> {
  const { changes, database, patience } = environment;
  await changes.lock([ofSchema(name), ofSchema(to)], patience);
  if (!changes.hasSchema(name)) throw new SqlError(SqlState.invalidSchemaName, `schema "${name}" does not exist`);
  if (changes.hasSchema(to)) throw new SqlError(SqlState.duplicateSchema, `schema "${to}" already exists`);
  for (const table of [...changes.tables])
    if (changes.definition(table).schema === name) await holdToAlter({ database, changes, patience }, table);
  await trial();
  await changes.renameSchema(name, to, patience);
}

/**
 * The index's name, null when one was there and `ifNotExists` said that is fine.
 * @param check whether rows that are there let a unique one be made
 */
export async function makeIndex(
  environment: SchemaEnvironment,
  draft: IndexDraft,
  ifNotExists: boolean,
  check: (table: Table, name: string) => Promise<void>,
): Promise<string | null> {
  const { database, changes, isAlone, patience } = environment;
  const table = database.tableOf(draft.tableUuid);
  if (table === undefined || (isAlone && !table.temporary && draft.index.unique === undefined)) {
    await shared(environment, draft.tableUuid);
    return createIndex(database, draft, ifNotExists, patience.running);
  }
  await holdToAlter({ database, changes, patience }, table);
  const index = changes.indexToBeUnless(ifNotExists, table, draft);
  if (index === null) return null;
  if (index.unique !== undefined) await check(table, index.name);
  changes.addIndex(table, index);
  return index.name;
}

/** Of a table that the statement has just made. */
export function addIndex({ changes }: SchemaEnvironment, table: Table, index: IndexToMake): void {
  changes.addIndex(table, changes.indexToBe(table, index));
}

export async function removeIndex(environment: SchemaEnvironment, schema: string, name: string): Promise<void> {
  const { database, changes, isAlone, patience, relations } = environment;
  const table = indexedTable(relations, schema, name)!;
  const isUnique = relations.definition(table).indexes.some((each) => each.name === name && each.unique !== undefined);
  if (isAlone && !table.temporary && !isUnique) {
    await shared(environment, table.def.uuid);
    return dropIndex(database, schema, name, patience.running);
  }
  await holdToAlter({ database, changes, patience }, table);
  changes.dropIndex(table, name);
}

/** Null: it was there and `ifNotExists` said that is fine. @throws {SqlError} 3F000, 42P07, 22023, 55000 */
export async function makeSequence(
  environment: SchemaEnvironment,
  named: { readonly schema: string; readonly name: string },
  options: SequenceOptions,
  ifNotExists: boolean,
): Promise<unknown> {
  const { changes, patience, searchPath } = environment;
  await shared(environment, ofSchema(named.schema));
  await changes.lock([ofName(named.schema, named.name)], patience);
  return changes.createSequence(named, options, ifNotExists, searchPath);
}

/** @throws {SqlError} 22023, 55000, 42P01, 42703 */
export async function changeSequence(
  environment: SchemaEnvironment,
  sequence: Sequence,
  options: SequenceOptions,
): Promise<void> {
  const { changes, patience, relations, searchPath } = environment;
  const { ownedBy } = options;
  const owner = ownedBy && along(searchPath, ownedBy.schema, (each) => relations.table(each, ownedBy.table));
  if (owner) await shared(environment, owner.def.uuid);
  await changes.alterSequence(sequence, options, searchPath, patience);
}

/** @throws {SqlError} 42P07, 3F000 */
export async function nameSequence(
  environment: SchemaEnvironment,
  sequence: Sequence,
  to: { readonly schema: string; readonly name: string },
): Promise<void> {
  const { changes, patience } = environment;
  await shared(environment, ofSchema(to.schema));
  await changes.lock([ofName(to.schema, to.name)], patience);
  await changes.renameSequence(sequence, to, patience);
}

/** @throws {SqlError} 42P07, 3F000 */
export async function nameTable(
  environment: SchemaEnvironment,
  table: Table,
  to: { readonly schema: string; readonly name: string },
  trial: () => Promise<void>,
): Promise<void> {
  const { changes, database, patience } = environment;
  await shared(environment, ofSchema(to.schema));
  await changes.lock([ofName(to.schema, to.name)], patience);
  await holdToAlter({ database, changes, patience }, table);
  await trial();
  await changes.renameTable(table, to, patience);
}

/** @throws {SqlError} 2BP01 while a column's default needs one of them */
export function removeSequences(
  { changes, patience }: SchemaEnvironment,
  sequences: readonly Sequence[],
  cascade: boolean,
): Promise<void> {
  return changes.dropSequences(sequences, cascade, patience);
}
