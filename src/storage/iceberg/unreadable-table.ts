/**
 * A table whose files cannot be read: a damaged or missing metadata file, manifest list, manifest or delete file, or a format
 * that Arka does not know. It alone is detached, and the server starts.
 *
 * - U1 Its statements answer with the error that names the file; nothing of it is shown, and nothing is written.
 * - U2 Nothing of it is given up: staged rows stay in the flush manifest, the log is kept from the first of its operations that
 *   Iceberg is not known to have, no file of it is deleted. With the file restored every row is there again: at a start, or while
 *   the server runs (`src/ingest/reattach.ts`).
 * - U3 What is known of it without its files comes from the flush manifest's file and the checkpoint frame, which name its uuid,
 *   its definition and what was committed last.
 * - U4 Its uuid is proven by its metadata, or by what was noted of that very metadata file. Where neither is there it is guessed, by
 *   folder or name, or made up: then nothing that is known by a uuid which the catalog does not show is given up either, for it may
 *   be this table's (`src/ingest/unclaimed-rows.ts`), until the metadata says what the uuid is (`identify`).
 */
import { randomUUID } from 'node:crypto';
import { SqlError, SqlState } from '../../errors.ts';
import { unknownDef, type TableDef } from '../../table-def.ts';
import type { CatalogRow } from './sqlite-catalog.ts';
import type { Lake } from './lake.ts';
import type { Detached, RecoveredTable, TableState, UuidSource } from './lake-api.ts';
import { committed, Property, type LoadedTable } from './metadata.ts';
import { lastKnown, neededFrom } from './recovery.ts';
import { tableDef } from './table-reader.ts';
import { isUnreadable, unreadable } from './unreadable.ts';

export type ReadTable =
  | { readonly kind: 'read'; readonly loaded: LoadedTable; readonly state: TableState }
  | { readonly kind: 'unreadable'; readonly loaded: LoadedTable | null; readonly error: SqlError };

/** A table by its own files; what else fails is not its fault. */
export async function readTable(lake: Pick<Lake, 'flush' | 'reader'>, row: CatalogRow): Promise<ReadTable> {
  const known = lake.flush.uuidAt(row.metadataLocation);
  let loaded: LoadedTable | null = null;
  try {
    loaded = { ...row, metadata: await lake.reader.metadata(row.metadataLocation) };
    const uuid = loaded.metadata['table-uuid'];
    // A metadata file never changes: one that now names another table is damaged, and its table is not gone.
    if (known !== null && known !== uuid)
      throw new SqlError(
        SqlState.dataCorrupted,
        `Iceberg metadata "${row.metadataLocation}" is damaged: it names table ${uuid}, and was of ${known}`,
      );
    return { kind: 'read', loaded, state: await lake.reader.state(loaded) };
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return { kind: 'unreadable', loaded, error };
  }
}

/** Null: nothing here knows the table, and another engine's format is not ours to show. */
export function unreadableTable(
  lake: Pick<Lake, 'cache' | 'flush' | 'settings'>,
  row: CatalogRow,
  loaded: LoadedTable | null,
  error: SqlError,
  { uuid, uuidIs }: Identity,
): RecoveredTable | null {
  const isOurs = loaded?.metadata.properties?.[Property.table] !== undefined || lake.flush.seen(uuid) !== null;
  if (error.code === SqlState.featureNotSupported && !isOurs) return null;
  const log = lake.settings.log ?? null;
  const last = lastKnown(lake, uuid);
  const { lsn } = loaded !== null ? committedHere(loaded, log?.logId) : { lsn: 0 };
  const committedLsn = Math.max(last?.lsn ?? 0, lsn);
  const { flush, damage } = lake.flush.read(uuid);
  const ours = flush !== null && flush.logId === log?.logId;
  const needed = neededFrom(log, uuid, committedLsn);
  const isStaged = damage !== null || (flush !== null && flush.segments.length + flush.deltas.length > 0);
  const location = loaded?.metadata.location ?? row.metadataLocation.replace(/\/metadata\/[^/]*$/, '');
  const { metadataLocation } = row;
  return {
    def: { ...defOf(lake, row, loaded, uuid), uuid, schema: row.schema, name: row.name },
    location,
    metadataLocation,
    specId: 0,
    snapshotId: last?.snapshotId ?? null,
    logId: log?.logId ?? null,
    committedLsn,
    files: [],
    deletePaths: [],
    partitionDeletes: [],
    flush: null,
    neededFrom: Math.max(needed, ours ? flush.flushedLsn + 1 : 0),
    uncommittedFrom: isStaged ? needed : 0,
    lsnSeen: Math.max(committedLsn, ours ? flush.flushedLsn : 0),
    uuidIs,
    detached: unreadable(error, {
      lsn: committedLsn,
      snapshotId: last?.snapshotId ?? null,
      // What is noted of a metadata file proves a uuid at the next start.
      metadataLocation: last?.metadataLocation ?? (uuidIs === 'proven' ? metadataLocation : ''),
    }),
  };
}

