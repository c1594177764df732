/**
 * What a start finds in the log's directory: which segments are the log, and where it ends.
 *
 * - R1 The chain is followed from the newest segment back; files that it passes over are void (F4), a file that it names and
 *   that is missing while older ones are there is a hole.
 * - R2 Only the newest segment can have a torn tail: a segment is begun after all before it is durable.
 * - R3 The log ends behind the last frame that commits. What follows it is cut: a torn group, or an unfinished transaction.
 * - R4 The newest checkpoint frame (C6) is found on the way; it is read with the tail, or a segment or two further back.
 * - R5 That a torn group is cut is said: a disk that damages the last group leaves the same bytes as a crash that tears it.
 */
import { SqlError, SqlState } from '../../errors.ts';
import type { Lsn } from '../../table-def.ts';
import type { LogDisk, LogFile } from './log-disk.ts';
import {
  BLOCK_BYTES,
  GROUP_HEADER_BYTES,
  decodeGroupHeader,
  decodeSegmentHeader,
  frameBytesTotal,
  frameCount,
  frameFirstLsn,
  frameIsCheckpoint,
  frameIsLast,
  frameLength,
  framePayload,
  groupSequence,
  segmentSeed,
  viewOf,
  type Position,
} from './log-format.ts';
import { corrupt, readWindow, type Segment } from './log-reader.ts';
import { segmentName } from './log-segments.ts';
import { STREAM_NAME } from './log-streams.ts';

const SCAN_BYTES = 2 ** 20;
const SEGMENT_NAME = /^[0-9a-f]{16}\.wal$/;

export interface Recovered {
  /** Oldest first; none: the log is new. */
  readonly live: readonly Segment[];
  readonly spares: readonly string[];
  /** Files of streams, whether a frame names them or not. */
  readonly streams: readonly string[];
  /** Files to remove: void segments, unfinished spares. */
  readonly junk: readonly string[];
  /** Behind the last frame that commits. */
  readonly end: Position;
  /** In the newest segment: behind its last good group. The next group goes there, unless `unfinished`. */
  readonly tail: number;
  /** Good frames without their commit follow `end`. */
  readonly unfinished: boolean;
  readonly lastLsn: Lsn;
  readonly checkpoint: FoundCheckpoint | null;
  readonly torn: TornGroup | null;
}

/** A group that was begun behind the last good one and is not whole: R5. */
export interface TornGroup {
  readonly name: string;
  readonly offset: number;
}

/** The newest checkpoint frame (C6), and the segment that it stands in. */
export interface FoundCheckpoint {
  readonly payload: Uint8Array<ArrayBuffer>;
  readonly sequence: number;
}

export function recover(disk: LogDisk, segmentBytes: number): Recovered {
  const names = disk.list().toSorted();
  const spares: string[] = [];
  const junk: string[] = [];
  const streams: string[] = [];
  const segments: Segment[] = [];
  for (const name of names) {
    if (SEGMENT_NAME.test(name)) segments.push({ name, header: readHeader(disk, name) });
    else if (STREAM_NAME.test(name)) streams.push(name);
    else if (/^making-\d+$/.test(name)) junk.push(name);
    else if (/^spare-\d+$/.test(name))
      (sizeOf(disk, name) === segmentBytes && spares.length < 2 ? spares : junk).push(name);
    else {
      throw new SqlError(
        SqlState.objectNotInPrerequisiteState,
        `unexpected file "${name}" in the write-ahead log's directory`,
        {
          severity: 'FATAL',
          hint: 'The directory belongs to the log alone. Move the file away.',
        },
      );
    }
  }
  const live = chain(segments);
  for (const segment of segments) if (!live.includes(segment)) junk.push(segment.name);
  const { end, found } = findEnd(disk, live);
  const checkpoint = found ?? findCheckpoint(disk, live, end.end);
  return { live, spares, streams, junk, ...end, checkpoint, torn: findTorn(disk, live.at(-1), end.tail) };
}

function sizeOf(disk: LogDisk, name: string): number {
  const file = disk.open(name, false);
  const size = file.size();
  file.close();
  return size;
}

function readHeader(disk: LogDisk, name: string): Segment['header'] {
  const file = disk.open(name, false);
  const block = new Uint8Array(BLOCK_BYTES);
  const got = file.read(block, 0);
  file.close();
  const header = decodeSegmentHeader(block.subarray(0, got));
  if (typeof header === 'string') throw corrupt(name, 0, header);
  if (segmentName(header.sequence) !== name) throw corrupt(name, 0, `the header of "${segmentName(header.sequence)}"`);
  return header;
}

function chain(segments: readonly Segment[]): Segment[] {
  const newest = segments.at(-1);
  if (newest === undefined) return [];
  for (const { name, header } of segments) {
    if (header.logId !== newest.header.logId)
      throw corrupt(name, 0, `log-id ${header.logId}, not ${newest.header.logId}: a segment of another log`);
  }
  const live = [newest];
  for (let at = newest; at.header.previous.sequence > 0;) {
    const { sequence } = at.header.previous;
    const before = segments.find((segment) => segment.header.sequence === sequence);
    if (before === undefined) {
      const older = segments.find((segment) => segment.header.sequence < sequence);
      if (older === undefined) break;
      throw corrupt(
        segmentName(sequence),
        0,
        `a missing segment (the log goes on in "${at.name}" and begins in "${older.name}")`,
      );
    }
    live.unshift(before);
    at = before;
  }
  return live;
}

