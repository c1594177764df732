/** The planner's view of names: tables and sequences as they are now, along a session's search path. */
import type { CatalogContents } from '../catalog/catalog-api.ts';
import { definitionsOf, ownedBy, sequenceDefinitionsOf, type Relations } from '../ingest/relations.ts';
import { readOnly } from '../ingest/transaction.ts';
import type { SchemaChanges } from '../ingest/schema-changes.ts';
import type { CatalogView } from '../planner/plan.ts';
import { Table } from '../storage/table.ts';
import type { ViewDef } from '../view-def.ts';
import type { ServerContext } from './context.ts';

export function catalogView(relations: Relations, searchPath: readonly string[]): CatalogView {
  const along = <T>(schema: string | null, find: (schema: string) => T | undefined): T | undefined => {
    for (const each of schema === null ? searchPath : [schema]) {
      const found = find(each);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const named = (schema: string | null, name: string): Table | ViewDef | undefined =>
    along(schema, (each) => relations.table(each, name) ?? relations.view(each, name));
  return {
    searchPath,
    hasSchema: (name) => relations.hasSchema(name),
    ...(hasViews(relations) ? { view: (schema, name) => viewOf(named(schema, name)) } : {}),
    table: (schema, name) => {
      const found = named(schema, name);
      const table = found instanceof Table ? found : undefined;
      if (table?.detached?.reason === 'unreadable') throw readOnly(table.detached);
      return table === undefined ? undefined : relations.definition(table);
    },
    sequence: (schema, name) => along(schema, (each) => relations.sequence(each, name))?.def,
    ownedSequence: (tableUuid, fieldId) =>
      ownedBy(relations, tableUuid).find(({ def }) => def.owner?.fieldId === fieldId)?.def,
  };
}

const viewOf = (found: Table | ViewDef | undefined): ViewDef | undefined =>
  found instanceof Table ? undefined : found;

function hasViews({ views }: Relations): boolean {
  for (const _ of views) return true;
  return false;
}

const ownContexts = new WeakMap<SchemaChanges, { readonly generation: number; readonly context: ServerContext }>();

/** With PostgreSQL's catalogs as a transaction has made them; null: it has defined nothing. */
export function contextWith(context: ServerContext, changes: SchemaChanges | null): ServerContext {
  if (changes === null) return context;
  const { generation } = context.database;
  let own = ownContexts.get(changes);
  if (own?.generation !== generation) {
    const { catalog: shared } = context;
    const catalog = {
      ...shared.holding(contentsOf(changes)),
      holding: (other: CatalogContents) => shared.holding(other),
    };
    own = { generation, context: { ...context, catalog } };
    ownContexts.set(changes, own);
  }
  return own.context;
}

/** What PostgreSQL's catalogs are to show of them. */
export function contentsOf(relations: Relations): CatalogContents {
  return {
    schemas: [...relations.schemas],
    tables: definitionsOf(relations),
    sequences: sequenceDefinitionsOf(relations),
    views: [...relations.views],
    comments: [...relations.comments],
  };
}
