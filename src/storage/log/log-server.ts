/**
 * The log's thread without the thread: takes frames from the ring, writes groups, answers commands. Synchronous throughout.
 *
 * - W1 One group at a time: written, synced, then reported. So all before a group is durable when it is written, and what
 *   arrives meanwhile is the next group; nobody waits for a timer.
 * - W2 After a failed write or sync nothing is reported any more. The failed group's header is zeroed in the page cache (best
 *   effort): the kernel may call pages clean that never reached the disk, and the next start must not believe them.
 * - W3 A full disk is met only when a segment is made; the frames wait in the ring meanwhile.
 */
import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { SqlError, SqlState, invariant, packError, type WireError } from '../../errors.ts';
import type { Lsn } from '../../table-def.ts';
import { isDiskFull, type LogDisk } from './log-disk.ts';
import {
  BLOCK_BYTES,
  FRAME_HEADER_BYTES,
  GROUP_HEADER_BYTES,
  encodeGroupHeader,
  frameBytesTotal,
  groupBytesTotal,
  segmentSeed,
  type Position,
} from './log-format.ts';
import { LogReplay, type ReplayBatch } from './log-reader.ts';
import { recover, type Recovered } from './log-recovery.ts';
import { bytesBetween, releaseTo, ringHead, ringSlices, ringTail, type Ring } from './log-ring.ts';
import { SegmentStore } from './log-segments.ts';

/** A larger group would keep the ring's room for longer than its sync costs. */
const GROUP_BYTES_MAX = 2 ** 22;
const PADDING = new Uint8Array(BLOCK_BYTES);

export interface Shape {
  readonly segments: number;
  readonly bytes: number;
  readonly firstLsn: Lsn;
}

export type LogCommand = { readonly id: number } & (
  | { readonly method: 'start' | 'replay' | 'trim'; readonly lsn: Lsn }
  | { readonly method: 'read' | 'close' }
);

export type LogEvent =
  | { readonly event: 'opened'; readonly logId: string; readonly lastLsn: Lsn; readonly shape: Shape }
  | {
      readonly event: 'answer';
      readonly id: number;
      readonly batch: ReplayBatch | null;
      readonly error: WireError | null;
    }
  | { readonly event: 'durable'; readonly lsn: Lsn }
  | { readonly event: 'shape'; readonly shape: Shape }
  | { readonly event: 'full'; readonly full: boolean }
  | { readonly event: 'fatal'; readonly error: WireError };

interface Group {
  readonly head: number;
  readonly bytes: number;
  readonly firstLsn: Lsn;
  readonly lastLsn: Lsn;
  /** Its last frame does not commit. */
  readonly inside: boolean;
}

export class LogServer {
  readonly #disk: LogDisk;
  readonly #ring: Ring;
  readonly #post: (event: LogEvent) => void;
  #recovered: Recovered;
  #segments: SegmentStore;
  #replay: LogReplay | null = null;
  #offset = 0;
  #lastLsn: Lsn;
  #inside = false;
  #started = false;
  #full = false;
  #spareBlocked = false;
  #unmarked = false;
  #failed: SqlError | null = null;
  ended = false;

  /** @throws {SqlError} what recovery found wrong, or 53100 when a new log has no room for its first segment */
  constructor(disk: LogDisk, ring: Ring, segmentBytes: number, post: (event: LogEvent) => void) {
    this.#disk = disk;
    this.#ring = ring;
    this.#post = post;
    this.#recovered = recover(disk, segmentBytes);
    const { live, spares } = this.#recovered;
    const logId = live[0]?.header.logId ?? randomBytes(16).toString('hex');
    this.#segments = new SegmentStore(disk, segmentBytes, logId, live, spares);
    if (live.length === 0) this.#createFirst();
    this.#lastLsn = this.#recovered.lastLsn;
    post({ event: 'opened', logId, lastLsn: this.#lastLsn, shape: this.#shape() });
  }

  #createFirst(): void {
    try {
      for (const name of this.#recovered.junk) this.#disk.remove(name);
      this.#segments.activate({ sequence: 0, offset: 0 }, 1, false);
    } catch (error) {
      throw ioFailure(error);
    }
    const { live } = this.#segments;
    this.#recovered = {
      ...this.#recovered,
      live,
      junk: [],
      end: { sequence: 1, offset: BLOCK_BYTES },
      tail: BLOCK_BYTES,
    };
  }

  #shape(): Shape {
    const { live, bytes } = this.#segments;
    return { segments: live.length, bytes, firstLsn: live[0]!.header.firstLsn };
  }

