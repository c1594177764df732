/**
 * Small batches of one shape that were used and can be again: making one, with its views, costs more than a single row's
 * whole commit. Kept by a table for the transactions that write to it, given up at each cut.
 */
import type { Physical } from '../../types/column-vector.ts';
import { Batch, BLOCK_BYTES_FIRST } from './batch.ts';
import type { Memory } from './memory.ts';

/** As many transactions as may well be open at one time. */
const BATCHES_MAX = 64;

export class BatchPool {
  readonly physicals: readonly Physical[];
  readonly #memory: Memory;
  readonly #batches: Batch[] = [];
  #closed = false;

  constructor(memory: Memory, physicals: readonly Physical[]) {
    this.#memory = memory;
    this.physicals = physicals;
  }

  /** An empty batch of the first size. @throws {SqlError} 53200 */
  take(): Batch {
    return this.#batches.pop() ?? new Batch(this.#memory, this.physicals, BLOCK_BYTES_FIRST);
  }

  /** Gives a batch back, whatever its size; it is used again when no reader can name it. */
  give(batch: Batch): void {
    if (batch.blockBytes !== BLOCK_BYTES_FIRST) batch.retire();
    else if (batch.isNamed || batch.readers > 0) this.#memory.pins.whenUnpinned(() => this.#keep(batch));
    else this.#keep(batch);
  }

  clear(): void {
    for (const batch of this.#batches.splice(0)) batch.retire();
  }

  /** Keeps nothing from now on. */
  close(): void {
    this.#closed = true;
    this.clear();
  }

  #keep(batch: Batch): void {
    if (!this.#closed && this.#batches.length < BATCHES_MAX && batch.reset()) this.#batches.push(batch);
    else batch.retire();
  }
}
