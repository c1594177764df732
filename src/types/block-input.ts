/**
 * Text input of one column for many rows at a time: the same values as `text-input.ts` gives one by one, several times
 * as fast, because each loop sees one type, one buffer and one pair of arrays.
 *
 * - B1 A loop takes the forms programs write; any other value goes to the column's `TextInput`, which alone makes errors.
 * - B2 After a throw the column may hold part of the block: the caller truncates.
 */
import { isUtf8 } from 'node:buffer';
import { SqlError, SqlState } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import { DAY_SECONDS, daysFromCivil, daysInMonth, typmodUnit } from './civil-date.ts';
import type { ColumnSink } from './column-vector.ts';
import { putNow } from './datetime-input.ts';
import { POW10 } from './decimal-digits.ts';
import { ABSENT_NULL, type FieldBlock } from './field-block.ts';
import { plainJson } from './json-scan.ts';
import { Oid } from './pg-type.ts';
import { textInput, type TextInput, type TimeContext } from './text-input.ts';

/** A column's arrays, open for writing by hand. Rows before `rows` are complete. */
export interface BlockSink extends ColumnSink {
  rows: number;
  readonly words: Int32Array;
  readonly bits: Uint8Array;
  readonly float64s: Float64Array;
  readonly offsets: Int32Array;
  readonly heap: Uint8Array;
  readonly heapView: DataView;
  heapUsed: number;
  /** The next `count` rows are valid, until `nullAt` says otherwise; `heapBytes` more fit the heap. */
  open(count: number, heapBytes: number): void;
  nullAt(row: number): void;
}

/** Writes values [at, at + count) of the block's arrays as the sink's next rows. */
export type BlockInput = (block: FieldBlock, at: number, count: number, sink: BlockSink) => void;

export type Absent = (code: number, row: number, sink: BlockSink) => void;

const TWO_32 = 4_294_967_296;

/** @throws {SqlError} 0A000 at once for a type no column can have */
export function blockInput(type: PgType, context: TimeContext): BlockInput {
  const slow = textInput(type, context);
  const absent: Absent = (code, row, sink) => {
    if (code === ABSENT_NULL) return sink.nullAt(row);
    sink.rows = row;
    putNow(type, context.now(), context.timeZone, sink);
  };
  switch (type.oid) {
    case Oid.bool:
      return boolBlock(slow, absent);
    case Oid.int4:
      return int4Block(slow, absent);
    case Oid.int8:
      return int8Block(slow, absent);
    case Oid.float8:
      return float8Block(slow, absent);
    case Oid.text:
      return bytesBlock(slow, absent, false);
    case Oid.varchar:
      return type.typmod < 4 ? bytesBlock(slow, absent, false) : oneByOne(slow, absent);
    case Oid.json:
      return bytesBlock(slow, absent, true);
    case Oid.timestamp:
    case Oid.timestamptz:
      return timestampBlock(type, context, slow, absent);
    default:
      return oneByOne(slow, absent);
  }
}

/** Any type, value by value. */
export function oneByOne(slow: TextInput, absent: Absent): BlockInput {
  return ({ src, starts, ends }, at, count, sink) => {
    const base = sink.rows;
    sink.open(count, 0);
    for (let k = 0; k < count; k++) {
      const start = starts[at + k]!;
      if (start < 0) absent(start, base + k, sink);
      else {
        sink.rows = base + k;
        slow(src, start, ends[at + k]!, sink);
      }
    }
    sink.rows = base + count;
  };
}

function boolBlock(slow: TextInput, absent: Absent): BlockInput {
  return ({ src, starts, ends }, at, count, sink) => {
    const { bits, rows: base } = sink;
    sink.open(count, 0);
    for (let k = 0; k < count; k++) {
      const start = starts[at + k]!;
      const row = base + k;
      if (start < 0) {
        absent(start, row, sink);
        continue;
      }
      const length = ends[at + k]! - start;
      const letter = src[start]! | 0x20;
      if ((length === 1 && letter === 116) || (length === 4 && isTrue(src, start))) bits[row >> 3]! |= 1 << (row & 7);
      else if ((length === 1 && letter === 102) || (length === 5 && isFalse(src, start)))
        bits[row >> 3]! &= ~(1 << (row & 7));
      else {
        sink.rows = row;
        slow(src, start, start + length, sink);
      }
    }
    sink.rows = base + count;
  };
}

