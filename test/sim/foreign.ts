/**
 * Other writers of the table: Spark and the like, who know nothing of Arka. They append, delete, rewrite all files into one,
 * expire snapshots and roll back, each as one Iceberg commit on the catalog's current metadata.
 */
import { randomUUID } from 'node:crypto';
import type { ObjectStore } from '../../src/storage/iceberg/object-store.ts';
import {
  Content as FileContent,
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
  newSnapshotId,
  nextMetadataLocation,
  nextTimestamp,
  withSnapshot,
  type LoadedTable,
  type Snapshot,
  type TableMetadata,
} from '../../src/storage/iceberg/metadata.ts';
import { specsOf, tableReader, type TableReader } from '../../src/storage/iceberg/table-reader.ts';
import { partitionKey, partitionTransform } from '../../src/storage/iceberg/transforms.ts';
import type { PartitionValue } from '../../src/storage/iceberg/lake-api.ts';
import { boundsOf, decodeFile, encodeFile, idVector, type Row } from './sim-engine.ts';
import type { World } from './world.ts';

export interface Content {
  readonly files: readonly {
    readonly location: string;
    readonly raw: RawFile;
    readonly rows: readonly Row[];
    readonly dead: ReadonlySet<number>;
  }[];
  readonly rows: readonly Row[];
}

const readerOf = ({ objects }: World): TableReader => tableReader(objects as ObjectStore, (location) => location);

/** What a reader of that snapshot sees. */
export async function contentOf(world: World, snapshot: Snapshot | null): Promise<Content> {
  const reader = readerOf(world);
  const dead = new Map<string, Set<number>>();
  const data: { readonly raw: RawFile; readonly sequence: bigint }[] = [];
  const equality: { readonly place: string; readonly sequence: bigint; readonly keys: ReadonlySet<number> }[] = [];
  for (const manifest of await reader.manifests(snapshot)) {
    for (const entry of await reader.entries(manifest)) {
      if (entry.status === EntryStatus.deleted) continue;
      const { file_path: location } = entry.file;
      const sequence = entry.sequence ?? 0n;
      if (entry.file.content === FileContent.data) data.push({ raw: entry.file, sequence });
      else if (entry.file.content === FileContent.equalityDeletes) {
        const keys = new Set(decodeFile(world.bytesAt(location), location).rows.map(([key]) => key));
        equality.push({ place: placeOf(entry.file), sequence, keys });
      } else
        for (const list of decodeFile(world.bytesAt(location), location).deletes) {
          const set = dead.get(list.location) ?? new Set();
          list.positions.forEach((position) => set.add(position));
          dead.set(list.location, set);
        }
    }
  }
  const files = data.map(({ raw, sequence }) => {
    const location = raw.file_path;
    const { rows } = decodeFile(world.bytesAt(location), location);
    const own = new Set(dead.get(location));
    for (const by of equality)
      if (by.sequence > sequence && by.place === placeOf(raw))
        rows.forEach(([key], position) => by.keys.has(key) && own.add(position));
    return { location, raw, rows, dead: own };
  });
  return { files, rows: files.flatMap((file) => file.rows.filter((_, position) => !file.dead.has(position))) };
}

/** All specs here are one, so the place of deletes without a partition is that of all files. */
const placeOf = ({ partition }: RawFile): string =>
  JSON.stringify(partition, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));

async function putFile(world: World, location: string, content: object): Promise<number> {
  const bytes = encodeFile(content);
  await world.objects.put(location, bytes);
  return bytes.length;
}

/** One file a partition. */
async function dataFiles(world: World, base: LoadedTable, rows: readonly Row[]): Promise<RawFile[]> {
  const { metadata } = base;
  const spec = specsOf(metadata)(0);
  const transforms = spec.fields.map((field) => partitionTransform(field, { oid: 20, typmod: -1 }));
  const partitions = new Map<string, { readonly values: readonly PartitionValue[]; readonly rows: Row[] }>();
  for (const row of rows) {
    const values = transforms.map((transform) => transform(idVector([row[0]]), 0));
    const key = partitionKey(values);
    if (!partitions.has(key)) partitions.set(key, { values, rows: [] });
    partitions.get(key)!.rows.push(row);
  }
  const files: RawFile[] = [];
  for (const { values, rows: own } of partitions.values()) {
    const location = `${metadata.location}/data/foreign-${randomUUID()}.parquet`;
    const bytes = await putFile(world, location, { rows: own });
    const info = {
      location,
      path: location,
      rows: own.length,
      bytes,
      columns: boundsOf(own),
      partition: values,
      specId: 0,
    };
    files.push(rawDataFile(info, spec, 0));
  }
  return files;
}

interface Manifest {
  readonly content: 'data' | 'deletes';
  readonly files: readonly RawFile[];
}

