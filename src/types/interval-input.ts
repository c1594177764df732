/**
 * Intervals: PostgreSQL's text and binary input to the text that it prints (IntervalStyle postgres), which is what columns hold.
 *
 * - N1 An interval is months, days and microseconds, each with a sign of its own; two with equal parts have one text.
 * - N2 Microseconds are exact within 2^53 (285 years of hours); beyond them 0A000.
 * Source: DecodeInterval, which reads fields from the right, so that a bare number takes the unit behind it.
 */
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { int32At } from './binary-input.ts';
import type { TimeContext } from './datetime-input.ts';
import { intervalText } from './interval-output.ts';
import type { TextInput } from './number-input.ts';
import { decodeText, encodeText } from './utf8.ts';
import { trimSpace } from './white-space.ts';

export interface Interval {
  readonly months: number;
  readonly days: number;
  readonly micros: number;
}

const SECOND = 1e6;
const DAY = 86_400 * SECOND;
/** Of each unit: which part, and how many of it. A fraction of a month is in days of 30 of them, of a day in microseconds. */
const UNITS: readonly (readonly [names: string, part: keyof Interval, size: number])[] = [
  ['us usec usecs usecond useconds microsecon', 'micros', 1],
  ['ms msec msecs msecond mseconds millisecon', 'micros', 1000],
  ['s sec secs second seconds', 'micros', SECOND],
  ['m min mins minute minutes', 'micros', 60 * SECOND],
  ['h hr hrs hour hours', 'micros', 3600 * SECOND],
  ['d day days', 'days', 1],
  ['w week weeks', 'days', 7],
  ['mon mons month months', 'months', 1],
  ['y yr yrs year years', 'months', 12],
  ['dec decs decade decades', 'months', 120],
  ['c cent century centuries', 'months', 1200],
  ['mil mils millennia millennium', 'months', 12_000],
];
interface Unit {
  readonly name: string;
  readonly part: keyof Interval;
  readonly size: number;
}
const BY_NAME = new Map<string, Unit>(
  UNITS.flatMap(([names, part, size]) => names.split(' ').map((name) => [name, { name: names, part, size }] as const)),
);
const SECONDS = BY_NAME.get('s')!;
const DAYS = BY_NAME.get('d')!;

/** Words are looked up by their first ten letters. */
const unitNamed = (word: string): Unit | undefined => BY_NAME.get(word.slice(0, 10));

class Sum {
  months = 0;
  days = 0;
  micros = 0;
  readonly #seen = new Set<string>();

