/**
 * What moves next, of all tables: every trigger of `flush.*` and `iceberg.*` is evaluated here and nowhere else.
 * Pure: settings, pressure and figures in, moves out, the most urgent first.
 *
 * - N1 Only memory and disk move rows within `min_interval` of the last move (H13); CHECKPOINT and CALL do not ask.
 * - N2 A commit flushes first, so a table that is due for both commits; its lag is the shorter of both intervals.
 * - N3 A cut that would write more than CUT_FILES_MAX small files waits up to STRETCH_MS for fuller ones (H13).
 * - N4 How urgent a move is weighs pressure, size and age: by how much its limit is passed, and, the fuller memory gets,
 *   how much of it the move gives back.
 * - N5 Files are rewritten only while memory is green, one table at a time: it is the one move that can wait.
 */
import { chooseUnderPressure, pressureOf, type PressureFigures } from './choose-under-pressure.ts';

export interface MigrationSettings {
  readonly memoryFraction: number;
  readonly memoryYellow: number;
  readonly partitionBytes: number;
  readonly flushAgeMs: number;
  readonly walLagMax: number;
  readonly cdcOperationsMax: number;
  readonly flushIntervalMinMs: number;
  readonly commitIntervalMs: number;
  readonly stagedBytesMax: number;
  readonly pendingDeletesMax: number;
  readonly smallFilesMax: number;
  readonly targetFileBytes: number;
  readonly commitIntervalMinMs: number;
}

/** What the server as a whole is short of. */
export interface Pressure {
  /** Slab bytes in use over their budget. */
  readonly memoryUse: number;
  readonly memoryBudgetBytes: number;
  /** How much of `disk.limit` is taken by what commits give back, index and deltas aside. */
  readonly diskUse: number;
}

/** What the choice knows of a table. Ages, `unflushedAge` too, in milliseconds. */
export interface TableFigures extends PressureFigures {
  readonly largestPartitionBytes: number;
  /** Files below SMALL_CUT_BYTES that a cut would write now. */
  readonly smallCutFiles: number;
  /** Age of the oldest operation not in Iceberg; null: there is none. */
  readonly uncommittedAgeMs: number | null;
  readonly walLag: number;
  readonly cdcOperations: number;
  readonly sinceFlushMs: number;
  readonly sinceCommitMs: number;
  readonly stagedBytes: number;
  readonly pendingDeletes: number;
  /** Why data files of it should be rewritten, if they should. */
  readonly rewrite: RewriteTrigger | null;
  readonly rewriting: boolean;
  readonly sinceRewriteMs: number;
}

export type RewriteTrigger = 'max_small_files' | 'deleted_rows';

export interface Move {
  /** Index of the table in the list given. */
  readonly table: number;
  readonly move: 'flush' | 'commit' | 'rewrite';
  readonly trigger: string;
}

export const SMALL_CUT_BYTES = 8 * 2 ** 20;
const CUT_FILES_MAX = 64;
const STRETCH_MS = 10 * 60_000;
/** From here on staged files and log are committed and trimmed early. */
const DISK_FRACTION = 0.8;

interface Due extends Move {
  readonly urgency: number;
}

export function chooseMoves(
  settings: MigrationSettings,
  pressure: Pressure,
  tables: readonly TableFigures[],
): readonly Move[] {
  const tight = pressureOf(pressure.memoryUse, settings.memoryYellow);
  const due = new Map<number, Due>();
  tables.forEach((figures, table) => {
    if (figures.moving) return;
    const found = dueCommit(settings, pressure, figures) ?? dueFlush(settings, figures);
    if (found === null) return;
    const share = figures.memoryBytes / pressure.memoryBudgetBytes;
    due.set(table, { ...found, table, urgency: (1 - tight) * found.over + tight * share * WEIGHT_OF_MEMORY });
  });
  for (const [rank, table] of forMemory(settings, pressure, tables, tight).entries()) {
    const trigger = pressure.memoryUse >= settings.memoryFraction ? 'memory_fraction' : 'memory_yellow';
    // What is due anyway keeps its reason; it goes with those that memory asks for.
    const { move = 'flush', trigger: reason = trigger } = due.get(table) ?? {};
    due.set(table, { table, move, trigger: reason, urgency: WEIGHT_OF_MEMORY * 2 - rank / tables.length });
  }
  const moves: Move[] = [...due.values()]
    .sort((a, b) => b.urgency - a.urgency || a.table - b.table)
    .map(({ table, move, trigger }) => ({ table, move, trigger }));
  const rewrite = dueRewrite(settings, pressure, tables);
  return rewrite === null ? moves : [...moves, rewrite];
}

