/**
 * Days, micros and the proleptic Gregorian calendar.
 *
 * In memory a date is days from 1970-01-01, a timestamp micros from there (UTC for timestamptz), a time micros from
 * midnight. PostgreSQL's wire counts from 2000-01-01: `POSTGRES_EPOCH_DAYS` later. Years are astronomical: 0 is 1 BC.
 */
import { highWord } from './decimal-digits.ts';

export const DAY_SECONDS = 86_400;
export const DAY_MICROS = 86_400_000_000;
export const POSTGRES_EPOCH_DAYS = 10_957;
const TWO_32 = 4_294_967_296;

/** Days of 4714-11-24 BC (Julian day 0) and of 5874897-12-31: PostgreSQL's first and last date. */
export const DATE_MIN = -2_440_588;
export const DATE_MAX = 2_145_042_905;
/** The last instant is int64's, in 294247; PostgreSQL's own reaches 30 years further. */
export const TIMESTAMP_DAYS_MAX = 106_751_991;

/** Infinite dates and timestamps, as DuckDB has them too: the largest words, and their negatives. */
export const DATE_INFINITY = 2_147_483_647;
export const INFINITY_WORDS = { low: -1, high: 0x7fff_ffff } as const;
export const MINUS_INFINITY_WORDS = { low: 1, high: -0x8000_0000 } as const;

/** 1 or -1 for the infinite timestamps, else 0. */
export function infiniteSign(low: number, high: number): -1 | 0 | 1 {
  if (high === 0x7fff_ffff) return low === -1 ? 1 : 0;
  return high === -0x8000_0000 && low === 1 ? -1 : 0;
}

export function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = (((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) | 0) + day - 1;
  return era * 146_097 + yearOfEra * 365 + ((yearOfEra / 4) | 0) - ((yearOfEra / 100) | 0) + dayOfYear - 719_468;
}

/** The fields of the last `civilFromDays`; a caller reads them at once. */
export const civil = { year: 1970, month: 1, day: 1 };
let cachedDays = 0;

export function civilFromDays(days: number): typeof civil {
  if (days === cachedDays) return civil;
  cachedDays = days;
  const z = days + 719_468;
  const era = Math.floor(z / 146_097);
  const dayOfEra = z - era * 146_097;
  const yearOfEra =
    ((dayOfEra - ((dayOfEra / 1460) | 0) + ((dayOfEra / 36_524) | 0) - ((dayOfEra / 146_096) | 0)) / 365) | 0;
  const dayOfYear = dayOfEra - (365 * yearOfEra + ((yearOfEra / 4) | 0) - ((yearOfEra / 100) | 0));
  const shifted = ((5 * dayOfYear + 2) / 153) | 0;
  civil.day = dayOfYear - (((153 * shifted + 2) / 5) | 0) + 1;
  civil.month = shifted < 10 ? shifted + 3 : shifted - 9;
  civil.year = yearOfEra + era * 400 + (civil.month <= 2 ? 1 : 0);
  return civil;
}

const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

export function daysInMonth(year: number, month: number): number {
  if (month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)) return 29;
  return MONTH_DAYS[month - 1]!;
}

/** An instant split in whole seconds from 1970 and micros in [0, 10^6). */
export const instant = { seconds: 0, micros: 0 };

export function splitMicros(low: number, high: number): typeof instant {
  if (high >= -0x20_0000 && high < 0x20_0000) {
    const value = high * TWO_32 + (low >>> 0);
    instant.seconds = Math.floor(value / 1e6);
    instant.micros = value - instant.seconds * 1e6;
    return instant;
  }
  // high · 2^32 + low, divided 16 bits at a time from the top; the top word keeps the sign.
  const top = Math.floor(high / 1e6);
  let remainder = high - top * 1e6;
  const middle = remainder * 65_536 + (low >>> 16);
  const middleQuotient = Math.floor(middle / 1e6);
  remainder = middle - middleQuotient * 1e6;
  const last = remainder * 65_536 + (low & 0xffff);
  const lastQuotient = Math.floor(last / 1e6);
  instant.seconds = top * TWO_32 + middleQuotient * 65_536 + lastQuotient;
  instant.micros = last - lastQuotient * 1e6;
  return instant;
}

/** The words of the last `joinMicros`. */
export const joined = { low: 0, high: 0 };

/** seconds · 10^6 + micros as 64 bits. `seconds` must be within int64's micros. */
export function joinMicros(seconds: number, micros: number): typeof joined {
  if (seconds < 9_000_000_000 && seconds > -9_000_000_000) {
    const value = seconds * 1e6 + micros;
    joined.low = value | 0;
    joined.high = highWord(value);
    return joined;
  }
  const upper = Math.floor(seconds / 1_048_576);
  const product = upper * 1e6;
  const productHigh = Math.floor(product / 4096);
  const low = (product - productHigh * 4096) * 1_048_576 + (seconds - upper * 1_048_576) * 1e6 + micros;
  joined.low = low | 0;
  joined.high = productHigh + Math.floor(low / TWO_32);
  return joined;
}

/** time(p) and timestamp(p): the micros that values are rounded to. */
export function typmodUnit(typmod: number): number {
  return typmod < 0 || typmod >= 6 ? 1 : 10 ** (6 - typmod);
}

/** Rounds micros of a day or second to a multiple, halves away from PostgreSQL's epoch, as its typmods do. */
export function roundMicros(seconds: number, micros: number, unit: number): number {
  const units = micros / unit;
  return (seconds < POSTGRES_EPOCH_DAYS * DAY_SECONDS ? Math.ceil(units - 0.5) : Math.floor(units + 0.5)) * unit;
}
