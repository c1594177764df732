/**
 * Builds one DuckDB vector of up to 2,048 rows out of Arrow-layout pieces, with one copy per piece and one native call per
 * column: scratch arrays are filled, thinned out where rows are deleted, and copied into the vector.
 *
 * Strings: the piece's bytes are assigned once as element 0, the vector's heap then holds them; every row's 16-byte
 * string_t (u32 length; up to 12 bytes inline, else 4 bytes of prefix and a pointer) is computed here and copied over.
 * That is DuckDB's private layout, so `bulkStringsWork` proves it at start, and one call per string is the way otherwise.
 */
import duckdb from '@duckdb/node-bindings';
import { SqlError, SqlState } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import type { Physical } from '../types/column-vector.ts';
import { isWideNumeric, numericModifier, Oid, physicalOf } from '../types/pg-type.ts';
import { CHUNK_ROWS } from './row-source.ts';

/** Rows [from, from + count) of one column; only the arrays that `physical` uses are read. Floats lie in `words`. */
export interface Piece {
  readonly validity: Uint8Array | null;
  readonly bits: Uint8Array;
  readonly words: Int32Array;
  readonly heap: Uint8Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

export interface VectorBuilder {
  readonly physical: Physical;
  reset(): void;
  append(piece: Piece, from: number, count: number, at: number): void;
  nulls(count: number, at: number): void;
  /** Keeps the rows kept[0, count), which rise. */
  keep(kept: Int32Array, count: number): void;
  flush(vector: duckdb.Vector, rows: number): void;
}

export interface StringMode {
  bulk: boolean;
}

export function logicalType(type: PgType): duckdb.LogicalType {
  const T = duckdb.Type;
  switch (type.oid) {
    case Oid.bool:
      return duckdb.create_logical_type(T.BOOLEAN);
    case Oid.int2:
    case Oid.int4:
      return duckdb.create_logical_type(T.INTEGER);
    case Oid.int8:
    case Oid.oid:
      return duckdb.create_logical_type(T.BIGINT);
    case Oid.float4:
      return duckdb.create_logical_type(T.FLOAT);
    case Oid.float8:
      return duckdb.create_logical_type(T.DOUBLE);
    case Oid.numeric: {
      if (isWideNumeric(type)) return duckdb.create_logical_type(T.VARCHAR);
      const { precision, scale } = numericModifier(type.typmod)!;
      return duckdb.create_decimal_type(precision, scale);
    }
    case Oid.bytea:
      return duckdb.create_logical_type(T.BLOB);
    case Oid.date:
      return duckdb.create_logical_type(T.DATE);
    case Oid.time:
      return duckdb.create_logical_type(T.TIME);
    case Oid.timestamp:
      return duckdb.create_logical_type(T.TIMESTAMP);
    case Oid.timestamptz:
      return duckdb.create_logical_type(T.TIMESTAMP_TZ);
    case Oid.uuid:
      return duckdb.create_logical_type(T.UUID);
    default:
      return duckdb.create_logical_type(T.VARCHAR);
  }
}

/** Of an INTERVAL: months, days, and the two words of its microseconds. */
export function intervalBuilder(): VectorBuilder {
  return wordsBuilder('fixed16', 4, null);
}

export function vectorBuilder(type: PgType, mode: StringMode): VectorBuilder {
  const physical = physicalOf(type);
  switch (physical) {
    case 'bool':
      return boolBuilder();
    case 'int32':
    case 'float32':
      return wordsBuilder(physical, 1, null);
    case 'int64':
    case 'float64':
      return wordsBuilder(physical, 2, null);
    case 'int128':
      return wordsBuilder(physical, 4, narrowDecimal((numericModifier(type.typmod) ?? { precision: 38 }).precision));
    case 'fixed16':
      return wordsBuilder(physical, 4, uuidWords);
    case 'bytes':
      return bytesBuilder(mode);
  }
}

// ---------------------------------------------------------------------------------------------------- validity

interface Validity {
  reset(): void;
  append(source: Uint8Array | null, from: number, count: number, at: number): void;
  nulls(count: number, at: number): void;
  keep(kept: Int32Array, count: number): void;
  flush(vector: duckdb.Vector, rows: number): void;
}

function validityBuilder(): Validity {
  const bits = new Uint8Array(CHUNK_ROWS / 8);
  let some = false;
  const clear = (row: number): void => {
    bits[row >> 3]! &= ~(1 << (row & 7));
  };
  return {
    reset() {
      if (some) bits.fill(0xff);
      some = false;
    },
    append(source, from, count, at) {
      if (source === null) return;
      if (!some) bits.fill(0xff);
      some = true;
      if ((from & 7) === 0 && (at & 7) === 0) {
        bits.set(source.subarray(from >> 3, (from + count + 7) >> 3), at >> 3);
        // The last byte's spare bits belong to rows that are yet to come: set again, they may be all valid.
        if ((count & 7) !== 0) bits[(at + count) >> 3]! |= (0xff << (count & 7)) & 0xff;
        return;
      }
      for (let i = 0; i < count; i++) {
        const row = from + i;
        if ((source[row >> 3]! & (1 << (row & 7))) === 0) clear(at + i);
      }
    },
    nulls(count, at) {
      if (!some) bits.fill(0xff);
      some = true;
      for (let i = 0; i < count; i++) clear(at + i);
    },
    keep(kept, count) {
      if (!some) return;
      for (let i = 0; i < count; i++) {
        const row = kept[i]!;
        if ((bits[row >> 3]! & (1 << (row & 7))) !== 0) bits[i >> 3]! |= 1 << (i & 7);
        else clear(i);
      }
    },
    flush(vector, rows) {
      if (!some) return;
      duckdb.vector_ensure_validity_writable(vector);
      duckdb.copy_data_to_vector_validity(vector, 0, bits.buffer, 0, Math.ceil(rows / 64) * 8);
    },
  };
}

// ---------------------------------------------------------------------------------------------------- fixed widths

/** Rewrites `rows` rows of four words in place into DuckDB's form and says their width in bytes. */
type Rewrite = (words: Int32Array, rows: number) => number;

function wordsBuilder(physical: Physical, width: number, rewrite: Rewrite | null): VectorBuilder {
  const words = new Int32Array(CHUNK_ROWS * width);
  const validity = validityBuilder();
  return {
    physical,
    reset: validity.reset,
    append(piece, from, count, at) {
      words.set(piece.words.subarray(from * width, (from + count) * width), at * width);
      validity.append(piece.validity, from, count, at);
    },
    nulls(count, at) {
      words.fill(0, at * width, (at + count) * width);
      validity.nulls(count, at);
    },
    keep(kept, count) {
      for (let i = 0; i < count; i++) {
        const row = kept[i]!;
        for (let w = 0; w < width; w++) words[i * width + w] = words[row * width + w]!;
      }
      validity.keep(kept, count);
    },
    flush(vector, rows) {
      const bytes = rewrite === null ? width * 4 : rewrite(words, rows);
      duckdb.copy_data_to_vector(vector, 0, words.buffer, 0, rows * bytes);
      validity.flush(vector, rows);
    },
  };
}

/** DECIMAL lies in 2, 4, 8 or 16 bytes by its precision; the unscaled value of a valid row fits by the column's type. */
function narrowDecimal(precision: number): Rewrite {
  if (precision <= 4) {
    return (words, rows) => {
      const short = new Int16Array(words.buffer);
      for (let i = 0; i < rows; i++) short[i] = words[i * 4]!;
      return 2;
    };
  }
  if (precision <= 9) {
    return (words, rows) => {
      for (let i = 0; i < rows; i++) words[i] = words[i * 4]!;
      return 4;
    };
  }
  if (precision <= 18) {
    return (words, rows) => {
      for (let i = 0; i < rows; i++) {
        words[i * 2] = words[i * 4]!;
        words[i * 2 + 1] = words[i * 4 + 1]!;
      }
      return 8;
    };
  }
  return () => 16;
}

/** Text order, so big-endian, to a little-endian hugeint whose top bit is flipped to order as unsigned. */
function uuidWords(words: Int32Array, rows: number): number {
  for (let i = 0; i < rows * 4; i += 4) {
    const w0 = swap(words[i]!);
    const w1 = swap(words[i + 1]!);
    words[i] = swap(words[i + 3]!);
    words[i + 1] = swap(words[i + 2]!);
    words[i + 2] = w1;
    words[i + 3] = w0 ^ 0x8000_0000;
  }
  return 16;
}

export function swap(word: number): number {
  return ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >> 8) & 0xff00) | (word >>> 24);
}

