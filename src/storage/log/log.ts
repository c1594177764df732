/**
 * The write-ahead log (T0) on main: copies frames into the ring, and hears of durable LSNs.
 *
 * - What one turn of the event loop appends is one group; no timer stands between a sync and who waits for it (log-host.ts).
 * - Frames that nobody waits for go to the disk together: with the next that is waited for, at once when they are
 *   `DEFERRED_BYTES_MAX`, else within `DEFERRED_MS_MAX`.
 * - After a failure nothing resolves any more: waiters reject, `append` throws.
 */
import { randomBytes } from 'node:crypto';
import { systemClock, type Clock } from '../../clock.ts';
import { SqlError, SqlState, invariant, unpackError } from '../../errors.ts';
import type { Lsn } from '../../table-def.ts';
import type { FrameHead, Log, LogHold, LogOptions, LogStats, LogStream, RecoveredFrame } from './log-api.ts';
import type { LogDisk } from './log-disk.ts';
import {
  BLOCK_BYTES,
  FRAME_HEADER_BYTES,
  GROUP_HEADER_BYTES,
  STREAM_HEADER_BYTES,
  decodeFrame,
  encodeFrameHeader,
  frameBytesTotal,
  groupBytesTotal,
  viewOf,
} from './log-format.ts';
import { LogHolds } from './log-holds.ts';
import { startInline, startThread, type LogHost } from './log-host.ts';
import type { ReplayBatch } from './log-reader.ts';
import type { TornGroup } from './log-recovery.ts';
import { bytesFree, isFull, newRing, pushFrame, type Ring } from './log-ring.ts';
import type { LogEvent, LogRequest, Shape } from './log-server.ts';
import { StreamBuffers, StreamWriter } from './log-stream-writer.ts';

/** What a crash may take of writes with synchronous_commit = off. */
const DEFERRED_MS_MAX = 10;
const DEFERRED_BYTES_MAX = 2 ** 17;

interface Waiter<T> {
  readonly at: number;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

/** For simulations: the log then runs on the caller's thread over that disk, and rests by that clock only if it is to. */
interface Simulated {
  readonly fs?: LogDisk;
  readonly clock?: Clock;
  readonly rests?: boolean;
}

/**
 * Opens or makes the log in `options.dir`.
 * @throws {SqlError} XX001 naming file and offset; 55000 for a foreign file; 53100 when a new log finds no room
 */
export async function openLog(options: LogOptions & Simulated): Promise<Log> {
  invariant(
    options.segmentBytes % BLOCK_BYTES === 0 && options.segmentBytes >= 4 * BLOCK_BYTES,
    'a segment is whole blocks, at least 4',
  );
  const log = new WriteAheadLog(options);
  await log.opened;
  return log;
}

class WriteAheadLog implements Log {
  readonly opened: Promise<void>;
  readonly frameBytesMax: number;
  logId = '';
  lastLsn: Lsn = 0;
  durableLsn: Lsn = 0;
  checkpoint: Uint8Array | null = null;
  torn: TornGroup | null = null;
  lone = false;
  onDurable: (lsn: Lsn) => void = () => undefined;
  onSegment: () => void = () => undefined;
  onFatal: (error: Error) => void = () => undefined;

  readonly #ring: Ring;
  readonly #clock: Clock;
  readonly #host: LogHost;
  /** Of frames in the ring of which the writer has not been told. */
  #deferredBytes = 0;
  #timerRuns = false;
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  readonly #headerView = viewOf(this.#header);
  readonly #answers = new Map<number, Waiter<ReplayBatch | null>>();
  /** Ascending by LSN. */
  #durableWaiters: Waiter<void>[] = [];
  #roomWaiters: (Waiter<void> & { readonly evenFull: boolean })[] = [];
  #opening: Waiter<void> | null = null;
  #shape: Shape = { segments: 0, bytes: 0, liveBytes: 0, streamBytes: 0, firstLsn: 1, live: [] };
  readonly #holds: LogHolds;
  readonly #buffers = new StreamBuffers();
  #nextStream = 1;
  /** Bytes that each stream under way has been sent: of those that are sealed the thread tells. */
  readonly #open = new Map<number, number>();
  #nextId = 1;
  #started = false;
  #failed: Error | null = null;
  #closing: Promise<void> | null = null;

