/**
 * The log's thread: sleeps on the ring's signal, never in its event loop, so that nothing stands between a frame and its sync.
 * Commands come as messages, read by hand after each signal; events go out as messages.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { systemClock } from '../clock.ts';
import { invariant, packError } from '../errors.ts';
import { openNodeDisk } from '../storage/log/log-disk.ts';
import { awaitSignal, ringOver, signals } from '../storage/log/log-ring.ts';
import { ioFailure, LogServer, REST_MS, type LogCommand, type LogEvent } from '../storage/log/log-server.ts';

const RETRY_MS = 250;
const { dir, segmentBytes, shared } = workerData as { dir: string; segmentBytes: number; shared: SharedArrayBuffer };
const port = parentPort;
invariant(port !== null, 'the log runs in a worker');
const ring = ringOver(shared);

const post = (event: LogEvent): void => {
  const bytes = event.event === 'answer' ? event.batch?.bytes : event.event === 'streamed' ? event.frame : undefined;
  port.postMessage(event, bytes === undefined ? [] : [bytes.buffer]);
};

function run(server: LogServer): void {
  while (!server.ended) {
    const seen = signals(ring);
    let streaming = false;
    for (let message; !streaming && (message = receiveMessageOnPort(port!)) !== undefined;) {
      const command = message.message as LogCommand;
      server.handle(command);
      streaming = command.method === 'write'; // a large transaction's bytes and the commits of others take turns
    }
    if (server.ended) break;
    const state = server.step();
    if (state === 'busy' || streaming) continue;
    if (!awaitSignal(ring, seen, state === 'full' ? RETRY_MS : REST_MS) && state === 'idle') server.rest();
  }
}

function open(): LogServer | null {
  try {
    return new LogServer(openNodeDisk(dir), ring, segmentBytes, systemClock, post);
  } catch (error) {
    post({ event: 'fatal', error: packError(ioFailure(error)) });
    return null;
  }
}

const server = open();
if (server !== null) run(server);
