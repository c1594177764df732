/** CREATE and DROP of schemas, tables and sequences: one change after another, applied at once (not inside a transaction block). */
import { SqlError, SqlState } from './errors.ts';
import type { Database } from './ingest/database.ts';
import { createIndex, dropIndex, relationNamed, type RelationKind } from './ingest/define-index.ts';
import type { Patience, TableHold } from './ingest/table-locks.ts';
import type { CatalogView, QualifiedName, Statement } from './planner/plan.ts';
import type { Table } from './storage/table.ts';
import type { TimeContext } from './types/text-input.ts';
import { alter, rename } from './gateway-alter.ts';
import { foldDefaults, type FoldingEnvironment } from './gateway-fold-defaults.ts';
import { createTableAs } from './gateway-create-as.ts';
import { defineSequence } from './gateway-define-sequence.ts';

export interface DefineEnvironment extends FoldingEnvironment {
  readonly database: Database;
  readonly notice: (code: string, message: string, detail?: string) => void;
  readonly hold: TableHold;
  readonly patience: Patience;
  readonly time: TimeContext;
  readonly view: CatalogView;
  /** Carries an INSERT out and commits it; its tag. */
  readonly insertQuery: (sql: string) => Promise<string>;
  /** How many rows a query gives. */
  readonly countRows: (sql: string) => Promise<number>;
}

const KINDS = [
  'createTable',
  'createTableAs',
  'dropTable',
  'createIndex',
  'dropIndex',
  'createSequence',
  'alterSequence',
  'renameSequence',
  'dropSequence',
  'createSchema',
  'dropSchema',
  'alterTable',
  'renameTable',
] as const;
type Definition = Extract<Statement, { kind: (typeof KINDS)[number] }>;

export const isDefinition = (statement: Statement): statement is Definition =>
  (KINDS as readonly string[]).includes(statement.kind);

/** The command tag. @throws {SqlError} PostgreSQL's codes for what is there already, or is not */
export async function define(environment: DefineEnvironment, statement: Definition): Promise<string> {
  const { database, notice } = environment;
  switch (statement.kind) {
    case 'createTable': {
      const { draft, ifNotExists, sequences, expressions } = statement;
      const full = expressions.length === 0 ? draft : await foldDefaults(environment, draft, expressions);
      const made = await database.createTable(full, ifNotExists, sequences);
      if (made === null) notice(SqlState.duplicateTable, `relation "${draft.name}" already exists, skipping`);
      return 'CREATE TABLE';
    }
    case 'createTableAs':
      return createTableAs(environment, statement);
    case 'createIndex': {
      const { draft, ifNotExists } = statement;
      const made = await createIndex(database, draft, ifNotExists);
      if (made === null) notice(SqlState.duplicateTable, `relation "${draft.name}" already exists, skipping`);
      return 'CREATE INDEX';
    }
    case 'dropIndex':
      await dropIndexes(environment, statement.names, statement.ifExists);
      return 'DROP INDEX';
    case 'createSchema':
      if (statement.ifNotExists && database.schemas.has(statement.name)) {
        notice(SqlState.duplicateSchema, `schema "${statement.name}" already exists, skipping`);
      } else await database.createSchema(statement.name);
      return 'CREATE SCHEMA';
    case 'dropTable':
      await dropTables(environment, statement.names, statement.ifExists);
      return 'DROP TABLE';
    case 'createSequence':
    case 'alterSequence':
    case 'renameSequence':
    case 'dropSequence':
      return defineSequence(environment, statement);
    case 'alterTable':
      return alter(environment, statement);
    case 'renameTable':
      return rename(environment, statement);
    default:
      await dropSchemas(environment, statement);
      return 'DROP SCHEMA';
  }
}

async function dropTables(
  environment: DefineEnvironment,
  names: readonly QualifiedName[],
  ifExists: boolean,
): Promise<void> {
  const { database, notice, searchPath } = environment;
  const tables: Table[] = [];
  for (const { schema, name } of names) {
    const found = (schema === null ? searchPath : [schema])
      .map((each) => database.table(each, name))
      .find((each) => each !== undefined);
    if (found !== undefined) tables.push(found);
    else {
      const other = relationOf(environment, { schema, name })?.kind;
      if (other !== undefined) throw notTable(name, other);
      if (ifExists) notice('00000', `table "${name}" does not exist, skipping`);
      else throw new SqlError(SqlState.undefinedTable, `table "${name}" does not exist`);
    }
  }
  for (const table of tables) await database.dropTable(table);
}

