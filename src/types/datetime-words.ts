/**
 * Dates and times as people write them: month names, 12-hour clocks, BC, zones by name, 'now' and its kin.
 *
 * Text is cut into fields (a date, a time, a number, a word, a zone), each read in turn with what came before, in
 * PostgreSQL's order for DateStyle ISO, MDY. It runs on strings: the fast path is `datetime-input.ts`.
 */
import { SqlError, SqlState } from '../errors.ts';
import { DAY_MICROS, DAY_SECONDS, daysFromCivil, daysInMonth, DATE_MIN } from './civil-date.ts';
import { findTimeZone, type TimeZone } from './time-zone.ts';
import type { TimeContext } from './datetime-input.ts';

export type DateTimeKind = 'date' | 'time' | 'timestamp' | 'timestamp with time zone';

/** `micros` is of the day, up to one day; one of `offset` and `zone` is set when the text names a zone. */
export interface DecodedDateTime {
  readonly days: number;
  readonly micros: number;
  readonly offset: number | null;
  readonly zone: TimeZone | null;
}

const MONTHS = ['january', 'february', 'march', 'april', 'may', 'june', 'july', 'august', 'september', 'october', 'november', 'december'];
const WEEKDAYS = new Set([
  'sun', 'sunday', 'mon', 'monday', 'tue', 'tues', 'tuesday', 'wed', 'weds', 'wednesday', 'thu', 'thur', 'thurs', 'thursday', 'fri', 'friday',
  'sat', 'saturday',
]);
/** Hours east of UTC: the abbreviations of PostgreSQL's Default set that keep one meaning. */
const ABBREVIATIONS: ReadonlyMap<string, number> = new Map(Object.entries({
  z: 0, zulu: 0, utc: 0, uct: 0, ut: 0, gmt: 0, wet: 0, egst: 0, bst: 1, cet: 1, met: 1, mez: 1, wat: 1, wetdst: 1, cest: 2, cetdst: 2, eet: 2,
  ist: 2, mest: 2, mesz: 2, metdst: 2, sast: 2, eest: 3, eetdst: 3, eat: 3, fet: 3, idt: 3, msk: 3, irt: 3.5, msd: 4, get: 4, mut: 4, aft: 4.5,
  pkt: 5, uzt: 5, mvt: 5, lkt: 5.5, npt: 5.75, btt: 6, bdt: 6, mmt: 6.5, ict: 7, awst: 8, cct: 8, hkt: 8, myt: 8, pht: 8, sgt: 8, jst: 9, kst: 9,
  pwt: 9, acst: 9.5, sast_: 9.5, aest: 10, chut: 10, pgt: 10, acdt: 10.5, aedt: 11, nzst: 12, nzt: 12, fjt: 12, nzdt: 13, tot: 13, chast: 12.75,
  chadt: 13.75, azost: 0, azot: -1, egt: -1, fnt: -2, pmdt: -2, ndt: -2.5, adt: -3, art: -3, brt: -3, gft: -3, uyt: -3, pyt: -4, pmst: -3,
  nst: -3.5, ast: -4, edt: -4, bot: -4, gyt: -4, vet: -4, cdt: -5, est: -5, act: -5, cot: -5, pet: -5, cst: -6, mdt: -6, galt: -6, mst: -7,
  pdt: -7, pst: -8, akdt: -8, akst: -9, gamt: -9, mart: -9.5, hst: -10, ckt: -10, taht: -10, nut: -11,
}));

interface Field { readonly kind: 'date' | 'time' | 'number' | 'word' | 'zone'; readonly text: string }

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

/** @throws {SqlError} 22007 for other text, 22008 for fields out of range, 22003 for infinity */
export function decodeDateTime(text: string, kind: DateTimeKind, context: TimeContext): DecodedDateTime {
  const fields: Fields = {
    year: null, month: null, day: null, twoDigitYear: false, monthByName: false, days: null, micros: null, half: null, era: null,
    offset: null, zone: null, timeMarked: false, julianMarked: false,
  };
  const cut = cutFields(text);
  if (cut === null || cut.length === 0 || cut.length > 25) throw invalidFormat(text, kind);
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

const FIELD = new RegExp([
  String.raw`(?<space>[\s,;()]+)`,
  String.raw`(?<iso>[+-]?\d{8}|\d+-\d+-\d+)(?=[tT]\d)`,
  String.raw`(?<time>\d+:[\d:.]*)`,
  String.raw`(?<date>\d+-\d+-\d+|\d+\/\d+\/\d+|\d+\.\d+\.\d+|\d+[-./][A-Za-z]+[-./]\d+|\d+-\d+|\d+\/\d+|[A-Za-z]+[-./]\d+[-./]\d+)`,
  String.raw`(?<number>\d+(\.\d*)?|\.\d+)`,
  String.raw`(?<minus>-infinity\b)`,
  String.raw`(?<zone>[+-]\d[\d:]*)`,
  String.raw`(?<name>[A-Za-z]+(?:[/_][A-Za-z0-9_+/-]*[A-Za-z0-9]))`,
  String.raw`(?<word>[A-Za-z]+)`,
].join('|'), 'iy');

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
    else if (minus !== undefined || name !== undefined || word !== undefined) fields.push({ kind: 'word', text: (minus ?? name ?? word)! });
  }
  return fields;
}

