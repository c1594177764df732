/** Rows of the views that Arka fills (schema `arka`), as texts in the order of src/catalog/stub-views.ts. */
import { stubView } from '../catalog/stub-views.ts';
import { SqlState } from '../errors.ts';
import type { Database } from '../ingest/database.ts';
import { nameOf } from '../ingest/database.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import type { DataFileUnit } from '../storage/file-unit.ts';
import { SLAB_BYTES } from '../storage/memory/slab.ts';
import type { MemorySlice } from '../storage/memory/slice.ts';
import type { Table } from '../storage/table.ts';
import type { Lsn, TableDef } from '../table-def.ts';
import type { UnhandledLog } from './unhandled.ts';
import { lsnText } from '../types/pg-lsn.ts';
import { Oid } from '../types/pg-type.ts';

type Row = Readonly<Record<string, string | number | bigint | null>>;

export interface ViewContext {
  readonly database: Database;
  readonly budget: MemoryBudget;
  readonly startedAt: number;
  readonly unhandled?: UnhandledLog;
}

/** Whom a view tells: what is in a table, and where, he is told who may read it. */
export interface ViewReader {
  readonly superuser: boolean;
  reads(def: TableDef): boolean;
}

/** Null: there is no such view. */
export function viewRows(
  context: ViewContext,
  reader: ViewReader,
  name: string,
): readonly (readonly (string | null)[])[] | null {
  const dot = name.indexOf('.');
  const view = stubView(name.slice(0, dot), name.slice(dot + 1));
  if (view === undefined) return null;
  const rows = rowsOf(context, reader, view.name);
  return rows.map((row) =>
    view.columns.map((column) => {
      const value = row[column];
      return value === undefined || value === null ? null : String(value);
    }),
  );
}

function rowsOf({ database, budget, unhandled }: ViewContext, reader: ViewReader, view: string): readonly Row[] {
  switch (view) {
    case 'tiers':
      return [...database.tables.values()].flatMap((table) => told(reader, table, tierRows(table)));
    case 'tables':
      return [...database.tables.values()].flatMap(tableRows);
    case 'units':
      return [...database.tables.values()].flatMap((table) => told(reader, table, unitRows(table)));
    case 'memory':
      return [memoryRow(database, budget)];
    case 'disk':
      return [diskRow(database)];
    case 'wal': {
      const { log, committer, retention } = database;
      let committed = committer.appliedLsn;
      for (const table of database.tables.values())
        if (table.logKeptFrom > 0) committed = Math.min(committed, table.logKeptFrom - 1);
      const { segments, bytes } = log.stats();
      return [
        {
          last_lsn: lsnText(log.lastLsn),
          durable_lsn: lsnText(log.durableLsn),
          committed_lsn: lsnText(committed),
          segments,
          bytes,
          log_id: log.logId,
          zone: retention.zone,
          bytes_max: Number.isFinite(retention.bytesMax) ? retention.bytesMax : null,
          first_lsn: lsnText(log.firstLsn),
        },
      ];
    }
    case 'commits':
      return database.commits.map((each) => ({
        ...named(each.table),
        committed_at: each.at,
        snapshot_id: each.snapshotId,
        lsn: lsnText(each.lsn),
        files: each.files,
        rows: each.rows,
        deletes: each.deletes,
        bytes: each.bytes,
        duration_ms: each.durationMs.toFixed(1),
        trigger: each.trigger,
        retries: each.retries,
        warning: each.warning ?? null,
      }));
    case 'flushes':
      return database.flushes.map((each) => ({
        ...named(each.table),
        flushed_at: each.at,
        lsn: lsnText(each.lsn),
        rows: each.rows,
        bytes: each.bytes,
        duration_ms: each.durationMs.toFixed(1),
        trigger: each.trigger,
      }));
    case 'unhandled':
      // PostgreSQL asks for the right to it; here the rows do not even come near to who has it not
      return reader.superuser ? (unhandled?.all ?? []).map((each) => ({ ...each })) : [];
    default:
      return [];
  }
}

