/**
 * Text to date, time, timestamp and timestamptz.
 *
 * ISO 8601 as programs write it (`2020-01-02[ T]03:04:05[.123456][Z|±hh[:mm]]`) is read from the bytes; everything
 * else PostgreSQL understands goes through `datetime-words.ts`.
 */
import { notSupported, SqlError, SqlState } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import {
  DATE_INFINITY,
  DATE_MAX,
  DATE_MIN,
  DAY_SECONDS,
  daysFromCivil,
  daysInMonth,
  infiniteSign,
  INFINITY_WORDS,
  joinMicros,
  MINUS_INFINITY_WORDS,
  roundMicros,
  splitMicros,
  TIMESTAMP_DAYS_MAX,
  typmodUnit,
} from './civil-date.ts';
import type { ColumnSink } from './column-vector.ts';
import { decodeDateTime, type DateTimeKind } from './datetime-words.ts';
import { highWord } from './decimal-digits.ts';
import { type TextInput } from './number-input.ts';
import { formatType } from './format-type.ts';
import { Oid } from './pg-type.ts';
import { localToUtc, type TimeZone } from './time-zone.ts';
import { decodeText } from './utf8.ts';

/** What text may refer to: the session's zone and, for 'now' and 'today', micros from 1970. */
export interface TimeContext {
  readonly timeZone: TimeZone;
  readonly now: () => number;
}

function two(src: Uint8Array, at: number): number {
  const tens = src[at]! - 48;
  const ones = src[at + 1]! - 48;
  return tens >>> 0 > 9 || ones >>> 0 > 9 ? -1 : tens * 10 + ones;
}

/** YYYY-MM-DD at `at`, in days; NaN for anything else. */
function isoDate(src: Uint8Array, at: number): number {
  if (src[at + 4] !== 45 || src[at + 7] !== 45) return NaN;
  const century = two(src, at);
  const ofCentury = two(src, at + 2);
  const month = two(src, at + 5);
  const day = two(src, at + 8);
  if (century < 0 || ofCentury < 0 || month < 1 || month > 12 || day < 1) return NaN;
  const year = century * 100 + ofCentury;
  if (year === 0 || (day > 28 && day > daysInMonth(year, month))) return NaN;
  return daysFromCivil(year, month, day);
}

/** Where the last `isoTime` stopped. */
let stop = 0;

/** HH:MM:SS[.ffffff] at `at`, in micros of the day; NaN for anything else. */
function isoTime(src: Uint8Array, at: number, end: number): number {
  if (end - at < 8 || src[at + 2] !== 58 || src[at + 5] !== 58) return NaN;
  const hour = two(src, at);
  const minute = two(src, at + 3);
  const second = two(src, at + 6);
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return NaN;
  let micros = 0;
  let next = at + 8;
  if (next < end && src[next] === 46) {
    next++;
    let unit = 100_000;
    for (; next < end; next++) {
      const digit = src[next]! - 48;
      if (digit >>> 0 > 9) break;
      if (unit < 1) return NaN; // a seventh digit rounds: not here
      micros += digit * unit;
      unit = unit === 1 ? 0 : unit / 10;
    }
  }
  stop = next;
  return (hour * 3600 + minute * 60 + second) * 1e6 + micros;
}

/** Z, +hh, +hh:mm from `at` to the end, in seconds east; NaN for anything else. */
function isoZone(src: Uint8Array, at: number, end: number): number {
  const length = end - at;
  if (length === 1) return (src[at]! | 0x20) === 122 ? 0 : NaN;
  if (src[at] !== 43 && src[at] !== 45) return NaN;
  const hours = two(src, at + 1);
  if (hours < 0 || hours > 15) return NaN;
  let seconds = hours * 3600;
  if (length === 6 && src[at + 3] === 58) {
    const minutes = two(src, at + 4);
    if (minutes < 0 || minutes > 59) return NaN;
    seconds += minutes * 60;
  } else if (length !== 3) {
    return NaN;
  }
  return src[at] === 45 ? -seconds : seconds;
}

export function dateInput(context: TimeContext): TextInput {
  return (src, start, end, sink) => {
    if (end - start === 10) {
      const days = isoDate(src, start);
      if (days === days) return sink.int32(days);
    }
    const text = decodeText(src, start, end);
    const decoded = decodeDateTime(text, 'date', context);
    if (decoded.infinite !== undefined) return sink.int32(decoded.infinite * DATE_INFINITY);
    if (decoded.days < DATE_MIN || decoded.days > DATE_MAX) throw outOfRange(`date out of range: "${text}"`);
    sink.int32(decoded.days);
  };
}

export function timeInput(type: PgType, context: TimeContext): TextInput {
  const round = typmodUnit(type.typmod);
  return (src, start, end, sink) => {
    let micros = isoTime(src, start, end);
    if (micros !== micros || stop !== end) micros = decodeDateTime(decodeText(src, start, end), 'time', context).micros;
    micros = roundTime(micros, round);
    sink.int64(micros | 0, highWord(micros));
  };
}

function roundTime(micros: number, unit: number): number {
  return unit === 1 ? micros : Math.round(micros / unit) * unit;
}

