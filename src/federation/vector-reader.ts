/**
 * DuckDB's result chunks as ColumnVectors, with a handful of native calls per column instead of one per value.
 *
 * Strings: the rows' 16-byte string_t are one block; inline texts are read out of it, and long ones are fetched in runs:
 * neighbours in DuckDB's heap are joined over gaps below 4,096 bytes, which cannot reach an unmapped page between two
 * mapped ones. Everything is copied into buffers of our own: they may be transferred.
 */
import duckdb from '@duckdb/node-bindings';
import { invariant, notSupported } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import { columnVector, type ColumnVector } from '../types/column-vector.ts';
import { numericTypmod, Oid } from '../types/pg-type.ts';
import { INLINE_BYTES, swap } from './vector-builder.ts';

export type VectorReader = (vector: duckdb.Vector, rows: number) => ColumnVector;

/** The reader of a DuckDB type that a ColumnVector can hold, and the PostgreSQL type it then has; null: cast it first. */
export function vectorReader(type: duckdb.LogicalType): { readonly read: VectorReader; readonly type: PgType } | null {
  const T = duckdb.Type;
  switch (duckdb.get_type_id(type)) {
    case T.BOOLEAN:
      return { read: readBool, type: plain(Oid.bool) };
    case T.TINYINT:
      return { read: widened(1, (bytes) => new Int8Array(bytes)), type: plain(Oid.int2) };
    case T.UTINYINT:
      return { read: widened(1, (bytes) => new Uint8Array(bytes)), type: plain(Oid.int2) };
    case T.SMALLINT:
      return { read: widened(2, (bytes) => new Int16Array(bytes)), type: plain(Oid.int2) };
    case T.USMALLINT:
      return { read: widened(2, (bytes) => new Uint16Array(bytes)), type: plain(Oid.int4) };
    case T.INTEGER:
      return { read: words('int32', 1), type: plain(Oid.int4) };
    case T.BIGINT:
      return { read: words('int64', 2), type: plain(Oid.int8) };
    case T.FLOAT:
      return { read: readFloat, type: plain(Oid.float4) };
    case T.DOUBLE:
      return { read: readDouble, type: plain(Oid.float8) };
    case T.DATE:
      return { read: words('int32', 1), type: plain(Oid.date) };
    case T.TIME:
      return { read: words('int64', 2), type: plain(Oid.time) };
    case T.TIMESTAMP:
      return { read: words('int64', 2), type: plain(Oid.timestamp) };
    case T.TIMESTAMP_TZ:
      return { read: words('int64', 2), type: plain(Oid.timestamptz) };
    case T.INTERVAL:
      return { read: words('fixed16', 4), type: plain(Oid.interval) };
    case T.UUID:
      return { read: readUuid, type: plain(Oid.uuid) };
    case T.VARCHAR:
      return { read: readBytes, type: plain(Oid.text) };
    case T.BLOB:
      return { read: readBytes, type: plain(Oid.bytea) };
    case T.HUGEINT:
      return { read: words('int128', 4), type: { oid: Oid.numeric, typmod: numericTypmod(38, 0) } };
    case T.DECIMAL: {
      const typmod = numericTypmod(duckdb.decimal_width(type), duckdb.decimal_scale(type));
      return { read: decimalReader(duckdb.decimal_internal_type(type)), type: { oid: Oid.numeric, typmod } };
    }
    default:
      return null;
  }
}

function plain(oid: number): PgType {
  return { oid, typmod: -1 };
}

/** The data of `rows` values of `width` bytes, in a buffer of its own, aligned. */
function data(vector: duckdb.Vector, rows: number, width: number): ArrayBuffer {
  const bytes = duckdb.vector_get_data(vector, rows * width);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + rows * width) as ArrayBuffer;
}

function validityOf(vector: duckdb.Vector, rows: number): Uint8Array | null {
  // Null, though typed otherwise, when no row is NULL.
  const bits = duckdb.vector_get_validity(vector, Math.ceil(rows / 64) * 8) as Uint8Array | null;
  return bits === null ? null : bits.slice(0, (rows + 7) >> 3);
}

function words(physical: 'int32' | 'int64' | 'int128' | 'fixed16', width: number): VectorReader {
  return (vector, rows) =>
    columnVector(physical, {
      validity: validityOf(vector, rows),
      words: new Int32Array(data(vector, rows, width * 4)),
    });
}

function widened(width: number, view: (bytes: ArrayBuffer) => ArrayLike<number>): VectorReader {
  return (vector, rows) =>
    columnVector('int32', {
      validity: validityOf(vector, rows),
      words: Int32Array.from(view(data(vector, rows, width))),
    });
}

function readFloat(vector: duckdb.Vector, rows: number): ColumnVector {
  return columnVector('float32', {
    validity: validityOf(vector, rows),
    float32: new Float32Array(data(vector, rows, 4)),
  });
}

function readDouble(vector: duckdb.Vector, rows: number): ColumnVector {
  return columnVector('float64', {
    validity: validityOf(vector, rows),
    float64: new Float64Array(data(vector, rows, 8)),
  });
}