function boolBuilder(): VectorBuilder {
  const bytes = new Uint8Array(CHUNK_ROWS);
  const validity = validityBuilder();
  return {
    physical: 'bool',
    reset: validity.reset,
    append(piece, from, count, at) {
      const bits = piece.bits;
      for (let i = 0; i < count; i++) bytes[at + i] = (bits[(from + i) >> 3]! >> ((from + i) & 7)) & 1;
      validity.append(piece.validity, from, count, at);
    },
    nulls(count, at) {
      bytes.fill(0, at, at + count);
      validity.nulls(count, at);
    },
    keep(kept, count) {
      for (let i = 0; i < count; i++) bytes[i] = bytes[kept[i]!]!;
      validity.keep(kept, count);
    },
    flush(vector, rows) {
      duckdb.copy_data_to_vector(vector, 0, bytes.buffer, 0, rows);
      validity.flush(vector, rows);
    },
  };
}

// ---------------------------------------------------------------------------------------------------- strings

export const INLINE_BYTES = 12;

function bytesBuilder(mode: StringMode): VectorBuilder {
  let heap = new Uint8Array(64 * 1024);
  let used = 0;
  const starts = new Int32Array(CHUNK_ROWS);
  const lengths = new Int32Array(CHUNK_ROWS);
  const validity = validityBuilder();
  const strings = new Int32Array(CHUNK_ROWS * 4);
  return {
    physical: 'bytes',
    reset() {
      used = 0;
      validity.reset();
    },
    append(piece, from, count, at) {
      if (count === 0) return;
      const first = piece.starts[from]!;
      const bytes = piece.ends[from + count - 1]! - first;
      if (used + bytes > heap.length) heap = grown(heap, used, used + bytes);
      heap.set(piece.heap.subarray(first, first + bytes), used);
      for (let i = 0; i < count; i++) {
        const start = piece.starts[from + i]!;
        starts[at + i] = start - first + used;
        lengths[at + i] = piece.ends[from + i]! - start;
      }
      used += bytes;
      validity.append(piece.validity, from, count, at);
    },
    nulls(count, at) {
      starts.fill(0, at, at + count);
      lengths.fill(0, at, at + count);
      validity.nulls(count, at);
    },
    keep(kept, count) {
      for (let i = 0; i < count; i++) {
        starts[i] = starts[kept[i]!]!;
        lengths[i] = lengths[kept[i]!]!;
      }
      validity.keep(kept, count);
    },
    flush(vector, rows) {
      if (mode.bulk) assignStrings(vector, heap, used, starts, lengths, rows, strings);
      else
        for (let i = 0; i < rows; i++)
          duckdb.vector_assign_string_element_len(vector, i, heap.subarray(starts[i]!, starts[i]! + lengths[i]!));
      validity.flush(vector, rows);
    },
  };
}

