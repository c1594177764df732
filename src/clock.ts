/**
 * Time and chance come in as arguments, so that simulations own them: `Date.now`, `setTimeout` and `Math.random`
 * are lint errors elsewhere in src/.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch, with fractions. */
  now(): number;
  /** Milliseconds of a monotonic clock, for intervals and deadlines. */
  monotonic(): number;
  /** Calls back once; the answer cancels it. Does not keep the process alive. */
  after(milliseconds: number, callback: () => void): () => void;
}

/** What the monotonic clock has to be added to: the system's own says milliseconds only. */
let epoch = Date.now() - performance.now();

/** Never further than a millisecond from the system's clock, also when that was set. */
function now(): number {
  const milliseconds = Date.now();
  const fine = epoch + performance.now();
  if (fine >= milliseconds && fine < milliseconds + 1) return fine;
  epoch = milliseconds - performance.now();
  return milliseconds;
}

export const systemClock: Clock = {
  now,
  monotonic: () => performance.now(),
  after: (milliseconds, callback) => {
    const timer = setTimeout(callback, milliseconds);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
