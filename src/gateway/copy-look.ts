/**
 * COPY FROM reads its data by blocks (K1 of `ingest/copy-blocks.ts`). A client that sends less than a block and then waits is to hear of a
 * bad line all the same, as PostgreSQL says it at once: when nothing has come for some milliseconds, the lines that are whole are read.
 *
 * - L1 While data come nothing is looked at, so blocks stay full.
 * - L2 Nothing is read while rows are being moved.
 */
import type { Clock } from '../clock.ts';
import type { MaybePromise } from '../wire/gateway-api.ts';

const IDLE_MS = 5;

export class CopyLook {
  /** Rejects with the error of a line. */
  readonly failed: Promise<never>;
  readonly #fail: (error: unknown) => void;
  readonly #clock: Clock;
  readonly #look: () => void;
  #disarm: (() => void) | null = null;
  #hasCome = false;
  #isMoving = false;
  #isOver = false;

  /** @param look reads what is whole */
  constructor(clock: Clock, look: () => void) {
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => undefined);
    this.failed = promise;
    this.#fail = reject;
    this.#clock = clock;
    this.#look = look;
  }

  dataCame(): void {
    this.#hasCome = true;
    if (this.#disarm === null) this.#arm();
  }

  /** L2 */
  during(moving: MaybePromise<void>): MaybePromise<void> {
    if (moving === undefined) return undefined;
    this.#isMoving = true;
    return moving.finally(() => {
      this.#isMoving = false;
    });
  }

  /** Idempotent. */
  end(): void {
    this.#isOver = true;
    this.#disarm?.();
    this.#disarm = null;
  }

  #arm(): void {
    if (!this.#isOver) this.#disarm = this.#clock.after(IDLE_MS, () => this.#expired());
  }

  #expired(): void {
    this.#disarm = null;
    if (this.#hasCome || this.#isMoving) {
      this.#hasCome = false;
      this.#arm();
      return;
    }
    try {
      this.#look();
    } catch (error) {
      this.end();
      this.#fail(error);
    }
  }
}
