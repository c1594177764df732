/**
 * The lake thread's functions: catalog, table metadata, commits, flush manifest.
 *
 * - L1 Calls for one table take turns in its lane; tables do not wait for each other.
 * - L2 Order of durability of a commit: data and delete files, manifests, list and metadata file, then the swap.
 * - L3 A commit whose LSN the table's properties already have is answered, not repeated; a swap with unknown outcome is
 *   decided by the commit-id in the catalog.
 * - L4 A segment at or below the LSN that the table has in this log is in it already: its commit went through, and main
 *   did not hear of it, because what came after the swap failed. It is not added once more (V4).
 */
import { randomInt } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../clock.ts';
import { invariant, SqlError, SqlState } from '../../errors.ts';
import type { Lsn } from '../../table-def.ts';
import { lockDataDir } from '../disk/data-dir.ts';
import { diskUsage } from '../disk/disk-usage.ts';
import { fileCache, type FileCache } from '../disk/file-cache.ts';
import { checkFiles } from '../disk/check-files.ts';
import { openFlushStore, type FlushStore } from '../disk/flush-store.ts';
import { buildAttempt, type Attempt, type CommitContext, type PlacedDelete } from './commit.ts';
import type { CommitRequest, CommitResult, Detached, LakeApi, LakeSettings, TableState } from './lake-api.ts';
import { define, newLocation, sequencesProperty, tablesOf } from './definitions.ts';
import { setIndexes } from './index-property.ts';
import { forgetFolders } from './local-store.ts';
import { collectGarbage, rewrite, vacuum, type TableAccess } from './maintenance.ts';
import { committed, currentSnapshot, Property, uuidText, type LoadedTable } from './metadata.ts';
import type { ObjectStore } from './object-store.ts';
import { objectStores } from './object-stores.ts';
import { isRemote, warehouseLocation } from './paths.ts';
import { abandon, place, placeSegments } from './placement.ts';
import { reattach } from './reattach.ts';
import { storedRights, storeRights } from './rights-step.ts';
import { loggedFrames } from '../log/logged-frames.ts';
import { descends, rescueTable } from './recovery.ts';
import { removeSequence, storeSequence } from './sequence-store.ts';
import { loadAll, reopen } from './load-tables.ts';
import { restoreLostCatalog } from './lost-catalog.ts';
import { checkCatalog, sealCatalog } from './catalog-seal.ts';
import { openCatalog, type SqliteCatalog } from './sqlite-catalog.ts';
import { tableReader, type TableReader } from './table-reader.ts';
import { adoptNew, whereIs } from './gone-table.ts';
import { wentBack } from './went-back.ts';
import { identify } from './unreadable-table.ts';

const ATTEMPTS_MAX = 20;

/** A table by uuid: where the catalog has it, and the metadata last told to main. */
interface Known {
  schema: string;
  name: string;
  readonly location: string;
  reported: string;
  /** The log-id in its properties that commits of ours may replace (owner check, C2). */
  logId: string | null;
}

export interface Lake {
  readonly settings: LakeSettings;
  readonly clock: Clock;
  readonly store: ObjectStore;
  readonly cache: FileCache;
  readonly reader: TableReader;
  readonly catalog: SqliteCatalog;
  readonly flush: FlushStore;
  readonly known: Map<string, Known>;
  readonly lanes: Map<string, Promise<unknown>>;
  readonly detached: Map<string, Detached>;
  /** Segments put into a remote warehouse and not committed yet: a commit that is tried again does not send them again. */
  readonly uploaded: Map<string, Promise<void>>;
  readonly unlock: () => void;
}

