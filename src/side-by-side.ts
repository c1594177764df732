/**
 * Work on many things with a few under way at a time, where each waits more than it computes: for fsyncs, for a store, for
 * another thread.
 */

/**
 * Begins `work` on the items in their order, at most `limit` at a time; results are in their order, too.
 * @throws the first failure, when what was begun has ended: nothing of it goes on behind the caller's back. Nothing more is begun after it
 */
export async function sideBySide<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const failures: unknown[] = [];
  const rest = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of rest) {
      if (failures.length > 0) return;
      try {
        results[index] = await work(item, index);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  if (failures.length > 0) throw failures[0];
  return results;
}
