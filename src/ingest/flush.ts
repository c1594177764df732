/**
 * Memory to disk: one cut of one table (V2, H2). Sealing is instant; Parquet is written beside ongoing writes; deletes
 * that arrive meanwhile are carried over to the new positions; the segments enter the Version in one step. Slices of tables
 * with a key stay behind as copies of their files (storage/warm-copies.ts).
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { invariant } from '../errors.ts';
import { DataFileUnit } from '../storage/file-unit.ts';
import type { Delta, Segment } from '../storage/iceberg/lake-api.ts';
import type { MemorySlice } from '../storage/memory/slice.ts';
import type { Generation, Table } from '../storage/table.ts';
import type { Flushed } from '../storage/warm-copies.ts';
import type { WriteParquetRequest } from '../storage/unit-engine.ts';
import type { Lsn } from '../table-def.ts';
import type { Database } from './database.ts';
import { countedPositions } from './moved-rows.ts';
import { segmentOf } from './segment.ts';

const RETRY_MS = 500;
/** Of larger slices no map is made for a copy's sake: such come from bulk loads, whose rows few ask for by key. */
const WARM_MAP_ROWS_MAX = 2 ** 18;

interface CutSlice {
  readonly slice: MemorySlice;
  /** Length of its delete list at the cut. */
  readonly deletes: number;
  /** Null: all its rows were dead at the cut. */
  readonly request: WriteParquetRequest | null;
  segment: Segment | null;
  /** Old position → new one, -1 for rows dead at the cut; asked for when something needs it. Null: each is where it was. */
  moved: Int32Array | null | 'unknown';
}

export interface FlushResult {
  readonly rows: number;
  readonly bytes: number;
  readonly lsn: Lsn;
}

/** A table at one LSN: what was there before it is frozen, what comes after goes elsewhere. */
export interface Cut {
  readonly lsn: Lsn;
  readonly generations: readonly Generation[];
  readonly slices: readonly CutSlice[];
  /** Delete lists of its files, by their lengths at the cut. */
  readonly marks: readonly { readonly file: DataFileUnit; readonly length: number }[];
  /** Files that transactions before the cut have brought with them: durable, and named by no manifest yet. */
  readonly unlisted: readonly DataFileUnit[];
  readonly unflushedFrom: Lsn;
}

/** Cuts at the last applied transaction. Null: nothing of the table is in memory. The table's lane is held by the caller, until the cut is flushed. */
export function cutTable(database: Database, table: Table): Cut | null {
  if (table.detached !== null) return null; // what the log alone has of it is not on disk
  if (table.temporary ? !hasRows(table) : table.appliedLsn <= table.flushedLsn) return null;
  table.freeze();
  const generations = table.generations.slice(1);
  const marks = [...table.fileSets.dirty].map((file) => ({ file, length: file.deletes.length }));
  const slices = generations.flatMap((generation) =>
    generation.slices.map((slice) => cutSlice(database, table, slice)),
  );
  const unlisted = [...table.fileSets.staged].filter((file) => file.isUnlisted);
  const { unflushedFrom } = table;
  table.unflushedFrom = 0;
  return { lsn: database.committer.appliedLsn, generations, slices, marks, unlisted, unflushedFrom };
}

function hasRows(table: Table): boolean {
  for (const { rows } of table.slices()) if (rows > 0) return true;
  return false;
}

