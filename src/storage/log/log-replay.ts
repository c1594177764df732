/** Replay: what the log holds at or after an LSN, read in order, a window at a time. */
import type { Lsn } from '../../table-def.ts';
import type { LogDisk, LogFile } from './log-disk.ts';
import {
  BLOCK_BYTES,
  frameCount,
  frameFirstLsn,
  frameIsCheckpoint,
  frameIsLast,
  frameIsStream,
  type Position,
} from './log-format.ts';
import { firstNeeded } from './log-holds.ts';
import { corrupt, readWindow, type ReplayBatch, type Segment, type Window } from './log-reader.ts';
import { StreamReader } from './log-stream-reader.ts';

/**
 * Every whole transaction with an operation at or after `from`, and the checkpoints between and behind them, in order, window
 * by window. Segments that end before `from` are not opened.
 * A transaction is never held in memory: where it turns out to reach `from` late, reading goes back to its first frame.
 */
export class LogReplay {
  readonly #disk: LogDisk;
  readonly #logId: string;
  readonly #segments: readonly Segment[];
  readonly #end: Position;
  readonly #from: Lsn;
  #index = 0;
  #file: LogFile | null = null;
  #offset = BLOCK_BYTES;
  #lsn = 0;
  /** Frames below this offset of the current segment are not wanted. */
  #skipTo = 0;
  /** The rest of a transaction whose beginning was trimmed. */
  #headless = false;
  #delivering = false;
  #transaction: { readonly index: number; readonly group: number; readonly frame: number; readonly lsn: Lsn } | null =
    null;

  /** What a window with streams becomes: its frames up to each of them, then that stream. */
  #queue: (ReplayBatch | StreamReader)[] = [];

  constructor(disk: LogDisk, logId: string, segments: readonly Segment[], end: Position, from: Lsn) {
    this.#disk = disk;
    this.#logId = logId;
    this.#segments = segments;
    this.#end = end;
    this.#from = from;
    this.#index = firstNeeded(segments, from);
    this.#headless = segments[this.#index]?.header.inside ?? false;
  }

  /** @returns null at the end */
  next(): ReplayBatch | null {
    for (;;) {
      const queued = this.#nextQueued();
      if (queued !== null) return queued;
      const segment = this.#segments[this.#index];
      if (segment === undefined || segment.header.sequence > this.#end.sequence) return this.close();
      const to =
        segment.header.sequence === this.#end.sequence
          ? this.#end.offset
          : this.#segments[this.#index + 1]!.header.previous.offset;
      if (this.#offset >= to) {
        this.#goTo(this.#index + 1, BLOCK_BYTES, 0, 0);
        continue;
      }
      this.#file ??= this.#disk.open(segment.name, false);
      if (this.#lsn === 0) this.#lsn = segment.header.firstLsn;
      const window = readWindow(this.#file, segment, this.#offset, to, this.#lsn);
      const frames: number[] = [];
      if (!this.#select(window, frames)) continue;
      if (window.badAt !== -1) throw corrupt(segment.name, window.badAt, 'a damaged frame');
      this.#offset = window.next;
      this.#lsn = window.nextLsn;
      if (frames.length > 0) this.#enqueue(window, frames);
    }
  }

  #nextQueued(): ReplayBatch | null {
    for (let head; (head = this.#queue[0]) !== undefined; this.#queue.shift()) {
      if (!(head instanceof StreamReader)) {
        this.#queue.shift();
        return head;
      }
      const batch = head.next();
      if (batch !== null) return batch;
    }
    return null;
  }

  /** A batch's bytes are given away, so each but the first has its own. */
  #enqueue({ bytes, view }: Window, frames: readonly number[]): void {
    let start = 0;
    frames.forEach((at, i) => {
      if (!frameIsStream(view, at)) return;
      const stream = new StreamReader(this.#disk, this.#logId, view, at);
      this.#queue.push({ bytes: bytes.slice(), frames: frames.slice(start, i + 1) }, stream);
      start = i + 1;
    });
    if (start < frames.length) this.#queue.push({ bytes, frames: frames.slice(start) });
  }

  close(): null {
    for (const each of this.#queue) if (each instanceof StreamReader) each.close();
    this.#queue = [];
    this.#file?.close();
    this.#file = null;
    this.#index = this.#segments.length;
    return null;
  }

  #goTo(index: number, offset: number, skipTo: number, lsn: Lsn): void {
    if (index !== this.#index) {
      this.#file?.close();
      this.#file = null;
    }
    this.#index = index;
    this.#offset = offset;
    this.#skipTo = skipTo;
    this.#lsn = lsn;
  }

  /** False: reading has gone back to the first frame of a transaction that reaches `from`. */
  #select(window: Window, wanted: number[]): boolean {
    const { view } = window;
    for (const at of window.frames) {
      if (window.start + at < this.#skipTo) continue;
      const last = frameIsLast(view, at);
      if (this.#headless) {
        this.#headless = !last;
        continue;
      }
      const lsn = frameFirstLsn(view, at);
      const first = this.#transaction ?? {
        index: this.#index,
        group: this.#offset,
        frame: window.start + at,
        lsn: this.#lsn,
      };
      if (!this.#delivering && frameCount(view, at) > 0 && lsn + frameCount(view, at) > this.#from) {
        this.#delivering = true;
        if (first.index !== this.#index || first.group !== window.start) {
          this.#transaction = null;
          this.#goTo(first.index, first.group, first.frame, first.lsn);
          return false;
        }
        for (const earlier of window.frames)
          if (earlier < at && window.start + earlier >= first.frame) wanted.push(earlier);
      }
      this.#transaction = last ? null : first;
      if (this.#delivering || frameIsCheckpoint(view, at)) wanted.push(at);
    }
    return true;
  }
}
