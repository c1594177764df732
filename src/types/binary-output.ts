/**
 * PostgreSQL's binary output: one row of a vector to the bytes of its value, big-endian, without a length.
 * Only for rows that are valid. Types that are no column types have no binary form here, save the string types.
 */
import { notSupported } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import type { ByteWriter } from './byte-writer.ts';
import { DATE_INFINITY, infiniteSign, joinMicros, POSTGRES_EPOCH_DAYS, splitMicros } from './civil-date.ts';
import type { ColumnVector } from './column-vector.ts';
import { putMagnitude, setMagnitude } from './decimal-digits.ts';
import { formatType } from './format-type.ts';
import { arrayBinaryOutput } from './array-column.ts';
import { parseInterval } from './interval-input.ts';
import { numericBinary } from './numeric-binary.ts';
import { elementOf, isWideNumeric, Oid } from './pg-type.ts';
import { parseTimetz } from './timetz.ts';
import { decodeText } from './utf8.ts';
import { blankPaddedOutput, bytesOutput, numericScale, type OutputSettings, type TextOutput } from './text-output.ts';

/** As TextOutput, in the binary format. */
export type BinaryOutput = TextOutput;

const POSTGRES_EPOCH_SECONDS = POSTGRES_EPOCH_DAYS * 86_400;

/** @throws {SqlError} 0A000 at once for a type without a binary form here */
export function binaryOutput(type: PgType, _settings: OutputSettings): BinaryOutput {
  switch (type.oid) {
    case Oid.bool:
      return (vector, row, out) => out.u8((vector.bits[row >> 3]! >> (row & 7)) & 1);
    case Oid.int2:
      return (vector, row, out) => out.i16(vector.words[row]!);
    case Oid.int4:
      return (vector, row, out) => out.i32(vector.words[row]!);
    case Oid.int8:
      return (vector, row, out) => {
        out.i32(vector.words[row * 2 + 1]!);
        out.i32(vector.words[row * 2]!);
      };
    case Oid.float4:
      return (vector, row, out) => out.f32(vector.float32[row]!);
    case Oid.float8:
      return (vector, row, out) => out.f64(vector.float64[row]!);
    case Oid.numeric:
      return isWideNumeric(type) ? wideNumericOutput(type) : numericOutput(numericScale(type));
    case Oid.text:
    case Oid.varchar:
    case Oid.name:
    case Oid.json:
    case Oid.bytea:
    case Oid.unknown:
      return bytesOutput;
    case Oid.bpchar:
      return blankPaddedOutput(type);
    case Oid.char:
      return (vector, row, out) => {
        if (vector.starts[row]! === vector.ends[row]!) out.u8(0);
        else bytesOutput(vector, row, out);
      };
    case Oid.oid:
      return (vector, row, out) => out.i32(vector.words[row * 2]!);
    case Oid.date:
      return dateOutput;
    case Oid.time:
      return (vector, row, out) => {
        out.i32(vector.words[row * 2 + 1]!);
        out.i32(vector.words[row * 2]!);
      };
    case Oid.timestamp:
    case Oid.timestamptz:
      return timestampOutput;
    case Oid.interval:
      return intervalOutput;
    case Oid.timetz:
      return timetzOutput;
    case Oid.uuid:
      return uuidOutput;
    case Oid.jsonb:
      return (vector, row, out) => {
        out.u8(1);
        bytesOutput(vector, row, out);
      };
    default:
      if (elementOf(type) !== undefined) return arrayBinaryOutput(type);
      throw notSupported(`binary output of type ${formatType(type)}`, { hint: 'Ask for the text format.' });
  }
}

function dateOutput(vector: ColumnVector, row: number, out: ByteWriter): void {
  const days = vector.words[row]!;
  if (days === DATE_INFINITY) out.i32(DATE_INFINITY);
  else out.i32(days === -DATE_INFINITY ? -DATE_INFINITY - 1 : days - POSTGRES_EPOCH_DAYS);
}

const textAt = (vector: ColumnVector, row: number): string =>
  decodeText(vector.heap, vector.starts[row]!, vector.ends[row]!);

function wideNumericOutput(type: PgType): BinaryOutput {
  const decimal = numericOutput(numericScale(type));
  return (vector, row, out) =>
    vector.physical === 'bytes' ? numericBinary(textAt(vector, row), out) : decimal(vector, row, out);
}

function intervalOutput(vector: ColumnVector, row: number, out: ByteWriter): void {
  const { months, days, micros } = parseInterval(textAt(vector, row));
  out.i32(Math.floor(micros / 0x1_0000_0000));
  out.i32(micros | 0);
  out.i32(days);
  out.i32(months);
}

function timetzOutput(vector: ColumnVector, row: number, out: ByteWriter): void {
  const { micros, east } = parseTimetz(textAt(vector, row));
  out.i32(Math.floor(micros / 0x1_0000_0000));
  out.i32(micros | 0);
  out.i32(0 - east);
}

function timestampOutput(vector: ColumnVector, row: number, out: ByteWriter): void {
  const infinite = infiniteSign(vector.words[row * 2]!, vector.words[row * 2 + 1]!);
  if (infinite !== 0) {
    out.i32(infinite > 0 ? 0x7fff_ffff : -0x8000_0000);
    out.i32(infinite > 0 ? -1 : 0);
    return;
  }
  const { seconds, micros } = splitMicros(vector.words[row * 2]!, vector.words[row * 2 + 1]!);
  const words = joinMicros(seconds - POSTGRES_EPOCH_SECONDS, micros);
  out.i32(words.high);
  out.i32(words.low);
}

function uuidOutput(vector: ColumnVector, row: number, out: ByteWriter): void {
  out.reserve(16);
  const bytes = out.bytes;
  let at = out.length;
  for (let i = 0; i < 4; i++) {
    const word = vector.words[row * 4 + i]!;
    bytes[at++] = word & 255;
    bytes[at++] = (word >>> 8) & 255;
    bytes[at++] = (word >>> 16) & 255;
    bytes[at++] = word >>> 24;
  }
  out.length = at;
}

const digits = new Uint8Array(96);

/** ndigits, weight, sign, dscale, then digits of base 10,000 without zeros at either end. */
function numericOutput(scale: number): BinaryOutput {
  const padding = (4 - (scale % 4)) % 4; // digits after the point come in fours
  const fractionGroups = (scale + padding) / 4;
  return (vector, row, out) => {
    const words = vector.words;
    const w = row * 4;
    const negative = setMagnitude(words[w]!, words[w + 1]!, words[w + 2]!, words[w + 3]!);
    // Four zeros in front let the first group be read whole.
    digits.fill(48, 0, 4);
    let end = putMagnitude(digits, 4, 1);
    for (let i = 0; i < padding; i++) digits[end++] = 48;
    const groups = Math.ceil((end - 4) / 4);
    const first = end - groups * 4;
    let skipped = 0;
    while (skipped < groups && groupAt(first + skipped * 4) === 0) skipped++;
    let last = groups;
    while (last > skipped && groupAt(first + (last - 1) * 4) === 0) last--;
    const count = last - skipped;
    out.i16(count);
    out.i16(count === 0 ? 0 : groups - fractionGroups - 1 - skipped);
    out.i16(negative ? 0x4000 : 0);
    out.i16(scale);
    for (let i = skipped; i < last; i++) out.i16(groupAt(first + i * 4));
  };
}

function groupAt(at: number): number {
  return (digits[at]! - 48) * 1000 + (digits[at + 1]! - 48) * 100 + (digits[at + 2]! - 48) * 10 + digits[at + 3]! - 48;
}
