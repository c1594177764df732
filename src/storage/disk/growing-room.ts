/**
 * Room on the disk for what grows while it is written (D6 in disk-cache.ts): reserved a step ahead of the bytes, taken as they are
 * written, given back at the end.
 *
 * - R1 Nothing is written that was not reserved, but for what a caller says after the fact: then the next step is there first.
 * - R2 What could not be reserved is 53100, and what was stays until `end`.
 * One writer, which waits for the answer before it goes on.
 */

/** Who gives some rows at a time waits for the last of several answers alone, which fails as well. */
function heard(work: Promise<void>): Promise<void> {
  work.catch(() => undefined);
  return work;
}

/** The books that it belongs to. */
export interface RoomBooks {
  /** Reserves so many bytes more, copies give way first. @throws {SqlError} 53100 */
  reserve(bytes: number): Promise<void>;
  /** Of what was reserved, so much more or less. */
  reserved(change: number): void;
  /** Of what was written and is counted nowhere else. */
  kept(change: number): void;
}

export class GrowingRoom {
  readonly #books: RoomBooks;
  readonly #stepBytes: number;
  #ahead = 0;
  #kept = 0;
  #growing: Promise<void> | null = null;
  #ended = false;

  constructor(books: RoomBooks, stepBytes: number) {
    this.#books = books;
    this.#stepBytes = stepBytes;
  }

  /** Undefined: so many bytes may be written. A promise: when it has resolved. @throws {SqlError} 53100 */
  need(bytes: number): Promise<void> | undefined {
    if (this.#growing !== null) return heard(this.#growing.then(() => this.need(bytes)));
    if (this.#ahead >= bytes || this.#ended) return undefined;
    const missing = Math.max(bytes - this.#ahead, this.#stepBytes);
    const grow = async (): Promise<void> => {
      try {
        await this.#books.reserve(missing);
        if (this.#ended) this.#books.reserved(-missing);
        else this.#ahead += missing;
      } finally {
        this.#growing = null;
      }
    };
    return (this.#growing = heard(grow()));
  }

  /** Written, and counted by others from now on. A promise: wait for it before more. @throws {SqlError} 53100 */
  written(bytes: number): Promise<void> | undefined {
    this.#less(bytes);
    return this.need(this.#stepBytes / 2);
  }

  /** Written after `need`, and counted here. */
  keep(bytes: number): void {
    this.#less(bytes);
    this.#kept += bytes;
    this.#books.kept(bytes);
  }

  #less(bytes: number): void {
    const less = Math.min(bytes, this.#ahead);
    this.#ahead -= less;
    this.#books.reserved(-less);
  }

  /** What it was for has ended, and is gone or counted otherwise. Idempotent. */
  end(): void {
    this.#ended = true;
    this.#less(this.#ahead);
    this.#books.kept(-this.#kept);
    this.#kept = 0;
  }
}
