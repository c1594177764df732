import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { freeThreadsOfFlags } from '../../src/thread-heap.ts';

/** V8's bound of a new thread's heap; of its young generation it has three halves. */
async function heapMb(maxYoungGenerationSizeMb: number): Promise<number> {
  const code = `require('node:worker_threads').parentPort.postMessage(require('node:v8').getHeapStatistics().heap_size_limit)`;
  const worker = new Worker(code, {
    eval: true,
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb },
  });
  const [bytes] = (await once(worker, 'message')) as [number];
  await worker.terminate();
  return bytes / 2 ** 20;
}

test("a thread's young generation is what the thread was given, whatever flag main was started with", async () => {
  setFlagsFromString('--max-semi-space-size=16');
  const byFlag = await heapMb(3);
  freeThreadsOfFlags();
  expect(await heapMb(3)).toBeLessThan(byFlag - 30);
  expect(await heapMb(48)).toBe(byFlag);
});
