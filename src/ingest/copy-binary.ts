/**
 * COPY's binary format (PostgreSQL's documentation of COPY, "Binary Format"), from chunks of any split.
 *
 * File = signature 11 bytes | flags i32 | extension length i32 | extension | rows | trailer i16 -1;
 * row = field count i16 | (length i32, -1: NULL | bytes)…. Big-endian.
 * Fields inside one chunk are views into it; a cut one is put together in a buffer that grows with the bytes received,
 * not with the length claimed.
 */
import { SqlError, SqlState } from '../errors.ts';
import { int32At } from '../types/binary-input.ts';
import { ABSENT_NULL, FieldBlock } from '../types/field-block.ts';
import { BLOCK_BYTES } from './copy-blocks.ts';
import {
  badCopy,
  CARRY_BYTES_KEPT,
  COPY_LINE_BYTES_MAX,
  type CopyRowSink,
  type CopyTarget,
  located,
} from './copy-row-sink.ts';

const SIGNATURE = Uint8Array.of(0x50, 0x47, 0x43, 0x4f, 0x50, 0x59, 0x0a, 0xff, 0x0d, 0x0a, 0x00);
const FLAG_OIDS = 1 << 16;
const CRITICAL_FLAGS = 0xffff0000 | 0;

type State = 'signature' | 'flags' | 'extensionLength' | 'extension' | 'row' | 'length' | 'field' | 'end';

export class CopyBinaryParser {
  readonly #target: CopyTarget;
  readonly #sink: CopyRowSink;
  readonly #columns: number;
  #state: State = 'signature';
  /** Bytes that the state needs. */
  #want = SIGNATURE.length;
  #carry: Uint8Array = new Uint8Array(64);
  #carried = 0;
  #row = 0;
  #column = 0;
  /** Whole rows go by blocks where the sink takes them, from a buffer that is looked at when it is full. */
  readonly #block: FieldBlock | null;
  readonly #buffer: Uint8Array<ArrayBuffer>;
  #filled = 0;
  /** The last `#scan` stopped at something that is no row, not at the end of bytes or block. */
  #odd = false;

  constructor(options: CopyTarget, sink: CopyRowSink) {
    this.#target = options;
    this.#sink = sink;
    this.#columns = options.columns.length;
    this.#block = sink.block === undefined || this.#columns === 0 ? null : new FieldBlock(this.#columns);
    this.#buffer = new Uint8Array(this.#block === null ? 0 : BLOCK_BYTES);
    this.#block?.over(this.#buffer);
  }

  get heldBytes(): number {
    return this.#buffer.length + this.#carry.length + (this.#block?.heldBytes ?? 0);
  }

