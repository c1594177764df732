/**
 * Manifests and manifest lists as data: `data_file` structs of Avro and Arka's `DataFileInfo`.
 *
 * A `RawFile` is the struct as it was written: a carried entry is written back as it came, with whatever statistics its
 * writer gave. Its `partition` is keyed `p<field id>`, in Avro's representation.
 * - Sequence numbers: null in a new entry (inherited from the manifest's list entry), explicit in every other.
 * @see https://iceberg.apache.org/spec/#sequence-number-inheritance
 */
import type { PartitionField } from '../../table-def.ts';
import type { FileColumnStats } from '../file-stats.ts';
import { decodeContainer, encodeContainer } from './avro.ts';
import { encodeBound } from './bounds.ts';
import type { DataFileInfo, PartitionValue } from './lake-api.ts';
import {
  avroName,
  decimalModifier,
  decimalSize,
  FIELD_NAMES,
  MANIFEST_LIST_SCHEMA,
  manifestSchema,
} from './manifest-schema.ts';
import { specOf, type IcebergSchema } from './schema-json.ts';
import { resultType } from './transforms.ts';

export const EntryStatus = { existing: 0, added: 1, deleted: 2 } as const;
export const Content = { data: 0, positionDeletes: 1, equalityDeletes: 2 } as const;

interface Pair<T> {
  readonly key: number;
  readonly value: T;
}
type AvroPrimitive = null | boolean | number | bigint | string | Buffer;

export interface RawFile {
  readonly content: number;
  readonly file_path: string;
  readonly file_format: string;
  readonly partition: Readonly<Record<string, AvroPrimitive>>;
  readonly record_count: bigint;
  readonly file_size_in_bytes: bigint;
  readonly column_sizes: readonly Pair<bigint>[] | null;
  readonly value_counts: readonly Pair<bigint>[] | null;
  readonly null_value_counts: readonly Pair<bigint>[] | null;
  readonly nan_value_counts: readonly Pair<bigint>[] | null;
  readonly lower_bounds: readonly Pair<Buffer>[] | null;
  readonly upper_bounds: readonly Pair<Buffer>[] | null;
  readonly key_metadata: Buffer | null;
  readonly split_offsets: readonly bigint[] | null;
  readonly equality_ids: readonly number[] | null;
  readonly sort_order_id: number | null;
  readonly referenced_data_file: string | null;
}

export interface ManifestEntry {
  readonly status: number;
  readonly snapshotId: bigint | null;
  readonly sequence: bigint | null;
  readonly fileSequence: bigint | null;
  readonly file: RawFile;
}

export interface FieldSummary {
  readonly contains_null: boolean;
  readonly contains_nan: boolean | null;
  readonly lower_bound: Buffer | null;
  readonly upper_bound: Buffer | null;
}

export interface ManifestFile {
  readonly manifest_path: string;
  readonly manifest_length: bigint;
  readonly partition_spec_id: number;
  readonly content: number;
  readonly sequence_number: bigint;
  readonly min_sequence_number: bigint;
  readonly added_snapshot_id: bigint;
  readonly added_files_count: number;
  readonly existing_files_count: number;
  readonly deleted_files_count: number;
  readonly added_rows_count: bigint;
  readonly existing_rows_count: bigint;
  readonly deleted_rows_count: bigint;
  readonly partitions: readonly FieldSummary[] | null;
  readonly key_metadata: Buffer | null;
}

/** What a manifest is bound to: one spec, with the Iceberg types of its partition values. */
export interface ManifestSpec {
  readonly specId: number;
  readonly fields: readonly PartitionField[];
  readonly types: readonly string[];
}

/** The types of the spec's values; a dropped source column leaves its fields as `string`, which only null fits. */
export function manifestSpec(
  specId: number,
  fields: readonly PartitionField[],
  schemas: readonly IcebergSchema[],
): ManifestSpec {
  const types = new Map<number, string>();
  for (const schema of schemas) {
    for (const field of schema.fields) if (typeof field.type === 'string') types.set(field.id, field.type);
  }
  return { specId, fields, types: fields.map((field) => resultType(field, types.get(field.sourceId) ?? 'string')) };
}

