/**
 * Who is at which table, in PostgreSQL's lock modes: statements share it, LOCK TABLE and TRUNCATE keep some or all others out, a change
 * of its definition has it alone. Names of what is to be made are held in the same way.
 *
 * - T1 A session holds the tables that its statements name from planning to the end of its transaction, and so may wait long
 *   between a plan and its first write: the definition is still the one it was planned with.
 * - T2 Who wants a table in a strong mode waits for those that hold it in one that conflicts, and whoever comes after waits behind:
 *   nobody is starved. Who holds what the one ahead waits for goes on.
 * - T3 Waiting ends with lock_timeout (55P03), a cancel (57014), or where all wait for each other (40P01), which is looked
 *   for at once and then each second, since other edges of the graph come without a word.
 * - T4 A strong lock is held until what its transaction wrote is visible: who comes after sees it.
 */
import type { Clock } from '../clock.ts';
import { canceled, SqlError, SqlState } from '../errors.ts';
import type { Table } from '../storage/table.ts';
import type { Transaction } from './transaction.ts';
import type { Running } from '../running.ts';

const LOOK_AGAIN_MS = 1000;

/** By PostgreSQL's numbers. */
export const LockMode = {
  accessShare: 1,
  rowShare: 2,
  rowExclusive: 3,
  shareUpdateExclusive: 4,
  share: 5,
  shareRowExclusive: 6,
  exclusive: 7,
  accessExclusive: 8,
} as const;
/** As pg_locks has them. */
export const LOCK_NAMES: readonly string[] = [
  '',
  'AccessShareLock',
  'RowShareLock',
  'RowExclusiveLock',
  'ShareUpdateExclusiveLock',
  'ShareLock',
  'ShareRowExclusiveLock',
  'ExclusiveLock',
  'AccessExclusiveLock',
];
/** As pg_database has it. */
const DATABASE_OID = 5;
/** The last mode that conflicts with none of those that statements take. */
const WEAK_MODE_MAX = LockMode.rowExclusive;

const bits = (...modes: readonly number[]): number => modes.reduce((all, mode) => all | (1 << mode), 0);
/** Of each mode those that it conflicts with. */
const CONFLICTS: readonly number[] = [
  0,
  bits(8),
  bits(7, 8),
  bits(5, 6, 7, 8),
  bits(4, 5, 6, 7, 8),
  bits(3, 4, 6, 7, 8),
  bits(3, 4, 5, 6, 7, 8),
  bits(2, 3, 4, 5, 6, 7, 8),
  bits(1, 2, 3, 4, 5, 6, 7, 8),
];
const meets = (mode: number, held: number): boolean => (CONFLICTS[mode]! & held) !== 0;

/** A lock that somebody waits for; `own` is the place in the queue of a strong one. */
interface Wanted {
  readonly uuid: string;
  readonly mode: number;
  readonly own: Strong | null;
}

/** What one session holds. */
export class TableHold {
  /** Weak modes, one bit each, by table. */
  readonly #modes = new Map<string, number>();
  /** How to give back strong ones, in the order in which they were taken. */
  #strong: (() => void)[] = [];
  /** The session's; 0: it is none. */
  readonly pid: number;
  /** Its transaction, where it has written. */
  readonly transaction: () => Transaction | null;
  /** What it waits for. */
  waitsFor: Wanted | null = null;
  #released: PromiseWithResolvers<void> | null = null;

  constructor(transaction: () => Transaction | null, pid: number) {
    this.transaction = transaction;
    this.pid = pid;
  }

  add(uuid: string, mode: number): void {
    const held = this.#modes.get(uuid) ?? 0;
    const now = held | (1 << mode);
    if (now !== held) this.#modes.set(uuid, now);
  }

