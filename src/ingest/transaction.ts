/**
 * A transaction's writes before they have LSNs: rows of its own, rows of others it has deleted, and the keys it has
 * locked. Nobody else sees any of it; commit.ts turns it into one frame or a run of frames.
 */
import { RenamedRows } from '../storage/key-renames.ts';
import { DeleteList } from '../storage/memory/delete-list.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import type { Memory } from '../storage/memory/memory.ts';
import { OwnIndex } from '../storage/memory/own-index.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { MemoryUnit } from '../storage/scan-spec.ts';
import { SpilledUnits, type SpilledUnit } from '../storage/spilled-units.ts';
import type { DataFileUnit } from '../storage/file-unit.ts';
import type { Table, Unit } from '../storage/table.ts';
import type { Lsn } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { FreshTables } from './fresh-tables.ts';
import { HeldKeys, type KeysMark } from './held-keys.ts';
import { ownUnit } from './own-unit.ts';
import { PackedPlaces, type Place } from './packed-places.ts';
import { movePlace } from './position-locks.ts';
import { readOnly } from './read-only.ts';
import { concurrentChange, type Snapshot, type TableView } from './snapshot.ts';
import type { SchemaChanges } from './schema-changes.ts';
import type { StatementView } from './statement-view.ts';
import type { StreamedWrites } from './stream-writes.ts';
import { UniqueWrites, type UniqueMark } from './unique-writes.ts';

/** From so many own rows on a transaction has an index of its own for them. */
const OWN_INDEX_ROWS_MIN = 2048;

/** How far a transaction's writes to a table were at a savepoint. */
interface WritesMark {
  readonly rows: number;
  readonly dead: number;
  readonly deletions: number;
  readonly keys: KeysMark;
  readonly spilled: readonly number[];
  readonly truncated: boolean;
  /** Null: no value of a UNIQUE constraint was locked yet. */
  readonly uniques: UniqueMark | null;
}
const NOTHING: WritesMark = {
  rows: 0,
  dead: 0,
  deletions: 0,
  keys: { held: 0, bits: 0, changes: 0 },
  spilled: [],
  truncated: false,
  uniques: null,
};

const before: KeyWords = new Int32Array(4);
const after: KeyWords = new Int32Array(4);

const noFiles = (): void => {};

export class TableWrites {
  readonly table: Table;
  /** The transaction. */
  readonly holder: number;
  /** Unit number under which own rows appear in own scans. */
  readonly unit: number;
  inserted: RowBuffer;
  /** Own rows that died again. */
  dead: DeleteList;
  /** Names of deleted rows (C3), parallel to `deleted`; the first of them may have left memory for the log's stream. */
  deletedNames: RowBuffer;
  /** Rows of others that it has deleted. */
  readonly deleted = new PackedPlaces();
  /** In REPEATABLE READ what its snapshot shows of the table, and where deleted rows are there. */
  readonly seen: { readonly view: TableView; readonly deleted: PackedPlaces } | null;
  /** A large transaction's own rows by key; it holds their locks. */
  own: OwnIndex | null = null;
  /** Own rows that are in files; those in memory follow them (H1). */
  readonly spilled = new SpilledUnits();
  /** Deletes a file of own rows that nobody needs; set with the first. */
  removeFiles: (files: readonly DataFileUnit[]) => void = noFiles;
  readonly keys: HeldKeys;
  /** Values of UNIQUE constraints that it holds; null: the table has none, or has got no rows of it. */
  uniques: UniqueWrites | null = null;
  /** All rows that others have are gone for it: it has the table alone (`truncation.ts`). */
  isTruncated = false;
  /** Own rows that were there under other keys. */
  renamed: RenamedRows | null = null;
  /** One a savepoint that is open, the outermost first. */
  #marks: WritesMark[] = [];
  readonly #memory: Memory;

  constructor(memory: Memory, table: Table, holder: number, unit: number, snapshot: Snapshot | null) {
    this.seen = snapshot === null ? null : { view: snapshot.view(table), deleted: new PackedPlaces() };
    this.#memory = memory;
    this.table = table;
    this.holder = holder;
    this.unit = unit;
    this.keys = new HeldKeys(table, holder);
    this.inserted = new RowBuffer(memory, table.physicals, table.rowPool);
    this.deletedNames = new RowBuffer(memory, table.namePhysicals, table.namePool);
    this.dead = new DeleteList(memory.pool);
    if (table.uniques.length > 0) this.claimed();
  }

  /** The values that it holds of UNIQUE constraints, of which the table has some. */
  claimed(): UniqueWrites {
    const { table } = this;
    this.uniques ??= new UniqueWrites(this.holder, this.deleted);
    return this.uniques.of(table);
  }

