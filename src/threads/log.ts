/**
 * The log's thread: sleeps on the ring's signal, never in its event loop, so that nothing stands between a frame and its sync.
 * Commands come as messages, read by hand after each signal; events go out as messages.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { invariant, packError } from '../errors.ts';
import { openNodeDisk } from '../storage/log/log-disk.ts';
import { awaitSignal, ringOver, signals } from '../storage/log/log-ring.ts';
import { LogServer, type LogCommand, type LogEvent } from '../storage/log/log-server.ts';

const RETRY_MS = 250;
const { dir, segmentBytes, shared } = workerData as { dir: string; segmentBytes: number; shared: SharedArrayBuffer };
const port = parentPort;
invariant(port !== null, 'the log runs in a worker');
const ring = ringOver(shared);

const post = (event: LogEvent): void => {
  const batch = event.event === 'answer' ? event.batch : null;
  port.postMessage(event, batch === null ? [] : [batch.bytes.buffer]);
};

function run(server: LogServer): void {
  while (!server.ended) {
    const seen = signals(ring);
    for (let message; (message = receiveMessageOnPort(port!)) !== undefined;)
      server.handle(message.message as LogCommand);
    if (server.ended) break;
    const state = server.step();
    if (state !== 'busy') awaitSignal(ring, seen, state === 'full' ? RETRY_MS : Infinity);
  }
}

function open(): LogServer | null {
  try {
    return new LogServer(openNodeDisk(dir), ring, segmentBytes, post);
  } catch (error) {
    post({ event: 'fatal', error: packError(error) });
    return null;
  }
}

const server = open();
if (server !== null) run(server);
