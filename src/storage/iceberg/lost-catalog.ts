/**
 * A catalog that is empty although the log knows tables of it: its file was lost. To go on would make every table one that
 * was dropped, and let go what the log has of it. So the start is refused, and `arka doctor --reattach` registers the tables
 * again, each by the metadata file that was last seen of it; commits of other engines since then are not in it.
 */
import { SqlError, SqlState } from '../../errors.ts';
import type { FlushStore } from '../disk/flush-store.ts';
import type { LakeSettings } from './lake-api.ts';
import type { CatalogRow, SqliteCatalog } from './sqlite-catalog.ts';

const SHOWN_MAX = 3;

/** @throws {SqlError} XX001 unless `settings.restoreCatalog` */
export function restoreLostCatalog(
  catalog: SqliteCatalog,
  path: string,
  flush: FlushStore,
  settings: LakeSettings,
): void {
  // Whoever opens a lake makes the first schema, and nobody can drop it.
  if (catalog.schemas().length > 0) return;
  const entries = (settings.log?.checkpoint?.tables ?? []).filter((each) => each.metadataLocation !== '');
  if (entries.length === 0) return;
  const rows: CatalogRow[] = [];
  for (const { uuid, committedLsn, metadataLocation } of entries) {
    const seen = flush.seen(uuid);
    const newest = seen !== null && seen.lsn >= committedLsn ? seen.metadataLocation : metadataLocation;
    const def = flush.def(uuid);
    if (def !== null) rows.push({ schema: def.schema, name: def.name, metadataLocation: newest });
    else if (settings.restoreCatalog === true)
      process.emitWarning(`the name of the table of "${newest}" is not known: it is not registered again`, 'ArkaLake');
  }
  if (settings.restoreCatalog !== true) throw lost(path, entries.length, rows);
  for (const row of rows) {
    catalog.createSchema(row.schema);
    catalog.insert(row);
  }
}

function lost(path: string, count: number, rows: readonly CatalogRow[]): SqlError {
  const shown = rows.slice(0, SHOWN_MAX).map((row) => `"${row.schema}"."${row.name}" at "${row.metadataLocation}"`);
  return new SqlError(
    SqlState.dataCorrupted,
    `the catalog "${path}" is empty, but the log knows ${count} ${count === 1 ? 'table' : 'tables'} of it`,
    {
      detail: `Last seen: ${[...shown, ...(count > shown.length ? ['…'] : [])].join(', ')}.`,
      hint: 'Restore the file; or run arka doctor --reattach with the name of a table, which registers all of them again.',
    },
  );
}
