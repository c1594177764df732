/**
 * Waits for an object store that is away: work is done again, with growing pauses, until it succeeds or fails otherwise.
 *
 * - P1 Only what the store says of itself counts (`transient`): a missing object or wrong credentials end the work at once.
 */
import type { Clock } from './clock.ts';
import { SqlError } from './errors.ts';

const PAUSE_MS = 1000;
const PAUSE_MS_MAX = 30_000;

export interface Patience {
  readonly clock: Clock;
  /** Ends the waiting: the work's own error comes through. */
  readonly signal?: AbortSignal;
  /** Told before each pause. */
  readonly waiting: (error: SqlError, pauseMs: number) => void;
}

export async function patiently<T>({ clock, signal, waiting }: Patience, work: () => Promise<T>): Promise<T> {
  for (let pauseMs = PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX)) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof SqlError) || error.fields.transient !== true || signal?.aborted === true) throw error;
      waiting(error, pauseMs);
    }
    await new Promise<void>((resolve) => {
      const end = (): void => {
        cancel();
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const cancel = clock.after(pauseMs, end);
      signal?.addEventListener('abort', end, { once: true });
    });
  }
}
