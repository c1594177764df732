/**
 * Cuts the client's byte stream into messages, for any split of the stream.
 *
 * Message = `type u8 | length i32 (counts itself) | body`; a start-up packet has no type byte. Big-endian.
 * - R1 A body is a view that stays unchanged for as long as somebody holds it, so a Bind may wait for a promise while more
 *   input arrives. CopyData alone is good only until the next call here.
 * - R2 A chunk is borrowed: it is copied once, into memory of ours, when its first message other than CopyData is handed
 *   out, or by `keep`. What grows a message beyond that at least doubles it.
 * - R3 Memory follows the bytes received, at most four times, not the length that a message claims; an idle reader holds none.
 *   All readers have one budget for it (`input-budget.ts`).
 * - R4 CopyData is handed out as it comes, in parts of type `d` again: a stream whose message bounds mean nothing is not
 *   put together, and not copied.
 */
import { SqlError, SqlState } from '../errors.ts';
import { int32At } from '../types/binary-input.ts';
import { InputBudget } from './input-budget.ts';

const NO_BYTES = new Uint8Array(0);
const STARTUP_BYTES_MAX = 10_000;
/** PostgreSQL's PQ_SMALL_MESSAGE_LIMIT, for messages that carry a name at most. */
const SMALL_MESSAGE_BYTES_MAX = 10_000;
const HEADER_BYTES = 5;
const COPY_DATA = 'd'.charCodeAt(0);
/** Small chunks of all connections lie side by side in blocks of this size: memory of its own for each costs a collection of garbage all 64 MB. */
const POOL_BYTES = 64 * 1024;
const POOLED_BYTES_MAX = 8 * 1024;

/** 0: no message of the protocol, 1: small, 2: large. */
const LIMIT_CLASS = new Uint8Array(256);
for (const type of 'CDEHSXcfp') LIMIT_CLASS[type.charCodeAt(0)] = 1;
for (const type of 'QPBFd') LIMIT_CLASS[type.charCodeAt(0)] = 2;

function violation(message: string, detail?: string): SqlError {
  return new SqlError(SqlState.protocolViolation, message, {
    severity: 'FATAL',
    ...(detail === undefined ? {} : { detail }),
  });
}

const tooLong = (what: string, length: number, limit: number): string =>
  `${what} says that it has ${length} bytes; the limit is ${limit}.`;

export class FrameReader {
  /** The message that `next` found: its type and the bounds of its body in `bytes`, the end exclusive. */
  type = 0;
  bytes: Uint8Array = NO_BYTES;
  start = 0;
  end = 0;

  /** Longest Query, Parse, Bind or CopyData message. */
  messageBytesMax: number;
  #buffer: Uint8Array = NO_BYTES;
  #at = 0;
  #filled = 0;
  /** Up to where the buffer is ours to fill; -1: it is borrowed. */
  #room = 0;
  /** Bytes to come of a CopyData of which a part has been handed out. */
  #copyRest = 0;

  readonly #budget: InputBudget;
  /** Of the budget. */
  #counted = 0;

  constructor(messageBytesMax = 256 * 1024 * 1024, budget = new InputBudget()) {
    this.messageBytesMax = messageBytesMax;
    this.#budget = budget;
  }

  /** Bytes received and not yet handed out. */
  get buffered(): number {
    return this.#filled - this.#at;
  }

