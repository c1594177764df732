/**
 * Schemas, tables and sequences by name: as all see them, or as a transaction does that has changed some (schema-changes.ts).
 * Plans, definitions and the mirror in PGlite read names here and nowhere else.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { Table } from '../storage/table.ts';
import type { SequenceDef, SequenceState } from '../sequence-def.ts';
import { isTemporarySchema, type TableDef } from '../table-def.ts';
import { viewKey, type ViewDef } from '../view-def.ts';
import type { Sequence } from './sequence.ts';

export interface Relations {
  table(schema: string, name: string): Table | undefined;
  sequence(schema: string, name: string): Sequence | undefined;
  view(schema: string, name: string): ViewDef | undefined;
  hasSchema(name: string): boolean;
  /** A table as it is defined here: another transaction may be about to change it. */
  definition(table: Table): TableDef;
  sequenceDefinition(sequence: Sequence): SequenceDef;
  /** How far it has come, of the definition that it has here. */
  sequenceState(sequence: Sequence): SequenceState;
  readonly tables: Iterable<Table>;
  readonly sequences: Iterable<Sequence>;
  readonly views: Iterable<ViewDef>;
  /** Of schemas, the database and roles: `schema s`, `database d`, `role r`. */
  readonly comments: Iterable<readonly [string, string]>;
  readonly schemas: Iterable<string>;
}

