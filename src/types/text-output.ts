/**
 * PostgreSQL's text output of every column type: one row of a vector to the bytes of its value, without a length.
 *
 * Only for rows that are valid. Sessions with another DateStyle and the like have it written anew (`styled-text.ts`).
 * numeric takes its scale from the type's typmod, as the vector cannot say it.
 */
import type { PgType } from '../table-def.ts';
import type { ByteWriter } from './byte-writer.ts';
import { civilFromDays, DATE_INFINITY, DAY_SECONDS, infiniteSign, splitMicros } from './civil-date.ts';
import type { ColumnVector } from './column-vector.ts';
import {
  exactMagnitude,
  POW10,
  putInt64,
  putMagnitude,
  putPadded,
  putUnsigned,
  putUnsignedPadded,
  setMagnitude,
} from './decimal-digits.ts';
import { putFloat4, putFloat8 } from './float-output.ts';
import { arrayOutput } from './array-column.ts';
import { elementOf, isWideNumeric, numericModifier, Oid } from './pg-type.ts';
import { restyled, restyledOutput } from './styled-text.ts';
import type { TimeZone } from './time-zone.ts';

export type TextOutput = (vector: ColumnVector, row: number, out: ByteWriter) => void;

/** The session's settings that output depends on. */
export interface OutputSettings {
  readonly timeZone: TimeZone;
}

/** The scale of a numeric result whose typmod is -1: that of the DECIMAL(38,10) it was computed as. */
const DEFAULT_SCALE = 10;

/**
 * Any OID that is no column type prints the bytes of its vector: the engine has cast it to text.
 * @param shown the type whose text it is, where the vector holds text
 */
export function textOutput(type: PgType, settings: OutputSettings, shown = type): TextOutput {
  const { timeZone: zone } = settings;
  if (zone.styles === undefined) return plainOutput(type, settings);
  const restyle = restyled(shown, zone.styles, zone);
  // within an array each element is written by itself
  if (restyle === null || (elementOf(type) !== undefined && shown === type)) return plainOutput(type, settings);
  return restyledOutput(plainOutput(type, settings), restyle);
}

function plainOutput(type: PgType, settings: OutputSettings): TextOutput {
  switch (type.oid) {
    case Oid.bool:
      return (vector, row, out) => out.u8((vector.bits[row >> 3]! & (1 << (row & 7))) === 0 ? 102 : 116);
    case Oid.int2:
    case Oid.int4:
      return int4Output;
    case Oid.int8:
    case Oid.oid:
      return int8Output;
    case Oid.float4:
      return (vector, row, out) => putFloat4(vector.float32[row]!, out);
    case Oid.float8:
      return (vector, row, out) => putFloat8(vector.float64[row]!, out);
    case Oid.numeric:
      return anyNumericOutput(type);
    case Oid.bpchar:
      return blankPaddedOutput(type);
    case Oid.bytea:
      return byteaOutput;
    case Oid.date:
      return dateOutput;
    case Oid.time:
      return timeOutput;
    case Oid.timestamp:
      return timestampOutput;
    case Oid.timestamptz:
      return timestamptzOutput(settings.timeZone);
    case Oid.uuid:
      return uuidOutput;
    default:
      return elementOf(type) === undefined ? bytesOutput : arrayOutput(type, settings);
  }
}

/** The scale of a numeric vector: from its typmod, see the head. */
export function numericScale(type: PgType): number {
  return numericModifier(type.typmod)?.scale ?? DEFAULT_SCALE;
}

export function bytesOutput(vector: ColumnVector, row: number, out: ByteWriter): void {
  out.raw(vector.heap, vector.starts[row]!, vector.ends[row]!);
}

/** char(n) with its blanks, in both formats; without a length as it is. */
export function blankPaddedOutput({ typmod }: PgType): TextOutput {
  if (typmod < 5) return bytesOutput;
  const length = typmod - 4;
  return (vector, row, out) => {
    const { heap } = vector;
    const start = vector.starts[row]!;
    const end = vector.ends[row]!;
    let missing = length;
    for (let at = start; at < end; at++) if ((heap[at]! & 0xc0) !== 0x80) missing--;
    out.raw(heap, start, end);
    if (missing <= 0) return;
    out.reserve(missing);
    out.bytes.fill(32, out.length, out.length + missing);
    out.length += missing;
  };
}