/** The table's lane is held by the caller. */
export async function flushCut(database: Database, table: Table, cut: Cut): Promise<FlushResult> {
  const { lsn, generations, slices, marks, unlisted, unflushedFrom } = cut;
  const pin = database.memory.pins.acquire();
  let giveBack = (): void => {};
  try {
    await database.committer.published(lsn);
    if (!table.temporary) await database.log.durable(lsn); // V7, also after synchronous_commit = off
    if (table.def.sort.length > 0) giveBack = await database.disk.sortRoom(sortBytes(slices), true);
    for (const each of slices) await writeSegment(database, table, each, lsn);
    const deltas = marks.flatMap(({ file, length }) => deltasOf(file, length, table.flushedLsn, lsn));
    const written = slices.flatMap(({ segment }) => (segment === null ? [] : [segment]));
    const segments = [...written, ...unlisted.map((file) => file.info as Segment)];
    if (!table.dropped) {
      await fetchMoves(database, table, movesMissing(database, table, slices));
      await fetchWarmMoves(database, table, slices);
      if (!table.temporary) await database.lake.writeFlush({ ...nextManifest(database, table, lsn), segments, deltas });
      // No await between the last look and the installation: a transaction may touch another slice in any turn.
      for (
        let missing = movesMissing(database, table, slices);
        missing.length > 0;
        missing = movesMissing(database, table, slices)
      )
        await fetchMovesSurely(database, table, missing);
      database.memory.pool.unbounded(() => install(database, table, generations, slices));
      for (const { file, length } of marks) file.deletesFlushed = length;
      for (const file of unlisted) file.isUnlisted = false;
      table.flushedLsn = lsn;
    } else if (table.temporary) await database.lake.removeFiles(written.map(({ path }) => path));
    return {
      rows: segments.reduce((sum, each) => sum + each.rows, 0),
      bytes: segments.reduce((sum, each) => sum + each.bytes, 0),
      lsn,
    };
  } catch (error) {
    table.unflushedFrom = unflushedFrom;
    throw error;
  } finally {
    pin.release();
    giveBack();
  }
}

/** What the largest of their sorts may put aside: its rows, and those that are merged. */
function sortBytes(slices: readonly CutSlice[]): number {
  return 2 * slices.reduce((most, { slice }) => Math.max(most, slice.bytes), 0);
}

/** What a flush has to say of a file's deletes up to a length. */
function deltasOf(
  { deletes, deletesFlushed: from, info, rows }: DataFileUnit,
  to: number,
  lsnFrom: Lsn,
  lsnTo: Lsn,
): Delta[] {
  if (to <= from) return [];
  const { location } = info;
  const { listed } = deletes;
  const [positions, lsns] = [new Uint32Array(0), new Float64Array(0)];
  const whole = to > listed ? [{ location, lsnFrom, lsnTo, positions, lsns, whole: rows }] : [];
  const end = Math.min(to, listed);
  if (end <= from) return whole;
  return [
    { location, lsnFrom, lsnTo, positions: deletes.positions(from, end), lsns: deletes.lsns(from, end) },
    ...whole,
  ];
}

/**
 * Nothing of the table is in memory: the manifest says so up to the last applied transaction, and the log need not be kept
 * for rows that are on disk (H3). The table's lane is held by the caller.
 */
export async function advanceFlushed(database: Database, table: Table): Promise<void> {
  if (table.dropped || table.detached !== null || table.appliedLsn > table.flushedLsn) return;
  const lsn = database.committer.appliedLsn;
  if (lsn <= table.flushedLsn) return;
  await database.committer.published(lsn);
  await database.log.durable(lsn); // V7
  await database.lake.writeFlush({ ...nextManifest(database, table, lsn), segments: [], deltas: [] });
  table.flushedLsn = lsn;
}

/** What a flush manifest says before its files: which table is on disk, from where on and up to where. */
function nextManifest({ log }: Database, { def, flushedLsn, snapshotId }: Table, lsn: Lsn) {
  return { tableUuid: def.uuid, logId: log.logId, fromLsn: flushedLsn, flushedLsn: lsn, baseSnapshotId: snapshotId };
}

function cutSlice(database: Database, table: Table, slice: MemorySlice): CutSlice {
  const deletes = slice.deletes.length;
  const path = join(database.diskDir, `${randomUUID()}.parquet`);
  const { rows } = slice;
  const memory = (): WriteParquetRequest['memory'] => [slice.scan(rows, deletes, table.fieldIds)];
  return {
    slice,
    deletes,
    request: deletes === rows ? null : { def: table.def, memory: memory(), files: [], path },
    segment: null,
    moved: deletes === 0 && table.def.sort.length === 0 ? null : 'unknown',
  };
}

async function writeSegment(database: Database, table: Table, cut: CutSlice, lsn: Lsn): Promise<void> {
  if (table.dropped || cut.request === null) return;
  const written = await database.engine.writeParquet(cut.request);
  if (written === null) return;
  cut.segment = segmentOf(table, written, cut.slice.partition, table.flushedLsn, lsn);
}