  /** Tables that it holds in weak modes. */
  uuids(): Iterable<string> {
    const written = [...(this.transaction()?.writes.keys() ?? [])].map(({ def }) => def.uuid);
    return new Set([...this.#modes.keys(), ...written]);
  }

  /** The weak modes in which it holds a table. */
  modesOf(uuid: string): number {
    return (this.#modes.get(uuid) ?? 0) | (hasWritten(this.transaction(), uuid) ? 1 << LockMode.rowExclusive : 0);
  }

  keep(release: () => void): void {
    this.#strong.push(release);
  }

  /** Strong locks taken so far: a savepoint. */
  mark(): number {
    return this.#strong.length;
  }

  /** Back to a savepoint: strong locks taken since are given back. */
  backTo(mark: number): void {
    for (const release of this.#strong.splice(mark)) release();
  }

  /** Its strong locks are the caller's to give back (T4); null: it has none. */
  detach(): (() => void) | null {
    if (this.#strong.length === 0) return null;
    const strong = this.#strong;
    this.#strong = [];
    return () => {
      for (const release of strong) release();
    };
  }

  /** The end of its transaction. */
  release(): void {
    if (this.#strong.length > 0) this.backTo(0);
    if (this.#modes.size > 0) this.#modes.clear();
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
  readonly running: Running;
}

/** A strong lock, held or waited for. */
interface Strong {
  readonly owner: TableHold;
  readonly mode: number;
  readonly ended: Promise<void>;
  isGranted: boolean;
}

/** Somebody in the way: whose it is, where that is known, and when it may be over. */
interface Blocker {
  readonly owner: TableHold | null;
  readonly over: () => Promise<void>;
}

export class TableLocks {
  readonly #clock: Clock;
  readonly #transactions: () => Iterable<Transaction>;
  readonly #holds = new Set<TableHold>();
  /** By uuid, strong locks in the order in which they were asked for. */
  readonly #strong = new Map<string, Strong[]>();

  readonly #table: (uuid: string) => Table | undefined;

  constructor(clock: Clock, transactions: () => Iterable<Transaction>, table: (uuid: string) => Table | undefined) {
    this.#clock = clock;
    this.#transactions = transactions;
    this.#table = table;
  }

  /** For a session, until it closes. */
  open(transaction: () => Transaction | null, pid = 0): TableHold {
    const hold = new TableHold(transaction, pid);
    this.#holds.add(hold);
    return hold;
  }

  close(hold: TableHold): void {
    hold.release();
    this.#holds.delete(hold);
  }

  /** Some table is held or wanted in a strong mode. */
  get busy(): boolean {
    return this.#strong.size > 0;
  }

  /** Holds tables in a weak mode. Not null: somebody must be waited for; then the statement is to be planned anew, and to ask again. */
  share(
    hold: TableHold,
    uuids: readonly string[],
    patience: Patience,
    mode: number = LockMode.accessShare,
  ): Promise<void> | null {
    if (this.#strong.size > 0)
      for (const uuid of uuids) {
        const wanted = { uuid, mode, own: null };
        const first = this.#firstInTheWay(hold, wanted);
        if (first !== null) return this.#wait(hold, wanted, patience, first.over);
      }
    for (const uuid of uuids) hold.add(uuid, mode);
    return null;
  }

  /** Has a table, by uuid, or a name alone when it resolves, until the function it gives is called. */
  alone(hold: TableHold, uuid: string, patience: Patience): Promise<() => void> {
    return this.#take(hold, uuid, LockMode.accessExclusive, patience);
  }

  /** Holds a table in some mode until its transaction ends. `name` is set: it does not wait. @throws {SqlError} 55P03 */
  async lock(hold: TableHold, uuid: string, mode: number, patience: Patience, name: string | null): Promise<void> {
    const free = { uuid, mode, own: null };
    if (name !== null && this.#firstInTheWay(hold, free) !== null)
      throw new SqlError(SqlState.lockNotAvailable, `could not obtain lock on relation "${name}"`);
    if (mode <= WEAK_MODE_MAX) {
      for (let wait; (wait = this.share(hold, [uuid], patience, mode)) !== null;) await wait;
      return;
    }
    const covers = (each: Strong): boolean =>
      each.owner === hold && each.isGranted && (CONFLICTS[mode]! & ~CONFLICTS[each.mode]!) === 0;
    if (this.#strong.get(uuid)?.some(covers) !== true) hold.keep(await this.#take(hold, uuid, mode, patience));
  }

  async #take(hold: TableHold, uuid: string, mode: number, patience: Patience): Promise<() => void> {
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const own: Strong = { owner: hold, mode, ended, isGranted: false };
    const queue = this.#strong.get(uuid) ?? [];
    this.#strong.set(uuid, queue);
    queue.push(own);
    const release = (): void => {
      queue.splice(queue.indexOf(own), 1);
      if (queue.length === 0) this.#strong.delete(uuid);
      resolve();
    };
    try {
      for (;;) {
        const first = this.#firstInTheWay(hold, { uuid, mode, own });
        if (first === null) break;
        await this.#wait(hold, { uuid, mode, own }, patience, first.over);
      }
    } catch (error) {
      release();
      throw error;
    }
    own.isGranted = true;
    return release;
  }

  #firstInTheWay(hold: TableHold, wanted: Wanted): Blocker | null {
    for (const blocker of this.#inTheWay(hold, wanted)) return blocker;
    return null;
  }

  /** T2 */
  *#inTheWay(hold: TableHold, { uuid, mode, own }: Wanted): IterableIterator<Blocker> {
    const queue = this.#strong.get(uuid) ?? [];
    let held = hold.modesOf(uuid);
    for (const each of queue) if (each.owner === hold && each.isGranted) held |= 1 << each.mode;
    let isAhead = true;
    for (const each of queue) {
      if (each === own) isAhead = false;
      const { owner, ended } = each;
      if (owner === hold || !meets(mode, 1 << each.mode)) continue;
      if (each.isGranted || (isAhead && !meets(each.mode, held))) yield { owner, over: () => ended };
    }
    if (mode <= WEAK_MODE_MAX) return;
    for (const other of this.#holds)
      if (other !== hold && meets(mode, other.modesOf(uuid))) yield { owner: other, over: () => other.released() };
    const writes = hold.transaction();
    if (meets(mode, 1 << LockMode.rowExclusive))
      for (const other of this.#transactions())
        if (other !== writes && hasWritten(other, uuid)) yield { owner: null, over: () => other.ended };
  }

  async #wait(hold: TableHold, wanted: Wanted, patience: Patience, until: () => Promise<void>): Promise<void> {
    const { promise: given, reject } = Promise.withResolvers<void>();
    const cancels: (() => void)[] = [];
    cancels.push(patience.running(() => reject(canceled())));
    cancels.push(
      patience.lockWait(() =>
        reject(new SqlError(SqlState.lockNotAvailable, 'canceling statement due to lock timeout')),
      ),
    );
    const look = (): void => {
      const circle = this.#wayTo(hold, hold, new Set());
      if (circle !== null) reject(this.#deadlock(circle));
      else cancels.push(this.#clock.after(LOOK_AGAIN_MS, look));
    };
    hold.waitsFor = wanted;
    look();
    try {
      await Promise.race([until(), given]);
    } finally {
      hold.waitsFor = null;
      for (const cancel of cancels) cancel();
    }
  }

  /** Sessions that wait for each other, from `from` on to `target`; null: it does not wait for that one. */
  #wayTo(from: TableHold, target: TableHold, seen: Set<TableHold>): readonly TableHold[] | null {
    for (const next of this.#blockers(from)) {
      if (next === target) return [from];
      if (seen.has(next)) continue;
      seen.add(next);
      const way = this.#wayTo(next, target, seen);
      if (way !== null) return [from, ...way];
    }
    return null;
  }

  /** 0: what is locked is no table. */
  #oidOf(uuid: string): number {
    return this.#table(uuid)?.def.oid ?? 0;
  }

  #deadlock(circle: readonly TableHold[]): SqlError {
    const lines = circle.map(({ pid, waitsFor, transaction }, i) => {
      const what =
        waitsFor === null
          ? `ShareLock on transaction ${transaction()?.waitsFor?.id ?? 0}`
          : `${LOCK_NAMES[waitsFor.mode]} on relation ${this.#oidOf(waitsFor.uuid)} of database ${DATABASE_OID}`;
      return `Process ${pid} waits for ${what}; blocked by process ${circle[(i + 1) % circle.length]!.pid}.`;
    });
    const isOfTables = circle.every(({ waitsFor }) => waitsFor === null || this.#oidOf(waitsFor.uuid) !== 0);
    return new SqlError(SqlState.deadlockDetected, 'deadlock detected', {
      ...(isOfTables ? { detail: lines.join('\n') } : {}),
      hint: 'See server log for query details.',
    });
  }

  /** Tables, and names, that a session holds, in its strongest weak mode and in strong ones. */
  *heldBy(hold: TableHold): IterableIterator<{ readonly uuid: string; readonly mode: number }> {
    for (const uuid of hold.uuids()) yield { uuid, mode: 31 - Math.clz32(hold.modesOf(uuid)) };
    for (const [uuid, queue] of this.#strong)
      for (const { owner, mode, isGranted } of queue) if (owner === hold && isGranted) yield { uuid, mode };
  }

  /** Processes that a session waits for, at tables and rows. */
  blockersOf(pid: number): number[] {
    const blockers = new Set<number>();
    for (const { owner, waitsFor } of this.#transactions())
      if (owner === pid && waitsFor !== null) blockers.add(waitsFor.owner);
    for (const hold of this.#holds) {
      if (hold.pid !== pid || hold.waitsFor === null) continue;
      for (const { owner } of this.#inTheWay(hold, hold.waitsFor)) if (owner !== null) blockers.add(owner.pid);
    }
    return [...blockers];
  }

  *#blockers(hold: TableHold): IterableIterator<TableHold> {
    if (hold.waitsFor !== null)
      for (const { owner } of this.#inTheWay(hold, hold.waitsFor)) if (owner !== null) yield owner;
    const holder = hold.transaction()?.waitsFor ?? null;
    if (holder !== null) for (const other of this.#holds) if (other.transaction() === holder) yield other;
  }
}

function hasWritten(transaction: Transaction | null, uuid: string): boolean {
  for (const { def } of transaction?.writes.keys() ?? []) if (def.uuid === uuid) return true;
  return false;
}
