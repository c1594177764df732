/** CREATE and DROP of schemas, tables, indexes and sequences, and ALTER: names are looked up, what is missing or there already is said. */
import type { Catalog } from '../catalog/catalog-client.ts';
import { SqlError, SqlState } from '../errors.ts';
import { along, indexedTable, relationNamed, shownName, type RelationKind } from '../ingest/relations.ts';
import type { CatalogView, QualifiedName, Statement } from '../planner/plan.ts';
import { quoteIdentifier } from '../sql-text.ts';
import type { SequenceDef } from '../sequence-def.ts';
import type { Table } from '../storage/table.ts';
import { uniqueConstraint, type TableDef } from '../table-def.ts';
import type { TimeContext } from '../types/text-input.ts';
import type { BoundParameters } from '../wire/gateway-api.ts';
import { alter, rename } from './alter.ts';
import { checkIndex } from './check-unique.ts';
import { comment } from './comment.ts';
import { foldDefaults, type FoldingEnvironment } from './fold-defaults.ts';
import { createTableAs } from './create-as.ts';
import { defineSequence } from './define-sequence.ts';
import { concernsViews, defineView, qualified, tryViews } from './define-view.ts';
import { reindex } from './reindex.ts';
import { renameIndex } from './rename-index.ts';
import {
  addIndex,
  dropSchema,
  dropTables as dropTheTables,
  makeIndex,
  makeSchema,
  makeTable,
  removeIndex,
  removeSequences,
  renameSchema,
  type SchemaEnvironment,
} from './schema.ts';

/** Values for parameters, and their types. */
export interface GivenValues {
  readonly parameters: BoundParameters;
  readonly oids: readonly number[];
}

export interface DefineEnvironment extends FoldingEnvironment, SchemaEnvironment {
  readonly searchPath: readonly string[];
  readonly notice: (code: string, message: string, detail?: string) => void;
  readonly time: TimeContext;
  readonly view: CatalogView;
  /** PostgreSQL's catalogs with all that the transaction has defined so far. */
  readonly catalogNow: () => Catalog;
  /** Values for the parameters of CREATE TABLE … AS EXECUTE. */
  readonly given: GivenValues;
  /** Carries an INSERT or UPDATE out, with those values; its tag. */
  readonly writeQuery: (sql: string) => Promise<string>;
  /** How many rows a query gives. */
  readonly countRows: (sql: string) => Promise<number>;
  /** The first row of a query as texts. */
  readonly firstRow: (sql: string) => Promise<readonly string[] | null>;
}

const KINDS = [
  'createTable',
  'createTableAs',
  'dropTable',
  'createIndex',
  'dropIndex',
  'reindex',
  'reindexAll',
  'createSequence',
  'alterSequence',
  'renameSequence',
  'dropSequence',
  'createSchema',
  'dropSchema',
  'renameSchema',
  'alterTable',
  'renameTable',
  'renameIndex',
  'defineView',
  'comment',
  'commentOnIndex',
  'commentOnShared',
] as const;
export type Definition = Extract<Statement, { kind: (typeof KINDS)[number] }>;

export const isDefinition = (statement: Statement): statement is Definition =>
  (KINDS as readonly string[]).includes(statement.kind);

