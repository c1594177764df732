/**
 * Iceberg table metadata, format version 2: immutable values, one function a change.
 *
 * - Fields that Arka does not know are kept as they came.
 * - Timestamps are max(now, last + 1): readers refuse metadata that goes back in time, and clocks do (M-6).
 * - A file of ours has a checksum, bound to its name: a changed byte may be another valid value, such as another LSN. Files by
 *   others, which may carry the property on, have other names.
 * - Properties decide what is committed, the snapshot summary only repeats them (C1): properties survive expiry,
 *   foreign snapshots and rollback.
 * @see https://iceberg.apache.org/spec/#table-metadata-and-snapshots
 */
import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { SqlError, SqlState } from '../../errors.ts';
import { lastColumn, type Lsn, type TableDef } from '../../table-def.ts';
import { parseJson, stringifyJson } from './json.ts';
import {
  schemaOf,
  sortOrderOf,
  specOf,
  type IcebergSchema,
  type PartitionSpec,
  type SortOrder,
} from './schema-json.ts';

export const Property = {
  table: 'arka.table',
  logId: 'arka.log-id',
  lsn: 'arka.lsn',
  commitId: 'arka.commit-id',
  owner: 'arka.owner',
  sequences: 'arka.sequences',
  indexes: 'arka.indexes',
  checksum: 'arka.checksum',
  /** As other engines call it. */
  comment: 'comment',
} as const;

export interface Snapshot {
  readonly 'snapshot-id': bigint;
  readonly 'parent-snapshot-id'?: bigint;
  readonly 'sequence-number': bigint;
  readonly 'timestamp-ms': number;
  readonly 'manifest-list': string;
  readonly summary: Readonly<Record<string, string>>;
  readonly 'schema-id'?: number;
}

export interface SnapshotRef {
  readonly 'snapshot-id': bigint;
  readonly type: 'branch' | 'tag';
}

export interface TableMetadata {
  readonly 'format-version': number;
  readonly 'table-uuid': string;
  readonly location: string;
  readonly 'last-sequence-number': bigint;
  readonly 'last-updated-ms': number;
  readonly 'last-column-id': number;
  readonly schemas: readonly IcebergSchema[];
  readonly 'current-schema-id': number;
  readonly 'partition-specs': readonly PartitionSpec[];
  readonly 'default-spec-id': number;
  readonly 'last-partition-id': number;
  readonly 'sort-orders': readonly SortOrder[];
  readonly 'default-sort-order-id': number;
  readonly properties?: Readonly<Record<string, string>>;
  readonly 'current-snapshot-id'?: bigint | null;
  readonly snapshots?: readonly Snapshot[];
  readonly 'snapshot-log'?: readonly { readonly 'snapshot-id': bigint; readonly 'timestamp-ms': number }[];
  readonly 'metadata-log'?: readonly { readonly 'metadata-file': string; readonly 'timestamp-ms': number }[];
  readonly refs?: Readonly<Record<string, SnapshotRef>>;
  readonly statistics?: readonly StatisticsFile[];
  readonly 'partition-statistics'?: readonly StatisticsFile[];
}

interface StatisticsFile {
  readonly 'statistics-path': string;
}

/** Metadata as it stands in the catalog: what a swap is compared with. */
export interface LoadedTable {
  readonly schema: string;
  readonly name: string;
  readonly metadataLocation: string;
  readonly metadata: TableMetadata;
}

export function newMetadata(
  def: TableDef,
  location: string,
  now: number,
  properties: Readonly<Record<string, string>>,
): TableMetadata {
  const sort = sortOrderOf(def);
  return {
    'format-version': 2,
    'table-uuid': def.uuid,
    location,
    'last-sequence-number': 0n,
    'last-updated-ms': now,
    'last-column-id': lastColumn(def).fieldId,
    'current-schema-id': def.schemaId,
    schemas: [schemaOf(def)],
    'default-spec-id': 0,
    'partition-specs': [specOf(def, 0)],
    'last-partition-id': Math.max(999, ...def.partition.map((field) => field.fieldId)),
    'default-sort-order-id': sort['order-id'],
    'sort-orders': [sort],
    properties: {
      ...def.options,
      ...commentProperty(def),
      ...properties,
      [Property.table]: JSON.stringify({ ...def, indexes: undefined }),
    },
    'current-snapshot-id': null,
    refs: {},
    snapshots: [],
    'snapshot-log': [],
    'metadata-log': [], // PyIceberg wants the keys
  };
}

export const commentProperty = ({ comment }: TableDef): Record<string, string> =>
  comment === undefined ? {} : { [Property.comment]: comment };

