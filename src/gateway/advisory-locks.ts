/**
 * Advisory locks: of the whole server, by a number that clients agree on, until they are given back, or the transaction or the
 * session ends.
 *
 * - L1 A session takes a lock as often as it likes, and gives it back as often. Its own locks are never in its way.
 * - L2 Who waits is served in turn; who can have the lock at once has it when nobody waits, or when it holds it already.
 * - L3 A wait that would close a circle of waits for advisory locks is 40P01, at once.
 * - L4 A rollback to a savepoint gives back what transactions were given since; locks of sessions outlive rollbacks.
 */
import { canceled, SqlError, SqlState } from '../errors.ts';
import type { Patience } from '../ingest/table-locks.ts';

/** How often a session holds a lock, by mode. */
interface Count {
  exclusive: number;
  shared: number;
}

interface Waiter {
  readonly owner: AdvisorySession;
  readonly isShared: boolean;
  readonly granted: () => void;
}

interface Lock {
  readonly holders: Map<AdvisorySession, Count>;
  readonly waiting: Waiter[];
}

export class AdvisoryLocks {
  readonly #locks = new Map<string, Lock>();

  /** False: another session is in the way. */
  take(owner: AdvisorySession, key: string, isShared: boolean): boolean {
    const lock = this.#lockOf(key);
    if (!this.#isFree(lock, owner, isShared) || (lock.waiting.length > 0 && !lock.holders.has(owner))) return false;
    hold(lock, owner, isShared);
    return true;
  }

  /** Resolves when the session holds it. @throws {SqlError} 40P01, 55P03, 57014 */
  async wait(owner: AdvisorySession, key: string, isShared: boolean, patience: Patience): Promise<void> {
    const lock = this.#lockOf(key);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { owner, isShared, granted: resolve };
    // A holder goes before those who wait for it.
    if (lock.holders.has(owner)) lock.waiting.unshift(waiter);
    else lock.waiting.push(waiter);
    owner.waitsFor = key;
    const disarm = patience.lockWait(() =>
      reject(new SqlError(SqlState.lockNotAvailable, 'canceling statement due to lock timeout')),
    );
    const over = patience.running(() => reject(canceled()));
    try {
      if (this.#waitsFor(owner, owner, new Set())) throw new SqlError(SqlState.deadlockDetected, 'deadlock detected');
      await promise;
    } catch (error) {
      const at = lock.waiting.indexOf(waiter);
      if (at >= 0) lock.waiting.splice(at, 1);
      else this.release(owner, key, isShared); // it was given in the same turn
      this.#serve(key, lock);
      throw error;
    } finally {
      owner.waitsFor = null;
      disarm();
      over();
    }
  }

  /** False: the session does not hold it so. */
  release(owner: AdvisorySession, key: string, isShared: boolean): boolean {
    const lock = this.#locks.get(key);
    const count = lock?.holders.get(owner);
    if (lock === undefined || count === undefined || (isShared ? count.shared : count.exclusive) === 0) return false;
    if (isShared) count.shared--;
    else count.exclusive--;
    if (count.shared + count.exclusive === 0) lock.holders.delete(owner);
    this.#serve(key, lock);
    return true;
  }

  #lockOf(key: string): Lock {
    let lock = this.#locks.get(key);
    if (lock === undefined) this.#locks.set(key, (lock = { holders: new Map(), waiting: [] }));
    return lock;
  }

  #isFree({ holders }: Lock, owner: AdvisorySession, isShared: boolean): boolean {
    for (const [other, count] of holders) if (other !== owner && (!isShared || count.exclusive > 0)) return false;
    return true;
  }

  /** L2. */
  #serve(key: string, lock: Lock): void {
    for (let first = lock.waiting[0]; first !== undefined; first = lock.waiting[0]) {
      if (!this.#isFree(lock, first.owner, first.isShared)) break;
      lock.waiting.shift();
      hold(lock, first.owner, first.isShared);
      first.granted();
    }
    if (lock.holders.size === 0 && lock.waiting.length === 0) this.#locks.delete(key);
  }

