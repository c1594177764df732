/** One client's session: its settings, its transaction, and what answers its messages: `gateway/simple.ts`, `gateway/extended.ts`. */
import { randomBytes } from 'node:crypto';
import type { Format } from '../types/result-column.ts';
import type {
  BoundParameters,
  ClientFacts,
  GatewaySession,
  MaybePromise,
  Output,
  Portal,
  Prepared,
  SessionEvents,
  TransactionStatus,
} from '../wire/gateway-api.ts';
import { SqlError, SqlState } from '../errors.ts';
import type { TableHold } from '../ingest/table-locks.ts';
import { SessionActivity } from './activity.ts';
import { AdvisorySession, type AdvisoryLocks } from './advisory-locks.ts';
import { Listener, type Notification } from './channels.ts';
import type { Peer } from './peers.ts';
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
import { endTemporary } from '../ingest/temporary-tables.ts';
import { temporarySchema } from '../table-def.ts';
import { SessionTransaction } from './transaction.ts';
import type { Transaction } from '../ingest/transaction.ts';

export interface ReportedSettings {
  readonly settings: SessionSettings;
  /** Reported ones that have changed. */
  readonly changed: Set<string>;
}

export class Session implements GatewaySession, Peer {
  readonly pid: number;
  /** Who logged in. */
  readonly user: string;
  readonly cancelKey: Uint8Array;
  readonly parameters: ReadonlyMap<string, string>;
  readonly names = new SessionNames();
  readonly statements = this.names.statements;
  readonly portals = this.names.portals.byName;
  readonly client: ClientFacts;
  readonly settings: SessionSettings;
  readonly activity: SessionActivity;
  readonly listener: Listener;
  readonly #context: ServerContext;
  readonly #events: SessionEvents;
  readonly #changed: Set<string>;
  readonly #reported: Map<string, string>;
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
    client: ClientFacts,
    { settings, changed }: ReportedSettings,
    events: SessionEvents,
    locks: AdvisoryLocks,
    closed: () => unknown,
  ) {
    this.pid = pid;
    this.#context = context;
    this.user = settings.get('session_authorization')!;
    this.cancelKey = randomBytes(client.cancelKeyBytes);
    this.client = client;
    this.settings = settings;
    settings.temporarySchema = temporarySchema(pid);
    this.activity = new SessionActivity(context.clock);
    this.#events = events;
    const send = (said: Notification): boolean => events.notification(said.pid, said.channel, said.payload);
    const isIdle = (): boolean => !this.activity.isActive && this.status() === 'I';
    this.listener = new Listener(context.peers.channels, pid, send, isIdle);
    this.#closed = closed;
    this.#changed = changed;
    this.parameters = this.#reported = settings.reported();
    const times = new SessionTimes(context.clock);
    const access = new SessionAccess(context.rights, settings);
    const current = (): Transaction | null => this.#transaction.current;
    const sequences = new SessionSequences(context.database, access, current, () => this.hold);
    this.#interruption = new Interruption(context.clock, settings, (error) => events.terminate(error), this.activity);
    this.#transaction = new SessionTransaction({
      database: context.database,
      settings,
      sequences,
      times,
      advisory: new AdvisorySession(locks),
      access,
      pid,
      warning: (code, message) => this.#statements.warning(code, message),
      portals: this.names.portals,
      listener: this.listener,
      nextNumber: () => context.peers.nextTransaction(),
      guarded: (work) => this.#interruption.guarded(work),
      patience: this.#interruption,
      definitionsChanged: context.definitionsChanged,
      began: () => this.#interruption.began(),
      ended: () => this.#interruption.ended(),
    });
    this.#statements = new SessionStatements({
      context,
      peer: this,
      settings,
      access,
      sequences,
      events: { ...events, notice: (notice) => settings.hears(notice.severity) && events.notice(notice) },
      transaction: this.#transaction,
      interruption: this.#interruption,
      times,
      names: this.names,
    });
    this.#simple = new SimpleQuery(this.#statements);
    this.#extended = new ExtendedQuery(this.#statements, this.names.portals);
  }

  status(): TransactionStatus {
    return this.#transaction.status;
  }

  get hold(): TableHold {
    return this.#transaction.hold;
  }

  get advisory(): AdvisorySession {
    return this.#transaction.advisory;
  }

  get transactionAt(): number {
    const begun = this.#statements.times.begunAt / 1000;
    if (this.#transaction.inBlock) return begun;
    return this.activity.isActive ? begun || this.activity.queryAt : 0;
  }

  ready(): void {
    this.activity.end();
    if (this.#changed.size > 0) this.#report();
    if (this.status() === 'I') this.listener.flush();
  }

  /** ParameterStatus of what is another than the client knows. */
  #report(): void {
    for (const name of this.#changed) {
      const value = this.settings.get(name)!;
      if (value === this.#reported.get(name)) continue;
      this.#reported.set(name, value);
      this.#events.parameter(name, value);
    }
    this.#changed.clear();
  }

  drained(): void {
    this.listener.deliver();
  }

  /** pg_terminate_backend(). */
  terminate(): void {
    this.#events.terminate(
      new SqlError(SqlState.adminShutdown, 'terminating connection due to administrator command', {
        severity: 'FATAL',
      }),
    );
  }

  owes(bytes: number): Promise<void> | null {
    return this.#statements.owes(bytes);
  }

  heldBytes(): number {
    return this.names.portals.heldBytes() + this.listener.waitingBytes;
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

  bind(
    prepared: Prepared,
    parameters: BoundParameters,
    resultFormats: readonly Format[],
    name: string,
  ): MaybePromise<Portal> {
    return this.#extended.bind(prepared, parameters, resultFormats, name);
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
    if (endTemporary(this.#context.database, this.settings.temporarySchema)) this.#context.definitionsChanged();
    this.listener.close();
    this.#closed();
    await this.names.portals.close();
  }
}