export function createLake(clock: Clock): LakeApi {
  let opened: Lake | null = null;
  let unlock: (() => void) | null = null;
  const lake = (): Lake => {
    invariant(opened !== null, 'the lake is open');
    return opened;
  };
  return {
    lock: async (dataDir) => {
      unlock = lockDataDir(dataDir);
    },
    open: async (settings) => {
      invariant(opened === null, 'the lake is opened once');
      const locked = unlock ?? lockDataDir(settings.dataDir);
      unlock = null;
      const built = await openLake(settings, clock, locked);
      try {
        const state = await loadAll(built);
        opened = built;
        return state;
      } catch (error) {
        closeLake(built);
        throw error;
      }
    },
    newLocation: async (def) => newLocation(lake(), def),
    define: (request) => inLanes(lake(), tablesOf(request), () => define(lake(), ACCESS, request)),
    storeSequence: async (stored) => storeSequence(lake().catalog, stored),
    removeSequence: async ({ schema, name }) => removeSequence(lake().catalog, schema, name),
    writeFlush: (manifest) => inLane(lake(), manifest.tableUuid, () => lake().flush.writeFlush(manifest)),
    upload: (segments) =>
      placeSegments(
        lake(),
        segments.filter((segment) => isRemote(segment.location)),
      ),
    commit: (request) => inLane(lake(), request.tableUuid, () => commit(lake(), request)),
    rewrite: (request) => inLane(lake(), request.tableUuid, () => rewrite(lake(), ACCESS, request)),
    abandon: (locations) => abandon(lake(), locations),
    setIndexes: (request) => inLane(lake(), request.tableUuid, () => setIndexes(lake(), ACCESS, request)),
    vacuum: (uuid) => inLane(lake(), uuid, () => vacuum(lake(), ACCESS, uuid)),
    collectGarbage: (due) => collectGarbage(lake(), due),
    refresh: (request) => inLane(lake(), request.tableUuid, () => refresh(lake(), request)),
    whereIs: (uuid) => inLane(lake(), uuid, () => whereIs(lake(), uuid)),
    adoptNew: ({ schema, name }) => adoptNew(lake(), schema, name),
    rescue: (uuid) => inLane(lake(), uuid, () => rescueTable(lake(), uuid)),
    reattach: (request) => inLane(lake(), request.tableUuid, () => reattach(lake(), request, commit)),
    removeFiles: async (paths) => {
      for (const path of paths) await rm(path, { force: true });
    },
    fetchFile: (path) => lake().cache.fetch(path),
    cancelFetch: (path) => lake().cache.cancel(path),
    fetchParts: (request) => lake().cache.fetchParts(request),
    reopen: (request) => inLane(lake(), request.tableUuid, () => reopen(lake(), request)),
    identify: (uuid) => inLane(lake(), uuid, () => identify(lake(), uuid)),
    logFrames: async (request) => loggedFrames(request),
    checkFiles: (paths) => checkFiles(lake(), paths),
    readRoles: async () => storedRights(lake()),
    writeRoles: async (text) => storeRights(lake(), text),
    diskUsage: () => diskUsage(lake().settings.dataDir),
    shutdown: async () => {
      unlock?.();
      unlock = null;
      if (opened === null) return;
      const closing = opened;
      await Promise.allSettled(closing.lanes.values());
      opened = null;
      closeLake(closing);
    },
  };
}

async function openLake(settings: LakeSettings, clock: Clock, unlock: () => void): Promise<Lake> {
  try {
    forgetFolders();
    warehouseLocation(settings.warehouse); // refuses what no store is there for
    const flush = await openFlushStore(settings.dataDir);
    try {
      const catalogPath = join(settings.dataDir, 'catalog.db');
      const catalog = openCatalog(catalogPath, settings.catalogName);
      try {
        if (settings.restoreCatalog !== true) checkCatalog(catalog, catalogPath, flush);
        restoreLostCatalog(catalog, catalogPath, flush, settings);
      } catch (error) {
        catalog.close();
        throw error;
      }
      const random = (): number => randomInt(2 ** 32) / 2 ** 32;
      const store = objectStores(settings.s3 ?? { endpoint: '', region: '', pathStyle: false }, clock, random);
      const cache = fileCache(settings.dataDir, store, flush.sums);
      return {
        settings,
        clock,
        store,
        cache,
        reader: tableReader(store, cache.pathOf, settings.manifestBytesMax),
        catalog,
        flush,
        known: new Map(),
        lanes: new Map(),
        detached: new Map(),
        uploaded: new Map(),
        unlock,
      };
    } catch (error) {
      flush.close();
      throw error;
    }
  } catch (error) {
    unlock();
    throw error;
  }
}

