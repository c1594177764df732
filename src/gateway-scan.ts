/**
 * From a planned table to the scan of its units: one pinned Version (V1), units pruned by time, a transaction's own
 * rows and deletions on top. Everything happens in one turn of the loop.
 */
import type { PlannedTable, TimeRange } from './planner/plan.ts';
import type { DataFileUnit } from './storage/file-unit.ts';
import type { Memory } from './storage/memory/memory.ts';
import type { MemorySlice } from './storage/memory/slice.ts';
import type { DeleteRef, FileUnit, MemoryUnit, TableScan } from './storage/scan-spec.ts';
import type { Table } from './storage/table.ts';
import type { TableWrites, Transaction } from './ingest/transaction.ts';

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
}

export class ScanBuilder {
  readonly #memory: Memory;
  readonly #transaction: Transaction | null;
  readonly #blocks: { readonly address: number; readonly bytes: number }[] = [];

  constructor(memory: Memory, transaction: Transaction | null) {
    this.#memory = memory;
    this.#transaction = transaction;
  }

  build(table: Table, planned: PlannedTable, range: TimeRange | null): BuiltScan {
    const writes = this.#transaction?.writes.get(table);
    const own = writes === undefined ? null : this.#ownDeletes(writes);
    const memory: MemoryUnit[] = [];
    const files: FileUnit[] = [];
    const units: PrunedUnit[] = [];
    for (const slice of table.slices()) {
      if (slice.published === 0) continue;
      const pruned = outside(range, slice.timeMin, slice.timeMax);
      units.push({ tier: 'memory', name: `slice ${slice.unit}`, rows: slice.published, pruned });
      if (pruned !== null) continue;
      const scan = slice.scan(slice.published, slice.deletes.published, table.fieldIds);
      memory.push({ ...scan, deletes: this.#joined(scan.deletes, own, slice) });
    }
    for (const file of table.files) {
      const pruned = outside(range, file.time.min, file.time.max);
      units.push({
        tier: file.tier,
        name: file.info.location.slice(file.info.location.lastIndexOf('/') + 1),
        rows: file.rows,
        pruned,
      });
      if (pruned !== null) continue;
      const scan = file.scan(file.deletes.published);
      files.push({ ...scan, deletes: this.#joined(scan.deletes, own, file) });
    }
    const inserted = writes?.scan() ?? null;
    if (inserted !== null) {
      memory.push(inserted);
      units.push({ tier: 'memory', name: 'this transaction', rows: inserted.rows, pruned: null });
    }
    return {
      scan: { placeholder: planned.placeholder, def: planned.def, memory, files, positions: planned.positions },
      units,
    };
  }

  /** Gives the blocks for own deletions back; after the query's pin is released. */
  release(): void {
    for (const { address, bytes } of this.#blocks) this.#memory.pool.free(address, bytes);
    this.#blocks.length = 0;
  }

  #ownDeletes(writes: TableWrites): ReadonlyMap<number, number[]> | null {
    if (writes.units.length === 0) return null;
    const byUnit = new Map<number, number[]>();
    writes.units.forEach((unit, i) => {
      const positions = byUnit.get(unit);
      if (positions === undefined) byUnit.set(unit, [writes.positions[i]!]);
      else positions.push(writes.positions[i]!);
    });
    return byUnit;
  }

  #joined(
    shared: DeleteRef | null,
    own: ReadonlyMap<number, number[]> | null,
    unit: MemorySlice | DataFileUnit,
  ): DeleteRef | null {
    const positions = own?.get(unit.unit);
    if (positions === undefined) return shared;
    const blocks = [...(shared?.blocks ?? [])];
    for (let start = 0; start < positions.length; start += 262_144) {
      const part = positions.slice(start, start + 262_144);
      const bytes = part.length * 4;
      const address = this.#memory.take(bytes);
      this.#blocks.push({ address, bytes });
      this.#memory.pool.directory.words(address, part.length).set(part);
      blocks.push({ address, count: part.length });
    }
    return { count: (shared?.count ?? 0) + positions.length, blocks };
  }
}

/** Why a unit need not be read; NULL times match no bound. */
function outside(range: TimeRange | null, min: number, max: number): string | null {
  if (range === null || (range.from === null && range.to === null)) return null;
  if (min > max) return 'no time value';
  if (range.from !== null && max < range.from) return 'time before the range';
  if (range.to !== null && min > range.to) return 'time after the range';
  return null;
}
