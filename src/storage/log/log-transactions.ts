/**
 * Whole transactions out of a log that is being written, in order, for a reader beside the log's thread: on any thread, over
 * plain files, a window at a time.
 *
 * - L1 Only what is durable is read: the caller names the last LSN, and all up to it is there. What follows it may be torn,
 *   and is not looked at.
 * - L2 What is read must be held (log-holds.ts). A file that was recycled under a reader fails its checks, never misleads
 *   (F1); only then is the hold asked whether it still is one.
 * - L3 A transaction is read as often as its reader wants, and never kept: larger than a window, it is read from the disk again.
 */
import type { Lsn } from '../../table-def.ts';
import type { LogPlace } from './log-api.ts';
import type { LogDisk, LogFile } from './log-disk.ts';
import {
  BLOCK_BYTES,
  decodeFrame,
  decodeSegmentHeader,
  decodeStreamReference,
  frameBytesTotal,
  frameCount,
  frameFirstLsn,
  frameIsLast,
  frameIsStream,
  frameLength,
  groupTime,
  viewOf,
} from './log-format.ts';
import { firstNeeded } from './log-holds.ts';
import { corrupt, readWindow, type Segment, type Window } from './log-reader.ts';
import { segmentName } from './log-segments.ts';
import { StreamReader } from './log-stream-reader.ts';
import { isStreamThere } from './log-streams.ts';
import { logTrimmed } from './log-trimmed.ts';

/** The first window of a reader is small: one that follows the log finds a group or two. */
const WINDOW_BYTES_FIRST = 2 ** 16;
const WINDOW_BYTES_MAX = 2 ** 21;

/** A frame of a transaction: rows by their sections. */
export interface LoggedFrame {
  readonly firstLsn: Lsn;
  readonly count: number;
  readonly payload: Uint8Array;
}

export interface LoggedTransaction {
  readonly firstLsn: Lsn;
  readonly lastLsn: Lsn;
  /** When it was written: microseconds since 1970; 0: the log does not say. */
  readonly time: number;
  /** From the first, each time anew. @throws {SqlError} XX001 */
  frames(): IterableIterator<LoggedFrame>;
}

/** A group: its segment, where it is, and the LSN of its first frame. */
interface GroupPlace {
  readonly segment: Segment;
  readonly offset: number;
  readonly lsn: Lsn;
}

/** Reads frame by frame, from segment to segment. */
class FrameCursor {
  readonly #disk: LogDisk;
  readonly #place: LogPlace;
  #segment: Segment;
  /** Where the log goes on after this segment; null: not known. */
  #next: Segment | null = null;
  #file: LogFile | null = null;
  #offset: number;
  #lsn: Lsn;
  #window: Window | null = null;
  #index = -1;
  #group = 0;
  #windowBytes = WINDOW_BYTES_FIRST;

  constructor(disk: LogDisk, place: LogPlace, start: GroupPlace) {
    this.#disk = disk;
    this.#place = place;
    this.#segment = start.segment;
    this.#offset = start.offset;
    this.#lsn = start.lsn;
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#window!.bytes;
  }

  get view(): DataView {
    return this.#window!.view;
  }

  /** The frame's offset in `bytes`. */
  get at(): number {
    return this.#window!.frames[this.#index]!;
  }

