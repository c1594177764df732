/**
 * The log's thread without the thread: writes groups (W1, W2: log-writer.ts), makes and trims segments, answers commands.
 * Synchronous throughout. The pen is held while a group is written, a segment begun or the log ended, and never else: while
 * a spare segment is made, main may write.
 *
 * - W3 A full disk is met only when a segment is made, and that is done before the second half of the one before is written. The
 *   ring is at most a quarter of a segment, and takes no data while the disk is full: so all that it has gets durable, the flush
 *   that waits for it ends, and the log can be trimmed.
 * - W4 Frames of one transaction, of which the last commits, have room before the first is taken (`reserve`): the segments that they
 *   need are made, and nothing comes between. So none waits half written for a disk to get room.
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { SqlError, SqlState, invariant, packError, type WireError } from '../../errors.ts';
import type { Lsn } from '../../table-def.ts';
import { isDiskFull, type LogDisk } from './log-disk.ts';
import { BLOCK_BYTES, segmentSeed, type Position } from './log-format.ts';
import type { ReplayBatch, Segment } from './log-reader.ts';
import { LogReplay } from './log-replay.ts';
import { recover, type Recovered, type TornGroup } from './log-recovery.ts';
import { bytesBetween, givePen, isFull, ringHead, ringTail, setFull, takePen, type Ring } from './log-ring.ts';
import { SegmentStore } from './log-segments.ts';
import { StreamFiles } from './log-streams.ts';
import { takeGroup, writeGroup, writeMark, WriterState } from './log-writer.ts';

export interface Shape {
  readonly segments: number;
  readonly bytes: number;
  readonly liveBytes: number;
  /** Of both, what sealed streams take. */
  readonly streamBytes: number;
  readonly firstLsn: Lsn;
  /** Oldest first. */
  readonly live: readonly Segment[];
}

export type LogRequest =
  | { readonly method: 'start' | 'replay'; readonly lsn: Lsn }
  | { readonly method: 'trim'; readonly lsn: Lsn; readonly keepBytes: number; readonly confirmed: Lsn }
  | { readonly method: 'reserve'; readonly groups: readonly number[] }
  | { readonly method: 'read' | 'close' | 'shape' }
  | { readonly method: 'seal'; readonly stream: number };

/** Without an answer. */
export type StreamNotice =
  | {
      readonly method: 'write';
      readonly stream: number;
      readonly seed: number;
      readonly frame: Uint8Array<ArrayBuffer>;
    }
  | { readonly method: 'committed'; readonly stream: number; readonly lsn: Lsn }
  | { readonly method: 'discard'; readonly stream: number };

export type LogCommand = ({ readonly id: number } & LogRequest) | StreamNotice;

export type LogEvent =
  | {
      readonly event: 'opened';
      readonly logId: string;
      readonly lastLsn: Lsn;
      readonly checkpoint: Uint8Array | null;
      readonly torn: TornGroup | null;
      /** Numbers of streams from here on are free. */
      readonly nextStream: number;
      readonly shape: Shape;
    }
  | {
      readonly event: 'answer';
      readonly id: number;
      readonly batch: ReplayBatch | null;
      readonly error: WireError | null;
    }
  | { readonly event: 'durable'; readonly lsn: Lsn }
  /** A stream's frame was written: its buffer comes back. */
  | { readonly event: 'streamed'; readonly frame: Uint8Array<ArrayBuffer> }
  | { readonly event: 'shape'; readonly shape: Shape }
  /** The disk is full, or is not full any more (log-ring.ts, `isFull`). */
  | { readonly event: 'full' | 'room' }
  | { readonly event: 'fatal'; readonly error: WireError };

/** So long nothing is written until a mark is. */
export const REST_MS = 1000;

