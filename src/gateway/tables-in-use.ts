/**
 * Tables that open portals of the session itself read: PostgreSQL changes the definition of none, nor empties one, under its own queries. And
 * those that COPY may freeze.
 */
import { SqlError, SqlState } from '../errors.ts';
import { along, type Relations } from '../ingest/relations.ts';
import type { Transaction } from '../ingest/transaction.ts';
import type { QualifiedName } from '../planner/plan.ts';
import type { TableDef } from '../table-def.ts';
import type { Definition } from './define.ts';
import type { SessionPortals } from './portals.ts';

/** @throws {SqlError} 55006 */
export function refuseInUse(portals: SessionPortals, defs: readonly TableDef[], command: string): void {
  const inUse = defs.find(({ uuid }) => portals.read(uuid));
  if (inUse === undefined) return;
  throw new SqlError(
    SqlState.objectInUse,
    `cannot ${command} "${inUse.name}" because it is being used by active queries in this session`,
  );
}

/** @throws {SqlError} 55006 */
export function refuseToDefine(
  portals: SessionPortals,
  relations: Relations,
  searchPath: readonly string[],
  statement: Definition,
): void {
  if (portals.isEmpty) return;
  const named = (names: readonly QualifiedName[]): readonly TableDef[] =>
    names.flatMap(({ schema, name }) => {
      const table = along(searchPath, schema, (each) => relations.table(each, name));
      return table === undefined ? [] : [relations.definition(table)];
    });
  const those = (test: (def: TableDef) => boolean): readonly TableDef[] =>
    [...relations.tables].map((table) => relations.definition(table)).filter(test);
  switch (statement.kind) {
    case 'alterTable':
      // other names are no other rows
      if (statement.commands.every(({ kind }) => /^rename|^comment$/.test(kind))) return;
      return refuseInUse(portals, named([statement.table]), 'ALTER TABLE');
    case 'dropTable':
      return refuseInUse(portals, named(statement.names), 'DROP TABLE');
    case 'createIndex':
      return refuseInUse(
        portals,
        those(({ uuid }) => uuid === statement.draft.tableUuid),
        'CREATE INDEX',
      );
    case 'dropSchema':
      if (!statement.cascade) return;
      return refuseInUse(
        portals,
        those(({ schema }) => statement.names.includes(schema)),
        'DROP TABLE',
      );
    default:
  }
}

/** COPY … FREEZE. @throws {SqlError} 25000 beside an open cursor; 55000 for a table that the transaction has not made, nor truncated */
export function refuseToFreeze(portals: SessionPortals, transaction: Transaction | null, { uuid }: TableDef): void {
  const refuse = (code: SqlState, why: string): SqlError =>
    new SqlError(code, `cannot perform COPY FREEZE because ${why}`);
  if (portals.list().some(([, { cursor }]) => cursor !== null))
    throw refuse(SqlState.invalidTransactionState, 'of prior transaction activity');
  if (transaction?.fresh.has(uuid, transaction.savepoints) === true) return;
  throw refuse(
    SqlState.objectNotInPrerequisiteState,
    'the table was not created or truncated in the current subtransaction',
  );
}
