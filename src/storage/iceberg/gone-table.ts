/**
 * A table that the catalog does not have under its name any more, while the server runs: another client has renamed it, has dropped
 * it (M-4), or has put another one in its place.
 */
import type { Lake } from './lake.ts';
import type { GoneTable, TableState } from './lake-api.ts';
import { Property, type LoadedTable } from './metadata.ts';
import { adoptSequences } from './sequence-store.ts';

/** Where the table is. Its folder says where to look: a name is no more than a row of the catalog. */
export async function whereIs(lake: Lake, uuid: string): Promise<GoneTable> {
  const known = lake.known.get(uuid);
  if (known === undefined) return { kind: 'gone' };
  for (const row of lake.catalog.tables()) {
    if (!row.metadataLocation.startsWith(`${known.location}/`)) continue;
    const metadata = await lake.reader.metadata(row.metadataLocation);
    if (metadata['table-uuid'] !== uuid) continue;
    const { schema, name } = row;
    known.schema = schema;
    known.name = name;
    return { kind: 'renamed', schema, name };
  }
  lake.known.delete(uuid);
  return { kind: 'gone' };
}

/** The table that the catalog has under a name, if it is new here. */
export async function adoptNew(lake: Lake, schema: string, name: string): Promise<TableState | null> {
  const metadataLocation = lake.catalog.find(schema, name);
  if (metadataLocation === null) return null;
  const loaded: LoadedTable = {
    schema,
    name,
    metadataLocation,
    metadata: await lake.reader.metadata(metadataLocation),
  };
  const state = await lake.reader.state(loaded);
  const { def, location, logId } = state;
  if (lake.known.has(def.uuid)) return null;
  lake.known.set(def.uuid, { schema, name, location, reported: metadataLocation, logId });
  lake.flush.remember(def);
  adoptSequences(lake.catalog, def, loaded.metadata.properties?.[Property.sequences]);
  return state;
}
