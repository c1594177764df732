/**
 * Writing groups: frames from the ring to the current segment, one fdatasync a group. Two threads can do it. The log's own
 * does all that is large, slow or rare; main writes a small group itself when nobody else is writing, because a hop to
 * another thread and back costs a lone writer more than the sync (README, "Why so").
 *
 * - P1 Only who holds the pen (log-ring.ts) writes, and reads or changes the state below. It lies in the shared ring. But
 *   `hasSpare`, `offset` and `unmarked` are looked at without it, as hints for when a segment or a mark is to be made.
 * - P2 Main tries for the pen and never waits for it; the thread waits.
 * - W1 One group at a time: written, synced, then reported. So all before a group is durable when it is written, and what
 *   arrives meanwhile is the next group; nobody waits for a timer.
 * - W2 After a failed write or sync nothing is reported any more. The failed group's header is zeroed in the page cache (best
 *   effort): the kernel may call pages clean that never reached the disk, and the next start must not believe them.
 */
import { crc32 } from 'node:zlib';
import type { Clock } from '../../clock.ts';
import { invariant } from '../../errors.ts';
import type { Lsn } from '../../table-def.ts';
import type { LogFile } from './log-disk.ts';
import {
  BLOCK_BYTES,
  CHECKPOINT_KIND,
  FRAME_HEADER_BYTES,
  GROUP_HEADER_BYTES,
  encodeGroupHeader,
  frameBytesTotal,
  groupBytesTotal,
  type Position,
} from './log-format.ts';
import { bytesBetween, releaseTo, ringHead, ringSlices, ringTail, type Ring } from './log-ring.ts';

/** A larger group would keep the ring's room for longer than its sync costs. */
const GROUP_BYTES_MAX = 2 ** 22;
const PADDING = new Uint8Array(BLOCK_BYTES);

/** Slots of the state, all doubles: exact for what they hold. */
const OFFSET = 0;
const LAST_LSN = 1;
const SEQUENCE = 2;
const SEGMENT_BYTES = 3;
const SEED = 4;
const FD = 5;
const INSIDE = 6;
const UNMARKED = 7;
const PHASE = 8;
const CHECKPOINT_IN = 9;
const SPARE = 10;

/** idle: before start, or after the end; open: groups may be written; failed: never again. */
type Phase = 'idle' | 'open' | 'failed';
const PHASES: readonly Phase[] = ['idle', 'open', 'failed'];

/** Where the log goes on. */
export class WriterState {
  readonly #slots: Float64Array;

  constructor(ring: Ring) {
    this.#slots = ring.state;
  }

