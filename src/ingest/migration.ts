/**
 * Carries out what migration-choice.ts chooses, once a second: moves run beside each other up to MOVES_MAX, one that
 * fails waits longer each time. A table's figures come from running counts, not from its files (H8).
 */
import type { Table } from '../storage/table.ts';
import {
  chooseMoves,
  SMALL_CUT_BYTES,
  type MigrationSettings,
  type Move,
  type RewriteTrigger,
  type TableFigures,
} from './migration-choice.ts';
import type { Database } from './database.ts';
import { collectLater } from './iceberg-commit.ts';
import { reattachTable } from './reattach.ts';
import { RewriteCandidates } from './vacuum.ts';

const TICK_MS = 1000;
/** Flushes and commits at one time: the engine writes files with one thread. */
const MOVES_MAX = 2;
const RETRY_MS_MAX = 60_000;
/** Files of tables that nobody writes become due, too. */
const COLLECT_MS = 10 * 60_000;
/** A rewrite reads whole files again; but the first failure may be a store's that was away for a moment. */
const REWRITE_RETRY_MS = 5_000;
const REWRITE_RETRY_MS_MAX = 30 * 60_000;

/** Looks for commits of other writers, one round after another, until it is stopped. */
export function startRefresh(database: Database, intervalMs: number): () => void {
  let cancel = (): void => {};
  let stopped = false;
  const detached = new Reattaching(database, intervalMs);
  const round = async (): Promise<void> => {
    for (const table of database.tables.values()) {
      if (stopped) return;
      await detached.look(table);
      await database.refresh(table).then(
        () => table.troubles.done('refresh'),
        (error: unknown) => database.troubled(table, 'refresh', error),
      );
    }
    if (!stopped) cancel = database.clock.after(intervalMs, () => void round());
  };
  cancel = database.clock.after(intervalMs, () => void round());
  return () => {
    stopped = true;
    cancel();
  };
}

/** Tables that could not be read are looked at again, less and less often. */
class Reattaching {
  readonly #database: Database;
  readonly #firstMs: number;
  readonly #next = new WeakMap<Table, { readonly at: number; readonly waitMs: number }>();

  constructor(database: Database, firstMs: number) {
    this.#database = database;
    this.#firstMs = firstMs;
  }