function int4Output(vector: ColumnVector, row: number, out: ByteWriter): void {
  out.reserve(11);
  let value = vector.words[row]!;
  let at = out.length;
  if (value < 0) {
    out.bytes[at++] = 45;
    value = -value;
  }
  out.length = putUnsigned(out.bytes, at, value);
}

function int8Output(vector: ColumnVector, row: number, out: ByteWriter): void {
  out.reserve(20);
  out.length = putInt64(out.bytes, out.length, vector.words[row * 2]!, vector.words[row * 2 + 1]!);
}

/** A wide numeric is its text; results of queries whose scale is not declared may be of either kind. */
function anyNumericOutput(type: PgType): TextOutput {
  if (!isWideNumeric(type)) return numericOutput(numericScale(type));
  const decimal = numericOutput(numericScale(type));
  return (vector, row, out) => (vector.physical === 'bytes' ? bytesOutput : decimal)(vector, row, out);
}

const plainDigits = new Uint8Array(48);

function numericOutput(scale: number): TextOutput {
  const unit = scale <= 15 ? POW10[scale]! : 0;
  return (vector, row, out) => {
    const words = vector.words;
    const w = row * 4;
    out.reserve(48);
    const bytes = out.bytes;
    let at = out.length;
    if (setMagnitude(words[w]!, words[w + 1]!, words[w + 2]!, words[w + 3]!)) bytes[at++] = 45;
    const value = exactMagnitude();
    if (value >= 0 && unit > 0) {
      if (scale === 0) {
        out.length = putUnsigned(bytes, at, value);
        return;
      }
      const whole = Math.floor(value / unit);
      at = putUnsigned(bytes, at, whole);
      bytes[at++] = 46;
      out.length = putUnsignedPadded(bytes, at, value - whole * unit, scale);
      return;
    }
    const count = putMagnitude(plainDigits, 0, scale + 1);
    for (let i = 0; i < count; i++) {
      if (i === count - scale) bytes[at++] = 46;
      bytes[at++] = plainDigits[i]!;
    }
    out.length = at;
  };
}

const HEX_DIGITS = new Uint8Array(512);
for (let i = 0; i < 256; i++) {
  const text = i.toString(16).padStart(2, '0');
  HEX_DIGITS[i * 2] = text.charCodeAt(0);
  HEX_DIGITS[i * 2 + 1] = text.charCodeAt(1);
}

function byteaOutput(vector: ColumnVector, row: number, out: ByteWriter): void {
  const end = vector.ends[row]!;
  const heap = vector.heap;
  let from = vector.starts[row]!;
  out.reserve(2 + (end - from) * 2);
  const bytes = out.bytes;
  let at = out.length;
  bytes[at++] = 92;
  bytes[at++] = 120;
  for (; from < end; from++) {
    const byte = heap[from]! * 2;
    bytes[at++] = HEX_DIGITS[byte]!;
    bytes[at++] = HEX_DIGITS[byte + 1]!;
  }
  out.length = at;
}

function uuidOutput(vector: ColumnVector, row: number, out: ByteWriter): void {
  out.reserve(36);
  const bytes = out.bytes;
  let at = out.length;
  for (let i = 0; i < 4; i++) {
    const word = vector.words[row * 4 + i]!;
    for (let shift = 0; shift < 32; shift += 8) {
      const byte = ((word >>> shift) & 255) * 2;
      bytes[at++] = HEX_DIGITS[byte]!;
      bytes[at++] = HEX_DIGITS[byte + 1]!;
      // 8-4-4-4-12: hyphens after bytes 4, 6, 8 and 10.
      if (shift === 8 ? i === 1 || i === 2 : shift === 24 && i < 2) bytes[at++] = 45;
    }
  }
  out.length = at;
}

/** YYYY-MM-DD; true for a year BC, whose mark follows the time. */
function putDate(bytes: Uint8Array, at: number, days: number): number {
  const { year, month, day } = civilFromDays(days);
  const shown = year > 0 ? year : 1 - year;
  let end = shown < 10_000 ? putPadded(bytes, at, shown, 4) : putUnsigned(bytes, at, shown);
  bytes[end++] = 45;
  end = putPadded(bytes, end, month, 2);
  bytes[end++] = 45;
  return putPadded(bytes, end, day, 2);
}