  /** L3: whether `from`, by what it waits for, waits for `goal`. */
  #waitsFor(from: AdvisorySession, goal: AdvisorySession, seen: Set<AdvisorySession>): boolean {
    const lock = from.waitsFor === null ? undefined : this.#locks.get(from.waitsFor);
    if (lock === undefined || seen.has(from)) return false;
    seen.add(from);
    const own = lock.waiting.find(({ owner }) => owner === from);
    const inTheWay = [...lock.holders].filter(([, count]) => own?.isShared !== true || count.exclusive > 0);
    const before = lock.waiting.slice(0, own === undefined ? 0 : lock.waiting.indexOf(own)).map(({ owner }) => owner);
    return [...inTheWay.map(([owner]) => owner), ...before].some(
      (other) => other !== from && (other === goal || this.#waitsFor(other, goal, seen)),
    );
  }
}

function hold({ holders }: Lock, owner: AdvisorySession, isShared: boolean): void {
  let count = holders.get(owner);
  if (count === undefined) holders.set(owner, (count = { exclusive: 0, shared: 0 }));
  if (isShared) count.shared++;
  else count.exclusive++;
}

interface Held {
  readonly key: string;
  readonly isShared: boolean;
}

const NONE: readonly Held[] = [];

/** What one session holds. */
export class AdvisorySession {
  readonly #locks: AdvisoryLocks;
  readonly #ofSession: Held[] = [];
  #ofTransaction: Held[] = [];
  waitsFor: string | null = null;

  constructor(locks: AdvisoryLocks) {
    this.#locks = locks;
  }

  /** Takes it, waiting if it must. */
  lock(key: string, isShared: boolean, until: 'session' | 'transaction', patience: Patience): Promise<void> | void {
    if (this.take(key, isShared, until)) return undefined;
    return this.#locks.wait(this, key, isShared, patience).then(() => this.#note(key, isShared, until));
  }

  /** False: it is another's. */
  take(key: string, isShared: boolean, until: 'session' | 'transaction'): boolean {
    if (!this.#locks.take(this, key, isShared)) return false;
    this.#note(key, isShared, until);
    return true;
  }

  #note(key: string, isShared: boolean, until: 'session' | 'transaction'): void {
    (until === 'session' ? this.#ofSession : this.#ofTransaction).push({ key, isShared });
  }

  /** False: the session does not hold it so. */
  unlock(key: string, isShared: boolean): boolean {
    const at = this.#ofSession.findLastIndex((each) => each.key === key && each.isShared === isShared);
    if (at < 0) return false;
    this.#ofSession.splice(at, 1);
    return this.#locks.release(this, key, isShared);
  }

  unlockAll(): void {
    this.#release(this.#ofSession.splice(0));
  }

  /** What it holds, and what it waits for. */
  list(): { readonly key: string; readonly isShared: boolean; readonly granted: boolean }[] {
    const held = [...this.#ofSession, ...this.#ofTransaction].map((each) => ({ ...each, granted: true }));
    return this.waitsFor === null ? held : [...held, { key: this.waitsFor, isShared: false, granted: false }];
  }

  /** For `backTo`: what the transaction holds by now. */
  mark(): number {
    return this.#ofTransaction.length;
  }

  backTo(mark: number): void {
    if (this.#ofTransaction.length > mark) this.#release(this.#ofTransaction.splice(mark));
  }

  /** The transaction has ended, or does when that resolves: who waits must see what it wrote. */
  ended<T>(committed: T): T {
    if (this.#ofTransaction.length === 0) return committed;
    const held = this.#ofTransaction;
    this.#ofTransaction = [];
    if (!(committed instanceof Promise)) {
      this.#release(held);
      return committed;
    }
    return committed.finally(() => this.#release(held)) as T;
  }

  /** The session is over. */
  close(): void {
    this.ended(undefined);
    this.unlockAll();
  }

  #release(held: readonly Held[] = NONE): void {
    for (const { key, isShared } of held) this.#locks.release(this, key, isShared);
  }
}
