/** CREATE TABLE … AS: the table first, then its rows, in one transaction. */
import { moved, SqlError, SqlState } from '../errors.ts';
import { quoteIdentifier } from '../sql-text.ts';
import { tableForQuery } from '../planner/create-table-as.ts';
import type { Statement } from '../planner/plan.ts';
import { relationNamed } from '../ingest/relations.ts';
import type { DefineEnvironment } from './define.ts';
import { signalOf } from './query.ts';
import { makeTable } from './schema.ts';

export async function createTableAs(
  environment: DefineEnvironment,
  statement: Extract<Statement, { kind: 'createTableAs' }>,
): Promise<string> {
  const { catalog, given, relations, notice, patience, searchPath, timeZone, view } = environment;
  const { schema, name, query, ifNotExists } = statement;
  if (relationNamed(relations, schema, name) !== null) {
    if (!ifNotExists) throw new SqlError(SqlState.duplicateTable, `relation "${name}" already exists`);
    notice(SqlState.duplicateTable, `relation "${name}" already exists, skipping`);
    return 'CREATE TABLE AS';
  }
  const asked = { sql: query, parameterOids: given.oids, context: { searchPath, timeZone } };
  const described = await catalog.describe(asked, signalOf(patience.running)).catch((error: unknown) => {
    throw moved(error, statement.offset);
  });
  const { draft } = tableForQuery(statement, described.columns ?? [], view);
  const table = await makeTable(environment, draft, ifNotExists);
  if (table === null) return 'CREATE TABLE AS';
  if (!statement.withData) return statement.tagWithoutData;
  const insert = `INSERT INTO ${quoteIdentifier(schema)}.${quoteIdentifier(table.def.name)} ${query}`;
  const tag = await environment.writeQuery(insert).catch((error: unknown) => {
    throw moved(error, null);
  });
  return `SELECT ${tag.slice(tag.lastIndexOf(' ') + 1)}`;
}