function specialValue(word: string, text: string, kind: DateTimeKind, context: TimeContext): DecodedDateTime | null {
  const plain = (days: number, micros: number): DecodedDateTime => ({ days, micros, offset: null, zone: null });
  switch (word.toLowerCase()) {
    case 'infinity': case '-infinity':
      if (kind === 'time') return null;
      throw new SqlError(SqlState.numericValueOutOfRange, `infinite ${kind} values are not supported`, {
        hint: 'Use NULL, or a far date such as 9999-12-31.',
      });
    case 'epoch':
      if (kind === 'time') throw invalidFormat(text, kind);
      return { days: 0, micros: 0, offset: 0, zone: null };
    case 'now': {
      const micros = context.now();
      const seconds = Math.floor(micros / 1e6);
      const shift = kind === 'timestamp with time zone' ? 0 : context.timeZone.offsetSeconds(seconds);
      const day = Math.floor((seconds + shift) / DAY_SECONDS);
      return { days: day, micros: (seconds + shift - day * DAY_SECONDS) * 1e6 + (micros - seconds * 1e6), offset: 0, zone: null };
    }
    case 'allballs':
      return kind === 'time' ? plain(0, 0) : null;
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
    case 'zone': return readOffset(field.text, into, text);
    case 'number': return readNumber(field.text, into, text);
    case 'word': return readWord(field.text, into, context);
    case 'date':
      if (into.days !== null || (into.day !== null && into.month !== null)) return false;
      return readDate(field.text, into, text);
  }
}

/** H:MM[:SS[.f]] in micros; NaN when it is none. */
function clock(word: string, text: string): number {
  const match = /^(\d+):(\d+)(?::(\d+)?(?:\.(\d*))?)?$/.exec(word) ?? /^(\d+):(\d+)(?:\.(\d*))$/.exec(word);
  if (match === null) return NaN;
  let [, hours, minutes, seconds, fraction] = match;
  if (match.length === 4) { // MM:SS.f has no hours
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
    case 'am': case 'pm': into.half = word; return true;
    case 'ad': case 'bc': into.era = word; return true;
    case 't': into.timeMarked = true; return true;
    case 'j': case 'jd': case 'julian': into.julianMarked = true; return true;
    case 'at': case 'on': case 'dst': return true;
    case 'today': case 'tomorrow': case 'yesterday': {
      if (into.days !== null || into.month !== null) return false;
      const seconds = Math.floor(context.now() / 1e6);
      const today = Math.floor((seconds + context.timeZone.offsetSeconds(seconds)) / DAY_SECONDS);
      into.days = today + (word === 'tomorrow' ? 1 : word === 'yesterday' ? -1 : 0);
      return true;
    }
    case 'allballs': into.micros = 0; into.offset = 0; return true;
    default:
  }
  if (WEEKDAYS.has(word)) return true;
  if (into.offset !== null || into.zone !== null) return false;
  const hours = ABBREVIATIONS.get(word);
  if (hours !== undefined) {
    into.offset = hours * 3600;
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

function readDate(word: string, into: Fields, text: string): boolean {
  for (const part of word.split(/[-./]/)) {
    if (part === '') return false;
    const month = monthOf(part.toLowerCase());
    if (month > 0) {
      if (into.month !== null && into.day === null && !into.monthByName) into.day = into.month;
      else if (into.month !== null) return false;
      into.month = month;
      into.monthByName = true;
    } else if (!/^\d+$/.test(part) || !readDatePart(part, into)) {
      return false;
    }
  }
  if (into.year !== null && into.month !== null && into.day === null && /^\d{4,}-\d{3}$/.test(word)) throw fieldOutOfRange(text);
  return into.month !== null && into.day !== null && into.year !== null;
}

/** One number of a date: a year when it has three digits or nothing else is missing, else month before day. */
function readDatePart(digits: string, into: Fields): boolean {
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

function readNumber(word: string, into: Fields, text: string): boolean {
  const [digits = '', fraction] = word.split('.');
  const dateKnown = into.days !== null || (into.day !== null && into.month !== null && into.year !== null);
  if (into.julianMarked) {
    if (into.days !== null) return false;
    into.days = Number(digits) + DATE_MIN;
    if (fraction !== undefined) into.micros = Math.round(Number(`0.${fraction}0`) * DAY_MICROS);
    into.julianMarked = false;
    return true;
  }
  if ((dateKnown || into.timeMarked) && into.micros === null && (digits.length === 6 || digits.length === 4 || (into.timeMarked && digits.length === 2))) {
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
  return readDatePart(digits, into);
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
  if (kind === 'time') {
    if (micros === null) throw invalidFormat(text, kind);
    if (dated) civilDays(fields, text, kind);
    else if (fields.zone !== null && fields.zone.fixedSeconds === null) throw invalidFormat(text, kind);
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
  if (month < 1 || month > 12 || day < 1 || day > 31) throw fieldOutOfRange(text, !fields.monthByName);
  if (day > daysInMonth(year, month)) throw fieldOutOfRange(text);
  if (year > 10_000_000) throw new SqlError(SqlState.datetimeFieldOverflow, `${kind === 'date' ? 'date' : 'timestamp'} out of range: "${text}"`);
  return daysFromCivil(year, month, day);
}

function invalidFormat(text: string, kind: DateTimeKind): SqlError {
  return new SqlError(SqlState.invalidDatetimeFormat, `invalid input syntax for type ${kind}: "${text}"`);
}

/** @param dateStyle whether another order of day and month might help */
export function fieldOutOfRange(text: string, dateStyle = false): SqlError {
  const hint = dateStyle ? { hint: 'Perhaps you need a different "datestyle" setting.' } : {};
  return new SqlError(SqlState.datetimeFieldOverflow, `date/time field value out of range: "${text}"`, hint);
}
