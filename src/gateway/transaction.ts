/**
 * A session's transaction: the block that BEGIN opens, its savepoints, what kind it is, and its end. Statements ask it for
 * the transaction that they write in; there is one only from the first write on.
 *
 * - B1 A block that failed has given back everything since its last savepoint, and takes only what ends it or goes back.
 * - B2 Outside a block the statements up to the end of a Query message, or to a Sync, are one transaction.
 * - B3 In REPEATABLE READ the first statement that reads or writes takes the snapshot; all later ones see it.
 * - B4 Settings changed in a transaction share its fate (gateway/settings.ts).
 */
import { inFailedTransaction, notSupported, SqlError, SqlState } from '../errors.ts';
import type { Database } from '../ingest/database.ts';
import { commitDefinitions, NO_RIGHTS } from '../ingest/commit-definitions.ts';
import { holdLanes, type Release } from '../ingest/lanes.ts';
import type { Relations } from '../ingest/relations.ts';
import { SchemaChanges } from '../ingest/schema-changes.ts';
import { Snapshot } from '../ingest/snapshot.ts';
import type { Patience, TableHold } from '../ingest/table-locks.ts';
import type { Transaction } from '../ingest/transaction.ts';
import { truncatedTables } from '../ingest/truncation.ts';
import type { ParsedStatement } from '../planner/plan.ts';
import { isolationOf, type IsolationLevel, type TransactionModes } from '../planner/settings.ts';
import { endsFailedBlock, neverInBlock } from '../planner/utility.ts';
import type { AdvisorySession } from './advisory-locks.ts';
import type { Listener } from './channels.ts';
import type { SessionPortals } from './portals.ts';
import type { SessionAccess } from './session-access.ts';
import type { SessionSequences } from './sequences.ts';
import type { SessionSettings } from './settings.ts';
import type { SessionTimes } from './times.ts';
import type { MaybePromise, TransactionStatus } from '../wire/gateway-api.ts';

interface Savepoint {
  readonly name: string;
  readonly rights: number;
  /** Settings and portals that are younger go with a rollback to it. */
  readonly settings: number;
  readonly isReadOnly: boolean;
  readonly portals: number;
  readonly advisory: number;
  readonly listener: ReturnType<Listener['mark']>;
  readonly locks: number;
}

export interface TransactionHost {
  readonly database: Database;
  readonly settings: SessionSettings;
  readonly sequences: SessionSequences;
  readonly times: SessionTimes;
  readonly advisory: AdvisorySession;
  readonly access: SessionAccess;
  readonly pid: number;
  readonly warning: (code: string, message: string) => void;
  readonly portals: SessionPortals;
  readonly listener: Listener;
  readonly nextNumber: () => number;
  /** What all see is another. */
  readonly definitionsChanged: () => void;
  /** A block begins; a transaction has ended. */
  readonly guarded: <T>(work: () => Promise<T>) => Promise<T>;
  readonly patience: Patience;
  readonly began: () => void;
  readonly ended: () => void;
}

export class SessionTransaction {
  readonly #host: TransactionHost;
  #block: 'none' | 'open' | 'failed' = 'none';
  #savepoints: Savepoint[] = [];
  /** A statement has been carried out in it: it is too late to say what kind it is. */
  #queried = false;
  #number = 0;
  /** Null: nothing was written yet. */
  current: Transaction | null = null;

  /** The tables it is at. */
  readonly hold: TableHold;

  constructor(host: TransactionHost) {
    this.#host = host;
    this.hold = host.database.locks.open(() => this.current, host.pid);
  }

  /** Of a session that ends. */
  close(): void {
    this.rollback();
    this.advisory.close();
    this.#host.database.locks.close(this.hold);
  }

  /** txid_current(): given when somebody asks. Null: it has none. */
  number(assign: boolean): number | null {
    if (assign) this.#number ||= this.#host.nextNumber();
    return this.#number === 0 ? null : this.#number;
  }

  get listener(): Listener {
    return this.#host.listener;
  }

  get advisory(): AdvisorySession {
    return this.#host.advisory;
  }

  get status(): TransactionStatus {
    return this.#block === 'none' ? 'I' : this.#block === 'open' ? 'T' : 'E';
  }