/** The command tag. @throws {SqlError} PostgreSQL's codes for what is there already, or is not */
export async function define(environment: DefineEnvironment, statement: Definition): Promise<string> {
  const { relations, notice } = environment;
  switch (statement.kind) {
    case 'createTable': {
      const { draft, ifNotExists, sequences, expressions } = statement;
      const full = expressions.length === 0 ? draft : await foldDefaults(environment, draft, expressions);
      const made = await makeTable(environment, full, ifNotExists, sequences);
      if (made === null) notice(SqlState.duplicateTable, `relation "${draft.name}" already exists, skipping`);
      else for (const index of statement.indexes ?? []) addIndex(environment, made, index);
      return 'CREATE TABLE';
    }
    case 'createTableAs':
      return createTableAs(environment, statement);
    case 'createIndex': {
      const { draft, ifNotExists } = statement;
      const check = (table: Table, name: string): Promise<void> =>
        checkIndex(environment, table.def, { name, columns: draft.index.columns });
      const made = await makeIndex(environment, draft, ifNotExists, check);
      if (made === null) notice(SqlState.duplicateTable, `relation "${draft.name}" already exists, skipping`);
      return 'CREATE INDEX';
    }
    case 'dropIndex':
      await dropIndexes(environment, statement.names, statement.ifExists);
      return 'DROP INDEX';
    case 'reindex':
    case 'reindexAll':
      reindex(environment, statement);
      return 'REINDEX';
    case 'createSchema':
      if (statement.ifNotExists && relations.hasSchema(statement.name)) {
        notice(SqlState.duplicateSchema, `schema "${statement.name}" already exists, skipping`);
      } else await makeSchema(environment, statement.name);
      return 'CREATE SCHEMA';
    case 'dropTable':
      await dropTables(environment, statement);
      return 'DROP TABLE';
    case 'createSequence':
    case 'alterSequence':
    case 'renameSequence':
    case 'dropSequence':
      return defineSequence(environment, statement);
    case 'renameSchema': {
      const { name, to } = statement;
      const sql = `ALTER SCHEMA ${quoteIdentifier(name)} RENAME TO ${quoteIdentifier(to)}`;
      await renameSchema(environment, statement, async () => {
        if (concernsViews(statement, environment)) await tryViews(environment, sql);
      });
      return 'ALTER SCHEMA';
    }
    case 'renameTable':
      return rename(environment, statement);
    case 'renameIndex':
      return renameIndex(environment, statement);
    case 'defineView': {
      await defineView(environment, statement);
      return statement.tag;
    }
    case 'comment':
    case 'commentOnIndex':
    case 'commentOnShared':
      return comment(environment, statement);
    case 'alterTable':
      return alter(environment, statement);
    default:
      await dropSchemas(environment, statement);
      return 'DROP SCHEMA';
  }
}

async function dropTables(
  environment: DefineEnvironment,
  { names, ifExists, cascade }: Extract<Statement, { kind: 'dropTable' }>,
): Promise<void> {
  const { changes, relations, notice, patience, searchPath } = environment;
  const tables: Table[] = [];
  for (const { schema, name } of names) {
    const found = along(searchPath, schema, (each) => relations.table(each, name));
    if (found !== undefined) tables.push(found);
    else {
      const other = relationOf(environment, { schema, name })?.kind;
      if (other !== undefined) throw notTable(name, other);
      if (ifExists) notice('00000', `table "${name}" does not exist, skipping`);
      else throw new SqlError(SqlState.undefinedTable, `table "${name}" does not exist`);
    }
  }
  if (tables.length > 0 && concernsViews({ kind: 'dropTable', names, ifExists, cascade }, environment)) {
    await changes.lock(
      tables.map(({ def }) => def.uuid),
      patience,
    );
    const dropped = tables.map((table) => qualified(relations.definition(table))).join(', ');
    await tryViews(environment, `DROP TABLE ${dropped} ${cascade ? 'CASCADE' : 'RESTRICT'}`);
  }
  await dropTheTables(environment, tables);
}

function notTable(name: string, kind: RelationKind): SqlError {
  const what = kind === 'key' ? 'index' : kind;
  const hint = `Use DROP ${what.toUpperCase()} to remove ${what === 'index' ? 'an' : 'a'} ${what}.`;
  return new SqlError(SqlState.wrongObjectType, `"${name}" is not a table`, { hint });
}

/** The first schema of the search path that has something under the name, and what. */
export function relationOf(
  { relations, searchPath }: DefineEnvironment,
  { schema, name }: QualifiedName,
): { readonly schema: string; readonly kind: RelationKind } | null {
  const found = along(searchPath, schema, (each) => {
    const kind = relationNamed(relations, each, name);
    return kind === null ? undefined : { schema: each, kind };
  });
  return found ?? null;
}

