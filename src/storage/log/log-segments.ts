/**
 * The segment files: making them ahead, taking them into the log, recycling them.
 *
 * Names: `<sequence, 16 hex digits>.wal` is the log; `spare-<n>` is zeroed or recycled and belongs to nothing; `making-<n>`
 * is being zeroed and is thrown away at the next start.
 * - S1 A segment gets its log name after its header is durable: a `.wal` file with a bad header is always corruption.
 * - S2 Each rename and removal is followed by a sync of the directory, oldest segment first: a power cut leaves no hole.
 */
import { randomBytes } from 'node:crypto';
import { invariant } from '../../errors.ts';
import type { Lsn } from '../../table-def.ts';
import { isDiskFull, type LogDisk, type LogFile } from './log-disk.ts';
import { BLOCK_BYTES, encodeSegmentHeader, type Position, type SegmentHeader } from './log-format.ts';
import type { Segment } from './log-reader.ts';

const SPARES_MAX = 2;
/** Small, so that a commit that comes while a segment is made waits for one such write and seldom for a sync. */
const ZERO_STEP_BYTES = 2 ** 18;
/** A sync for each step made 64 MB in 0.2 to 0.9 s, one for all in 0.06 s but as one long wait; 16 of them in 0.07 s. */
const ZERO_SYNC_BYTES = 2 ** 22;
const ZEROES = new Uint8Array(ZERO_STEP_BYTES);

export const segmentName = (sequence: number): string => `${sequence.toString(16).padStart(16, '0')}.wal`;

export class SegmentStore {
  readonly #disk: LogDisk;
  readonly #segmentBytes: number;
  readonly #logId: string;
  #live: readonly Segment[];
  readonly #spares: string[];
  #making: { readonly name: string; readonly file: LogFile; done: number } | null = null;
  #nextSpare: number;
  #file: LogFile | null = null;

  constructor(disk: LogDisk, segmentBytes: number, logId: string, live: readonly Segment[], spares: readonly string[]) {
    this.#disk = disk;
    this.#segmentBytes = segmentBytes;
    this.#logId = logId;
    this.#live = live;
    this.#spares = [...spares];
    this.#nextSpare = Math.max(0, ...spares.map((name) => Number(name.slice('spare-'.length)))) + 1;
    const newest = live.at(-1);
    if (newest !== undefined) this.#file = disk.open(newest.name, false);
  }

  /** Oldest first; the newest is being written. */
  get live(): readonly Segment[] {
    return this.#live;
  }

