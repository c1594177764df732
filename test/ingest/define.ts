/** Definitions without SQL: each a transaction of its own, as a statement outside a block is. */
import { commitDefinitions } from '../../src/ingest/commit-definitions.ts';
import type { Database } from '../../src/ingest/database.ts';
import { SchemaChanges } from '../../src/ingest/schema-changes.ts';
import type { Patience } from '../../src/ingest/table-locks.ts';
import type { SequenceOptions } from '../../src/sequence-def.ts';
import type { Table } from '../../src/storage/table.ts';
import type { TableDef } from '../../src/table-def.ts';
import { uncancelled } from '../../src/running.ts';

/** Waits for as long as it takes. */
export const patient: Patience = { lockWait: () => () => {}, running: uncancelled };

export async function inDefinitions<T>(
  database: Database,
  work: (changes: SchemaChanges) => T | Promise<T>,
): Promise<T> {
  const transaction = database.begin(true);
  const hold = database.locks.open(() => transaction);
  const changes = (transaction.definitions = new SchemaChanges(database, transaction, hold));
  try {
    const done = await work(changes);
    await commitDefinitions(database, transaction, changes);
    return done;
  } finally {
    if (transaction.state !== 'done') transaction.finish();
    database.locks.close(hold);
  }
}

/** Null: it is there, and that is fine. */
export const createTable = (database: Database, def: TableDef, ifNotExists = false): Promise<Table | null> =>
  inDefinitions(database, (changes) => changes.createTable(def, ifNotExists));

/** Nobody is waited for: a session has the table alone before. */
export const dropTable = (database: Database, table: Table): Promise<void> =>
  inDefinitions(database, (changes) => changes.dropTable(table, patient));

export const createSchema = (database: Database, name: string): Promise<void> =>
  inDefinitions(database, (changes) => changes.createSchema(name));

export const createSequence = (
  database: Database,
  named: { readonly schema: string; readonly name: string },
  options: SequenceOptions = {},
): Promise<unknown> =>
  inDefinitions(database, (changes) => changes.createSequence(named, options, false, [named.schema]));
