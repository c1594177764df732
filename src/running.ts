/**
 * How what a statement waits for is ended by its cancel (gateway/interruption.ts).
 *
 * - R1 A wait inside another one takes the cancel's place, and gives it back when it is over: the query whose rows are being
 *   written can be ended again after a row has waited for a lock.
 */
import { canceled } from './errors.ts';

/** Takes how to end what is waited for now, and calls it at once when the cancel has come already. The answer is called when the wait is over (R1). */
export type Running = (cancel: () => void) => () => void;

/** Of what nobody can cancel. */
export const uncancelled: Running = () => () => {};

/**
 * What goes on by itself: a statement that is cancelled does not wait for it.
 * @param abandoned called when nobody waits any more
 * @throws {SqlError} 57014, and what `work` throws until then
 */
export async function unlessCanceled<T>(
  running: Running,
  work: Promise<T>,
  abandoned: () => void = () => {},
): Promise<T> {
  const { promise: given, reject } = Promise.withResolvers<never>();
  const over = running(() => {
    abandoned();
    reject(canceled());
  });
  try {
    return await Promise.race([work, given]);
  } finally {
    over();
  }
}

/** Work that is behind others': a cancel takes it back until it begins. From then on it comes to its end, for others see what it does. */
export class Turn {
  readonly #cancelled = Promise.withResolvers<never>();
  readonly #over: () => void;
  #isCancelled = false;
  #hasBegun = false;

  constructor(running: Running) {
    this.#cancelled.promise.catch(() => undefined);
    this.#over = running(() => {
      if (this.#hasBegun) return;
      this.#isCancelled = true;
      this.#cancelled.reject(canceled());
    });
  }

  /** @throws {SqlError} 57014 */
  begin(): void {
    if (this.#isCancelled) throw canceled();
    this.#hasBegun = true;
  }

  /** What has its turn later finds that in `begin`. @throws {SqlError} 57014 */
  wait<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#cancelled.promise]);
  }

  end(): void {
    this.#over();
  }
}