  /** Bytes of its memory. */
  get heldBytes(): number {
    return Math.max(0, this.#room - this.#at);
  }

  /** The first `length` bytes, which may be used again after `keep`. @throws {SqlError} FATAL 53200 by the budget, as `keep` and `next` */
  push(bytes: Uint8Array, length = bytes.length): void {
    const left = this.buffered;
    if (left === 0) {
      this.#count(0);
      this.#buffer = bytes;
      this.#at = 0;
      this.#filled = length;
      this.#room = -1;
      return;
    }
    if (this.#filled + length > this.#room) this.#move(Math.max(left * 2, left + length, this.#wanted(left + length)));
    this.#buffer.set(length === bytes.length ? bytes : bytes.subarray(0, length), this.#filled);
    this.#filled += length;
  }

  /** What is left of the bytes pushed is copied: they may now be used again. */
  keep(): void {
    const left = this.buffered;
    if (this.#room >= 0) return;
    if (left === 0) this.#release();
    else this.#move(this.#wanted(left));
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
    const length = int32At(this.#buffer, at + 1);
    const longest = limit === 1 ? SMALL_MESSAGE_BYTES_MAX : this.messageBytesMax;
    if (length < 4 || length > longest) {
      const what = `A message of type ${String.fromCharCode(type)}`;
      throw violation('invalid message length', length < 4 ? undefined : tooLong(what, length, longest));
    }
    if (available < length + 1) {
      if (type !== COPY_DATA || available === HEADER_BYTES) return false;
      this.#copyRest = length + 1 - available;
      this.#hand(type, at + HEADER_BYTES, this.#filled);
      return true;
    }
    if (type === COPY_DATA || this.#room >= 0) this.#hand(type, at + HEADER_BYTES, at + 1 + length);
    else {
      this.#move(available);
      this.#hand(type, this.#at + HEADER_BYTES, this.#at + 1 + length);
    }
    return true;
  }

  /** @throws {SqlError} FATAL 08P01 for a length out of bounds. */
  nextStartup(): boolean {
    const at = this.#at;
    const available = this.#filled - at;
    if (available < 4) return available === 0 && this.#release();
    const length = int32At(this.#buffer, at);
    if (length < 8 || length > STARTUP_BYTES_MAX) {
      const detail = length < 8 ? undefined : tooLong('The packet', length, STARTUP_BYTES_MAX);
      throw violation('invalid length of startup packet', detail);
    }
    if (available < length) return false;
    this.#hand(0, at + 4, at + length);
    return true;
  }

  /** The first byte that is not handed out yet; -1: there is none. */
  get first(): number {
    return this.buffered === 0 ? -1 : this.#buffer[this.#at]!;
  }

  /** All bytes not handed out yet, as memory of the caller's. */
  takeAll(): Uint8Array {
    const bytes = this.#buffer.slice(this.#at, this.#filled);
    this.clear();
    return bytes;
  }

  /** Forgets everything: the connection is over. */
  clear(): void {
    this.#copyRest = 0;
    this.#at = this.#filled;
    this.#release();
  }

  /** Room for the message under way, so that it is moved once; R3 bounds what its length may claim. */
  #wanted(bytes: number): number {
    if (this.#copyRest > 0 || this.buffered < HEADER_BYTES) return bytes;
    const length = int32At(this.#buffer, this.#at + 1) + 1;
    return Math.max(bytes, Math.min(length, bytes * 4));
  }

  /** What is left moves to other memory of ours, with room for `bytes` in all. */
  #move(bytes: number): void {
    const left = this.buffered;
    let to: Uint8Array;
    let at = 0;
    this.#count(bytes <= POOLED_BYTES_MAX ? 0 : bytes);
    if (bytes <= POOLED_BYTES_MAX) {
      if (pool.length - poolUsed < bytes) {
        pool = newBytes(POOL_BYTES);
        poolUsed = 0;
      }
      to = pool;
      at = poolUsed;
      poolUsed += bytes;
    } else to = newBytes(bytes);
    to.set(this.#buffer.subarray(this.#at, this.#filled), at);
    this.#buffer = to;
    this.#at = at;
    this.#filled = at + left;
    this.#room = at + bytes;
  }

  /** The buffer takes so many bytes from now on. */
  #count(bytes: number): void {
    if (bytes > this.#counted) this.#budget.take(bytes - this.#counted);
    else this.#budget.giveBack(this.#counted - bytes);
    this.#counted = bytes;
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
    if (this.#counted !== 0) this.#count(0);
    if (this.#filled !== 0) {
      this.#buffer = NO_BYTES;
      this.bytes = NO_BYTES;
      this.#room = 0;
      this.#at = 0;
      this.#filled = 0;
    }
    return false;
  }
}

let pool: Uint8Array = NO_BYTES;
let poolUsed = 0;

/** Not cleared: they are written before they are read. */
function newBytes(length: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
}
