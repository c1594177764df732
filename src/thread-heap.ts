/** What JavaScript holds in a thread: V8's heap and the buffers that its objects own. */
import { getHeapStatistics } from 'node:v8';
import type { Worker } from 'node:worker_threads';

export async function heapBytesOf(worker: Worker): Promise<number> {
  const statistics = await worker.getHeapStatistics();
  return statistics.total_physical_size + statistics.external_memory;
}

export function heapBytesOfMain(): number {
  const statistics = getHeapStatistics();
  return statistics.total_physical_size + statistics.external_memory;
}
