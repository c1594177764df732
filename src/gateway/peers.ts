/** The sessions of a server as they know of each other: who is there, what they do, who may end whom. */
import { canceled, SqlError, SqlState } from '../errors.ts';
import type { Clock } from '../clock.ts';
import type { TableHold } from '../ingest/table-locks.ts';
import type { ClientFacts, TransactionStatus } from '../wire/gateway-api.ts';
import type { SessionActivity } from './activity.ts';
import type { AdvisoryLocks, AdvisorySession } from './advisory-locks.ts';
import type { Interruption } from './interruption.ts';
import { Channels, type Listener } from './channels.ts';
import type { SessionNames } from './session-names.ts';
import type { SessionSettings } from './settings.ts';

export interface Peer {
  readonly pid: number;
  readonly user: string;
  readonly client: ClientFacts;
  readonly settings: SessionSettings;
  readonly activity: SessionActivity;
  readonly names: SessionNames;
  readonly listener: Listener;
  readonly hold: TableHold;
  readonly advisory: AdvisorySession;
  /** When its transaction began, in milliseconds; 0: there is none. */
  readonly transactionAt: number;
  status(): TransactionStatus;
  cancel(): void;
  terminate(): void;
}

export class Peers {
  readonly all = new Map<number, Peer>();
  readonly channels = new Channels();
  readonly advisory: AdvisoryLocks;
  #lastTransaction: number;

  /** @param startedAt numbers of transactions go on from there, so that they rise over restarts */
  constructor(startedAt: number, advisory: AdvisoryLocks) {
    this.#lastTransaction = Math.floor(startedAt);
    this.advisory = advisory;
  }

  nextTransaction(): number {
    return ++this.#lastTransaction;
  }

  /** pg_cancel_backend and pg_terminate_backend; undefined: there is no such session. @throws {SqlError} 42501 */
  endable(pid: number, by: Peer, what: 'cancel' | 'terminate'): Peer | undefined {
    const peer = this.all.get(pid);
    if (peer === undefined || peer.user === by.user || by.settings.get('is_superuser') === 'on') return peer;
    throw new SqlError(
      SqlState.insufficientPrivilege,
      `must be a member of the role whose ${what === 'cancel' ? 'query is being canceled' : 'process is being terminated'} or member of pg_signal_backend`,
    );
  }
}

/** Longest a timer can be set for; a longer sleep is that long, 24 days. */
const SLEEP_MS_MAX = 2 ** 31 - 1;

/** pg_sleep(): a timer, and nothing else. @throws {SqlError} 57014 */
export async function sleep(
  clock: Clock,
  interruption: Interruption,
  activity: SessionActivity,
  milliseconds: number,
): Promise<void> {
  if (!(milliseconds > 0)) return;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const disarm = clock.after(Math.min(milliseconds, SLEEP_MS_MAX), resolve);
  const over = interruption.running(() => reject(canceled()));
  activity.waits = ['Timeout', 'PgSleep'];
  try {
    await promise;
  } finally {
    activity.waits = null;
    disarm();
    over();
  }
}

/** False, with a warning: there is no such session. @throws {SqlError} 42501 */
export function endPeer(
  peers: Peers,
  by: Peer,
  pid: number,
  what: 'cancel' | 'terminate',
  warning: (code: string, message: string) => void,
): boolean {
  const peer = peers.endable(pid, by, what);
  if (peer === undefined) warning(SqlState.warning, `PID ${pid} is not a PostgreSQL server process`);
  else peer[what]();
  return peer !== undefined;
}
