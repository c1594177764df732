/**
 * The memory that Arka's rows live in: the slab pool, what must wait for readers before it is reused, and the account of
 * what lives beside the slabs. Everything that allocates slabs holds this object.
 *
 * - V5 `usedBytes`, of slabs, indexes and queue, stays within `budgetBytes`, and the slabs alone within theirs: writers
 *   are slowed, then held, by `use` (src/ingest/pressure.ts); the pool itself gives out no more than its budget.
 *   Neither counts warm copies, which give way.
 */
import { SqlError, SqlState } from '../../errors.ts';
import { Pins } from '../pins.ts';
import { MemoryAccount } from './memory-account.ts';
import { blockBytes, SlabPool } from './slab-pool.ts';
import type { Address } from './slab.ts';
import { WarmRows } from './warm-rows.ts';

export class Memory {
  readonly pool: SlabPool;
  readonly pins = new Pins();
  readonly account = new MemoryAccount();
  readonly warm: WarmRows;
  readonly budgetBytes: number;
  /** Slab bytes of the rows in slices; those of transactions are in none. */
  sliceBytes = 0;
  /** Heap bytes of what main knows of data files. */
  fileBytes = 0;

  /** @param budgetBytes of slabs, indexes and queue together; the slabs may take no more than `slabBytes` of it */
  constructor(slabBytes: number, budgetBytes = Number.POSITIVE_INFINITY) {
    this.pool = new SlabPool(slabBytes);
    this.budgetBytes = Math.max(budgetBytes, this.pool.budgetBytes);
    this.warm = new WarmRows(this);
    this.pool.cache = this.warm;
  }

  /** Slab bytes of what is no copy. */
  get slabBytes(): number {
    return this.pool.usedBytes - this.warm.slabBytes;
  }

  get usedBytes(): number {
    return this.slabBytes + this.pool.heapBytes + this.account.liveBytes;
  }

  /** The share of the budget in use: of the slabs' own, or of the joint one, whichever is more. */
  get use(): number {
    return Math.max(this.slabBytes / this.pool.budgetBytes, this.usedBytes / this.budgetBytes);
  }

  /** @throws {SqlError} 53200 when the budget has no such block; nothing was taken */
  take(bytes: number): Address {
    const address = this.pool.allocate(bytes);
    if (address < 0) throw this.usedUp();
    return address;
  }

  usedUp(): SqlError {
    return new SqlError(SqlState.outOfMemory, 'out of memory', {
      detail: `The budget for rows in memory (${this.pool.budgetBytes} bytes) is used up.`,
      hint: 'Write in smaller transactions, or raise memory.limit.',
    });
  }

  /** Frees a block: at once, or, where a reader was told of it, when no pin from before now is left. */
  giveBack(address: Address, bytes: number, isNamed: boolean): void {
    if (isNamed) this.pins.whenUnpinned(() => this.pool.free(address, bytes), blockBytes(bytes));
    else this.pool.free(address, bytes);
  }
}
