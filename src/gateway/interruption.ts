/**
 * What ends a session's statement, or the session, before its time: CancelRequest, statement_timeout and lock_timeout; idle
 * sessions, idle transactions and transactions that take too long.
 *
 * - I1 A statement that is interrupted ends by itself, with its error: whatever it waits for has said by `running` how to end it.
 */
import type { Clock } from '../clock.ts';
import { SqlError, SqlState } from '../errors.ts';
import type { SessionActivity } from './activity.ts';
import type { SessionSettings } from './settings.ts';
import type { Running } from '../running.ts';

export class Interruption {
  readonly #clock: Clock;
  readonly #settings: SessionSettings;
  readonly #terminate: (error: SqlError) => void;
  #cancel: (() => void) | null = null;
  /** Why the statement under way is to end. */
  #reason: string | null = null;
  /** Statements within each other: a cancel is for the outermost, whatever it is at. */
  #depth = 0;
  #disarmIdle: (() => void) | null = null;
  #disarmTransaction: (() => void) | null = null;

  readonly #activity: Pick<SessionActivity, 'waits'>;

  constructor(
    clock: Clock,
    settings: SessionSettings,
    terminate: (error: SqlError) => void,
    activity: Pick<SessionActivity, 'waits'>,
  ) {
    this.#activity = activity;
    this.#clock = clock;
    this.#settings = settings;
    this.#terminate = terminate;
  }

  /** CancelRequest. */
  cancel(): void {
    this.#interrupt('canceling statement due to user request');
  }

  #interrupt(reason: string): void {
    this.#reason = reason;
    this.#cancel?.();
  }

  /** The session ends. */
  close(): void {
    this.busy();
    this.ended();
    this.#cancel?.();
  }

  /** A message or a statement begins: what came for the one before is over. */
  begin(): void {
    if (this.#depth === 0) this.#reason = null;
  }

  /** How to end what a statement waits for now. */
  readonly running: Running = (cancel) => {
    const around = this.#cancel;
    this.#cancel = cancel;
    if (this.#reason !== null) cancel();
    return () => {
      if (this.#cancel !== cancel) return;
      this.#cancel = around;
      if (this.#reason !== null) around?.();
    };
  };

  /** Carries a statement out, I1. @throws {SqlError} 57014 */
  async guarded<T>(work: () => Promise<T>): Promise<T> {
    this.begin();
    this.#depth++;
    const { statementTimeoutMs } = this.#settings;
    const expired = (): void => this.#interrupt('canceling statement due to statement timeout');
    const disarm = statementTimeoutMs === 0 ? null : this.#clock.after(statementTimeoutMs, expired);
    try {
      return await work();
    } catch (error) {
      if (this.#reason !== null) throw new SqlError(SqlState.queryCanceled, this.#reason);
      throw error;
    } finally {
      disarm?.();
      this.#cancel = null;
      this.#depth--;
    }
  }

  /** A wait for a lock begins; the answer ends it. */
  readonly lockWait = (expired: () => void): (() => void) => {
    const ms = this.#settings.timeMs('lock_timeout');
    const disarm = ms === 0 ? null : this.#clock.after(ms, expired);
    this.#activity.waits = ['Lock', 'transactionid'];
    return () => {
      this.#activity.waits = null;
      disarm?.();
    };
  };

  /** The client has the word. */
  idle(inBlock: boolean): void {
    const { idleTimeoutMs, idleInTransactionTimeoutMs } = this.#settings;
    const ms = inBlock ? idleInTransactionTimeoutMs : idleTimeoutMs;
    if (ms === 0) return;
    this.busy();
    const error = inBlock
      ? fatal(SqlState.idleInTransactionSessionTimeout, 'terminating connection due to idle-in-transaction timeout')
      : fatal(SqlState.idleSessionTimeout, 'terminating connection due to idle-session timeout');
    this.#disarmIdle = this.#clock.after(ms, () => this.#terminate(error));
  }

  /** A message has come. */
  busy(): void {
    this.#disarmIdle?.();
    this.#disarmIdle = null;
  }

  /** A block begins. */
  began(): void {
    this.ended();
    const ms = this.#settings.timeMs('transaction_timeout');
    if (ms === 0) return;
    const error = fatal(SqlState.transactionTimeout, 'terminating connection due to transaction timeout');
    this.#disarmTransaction = this.#clock.after(ms, () => this.#terminate(error));
  }

  ended(): void {
    this.#disarmTransaction?.();
    this.#disarmTransaction = null;
  }
}

function fatal(code: SqlState, message: string): SqlError {
  return new SqlError(code, message, { severity: 'FATAL' });
}