function isTrue(src: Uint8Array, at: number): boolean {
  return (
    (src[at]! | 32) === 116 && (src[at + 1]! | 32) === 114 && (src[at + 2]! | 32) === 117 && (src[at + 3]! | 32) === 101
  );
}

function isFalse(src: Uint8Array, at: number): boolean {
  return (
    (src[at]! | 32) === 102 &&
    (src[at + 1]! | 32) === 97 &&
    (src[at + 2]! | 32) === 108 &&
    (src[at + 3]! | 32) === 115 &&
    (src[at + 4]! | 32) === 101
  );
}

function int4Block(slow: TextInput, absent: Absent): BlockInput {
  return ({ src, starts, ends }, at, count, sink) => {
    const { words, rows: base } = sink;
    sink.open(count, 0);
    for (let k = 0; k < count; k++) {
      const start = starts[at + k]!;
      if (start < 0) {
        absent(start, base + k, sink);
        continue;
      }
      const end = ends[at + k]!;
      const negative = src[start] === 45;
      let from = negative ? start + 1 : start;
      const length = end - from;
      let value = 0;
      let digit = 0;
      if (length > 0 && length < 10) {
        for (; from < end; from++) {
          digit = src[from]! - 48;
          if (digit >>> 0 > 9) break;
          value = (value * 10 + digit) | 0;
        }
        if (from === end) {
          words[base + k] = negative ? -value | 0 : value;
          continue;
        }
      }
      sink.rows = base + k;
      slow(src, start, end, sink);
    }
    sink.rows = base + count;
  };
}

function int8Block(slow: TextInput, absent: Absent): BlockInput {
  return ({ src, starts, ends }, at, count, sink) => {
    const { words, rows: base } = sink;
    sink.open(count, 0);
    for (let k = 0; k < count; k++) {
      const start = starts[at + k]!;
      const row = base + k;
      if (start < 0) {
        absent(start, row, sink);
        continue;
      }
      const end = ends[at + k]!;
      const negative = src[start] === 45;
      let from = negative ? start + 1 : start;
      const length = end - from;
      if (length > 0 && length < 16) {
        // Nine digits at the end and up to six before them: both are exact in 32 bits, their sum in a double.
        const middle = length > 9 ? end - 9 : from;
        let upper = 0;
        let lower = 0;
        let bad = 0;
        for (; from < middle; from++) {
          const digit = src[from]! - 48;
          bad |= digit | (digit + 118);
          upper = (upper * 10 + digit) | 0;
        }
        for (; from < end; from++) {
          const digit = src[from]! - 48;
          bad |= digit | (digit + 118);
          lower = (lower * 10 + digit) | 0;
        }
        if ((bad & ~127) === 0) {
          if (upper === 0) {
            words[row * 2] = negative ? -lower | 0 : lower;
            words[row * 2 + 1] = negative && lower !== 0 ? -1 : 0;
          } else {
            const value = negative ? -(upper * 1e9 + lower) : upper * 1e9 + lower;
            words[row * 2] = value | 0;
            words[row * 2 + 1] = Math.floor(value / TWO_32);
          }
          continue;
        }
      }
      sink.rows = row;
      slow(src, start, end, sink);
    }
    sink.rows = base + count;
  };
}

/** At most 15 digits with a point: m / 10^k of exact parts is correctly rounded. */
function float8Block(slow: TextInput, absent: Absent): BlockInput {
  return ({ src, starts, ends }, at, count, sink) => {
    const { float64s, rows: base } = sink;
    sink.open(count, 0);
    for (let k = 0; k < count; k++) {
      const start = starts[at + k]!;
      if (start < 0) {
        absent(start, base + k, sink);
        continue;
      }
      const end = ends[at + k]!;
      const negative = src[start] === 45;
      let from = negative ? start + 1 : start;
      if (end - from < 17) {
        let upper = 0;
        let lower = 0;
        let digits = 0;
        let fraction = -1;
        for (; from < end; from++) {
          const digit = src[from]! - 48;
          if (digit >>> 0 > 9) {
            if (digit !== -2 || fraction >= 0) break;
            fraction = digits;
            continue;
          }
          if (digits < 9) upper = (upper * 10 + digit) | 0;
          else lower = (lower * 10 + digit) | 0;
          digits++;
        }
        if (from === end && digits > 0 && digits < 16) {
          const mantissa = digits > 9 ? upper * POW10[digits - 9]! + lower : upper;
          const value = fraction < 0 ? mantissa : mantissa / POW10[digits - fraction]!;
          float64s[base + k] = negative ? -value : value;
          continue;
        }
      }
      sink.rows = base + k;
      slow(src, start, end, sink);
    }
    sink.rows = base + count;
  };
}

