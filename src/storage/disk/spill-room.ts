/**
 * Room on the disk for what queries put aside (D5 in disk-cache.ts). DuckDB cannot wait for a block's place, so it has room before
 * it asks, and keeps to it by itself.
 *
 * - S1 What it may take is reserved: it hears of more when the room is there, and others get what it gives up when it keeps to less.
 * - S2 That is half of what is free, or an eighth of the limit where copies have to go for it; near the limit it shrinks by itself,
 *   for an eighth is at most half of what the others leave.
 * - S3 What queries have put aside stays until they end: a bound below that is refused, and the one before stays.
 */
const LIMIT_SHARE = 1 / 8;
const ROOM_SHARE = 1 / 2;

/** Bounds what queries may put aside, in bytes; false: they have more already. */
export type LimitSpill = (bytes: number) => Promise<boolean>;

export interface SpillBytes {
  /** Left when all others have theirs, but for copies that nobody uses. */
  readonly room: number;
  /** Left beside those, too. */
  readonly free: number;
  /** Of it, what queries were last seen to have. */
  readonly used: number;
}

export class SpillRoom {
  readonly #limit: number;
  readonly #limitSpill: LimitSpill;
  #granted = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(limit: number, limitSpill: LimitSpill) {
    this.#limit = limit;
    this.#limitSpill = limitSpill;
  }

  get grantedBytes(): number {
    return this.#granted;
  }

  /** What the room of now allows, one call after another; `makeRoom` is called between reserving more and saying so. */
  adjust(bytes: () => SpillBytes, makeRoom: () => Promise<void>): Promise<boolean> {
    return this.#inTurn(async () => {
      const before = this.#granted;
      const allowed = this.#allowed(bytes());
      if (allowed <= before) return this.#lower(allowed);
      this.#granted = allowed;
      await makeRoom();
      if (!(await this.#limitSpill(allowed))) this.#granted = before;
      return false;
    });
  }

  /** The same, but never more than before: somebody needs room. @returns whether there is more of it */
  giveWay(bytes: () => SpillBytes): Promise<boolean> {
    return this.#inTurn(() => this.#lower(Math.min(this.#granted, this.#allowed(bytes()))));
  }

  #allowed({ room, free, used }: SpillBytes): number {
    const share = Math.max(Math.min(this.#limit * LIMIT_SHARE, room * ROOM_SHARE), free * ROOM_SHARE);
    return Math.max(used, Math.floor(share), 0);
  }

  async #lower(bytes: number): Promise<boolean> {
    if (bytes >= this.#granted || !(await this.#limitSpill(bytes))) return false;
    this.#granted = bytes;
    return true;
  }

  #inTurn(work: () => Promise<boolean>): Promise<boolean> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }
}
