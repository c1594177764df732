/**
 * Another definition of a table, in one swap: a schema, a partition spec and a sort order are added to the metadata, never
 * changed, and one that is there already is made the current one again; properties are set and removed beside it.
 *
 * - A1 Field ids, partition field ids, schema ids, spec ids and order ids are not given twice: files and manifests name them.
 * - A2 A change is built on the schema and spec that main knows. Where another writer has changed them it is refused, and
 *   main hears of theirs with its next refresh.
 * - A3 What was optional stays so in Iceberg's schema: files may lack a value. That a column is NOT NULL here is said by
 *   Arka's own property alone.
 * A new name is a change of the catalog alone.
 */
import { SqlError, SqlState, notSupported } from '../../errors.ts';
import { lastColumn, type PartitionField, type TableDef } from '../../table-def.ts';
import { buildAttempt, type Attempt } from './commit.ts';
import { indexesText } from './index-property.ts';
import type { Lake } from './lake.ts';
import type { AlteredTable, AlterRequest, RenameRequest } from './lake-api.ts';
import { told, type TableAccess } from './maintenance.ts';
import {
  commentProperty,
  currentSchema,
  currentSnapshot,
  Property,
  uuidText,
  type LoadedTable,
  type TableMetadata,
} from './metadata.ts';
import { schemaOf, sortOrderOf, transformText, type IcebergSchema, type SortOrder } from './schema-json.ts';
import { tableDef } from './table-reader.ts';

/** A change whose files are written; the swap comes next. */
export interface PreparedAlter {
  readonly request: AlterRequest;
  readonly base: LoadedTable;
  readonly attempt: Attempt;
  readonly commitId: string;
}

/** @throws {SqlError} 40001 (A2), 0A000 */
export async function prepareAlter(lake: Lake, access: TableAccess, request: AlterRequest): Promise<PreparedAlter> {
  const { uuid } = request.def;
  const base = await access.load(lake, uuid);
  // Even a commit of data by another writer is taken in first: main then knows all that the new metadata has.
  const { 'current-schema-id': schemaId, 'default-spec-id': specId } = base.metadata;
  const isKnown = schemaId === request.def.schemaId && specId === request.specId;
  if (base.metadataLocation !== request.metadataLocation || !isKnown) throw changed(base);
  const metadata = altered(base.metadata, request);
  const commitId = uuidText();
  const context = access.context(lake, uuid);
  const { added, removed, removedDeletes } = request.files ?? { added: [], removed: [], removedDeletes: [] };
  await access.place(lake, context, added, [], commitId);
  const change = {
    added,
    deletes: [],
    removed: new Set(removed),
    removedDeletes: new Set(removedDeletes),
    properties: {},
    trigger: 'alter',
  };
  const attempt = await buildAttempt(context, { ...base, metadata }, change, commitId);
  return { request, base, attempt, commitId };
}

/** The swap did not take place: what was written for it goes. */
export function changedMeanwhile(lake: Lake, access: TableAccess, { base, attempt }: PreparedAlter): SqlError {
  access.context(lake, base.metadata['table-uuid']).discard(attempt.written);
  return changed(base);
}

/** The catalog has it. */
export function alteredTable(lake: Lake, { request, base, attempt }: PreparedAlter): AlteredTable {
  const after = { ...base, metadataLocation: attempt.metadataLocation, metadata: attempt.metadata };
  told(lake, after);
  const def = tableDef(after);
  remembered(lake, def);
  const added = request.files?.added ?? [];
  for (const { location } of added) lake.uploaded.delete(location);
  return {
    def,
    specId: after.metadata['default-spec-id'],
    metadataLocation: after.metadataLocation,
    snapshotId: currentSnapshot(after.metadata)?.['snapshot-id'] ?? null,
    paths: added.map(({ location }) => ({ location, path: lake.cache.pathOf(location) })),
  };
}

function changed(base: LoadedTable): SqlError {
  return new SqlError(
    SqlState.serializationFailure,
    `could not alter table "${base.name}": another writer has changed it`,
    { hint: 'Try again.' },
  );
}

function altered(before: TableMetadata, { def: wanted, removed }: AlterRequest): TableMetadata {
  const schema = evolvedSchema(before, wanted);
  refuseLostSources(before, schema);
  const spec = evolvedSpec(before, wanted);
  const order = evolvedOrder(before, wanted);
  const ids = lastColumn(wanted);
  const properties = Object.fromEntries(
    Object.entries(before.properties ?? {}).filter(([name]) => name !== Property.comment && !removed.includes(name)),
  );
  const def: TableDef = { ...wanted, schemaId: schema['schema-id'], partition: spec.partition };
  return {
    ...before,
    schemas: added(before.schemas, schema, (each) => each['schema-id'] === schema['schema-id']),
    'current-schema-id': schema['schema-id'],
    'last-column-id': Math.max(before['last-column-id'], ids.fieldId),
    'partition-specs': added(before['partition-specs'], spec.json, (each) => each['spec-id'] === spec.json['spec-id']),
    'default-spec-id': spec.json['spec-id'],
    'last-partition-id': Math.max(before['last-partition-id'], ...spec.json.fields.map((field) => field['field-id'])),
    'sort-orders': added(before['sort-orders'], order, (each) => each['order-id'] === order['order-id']),
    'default-sort-order-id': order['order-id'],
    properties: {
      ...properties,
      ...def.options,
      ...commentProperty(def),
      [Property.indexes]: indexesText(def.indexes),
      [Property.table]: JSON.stringify({ ...def, indexes: undefined }),
    },
  };
}

