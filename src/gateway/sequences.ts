/**
 * Sequences as one session sees them: what it was given last, and what its transaction has to wait for before it may commit
 * or answer (N1).
 */
import { notSupported, SqlError, SqlState } from '../errors.ts';
import type { Database } from '../ingest/database.ts';
import type { SequenceSource } from '../ingest/generated-values.ts';
import { exact, type Sequence, type SequenceValue } from '../ingest/sequence.ts';
import { undefinedSequence } from '../ingest/sequences.ts';
import { sequenceKey } from '../ingest/schema-changes.ts';
import { LockMode, type Patience, type TableHold } from '../ingest/table-locks.ts';
import type { Transaction } from '../ingest/transaction.ts';
import type { Generated } from '../planner/plan.ts';
import { Privilege } from '../rights/privileges.ts';
import { permitSequence } from './permission.ts';
import type { SessionAccess } from './session-access.ts';

const PRIVILEGES = {
  nextval: Privilege.usage | Privilege.update,
  currval: Privilege.usage | Privilege.select,
  setval: Privilege.update,
};

/** Values of CACHE that the session has taken and not given out. */
interface Cached {
  /** Of the sequence, when they were taken. */
  readonly alterations: number;
  next: bigint;
  left: number;
  /** They may leave when it has resolved; null: now. */
  saving: Promise<void> | null;
}

interface Returned {
  /** Of the sequence, when they were drawn. */
  readonly moves: number;
  readonly values: SequenceValue[];
}

export class SessionSequences implements SequenceSource {
  readonly #database: Database;
  readonly #current = new Map<number, SequenceValue>();
  #last = 0;
  #saving: Promise<void>[] = [];
  /** What was drawn since `record`. */
  #drawn: { readonly oid: number; readonly value: SequenceValue }[] | null = null;
  /** Drawn for rows that were not written: the statement is carried out another way, and draws them again. */
  readonly #returned = new Map<number, Returned>();
  readonly #cached = new Map<number, Cached>();

  readonly #access: SessionAccess;

  readonly #transaction: () => Transaction | null;
  readonly #hold: () => TableHold;

  /** @param transaction the session's, where it has written @param hold of its locks */
  constructor(database: Database, access: SessionAccess, transaction: () => Transaction | null, hold: () => TableHold) {
    this.#database = database;
    this.#access = access;
    this.#transaction = transaction;
    this.#hold = hold;
  }

  /** Before a call that a statement names. @throws {SqlError} 42501 */
  permit(call: 'nextval' | 'currval' | 'setval', oid: number): void {
    if (!this.#access.superuser) permitSequence(this.#access, this.#sequence(oid).def, PRIVILEGES[call]);
  }

  #sequence(oid: number): Sequence {
    const sequence = this.#database.sequences.withOid(oid);
    if (sequence === undefined) throw undefinedSequence(String(oid));
    return sequence;
  }

