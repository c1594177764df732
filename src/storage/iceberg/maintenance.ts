/**
 * What keeps a table small: rewritten files swapped in, snapshots expired, files deleted that nothing needs any more.
 *
 * - M1 A rewrite is swapped in only on a head where its inputs are live and have no deletes that main has not carried
 *   over: what another writer deleted from them since is told, and the rewrite asked for again (C7).
 * - M2 A replaced or expired file is deleted `iceberg.file_grace` after the last snapshot that needs it has left; tags and
 *   branches hold theirs (H15). The list is in flush.db; what a failure after the swap kept from it VACUUM finds again as orphans.
 * - M3 An orphan lies below the table's own data and metadata folders, has a name that no metadata, list or manifest
 *   of the table has, and is older than the grace and ORPHAN_AGE_MS: a commit of another writer may be on its way.
 */
import { SqlError, SqlState } from '../../errors.ts';
import type { DueGarbage } from '../disk/flush-store.ts';
import { buildAttempt, type Attempt, type CommitContext, type PlacedDelete } from './commit.ts';
import type { Lake } from './lake.ts';
import type { CommitResult, DeleteFile, RewriteRequest, Segment, VacuumResult } from './lake-api.ts';
import { Content, deleteTarget, EntryStatus, type ManifestEntry, type ManifestFile } from './manifest.ts';
import { committed, currentSnapshot, expire, nextTimestamp, uuidText, type LoadedTable } from './metadata.ts';
import type { TableReader } from './table-reader.ts';

export interface TableAccess {
  load(lake: Lake, uuid: string): Promise<LoadedTable>;
  place(
    lake: Lake,
    context: CommitContext,
    segments: readonly Segment[],
    deletes: readonly DeleteFile[],
    commitId: string,
  ): Promise<PlacedDelete[]>;
  swap(lake: Lake, base: LoadedTable, attempt: Attempt, commitId: string): Promise<boolean>;
  /** After a swap by other means: what it has replaced goes late. */
  collected(lake: Lake, base: LoadedTable, attempt: Attempt): void;
  context(lake: Lake, uuid: string): CommitContext;
}

const ATTEMPTS_MAX = 20;
const GARBAGE_BATCH = 100;
const GARBAGE_RETRY_MS = 60_000;
const ORPHAN_AGE_MS = 3600_000;
const ORPHAN_BATCH = 500;

export async function rewrite(lake: Lake, access: TableAccess, request: RewriteRequest): Promise<CommitResult | null> {
  const uuid = request.tableUuid;
  const known = lake.known.get(uuid)!;
  const removed = new Set(request.removed);
  const { commitId } = request;
  let placed: readonly PlacedDelete[] = [];
  const context = access.context(lake, uuid);
  const undo = (): void => context.discard(placed.map((file) => file.location));
  for (let retries = 0; ; retries++) {
    const base = await access.load(lake, uuid);
    const foreign = base.metadataLocation !== known.reported;
    if (committed(base.metadata).commitId === commitId) return finish(lake, request, base, { retries, foreign: true });
    if (await hasNewDeletes(lake.reader, base, request, removed)) {
      undo();
      return null;
    }
    if (retries === 0) placed = await access.place(lake, context, request.added, request.deletes, commitId);
    const change = {
      added: request.added,
      deletes: placed,
      removed,
      removedDeletes: new Set(request.removedDeletes),
      properties: {},
      trigger: request.trigger,
    };
    let attempt: Attempt;
    try {
      attempt = await buildAttempt(context, base, change, commitId);
    } catch (error) {
      undo();
      throw error;
    }
    const after = { ...base, metadataLocation: attempt.metadataLocation, metadata: attempt.metadata };
    try {
      if (await access.swap(lake, base, attempt, commitId))
        return await finish(lake, request, after, { retries, foreign });
    } catch (error) {
      if (await tookPlace(lake, access, request)) throw unknown(base, error);
      undo();
      throw error;
    }
    context.discard(attempt.written);
    if (retries < ATTEMPTS_MAX) continue;
    undo();
    throw new SqlError(
      SqlState.serializationFailure,
      `could not swap rewritten files into table "${base.name}": other writers were faster ${ATTEMPTS_MAX} times`,
    );
  }
}

/** Whether the swap succeeded, or nobody can say: what it put there must stay. */
async function tookPlace(lake: Lake, access: TableAccess, { commitId, tableUuid }: RewriteRequest): Promise<boolean> {
  try {
    return committed((await access.load(lake, tableUuid)).metadata).commitId === commitId;
  } catch {
    return true;
  }
}

function unknown(base: LoadedTable, cause: unknown): SqlError {
  return new SqlError(
    SqlState.transactionResolutionUnknown,
    `a swap of rewritten files into table "${base.name}" was not confirmed`,
    { cause },
  );
}

