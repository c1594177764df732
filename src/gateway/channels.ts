/**
 * LISTEN and NOTIFY among the sessions of one server.
 *
 * - N1 What a transaction says and where it listens counts from its commit on; a rollback, or one to a savepoint, takes it back.
 * - N2 All sessions hear the notifications of one transaction in its order, and those of several in the order of their commits; of
 *   equal ones in a transaction only the first counts.
 * - N3 A session hears them between its transactions. What waits for one that does not read has a bound: at it NOTIFY is refused
 *   (54000), as PostgreSQL does when its queue is full.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { Statement } from '../planner/plan.ts';

export interface Notification {
  readonly pid: number;
  readonly channel: string;
  readonly payload: string;
}

const PAYLOAD_BYTES_MAX = 8000;
const CHANNEL_BYTES_MAX = 63;
/** What may wait for one session. */
export const WAITING_BYTES_MAX = 8 * 1024 * 1024;
/** Of a notification beside its texts. */
const OVERHEAD_BYTES = 64;

const bytesOf = ({ channel, payload }: Notification): number => OVERHEAD_BYTES + channel.length + payload.length;

/** Those of a server. */
export class Channels {
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #listening = new Set<Listener>();

  listen(listener: Listener, channel: string): void {
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    this.#listening.add(listener);
  }

  unlisten(listener: Listener, channel: string): void {
    const listeners = this.#listeners.get(channel);
    listeners?.delete(listener);
    if (listeners?.size === 0) this.#listeners.delete(channel);
    if (listener.channels.size === 0) this.#listening.delete(listener);
  }

  /** N3, before the commit. @throws {SqlError} 54000 */
  admit(said: readonly Notification[]): void {
    for (const each of said)
      for (const { waitingBytes } of this.#listeners.get(each.channel) ?? [])
        if (waitingBytes + bytesOf(each) > WAITING_BYTES_MAX)
          throw new SqlError(SqlState.programLimitExceeded, 'too many notifications in the NOTIFY queue', {
            detail: `A session that listens on "${each.channel}" does not read, or stays in a transaction.`,
          });
  }

  publish(said: readonly Notification[]): void {
    const heard = new Set<Listener>();
    for (const each of said)
      for (const listener of this.#listeners.get(each.channel) ?? []) {
        listener.hear(each);
        heard.add(listener);
      }
    for (const listener of heard) listener.deliver();
  }

  /** How full the fullest queue is. */
  get usage(): number {
    let most = 0;
    for (const { waitingBytes } of this.#listening) most = Math.max(most, waitingBytes);
    return most / WAITING_BYTES_MAX;
  }
}

type Change = { readonly kind: 'listen' | 'unlisten'; readonly channel: string } | { readonly kind: 'unlistenAll' };

/** One session's: where it listens, what it has said in its transaction, what waits for it. */
export class Listener {
  readonly channels = new Set<string>();
  waitingBytes = 0;
  readonly #shared: Channels;
  readonly #pid: number;
  /** False: the client takes no more for now. */
  readonly #send: (notification: Notification) => boolean;
  /** It is between two transactions, and its client has the word. */
  readonly #isIdle: () => boolean;
  #waiting: Notification[] = [];
  #said: Notification[] = [];
  readonly #saidBefore = new Set<string>();
  #changes: Change[] = [];

  constructor(shared: Channels, pid: number, send: (notification: Notification) => boolean, isIdle: () => boolean) {
    this.#shared = shared;
    this.#pid = pid;
    this.#send = send;
    this.#isIdle = isIdle;
  }

  /** @throws {SqlError} 22023 */
  notify(channel: string, payload: string): void {
    const invalid = (message: string): SqlError => new SqlError(SqlState.invalidParameterValue, message);
    if (channel === '') throw invalid('channel name cannot be empty');
    if (Buffer.byteLength(channel) > CHANNEL_BYTES_MAX) throw invalid('channel name too long');
    if (Buffer.byteLength(payload) >= PAYLOAD_BYTES_MAX) throw invalid('payload string too long');
    const key = `${channel}\0${payload}`;
    if (this.#saidBefore.has(key)) return;
    this.#saidBefore.add(key);
    this.#said.push({ pid: this.#pid, channel, payload });
  }

  listen(channel: string): void {
    this.#changes.push({ kind: 'listen', channel });
  }

  /** Null: everywhere. */
  unlisten(channel: string | null): void {
    this.#changes.push(channel === null ? { kind: 'unlistenAll' } : { kind: 'unlisten', channel });
  }

  /** Where a savepoint stands. */
  mark(): { readonly said: number; readonly changes: number } {
    return { said: this.#said.length, changes: this.#changes.length };
  }

  backTo({ said, changes }: { readonly said: number; readonly changes: number }): void {
    for (const { channel, payload } of this.#said.splice(said)) this.#saidBefore.delete(`${channel}\0${payload}`);
    this.#changes.length = changes;
  }

  /** Before the commit. @throws {SqlError} 54000 */
  admit(): void {
    if (this.#said.length > 0) this.#shared.admit(this.#said);
  }

  /** Takes what the transaction has said and asked for; the answer makes it count, once the transaction is committed. Null: nothing. */
  take(): (() => void) | null {
    if (this.#said.length === 0 && this.#changes.length === 0) return null;
    const [said, changes] = [this.#said, this.#changes];
    this.rollback();
    return () => {
      for (const change of changes) this.#change(change);
      this.#shared.publish(said);
    };
  }

  rollback(): void {
    if (this.#said.length > 0) this.#said = [];
    if (this.#changes.length > 0) this.#changes = [];
    if (this.#saidBefore.size > 0) this.#saidBefore.clear(); // each transaction comes by here, and clear() allocates
  }

  #change(change: Change): void {
    switch (change.kind) {
      case 'listen':
        this.channels.add(change.channel);
        this.#shared.listen(this, change.channel);
        return;
      case 'unlisten':
        this.channels.delete(change.channel);
        this.#shared.unlisten(this, change.channel);
        return;
      default:
        for (const channel of [...this.channels]) this.#change({ kind: 'unlisten', channel });
    }
  }

  hear(notification: Notification): void {
    this.#waiting.push(notification);
    this.waitingBytes += bytesOf(notification);
  }

  /** N3: what waits, where the client takes it now. */
  deliver(): void {
    if (this.#waiting.length > 0 && this.#isIdle()) this.flush();
  }

  /** Before a ReadyForQuery outside a transaction. */
  flush(): void {
    let sent = 0;
    while (sent < this.#waiting.length && this.#send(this.#waiting[sent]!))
      this.waitingBytes -= bytesOf(this.#waiting[sent++]!);
    if (sent > 0) this.#waiting.splice(0, sent);
  }

  close(): void {
    this.#change({ kind: 'unlistenAll' });
    this.#waiting = [];
    this.waitingBytes = 0;
  }
}

/** LISTEN, UNLISTEN and NOTIFY; the tag. @throws {SqlError} 22023 */
export function carryOut(
  listener: Listener,
  statement: Extract<Statement, { kind: 'listen' | 'unlisten' | 'notify' }>,
): string {
  if (statement.kind === 'listen') listener.listen(statement.channel);
  else if (statement.kind === 'unlisten') listener.unlisten(statement.channel);
  else listener.notify(statement.channel, statement.payload);
  return statement.kind.toUpperCase();
}
