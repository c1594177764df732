/** One client's session: its settings, its transaction, and what answers its messages: `gateway/simple.ts`, `gateway/extended.ts`. */
import { randomBytes } from 'node:crypto';
import type { Format } from '../types/result-column.ts';
import type {
  BoundParameters,
  GatewaySession,
  MaybePromise,
  Output,
  Portal,
  Prepared,
  SessionEvents,
  TransactionStatus,
} from '../wire/gateway-api.ts';
import { AdvisorySession, type AdvisoryLocks } from './advisory-locks.ts';
import type { ServerContext } from './context.ts';
import { Interruption } from './interruption.ts';
import { type SessionSettings } from './settings.ts';
import { SessionAccess } from './session-access.ts';
import { SessionSequences } from './sequences.ts';
import { ExtendedQuery } from './extended.ts';
import { SimpleQuery } from './simple.ts';
import { SessionStatements } from './statements.ts';
import { SessionTimes } from './times.ts';
import { SessionNames } from './session-names.ts';
import { SessionTransaction } from './transaction.ts';

export class Session implements GatewaySession {
  readonly pid: number;
  /** Who logged in. */
  readonly user: string;
  readonly cancelKey: Uint8Array;
  readonly parameters: ReadonlyMap<string, string>;
  readonly #names = new SessionNames();
  readonly statements = this.#names.statements;
  readonly portals = this.#names.portals.byName;
  readonly #closed: () => unknown;
  readonly #transaction: SessionTransaction;
  readonly #interruption: Interruption;
  readonly #statements: SessionStatements;
  readonly #simple: SimpleQuery;
  readonly #extended: ExtendedQuery;
  #open = true;

  constructor(
    context: ServerContext,
    pid: number,
    cancelKeyBytes: number,
    settings: SessionSettings,
    events: SessionEvents,
    locks: AdvisoryLocks,
    closed: () => unknown,
  ) {
    this.pid = pid;
    this.user = settings.get('session_authorization')!;
    this.cancelKey = randomBytes(cancelKeyBytes);
    this.#closed = closed;
    this.parameters = settings.reported();
    const times = new SessionTimes(context.clock);
    const access = new SessionAccess(context.rights, settings);
    const sequences = new SessionSequences(context.database, access);
    this.#interruption = new Interruption(context.clock, settings, (error) => events.terminate(error));
    this.#transaction = new SessionTransaction({
      database: context.database,
      settings,
      sequences,
      times,
      advisory: new AdvisorySession(locks),
      access,
      pid,
      warning: (code, message) => this.#statements.warning(code, message),
      portals: this.#names.portals,
      guarded: (work) => this.#interruption.guarded(work),
      definitionsChanged: context.definitionsChanged,
      began: () => this.#interruption.began(),
      ended: () => this.#interruption.ended(),
    });
    this.#statements = new SessionStatements({
      context,
      pid,
      settings,
      access,
      sequences,
      events,
      transaction: this.#transaction,
      interruption: this.#interruption,
      times,
      names: this.#names,
    });
    this.#simple = new SimpleQuery(this.#statements);
    this.#extended = new ExtendedQuery(this.#statements, this.#names.portals);
  }

  status(): TransactionStatus {
    return this.#transaction.status;
  }

  owes(bytes: number): Promise<void> | null {
    return this.#statements.owes(bytes);
  }

  heldBytes(): number {
    return this.#names.portals.heldBytes();
  }

  /** CancelRequest: ends what runs with 57014. */
  cancel(): void {
    this.#interruption.cancel();
  }

  simple(text: string, out: Output): Promise<void> {
    return this.#simple.text(text, out);
  }

  simpleBytes(sql: Uint8Array, out: Output): MaybePromise<void> | null {
    return this.#simple.bytes(sql, out);
  }

  parse(text: string, parameterOids: readonly number[]): MaybePromise<Prepared> {
    return this.#extended.parse(text, parameterOids);
  }

  bind(prepared: Prepared, parameters: BoundParameters, resultFormats: readonly Format[]): Portal {
    return this.#extended.bind(prepared, parameters, resultFormats);
  }

  execute(portal: Portal, maxRows: number, out: Output): MaybePromise<void> {
    return this.#extended.execute(portal, maxRows, out);
  }

  sync(): MaybePromise<void> {
    return this.#extended.sync();
  }

  failed(): void {
    this.#transaction.fail();
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#interruption.close();
    this.#transaction.close();
    this.#closed();
    await this.#names.portals.close();
  }
}
