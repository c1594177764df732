/**
 * Rows of files by their keys, for a statement whose WHERE names them (`key IN (…)`): the index over files says where they are. A file
 * without any is not read, and of one that is in a remote warehouse alone the rows come singly, by ranges (H11), as rows in memory
 * for the query: a scan would fetch the whole of it.
 *
 * - L1 What is found is what the query's Version has: a file that left the table while the index was asked is scanned as before,
 *   and a row that the Version has deleted is left out. UPDATE and DELETE get the places of the rows in their files.
 * - L2 The conditions are in the SQL as well: what is found here may be too much, never too little.
 */
import type { Database } from '../ingest/database.ts';
import { placesInFiles } from '../ingest/resolver.ts';
import type { ColumnFilter } from '../planner/plan.ts';
import { canceled } from '../errors.ts';
import type { DataFileUnit } from '../storage/file-unit.ts';
import type { Memory } from '../storage/memory/memory.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { DeleteRef, FileUnit, MemoryUnit, TableScan } from '../storage/scan-spec.ts';
import type { Table } from '../storage/table.ts';
import { bufferUnit, type BufferUnit } from './buffer.ts';
import { keysOf } from './file-filters.ts';
import type { Running } from '../running.ts';
import { readSingly, type SingleRow } from './single-rows.ts';

/** Of one remote file; of more a scan of the whole is as good. */
export const AWAY_ROWS_MAX = 32;
/** Of files by Arka. Of a file of which more than so many would come, the whole comes at once (R3 in partial-files.ts). */
const GROUP_ROWS = 20_480;
const GROUPS_PART = 1 / 4;
/** Of a file with more deleted rows they are not looked through here. */
const DELETES_MAX = 65_536;

export class LocatedRows {
  readonly #database: Database;
  readonly #zone: string;
  readonly #buffers: RowBuffer[] = [];
  readonly #units: BufferUnit[] = [];

  constructor(database: Database, zone: string) {
    this.#database = database;
    this.#zone = zone;
  }

  /** Whether there may be something to do. */
  concerns({ files }: TableScan): boolean {
    const { disk, index } = this.#database;
    return index !== null && files.some(({ path }) => disk.isAway(path));
  }

  /** The scans, of fewer files. The caller's pin keeps them all until the answer is used. @throws {SqlError} 57014, 53200, what a store says */
  async narrowAll(
    scans: readonly TableScan[],
    filtersOf: (place: number) => readonly ColumnFilter[],
    running: Running,
  ): Promise<TableScan[]> {
    const abort = new AbortController();
    running(() => abort.abort());
    const narrowed: TableScan[] = [];
    for (const [place, scan] of scans.entries())
      narrowed.push(this.concerns(scan) ? await this.#narrow(scan, filtersOf(place), abort.signal) : scan);
    return narrowed;
  }

  async #narrow(scan: TableScan, filters: readonly ColumnFilter[], signal: AbortSignal): Promise<TableScan> {
    const table = this.#database.tableOf(scan.def.uuid);
    const names = table === undefined || !table.keyed ? null : keysOf(table, filters, this.#zone);
    if (table === undefined || names === null) return scan;
    const units = scan.files.flatMap(({ unit }) => {
      const file = table.unit(unit);
      return file === undefined || file.tier === 'memory' ? [] : [file];
    });
    const places = await placesInFiles(table, units, names);
    if (signal.aborted) throw canceled();
    const files: FileUnit[] = [];
    const found: SingleRow[] = [];
    for (const each of scan.files) {
      const positions = places.get(each.unit);
      if (positions?.size === 0) continue;
      const alive = positions === undefined ? null : this.#aliveOf(each, positions);
      if (alive === null) files.push(each);
      else
        for (const position of alive) found.push({ file: table.unit(each.unit) as DataFileUnit, scan: each, position });
    }
    if (found.length === 0) return { ...scan, files };
    return { ...scan, files, memory: [...scan.memory, await this.#read(table, found, signal)] };
  }

  /** Those that the Version has; null: the file is scanned. */
  #aliveOf({ path, rows, deletes }: FileUnit, positions: ReadonlySet<number>): readonly number[] | null {
    const { disk, memory } = this.#database;
    if (!disk.isAway(path) || positions.size > AWAY_ROWS_MAX) return null;
    if (deletes !== null && deletes.count > DELETES_MAX) return null;
    const dead = deletes === null ? null : deadAmong(deletes, positions, memory);
    const alive = [...positions].filter((position) => dead?.has(position) !== true);
    const groups = new Set(alive.map((position) => Math.floor(position / GROUP_ROWS)));
    return groups.size > Math.max(1, Math.ceil(rows / GROUP_ROWS) * GROUPS_PART) ? null : alive;
  }

  async #read(table: Table, found: readonly SingleRow[], signal: AbortSignal): Promise<MemoryUnit> {
    const { memory } = this.#database;
    const { fieldIds } = table;
    const ordered = found.toSorted((a, b) => a.scan.unit - b.scan.unit || a.position - b.position); // what is fetched is shared
    const read = await readSingly(this.#database, this.#zone, table.def, fieldIds, ordered, signal);
    if (signal.aborted) throw canceled();
    const rows = new RowBuffer(memory, table.physicals);
    this.#buffers.push(rows);
    for (const vectors of read) rows.append(vectors, 0, 1);
    const unit = bufferUnit(memory, rows, fieldIds);
    this.#units.push(unit);
    const units = Int32Array.from(ordered, (each) => each.scan.unit);
    return { ...unit.unit, places: { units, positions: Uint32Array.from(ordered, ({ position }) => position) } };
  }

  /** After the query has ended. */
  release(): void {
    for (const unit of this.#units.splice(0)) unit.release();
    for (const rows of this.#buffers.splice(0)) rows.retire();
  }
}

function deadAmong({ blocks }: DeleteRef, positions: ReadonlySet<number>, memory: Memory): ReadonlySet<number> {
  const dead = new Set<number>();
  for (const { address, count } of blocks)
    for (const position of memory.pool.directory.words(address, count)) if (positions.has(position)) dead.add(position);
  return dead;
}
