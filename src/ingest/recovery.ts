/**
 * Start-up: catalog state + flush manifest + log above it, per table (C5). Names find their positions again through the
 * same resolver that writes use (C3).
 */
import { sideBySide } from '../side-by-side.ts';
import type { RecoveredFrame } from '../storage/log/log-api.ts';
import type { Delta, LakeState, RecoveredTable } from '../storage/iceberg/lake-api.ts';
import { areAllProven } from '../storage/iceberg/unreadable.ts';
import { decodeCheckpoint } from '../storage/log/checkpoint.ts';
import { DataFileUnit } from '../storage/file-unit.ts';
import type { DeleteList } from '../storage/memory/delete-list.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { MemorySlice } from '../storage/memory/slice.ts';
import type { Table } from '../storage/table.ts';
import type { Lsn } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { widened } from '../types/widen-vector.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import { applyDeletes, insertVectors, noteOperations } from './committer.ts';
import type { Database } from './database.ts';
import { adoptDeletes, readDeletes } from './delete-files.ts';
import { detachAtStart, detachRecovered, noteHeld, noteUnclaimed } from './detached-rows.ts';
import { decodeFrame, type Section } from '../storage/log/section-reader.ts';
import { placeMoved } from './moved-deletes.ts';
import { LostRows } from './lost-rows.ts';
import { ReplayRows } from './replay-rows.ts';
import { replayTruncation } from './replay-truncation.ts';
import { RowPlaces } from './row-places.ts';
import { HotNames, mayBeInFiles, resolveCold } from './resolver.ts';

/** During replay memory is flushed from this share of the budget on. */
const FLUSH_FRACTION = 0.6;

/** Tables that are brought into memory side by side: other threads read for them. */
const RESTORES_MAX = 8;

export interface Recovery {
  readonly rows: number;
}

/** Fills an empty database. Ends with the log open for writing. @param lostDir where rows go whose table is gone (M-4) */
export async function recover(database: Database, lake: LakeState, lostDir: string): Promise<Recovery> {
  for (const schema of lake.schemas) database.schemas.add(schema);
  database.restore(lake.sequences, lake.views);
  for (const [of, comment] of lake.comments) database.comments.set(of, comment);
  const areAllKnown = areAllProven(lake.tables);
  if (areAllKnown) await database.sequences.dropOrphans(new Set(lake.tables.map((table) => table.def.uuid)));
  const { log } = database;
  let lsnMax: Lsn = log.lastLsn;
  let from = log.lastLsn + 1;
  const takenOver: Table[] = [];
  const restored = await sideBySide(lake.tables, RESTORES_MAX, async (state) => {
    const table = await restoreTable(database, state);
    if (!isUnreadable(table)) await database.index?.sync(table);
    return table;
  });
  for (const [i, table] of restored.entries()) {
    const state = lake.tables[i]!;
    const isUnread = isUnreadable(table);
    lsnMax = Math.max(lsnMax, state.lsnSeen, table.flushedLsn); // C2
    if (table.detached === null || isUnread) from = Math.min(from, Math.max(table.flushedLsn + 1, state.neededFrom));
    if (state.flush !== null && state.flush.logId !== log.logId && !isUnread) takenOver.push(table);
  }
  const checkpoint = log.checkpoint === null ? null : decodeCheckpoint(log.checkpoint);
  const known = new Set(lake.tables.map((table) => table.def.uuid));
  const missed = (checkpoint?.tables ?? []).filter((entry) => !known.has(entry.uuid));
  for (const entry of missed) from = Math.min(from, entry.neededFrom);
  // A table that was made after the checkpoint may be gone, or be one that cannot be read.
  from = Math.min(from, checkpoint === null ? log.firstLsn : checkpoint.lsn + 1);
  const { unclaimed } = database;
  if (!areAllKnown) for (const entry of missed) unclaimed.keep(entry);
  const lost = new LostRows(database, lake.lost, checkpoint, lostDir, areAllKnown ? null : unclaimed);
  let rows = 0;
  let wasCutInside = false;
  const hot = new HotNames();
  const small = new ReplayRows(database, isMissing);
  await log.replay(from, (frame) => {
    const taken = small.take(frame);
    rows += taken;
    if (taken > 0 && !small.full && !isAtLimit(database)) return undefined;
    small.release();
    if (taken > 0) return flushAtLimit(database, lost);
    return replayFrame(database, hot, frame, lost).then((applied) => {
      rows += applied;
      if (!isAtLimit(database)) return undefined;
      // A transaction may be larger than memory (H1): then tables are cut inside of it, and once more when all of it is there.
      wasCutInside ||= !frame.last;
      return flushAll(database, lost);
    });
  });
  small.release();
  if (wasCutInside) await flushAll(database, lost); // V2
  for (const table of database.tables.values()) noteUnclaimed(table, unclaimed.from);
  if (takenOver.length > 0) {
    lsnMax = Math.max(lsnMax, 1);
    const names = takenOver.map(({ def }) => `${def.schema}.${def.name}`).join(', ');
    database.warn(
      new Error(`the log that rows on disk are from is gone: what only it had is lost (tables ${names})`),
      'the write-ahead log',
    );
  }
  database.committer.appliedLsn = lsnMax;
  database.committer.publishedLsn = lsnMax;
  for (const table of database.tables.values()) table.publishedLsn = table.appliedLsn;
  await lost.finish();
  await log.start(lsnMax + 1);
  for (const table of takenOver) await takeOver(database, table);
  await database.retention.checkpoint();
  for (const table of database.tables.values()) database.follower.wake(table);
  return { rows };
}