async function finish(
  lake: Lake,
  request: RewriteRequest,
  table: LoadedTable,
  { retries, foreign }: { readonly retries: number; readonly foreign: boolean },
): Promise<CommitResult> {
  // First what can fail: main must hear of the other writers' changes, if not now, then when it asks again.
  const others = foreign ? await lake.reader.state(table) : null;
  told(lake, table);
  for (const { location } of request.added) lake.uploaded.delete(location);
  return {
    metadataLocation: table.metadataLocation,
    snapshotId: currentSnapshot(table.metadata)!['snapshot-id'],
    files: request.added.length,
    rows: request.added.reduce((sum, file) => sum + file.rows, 0),
    deletes: request.deletes.reduce((sum, file) => sum + file.rows, 0),
    bytes: [...request.added, ...request.deletes].reduce((sum, file) => sum + file.bytes, 0),
    retries,
    paths: request.added.map(({ location }) => ({ location, path: lake.cache.pathOf(location) })),
    deleteLocations: [],
    foreign: others,
  };
}

/** Main knows this metadata now. */
export function told(lake: Lake, table: LoadedTable): void {
  const uuid = table.metadata['table-uuid'];
  const { logId, lsn } = committed(table.metadata);
  lake.known.get(uuid)!.reported = table.metadataLocation;
  if (logId === null) return;
  const snapshotId = currentSnapshot(table.metadata)?.['snapshot-id'] ?? null;
  try {
    lake.flush.saw(uuid, { logId, lsn, snapshotId, metadataLocation: table.metadataLocation });
  } catch (error) {
    // Its LSN is no other than the one noted before.
    process.emitWarning(`what was last seen of table ${uuid} is not up to date: ${String(error)}`, 'ArkaLake');
  }
}

/** M1. Whether the head has deletes, younger than what main knows, that may be of rows of the inputs. */
async function hasNewDeletes(
  reader: TableReader,
  head: LoadedTable,
  request: RewriteRequest,
  removed: ReadonlySet<string>,
): Promise<boolean> {
  if (head.metadataLocation === request.metadataLocation) return false;
  const before = (await reader.metadata(request.metadataLocation))['last-sequence-number'];
  const manifests = await reader.manifests(currentSnapshot(head.metadata));
  const fresh = new Map<ManifestFile, readonly ManifestEntry[]>();
  for (const manifest of manifests) {
    if (manifest.content !== 1) continue;
    const entries = (await reader.entries(manifest)).filter(
      (entry) => entry.status !== EntryStatus.deleted && (entry.sequence ?? 0n) > before,
    );
    if (entries.some((entry) => concerns(entry, removed))) return true;
    const shared = entries.filter((entry) => deleteTarget(entry.file) === null);
    if (shared.length > 0) fresh.set(manifest, shared);
  }
  if (fresh.size === 0) return false;
  const places = new Set<string>();
  for (const manifest of manifests) {
    if (manifest.content !== 0) continue;
    for (const { status, file } of await reader.entries(manifest))
      if (status !== EntryStatus.deleted && removed.has(file.file_path)) places.add(placeOf(manifest, file.partition));
  }
  return [...fresh].some(([manifest, entries]) =>
    entries.some((entry) => places.has(placeOf(manifest, entry.file.partition))),
  );
}

/** By what it says itself; a file of deletes for a whole partition says nothing. */
function concerns({ file }: ManifestEntry, removed: ReadonlySet<string>): boolean {
  if (file.content === Content.equalityDeletes) return true;
  const target = deleteTarget(file);
  return target !== null && removed.has(target);
}

function placeOf(manifest: ManifestFile, partition: object): string {
  return `${manifest.partition_spec_id} ${JSON.stringify(partition, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))}`;
}

/** M2. How many were deleted. What could not be is tried again later: what came before has succeeded whatever becomes of this. */
export async function collectGarbage(lake: Lake, due: DueGarbage | null): Promise<number> {
  let count = 0;
  for (;;) {
    const now = Math.floor(lake.clock.now());
    const locations = lake.flush.takeGarbage(due ?? { tableUuid: null, beforeMs: now + 1 }, GARBAGE_BATCH);
    try {
      await lake.store.delete(locations);
    } catch (error) {
      process.emitWarning(
        `${locations.length} old files are still to be deleted: ${(error as Error).message}`,
        'ArkaLake',
      );
      const again = locations.map((location) => ({ location, removedSequence: null, dueMs: now + GARBAGE_RETRY_MS }));
      lake.flush.addGarbage('', again);
      return count;
    }
    count += locations.length;
    if (locations.length < GARBAGE_BATCH) return count;
  }
}

