/**
 * Functions that DuckDB lacks, or has with another meaning, as it calls them back: values of a chunk through plain functions over
 * text. They run on this thread, as table functions do (D3); a chunk costs one call, a value less than a microsecond plus its own work.
 *
 * - E1 Strict: a NULL argument gives NULL. What is not strict is said in SQL around the call.
 * - E2 An error of a value is DuckDB's, with its SQLSTATE in front: `engine-errors.ts` reads it again.
 * - E3 No function depends on anything but its arguments: DuckDB may fold it, and call it as often as it likes.
 */
import duckdb from '@duckdb/node-bindings';
import { toSqlError } from '../errors.ts';
import { codedText } from './engine-errors.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { columnVector, isValid, type ColumnVector, type Physical } from '../types/column-vector.ts';
import { sumOfParts } from '../types/decimal-quotient.ts';
import { elementOfArray, elementsOf, membersOf, memberOf, textOf, valueAt, kindOf } from '../types/json-text.ts';
import { assigned } from '../types/jsonb-assignment.ts';
import * as jsonb from '../types/jsonb-operations.ts';
import * as numeric from '../types/numeric-text.ts';
import { parseInterval } from '../types/interval-input.ts';
import { intervalText } from '../types/interval-output.ts';
import { putIntervalKey, putJsonbKey, putNumericKeyOf } from '../types/sort-key.ts';
import { putTimetzKey } from '../types/timetz.ts';
import { decodeText } from '../types/utf8.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import { Oid } from '../types/pg-type.ts';
import { registerQuotientFunctions } from './quotient-functions.ts';
import { vectorReader } from './vector-reader.ts';
import {
  intervalBuilder,
  logicalType,
  vectorBuilder,
  type StringMode,
  type VectorBuilder as Builder,
} from './vector-builder.ts';

/** `bytes`: a text that nobody decodes. */
type Argument = 'text' | 'bytes' | 'number' | 'boolean' | 'double' | 'interval';
type Value = string | number | boolean | Uint8Array;

interface EngineFunction {
  readonly name: string;
  readonly arguments: readonly Argument[];
  /** `key`: a byte string that sorts. Intervals are their text here. */
  readonly result: 'text' | 'boolean' | 'key' | 'number' | 'interval';
  /** Null: NULL. Of a key the bytes are put into `out`. */
  readonly call: (args: readonly Value[], out: ByteWriter) => Value | null | void;
}

const path = (json: string): readonly (string | null)[] => JSON.parse(json) as (string | null)[];
const list = (items: readonly (string | null)[]): string => JSON.stringify(items);

const of = (
  name: string,
  args: readonly Argument[],
  result: EngineFunction['result'],
  call: (...values: never[]) => Value | null | void,
): EngineFunction => ({
  name,
  arguments: args,
  result,
  call: (values, out) => (call as (...all: unknown[]) => Value | null | void)(...values, out),
});

