/**
 * Whether `catalog.db` is as the last stop left it. Its format is shared with other clients, who know nothing of checksums; but
 * SQLite counts the changes of a file in its header. So a stop notes that count and a checksum of all rows, in `flush.db`: where a
 * start finds the same count, nobody has written since, and the rows must be the same.
 *
 * - G1 Another count says nothing: another client has written, or this server did not stop but was ended.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { SqlError, SqlState } from '../../errors.ts';
import type { FlushStore } from '../disk/flush-store.ts';
import { sqliteDamage } from '../disk/sqlite-damage.ts';
import type { SqliteCatalog } from './sqlite-catalog.ts';

/** Of "file change counter", 4 bytes, big-endian. @see https://www.sqlite.org/fileformat2.html#file_change_counter */
const COUNTER_OFFSET = 24;

/** @throws {SqlError} XX001 */
export function checkCatalog(catalog: SqliteCatalog, path: string, flush: FlushStore): void {
  const sealed = flush.catalogSeal();
  const isOther = sealed !== null && sealed.changes === changesOf(path) && sealed.sum !== catalog.sum();
  const found = catalog.problem();
  const problem = found ?? (isOther ? 'its rows have another checksum than when the server stopped' : null);
  if (problem === null) return;
  const damaged = found === null ? 'is damaged' : sqliteDamage(path);
  throw new SqlError(SqlState.dataCorrupted, `the catalog "${path}" ${damaged}: ${problem}`, {
    hint: 'Restore the file; or, where it is right as it is, run arka doctor --reattach with the name of a table.',
  });
}

export function sealCatalog(catalog: SqliteCatalog, path: string, flush: FlushStore): void {
  const changes = changesOf(path);
  if (changes !== null) flush.sealCatalog({ changes, sum: catalog.sum() });
}

/** Null: there is no such file. */
function changesOf(path: string): number | null {
  const bytes = Buffer.alloc(4);
  try {
    const file = openSync(path, 'r');
    try {
      return readSync(file, bytes, 0, 4, COUNTER_OFFSET) === 4 ? bytes.readUInt32BE(0) : null;
    } finally {
      closeSync(file);
    }
  } catch {
    return null;
  }
}