/** 42P01 of a name as the statement has it. */
export function undefinedRelation({ schema, name }: QualifiedName, kind = 'relation'): SqlError {
  const shown = schema === null ? name : `${schema}.${name}`;
  return new SqlError(SqlState.undefinedTable, `${kind} "${shown}" does not exist`);
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
        refuseConstraint(environment, relation.schema, name);
        found.push({ schema: relation.schema, name });
        break;
      case 'table':
        throw new SqlError(SqlState.wrongObjectType, `"${name}" is not an index`, {
          hint: 'Use DROP TABLE to remove a table.',
        });
      case 'sequence':
      case 'view':
        throw new SqlError(SqlState.wrongObjectType, `"${name}" is not an index`, {
          hint: `Use DROP ${relation.kind.toUpperCase()} to remove a ${relation.kind}.`,
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
  for (const { schema, name } of found) await removeIndex(environment, schema, name);
}

/** @throws {SqlError} 2BP01 */
function refuseConstraint({ relations }: DefineEnvironment, schema: string, name: string): void {
  const def = relations.definition(indexedTable(relations, schema, name)!);
  if (uniqueConstraint(def, name) === undefined) return;
  const constraint = `constraint ${name} on table ${def.name}`;
  throw new SqlError(
    SqlState.dependentObjectsStillExist,
    `cannot drop index ${name} because ${constraint} requires it`,
    { hint: `You can drop ${constraint} instead.` },
  );
}

async function dropSchemas(
  environment: DefineEnvironment,
  { names, ifExists, cascade }: Extract<Statement, { kind: 'dropSchema' }>,
): Promise<void> {
  const { relations, notice } = environment;
  const there = names.filter((name) => {
    if (relations.hasSchema(name)) return true;
    if (!ifExists) throw new SqlError(SqlState.invalidSchemaName, `schema "${name}" does not exist`);
    notice('00000', `schema "${name}" does not exist, skipping`);
    return false;
  });
  if (there.length > 0 && concernsViews({ kind: 'dropSchema', names: there, ifExists, cascade }, environment))
    return dropWithViews(environment, there, cascade);
  if (cascade) await dropContents(environment, there);
  for (const name of there) await dropSchema(environment, name);
}

/** What lies in the schemas goes first, and is named. Sequences of columns go with their tables, without a word. */
async function dropContents(environment: DefineEnvironment, schemas: readonly string[]): Promise<void> {
  const { relations, notice, searchPath } = environment;
  const tables = [...relations.tables].filter((table) => schemas.includes(relations.definition(table).schema));
  const sequences = [...relations.sequences].filter(
    ({ def }) => schemas.includes(def.schema) && !tables.some((table) => table.def.uuid === def.owner?.tableUuid),
  );
  const shown = (def: TableDef | SequenceDef): string => shownName(relations, searchPath, def);
  const lines = [
    ...tables.map(({ def }) => `drop cascades to table ${shown(def)}`),
    ...sequences.map(({ def }) => `drop cascades to sequence ${shown(def)}`),
  ];
  const [first] = lines;
  if (lines.length === 1) notice('00000', first!);
  else if (first !== undefined) notice('00000', `drop cascades to ${lines.length} other objects`, lines.join('\n'));
  await dropTheTables(environment, tables);
  await removeSequences(environment, sequences, true);
}

/** As PostgreSQL does it, which says what goes: views may be in other schemas than what they read. */
async function dropWithViews(
  environment: DefineEnvironment,
  schemas: readonly string[],
  cascade: boolean,
): Promise<void> {
  const { relations } = environment;
  await tryViews(environment, `DROP SCHEMA ${schemas.map(quoteIdentifier).join(', ')} ${cascade ? 'CASCADE' : ''}`);
  const tables = [...relations.tables].filter((table) => schemas.includes(relations.definition(table).schema));
  await dropTheTables(environment, tables);
  await removeSequences(
    environment,
    [...relations.sequences].filter(({ def }) => schemas.includes(def.schema)),
    true,
  );
  for (const name of schemas) await dropSchema(environment, name);
}
