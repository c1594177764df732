/**
 * Values as sessions have them written that set DateStyle, IntervalStyle, bytea_output or extra_float_digits otherwise: made from the
 * text that all others get. For the few who want it: it runs on strings, one value at a time.
 *
 * - T1 Instants in a style other than ISO name their zone by its abbreviation, which is known here of UTC and fixed offsets alone; of
 *   other zones it is PostgreSQL's to say, so 0A000 sends the statement there.
 * Sources: EncodeDateOnly, EncodeDateTime, EncodeInterval, byteaout, float8out.
 */
import { notSupported } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import type { ByteWriter } from './byte-writer.ts';
import type { ColumnVector } from './column-vector.ts';
import { daysFromCivil } from './civil-date.ts';
import { arrayText, parseArray } from './array-value.ts';
import { parseInterval, type Interval } from './interval-input.ts';
import { elementType, Oid } from './pg-type.ts';
import type { Styles } from './output-styles.ts';
import { secondFraction } from './second-fraction.ts';
import type { TimeZone } from './time-zone.ts';
import { decodeText } from './utf8.ts';

type Restyle = (text: string) => string;

/** Whether the text of a type depends on those settings at all; of what is unknown it may. */
export function dependsOnStyle(oid: number): boolean {
  return STYLED.has(elementType(oid) ?? oid);
}

const STYLED: ReadonlySet<number> = new Set([
  Oid.date,
  Oid.timestamp,
  Oid.timestamptz,
  Oid.interval,
  Oid.bytea,
  Oid.float4,
  Oid.float8,
]);

/** From the text of the defaults. Null: it stays. @throws {SqlError} 0A000 (T1) */
export function restyled({ oid }: PgType, styles: Styles, zone: TimeZone): Restyle | null {
  const element = elementType(oid);
  if (element !== undefined) {
    const each = restyled({ oid: element, typmod: -1 }, styles, zone);
    return each === null ? null : (text) => restyledArray(text, each);
  }
  switch (oid) {
    case Oid.date:
    case Oid.timestamp:
    case Oid.timestamptz:
      if (styles.date === 'ISO') return null;
      return dateTime(styles, oid === Oid.timestamptz ? abbreviationOf(zone) : '');
    case Oid.interval:
      return styles.interval === 'postgres' ? null : (text) => INTERVALS[styles.interval](partsOf(parseInterval(text)));
    case Oid.bytea:
      return styles.bytea === 'hex' ? null : escaped;
    case Oid.float4:
      return styles.floatDigits >= 1 ? null : rounded(6 + styles.floatDigits);
    case Oid.float8:
      return styles.floatDigits >= 1 ? null : rounded(15 + styles.floatDigits);
    default:
      return null;
  }
}

/** An output whose text is written anew. */
export function restyledOutput(
  output: (vector: ColumnVector, row: number, out: ByteWriter) => void,
  restyle: Restyle,
): typeof output {
  return (vector, row, out) => {
    const start = out.length;
    output(vector, row, out);
    const text = decodeText(out.bytes, start, out.length);
    out.length = start;
    out.utf8(restyle(text));
  };
}

function restyledArray(text: string, each: Restyle): string {
  const value = parseArray(text);
  return arrayText({ ...value, items: value.items.map((item) => (item === null ? null : each(item))) });
}

