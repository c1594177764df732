/**
 * Time and chance come in as arguments, so that simulations own them: `Date.now`, `setTimeout` and `Math.random`
 * are lint errors elsewhere in src/.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds of a monotonic clock, for intervals and deadlines. */
  monotonic(): number;
  /** Calls back once; the answer cancels it. Does not keep the process alive. */
  after(milliseconds: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (milliseconds, callback) => {
    const timer = setTimeout(callback, milliseconds);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
