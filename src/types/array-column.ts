/**
 * Arrays as columns hold them. In memory and in the log such a value is a JSON array of texts and nulls, made as DuckDB's `to_json`
 * makes it, so that the same array has the same bytes wherever they were made; in files it is Iceberg's list. Of an element the text is
 *
 *   boolean                    t, f
 *   date                       days from 1970-01-01
 *   time, timestamp(tz)        micros of the day, or from 1970 in UTC
 *   real, double precision     the shortest digits of the double as DuckDB lays them out: 1.5, 100.0, 1e+16, nan, inf
 *   all others                 PostgreSQL's text of the value
 *
 * - A1 One dimension, from 1: Iceberg's list has no more to say. Others are 0A000.
 */
import { notSupported } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import { arrayBinary, arrayOfBinary, arrayText, parseArray, type ArrayValue } from './array-value.ts';
import { binaryInput } from './binary-input.ts';
import type { ByteWriter } from './byte-writer.ts';
import { ByteWriter as Writer } from './byte-writer.ts';
import type { ColumnVector } from './column-vector.ts';
import { putInt64 } from './decimal-digits.ts';
import type { TextInput } from './number-input.ts';
import { elementOf, Oid, physicalOf } from './pg-type.ts';
import { textInput, type TimeContext } from './text-input.ts';
import { textOutput, type OutputSettings, type TextOutput } from './text-output.ts';
import { UTC } from './time-zone.ts';
import { decodeText, encodeText } from './utf8.ts';
import { VectorBuilder } from './vector-builder.ts';

/** Text `{…}` of an array of `type`. */
export function arrayInput(type: PgType, context: TimeContext): TextInput {
  const element = elementOf(type)!;
  const read = reader(element, textInput(element, context));
  return (src, start, end, sink) => putStored(parseArray(decodeText(src, start, end)), read, sink);
}

export function arrayBinaryInput(type: PgType): TextInput {
  const element = elementOf(type)!;
  const input = binaryInput(element);
  const builder = new VectorBuilder(physicalOf(element));
  const store = storedText(element);
  return (src, start, end, sink) => {
    const value = arrayOfBinary(src.subarray(start, end), element.oid, (bytes) => {
      builder.reset();
      input(bytes, 0, bytes.length, builder);
      return store(builder.vector());
    });
    putStored(value, (text) => text, sink);
  };
}

/** Arrays out of the engine, of the same elements with other modifiers: lengths, scales and precisions are looked at again. */
export function storedArrayInput(type: PgType, context: TimeContext): TextInput {
  const element = elementOf(type)!;
  const read = reader(element, textInput(element, context));
  const print = printer({ oid: element.oid, typmod: -1 }, { timeZone: UTC });
  return (src, start, end, sink) => {
    const items = JSON.parse(decodeText(src, start, end)) as (string | null)[];
    putStored(listOf(items.map((item) => (item === null ? null : print(item)))), read, sink);
  };
}

export function arrayOutput(type: PgType, settings: OutputSettings): TextOutput {
  const print = printer(elementOf(type)!, settings);
  return (vector, row, out) =>
    out.utf8(arrayText(listOf(itemsOf(vector, row).map((item) => (item === null ? null : print(item))))));
}

export function arrayBinaryOutput(type: PgType): TextOutput {
  const element = elementOf(type)!;
  const print = printer(element, { timeZone: UTC });
  const put = arrayBinary(element.oid);
  return (vector, row, out) =>
    put(listOf(itemsOf(vector, row).map((item) => (item === null ? null : print(item)))), out);
}

function itemsOf(vector: ColumnVector, row: number): (string | null)[] {
  return JSON.parse(decodeText(vector.heap, vector.starts[row]!, vector.ends[row]!)) as (string | null)[];
}

function listOf(items: readonly (string | null)[]): ArrayValue {
  return items.length === 0
    ? { lengths: [], lowerBounds: [], items }
    : { lengths: [items.length], lowerBounds: [1], items };
}

function putStored(value: ArrayValue, read: (text: string) => string, sink: Parameters<TextInput>[3]): void {
  const items = value.items.map((item) => (item === null ? 'null' : `"${escaped(read(item))}"`));
  if (value.lengths.length > 1)
    throw notSupported('an array of more than one dimension in a column', { hint: 'Store it as jsonb.' });
  if ((value.lowerBounds[0] ?? 1) !== 1) throw notSupported('an array in a column whose first index is not 1');
  const bytes = encodeText(`[${items.join(',')}]`);
  sink.bytes(bytes, 0, bytes.length);
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '"': String.raw`\"`,
  '\\': '\\\\',
  '\b': String.raw`\b`,
  '\t': String.raw`\t`,
  '\n': String.raw`\n`,
  '\f': String.raw`\f`,
  '\r': String.raw`\r`,
};

