/**
 * Dates and times as people write them: month names, 12-hour clocks, BC, zones by name, 'now' and its kin.
 *
 * Text is cut into fields (a date, a time, a number, a word, a zone), each read in turn with what came before, in
 * the order of the session's DateStyle. It runs on strings: the fast path is `datetime-input.ts`.
 */
import { SqlError, SqlState } from '../errors.ts';
import { DAY_MICROS, DAY_SECONDS, daysFromCivil, daysInMonth, DATE_MIN } from './civil-date.ts';
import { ABBREVIATIONS } from './time-zone-abbreviations.ts';
import { findTimeZone, type TimeZone } from './time-zone.ts';
import type { TimeContext } from './datetime-input.ts';
import type { DateOrder } from './output-styles.ts';

export type DateTimeKind = 'date' | 'time' | 'time with time zone' | 'timestamp' | 'timestamp with time zone';

/** `micros` is of the day, up to one day; one of `offset` and `zone` is set when the text names a zone. */
export interface DecodedDateTime {
  readonly days: number;
  readonly micros: number;
  readonly offset: number | null;
  readonly zone: TimeZone | null;
  /** An infinite date: the rest means nothing. */
  readonly infinite?: 1 | -1;
}

const MONTHS = [
  'january',
  'february',
  'march',
  'april',
  'may',
  'june',
  'july',
  'august',
  'september',
  'october',
  'november',
  'december',
];
const WEEKDAYS = new Set([
  'sun',
  'sunday',
  'mon',
  'monday',
  'tue',
  'tues',
  'tuesday',
  'wed',
  'weds',
  'wednesday',
  'thu',
  'thur',
  'thurs',
  'thursday',
  'fri',
  'friday',
  'sat',
  'saturday',
]);

interface Field {
  readonly kind: 'date' | 'time' | 'number' | 'word' | 'zone';
  readonly text: string;
}

interface Fields {
  year: number | null;
  month: number | null;
  day: number | null;
  twoDigitYear: boolean;
  monthByName: boolean;
  /** A Julian day or one of 'today', 'tomorrow', 'yesterday': a whole date. */
  days: number | null;
  micros: number | null;
  half: 'am' | 'pm' | null;
  era: 'ad' | 'bc' | null;
  offset: number | null;
  zone: TimeZone | null;
  timeMarked: boolean;
  julianMarked: boolean;
}

const isTime = (kind: DateTimeKind): boolean => kind === 'time' || kind === 'time with time zone';

/** @throws {SqlError} 22007 for other text, 22008 for fields out of range */
export function decodeDateTime(text: string, kind: DateTimeKind, context: TimeContext): DecodedDateTime {
  const fields: Fields = {
    year: null,
    month: null,
    day: null,
    twoDigitYear: false,
    monthByName: false,
    days: null,
    micros: null,
    half: null,
    era: null,
    offset: null,
    zone: null,
    timeMarked: false,
    julianMarked: false,
  };
  const cut = cutFields(text);
  if (cut === null || cut.length === 0 || cut.length > 25) throw invalidFormat(text, kind);
  const first = cut[0]!;
  fields.timeMarked = isTime(kind) && first.kind === 'number' && cut.length <= 2;
  for (const field of cut) {
    const special = field.kind === 'word' ? specialValue(field.text, text, kind, context) : null;
    if (special !== null) {
      if (cut.length > 1) throw invalidFormat(text, kind);
      return special;
    }
    if (!readField(field, fields, text, context)) throw invalidFormat(text, kind);
  }
  return assemble(fields, text, kind);
}

const FIELD = new RegExp(
  [
    String.raw`(?<space>[ \t-\r,;()]+)`,
    String.raw`(?<iso>[+-]?\d{8}|\d+-\d+-\d+)(?=[tT]\d)`,
    String.raw`(?<time>\d+:[\d:.]*)`,
    String.raw`(?<date>\d+-\d+-\d+|\d+\/\d+\/\d+|\d+\.\d+\.\d+|\d{4}\.\d{3}(?!\d)|\d+[-./][A-Za-z]+[-./]\d+|\d+-\d+|\d+\/\d+|[A-Za-z]+[-./]\d+[-./]\d+)`,
    String.raw`(?<number>\d+(\.\d+)?|\.\d+)`,
    String.raw`(?<minus>-infinity\b)`,
    String.raw`(?<zone>[+-]\d[\d:]*)`,
    String.raw`(?<name>[A-Za-z]+[/_][A-Za-z0-9_+/-]*[A-Za-z0-9]|(?!jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[A-Za-z]{3,}[+-]?\d{1,2}[A-Za-z]*)`,
    String.raw`(?<word>[A-Za-z]+)`,
  ].join('|'),
  'iy',
);

