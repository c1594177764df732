/** Feeds in a query (arka.changes): what they read of the log is held until the query has ended. */
import type { SqlError } from '../errors.ts';
import type { Database } from '../ingest/database.ts';
import type { ChangeFeed, PlannedTable, RenderedQuery } from '../planner/plan.ts';
import type { Log, LogHold } from '../storage/log/log-api.ts';
import { beyondLog, logTrimmed } from '../storage/log/log-trimmed.ts';
import type { TableScan } from '../storage/scan-spec.ts';
import { nameFields, type Lsn } from '../table-def.ts';

interface HeldFeed {
  readonly since: Lsn;
  readonly hold: LogHold;
}

/** @throws {SqlError} 55000 for what is not in the log any more, or not yet */
export function checkReach(log: Log, since: Lsn): void {
  if (since + 1 < log.firstLsn) throw logTrimmed(since, log.firstLsn);
  if (since > log.lastLsn) throw beyondLog(since, log.lastLsn);
}

export class FeedHolds {
  readonly #database: Database;
  readonly #held = new Map<PlannedTable, HeldFeed>();
  #to: Lsn = 0;

  private constructor(database: Database) {
    this.#database = database;
  }

  /** @throws {SqlError} 55000 when the log does not reach back so far; 22004, 22P02 for a since_lsn that is none */
  static async open(database: Database, tables: readonly PlannedTable[], rendered: RenderedQuery): Promise<FeedHolds> {
    const holds = new FeedHolds(database);
    try {
      for (const table of tables) if (table.feed !== undefined) await holds.#add(table, table.feed, rendered);
      if (holds.#held.size > 0) await holds.#settle();
      return holds;
    } catch (error) {
      holds.release();
      throw error;
    }
  }

  async #add(table: PlannedTable, feed: ChangeFeed, rendered: RenderedQuery): Promise<void> {
    const { log } = this.#database;
    const since = rendered.since!(feed);
    const hold = await log.hold(since + 1);
    this.#held.set(table, { since, hold });
    checkReach(log, since);
  }

  /** What is visible is read from the files, so it must be durable, too. */
  async #settle(): Promise<void> {
    const { committer, log } = this.#database;
    this.#to = committer.publishedLsn;
    await log.durable(this.#to);
    if (log.durableLsn >= committer.publishedLsn) this.#to = committer.publishedLsn;
  }

  scan(planned: PlannedTable): TableScan {
    const { since, hold } = this.#held.get(planned)!;
    const { table } = planned.feed!;
    const { def, placeholder, positions } = planned;
    const to = Math.max(since, planned.feed!.to ?? this.#to);
    const changes = { log: hold.place, since, to, key: nameFields(table), keyed: table.key.length > 0 };
    return { placeholder, def, memory: [], files: [], positions, changes };
  }

  /** What went wrong, when a feed's part of the log had to go while it was read. */
  get lost(): SqlError | null {
    for (const { since, hold } of this.#held.values())
      if (!hold.valid) return logTrimmed(since, this.#database.log.firstLsn);
    return null;
  }

  release(): void {
    for (const { hold } of this.#held.values()) hold.release();
  }
}
