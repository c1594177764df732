/**
 * Waiting for a key that another transaction holds (C11), with the deadlock check on the way in.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { Transaction } from './transaction.ts';
import type { WriteContext } from './write-rows.ts';

/** Resolves when `holder` has given locks back. @throws {SqlError} 40P01 when it waits, in turn, for `waiter`; 57014 when `waiter` was cancelled or rolled back meanwhile */
export async function waitFor(context: WriteContext, waiter: Transaction, holder: Transaction): Promise<void> {
  for (let each: Transaction | null = holder; each !== null; each = each.waitsFor) {
    if (each === waiter) {
      throw new SqlError(SqlState.deadlockDetected, 'deadlock detected', {
        detail: `Transaction ${waiter.id} waits for a key that transaction ${holder.id} holds, and that one waits for transaction ${waiter.id}.`,
      });
    }
  }
  waiter.waitsFor = holder;
  try {
    const { promise: cancelled, reject } = Promise.withResolvers<never>();
    context.running(() => reject(new SqlError(SqlState.queryCanceled, 'canceling statement due to user request')));
    await Promise.race([holder.released(), waiter.ended, cancelled]);
  } finally {
    waiter.waitsFor = null;
  }
  assertOpen(waiter);
}

/** After a wait: a session that ended has rolled its transaction back, which must not lock or record anything more. */
export function assertOpen(transaction: Transaction): void {
  if (transaction.state !== 'open')
    throw new SqlError(SqlState.queryCanceled, 'canceling statement: its transaction was rolled back');
}