function notTable(name: string, kind: RelationKind): SqlError {
  const hint = kind === 'sequence' ? 'Use DROP SEQUENCE to remove a sequence.' : 'Use DROP INDEX to remove an index.';
  return new SqlError(SqlState.wrongObjectType, `"${name}" is not a table`, { hint });
}

/** The first schema of the search path that has something under the name, and what. */
export function relationOf(
  { database, searchPath }: DefineEnvironment,
  { schema, name }: QualifiedName,
): { readonly schema: string; readonly kind: RelationKind } | null {
  for (const each of schema === null ? searchPath : [schema]) {
    const kind = relationNamed(database, each, name);
    if (kind !== null) return { schema: each, kind };
  }
  return null;
}

async function dropIndexes(
  environment: DefineEnvironment,
  names: readonly QualifiedName[],
  ifExists: boolean,
): Promise<void> {
  const found: { readonly schema: string; readonly name: string }[] = [];
  for (const named of names) {
    const { name } = named;
    const relation = relationOf(environment, named);
    switch (relation?.kind) {
      case 'index':
        found.push({ schema: relation.schema, name });
        break;
      case 'table':
        throw new SqlError(SqlState.wrongObjectType, `"${name}" is not an index`, {
          hint: 'Use DROP TABLE to remove a table.',
        });
      case 'sequence':
        throw new SqlError(SqlState.wrongObjectType, `"${name}" is not an index`, {
          hint: 'Use DROP SEQUENCE to remove a sequence.',
        });
      case 'key':
        throw new SqlError(
          SqlState.dependentObjectsStillExist,
          `cannot drop index ${name} because a primary key constraint of its table requires it`,
        );
      default:
        if (!ifExists) throw new SqlError(SqlState.undefinedObject, `index "${name}" does not exist`);
        environment.notice('00000', `index "${name}" does not exist, skipping`);
    }
  }
  for (const { schema, name } of found) await dropIndex(environment.database, schema, name);
}

async function dropSchemas(
  environment: DefineEnvironment,
  { names, ifExists, cascade }: Extract<Statement, { kind: 'dropSchema' }>,
): Promise<void> {
  const { database, notice } = environment;
  const there = names.filter((name) => {
    if (database.schemas.has(name)) return true;
    if (!ifExists) throw new SqlError(SqlState.invalidSchemaName, `schema "${name}" does not exist`);
    notice('00000', `schema "${name}" does not exist, skipping`);
    return false;
  });
  if (cascade) await dropContents(environment, there);
  for (const name of there) await database.dropSchema(name);
}

/** What lies in the schemas goes first, and is named. Sequences of columns go with their tables, without a word. */
async function dropContents(environment: DefineEnvironment, schemas: readonly string[]): Promise<void> {
  const { database, notice, searchPath } = environment;
  const tables = [...database.tables.values()].filter(({ def }) => schemas.includes(def.schema));
  const sequences = [...database.sequences.all].filter(
    ({ def }) => schemas.includes(def.schema) && !tables.some((table) => table.def.uuid === def.owner?.tableUuid),
  );
  const shown = ({ schema, name }: { readonly schema: string; readonly name: string }): string =>
    searchPath.find((each) => relationNamed(database, each, name) !== null) === schema ? name : `${schema}.${name}`;
  const lines = [
    ...tables.map(({ def }) => `drop cascades to table ${shown(def)}`),
    ...sequences.map(({ def }) => `drop cascades to sequence ${shown(def)}`),
  ];
  const [first] = lines;
  if (lines.length === 1) notice('00000', first!);
  else if (first !== undefined) notice('00000', `drop cascades to ${lines.length} other objects`, lines.join('\n'));
  for (const table of tables) await database.dropTable(table);
  for (const sequence of sequences) await database.define(() => database.sequences.drop(sequence));
}
