/**
 * The memory that Arka's rows live in: the slab pool, and what must wait for readers before it is reused.
 * Everything that allocates slabs holds this object.
 */
import { SqlError, SqlState } from '../../errors.ts';
import { Pins } from '../pins.ts';
import { SlabPool } from './slab-pool.ts';
import type { Address } from './slab.ts';

export class Memory {
  readonly pool: SlabPool;
  readonly pins = new Pins();

  constructor(budgetBytes: number) {
    this.pool = new SlabPool(budgetBytes);
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

  /** Frees a block once no reader that started before now can name it. */
  retire(address: Address, bytes: number): void {
    this.pins.whenUnpinned(() => this.pool.free(address, bytes));
  }
}