/** Rows on disk that another log had: for this one they have been there from its beginning, and may be committed. */
export async function takeOver(database: Database, table: Table): Promise<void> {
  if (table.unflushedFrom > 0) return; // the next flush says it
  const lsn = database.committer.appliedLsn;
  const { snapshotId: baseSnapshotId, def } = table;
  const { logId } = database.log;
  await database.lake.writeFlush({
    tableUuid: def.uuid,
    logId,
    fromLsn: lsn,
    flushedLsn: lsn,
    baseSnapshotId,
    segments: [],
    deltas: [],
  });
  table.flushedLsn = lsn;
  table.appliedLsn = lsn;
  table.publishedLsn = lsn;
}

async function restoreTable(database: Database, state: RecoveredTable): Promise<Table> {
  const table = database.addTable(state);
  const { logId } = database.log;
  const { flush } = state;
  try {
    await adoptFiles(database, table, state);
    await placeStaged(database, table, state);
  } catch (error) {
    detachRecovered(table, state);
    detachAtStart(database, table, error);
    if (flush?.logId === logId) table.flushedLsn = Math.max(table.flushedLsn, flush.flushedLsn);
    if (flush !== null && flush.segments.length + flush.deltas.length > 0)
      table.uncommittedFrom = state.uncommittedFrom;
    table.appliedLsn = table.flushedLsn;
  }
  return table;
}

/** What Iceberg has deleted of its files. */
export async function adoptFiles(database: Database, table: Table, state: RecoveredTable): Promise<void> {
  table.committedLsn = state.logId === database.log.logId ? state.committedLsn : 0;
  table.flushedLsn = table.committedLsn;
  adoptDeletes(database, table, state, await readDeletes(database, table, state), 0);
}

/** What the flush manifest has above that. */
export async function placeStaged(database: Database, table: Table, state: RecoveredTable): Promise<void> {
  const { logId } = database.log;
  const { flush } = state;
  const byLocation = new Map(table.files.map((file) => [file.info.location, file]));
  detachRecovered(table, state);
  if (flush !== null) {
    if (flush.logId === logId) table.flushedLsn = Math.max(table.flushedLsn, flush.flushedLsn);
    const lsnOf = (delta: Delta): Lsn => (flush.logId === logId ? delta.lsnTo : 0); // V7: LSNs of another log say nothing here
    for (const delta of flush.deltas) applyDelta(table, byLocation.get(delta.location), delta, lsnOf(delta));
    if (flush.moved.length > 0) await placeMoved(database, table, flush);
    const added = flush.segments.map(
      (segment) => new DataFileUnit(database.memory, database.nextUnit(), table.def, segment, 'disk'),
    );
    table.install(null, added);
    const staged = new Map(added.map((file) => [file.info.location, file]));
    for (const delta of flush.deltas) applyDelta(table, staged.get(delta.location), delta, lsnOf(delta));
    if (flush.segments.length > 0 || flush.deltas.length > 0) table.uncommittedFrom = state.uncommittedFrom;
  }
  table.appliedLsn = table.flushedLsn;
}

function applyDelta(table: Table, file: DataFileUnit | undefined, { positions, whole }: Delta, lsn: Lsn): void {
  if (file === undefined) return;
  if (whole !== undefined) file.deletes.killAll(file.rows, lsn);
  const fresh = positions.filter((position) => !file.deletes.has(position));
  if (!file.deletes.reserve(fresh.length)) throw new Error('the pending deletes of a table do not fit memory.limit');
  for (const position of fresh) file.deletes.append(position, lsn);
  file.deletes.publish(file.deletes.length);
  file.deletesFlushed = file.deletes.length;
  table.fileSets.deleted(file);
}