/**
 * Copies src[start, end) to heap[used, …) by words, without an object. Eight bytes of UTF-8 are never a NaN, whose bits
 * might not survive: FF is in no text, and 7F follows no byte from F0 on.
 */
function copyText(
  heap: Uint8Array,
  heapView: DataView,
  used: number,
  src: Uint8Array,
  view: DataView,
  start: number,
  end: number,
): void {
  let to = used;
  let from = start;
  for (; from + 8 <= end; from += 8) {
    heapView.setFloat64(to, view.getFloat64(from, true), true);
    to += 8;
  }
  for (; from < end; from++) heap[to++] = src[from]!;
}

const LONG_BYTES = 256;

/** text, varchar without a length, json. */
export function bytesBlock(slow: TextInput, absent: Absent, isJson: boolean): BlockInput {
  return (block, at, count, sink) => {
    const { src, view, starts, ends, isText } = block;
    const base = sink.rows;
    let bytes = 0;
    for (let k = at; k < at + count; k++) bytes += starts[k]! < 0 ? 0 : ends[k]! - starts[k]!;
    sink.open(count, bytes);
    const { heap, heapView, offsets } = sink;
    const heapFirst = sink.heapUsed;
    let used = heapFirst;
    let cut = false;
    for (let k = 0; k < count; k++) {
      const start = starts[at + k]!;
      if (start < 0) {
        offsets[base + k + 1] = used;
        sink.heapUsed = used;
        absent(start, base + k, sink);
        continue;
      }
      const end = ends[at + k]!;
      if (isJson && !plainJson(src, start, end)) {
        sink.heapUsed = used;
        sink.rows = base + k;
        slow(src, start, end, sink); // as long as it was: json is kept as written
        used = sink.heapUsed;
        continue;
      }
      if (end - start < LONG_BYTES) copyText(heap, heapView, used, src, view, start, end);
      else heap.set(src.subarray(start, end), used);
      if (end > start && (src[start]! & 0xc0) === 0x80) cut = true;
      used += end - start;
      offsets[base + k + 1] = used;
    }
    sink.heapUsed = used;
    if (!isText) {
      // One native pass: whole if the sum is UTF-8 and no value begins inside a character.
      const written = heap.subarray(heapFirst, used);
      if (cut || !isUtf8(written) || written.includes(0))
        throw new SqlError(SqlState.characterNotInRepertoire, 'invalid byte sequence for encoding "UTF8"');
    }
    sink.rows = base + count;
  };
}

/** Eight digits of the last date read, and its days. */
let lastDate = 19_700_101;
let lastDays = 0;

