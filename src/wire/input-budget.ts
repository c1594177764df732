/**
 * How much memory unfinished messages of all connections may take together (V5): each of them is allowed to be long, not all at once.
 *
 * - I1 What a reader holds beyond the pool of small pieces is counted here, from before it is taken until it is given back.
 */
import { SqlError, SqlState } from '../errors.ts';

export class InputBudget {
  readonly #limit: number;
  #used = 0;

  constructor(limit = Infinity) {
    this.#limit = limit;
  }

  /** @throws {SqlError} FATAL 53200 when they do not fit: the rest of such a message cannot be waited for, so its connection ends */
  take(bytes: number): void {
    if (this.#used + bytes > this.#limit)
      throw new SqlError(SqlState.outOfMemory, 'unfinished messages of all clients take too much memory', {
        severity: 'FATAL',
        detail: `They have ${this.#used} of ${this.#limit} bytes, and this one needs ${bytes} more.`,
        hint: 'Send the data in smaller statements or by COPY, or raise memory.limit, of which messages have a quarter.',
      });
    this.#used += bytes;
  }

  giveBack(bytes: number): void {
    this.#used -= bytes;
  }

  get usedBytes(): number {
    return this.#used;
  }
}