/** As DuckDB's JSON writer has it. */
function escaped(text: string): string {
  return text.replaceAll(
    // oxlint-disable-next-line no-control-regex -- they are what is looked for
    /["\\\u0000-\u001f]/g,
    (character) =>
      SHORT_ESCAPES[character] ?? String.raw`\u${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`,
  );
}

/** PostgreSQL's text of an element to its stored text. */
function reader(element: PgType, input: TextInput): (text: string) => string {
  const builder = new VectorBuilder(physicalOf(element));
  const store = storedText(element);
  return (text) => {
    const bytes = encodeText(text);
    builder.reset();
    input(bytes, 0, bytes.length, builder);
    return store(builder.vector());
  };
}

const INSTANTS: ReadonlySet<number> = new Set([Oid.time, Oid.timestamp, Oid.timestamptz]);

/** The stored text of the first value of a vector. */
function storedText(element: PgType): (vector: ColumnVector) => string {
  const { oid } = element;
  if (oid === Oid.date) return (vector) => String(vector.words[0]!);
  const out = new Writer(32);
  const text = (): string => decodeText(out.bytes, 0, out.length);
  if (INSTANTS.has(oid))
    return (vector) => {
      out.length = 0;
      out.reserve(24);
      out.length = putInt64(out.bytes, 0, vector.words[0]!, vector.words[1]!);
      return text();
    };
  if (oid === Oid.float4 || oid === Oid.float8)
    return (vector) => duckdbFloat(oid === Oid.float4 ? vector.float32[0]! : vector.float64[0]!);
  // char(n) is kept without its blanks here, too
  const print = textOutput(oid === Oid.bpchar ? { oid, typmod: -1 } : element, { timeZone: UTC });
  return (vector) => {
    out.length = 0;
    print(vector, 0, out);
    return text();
  };
}

/** JavaScript's digits, which are DuckDB's, as DuckDB lays them out: with an exponent below -4 and from 16 on. */
function duckdbFloat(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
  const shown = Object.is(value, -0) ? '-0' : String(value);
  const [, sign, whole, fraction = '', exponent = '0'] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(shown)!;
  const all = `${whole!}${fraction}`;
  const leading = /^0*/.exec(all)![0].length;
  const digits = all.slice(leading).replace(/0+$/, '');
  if (digits === '') return `${sign!}0.0`;
  const power = whole!.length + Number(exponent) - leading - 1; // of the first digit
  if (power < -4 || power >= 16) {
    const size = String(Math.abs(power)).padStart(2, '0');
    return `${sign!}${digits[0]!}${digits.length > 1 ? `.${digits.slice(1)}` : ''}e${power < 0 ? '-' : '+'}${size}`;
  }
  if (power < 0) return `${sign!}0.${'0'.repeat(-power - 1)}${digits}`;
  const padded = digits.padEnd(power + 1, '0');
  return `${sign!}${padded.slice(0, power + 1)}.${padded.slice(power + 1) || '0'}`;
}

/** Of a stored text lengths were looked at. */
const LOOSE: Readonly<Record<number, Partial<PgType>>> = {
  [Oid.bpchar]: { typmod: -1 },
  [Oid.varchar]: { typmod: -1 },
};

/** The stored text of an element to PostgreSQL's. */
function printer(element: PgType, settings: OutputSettings): (stored: string) => string {
  const { oid } = element;
  const isOther = oid === Oid.date || INSTANTS.has(oid) || oid === Oid.float4 || oid === Oid.float8;
  if (!isOther && oid !== Oid.bpchar && settings.timeZone.styles === undefined) return (stored) => stored;
  const builder = new VectorBuilder(physicalOf(element));
  const print = textOutput(element, settings);
  const input = oid === Oid.date || INSTANTS.has(oid) ? null : textInput({ ...element, ...LOOSE[oid] });
  const out: ByteWriter = new Writer(40);
  return (stored) => {
    builder.reset();
    if (input !== null) {
      const bytes = encodeText(stored);
      input(bytes, 0, bytes.length, builder);
    } else if (oid === Oid.date) builder.int32(Number(stored));
    else {
      const micros = BigInt(stored);
      builder.int64(Number(BigInt.asIntN(32, micros)), Number(BigInt.asIntN(32, micros >> 32n)));
    }
    out.length = 0;
    print(builder.vector(), 0, out);
    return decodeText(out.bytes, 0, out.length);
  };
}
