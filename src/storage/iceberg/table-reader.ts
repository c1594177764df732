/**
 * Reads a table's metadata tree: metadata file, manifest list, manifests, into entries and into a `TableState`.
 *
 * Manifests are immutable: decoded ones are kept, the least recently used go first once they are too large (V5). Those that a
 * commit has replaced go at once: only a reader of old snapshots opens them again.
 */
import { partsOf, type Condition, type Operand } from '../../check-def.ts';
import { notSupported, SqlError, SqlState } from '../../errors.ts';
import { lastColumn, type ColumnDef, type PgType, type TableDef } from '../../table-def.ts';
import { icebergType } from '../../types/pg-type.ts';
import { isPartitionDeletes } from './delete-names.ts';
import { equalityDeletes, type LiveEntry } from './equality-deletes.ts';
import { storedIndexes } from './index-property.ts';
import type { DataFileInfo, PartitionDeletes, TableState } from './lake-api.ts';
import {
  Content,
  dataFileInfo,
  decodeManifest,
  decodeManifestList,
  EntryStatus,
  manifestSpec,
  partitionOf,
  type ManifestEntry,
  type ManifestFile,
  type ManifestSpec,
} from './manifest.ts';
import {
  committed,
  currentSchema,
  currentSnapshot,
  currentSpec,
  parseMetadata,
  Property,
  type LoadedTable,
  type Snapshot,
  type TableMetadata,
} from './metadata.ts';
import type { ObjectStore } from './object-store.ts';
import {
  commentOf,
  deriveDef,
  parseSpecField,
  partitionFields,
  pgTypeOf,
  sameType,
  type IcebergSchema,
  elementIdOf,
} from './schema-json.ts';
import { placeKey } from './transforms.ts';

/** Of a value of column maps, counts and bounds, in decoded manifests that are kept. */
const VALUE_BYTES = 120;
const CACHED_BYTES_MAX = 36e6;
/** What an entry takes beside them, as so many values. */
const ENTRY_VALUES = 12;

/** How much of the heap decoded entries take, in values. */
function weightOf(entries: readonly ManifestEntry[]): number {
  let values = entries.length * ENTRY_VALUES;
  for (const { file } of entries)
    for (const map of [
      file.column_sizes,
      file.value_counts,
      file.null_value_counts,
      file.lower_bounds,
      file.upper_bounds,
    ])
      values += map?.length ?? 0;
  return values;
}

export interface TableReader {
  metadata(location: string): Promise<TableMetadata>;
  manifests(snapshot: Snapshot | null): Promise<ManifestFile[]>;
  entries(manifest: ManifestFile): Promise<readonly ManifestEntry[]>;
  /** No head names these files any more: what is decoded of them goes. */
  forget(locations: readonly string[]): void;
  /** The table of this folder is gone. */
  forgetBelow(location: string): void;
  /** @throws 0A000 for what Arka cannot read: column types, deletion vectors, other file formats */
  state(table: LoadedTable): Promise<TableState>;
}

/** `pathOf` says where the file of a location can be read on this machine. */
export function tableReader(
  store: ObjectStore,
  pathOf: (location: string) => string,
  cachedBytesMax = CACHED_BYTES_MAX,
): TableReader {
  const cache = new Map<string, { readonly entries: readonly ManifestEntry[]; readonly weight: number }>();
  let cachedValues = 0;
  const drop = (path: string): void => {
    cachedValues -= cache.get(path)?.weight ?? 0;
    cache.delete(path);
  };
  const reader: TableReader = {
    metadata: async (location) => parseMetadata(await store.get(location), location),
    manifests: async (snapshot) => {
      if (snapshot === null) return [];
      if (snapshot['manifest-list'] === undefined) throw notSupported('a snapshot without manifest list');
      return decodeManifestList(await store.get(snapshot['manifest-list']), snapshot['manifest-list']);
    },
    entries: async (manifest) => {
      // What an entry inherits is fixed by the commit that added the manifest, so the path is key enough.
      const cached = cache.get(manifest.manifest_path);
      if (cached !== undefined) {
        cache.delete(manifest.manifest_path);
        cache.set(manifest.manifest_path, cached);
        return cached.entries;
      }
      const entries = decodeManifest(await store.get(manifest.manifest_path), manifest);
      const weight = weightOf(entries);
      cache.set(manifest.manifest_path, { entries, weight });
      cachedValues += weight;
      for (const path of cache.keys()) {
        if (cachedValues * VALUE_BYTES <= cachedBytesMax || path === manifest.manifest_path) break;
        drop(path);
      }
      return entries;
    },
    forget: (locations) => locations.forEach(drop),
    forgetBelow: (location) => {
      for (const path of cache.keys()) if (path.startsWith(`${location}/`)) drop(path);
    },
    state: async (table) => {
      try {
        return await tableState(reader, table, pathOf);
      } catch (error) {
        throw damaged(error, table.metadataLocation);
      }
    },
  };
  return reader;
}

