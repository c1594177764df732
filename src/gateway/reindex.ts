/**
 * REINDEX: what indexes have of the rows in memory is made anew, beside everything else (ingest/index-follower.ts); files have no
 * part of an index. The index of a key is not made anew: writes depend on it.
 */
import { SqlError, SqlState } from '../errors.ts';
import { indexedTable } from '../ingest/relations.ts';
import type { Statement } from '../planner/plan.ts';
import type { Table } from '../storage/table.ts';
import { relationOf, undefinedRelation, type DefineEnvironment } from './define.ts';

/** @throws {SqlError} 42P01, 42809, 3F000 */
export function reindex(
  environment: DefineEnvironment,
  statement: Extract<Statement, { kind: 'reindex' | 'reindexAll' }>,
): void {
  const { database, relations, notice } = environment;
  for (const table of tablesOf(environment, statement)) {
    const { indexes, key, name } = relations.definition(table);
    if (statement.kind === 'reindex' && indexes.length + key.length === 0)
      notice(
        '00000',
        `table "${name}" has no indexes ${statement.concurrently ? 'that can be reindexed concurrently' : 'to reindex'}`,
      );
    table.reindex();
    database.follower.wake(table);
  }
}

function tablesOf(
  environment: DefineEnvironment,
  statement: Extract<Statement, { kind: 'reindex' | 'reindexAll' }>,
): readonly Table[] {
  const { relations } = environment;
  if (statement.kind === 'reindexAll') {
    const { schema } = statement;
    if (schema !== null && !relations.hasSchema(schema))
      throw new SqlError(SqlState.invalidSchemaName, `schema "${schema}" does not exist`);
    return [...relations.tables].filter((table) => schema === null || relations.definition(table).schema === schema);
  }
  const { named, what } = statement;
  const found = relationOf(environment, named);
  if (found === null) throw undefinedRelation(named);
  const wrong = (kind: string): SqlError => new SqlError(SqlState.wrongObjectType, `"${named.name}" is not ${kind}`);
  if (what === 'table') {
    if (found.kind !== 'table') throw wrong('a table or materialized view');
    return [relations.table(found.schema, named.name)!];
  }
  if (found.kind !== 'index' && found.kind !== 'key') throw wrong('an index');
  return found.kind === 'key' ? [] : [indexedTable(relations, found.schema, named.name)!];
}
