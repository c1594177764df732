/**
 * Waiting for a key that another transaction holds (C11), with the deadlock check on the way in.
 */
import { canceled, SqlError, SqlState } from '../errors.ts';
import type { Transaction } from './transaction.ts';
import type { WriteContext } from './write-rows.ts';

/**
 * Resolves when `holder` has given locks back.
 * @throws {SqlError} 40P01 when it waits, in turn, for `waiter`; 55P03 after lock_timeout; 57014 when `waiter` was cancelled or
 * rolled back meanwhile
 */
export async function waitFor(context: WriteContext, waiter: Transaction, holder: Transaction): Promise<void> {
  for (let each: Transaction | null = holder; each !== null; each = each.waitsFor)
    if (each === waiter) throw deadlock(waiter, holder);
  waiter.waitsFor = holder;
  let over = (): void => {};
  let waited = (): void => {};
  try {
    const { promise: cancelled, reject } = Promise.withResolvers<never>();
    waited = context.running(() => reject(canceled()));
    const late = new SqlError(SqlState.lockNotAvailable, 'canceling statement due to lock timeout');
    over = context.lockWait?.(() => reject(late)) ?? over;
    await Promise.race([holder.released(), waiter.ended, cancelled]);
  } finally {
    over();
    waited();
    waiter.waitsFor = null;
  }
  assertOpen(waiter);
}

/** Who waits for whom, from `waiter` round to it again. */
function deadlock(waiter: Transaction, holder: Transaction): SqlError {
  const lines: string[] = [];
  for (let [each, next]: [Transaction, Transaction | null] = [waiter, holder]; next !== null;) {
    lines.push(
      `Process ${each.owner} waits for ShareLock on transaction ${next.id}; blocked by process ${next.owner}.`,
    );
    if (next === waiter) break;
    [each, next] = [next, next.waitsFor];
  }
  return new SqlError(SqlState.deadlockDetected, 'deadlock detected', {
    detail: lines.join('\n'),
    hint: 'See server log for query details.',
  });
}

/** After a wait: a session that ended has rolled its transaction back, which must not lock or record anything more. */
export function assertOpen(transaction: Transaction): void {
  if (transaction.state !== 'open')
    throw new SqlError(SqlState.queryCanceled, 'canceling statement: its transaction was rolled back');
}