  get operations(): number {
    return (this.isTruncated ? 1 : this.deleted.length) + this.insertions;
  }

  /** Own rows that are alive. */
  get insertions(): number {
    return this.inserted.rows - this.dead.length - this.spilled.dead;
  }

  /** It has written nothing, or has taken it all back. */
  get isEmpty(): boolean {
    return !this.isTruncated && this.inserted.rows + this.deleted.length + this.spilled.size === 0;
  }

  /** Before the own rows from `from` on are looked at: when they are many, own rows get an index of their own. */
  growInto(holder: number, from: number, rowsMin = OWN_INDEX_ROWS_MIN): void {
    if (this.own !== null || this.inserted.rows < rowsMin || !this.table.keyed) return;
    const { table, inserted } = this;
    const own = new OwnIndex(holder, table.keys, inserted, this.spilled);
    own.entries.reserve(inserted.rows);
    const hashes = new Int32Array(1);
    for (let index = 0; index < inserted.batches.length && inserted.batchStart(index) < from; index++) {
      const start = inserted.batchStart(index);
      const batch = inserted.batches[index]!;
      const vectors = table.keyColumns.map((column) => batch.columns[column]!.vector());
      for (let row = 0; row < batch.rows && start + row < from; row++) {
        if (this.isDead(start + row)) continue;
        table.keys.hashRows(vectors, row, row + 1, hashes);
        own.claim(hashes[0]!, vectors, row, start + row);
      }
    }
    this.own = own;
    table.ownIndexes = [...table.ownIndexes, own];
    const kept = this.keys.keepDeletedOnly(this.#marks.map((mark) => mark.keys));
    this.#marks = this.#marks.map((mark, i) => ({ ...mark, keys: kept[i]! }));
  }

  /**
   * A row to delete, its name given as a row of vectors in the name's order.
   * @param seenUnit with `seenPosition` where the transaction's snapshot has it, if it has moved since
   * @throws {SqlError} 40001 for a row that the snapshot does not show
   */
  recordDeletion(
    vectors: readonly ColumnVector[],
    row: number,
    unit: number,
    position: number,
    seenUnit = unit,
    seenPosition = position,
  ): void {
    const { seen } = this;
    if (seen !== null) {
      if (!seen.view.has(seenUnit, seenPosition)) throw concurrentChange('update');
      seen.deleted.push(seenUnit, seenPosition);
    }
    this.deletedNames.append(vectors, row, row + 1);
    this.deleted.push(unit, position);
  }

  /** Own row `own` has the place of one with another key, given as a row of vectors. */
  rename(vectors: readonly ColumnVector[], row: number, own: number): void {
    const { table, inserted } = this;
    const { columns } = inserted.batches[inserted.batchOf(own)]!;
    const now = table.keyColumns.map((column) => columns[column]!.vector());
    table.encodeKey(vectors, row, before);
    table.encodeKey(now, own - inserted.batchStart(inserted.batchOf(own)), after);
    if (before.every((word, i) => word === after[i])) return;
    this.renamed ??= new RenamedRows();
    this.renamed.add(before, after, own);
  }

  /** Whether it has deleted rows of that unit. */
  touches(unit: number): boolean {
    return this.deleted.has(unit);
  }

  /** Own rows have their values locked where constraints are others than when they were written. */
  carryValues(): void {
    if (this.uniques === null && this.table.uniques.length === 0) return;
    this.claimed().carry(this.table, this.inserted, (row) => this.isDead(row));
  }

  /** Gives the key locks back: others that wait look again. */
  unlock(): void {
    const { table, own } = this;
    if (!table.keyed) table.placeLocks.release(this.holder);
    this.keys.release();
    this.uniques?.release(table);
    if (own === null) return;
    own.isOpen = false;
    table.ownIndexes = table.ownIndexes.filter((each) => each !== own);
  }

  /** A savepoint, `depth` of them open before it. */
  savepoint(depth: number): void {
    while (this.#marks.length < depth) this.#marks.push(NOTHING); // of before its first write
    const { inserted, dead, deleted } = this;
    this.#marks.push({
      rows: inserted.rows,
      dead: dead.length,
      deletions: deleted.length,
      keys: this.keys.mark(),
      spilled: this.spilled.mark(),
      truncated: this.isTruncated,
      uniques: this.uniques?.mark() ?? null,
    });
    this.keys.record(true);
  }

