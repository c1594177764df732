/**
 * A stream on main (H1): frames are put together in buffers that go to the log's thread and come back to be filled again, so
 * that a transaction's batches may go their own way meanwhile.
 */
import type { Lsn } from '../../table-def.ts';
import type { LogStream } from './log-api.ts';
import {
  encodeFrameHeader,
  encodeStreamReference,
  FRAME_HEADER_BYTES,
  frameBytesTotal,
  STREAM_HEADER_BYTES,
  viewOf,
} from './log-format.ts';

/** More than this on its way, of all streams, and writers wait. */
const STREAMING_BYTES_MAX = 2 ** 24;
const BUFFER_STEP_BYTES = 2 ** 20;
const BUFFERS_KEPT = 4;

/** What a stream asks of the log. */
export interface StreamPort {
  write(number: number, seed: number, frame: Uint8Array<ArrayBuffer>): void;
  seal(number: number): Promise<void>;
  committed(number: number, lsn: Lsn): void;
  discard(number: number): void;
}

/** The bytes on their way, and buffers between two ways. */
export class StreamBuffers {
  /** Handed over and not yet written. */
  bytes = 0;
  readonly #kept: ArrayBuffer[] = [];
  #waiting: (() => void)[] = [];
  #failed = false;

  take(bytes: number): Uint8Array<ArrayBuffer> {
    const found = this.#kept.findIndex((buffer) => buffer.byteLength >= bytes);
    const [kept] = found < 0 ? [] : this.#kept.splice(found, 1);
    const size = Math.ceil(bytes / BUFFER_STEP_BYTES) * BUFFER_STEP_BYTES;
    return new Uint8Array(kept ?? new ArrayBuffer(size), 0, bytes);
  }

  /** Written: the buffer is back. */
  give(frame: Uint8Array<ArrayBuffer>): void {
    this.bytes -= frame.length;
    if (this.#kept.length < BUFFERS_KEPT) this.#kept.push(frame.buffer);
    if (this.bytes === 0) this.#kept.length = Math.min(this.#kept.length, 1);
    if (this.bytes <= STREAMING_BYTES_MAX) this.#wake();
  }

  /** Nothing comes back any more. */
  fail(): void {
    this.#failed = true;
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Undefined: there is room at once. */
  room(): Promise<void> | undefined {
    if (this.#failed || this.bytes <= STREAMING_BYTES_MAX) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

export class StreamWriter implements LogStream {
  rows = 0;
  readonly #number: number;
  readonly #seed: number;
  readonly #buffers: StreamBuffers;
  readonly #port: StreamPort;
  #bytes = STREAM_HEADER_BYTES;
  #ended = false;

  /** @param seed not 0, random: no other file of the number has it */
  constructor(number: number, seed: number, buffers: StreamBuffers, port: StreamPort) {
    this.#number = number;
    this.#seed = seed;
    this.#buffers = buffers;
    this.#port = port;
  }

  get reference(): Uint8Array {
    return encodeStreamReference({ number: this.#number, bytes: this.#bytes, rows: this.rows, seed: this.#seed });
  }

  push(count: number, parts: readonly Uint8Array[]): Promise<void> | undefined {
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    const frame = this.#buffers.take(frameBytesTotal(bytes));
    encodeFrameHeader(viewOf(frame), { kind: 'data', firstLsn: 0, count, transaction: 0, last: false }, bytes);
    let at = FRAME_HEADER_BYTES;
    for (const part of parts) {
      frame.set(part, at);
      at += part.length;
    }
    frame.fill(0, at);
    this.rows += count;
    this.#bytes += frame.length;
    this.#buffers.bytes += frame.length;
    this.#port.write(this.#number, this.#seed, frame);
    return this.#buffers.room();
  }

  seal(): Promise<void> {
    return this.#port.seal(this.#number);
  }

  committed(lsn: Lsn): void {
    this.#ended = true;
    this.#port.committed(this.#number, lsn);
  }

  discard(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#port.discard(this.#number);
  }
}