/** T1 */
function abbreviationOf({ name, fixedSeconds }: TimeZone): string {
  if (/^(?:etc\/)?(?:utc|uct|zulu|universal)$/i.test(name)) return 'UTC';
  if (/^(?:etc\/)?gmt$/i.test(name)) return 'GMT';
  const label = fixedSeconds === null ? undefined : /^(?:<([^<>]+)>|([A-Za-z]+))/.exec(name);
  if (label) return label[1] ?? label[2]!;
  throw notSupported(`instants in zone ${name} in a DateStyle other than ISO here`, {
    hint: 'SET TimeZone = UTC, or DateStyle = ISO.',
  });
}

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** Of `2020-01-31[ 12:00:00[.5][+01]][ BC]`, and of infinity. */
function dateTime({ date, order }: Styles, abbreviation: string): Restyle {
  const zone = abbreviation === '' ? '' : ` ${abbreviation}`;
  return (text) => {
    const match = /^(\d+)-(\d\d)-(\d\d)(?: (\d\d:\d\d:\d\d(?:\.\d+)?))?(?:[+-][\d:]+)?( BC)?$/.exec(text);
    if (match === null) return text;
    const [, year = '', month = '', day = '', time, era = ''] = match;
    const isDayFirst = order === 'DMY';
    const clock = time === undefined ? '' : ` ${time}`;
    if (date === 'German') return `${day}.${month}.${year}${clock}${zone}${era}`;
    if (date === 'SQL') return `${isDayFirst ? `${day}/${month}` : `${month}/${day}`}/${year}${clock}${zone}${era}`;
    if (time === undefined) return `${isDayFirst ? `${day}-${month}` : `${month}-${day}`}-${year}${era}`;
    const days = daysFromCivil(era === '' ? Number(year) : 1 - Number(year), Number(month), Number(day));
    const weekday = WEEKDAYS[(((days + 4) % 7) + 7) % 7]!;
    const named = MONTHS[Number(month) - 1]!;
    return `${weekday} ${isDayFirst ? `${day} ${named}` : `${named} ${day}`}${clock} ${year}${zone}${era}`;
  };
}

/** The fields of PostgreSQL's `pg_itm`, each with a sign of its own; `second` is text without one. */
interface Parts {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly isSecondNegative: boolean;
  readonly second: string;
}

function partsOf({ months, days, micros }: Interval): Parts {
  const size = Math.abs(micros);
  const sign = micros < 0 ? -1 : 1;
  const seconds = Math.floor(size / 1e6);
  const fraction = secondFraction(size);
  return {
    year: Math.trunc(months / 12) + 0,
    month: (months % 12) + 0,
    day: days,
    hour: sign * Math.floor(seconds / 3600) + 0,
    minute: sign * (Math.floor(seconds / 60) % 60) + 0,
    isSecondNegative: micros < 0,
    second: `${seconds % 60}${fraction}`,
  };
}

const two = (value: number): string => String(Math.abs(value)).padStart(2, '0');
const isZero = (second: string): boolean => second === '0';

/** `@ 1 year 2 mons -3 days 4 hours`, `@ 1 min 0.5 secs ago`: the first sign turns those behind it. */
function verbose({ year, month, day, hour, minute, second, isSecondNegative }: Parts): string {
  let text = '@';
  let isEmpty = true;
  let isAgo = false;
  const put = (isNegative: boolean, size: string, unit: string, isOne: boolean): void => {
    if (isEmpty) isAgo = isNegative;
    text += ` ${isNegative === isAgo ? '' : '-'}${size} ${unit}${isOne ? '' : 's'}`;
    isEmpty = false;
  };
  for (const [value, unit] of [
    [year, 'year'],
    [month, 'mon'],
    [day, 'day'],
    [hour, 'hour'],
    [minute, 'min'],
  ] as const) {
    if (value === 0) continue;
    const isNegative = value < 0;
    // of the unit's plural the sign has a say, too: -1 beside a positive field is "-1 days"
    put(isNegative, String(Math.abs(value)), unit, Math.abs(value) === 1 && (isEmpty || isNegative === isAgo));
  }
  if (!isZero(second)) put(isSecondNegative, second, 'sec', second === '1');
  return `${text}${isEmpty ? ' 0' : ''}${isAgo ? ' ago' : ''}`;
}