/** As the file at a location, with its checksum: the CRC-32 of all of it, with zeros in the place of the CRC. */
export function encodeMetadata(metadata: TableMetadata, location: string): Uint8Array {
  const stamped = { ...metadata.properties, [Property.checksum]: `${nameOf(location)}:${NO_SUM}` };
  const bytes = Buffer.from(stringifyJson({ ...metadata, properties: stamped }));
  bytes.write(sumText(bytes), sumAt(bytes, location), 'latin1');
  return bytes;
}

const NO_SUM = '00000000';
const nameOf = (location: string): string => location.slice(location.lastIndexOf('/') + 1);
const sumText = (bytes: Uint8Array): string => crc32(bytes).toString(16).padStart(NO_SUM.length, '0');

/** Where the CRC is; -1: the file has none. */
function sumAt(bytes: Buffer, location: string): number {
  const head = JSON.stringify({ [Property.checksum]: `${nameOf(location)}:` }).slice(1, -2);
  const at = bytes.indexOf(head);
  return at < 0 ? -1 : at + Buffer.byteLength(head);
}

function checkSum(bytes: Uint8Array, location: string): void {
  const copy = Buffer.from(bytes);
  const at = sumAt(copy, location);
  if (at < 0) return;
  const said = copy.toString('latin1', at, at + NO_SUM.length);
  copy.write(NO_SUM, at, 'latin1');
  if (said === sumText(copy)) return;
  throw new SqlError(SqlState.dataCorrupted, `Iceberg metadata "${location}" is damaged: wrong checksum`, {
    detail: `It has ${copy.length} bytes.`,
  });
}

/** @throws XX001 when it is no table metadata, 0A000 for another format version */
export function parseMetadata(bytes: Uint8Array, location: string): TableMetadata {
  let metadata: TableMetadata;
  try {
    metadata = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as TableMetadata;
  } catch (error) {
    const { message } = error as Error;
    const at = /at position (\d+)/.exec(message)?.[1];
    throw new SqlError(
      SqlState.dataCorrupted,
      `Iceberg metadata "${location}" is damaged at byte ${at ?? (bytes.length === 0 ? 0 : `? of ${bytes.length}`)}`,
      { detail: message, cause: error },
    );
  }
  checkSum(bytes, location);
  if (
    typeof metadata !== 'object' ||
    metadata === null ||
    typeof metadata['table-uuid'] !== 'string' ||
    !Array.isArray(metadata.schemas)
  ) {
    throw new SqlError(SqlState.dataCorrupted, `Iceberg metadata "${location}" has no table`);
  }
  if (metadata['format-version'] !== 2) {
    throw new SqlError(
      SqlState.featureNotSupported,
      `Iceberg format version ${metadata['format-version']} is not supported`,
      { detail: `Metadata file "${location}".` },
    );
  }
  return metadata;
}

export function currentSchema(metadata: TableMetadata): IcebergSchema {
  return only(
    metadata.schemas.find((schema) => schema['schema-id'] === metadata['current-schema-id']),
    'current schema',
  );
}

export function currentSpec(metadata: TableMetadata): PartitionSpec {
  return only(
    metadata['partition-specs'].find((spec) => spec['spec-id'] === metadata['default-spec-id']),
    'default partition spec',
  );
}

function only<T>(found: T | undefined, what: string): T {
  if (found === undefined) throw new SqlError(SqlState.dataCorrupted, `Iceberg metadata has no ${what}`);
  return found;
}

/** The head of main; null for a table without data. Some writers say -1 for none. */
export function currentSnapshot(metadata: TableMetadata): Snapshot | null {
  const id = metadata['current-snapshot-id'];
  if (id === undefined || id === null || id === -1n) return null;
  return only(
    metadata.snapshots?.find((snapshot) => snapshot['snapshot-id'] === id),
    `snapshot ${id}`,
  );
}

/** What Arka's properties say is committed. */
export function committed(metadata: TableMetadata): {
  readonly logId: string | null;
  readonly lsn: Lsn;
  readonly commitId: string | null;
} {
  const properties = metadata.properties ?? {};
  const lsn = Number(properties[Property.lsn] ?? 0);
  return {
    logId: properties[Property.logId] ?? null,
    lsn: Number.isSafeInteger(lsn) && lsn > 0 ? lsn : 0,
    commitId: properties[Property.commitId] ?? null,
  };
}

export function nextTimestamp(metadata: TableMetadata, now: number): number {
  return Math.max(now, metadata['last-updated-ms'] + 1);
}