function cutFields(text: string): Field[] | null {
  const fields: Field[] = [];
  FIELD.lastIndex = 0;
  while (FIELD.lastIndex < text.length) {
    const groups = FIELD.exec(text)?.groups;
    if (groups === undefined) return null;
    const { iso, time, date, number, minus, zone, name, word } = groups;
    if (time !== undefined) fields.push({ kind: 'time', text: time });
    else if (date !== undefined) fields.push({ kind: 'date', text: date });
    else if (iso !== undefined) fields.push({ kind: /^\d+$/.test(iso) ? 'number' : 'date', text: iso });
    else if (number !== undefined) fields.push({ kind: 'number', text: number });
    else if (zone !== undefined) fields.push({ kind: 'zone', text: zone });
    else if (minus !== undefined || name !== undefined || word !== undefined)
      fields.push({ kind: 'word', text: (minus ?? name ?? word)! });
  }
  return fields;
}

function specialValue(word: string, text: string, kind: DateTimeKind, context: TimeContext): DecodedDateTime | null {
  const plain = (days: number, micros: number): DecodedDateTime => ({ days, micros, offset: null, zone: null });
  switch (word.toLowerCase()) {
    case 'infinity':
    case '-infinity':
      if (isTime(kind)) return null;
      return { ...plain(0, 0), infinite: word.startsWith('-') ? -1 : 1 };
    case 'epoch':
      if (isTime(kind)) throw invalidFormat(text, kind);
      return { days: 0, micros: 0, offset: 0, zone: null };
    case 'now': {
      const micros = context.now();
      const seconds = Math.floor(micros / 1e6);
      const shift = kind === 'timestamp with time zone' ? 0 : context.timeZone.offsetSeconds(seconds);
      const day = Math.floor((seconds + shift) / DAY_SECONDS);
      return {
        days: day,
        micros: (seconds + shift - day * DAY_SECONDS) * 1e6 + (micros - seconds * 1e6),
        offset: kind === 'time with time zone' ? shift : 0,
        zone: null,
      };
    }
    case 'allballs':
      return isTime(kind) ? { days: 0, micros: 0, offset: 0, zone: null } : null;
    default:
      return null;
  }
}

function readField(field: Field, into: Fields, text: string, context: TimeContext): boolean {
  switch (field.kind) {
    case 'time':
      if (into.micros !== null) return false;
      into.micros = clock(field.text, text);
      return into.micros === into.micros;
    case 'zone':
      return readOffset(field.text, into, text);
    case 'number':
      return readNumber(field.text, into, text, orderOf(context));
    case 'word':
      return readWord(field.text, into, context);
    case 'date':
      if (into.days !== null || (into.day !== null && into.month !== null)) return false;
      return readDate(field.text, into, orderOf(context));
  }
}

/** H:MM[:SS[.f]] in micros; NaN when it is none. */
function clock(word: string, text: string): number {
  const match = /^(\d+):(\d*)(?::(\d+)?(?:\.(\d*))?)?$/.exec(word) ?? /^(\d+):(\d+)(?:\.(\d*))$/.exec(word);
  if (match === null) return NaN;
  let [, hours, minutes, seconds, fraction] = match;
  if (match.length === 4) {
    // MM:SS.f has no hours
    fraction = match[3];
    seconds = minutes;
    minutes = hours;
    hours = '0';
  }
  const micros = Math.round(Number(`0.${fraction ?? ''}0`) * 1e6);
  const total = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds ?? 0)) * 1e6 + micros;
  if (Number(minutes) > 59 || Number(seconds ?? 0) > 60 || total > DAY_MICROS) throw fieldOutOfRange(text);
  return total;
}