function grown(heap: Uint8Array, used: number, needed: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.max(heap.length * 2, needed));
  larger.set(heap.subarray(0, used));
  return larger;
}

/** The one place that knows string_t. `strings` is scratch for the rows' 16 bytes each. */
function assignStrings(
  vector: duckdb.Vector,
  heap: Uint8Array,
  used: number,
  starts: Int32Array,
  lengths: Int32Array,
  rows: number,
  strings: Int32Array<ArrayBuffer>,
): void {
  let base = 0;
  if (used > INLINE_BYTES) {
    duckdb.vector_assign_string_element_len(vector, 0, heap.subarray(0, used));
    const first = duckdb.vector_get_data(vector, 16);
    const header = new DataView(first.buffer, first.byteOffset, 16);
    // DuckDB leaves the element alone when a text is not UTF-8.
    if (header.getUint32(0, true) !== used)
      throw new SqlError(SqlState.characterNotInRepertoire, 'invalid byte sequence for encoding "UTF8"');
    base = header.getUint32(8, true) + header.getUint32(12, true) * 0x1_0000_0000;
  }
  const bytes = new Uint8Array(strings.buffer);
  for (let i = 0; i < rows; i++) {
    const length = lengths[i]!;
    const start = starts[i]!;
    const at = i * 16;
    strings[i * 4] = length;
    if (length <= INLINE_BYTES) {
      strings[i * 4 + 1] = 0;
      strings[i * 4 + 2] = 0;
      strings[i * 4 + 3] = 0;
      for (let b = 0; b < length; b++) bytes[at + 4 + b] = heap[start + b]!;
      continue;
    }
    bytes[at + 4] = heap[start]!;
    bytes[at + 5] = heap[start + 1]!;
    bytes[at + 6] = heap[start + 2]!;
    bytes[at + 7] = heap[start + 3]!;
    const pointer = base + start;
    strings[i * 4 + 2] = pointer % 0x1_0000_0000;
    strings[i * 4 + 3] = Math.floor(pointer / 0x1_0000_0000);
  }
  duckdb.copy_data_to_vector(vector, 0, strings.buffer, 0, rows * 16);
}

