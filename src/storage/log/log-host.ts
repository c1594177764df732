/**
 * Where the log's server runs: in its thread, or (for simulations, over a disk of theirs) on the caller's own.
 *
 * Frames of one turn of main's event loop are one group: `wake` acts when the turn's sockets have been read, for a lone writer at once. A small group is
 * then written by main itself (log-writer.ts), unless the disk has been slow of late: then the thread takes all.
 */
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../clock.ts';
import { packError } from '../../errors.ts';
import { workerUrl } from '../../worker-url.ts';
import type { LogOptions } from './log-api.ts';
import { fileOver, type LogDisk, type LogFile } from './log-disk.ts';
import { bytesBetween, givePen, ringHead, ringTail, signal, tryPen, type Ring } from './log-ring.ts';
import { ioFailure, LogServer, REST_MS, type LogCommand, type LogEvent } from './log-server.ts';
import { takeGroup, writeGroup, WriterState, type Group } from './log-writer.ts';

export interface LogHost {
  /** `transfer`: buffers that go over instead of being copied. */
  post(command: LogCommand, transfer?: readonly ArrayBuffer[]): void;
  /** There are frames in the ring. `lone`: one session alone writes, so nobody's frames are worth waiting for. */
  wake(lone: boolean): void;
  /** There are frames in the ring that nobody waits for: the server's own thread writes them. */
  pass(): void;
  /** Resolves when the server has ended. */
  readonly ended: Promise<void>;
}

/** For new objects: it makes few. */
const YOUNG_MB = 4;
/** Main copies, sums and writes no more than this at once. */
const OWN_BYTES_MAX = 2 ** 17;
/** A sync that takes longer is felt by everybody: where there are several, the thread does them for a while. */
const OWN_MS_MAX = 1;
/** A slow sync counts by how slow it was, up to so much, and a quick one makes up for a part: one in 50 is no reason to go. */
const SLOW_MAX = 4;
const SLOW_LIMIT = 2;
const QUICK_PART = 0.04;
const AWAY_MS_FIRST = 20;
const AWAY_MS_MAX = 5000;
/** So many quick ones in a row, and the next absence is a short one again. */
const QUICK_RUN = 50;

/** Main's way of writing a group itself. */
class OwnWriter {
  readonly #ring: Ring;
  readonly #clock: Clock;
  readonly #state: WriterState;
  #file: LogFile | null = null;
  #quick = 0;
  #slow = 0;
  #awayMs = AWAY_MS_FIRST;
  #awayUntil = 0;

  constructor(ring: Ring, clock: Clock) {
    this.#ring = ring;
    this.#clock = clock;
    this.#state = new WriterState(ring);
  }

  /** The group that is durable now; null: it is the thread's. @throws what the disk threw: the log has failed */
  write(): Group | null {
    const begun = this.#clock.monotonic();
    if (begun < this.#awayUntil) return null;
    if (bytesBetween(ringHead(this.#ring), ringTail(this.#ring)) > OWN_BYTES_MAX) return null;
    if (!tryPen(this.#ring)) return null;
    try {
      if (this.#state.phase !== 'open' || this.#mustWait) return null;
      const group = takeGroup(this.#ring, this.#state);
      if (group === null) return null;
      const { fd } = this.#state;
      if (this.#file?.fd !== fd) this.#file = fileOver(fd);
      writeGroup(this.#ring, this.#state, this.#file, group, this.#clock);
      return group;
    } finally {
      givePen(this.#ring);
      this.#judge(begun);
    }
  }

  /** The segment is so far written that the thread should make another. */
  get spareDue(): boolean {
    return !this.#state.hasSpare && this.#state.offset > this.#state.segmentBytes / 4;
  }

  /** The thread, which makes segments as fast as it writes, must find out in time whether the disk has room for one (W3). */
  get #mustWait(): boolean {
    const { hasSpare, offset, segmentBytes } = this.#state;
    return !hasSpare && offset + bytesBetween(ringHead(this.#ring), ringTail(this.#ring)) > segmentBytes / 2;
  }

  #judge(begun: number): void {
    const now = this.#clock.monotonic();
    const took = now - begun;
    if (took <= OWN_MS_MAX) {
      this.#slow = Math.max(0, this.#slow - QUICK_PART);
      if (++this.#quick === QUICK_RUN) this.#awayMs = AWAY_MS_FIRST;
      return;
    }
    this.#quick = 0;
    this.#slow += Math.min(SLOW_MAX, took / OWN_MS_MAX / 2);
    if (this.#slow < SLOW_LIMIT) return;
    this.#slow = 0;
    this.#awayUntil = now + this.#awayMs;
    this.#awayMs = Math.min(this.#awayMs * 2, AWAY_MS_MAX);
  }
}

export function startThread(options: LogOptions, ring: Ring, clock: Clock, listen: (event: LogEvent) => void): LogHost {
  const worker = new Worker(workerUrl('../../threads/log', import.meta.url), {
    name: 'arka-log',
    workerData: { dir: options.dir, segmentBytes: options.segmentBytes, shared: ring.shared },
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
  });
  worker.on('message', listen);
  worker.on('error', (error) => listen({ event: 'fatal', error: packError(error) }));
  const own = new OwnWriter(ring, clock);
  let waking = false;
  const turn = (): void => {
    waking = false;
    let group: Group | null = null;
    try {
      group = own.write();
    } catch (error) {
      listen({ event: 'fatal', error: packError(ioFailure(error)) });
      return;
    }
    const left = ringHead(ring) !== ringTail(ring);
    if (left || own.spareDue) signal(ring);
    if (group !== null) listen({ event: 'durable', lsn: group.lastLsn });
  };
  return {
    post(command, transfer = []) {
      worker.postMessage(command, transfer);
      signal(ring);
    },
    wake(lone) {
      if (waking) return;
      waking = true;
      if (lone) queueMicrotask(turn);
      else setImmediate(turn);
    },
    pass: () => signal(ring),
    ended: new Promise((resolve) => worker.once('exit', () => resolve())),
  };
}

const RETRY_MS = 250;

/** The same server over `disk`, run in microtasks: its course depends on the caller's alone. @param rests by the clock (log-server.ts, `rest`) */
export function startInline(
  disk: LogDisk,
  segmentBytes: number,
  ring: Ring,
  clock: Clock,
  rests: boolean,
  listen: (event: LogEvent) => void,
): LogHost {
  const later = (event: LogEvent): void => queueMicrotask(() => listen(event));
  const commands: LogCommand[] = [];
  let server: LogServer | null = null;
  let scheduled = false;
  let retrying = false;
  let resting = false;
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  try {
    server = new LogServer(disk, ring, segmentBytes, clock, later);
  } catch (error) {
    later({ event: 'fatal', error: packError(ioFailure(error)) });
    end();
  }
  const run = (): void => {
    scheduled = false;
    if (server === null || server.ended) return;
    for (let command; (command = commands.shift()) !== undefined;) server.handle(command);
    let state = server.step();
    while (state === 'busy') state = server.step();
    if (state === 'full' && !retrying) {
      retrying = true;
      clock.after(RETRY_MS, () => {
        retrying = false;
        run();
      });
    }
    if (state === 'idle') rest();
    if (server.ended) end();
  };
  const rest = (): void => {
    if (!rests || resting || !server!.unmarked) return;
    resting = true;
    clock.after(REST_MS, () => {
      resting = false;
      server!.rest();
      rest();
    });
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
    pass: wake,
    ended,
  };
}
