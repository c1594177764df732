/**
 * The thread that writes answers to sockets while main goes on: of a small statement's time on main the kernel's write is half.
 *
 * - W1 Where few sessions are answered main writes, at once: the first answers of a turn of the loop are held for the thread only
 *   when there were many in the turn before. None is held for longer than the turn.
 * - W2 The thread is started when it is needed, and never where there is one core. Without it, and when its slots are full, main writes.
 * - W3 When the thread ends unasked, what it has not written main writes.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { workerUrl } from '../worker-url.ts';
import {
  endSlots,
  fill,
  hasRoom,
  isAsleep,
  newWriteSlots,
  publish,
  reclaim,
  slotOf,
  SLOTS,
  type WriteSlots,
} from './write-slots.ts';

/** Turns with many answers before the thread is started. */
const BUSY_TURNS = 200;
/** Answers in a turn from which on the thread is worth waking: that costs as much as one or two writes. */
const CROWD = 5;
/** Answers that do not wait for the end of their turn. */
const BATCH = 8;
/** A write that takes longer is taken for a thread that is dead. */
const STUCK_MS = 1000;
const YOUNG_MB = 1;

/** Who has filled a slot. */
export interface SlotOwner {
  /** Takes back what the thread has not written, and writes it. */
  settle(): void;
}

/** Starts the thread: `short` hears of slots that were not written whole, `gone` of its end. */
export type StartWriter = (
  slots: WriteSlots,
  short: (slot: number) => void,
  gone: (error: unknown) => void,
) => WriterHost;
export interface WriterHost {
  readonly ended: Promise<void>;
  terminate(): void;
}

export interface WriterOptions {
  readonly start?: StartWriter;
  readonly busyTurns?: number;
  readonly cores?: number;
  readonly stuckMs?: number;
}

export class SocketWriter {
  readonly #slots = newWriteSlots();
  readonly #start: StartWriter;
  readonly #log: (error: unknown, where: string) => void;
  readonly #busyTurnsMin: number;
  readonly #stuckMs: number;
  readonly #owners: (SlotOwner | null)[] = Array.from({ length: SLOTS }, () => null);
  #host: WriterHost | null = null;
  #state: 'idle' | 'on' | 'off';
  #busyTurns = 0;
  #sessions = 0;
  /** Of the next slot to be filled, and the next to be published. */
  #filled = 0;
  #published = 0;
  /** Answers in this turn of the loop; whether there were many in the last. */
  #answers = 0;
  #crowded = false;
  #turnEnds = false;

  constructor(log: (error: unknown, where: string) => void, options: WriterOptions = {}) {
    this.#log = log;
    this.#start = options.start ?? startWriter;
    this.#busyTurnsMin = options.busyTurns ?? BUSY_TURNS;
    this.#stuckMs = options.stuckMs ?? STUCK_MS;
    this.#state = (options.cores ?? availableParallelism()) > 1 ? 'idle' : 'off';
  }

  /** A session that may use it. */
  join(): void {
    this.#sessions++;
  }

  leave(): void {
    this.#sessions--;
  }

  /** The slot that has the bytes now; -1: the caller writes them. */
  hand(fd: number, bytes: Uint8Array, length: number, owner: SlotOwner): number {
    if (this.#state === 'off' || this.#sessions < CROWD) return -1;
    if (!this.#turnEnds) {
      this.#turnEnds = true;
      setImmediate(this.#endTurn);
    }
    this.#answers++;
    if (this.#state === 'idle' || (this.#answers < CROWD && !this.#crowded)) return -1;
    if (!hasRoom(this.#slots, this.#filled)) return -1;
    const slot = slotOf(this.#filled);
    this.#owners[slot]?.settle();
    fill(this.#slots, slot, fd, bytes, length);
    this.#owners[slot] = owner;
    this.#filled = (this.#filled + 1) | 0;
    if (((this.#filled - this.#published) | 0) >= BATCH) this.#publish();
    return slot;
  }

  /** As `reclaim` of the slots; the owner has no slot after it. */
  reclaim(slot: number): ReturnType<typeof reclaim> {
    this.#owners[slot] = null;
    const left = reclaim(this.#slots, slot, this.#stuckMs);
    if (left === 'stuck') this.#off(new Error(`a write has taken more than ${this.#stuckMs} ms`));
    return left;
  }

  /** The thread makes no system call any more. */
  get ended(): Promise<void> {
    return this.#host?.ended ?? Promise.resolve();
  }

  async close(): Promise<void> {
    this.#state = 'off';
    this.#settleAll();
    endSlots(this.#slots);
    await this.ended;
  }

  readonly #endTurn = (): void => {
    this.#turnEnds = false;
    this.#crowded = this.#answers >= CROWD;
    this.#answers = 0;
    if (this.#state === 'idle') {
      if (this.#crowded && ++this.#busyTurns === this.#busyTurnsMin) this.#open();
      return;
    }
    const count = (this.#filled - this.#published) | 0;
    if (count === 0) return;
    if (count < CROWD && isAsleep(this.#slots))
      for (let turn = this.#published; turn !== this.#filled; turn = (turn + 1) | 0)
        this.#owners[slotOf(turn)]?.settle();
    this.#publish();
  };

  #publish(): void {
    this.#published = this.#filled;
    publish(this.#slots, this.#filled);
  }

  #open(): void {
    this.#state = 'on';
    this.#host = this.#start(
      this.#slots,
      (slot) => this.#owners[slot]?.settle(),
      (error) => this.#off(error),
    );
  }

  #off(error: unknown): void {
    if (this.#state !== 'on') return;
    this.#state = 'off';
    this.#log(error, 'the thread that writes to sockets has ended; the main thread writes');
    this.#host?.terminate();
    this.#settleAll();
  }

  #settleAll(): void {
    for (const owner of this.#owners) owner?.settle();
  }
}

export function startWriter(
  slots: WriteSlots,
  short: (slot: number) => void,
  gone: (error: unknown) => void,
): WriterHost {
  const worker = new Worker(workerUrl('../threads/socket-writer', import.meta.url), {
    name: 'arka-writer',
    workerData: { shared: slots.shared },
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
  });
  worker.on('message', short);
  worker.on('error', gone);
  worker.unref();
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  void ended.then(() => gone(new Error('the thread ended by itself')));
  return { ended, terminate: () => void worker.terminate() };
}