  handle(command: LogCommand): void {
    let batch: ReplayBatch | null = null;
    let error: WireError | null = null;
    try {
      if (this.#failed !== null && command.method !== 'close') throw this.#failed;
      batch = this.#run(command);
    } catch (thrown) {
      error = packError(ioFailure(thrown));
    }
    this.#post({ event: 'answer', id: command.id, batch, error });
  }

  #run(command: LogCommand): ReplayBatch | null {
    switch (command.method) {
      case 'replay':
        invariant(!this.#started, 'replay comes before start');
        this.#replay?.close();
        this.#replay = new LogReplay(this.#disk, this.#recovered.live, this.#recovered.end, command.lsn);
        return null;
      case 'read':
        invariant(this.#replay !== null, 'read comes after replay');
        return this.#replay.next();
      case 'start':
        this.#start(command.lsn);
        return null;
      case 'trim':
        invariant(this.#started, 'trim comes after start');
        this.#segments.trim(command.lsn);
        this.#post({ event: 'shape', shape: this.#shape() });
        return null;
      case 'close':
        this.#close();
        return null;
    }
  }

  /** Cuts the tail, and makes the cut durable before anything is appended. */
  #start(nextLsn: Lsn): void {
    invariant(!this.#started && nextLsn > this.#lastLsn, 'start comes once, with an LSN that was never used');
    this.#replay?.close();
    const { end, tail, unfinished, junk, lastLsn, live } = this.#recovered;
    const { header } = this.#segments.current.segment;
    const gap = nextLsn > lastLsn + 1;
    const cutAt: Position = unfinished ? end : { sequence: header.sequence, offset: tail };
    for (const name of junk) this.#disk.remove(name);
    if (unfinished || gap || tail + BLOCK_BYTES > header.segmentBytes) {
      this.#segments.activate(cutAt, nextLsn, false);
      for (const { name, header: dead } of live) if (dead.sequence > cutAt.sequence) this.#disk.remove(name);
      // an empty log that begins at a later LSN does not have the earlier ones
      const empty = live.length === 1 && header.firstLsn === lastLsn + 1 && end.offset === BLOCK_BYTES;
      if (empty) this.#segments.trim(nextLsn);
      this.#offset = BLOCK_BYTES;
    } else {
      this.#segments.zeroFrom(tail);
      this.#offset = tail;
      this.#lastLsn = nextLsn - 1;
      this.#mark();
    }
    if (junk.length > 0 || unfinished) this.#disk.syncDir();
    this.#lastLsn = nextLsn - 1;
    this.#started = true;
    this.#post({ event: 'shape', shape: this.#shape() });
  }

  /** An empty group: with it, all before is known to have been durable, and damage there is no torn tail. */
  #mark(): void {
    const { segment, file } = this.#segments.current;
    if (this.#offset + BLOCK_BYTES > segment.header.segmentBytes) return;
    const at = { sequence: segment.header.sequence, offset: this.#offset };
    const header = encodeGroupHeader(
      { at, durable: at, firstLsn: this.#lastLsn + 1, bytes: 0 },
      segmentSeed(segment.header.segmentId),
    );
    file.write([header, PADDING.subarray(header.length)], this.#offset);
    file.sync();
    this.#offset += BLOCK_BYTES;
    this.#unmarked = false;
  }

  /** Writes one group, or does one idle step. `full`: try again after a while. `idle`: wait for a signal. */
  step(): 'busy' | 'idle' | 'full' {
    if (this.#failed !== null || !this.#started || this.ended) return 'idle';
    try {
      if (ringHead(this.#ring) === ringTail(this.#ring)) return this.#prepareSpare() ? 'busy' : 'idle';
      return this.#writeNext();
    } catch (error) {
      this.#fail(error);
      return 'idle';
    }
  }

  #prepareSpare(): boolean {
    if (this.#spareBlocked) return false;
    try {
      return this.#segments.prepare(this.#offset);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      this.#spareBlocked = true;
      return false;
    }
  }

  #writeNext(): 'busy' | 'full' {
    let group = this.#takeGroup();
    if (group === null) {
      if (!this.#roll()) return 'full';
      group = this.#takeGroup();
      invariant(group !== null, 'a frame fits an empty segment');
    }
    this.#write(group);
    this.#spareBlocked = false;
    return 'busy';
  }

  #roll(): boolean {
    const { sequence } = this.#segments.current.segment.header;
    try {
      this.#segments.activate({ sequence, offset: this.#offset }, this.#lastLsn + 1, this.#inside);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      this.#setFull(true);
      return false;
    }
    this.#offset = BLOCK_BYTES;
    this.#setFull(false);
    this.#post({ event: 'shape', shape: this.#shape() });
    return true;
  }

  #setFull(full: boolean): void {
    if (full === this.#full) return;
    this.#full = full;
    this.#post({ event: 'full', full });
  }

  /** The frames at the ring's head that fit the segment, with their CRCs filled in; null: not even one fits. */
  #takeGroup(): Group | null {
    const { header } = this.#segments.current.segment;
    const { words } = this.#ring;
    const seed = segmentSeed(header.segmentId);
    const room = header.segmentBytes - this.#offset - GROUP_HEADER_BYTES;
    const head = ringHead(this.#ring);
    const available = bytesBetween(head, ringTail(this.#ring));
    const word = (unit: number, index: number): number => words[(unit * 2 + index) % words.length]!;
    const lsnAt = (unit: number): Lsn => word(unit, 4) + word(unit, 5) * 2 ** 32;
    let bytes = 0;
    let next = this.#lastLsn + 1;
    let inside = this.#inside;
    while (bytes < available) {
      const unit = head + bytes / 8;
      const length = word(unit, 1);
      const total = frameBytesTotal(length);
      if (bytes + total > room || (bytes > 0 && bytes + total > GROUP_BYTES_MAX)) break;
      invariant(lsnAt(unit) === next, 'frames are dense');
      words[(unit * 2) % words.length] = this.#frameCrc(unit, FRAME_HEADER_BYTES + length, seed);
      next += word(unit, 3);
      inside = ((word(unit, 2) >>> 8) & 1) === 0;
      bytes += total;
    }
    return bytes === 0 ? null : { head, bytes, firstLsn: this.#lastLsn + 1, lastLsn: next - 1, inside };
  }

  #frameCrc(unit: number, bytes: number, seed: number): number {
    const slices = ringSlices(this.#ring, unit, bytes);
    const first = crc32(slices[0]!.subarray(4), seed);
    return slices.length === 1 ? first : crc32(slices[1]!, first);
  }

  #write(group: Group): void {
    const { segment, file } = this.#segments.current;
    const at: Position = { sequence: segment.header.sequence, offset: this.#offset };
    const seed = segmentSeed(segment.header.segmentId);
    const header = encodeGroupHeader({ at, durable: at, firstLsn: group.firstLsn, bytes: group.bytes }, seed);
    const total = groupBytesTotal(group.bytes);
    const padding = PADDING.subarray(0, total - GROUP_HEADER_BYTES - group.bytes);
    try {
      file.write([header, ...ringSlices(this.#ring, group.head, group.bytes), padding], this.#offset);
      file.sync();
    } catch (error) {
      try {
        file.write([PADDING], this.#offset); // W2
      } catch {
        // the first error is the one to report
      }
      throw error;
    }
    this.#offset += total;
    this.#lastLsn = group.lastLsn;
    this.#inside = group.inside;
    this.#unmarked = true;
    releaseTo(this.#ring, group.head + group.bytes / 8);
    this.#post({ event: 'durable', lsn: group.lastLsn });
  }

  #fail(error: unknown): void {
    this.#failed = ioFailure(error);
    this.#post({ event: 'fatal', error: packError(this.#failed) });
  }

  #failure(): SqlError {
    return this.#failed ?? new SqlError(SqlState.internalError, 'the write-ahead log has stopped');
  }

  #close(): void {
    try {
      this.#replay?.close();
      if (!this.#started || this.#failed !== null) return;
      while (ringHead(this.#ring) !== ringTail(this.#ring)) {
        const state = this.step();
        if (state === 'idle') throw this.#failure(); // with frames in the ring, only a failed log is idle
        if (state === 'full')
          throw new SqlError(
            SqlState.diskFull,
            'could not write the end of the write-ahead log: no space left on device',
          );
      }
      if (this.#unmarked) this.#mark();
    } finally {
      this.ended = true;
      this.#segments.close();
    }
  }
}

function ioFailure(error: unknown): SqlError {
  if (error instanceof SqlError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const code = isDiskFull(error) ? SqlState.diskFull : SqlState.ioError;
  return new SqlError(code, `write-ahead log: ${text}`, { severity: 'FATAL', cause: error });
}