/** One table that holds the whole budget weighs as much as a limit passed so many times. */
const WEIGHT_OF_MEMORY = 100;

interface Reason {
  readonly move: 'flush' | 'commit';
  readonly trigger: string;
  /** The figure over its limit: at least 1. */
  readonly over: number;
}

/** The trigger passed by most. */
function strongest(
  move: Reason['move'],
  ratios: readonly (readonly [trigger: string, figure: number, limit: number])[],
): Reason | null {
  let found: Reason | null = null;
  for (const [trigger, figure, limit] of ratios) {
    const over = figure / limit;
    if (over >= 1 && over > (found?.over ?? 0)) found = { move, trigger, over };
  }
  return found;
}

/** N3. */
function intervalOf(figures: TableFigures, intervalMinMs: number): number {
  return figures.smallCutFiles > CUT_FILES_MAX ? Math.max(intervalMinMs, STRETCH_MS) : intervalMinMs;
}

function dueCommit(settings: MigrationSettings, pressure: Pressure, figures: TableFigures): Reason | null {
  if (figures.uncommittedAgeMs === null) return null;
  if (pressure.diskUse >= DISK_FRACTION && figures.stagedBytes + figures.memoryBytes > 0)
    return { move: 'commit', trigger: 'disk', over: 1 + figures.stagedBytes / settings.stagedBytesMax };
  if (figures.sinceCommitMs < intervalOf(figures, settings.commitIntervalMinMs)) return null;
  return strongest('commit', [
    ['commit_interval', figures.uncommittedAgeMs, settings.commitIntervalMs],
    ['target_file_size', figures.stagedBytes, settings.targetFileBytes],
    ['max_staged', figures.stagedBytes, settings.stagedBytesMax],
    ['max_pending_deletes', figures.pendingDeletes, settings.pendingDeletesMax],
  ]);
}

function dueFlush(settings: MigrationSettings, figures: TableFigures): Reason | null {
  if (figures.unflushedAge === null) return null;
  if (figures.sinceFlushMs < intervalOf(figures, settings.flushIntervalMinMs)) return null;
  return strongest('flush', [
    ['partition_size', figures.largestPartitionBytes, settings.partitionBytes],
    ['max_age', figures.unflushedAge, settings.flushAgeMs],
    ['max_wal_lag', figures.walLag, settings.walLagMax],
    ['max_cdc_ops', figures.cdcOperations, settings.cdcOperationsMax],
  ]);
}

function forMemory(
  settings: MigrationSettings,
  pressure: Pressure,
  tables: readonly TableFigures[],
  tight: number,
): readonly number[] {
  const from = Math.min(settings.memoryYellow, settings.memoryFraction);
  if (pressure.memoryUse < from) return [];
  return chooseUnderPressure(tables, (pressure.memoryUse - from) * pressure.memoryBudgetBytes + 1, tight);
}

/** N5. The table whose files have waited longest. */
function dueRewrite(settings: MigrationSettings, pressure: Pressure, tables: readonly TableFigures[]): Move | null {
  if (pressure.memoryUse >= settings.memoryYellow || tables.some((figures) => figures.rewriting)) return null;
  let found: Move | null = null;
  let longest = settings.commitIntervalMinMs;
  for (const [table, { rewrite, sinceRewriteMs }] of tables.entries()) {
    if (rewrite === null || sinceRewriteMs < longest || (found !== null && sinceRewriteMs === longest)) continue;
    longest = sinceRewriteMs;
    found = { table, move: 'rewrite', trigger: rewrite };
  }
  return found;
}