export class LogServer {
  readonly #disk: LogDisk;
  readonly #clock: Clock;
  readonly #ring: Ring;
  readonly #post: (event: LogEvent) => void;
  #recovered: Recovered;
  #segments: SegmentStore;
  readonly #streams: StreamFiles;
  readonly #logId: string;
  #replay: LogReplay | null = null;
  readonly #state: WriterState;
  /** The last try to make a segment found the disk full. */
  #noSpare = false;
  #failed: SqlError | null = null;
  /** Where the log ended when there was last time to rest. */
  #restedAt: Position = { sequence: 0, offset: 0 };
  ended = false;

  /** @throws {SqlError} what recovery found wrong, or 53100 when a new log has no room for its first segment */
  constructor(disk: LogDisk, ring: Ring, segmentBytes: number, clock: Clock, post: (event: LogEvent) => void) {
    this.#disk = disk;
    this.#clock = clock;
    this.#ring = ring;
    this.#post = post;
    this.#state = new WriterState(ring);
    this.#recovered = recover(disk, segmentBytes);
    const { live, spares } = this.#recovered;
    const logId = live[0]?.header.logId ?? randomBytes(16).toString('hex');
    this.#segments = new SegmentStore(disk, segmentBytes, logId, live, spares);
    if (live.length === 0) this.#createFirst();
    const { lastLsn, checkpoint, streams, torn } = this.#recovered;
    this.#logId = logId;
    this.#streams = new StreamFiles(disk, logId, live.length === 0 ? [] : streams, lastLsn);
    this.#state.lastLsn = lastLsn;
    this.#state.checkpointIn = checkpoint?.sequence ?? Infinity;
    const nextStream = this.#streams.next;
    const shape = this.#shape();
    post({ event: 'opened', logId, lastLsn, checkpoint: checkpoint?.payload ?? null, torn, nextStream, shape });
  }

