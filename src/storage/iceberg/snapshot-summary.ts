/**
 * A snapshot's summary: what it changed, and the totals after it. Totals go on from the parent's where it has them,
 * else the parent's manifests are counted.
 * @see https://iceberg.apache.org/spec/#optional-snapshot-summary-fields
 */
import { Content, EntryStatus, type ManifestFile, type RawFile } from './manifest.ts';
import type { Snapshot } from './metadata.ts';
import type { TableReader } from './table-reader.ts';

export interface FileChanges {
  readonly data: readonly RawFile[];
  readonly deletes: readonly RawFile[];
  /** The files of `data` stand for those of `removedData`, with the same rows. */
  readonly isRewrite: boolean;
  readonly removedData: readonly RawFile[];
  readonly removedDeletes: readonly RawFile[];
}

interface Totals {
  readonly 'total-records': bigint;
  readonly 'total-data-files': bigint;
  readonly 'total-delete-files': bigint;
  readonly 'total-position-deletes': bigint;
  readonly 'total-equality-deletes': bigint;
  readonly 'total-files-size': bigint;
}

export async function snapshotSummary(
  reader: TableReader,
  parent: Snapshot | null,
  head: readonly ManifestFile[],
  change: FileChanges,
): Promise<Record<string, string>> {
  const before = parentTotals(parent) ?? (await countTotals(reader, head));
  const rows = (files: readonly RawFile[]): bigint => files.reduce((sum, file) => sum + file.record_count, 0n);
  const size = (files: readonly RawFile[]): bigint => files.reduce((sum, file) => sum + file.file_size_in_bytes, 0n);
  const { data, deletes, removedData, removedDeletes } = change;
  const removedBytes = size(removedData) + size(removedDeletes);
  const partitions = new Set(
    [...data, ...deletes, ...removedData, ...removedDeletes].map((file) =>
      JSON.stringify(file.partition, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
    ),
  );
  const totals: Totals = {
    'total-records': before['total-records'] + rows(data) - rows(removedData),
    'total-data-files': before['total-data-files'] + BigInt(data.length - removedData.length),
    'total-delete-files': before['total-delete-files'] + BigInt(deletes.length - removedDeletes.length),
    'total-position-deletes': before['total-position-deletes'] + rows(deletes) - rows(removedDeletes),
    'total-equality-deletes': before['total-equality-deletes'],
    'total-files-size': before['total-files-size'] + size(data) + size(deletes) - removedBytes,
  };
  const changes = {
    'added-data-files': BigInt(data.length),
    'added-records': rows(data),
    'added-files-size': size(data) + size(deletes),
    'added-delete-files': BigInt(deletes.length),
    'added-position-delete-files': BigInt(deletes.length),
    'added-position-deletes': rows(deletes),
    'deleted-data-files': BigInt(removedData.length),
    'deleted-records': rows(removedData),
    'removed-delete-files': BigInt(removedDeletes.length),
    'removed-position-delete-files': BigInt(removedDeletes.length),
    'removed-position-deletes': rows(removedDeletes),
    'removed-files-size': removedBytes,
    'changed-partition-count': BigInt(partitions.size),
  };
  return {
    operation: operationOf(change),
    ...texts(Object.entries(changes).filter(([, value]) => value !== 0n)),
    ...texts(Object.entries(totals)),
  };
}

function operationOf({ data, deletes, removedData, isRewrite }: FileChanges): string {
  if (isRewrite) return 'replace';
  return deletes.length + removedData.length === 0 ? 'append' : data.length === 0 ? 'delete' : 'overwrite';
}

function texts(entries: readonly (readonly [string, bigint])[]): Record<string, string> {
  return Object.fromEntries(entries.map(([key, value]) => [key, value.toString()]));
}

function parentTotals(parent: Snapshot | null): Totals | null {
  const read = (key: keyof Totals): bigint | null => {
    const text = parent === null ? '0' : parent.summary?.[key];
    return text !== undefined && /^\d+$/.test(text) ? BigInt(text) : null;
  };
  const records = read('total-records');
  const dataFiles = read('total-data-files');
  const deleteFiles = read('total-delete-files');
  const positions = read('total-position-deletes');
  const equalities = read('total-equality-deletes');
  const size = read('total-files-size');
  if (
    records === null ||
    dataFiles === null ||
    deleteFiles === null ||
    positions === null ||
    equalities === null ||
    size === null
  )
    return null;
  return {
    'total-records': records,
    'total-data-files': dataFiles,
    'total-delete-files': deleteFiles,
    'total-position-deletes': positions,
    'total-equality-deletes': equalities,
    'total-files-size': size,
  };
}

async function countTotals(reader: TableReader, head: readonly ManifestFile[]): Promise<Totals> {
  let [records, dataFiles, deleteFiles, positions, equalities, size] = [0n, 0n, 0n, 0n, 0n, 0n];
  for (const manifest of head) {
    for (const { status, file } of await reader.entries(manifest)) {
      if (status === EntryStatus.deleted) continue;
      size += file.file_size_in_bytes;
      if (file.content === Content.data) {
        dataFiles++;
        records += file.record_count;
      } else {
        deleteFiles++;
        if (file.content === Content.positionDeletes) positions += file.record_count;
        else equalities += file.record_count;
      }
    }
  }
  return {
    'total-records': records,
    'total-data-files': dataFiles,
    'total-delete-files': deleteFiles,
    'total-position-deletes': positions,
    'total-equality-deletes': equalities,
    'total-files-size': size,
  };
}