  push(bytes: Uint8Array): void {
    if (this.#block === null) return this.#each(bytes);
    for (let at = 0; at < bytes.length;) {
      const stop = Math.min(bytes.length, at + BLOCK_BYTES - this.#filled);
      this.#buffer.set(bytes.subarray(at, stop), this.#filled);
      this.#filled += stop - at;
      at = stop;
      if (this.#filled === BLOCK_BYTES) this.#takeBlocks(this.#block);
    }
  }

  /** Reads the rows that are whole. */
  takeWhole(): void {
    if (this.#block !== null && this.#filled > 0) this.#takeBlocks(this.#block);
  }

  /** Takes the whole rows that are in the buffer by blocks; the header and what is odd part by part. */
  #takeBlocks(block: FieldBlock): void {
    const end = this.#filled;
    let at = 0;
    while (at < end) {
      let next = at;
      if (this.#state === 'row' && this.#carried === 0) {
        next = this.#scan(block, at, end);
        if (next > at) {
          const part = this.#buffer.subarray(at, next);
          if (this.#sink.block!(block)) this.#row += block.rows;
          else this.#each(part);
        } else if (!this.#odd && (at > 0 || end < BLOCK_BYTES)) break;
      }
      if (next === at) {
        next = this.#state === 'end' ? end : Math.min(end, at + this.#want - this.#carried);
        this.#each(this.#buffer.subarray(at, next));
      }
      at = next;
    }
    this.#buffer.copyWithin(0, at, end);
    this.#filled = end - at;
  }

  /** The whole rows of buffer[from, end), as far as the block takes them; where they end. */
  #scan(block: FieldBlock, from: number, end: number): number {
    const { view, columns, capacity, starts, ends } = block;
    block.clear();
    this.#odd = true;
    let line = from;
    for (let row = 0; row < capacity; row++) {
      let i = line + 2;
      if (i <= end && view.getInt16(line) !== columns) return line;
      const stop = row + columns * capacity;
      for (let at = row; at < stop; at += capacity) {
        const length = i + 4 <= end ? view.getInt32(i) : end;
        i += 4;
        if (length >= 0) {
          if (length > end - i) {
            this.#odd = false;
            return line;
          }
          starts[at] = i;
          ends[at] = i += length;
        } else if (length === -1) {
          starts[at] = ABSENT_NULL;
          block.absent[(at / capacity) | 0]!++;
        } else return line;
      }
      line = i;
      block.rows = row + 1;
    }
    return line;
  }

  /** Part by part: for sinks without blocks, the header, errors, and rows that do not fit the buffer. */
  #each(bytes: Uint8Array): void {
    let at = 0;
    const end = bytes.length;
    for (;;) {
      if (this.#state === 'end') {
        if (at < end) throw this.#error(badCopy('received copy data after EOF marker'));
        return;
      }
      if (this.#carried === 0 && end - at >= this.#want) {
        const start = at;
        at += this.#want;
        this.#take(bytes, start, at);
      } else {
        const count = Math.min(this.#want - this.#carried, end - at);
        this.#append(bytes, at, at + count);
        at += count;
        if (this.#carried < this.#want) return;
        const carried = this.#carried;
        this.#carried = 0;
        this.#take(this.#carry, 0, carried);
        if (this.#carry.length > CARRY_BYTES_KEPT) this.#carry = new Uint8Array(64);
      }
    }
  }

  /** The end of the data; as in PostgreSQL the trailer may be missing. */
  finish(): void {
    if (this.#block !== null) {
      this.#takeBlocks(this.#block);
      this.#each(this.#buffer.subarray(0, this.#filled));
      this.#filled = 0;
    }
    if (this.#state === 'end' || (this.#state === 'row' && this.#carried === 0)) return;
    switch (this.#state) {
      case 'signature':
        throw this.#error(badCopy('COPY file signature not recognized'));
      case 'flags':
        throw this.#error(badCopy('invalid COPY file header (missing flags)'));
      case 'extensionLength':
        throw this.#error(badCopy('invalid COPY file header (missing length)'));
      case 'extension':
        throw this.#error(badCopy('invalid COPY file header (wrong length)'));
      default:
        throw this.#error(badCopy('unexpected EOF in COPY data'));
    }
  }

  /** src[start, end) are the bytes wanted. */
  #take(src: Uint8Array, start: number, end: number): void {
    switch (this.#state) {
      case 'field':
        return this.#field(src, start, end);
      case 'length':
        return this.#length(int32At(src, start));
      case 'row':
        return this.#rowStart(((src[start]! << 24) >> 16) | src[start + 1]!);
      case 'extension':
        return this.#next('row', 2);
      case 'signature':
        for (let i = 0; i < SIGNATURE.length; i++) {
          if (src[start + i] !== SIGNATURE[i]) throw this.#error(badCopy('COPY file signature not recognized'));
        }
        return this.#next('flags', 4);
      case 'flags': {
        const flags = int32At(src, start);
        if ((flags & FLAG_OIDS) !== 0) throw this.#error(badCopy('invalid COPY file header (WITH OIDS)'));
        if ((flags & CRITICAL_FLAGS) !== 0)
          throw this.#error(badCopy('unrecognized critical flags in COPY file header'));
        return this.#next('extensionLength', 4);
      }
      case 'extensionLength': {
        const length = int32At(src, start);
        if (length < 0) throw this.#error(badCopy('invalid COPY file header (missing length)'));
        return this.#next('extension', length);
      }
      case 'end':
        return undefined;
    }
  }

  #next(state: State, want: number): void {
    this.#state = state;
    this.#want = want;
  }

  #rowStart(count: number): void {
    if (count === -1) return this.#next('end', 0);
    this.#row++;
    this.#column = -1;
    if (count !== this.#columns) throw this.#error(badCopy(`row field count is ${count}, expected ${this.#columns}`));
    this.#column = 0;
    if (count === 0) return this.#endRow();
    return this.#next('length', 4);
  }

  #length(length: number): void {
    if (length >= 0) {
      if (length > COPY_LINE_BYTES_MAX) {
        throw this.#error(
          new SqlError(
            SqlState.programLimitExceeded,
            `a field of COPY data is longer than ${COPY_LINE_BYTES_MAX} bytes`,
          ),
        );
      }
      return this.#next('field', length);
    }
    if (length !== -1) throw this.#error(badCopy('invalid field size'));
    try {
      this.#sink.nullField(this.#column);
    } catch (error) {
      throw located(error, this.#where());
    }
    return this.#endField();
  }

  #field(src: Uint8Array, start: number, end: number): void {
    try {
      this.#sink.field(this.#column, src, start, end);
    } catch (error) {
      throw located(error, this.#where());
    }
    this.#endField();
  }

  #endField(): void {
    this.#column++;
    if (this.#column === this.#columns) this.#endRow();
    else this.#next('length', 4);
  }

  #endRow(): void {
    this.#column = -1;
    this.#next('row', 2);
    try {
      this.#sink.endRow(this.#row);
    } catch (error) {
      throw located(error, this.#where());
    }
  }

  #where(): string {
    const name = this.#row > 0 ? this.#target.columns[this.#column] : undefined;
    const line = `COPY ${this.#target.table}, line ${Math.max(this.#row, 1)}`;
    return name === undefined ? line : `${line}, column ${name}`;
  }

  #error(error: SqlError): SqlError {
    return error.with({ where: this.#where() });
  }

  #append(bytes: Uint8Array, start: number, end: number): void {
    const needed = this.#carried + end - start;
    if (needed > this.#carry.length) {
      const grown = new Uint8Array(Math.max(needed, this.#carry.length * 2));
      grown.set(this.#carry.subarray(0, this.#carried));
      this.#carry = grown;
    }
    this.#carry.set(bytes.subarray(start, end), this.#carried);
    this.#carried = needed;
  }
}
