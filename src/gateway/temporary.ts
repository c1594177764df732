/**
 * Statements about what is temporary (ingest/temporary-tables.ts). All of them are part of a transaction's definitions, also
 * outside a block: there is one way for them, and it asks nothing of the catalog.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { Database } from '../ingest/database.ts';
import { relationNamed } from '../ingest/relations.ts';
import type { Patience } from '../ingest/table-locks.ts';
import { withTemporarySchema } from '../planner/temporary-names.ts';
import type { Statement } from '../planner/plan.ts';
import { isTemporarySchema } from '../table-def.ts';
import type { SessionSettings } from './settings.ts';
import type { SessionTransaction } from './transaction.ts';

/** A client's text, with the name that its `pg_temp` has. @throws {SqlError} 0A000 for a name of what another session has */
export function withOwnSchema(
  text: string,
  { settings, transaction }: { readonly settings: SessionSettings; readonly transaction: SessionTransaction },
): string {
  const isThere = (schema: string, name: string): boolean =>
    relationNamed(transaction.relations, schema, name) !== null;
  return withTemporarySchema(text, settings.temporarySchema, isThere);
}

/** Of all that a session's plans are made of: definitions that it sees, and settings. */
export const generationOf = ({ generation, temporary }: Database, settings: SessionSettings): number =>
  generation + temporary.generationOf(settings.temporarySchema) + settings.generation;

/** Before it makes the first thing in the session's schema: names lead there from now on. */
export function beginTemporary({ temporary }: Database, settings: SessionSettings, statement: Statement): void {
  if (makesTemporary(statement) && settings.lookInTemporary()) temporary.schemas.add(settings.temporarySchema);
}

/** Whether it makes something in the session's schema. */
function makesTemporary(statement: Statement): boolean {
  switch (statement.kind) {
    case 'createTable':
      return isTemporarySchema(statement.draft.schema);
    case 'createTableAs':
    case 'createSequence':
      return isTemporarySchema(statement.schema);
    case 'defineView':
      return statement.temporary !== undefined;
    default:
      return false;
  }
}

/** DISCARD TEMP: all that the session has there goes, with its transaction. DISCARD ALL does it, too. @throws {SqlError} 25001 */
export async function discardTemporary(
  { what }: Extract<Statement, { kind: 'discard' }>,
  transaction: SessionTransaction,
  inBlock: boolean,
  { temporarySchema: schema }: SessionSettings,
  patience: Patience,
): Promise<void> {
  if (what === 'all' && inBlock)
    throw new SqlError(SqlState.activeSqlTransaction, 'DISCARD ALL cannot run inside a transaction block');
  const { relations } = transaction;
  if ((what !== 'all' && what !== 'temp') || !relations.hasSchema(schema)) return;
  const tables = [...relations.tables].filter((table) => relations.definition(table).schema === schema);
  const changes = transaction.defining();
  await changes.lock(
    tables.map(({ def }) => def.uuid),
    patience,
  );
  changes.setViews([...changes.views].filter((view) => view.schema !== schema));
  for (const table of tables) await changes.dropTable(table, patience);
  for (const sequence of [...changes.sequences])
    if (changes.sequenceDefinition(sequence).schema === schema) changes.dropSequence(sequence);
}
