/**
 * Stream files: what a large transaction writes while it runs (H1), on the thread's side. Its rows go to a file of their own,
 * beside the segments, without LSNs; the frame that commits it (kind `stream`) names the file and gives the LSNs. So its
 * commit is as short as any other, and nobody waits for its bytes.
 *
 *   file    `stream-<number, 16 hex digits>`: header `magic 8 | crc32 u32 (of 12…64) | version u32 | log-id 16 | number u64 |
 *           seed u32 | 0 …` 64 bytes, then frames as in a group (log-format.ts), their CRCs seeded by `seed`, first LSN 0
 *   payload of the frame that commits: `number u64 | bytes of the file u64 | rows in the file u32 | seed u32`, then sections
 *
 * - T1 The file and its name are durable before the frame that names it is appended.
 * - T2 A file goes when its transaction is in Iceberg, or the frame that names it is gone: as long as a replay may meet that
 *   frame, the rows behind it are there. One that a start finds counts as ending where the
 *   log ends: whether a frame names it is not looked for.
 * - T3 A file that cannot be written fails its transaction, never the log.
 */
import { crc32 } from 'node:zlib';
import { invariant } from '../../errors.ts';
import type { Lsn } from '../../table-def.ts';
import type { LogDisk, LogFile } from './log-disk.ts';
import {
  decodeStreamHeader,
  encodeStreamHeader,
  frameLength,
  STREAM_HEADER_BYTES,
  viewOf,
  type StreamReference,
} from './log-format.ts';
import { FRAME_HEADER_BYTES } from './log-format.ts';

/** Written and not synced: the sync at the end is short, and so is each on the way. */
const UNSYNCED_BYTES_MAX = 2 ** 23;

export const STREAM_NAME = /^stream-[0-9a-f]{16}$/;
export const streamName = (number: number): string => `stream-${number.toString(16).padStart(16, '0')}`;
export const streamNumber = (name: string): number => Number.parseInt(name.slice('stream-'.length), 16);

interface OpenStream {
  readonly file: LogFile;
  readonly seed: number;
  bytes: number;
  unsynced: number;
}

export class StreamFiles {
  readonly #disk: LogDisk;
  readonly #logId: string;
  readonly #open = new Map<number, OpenStream>();
  readonly #failed = new Map<number, Error>();
  /** Sealed: bytes, and the last LSN of the transaction; infinite while it is not committed. */
  readonly #sealed = new Map<number, { readonly bytes: number; lsn: Lsn }>();

  /** @param found names of files that are there; @param lastLsn the end of the log that they belong to */
  constructor(disk: LogDisk, logId: string, found: readonly string[], lastLsn: Lsn) {
    this.#disk = disk;
    this.#logId = logId;
    for (const name of found) {
      const file = disk.open(name, false);
      this.#sealed.set(streamNumber(name), { bytes: file.size(), lsn: lastLsn });
      file.close();
    }
  }

  /** Of those that are sealed: main counts what it sends to the others. */
  get sealedBytes(): number {
    let bytes = 0;
    for (const each of this.#sealed.values()) bytes += each.bytes;
    return bytes;
  }

  /** Of files whose transactions end at or after `from` and before `to`; those under way count as the newest. */
  bytesBetween(from: Lsn, to: Lsn): number {
    let bytes = 0;
    for (const each of this.#sealed.values())
      if (each.lsn >= from && (each.lsn < to || to === Infinity)) bytes += each.bytes;
    if (to === Infinity) for (const each of this.#open.values()) bytes += each.bytes;
    return bytes;
  }

  /** Numbers from here on are free. */
  get next(): number {
    return Math.max(0, ...this.#sealed.keys()) + 1;
  }

  /** Adds one frame, whose CRC it fills in. What goes wrong is said by `seal`. */
  write(number: number, seed: number, frame: Uint8Array): void {
    if (this.#failed.has(number)) return;
    try {
      const stream = this.#open.get(number) ?? this.#create(number, seed);
      const view = viewOf(frame);
      view.setUint32(0, crc32(frame.subarray(4, FRAME_HEADER_BYTES + frameLength(view, 0)), stream.seed), true);
      stream.file.write([frame], stream.bytes);
      stream.bytes += frame.length;
      stream.unsynced += frame.length;
      if (stream.unsynced < UNSYNCED_BYTES_MAX) return;
      stream.file.sync();
      stream.unsynced = 0;
    } catch (error) {
      this.discard(number); // its bytes may be what others need
      this.#failed.set(number, error instanceof Error ? error : new Error(String(error)));
    }
  }

  #create(number: number, seed: number): OpenStream {
    const file = this.#disk.open(streamName(number), true);
    const stream = { file, seed, bytes: STREAM_HEADER_BYTES, unsynced: 0 };
    this.#open.set(number, stream);
    file.write([encodeStreamHeader({ logId: this.#logId, number, seed })], 0);
    return stream;
  }

  /** Makes the file and its name durable (T1). @throws what the disk threw, here or before */
  seal(number: number): void {
    const error = this.#failed.get(number);
    this.#failed.delete(number);
    if (error !== undefined) throw error;
    const stream = this.#open.get(number);
    invariant(stream !== undefined, 'a stream that is sealed was written');
    try {
      stream.file.sync();
      this.#disk.syncDir();
    } catch (thrown) {
      this.discard(number);
      throw thrown;
    }
    stream.file.close();
    this.#open.delete(number);
    this.#sealed.set(number, { bytes: stream.bytes, lsn: Infinity });
  }

  /** The frame that names it is in the log. */
  committed(number: number, lsn: Lsn): void {
    const sealed = this.#sealed.get(number);
    if (sealed !== undefined) sealed.lsn = lsn;
  }

  /** The transaction is rolled back. @returns whether its file was sealed */
  discard(number: number): boolean {
    this.#failed.delete(number);
    const stream = this.#open.get(number);
    const isSealed = this.#sealed.delete(number);
    if (stream === undefined && !isSealed) return false;
    this.#open.delete(number);
    try {
      stream?.file.close();
      this.#disk.remove(streamName(number));
    } catch {
      // it is named by nothing, and the next start finds it (T2)
    }
    return isSealed;
  }

  /** Removes files of transactions that end below `to`. */
  trim(to: Lsn): void {
    let removed = false;
    for (const [number, { lsn }] of this.#sealed) {
      if (lsn >= to) continue;
      this.#disk.remove(streamName(number));
      this.#sealed.delete(number);
      removed = true;
    }
    if (removed) this.#disk.syncDir();
  }

  /** Transactions under way are gone with the process. */
  close(): void {
    for (const number of [...this.#open.keys()]) this.discard(number);
  }
}

/** Whether the file that a frame names is there: numbers of files that were trimmed are given again. */
export function isStreamThere(disk: LogDisk, logId: string, { number, seed }: StreamReference): boolean {
  const name = streamName(number);
  if (!disk.list().includes(name)) return false;
  const file = disk.open(name, false);
  try {
    const header = readStreamHeader(file, logId, number);
    return typeof header !== 'string' && (seed === 0 || header.seed === seed);
  } finally {
    file.close();
  }
}

/** The header of a stream file that belongs to this log; a text when it is none. */
export function readStreamHeader(file: LogFile, logId: string, number: number): { readonly seed: number } | string {
  const bytes = new Uint8Array(STREAM_HEADER_BYTES);
  const got = file.read(bytes, 0);
  const header = decodeStreamHeader(bytes.subarray(0, got));
  if (typeof header === 'string') return header;
  if (header.logId !== logId || header.number !== number) return 'the header of another stream file';
  return header;
}
