/**
 * TRUNCATE out of the log: what is in memory, what is staged and the files that the section names are gone. Where another writer has
 * rewritten such a file since, its rows are read from it, as long as it is there, and found again by their names (C7, C3).
 */
import { cachePath } from '../storage/disk/cache-path.ts';
import { isRemote, toLocalPath } from '../storage/iceberg/paths.ts';
import type { Section } from '../storage/log/section-reader.ts';
import type { DeleteList } from '../storage/memory/delete-list.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { Table } from '../storage/table.ts';
import type { Lsn } from '../table-def.ts';
import { applyDeletes } from './committer.ts';
import type { Database } from './database.ts';
import { passing } from './moved-deletes.ts';
import { resolveCold } from './resolver.ts';
import { RowPlaces } from './row-places.ts';
import { applyTruncation } from './truncation.ts';

/** Rows whose names are read at once. */
const ROWS_MAX = 20_480;

interface NamedFile {
  readonly location: string;
  readonly rows: number;
  /** 0: Iceberg had it. */
  readonly lsnTo: Lsn;
}

export async function replayTruncation(
  database: Database,
  table: Table,
  section: Section,
  lsn: Lsn,
  lists: Set<DeleteList>,
): Promise<void> {
  const named = new Map(filesOf(section).map((file) => [file.location, file]));
  // What is staged has rows below the LSN alone, named or not: a flush may have taken place unheard.
  applyTruncation(table, lsn, lists, ({ info, tier }) => tier === 'disk' || named.has(info.location));
  for (const { info } of table.files) named.delete(info.location);
  for (const file of named.values()) {
    // What was staged then, and never came into Iceberg, the log has brought back: it is in memory.
    if (file.lsnTo > table.committedLsn) continue;
    try {
      await deleteMoved(database, table, file, lsn, lists);
    } catch (error) {
      throw passing(error);
    }
  }
}

function filesOf({ rows, vectors }: Section): NamedFile[] {
  const [locations, counts, lsns] = vectors as [Section['vectors'][0], Section['vectors'][0], Section['vectors'][0]];
  const files: NamedFile[] = [];
  for (let row = 0; row < rows; row++) {
    const location = Buffer.from(locations.heap.subarray(locations.starts[row]!, locations.ends[row]!)).toString();
    if (location === '') continue;
    const lsnTo = (lsns.words[row * 2]! >>> 0) + lsns.words[row * 2 + 1]! * 2 ** 32;
    files.push({ location, rows: counts.words[row]!, lsnTo });
  }
  return files;
}

/** Rows of a file that another writer has put into others. Also names of rows that were dead before are looked for: they are nowhere. */
async function deleteMoved(
  { disk, engine, memory, nextUnit }: Database,
  table: Table,
  { location, rows }: NamedFile,
  lsn: Lsn,
  lists: Set<DeleteList>,
): Promise<void> {
  const path = isRemote(location) ? cachePath(disk.dir, location) : toLocalPath(location);
  const file = { unit: nextUnit(), rows, path, deletes: null };
  const fieldIds = table.nameColumns.map((column) => table.fieldIds[column]!);
  for (let at = 0; at < rows; at += ROWS_MAX) {
    const positions = Uint32Array.from({ length: Math.min(ROWS_MAX, rows - at) }, (_, i) => at + i);
    const names = new RowBuffer(memory, table.namePhysicals);
    try {
      for (const read of await engine.readRows({ def: table.def, file, positions, fieldIds }))
        names.append(read.vectors, 0, read.rows);
      const places = new RowPlaces();
      const found = new Set<string>(); // a file of another writer may have a key twice
      await resolveCold(engine, table, names, (_, unit, position) => {
        const place = `${unit} ${position}`;
        if (!found.has(place)) places.push(unit, position);
        found.add(place);
      });
      memory.pool.unbounded(() => applyDeletes(table, places, lsn, lists));
    } finally {
      names.retire();
    }
  }
}