  #createFirst(): void {
    try {
      for (const name of [...this.#recovered.junk, ...this.#recovered.streams]) this.#disk.remove(name);
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
    const { live, bytes, liveBytes } = this.#segments;
    const streamBytes = this.#streams.sealedBytes;
    return {
      segments: live.length,
      bytes: bytes + streamBytes,
      liveBytes: liveBytes + streamBytes,
      streamBytes,
      firstLsn: live[0]!.header.firstLsn,
      live,
    };
  }

  handle(command: LogCommand): void {
    if (!('id' in command)) {
      this.#notice(command);
      return;
    }
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

  #notice(notice: StreamNotice): void {
    switch (notice.method) {
      case 'write':
        if (!this.ended) this.#streams.write(notice.stream, notice.seed, notice.frame);
        this.#post({ event: 'streamed', frame: notice.frame });
        return;
      case 'committed':
        return this.#streams.committed(notice.stream, notice.lsn);
      case 'discard':
        if (this.#streams.discard(notice.stream)) this.#post({ event: 'shape', shape: this.#shape() });
        return;
    }
  }

  #run(command: LogRequest): ReplayBatch | null {
    switch (command.method) {
      case 'replay':
        invariant(this.#state.phase === 'idle', 'replay comes before start');
        this.#replay?.close();
        this.#replay = new LogReplay(this.#disk, this.#logId, this.#recovered.live, this.#recovered.end, command.lsn);
        return null;
      case 'read':
        invariant(this.#replay !== null, 'read comes after replay');
        return this.#replay.next();
      case 'start':
        this.#start(command.lsn);
        return null;
      case 'trim':
        invariant(this.#state.phase === 'open', 'trim comes after start');
        while (ringHead(this.#ring) !== ringTail(this.#ring) && this.step() === 'busy');
        this.#trim(Math.min(command.lsn, this.#keptFrom(command.keepBytes)), command.confirmed);
        this.#state.hasSpare = this.#segments.hasSpare;
        if (this.#segments.hasSpare) this.#found(true);
        this.#post({ event: 'shape', shape: this.#shape() });
        return null;
      case 'reserve':
        this.#reserve(command.groups);
        return null;
      case 'shape':
        this.#post({ event: 'shape', shape: this.#shape() });
        return null;
      case 'seal':
        this.#streams.seal(command.stream);
        this.#post({ event: 'shape', shape: this.#shape() });
        return null;
      case 'close':
        this.#close();
        return null;
    }
  }

  /** Nothing comes into the ring until it is answered. */
  #reserve(groups: readonly number[]): void {
    this.#drain('could not write to the write-ahead log: no space left on device');
    this.#segments.reserve(this.#state.offset, groups);
    this.#state.hasSpare = this.#segments.hasSpare;
    if (this.#noSpare && this.#segments.hasSpare) this.#found(true);
    this.#post({ event: 'shape', shape: this.#shape() });
  }

  /** Writes all that is in the ring. @throws {SqlError} 53100 with that message, or why the log has failed */
  #drain(noRoom: string): void {
    while (ringHead(this.#ring) !== ringTail(this.#ring)) {
      const state = this.step();
      if (ringHead(this.#ring) === ringTail(this.#ring)) break; // main may have been faster
      if (state === 'idle') throw this.#failure(); // with frames in the ring, only a failed log is idle
      if (state === 'full') throw new SqlError(SqlState.diskFull, noRoom);
    }
  }

  #trim(to: Lsn, confirmed: Lsn): void {
    this.#segments.trim(to, this.#state.checkpointIn);
    this.#streams.trim(Math.max(Math.min(to, confirmed), this.#segments.live[0]!.header.firstLsn));
  }

  /** The LSN from which on segments and streams take at most so many bytes; infinite when the newest segment takes more. */
  #keptFrom(bytes: number): Lsn {
    let left = bytes;
    let from: Lsn = Infinity;
    for (const { header } of this.#segments.live.toReversed()) {
      left -= header.segmentBytes + this.#streams.bytesBetween(header.firstLsn, from);
      if (left < 0) break;
      from = header.firstLsn;
    }
    return from;
  }

  /** Cuts the tail, and makes the cut durable before anything is appended. */
  #start(nextLsn: Lsn): void {
    const state = this.#state;
    invariant(state.phase === 'idle' && nextLsn > state.lastLsn, 'start comes once, with an LSN that was never used');
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
      if (empty) this.#segments.trim(nextLsn, Infinity);
      state.lastLsn = nextLsn - 1;
      this.#goOn(BLOCK_BYTES);
    } else {
      this.#segments.zeroFrom(tail);
      state.lastLsn = nextLsn - 1;
      this.#goOn(tail);
      writeMark(state, this.#segments.current.file);
    }
    if (junk.length > 0 || unfinished) this.#disk.syncDir();
    this.#prepareInTime();
    state.phase = 'open';
    this.#post({ event: 'shape', shape: this.#shape() });
  }

  /** The next group goes into the newest segment, at `offset`. */
  #goOn(offset: number): void {
    const { segment, file } = this.#segments.current;
    const { sequence, segmentBytes, segmentId } = segment.header;
    this.#state.segment(sequence, segmentBytes, segmentSeed(segmentId), file.fd);
    this.#state.hasSpare = this.#segments.hasSpare;
    this.#state.offset = offset;
  }

  /** Writes one group, or does one idle step. `full`: try again after a while. `idle`: wait for a signal. */
  step(): 'busy' | 'idle' | 'full' {
    if (this.#failed !== null || this.#state.phase !== 'open' || this.ended) return 'idle';
    try {
      if (ringHead(this.#ring) === ringTail(this.#ring))
        return this.#prepareSpare(0) ? 'busy' : this.#noSpare ? 'full' : 'idle';
      this.#prepareInTime();
      const before = this.#state.offset;
      takePen(this.#ring);
      let state: 'busy' | 'full';
      try {
        state = this.#writeNext();
      } finally {
        givePen(this.#ring);
      }
      // Without a pause nobody is idle: the next segment must be ready when this one is full.
      if (state === 'busy') this.#prepareSpare(2 * Math.max(0, this.#state.offset - before));
      return state;
    } catch (error) {
      this.#fail(error);
      return 'idle';
    }
  }

  /** There are groups that no mark has said to be durable, and room for one. */
  get unmarked(): boolean {
    const { offset, phase, segmentBytes, unmarked } = this.#state;
    return unmarked && phase === 'open' && !this.ended && offset + BLOCK_BYTES <= segmentBytes;
  }

  /** Called now and then while nothing is to be done: if nothing was written since the last call, a mark is (F5). */
  rest(): void {
    if (!this.unmarked) return;
    try {
      takePen(this.#ring);
      try {
        const { offset, sequence, phase } = this.#state;
        const before = this.#restedAt;
        this.#restedAt = { sequence, offset };
        if (phase !== 'open' || offset !== before.offset || sequence !== before.sequence) return;
        writeMark(this.#state, this.#segments.current.file);
      } finally {
        givePen(this.#ring);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** W3: the first half of a segment is as far as the log goes without the next one. */
  #prepareInTime(): void {
    const { offset, segmentBytes } = this.#state;
    const queued = bytesBetween(ringHead(this.#ring), ringTail(this.#ring));
    if (offset + queued > segmentBytes / 2) this.#prepareSpare(Infinity);
  }

  /** @param bytes 0: nobody writes now */
  #prepareSpare(bytes: number): boolean {
    if (this.#noSpare && bytes > 0) return false; // tried again when there is time
    try {
      const more = this.#segments.prepare(this.#noSpare ? Infinity : this.#state.offset, bytes);
      const isNew = this.#segments.hasSpare && !this.#state.hasSpare;
      this.#state.hasSpare = this.#segments.hasSpare;
      if (isNew && this.#state.phase === 'open') this.#post({ event: 'shape', shape: this.#shape() });
      if (this.#noSpare && this.#segments.hasSpare) this.#found(true);
      return more;
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      this.#found(false);
      return false;
    }
  }

  /** Room for another segment, or none. */
  #found(room: boolean): void {
    this.#noSpare = !room;
    if (isFull(this.#ring) === !room) return;
    setFull(this.#ring, !room);
    this.#post({ event: room ? 'room' : 'full' });
  }

  #writeNext(): 'busy' | 'full' {
    if (this.#state.phase === 'failed' || ringHead(this.#ring) === ringTail(this.#ring)) return 'busy'; // main was faster
    let group = takeGroup(this.#ring, this.#state);
    if (group === null) {
      if (!this.#roll()) return 'full';
      group = takeGroup(this.#ring, this.#state);
      invariant(group !== null, 'a frame fits an empty segment');
    }
    writeGroup(this.#ring, this.#state, this.#segments.current.file, group, this.#clock);
    this.#post({ event: 'durable', lsn: group.lastLsn });
    return 'busy';
  }

  #roll(): boolean {
    const { sequence, offset, lastLsn, inside } = this.#state;
    try {
      this.#segments.activate({ sequence, offset }, lastLsn + 1, inside);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      this.#found(false);
      return false;
    }
    this.#goOn(BLOCK_BYTES);
    this.#found(true);
    this.#post({ event: 'shape', shape: this.#shape() });
    return true;
  }

  #fail(error: unknown): void {
    this.#state.phase = 'failed';
    this.#failed = ioFailure(error);
    this.#post({ event: 'fatal', error: packError(this.#failed) });
  }

  #failure(): SqlError {
    return this.#failed ?? new SqlError(SqlState.internalError, 'the write-ahead log has stopped');
  }

  #close(): void {
    try {
      this.#replay?.close();
      this.#streams.close();
      if (this.#state.phase !== 'open' || this.#failed !== null) return;
      this.#drain('could not write the end of the write-ahead log: no space left on device');
      takePen(this.#ring);
      try {
        if (this.#state.unmarked) writeMark(this.#state, this.#segments.current.file);
      } finally {
        this.#state.phase = 'idle';
        givePen(this.#ring);
      }
    } finally {
      this.ended = true;
      this.#segments.close();
    }
  }
}

export function ioFailure(error: unknown): SqlError {
  if (error instanceof SqlError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const code = isDiskFull(error) ? SqlState.diskFull : SqlState.ioError;
  return new SqlError(code, `write-ahead log: ${text}`, { severity: 'FATAL', cause: error });
}