function sqlStandard(parts: Parts): string {
  const { year, month, day, hour, minute, second, isSecondNegative } = parts;
  const hasSecond = !isZero(second);
  const fields = [year, month, day, hour, minute, hasSecond ? (isSecondNegative ? -1 : 1) : 0];
  const isNegative = fields.some((value) => value < 0);
  const isPositive = fields.some((value) => value > 0);
  if (!isNegative && !isPositive) return '0';
  const hasMonths = year !== 0 || month !== 0;
  const hasTime = fields.slice(2).some((value) => value !== 0);
  const [whole = '', fraction] = second.split('.');
  const seconds = `${whole.padStart(2, '0')}${fraction === undefined ? '' : `.${fraction}`}`;
  const clock = `${Math.abs(hour)}:${two(minute)}:${seconds}`;
  const [years, months, days] = [year, month, day].map(Math.abs);
  if ((isNegative && isPositive) || (hasMonths && hasTime)) {
    const sign = (isBelow: boolean): string => (isBelow ? '-' : '+');
    const isTimeNegative = hour < 0 || minute < 0 || (hasSecond && isSecondNegative);
    return `${sign(year < 0 || month < 0)}${years}-${months} ${sign(day < 0)}${days} ${sign(isTimeNegative)}${clock}`;
  }
  const sign = isNegative ? '-' : '';
  if (hasMonths) return `${sign}${years}-${months}`;
  return day === 0 ? `${sign}${clock}` : `${sign}${days} ${clock}`;
}

function iso8601({ year, month, day, hour, minute, second, isSecondNegative }: Parts): string {
  const field = (value: number, letter: string): string => (value === 0 ? '' : `${value}${letter}`);
  const date = `${field(year, 'Y')}${field(month, 'M')}${field(day, 'D')}`;
  const seconds = isZero(second) ? '' : `${isSecondNegative ? '-' : ''}${second}S`;
  const time = `${field(hour, 'H')}${field(minute, 'M')}${seconds}`;
  if (date === '' && time === '') return 'PT0S';
  return `P${date}${time === '' ? '' : `T${time}`}`;
}

const INTERVALS = {
  postgres_verbose: verbose,
  sql_standard: sqlStandard,
  iso_8601: iso8601,
  postgres: () => '',
} as const;

/** Of `\x…`: printable ASCII as it is, a backslash doubled, all else as three octal digits. */
function escaped(hex: string): string {
  let text = '';
  for (const byte of Buffer.from(hex.slice(2), 'hex'))
    if (byte === 92) text += String.raw`\\`;
    else if (byte < 32 || byte > 126) text += `\\${byte.toString(8).padStart(3, '0')}`;
    else text += String.fromCharCode(byte);
  return text;
}

/** `%.*g` of C, of at least one digit. */
function rounded(precision: number): Restyle {
  const digits = Math.max(precision, 1);
  return (text) => {
    const value = Number(text);
    if (!Number.isFinite(value) || value === 0) return text; // NaN, Infinity, 0 and -0
    const [mantissa = '', power = ''] = exponential(value, digits).split('e');
    const exponent = Number(power);
    const sign = mantissa.startsWith('-') ? '-' : '';
    const plain = mantissa.replace('-', '').replace('.', '').replace(/0+$/, '') || '0';
    if (exponent < -4 || exponent >= digits) {
      const rest = plain.length > 1 ? `.${plain.slice(1)}` : '';
      return `${sign}${plain[0]}${rest}e${exponent < 0 ? '-' : '+'}${two(exponent)}`;
    }
    if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${plain}`;
    const whole = plain.padEnd(exponent + 1, '0');
    const fraction = whole.slice(exponent + 1);
    return `${sign}${whole.slice(0, exponent + 1)}${fraction === '' ? '' : `.${fraction}`}`;
  };
}

/** Halfway between two decimals C takes the even one, JavaScript the larger. */
function exponential(value: number, digits: number): string {
  const up = value.toExponential(digits - 1);
  const [mantissa = ''] = up.split('e');
  const last = Number(mantissa.at(-1));
  if (last % 2 === 0) return up;
  // oxlint-disable-next-line number-arg-out-of-range -- up to 100, says ECMAScript from 2018 on
  const exact = value.toExponential(100).replace('-', '');
  const tail = exact.slice(0, exact.indexOf('e')).replace('.', '').slice(digits);
  if (!/^50*$/.test(tail)) return up;
  // an odd last digit is never 0: the even neighbour towards zero has the digit before it
  return up.replace(/\d(?=e)/, String(last - 1));
}