export function encodeManifest(
  spec: ManifestSpec,
  schema: IcebergSchema,
  content: 'data' | 'deletes',
  entries: readonly ManifestEntry[],
): Uint8Array {
  const { fields } = specOf({ partition: spec.fields } as Parameters<typeof specOf>[0], spec.specId);
  const metadata = {
    schema: JSON.stringify(schema),
    'schema-id': String(schema['schema-id']),
    'partition-spec': JSON.stringify(fields),
    'partition-spec-id': String(spec.specId),
    'format-version': '2',
    content,
  };
  const records = entries.map((entry) => ({
    status: entry.status,
    snapshot_id: entry.snapshotId,
    sequence_number: entry.sequence,
    file_sequence_number: entry.fileSequence,
    data_file: {
      ...entry.file,
      partition: Object.fromEntries(
        spec.fields.map((field) => [avroName(field.name), entry.file.partition[`p${field.fieldId}`] ?? null]),
      ),
    },
  }));
  return encodeContainer(manifestSchema(spec.fields, spec.types), metadata, records);
}

/** The entries of a manifest with what they inherit from its list entry. */
export function decodeManifest(bytes: Uint8Array, manifest: ManifestFile): ManifestEntry[] {
  const { records } = decodeContainer(bytes, manifest.manifest_path, FIELD_NAMES);
  return records.map((record) => {
    const added = record['status'] === EntryStatus.added;
    return {
      status: record['status'] as number,
      snapshotId: (record['snapshot_id'] as bigint | null | undefined) ?? manifest.added_snapshot_id,
      sequence: (record['sequence_number'] as bigint | null | undefined) ?? (added ? manifest.sequence_number : 0n),
      fileSequence:
        (record['file_sequence_number'] as bigint | null | undefined) ?? (added ? manifest.sequence_number : 0n),
      file: { ...NO_STATS, ...(record['data_file'] as RawFile) },
    };
  });
}

const NO_STATS = {
  content: Content.data,
  column_sizes: null,
  value_counts: null,
  null_value_counts: null,
  nan_value_counts: null,
  lower_bounds: null,
  upper_bounds: null,
  key_metadata: null,
  split_offsets: null,
  equality_ids: null,
  sort_order_id: null,
  referenced_data_file: null,
} as const;

export function encodeManifestList(
  manifests: readonly ManifestFile[],
  snapshot: { readonly id: bigint; readonly parent: bigint | null; readonly sequence: bigint },
): Uint8Array {
  return encodeContainer(
    MANIFEST_LIST_SCHEMA,
    {
      'snapshot-id': String(snapshot.id),
      'parent-snapshot-id': String(snapshot.parent),
      'sequence-number': String(snapshot.sequence),
      'format-version': '2',
    },
    manifests,
  );
}

export function decodeManifestList(bytes: Uint8Array, location: string): ManifestFile[] {
  return decodeContainer(bytes, location, FIELD_NAMES).records.map(
    (record) => ({ content: 0, partitions: null, key_metadata: null, ...record }) as unknown as ManifestFile,
  );
}

/** The list entry of a manifest just encoded. */
export function summarize(
  spec: ManifestSpec,
  content: 'data' | 'deletes',
  entries: readonly ManifestEntry[],
  where: {
    readonly location: string;
    readonly bytes: number;
    readonly snapshotId: bigint;
    readonly sequence: bigint;
  },
): ManifestFile {
  const count = (status: number): number => entries.filter((entry) => entry.status === status).length;
  const rows = (status: number): bigint =>
    entries.reduce((sum, entry) => (entry.status === status ? sum + entry.file.record_count : sum), 0n);
  const live = entries.filter((entry) => entry.status !== EntryStatus.deleted);
  return {
    manifest_path: where.location,
    manifest_length: BigInt(where.bytes),
    partition_spec_id: spec.specId,
    content: content === 'data' ? 0 : 1,
    sequence_number: where.sequence,
    min_sequence_number: live.reduce(
      (least, entry) => ((entry.sequence ?? where.sequence) < least ? entry.sequence! : least),
      where.sequence,
    ),
    added_snapshot_id: where.snapshotId,
    added_files_count: count(EntryStatus.added),
    existing_files_count: count(EntryStatus.existing),
    deleted_files_count: count(EntryStatus.deleted),
    added_rows_count: rows(EntryStatus.added),
    existing_rows_count: rows(EntryStatus.existing),
    deleted_rows_count: rows(EntryStatus.deleted),
    partitions: spec.fields.map((field, i) =>
      fieldSummary(
        spec.types[i]!,
        entries.map((entry) => entry.file.partition[`p${field.fieldId}`] ?? null),
      ),
    ),
    key_metadata: null,
  };
}