/** A positive 63-bit id that the table does not have. */
export function newSnapshotId(metadata: TableMetadata): bigint {
  for (;;) {
    const id = randomBytes(8).readBigUInt64LE() & 0x7fff_ffff_ffff_ffffn;
    if (id !== 0n && !metadata.snapshots?.some((snapshot) => snapshot['snapshot-id'] === id)) return id;
  }
}

/** The metadata with a new head of main. */
export function withSnapshot(metadata: TableMetadata, snapshot: Snapshot): TableMetadata {
  const id = snapshot['snapshot-id'];
  return {
    ...metadata,
    'last-sequence-number': snapshot['sequence-number'],
    'current-snapshot-id': id,
    snapshots: [...(metadata.snapshots ?? []), snapshot],
    'snapshot-log': [
      ...(metadata['snapshot-log'] ?? []),
      { 'snapshot-id': id, 'timestamp-ms': snapshot['timestamp-ms'] },
    ],
    refs: { ...metadata.refs, main: { ...metadata.refs?.['main'], 'snapshot-id': id, type: 'branch' } },
  };
}

const PREVIOUS_METADATA_MAX = 20;

/** Stamps the change: time, the metadata file it replaces, properties. `dropped` are metadata files that left the log. */
export function stamp(
  base: LoadedTable,
  next: TableMetadata,
  now: number,
  properties: Readonly<Record<string, string>>,
): { readonly metadata: TableMetadata; readonly dropped: readonly string[] } {
  const entry = { 'metadata-file': base.metadataLocation, 'timestamp-ms': base.metadata['last-updated-ms'] };
  const log = [...(next['metadata-log'] ?? []), entry];
  const dropped = log
    .slice(0, Math.max(0, log.length - PREVIOUS_METADATA_MAX))
    .map((previous) => previous['metadata-file']);
  return {
    metadata: {
      ...next,
      'last-updated-ms': now,
      properties: { ...next.properties, ...properties },
      'metadata-log': log.slice(-PREVIOUS_METADATA_MAX),
    },
    dropped,
  };
}

export interface Expiry {
  readonly keepSnapshots: number;
  readonly maxSnapshotAgeMs: number;
}

/**
 * Main keeps its newest `keepSnapshots`, those of them not above the age, and always its head; what a tag or another
 * branch reaches stays. The snapshot log is cut where it names a snapshot that left, as the specification asks.
 */
export function expire(
  metadata: TableMetadata,
  now: number,
  policy: Expiry,
): { readonly metadata: TableMetadata; readonly expired: readonly Snapshot[] } {
  const snapshots = metadata.snapshots ?? [];
  const byId = new Map(snapshots.map((snapshot) => [snapshot['snapshot-id'], snapshot]));
  const kept = new Set<bigint>();
  const head = currentSnapshot(metadata);
  let held = 0;
  for (
    let at: Snapshot | undefined = head ?? undefined;
    at !== undefined && held < Math.max(1, policy.keepSnapshots);
    at = byId.get(at['parent-snapshot-id'] ?? -1n)
  ) {
    if (at !== head && now - at['timestamp-ms'] > policy.maxSnapshotAgeMs) break;
    kept.add(at['snapshot-id']);
    held++;
  }
  for (const [name, ref] of Object.entries(metadata.refs ?? {})) {
    if (name === 'main') continue;
    for (
      let at = byId.get(ref['snapshot-id']);
      at !== undefined && !kept.has(at['snapshot-id']);
      at = ref.type === 'tag' ? undefined : byId.get(at['parent-snapshot-id'] ?? -1n)
    ) {
      kept.add(at['snapshot-id']);
    }
  }
  const expired = snapshots.filter((snapshot) => !kept.has(snapshot['snapshot-id']));
  if (expired.length === 0) return { metadata, expired };
  const log = metadata['snapshot-log'] ?? [];
  const cut = log.findLastIndex((entry) => !kept.has(entry['snapshot-id'])) + 1;
  return {
    metadata: {
      ...metadata,
      snapshots: snapshots.filter((snapshot) => kept.has(snapshot['snapshot-id'])),
      'snapshot-log': log.slice(cut),
    },
    expired,
  };
}

/** The next metadata file's location: versions count up in the name, as other writers do it. */
export function nextMetadataLocation(base: LoadedTable | null, location: string): string {
  const version =
    base === null ? 0 : Number(/\/(\d{1,9})-[^/]*\.metadata\.json$/.exec(base.metadataLocation)?.[1] ?? -1) + 1;
  return `${location}/metadata/${String(version).padStart(5, '0')}-${uuidText()}.metadata.json`;
}

export function uuidText(): string {
  const bytes = randomBytes(16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
