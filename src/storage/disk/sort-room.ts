/**
 * Room on the disk for what the sorts of flushes, rewrites and ALTER TABLE put aside (D5 in disk-cache.ts): DuckDB keeps to a bound by
 * itself, and has its room before it asks.
 *
 * - S1 A part of the limit is theirs at all times; a large sort has more while it runs, reserved before the bound is raised.
 * - S2 What lies in the folder stays until its sort ends: a bound below that is refused, and tried again with the next count.
 */
const LIMIT_SHARE = 1 / 64;

/** Bounds what sorts may put aside, in bytes; false: they have more already. */
export type LimitSorts = (bytes: number) => Promise<boolean>;

export class SortRoom {
  readonly #base: number;
  readonly #limitSorts: LimitSorts;
  #claimed = 0;
  /** What DuckDB was told last; 0: nothing yet. */
  #granted = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(limit: number, limitSorts: LimitSorts) {
    this.#base = Math.floor(limit * LIMIT_SHARE);
    this.#limitSorts = limitSorts;
  }

  /** What is spoken for. */
  get grantedBytes(): number {
    return Math.max(this.#base + this.#claimed, this.#granted);
  }

  /** So much more is spoken for, until the answer is called. DuckDB hears of both by `settle`. */
  claim(bytes: number): () => void {
    let held = bytes;
    this.#claimed += held;
    return () => {
      this.#claimed -= held;
      held = 0;
    };
  }

  /** DuckDB has the bound of now; one call after another. */
  settle(): Promise<void> {
    const done = this.#turn.then(async () => {
      const wanted = this.#base + this.#claimed;
      if (wanted !== this.#granted && (await this.#limitSorts(wanted))) this.#granted = wanted;
    });
    this.#turn = done.catch(() => undefined);
    return done;
  }
}