/** Values of the table's own rows, and paths, which name its columns' values. */
function told(reader: ViewReader, { def }: Table, rows: readonly Row[]): readonly Row[] {
  if (reader.superuser || reader.reads(def)) return rows;
  return rows.map((row) => ({ ...row, min_time: null, max_time: null, partition: null, path: null }));
}

function named(table: string): { schema_name: string; table_name: string } {
  const dot = table.indexOf('.');
  return { schema_name: table.slice(0, dot), table_name: table.slice(dot + 1) };
}

/** A bound of the time column as text; its type says in which unit it is. */
function timeText(table: Table, value: number): string | null {
  if (!Number.isFinite(value)) return null;
  const column = table.def.columns.find((each) => each.fieldId === table.def.timeColumn);
  if (column === undefined) return null;
  const millis = column.type.oid === Oid.date ? value * 86_400_000 : Math.floor(value / 1000);
  const date = new Date(millis);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

type Unit = MemorySlice | DataFileUnit;

function timesOf(unit: Unit): { min: number; max: number } {
  return unit.tier === 'memory' ? { min: unit.timeMin, max: unit.timeMax } : unit.time;
}

function lsnsOf(unit: Unit): { min: Lsn; max: Lsn } {
  return unit.tier === 'memory'
    ? { min: unit.lsnMin, max: unit.lsnMax }
    : { min: unit.lsnTo === 0 ? 0 : unit.lsnFrom + 1, max: unit.lsnTo };
}

function unitsOf(table: Table): readonly Unit[] {
  return [...[...table.slices()].filter((slice) => slice.published > 0), ...table.files];
}

const rowsIn = (unit: Unit): number => (unit.tier === 'memory' ? unit.published : unit.rows);
const bytesIn = (unit: Unit): number => (unit.tier === 'memory' ? unit.bytes : unit.info.bytes);

/** Rows that are there, and such as are deleted and take room; bytes of all tiers. */
export function unitFacts(table: Table): { readonly live: number; readonly dead: number; readonly bytes: number } {
  let [live, dead, bytes] = [0, 0, 0];
  for (const unit of unitsOf(table)) {
    live += rowsIn(unit) - unit.deletes.published;
    dead += unit.deletes.published;
    bytes += bytesIn(unit);
  }
  return { live, dead, bytes };
}

function tierRows(table: Table): readonly Row[] {
  const units = unitsOf(table);
  return (['memory', 'disk', 'iceberg'] as const).map((tier) => {
    const own = units.filter((unit) => unit.tier === tier);
    const sum = (of: (unit: Unit) => number): number => own.reduce((total, unit) => total + of(unit), 0);
    const lsns = own.map(lsnsOf).filter((each) => each.max > 0);
    return {
      schema_name: table.def.schema,
      table_name: table.def.name,
      tier,
      units: own.length,
      rows: sum((unit) => rowsIn(unit) - unit.deletes.published),
      bytes: sum(bytesIn),
      min_time: timeText(table, Math.min(...own.map((unit) => timesOf(unit).min))),
      max_time: timeText(table, Math.max(...own.map((unit) => timesOf(unit).max))),
      min_lsn: lsns.length === 0 ? null : lsnText(Math.min(...lsns.map((each) => each.min))),
      max_lsn: lsns.length === 0 ? null : lsnText(Math.max(...lsns.map((each) => each.max))),
    };
  });
}

/** One row, or one for each of its troubles. */
function tableRows(table: Table): readonly Row[] {
  const { committedLsn, def, detached, flushedLsn, logKeptFrom, troubles } = table;
  const common = {
    schema_name: def.schema,
    table_name: def.name,
    committed_lsn: lsnText(committedLsn),
    flushed_lsn: lsnText(flushedLsn),
    log_kept_from: logKeptFrom === 0 ? null : lsnText(logKeptFrom),
  };
  if (detached !== null) {
    const { code, hint, message, reason } = detached;
    const state = reason === 'unreadable' ? 'detached' : 'read-only';
    return [{ ...common, state, sqlstate: code ?? SqlState.objectNotInPrerequisiteState, message, hint }];
  }
  if (troubles.all.length === 0) return [{ ...common, state: 'writable' }];
  return troubles.all.map(({ chore, code, failures, message, since }) => ({
    ...common,
    ...{ state: 'failing', sqlstate: code, message, chore, failures, since },
  }));
}

function unitRows(table: Table): readonly Row[] {
  return unitsOf(table).map((unit) => {
    const lsns = lsnsOf(unit);
    return {
      schema_name: table.def.schema,
      table_name: table.def.name,
      tier: unit.tier,
      unit:
        unit.tier === 'memory'
          ? `slice-${unit.unit}`
          : unit.info.location.slice(unit.info.location.lastIndexOf('/') + 1),
      partition: (unit.tier === 'memory' ? unit.partition : unit.info.partition)
        .map((value, i) => `${table.def.partition[i]?.name ?? i}=${String(value)}`)
        .join('/'),
      purposes: unit.tier === 'memory' ? 'write' : unit.tier === 'disk' ? 'staging' : 'data',
      rows: rowsIn(unit),
      bytes: bytesIn(unit),
      deleted_rows: unit.deletes.published,
      pending_deletes:
        unit.tier === 'memory'
          ? unit.deletes.published
          : unit.deletes.published - Math.min(unit.deletes.published, unit.deletesCommitted),
      pins: 0,
      min_time: timeText(table, timesOf(unit).min),
      max_time: timeText(table, timesOf(unit).max),
      min_lsn: lsns.max === 0 ? null : lsnText(lsns.min),
      max_lsn: lsns.max === 0 ? null : lsnText(lsns.max),
      path: unit.tier === 'memory' ? null : unit.path,
    };
  });
}

function diskRow({ disk }: Database): Row {
  const { log, staged, deltas, index, spill, cache, ranges, rest, files, used, reserved, limit } = disk.parts;
  return {
    used_bytes: used,
    limit_bytes: Number.isFinite(limit) ? limit : null,
    log_bytes: log,
    staged_bytes: staged,
    delta_bytes: deltas,
    index_bytes: index,
    spill_bytes: spill,
    cache_bytes: cache + ranges,
    rest_bytes: rest,
    cached_files: files,
    reserved_bytes: Math.ceil(reserved),
  };
}

function memoryRow({ memory, pressure }: Database, { limitBytes }: MemoryBudget): Row {
  const { account, pins, pool } = memory;
  const { zone, reason, delayMs } = pressure.state;
  const { memory: retired } = pins.heldBytes;
  const rss = process.memoryUsage.rss();
  const made = pool.slabs.length * SLAB_BYTES;
  const [engine, catalog, heaps] = (['engine', 'catalog', 'heaps'] as const).map((part) => account.bytesOf(part)) as [
    number,
    number,
    number,
  ];
  return {
    used_bytes: memory.usedBytes,
    limit_bytes: limitBytes,
    rss_bytes: rss,
    zone,
    delay_ms: delayMs.toFixed(1),
    slab_bytes: memory.slabBytes,
    index_bytes: account.bytesOf('index') + pool.heapBytes,
    queue_bytes: account.bytesOf('queue'),
    zone_reason: reason === '' ? null : reason,
    budget_bytes: memory.budgetBytes,
    slab_budget_bytes: pool.budgetBytes,
    slice_bytes: memory.sliceBytes,
    delete_bytes: pool.deleteBytes,
    retired_bytes: retired,
    transaction_bytes: Math.max(0, memory.slabBytes - memory.sliceBytes - pool.deleteBytes - retired),
    pins: pins.active,
    session_bytes: account.bytesOf('sessions'),
    engine_bytes: engine,
    footer_bytes: account.bytesOf('footers'),
    catalog_bytes: catalog,
    heap_bytes: heaps,
    page_bytes: account.bytesOf('pages'),
    file_bytes: memory.fileBytes,
    warm_bytes: memory.warm.bytes,
    pool_bytes: made,
    // The four that make up RSS beside it; the others are parts of pool and heaps.
    rest_bytes: rss - made - engine - catalog - heaps,
  };
}

/** A table by its name as text. */
export function tableAt(database: Database, name: string): Table | undefined {
  for (const table of database.tables.values())
    if (nameOf(table) === name || (table.def.schema === 'public' && table.def.name === name)) return table;
  return undefined;
}