function closeLake(lake: Lake): void {
  try {
    sealCatalog(lake.catalog, join(lake.settings.dataDir, 'catalog.db'), lake.flush);
  } catch {
    // it is not known then how it was left
  }
  lake.catalog.close();
  lake.flush.close();
  lake.unlock();
}

async function inLane<T>(lake: Lake, uuid: string, work: () => Promise<T>): Promise<T> {
  const before = lake.lanes.get(uuid) ?? Promise.resolve();
  const turn = before.then(work, work);
  const quiet = turn.catch(() => undefined);
  lake.lanes.set(uuid, quiet);
  try {
    return await turn;
  } finally {
    if (lake.lanes.get(uuid) === quiet) lake.lanes.delete(uuid);
  }
}

/** The lanes of several tables, taken one after another: only one asks for more than one at a time. */
function inLanes<T>(lake: Lake, uuids: readonly string[], work: () => Promise<T>): Promise<T> {
  const [first, ...rest] = uuids;
  return first === undefined ? work() : inLane(lake, first, () => inLanes(lake, rest, work));
}

/** The table as the catalog has it now. @throws 42P01 when it is gone or another table has its name */
async function load(lake: Lake, uuid: string): Promise<LoadedTable> {
  const known = lake.known.get(uuid);
  if (known === undefined) throw new SqlError(SqlState.undefinedTable, `table with uuid ${uuid} does not exist`);
  const location = lake.catalog.find(known.schema, known.name);
  const gone = (): SqlError =>
    new SqlError(
      SqlState.undefinedTable,
      `table "${known.schema}"."${known.name}" was dropped or replaced by another client of the catalog`,
    );
  if (location === null) throw gone();
  const metadata = await lake.reader.metadata(location);
  if (metadata['table-uuid'] !== uuid) throw gone();
  return { schema: known.schema, name: known.name, metadataLocation: location, metadata };
}

async function refresh(
  lake: Lake,
  request: { readonly tableUuid: string; readonly metadataLocation: string },
): Promise<TableState | null> {
  const known = lake.known.get(request.tableUuid);
  if (known !== undefined && lake.catalog.find(known.schema, known.name) === request.metadataLocation) return null;
  const table = await load(lake, request.tableUuid);
  const state = await lake.reader.state(table);
  lake.known.get(request.tableUuid)!.reported = table.metadataLocation;
  lake.flush.distrustGarbage(request.tableUuid); // another history may need what ours does not
  return state;
}

async function commit(lake: Lake, request: CommitRequest): Promise<CommitResult> {
  let base = await load(lake, request.tableUuid);
  const known = lake.known.get(request.tableUuid)!;
  if (isCommitted(base, { lsnTo: request.lsn }, request))
    return finish(lake, request, base, {
      deletes: [],
      retries: 0,
      // Delete files whose names main never heard are told as what another writer did.
      foreign: base.metadataLocation !== known.reported || request.deletes.length > 0,
      noted: () => {},
    });
  const context = commitContext(lake, request.tableUuid);
  const commitId = uuidText();
  const added = request.segments.filter((segment) => !isCommitted(base, segment, request));
  const dropped = (request.dropped ?? []).filter(
    ({ lsnTo }) => lsnTo === null || isCommitted(base, { lsnTo }, request),
  );
  const deletes = await place(lake, context, added, request.deletes, commitId);
  const change = {
    added,
    deletes,
    removed: new Set<string>(),
    dropped: new Set(dropped.map(({ location }) => location)),
    removedDeletes: new Set(request.removedDeletes),
    properties: {
      [Property.logId]: request.logId,
      [Property.lsn]: String(request.lsn),
      ...sequencesProperty(lake, request.tableUuid),
    },
    trigger: request.trigger,
  };
  for (let retries = 0; ; retries++) {
    const previous = currentSnapshot(base.metadata);
    checkLineage(lake, base);
    checkOwner(base, request.logId, known.logId);
    let attempt: Attempt;
    try {
      // What another writer did is told with the answer: where it cannot be read, nothing takes place.
      if (base.metadataLocation !== known.reported) await lake.reader.state(base);
      attempt = await buildAttempt(context, base, change, commitId);
    } catch (error) {
      context.discard(deletes.map((placed) => placed.location));
      throw error;
    }
    if (await swapped(lake, base, attempt, commitId)) {
      const after = { ...base, metadataLocation: attempt.metadataLocation, metadata: attempt.metadata };
      invariant(
        attempt.snapshotId !== null || currentSnapshot(after.metadata)?.['snapshot-id'] === previous?.['snapshot-id'],
        'a commit of properties keeps the head',
      );
      const foreign = base.metadataLocation !== known.reported;
      const noted = (): void => collected(lake, base, attempt);
      return finish(lake, request, after, { deletes, retries, foreign, noted });
    }
    context.discard(attempt.written);
    if (retries >= ATTEMPTS_MAX) {
      context.discard(deletes.map((placed) => placed.location));
      throw new SqlError(
        SqlState.serializationFailure,
        `could not commit to table "${base.name}": other writers were faster ${ATTEMPTS_MAX} times`,
      );
    }
    base = await load(lake, request.tableUuid);
  }
}

