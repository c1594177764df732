/**
 * Names of Arka's position-delete files. They say whose a file is, and what it is for: Arka removes only its own (H12).
 *
 * - of one data file: all that is deleted there; the next one replaces it
 * - of a partition: what was deleted from several of its data files since the file before; removed when another holds the same
 */
const FILE_DELETES = /\/arka-deletes-[0-9a-f-]{36}\.parquet$/;
const PARTITION_DELETES = /\/arka-partition-deletes-[0-9a-f-]{36}\.parquet$/;

/** Beside the data file, or one of them. */
export function deleteFileLocation(dataFileLocation: string, scope: 'file' | 'partition', uuid: string): string {
  const folder = dataFileLocation.slice(0, dataFileLocation.lastIndexOf('/'));
  return `${folder}/${scope === 'file' ? 'arka-deletes' : 'arka-partition-deletes'}-${uuid}.parquet`;
}

export function isFileDeletes(location: string): boolean {
  return FILE_DELETES.test(location);
}

export function isPartitionDeletes(location: string): boolean {
  return PARTITION_DELETES.test(location);
}
