/**
 * From a planned table to the scan of its units: one pinned Version (V1), units pruned by time, by an indexed value and by what manifests say of columns, a
 * transaction's own rows and deletions on top. Everything happens in one turn of the loop.
 */
import type { ColumnFilter, PlannedTable, TimeRange } from '../planner/plan.ts';
import type { DataFileUnit } from '../storage/file-unit.ts';
import type { Matches } from '../storage/memory/hash-index.ts';
import type { Memory } from '../storage/memory/memory.ts';
import type { MemorySlice } from '../storage/memory/slice.ts';
import type { DeleteRef, FileUnit, MemoryUnit, TableScan } from '../storage/scan-spec.ts';
import type { Table } from '../storage/table.ts';
import type { SliceView } from '../ingest/snapshot.ts';
import { fileTest } from './file-filters.ts';
import { findIndexed } from './indexed.ts';
import type { StatementView } from '../ingest/statement-view.ts';
import type { TableWrites, Transaction } from '../ingest/transaction.ts';

export interface PrunedUnit {
  readonly tier: 'memory' | 'disk' | 'iceberg';
  readonly name: string;
  readonly rows: number;
  /** Null: it is read. */
  readonly pruned: string | null;
}

/** Scans and, for EXPLAIN, what became of every unit. `blocks` go back after the query. */
export interface BuiltScan {
  readonly scan: TableScan;
  readonly units: readonly PrunedUnit[];
  /** The index that says which memory rows are read; null: all are. */
  readonly index: string | null;
}

export class ScanBuilder {
  readonly #memory: Memory;
  readonly #transaction: Transaction | null;
  readonly #timeZone: string;
  readonly #blocks: { readonly address: number; readonly bytes: number }[] = [];

  /** @param timeZone the session's, for values that an index is asked for */
  constructor(memory: Memory, transaction: Transaction | null, timeZone: string) {
    this.#memory = memory;
    this.#transaction = transaction;
    this.#timeZone = timeZone;
  }

