/**
 * Reads groups and frames out of segment files and checks them: what recovery and replay share (log-replay.ts).
 *
 * - A window is a piece of a file that begins and ends between groups; its bytes are a plain ArrayBuffer of their own.
 * - A group is taken whole or not at all: a torn group was acknowledged to nobody.
 * - LSNs are dense within a segment; a valid frame with another LSN is corruption wherever it stands.
 */
import { SqlError, SqlState } from '../../errors.ts';
import type { Lsn } from '../../table-def.ts';
import type { LogFile } from './log-disk.ts';
import {
  GROUP_HEADER_BYTES,
  checkFrame,
  decodeGroupHeader,
  frameCount,
  frameFirstLsn,
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
  /** Offsets of the groups that they lie in, in `bytes`. */
  readonly groups: readonly number[];
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
 * @param windowBytes whole blocks; more are read when the first group has more
 */
export function readWindow(
  file: LogFile,
  segment: Segment,
  offset: number,
  to: number,
  lsn: Lsn,
  windowBytes = WINDOW_BYTES,
): Window {
  const seed = segmentSeed(segment.header.segmentId);
  const place = (at: number): Position => ({ sequence: segment.header.sequence, offset: offset + at });
  let bytes = new Uint8Array(Math.min(windowBytes, to - offset));
  file.read(bytes, offset);
  let view = viewOf(bytes);
  const first = decodeGroupHeader(bytes, view, 0, place(0), seed);
  if (first !== null && groupBytesTotal(first.bytes) > bytes.length && bytes.length < to - offset) {
    bytes = new Uint8Array(Math.min(groupBytesTotal(first.bytes), to - offset));
    file.read(bytes, offset);
    view = viewOf(bytes);
  }
  const frames: number[] = [];
  const groups: number[] = [];
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
    groups.push(at);
    at += groupBytesTotal(group.bytes);
  }
  return { bytes, view, start: offset, frames, groups, next: Math.min(offset + at, to), nextLsn, badAt };
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
