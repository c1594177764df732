/**
 * Long work in short turns: what builds, merges or looks up many keys gives way to the other calls of its thread every
 * millisecond.
 */
import type { Clock } from '../../clock.ts';

const TURN_MS = 1;

export class Pace {
  readonly #clock: Clock;
  #until = 0;
  /** Set when the thread ends: work stops at its next turn. */
  stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get due(): boolean {
    return this.#clock.monotonic() >= this.#until;
  }

  /** Lets others have their turn. @throws {Stopped} */
  async turn(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (this.stopped) throw new Stopped();
    this.#until = this.#clock.monotonic() + TURN_MS;
  }
}

export class Stopped extends Error {
  constructor() {
    super('the index is closing');
  }
}
