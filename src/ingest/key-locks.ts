/**
 * Waiting for a key that another transaction holds (C11), with the deadlock check on the way in.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { Transaction } from './transaction.ts';

/** Resolves when `holder` has ended. @throws {SqlError} 40P01 when it waits, in turn, for `waiter` */
export async function waitFor(waiter: Transaction, holder: Transaction): Promise<void> {
  for (let each: Transaction | null = holder; each !== null; each = each.waitsFor) {
    if (each === waiter) {
      throw new SqlError(SqlState.deadlockDetected, 'deadlock detected', {
        detail: `Transaction ${waiter.id} waits for a key that transaction ${holder.id} holds, and that one waits for transaction ${waiter.id}.`,
      });
    }
  }
  waiter.waitsFor = holder;
  try {
    await holder.ended;
  } finally {
    waiter.waitsFor = null;
  }
}
