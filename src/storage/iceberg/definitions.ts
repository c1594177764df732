/**
 * Tables, schemas, sequences and views come, go and change: all that a transaction has defined, in one transaction of the catalog.
 *
 * - D1 A table's metadata file is there before the catalog names it, and what the catalog names no longer is deleted after.
 * - D2 What a transaction has defined is in the catalog whole or not at all, with the rights that change by it (rights-step.ts): a
 *   crash leaves files that nothing names. Where the COMMIT answers with an error, the catalog says whether it took place.
 */
import { join } from 'node:path';
import { invariant, SqlError, SqlState } from '../../errors.ts';
import type { StoredSequence } from '../../sequence-def.ts';
import type { TableDef } from '../../table-def.ts';
import {
  alteredTable,
  changedMeanwhile,
  prepareAlter,
  remembered,
  renamed,
  type PreparedAlter,
} from './alter-table.ts';
import { storeComment } from './comment-store.ts';
import { indexesText } from './index-property.ts';
import type { Lake } from './lake.ts';
import type { AlteredTable, DefinitionsRequest, DefinitionsResult, TableState } from './lake-api.ts';
import type { TableAccess } from './maintenance.ts';
import { encodeMetadata, newMetadata, nextMetadataLocation, Property, uuidText, type LoadedTable } from './metadata.ts';
import { tableLocation, warehouseLocation } from './paths.ts';
import { noteFor, storeRights, tookPlace } from './rights-step.ts';
import { covering, ownedSequences, removeSequence, storedSequences, storeSequence } from './sequence-store.ts';
import { removeView, storeView } from './view-store.ts';

export function newLocation({ settings }: Lake, { schema, name, uuid }: TableDef): string {
  return tableLocation(settings.warehouse, schema, name, uuid);
}

function taken(name: string): SqlError {
  return new SqlError(SqlState.duplicateTable, `relation "${name}" already exists`);
}

/** D1. */
async function written(
  lake: Lake,
  def: TableDef,
  location: string,
  properties: Record<string, string>,
): Promise<LoadedTable> {
  invariant(/^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(def.uuid), 'a table has its uuid');
  const metadata = newMetadata(def, location, Math.floor(lake.clock.now()), {
    [Property.owner]: lake.settings.owner,
    ...(def.indexes.length === 0 ? {} : { [Property.indexes]: indexesText(def.indexes) }),
    ...properties,
  });
  const metadataLocation = nextMetadataLocation(null, location);
  await lake.store.put(metadataLocation, encodeMetadata(metadata, metadataLocation));
  return { schema: def.schema, name: def.name, metadataLocation, metadata };
}

/** The catalog has it. */
function known(lake: Lake, def: TableDef, table: LoadedTable): Promise<TableState> {
  const { schema, name, metadataLocation: reported, metadata } = table;
  lake.known.set(def.uuid, { schema, name, location: metadata.location, reported, logId: null });
  remembered(lake, def);
  return lake.reader.state(table);
}

export function sequencesProperty({ catalog }: Lake, uuid: string): Record<string, string> {
  const owned = ownedSequences(catalog, uuid);
  return owned === null ? {} : { [Property.sequences]: owned };
}

/** What was seen last needs no second look: a table can be dropped while the store is away. @throws {SqlError} 42P01 */
async function seen(lake: Lake, access: TableAccess, uuid: string): Promise<{ schema: string; name: string }> {
  const table = lake.known.get(uuid);
  const isUnread = lake.detached.get(uuid)?.reason === 'unreadable';
  if (table === undefined || (!isUnread && lake.catalog.find(table.schema, table.name) !== table.reported))
    await access.load(lake, uuid);
  return table!;
}

/** The catalog does not have it any more. */
async function removed(lake: Lake, uuid: string): Promise<void> {
  const { location } = lake.known.get(uuid)!;
  lake.known.delete(uuid);
  lake.reader.forgetBelow(location);
  lake.detached.delete(uuid);
  await lake.flush.discard(uuid, join(lake.settings.dataDir, 'disk', 'discarded'));
  lake.flush.forget(uuid, true);
  // Only what lies in our warehouse is ours to delete: a registered table may share its folder.
  if (!location.startsWith(`${warehouseLocation(lake.settings.warehouse)}/`)) return;
  try {
    await lake.store.deleteBelow(location);
  } catch (error) {
    process.emitWarning(
      `files of the dropped table are left in "${location}": ${(error as Error).message}`,
      'ArkaLake',
    );
  }
}

function dropSchema({ catalog }: Lake, name: string): void {
  if (catalog.tables().some((row) => row.schema === name)) {
    throw new SqlError(
      SqlState.dependentObjectsStillExist,
      `cannot drop schema ${name} because other objects depend on it`,
    );
  }
  catalog.dropSchema(name);
}

/** Those of the catalog that a transaction has changed. */
export function tablesOf({ alteredTables, renamedTables, droppedTables }: DefinitionsRequest): readonly string[] {
  const altered = alteredTables.map(({ def }) => def.uuid);
  return [...new Set([...altered, ...renamedTables.map(({ tableUuid }) => tableUuid), ...droppedTables])];
}