  /** False: the field was there already. */
  mark(...names: readonly string[]): boolean {
    if (names.some((name) => this.#seen.has(name))) return false;
    for (const name of names) this.#seen.add(name);
    return true;
  }

  get isEmpty(): boolean {
    return this.#seen.size === 0;
  }

  add(whole: number, fraction: number, { part, size }: Unit): void {
    if (part === 'micros') {
      this.micros += whole * size + Math.round(fraction * size);
      return;
    }
    if (part === 'days') {
      this.days += whole * size;
      return this.#partOfDays(fraction * size);
    }
    this.months += whole * size;
    if (size > 1) this.months += Math.round(fraction * size);
    else this.#partOfDays(fraction * 30);
  }

  #partOfDays(days: number): void {
    const whole = Math.trunc(days);
    this.days += whole;
    this.micros += Math.round((days - whole) * DAY);
  }
}

const wrongSyntax = (text: string): SqlError =>
  new SqlError(SqlState.invalidDatetimeFormat, `invalid input syntax for type interval: "${text}"`);
const outOfRange = (text: string): SqlError =>
  new SqlError(SqlState.intervalFieldOverflow, `interval field value out of range: "${text}"`);

const fits = (whole: number, { part }: Unit): boolean =>
  part === 'micros' ? Math.abs(whole) <= 2 ** 63 : isInt32(whole);
const isInt32 = (value: number): boolean => value >= -(2 ** 31) && value < 2 ** 31;

/**
 * @param isStandard IntervalStyle sql_standard: the sign of the first field is that of all, where no other has one
 * @throws {SqlError} 22007, 22008, 22015
 */
export function parseInterval(text: string, isStandard = false): Interval {
  const lower = trimSpace(text).toLowerCase();
  const sum =
    lower.startsWith('p') && /^p[-+\dt]/.test(lower) ? isoInterval(lower, text) : fieldsOf(lower, text, isStandard);
  if (!isInt32(sum.days) || Math.abs(sum.micros) > 2 ** 63) throw outOfRange(text);
  if (!isInt32(sum.months)) throw new SqlError(SqlState.datetimeFieldOverflow, 'interval out of range');
  if (!Number.isSafeInteger(sum.micros)) throw notSupported('an interval of more than 285 years of hours');
  return { months: sum.months + 0, days: sum.days + 0, micros: sum.micros + 0 };
}

const FIELD =
  /[ \t-\r]*(?:(?<time>[+-]?\d+:\d+(?::\d+)?(?:\.\d*)?)|(?<years>[+-]?\d+-\d+)|(?<number>[+-]?(?:\d+\.?\d*|\.\d+))|(?<word>[a-z]+)|(?<at>@))\s*/y;

type Field = Record<string, string | undefined>;

function fieldsOf(lower: string, text: string, isStandard: boolean): Sum {
  let fields: Field[] = [];
  FIELD.lastIndex = 0;
  while (FIELD.lastIndex < lower.length) {
    const groups = FIELD.exec(lower)?.groups;
    if (groups === undefined) throw wrongSyntax(text);
    fields.push(groups);
  }
  if (isStandard) fields = withOneSign(fields);
  const sum = new Sum();
  let unit: Unit | null = null;
  let isAgo = false;
  for (const { time, years, number, word } of fields.toReversed()) {
    if (time !== undefined) {
      if (!sum.mark('h', 'm', 's')) throw wrongSyntax(text);
      sum.micros += clock(time, text);
      unit = DAYS;
    } else if (years !== undefined) {
      const [, sign, year, month] = /^([+-]?)(\d+)-(\d+)$/.exec(years)!;
      if (Number(month) >= 12) throw outOfRange(text);
      if (!sum.mark('mon', 'y')) throw wrongSyntax(text);
      sum.months += (Number(year) * 12 + Number(month)) * (sign === '-' ? -1 : 1);
      unit = BY_NAME.get('mon')!;
    } else if (number !== undefined) {
      unit ??= SECONDS;
      if (!sum.mark(unit.name.split(' ', 1)[0]!)) throw wrongSyntax(text);
      const value = Number(number);
      const whole = Math.trunc(value);
      if (!fits(whole, unit)) throw outOfRange(text);
      const fraction = Number(`${number.startsWith('-') ? '-' : ''}0.${number.split('.')[1] ?? ''}0`);
      sum.add(whole, fraction, unit);
      // A number before one of hours is of days.
      if (unit.name.startsWith('h ')) unit = DAYS;
    } else if (word === 'ago') isAgo = true;
    else if (word !== undefined) {
      const named = unitNamed(word);
      if (named === undefined) throw wrongSyntax(text);
      unit = named;
    }
  }
  if (sum.isEmpty) throw wrongSyntax(text);
  if (isAgo) {
    sum.months = -sum.months;
    sum.days = -sum.days;
    sum.micros = -sum.micros;
  }
  return sum;
}

function withOneSign(fields: Field[]): Field[] {
  const valueOf = ({ time, years, number }: Field): string => time ?? years ?? number ?? '';
  const [first, ...others] = fields.map(valueOf);
  if (first?.startsWith('-') !== true || others.some((value) => /^[-+]/.test(value))) return fields;
  const negated = (value: string | undefined): string | undefined => (value === undefined ? undefined : `-${value}`);
  return fields.map((field, i) =>
    i === 0
      ? field
      : { ...field, time: negated(field['time']), years: negated(field['years']), number: negated(field['number']) },
  );
}

/** [-]H:MM[:SS[.f]], or MM:SS.f. */
function clock(word: string, text: string): number {
  const [, sign, first, second, third, fraction] = /^([+-]?)(\d+):(\d+)(?::(\d+))?(?:\.(\d*))?$/.exec(word)!;
  const isShort = third === undefined && fraction !== undefined;
  const [hours, minutes, seconds] = isShort
    ? [0, Number(first), Number(second)]
    : [Number(first), Number(second), Number(third ?? 0)];
  if (minutes > 59 || seconds > 60) throw outOfRange(text);
  const micros = (hours * 3600 + minutes * 60 + seconds) * SECOND + Math.round(Number(`0.${fraction ?? ''}0`) * SECOND);
  return sign === '-' ? -micros : micros;
}

const DATE_DESIGNATORS: Readonly<Record<string, string>> = { y: 'y', m: 'mon', w: 'w', d: 'd' };
const TIME_DESIGNATORS: Readonly<Record<string, string>> = { h: 'h', m: 'm', s: 's' };

/** P1Y2M3DT4H5M6.7S, and P0001-02-03T04:05:06. */
function isoInterval(lower: string, text: string): Sum {
  const sum = new Sum();
  const alternative = /^p(-?\d+)-(-?\d+)-(-?\d+)(?:t(-?\d+):(-?\d+):(-?\d+(?:\.\d*)?))?$/.exec(lower);
  if (alternative !== null) {
    const [years, months, days, hours, minutes, seconds] = alternative.slice(1).map((part) => Number(part ?? 0));
    sum.months = years! * 12 + months!;
    sum.days = days!;
    sum.micros = (hours! * 3600 + minutes! * 60) * SECOND + Math.round(seconds! * SECOND);
    return sum;
  }
  const [date, time, ...rest] = lower.slice(1).split('t');
  if (rest.length > 0 || (date === '' && time === undefined) || time === '') throw wrongSyntax(text);
  for (const [part, designators] of [
    [date!, DATE_DESIGNATORS],
    [time ?? '', TIME_DESIGNATORS],
  ] as const) {
    const fields = [...part.matchAll(/([+-]?(?:\d+\.?\d*|\.\d+))([a-z])/g)];
    if (fields.map(([whole]) => whole).join('') !== part) throw wrongSyntax(text);
    for (const [, number, letter] of fields) {
      const unit = BY_NAME.get(designators[letter!] ?? '');
      if (unit === undefined) throw wrongSyntax(text);
      const value = Number(number);
      if (!fits(Math.trunc(value), unit)) throw outOfRange(text);
      sum.add(Math.trunc(value), value - Math.trunc(value), unit);
    }
  }
  return sum;
}

/** N1. */
export function shownInterval({ months, days, micros }: Interval): string {
  return intervalText(months, days, micros);
}

export function intervalInput({ timeZone: { styles } }: TimeContext): TextInput {
  const isStandard = styles?.interval === 'sql_standard';
  return (src, start, end, sink) => {
    const bytes = encodeText(shownInterval(parseInterval(decodeText(src, start, end), isStandard)));
    sink.bytes(bytes, 0, bytes.length);
  };
}

/** Microseconds, days, months, big-endian, 16 bytes. */
export const intervalBinaryInput: TextInput = (src, start, end, sink) => {
  if (end - start !== 16) throw new SqlError(SqlState.invalidBinaryRepresentation, 'incorrect binary data format');
  const micros = int32At(src, start) * 0x1_0000_0000 + (int32At(src, start + 4) >>> 0);
  if (!Number.isSafeInteger(micros)) throw notSupported('an interval of more than 285 years of hours');
  const bytes = encodeText(intervalText(int32At(src, start + 12), int32At(src, start + 8), micros));
  sink.bytes(bytes, 0, bytes.length);
};