/** Paths and lists of texts come and go as JSON arrays. */
const FUNCTIONS: readonly EngineFunction[] = [
  of('arka_json_member', ['text', 'text'], 'text', (text: string, key: string) => memberOf(text, key)),
  of('arka_json_element', ['text', 'number'], 'text', (text: string, n: number) => elementOfArray(text, n)),
  of('arka_jsonb_element', ['text', 'number'], 'text', (text: string, n: number) => jsonb.element(text, n)),
  of('arka_json_at', ['text', 'text'], 'text', (text: string, steps: string) => valueAt(text, path(steps))),
  of('arka_json_text', ['text'], 'text', (text: string) => textOf(text)),
  of('arka_json_keys', ['text'], 'text', (text: string) => list(membersOf(text).map(([key]) => key))),
  of('arka_json_values', ['text'], 'text', (text: string) => list(membersOf(text).map(([, value]) => value))),
  of('arka_json_elements', ['text'], 'text', (text: string) => list(elementsOf(text))),
  of('arka_json_kind', ['text'], 'text', (text: string) => kindOf(text)),
  of('arka_jsonb_contains', ['text', 'text'], 'boolean', (a: string, b: string) => jsonb.contains(a, b)),
  of('arka_jsonb_has', ['text', 'text'], 'boolean', (text: string, key: string) => jsonb.hasKey(text, key)),
  of('arka_jsonb_has_any', ['text', 'text'], 'boolean', (text: string, keys: string) =>
    jsonb.hasAnyKey(text, path(keys)),
  ),
  of('arka_jsonb_has_all', ['text', 'text'], 'boolean', (text: string, keys: string) =>
    jsonb.hasAllKeys(text, path(keys)),
  ),
  of('arka_jsonb_concat', ['text', 'text'], 'text', (a: string, b: string) => jsonb.concatenated(a, b)),
  of('arka_jsonb_without_keys', ['text', 'text'], 'text', (text: string, keys: string) =>
    jsonb.withoutKeys(text, path(keys)),
  ),
  of('arka_jsonb_without_element', ['text', 'number'], 'text', (text: string, n: number) =>
    jsonb.withoutElement(text, n),
  ),
  of('arka_jsonb_without_path', ['text', 'text'], 'text', (text: string, steps: string) =>
    jsonb.withoutPath(text, path(steps)),
  ),
  of(
    'arka_jsonb_set',
    ['text', 'text', 'text', 'boolean'],
    'text',
    (text: string, steps: string, value: string, creates: boolean) =>
      jsonb.withValue(text, path(steps), value, creates),
  ),
  of(
    'arka_jsonb_insert',
    ['text', 'text', 'text', 'boolean'],
    'text',
    (text: string, steps: string, value: string, after: boolean) => jsonb.withInserted(text, path(steps), value, after),
  ),
  of('arka_jsonb_assign', ['text', 'text', 'text'], 'text', (text: string, steps: string, value: string) =>
    assigned(text, path(steps) as readonly string[], value),
  ),
  of('arka_jsonb_strip_nulls', ['text'], 'text', (text: string) => jsonb.withoutNulls(text)),
  of('arka_jsonb_pretty', ['text'], 'text', (text: string) => jsonb.pretty(text)),
  of('arka_jsonb', ['text'], 'text', (text: string) => jsonb.canonical(text)),
  of('arka_jsonb_string', ['text'], 'text', (text: string) => jsonb.quoted(text)),
  of('arka_jsonb_key', ['text'], 'key', (text: string, out: ByteWriter) => putJsonbKey(text, out)),
  of('arka_interval', ['text'], 'interval', (text: string) => text),
  of('arka_interval_text', ['interval'], 'text', (text: string) => text),
  of('arka_interval_key', ['interval'], 'key', (text: string, out: ByteWriter) => putIntervalKey(text, out)),
  of('arka_timetz_key', ['text'], 'key', (text: string, out: ByteWriter) => putTimetzKey(text, out)),
  of('arka_numeric', ['text'], 'text', (text: string) => numeric.canonicalNumeric(text)),
  of('arka_numeric_of_float', ['double', 'number'], 'text', (value: number, digits: number) =>
    numeric.numericOfFloat(value, digits),
  ),
  of('arka_numeric_decimal', ['text', 'number', 'number'], 'text', (text: string, precision: number, scale: number) =>
    numeric.decimalNumeric(text, precision, scale),
  ),
  of('arka_numeric_fit', ['text', 'number', 'number'], 'text', (text: string, precision: number, scale: number) =>
    numeric.fittedNumeric(text, precision, scale),
  ),
  of('arka_numeric_add', ['text', 'text'], 'text', (a: string, b: string) => numeric.added(a, b)),
  of('arka_numeric_subtract', ['text', 'text'], 'text', (a: string, b: string) => numeric.added(a, numeric.negated(b))),
  of('arka_numeric_multiply', ['text', 'text'], 'text', (a: string, b: string) => numeric.multiplied(a, b)),
  of('arka_numeric_divide', ['text', 'text'], 'text', (a: string, b: string) => numeric.divided(a, b)),
  of('arka_numeric_modulo', ['text', 'text'], 'text', (a: string, b: string) => numeric.remainder(a, b)),
  of('arka_numeric_negate', ['text'], 'text', (text: string) => numeric.negated(text)),
  of('arka_numeric_abs', ['text'], 'text', (text: string) => text.replace('-', '')),
  of('arka_numeric_sign', ['text'], 'text', (text: string) => numeric.signNumeric(text)),
  of('arka_numeric_round', ['text', 'number'], 'text', (text: string, n: number) => numeric.roundedNumeric(text, n)),
  of('arka_numeric_trunc', ['text', 'number'], 'text', (text: string, n: number) => numeric.truncatedNumeric(text, n)),
  of('arka_numeric_floor', ['text'], 'text', (text: string) => numeric.wholeNumeric(text, -1)),
  of('arka_numeric_ceil', ['text'], 'text', (text: string) => numeric.wholeNumeric(text, 1)),
  of('arka_numeric_larger', ['text', 'text'], 'text', (a: string, b: string) => numeric.largerNumeric(a, b)),
  of('arka_numeric_smaller', ['text', 'text'], 'text', (a: string, b: string) => numeric.smallerNumeric(a, b)),
  of('arka_numeric_bound', ['text', 'number', 'number'], 'text', (text: string, scale: number, direction: number) =>
    numeric.boundNumeric(text, scale, direction),
  ),
  of(
    'arka_numeric_deviation',
    ['text', 'text', 'text', 'number'],
    'text',
    (sum: string, squares: string, count: string, kind: number) => numeric.deviationOf(sum, squares, count, kind),
  ),
  of('arka_numeric_key', ['bytes'], 'key', (text: Uint8Array, out: ByteWriter) =>
    putNumericKeyOf(text, 0, text.length, out),
  ),
  of(
    'arka_numeric_of_parts',
    ['text', 'text', 'text', 'text', 'number'],
    'text',
    (whole: string, f0: string, f1: string, f2: string, scale: number) => sumOfParts([whole, f0, f1, f2], scale),
  ),
];

