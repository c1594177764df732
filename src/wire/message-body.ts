/**
 * Reads the fields of one frontend message. Every read is checked against the body's end, and what does not fit
 * leaves as PostgreSQL's 08P01: an error of that message, not of the session.
 *
 * Strings are UTF-8 and end with a zero byte; integers are big-endian.
 */
import { isUtf8 } from 'node:buffer';
import { SqlError, SqlState } from '../errors.ts';

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export class MessageBody {
  readonly bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  u8(): number {
    return this.bytes[this.#take(1)]!;
  }

  u16(): number {
    const at = this.#take(2);
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  i32(): number {
    const at = this.#take(4);
    const bytes = this.bytes;
    return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  }

  /** An unsigned int32, such as an OID. */
  u32(): number {
    return this.i32() >>> 0;
  }

  /** Where the next `count` bytes start; they are passed over. */
  skip(count: number): number {
    if (count < 0) throw malformed('insufficient data left in message');
    return this.#take(count);
  }

  string(): string {
    const start = this.#at;
    return decodeUtf8(this.bytes, start, this.#zero());
  }

  /** A string that is often the one of the last time: that is then the same object, whose hash is known. */
  name(known: KnownName): string {
    const start = this.#at;
    if (this.bytes[start] === 0 && start < this.#end) {
      this.#at = start + 1;
      return '';
    }
    return known.of(this.bytes, start, this.#zero());
  }

  /** A string as a view of its bytes, which are not looked at. */
  stringBytes(): Uint8Array {
    const start = this.#at;
    return this.bytes.subarray(start, this.#zero());
  }

  /** Goes past the next zero byte; where it is. */
  #zero(): number {
    const zero = this.bytes.indexOf(0, this.#at);
    if (zero < 0 || zero >= this.#end) throw malformed('invalid string in message');
    this.#at = zero + 1;
    return zero;
  }

  /** The message must be used up. */
  done(): void {
    if (this.#at !== this.#end) throw malformed('invalid message format');
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#end - at) throw malformed('insufficient data left in message');
    this.#at = at + count;
    return at;
  }
}

/** A name as it came the last time: names that come by each statement are few. */
export class KnownName {
  #text = '';
  /** Its bytes, where they are its characters. */
  #length = -1;

  of(bytes: Uint8Array, start: number, end: number): string {
    const text = this.#text;
    if (end - start === this.#length) {
      let at = 0;
      while (at < this.#length && bytes[start + at] === text.charCodeAt(at)) at++;
      if (at === this.#length) return text;
    }
    const name = decodeUtf8(bytes, start, end);
    // of other characters than ASCII's a byte may be another one's code
    if (name.length === end - start) {
      this.#text = name;
      this.#length = name.length;
    }
    return name;
  }
}

export function malformed(message: string): SqlError {
  return new SqlError(SqlState.protocolViolation, message);
}

/** @throws {SqlError} 22021 */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  if (start === end) return '';
  if (end - start <= 24) {
    let text = '';
    let at = start;
    for (; at < end && bytes[at]! < 0x80; at++) text += String.fromCharCode(bytes[at]!);
    if (at === end) return text;
  }
  const view = bytes.subarray(start, end);
  if (!isUtf8(view)) throw invalidUtf8(view);
  return decoder.decode(view);
}

function invalidUtf8(view: Uint8Array): SqlError {
  let at = 0;
  let width = 1;
  while (at < view.length) {
    const first = view[at]!;
    width = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (!isUtf8(view.subarray(at, at + width))) break;
    at += width;
  }
  const bad = Array.from(view.subarray(at, at + (view[at]! < 0xc0 || view[at]! > 0xf7 ? 1 : width)));
  const shown = bad.map((byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(' ');
  return new SqlError(SqlState.characterNotInRepertoire, `invalid byte sequence for encoding "UTF8": ${shown}`);
}