function readBool(vector: duckdb.Vector, rows: number): ColumnVector {
  const bytes = duckdb.vector_get_data(vector, rows);
  const bits = new Uint8Array((rows + 7) >> 3);
  for (let i = 0; i < rows; i++) if (bytes[i] !== 0) bits[i >> 3]! |= 1 << (i & 7);
  return columnVector('bool', { validity: validityOf(vector, rows), bits });
}

/** A hugeint with its top bit flipped, back to 16 bytes in text order. */
function readUuid(vector: duckdb.Vector, rows: number): ColumnVector {
  const values = new Int32Array(data(vector, rows, 16));
  for (let i = 0; i < values.length; i += 4) {
    const low = values[i]!;
    const second = values[i + 1]!;
    values[i] = swap(values[i + 3]! ^ 0x8000_0000);
    values[i + 1] = swap(values[i + 2]!);
    values[i + 2] = swap(second);
    values[i + 3] = swap(low);
  }
  return columnVector('fixed16', { validity: validityOf(vector, rows), words: values });
}

function decimalReader(internal: duckdb.Type): VectorReader {
  const T = duckdb.Type;
  if (internal === T.HUGEINT) return words('int128', 4);
  return (vector, rows) => {
    const wide = new Int32Array(rows * 4);
    if (internal === T.BIGINT) {
      const narrow = new Int32Array(data(vector, rows, 8));
      for (let i = 0; i < rows; i++) {
        const high = narrow[i * 2 + 1]!;
        wide[i * 4] = narrow[i * 2]!;
        wide[i * 4 + 1] = high;
        wide[i * 4 + 2] = wide[i * 4 + 3] = high >> 31;
      }
    } else {
      const narrow =
        internal === T.INTEGER ? new Int32Array(data(vector, rows, 4)) : new Int16Array(data(vector, rows, 2));
      for (let i = 0; i < rows; i++) {
        const value = narrow[i]!;
        wide[i * 4] = value;
        wide[i * 4 + 1] = wide[i * 4 + 2] = wide[i * 4 + 3] = value >> 31;
      }
    }
    return columnVector('int128', { validity: validityOf(vector, rows), words: wide });
  };
}

const RUN_GAP_BYTES = 4096;

function readBytes(vector: duckdb.Vector, rows: number): ColumnVector {
  const validity = validityOf(vector, rows);
  const block = data(vector, rows, 16);
  const header = new Uint32Array(block);
  const starts = new Int32Array(rows);
  const ends = new Int32Array(rows);
  const pieces: Uint8Array[] = [new Uint8Array(block)];
  let used = rows * 16;
  let run = 0; // first row of the open run
  let runStart = 0; // pointer of its first byte; 0: no open run
  let runEnd = 0;
  const closeRun = (): void => {
    if (runStart === 0) return;
    const bytes = duckdb.get_data_from_pointer(block, run * 16 + 8, runEnd - runStart);
    pieces.push(bytes);
    used += bytes.length;
    invariant(used <= 0x7fff_ffff, 'a chunk of strings stays below 2 GiB');
    runStart = 0;
  };
  for (let i = 0; i < rows; i++) {
    if (validity !== null && (validity[i >> 3]! & (1 << (i & 7))) === 0) continue;
    const length = header[i * 4]!;
    if (length <= INLINE_BYTES) {
      starts[i] = i * 16 + 4;
      ends[i] = i * 16 + 4 + length;
      continue;
    }
    const pointer = header[i * 4 + 2]! + header[i * 4 + 3]! * 0x1_0000_0000;
    if (runStart === 0 || pointer < runStart || pointer > runEnd + RUN_GAP_BYTES) {
      closeRun();
      run = i;
      runStart = pointer;
      runEnd = pointer + length;
    } else if (pointer + length > runEnd) {
      runEnd = pointer + length;
    }
    starts[i] = used + (pointer - runStart);
    ends[i] = starts[i]! + length;
  }
  closeRun();
  const heap = new Uint8Array(used);
  let at = 0;
  for (const piece of pieces) {
    heap.set(piece, at);
    at += piece.length;
  }
  return columnVector('bytes', { validity, heap, starts, ends });
}

/** All columns of a chunk. */
export function readChunk(chunk: duckdb.DataChunk, readers: readonly VectorReader[]): readonly ColumnVector[] {
  const rows = duckdb.data_chunk_get_size(chunk);
  return readers.map((read, i) => read(duckdb.data_chunk_get_vector(chunk, i), rows));
}

/** A small result in full: visits each chunk's vectors. Every column must have a reader. */
export async function eachChunk(
  result: duckdb.Result,
  visit: (vectors: readonly ColumnVector[], rows: number) => void,
): Promise<void> {
  const readers: VectorReader[] = [];
  for (let i = 0; i < duckdb.column_count(result); i++) {
    const reader = vectorReader(duckdb.column_logical_type(result, i));
    if (reader === null) throw notSupported(`DuckDB type ${duckdb.column_type(result, i)}`);
    readers.push(reader.read);
  }
  for (;;) {
    const chunk = await duckdb.fetch_chunk(result);
    if (chunk === null) return;
    const rows = duckdb.data_chunk_get_size(chunk);
    if (rows === 0) return;
    visit(readChunk(chunk, readers), rows);
  }
}