function fieldSummary(type: string, values: readonly AvroPrimitive[]): FieldSummary {
  const isNaNValue = (value: AvroPrimitive): boolean => typeof value === 'number' && Number.isNaN(value);
  const present = values.filter((value) => value !== null && !isNaNValue(value)).map((value) => fromAvro(type, value)!);
  const order = (a: NonNullable<PartitionValue>, b: NonNullable<PartitionValue>): number => compareValues(a, b);
  const bytes = (value: NonNullable<PartitionValue> | undefined): Buffer | null =>
    value === undefined ? null : Buffer.from(encodeBound(type, value));
  return {
    contains_null: values.includes(null),
    contains_nan: type === 'float' || type === 'double' ? values.some(isNaNValue) : false,
    lower_bound: bytes(
      present.reduce<NonNullable<PartitionValue> | undefined>(
        (least, value) => (least === undefined || order(value, least) < 0 ? value : least),
        undefined,
      ),
    ),
    upper_bound: bytes(
      present.reduce<NonNullable<PartitionValue> | undefined>(
        (most, value) => (most === undefined || order(value, most) > 0 ? value : most),
        undefined,
      ),
    ),
  };
}

function compareValues(a: NonNullable<PartitionValue>, b: NonNullable<PartitionValue>): number {
  if (a instanceof Uint8Array || typeof a === 'string')
    return Buffer.compare(Buffer.from(a as string), Buffer.from(b as string));
  // -0 sorts below 0, so that a lower bound is never +0 beside it
  if (a === b && typeof a === 'number') return Object.is(a, b) ? 0 : Object.is(a, -0) ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

export function toAvro(type: string, value: PartitionValue): AvroPrimitive {
  if (value === null) return null;
  switch (type) {
    case 'boolean':
      return value === true;
    case 'int':
    case 'date':
    case 'float':
    case 'double':
      return Number(value);
    case 'long':
    case 'time':
    case 'timestamp':
    case 'timestamptz':
      return BigInt(value as bigint);
    case 'string':
      return String(value);
    case 'uuid':
    case 'binary':
      return Buffer.from(value as Uint8Array);
    default: {
      const bytes = encodeBound(type, value);
      const size = decimalSize(decimalModifier(type)[0]);
      const padded = Buffer.alloc(size, bytes[0]! & 0x80 ? 0xff : 0);
      padded.set(bytes, size - bytes.length);
      return padded;
    }
  }
}

export function fromAvro(type: string, value: AvroPrimitive): PartitionValue {
  if (!(value instanceof Buffer)) return value;
  if (!type.startsWith('decimal')) return Uint8Array.from(value);
  let unscaled = 0n;
  for (const byte of value) unscaled = (unscaled << 8n) | BigInt(byte);
  return BigInt.asIntN(value.length * 8, unscaled);
}

export function rawDataFile(info: DataFileInfo, spec: ManifestSpec, sortOrderId: number | null): RawFile {
  const pairs = <T>(value: (stats: FileColumnStats) => T | null): Pair<T>[] =>
    info.columns.flatMap((stats) => {
      const found = value(stats);
      return found === null ? [] : [{ key: stats.fieldId, value: found }];
    });
  return {
    content: Content.data,
    file_path: info.location,
    file_format: 'PARQUET',
    partition: rawPartition(spec, info.partition),
    record_count: BigInt(info.rows),
    file_size_in_bytes: BigInt(info.bytes),
    column_sizes: pairs((stats) => BigInt(stats.columnBytes)),
    value_counts: pairs((stats) => BigInt(stats.valueCount)),
    null_value_counts: pairs((stats) => BigInt(stats.nullCount)),
    nan_value_counts: pairs((stats) => (stats.nanCount === null ? null : BigInt(stats.nanCount))),
    lower_bounds: pairs((stats) => (stats.lower === null ? null : Buffer.from(stats.lower))),
    upper_bounds: pairs((stats) => (stats.upper === null ? null : Buffer.from(stats.upper))),
    key_metadata: null,
    split_offsets: null,
    equality_ids: null,
    sort_order_id: sortOrderId,
    referenced_data_file: null,
  };
}

function rawPartition(spec: ManifestSpec, values: readonly PartitionValue[]): Record<string, AvroPrimitive> {
  return Object.fromEntries(
    spec.fields.map((field, i) => [`p${field.fieldId}`, toAvro(spec.types[i]!, values[i] ?? null)]),
  );
}

/** The reserved field of position-delete files that names the data file. */
const FILE_PATH_FIELD = 2147483546;

/**
 * A position-delete file of data files of one partition. Of one only, equal bounds of file_path tell readers so, as
 * referenced_data_file does; of several, the bounds are whole paths too, so that they are never equal by being cut.
 */
export function rawDeleteFile(
  written: { readonly location: string; readonly rows: number; readonly bytes: number },
  targets: readonly RawFile[],
): RawFile {
  const paths = targets.map((target) => Buffer.from(target.file_path));
  const lower = paths.reduce((least, path) => (path.compare(least) < 0 ? path : least));
  const upper = paths.reduce((most, path) => (path.compare(most) > 0 ? path : most));
  return {
    ...NO_STATS,
    content: Content.positionDeletes,
    file_path: written.location,
    file_format: 'PARQUET',
    partition: targets[0]!.partition,
    record_count: BigInt(written.rows),
    file_size_in_bytes: BigInt(written.bytes),
    lower_bounds: [{ key: FILE_PATH_FIELD, value: lower }],
    upper_bounds: [{ key: FILE_PATH_FIELD, value: upper }],
    referenced_data_file: targets.length === 1 ? targets[0]!.file_path : null,
  };
}

/** The data file that all deletes of a position-delete file are for; null when they may be for several. */
export function deleteTarget(file: RawFile): string | null {
  if (file.referenced_data_file !== null) return file.referenced_data_file;
  const bound = (pairs: RawFile['lower_bounds']): Buffer | undefined =>
    pairs?.find((pair) => pair.key === FILE_PATH_FIELD)?.value;
  const lower = bound(file.lower_bounds);
  const upper = bound(file.upper_bounds);
  return lower !== undefined && upper !== undefined && lower.equals(upper) ? lower.toString() : null;
}

/** Columns without both counts are left out: nothing may be concluded about them. */
export function dataFileInfo(file: RawFile, spec: ManifestSpec, path: string): DataFileInfo {
  const sizes = new Map(file.column_sizes?.map((pair) => [pair.key, Number(pair.value)]));
  const nulls = new Map(file.null_value_counts?.map((pair) => [pair.key, Number(pair.value)]));
  const nans = new Map(file.nan_value_counts?.map((pair) => [pair.key, Number(pair.value)]));
  const lower = new Map(file.lower_bounds?.map((pair) => [pair.key, pair.value]));
  const upper = new Map(file.upper_bounds?.map((pair) => [pair.key, pair.value]));
  const columns = (file.value_counts ?? []).flatMap(({ key, value }): FileColumnStats[] => {
    const nullCount = nulls.get(key);
    if (nullCount === undefined) return [];
    return [
      {
        fieldId: key,
        columnBytes: sizes.get(key) ?? 0,
        valueCount: Number(value),
        nullCount,
        nanCount: nans.get(key) ?? null,
        lower: copy(lower.get(key)),
        upper: copy(upper.get(key)),
      },
    ];
  });
  return {
    location: file.file_path,
    path,
    rows: Number(file.record_count),
    bytes: Number(file.file_size_in_bytes),
    columns,
    partition: partitionOf(file, spec),
    specId: spec.specId,
  };
}

export function partitionOf(file: RawFile, spec: ManifestSpec): PartitionValue[] {
  return spec.fields.map((field, i) => fromAvro(spec.types[i]!, file.partition[`p${field.fieldId}`] ?? null));
}

/** Small Buffers share a pool: what goes to another thread must not drag it along. */
function copy(bytes: Buffer | undefined): Uint8Array | null {
  return bytes === undefined ? null : Uint8Array.from(bytes);
}