interface Scan {
  /** Behind the last frame that commits; null: there is none. */
  readonly committed: { readonly offset: number; readonly nextLsn: Lsn } | null;
  readonly tail: number;
  /** Good frames follow the last that commits. */
  readonly pending: boolean;
  readonly badAt: number;
  readonly checkpoint: FoundCheckpoint | null;
}

function scan(file: LogFile, segment: Segment, to: number): Scan {
  let offset = BLOCK_BYTES;
  let lsn = segment.header.firstLsn;
  let committed: Scan['committed'] = null;
  let pending = false;
  let checkpoint: FoundCheckpoint | null = null;
  while (offset < to) {
    const window = readWindow(file, segment, offset, to, lsn);
    const { view } = window;
    for (const at of window.frames) {
      pending = !frameIsLast(view, at);
      if (pending) continue;
      if (frameIsCheckpoint(view, at))
        checkpoint = { payload: framePayload(window.bytes, view, at).slice(), sequence: segment.header.sequence };
      const end = window.start + at + frameBytesTotal(frameLength(view, at));
      committed = { offset: end, nextLsn: frameFirstLsn(view, at) + frameCount(view, at) };
    }
    offset = window.next;
    lsn = window.nextLsn;
    if (window.badAt !== -1) return { committed, tail: offset, pending, badAt: window.badAt, checkpoint };
  }
  return { committed, tail: offset, pending, badAt: -1, checkpoint };
}

/** R4: from the end of the log back to the first segment that has one. */
function findCheckpoint(disk: LogDisk, live: readonly Segment[], end: Position): FoundCheckpoint | null {
  for (let i = live.length - 2; i >= 0; i--) {
    const segment = live[i]!;
    if (segment.header.sequence >= end.sequence) continue;
    const file = disk.open(segment.name, false);
    try {
      const { checkpoint } = scan(file, segment, live[i + 1]!.header.previous.offset);
      if (checkpoint !== null) return checkpoint;
    } finally {
      file.close();
    }
  }
  return null;
}

type End = Pick<Recovered, 'end' | 'tail' | 'unfinished' | 'lastLsn'>;
interface FoundEnd {
  readonly end: End;
  /** In the segment of the end. */
  readonly found: FoundCheckpoint | null;
}

function findEnd(disk: LogDisk, live: readonly Segment[]): FoundEnd {
  const newest = live.at(-1);
  if (newest === undefined)
    return { end: { end: { sequence: 0, offset: 0 }, tail: 0, unfinished: false, lastLsn: 0 }, found: null };
  const last = scanNewest(disk, newest);
  let found = last;
  for (let i = live.length - 1; ; i--) {
    const segment = live[i]!;
    const { sequence, firstLsn, inside } = segment.header;
    const unfinished = found !== last || last.pending || (last.committed === null && inside);
    if (found.committed !== null) {
      const { offset, nextLsn } = found.committed;
      return {
        end: { end: { sequence, offset }, tail: last.tail, unfinished, lastLsn: nextLsn - 1 },
        found: found.checkpoint,
      };
    }
    if (!inside || i === 0)
      return {
        end: { end: { sequence, offset: BLOCK_BYTES }, tail: last.tail, unfinished, lastLsn: firstLsn - 1 },
        found: null,
      };
    const before = live[i - 1]!;
    const file = disk.open(before.name, false);
    try {
      found = scan(file, before, segment.header.previous.offset);
    } finally {
      file.close();
    }
    if (found.badAt !== -1) throw corrupt(before.name, found.badAt, 'a damaged frame');
  }
}

function scanNewest(disk: LogDisk, segment: Segment): Scan {
  const file = disk.open(segment.name, false);
  try {
    const result = scan(file, segment, segment.header.segmentBytes);
    const durable = highestDurable(file, segment, result.tail + BLOCK_BYTES);
    if (durable > result.tail) throw corrupt(segment.name, Math.max(result.badAt, result.tail), 'a damaged frame');
    // after kill -9 the kernel may still hold what we have just believed
    file.sync();
    return result;
  } finally {
    file.close();
  }
}

/** R5. A header that names the segment was written in it, whether its checksum fits or not: a recycled file's names another. */
function findTorn(disk: LogDisk, newest: Segment | undefined, tail: number): TornGroup | null {
  if (newest === undefined) return null;
  const { name, header } = newest;
  const file = disk.open(name, false);
  try {
    const bytes = new Uint8Array(GROUP_HEADER_BYTES);
    const got = file.read(bytes, tail);
    const begun = got === bytes.length && groupSequence(viewOf(bytes), 0) === header.sequence;
    return begun ? { name, offset: tail } : null;
  } finally {
    file.close();
  }
}

/** The highest offset that a group header at or after `from` says was durable (F2); 0: there is no such header. */
function highestDurable(file: LogFile, segment: Segment, from: number): number {
  const { sequence, segmentBytes, segmentId } = segment.header;
  const seed = segmentSeed(segmentId);
  const bytes = new Uint8Array(SCAN_BYTES);
  const view = viewOf(bytes);
  let durable = 0;
  for (let start = from; start < segmentBytes; start += SCAN_BYTES) {
    const got = file.read(bytes, start);
    for (let at = 0; at < got; at += BLOCK_BYTES) {
      const header = decodeGroupHeader(bytes, view, at, { sequence, offset: start + at }, seed);
      if (header?.durable.sequence === sequence) durable = Math.max(durable, header.durable.offset);
    }
    if (got < SCAN_BYTES) break;
  }
  return durable;
}
