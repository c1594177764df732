/** The planner's view of names: tables and sequences as they are now, along a session's search path. */
import type { CatalogContents } from '../catalog/catalog-api.ts';
import { along, definitionsOf, ownedBy, sequenceDefinitionsOf, type Relations } from '../ingest/relations.ts';
import { readOnly } from '../ingest/read-only.ts';
import type { SchemaChanges } from '../ingest/schema-changes.ts';
import type { CatalogView } from '../planner/plan.ts';
import { Table } from '../storage/table.ts';
import { isTemporarySchema } from '../table-def.ts';
import type { ViewDef } from '../view-def.ts';
import { rolesText, type RoleState } from '../rights/roles.ts';
import type { ServerContext } from './context.ts';
import type { SessionAccess } from './session-access.ts';
import type { SessionSettings } from './settings.ts';

type Temporary = Pick<SessionSettings, 'temporarySchema' | 'beforeTemporary'>;

/** Whether a name without a schema is made in the session's temporary one: no other is there before it. */
export function createsTemporary(
  relations: Relations,
  searchPath: readonly string[],
  beforeTemporary: Temporary['beforeTemporary'],
): boolean {
  return beforeTemporary?.every((schema) => !searchPath.includes(schema) || !relations.hasSchema(schema)) === true;
}

/** @param permitted asked before a table or sequence is looked for in a schema that was named */
export function catalogView(
  relations: Relations,
  searchPath: readonly string[],
  permitted: ((schema: string) => void) | null = null,
  { temporarySchema, beforeTemporary }: Temporary = { temporarySchema: '', beforeTemporary: null },
): CatalogView {
  const found = <T>(schema: string | null, find: (schema: string) => T | undefined): T | undefined => {
    if (schema !== null && isTemporarySchema(schema) && schema !== temporarySchema) return undefined; // another session's
    if (schema !== null && permitted !== null && relations.hasSchema(schema)) permitted(schema);
    return along(searchPath, schema === 'pg_temp' ? temporarySchema : schema, find);
  };
  const named = (schema: string | null, name: string): Table | ViewDef | undefined =>
    found(schema, (each) => relations.table(each, name) ?? relations.view(each, name));
  return {
    searchPath,
    ...(temporarySchema === '' ? {} : { temporarySchema }),
    createsTemporary: createsTemporary(relations, searchPath, beforeTemporary),
    hasSchema: (name) => relations.hasSchema(name),
    ...(hasViews(relations) ? { view: (schema, name) => viewOf(named(schema, name)) } : {}),
    table: (schema, name) => {
      const relation = named(schema, name);
      const table = relation instanceof Table ? relation : undefined;
      if (table?.detached?.reason === 'unreadable') throw readOnly(table.detached);
      return table === undefined ? undefined : relations.definition(table);
    },
    sequence: (schema, name) => {
      const sequence = found(schema, (each) => relations.sequence(each, name));
      return sequence === undefined ? undefined : relations.sequenceDefinition(sequence);
    },
    ownedSequence: (tableUuid, fieldId) =>
      ownedBy(relations, tableUuid)
        .map((each) => relations.sequenceDefinition(each))
        .find(({ owner }) => owner?.fieldId === fieldId),
  };
}

const viewOf = (found: Table | ViewDef | undefined): ViewDef | undefined =>
  found instanceof Table ? undefined : found;

function hasViews({ views }: Relations): boolean {
  for (const _ of views) return true;
  return false;
}

interface OwnContext {
  readonly generation: number;
  readonly changes: SchemaChanges | null;
  readonly access: number;
  readonly context: ServerContext;
}
const ownContexts = new WeakMap<SessionAccess, OwnContext>();

/** With PostgreSQL's catalogs as a transaction has made them; `changes` null: it has defined nothing. */
export function contextWith(
  context: ServerContext,
  changes: SchemaChanges | null,
  access: SessionAccess,
): ServerContext {
  if (changes === null && !access.changed) return context;
  const { generation: lasting, temporary } = context.database;
  const generation = lasting + temporary.generation;
  let own = ownContexts.get(access);
  if (own?.generation !== generation || own.changes !== changes || own.access !== access.generation) {
    const { catalog: shared } = context;
    const catalog = {
      ...shared.holding(contentsOf(changes ?? context.database.relations, access.state)),
      holding: (other: CatalogContents) => shared.holding(other),
    };
    own = { generation, changes, access: access.generation, context: { ...context, catalog } };
    ownContexts.set(access, own);
  }
  return own.context;
}

/** What PostgreSQL's catalogs are to show of them. */
export function contentsOf(relations: Relations, roles: RoleState): CatalogContents {
  return {
    roles: rolesText(roles),
    schemas: [...relations.schemas],
    tables: definitionsOf(relations),
    sequences: sequenceDefinitionsOf(relations),
    views: [...relations.views],
    comments: [...relations.comments],
  };
}
