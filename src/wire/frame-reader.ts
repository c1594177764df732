/**
 * Cuts the client's byte stream into messages, for any split of the stream.
 *
 * Message = `type u8 | length i32 (counts itself) | body`; a start-up packet has no type byte. Big-endian.
 * - R1 A body is a view that stays unchanged for as long as somebody holds it: bytes once received are never moved in
 *   place or overwritten, so a Bind may wait for a promise while more input arrives.
 * - R2 Each byte is copied at most twice on average, whatever the split: buffers double.
 * - R3 Memory follows the bytes received, not the length that a message claims; an idle reader holds none.
 * - R4 CopyData is handed out as it comes, in parts of type `d` again: a stream whose message bounds mean nothing is not
 *   put together.
 */
import { SqlError, SqlState } from '../errors.ts';

const NO_BYTES = new Uint8Array(0);
const STARTUP_BYTES_MAX = 10_000;
/** PostgreSQL's PQ_SMALL_MESSAGE_LIMIT, for messages that carry a name at most. */
const SMALL_MESSAGE_BYTES_MAX = 10_000;
const HEADER_BYTES = 5;
const COPY_DATA = 'd'.charCodeAt(0);

/** 0: no message of the protocol, 1: small, 2: large. */
const LIMIT_CLASS = new Uint8Array(256);
for (const type of 'CDEHSXcf') LIMIT_CLASS[type.charCodeAt(0)] = 1;
for (const type of 'QPBFdp') LIMIT_CLASS[type.charCodeAt(0)] = 2;

function violation(message: string): SqlError {
  return new SqlError(SqlState.protocolViolation, message, { severity: 'FATAL' });
}

export class FrameReader {
  /** The message that `next` found: its type and the bounds of its body in `bytes`, the end exclusive. */
  type = 0;
  bytes: Uint8Array = NO_BYTES;
  start = 0;
  end = 0;

  readonly #messageBytesMax: number;
  #buffer: Uint8Array = NO_BYTES;
  #owned = false;
  #at = 0;
  #filled = 0;
  /** Bytes to come of a CopyData of which a part has been handed out. */
  #copyRest = 0;

  constructor(messageBytesMax = 256 * 1024 * 1024) {
    this.#messageBytesMax = messageBytesMax;
  }

  /** Bytes received and not yet handed out. */
  get buffered(): number {
    return this.#filled - this.#at;
  }

  /** Bytes of its buffer. */
  get heldBytes(): number {
    return this.#buffer.length;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    const left = this.buffered;
    if (left === 0) {
      this.#buffer = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
      this.#owned = false;
      this.#at = 0;
      this.#filled = chunk.length;
      return;
    }
    if (!this.#owned || this.#filled + chunk.length > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(left * 2, left + chunk.length, 512));
      const bytes = new Uint8Array(grown.buffer);
      bytes.set(this.#buffer.subarray(this.#at, this.#filled));
      this.#buffer = bytes;
      this.#owned = true;
      this.#at = 0;
      this.#filled = left;
    }
    this.#buffer.set(chunk, this.#filled);
    this.#filled += chunk.length;
  }

  /** @throws {SqlError} FATAL 08P01 for an unknown type or a length out of bounds; the stream is then lost. */
  next(): boolean {
    const at = this.#at;
    const available = this.#filled - at;
    if (available === 0) return this.#release();
    if (this.#copyRest > 0) {
      const end = at + Math.min(available, this.#copyRest);
      this.#copyRest -= end - at;
      this.#hand(COPY_DATA, at, end);
      return true;
    }
    const type = this.#buffer[at]!;
    const limit = LIMIT_CLASS[type]!;
    if (limit === 0) throw violation(`invalid frontend message type ${type}`);
    if (available < HEADER_BYTES) return false;
    const length = int32(this.#buffer, at + 1);
    if (length < 4 || length > (limit === 1 ? SMALL_MESSAGE_BYTES_MAX : this.#messageBytesMax)) {
      throw violation('invalid message length');
    }
    if (available < length + 1) {
      if (type !== COPY_DATA || available === HEADER_BYTES) return false;
      this.#copyRest = length + 1 - available;
      this.#hand(type, at + HEADER_BYTES, this.#filled);
      return true;
    }
    this.#hand(type, at + HEADER_BYTES, at + 1 + length);
    return true;
  }

  /** @throws {SqlError} FATAL 08P01 for a length out of bounds. */
  nextStartup(): boolean {
    const at = this.#at;
    const available = this.#filled - at;
    if (available < 4) return available === 0 && this.#release();
    const length = int32(this.#buffer, at);
    if (length < 8 || length > STARTUP_BYTES_MAX) throw violation('invalid length of startup packet');
    if (available < length) return false;
    this.#hand(0, at + 4, at + length);
    return true;
  }

  /** Forgets everything: the connection is over. */
  clear(): void {
    this.#copyRest = 0;
    this.#at = this.#filled;
    this.#release();
  }

  #hand(type: number, start: number, end: number): void {
    this.type = type;
    this.bytes = this.#buffer;
    this.start = start;
    this.end = end;
    this.#at = end;
  }

  /** R3: the buffers go as soon as nothing is left in them. */
  #release(): false {
    if (this.#filled !== 0) {
      this.#buffer = NO_BYTES;
      this.bytes = NO_BYTES;
      this.#owned = false;
      this.#at = 0;
      this.#filled = 0;
    }
    return false;
  }
}

function int32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