  get time(): number {
    return groupTime(this.view, this.#window!.groups[this.#group]!);
  }

  /** The group that the frame lies in, and whether the frame is its first. */
  get group(): GroupPlace & { readonly first: boolean } {
    const window = this.#window!;
    const at = window.groups[this.#group]!;
    let index = this.#index;
    while (index > 0 && window.frames[index - 1]! > at) index--;
    const lsn = frameFirstLsn(window.view, window.frames[index]!);
    return { segment: this.#segment, offset: window.start + at, lsn, first: index === this.#index };
  }

  /** Goes to the next frame. False: nothing more that is good is there yet. @throws {SqlError} XX001 */
  next(): boolean {
    for (;;) {
      if (this.#window !== null && ++this.#index < this.#window.frames.length) {
        const { frames, groups } = this.#window;
        while (this.#group + 1 < groups.length && groups[this.#group + 1]! < frames[this.#index]!) this.#group++;
        return true;
      }
      if (!this.#read()) return false;
    }
  }

  close(): void {
    this.#file?.close();
    this.#file = null;
    this.#window = null;
  }

  #read(): boolean {
    const { header } = this.#segment;
    if (this.#window !== null) {
      this.#offset = this.#window.next;
      this.#lsn = this.#window.nextLsn;
    }
    this.#next ??= this.#successor();
    const to = this.#next?.header.previous.offset ?? header.segmentBytes;
    if (this.#offset >= to) return this.#next !== null && this.#enter(this.#next);
    this.#file ??= this.#disk.open(this.#segment.name, false);
    const window = readWindow(this.#file, this.#segment, this.#offset, to, this.#lsn, this.#windowBytes);
    this.#windowBytes = Math.min(WINDOW_BYTES_MAX, this.#windowBytes * 4);
    if (window.frames.length === 0 && window.badAt !== -1) {
      if (this.#next !== null) throw corrupt(this.#segment.name, window.badAt, 'a damaged frame');
      this.#window = null;
      return false;
    }
    this.#window = window;
    this.#index = -1;
    this.#group = 0;
    return true;
  }

  #enter(segment: Segment): boolean {
    this.close();
    this.#segment = segment;
    this.#next = null;
    this.#offset = BLOCK_BYTES;
    this.#lsn = segment.header.firstLsn;
    return true;
  }

  /** What the list does not name yet is found by its number. */
  #successor(): Segment | null {
    const { segments, logId } = this.#place;
    const { sequence } = this.#segment.header;
    const listed = segments.find(({ header }) => header.previous.sequence === sequence);
    if (listed !== undefined) return listed;
    const name = segmentName(sequence + 1);
    let file: LogFile;
    try {
      file = this.#disk.open(name, false);
    } catch {
      return null;
    }
    try {
      const block = new Uint8Array(BLOCK_BYTES);
      const header = decodeSegmentHeader(block.subarray(0, file.read(block, 0)));
      if (typeof header === 'string' || header.logId !== logId || header.previous.sequence !== sequence) return null;
      return { name, header };
    } finally {
      file.close();
    }
  }
}

/** Where readers have stopped: one that goes on from there need not look for the place. */
export class ReadPlaces {
  readonly #places = new Map<Lsn, GroupPlace>();

  remember(through: Lsn, place: GroupPlace): void {
    this.#places.delete(through);
    this.#places.set(through, place);
    if (this.#places.size > 256) this.#places.delete(this.#places.keys().next().value!);
  }

  /** A group that begins with a transaction, at or before the LSN after `through`. */
  find(through: Lsn, segments: readonly Segment[]): GroupPlace | null {
    const place = this.#places.get(through);
    if (place === undefined) return null;
    const { segmentId } = place.segment.header;
    return segments.some(({ header }) => header.segmentId === segmentId) ? place : null;
  }
}

export class TransactionReader {
  readonly #disk: LogDisk;
  readonly #place: LogPlace;
  readonly #since: Lsn;
  readonly #to: Lsn;
  readonly #places: ReadPlaces;
  readonly #cursor: FrameCursor;
  /** The rest of a transaction whose beginning is gone. */
  #headless = false;
  #start: (GroupPlace & { readonly lsnFirst: Lsn }) | null = null;
  /** A group that begins with a transaction. */
  #boundary: GroupPlace | null = null;
  #through: Lsn;

  /** Of transactions with LSNs after `since`, up to and with the one that ends at `to`. */
  constructor(disk: LogDisk, place: LogPlace, since: Lsn, to: Lsn, places: ReadPlaces) {
    this.#disk = disk;
    this.#place = place;
    this.#since = since;
    this.#through = since;
    this.#to = to;
    this.#places = places;
    const { segments } = place;
    const segment = segments[firstNeeded(segments, since + 1)]!;
    const known = places.find(since, segments);
    const start = known ?? { segment, offset: BLOCK_BYTES, lsn: segment.header.firstLsn };
    this.#headless = known === null && segment.header.inside;
    this.#cursor = new FrameCursor(disk, place, start);
  }

  /** Null at the end. @throws {SqlError} XX001: damaged, or not held any more (L2) */
  next(): LoggedTransaction | null {
    const cursor = this.#cursor;
    while (this.#through < this.#to) {
      if (!cursor.next())
        throw corrupt(this.#place.dir, 0, `no frame with LSN ${this.#through + 1}, which was durable`);
      const found = this.#take();
      if (found !== null) return found;
    }
    if (this.#boundary !== null) this.#places.remember(this.#to, this.#boundary);
    this.close();
    return null;
  }

  close(): void {
    this.#cursor.close();
  }

  #take(): LoggedTransaction | null {
    const { bytes, view, at } = this.#cursor;
    const last = frameIsLast(view, at);
    const lsn = frameFirstLsn(view, at);
    const end = lsn + frameCount(view, at) - 1;
    this.#through = end;
    if (this.#headless) {
      if (last && end > this.#since) throw logTrimmed(this.#since, end + 1);
      this.#headless = !last;
      return null;
    }
    if (this.#start === null) {
      const { first, ...group } = this.#cursor.group;
      if (first) this.#boundary = group;
      this.#start = { ...group, lsnFirst: lsn };
    }
    if (!last) return null;
    const start = this.#start;
    this.#start = null;
    if (end <= this.#since || end < start.lsnFirst) return null; // or a checkpoint: it has no LSN
    const { time } = this.#cursor;
    const whole = { firstLsn: start.lsnFirst, lastLsn: end, time };
    if (lsn === start.lsnFirst && !frameIsStream(view, at)) {
      const frame = decodeFrame(bytes, view, at);
      return { ...whole, frames: () => [frame].values() };
    }
    return { ...whole, frames: () => this.#frames(start, end) };
  }

  *#frames(start: GroupPlace & { readonly lsnFirst: Lsn }, lastLsn: Lsn): IterableIterator<LoggedFrame> {
    const cursor = new FrameCursor(this.#disk, this.#place, start);
    try {
      while (cursor.next()) {
        const { bytes, view, at } = cursor;
        const lsn = frameFirstLsn(view, at);
        if (lsn < start.lsnFirst || frameCount(view, at) === 0) continue;
        if (frameIsStream(view, at)) yield* this.#streamed(bytes, view, at);
        else yield decodeFrame(bytes, view, at);
        if (lsn + frameCount(view, at) - 1 >= lastLsn) return;
      }
    } finally {
      cursor.close();
    }
  }

  *#streamed(bytes: Uint8Array, view: DataView, at: number): IterableIterator<LoggedFrame> {
    const frame = bytes.slice(at, at + frameBytesTotal(frameLength(view, at))); // it is placed anew
    const frameView = viewOf(frame);
    // segments that are kept for others may name streams that were trimmed
    if (!isStreamThere(this.#disk, this.#place.logId, decodeStreamReference(view, at)))
      throw logTrimmed(this.#since, frameFirstLsn(view, at) + frameCount(view, at));
    const stream = new StreamReader(this.#disk, this.#place.logId, frameView, 0);
    try {
      yield decodeFrame(frame, frameView, 0);
      for (let batch = stream.next(); batch !== null; batch = stream.next()) {
        const batchView = viewOf(batch.bytes);
        for (const each of batch.frames) yield decodeFrame(batch.bytes, batchView, each);
      }
    } finally {
      stream.close();
    }
  }
}