/** A snapshot of the kept manifests and new ones, as metadata of the next version. */
async function nextSnapshot(
  world: World,
  base: LoadedTable,
  kept: readonly ManifestFile[],
  added: readonly Manifest[],
  now: number,
): Promise<string> {
  const { metadata } = base;
  const parent = currentSnapshot(metadata);
  const snapshotId = newSnapshotId(metadata);
  const sequence = metadata['last-sequence-number'] + 1n;
  const spec = specsOf(metadata)(0);
  const manifests: ManifestFile[] = [];
  for (const { content, files } of added) {
    const entries = files.map((file) => ({
      status: EntryStatus.added,
      snapshotId,
      sequence: null,
      fileSequence: null,
      file,
    }));
    const bytes = encodeManifest(spec, currentSchema(metadata), content, entries);
    const location = `${metadata.location}/metadata/foreign-${randomUUID()}.avro`;
    await world.objects.put(location, bytes);
    manifests.push(summarize(spec, content, entries, { location, bytes: bytes.length, snapshotId, sequence }));
  }
  const list = `${metadata.location}/metadata/snap-foreign-${randomUUID()}.avro`;
  const ids = { id: snapshotId, parent: parent?.['snapshot-id'] ?? null, sequence };
  await world.objects.put(list, encodeManifestList([...manifests, ...kept], ids));
  return putMetadata(
    world,
    base,
    withSnapshot(metadata, {
      'snapshot-id': snapshotId,
      ...(parent === null ? {} : { 'parent-snapshot-id': parent['snapshot-id'] }),
      'sequence-number': sequence,
      'timestamp-ms': nextTimestamp(metadata, now),
      'manifest-list': list,
      summary: { operation: 'overwrite' },
      'schema-id': metadata['current-schema-id'],
    }),
    now,
  );
}

async function putMetadata(world: World, base: LoadedTable, metadata: TableMetadata, now: number): Promise<string> {
  const location = nextMetadataLocation(base, metadata.location);
  const stamped = { ...metadata, 'last-updated-ms': nextTimestamp(base.metadata, now) };
  await world.objects.put(location, encodeMetadata(stamped, location));
  return location;
}

const keptOf = (world: World, metadata: TableMetadata): Promise<ManifestFile[]> =>
  readerOf(world).manifests(currentSnapshot(metadata));

/** Each gives the location of the new metadata, for the catalog. */
export async function append(world: World, base: LoadedTable, rows: readonly Row[], now: number): Promise<string> {
  return nextSnapshot(
    world,
    base,
    await keptOf(world, base.metadata),
    [{ content: 'data', files: await dataFiles(world, base, rows) }],
    now,
  );
}

export async function deleteKeys(
  world: World,
  base: LoadedTable,
  keys: ReadonlySet<number>,
  now: number,
): Promise<string | null> {
  const { files } = await contentOf(world, currentSnapshot(base.metadata));
  const deletes: RawFile[] = [];
  for (const { location, raw, rows, dead } of files) {
    const positions = rows.flatMap(([key], position) => (keys.has(key) && !dead.has(position) ? [position] : []));
    if (positions.length === 0) continue;
    const target = `${base.metadata.location}/data/foreign-deletes-${randomUUID()}.parquet`;
    const bytes = await putFile(world, target, { deletes: [{ location, positions }] });
    deletes.push(rawDeleteFile({ location: target, rows: positions.length, bytes }, [raw]));
  }
  if (deletes.length === 0) return null;
  return nextSnapshot(world, base, await keptOf(world, base.metadata), [{ content: 'deletes', files: deletes }], now);
}

/** The same by value, as Flink does: one file a partition, for all data files before it (H14). */
export async function deleteByValue(
  world: World,
  base: LoadedTable,
  keys: ReadonlySet<number>,
  now: number,
): Promise<string | null> {
  if (keys.size === 0) return null;
  const rows = Array.from(keys, (key): Row => [key, null, null]);
  const files = (await dataFiles(world, base, rows)).map((raw) => {
    const content = FileContent.equalityDeletes;
    return { ...raw, content, equality_ids: [1], sort_order_id: null };
  });
  return nextSnapshot(world, base, await keptOf(world, base.metadata), [{ content: 'deletes', files }], now);
}

/** All live rows in one new file a partition, every older file gone. */
export async function rewrite(world: World, base: LoadedTable, now: number): Promise<string | null> {
  const { rows } = await contentOf(world, currentSnapshot(base.metadata));
  if (rows.length === 0) return null;
  const sorted = [...rows].sort((a, b) => b[0] - a[0]);
  return nextSnapshot(world, base, [], [{ content: 'data', files: await dataFiles(world, base, sorted) }], now);
}

/** Only the head stays. */
export async function expireAll(world: World, base: LoadedTable, now: number): Promise<string | null> {
  const head = currentSnapshot(base.metadata);
  if (head === null) return null;
  return putMetadata(world, base, { ...base.metadata, snapshots: [head], 'snapshot-log': [] }, now);
}

export async function rollBack(world: World, base: LoadedTable, snapshot: Snapshot, now: number): Promise<string> {
  const id = snapshot['snapshot-id'];
  const refs = { ...base.metadata.refs, main: { 'snapshot-id': id, type: 'branch' as const } };
  return putMetadata(world, base, { ...base.metadata, 'current-snapshot-id': id, refs }, now);
}