  async look(table: Table): Promise<void> {
    if (table.detached?.reason !== 'unreadable') return;
    const { clock } = this.#database;
    const { at, waitMs } = this.#next.get(table) ?? { at: 0, waitMs: this.#firstMs };
    if (clock.monotonic() < at) return;
    this.#next.set(table, { at: clock.monotonic() + waitMs, waitMs: Math.min(waitMs * 2, RETRY_MS_MAX) });
    // Its statements say why it cannot be read.
    await reattachTable(this.#database, table).catch(() => undefined);
  }
}

/** When what happened to a table. Times of the monotonic clock. */
interface Seen {
  unflushedSince: number | null;
  uncommittedSince: number | null;
  flushedAt: number;
  committedAt: number;
  moving: boolean;
  failures: number;
  notBefore: number;
  readonly candidates: RewriteCandidates;
  rewriting: boolean;
  rewrittenAt: number;
  rewriteFailures: number;
}

/** Watches all tables until it is stopped. */
export function startMigration(database: Database, settings: MigrationSettings): () => void {
  const seen = new Map<Table, Seen>();
  let moving = 0;
  let stopped = false;
  let cancel = (): void => {};
  const start = (table: Table, { move, trigger }: Move): void => {
    const own = seen.get(table)!;
    if (move === 'rewrite') {
      void rewrite(database, table, settings.smallFilesMax, trigger as RewriteTrigger, own);
      return;
    }
    if (moving >= MOVES_MAX || own.notBefore > database.clock.monotonic()) return;
    own.moving = true;
    moving++;
    void carryOut(database, table, move, trigger, own).finally(() => {
      own.moving = false;
      moving--;
    });
  };
  let collectedAt = database.clock.monotonic();
  const tick = (): void => {
    cancel();
    const now = database.clock.monotonic();
    if (now - collectedAt >= COLLECT_MS) {
      collectedAt = now;
      for (const table of database.tables.values()) void collectLater(database, table);
    }
    for (const table of seen.keys()) if (table.dropped) seen.delete(table);
    const tables = database.allTables.filter(({ detached }) => detached === null);
    const figures = tables.map((table) => {
      const own = look(table, seen, now);
      return figuresOf(
        table,
        own,
        now,
        table.temporary ? null : own.candidates.look(database, table, settings.smallFilesMax),
      );
    });
    const moves = chooseMoves(settings, pressureOf(database), figures);
    for (const move of moves) start(tables[move.table]!, move);
    void database.retention.relieve().catch((error: unknown) => database.warn(error, 'making the log smaller'));
    if (!stopped) cancel = database.clock.after(TICK_MS, tick);
  };
  cancel = database.clock.after(TICK_MS, tick);
  database.pressure.onYellow = tick;
  return () => {
    stopped = true;
    database.pressure.onYellow = () => {};
    cancel();
  };
}

/** The table's notes, brought up to now. */
function look(table: Table, all: Map<Table, Seen>, now: number): Seen {
  let seen = all.get(table);
  if (seen === undefined) {
    seen = {
      unflushedSince: null,
      uncommittedSince: null,
      flushedAt: Number.NEGATIVE_INFINITY,
      committedAt: Number.NEGATIVE_INFINITY,
      moving: false,
      failures: 0,
      notBefore: 0,
      candidates: new RewriteCandidates(),
      rewriting: false,
      rewrittenAt: Number.NEGATIVE_INFINITY,
      rewriteFailures: 0,
    };
    all.set(table, seen);
  }
  seen.unflushedSince = table.unflushedFrom === 0 ? null : (seen.unflushedSince ?? now);
  seen.uncommittedSince = table.uncommittedFrom === 0 ? null : (seen.uncommittedSince ?? now);
  return seen;
}

async function carryOut(
  database: Database,
  table: Table,
  move: 'flush' | 'commit',
  trigger: string,
  seen: Seen,
): Promise<void> {
  const { clock } = database;
  const started = clock.monotonic();
  try {
    await (move === 'flush' ? database.flush(table, trigger) : database.commit(table, trigger));
    seen.failures = 0;
    // What came while it ran has been waiting since it started, at the latest.
    seen.unflushedSince = table.unflushedFrom === 0 ? null : started;
    if (move === 'commit') seen.uncommittedSince = table.uncommittedFrom === 0 ? null : started;
  } catch (error) {
    seen.failures++;
    seen.notBefore = clock.monotonic() + Math.min(RETRY_MS_MAX, TICK_MS * 2 ** seen.failures);
    database.troubled(table, move, error);
  } finally {
    seen.flushedAt = clock.monotonic();
    if (move === 'commit') seen.committedAt = seen.flushedAt;
  }
}

/** What fails waits longer each time, beyond `min_interval`. */
async function rewrite(
  database: Database,
  table: Table,
  smallFilesMax: number,
  trigger: RewriteTrigger,
  seen: Seen,
): Promise<void> {
  seen.rewriting = true;
  let wait = 0;
  try {
    await seen.candidates.rewrite(database, table, smallFilesMax, trigger);
    seen.rewriteFailures = 0;
    table.troubles.done('rewrite');
  } catch (error) {
    database.troubled(table, 'rewrite', error);
    wait = Math.min(REWRITE_RETRY_MS_MAX, REWRITE_RETRY_MS * 2 ** seen.rewriteFailures++);
  } finally {
    seen.rewriting = false;
    seen.rewrittenAt = database.clock.monotonic() + wait;
  }
}

function pressureOf({ disk, memory }: Database) {
  return { memoryUse: memory.use, memoryBudgetBytes: memory.pool.budgetBytes, diskUse: disk.pressure };
}

function figuresOf(table: Table, seen: Seen, now: number, rewritable: RewriteTrigger | null): TableFigures {
  const partitionBytes = new Map<string, number>();
  let memoryBytes = 0;
  let smallCutFiles = 0;
  for (const { bytes, partitionKey } of table.slices()) {
    partitionBytes.set(partitionKey, (partitionBytes.get(partitionKey) ?? 0) + bytes);
    memoryBytes += bytes;
    if (bytes < SMALL_CUT_BYTES) smallCutFiles++;
  }
  let cdcOperations = 0;
  let pendingDeletes = 0;
  for (const { deletes, deletesCommitted, deletesFlushed } of table.fileSets.dirty) {
    cdcOperations += deletes.length - deletesFlushed;
    pendingDeletes += deletes.length - deletesCommitted;
  }
  let stagedBytes = 0;
  for (const { info } of table.fileSets.staged) stagedBytes += info.bytes;
  return {
    memoryBytes,
    largestPartitionBytes: Math.max(0, ...partitionBytes.values()),
    smallCutFiles,
    unflushedAge: seen.unflushedSince === null ? null : now - seen.unflushedSince,
    uncommittedAgeMs: seen.uncommittedSince === null ? null : now - seen.uncommittedSince,
    walLag: table.unflushedFrom === 0 ? 0 : table.appliedLsn - table.unflushedFrom,
    cdcOperations,
    sinceFlushMs: now - seen.flushedAt,
    sinceCommitMs: now - seen.committedAt,
    stagedBytes,
    pendingDeletes,
    moving: seen.moving,
    rewrite: rewritable,
    rewriting: seen.rewriting,
    sinceRewriteMs: now - seen.rewrittenAt,
  };
}
