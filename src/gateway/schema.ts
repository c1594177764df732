/**
 * Definitions as a statement makes them: inside a transaction they are its own until it ends (ingest/schema-changes.ts), else
 * they take place at once. What is changed is held alone meanwhile, and so are the names of what is made.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { Database } from '../ingest/database.ts';
import { holdToAlter } from '../ingest/alter-within.ts';
import { createIndex, dropIndex, type IndexDraft } from '../ingest/define-index.ts';
import { alterSequence, createSequence, dropSequences } from '../ingest/define-sequence.ts';
import { indexedTable, type Relations } from '../ingest/relations.ts';
import { sequenceKey, type SchemaChanges } from '../ingest/schema-changes.ts';
import type { Sequence } from '../ingest/sequence.ts';
import type { Patience, TableHold } from '../ingest/table-locks.ts';
import type { OwnedSequence, SequenceOptions } from '../sequence-def.ts';
import type { Table } from '../storage/table.ts';
import type { TableDef } from '../table-def.ts';

export interface SchemaEnvironment {
  readonly database: Database;
  /** Of the transaction that the statement is in; null: it is one of its own. */
  readonly changes: SchemaChanges | null;
  /** As the statement sees them. */
  readonly relations: Relations;
  readonly searchPath: readonly string[];
  readonly hold: TableHold;
  readonly patience: Patience;
}

export const ofName = (schema: string, name: string): string => `name ${schema}\u0000${name}`;
const ofSchema = (name: string): string => `schema ${name}`;

/** Carries `work` out while nobody else has what the keys stand for. */
async function alone<T>(environment: SchemaEnvironment, keys: readonly string[], work: () => Promise<T>): Promise<T> {
  const { changes, database, hold, patience } = environment;
  if (changes !== null) {
    await changes.lock(keys, patience);
    return work();
  }
  const held: (() => void)[] = [];
  try {
    for (const key of keys) held.push(await database.locks.alone(hold, key, patience));
    return await work();
  } finally {
    for (const release of held) release();
  }
}

/** What the key stands for stays as it is until the transaction ends. */
async function shared({ database, hold, patience }: SchemaEnvironment, key: string): Promise<void> {
  for (let wait; (wait = database.locks.share(hold, [key], patience)) !== null;) await wait;
}

/** Null: it was there and `ifNotExists` said that is fine. @throws {SqlError} 3F000, 42P07 */
export async function makeTable(
  environment: SchemaEnvironment,
  draft: TableDef,
  ifNotExists: boolean,
  owned: readonly OwnedSequence[] = [],
): Promise<Table | null> {
  const { database, changes } = environment;
  const { schema, name, keyName } = draft;
  await shared(environment, ofSchema(schema));
  const keys = [name, ...(draft.key.length > 0 ? [keyName] : [])].map((each) => ofName(schema, each));
  return alone(environment, keys, () => (changes ?? database).createTable(draft, ifNotExists, owned));
}

/** @throws {SqlError} 42P01 when another session was faster */
export function dropTables(environment: SchemaEnvironment, tables: readonly Table[]): Promise<void> {
  const { database, changes } = environment;
  const uuids = tables.map(({ def }) => def.uuid);
  return alone(environment, uuids, async () => {
    for (const table of tables)
      if (table.dropped) throw new SqlError(SqlState.undefinedTable, `table "${table.def.name}" does not exist`);
    for (const table of new Set(tables))
      if (changes !== null) changes.dropTable(table);
      else await database.dropTable(table);
  });
}

/** @throws {SqlError} 42P06 */
export function makeSchema(environment: SchemaEnvironment, name: string): Promise<void> {
  return alone(environment, [ofSchema(name)], async () =>
    (environment.changes ?? environment.database).createSchema(name),
  );
}

/** @throws {SqlError} 2BP01 */
export function dropSchema(environment: SchemaEnvironment, name: string): Promise<void> {
  const { changes, database, searchPath } = environment;
  return alone(environment, [ofSchema(name)], async () => (changes ?? database).dropSchema(name, searchPath));
}

