/**
 * A transaction's writes before they have LSNs: rows of its own, rows of others it has deleted, and the keys it has
 * locked. Nobody else sees any of it; commit.ts turns it into one frame or a run of frames.
 */
import { DeleteList } from '../storage/memory/delete-list.ts';
import type { Memory } from '../storage/memory/memory.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { MemoryUnit } from '../storage/scan-spec.ts';
import type { Table } from '../storage/table.ts';

/** What a transaction holds of one key: state & 1 = the row that was there is deleted by it; state >> 1 = own row + 1. */
export const KEY_OLD_DELETED = 1;

const NO_KEYS = new Int32Array(0);
const unlocked = new Int32Array(4);

export class TableWrites {
  readonly table: Table;
  /** Unit number under which own rows appear in own scans. */
  readonly unit: number;
  inserted: RowBuffer;
  /** Own rows that died again. */
  dead: DeleteList;
  /** Keys of deleted rows, parallel to `units` and `positions`. */
  readonly deletedKeys: RowBuffer;
  readonly units: number[] = [];
  readonly positions: number[] = [];
  /** Locked keys, four words each, for release. */
  #locked = NO_KEYS;
  #lockedCount = 0;
  readonly #memory: Memory;

  constructor(memory: Memory, table: Table, unit: number) {
    this.#memory = memory;
    this.table = table;
    this.unit = unit;
    this.inserted = new RowBuffer(memory, table.physicals, table.rowPool);
    this.deletedKeys = new RowBuffer(memory, table.keyPhysicals, table.keyPool);
    this.dead = new DeleteList(memory.pool);
  }

  get operations(): number {
    return this.units.length + this.inserted.rows - this.dead.length;
  }

  rememberLock(key: Int32Array): void {
    const at = this.#lockedCount++ * 4;
    if (at === this.#locked.length) {
      const grown = new Int32Array(Math.max(16, at * 2));
      grown.set(this.#locked);
      this.#locked = grown;
    }
    for (let i = 0; i < 4; i++) this.#locked[at + i] = key[i]!;
  }

  /** Whether it has deleted rows of that unit. */
  touches(unit: number): boolean {
    return this.units.includes(unit);
  }

  /** Gives the key locks back: others that wait look again. */
  unlock(): void {
    for (let at = 0; at < this.#lockedCount * 4; at += 4) {
      for (let i = 0; i < 4; i++) unlocked[i] = this.#locked[at + i]!;
      this.table.locks.delete(unlocked);
    }
    this.#locked = NO_KEYS;
    this.#lockedCount = 0;
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
    this.inserted.retire();
    this.inserted = live;
    const { dead } = this;
    this.#memory.pins.whenUnpinned(() => dead.free());
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
  remap(moved: (unit: number, position: number) => { readonly unit: number; readonly position: number } | null): void {
    for (let i = 0; i < this.units.length; i++) {
      const to = moved(this.units[i]!, this.positions[i]!);
      if (to === null) continue;
      this.units[i] = to.unit;
      this.positions[i] = to.position;
    }
  }

  retire(): void {
    this.inserted.retire();
    this.deletedKeys.retire();
    if (this.dead.length > 0) this.#memory.pins.whenUnpinned(() => this.dead.free());
  }
}

export type TransactionState = 'open' | 'committing' | 'done';

export class Transaction {
  readonly id: number;
  readonly writes = new Map<Table, TableWrites>();
  state: TransactionState = 'open';
  synchronous: boolean;
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

  /** Locks go, memory goes, waiters look again. */
  finish(): void {
    this.state = 'done';
    for (const writes of this.writes.values()) {
      writes.unlock();
      writes.retire();
    }
    this.onEnd();
    this.#end();
  }
}