/** Writes short, long and empty strings the bulk way and asks DuckDB's own reader whether they are there. */
export function bulkStringsWork(): boolean {
  try {
    const texts = ['', 'a', 'twelve bytes', 'thirteen byte', 'a long string that is not inlined', 'é', 'x'.repeat(300)];
    const encoded = texts.map((text) => Buffer.from(text));
    const heap = Buffer.concat(encoded);
    const lengths = Int32Array.from(encoded, (bytes) => bytes.length);
    const starts = new Int32Array(texts.length);
    for (let i = 1; i < texts.length; i++) starts[i] = starts[i - 1]! + lengths[i - 1]!;
    const chunk = duckdb.create_data_chunk([duckdb.create_logical_type(duckdb.Type.VARCHAR)]);
    const vector = duckdb.data_chunk_get_vector(chunk, 0);
    assignStrings(vector, heap, heap.length, starts, lengths, texts.length, new Int32Array(CHUNK_ROWS * 4));
    // A second vector is written by DuckDB's call alone: inline bytes and prefixes must be equal, pointers must lead to equal bytes.
    const other = duckdb.data_chunk_get_vector(
      duckdb.create_data_chunk([duckdb.create_logical_type(duckdb.Type.VARCHAR)]),
      0,
    );
    encoded.forEach((bytes, i) => duckdb.vector_assign_string_element_len(other, i, bytes));
    const ours = Buffer.from(duckdb.vector_get_data(vector, texts.length * 16));
    const theirs = Buffer.from(duckdb.vector_get_data(other, texts.length * 16));
    return encoded.every((bytes, i) => {
      const compared = bytes.length <= INLINE_BYTES ? 16 : 8;
      if (!ours.subarray(i * 16, i * 16 + compared).equals(theirs.subarray(i * 16, i * 16 + compared))) return false;
      if (bytes.length <= INLINE_BYTES) return true;
      const block = new Uint8Array(ours).buffer; // a copy: pooled buffers have a foreign ArrayBuffer
      return bytes.equals(duckdb.get_data_from_pointer(block as ArrayBuffer, i * 16 + 8, bytes.length));
    });
  } catch {
    return false;
  }
}
