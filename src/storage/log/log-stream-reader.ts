/**
 * Reads a stream file back at replay (H1): its frames get the LSNs that the frame which commits them gave. Every frame is
 * checked; what that frame promised and is not there is corruption, for the file was durable before it (T1).
 */
import type { Lsn } from '../../table-def.ts';
import type { LogDisk, LogFile } from './log-disk.ts';
import {
  FRAME_HEADER_BYTES,
  STREAM_HEADER_BYTES,
  checkFrame,
  decodeStreamReference,
  frameBytesTotal,
  frameCount,
  frameFirstLsn,
  frameLength,
  frameTransaction,
  placeFrame,
  viewOf,
  type StreamReference,
} from './log-format.ts';
import { corrupt, type ReplayBatch } from './log-reader.ts';
import { readStreamHeader, streamName } from './log-streams.ts';

const WINDOW_BYTES = 2 ** 21;

export class StreamReader {
  readonly #name: string;
  readonly #reference: StreamReference;
  readonly #transaction: number;
  readonly #file: LogFile;
  readonly #seed: number;
  #offset = STREAM_HEADER_BYTES;
  #lsn: Lsn;
  /** Rows that are still to come. */
  #left: number;
  #closed = false;

  /**
   * Of the frame at `at` in `view`, which is placed anew: it keeps its own deletions, and commits no more.
   * @throws {SqlError} XX001 naming the file
   */
  constructor(disk: LogDisk, logId: string, view: DataView, at: number) {
    const reference = decodeStreamReference(view, at);
    const firstLsn = frameFirstLsn(view, at);
    const deletes = frameCount(view, at) - reference.rows;
    this.#name = streamName(reference.number);
    this.#reference = reference;
    this.#transaction = frameTransaction(view, at);
    this.#lsn = firstLsn + deletes;
    this.#left = reference.rows;
    if (!disk.list().includes(this.#name)) throw corrupt(this.#name, 0, 'a missing stream');
    this.#file = disk.open(this.#name, false);
    const header = readStreamHeader(this.#file, logId, reference.number);
    if (typeof header === 'string') throw this.#damaged(0, header);
    if (reference.seed !== 0 && reference.seed !== header.seed) throw this.#damaged(0, 'a later stream of the number');
    this.#seed = header.seed;
    placeFrame(view, at, { firstLsn, count: deletes, transaction: this.#transaction, last: false });
  }

  /** @returns null at the end */
  next(): ReplayBatch | null {
    if (this.#left === 0) return this.close();
    const { bytes: end } = this.#reference;
    let bytes = this.#read(Math.min(WINDOW_BYTES, end - this.#offset));
    let view = viewOf(bytes);
    if (bytes.length < FRAME_HEADER_BYTES) throw this.#damaged(this.#offset, 'a damaged frame');
    const first = frameBytesTotal(frameLength(view, 0));
    if (first > bytes.length && first <= end - this.#offset) {
      bytes = this.#read(first);
      view = viewOf(bytes);
    }
    const frames: number[] = [];
    let at = 0;
    while (at + FRAME_HEADER_BYTES <= bytes.length && this.#left > 0) {
      const cut = at + frameBytesTotal(frameLength(view, at)) > bytes.length;
      if (cut && frames.length > 0) break;
      const next = checkFrame(bytes, view, at, bytes.length, this.#seed);
      const count = frameCount(view, at);
      if (next < 0 || count === 0 || count > this.#left) throw this.#damaged(this.#offset + at, 'a damaged frame');
      this.#left -= count;
      placeFrame(view, at, { firstLsn: this.#lsn, count, transaction: this.#transaction, last: this.#left === 0 });
      this.#lsn += count;
      frames.push(at);
      at = next;
    }
    this.#offset += at;
    return { bytes, frames };
  }

  close(): null {
    this.#left = 0;
    if (!this.#closed) this.#file.close();
    this.#closed = true;
    return null;
  }

  #read(count: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(Math.max(0, count));
    return bytes.subarray(0, this.#file.read(bytes, this.#offset));
  }

  #damaged(offset: number, what: string): Error {
    this.close();
    return corrupt(this.#name, offset, what);
  }
}