/** C6: a commit on a catalog that went back would leave out, for good, what was committed in between. */
function checkLineage(lake: Lake, base: LoadedTable): void {
  const logId = lake.settings.log?.logId ?? null;
  const last = lake.flush.seen(base.metadata['table-uuid']);
  if (last === null || last.logId !== logId || last.lsn === 0) return;
  const said = committed(base.metadata);
  if (said.logId !== logId) return; // the owner check's to say
  const back = wentBack({ ...base, logId: said.logId, committedLsn: said.lsn }, last, logId);
  if (back !== null) {
    const { message, detail, hint } = back;
    throw new SqlError(SqlState.objectNotInPrerequisiteState, message, { detail, hint });
  }
  // What a commit says of deletes is made of a history that main has heard of.
  const isNews = base.metadataLocation !== lake.known.get(base.metadata['table-uuid'])!.reported;
  if (isNews && last.snapshotId !== null && !descends(base.metadata, last.snapshotId))
    throw new SqlError(
      SqlState.serializationFailure,
      `could not serialize access: another client has given table "${base.schema}"."${base.name}" another history`,
    );
}

/** Two servers that write one table would each take the other's LSNs for their own: the first that stamps its log wins (C2). */
function checkOwner(base: LoadedTable, ours: string | null, mayReplace: string | null): void {
  const { logId } = committed(base.metadata);
  if (logId === ours || logId === mayReplace) return;
  throw new SqlError(
    SqlState.objectNotInPrerequisiteState,
    `table "${base.schema}"."${base.name}" is committed by another Arka server, with log ${logId}`,
    {
      detail: `Metadata file "${base.metadataLocation}"; owner "${base.metadata.properties?.[Property.owner] ?? ''}".`,
      hint: 'One server writes a table: stop the other one, then run arka doctor --accept here.',
    },
  );
}

function commitContext(lake: Lake, uuid: string): CommitContext {
  const now = (): number => Math.floor(lake.clock.now());
  return {
    store: lake.store,
    reader: lake.reader,
    tableUuid: uuid,
    expiry: lake.settings,
    fileGraceMs: lake.settings.fileGraceMs,
    owner: lake.settings.owner,
    now,
    discard: (locations) => {
      const due = locations.map((location) => ({ location, removedSequence: null, dueMs: now() }));
      try {
        lake.flush.addGarbage(uuid, due);
      } catch (error) {
        // Why the commit failed is what must be told.
        process.emitWarning(`${due.length} files of a failed commit are left: ${(error as Error).message}`, 'ArkaLake');
      }
    },
  };
}

function isCommitted(table: LoadedTable, what: { readonly lsnTo: Lsn }, request: CommitRequest): boolean {
  const { logId, lsn } = committed(table.metadata);
  return logId === request.logId && lsn >= what.lsnTo;
}

/**
 * Puts the attempt into the catalog, and what it replaces on the list of files to delete late.
 * L3: an error of the swap says nothing about its outcome; the catalog does.
 */
