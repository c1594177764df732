/**
 * What waits for commits: COPY of arka.changes with follow => true, and arka.wait_for_lsn.
 *
 * - A feed that is followed is one short query after another, each of the transactions that have come since the last, so
 *   nothing is held between them but the log; a client that reads slowly makes the next query wait, and longer.
 * - What was read of the log is let go as soon as it was sent; commits to other tables move the position on, too.
 */
import { canceled, SqlError, SqlState } from '../errors.ts';
import type { Database } from '../ingest/database.ts';
import type { ChangeFeed, PlannedTable, QueryPlan } from '../planner/plan.ts';
import type { LogHold } from '../storage/log/log-api.ts';
import { logTrimmed } from '../storage/log/log-trimmed.ts';
import type { Table } from '../storage/table.ts';
import type { Lsn } from '../table-def.ts';
import { lsnText } from '../types/pg-lsn.ts';
import type { ServerContext } from './context.ts';
import { checkReach } from './feeds.ts';
import type { Running } from '../running.ts';

/** What no publication tells of is looked at so often: a table that was dropped, a log that had to go. */
const LOOK_MS = 500;

/** What a wait needs of its session. */
interface Waiting {
  readonly context: Pick<ServerContext, 'database' | 'clock'>;
  readonly running: Running;
}

/**
 * Resolves when `done` says so; asked after each publication, and from time to time.
 * @throws {SqlError} 57014 after a cancel, 57P01 when the server stops, and what `done` throws
 */
async function until({ context, running }: Waiting, done: () => boolean): Promise<void> {
  const { clock, database } = context;
  const { publications } = database.committer;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let stop = (): void => {};
  const look = (): void => {
    try {
      if (publications.ended)
        throw new SqlError(SqlState.adminShutdown, 'terminating connection due to administrator command');
      if (done()) resolve();
    } catch (error) {
      reject(error instanceof Error ? error : new Error(String(error)));
    }
  };
  const tick = (): void => {
    stop = clock.after(LOOK_MS, () => {
      look();
      tick();
    });
  };
  const unlisten = publications.listen(look);
  running(() => reject(canceled()));
  look();
  tick();
  try {
    await promise;
  } finally {
    stop();
    unlisten();
  }
}

/** @throws {SqlError} 57014 when `timeoutMs` have passed before */
export async function waitForLsn(waiting: Waiting, lsn: Lsn, timeoutMs: number): Promise<void> {
  const { clock, database } = waiting.context;
  const { committer } = database;
  const end = clock.monotonic() + timeoutMs;
  await until(waiting, () => {
    if (committer.publishedLsn >= lsn) return true;
    if (clock.monotonic() >= end)
      throw new SqlError(SqlState.queryCanceled, `timed out while waiting for LSN ${lsnText(lsn)}`, {
        detail: `The last LSN that is readable here is ${lsnText(committer.publishedLsn)}.`,
      });
    return false;
  });
}

/** The feed that a plan follows; null: it follows none. */
export function followed(plan: QueryPlan): PlannedTable | null {
  return plan.tables.find(({ feed }) => feed?.follow === true) ?? null;
}

export class Follower {
  readonly #waiting: Waiting;
  readonly #plan: QueryPlan;
  readonly #planned: PlannedTable;
  readonly #hold: LogHold;
  /** Everything up to it was sent. */
  #since: Lsn;

  private constructor(waiting: Waiting, plan: QueryPlan, planned: PlannedTable, hold: LogHold, since: Lsn) {
    this.#waiting = waiting;
    this.#plan = plan;
    this.#planned = planned;
    this.#hold = hold;
    this.#since = since;
  }

  /** @throws {SqlError} 55000 when the log does not reach back so far */
  static async open(waiting: Waiting, plan: QueryPlan, planned: PlannedTable): Promise<Follower> {
    const { log } = waiting.context.database;
    const since = plan.render([]).since!(planned.feed!);
    const hold = await log.hold(since + 1);
    try {
      checkReach(log, since);
      return new Follower(waiting, plan, planned, hold, since);
    } catch (error) {
      hold.release();
      throw error;
    }
  }

  /** The plan of what has come, perhaps nothing at first; the next call says that its rows were sent. */
  async next(first: boolean): Promise<QueryPlan> {
    const { database } = this.#waiting.context;
    if (!first) await until(this.#waiting, () => this.#hasNews());
    this.#table();
    const { committer, log } = database;
    const to = Math.max(this.#since, committer.publishedLsn);
    if (to <= committer.publishedLsn) await log.durable(to);
    const since = this.#since;
    this.#sent = to;
    return upTo(this.#plan, this.#planned, since, to);
  }

  #sent: Lsn = 0;

  /** All of the last plan's rows are with the client. */
  advance(): void {
    this.#since = this.#sent;
    this.#hold.advance(this.#since + 1);
  }

  close(): void {
    this.#hold.release();
  }

  #hasNews(): boolean {
    const table = this.#table();
    if (table.publishedLsn > this.#since) return true;
    this.#since = Math.max(this.#since, this.#waiting.context.database.committer.publishedLsn);
    this.#hold.advance(this.#since + 1);
    return false;
  }

  /** @throws {SqlError} 55000, 42P01: it cannot go on */
  #table(): Table {
    const { database } = this.#waiting.context;
    const { table: def } = this.#planned.feed!;
    if (!this.#hold.valid) throw logTrimmed(this.#since, database.log.firstLsn);
    const table = liveTable(database, def.uuid, def.name);
    if (table.def !== def)
      throw new SqlError(SqlState.objectNotInPrerequisiteState, `the definition of "${def.name}" has changed`, {
        detail: `All changes up to LSN ${lsnText(this.#since)} were sent.`,
        hint: 'Begin again after that LSN.',
      });
    return table;
  }
}

function liveTable(database: Database, uuid: string, name: string): Table {
  const table = database.tables.get(uuid);
  if (table === undefined) throw new SqlError(SqlState.undefinedTable, `relation "${name}" does not exist`);
  return table;
}

/** The same query of a part of the log that has an end. */
function upTo(plan: QueryPlan, planned: PlannedTable, since: Lsn, to: Lsn): QueryPlan {
  const feed: ChangeFeed = { ...planned.feed!, since: { kind: 'lsn', lsn: since }, to, follow: false };
  return {
    ...plan,
    tables: plan.tables.map((table) => (table === planned ? { ...table, feed } : table)),
    render: (parameters) => ({ ...plan.render(parameters), since: () => since }),
  };
}