/** What a name means: `find` is asked for its schema or, where it has none, for those of the search path in order. */
export function along<T>(
  searchPath: readonly string[],
  schema: string | null,
  find: (schema: string) => T | undefined,
): T | undefined {
  for (const each of schema === null ? searchPath : [schema]) {
    const found = find(each);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Where a search path has what is made, unless it is temporary: the first of its schemas that is there. */
export function permanentSchema(relations: Relations, searchPath: readonly string[]): string | undefined {
  return searchPath.find((schema) => !isTemporarySchema(schema) && relations.hasSchema(schema));
}

export type RelationKind = 'table' | 'key' | 'index' | 'sequence' | 'view';

/** What a schema has under a name; tables, keys, indexes, views and sequences share one space of names. */
export function relationNamed(relations: Relations, schema: string, name: string): RelationKind | null {
  for (const table of relations.tables) {
    const def = relations.definition(table);
    if (def.schema !== schema) continue;
    if (def.name === name) return 'table';
    if (def.keyName === name) return 'key';
    if (def.indexes.some((index) => index.name === name)) return 'index';
  }
  if (relations.view(schema, name) !== undefined) return 'view';
  return relations.sequence(schema, name) === undefined ? null : 'sequence';
}

/** The table with an index of that name. */
export function indexedTable(relations: Relations, schema: string, name: string): Table | undefined {
  for (const table of relations.tables) {
    const def = relations.definition(table);
    if (def.schema === schema && def.indexes.some((index) => index.name === name)) return table;
  }
  return undefined;
}

/** The table with a primary key of that name. */
export function keyedTable(relations: Relations, schema: string, name: string): Table | undefined {
  for (const table of relations.tables) {
    const def = relations.definition(table);
    if (def.schema === schema && def.key.length > 0 && def.keyName === name) return table;
  }
  return undefined;
}

/** Of a table's columns. */
export function ownedBy(relations: Relations, tableUuid: string): Sequence[] {
  return [...relations.sequences].filter((each) => relations.sequenceDefinition(each).owner?.tableUuid === tableUuid);
}

/** Whether a table or sequence can have another name, or schema. @throws {SqlError} 3F000, 42P07 */
export function refuseName(
  relations: Relations,
  { schema: from }: { readonly schema: string },
  { schema, name }: { readonly schema: string; readonly name: string },
): void {
  if (!relations.hasSchema(schema)) throw new SqlError(SqlState.invalidSchemaName, `schema "${schema}" does not exist`);
  if (relationNamed(relations, schema, name) !== null)
    throw new SqlError(
      SqlState.duplicateTable,
      `relation "${name}" already exists${schema === from ? '' : ` in schema "${schema}"`}`,
    );
}

export function definitionsOf(relations: Relations): TableDef[] {
  return [...relations.tables].map((table) => relations.definition(table));
}

export function sequenceDefinitionsOf(relations: Relations): SequenceDef[] {
  return [...relations.sequences].map((sequence) => relations.sequenceDefinition(sequence));
}

/** Whether a table can be made; false: it is there, and `ifNotExists` says that is fine. @throws {SqlError} 3F000, 42P07 */
export function isFree(relations: Relations, draft: TableDef, ifNotExists: boolean): boolean {
  const { schema, name: tableName, keyName } = draft;
  if (!relations.hasSchema(schema)) throw new SqlError(SqlState.invalidSchemaName, `schema "${schema}" does not exist`);
  for (const name of draft.key.length > 0 ? [tableName, keyName] : [tableName]) {
    const taken = relationNamed(relations, schema, name);
    if (taken === null || (taken === 'key' && name === keyName)) continue;
    if (ifNotExists && name === tableName) return false;
    throw new SqlError(SqlState.duplicateTable, `relation "${name}" already exists`);
  }
  return true;
}

/** A relation's name as PostgreSQL says it: with its schema where the search path would find another, or none. */
export function shownName(
  relations: Relations,
  searchPath: readonly string[],
  { schema, name }: { readonly schema: string; readonly name: string },
): string {
  return searchPath.find((each) => relationNamed(relations, each, name) !== null) === schema
    ? name
    : `${schema}.${name}`;
}

/** @throws {SqlError} 2BP01 for a schema with something in it */
export function refuseFull(relations: Relations, schema: string, searchPath: readonly string[]): void {
  const shown = (def: { readonly schema: string; readonly name: string }): string =>
    shownName(relations, searchPath, def);
  const inSchema = (def: { readonly schema: string }): boolean => def.schema === schema;
  const lines = [
    ...definitionsOf(relations)
      .filter(inSchema)
      .map((def) => `table ${shown(def)} depends on schema ${schema}`),
    ...sequenceDefinitionsOf(relations)
      .filter(inSchema)
      .map((def) => `sequence ${shown(def)} depends on schema ${schema}`),
    ...[...relations.views].filter(inSchema).map((def) => `view ${shown(def)} depends on schema ${schema}`),
  ];
  if (lines.length > 0)
    throw new SqlError(
      SqlState.dependentObjectsStillExist,
      `cannot drop schema ${schema} because other objects depend on it`,
      { detail: lines.join('\n'), hint: 'Use DROP ... CASCADE to drop the dependent objects too.' },
    );
}

/** As all see them. */
export function committedRelations(database: {
  readonly tables: ReadonlyMap<string, Table>;
  readonly schemas: ReadonlySet<string>;
  readonly temporary: { readonly tables: ReadonlyMap<string, Table>; readonly schemas: ReadonlySet<string> };
  readonly sequences: { readonly all: Iterable<Sequence>; named(schema: string, name: string): Sequence | undefined };
  readonly views: ReadonlyMap<string, ViewDef>;
  readonly comments: ReadonlyMap<string, string>;
  table(schema: string, name: string): Table | undefined;
}): Relations {
  const { schemas, temporary } = database;
  return {
    table: (schema, name) => database.table(schema, name),
    sequence: (schema, name) => database.sequences.named(schema, name),
    view: (schema, name) => database.views.get(viewKey({ schema, name })),
    hasSchema: (name) => schemas.has(name) || temporary.schemas.has(name),
    definition: (table) => table.committedDef ?? table.def,
    sequenceDefinition: ({ committed, def }) => committed?.def ?? def,
    sequenceState: ({ committed, state }) => committed?.state ?? state,
    get tables() {
      const { size } = temporary.tables;
      return size === 0 ? database.tables.values() : [...database.tables.values(), ...temporary.tables.values()];
    },
    get sequences() {
      return database.sequences.all;
    },
    comments: database.comments,
    get views() {
      return database.views.values();
    },
    get schemas() {
      return temporary.schemas.size === 0 ? schemas : [...schemas, ...temporary.schemas];
    },
  };
}
