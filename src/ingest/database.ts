/**
 * What main holds of the whole: tables by name and uuid, the log, the committer, transactions under way, and the lanes
 * in which a table's flushes and commits take turns. Opened by recovery.ts, driven by the gateway and migration.ts.
 */
import type { Clock } from '../clock.ts';
import { SqlError, SqlState, toSqlError } from '../errors.ts';
import type { Remote } from '../rpc.ts';
import type { DiskCache } from '../storage/disk/disk-cache.ts';
import { DataFileUnit } from '../storage/file-unit.ts';
import { KeyChanges } from '../storage/key-changes.ts';
import type { IndexApi } from '../storage/index/index-api.ts';
import type { CommitResult, LakeApi, TableState } from '../storage/iceberg/lake-api.ts';
import type { Log } from '../storage/log/log-api.ts';
import { tableSecret } from '../storage/memory/keyed-hash.ts';
import type { Memory } from '../storage/memory/memory.ts';
import { Table } from '../storage/table.ts';
import type { Chore } from '../storage/troubles.ts';
import type { UnitEngine } from '../storage/unit-engine.ts';
import type { StoredSequence } from '../sequence-def.ts';
import { viewKey, type ViewDef } from '../view-def.ts';
import {
  FIRST_TABLE_OID,
  freeOid,
  isTemporarySchema,
  oidsEnd,
  OIDS_PER_TABLE,
  type Lsn,
  type TableDef,
} from '../table-def.ts';
import { adoptDefinition, isOtherDefinition } from './alter-table.ts';
import { ColdIndex } from './cold-index.ts';
import { Committer } from './committer.ts';
import { checkpointTables } from './checkpoint.ts';
import { record, type CommitEvent, type FlushEvent } from './events.ts';
import { advanceFlushed, cutTable, flushCut, type Cut } from './flush.ts';
import { commitTable, refreshTable, uploadStaged } from './iceberg-commit.ts';
import { IndexFollower } from './index-follower.ts';
import { ownBytes } from './disk-bytes.ts';
import { LogRetention } from './log-retention.ts';
import { rewriteFiles } from './rewrite.ts';
import { memorySignal } from './memory-signal.ts';
import { Pressure, type Marks } from './pressure.ts';
import { committedRelations } from './relations.ts';
import { Sequences } from './sequences.ts';
import { streamAnew } from './stream-anew.ts';
import { TableLocks } from './table-locks.ts';
import { TemporaryTables } from './temporary-tables.ts';
import { Transaction } from './transaction.ts';
import { UnclaimedRows } from './unclaimed-rows.ts';
import type { Running } from '../running.ts';

const MEMORY_MARKS: Marks = { yellow: 0.6, red: 0.8 };
/** Key tables hold transactions and units as int32: both numbers start again after it. */
const NUMBER_MAX = 2 ** 31 - 1;

export interface DatabaseOptions {
  readonly clock: Clock;
  readonly memory: Memory;
  readonly log: Log;
  readonly engine: UnitEngine;
  readonly lake: Remote<LakeApi>;
  readonly disk: DiskCache;
  readonly diskDir: string;
  readonly targetFileBytes: number;
  /** What the tables' hashes of keys are keyed with; at least 16 bytes. */
  readonly secret: Uint8Array;
  /** Left out: keys of files are found by scanning them. */
  readonly index?: Remote<IndexApi>;
  /** Bytes of files that ALTER TABLE may write anew; left out: no limit. */
  readonly filledBytesMax?: number;
  /** wal.max_size; left out: no limit. */
  readonly logBytesMax?: number;
  readonly logBytesKept?: number;
  readonly memoryMarks?: Marks;
  readonly warn: (error: unknown, where: string) => void;
}