  /** Only the first `depth` savepoints are left. */
  release(depth: number): void {
    this.#marks.length = Math.min(this.#marks.length, depth);
    this.keys.record(depth > 0);
    this.uniques?.record(depth > 0);
  }

  /** Forgets what it did since savepoint `index`, which stays open; the stream of rows, where there is one, must be at most at `sizeAt(index)`. */
  rollbackTo(index: number): void {
    const mark = this.#marks[index] ?? NOTHING;
    const { table, inserted, own } = this;
    const vectorsOf = (row: number): readonly ColumnVector[] => {
      const { columns } = inserted.batches[inserted.batchOf(row)]!;
      return table.keyColumns.map((column) => columns[column]!.vector());
    };
    own?.dropFrom(mark.rows);
    this.keys.rollbackTo(mark.keys, (row) => {
      if (own === null || row >= mark.rows || row < inserted.first) return; // of a spilled row the file holds the key
      const inBatch = row - inserted.batchStart(inserted.batchOf(row));
      const vectors = vectorsOf(row);
      own.claim(table.keys.hashRow(vectors, inBatch), vectors, inBatch, row);
    });
    this.uniques?.rollbackTo(mark.uniques);
    inserted.truncate(mark.rows);
    this.renamed?.truncate(mark.rows);
    this.dead.truncate(mark.dead);
    this.isTruncated = mark.truncated;
    this.#forgetDeletions(mark.deletions);
    this.#dropSpilled(this.spilled.rollbackTo(mark.rows, mark.spilled));
    this.#marks.length = Math.min(this.#marks.length, index + 1);
  }