/**
 * U4: which table it is, by its metadata; from now on it is known by that uuid.
 * @throws {SqlError} 42P01 where it is gone from the catalog, or is one that is known already; of an unreadable table
 */
export async function identify(
  lake: Pick<Lake, 'catalog' | 'detached' | 'known' | 'reader'>,
  guess: string,
): Promise<string> {
  const known = lake.known.get(guess);
  const location = known === undefined ? null : lake.catalog.find(known.schema, known.name);
  const gone = (): SqlError => new SqlError(SqlState.undefinedTable, `table with uuid ${guess} does not exist`);
  if (known === undefined || location === null) throw gone();
  const uuid = (await lake.reader.metadata(location))['table-uuid'];
  if (uuid === guess) return uuid;
  if (lake.known.has(uuid)) throw gone();
  const detached: Detached | undefined = lake.detached.get(guess);
  lake.known.delete(guess);
  lake.detached.delete(guess);
  lake.known.set(uuid, known);
  if (detached !== undefined) lake.detached.set(uuid, detached);
  return uuid;
}

function committedHere({ metadata }: LoadedTable, logId: string | undefined): { readonly lsn: number } {
  const said = committed(metadata);
  return said.logId === logId ? said : { lsn: 0 };
}

export interface Identity {
  readonly uuid: string;
  readonly uuidIs: UuidSource;
}

/** U3. Null: nothing proves it. */
export function provenUuid(
  lake: Pick<Lake, 'flush' | 'settings'>,
  { metadataLocation }: CatalogRow,
  loaded: LoadedTable | null,
): string | null {
  const here = lake.flush.uuidAt(metadataLocation) ?? loaded?.metadata['table-uuid'];
  const entry = lake.settings.log?.checkpoint?.tables.find((each) => each.metadataLocation === metadataLocation);
  return here ?? entry?.uuid ?? null;
}

/** U4. @param taken uuids of other tables */
export function guessUuid(
  lake: Pick<Lake, 'flush' | 'settings'>,
  { metadataLocation, schema, name }: CatalogRow,
  taken: ReadonlySet<string>,
): Identity {
  // Another writer may have committed since: a table's metadata files lie in a folder of its own.
  const folder = folderOf(metadataLocation);
  const entry = lake.settings.log?.checkpoint?.tables.find((each) => folderOf(each.metadataLocation) === folder);
  const uuid = entry?.uuid ?? lake.flush.uuidNamed(schema, name);
  if (uuid === null || taken.has(uuid)) return { uuid: randomUUID(), uuidIs: 'made' };
  return { uuid, uuidIs: 'guessed' };
}

const folderOf = (location: string): string => location.slice(0, location.lastIndexOf('/'));

function defOf(lake: Pick<Lake, 'flush'>, row: CatalogRow, loaded: LoadedTable | null, uuid: string): TableDef {
  if (loaded !== null) {
    try {
      return tableDef(loaded);
    } catch {
      // it is a part of what cannot be read
    }
  }
  return lake.flush.def(uuid) ?? unknownDef(uuid, row.schema, row.name);
}