function putEra(bytes: Uint8Array, at: number, days: number): number {
  if (days >= -719_162 || civilFromDays(days).year > 0) return at; // 0001-01-01
  bytes[at] = 32;
  bytes[at + 1] = 66;
  bytes[at + 2] = 67;
  return at + 3;
}

/** HH:MM:SS[.ffffff] without trailing zeros. */
function putTime(bytes: Uint8Array, at: number, seconds: number, micros: number): number {
  const hour = (seconds / 3600) | 0;
  const minute = ((seconds - hour * 3600) / 60) | 0;
  let end = putPadded(bytes, at, hour, 2);
  bytes[end++] = 58;
  end = putPadded(bytes, end, minute, 2);
  bytes[end++] = 58;
  end = putPadded(bytes, end, seconds - hour * 3600 - minute * 60, 2);
  if (micros === 0) return end;
  bytes[end++] = 46;
  end = putPadded(bytes, end, micros, 6);
  while (bytes[end - 1] === 48) end--;
  return end;
}

function dateOutput(vector: ColumnVector, row: number, out: ByteWriter): void {
  out.reserve(24);
  const days = vector.words[row]!;
  if (days === DATE_INFINITY || days === -DATE_INFINITY) return putInfinity(days, out);
  out.length = putEra(out.bytes, putDate(out.bytes, out.length, days), days);
}

function timeOutput(vector: ColumnVector, row: number, out: ByteWriter): void {
  out.reserve(16);
  const { seconds, micros } = splitMicros(vector.words[row * 2]!, vector.words[row * 2 + 1]!);
  out.length = putTime(out.bytes, out.length, seconds, micros);
}

function putInfinity(sign: number, out: ByteWriter): void {
  out.ascii(sign > 0 ? 'infinity' : '-infinity');
}

function timestampOutput(vector: ColumnVector, row: number, out: ByteWriter): void {
  out.reserve(40);
  const infinite = infiniteSign(vector.words[row * 2]!, vector.words[row * 2 + 1]!);
  if (infinite !== 0) return putInfinity(infinite, out);
  const { seconds, micros } = splitMicros(vector.words[row * 2]!, vector.words[row * 2 + 1]!);
  const bytes = out.bytes;
  const days = Math.floor(seconds / DAY_SECONDS);
  let at = putDate(bytes, out.length, days);
  bytes[at++] = 32;
  at = putTime(bytes, at, seconds - days * DAY_SECONDS, micros);
  out.length = putEra(bytes, at, days);
}

function timestamptzOutput(zone: TimeZone): TextOutput {
  return (vector, row, out) => {
    out.reserve(48);
    const infinite = infiniteSign(vector.words[row * 2]!, vector.words[row * 2 + 1]!);
    if (infinite !== 0) return putInfinity(infinite, out);
    const { seconds, micros } = splitMicros(vector.words[row * 2]!, vector.words[row * 2 + 1]!);
    const bytes = out.bytes;
    const offset = zone.fixedSeconds ?? zone.offsetSeconds(seconds);
    const local = seconds + offset;
    const days = Math.floor(local / DAY_SECONDS);
    let at = putDate(bytes, out.length, days);
    bytes[at++] = 32;
    at = putTime(bytes, at, local - days * DAY_SECONDS, micros);
    at = putOffset(bytes, at, offset);
    out.length = putEra(bytes, at, days);
  };
}

/** +hh[:mm[:ss]] */
function putOffset(bytes: Uint8Array, at: number, offset: number): number {
  const size = offset < 0 ? -offset : offset;
  const hours = (size / 3600) | 0;
  const rest = size - hours * 3600;
  bytes[at] = offset < 0 ? 45 : 43;
  let end = putPadded(bytes, at + 1, hours, hours > 99 ? 3 : 2);
  if (rest === 0) return end;
  const minutes = (rest / 60) | 0;
  bytes[end++] = 58;
  end = putPadded(bytes, end, minutes, 2);
  if (rest === minutes * 60) return end;
  bytes[end++] = 58;
  return putPadded(bytes, end, rest - minutes * 60, 2);
}
