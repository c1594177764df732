/**
 * How many values PostgreSQL would have written ahead of a sequence: `log_cnt`. Arka logs none of them (its marks are in the catalog),
 * but clients can read the number, so it is counted as nextval_internal() of PostgreSQL's sequence.c counts it:
 *
 * - L1 A fetch takes CACHE values. The first one, one for which fewer are left, and the first after a checkpoint write 32 more ahead,
 *   or as many as there are up to the limit; every other takes its values off these.
 * - L2 setval, RESTART and another increment, limit, CYCLE or CACHE leave none; neither does a crash.
 */
import type { LoggedValues } from '../sequence-def.ts';

const AHEAD = 32;

export class SequenceLog {
  /** The first value of the fetch that wrote ahead; null: none did since the sequence was set. */
  #from: bigint | null;
  /** Fetches since. */
  #fetches: number;
  #left: number;
  /** The next fetch writes ahead, whatever is left. */
  #isStale = false;

  constructor(logged: LoggedValues | undefined) {
    this.#from = logged === undefined ? null : BigInt(logged.from);
    this.#fetches = logged?.fetches ?? 0;
    this.#left = logged?.left ?? 0;
  }

  /** From which PostgreSQL comes to the same number by its own nextval. */
  get state(): LoggedValues | undefined {
    return this.#from === null ? undefined : { from: String(this.#from), fetches: this.#fetches, left: this.#left };
  }

  /** A checkpoint, or a clean stop. */
  checkpointed(): void {
    this.#isStale = true;
  }

  /** @param rest how many values there are from `first` up to the limit, without it */
  fetched(first: bigint, cache: number, rest: bigint): void {
    if (!this.#isStale && this.#left >= cache) {
      this.#left -= cache;
      this.#fetches++;
      return;
    }
    this.#isStale = false;
    this.#from = first;
    this.#fetches = 0;
    const ahead = rest + 1n - BigInt(cache);
    this.#left = ahead > AHEAD ? AHEAD : ahead < 0n ? 0 : Number(ahead);
  }

  /** As many fetches of one value each, up to `last`, of which none went around. */
  ran(count: number, last: bigint, increment: bigint, restOf: (value: bigint) => bigint): void {
    if (count === 0) return;
    const first = last - increment * BigInt(count - 1);
    if (this.#isStale) {
      this.fetched(first, 1, restOf(first));
      this.ran(count - 1, last, increment, restOf);
      return;
    }
    if (count <= this.#left) {
      this.#left -= count;
      this.#fetches += count;
      return;
    }
    const since = (count - this.#left - 1) % (AHEAD + 1);
    const from = last - increment * BigInt(since);
    this.#left = 0;
    this.fetched(from, 1, restOf(from));
    this.#left -= since;
    this.#fetches = since;
  }
}