/**
 * Whoever makes something in the schema, or is at one of its tables, is waited for. `trial`: what becomes of views, once nobody
 * else can change what they read.
 * @throws {SqlError} 3F000, 42P06
 */
export async function renameSchema(
  environment: SchemaEnvironment,
  changes: SchemaChanges,
  { name, to }: { readonly name: string; readonly to: string },
  trial: () => Promise<void>,
): Promise<void> {
  const { database, patience } = environment;
  await changes.lock([ofSchema(name), ofSchema(to)], patience);
  if (!changes.hasSchema(name)) throw new SqlError(SqlState.invalidSchemaName, `schema "${name}" does not exist`);
  if (changes.hasSchema(to)) throw new SqlError(SqlState.duplicateSchema, `schema "${to}" already exists`);
  for (const table of [...changes.tables])
    if (changes.definition(table).schema === name) await holdToAlter({ database, changes, patience }, table);
  await trial();
  await changes.renameSchema(name, to, patience);
}

/** The index's name, null when one was there and `ifNotExists` said that is fine. */
export async function makeIndex(
  environment: SchemaEnvironment,
  draft: IndexDraft,
  ifNotExists: boolean,
): Promise<string | null> {
  const { database, changes, patience } = environment;
  if (changes === null) {
    await shared(environment, draft.tableUuid);
    return createIndex(database, draft, ifNotExists);
  }
  const table = database.tableOf(draft.tableUuid)!;
  await holdToAlter({ database, changes, patience }, table);
  return changes.createIndex(table, draft, ifNotExists);
}

export async function removeIndex(environment: SchemaEnvironment, schema: string, name: string): Promise<void> {
  const { database, changes, patience, relations } = environment;
  const table = indexedTable(relations, schema, name)!;
  if (changes === null) {
    await shared(environment, table.def.uuid);
    return dropIndex(database, schema, name);
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
  const { database, changes, searchPath } = environment;
  await shared(environment, ofSchema(named.schema));
  return alone(environment, [ofName(named.schema, named.name)], async () => {
    if (changes !== null) return changes.createSequence(named, options, ifNotExists, searchPath);
    return createSequence(database, named, options, ifNotExists, searchPath);
  });
}

/** @throws {SqlError} 22023, 55000, 42P01, 42703 */
export async function changeSequence(
  environment: SchemaEnvironment,
  sequence: Sequence,
  options: SequenceOptions,
): Promise<void> {
  const { database, changes, searchPath, patience } = environment;
  if (changes !== null) return changes.alterSequence(sequence, options, searchPath, patience);
  return alone(environment, [sequenceKey(sequence)], () => alterSequence(database, sequence, options, searchPath));
}

/** @throws {SqlError} 42P07, 3F000 */
export async function nameSequence(
  environment: SchemaEnvironment,
  changes: SchemaChanges,
  sequence: Sequence,
  to: { readonly schema: string; readonly name: string },
): Promise<void> {
  await shared(environment, ofSchema(to.schema));
  await changes.lock([ofName(to.schema, to.name)], environment.patience);
  await changes.renameSequence(sequence, to, environment.patience);
}

/** @throws {SqlError} 42P07, 3F000 */
export async function nameTable(
  environment: SchemaEnvironment,
  changes: SchemaChanges,
  table: Table,
  to: { readonly schema: string; readonly name: string },
  trial: () => Promise<void>,
): Promise<void> {
  const { database, patience } = environment;
  await shared(environment, ofSchema(to.schema));
  await changes.lock([ofName(to.schema, to.name)], patience);
  await holdToAlter({ database, changes, patience }, table);
  await trial();
  await changes.renameTable(table, to, patience);
}

/** @throws {SqlError} 2BP01 while a column's default needs one of them */
export async function removeSequences(
  { database, changes }: SchemaEnvironment,
  sequences: readonly Sequence[],
  cascade: boolean,
): Promise<void> {
  if (changes === null) return dropSequences(database, sequences, cascade);
  changes.dropSequences(sequences, cascade);
}