/** Registers them in the connection's instance. */
export function registerEngineFunctions(connection: duckdb.Connection, mode: StringMode): void {
  for (const each of FUNCTIONS) register(connection, each, mode);
  registerQuotientFunctions(connection, mode);
}

const ARGUMENTS: Readonly<Record<Argument, duckdb.Type>> = {
  text: duckdb.Type.VARCHAR,
  bytes: duckdb.Type.VARCHAR,
  number: duckdb.Type.INTEGER,
  boolean: duckdb.Type.BOOLEAN,
  double: duckdb.Type.DOUBLE,
  interval: duckdb.Type.INTERVAL,
};
const RESULTS: Readonly<Record<EngineFunction['result'], { readonly oid: number; readonly physical: Physical }>> = {
  text: { oid: Oid.text, physical: 'bytes' },
  boolean: { oid: Oid.bool, physical: 'bool' },
  key: { oid: Oid.bytea, physical: 'bytes' },
  number: { oid: Oid.int4, physical: 'int32' },
  interval: { oid: Oid.interval, physical: 'fixed16' },
};

function register(connection: duckdb.Connection, each: EngineFunction, mode: StringMode): void {
  const scalar = duckdb.create_scalar_function();
  duckdb.scalar_function_set_name(scalar, each.name);
  const types = each.arguments.map((argument) => duckdb.create_logical_type(ARGUMENTS[argument]));
  for (const type of types) duckdb.scalar_function_add_parameter(scalar, type);
  const result = RESULTS[each.result];
  const pgType = { oid: result.oid, typmod: -1 };
  const isInterval = each.result === 'interval';
  const resultType = isInterval ? duckdb.create_logical_type(duckdb.Type.INTERVAL) : logicalType(pgType);
  duckdb.scalar_function_set_return_type(scalar, resultType);
  const readers = types.map((type) => vectorReader(type)!.read);
  const built = new VectorBuilder(result.physical);
  // of 60 functions few are called, and 100 KB each is more than the rest of a database
  let builder: Builder | null = null;
  const out = new ByteWriter(64);
  duckdb.scalar_function_set_function(scalar, (info, input, output) => {
    try {
      const rows = duckdb.data_chunk_get_size(input);
      const columns = readers.map((read, i) => read(duckdb.data_chunk_get_vector(input, i), rows));
      built.reset();
      for (let row = 0; row < rows; row++) putResult(each, columns, row, built, out);
      const written = (builder ??= isInterval ? intervalBuilder() : vectorBuilder(pgType, mode));
      written.reset();
      written.append(pieceOf(built.vector()), 0, rows, 0);
      written.flush(output, rows);
    } catch (error) {
      duckdb.scalar_function_set_error(info, codedText(toSqlError(error)));
    }
  });
  duckdb.register_scalar_function(connection, scalar);
}

/** Validity of a builder is as long as its rows: a piece's too. */
const pieceOf = (vector: ColumnVector): ColumnVector => columnVector(vector.physical, vector);

function putResult(
  each: EngineFunction,
  columns: readonly ColumnVector[],
  row: number,
  built: VectorBuilder,
  out: ByteWriter,
): void {
  const values: Value[] = [];
  for (let i = 0; i < columns.length; i++) {
    const column = columns[i]!;
    if (!isValid(column, row)) return built.null(); // E1
    values.push(valueOf(column, row, each.arguments[i]!));
  }
  out.length = 0;
  const value = each.call(values, out);
  if (each.result === 'key') return built.bytes(out.bytes, 0, out.length);
  if (value === null || value === undefined) return built.null();
  if (typeof value === 'boolean') return built.bool(value);
  if (each.result === 'number') return built.int32(value as number);
  if (each.result === 'interval') {
    const { months, days, micros } = parseInterval(String(value));
    return built.words4(months, days, micros | 0, Math.floor(micros / 0x1_0000_0000));
  }
  out.utf8(String(value));
  built.bytes(out.bytes, 0, out.length);
}

function valueOf(column: ColumnVector, row: number, as: Argument): Value {
  switch (column.physical) {
    case 'bool':
      return ((column.bits[row >> 3]! >> (row & 7)) & 1) !== 0;
    case 'int32':
      return column.words[row]!;
    case 'float64':
      return column.float64[row]!;
    case 'fixed16': {
      const { words } = column;
      const micros = words[row * 4 + 3]! * 0x1_0000_0000 + (words[row * 4 + 2]! >>> 0);
      return intervalText(words[row * 4]!, words[row * 4 + 1]!, micros);
    }
    default:
      if (as === 'bytes') return column.heap.subarray(column.starts[row]!, column.ends[row]!);
      return decodeText(column.heap, column.starts[row]!, column.ends[row]!);
  }
}
