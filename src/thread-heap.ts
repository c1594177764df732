/** What JavaScript holds in a thread: V8's heap and the buffers that its objects own. */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Worker } from 'node:worker_threads';

export async function heapBytesOf(worker: Worker): Promise<number> {
  const statistics = await worker.getHeapStatistics();
  return statistics.total_physical_size + statistics.external_memory;
}

export function heapBytesOfMain(): number {
  const statistics = getHeapStatistics();
  return statistics.total_physical_size + statistics.external_memory;
}

/**
 * From here on a new thread's young generation is as large as its `resourceLimits` say. `--max-semi-space-size` is main's
 * (main.ts), which has it already; but V8 goes by a flag of the process before it goes by what a thread is given.
 */
export function freeThreadsOfFlags(): void {
  setFlagsFromString('--max-semi-space-size=0');
}

let collect: (() => void) | null = null;

/**
 * The calling thread's garbage goes now. V8 lets it wait for as long as its own limits allow, of buffers up to 64 MB a thread
 * beyond what lives; it does not know that the process is short of memory.
 */
export function collectGarbage(): void {
  if (collect === null) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
}
