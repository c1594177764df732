/**
 * Quotients of DECIMALs and integers (`types/decimal-quotient.ts`) as functions of the engine, over its vectors as they are: no value
 * becomes a text or a BigInt on its way in. Like `engine-functions.ts` they run on this thread, a chunk a call, and are strict.
 *
 * - arka_quotient(a, b, n): PostgreSQL's text, with at least n digits behind the point.
 * - arka_quotient_key(a, b, n): its key, see `types/sort-key.ts`.
 * - arka_quotient_parts(a, b, n): what a sum adds: the number before the point, digits behind it in parts, and how many are shown.
 */
import duckdb from '@duckdb/node-bindings';
import { invariant, toSqlError } from '../errors.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { columnVector, isValid, NO_BYTES, NO_WORDS, type ColumnVector } from '../types/column-vector.ts';
import { divide, operand, PARTS, putParts, putQuotient, type Operand } from '../types/decimal-quotient.ts';
import { Oid } from '../types/pg-type.ts';
import { putNumericKeyOf } from '../types/sort-key.ts';
import { numericScale } from '../types/text-output.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import { CHUNK_ROWS } from './row-source.ts';
import { vectorReader } from './vector-reader.ts';
import { vectorBuilder, type StringMode, type VectorBuilder as Builder } from './vector-builder.ts';

/** Registers them in the connection's instance. */
export function registerQuotientFunctions(connection: duckdb.Connection, mode: StringMode): void {
  const T = duckdb.Type;
  register(
    connection,
    'arka_quotient',
    duckdb.create_logical_type(T.VARCHAR),
    bytesOutput(Oid.text, mode, putQuotient),
  );
  const text = new ByteWriter(64);
  const key = bytesOutput(Oid.bytea, mode, (out) => {
    text.length = 0;
    putQuotient(text);
    putNumericKeyOf(text.bytes, 0, text.length, out);
  });
  register(connection, 'arka_quotient_key', duckdb.create_logical_type(T.BLOB), key);
  const fraction = Array.from({ length: PARTS }, () => T.BIGINT);
  const types = [T.HUGEINT, ...fraction, T.INTEGER].map((type) => duckdb.create_logical_type(type));
  const names = ['w', ...fraction.map((_, i) => `f${i}`), 's'];
  register(connection, 'arka_quotient_parts', duckdb.create_struct_type(types, names), partsOutput());
}

/** Where the results of a chunk go. */
interface Output {
  reset(): void;
  null(row: number): void;
  /** The quotient that was made last. */
  put(row: number): void;
  flush(vector: duckdb.Vector, rows: number): void;
}

function register(connection: duckdb.Connection, name: string, result: duckdb.LogicalType, to: Output): void {
  const scalar = duckdb.create_scalar_function();
  duckdb.scalar_function_set_name(scalar, name);
  const anyType = duckdb.create_logical_type(duckdb.Type.ANY);
  for (const type of [anyType, anyType, duckdb.create_logical_type(duckdb.Type.INTEGER)])
    duckdb.scalar_function_add_parameter(scalar, type);
  duckdb.scalar_function_set_return_type(scalar, result);
  duckdb.scalar_function_set_function(scalar, (info, input, output) => {
    try {
      const rows = duckdb.data_chunk_get_size(input);
      const [a, b, least] = [0, 1, 2].map((i) => read(duckdb.data_chunk_get_vector(input, i), rows));
      divideRows(a!, b!, least!.column, rows, to);
      to.flush(output, rows);
    } catch (error) {
      const known = toSqlError(error);
      duckdb.scalar_function_set_error(info, `${known.code}: ${known.message}`);
    }
  });
  duckdb.register_scalar_function(connection, scalar);
}

interface Read extends Operand {
  readonly column: ColumnVector;
}

const WIDTHS: Readonly<Partial<Record<ColumnVector['physical'], 1 | 2 | 4>>> = { int32: 1, int64: 2, int128: 4 };

const ALL_NULL: Read = { ...operand(NO_WORDS, 1, 0), column: columnVector('int32', { validity: NO_BYTES }) };

function read(vector: duckdb.Vector, rows: number): Read {
  const type = duckdb.vector_get_column_type(vector);
  if (duckdb.get_type_id(type) === duckdb.Type.SQLNULL) return ALL_NULL;
  const reader = vectorReader(type);
  const column = reader?.read(vector, rows);
  const width = column === undefined ? undefined : WIDTHS[column.physical];
  invariant(reader !== null && column !== undefined && width !== undefined, 'operands of a quotient are exact numbers');
  const scale = reader.type.oid === Oid.numeric ? numericScale(reader.type) : 0;
  return { ...operand(column.words, width, scale), column };
}

function divideRows(a: Read, b: Read, least: ColumnVector, rows: number, to: Output): void {
  to.reset();
  for (let row = 0; row < rows; row++) {
    if (!isValid(a.column, row) || !isValid(b.column, row) || !isValid(least, row)) {
      to.null(row);
      continue;
    }
    divide(a, b, row, least.words[row]!);
    to.put(row);
  }
}

function bytesOutput(oid: number, mode: StringMode, put: (out: ByteWriter) => void): Output {
  const built = new VectorBuilder('bytes');
  let builder: Builder | null = null; // made with the first call: most have none
  const out = new ByteWriter(64);
  return {
    reset: () => built.reset(),
    null: () => built.null(),
    put() {
      out.length = 0;
      put(out);
      built.bytes(out.bytes, 0, out.length);
    },
    flush(vector, rows) {
      const column = built.vector();
      const written = (builder ??= vectorBuilder({ oid, typmod: -1 }, mode));
      written.reset();
      written.append(columnVector(column.physical, column), 0, rows, 0);
      written.flush(vector, rows);
    },
  };
}

function partsOutput(): Output {
  const words = (width: number): Int32Array<ArrayBuffer> => new Int32Array(CHUNK_ROWS * width);
  const parts = { whole: words(4), fraction: Array.from({ length: PARTS }, () => words(2)), scale: words(1) };
  const columns = [parts.whole, ...parts.fraction, parts.scale];
  const bits = new Uint8Array(CHUNK_ROWS / 8);
  let someNull = false;
  return {
    reset() {
      bits.fill(0xff);
      someNull = false;
    },
    null(row) {
      someNull = true;
      bits[row >> 3]! &= ~(1 << (row & 7));
    },
    put: (row) => putParts(parts, row),
    flush(vector, rows) {
      // A part is taken out without a look at the whole: it is NULL as well.
      const children = columns.map((_, i) => duckdb.struct_vector_get_child(vector, i));
      for (const [i, column] of columns.entries())
        duckdb.copy_data_to_vector(children[i]!, 0, column.buffer, 0, (rows * column.byteLength) / CHUNK_ROWS);
      if (!someNull) return;
      for (const each of [vector, ...children]) {
        duckdb.vector_ensure_validity_writable(each);
        duckdb.copy_data_to_vector_validity(each, 0, bits.buffer, 0, Math.ceil(rows / 64) * 8);
      }
    },
  };
}