export async function vacuum(lake: Lake, access: TableAccess, uuid: string): Promise<VacuumResult> {
  const { table, expired } = await expireSnapshots(lake, access, uuid);
  const orphanFiles = await removeOrphans(lake, table);
  return { metadataLocation: lake.known.get(uuid)!.reported, expiredSnapshots: expired, orphanFiles };
}

async function expireSnapshots(
  lake: Lake,
  access: TableAccess,
  uuid: string,
): Promise<{ readonly table: LoadedTable; readonly expired: number }> {
  const known = lake.known.get(uuid)!;
  for (let retries = 0; ; retries++) {
    const base = await access.load(lake, uuid);
    const now = nextTimestamp(base.metadata, Math.floor(lake.clock.now()));
    const { expired } = expire(base.metadata, now, lake.settings);
    if (expired.length === 0) return { table: base, expired: 0 };
    const commitId = uuidText();
    const none = new Set<string>();
    const change = { added: [], deletes: [], removed: none, removedDeletes: none, properties: {}, trigger: 'vacuum' };
    const context = access.context(lake, uuid);
    const attempt = await buildAttempt(context, base, change, commitId);
    const foreign = base.metadataLocation !== known.reported;
    if (await access.swap(lake, base, attempt, commitId)) {
      const table = { ...base, metadataLocation: attempt.metadataLocation, metadata: attempt.metadata };
      // What another writer changed is still to be told: a refresh will see another location than the one reported.
      if (!foreign) told(lake, table);
      return { table, expired: expired.length };
    }
    context.discard(attempt.written);
    if (retries >= ATTEMPTS_MAX)
      throw new SqlError(
        SqlState.serializationFailure,
        `could not expire snapshots of table "${base.name}": other writers were faster ${ATTEMPTS_MAX} times`,
      );
  }
}

const OWN_KINDS = /\.(parquet|avro|orc|puffin|stats|metadata\.json)$/;

/** M3. How many were deleted. */
async function removeOrphans(lake: Lake, table: LoadedTable): Promise<number> {
  const { location } = table.metadata;
  const within = (each: string): boolean => each.startsWith(`${location}/`);
  for (const other of lake.catalog.tables())
    if (within(other.metadataLocation) && other.metadataLocation !== table.metadataLocation) return 0;
  const named = await namedFiles(lake, table);
  const before = lake.clock.now() - Math.max(lake.settings.fileGraceMs, ORPHAN_AGE_MS);
  let orphans: string[] = [];
  let count = 0;
  for (const folder of ['data', 'metadata']) {
    for await (const object of lake.store.list(`${location}/${folder}/`)) {
      // Without an age (no time, or that of 1970) an object stays.
      const old = object.modifiedMs > 0 && object.modifiedMs <= before;
      if (!old || !within(object.location) || !OWN_KINDS.test(object.location)) continue;
      if (named.has(nameOf(object.location))) continue;
      orphans.push(object.location);
      count++;
      if (orphans.length < ORPHAN_BATCH) continue;
      await lake.store.delete(orphans);
      orphans = [];
    }
  }
  await lake.store.delete(orphans);
  return count;
}

/** The last part of a location. Compared alone: writers spell schemes and hosts in several ways, and names are unique. */
function nameOf(location: string): string {
  return location.slice(location.lastIndexOf('/') + 1);
}

/** Names of everything that a reader of any snapshot, or a commit of ours, may still open. */
async function namedFiles(lake: Lake, table: LoadedTable): Promise<ReadonlySet<string>> {
  const { metadata } = table;
  const uuid = metadata['table-uuid'];
  const named = new Set([nameOf(table.metadataLocation)]);
  const add = (location: string | undefined): void => void (location !== undefined && named.add(nameOf(location)));
  for (const entry of metadata['metadata-log'] ?? []) add(entry['metadata-file']);
  for (const statistics of [...(metadata.statistics ?? []), ...(metadata['partition-statistics'] ?? [])])
    add(statistics['statistics-path']);
  const seen = new Set<string>();
  for (const snapshot of metadata.snapshots ?? []) {
    add(snapshot['manifest-list']);
    for (const manifest of await lake.reader.manifests(snapshot)) {
      if (seen.has(manifest.manifest_path)) continue;
      seen.add(manifest.manifest_path);
      add(manifest.manifest_path);
      for (const { status, file } of await lake.reader.entries(manifest))
        if (status !== EntryStatus.deleted) add(file.file_path);
    }
  }
  for (const location of lake.flush.garbage(uuid)) add(location);
  const { flush, damage } = lake.flush.read(uuid);
  if (damage !== null) throw damage; // what is uploaded and not committed yet is named there alone
  for (const segment of flush?.segments ?? []) add(segment.location);
  return named;
}
