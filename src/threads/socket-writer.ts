/** The socket writer's thread: sleeps on the slots' signal, never in its event loop. */
import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { awaitPublished, slotsOver, writePublished } from '../wire/write-slots.ts';

const slots = slotsOver((workerData as { shared: SharedArrayBuffer }).shared);

/** A full buffer, and an end that is closed, throw: main meets the same, and knows what to do. */
function write(fd: number, bytes: Uint8Array, offset: number, length: number): number {
  try {
    return writeSync(fd, bytes, offset, length);
  } catch {
    return 0;
  }
}

const short = (slot: number): void => parentPort!.postMessage(slot);

do writePublished(slots, write, short);
while (awaitPublished(slots));