/** What metadata that parses does not fit together as: the error names its file. */
function damaged(error: unknown, location: string): unknown {
  const detail = `Metadata file "${location}".`;
  if (error instanceof SqlError) return error.message.includes('"') ? error : error.with({ detail });
  if (!(error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError)) return error;
  return new SqlError(SqlState.dataCorrupted, `Iceberg metadata "${location}" is damaged: ${error.message}`, {
    cause: error,
  });
}

export function specsOf(metadata: TableMetadata): (specId: number) => ManifestSpec {
  const known = new Map<number, ManifestSpec>();
  return (specId) => {
    let spec = known.get(specId);
    if (spec === undefined) {
      const found = metadata['partition-specs'].find((candidate) => candidate['spec-id'] === specId);
      if (found === undefined)
        throw new SqlError(SqlState.dataCorrupted, `Iceberg metadata has no partition spec ${specId}`);
      spec = manifestSpec(specId, partitionFields(found), metadata.schemas);
      known.set(specId, spec);
    }
    return spec;
  };
}

async function tableState(
  reader: TableReader,
  table: LoadedTable,
  pathOf: (location: string) => string,
): Promise<TableState> {
  const { metadata } = table;
  const snapshot = currentSnapshot(metadata);
  const spec = specsOf(metadata);
  const files: DataFileInfo[] = [];
  const deletePaths: string[] = [];
  const partitionDeletes: PartitionDeletes[] = [];
  const data: LiveEntry[] = [];
  const equality: LiveEntry[] = [];
  for (const manifest of await reader.manifests(snapshot)) {
    for (const entry of await reader.entries(manifest)) {
      if (entry.status === EntryStatus.deleted) continue;
      const { file } = entry;
      if (file.file_format.toUpperCase() !== 'PARQUET')
        throw notSupported(`a data or delete file in format ${file.file_format}`, {
          detail: `File "${file.file_path}".`,
        });
      const live = { entry, spec: spec(manifest.partition_spec_id) };
      if (file.content === Content.data) {
        files.push(dataFileInfo(file, live.spec, pathOf(file.file_path)));
        data.push(live);
      } else if (file.content === Content.equalityDeletes) equality.push(live);
      else if (isPartitionDeletes(file.file_path))
        partitionDeletes.push({
          location: file.file_path,
          path: pathOf(file.file_path),
          partitionKey: placeKey(live.spec.specId, partitionOf(file, live.spec)),
        });
      else deletePaths.push(pathOf(file.file_path));
    }
  }
  const { logId, lsn } = committed(metadata);
  return {
    def: tableDef(table),
    location: metadata.location,
    metadataLocation: table.metadataLocation,
    specId: metadata['default-spec-id'],
    snapshotId: snapshot === null ? null : snapshot['snapshot-id'],
    logId,
    committedLsn: lsn,
    files,
    deletePaths,
    partitionDeletes,
    ...(equality.length === 0 ? {} : { equality: equalityDeletes(currentSchema(metadata), data, equality, pathOf) }),
  };
}

/** Arka's def from the property, brought up to what the Iceberg schema and spec say now; derived for tables of others. */
export function tableDef(table: LoadedTable): TableDef {
  const { metadata } = table;
  const schema = currentSchema(metadata);
  const stored = storedDef(metadata);
  const derived = (oid: number): TableDef =>
    deriveDef({
      uuid: metadata['table-uuid'],
      oid,
      schemaName: table.schema,
      name: table.name,
      schema,
      spec: currentSpec(metadata),
      sort: metadata['sort-orders']?.find((order) => order['order-id'] === metadata['default-sort-order-id']),
    });
  if (stored === null) {
    const def = derived(0);
    return { ...withComments(def, metadata), indexes: storedIndexes(metadata, def.columns) };
  }
  const named = { ...stored, uuid: metadata['table-uuid'], schema: table.schema, name: table.name };
  const columns =
    stored.schemaId === schema['schema-id'] && sameColumns(stored, schema)
      ? stored.columns
      : evolveColumns(stored, schema);
  const ids = new Set(columns.map((column) => column.fieldId));
  const keeps = stored.key.every((id) => ids.has(id));
  const def: TableDef = {
    ...named,
    schemaId: schema['schema-id'],
    columns,
    ...(columns !== stored.columns && checksKept(stored, columns)),
    key: keeps ? stored.key : [],
    keyName: keeps ? stored.keyName : '',
    partition: currentSpec(metadata).fields.map(
      (field) => parseSpecField(field) ?? partitionFields({ 'spec-id': 0, fields: [field] })[0]!,
    ),
    timeColumn: stored.timeColumn !== null && ids.has(stored.timeColumn) ? stored.timeColumn : null,
    indexes: storedIndexes(metadata, columns),
    sort: stored.sort.filter((field) => ids.has(field.sourceId)),
    ...highest(stored, columns, metadata['last-column-id']),
  };
  return withComments(def, metadata);
}