  get inBlock(): boolean {
    return this.#block !== 'none';
  }

  get failed(): boolean {
    return this.#block === 'failed';
  }

  /** Before a statement is planned; `several`: it is one of several of a text. @throws {SqlError} 25P02, 25001 */
  check({ node }: ParsedStatement, several = false): void {
    if (this.failed && node !== null && !endsFailedBlock(node)) throw inFailedTransaction();
    const what = this.inBlock || several ? neverInBlock(node) : null;
    if (what !== null)
      throw new SqlError(SqlState.activeSqlTransaction, `${what} cannot run inside a transaction block`);
  }

  /** The one that is open, or begins with this write. */
  writing(): Transaction {
    if (this.current === null) {
      const { database, settings, pid } = this.#host;
      this.current = database.begin(settings.synchronous);
      this.current.owner = pid;
    }
    return this.current;
  }

  /** What it has defined; null: nothing. */
  get changes(): SchemaChanges | null {
    return this.current?.definitions ?? null;
  }

  /** For a statement that defines something in it. */
  defining(): SchemaChanges {
    const transaction = this.writing();
    return (transaction.definitions ??= new SchemaChanges(this.#host.database, transaction, this.hold));
  }

  /** Schemas, tables and sequences as it sees them. */
  get relations(): Relations {
    return this.changes ?? this.#host.database.relations;
  }

  /** Before a statement that reads or writes rows, or defines tables. @throws {SqlError} 25006 */
  enter(verb: string | null): void {
    if (verb !== null && this.#host.settings.readOnly) throw readOnlyTransaction(verb);
    this.#queried = true;
  }

  /** It is REPEATABLE READ, and has no snapshot yet. */
  get lacksSnapshot(): boolean {
    return this.#host.settings.repeatable && (this.current?.snapshot ?? null) === null;
  }

  /** Before the first statement of a REPEATABLE READ transaction. */
  async takeSnapshot(): Promise<void> {
    const transaction = this.writing();
    const snapshot = await Snapshot.take(this.#host.database);
    if (transaction.state === 'open') transaction.snapshot = snapshot;
    else snapshot.close();
  }

  begin(modes: TransactionModes): void {
    if (this.#block !== 'none') {
      this.#host.warning(SqlState.activeSqlTransaction, 'there is already a transaction in progress');
      this.setModes(modes);
      return;
    }
    this.#open();
    try {
      this.setModes(modes);
    } catch (error) {
      this.#block = 'none';
      throw error;
    }
  }

  #open(): void {
    const { settings, times } = this.#host;
    const level = settings.get('transaction_isolation')!;
    if (level === 'serializable') this.carriedOut(level); // a start-up parameter says so
    this.#block = 'open';
    void times.transaction; // it is BEGIN's
    settings.beginBlock();
    this.#host.began();
  }

  /** The level that a transaction gets. @throws {SqlError} 0A000 for SERIALIZABLE, unless a setting takes less for it */
  carriedOut(level: IsolationLevel): IsolationLevel {
    if (level !== 'serializable') return level;
    if (this.#host.settings.get('arka.serializable') !== 'repeatable_read')
      throw notSupported('isolation level SERIALIZABLE', {
        hint: "Use REPEATABLE READ, or SET arka.serializable = 'repeatable_read' to get that in its place.",
      });
    this.#host.warning(SqlState.warning, 'SERIALIZABLE is carried out as REPEATABLE READ: write skew is possible');
    return 'repeatable read';
  }

  /** SET TRANSACTION and its settings. @throws {SqlError} 25001 when it is too late */
  setModes({ isolation, readOnly, deferrable }: TransactionModes): void {
    const { settings } = this.#host;
    if (isolation !== undefined) this.#setIsolation(isolation);
    if (readOnly !== undefined) {
      if (!readOnly && settings.readOnly) {
        if (this.#savepoints.length > 0)
          throw tooLate('cannot set transaction read-write mode inside a read-only transaction');
        if (this.#queried) throw tooLate('transaction read-write mode must be set before any query');
      }
      settings.set('transaction_read_only', readOnly ? 'on' : 'off', true);
    }
    if (deferrable !== undefined) {
      if (this.#savepoints.length > 0)
        throw tooLate('SET TRANSACTION [NOT] DEFERRABLE cannot be called within a subtransaction');
      if (this.#queried) throw tooLate('SET TRANSACTION [NOT] DEFERRABLE must be called before any query');
      settings.set('transaction_deferrable', deferrable ? 'on' : 'off', true);
    }
  }

  #setIsolation(asked: IsolationLevel): void {
    const { settings } = this.#host;
    const level = this.carriedOut(asked);
    if (settings.get('transaction_isolation') !== level) {
      if (this.#queried) throw tooLate('SET TRANSACTION ISOLATION LEVEL must be called before any query');
      if (this.#savepoints.length > 0)
        throw tooLate('SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction');
    }
    settings.set('transaction_isolation', level, true);
  }

  /** The kind it is, for the one that AND CHAIN begins. */
  #modes(): TransactionModes {
    const { settings } = this.#host;
    return {
      isolation: isolationOf(settings.get('transaction_isolation')!) ?? 'read committed',
      readOnly: settings.readOnly,
      deferrable: settings.get('transaction_deferrable') === 'on',
    };
  }

  /** The tag. */
  async commit(chain: boolean): Promise<string> {
    if (this.#block === 'none') this.#warnNone('COMMIT AND CHAIN', chain);
    const modes = chain ? this.#modes() : null;
    const wasFailed = this.#block === 'failed';
    if (wasFailed) this.rollback();
    else await this.commitNow();
    this.#chain(modes);
    return wasFailed ? 'ROLLBACK' : 'COMMIT';
  }

  rollbackBlock(chain: boolean): string {
    if (this.#block === 'none') this.#warnNone('ROLLBACK AND CHAIN', chain);
    const modes = chain ? this.#modes() : null;
    this.rollback();
    this.#chain(modes);
    return 'ROLLBACK';
  }

  #warnNone(what: string, chain: boolean): void {
    if (chain) throw outsideBlock(what);
    this.#host.warning(SqlState.noActiveSqlTransaction, 'there is no transaction in progress');
  }

  #chain(modes: TransactionModes | null): void {
    if (modes === null) return;
    this.#open();
    this.setModes(modes);
  }

  /** Ends it, block or not; what it wrote is there when this resolves. */
  commitNow(): MaybePromise<void> {
    const { access, database, sequences } = this.#host;
    const defined = this.changes !== null;
    const saving = sequences.settled() ?? (defined ? null : access.settled());
    if (saving !== null)
      return saving.then(
        () => this.commitNow(),
        (error: unknown) => {
          this.rollback();
          throw error;
        },
      );
    const { listener } = this.#host;
    try {
      listener.admit();
    } catch (error) {
      this.rollback();
      throw error;
    }
    const hold = this.#host.portals.hold();
    if (hold !== null)
      return this.#host.guarded(hold).then(
        () => this.commitNow(),
        (error: unknown) => {
          this.rollback();
          throw error;
        },
      );
    const { current } = this;
    if (current?.fresh.hasTruncated !== true || current.definitions !== null) return this.#carryOut(() => {});
    // Until then it can be cancelled: a flush or commit of its tables may wait for a store that is away.
    const { guarded, patience } = this.#host;
    return guarded(() => holdLanes(database, truncatedTables(current), patience)).then(
      (release) => {
        if (this.current === current) return this.#carryOut(release);
        release(); // the session has ended meanwhile
      },
      (error: unknown) => {
        this.rollback();
        throw error;
      },
    );
  }

  /** @param release gives back the lanes of tables that it has truncated */
  #carryOut(release: Release): MaybePromise<void> {
    const { access, database, listener, settings } = this.#host;
    const transaction = this.current;
    if (transaction !== null) endTemporaryRows(transaction);
    const publish = listener.take();
    const unlock = transaction === null ? null : this.hold.detach();
    this.#end();
    if (transaction !== null) transaction.synchronous = settings.synchronous; // as it is at COMMIT
    settings.commit();
    if (transaction === null) {
      publish?.();
      return this.advisory.ended(undefined);
    }
    const changes = transaction.definitions;
    const rights = changes === null ? NO_RIGHTS : access.withDefinitions();
    if (unlock !== null) void transaction.ended.then(unlock);
    const committed = this.advisory.ended(
      changes === null
        ? transaction.fresh.hasTruncated
          ? database.committer.commit(transaction).finally(release)
          : database.committer.commit(transaction)
        : commitDefinitions(database, transaction, changes, rights, this.#host.patience).finally(
            this.#host.definitionsChanged,
          ),
    );
    if (publish === null) return committed;
    return committed instanceof Promise ? committed.then(publish) : publish();
  }

  rollback(): void {
    const transaction = this.current;
    this.#end();
    this.#host.access.rollbackTo(0);
    this.#host.settings.rollback();
    this.#host.listener.rollback();
    if (transaction !== null && transaction.state === 'open') transaction.finish();
    this.advisory.ended(undefined);
  }

  #end(): void {
    if (this.#block !== 'none') this.#host.ended();
    this.#block = 'none';
    this.#queried = false;
    this.#number = 0;
    this.current = null;
    this.#host.times.ended();
    this.#host.portals.end();
    this.hold.release();
    if (this.#savepoints.length > 0) this.#savepoints = [];
  }

  /** After an error: a block fails (B1), an implicit transaction is rolled back. */
  fail(): void {
    if (this.#block === 'none') {
      this.rollback();
      return;
    }
    if (this.#savepoints.length > 0) this.#goBackTo(this.#savepoints.length - 1);
    else {
      const transaction = this.current;
      this.current = null;
      this.#host.portals.dieFrom(0);
      if (transaction !== null && transaction.state === 'open') transaction.finish();
      this.hold.release();
      this.advisory.ended(undefined);
    }
    this.#block = 'failed';
  }

  savepoint(name: string): void {
    if (this.#block === 'none') throw outsideBlock('SAVEPOINT');
    const { access, settings, portals } = this.#host;
    this.writing().savepoint();
    const [rights, advisory] = [access.mark(), this.advisory.mark()];
    this.#savepoints.push({
      name,
      rights,
      settings: settings.mark(),
      isReadOnly: settings.readOnly,
      portals: portals.made,
      advisory,
      listener: this.listener.mark(),
      locks: this.hold.mark(),
    });
  }

  release(name: string): void {
    if (this.#block === 'none') throw outsideBlock('RELEASE SAVEPOINT');
    const index = this.#find(name);
    this.current!.releaseTo(index);
    // READ ONLY that was said inside a savepoint ends with it.
    const { settings } = this.#host;
    if (settings.readOnly && !this.#savepoints[index]!.isReadOnly) settings.set('transaction_read_only', 'off', true);
    this.#savepoints.length = index;
  }

  rollbackTo(name: string): void {
    if (this.#block === 'none') throw outsideBlock('ROLLBACK TO SAVEPOINT');
    this.#goBackTo(this.#find(name));
    this.#block = 'open';
  }

  #goBackTo(index: number): void {
    const { settings, portals: all } = this.#host;
    const { settings: mark, portals, advisory, rights, listener, locks } = this.#savepoints[index]!;
    all.dieFrom(portals);
    this.current!.rollbackTo(index);
    settings.rollbackTo(mark);
    this.#host.access.rollbackTo(rights);
    this.advisory.backTo(advisory);
    this.listener.backTo(listener);
    this.hold.backTo(locks);
    this.#savepoints.length = index + 1;
  }

  /** The last of that name. */
  #find(name: string): number {
    const index = this.#savepoints.findLastIndex((each) => each.name === name);
    if (index < 0) throw new SqlError(SqlState.invalidSavepoint, `savepoint "${name}" does not exist`);
    return index;
  }
}

/** ON COMMIT: rows and tables that are not to outlive the transaction. */
function endTemporaryRows(transaction: Transaction): void {
  transaction.definitions?.dropOnCommit();
  if (!transaction.hasTemporary) return;
  for (const table of transaction.writes.keys()) if (table.def.onCommit === 'delete') transaction.forget(table);
}

function tooLate(message: string): SqlError {
  return new SqlError(SqlState.activeSqlTransaction, message);
}

export function outsideBlock(what: string): SqlError {
  return new SqlError(SqlState.noActiveSqlTransaction, `${what} can only be used in transaction blocks`);
}

function readOnlyTransaction(verb: string): SqlError {
  return new SqlError(SqlState.readOnlySqlTransaction, `cannot execute ${verb} in a read-only transaction`);
}