/** Whether values of the type have fewer digits of a second than they have room for. */
export function isRounded({ oid, typmod }: PgType): boolean {
  return (oid === Oid.timestamp || oid === Oid.timestamptz || oid === Oid.time) && typmodUnit(typmod) !== 1;
}

/** A value in memory that was computed with all digits, as its column has it. */
export function putRounded(type: PgType, words: Int32Array, row: number, sink: ColumnSink): void {
  const unit = typmodUnit(type.typmod);
  const infinite = infiniteSign(words[row * 2]!, words[row * 2 + 1]!);
  if (infinite !== 0) return putInfinite(infinite, sink);
  const { seconds, micros } = splitMicros(words[row * 2]!, words[row * 2 + 1]!);
  if (type.oid !== Oid.time) return putMicros(seconds, roundMicros(seconds, micros, unit), sink);
  const ofDay = roundTime(seconds * 1e6 + micros, unit);
  sink.int64(ofDay | 0, highWord(ofDay));
}

/** timestamp and timestamptz. */
export function timestampInput(type: PgType, withZone: boolean, context: TimeContext): TextInput {
  const round = typmodUnit(type.typmod);
  const kind: DateTimeKind = withZone ? 'timestamp with time zone' : 'timestamp';
  const zone = context.timeZone;
  return (src, start, end, sink) => {
    if (end - start >= 19) {
      const separator = src[start + 10];
      if (separator === 32 || separator === 84) {
        const days = isoDate(src, start);
        let micros = isoTime(src, start + 11, end);
        if (days === days && micros === micros) {
          const offset = stop === end ? 0 : isoZone(src, stop, end);
          if (offset === offset) {
            let seconds = days * DAY_SECONDS;
            if (withZone) seconds = stop === end ? toUtc(zone, seconds, micros) : seconds - offset;
            if (round !== 1) micros = roundMicros(seconds, micros, round);
            return putMicros(seconds, micros, sink);
          }
        }
      }
    }
    slowTimestamp(decodeText(src, start, end), kind, round, context, sink);
  };
}

/** Midnight's seconds moved from local time to UTC, by the offset at that time of the day. */
function toUtc(zone: TimeZone, seconds: number, micros: number): number {
  if (zone.fixedSeconds !== null) return seconds - zone.fixedSeconds;
  const local = seconds + Math.floor(micros / 1e6);
  return seconds + localToUtc(zone, local) - local;
}

function putMicros(seconds: number, micros: number, sink: ColumnSink): void {
  if (seconds < 9_000_000_000 && seconds > -9_000_000_000) {
    const value = seconds * 1e6 + micros;
    return sink.int64(value | 0, highWord(value));
  }
  const whole = Math.floor(micros / 1e6);
  const words = joinMicros(seconds + whole, micros - whole * 1e6);
  sink.int64(words.low, words.high);
}

function slowTimestamp(text: string, kind: DateTimeKind, round: number, context: TimeContext, sink: ColumnSink): void {
  const decoded = decodeDateTime(text, kind, context);
  if (decoded.infinite !== undefined) return putInfinite(decoded.infinite, sink);
  let micros = decoded.micros;
  let seconds = decoded.days * DAY_SECONDS;
  if (kind === 'timestamp with time zone') {
    if (decoded.offset !== null) seconds -= decoded.offset;
    else seconds = toUtc(decoded.zone ?? context.timeZone, seconds, micros);
  }
  if (round !== 1) micros = roundMicros(seconds, micros, round);
  if (
    decoded.days < DATE_MIN ||
    seconds < DATE_MIN * DAY_SECONDS ||
    (seconds + micros / 1e6) / DAY_SECONDS >= TIMESTAMP_DAYS_MAX
  ) {
    throw outOfRange(`timestamp out of range: "${text}"`);
  }
  putMicros(seconds, micros, sink);
}

export function putInfinite(sign: -1 | 1, sink: ColumnSink): void {
  const { low, high } = sign > 0 ? INFINITY_WORDS : MINUS_INFINITY_WORDS;
  sink.int64(low, high);
}

function outOfRange(message: string): SqlError {
  return new SqlError(SqlState.datetimeFieldOverflow, message);
}

/** The words of "now" as a column of `type`, for defaults. `micros` counts from 1970. */
export function putNow(type: PgType, micros: number, zone: TimeZone, sink: ColumnSink): void {
  const seconds = Math.floor(micros / 1e6);
  const fraction = micros - seconds * 1e6;
  const local = seconds + zone.offsetSeconds(seconds);
  const day = Math.floor(local / DAY_SECONDS);
  switch (type.oid) {
    case Oid.date:
      return sink.int32(day);
    case Oid.time: {
      const ofDay = roundTime((local - day * DAY_SECONDS) * 1e6 + fraction, typmodUnit(type.typmod));
      return sink.int64(ofDay | 0, highWord(ofDay));
    }
    case Oid.timestamp:
      return putMicros(local, roundMicros(local, fraction, typmodUnit(type.typmod)), sink);
    case Oid.timestamptz:
      return putMicros(seconds, roundMicros(seconds, fraction, typmodUnit(type.typmod)), sink);
    default:
      throw notSupported(`now() in a column of type ${formatType(type)}`);
  }
}
