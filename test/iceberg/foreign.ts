/** Another engine, as far as its commits go: what it puts into the catalog of a data directory, without our lake knowing. */
import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { buildAttempt, type Change, type CommitContext } from '../../src/storage/iceberg/commit.ts';
import type { DataFileInfo } from '../../src/storage/iceberg/lake-api.ts';
import { encodeBound } from '../../src/storage/iceberg/bounds.ts';
import { localStore } from '../../src/storage/iceberg/local-store.ts';
import {
  Content,
  encodeManifest,
  encodeManifestList,
  EntryStatus,
  rawDataFile,
  rawDeleteFile,
  summarize,
  type ManifestFile,
  type RawFile,
} from '../../src/storage/iceberg/manifest.ts';
import {
  currentSchema,
  currentSnapshot,
  encodeMetadata,
  newMetadata,
  newSnapshotId,
  nextMetadataLocation,
  nextTimestamp,
  withSnapshot,
  type TableMetadata,
} from '../../src/storage/iceberg/metadata.ts';
import { toLocalPath } from '../../src/storage/iceberg/paths.ts';
import { openCatalog, type SqliteCatalog } from '../../src/storage/iceberg/sqlite-catalog.ts';
import { specsOf, tableReader } from '../../src/storage/iceberg/table-reader.ts';
import type { TableDef } from '../../src/table-def.ts';
import { deleteFile, duckdb } from './harness.ts';

const store = localStore();
const context: CommitContext = {
  store,
  reader: tableReader(store, toLocalPath),
  tableUuid: '',
  expiry: { keepSnapshots: 1000, maxSnapshotAgeMs: 1e12 },
  fileGraceMs: 1e12,
  owner: 'another engine',
  now: () => 0,
  discard: () => {},
};

/** Swaps in what `change` makes of the table as the catalog has it now. */
async function swap(
  dataDir: string,
  name: string,
  change: (metadata: TableMetadata, location: string) => Promise<string>,
): Promise<void> {
  const catalog = openCatalog(join(dataDir, 'catalog.db'), 'arka');
  try {
    const location = catalog.find('public', name)!;
    const next = await change(await context.reader.metadata(location), location);
    if (!catalog.swap('public', name, location, next)) throw new Error('another swap was faster');
  } finally {
    catalog.close();
  }
}

async function commit(dataDir: string, name: string, change: Partial<Change>): Promise<void> {
  await swap(dataDir, name, async (metadata, metadataLocation) => {
    const base = { schema: 'public', name, metadataLocation, metadata };
    const none = new Set<string>();
    const empty = { added: [], deletes: [], removed: none, removedDeletes: none, properties: {}, trigger: 'foreign' };
    const whole = { ...empty, ...change };
    return (await buildAttempt(context, base, whole, randomUUID())).metadataLocation;
  });
}

export async function foreignDelete(
  dataDir: string,
  name: string,
  dataFile: string,
  positions: readonly number[],
): Promise<void> {
  const { rows, bytes, path } = await deleteFile(dataDir, dataFile, positions);
  const location = `${dataFile.slice(0, dataFile.lastIndexOf('/'))}/theirs-${randomUUID()}.parquet`;
  await store.putFile(location, path);
  await commit(dataDir, name, { deletes: [{ targets: [dataFile], scope: 'file', location, rows, bytes }] });
}

async function dataFileOf(like: DataFileInfo, select: string): Promise<DataFileInfo> {
  const location = `${like.location.slice(0, like.location.lastIndexOf('/'))}/theirs-${randomUUID()}.parquet`;
  const path = toLocalPath(location);
  await duckdb(
    `COPY (SELECT id::BIGINT AS id, v::INTEGER AS v, name FROM (${select}) t(id, v, name)) TO '${path}' (FORMAT parquet, FIELD_IDS {id: 1, v: 2, name: 3})`,
  );
  const rows = Number((await duckdb(`SELECT count(*) FROM read_parquet('${path}')`))[0]![0]);
  return { ...like, location, path, rows, bytes: statSync(path).size, columns: [] };
}

/** Rows by a SELECT of id, v and name, in the place of other files, if any. */
export async function foreignFile(
  dataDir: string,
  name: string,
  like: DataFileInfo,
  select: string,
  removed: readonly string[] = [],
): Promise<void> {
  const added = await dataFileOf(like, select);
  await commit(dataDir, name, { added: [added], removed: new Set(removed) });
}

/** A snapshot of manifests that are kept and one with a file that is not Arka's to write. */
async function nextSnapshot(
  metadata: TableMetadata,
  base: { readonly name: string; readonly metadataLocation: string },
  kept: readonly ManifestFile[],
  content: 'data' | 'deletes',
  file: RawFile,
): Promise<string> {
  const parent = currentSnapshot(metadata)!;
  const spec = specsOf(metadata)(0);
  const snapshotId = newSnapshotId(metadata);
  const sequence = metadata['last-sequence-number'] + 1n;
  const entries = [{ status: EntryStatus.added, snapshotId, sequence: null, fileSequence: null, file }];
  const bytes = encodeManifest(spec, currentSchema(metadata), content, entries);
  const manifest = `${metadata.location}/metadata/theirs-${randomUUID()}.avro`;
  await store.put(manifest, bytes);
  const made = summarize(spec, content, entries, { location: manifest, bytes: bytes.length, snapshotId, sequence });
  const list = `${metadata.location}/metadata/snap-theirs-${randomUUID()}.avro`;
  await store.put(
    list,
    encodeManifestList([made, ...kept], { id: snapshotId, parent: parent['snapshot-id'], sequence }),
  );
  const next = withSnapshot(metadata, {
    'snapshot-id': snapshotId,
    'parent-snapshot-id': parent['snapshot-id'],
    'sequence-number': sequence,
    'timestamp-ms': nextTimestamp(metadata, Date.now()),
    'manifest-list': list,
    summary: { operation: 'overwrite' },
    'schema-id': metadata['current-schema-id'],
  });
  const location = nextMetadataLocation({ schema: 'public', ...base, metadata }, metadata.location);
  await store.put(location, encodeMetadata(next, location));
  return location;
}