export class Database {
  readonly clock: Clock;
  readonly memory: Memory;
  readonly log: Log;
  readonly engine: UnitEngine;
  readonly lake: Remote<LakeApi>;
  readonly disk: DiskCache;
  readonly diskDir: string;
  readonly targetFileBytes: number;
  readonly filledBytesMax: number;
  readonly committer: Committer;
  readonly index: ColdIndex | null;
  readonly retention: LogRetention;
  readonly pressure: Pressure;
  readonly follower = new IndexFollower();
  readonly locks: TableLocks;
  /** A scan's turn; the answer is called once when it has ended. Memory may make it wait (src/server-memory-guard.ts). */
  admitScan: (running: Running, chunkBytes: number) => Promise<() => void> = () => Promise.resolve(() => {});
  readonly warn: (error: unknown, where: string) => void;
  /** Those that are durable. */
  readonly tables = new Map<string, Table>();
  readonly temporary = new TemporaryTables();
  readonly schemas = new Set<string>();
  readonly sequences: Sequences;
  readonly views = new Map<string, ViewDef>();
  readonly comments = new Map<string, string>();
  readonly relations = committedRelations(this);
  readonly unclaimed = new UnclaimedRows();
  readonly flushes: FlushEvent[] = [];
  readonly commits: CommitEvent[] = [];
  /** Rises with every DDL: prepared plans and descriptions of older generations are made again. */
  generation = 1;
  /** A definition has changed, and no session did it. */
  onDefinition: () => void = () => {};
  readonly #secret: Uint8Array;
  readonly #byName = new Map<string, Table>();
  /** Of transactions under way, by uuid (schema-changes.ts). */
  readonly #uncommitted = new Map<string, Table>();
  readonly #transactions = new Map<number, Transaction>();
  readonly #lanes = new Map<Table, Promise<unknown>>();
  readonly #rewrites = new Set<Promise<unknown>>();
  /** Rewrites under way stop at their next file. */
  closing = false;
  #ddl: Promise<unknown> = Promise.resolve();
  readonly #committing = new Set<Promise<void>>();
  #nextTransaction = 1;
  /** Who wants to know which keys have changed. */
  readonly #watchers = new Set<() => void>();
  /** Writers in `admit`. */
  #admitting = 0;
  #nextUnit = 1;
  #nextOid = FIRST_TABLE_OID;

  constructor(options: DatabaseOptions) {
    this.clock = options.clock;
    this.memory = options.memory;
    this.log = options.log;
    this.engine = options.engine;
    this.lake = options.lake;
    this.disk = options.disk;
    this.diskDir = options.diskDir;
    this.targetFileBytes = options.targetFileBytes;
    this.filledBytesMax = options.filledBytesMax ?? Number.POSITIVE_INFINITY;
    this.warn = options.warn;
    this.#secret = options.secret;
    this.index = options.index === undefined ? null : new ColdIndex(options.index, options.disk, options.warn);
    this.sequences = new Sequences(options.lake);
    const spills = {
      logFull: () => this.retention.refused(),
      streamAnew: (transaction: Transaction) => streamAnew(this, transaction),
      placed: (table: Table) =>
        void this.flush(table, 'transaction').catch((error: unknown) => this.warn(error, `flush of ${nameOf(table)}`)),
    };
    this.committer = new Committer(options.memory, options.log, spills, (table) => this.follower.wake(table));
    this.retention = new LogRetention(this, options.logBytesMax ?? Number.POSITIVE_INFINITY, options.logBytesKept);
    this.locks = new TableLocks(
      options.clock,
      () => this.#transactions.values(),
      (uuid) => this.tableOf(uuid),
    );
    this.pressure = new Pressure(this);
    const othersWork = (): boolean => this.#admitting < this.#transactions.size;
    this.pressure.join(memorySignal(this, options.memoryMarks ?? MEMORY_MARKS, othersWork));
    this.pressure.join(this.retention.signal);
    this.memory.account.report('queue', true, () => this.log.stats().queueBytes);
    this.disk.count(
      () => ownBytes(this),
      () => this.memory.slabBytes,
    );
  }