  build(
    table: Table,
    planned: PlannedTable,
    range: TimeRange | null,
    filters: readonly ColumnFilter[] = [],
  ): BuiltScan {
    const statement = this.#transaction?.statement ?? null;
    const isRead = statement !== null && !planned.positions; // W1
    const view = (isRead ? statement : this.#transaction?.snapshot)?.view(table) ?? null;
    // The index knows the rows of now.
    const found = view === null ? findIndexed(table, filters, this.#timeZone) : null;
    const picks = found === null ? null : picksOf(found.matches);
    const writes = this.#transaction?.writes.get(table);
    const own = writes === undefined ? null : isRead ? statement.deletedBefore(writes) : this.#ownDeletes(writes);
    const memory: MemoryUnit[] = [];
    const files: FileUnit[] = [];
    const units: PrunedUnit[] = [];
    // All rows of others are gone for a transaction that has truncated the table.
    const isTruncated = writes?.isTruncated === true;
    for (const { slice, rows: visible, deletes } of isTruncated ? [] : (view?.slices ?? visibleSlices(table))) {
      const picked = picks === null ? null : (picks.get(slice) ?? []);
      const pruned =
        noneLeft(visible, deletes) ??
        outside(range, slice.timeMin, slice.timeMax) ??
        (picked?.length === 0 ? 'no such value in the index' : null);
      const rows = pruned === null ? (picked?.length ?? visible) : visible;
      units.push({ tier: 'memory', name: `slice ${slice.unit}`, rows, pruned });
      if (pruned !== null) continue;
      if (picked !== null) {
        const deleted = new Set(own?.get(slice.unit));
        const left = Uint32Array.from(picked.filter((position) => !deleted.has(position)));
        memory.push({ ...slice.scan(visible, 0, table.fieldIds), picks: left });
        continue;
      }
      const scan = slice.scan(visible, deletes, table.fieldIds);
      memory.push({ ...scan, deletes: this.#joined(scan.deletes, own, slice) });
    }
    const shared = isTruncated ? [] : (view?.files ?? table.files);
    const excluded = fileTest(table, filters, this.#timeZone);
    const spilled = spilledFiles(writes, statement);
    for (const file of spilled.length === 0 ? shared : [...shared, ...spilled]) {
      const deletes = view === null || spilled.includes(file) ? file.deletes.published : view.deletesOf(file);
      const pruned =
        noneLeft(file.rows, deletes) ?? outside(range, file.time.min, file.time.max) ?? excluded?.(file) ?? null;
      units.push({
        tier: file.tier,
        name: file.info.location.slice(file.info.location.lastIndexOf('/') + 1),
        rows: file.rows,
        pruned,
      });
      if (pruned !== null) continue;
      const scan = file.scan(deletes);
      files.push({ ...scan, deletes: this.#joined(scan.deletes, own, file) });
    }
    const inserted = writes === undefined ? null : this.#ownRows(writes, statement, isRead);
    if (inserted !== null) {
      memory.push(inserted);
      units.push({ tier: 'memory', name: 'this transaction', rows: inserted.rows, pruned: null });
    }
    return {
      scan: { placeholder: planned.placeholder, def: planned.def, memory, files, positions: planned.positions },
      units,
      index: found?.index ?? null,
    };
  }

  #ownRows(writes: TableWrites, statement: StatementView | null, isRead: boolean): MemoryUnit | null {
    if (statement !== null) {
      const rows = statement.ownRows(writes, !isRead);
      return rows === null ? null : { ...rows.unit, deletes: this.#block(null, rows.dead) };
    }
    const inserted = writes.scan();
    return inserted === null ? null : { ...inserted, deletes: this.#block(inserted.deletes, writes.deadPositions()) };
  }

  /** Gives the blocks for own deletions back; after the query's pin is released. */
  release(): void {
    for (const { address, bytes } of this.#blocks) this.#memory.pool.free(address, bytes);
    this.#blocks.length = 0;
  }

  #ownDeletes(writes: TableWrites): ReadonlyMap<number, Uint32Array> | null {
    return writes.deleted.length === 0 ? null : (writes.seen ?? writes).deleted.byUnit();
  }

  #joined(
    shared: DeleteRef | null,
    own: ReadonlyMap<number, Uint32Array> | null,
    unit: MemorySlice | DataFileUnit,
  ): DeleteRef | null {
    const positions = own?.get(unit.unit);
    return positions === undefined ? shared : this.#block(shared, positions);
  }

  #block(shared: DeleteRef | null, positions: Uint32Array): DeleteRef | null {
    if (positions.length === 0) return shared;
    const blocks = [...(shared?.blocks ?? [])];
    for (let start = 0; start < positions.length; start += 262_144) {
      const part = positions.subarray(start, start + 262_144);
      const bytes = part.length * 4;
      const address = this.#memory.take(bytes);
      this.#blocks.push({ address, bytes });
      this.#memory.pool.directory.words(address, part.length).set(part);
      blocks.push({ address, count: part.length });
    }
    return { count: (shared?.count ?? 0) + positions.length, blocks };
  }
}

/** Files with own rows; while a statement's WITH writes, with those of before. */
function spilledFiles(writes: TableWrites | undefined, statement: StatementView | null): readonly DataFileUnit[] {
  if (writes === undefined || writes.spilled.size === 0) return NO_FILES;
  if (statement === null) return writes.spilled.files;
  const end = statement.firstRow(writes);
  return writes.spilled.all.filter(({ to }) => to <= end).map(({ file }) => file);
}
const NO_FILES: readonly DataFileUnit[] = [];

/** Of each slice the positions in rising order. */
function picksOf({ slices, positions: found }: Matches): ReadonlyMap<MemorySlice, number[]> {
  const picks = new Map<MemorySlice, number[]>();
  for (const [i, slice] of slices.entries()) {
    const positions = picks.get(slice);
    if (positions === undefined) picks.set(slice, [found[i]!]);
    else positions.push(found[i]!);
  }
  for (const positions of picks.values()) positions.sort((a, b) => a - b);
  return picks;
}

function* visibleSlices(table: Table): IterableIterator<SliceView> {
  for (const slice of table.slices())
    if (slice.published > 0) yield { slice, rows: slice.published, deletes: slice.deletes.published };
}

const noneLeft = (rows: number, deletes: number): string | null => (deletes >= rows ? 'all rows are deleted' : null);

/** Why a unit need not be read; NULL times match no bound. */
function outside(range: TimeRange | null, min: number, max: number): string | null {
  if (range === null || (range.from === null && range.to === null)) return null;
  if (min > max) return 'no time value';
  if (range.from !== null && max < range.from) return 'time before the range';
  if (range.to !== null && min > range.to) return 'time after the range';
  return null;
}