/** Iceberg's schema and property say them, whoever wrote them. */
function withComments({ comment: _, ...def }: TableDef, metadata: TableMetadata): TableDef {
  const docs = new Map(currentSchema(metadata).fields.map((field) => [field.id, commentOf(field)]));
  const comment = metadata.properties?.[Property.comment];
  return {
    ...def,
    columns: def.columns.map(({ comment: __, ...column }) => ({ ...column, ...docs.get(column.fieldId) })),
    ...(comment === undefined || comment === '' ? {} : { comment }),
  };
}

/** Numbers of columns that are gone stay given. */
function highest(stored: TableDef, columns: readonly ColumnDef[], fieldId: number): Pick<TableDef, 'lastColumn'> {
  const there = lastColumn({ ...stored, columns, lastColumn: { fieldId: 0, attnum: 0 } });
  const { attnum } = lastColumn({ ...stored, columns: [...stored.columns, ...columns] });
  return there.fieldId === fieldId && there.attnum === attnum ? {} : { lastColumn: { fieldId, attnum } };
}

function storedDef(metadata: TableMetadata): TableDef | null {
  const text = metadata.properties?.[Property.table];
  if (text === undefined) return null;
  try {
    const def = JSON.parse(text) as TableDef;
    return Array.isArray(def.columns) && Array.isArray(def.key) ? def : null;
  } catch (error) {
    throw new SqlError(SqlState.dataCorrupted, `table property ${Property.table} is damaged`, { cause: error });
  }
}

function sameColumns(def: TableDef, schema: IcebergSchema): boolean {
  return (
    def.columns.length === schema.fields.length &&
    def.columns.every((column, i) => {
      const field = schema.fields[i]!;
      return (
        field.id === column.fieldId && field.name === column.name && sameType(field.type, icebergType(column.type))
      );
    })
  );
}

/** Another engine changed the schema: columns keep their numbers by field id, new ones get the next. */
function evolveColumns(def: TableDef, schema: IcebergSchema): ColumnDef[] {
  const known = new Map(def.columns.map((column) => [column.fieldId, column]));
  let { attnum } = lastColumn(def);
  const columns = schema.fields.map((field): ColumnDef => {
    const column = known.get(field.id);
    const type: PgType | null =
      column !== undefined && sameType(field.type, icebergType(column.type)) ? column.type : pgTypeOf(field.type);
    if (type === null) throw notSupported(`column "${field.name}" of its Iceberg type`);
    if (column !== undefined) return { ...column, name: field.name, type, ...elementIdOf(field) };
    attnum++;
    return {
      name: field.name,
      fieldId: field.id,
      attnum,
      type,
      notNull: field.required,
      default: null,
      ...elementIdOf(field),
    };
  });
  return columns.map((column) => withGeneration(column, columns, known));
}

/** Where another engine has renamed, retyped or dropped what a generated column reads, it is generated no more. */
function withGeneration(
  { generated, ...column }: ColumnDef,
  columns: readonly ColumnDef[],
  before: ReadonlyMap<number, ColumnDef>,
): ColumnDef {
  return generated === undefined || !readsTheSame(generated.of, columns, before) ? column : { ...column, generated };
}

/** And a condition that reads it is none any more. */
function checksKept({ checks, columns: before }: TableDef, columns: readonly ColumnDef[]): Pick<TableDef, 'checks'> {
  if (checks === undefined) return {};
  const known = new Map(before.map((column) => [column.fieldId, column]));
  return { checks: checks.filter(({ test }) => readsTheSame(test, columns, known)) };
}

function readsTheSame(
  expression: Operand | Condition,
  columns: readonly ColumnDef[],
  before: ReadonlyMap<number, ColumnDef>,
): boolean {
  return [...partsOf(expression)].every((part) => {
    if (part.kind !== 'column') return true;
    const [now, then] = [columns.find(({ fieldId }) => fieldId === part.fieldId), before.get(part.fieldId)];
    return now?.name === then?.name && now?.type === then?.type;
  });
}