  #dropSpilled(units: readonly SpilledUnit[]): void {
    const files = units.map(({ file }) => file);
    if (files.length === 0) return;
    this.table.spill([], files);
    this.dropFiles(files);
  }

  dropFiles(files: readonly DataFileUnit[]): void {
    for (const file of files) file.deletes.retire(this.#memory.pins);
    if (files.length > 0) this.removeFiles(files);
  }

  /** Own rows before `to` are in files now. */
  spill(units: readonly SpilledUnit[], to: number): void {
    const { inserted, spilled, table, own } = this;
    for (const unit of units) spilled.add(unit);
    table.spill(
      units.map(({ file }) => file),
      [],
    );
    own?.dropBefore(to);
    const batches = inserted.batches.findIndex((_, i) => inserted.batchStart(i) >= to);
    inserted.dropBatches(batches < 0 ? inserted.batches.length : batches);
  }

  /** Where a file of own rows that is written now must end: at the savepoints that are open (U1). */
  get spillCuts(): readonly number[] {
    return this.#marks.map(({ rows }) => rows);
  }

  /** Whether a rollback to a savepoint that is open can bring dead rows of memory back: then they are to stay there. */
  get mayRevive(): boolean {
    const { first } = this.inserted;
    for (const { rows, dead } of this.#marks) {
      if (rows <= first) continue;
      for (const row of this.dead.positions(dead, this.dead.length)) if (row >= first && row < rows) return true;
    }
    return false;
  }

  /** A unit of the table, or of its own. */
  unitOf(unit: number): Unit | undefined {
    return this.spilled.find(unit)?.file ?? this.table.unit(unit);
  }

  /** Whether a row that it sees is there still: `position` of an own row in memory is its number. */
  isAlive(unit: number, position: number): boolean {
    if (unit === this.unit) return !this.isDead(position);
    const spilled = this.spilled.find(unit);
    if (spilled === undefined) return !this.isTruncated && this.table.isAlive(unit, position);
    return !spilled.file.deletes.has(position);
  }

  isOwn(unit: number): boolean {
    return unit === this.unit || this.spilled.find(unit) !== undefined;
  }

  /** Whether a row that a scan found is an own one, `row` or a later one. */
  isWrittenSince(row: number, unit: number, position: number): boolean {
    if (unit === this.unit) return this.ownRow(position) >= row;
    const spilled = this.spilled.find(unit);
    return spilled !== undefined && spilled.from >= row;
  }

  /** It deletes a row, named by a row of vectors in the name's order. */
  delete(
    vectors: readonly ColumnVector[],
    row: number,
    unit: number,
    position: number,
    seenUnit = unit,
    seenPosition = position,
  ): void {
    const spilled = this.spilled.find(unit);
    if (unit === this.unit) this.killOwn(position);
    else if (spilled === undefined) this.recordDeletion(vectors, row, unit, position, seenUnit, seenPosition);
    else this.killSpilled(spilled, position);
  }

  killSpilled(unit: SpilledUnit, position: number): void {
    if (!this.spilled.kill(unit, position)) throw this.#memory.usedUp();
  }

  /** A position of the unit of own rows in a scan, as the number of an own row. */
  ownRow(position: number): number {
    return this.inserted.first + position;
  }

  /** How many own rows, and deletions of the rows of others, there were at savepoint `index`. */
  sizeAt(index: number): { readonly rows: number; readonly deletions: number } {
    return this.#marks[index] ?? NOTHING;
  }

  #forgetDeletions(from: number): void {
    if (!this.table.keyed) this.#unlockPlaces(from);
    this.deleted.truncate(from);
    this.uniques?.deletionsMoved();
    this.seen?.deleted.truncate(from);
    this.deletedNames.truncate(from);
  }

  #unlockPlaces(from: number): void {
    const { placeLocks } = this.table;
    this.deleted.forRuns((unit, positions) => {
      for (const position of positions) placeLocks.delete(unit, position, this.holder);
    }, from);
  }

  killOwn(row: number): void {
    if (!this.dead.reserve(1)) throw this.#memory.usedUp();
    this.dead.append(row, 0);
  }

  isDead(row: number): boolean {
    return this.dead.has(row);
  }

  /** At commit: the live rows alone. */
  replaceInserted(live: RowBuffer): void {
    this.own?.compacted(live, (row) => this.isDead(row));
    this.inserted.retire();
    this.inserted = live;
    const { dead } = this;
    dead.retire(this.#memory.pins);
    this.dead = new DeleteList(this.#memory.pool);
  }

  /** Own rows, or those before `end`, as a unit of own scans. */
  scan(end = this.inserted.rows): MemoryUnit | null {
    const { batches, first } = this.inserted;
    if (end <= first) return null;
    const read = end === this.inserted.rows ? batches : batches.slice(0, this.inserted.batchOf(end - 1) + 1);
    return ownUnit(this, read, end - first, true);
  }

  /** The rows of the first `count` batches, for one who reads them, under a pin, before `read` is called: then they may leave memory at once. */
  lend(count: number): { readonly unit: MemoryUnit; readonly read: () => void } {
    const { inserted } = this;
    const batches = inserted.batches.slice(0, count);
    for (const batch of batches) batch.readers++;
    return {
      unit: ownUnit(this, batches, inserted.batchStart(count) - inserted.first, false),
      read: () => {
        for (const batch of batches.splice(0)) batch.readers--;
      },
    };
  }

  /** Positions of dead rows in that unit where `scan` does not say them: rows before it have left memory. */
  deadPositions(): Uint32Array {
    const { first } = this.inserted;
    if (first === 0 || this.dead.length === 0) return new Uint32Array(0);
    return this.dead
      .positions(0, this.dead.length)
      .filter((row) => row >= first)
      .map((row) => row - first);
  }

  /** Moves recorded positions after rows went to another unit: a transaction open across a cut (H2). */
  remap(moved: (unit: number, position: number) => Place | null): void {
    const { table } = this;
    this.deleted.remap((unit, position) => {
      const to = moved(unit, position);
      if (to !== null && !table.keyed) movePlace(table, this.holder, { unit, position }, to);
      return to;
    });
    this.uniques?.deletionsMoved();
  }

  retire(): void {
    this.inserted.retire();
    this.deletedNames.retire();
    if (this.spilled.size > 0) this.#dropSpilled(this.spilled.rollbackTo(0, []));
    if (this.dead.slabBytes > 0) this.dead.retire(this.#memory.pins); // also where a rollback took all entries back
  }
}

export type TransactionState = 'open' | 'committing' | 'done';

export class Transaction {
  readonly id: number;
  readonly writes = new Map<Table, TableWrites>();
  state: TransactionState = 'open';
  synchronous: boolean;
  /** The session it belongs to; 0: none. */
  owner = 0;
  /** Its rows on their way to the log, when it is large (H1). */
  streamed: StreamedWrites | null = null;
  /** It has been at temporary tables. */
  hasTemporary = false;
  readonly fresh = new FreshTables();
  /** What it has defined; null: nothing. */
  definitions: SchemaChanges | null = null;
  /** What it sees, in REPEATABLE READ. */
  snapshot: Snapshot | null = null;
  /** What all parts of a statement see whose WITH writes. */
  statement: StatementView | null = null;
  /** The transaction it waits for: the edges of the deadlock graph. */
  waitsFor: Transaction | null = null;
  /** Savepoints that are open. */
  #savepoints = 0;
  readonly ended: Promise<void>;
  #released: PromiseWithResolvers<void> | null = null;
  /** Called once, when it is visible or gone. */
  onEnd: () => void = () => {};
  readonly #end: () => void;
  readonly #memory: Memory;
  readonly #nextUnit: () => number;

  constructor(memory: Memory, id: number, nextUnit: () => number, synchronous: boolean) {
    this.#memory = memory;
    this.id = id;
    this.#nextUnit = nextUnit;
    this.synchronous = synchronous;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#end = resolve;
  }

  of(table: Table): TableWrites {
    let writes = this.writes.get(table);
    if (writes === undefined) {
      if (table.detached !== null) throw readOnly(table.detached);
      if (table.temporary) this.hasTemporary = true;
      writes = new TableWrites(this.#memory, table, this.id, this.#nextUnit(), this.snapshot);
      this.writes.set(table, writes);
      if (this.#savepoints > 0) writes.keys.record(true);
    }
    return writes;
  }

  /** What the log is to have of it: temporary tables are not there. */
  get logged(): readonly TableWrites[] {
    const all = [...this.writes.values()];
    return this.hasTemporary ? all.filter(({ table }) => !table.temporary) : all;
  }

  /** It has written, and to temporary tables alone. */
  get isTemporary(): boolean {
    return this.hasTemporary && this.logged.every(({ operations }) => operations === 0);
  }

  /** Own rows, or names of rows that it has deleted, are not in memory any more. */
  get hasLeftMemory(): boolean {
    for (const { spilled, deletedNames, table } of this.writes.values())
      if (!table.temporary && (spilled.size > 0 || deletedNames.first > 0)) return true;
    return false;
  }

  /** Own rows of it are in files. */
  get isSpilled(): boolean {
    for (const { spilled } of this.writes.values()) if (spilled.size > 0) return true;
    return false;
  }

  get operations(): number {
    let count = 0;
    for (const writes of this.writes.values()) count += writes.operations;
    return count;
  }

  get savepoints(): number {
    return this.#savepoints;
  }

  /** Savepoints are numbered from 0, the outermost first. */
  savepoint(): void {
    for (const writes of this.writes.values()) writes.savepoint(this.#savepoints);
    this.definitions?.savepoint(this.#savepoints);
    this.#savepoints++;
  }

  /** Only the first `depth` savepoints are left, and what was done since stays. */
  releaseTo(depth: number): void {
    this.#savepoints = depth;
    for (const writes of this.writes.values()) writes.release(depth);
    this.definitions?.release(depth);
    this.fresh.releaseTo(depth);
  }

  /** Forgets what was done since savepoint `index`, which stays; its locks go, and others that wait look again. */
  rollbackTo(index: number): void {
    this.definitions?.rollbackTo(index);
    this.fresh.rollbackTo(index);
    for (const writes of this.writes.values())
      if (this.streamed?.reaches(writes, writes.sizeAt(index)) === true) this.giveUpStream();
    for (const writes of this.writes.values()) {
      writes.rollbackTo(index);
      writes.carryValues();
    }
    this.#savepoints = index + 1;
    this.wake();
  }

  /** Resolves when it gives locks back: all at its end, some at a rollback to a savepoint. */
  released(): Promise<void> {
    if (this.state === 'done') return this.ended;
    this.#released ??= Promise.withResolvers<void>();
    return this.#released.promise;
  }

  /** It has given a lock back: who waits looks again. */
  wake(): void {
    this.#released?.resolve();
    this.#released = null;
  }

  /** The rows that are in the log's stream are not to be: they go with the commit, or nowhere. */
  giveUpStream(): void {
    this.streamed?.stream.discard();
    this.streamed = null;
  }

  /** The first `batches` of its own rows leave memory. */
  spilling(writes: TableWrites, batches: number): void {
    if (!writes.table.temporary) this.streamed?.dropped(writes, batches);
  }

  /** The frame that names the stream is in the log. */
  streamCommitted(lsn: Lsn): void {
    this.streamed?.stream.committed(lsn);
    this.streamed = null;
  }

  /** What it wrote to a table is nothing: the table is gone for it. */
  forget(table: Table): void {
    const writes = this.writes.get(table);
    if (writes === undefined) return;
    if (this.streamed?.reaches(writes, { rows: 0, deletions: 0 }) === true) this.giveUpStream();
    writes.unlock();
    writes.retire();
    this.writes.delete(table);
  }

  /** Locks go, memory goes, waiters look again. */
  finish(): void {
    this.state = 'done';
    this.definitions?.goBack();
    this.giveUpStream();
    this.snapshot?.close();
    for (const writes of this.writes.values()) {
      writes.unlock();
      writes.retire();
    }
    this.definitions?.end();
    this.onEnd();
    this.#end();
    this.wake();
  }
}
