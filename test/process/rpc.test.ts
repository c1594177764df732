/** Calls over threads (src/rpc.ts): each settles, whatever becomes of the thread (R1). */
import { MessageChannel, Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { RpcClient, serve, type Api } from '../../src/rpc.ts';

interface Slow extends Api {
  add(pair: readonly [number, number]): Promise<number>;
  never(argument: null): Promise<never>;
  end(code: number): Promise<never>;
  throwAside(argument: null): Promise<never>;
}

const RPC = new URL('../../src/rpc.ts', import.meta.url).href;
const SOURCE = `
  import { parentPort } from 'node:worker_threads';
  import { serve } from ${JSON.stringify(RPC)};
  serve(parentPort, {
    add: async ([a, b]) => a + b,
    never: () => new Promise(() => {}),
    end: (code) => process.exit(code),
    throwAside: () => new Promise(() => setTimeout(() => { throw new Error('a fault of its own'); })),
  });`;

function thread(): { readonly worker: Worker; readonly remote: RpcClient<Slow>['remote'] } {
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(SOURCE)}`), {
    execArgv: ['--experimental-strip-types', '--no-warnings'],
  });
  return { worker, remote: new RpcClient<Slow>(worker, 'slow').remote };
}
const ended = { code: '57P01', message: 'the thread "slow" has ended' };

test.each<[string, (slow: ReturnType<typeof thread>) => Promise<unknown>]>([
  ['is closed', ({ worker }) => worker.terminate()],
  ['ends by itself', ({ remote }) => remote.end(0)],
  ['dies of an error', ({ remote }) => remote.throwAside(null)],
])('calls under way and later ones are 57P01 with the thread’s name when it %s', async (_, end) => {
  const slow = thread();
  expect(await slow.remote.add([1, 2])).toBe(3);
  const waiting = slow.remote.never(null);
  const ending = end(slow);
  await expect(waiting).rejects.toMatchObject(ended);
  await ending.catch((error: unknown) => expect(error).toMatchObject(ended));
  await expect(slow.remote.add([1, 2])).rejects.toMatchObject(ended);
});

test('a port that is closed settles its calls, too; an argument that cannot cross is the caller’s error alone', async () => {
  const { port1, port2 } = new MessageChannel();
  serve(port2, { add: async ([a, b]: [number, number]) => a + b, never: () => new Promise(() => {}) });
  const { remote } = new RpcClient<Slow>(port1, 'slow');
  await expect(remote.add((() => 1) as never)).rejects.toThrow(/could not be cloned/);
  expect(await remote.add([3, 4])).toBe(7);
  const waiting = remote.never(null);
  port2.close();
  await expect(waiting).rejects.toMatchObject(ended);
});