  get phase(): Phase {
    return PHASES[this.#slots[PHASE]!]!;
  }
  set phase(phase: Phase) {
    this.#slots[PHASE] = PHASES.indexOf(phase);
  }
  /** In the current segment's file. */
  get offset(): number {
    return this.#slots[OFFSET]!;
  }
  set offset(offset: number) {
    this.#slots[OFFSET] = offset;
  }
  get lastLsn(): Lsn {
    return this.#slots[LAST_LSN]!;
  }
  set lastLsn(lsn: Lsn) {
    this.#slots[LAST_LSN] = lsn;
  }
  /** The last frame written does not commit. */
  get inside(): boolean {
    return this.#slots[INSIDE] === 1;
  }
  /** Groups were written since the last mark. */
  get unmarked(): boolean {
    return this.#slots[UNMARKED] === 1;
  }
  set unmarked(unmarked: boolean) {
    this.#slots[UNMARKED] = unmarked ? 1 : 0;
  }
  get sequence(): number {
    return this.#slots[SEQUENCE]!;
  }
  get segmentBytes(): number {
    return this.#slots[SEGMENT_BYTES]!;
  }
  get seed(): number {
    return this.#slots[SEED]!;
  }
  get fd(): number {
    return this.#slots[FD]!;
  }

  /** The segment with the newest durable checkpoint frame, Infinity when there is none: trimming leaves it. */
  get checkpointIn(): number {
    return this.#slots[CHECKPOINT_IN]!;
  }
  set checkpointIn(sequence: number) {
    this.#slots[CHECKPOINT_IN] = sequence;
  }

  /** The next segment is there already. */
  get hasSpare(): boolean {
    return this.#slots[SPARE] === 1;
  }
  set hasSpare(hasSpare: boolean) {
    this.#slots[SPARE] = hasSpare ? 1 : 0;
  }

  segment(sequence: number, segmentBytes: number, seed: number, fd: number): void {
    this.#slots[SEQUENCE] = sequence;
    this.#slots[SEGMENT_BYTES] = segmentBytes;
    this.#slots[SEED] = seed;
    this.#slots[FD] = fd;
  }

  /** The group is durable. */
  advance(group: Group): void {
    this.offset += groupBytesTotal(group.bytes);
    this.lastLsn = group.lastLsn;
    this.#slots[INSIDE] = group.inside ? 1 : 0;
    this.unmarked = true;
    if (group.checkpoint) this.checkpointIn = this.sequence;
  }
}

export interface Group {
  readonly head: number;
  readonly bytes: number;
  readonly firstLsn: Lsn;
  readonly lastLsn: Lsn;
  /** Its last frame does not commit. */
  readonly inside: boolean;
  /** It has a checkpoint frame. */
  readonly checkpoint: boolean;
}

/** The frames at the ring's head that fit the segment, with their CRCs filled in; null: not even one fits. */
export function takeGroup(ring: Ring, state: WriterState): Group | null {
  const { words } = ring;
  const { lastLsn, seed } = state;
  const room = state.segmentBytes - state.offset - GROUP_HEADER_BYTES;
  const head = ringHead(ring);
  const available = bytesBetween(head, ringTail(ring));
  const word = (unit: number, index: number): number => words[(unit * 2 + index) % words.length]!;
  const lsnAt = (unit: number): Lsn => word(unit, 4) + word(unit, 5) * 2 ** 32;
  let bytes = 0;
  let next = lastLsn + 1;
  let { inside } = state;
  let checkpoint = false;
  while (bytes < available) {
    const unit = head + bytes / 8;
    const length = word(unit, 1);
    const total = frameBytesTotal(length);
    if (bytes + total > room || (bytes > 0 && bytes + total > GROUP_BYTES_MAX)) break;
    invariant(lsnAt(unit) === next, 'frames are dense');
    words[(unit * 2) % words.length] = frameCrc(ring, unit, FRAME_HEADER_BYTES + length, seed);
    next += word(unit, 3);
    inside = ((word(unit, 2) >>> 8) & 1) === 0;
    if ((word(unit, 2) & 0xff) === CHECKPOINT_KIND) checkpoint = true;
    bytes += total;
  }
  return bytes === 0 ? null : { head, bytes, firstLsn: lastLsn + 1, lastLsn: next - 1, inside, checkpoint };
}

function frameCrc(ring: Ring, unit: number, bytes: number, seed: number): number {
  const slices = ringSlices(ring, unit, bytes);
  const first = crc32(slices[0]!.subarray(4), seed);
  return slices.length === 1 ? first : crc32(slices[1]!, first);
}

/** Writes and syncs the group, then gives its room in the ring back. @throws what the disk threw: W2 */
export function writeGroup(ring: Ring, state: WriterState, file: LogFile, group: Group, clock: Clock): void {
  const { offset, sequence, seed } = state;
  const at: Position = { sequence, offset };
  const time = Math.floor(clock.now() * 1000);
  const header = encodeGroupHeader({ at, durable: at, firstLsn: group.firstLsn, bytes: group.bytes, time }, seed);
  const padding = PADDING.subarray(0, groupBytesTotal(group.bytes) - GROUP_HEADER_BYTES - group.bytes);
  try {
    file.write([header, ...ringSlices(ring, group.head, group.bytes), padding], offset);
    file.sync();
  } catch (error) {
    state.phase = 'failed';
    try {
      file.write([PADDING], offset); // W2
    } catch {
      // the first error is the one to report
    }
    throw error;
  }
  state.advance(group);
  releaseTo(ring, group.head + group.bytes / 8);
}

/** An empty group: with it, all before is known to have been durable, and damage there is no torn tail. */
export function writeMark(state: WriterState, file: LogFile): void {
  if (state.offset + BLOCK_BYTES > state.segmentBytes) return;
  const at = { sequence: state.sequence, offset: state.offset };
  const header = encodeGroupHeader({ at, durable: at, firstLsn: state.lastLsn + 1, bytes: 0, time: 0 }, state.seed);
  file.write([header, PADDING.subarray(header.length)], state.offset);
  file.sync();
  state.offset += BLOCK_BYTES;
  state.unmarked = false;
}
