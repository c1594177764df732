/** What the catalog has, read at a start and, of one table, again: each table whole, detached with a reason, or not shown. */
import { SqlError, SqlState } from '../../errors.ts';
import { sideBySide } from '../../side-by-side.ts';
import type { CachedFile } from '../disk/file-cache.ts';
import { storedComments } from './comment-store.ts';
import type { Lake } from './lake.ts';
import type { LakeState, RecoveredTable, ReopenRequest, TableState } from './lake-api.ts';
import { collectGarbage } from './maintenance.ts';
import { Property, type LoadedTable } from './metadata.ts';
import { logNow, recoverTable, rescueLost } from './recovery.ts';
import { adoptSequences, storedSequences } from './sequence-store.ts';
import type { CatalogRow } from './sqlite-catalog.ts';
import { areAllProven, isUnreadable } from './unreadable.ts';
import { guessUuid, provenUuid, readTable, unreadableTable, type Identity } from './unreadable-table.ts';
import { storedViews } from './view-store.ts';

/** Tables that a start reads side by side. */
const LOADS_MAX = 8;
const DEFAULT_SCHEMA = 'public';

/** A start: every table that the catalog has, as far as it can be read. */
export async function loadAll(lake: Lake): Promise<LakeState> {
  const { catalog } = lake;
  catalog.createSchema(DEFAULT_SCHEMA);
  const found = await sideBySide(catalog.tables(), LOADS_MAX, (row) => loadTable(lake, row));
  const uuids = new Set(found.flatMap(({ uuid }) => (uuid === null ? [] : [uuid])));
  const loaded = found.map((each) => {
    if (each.unproven === null) return each;
    const { row, error } = each.unproven;
    const guessed = withoutFiles(lake, row, null, error, guessUuid(lake, row, uuids));
    if (guessed.uuid !== null) uuids.add(guessed.uuid);
    return guessed;
  });
  const tables = loaded.flatMap(({ table }) => (table === null ? [] : [table]));
  const areAllKnown = areAllProven(tables);
  const lost = areAllKnown ? await rescueLost(lake, uuids) : []; // U4
  // While rows are missed, a file that nothing names may be what has them.
  if (!tables.some(({ detached }) => detached !== null && detached.reason !== 'catalog')) await lake.flush.sweep();
  if (areAllKnown) await collectGarbage(lake, null);
  const [sequences, views] = [storedSequences(catalog), storedViews(catalog)];
  const comments = storedComments(catalog);
  return {
    schemas: catalog.schemas(),
    sequences,
    views,
    comments,
    tables,
    lost,
    cached: await checkCache(lake, tables),
  };
}

/** An entry of the catalog; without a table where it is not shown. */
interface Loaded {
  readonly uuid: string | null;
  readonly table: RecoveredTable | null;
  /** Not null: which table it is nothing proves. */
  readonly unproven: { readonly row: CatalogRow; readonly error: SqlError } | null;
}

async function loadTable(lake: Lake, row: CatalogRow): Promise<Loaded> {
  const read = await readTable(lake, row);
  if (read.kind === 'unreadable') {
    const { error, loaded } = read;
    const uuid = provenUuid(lake, row, loaded);
    if (uuid === null) return { uuid: null, table: null, unproven: { row, error } };
    return withoutFiles(lake, row, loaded, error, { uuid, uuidIs: 'proven' });
  }
  const { loaded, state } = read;
  let table: RecoveredTable;
  try {
    table = await recoverTable(lake, loaded, state);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return withoutFiles(lake, row, loaded, error, { uuid: state.def.uuid, uuidIs: 'proven' });
  }
  const { uuid } = state.def;
  const { schema, name, metadataLocation: reported } = row;
  lake.known.set(uuid, { schema, name, location: state.location, reported, logId: state.logId });
  lake.flush.remember(state.def);
  adoptSequences(lake.catalog, state.def, loaded.metadata.properties?.[Property.sequences]);
  if (table.detached !== null) {
    lake.detached.set(uuid, table.detached);
    lake.flush.forgetGarbage(uuid); // its catalog may stand where such files are needed
  }
  return { uuid, table, unproven: null };
}

function withoutFiles(
  lake: Lake,
  row: CatalogRow,
  loaded: LoadedTable | null,
  error: SqlError,
  identity: Identity,
): Loaded {
  const table = unreadableTable(lake, row, loaded, error, identity);
  if (table !== null) return { uuid: table.def.uuid, table: detachUnreadable(lake, row, table), unproven: null };
  // What Arka cannot hold is another engine's business: it stays in the catalog, and is not shown.
  process.emitWarning(`table "${row.schema}"."${row.name}" is not shown: ${error.message}`, 'ArkaLake');
  return { uuid: loaded?.metadata['table-uuid'] ?? null, table: null, unproven: null };
}

/** A table that was detached, by what its files say now. */
export async function reopen(lake: Lake, request: ReopenRequest): Promise<RecoveredTable> {
  const { tableUuid: uuid } = request;
  const place = lake.known.get(uuid);
  if (place === undefined) throw new SqlError(SqlState.undefinedTable, `table with uuid ${uuid} does not exist`);
  const { schema, name } = place;
  const metadataLocation = lake.catalog.find(schema, name);
  const before = lake.detached.get(uuid);
  lake.detached.delete(uuid);
  const known = new Set(lake.known.keys());
  const { log = null } = lake.settings;
  const now = { ...lake, settings: { ...lake.settings, log: log === null ? null : logNow(log, request) } };
  const loaded = metadataLocation === null ? null : await loadTable(now, { schema, name, metadataLocation });
  if (loaded?.uuid === uuid && loaded.table !== null) return loaded.table;
  if (loaded !== null && loaded.unproven !== null) {
    if (before !== undefined) lake.detached.set(uuid, before);
    throw loaded.unproven.error;
  }
  if (loaded !== null && loaded.uuid !== null && !known.has(loaded.uuid)) lake.known.delete(loaded.uuid); // main adopts it
  if (before !== undefined) lake.detached.set(uuid, before);
  throw new SqlError(SqlState.undefinedTable, `table "${schema}"."${name}" is not in the catalog as it was`);
}

function detachUnreadable(
  lake: Lake,
  { schema, name, metadataLocation }: CatalogRow,
  table: RecoveredTable,
): RecoveredTable {
  const { def, detached, location, logId } = table;
  lake.known.set(def.uuid, { schema, name, location, reported: metadataLocation, logId });
  lake.detached.set(def.uuid, detached!);
  lake.flush.forgetGarbage(def.uuid); // U2
  process.emitWarning(`table "${schema}"."${name}" is detached: ${detached!.message}`, 'ArkaLake');
  return table;
}

function checkCache(lake: Lake, tables: readonly TableState[]): Promise<CachedFile[]> {
  const expected = new Map<string, number | null>();
  for (const table of tables) {
    for (const file of table.files) expected.set(file.path, file.bytes);
    for (const path of table.deletePaths) expected.set(path, null);
    for (const { path } of table.partitionDeletes) expected.set(path, null);
    for (const { path, bytes } of table.equality?.files ?? []) expected.set(path, bytes);
  }
  return lake.cache.check(expected);
}