/** Days of the date, NaN for none. */
function daysOf(date: number): number {
  const day = date % 100;
  const month = ((date / 100) | 0) % 100;
  const year = (date / 10_000) | 0;
  if (year === 0 || month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return NaN;
  lastDate = date;
  lastDays = daysFromCivil(year, month, day);
  return lastDays;
}

/** YYYY-MM-DD[ T]HH:MM:SS[.ffffff][Z|±hh[:mm]]; micros from 1970 to the zone, NaN for anything else. */
function isoMicros(src: Uint8Array, start: number, end: number, withZone: boolean, defaultOffset: number): number {
  const d0 = src[start]! - 48;
  const d1 = src[start + 1]! - 48;
  const d2 = src[start + 2]! - 48;
  const d3 = src[start + 3]! - 48;
  const d4 = src[start + 5]! - 48;
  const d5 = src[start + 6]! - 48;
  const d6 = src[start + 8]! - 48;
  const d7 = src[start + 9]! - 48;
  const h0 = src[start + 11]! - 48;
  const h1 = src[start + 12]! - 48;
  const m0 = src[start + 14]! - 48;
  const m1 = src[start + 15]! - 48;
  const s0 = src[start + 17]! - 48;
  const s1 = src[start + 18]! - 48;
  // A digit d has neither a bit above 7 set, nor has d + 118.
  const bad = // prettier-ignore
    d0 | (d0 + 118) | d1 | (d1 + 118) | d2 | (d2 + 118) | d3 | (d3 + 118) | d4 | (d4 + 118) | d5 | (d5 + 118) |
    d6 | (d6 + 118) | d7 | (d7 + 118) | h0 | (h0 + 118) | h1 | (h1 + 118) | m0 | (m0 + 118) | m1 | (m1 + 118) |
    s0 | (s0 + 118) | s1 | (s1 + 118);
  const separator = src[start + 10];
  if (
    (bad & ~127) !== 0 ||
    src[start + 4] !== 45 ||
    src[start + 7] !== 45 ||
    (separator !== 32 && separator !== 84) ||
    src[start + 13] !== 58 ||
    src[start + 16] !== 58
  )
    return NaN;
  const hour = h0 * 10 + h1;
  const minute = m0 * 10 + m1;
  const second = s0 * 10 + s1;
  if (hour > 23 || minute > 59 || second > 59) return NaN;
  let micros = 0;
  let at = start + 19;
  if (at < end && src[at] === 46) {
    at++;
    const stop = at + 6 < end ? at + 6 : end;
    let missing = 6;
    for (; at < stop; at++) {
      const digit = src[at]! - 48;
      if (digit >>> 0 > 9) break;
      micros = micros * 10 + digit;
      missing--;
    }
    for (; missing > 0; missing--) micros *= 10;
  }
  const offset = at === end ? defaultOffset : withZone ? zoneSeconds(src, at, end) : NaN;
  const date = (((((((d0 * 10 + d1) * 10 + d2) * 10 + d3) * 10 + d4) * 10 + d5) * 10 + d6) * 10 + d7) | 0;
  const days = date === lastDate ? lastDays : daysOf(date);
  const seconds = days * DAY_SECONDS + hour * 3600 + minute * 60 + second - offset;
  return seconds < 9_000_000_000 && seconds > -9_000_000_000 ? seconds * 1e6 + micros : NaN;
}

/** Z, ±hh, ±hh:mm from `at` to the end, in seconds east; NaN for anything else. */
function zoneSeconds(src: Uint8Array, at: number, end: number): number {
  const length = end - at;
  const sign = src[at]!;
  if (length === 1) return (sign | 0x20) === 122 ? 0 : NaN;
  if ((sign !== 43 && sign !== 45) || (length !== 3 && (length !== 6 || src[at + 3] !== 58))) return NaN;
  const h0 = src[at + 1]! - 48;
  const h1 = src[at + 2]! - 48;
  if (h0 >>> 0 > 1 || h1 >>> 0 > 9) return NaN;
  let seconds = (h0 * 10 + h1) * 3600;
  if (seconds > 15 * 3600) return NaN;
  if (length === 6) {
    const m0 = src[at + 4]! - 48;
    const m1 = src[at + 5]! - 48;
    if (m0 >>> 0 > 5 || m1 >>> 0 > 9) return NaN;
    seconds += (m0 * 10 + m1) * 60;
  }
  return sign === 45 ? -seconds : seconds;
}

function timestampBlock(type: PgType, { timeZone }: TimeContext, slow: TextInput, absent: Absent): BlockInput {
  if (typmodUnit(type.typmod) !== 1) return oneByOne(slow, absent);
  const withZone = type.oid === Oid.timestamptz;
  /** Of a text without a zone; NaN: it depends on the date. */
  const defaultOffset = withZone ? (timeZone.fixedSeconds ?? NaN) : 0;
  return ({ src, starts, ends }, at, count, sink) => {
    const { words, rows: base } = sink;
    sink.open(count, 0);
    for (let k = 0; k < count; k++) {
      const start = starts[at + k]!;
      const row = base + k;
      if (start < 0) {
        absent(start, row, sink);
        continue;
      }
      const end = ends[at + k]!;
      const value = end - start >= 19 ? isoMicros(src, start, end, withZone, defaultOffset) : NaN;
      if (value === value) {
        words[row * 2] = value | 0;
        words[row * 2 + 1] = Math.floor(value / TWO_32);
        continue;
      }
      sink.rows = row;
      slow(src, start, end, sink);
    }
    sink.rows = base + count;
  };
}
