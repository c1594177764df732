/**
 * Who is at which table: statements and transactions share it, a change of its definition has it alone. Names of what is to be
 * made are held in the same way.
 *
 * - T1 A session holds the tables that its statements name from planning to the end of its transaction, and so may wait long
 *   between a plan and its first write: the definition is still the one it was planned with.
 * - T2 Who wants a table alone waits for those that hold it, and whoever comes after waits behind: changes are not starved.
 *   Who holds it already goes on.
 * - T3 Waiting ends with lock_timeout (55P03), a cancel (57014), or where all wait for each other (40P01), which is looked
 *   for after a second and then each second, since other edges of the graph come without a word.
 */
import type { Clock } from '../clock.ts';
import { SqlError, SqlState } from '../errors.ts';
import type { Transaction } from './transaction.ts';

const DEADLOCK_TIMEOUT_MS = 1000;

/** What one session holds. */
export class TableHold {
  readonly uuids = new Set<string>();
  /** Its transaction, where it has written. */
  readonly transaction: () => Transaction | null;
  /** The table it waits for. */
  waitsFor: string | null = null;
  #released: PromiseWithResolvers<void> | null = null;

  constructor(transaction: () => Transaction | null) {
    this.transaction = transaction;
  }

  /** The end of its transaction. */
  release(): void {
    if (this.uuids.size === 0) return;
    this.uuids.clear();
    this.#released?.resolve();
    this.#released = null;
  }

  released(): Promise<void> {
    this.#released ??= Promise.withResolvers<void>();
    return this.#released.promise;
  }
}

/** How long a statement waits for a table, and who may end that. */
export interface Patience {
  /** A wait begins, and may end by lock_timeout; the answer ends it. */
  readonly lockWait: (expired: () => void) => () => void;
  /** Told how to end what is waited for. */
  readonly running: (cancel: () => void) => void;
}

interface Alone {
  readonly owner: TableHold;
  readonly ended: Promise<void>;
}

export class TableLocks {
  readonly #clock: Clock;
  readonly #transactions: () => Iterable<Transaction>;
  readonly #holds = new Set<TableHold>();
  /** By uuid, those that have or want a table alone, the first first. */
  readonly #alone = new Map<string, Alone[]>();

  constructor(clock: Clock, transactions: () => Iterable<Transaction>) {
    this.#clock = clock;
    this.#transactions = transactions;
  }

  /** For a session, until it closes. */
  open(transaction: () => Transaction | null): TableHold {
    const hold = new TableHold(transaction);
    this.#holds.add(hold);
    return hold;
  }

  close(hold: TableHold): void {
    hold.release();
    this.#holds.delete(hold);
  }

  /** Some table is wanted by one alone. */
  get busy(): boolean {
    return this.#alone.size > 0;
  }

  /** Holds the tables together with others. Not null: one must be waited for; then the statement is to be planned anew, and to ask again. */
  share(hold: TableHold, uuids: readonly string[], patience: Patience): Promise<void> | null {
    if (this.#alone.size > 0)
      for (const uuid of uuids) {
        const first = this.#alone.get(uuid)?.[0];
        if (first === undefined || first.owner === hold || this.#holdsIt(hold, uuid)) continue;
        return this.#wait(hold, uuid, patience, () => first.ended);
      }
    for (const uuid of uuids) hold.uuids.add(uuid);
    return null;
  }

  /** Has a table, by uuid, or a name alone when it resolves, until the function it gives is called. */
  async alone(hold: TableHold, uuid: string, patience: Patience): Promise<() => void> {
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const own: Alone = { owner: hold, ended };
    const queue = this.#alone.get(uuid) ?? [];
    this.#alone.set(uuid, queue);
    queue.push(own);
    const release = (): void => {
      queue.splice(queue.indexOf(own), 1);
      if (queue.length === 0) this.#alone.delete(uuid);
      resolve();
    };
    try {
      for (;;) {
        const before = queue[0]!;
        const other = before === own ? this.#othersAt(hold, uuid) : before.ended;
        if (other === null) return release;
        await this.#wait(hold, uuid, patience, () => other);
      }
    } catch (error) {
      release();
      throw error;
    }
  }

  /** It has, or waits for, a table alone. */
  wantsAlone(hold: TableHold): boolean {
    return [...this.#alone.values()].some((queue) => queue.some(({ owner }) => owner === hold));
  }

  #holdsIt(hold: TableHold, uuid: string): boolean {
    return hold.uuids.has(uuid) || hasWritten(hold.transaction(), uuid);
  }

  /** Resolves when one that holds the table has let it go; null: nobody does. */
  #othersAt(hold: TableHold, uuid: string): Promise<void> | null {
    for (const other of this.#holds) if (other !== hold && other.uuids.has(uuid)) return other.released();
    const own = hold.transaction();
    for (const other of this.#transactions()) if (other !== own && hasWritten(other, uuid)) return other.ended;
    return null;
  }

  async #wait(hold: TableHold, uuid: string, patience: Patience, until: () => Promise<void>): Promise<void> {
    const { promise: given, reject } = Promise.withResolvers<void>();
    const cancels: (() => void)[] = [];
    patience.running(() => reject(new SqlError(SqlState.queryCanceled, 'canceling statement due to user request')));
    cancels.push(
      patience.lockWait(() =>
        reject(new SqlError(SqlState.lockNotAvailable, 'canceling statement due to lock timeout')),
      ),
    );
    const look = (): void => {
      if (this.#reaches(hold, hold, new Set())) reject(new SqlError(SqlState.deadlockDetected, 'deadlock detected'));
      else cancels.push(this.#clock.after(DEADLOCK_TIMEOUT_MS, look));
    };
    cancels.push(this.#clock.after(DEADLOCK_TIMEOUT_MS, look));
    hold.waitsFor = uuid;
    try {
      await Promise.race([until(), given]);
    } finally {
      hold.waitsFor = null;
      for (const cancel of cancels) cancel();
    }
  }

  /** Whether `from` waits, over others, for `target`. */
  #reaches(from: TableHold, target: TableHold, seen: Set<TableHold>): boolean {
    for (const next of this.#blockers(from)) {
      if (next === target) return true;
      if (seen.has(next)) continue;
      seen.add(next);
      if (this.#reaches(next, target, seen)) return true;
    }
    return false;
  }

  *#blockers(hold: TableHold): IterableIterator<TableHold> {
    const uuid = hold.waitsFor;
    if (uuid !== null) {
      const queue = this.#alone.get(uuid) ?? [];
      const wants = queue.some(({ owner }) => owner === hold);
      for (const { owner } of queue) {
        if (owner === hold) break;
        yield owner;
      }
      if (wants) for (const other of this.#holds) if (other !== hold && this.#holdsIt(other, uuid)) yield other;
    }
    const holder = hold.transaction()?.waitsFor ?? null;
    if (holder !== null) for (const other of this.#holds) if (other.transaction() === holder) yield other;
  }
}

function hasWritten(transaction: Transaction | null, uuid: string): boolean {
  for (const { def } of transaction?.writes.keys() ?? []) if (def.uuid === uuid) return true;
  return false;
}
