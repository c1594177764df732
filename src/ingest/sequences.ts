/**
 * The sequences of the server: by OID for columns, by name for statements. Definitions change one after another, in the
 * database's lane of DDL; names are those of relations, shared with tables.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { Remote } from '../rpc.ts';
import type { SequenceDef, SequenceState, StoredSequence } from '../sequence-def.ts';
import type { LakeApi } from '../storage/iceberg/lake-api.ts';
import { isTemporarySchema } from '../table-def.ts';
import { Sequence } from './sequence.ts';
import type { Transaction } from './transaction.ts';

const keyOf = (schema: string, name: string): string => `${schema}\u0000${name}`;

export class Sequences {
  readonly #lake: Remote<LakeApi>;
  readonly #byOid = new Map<number, Sequence>();
  readonly #byName = new Map<string, Sequence>();
  /** Of transactions under way, with what the catalog is to have of them: found by OID alone. */
  readonly #uncommitted = new Map<number, { readonly sequence: Sequence; mark: SequenceState }>();

  constructor(lake: Remote<LakeApi>) {
    this.#lake = lake;
  }

  /** Those that the catalog has. */
  restore(stored: readonly StoredSequence[]): void {
    for (const each of stored) this.#add(each);
  }

  #add(stored: StoredSequence): Sequence {
    return this.#join(new Sequence(stored, this.#save));
  }

  readonly #save = (stored: StoredSequence): Promise<void> => {
    if (isTemporarySchema(stored.def.schema)) return Promise.resolve(); // gone with its session
    const own = this.#uncommitted.get(stored.def.oid);
    if (own === undefined) return this.#lake.storeSequence(stored);
    own.mark = stored.state;
    return Promise.resolve();
  };

  #join(sequence: Sequence): Sequence {
    const { oid, schema, name } = sequence.def;
    this.#byOid.set(oid, sequence);
    this.#byName.set(keyOf(schema, name), sequence);
    return sequence;
  }

  get all(): Iterable<Sequence> {
    return this.#byOid.values();
  }

  named(schema: string, name: string): Sequence | undefined {
    return this.#byName.get(keyOf(schema, name));
  }

  withOid(oid: number): Sequence | undefined {
    return this.#byOid.get(oid) ?? this.#uncommitted.get(oid)?.sequence;
  }

  /** One that a transaction has made: the catalog hears of it with its commit. */
  addUncommitted(def: SequenceDef): Sequence {
    const mark: SequenceState = { last: def.start, isCalled: false };
    const sequence = new Sequence({ def, state: mark }, this.#save);
    this.#uncommitted.set(def.oid, { sequence, mark });
    return sequence;
  }

  /** One that the catalog has is a transaction's alone: the catalog hears of what becomes of it with the commit. */
  async borrow(sequence: Sequence, transaction: Transaction): Promise<void> {
    sequence.heldBy = transaction;
    try {
      while (sequence.isSaving) await sequence.settled(); // values of others that are on their way
    } catch (error) {
      sequence.heldBy = null;
      throw error;
    }
    const { def, state } = sequence;
    sequence.committed = { def, state };
    this.#uncommitted.set(def.oid, { sequence, mark: state });
  }

  giveBack(sequence: Sequence): void {
    this.#uncommitted.delete(sequence.def.oid);
    sequence.heldBy = null;
    sequence.committed = null;
  }

  /** What the catalog is to have of it, by its new definition: every value that was given out is covered (N1). */
  async stored(sequence: Sequence, def: SequenceDef): Promise<StoredSequence> {
    await sequence.settled();
    return { def, state: this.#uncommitted.get(def.oid)!.mark };
  }

  /** The catalog has it so. */
  committed(sequence: Sequence, def: SequenceDef): void {
    this.giveBack(sequence);
    this.#forgetName(sequence);
    sequence.def = def;
    this.#join(sequence);
  }

  #forgetName(sequence: Sequence): void {
    const { schema, name } = sequence.def;
    if (this.named(schema, name) === sequence) this.#byName.delete(keyOf(schema, name));
  }

  /** Its transaction has ended, or goes back. */
  removeUncommitted(sequence: Sequence): void {
    if (this.#uncommitted.delete(sequence.def.oid)) sequence.isDropped = true;
  }

  /** The catalog does not have it any more. */
  removed(sequence: Sequence): void {
    const { def } = sequence;
    sequence.isDropped = true;
    this.#byOid.delete(def.oid);
    this.#forgetName(sequence);
  }

  /** Those whose table is gone: a crash came between the two. */
  async dropOrphans(tables: ReadonlySet<string>): Promise<void> {
    for (const sequence of [...this.#byOid.values()]) {
      const { owner } = sequence.def;
      if (owner !== null && !tables.has(owner.tableUuid)) await this.drop(sequence);
    }
  }

  async drop(sequence: Sequence): Promise<void> {
    const { def } = sequence;
    this.removed(sequence);
    await sequence.settled().catch(() => undefined);
    await this.#lake.removeSequence(def);
  }

  /** CHECKPOINT: `log_cnt` begins anew (L1 in sequence-log.ts). */
  checkpointed(): void {
    for (const sequence of this.#byOid.values()) sequence.checkpointed();
  }

  /** A clean stop leaves no gap. */
  async close(): Promise<void> {
    for (const sequence of this.#byOid.values()) await sequence.close();
  }
}

export function undefinedSequence(name: string): SqlError {
  return new SqlError(SqlState.undefinedTable, `relation "${name}" does not exist`);
}
