/**
 * What now() and statement_timestamp() say in a session: when its transaction, and the message of its statement, began. A time is
 * taken when the first asks for it, and then stands; BEGIN asks at once.
 *
 * Microseconds from 1970.
 */
import type { Clock } from '../clock.ts';

export class SessionTimes {
  readonly #clock: Clock;
  #transaction = 0;
  #statement = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A message of the client has come. */
  message(): void {
    this.#statement = 0;
  }

  ended(): void {
    this.#transaction = 0;
  }

  /** clock_timestamp() */
  get clock(): number {
    return Math.floor(this.#clock.now() * 1000);
  }

  /** When the transaction began, as far as somebody has asked; 0: nobody did. */
  get begunAt(): number {
    return this.#transaction;
  }

  get statement(): number {
    return (this.#statement ||= this.clock);
  }

  get transaction(): number {
    return (this.#transaction ||= this.statement);
  }
}