  get current(): { readonly segment: Segment; readonly file: LogFile } {
    const segment = this.#live.at(-1);
    invariant(segment !== undefined && this.#file !== null, 'the log has a segment');
    return { segment, file: this.#file };
  }

  /** Of all files, spare ones too. */
  get bytes(): number {
    return this.#sum(Infinity) + this.#spares.length * this.#segmentBytes;
  }

  /** What wal.max_size is for: a newest segment from a time of larger ones counts as one of today's, for no trim makes it smaller. */
  get liveBytes(): number {
    return this.#sum(this.#segmentBytes);
  }

  #sum(newestMax: number): number {
    return this.#live.reduce((sum, { header }, i) => {
      const newest = i === this.#live.length - 1;
      return sum + (newest ? Math.min(header.segmentBytes, newestMax) : header.segmentBytes);
    }, 0);
  }

  /**
   * The log goes on in a new segment; what lies behind `previous` is void from now on.
   * @throws ENOSPC when there is no spare and no room to make one; nothing has changed then
   */
  activate(previous: Position, firstLsn: Lsn, inside: boolean): void {
    while (this.#spares.length === 0) this.#zeroStep();
    const header: SegmentHeader = {
      logId: this.#logId,
      segmentId: randomBytes(16).toString('hex'),
      sequence: (this.#live.at(-1)?.header.sequence ?? 0) + 1,
      firstLsn,
      previous,
      segmentBytes: this.#segmentBytes,
      inside,
    };
    const spare = this.#spares[0]!;
    const name = segmentName(header.sequence);
    const file = this.#disk.open(spare, false);
    try {
      file.write([encodeSegmentHeader(header)], 0);
      file.sync();
      this.#disk.rename(spare, name);
      this.#disk.syncDir();
    } catch (error) {
      file.close();
      throw error;
    }
    this.#file?.close();
    this.#file = file;
    this.#spares.shift();
    this.#live = [...this.#live.filter((segment) => segment.header.sequence <= previous.sequence), { name, header }];
  }

  get hasSpare(): boolean {
    return this.#spares.length > 0;
  }

  /** A step or more towards a spare segment, about `bytes` of it; Infinity: all of it, now. False: there is nothing to do. @throws ENOSPC */
  prepare(offset: number, bytes: number): boolean {
    const soon = offset > this.#segmentBytes / 4 || bytes === Infinity;
    if (!soon) return false;
    for (let done = 0; this.#spares.length === 0; done += ZERO_STEP_BYTES) {
      if (done > 0 && done >= bytes) return true;
      this.#zeroStep();
    }
    return false;
  }

  /**
   * All spare segments for groups of these sizes, the first of which begins at `offset` of the newest segment.
   * @throws ENOSPC: those that were made for them are gone again
   */
  reserve(offset: number, groups: readonly number[]): void {
    let left = this.current.segment.header.segmentBytes - offset;
    let wanted = 0;
    for (const bytes of groups) {
      if (bytes > left) {
        wanted++;
        left = this.#segmentBytes - BLOCK_BYTES;
      }
      left -= bytes;
    }
    const before = this.#spares.length;
    try {
      while (this.#spares.length < wanted) this.#zeroStep();
    } catch (error) {
      for (const name of this.#spares.splice(before)) this.#disk.remove(name);
      throw error;
    }
  }

  #zeroStep(): void {
    try {
      if (this.#making === null) {
        const name = `making-${this.#nextSpare}`;
        this.#making = { name, file: this.#disk.open(name, true), done: 0 };
      }
      const { name, file, done } = this.#making;
      const step = Math.min(ZERO_STEP_BYTES, this.#segmentBytes - done);
      file.write([ZEROES.subarray(0, step)], done);
      this.#making.done += step;
      if (this.#making.done % ZERO_SYNC_BYTES === 0 || this.#making.done === this.#segmentBytes) file.sync();
      if (this.#making.done < this.#segmentBytes) return;
      const spare = `spare-${this.#nextSpare}`;
      this.#disk.rename(name, spare);
      this.#disk.syncDir();
      file.close();
      this.#making = null;
      this.#nextSpare++;
      this.#spares.push(spare);
    } catch (error) {
      // half a segment is of no use to us, but its bytes may be to those that must free room
      if (isDiskFull(error)) this.#abandon();
      throw error;
    }
  }

  #abandon(): void {
    if (this.#making === null) return;
    this.#making.file.close();
    this.#disk.remove(this.#making.name);
    this.#making = null;
  }

  /** Drops segments before number `keepFrom` that hold only LSNs below `to`, oldest first; the newest stays. */
  trim(to: Lsn, keepFrom: number): void {
    while (this.#live.length > 1 && this.#live[1]!.header.firstLsn <= to) {
      const oldest = this.#live[0]!;
      if (oldest.header.sequence >= keepFrom) return;
      const keep = this.#spares.length < SPARES_MAX && oldest.header.segmentBytes === this.#segmentBytes;
      const spare = `spare-${this.#nextSpare}`;
      const spared = keep && this.#making === null;
      if (spared) {
        this.#nextSpare++;
        this.#disk.rename(oldest.name, spare);
      } else this.#disk.remove(oldest.name);
      this.#live = this.#live.slice(1); // whatever the sync says: the file has another name now, or none
      this.#disk.syncDir();
      if (spared) this.#spares.push(spare);
    }
  }

  /** Zeroes the current segment from `offset` on, where it is not zero, so that nothing there ever validates. */
  zeroFrom(offset: number): void {
    const { segment, file } = this.current;
    const end = segment.header.segmentBytes;
    const piece = Buffer.alloc(ZERO_STEP_BYTES);
    for (let at = offset; at < end; at += ZERO_STEP_BYTES) {
      const bytes = piece.subarray(0, Math.min(ZERO_STEP_BYTES, end - at));
      const got = file.read(bytes, at);
      if (got === bytes.length && bytes.equals(ZEROES.subarray(0, bytes.length))) continue;
      file.write([ZEROES.subarray(0, bytes.length)], at);
    }
    file.sync();
  }

  close(): void {
    this.#abandon();
    this.#file?.close();
    this.#file = null;
  }
}