  readonly nextUnit = (): number => {
    const unit = this.#nextUnit;
    do this.#nextUnit = (this.#nextUnit % NUMBER_MAX) + 1;
    while (this.#hasUnit(this.#nextUnit));
    return unit;
  };

  #hasUnit(unit: number): boolean {
    for (const table of this.allTables) if (table.unit(unit) !== undefined) return true;
    return false;
  }

  /** Temporary ones, too. */
  get allTables(): readonly Table[] {
    return [...this.tables.values(), ...this.temporary.tables.values()];
  }

  table(schema: string, name: string): Table | undefined {
    return this.#byName.get(`${schema}\u0000${name}`);
  }

  begin(synchronous: boolean): Transaction {
    const transaction = new Transaction(this.memory, this.#nextTransaction, this.nextUnit, synchronous);
    this.#nextTransaction = (this.#nextTransaction % NUMBER_MAX) + 1;
    this.#transactions.set(transaction.id, transaction);
    transaction.onEnd = () => this.#transactions.delete(transaction.id);
    return transaction;
  }

  /** Sessions whose locks a session's transaction waits for. */
  blockersOf(owner: number): number[] {
    return this.locks.blockersOf(owner);
  }

  readonly transaction = (id: number): Transaction | undefined => this.#transactions.get(id);

  /** Changed keys are kept until the answer is called. @param tooMany told to do so */
  watchChanges(tooMany: () => void): () => void {
    this.#watchers.add(tooMany);
    const full = (): void => {
      for (const each of [...this.#watchers]) each();
    };
    for (const table of this.allTables) if (table.keyed) table.changes ??= new KeyChanges(table.keys, full);
    return () => {
      this.#watchers.delete(tooMany);
      if (this.#watchers.size === 0) for (const table of this.allTables) table.changes = null;
    };
  }

  /** Whether a transaction under way has deleted rows of the unit. */
  isTouched(table: Table, unit: number): boolean {
    for (const transaction of this.#transactions.values())
      if (transaction.writes.get(table)?.touches(unit) === true) return true;
    return false;
  }

  /** Positions of the unit that transactions under way have deleted. */
  *touchedPositions(table: Table, unit: number): IterableIterator<number> {
    for (const transaction of this.#transactions.values()) {
      const writes = transaction.writes.get(table);
      if (writes === undefined) continue;
      if (writes.touches(unit)) yield* writes.deleted.byUnit().get(unit)!;
    }
  }

  /** Rows have moved: transactions under way follow (H2). */
  remap(
    table: Table,
    moved: (unit: number, position: number) => { readonly unit: number; readonly position: number } | null,
  ): void {
    for (const transaction of this.#transactions.values()) transaction.writes.get(table)?.remap(moved);
  }

  /** Brings a table that the lake knows into memory; its files and committed deletes come next. */
  addTable(state: TableState): Table {
    this.#nextOid = Math.max(this.#nextOid, oidsEnd(state.def));
    const def = state.def.oid === 0 ? { ...state.def, oid: this.takeOid() } : state.def;
    const table = this.#newTable(def, state.location, state.specId);
    this.#join(table, state);
    table.install(
      null,
      state.files.map((info) => new DataFileUnit(this.memory, this.nextUnit(), def, info, 'iceberg')),
    );
    return table;
  }

  /** An unreadable table turns out to have this uuid (N2 in unclaimed-rows.ts): it is one with that, and unreadable as before. */
  identified(table: Table, uuid: string): Table {
    const { def, detached, location, metadataLocation, specId } = table;
    this.forgetTable(table);
    const known = this.unclaimed.claim(uuid);
    const same = this.#newTable({ ...def, uuid }, location, specId);
    this.#join(same, known ?? { metadataLocation, snapshotId: null });
    same.detached = detached;
    same.lacks(known, this.committer.publishedLsn);
    this.onDefinition();
    return same;
  }

  #newTable(def: TableDef, location: string, specId: number): Table {
    const table = new Table(this.memory, this.nextUnit, tableSecret(this.#secret, def.uuid), def, location, specId);
    table.index = this.index;
    return table;
  }

  /** All see it from now on. */
  #join(table: Table, state: Pick<TableState, 'metadataLocation' | 'snapshotId'>): void {
    const { uuid, schema, name } = table.def;
    table.metadataLocation = state.metadataLocation;
    table.snapshotId = state.snapshotId;
    this.tables.set(uuid, table);
    this.#byName.set(`${schema}\u0000${name}`, table);
  }

  /** A table without operations below the newest LSN. */
  #startNow(table: Table): void {
    const lsn = this.committer.appliedLsn;
    table.appliedLsn = lsn;
    table.publishedLsn = lsn;
    table.flushedLsn = lsn; // committedLsn stays 0: the catalog says so too
  }

  /** Also one that a transaction under way has made. */
  tableOf(uuid: string): Table | undefined {
    return this.tables.get(uuid) ?? this.temporary.tables.get(uuid) ?? this.#uncommitted.get(uuid);
  }

  addUncommitted(def: TableDef, location: string): Table {
    const table = this.#newTable(def, location, 0);
    this.#uncommitted.set(def.uuid, table);
    return table;
  }

  /** The catalog has it now. */
  committed(table: Table, state: TableState): void {
    this.#uncommitted.delete(table.def.uuid);
    table.setDef(state.def);
    table.specId = state.specId;
    this.#join(table, state);
    this.#startNow(table);
  }

  /** Its transaction has ended: it is there until its session ends. */
  joinTemporary(table: Table): void {
    const { name, schema, uuid } = table.def;
    this.#uncommitted.delete(uuid);
    this.temporary.tables.set(uuid, table);
    this.#byName.set(`${schema}\u0000${name}`, table);
  }

  /** Nothing of it is left, where its transaction ends without it. */
  removeUncommitted(table: Table): void {
    if (!this.#uncommitted.delete(table.def.uuid)) return;
    table.drop();
    void this.index?.sync(table);
  }

  /** A table beside those of the catalog, for rows that nobody reads here. */
  shadowTable(def: TableDef): Table {
    return new Table(this.memory, this.nextUnit, tableSecret(this.#secret, def.uuid), { ...def, indexes: [] }, '', 0);
  }

  /** Positions that Iceberg's delete files hold already. Behind pending entries of ours they go with the next commit once more. */
  addCommittedDeletes(table: Table, file: DataFileUnit, positions: Uint32Array, lsn: Lsn): void {
    const fresh = positions.filter((position) => !file.deletes.has(position));
    if (fresh.length === 0) return;
    if (!file.deletes.reserve(fresh.length))
      throw new SqlError(SqlState.outOfMemory, 'out of memory: the delete files of a table do not fit', {
        hint: 'Raise memory.limit.',
      });
    const pending = file.deletes.length > file.deletesCommitted;
    for (const position of fresh) file.deletes.append(position, lsn);
    file.deletes.publish(file.deletes.length);
    file.deletesForeign = file.deletes.length;
    if (!pending) {
      file.deletesFlushed = file.deletes.length;
      file.deletesCommitted = file.deletes.length;
    }
    table.fileSets.committed(file);
  }

  /** What the catalog has of sequences and views. */
  restore(stored: readonly StoredSequence[], views: readonly ViewDef[]): void {
    const defs = [...stored.map(({ def }) => def), ...views];
    this.#nextOid = Math.max(this.#nextOid, ...defs.map(({ oid }) => oid + OIDS_PER_TABLE));
    this.sequences.restore(stored);
    for (const view of views) this.views.set(viewKey(view), view);
  }

  takeOid(): number {
    const oid = freeOid(this.#nextOid);
    this.#nextOid = oid + OIDS_PER_TABLE;
    return oid;
  }

  /** Definitions change one after another. */
  define<T>(change: () => Promise<T>): Promise<T> {
    const next = this.#ddl.then(change, change);
    this.#ddl = next.catch(() => {});
    return next;
  }

  /** Nobody sees it any more. */
  removed(table: Table): void {
    this.forgetTable(table);
    this.#lanes.delete(table);
    this.disk.forget(table.files.map((file) => file.path));
    table.drop();
  }

  /** No statement finds it from now on, and no transaction brings it rows. */
  forgetTable(table: Table): void {
    const { uuid, schema, name } = table.committedDef ?? table.def;
    table.dropped = true;
    this.tables.delete(uuid);
    this.temporary.tables.delete(uuid);
    if (this.table(schema, name) === table) this.#byName.delete(`${schema}\u0000${name}`);
    this.changedIn(schema);
  }

  /** What the catalog says of a table: where another writer has changed it, it is so here, too, once nobody is at the table. */
  definitionFound(table: Table, { def, specId }: Pick<TableState, 'def' | 'specId'>): void {
    const isKnown = table.found !== null;
    table.found = isOtherDefinition(table, def, specId) ? { def, specId } : null;
    if (table.found === null || isKnown) return;
    void adoptDefinition(this, table).catch((error: unknown) =>
      this.warn(error, `what another writer has changed of ${nameOf(table)}`),
    );
  }

  /** Plans of before are made again, by those whose names lead to a schema. */
  changedIn(schema: string): void {
    if (isTemporarySchema(schema)) this.temporary.changed(schema);
    else this.generation++;
  }

  /** The catalog has it under another name now. */
  renamed(table: Table, { schema, name }: Pick<TableDef, 'schema' | 'name'>): void {
    table.setDef({ ...table.def, schema, name });
    this.renamedAll([table]);
  }

  /** So it has them under those that they have here. */
  renamedAll(tables: readonly Table[]): void {
    const all = new Set(tables);
    for (const [key, table] of this.#byName) if (all.has(table)) this.#byName.delete(key);
    for (const table of tables) this.#byName.set(`${table.def.schema}\u0000${table.def.name}`, table);
    for (const { def } of tables) this.changedIn(def.schema);
  }

  /** Flushes and commits of one table take turns. What they did to its files the index hears after each. */
  inLane<T>(table: Table, work: () => Promise<T>): Promise<T> {
    const before = this.#lanes.get(table) ?? Promise.resolve();
    const next = before.then(work, work);
    const told = (): Promise<void> | undefined => this.index?.sync(table);
    this.#lanes.set(table, next.then(told, told));
    return next;
  }

  flush(table: Table, trigger: string): Promise<void> {
    return this.inLane(table, () => this.flushHeld(table, trigger));
  }

  advanceFlushed(table: Table): Promise<void> {
    return this.inLane(table, () => advanceFlushed(this, table));
  }

  /** What other engines have committed becomes visible here. */
  refresh(table: Table): Promise<void> {
    return this.inLane(table, () => refreshTable(this, table));
  }

  /** Memory to disk, then disk to Iceberg. */
  async commit(table: Table, trigger: string): Promise<void> {
    const work = this.#commit(table, trigger);
    this.#committing.add(work);
    try {
      await work;
    } finally {
      this.#committing.delete(work);
    }
  }

  async #commit(table: Table, trigger: string): Promise<void> {
    await this.flush(table, trigger);
    const started = this.clock.monotonic();
    await uploadStaged(this, table);
    await this.inLane(table, () => this.commitHeld(table, trigger, started));
  }

  /** Disk to Iceberg; the table's lane is held by the caller. @param trims false: the caller trims the log, once for many tables */
  async commitHeld(table: Table, trigger: string, started = this.clock.monotonic(), trims = true): Promise<void> {
    const result = await commitTable(this, table, trigger);
    table.troubles.done('commit');
    if (result === null) return;
    this.#committed(table, trigger, started, result, result);
    if (trims) await this.trimLog();
  }

  #committed(
    table: Table,
    trigger: string,
    started: number,
    { snapshotId, retries }: CommitResult,
    { files, rows, deletes, bytes }: Pick<CommitEvent, 'files' | 'rows' | 'deletes' | 'bytes'>,
  ): void {
    record(this.commits, {
      table: nameOf(table),
      at: this.#now(),
      lsn: table.committedLsn,
      ...{ snapshotId, files, rows, deletes, bytes, retries, trigger },
      durationMs: this.clock.monotonic() - started,
    });
  }

  /** What is done for a table without anybody asking has failed, and is tried again: arka.tables and arka.commits say so. */
  troubled(table: Table, chore: Chore, error: unknown): void {
    this.warn(error, `${chore} of ${nameOf(table)}`);
    if (!table.troubles.failed(chore, error, this.#now()) || chore === 'refresh') return;
    const none = { lsn: table.committedLsn, snapshotId: null, files: 0, rows: 0, deletes: 0, bytes: 0, retries: 0 };
    const warning = `${chore} failed: ${toSqlError(error).message}`;
    record(this.commits, { table: nameOf(table), at: this.#now(), ...none, durationMs: 0, trigger: chore, warning });
  }

  /** Compaction: each group of data files becomes one, beside everything else. False: nothing was rewritten. */
  rewrite(table: Table, groups: readonly (readonly DataFileUnit[])[], trigger: string): Promise<boolean> {
    const started = this.clock.monotonic();
    const work = rewriteFiles(this, table, groups, trigger).then((result) => {
      if (result !== null) this.#committed(table, trigger, started, result.commit, result);
      return result !== null;
    });
    const quiet = work.catch(() => {});
    this.#rewrites.add(quiet);
    void quiet.then(() => this.#rewrites.delete(quiet));
    return work;
  }

  #now(): string {
    return new Date(this.clock.now()).toISOString();
  }

  /** Memory to disk; the table's lane is held by the caller. */
  async flushHeld(table: Table, trigger: string, cut: Cut | null = cutTable(this, table)): Promise<void> {
    const started = this.clock.monotonic();
    if (cut === null) return;
    const result = await flushCut(this, table, cut);
    table.troubles.done('flush');
    record(this.flushes, {
      table: nameOf(table),
      at: this.#now(),
      ...result,
      durationMs: this.clock.monotonic() - started,
      trigger,
    });
  }

  /** Waits for flushes, commits and rewrites under way; nothing new may start. */
  async close(): Promise<void> {
    this.closing = true;
    this.follower.close();
    await Promise.allSettled(this.#committing);
    await Promise.all(this.#rewrites);
    await Promise.all(this.#lanes.values());
    await this.sequences.close().catch((error: unknown) => this.warn(error, 'the last values of sequences'));
    this.closing = false;
  }

  /** CHECKPOINT: everything acknowledged before it is in Iceberg when it resolves, all tables as of one LSN (H2). */
  checkpoint(): Promise<void> {
    return checkpointTables(this, [...this.tables.values()], 'checkpoint');
  }

  /** The log keeps what Iceberg does not hold yet, and no more (H3). */
  trimLog(): Promise<void> {
    return this.retention.trim();
  }

  /** A writer's turn: while memory, log or disk are short it waits. @throws {SqlError} 53100, 53200 */
  async admit(isOver?: () => boolean): Promise<void> {
    if (this.log.full) throw this.retention.refused();
    this.disk.admit();
    this.#admitting++;
    try {
      await this.pressure.admit(isOver);
    } finally {
      this.#admitting--;
    }
  }

  /** True when `admit` would have to do something. */
  get pressed(): boolean {
    return this.log.full || this.disk.full || this.pressure.red;
  }
}

export function nameOf(table: Table): string {
  return `${table.def.schema}.${table.def.name}`;
}