function readOffset(word: string, into: Fields, text: string): boolean {
  if (into.offset !== null || into.zone !== null) return false;
  const match = /^([+-])(?:(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?|(\d{1,2})(\d\d)?(\d\d)?)$/.exec(word);
  if (match === null) return false;
  const hours = Number(match[2] ?? match[5]);
  const minutes = Number(match[3] ?? match[6] ?? 0);
  const seconds = Number(match[4] ?? match[7] ?? 0);
  if (hours > 15 || minutes > 59 || seconds > 59) {
    throw new SqlError(SqlState.invalidTimeZoneDisplacement, `time zone displacement out of range: "${text}"`);
  }
  const size = hours * 3600 + minutes * 60 + seconds;
  into.offset = match[1] === '-' ? 0 - size : size;
  return true;
}

function readWord(given: string, into: Fields, context: TimeContext): boolean {
  const word = given.toLowerCase();
  const month = monthOf(word);
  if (month > 0) {
    if (into.month !== null && into.day === null && !into.monthByName && into.month <= 31) into.day = into.month; // '2 Jan 2020'
    else if (into.month !== null) return false;
    into.month = month;
    into.monthByName = true;
    return true;
  }
  switch (word) {
    case 'am':
    case 'pm':
      into.half = word;
      return true;
    case 'ad':
    case 'bc':
      into.era = word;
      return true;
    case 't':
      into.timeMarked = true;
      return true;
    case 'j':
    case 'jd':
    case 'julian':
      into.julianMarked = true;
      return true;
    case 'at':
    case 'on':
    case 'dst':
      return true;
    case 'today':
    case 'tomorrow':
    case 'yesterday': {
      if (into.days !== null || into.month !== null) return false;
      const seconds = Math.floor(context.now() / 1e6);
      const today = Math.floor((seconds + context.timeZone.offsetSeconds(seconds)) / DAY_SECONDS);
      into.days = today + (word === 'tomorrow' ? 1 : word === 'yesterday' ? -1 : 0);
      return true;
    }
    case 'allballs':
      into.micros = 0;
      into.offset = 0;
      return true;
    default:
  }
  if (WEEKDAYS.has(word)) return true;
  if (into.offset !== null || into.zone !== null) return false;
  const seconds = ABBREVIATIONS.get(word);
  if (seconds !== undefined) {
    into.offset = seconds;
    return true;
  }
  into.zone = findTimeZone(given);
  if (into.zone === null && given.includes('/')) {
    throw new SqlError(SqlState.invalidParameterValue, `time zone "${word}" not recognized`);
  }
  return into.zone !== null;
}

function monthOf(word: string): number {
  if (word === 'sept') return 9;
  return word.length === 3 ? MONTHS.findIndex((name) => name.startsWith(word)) + 1 : MONTHS.indexOf(word) + 1;
}

const orderOf = ({ timeZone: { styles } }: TimeContext): DateOrder => styles?.order ?? 'MDY';

function readDate(word: string, into: Fields, order: DateOrder): boolean {
  const ordinal = /^(\d{4,})[-.](\d{3})$/.exec(word); // a year and the day in it
  if (ordinal !== null && into.year === null && into.month === null && into.day === null) {
    into.days = daysFromCivil(Number(ordinal[1]), 1, 1) + Number(ordinal[2]) - 1;
    return true;
  }
  for (const part of word.split(/[-./]/)) {
    if (part === '') return false;
    const month = monthOf(part.toLowerCase());
    if (month > 0) {
      if (into.month !== null && into.day === null && !into.monthByName) into.day = into.month;
      else if (into.month !== null) return false;
      into.month = month;
      into.monthByName = true;
    } else if (!/^\d+$/.test(part) || !readDatePart(part, into, order)) {
      return false;
    }
  }
  return into.month !== null && into.day !== null && into.year !== null;
}

/** One number of a date: a year when it has three digits or nothing else is missing, else month before day. */
function readDatePart(digits: string, into: Fields, order: DateOrder): boolean {
  if (order !== 'MDY') return readOrderedPart(digits, into, order);
  const value = Number(digits);
  if (digits.length >= 3 || (into.month !== null && into.day !== null)) {
    if (into.year !== null) {
      if (into.month === null || into.day !== null) return false;
      into.day = value; // '2020-01-032' has its day out of range
      return true;
    }
    into.year = value;
    into.twoDigitYear = digits.length <= 2;
  } else if (into.month === null) {
    into.month = value;
  } else if (into.day === null) {
    into.day = value;
  } else {
    return false;
  }
  return true;
}

/** The same with the day or the year first (DecodeNumber); a month by name leaves two numbers to tell apart. */
function readOrderedPart(digits: string, into: Fields, order: 'DMY' | 'YMD'): boolean {
  const value = Number(digits);
  const { year, month, day, monthByName } = into;
  const isLong = digits.length >= 3;
  const asYear = (): void => {
    into.year = value;
    into.twoDigitYear = digits.length <= 2;
  };
  if (day === null && year === null) {
    if (isLong || order === 'YMD') asYear();
    else into.day = value;
  } else if (month === null) {
    into.month = value;
  } else if (day === null) {
    if (monthByName && isLong && into.twoDigitYear) {
      // 17-Dec-1997 whatever the order
      into.day = year;
      asYear();
    } else into.day = value;
  } else if (year === null) asYear();
  else return false;
  return true;
}

function readNumber(word: string, into: Fields, text: string, order: DateOrder): boolean {
  const [digits = '', fraction] = word.split('.');
  const dateKnown = into.days !== null || (into.day !== null && into.month !== null && into.year !== null);
  if (into.julianMarked) {
    if (into.days !== null) return false;
    into.days = Number(digits) + DATE_MIN;
    if (fraction !== undefined) into.micros = Math.round(Number(`0.${fraction}0`) * DAY_MICROS);
    into.julianMarked = false;
    return true;
  }
  if ((dateKnown || into.timeMarked) && into.micros === null && (digits.length === 6 || digits.length === 4)) {
    const padded = digits.padEnd(6, '0');
    into.micros = clock(`${padded.slice(0, 2)}:${padded.slice(2, 4)}:${padded.slice(4)}.${fraction ?? ''}`, text);
    return true;
  }
  if (dateKnown) return false;
  if (fraction !== undefined) {
    if (digits.length !== 6 || into.micros !== null) return false;
    into.micros = clock(`${digits.slice(0, 2)}:${digits.slice(2, 4)}:${digits.slice(4)}.${fraction}`, text);
    return true;
  }
  if (digits.length >= 6 && into.month === null && into.year === null) {
    into.year = Number(digits.slice(0, -4));
    into.twoDigitYear = digits.length === 6;
    into.month = Number(digits.slice(-4, -2));
    into.day = Number(digits.slice(-2));
    return true;
  }
  return readDatePart(digits, into, order);
}

function assemble(fields: Fields, text: string, kind: DateTimeKind): DecodedDateTime {
  let micros = fields.micros;
  if (fields.half !== null) {
    if (micros === null) throw invalidFormat(text, kind);
    const hour = Math.floor(micros / 3_600_000_000);
    if (hour > 12) throw fieldOutOfRange(text);
    if (fields.half === 'pm' && hour !== 12) micros += DAY_MICROS / 2;
    if (fields.half === 'am' && hour === 12) micros -= DAY_MICROS / 2;
  }
  const dated = fields.days !== null || fields.year !== null || fields.month !== null || fields.day !== null;
  if (isTime(kind)) {
    if (micros === null) throw invalidFormat(text, kind);
    const days = dated ? civilDays(fields, text, kind) : 0;
    const isSure = dated || fields.zone === null || fields.zone.fixedSeconds !== null;
    if (kind === 'time with time zone' && isSure) return { days, micros, offset: fields.offset, zone: fields.zone };
    if (dated) return { days: 0, micros, offset: null, zone: null };
    if (fields.zone !== null && fields.zone.fixedSeconds === null) throw invalidFormat(text, kind);
    return { days: 0, micros, offset: null, zone: null };
  }
  if (!dated) throw invalidFormat(text, kind);
  return { days: civilDays(fields, text, kind), micros: micros ?? 0, offset: fields.offset, zone: fields.zone };
}

function civilDays(fields: Fields, text: string, kind: DateTimeKind): number {
  if (fields.days !== null) return fields.days;
  const { month, day, era } = fields;
  let year = fields.year;
  if (year === null || month === null || day === null) throw invalidFormat(text, kind);
  if (era === 'bc') {
    if (year <= 0) throw fieldOutOfRange(text);
    year = 1 - year;
  } else if (fields.twoDigitYear) {
    year += year < 70 ? 2000 : 1900;
  } else if (year <= 0) {
    throw fieldOutOfRange(text);
  }
  if (month < 1 || month > 12 || day < 1 || day > 31) throw fieldOutOfRange(text, true);
  if (day > daysInMonth(year, month)) throw fieldOutOfRange(text);
  if (year > 10_000_000)
    throw new SqlError(
      SqlState.datetimeFieldOverflow,
      `${kind === 'date' ? 'date' : 'timestamp'} out of range: "${text}"`,
    );
  return daysFromCivil(year, month, day);
}

function invalidFormat(text: string, kind: DateTimeKind): SqlError {
  return new SqlError(SqlState.invalidDatetimeFormat, `invalid input syntax for type ${kind}: "${text}"`);
}

/** @param dateStyle whether another order of day and month might help */
export function fieldOutOfRange(text: string, dateStyle = false): SqlError {
  const hint = dateStyle ? { hint: 'Perhaps you need a different "DateStyle" setting.' } : {};
  return new SqlError(SqlState.datetimeFieldOverflow, `date/time field value out of range: "${text}"`, hint);
}
