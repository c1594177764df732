/** A growable byte buffer for messages: doubles, never copies per value, reused after `take`. Big-endian integers. */
export class ByteWriter {
  bytes: Uint8Array;
  length = 0;
  #view: DataView;

  constructor(capacity = 4096) {
    this.bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** Makes room for `count` more bytes; after it `bytes` may be written directly at `length`. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    let capacity = this.bytes.length * 2;
    while (capacity < needed) capacity *= 2;
    const grown = new Uint8Array(capacity);
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  u8(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  i16(value: number): void {
    this.reserve(2);
    this.#view.setInt16(this.length, value);
    this.length += 2;
  }

  i32(value: number): void {
    this.reserve(4);
    this.#view.setInt32(this.length, value);
    this.length += 4;
  }

  f32(value: number): void {
    this.reserve(4);
    this.#view.setFloat32(this.length, value);
    this.length += 4;
  }

  f64(value: number): void {
    this.reserve(8);
    this.#view.setFloat64(this.length, value);
    this.length += 8;
  }

  /** Writes over four bytes already written, for lengths known late. */
  setI32(at: number, value: number): void {
    this.#view.setInt32(at, value);
  }

  raw(src: Uint8Array, start = 0, end = src.length): void {
    const count = end - start;
    this.reserve(count);
    if (count <= LOOP_BYTES_MAX) {
      const { bytes } = this;
      let at = this.length;
      for (let i = start; i < end; i++) bytes[at++] = src[i]!;
    } else {
      this.bytes.set(src.subarray(start, end), this.length);
    }
    this.length += count;
  }

  ascii(text: string): void {
    this.reserve(text.length);
    let at = this.length;
    for (let i = 0; i < text.length; i++) this.bytes[at++] = text.charCodeAt(i);
    this.length = at;
  }

  utf8(text: string): void {
    this.reserve(text.length * 3);
    if (text.length <= LOOP_BYTES_MAX) {
      const { bytes } = this;
      let at = this.length;
      for (let i = 0; i < text.length; i++) {
        const code = text.charCodeAt(i);
        if (code >= 0x80) return this.#encode(text);
        bytes[at++] = code;
      }
      this.length = at;
    } else this.#encode(text);
  }

  #encode(text: string): void {
    this.length += encoder.encodeInto(text, this.bytes.subarray(this.length)).written;
  }

  /** The bytes written so far, as a buffer of their own; the writer is empty again. */
  take(): Uint8Array<ArrayBuffer> {
    const out = this.bytes.slice(0, this.length) as Uint8Array<ArrayBuffer>;
    this.length = 0;
    return out;
  }

  /** The same for a row or two: copies of that size come out of Node's pool, for an array of its own costs more than they do. */
  takeSmall(): Uint8Array {
    if (this.length > POOLED_BYTES_MAX) {
      const { bytes, length } = this;
      this.#begin(POOLED_BYTES_MAX);
      return bytes.subarray(0, length);
    }
    const out = Buffer.from(this.bytes.subarray(0, this.length));
    this.length = 0;
    return out;
  }

  #begin(capacity: number): void {
    this.bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.bytes.buffer);
    this.length = 0;
  }
}

/** Up to here a loop is done before a call of the system's copy has begun. */
const LOOP_BYTES_MAX = 96;
const POOLED_BYTES_MAX = 4096;

const encoder = new TextEncoder();