  constructor(options: LogOptions & Simulated) {
    this.#holds = new LogHolds(() => ({ dir: options.dir, logId: this.logId, segments: this.#shape.live }));
    this.#ring = newRing(Math.min(options.ringBytes, 2 ** Math.floor(Math.log2(options.segmentBytes / 4))));
    const room = Math.min(this.#ring.bytes.length / 2, options.segmentBytes - BLOCK_BYTES - GROUP_HEADER_BYTES);
    this.frameBytesMax = room - FRAME_HEADER_BYTES;
    this.opened = new Promise((resolve, reject) => (this.#opening = { at: 0, resolve, reject }));
    const listen = (event: LogEvent): void => this.#hear(event);
    this.#clock = options.clock ?? systemClock;
    this.#host =
      options.fs === undefined
        ? startThread(options, this.#ring, this.#clock, listen)
        : startInline(options.fs, options.segmentBytes, this.#ring, this.#clock, options.rests === true, listen);
  }

  get full(): boolean {
    return isFull(this.#ring);
  }

  get firstLsn(): Lsn {
    return this.#shape.firstLsn;
  }

  stats(): LogStats {
    const { segments, bytes, liveBytes, streamBytes } = this.#shape;
    let openBytes = 0;
    for (const sent of this.#open.values()) openBytes += sent;
    const queueBytes = this.#ring.bytes.length - bytesFree(this.#ring);
    return { segments, bytes: bytes + openBytes, liveBytes, streamBytes, openBytes, queueBytes };
  }

  #hear(event: LogEvent): void {
    switch (event.event) {
      case 'opened':
        this.logId = event.logId;
        this.lastLsn = this.durableLsn = event.lastLsn;
        this.checkpoint = event.checkpoint;
        this.torn = event.torn;
        this.#shape = event.shape;
        this.#nextStream = event.nextStream;
        this.#opening?.resolve();
        this.#opening = null;
        return;
      case 'answer': {
        const waiter = this.#answers.get(event.id);
        this.#answers.delete(event.id);
        if (event.error === null) waiter?.resolve(event.batch);
        else waiter?.reject(unpackError(event.error));
        return;
      }
      case 'durable':
        return this.#hearDurable(event.lsn);
      case 'streamed':
        return this.#buffers.give(event.frame);
      case 'shape':
        return this.#hearShape(event.shape);
      case 'room':
        return this.#makeRoom();
      case 'full':
        return this.#refuse();
      case 'fatal':
        return this.#fail(unpackError(event.error));
    }
  }

  #hearShape(shape: Shape): void {
    const before = this.#shape.live.at(-1);
    this.#shape = shape;
    const begun = shape.live.at(-1)?.name !== before?.name;
    if (begun && this.#started && this.#closing === null) this.onSegment();
  }

  #hearDurable(lsn: Lsn): void {
    if (this.#failed !== null) return;
    this.#makeRoom(); // also after a group of checkpoint frames alone
    if (lsn <= this.durableLsn) return; // what main wrote itself is heard of before the thread's
    this.durableLsn = lsn;
    this.onDurable(lsn);
    const waiting = this.#durableWaiters;
    let ready = 0;
    while (ready < waiting.length && waiting[ready]!.at <= lsn) waiting[ready++]!.resolve();
    if (ready > 0) this.#durableWaiters = waiting.slice(ready);
  }

  #makeRoom(): void {
    const waiters = this.#roomWaiters;
    if (waiters.length === 0) return;
    const ready = waiters.filter(({ at, evenFull }) => this.#takes(at, evenFull));
    this.#roomWaiters = waiters.filter((waiter) => !ready.includes(waiter));
    for (const { resolve } of ready) resolve();
  }

  /** Who waits for a turn in the ring hears that there is none: what waits on a full disk is in nobody's way. */
  #refuse(): void {
    const refused = this.#roomWaiters.filter(({ evenFull }) => !evenFull);
    this.#roomWaiters = this.#roomWaiters.filter(({ evenFull }) => evenFull);
    for (const { resolve } of refused) resolve();
  }

  #takes(bytes: number, evenFull: boolean): boolean {
    return bytes <= bytesFree(this.#ring) && (evenFull || !this.full);
  }

  #fail(error: Error): void {
    if (this.#failed !== null) return;
    this.#failed = error;
    const opening = this.#opening;
    const waiters = [...this.#durableWaiters, ...this.#roomWaiters, ...this.#answers.values()];
    this.#durableWaiters = [];
    this.#roomWaiters = [];
    this.#answers.clear();
    if (opening !== null) opening.reject(error);
    else this.onFatal(error);
    for (const waiter of waiters) waiter.reject(error);
    this.#buffers.fail();
  }

  #call(request: LogRequest): Promise<ReplayBatch | null> {
    if (this.#failed !== null) return Promise.reject(this.#failed);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#answers.set(id, { at: 0, resolve, reject });
      this.#host.post({ id, ...request });
    });
  }

  async replay(from: Lsn, onFrame: (frame: RecoveredFrame) => Promise<void> | void): Promise<void> {
    await this.#call({ method: 'replay', lsn: from });
    let reading = this.#call({ method: 'read' });
    for (;;) {
      const batch = await reading;
      if (batch === null) return;
      reading = this.#call({ method: 'read' }); // one batch ahead, and no more
      reading.catch(() => undefined); // met by the next await, unless onFrame throws first
      const view = viewOf(batch.bytes);
      for (const at of batch.frames) {
        const done = onFrame(decodeFrame(batch.bytes, view, at));
        if (done !== undefined) await done;
      }
    }
  }

  async start(nextLsn: Lsn): Promise<void> {
    await this.#call({ method: 'start', lsn: nextLsn });
    this.lastLsn = this.durableLsn = nextLsn - 1;
    this.#started = true;
  }

  append(head: FrameHead, parts: readonly Uint8Array[], awaited = true, isReserved = false): boolean {
    invariant(this.#started && this.#closing === null, 'append comes after start and before close');
    if (this.#failed !== null) throw this.#failed;
    invariant(head.firstLsn === this.lastLsn + 1, 'LSNs are dense');
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    invariant(bytes <= this.frameBytesMax, 'a frame has at most frameBytesMax bytes');
    if (!this.#takes(frameBytesTotal(bytes), isReserved || head.kind === 'checkpoint')) return false;
    encodeFrameHeader(this.#headerView, head, bytes);
    pushFrame(this.#ring, this.#header, parts, bytes);
    this.lastLsn += head.count;
    if (awaited) this.#wake();
    else this.#defer(frameBytesTotal(bytes));
    return true;
  }

  async reserve(frames: readonly number[]): Promise<boolean> {
    const groups = frames.map((bytes) => groupBytesTotal(frameBytesTotal(bytes)));
    try {
      await this.#call({ method: 'reserve', groups });
      return true;
    } catch (error) {
      if (this.#failed === null && error instanceof SqlError && error.code === SqlState.diskFull) return false;
      throw error;
    }
  }

  #wake(): void {
    this.#deferredBytes = 0;
    this.#host.wake(this.lone);
  }

  #defer(bytes: number): void {
    this.#deferredBytes += bytes;
    if (this.#deferredBytes >= Math.min(DEFERRED_BYTES_MAX, this.#ring.bytes.length / 4)) return this.#passOn();
    if (this.#timerRuns) return;
    this.#timerRuns = true;
    this.#clock.after(DEFERRED_MS_MAX, () => {
      this.#timerRuns = false;
      if (this.#deferredBytes > 0) this.#passOn();
    });
  }

  /** To the thread, for main has better things to do than to wait for a disk that nobody waits for. */
  #passOn(): void {
    this.#deferredBytes = 0;
    this.#host.pass();
  }

  get streamingBytes(): number {
    return this.#buffers.bytes;
  }

  stream(): LogStream {
    invariant(this.#started && this.#closing === null, 'a stream comes after start and before close');
    const seed = randomBytes(4).readUInt32LE() || 1;
    return new StreamWriter(this.#nextStream++, seed, this.#buffers, {
      write: (stream, _, frame) => {
        this.#open.set(stream, (this.#open.get(stream) ?? STREAM_HEADER_BYTES) + frame.length);
        this.#host.post({ method: 'write', stream, seed, frame }, [frame.buffer]);
      },
      seal: async (stream) => {
        try {
          await this.#call({ method: 'seal', stream });
        } finally {
          this.#open.delete(stream);
        }
      },
      committed: (stream, lsn) => this.#host.post({ method: 'committed', stream, lsn }),
      discard: (stream) => {
        this.#open.delete(stream);
        this.#host.post({ method: 'discard', stream });
      },
    });
  }

  room(bytes: number, evenFull = false): Promise<void> {
    invariant(bytes <= this.frameBytesMax, 'a frame has at most frameBytesMax bytes');
    const at = frameBytesTotal(bytes);
    if (this.#failed !== null) return Promise.reject(this.#failed);
    if (this.#takes(at, evenFull)) return Promise.resolve();
    if (this.#deferredBytes > 0) this.#wake();
    return new Promise((resolve, reject) => this.#roomWaiters.push({ at, evenFull, resolve, reject }));
  }

  durable(lsn: Lsn): Promise<void> {
    if (this.#failed !== null) return Promise.reject(this.#failed);
    if (lsn <= this.durableLsn) return Promise.resolve();
    if (this.#deferredBytes > 0) this.#wake();
    return new Promise((resolve, reject) => {
      const waiting = this.#durableWaiters;
      let place = waiting.length;
      while (place > 0 && waiting[place - 1]!.at > lsn) place--;
      waiting.splice(place, 0, { at: lsn, resolve, reject });
    });
  }

  async hold(from: Lsn): Promise<LogHold> {
    const covered = this.#holds.covers(from);
    const hold = this.#holds.add(from);
    try {
      if (!covered) await this.#call({ method: 'shape' }); // behind every trim that did not know of it
      hold.settled = true;
      return hold;
    } catch (error) {
      hold.release();
      throw error;
    }
  }

  loosen(to: Lsn): void {
    this.#holds.giveUp(to);
  }

  async trim(to: Lsn, keepBytes = 0, confirmed = to): Promise<void> {
    await this.#call({ method: 'trim', lsn: Math.min(to, this.#holds.from), keepBytes, confirmed });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // a failed log has nothing left to write, but its thread must end
    const failed = this.#failed;
    const id = this.#nextId++;
    const answered = new Promise<ReplayBatch | null>((resolve, reject) =>
      this.#answers.set(id, { at: 0, resolve, reject }),
    );
    this.#host.post({ id, method: 'close' });
    try {
      await Promise.race([answered, this.#host.ended]);
    } catch (error) {
      if (failed === null) throw error;
    } finally {
      await this.#host.ended;
      this.#failed ??= new SqlError(SqlState.adminShutdown, 'the write-ahead log is closed');
      for (const waiter of [...this.#durableWaiters, ...this.#roomWaiters, ...this.#answers.values()])
        waiter.reject(this.#failed);
    }
  }
}
