/**
 * When rows move on: every trigger of `flush.*` and `iceberg.*` is evaluated here, once a second, and nowhere else (H13).
 * The choice is a pure function of a table's figures.
 */
import type { Table } from '../storage/table.ts';
import type { Database } from './database.ts';

export interface MigrationSettings {
  readonly memoryFraction: number;
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

/** What the choice knows of a table. Ages in milliseconds. */
export interface TableFigures {
  /** Share of the slab budget that all tables use. */
  readonly memoryUse: number;
  readonly largestPartitionBytes: number;
  readonly memoryRows: number;
  /** Age of the oldest operation not on disk, and of the oldest not in Iceberg; null: there is none. */
  readonly unflushedAgeMs: number | null;
  readonly uncommittedAgeMs: number | null;
  readonly walLag: number;
  readonly cdcOperations: number;
  readonly sinceFlushMs: number;
  readonly sinceCommitMs: number;
  readonly stagedBytes: number;
  readonly stagedFiles: number;
  readonly pendingDeletes: number;
}

export type Migration = { readonly move: 'flush' | 'commit'; readonly trigger: string } | null;

export function chooseMigration(settings: MigrationSettings, figures: TableFigures): Migration {
  const commit = chooseCommit(settings, figures);
  if (commit !== null) return commit;
  if (figures.unflushedAgeMs === null) return null;
  if (figures.memoryUse >= settings.memoryFraction * 0.6 && figures.memoryRows > 0)
    return { move: 'flush', trigger: 'memory_fraction' };
  if (figures.sinceFlushMs < settings.flushIntervalMinMs) return null;
  if (figures.largestPartitionBytes >= settings.partitionBytes) return { move: 'flush', trigger: 'partition_size' };
  if (figures.unflushedAgeMs >= settings.flushAgeMs) return { move: 'flush', trigger: 'max_age' };
  if (figures.walLag >= settings.walLagMax) return { move: 'flush', trigger: 'max_wal_lag' };
  if (figures.cdcOperations >= settings.cdcOperationsMax) return { move: 'flush', trigger: 'max_cdc_ops' };
  return null;
}

function chooseCommit(settings: MigrationSettings, figures: TableFigures): Migration {
  if (figures.uncommittedAgeMs === null || figures.sinceCommitMs < settings.commitIntervalMinMs) return null;
  if (figures.uncommittedAgeMs >= settings.commitIntervalMs) return { move: 'commit', trigger: 'commit_interval' };
  if (figures.stagedBytes >= Math.min(settings.stagedBytesMax, settings.targetFileBytes))
    return { move: 'commit', trigger: 'staged_size' };
  if (figures.stagedFiles >= settings.smallFilesMax) return { move: 'commit', trigger: 'max_small_files' };
  if (figures.pendingDeletes >= settings.pendingDeletesMax) return { move: 'commit', trigger: 'max_pending_deletes' };
  return null;
}

interface Seen {
  unflushedSince: number | null;
  uncommittedSince: number | null;
  flushedAt: number;
  committedAt: number;
  busy: boolean;
}

const TICK_MS = 1000;

/** Looks for commits of other writers, one round after another, until it is stopped. */
export function startRefresh(database: Database, intervalMs: number): () => void {
  let cancel = (): void => {};
  let stopped = false;
  const round = async (): Promise<void> => {
    for (const table of database.tables.values()) {
      if (stopped) return;
      await database
        .refresh(table)
        .catch((error: unknown) => database.warn(error, `refresh of ${table.def.schema}.${table.def.name}`));
    }
    if (!stopped) cancel = database.clock.after(intervalMs, () => void round());
  };
  cancel = database.clock.after(intervalMs, () => void round());
  return () => {
    stopped = true;
    cancel();
  };
}

/** Watches all tables until it is stopped. */
export function startMigration(database: Database, settings: MigrationSettings): () => void {
  const seen = new Map<Table, Seen>();
  let stopped = false;
  let cancel = (): void => {};
  const tick = (): void => {
    for (const table of database.tables.values()) watch(database, settings, table, seen);
    for (const table of seen.keys()) if (table.dropped) seen.delete(table);
    if (!stopped) cancel = database.clock.after(TICK_MS, tick);
  };
  cancel = database.clock.after(TICK_MS, tick);
  return () => {
    stopped = true;
    cancel();
  };
}

function watch(database: Database, settings: MigrationSettings, table: Table, all: Map<Table, Seen>): void {
  const now = database.clock.monotonic();
  let seen = all.get(table);
  if (seen === undefined) {
    seen = {
      unflushedSince: null,
      uncommittedSince: null,
      flushedAt: Number.NEGATIVE_INFINITY,
      committedAt: Number.NEGATIVE_INFINITY,
      busy: false,
    };
    all.set(table, seen);
  }
  seen.unflushedSince = table.unflushedFrom === 0 ? null : (seen.unflushedSince ?? now);
  seen.uncommittedSince = table.uncommittedFrom === 0 ? null : (seen.uncommittedSince ?? now);
  if (seen.busy) return;
  const choice = chooseMigration(settings, figuresOf(database, table, seen, now));
  if (choice === null) return;
  const current = seen;
  current.busy = true;
  const work = choice.move === 'flush' ? database.flush(table, choice.trigger) : database.commit(table, choice.trigger);
  void work
    .catch((error: unknown) => database.warn(error, `${choice.move} of ${table.def.schema}.${table.def.name}`))
    .finally(() => {
      current.busy = false;
      current.unflushedSince = null;
      current.flushedAt = database.clock.monotonic();
      if (choice.move === 'commit') {
        current.uncommittedSince = null;
        current.committedAt = current.flushedAt;
      }
    });
}

function figuresOf(database: Database, table: Table, seen: Seen, now: number): TableFigures {
  const partitionBytes = new Map<string, number>();
  let memoryRows = 0;
  for (const slice of table.slices()) {
    partitionBytes.set(slice.partitionKey, (partitionBytes.get(slice.partitionKey) ?? 0) + slice.bytes);
    memoryRows += slice.rows;
  }
  let cdcOperations = 0;
  let pendingDeletes = 0;
  let stagedBytes = 0;
  let stagedFiles = 0;
  for (const file of table.files) {
    cdcOperations += file.deletes.length - file.deletesFlushed;
    pendingDeletes += file.deletes.length - file.deletesCommitted;
    if (file.tier !== 'disk') continue;
    stagedBytes += file.info.bytes;
    stagedFiles++;
  }
  const { pool } = database.memory;
  return {
    memoryUse: pool.usedBytes / pool.budgetBytes,
    largestPartitionBytes: Math.max(0, ...partitionBytes.values()),
    memoryRows,
    unflushedAgeMs: seen.unflushedSince === null ? null : now - seen.unflushedSince,
    uncommittedAgeMs: seen.uncommittedSince === null ? null : now - seen.uncommittedSince,
    walLag: table.unflushedFrom === 0 ? 0 : table.appliedLsn - table.unflushedFrom,
    cdcOperations,
    sinceFlushMs: now - seen.flushedAt,
    sinceCommitMs: now - seen.committedAt,
    stagedBytes,
    stagedFiles,
    pendingDeletes,
  };
}