  #isHeld({ heldBy }: Sequence): boolean {
    return heldBy !== null && heldBy !== this.#transaction();
  }

  /**
   * Before numbers are drawn: null, or another transaction has altered one of the sequences, and its end is waited for.
   * @throws {SqlError} 55P03 after lock_timeout, 40P01, 57014
   */
  released(oids: readonly number[], patience: Patience): Promise<void> | null {
    for (const oid of oids) {
      const sequence = this.#database.sequences.withOid(oid);
      if (sequence === undefined || !this.#isHeld(sequence)) continue;
      const key = sequenceKey(sequence);
      return this.#database.locks.lock(this.#hold(), key, LockMode.rowExclusive, patience, null);
    }
    return null;
  }

  /** @throws {SqlError} 55P03 for one that another transaction has altered since the statement began: values are drawn in one turn */
  #free(oid: number): Sequence {
    const sequence = this.#sequence(oid);
    if (!this.#isHeld(sequence)) return sequence;
    throw new SqlError(SqlState.lockNotAvailable, `could not obtain lock on relation "${sequence.def.name}"`, {
      detail: 'A transaction that has not ended has altered the sequence.',
    });
  }

  next(oid: number): SequenceValue {
    const sequence = this.#free(oid);
    const value = this.#returnedTo(sequence, oid) ?? this.#cachedOf(sequence, oid) ?? this.#taken(sequence, oid);
    this.#drawn?.push({ oid, value });
    this.#current.set(oid, value);
    this.#last = oid;
    this.#waitFor(sequence.saving);
    return value;
  }

  #taken(sequence: Sequence, oid: number): SequenceValue {
    const value = sequence.next();
    const { saving, cached, alterations } = sequence;
    if (cached === 0) return value;
    const next = BigInt(value) + BigInt(sequence.def.increment);
    const taken: Cached = { alterations, next, left: cached, saving };
    this.#cached.set(oid, taken);
    const saved = (): void => void (taken.saving = null);
    void saving?.then(saved, () => this.#cached.delete(oid));
    return value;
  }

  /** Not after ALTER SEQUENCE; what another session sets leaves them as they are. */
  #cachedOf(sequence: Sequence, oid: number): SequenceValue | undefined {
    const known = this.#cached.get(oid);
    if (known === undefined) return undefined;
    if (known.left === 0 || known.alterations !== sequence.alterations) {
      this.#cached.delete(oid);
      return undefined;
    }
    const value = known.next;
    known.next += BigInt(sequence.def.increment);
    known.left--;
    this.#waitFor(known.saving);
    return exact(value);
  }

  record(): void {
    this.#drawn = [];
  }

  giveBack(taken: boolean): void {
    if (!taken && this.#drawn !== null)
      for (const { oid, value } of this.#drawn) {
        const { moves } = this.#sequence(oid);
        const known = this.#returned.get(oid);
        if (known?.moves === moves) known.values.push(value);
        else this.#returned.set(oid, { moves, values: [value] });
      }
    this.#drawn = null;
  }

  /** Not after the sequence was set: it may give them itself. */
  #returnedTo(sequence: Sequence, oid: number): SequenceValue | undefined {
    const known = this.#returned.get(oid);
    if (known === undefined) return undefined;
    const value = known.moves === sequence.moves ? known.values.shift() : undefined;
    if (value === undefined) this.#returned.delete(oid);
    return value;
  }

  #waitFor(saving: Promise<void> | null): void {
    if (saving !== null && this.#saving.at(-1) !== saving) this.#saving.push(saving);
  }

  current(oid: number): SequenceValue {
    const value = this.#current.get(oid);
    if (value !== undefined) return value;
    throw new SqlError(
      SqlState.objectNotInPrerequisiteState,
      `currval of sequence "${this.#sequence(oid).def.name}" is not yet defined in this session`,
    );
  }

  last(): SequenceValue {
    if (this.#last === 0 || this.#database.sequences.withOid(this.#last) === undefined)
      throw new SqlError(SqlState.objectNotInPrerequisiteState, 'lastval is not yet defined in this session');
    this.permit('currval', this.#last);
    return this.#current.get(this.#last)!;
  }

  /** What a call in a statement gives. @throws {SqlError} 2200H, 42P01, 55000 */
  generated(call: Generated): SequenceValue {
    switch (call.kind) {
      case 'nextval':
        this.permit('nextval', call.sequence);
        return this.next(call.sequence);
      case 'currval':
        this.permit('currval', call.sequence);
        return this.current(call.sequence);
      case 'lastval':
        return this.last();
      default:
        throw notSupported(`${call.kind} inside an expression`);
    }
  }

  /** setval. @throws {SqlError} 22003 */
  set(oid: number, value: bigint, isCalled: boolean): void {
    const sequence = this.#free(oid);
    sequence.set(value, isCalled);
    this.#cached.delete(oid);
    if (isCalled) this.#current.set(oid, exact(value));
    this.#waitFor(sequence.saving);
  }

  /** DISCARD SEQUENCES. */
  discard(): void {
    this.#current.clear();
    this.#cached.clear();
    this.#last = 0;
  }

  /** Null: every value that was given may leave. */
  settled(): Promise<unknown> | null {
    if (this.#saving.length === 0) return null;
    const saving = this.#saving;
    this.#saving = [];
    return Promise.all(saving);
  }
}