/** D2. The lanes of the tables are held. @throws {SqlError} 42P07, 2BP01, 42P01, 40001, 08007 */
export async function define(lake: Lake, access: TableAccess, request: DefinitionsRequest): Promise<DefinitionsResult> {
  const dropped = await Promise.all(request.droppedTables.map((uuid) => seen(lake, access, uuid)));
  const tables: LoadedTable[] = [];
  const altered: PreparedAlter[] = [];
  const id = uuidText();
  const note = await noteFor(lake, id, request.roles);
  try {
    for (const each of request.alteredTables) altered.push(await prepareAlter(lake, access, each));
    for (const { def, location } of request.newTables)
      tables.push(await written(lake, def, location, withSequences(lake, def, request.storedSequences)));
    lake.catalog.transaction(() => {
      defineAll(lake, access, request, { dropped, tables, altered });
      lake.catalog.setNote(note);
    });
  } catch (error) {
    if (!(await tookPlace(lake, id, lake.clock))) {
      for (const each of altered) changedMeanwhile(lake, access, each);
      await lake.store.delete(tables.map(({ metadataLocation }) => metadataLocation)).catch(() => undefined);
      throw error;
    }
  }
  if (request.roles !== null)
    await storeRights(lake, request.roles).catch((error: unknown) => {
      process.emitWarning(`the catalog has rights that are not in their file yet: ${String(error)}`, 'ArkaLake');
    });
  const result: { created: TableState[]; altered: AlteredTable[] } = { created: [], altered: [] };
  for (const each of altered) {
    access.collected(lake, each.base, each.attempt);
    result.altered.push(alteredTable(lake, each));
  }
  for (const each of request.renamedTables) renamed(lake, each);
  for (const [i, table] of tables.entries()) result.created.push(await known(lake, request.newTables[i]!.def, table));
  for (const uuid of request.droppedTables)
    await removed(lake, uuid).catch((error: unknown) => {
      process.emitWarning(`what is left of the dropped table ${uuid}: ${(error as Error).message}`, 'ArkaLake');
    });
  return result;
}

/** In one transaction of the catalog: what goes makes room for names, and names are exchanged by way of uuids. */
function defineAll(
  lake: Lake,
  access: TableAccess,
  request: DefinitionsRequest,
  {
    dropped,
    tables,
    altered,
  }: {
    readonly dropped: readonly { readonly schema: string; readonly name: string }[];
    readonly tables: readonly LoadedTable[];
    readonly altered: readonly PreparedAlter[];
  },
): void {
  const { catalog } = lake;
  for (const name of request.newSchemas) catalog.createSchema(name);
  carryProperties(lake, request.renamedSchemas);
  for (const each of altered) {
    const { schema, name, metadataLocation } = each.base;
    if (!catalog.swap(schema, name, metadataLocation, each.attempt.metadataLocation))
      throw changedMeanwhile(lake, access, each);
  }
  for (const { schema, name } of dropped) catalog.remove(schema, name);
  const marks = new Map(storedSequences(catalog).map((each) => [each.def.oid, each]));
  for (const { schema, name } of request.removedSequences) removeSequence(catalog, schema, name);
  for (const { tableUuid } of request.renamedTables) {
    const { schema, name } = lake.known.get(tableUuid)!;
    if (!catalog.rename({ schema, name }, { schema, name: tableUuid })) throw taken(tableUuid);
  }
  for (const { tableUuid, schema, name } of request.renamedTables)
    if (!catalog.rename({ schema: lake.known.get(tableUuid)!.schema, name: tableUuid }, { schema, name }))
      throw taken(name);
  for (const table of tables) if (!catalog.insert(table)) throw taken(table.name);
  for (const stored of request.storedSequences) storeSequence(catalog, covering(marks.get(stored.def.oid), stored));
  for (const each of request.removedViews) removeView(catalog, each);
  for (const view of request.storedViews) storeView(catalog, view);
  for (const comment of request.comments) storeComment(catalog, comment);
  for (const name of request.droppedSchemas) dropSchema(lake, name);
}

/** Properties of namespaces that are neither Arka's nor the comment: other engines have set them. */
function carryProperties({ catalog }: Lake, renamedSchemas: DefinitionsRequest['renamedSchemas']): void {
  if (renamedSchemas.length === 0) return;
  const foreign = catalog.properties('').filter(({ key }) => key !== 'comment' && !key.startsWith('arka.'));
  for (const { name, to } of renamedSchemas)
    for (const { schema, key, value } of foreign) if (schema === name) catalog.setProperty(to, key, value);
}

function withSequences(lake: Lake, { uuid }: TableDef, sequences: readonly StoredSequence[]): Record<string, string> {
  const names = new Set(sequences.map(({ def }) => `${def.schema}.${def.name}`));
  const owned = [
    ...storedSequences(lake.catalog).filter(({ def }) => !names.has(`${def.schema}.${def.name}`)),
    ...sequences,
  ].filter(({ def }) => def.owner?.tableUuid === uuid);
  return owned.length === 0 ? {} : { [Property.sequences]: JSON.stringify(owned) };
}
