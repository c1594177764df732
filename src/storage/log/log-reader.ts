/**
 * Reads groups and frames out of segment files and checks them: what recovery and replay share.
 *
 * - A window is a piece of a file that begins and ends between groups; its bytes are a plain ArrayBuffer of their own.
 * - A group is taken whole or not at all: a torn group was acknowledged to nobody.
 * - LSNs are dense within a segment; a valid frame with another LSN is corruption wherever it stands.
 */
import { SqlError, SqlState } from '../../errors.ts';
import type { Lsn } from '../../table-def.ts';
import type { LogDisk, LogFile } from './log-disk.ts';
import {
  BLOCK_BYTES,
  GROUP_HEADER_BYTES,
  checkFrame,
  decodeGroupHeader,
  frameCount,
  frameFirstLsn,
  frameIsCheckpoint,
  frameIsLast,
  groupBytesTotal,
  segmentSeed,
  viewOf,
  type Position,
  type SegmentHeader,
} from './log-format.ts';

const WINDOW_BYTES = 2 ** 21;

export interface Segment {
  readonly name: string;
  readonly header: SegmentHeader;
}

/** Frames are offsets in `bytes`; `bytes[0]` is the file's byte `start`. */
export interface Window {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  readonly start: number;
  readonly frames: readonly number[];
  /** Where the next window starts: behind the last good group. */
  readonly next: number;
  /** The LSN after the last frame. */
  readonly nextLsn: Lsn;
  /** The file offset of the first bad byte range, a group or one of its frames; -1: none. */
  readonly badAt: number;
}

export function corrupt(name: string, offset: number, what: string): SqlError {
  return new SqlError(
    SqlState.dataCorrupted,
    `write-ahead log is corrupt: ${what} in file "${name}" at offset ${offset}`,
    {
      severity: 'FATAL',
      hint: 'Acknowledged rows stand there. Restore the file; removing it loses what was not yet committed to Iceberg.',
    },
  );
}

/**
 * The groups from `offset`, at least one if it is good.
 * @param to the offset where the log's frames in this file end, exclusive; it may cut a group between two frames
 * @param lsn the LSN that the first frame must have
 */
export function readWindow(file: LogFile, segment: Segment, offset: number, to: number, lsn: Lsn): Window {
  const seed = segmentSeed(segment.header.segmentId);
  const place = (at: number): Position => ({ sequence: segment.header.sequence, offset: offset + at });
  let bytes = new Uint8Array(Math.min(WINDOW_BYTES, to - offset));
  file.read(bytes, offset);
  let view = viewOf(bytes);
  const first = decodeGroupHeader(bytes, view, 0, place(0), seed);
  if (first !== null && groupBytesTotal(first.bytes) > bytes.length && bytes.length < to - offset) {
    bytes = new Uint8Array(Math.min(groupBytesTotal(first.bytes), to - offset));
    file.read(bytes, offset);
    view = viewOf(bytes);
  }
  const frames: number[] = [];
  let at = 0;
  let badAt = -1;
  let nextLsn = lsn;
  while (at < bytes.length) {
    const group = decodeGroupHeader(bytes, view, at, place(at), seed);
    if (group === null) {
      // a header of 64 bytes never crosses a window's end: windows end at blocks, or where the log's frames end
      badAt = offset + at;
      break;
    }
    const end = Math.min(at + GROUP_HEADER_BYTES + group.bytes, to - offset);
    if (end > bytes.length) break;
    const bad = takeFrames(bytes, view, at + GROUP_HEADER_BYTES, end, seed, frames);
    if (bad !== -1) {
      badAt = offset + bad;
      break;
    }
    nextLsn = checkLsns(segment, view, offset, frames, nextLsn, at);
    at += groupBytesTotal(group.bytes);
  }
  return { bytes, view, start: offset, frames, next: Math.min(offset + at, to), nextLsn, badAt };
}

/** Adds a group's frames; if one is bad, none, and returns where it is. */
function takeFrames(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  seed: number,
  frames: number[],
): number {
  const before = frames.length;
  let at = start;
  while (at < end) {
    const next = checkFrame(bytes, view, at, end, seed);
    if (next === -1) {
      frames.length = before;
      return at;
    }
    frames.push(at);
    at = next;
  }
  return -1;
}

function checkLsns(
  segment: Segment,
  view: DataView,
  offset: number,
  frames: readonly number[],
  lsn: Lsn,
  groupAt: number,
): Lsn {
  let i = frames.length;
  while (i > 0 && frames[i - 1]! > groupAt) i--;
  let expected = lsn;
  for (; i < frames.length; i++) {
    const at = frames[i]!;
    if (frameFirstLsn(view, at) !== expected) {
      throw corrupt(segment.name, offset + at, `LSN ${frameFirstLsn(view, at)} where ${expected} belongs`);
    }
    expected += frameCount(view, at);
  }
  return expected;
}

export interface ReplayBatch {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Offsets of the frames to hand out. */
  readonly frames: readonly number[];
}

/**
 * Every whole transaction with an operation at or after `from`, and every checkpoint, in order, window by window.
 * A transaction is never held in memory: where it turns out to reach `from` late, reading goes back to its first frame.
 */
export class LogReplay {
  readonly #disk: LogDisk;
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

  constructor(disk: LogDisk, segments: readonly Segment[], end: Position, from: Lsn) {
    this.#disk = disk;
    this.#segments = segments;
    this.#end = end;
    this.#from = from;
    this.#headless = segments[0]?.header.inside ?? false;
  }

  /** @returns null at the end */
  next(): ReplayBatch | null {
    for (;;) {
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
      if (frames.length > 0) return { bytes: window.bytes, frames };
    }
  }

  close(): null {
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