function added<T>(all: readonly T[], one: T, isIt: (each: T) => boolean): readonly T[] {
  return all.some(isIt) ? all : [...all, one];
}

/** A1, A3. A key of columns that are optional stays Arka's own: Iceberg wants required ones. */
function evolvedSchema(before: TableMetadata, def: TableDef): IcebergSchema {
  const now = currentSchema(before);
  const wasRequired = new Map(now.fields.map((field) => [field.id, field]));
  const hadRows = (before.snapshots ?? []).length > 0;
  const { 'identifier-field-ids': identifiers, fields } = schemaOf(def);
  const evolved = fields.map((field) => {
    const old = wasRequired.get(field.id);
    const required = field.required && (old === undefined ? !hadRows : old.required || !hadRows);
    return { ...field, required };
  });
  const identify = identifiers?.every((id) => evolved.some((field) => field.id === id && field.required)) ?? false;
  const wanted = { identifiers: identify ? identifiers! : [], fields: evolved };
  const text = JSON.stringify([wanted.identifiers, wanted.fields.map(fieldKey)]);
  const same = before.schemas.find(
    (each) => JSON.stringify([each['identifier-field-ids'] ?? [], each.fields.map(fieldKey)]) === text,
  );
  if (same !== undefined) return same;
  return {
    type: 'struct',
    'schema-id': Math.max(...before.schemas.map((each) => each['schema-id'])) + 1,
    ...(wanted.identifiers.length > 0 ? { 'identifier-field-ids': wanted.identifiers } : {}),
    fields: wanted.fields,
  };
}

const fieldKey = ({ id, name, required, type, doc }: IcebergSchema['fields'][number]): unknown => [
  id,
  name,
  required,
  typeof type === 'string' ? type.replaceAll(' ', '') : type,
  doc ?? null,
];

/** A spec may not lose a source: readers bind old ones, too. Nor may the type of its values change. */
function refuseLostSources(before: TableMetadata, schema: IcebergSchema): void {
  const typeOf = (from: IcebergSchema, id: number): unknown => from.fields.find((field) => field.id === id)?.type;
  const now = currentSchema(before);
  for (const spec of before['partition-specs'])
    for (const { 'source-id': source, transform } of spec.fields) {
      const name = now.fields.find((field) => field.id === source)?.name;
      if (name === undefined || transform === 'void') continue;
      if (typeOf(schema, source) === undefined)
        throw notSupported(`dropping column "${name}", by which the table is or was partitioned,`);
      if (typeOf(schema, source) !== typeOf(now, source) && !transform.startsWith('bucket'))
        throw notSupported(`another type of column "${name}", by which the table is or was partitioned,`);
    }
}

/** A1: a field that any spec had keeps its id. */
function evolvedSpec(
  before: TableMetadata,
  def: TableDef,
): { readonly json: TableMetadata['partition-specs'][number]; readonly partition: readonly PartitionField[] } {
  const known = before['partition-specs'].flatMap((spec) => spec.fields);
  let last = before['last-partition-id'];
  const partition = def.partition.map((field): PartitionField => {
    const same = known.find((each) => each['source-id'] === field.sourceId && each.transform === transformText(field));
    return same === undefined
      ? { ...field, fieldId: ++last }
      : { ...field, fieldId: same['field-id'], name: same.name };
  });
  const fields = partition.map((field) => ({
    'source-id': field.sourceId,
    'field-id': field.fieldId,
    name: field.name,
    transform: transformText(field),
  }));
  const ids = fields.map((field) => field['field-id']).join();
  const json = before['partition-specs'].find(
    (spec) => spec.fields.map((field) => field['field-id']).join() === ids,
  ) ?? { 'spec-id': Math.max(...before['partition-specs'].map((spec) => spec['spec-id'])) + 1, fields };
  return { json, partition };
}

/** Order 0 is the one without fields. */
function evolvedOrder(before: TableMetadata, def: TableDef): SortOrder {
  const wanted = sortOrderOf(def);
  const text = JSON.stringify(wanted.fields);
  const same = before['sort-orders'].find((order) => JSON.stringify(order.fields) === text);
  if (same !== undefined || wanted.fields.length === 0) return same ?? wanted;
  return { ...wanted, 'order-id': Math.max(0, ...before['sort-orders'].map((order) => order['order-id'])) + 1 };
}

/** The catalog has it under its new name. */
export function renamed(lake: Lake, { tableUuid: uuid, schema, name }: RenameRequest): void {
  const known = lake.known.get(uuid)!;
  known.schema = schema;
  known.name = name;
  const def = lake.flush.def(uuid);
  if (def !== null) remembered(lake, { ...def, schema, name });
}

/** For a catalog that is lost one day: where it fails, what took place has taken place. */
export function remembered(lake: Lake, def: TableDef): void {
  try {
    lake.flush.remember(def);
  } catch (error) {
    process.emitWarning(
      `what was last known of table "${def.schema}"."${def.name}" is not up to date: ${String(error)}`,
      'ArkaLake',
    );
  }
}
