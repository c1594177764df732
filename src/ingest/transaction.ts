/**
 * A transaction's writes before they have LSNs: rows of its own, rows of others it has deleted, and the keys it has
 * locked. Nobody else sees any of it; commit.ts turns it into one frame or a run of frames.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { Detached } from '../storage/iceberg/lake-api.ts';
import { DeleteList } from '../storage/memory/delete-list.ts';
import type { KeyWords } from '../storage/memory/key-table.ts';
import type { Memory } from '../storage/memory/memory.ts';
import { OwnIndex } from '../storage/memory/own-index.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { MemoryUnit } from '../storage/scan-spec.ts';
import type { Table } from '../storage/table.ts';
import type { Lsn } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { movePlace, unlockPlace } from './position-locks.ts';
import type { StreamedWrites } from './stream-writes.ts';

/**
 * What a transaction knows of a key that it has locked in the lock table: state & 1 = settled: the row that was there is
 * deleted by it, or there was none; state >> 1 = own row + 1, whose key is settled, too. With an index of its own (`own`)
 * the own row is looked for there.
 */
export const KEY_SETTLED = 1;

/** From so many own rows on a transaction has an index of its own for them. */
const OWN_INDEX_ROWS_MIN = 2048;

const key: KeyWords = new Int32Array(4);
const NO_KEYS = new Int32Array(0);

export class TableWrites {
  readonly table: Table;
  /** Unit number under which own rows appear in own scans. */
  readonly unit: number;
  inserted: RowBuffer;
  /** Own rows that died again. */
  dead: DeleteList;
  /** Names of deleted rows (C3), parallel to `units` and `positions`. */
  readonly deletedNames: RowBuffer;
  readonly units: number[] = [];
  readonly positions: number[] = [];
  /** A large transaction's own rows by key; it holds their locks. */
  own: OwnIndex | null = null;
  /** Keys in the lock table, four words each, for release. */
  #locked = NO_KEYS;
  #lockedCount = 0;
  readonly #memory: Memory;

  constructor(memory: Memory, table: Table, unit: number) {
    this.#memory = memory;
    this.table = table;
    this.unit = unit;
    this.inserted = new RowBuffer(memory, table.physicals, table.rowPool);
    this.deletedNames = new RowBuffer(memory, table.namePhysicals, table.namePool);
    this.dead = new DeleteList(memory.pool);
  }

  get operations(): number {
    return this.units.length + this.inserted.rows - this.dead.length;
  }

  rememberLock(locked: KeyWords): void {
    const at = this.#lockedCount++ * 4;
    if (at === this.#locked.length) {
      const grown = new Int32Array(Math.max(16, at * 2));
      grown.set(this.#locked);
      this.#locked = grown;
    }
    for (let i = 0; i < 4; i++) this.#locked[at + i] = locked[i]!;
  }

  /** Puts the `n`th locked key into `key`; its hash. */
  #lockedKey(n: number): number {
    for (let i = 0; i < 4; i++) key[i] = this.#locked[n * 4 + i]!;
    return this.table.keys.hash(key);
  }

  /** Before the own rows from `from` on are looked at: when they are many, own rows get an index of their own. */
  growInto(holder: number, from: number): void {
    if (this.own !== null || this.inserted.rows < OWN_INDEX_ROWS_MIN || !this.table.keyed) return;
    const { table, inserted } = this;
    const own = new OwnIndex(holder, table.keys, inserted);
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
    this.#keepDeletedOnly();
  }

  /** Locks of own rows leave the lock table. */
  #keepDeletedOnly(): void {
    const { locks } = this.table;
    const count = this.#lockedCount;
    const kept: Int32Array[] = [];
    for (let n = 0; n < count; n++) {
      const hash = this.#lockedKey(n);
      if (locks.find(key, hash) && locks.b >> 1 === 0) kept.push(key.slice());
      else locks.delete(key, hash);
    }
    this.#locked = NO_KEYS;
    this.#lockedCount = 0;
    for (const each of kept) this.rememberLock(each);
  }

  /** A row to delete, its name given as a row of vectors in the name's order. */
  recordDeletion(vectors: readonly ColumnVector[], row: number, unit: number, position: number): void {
    this.deletedNames.append(vectors, row, row + 1);
    this.units.push(unit);
    this.positions.push(position);
  }

  /** Whether it has deleted rows of that unit. */
  touches(unit: number): boolean {
    return this.units.includes(unit);
  }

  /** Gives the key locks back: others that wait look again. */
  unlock(): void {
    const { table, own } = this;
    if (!table.keyed)
      for (let i = 0; i < this.units.length; i++) unlockPlace(table, this.units[i]!, this.positions[i]!);
    for (let n = 0; n < this.#lockedCount; n++) {
      const hash = this.#lockedKey(n);
      table.locks.delete(key, hash);
    }
    this.#locked = NO_KEYS;
    this.#lockedCount = 0;
    if (own === null) return;
    own.isOpen = false;
    table.ownIndexes = table.ownIndexes.filter((each) => each !== own);
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

  /** Own rows as a unit of own scans. */
  scan(): MemoryUnit | null {
    if (this.inserted.rows === 0) return null;
    const { batches, rows, physicals } = this.inserted;
    const shape = new Float64Array(batches.length * (1 + 4 * physicals.length));
    let at = 0;
    for (const batch of batches) at += batch.describe(shape, at, batch.rows);
    return {
      unit: this.unit,
      rows,
      shape: shape.subarray(0, at),
      deletes: this.dead.ref(this.dead.length),
      fieldIds: this.table.fieldIds,
    };
  }

  /** Moves recorded positions after rows went to another unit: a transaction open across a cut (H2). */
  remap(
    holder: number,
    moved: (unit: number, position: number) => { readonly unit: number; readonly position: number } | null,
  ): void {
    const { table } = this;
    for (let i = 0; i < this.units.length; i++) {
      const from = { unit: this.units[i]!, position: this.positions[i]! };
      const to = moved(from.unit, from.position);
      if (to === null) continue;
      if (!table.keyed) movePlace(table, holder, from, to);
      this.units[i] = to.unit;
      this.positions[i] = to.position;
    }
  }

  retire(): void {
    this.inserted.retire();
    this.deletedNames.retire();
    if (this.dead.length > 0) this.dead.retire(this.#memory.pins);
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
  /** The transaction it waits for: the edges of the deadlock graph. */
  waitsFor: Transaction | null = null;
  readonly ended: Promise<void>;
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
      writes = new TableWrites(this.#memory, table, this.#nextUnit());
      this.writes.set(table, writes);
    }
    return writes;
  }

  get operations(): number {
    let count = 0;
    for (const writes of this.writes.values()) count += writes.operations;
    return count;
  }

  /** The rows that are in the log's stream are not to be: they go with the commit, or nowhere. */
  giveUpStream(): void {
    this.streamed?.stream.discard();
    this.streamed = null;
  }

  /** The frame that names the stream is in the log. */
  streamCommitted(lsn: Lsn): void {
    this.streamed?.stream.committed(lsn);
    this.streamed = null;
  }

  /** Locks go, memory goes, waiters look again. */
  finish(): void {
    this.state = 'done';
    this.giveUpStream();
    for (const writes of this.writes.values()) {
      writes.unlock();
      writes.retire();
    }
    this.onEnd();
    this.#end();
  }
}

export function readOnly({ message, detail, hint }: Detached): SqlError {
  return new SqlError(SqlState.objectNotInPrerequisiteState, `the table is read-only: ${message}`, { detail, hint });
}