/**
 * What Flink's upserts commit: rows with these ids, or by a SELECT with these values of other fields, are deleted from all files
 * so far, or from those of one file's partition.
 */
export async function foreignEqualityDelete(
  dataDir: string,
  name: string,
  by: readonly number[] | string,
  fieldIds: readonly number[] = [1],
  beside: string | null = null,
): Promise<void> {
  const select = typeof by === 'string' ? by : `SELECT unnest([${by.join(', ')}])::BIGINT AS id`;
  const columns = ['id', 'v', 'name'];
  await swap(dataDir, name, async (metadata, metadataLocation) => {
    const kept = await context.reader.manifests(currentSnapshot(metadata));
    const data: RawFile[] = [];
    for (const manifest of kept.filter(({ content }) => content === 0))
      data.push(...(await context.reader.entries(manifest)).map(({ file }) => file));
    const like = data.find((file) => beside === null || file.file_path === beside)!;
    const location = `${metadata.location}/data/theirs-${randomUUID()}.parquet`;
    const path = toLocalPath(location);
    const ids = fieldIds.map((id) => `${columns[id - 1] ?? 'gone'}: ${id}`).join(', ');
    await duckdb(`COPY (${select}) TO '${path}' (FORMAT parquet, FIELD_IDS {${ids}})`);
    const rows = Number((await duckdb(`SELECT count(*) FROM read_parquet('${path}')`))[0]![0]);
    const written = { location, rows, bytes: statSync(path).size };
    const file = {
      ...rawDeleteFile(written, [like]),
      lower_bounds: null,
      upper_bounds: null,
      referenced_data_file: null,
      content: Content.equalityDeletes,
      equality_ids: fieldIds,
      ...(typeof by === 'string' ? {} : idBounds(by)),
    };
    return nextSnapshot(metadata, { name, metadataLocation }, kept, 'deletes', file);
  });
}

function idBounds(ids: readonly number[]): Pick<RawFile, 'lower_bounds' | 'upper_bounds' | 'null_value_counts'> {
  const bound = (id: number): { key: number; value: Buffer }[] => [
    { key: 1, value: Buffer.from(encodeBound('long', BigInt(id))) },
  ];
  return {
    lower_bounds: bound(Math.min(...ids)),
    upper_bounds: bound(Math.max(...ids)),
    null_value_counts: [{ key: 1, value: 0n }],
  };
}

/** All rows, by a SELECT of id, v and name, in one file: no other file, and no delete file, is left. */
export async function foreignCompaction(
  dataDir: string,
  name: string,
  like: DataFileInfo,
  select: string,
): Promise<void> {
  await swap(dataDir, name, async (metadata, metadataLocation) => {
    const added = await dataFileOf(like, select);
    return nextSnapshot(metadata, { name, metadataLocation }, [], 'data', rawDataFile(added, specsOf(metadata)(0), 0));
  });
}

/** Keeps the current snapshot under a name. */
export async function foreignTag(dataDir: string, name: string, tag: string): Promise<void> {
  await swap(dataDir, name, async (metadata, metadataLocation) => {
    const next: TableMetadata = {
      ...metadata,
      refs: { ...metadata.refs, [tag]: { 'snapshot-id': metadata['current-snapshot-id']!, type: 'tag' } },
    };
    const location = nextMetadataLocation({ schema: 'public', name, metadataLocation, metadata }, metadata.location);
    await store.put(location, encodeMetadata(next, location));
    return location;
  });
}

/** What `rollback_to_snapshot` does: main has another head, all else stays. */
export async function foreignRollback(dataDir: string, name: string, snapshotId: bigint): Promise<void> {
  await swap(dataDir, name, async (metadata, metadataLocation) => {
    const next: TableMetadata = {
      ...metadata,
      'current-snapshot-id': snapshotId,
      refs: { ...metadata.refs, main: { 'snapshot-id': snapshotId, type: 'branch' } },
    };
    const location = nextMetadataLocation({ schema: 'public', name, metadataLocation, metadata }, metadata.location);
    await store.put(location, encodeMetadata(next, location));
    return location;
  });
}

/** The catalog as another client changes it. */
export function inCatalog(dataDir: string, work: (catalog: SqliteCatalog) => void): void {
  const catalog = openCatalog(join(dataDir, 'catalog.db'), 'arka');
  try {
    work(catalog);
  } finally {
    catalog.close();
  }
}

/** An empty table of another client's making, under a name that is free. */
export async function foreignTable(dataDir: string, def: TableDef): Promise<void> {
  const location = `file://${join(dataDir, 'warehouse', def.schema, `${def.name}-theirs`)}`;
  const metadata = newMetadata(def, location, 0, {});
  const metadataLocation = nextMetadataLocation(null, location);
  await store.put(metadataLocation, encodeMetadata(metadata, metadataLocation));
  inCatalog(dataDir, (catalog) => catalog.insert({ schema: def.schema, name: def.name, metadataLocation }));
}