async function swap(lake: Lake, base: LoadedTable, attempt: Attempt, commitId: string): Promise<boolean> {
  if (!(await swapped(lake, base, attempt, commitId))) return false;
  collected(lake, base, attempt);
  return true;
}

/** What a swap that took place has replaced goes on the list of files to delete late. */
function collected(lake: Lake, base: LoadedTable, attempt: Attempt): void {
  const uuid = base.metadata['table-uuid'];
  lake.reader.forget(attempt.garbage.map(({ location }) => location));
  try {
    if (base.metadataLocation !== lake.known.get(uuid)!.reported) lake.flush.distrustGarbage(uuid);
    lake.flush.addGarbage(uuid, attempt.garbage);
    const due = Math.floor(lake.clock.now()) + lake.settings.fileGraceMs;
    lake.flush.ripenGarbage(uuid, attempt.oldestSequence, due);
  } catch (error) {
    // The commit has taken place; what is not on the list is found as orphans.
    process.emitWarning(`the list of files to delete is not up to date: ${String(error)}`, 'ArkaLake');
  }
}

async function swapped(lake: Lake, base: LoadedTable, attempt: Attempt, commitId: string): Promise<boolean> {
  try {
    const { schema, name, metadataLocation } = base;
    const { catalog } = lake;
    return await catalog.together(() => catalog.swap(schema, name, metadataLocation, attempt.metadataLocation));
  } catch (error) {
    const now = await load(lake, base.metadata['table-uuid']).catch((cause: unknown) => {
      throw new SqlError(
        SqlState.transactionResolutionUnknown,
        `the catalog did not say whether a commit to table "${base.name}" took place`,
        { cause },
      );
    });
    if (committed(now.metadata).commitId === commitId) return true;
    if (now.metadataLocation === base.metadataLocation) throw error;
    return false;
  }
}

/** What maintenance.ts shares with commits. */
const ACCESS: TableAccess = {
  load: async (lake, uuid) => {
    const table = await load(lake, uuid);
    checkLineage(lake, table);
    checkOwner(table, lake.settings.log?.logId ?? null, lake.known.get(uuid)!.logId);
    return table;
  },
  place,
  swap,
  collected,
  context: commitContext,
};

async function finish(
  lake: Lake,
  request: CommitRequest,
  table: LoadedTable,
  outcome: {
    readonly deletes: readonly PlacedDelete[];
    readonly retries: number;
    readonly foreign: boolean;
    /** Writes down what the commit has replaced. */
    readonly noted: () => void;
  },
): Promise<CommitResult> {
  const { tableUuid: uuid, logId } = request;
  const snapshotId = currentSnapshot(table.metadata)?.['snapshot-id'] ?? null;
  const { lsn } = committed(table.metadata);
  // First what can fail: main must hear of the other writers' changes, if not now, then when it asks again.
  const foreign = outcome.foreign
    ? await lake.reader.state(table).catch((error: unknown) => {
        outcome.noted();
        throw error;
      })
    : null;
  const { metadataLocation } = table;
  const locations = request.segments.map((segment) => segment.location);
  await lake.flush.together(() => {
    outcome.noted();
    lake.flush.saw(uuid, { logId, lsn, snapshotId, metadataLocation });
    lake.flush.dropCommitted(uuid, logId, request.lsn, locations);
  });
  const known = lake.known.get(uuid)!;
  known.reported = metadataLocation;
  known.logId = logId;
  for (const { location } of request.segments) lake.uploaded.delete(location);
  return {
    metadataLocation: table.metadataLocation,
    snapshotId: snapshotId ?? -1n,
    files: request.segments.length,
    rows: request.segments.reduce((sum, segment) => sum + segment.rows, 0),
    deletes: outcome.deletes.reduce((sum, file) => sum + file.rows, 0),
    bytes: [...request.segments, ...outcome.deletes].reduce((sum, file) => sum + file.bytes, 0),
    retries: outcome.retries,
    paths: request.segments.map(({ location }) => ({ location, path: lake.cache.pathOf(location) })),
    deleteLocations: outcome.deletes.map((file) => file.location),
    foreign,
  };
}