/** Slices with late deletes, or touched by a transaction under way, whose map is not there yet. */
function movesMissing(database: Database, table: Table, cut: readonly CutSlice[]): readonly CutSlice[] {
  return cut.filter(
    (each) =>
      each.moved === 'unknown' &&
      each.segment !== null &&
      (each.slice.deletes.length > each.deletes || database.isTouched(table, each.slice.unit)),
  );
}

async function fetchMoves(database: Database, table: Table, missing: readonly CutSlice[]): Promise<void> {
  for (const each of missing) {
    if (table.def.sort.length === 0) {
      each.moved = countedPositions(each.slice.rows, each.slice.deletes.positions(0, each.deletes));
      continue;
    }
    invariant(each.request !== null, 'what was written had rows');
    const { positions } = await database.engine.newPositions(each.request);
    const moved = new Int32Array(each.slice.rows).fill(-1);
    for (let i = 0; i < positions.length; i++) moved[positions[i]!] = i;
    each.moved = moved;
  }
}

/** A slice can be the copy of its file where the map is there, or small. What fails costs the copy alone. */
async function fetchWarmMoves(database: Database, table: Table, slices: readonly CutSlice[]): Promise<void> {
  if (!table.keyed) return;
  const wanted = slices.filter(
    ({ slice, segment, moved }) => moved === 'unknown' && segment !== null && slice.rows <= WARM_MAP_ROWS_MAX,
  );
  await fetchMoves(database, table, wanted).catch((error: unknown) =>
    database.warn(error, `rows of ${table.def.schema}.${table.def.name} that were to stay in memory`),
  );
}

/** The segments are in the manifest: a flush that failed now would write the same rows once more. */
async function fetchMovesSurely(database: Database, table: Table, missing: readonly CutSlice[]): Promise<void> {
  for (;;) {
    try {
      await fetchMoves(database, table, missing);
      return;
    } catch (error) {
      database.warn(error, `flush of ${table.def.schema}.${table.def.name}, which goes on`);
      await new Promise<void>((resolve) => database.clock.after(RETRY_MS, resolve));
    }
  }
}

function install(database: Database, table: Table, generations: readonly Generation[], cut: readonly CutSlice[]): void {
  const targets = new Map<number, { readonly cut: CutSlice; readonly file: DataFileUnit }>();
  const added: DataFileUnit[] = [];
  const kept = new Map<MemorySlice, Flushed>();
  const movedTo = ({ moved }: CutSlice, position: number): number => {
    invariant(moved !== 'unknown', 'H16 the map of a slice that is touched was asked for');
    return moved === null ? position : moved[position]!;
  };
  for (const each of cut) {
    if (each.segment === null) continue;
    const file = new DataFileUnit(database.memory, database.nextUnit(), table.def, each.segment, 'disk');
    const { deletes } = each.slice;
    const late = deletes.positions(each.deletes, deletes.length);
    invariant(file.deletes.reserve(late.length), 'V5 carried-over deletes fit the reserve');
    late.forEach((position, i) => file.deletes.append(movedTo(each, position), deletes.lsnAt(each.deletes + i)));
    file.deletes.publish(Math.max(0, deletes.published - each.deletes));
    deletes.forward = file.deletes;
    targets.set(each.slice.unit, { cut: each, file });
    if (table.keyed && each.moved !== 'unknown') kept.set(each.slice, { file, newOf: each.moved });
    added.push(file);
  }
  database.remap(table, (unit, position) => {
    const target = targets.get(unit);
    if (target === undefined) return null;
    const to = movedTo(target.cut, position);
    invariant(to >= 0, 'a row that a transaction deletes was alive at the cut');
    return { unit: target.file.unit, position: to };
  });
  generations.forEach((generation, i) => table.install(generation, i === 0 ? added : [], keptOf(generation, kept)));
  if (generations.length === 0) table.install(null, added);
}

function keptOf({ slices }: Generation, kept: ReadonlyMap<MemorySlice, Flushed>): ReadonlyMap<MemorySlice, Flushed> {
  return new Map([...kept].filter(([slice]) => slices.includes(slice)));
}
