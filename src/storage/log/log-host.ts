/**
 * Where the log's server runs: in its thread, or (for simulations, over a disk of theirs) on the caller's own.
 */
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../clock.ts';
import { packError } from '../../errors.ts';
import { workerUrl } from '../../worker-url.ts';
import type { LogOptions } from './log-api.ts';
import type { LogDisk } from './log-disk.ts';
import { signal, type Ring } from './log-ring.ts';
import { LogServer, type LogCommand, type LogEvent } from './log-server.ts';

export interface LogHost {
  post(command: LogCommand): void;
  /** There are frames in the ring. */
  wake(): void;
  /** Resolves when the server has ended. */
  readonly ended: Promise<void>;
}

export function startThread(options: LogOptions, ring: Ring, listen: (event: LogEvent) => void): LogHost {
  const worker = new Worker(workerUrl('../../threads/log', import.meta.url), {
    name: 'arka-log',
    workerData: { dir: options.dir, segmentBytes: options.segmentBytes, shared: ring.shared },
  });
  worker.on('message', listen);
  worker.on('error', (error) => listen({ event: 'fatal', error: packError(error) }));
  return {
    post(command) {
      worker.postMessage(command);
      signal(ring);
    },
    wake: () => signal(ring),
    ended: new Promise((resolve) => worker.once('exit', () => resolve())),
  };
}

const RETRY_MS = 250;

/** The same server over `disk`, run in microtasks: its course depends on the caller's alone. */
export function startInline(
  disk: LogDisk,
  segmentBytes: number,
  ring: Ring,
  clock: Clock,
  listen: (event: LogEvent) => void,
): LogHost {
  const later = (event: LogEvent): void => queueMicrotask(() => listen(event));
  const commands: LogCommand[] = [];
  let server: LogServer | null = null;
  let scheduled = false;
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  try {
    server = new LogServer(disk, ring, segmentBytes, later);
  } catch (error) {
    later({ event: 'fatal', error: packError(error) });
    end();
  }
  const run = (): void => {
    scheduled = false;
    if (server === null || server.ended) return;
    for (let command; (command = commands.shift()) !== undefined;) server.handle(command);
    let state = server.step();
    while (state === 'busy') state = server.step();
    if (state === 'full') clock.after(RETRY_MS, run);
    if (server.ended) end();
  };
  const wake = (): void => {
    if (scheduled) return;
    scheduled = true;
    queueMicrotask(run);
  };
  return {
    post(command) {
      commands.push(command);
      wake();
    },
    wake,
    ended,
  };
}