/** Applies the operations that the tables do not hold yet; how many. */
async function replayFrame(database: Database, hot: HotNames, frame: RecoveredFrame, lost: LostRows): Promise<number> {
  if (frame.kind !== 'data') return 0;
  const lsn = frame.firstLsn + frame.count - 1;
  let rows = 0;
  for (const section of decodeFrame(frame.payload)) {
    const table = database.tables.get(section.tableUuid) ?? lost.tableOf(section, frame.firstLsn, lsn);
    if (table !== null) noteHeld(table, frame.firstLsn, lsn);
    if (table === null || !isMissing(table, lsn)) continue; // dropped since, or on disk already
    try {
      await replaySection(database, hot, table, section, lsn);
      noteOperations(table, frame.firstLsn, lsn);
      rows += section.rows;
    } catch (error) {
      detachAtStart(database, table, error);
      noteHeld(table, frame.firstLsn, lsn);
    }
  }
  database.committer.appliedLsn = lsn;
  database.committer.publishedLsn = lsn;
  return rows;
}

export async function replaySection(
  database: Database,
  hot: HotNames,
  table: Table,
  section: Section,
  lsn: Lsn,
): Promise<void> {
  const slices = new Set<MemorySlice>();
  const lists = new Set<DeleteList>();
  if (section.kind === 'delete') await replayDeletes(database, hot, table, section, lsn, lists);
  else if (section.kind === 'truncate') await replayTruncation(database, table, section, lsn, lists);
  // One transaction may be larger than a limit that was lowered: that must not keep the server from starting.
  else
    database.memory.pool.unbounded(() =>
      insertVectors(table, byFieldIds(table, section, table.physicals.keys()), section.rows, lsn, slices),
    );
  for (const slice of slices) slice.published = slice.rows;
  for (const list of lists) list.publish(list.length);
}

const isUnreadable = (table: Table): boolean => table.detached?.reason === 'unreadable';

/** Whether a table lacks what was done to it at an LSN. */
const isMissing = (table: Table, lsn: Lsn): boolean => lsn > table.flushedLsn && table.detached === null;

function isAtLimit({ memory: { slabBytes, pool } }: Database): boolean {
  return slabBytes > pool.budgetBytes * FLUSH_FRACTION;
}

function flushAtLimit(database: Database, lost: LostRows): Promise<void> | undefined {
  return isAtLimit(database) ? flushAll(database, lost) : undefined;
}

async function flushAll(database: Database, lost: LostRows): Promise<void> {
  for (const table of database.tables.values()) await database.flush(table, 'recovery');
  await lost.spill();
}

async function replayDeletes(
  database: Database,
  hot: HotNames,
  table: Table,
  section: Section,
  lsn: Lsn,
  lists: Set<DeleteList>,
): Promise<void> {
  const vectors = byFieldIds(table, section, table.nameColumns);
  const cold = new RowBuffer(database.memory, table.namePhysicals);
  try {
    const places = new RowPlaces();
    hot.follow(table);
    for (let row = 0; row < section.rows; row++) {
      if (hot.find(table, vectors, row)) places.push(hot.unit, hot.position);
      else if (mayBeInFiles(table, vectors, row)) cold.append(vectors, row, row + 1);
    }
    applyReserved(table, places, lsn, lists);
    if (cold.rows > 0) {
      places.truncate(0);
      await resolveCold(database.engine, table, cold, (_, unit, position) => places.push(unit, position));
      applyReserved(table, places, lsn, lists);
    }
  } finally {
    cold.retire(); // also where the table's files cannot be read, and it is detached
  }
}

function applyReserved(table: Table, places: RowPlaces, lsn: Lsn, lists: Set<DeleteList>): void {
  places.forRuns((unit, { length }) => {
    if (!table.unit(unit)!.deletes.reserve(length)) throw new Error('the deletes of the log do not fit memory.limit');
  });
  applyDeletes(table, places, lsn, lists);
}

/** Values of columns by field id: fields of a later schema are NULL, dropped ones are left out, narrower ones widened (M-2). */
function byFieldIds(table: Table, section: Section, columns: Iterable<number>): readonly ColumnVector[] {
  return Array.from(columns, (column) => {
    const at = section.fieldIds.indexOf(table.fieldIds[column]!);
    if (at >= 0) return widened(section.vectors[at]!, table.physicals[column]!, section.rows);
    const nulls = new VectorBuilder(table.physicals[column]!);
    for (let row = 0; row < section.rows; row++) nulls.null();
    return nulls.vector();
  });
}
