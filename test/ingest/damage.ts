/** Ways in which a file comes to harm, and where a table's files are. */
import { readFileSync, renameSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import type { Table } from '../../src/storage/table.ts';
import { localStore } from '../../src/storage/iceberg/local-store.ts';
import { currentSnapshot } from '../../src/storage/iceberg/metadata.ts';
import { toLocalPath } from '../../src/storage/iceberg/paths.ts';
import { tableReader } from '../../src/storage/iceberg/table-reader.ts';

/** Does harm to a file; what it gives back takes it away again. */
export type Harm = (path: string) => () => void;

function changing(path: string, change: () => void): () => void {
  const bytes = readFileSync(path);
  change();
  return () => writeFileSync(path, bytes);
}

/** Another byte at a place, from the end where it is negative, as a fraction of the file where it is between 0 and 1. */
export const flippedAt =
  (place: number): Harm =>
  (path) => {
    const bytes = readFileSync(path);
    const at =
      place < 0
        ? bytes.length + place
        : place < 1
          ? Math.floor(bytes.length * place)
          : Math.min(place, bytes.length - 1);
    return changing(path, () => {
      const other = Uint8Array.from(bytes);
      other[at] = other[at]! ^ 0xff;
      writeFileSync(path, other);
    });
  };

/** Another first byte of a Parquet footer: no reader gets past it. */
export const footerFlipped: Harm = (path) => {
  const bytes = readFileSync(path);
  return flippedAt(bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8))(path);
};

export const truncated: Harm = (path) => changing(path, () => truncateSync(path, Math.floor(statSync(path).size / 2)));
export const emptied: Harm = (path) => changing(path, () => truncateSync(path, 0));
export const removed: Harm = (path) => {
  renameSync(path, `${path}.away`);
  return () => renameSync(`${path}.away`, path);
};

export interface TableFiles {
  readonly metadata: string;
  readonly list: string;
  readonly manifest: string;
  readonly data: string;
  readonly deletes: string;
}

/** The first of each kind, of the table as it is committed. */
export async function filesOf(table: Table): Promise<TableFiles> {
  const reader = tableReader(localStore(), toLocalPath);
  const metadata = await reader.metadata(table.metadataLocation);
  const snapshot = currentSnapshot(metadata)!;
  const [manifest] = await reader.manifests(snapshot);
  const state = await reader.state({ schema: '', name: '', metadataLocation: table.metadataLocation, metadata });
  return {
    metadata: toLocalPath(table.metadataLocation),
    list: toLocalPath(snapshot['manifest-list']),
    manifest: toLocalPath(manifest!.manifest_path),
    data: state.files[0]!.path,
    deletes: state.deletePaths[0] ?? state.partitionDeletes[0]?.path ?? '',
  };
}
