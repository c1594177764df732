/** CREATE and DROP of schemas and tables: one change after another, applied at once (not inside a transaction block). */
import { SqlError, SqlState } from './errors.ts';
import type { Database } from './ingest/database.ts';
import type { QualifiedName, Statement } from './planner/plan.ts';
import type { Table } from './storage/table.ts';

export interface DefineEnvironment {
  readonly database: Database;
  readonly searchPath: readonly string[];
  readonly notice: (code: string, message: string) => void;
}

type Definition = Extract<Statement, { kind: 'createTable' | 'dropTable' | 'createSchema' | 'dropSchema' }>;

/** The command tag. @throws {SqlError} PostgreSQL's codes for what is there already, or is not */
export async function define(environment: DefineEnvironment, statement: Definition): Promise<string> {
  const { database, notice } = environment;
  switch (statement.kind) {
    case 'createTable': {
      const { draft, ifNotExists } = statement;
      const made = await database.createTable(draft, ifNotExists);
      if (made === null) notice(SqlState.duplicateTable, `relation "${draft.name}" already exists, skipping`);
      return 'CREATE TABLE';
    }
    case 'createSchema':
      if (statement.ifNotExists && database.schemas.has(statement.name)) {
        notice(SqlState.duplicateSchema, `schema "${statement.name}" already exists, skipping`);
      } else await database.createSchema(statement.name);
      return 'CREATE SCHEMA';
    case 'dropTable':
      await dropTables(environment, statement.names, statement.ifExists);
      return 'DROP TABLE';
    default:
      await dropSchemas(environment, statement.names, statement.ifExists);
      return 'DROP SCHEMA';
  }
}

async function dropTables(
  { database, notice, searchPath }: DefineEnvironment,
  names: readonly QualifiedName[],
  ifExists: boolean,
): Promise<void> {
  const tables: Table[] = [];
  for (const { schema, name } of names) {
    const found = (schema === null ? searchPath : [schema])
      .map((each) => database.table(each, name))
      .find((each) => each !== undefined);
    if (found !== undefined) tables.push(found);
    else if (ifExists) notice('00000', `table "${name}" does not exist, skipping`);
    else throw new SqlError(SqlState.undefinedTable, `table "${name}" does not exist`);
  }
  for (const table of tables) await database.dropTable(table);
}

async function dropSchemas(
  { database, notice }: DefineEnvironment,
  names: readonly string[],
  ifExists: boolean,
): Promise<void> {
  for (const name of names) {
    if (database.schemas.has(name)) await database.dropSchema(name);
    else if (ifExists) notice('00000', `schema "${name}" does not exist, skipping`);
    else throw new SqlError(SqlState.invalidSchemaName, `schema "${name}" does not exist`);
  }
}
