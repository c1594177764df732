/**
 * Time zones: a name to its offsets, through Intl's copy of the IANA database, without asking Intl per value.
 *
 * Seconds from 1970 are cut in buckets of 2^20 s (12 days). A bucket whose ends agree has one offset; else it holds
 * one transition, found once by bisection. T1 no zone changes twice in a bucket and back again; older data may, and
 * then shows the bucket's ends. Offsets are seconds east of UTC.
 */
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { stylesIn, zoneName, type Styles } from './output-styles.ts';

export interface TimeZone {
  /** As SHOW TimeZone prints it. */
  readonly name: string;
  /** The offset of UTC and of fixed zones, else null: lets encoders skip the look-up. */
  readonly fixedSeconds: number | null;
  /** Of the session, with the name that they travel with; undefined: PostgreSQL's defaults. */
  readonly styles?: Styles;
  /** Seconds east of UTC at an instant, given in whole seconds from 1970. */
  offsetSeconds(unixSeconds: number): number;
}

const BUCKET_SECONDS = 1_048_576;
/** The calendar repeats after 400 years; Intl ends near year 275760, PostgreSQL goes further. */
const CYCLE_SECONDS = 146_097 * 86_400;
const BUCKETS_MAX = 4096;

export const UTC: TimeZone = fixedZone('UTC', 0);
const zones = new Map<string, TimeZone>();
/** Names that users mistype must not fill the memory. */
const ZONES_MAX = 1024;

/** POSIX with a second name, for summer: `CST7CDT,M4.1.0,M10.5.0`. */
const WITH_SUMMER = /^(?:<[^<>]+>|[A-Za-z]{3,})[+-]?\d[\d:]*(?:<[^<>]+>|[A-Za-z]{3,})/;

/** @throws {SqlError} 0A000 for summer time by POSIX, 22023 for a name that is neither IANA's, nor a number of hours, nor POSIX such as `<+03>-3`. */
export function timeZone(name: string): TimeZone {
  const found = findTimeZone(name);
  if (found === null && WITH_SUMMER.test(name))
    throw notSupported(`the time zone "${name}" with rules of its own`, {
      hint: 'Use a name such as America/Chicago.',
    });
  if (found === null)
    throw new SqlError(SqlState.invalidParameterValue, `invalid value for parameter "TimeZone": "${name}"`);
  return found;
}

/** As `timeZone`, or null. */
export function findTimeZone(name: string): TimeZone | null {
  const known = zones.get(name);
  if (known !== undefined) return known;
  const styles = stylesIn(name);
  const zone = styles === null ? plainZone(name) : styledZone(findTimeZone(zoneName(name)), styles);
  if (zone !== null) {
    if (zones.size >= ZONES_MAX) zones.clear();
    zones.set(name, zone);
  }
  return zone;
}

/**
 * The instant of a local time. In a gap the offset before it counts, in an overlap the one after it, as in PostgreSQL:
 * both are the later of the two instants.
 */
export function localToUtc(zone: TimeZone, localSeconds: number): number {
  if (zone.fixedSeconds !== null) return localSeconds - zone.fixedSeconds;
  const before = zone.offsetSeconds(localSeconds - 86_400);
  const after = zone.offsetSeconds(localSeconds + 86_400);
  const one = localSeconds - before;
  if (before === after) return one;
  const two = localSeconds - after;
  const oneHolds = zone.offsetSeconds(one) === before;
  const twoHolds = zone.offsetSeconds(two) === after;
  if (oneHolds !== twoHolds) return oneHolds ? one : two;
  return Math.max(one, two);
}

function plainZone(name: string): TimeZone | null {
  return hoursZone(name) ?? posixZone(name) ?? ianaZone(name);
}

function styledZone(zone: TimeZone | null, styles: Styles): TimeZone | null {
  return zone === null ? null : { ...zone, styles };
}

function fixedZone(name: string, seconds: number): TimeZone {
  return { name, fixedSeconds: seconds, offsetSeconds: () => seconds };
}

/** `SET TIME ZONE 3`: a bare number counts hours to the east, unlike POSIX. */
function hoursZone(name: string): TimeZone | null {
  if (!/^[+-]?\d+(\.\d*)?$/.test(name)) return null;
  const seconds = Math.trunc(Number(name) * 3600);
  if (Math.abs(seconds) > 167 * 3600) return null;
  return fixedZone(`<${isoOffset(seconds)}>${isoOffset(-seconds)}`, seconds);
}

function isoOffset(seconds: number): string {
  const size = Math.abs(seconds);
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  const minutes = size % 3600 === 0 ? '' : `:${two((size % 3600) / 60)}`;
  return `${seconds < 0 ? '-' : '+'}${two(size / 3600)}${minutes}${size % 60 === 0 ? '' : `:${two(size % 60)}`}`;
}

/** POSIX without daylight saving: an optional name, then hours to the west. */
function posixZone(name: string): TimeZone | null {
  const match = /^(<[^<>]+>|[A-Za-z]{3,})?([+-]?)(\d{1,3})(?::(\d{1,2})(?::(\d{1,2}))?)?$/.exec(name);
  if (match === null) return null;
  const [, label, sign, hours, minutes, seconds] = match;
  const west = Number(hours) * 3600 + Number(minutes ?? 0) * 60 + Number(seconds ?? 0);
  if (west > 167 * 3600) return null;
  // Intl's own Etc/… and the like are not of this form; EST5 and UTC+3 are.
  const shown = label === undefined || label.startsWith('<') ? name : name.replace(label, label.toUpperCase());
  return fixedZone(shown, sign === '-' ? west : west === 0 ? 0 : -west);
}

function ianaZone(name: string): TimeZone | null {
  // Intl also knows '+05:30' and takes it the other way round than PostgreSQL: only names reach it.
  if (!/^[A-Za-z][A-Za-z0-9_+/-]*$/.test(name) || name.length > 63) return null;
  const upper = name.toUpperCase();
  if (upper === 'UTC' || upper === 'GMT' || upper === 'ZULU' || upper === 'UCT')
    return fixedZone(upper === 'ZULU' ? 'Zulu' : upper, 0);
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      calendar: 'gregory',
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  } catch {
    return null;
  }
  const probe = (seconds: number): number => intlOffset(format, seconds);
  const buckets = new Map<number, Bucket>();
  let lastIndex = NaN;
  let last: Bucket = { before: 0, transition: Infinity, after: 0 };
  const offsetSeconds = (unixSeconds: number): number => {
    const index = Math.floor(unixSeconds / BUCKET_SECONDS);
    if (index !== lastIndex) {
      let bucket = buckets.get(index);
      if (bucket === undefined) {
        bucket = readBucket(probe, index * BUCKET_SECONDS);
        if (buckets.size >= BUCKETS_MAX) buckets.clear();
        buckets.set(index, bucket);
      }
      lastIndex = index;
      last = bucket;
    }
    return unixSeconds < last.transition ? last.before : last.after;
  };
  return { name: canonicalCase(name), fixedSeconds: null, offsetSeconds };
}

interface Bucket {
  readonly before: number;
  readonly transition: number;
  readonly after: number;
}

function readBucket(probe: (seconds: number) => number, start: number): Bucket {
  const before = probe(start);
  const after = probe(start + BUCKET_SECONDS - 1);
  if (before === after) return { before, transition: Infinity, after };
  let low = start;
  let high = start + BUCKET_SECONDS - 1;
  while (high - low > 1) {
    const middle = low + Math.floor((high - low) / 2);
    if (probe(middle) === before) low = middle;
    else high = middle;
  }
  return { before, transition: high, after };
}

function intlOffset(format: Intl.DateTimeFormat, unixSeconds: number): number {
  let seconds = unixSeconds;
  while (seconds > 8_000_000_000_000) seconds -= CYCLE_SECONDS;
  const field: Record<string, number> = {};
  let beforeChrist = false;
  for (const part of format.formatToParts(seconds * 1000)) {
    if (part.type === 'era') beforeChrist = part.value.startsWith('B');
    else if (part.type !== 'literal') field[part.type] = Number(part.value);
  }
  const year = beforeChrist ? 1 - field['year']! : field['year']!;
  const local = new Date(0);
  local.setUTCFullYear(year, field['month']! - 1, field['day']);
  local.setUTCHours(field['hour']!, field['minute'], field['second']);
  return local.getTime() / 1000 - seconds;
}

/** PostgreSQL shows the database's own spelling: `europe/berlin` becomes `Europe/Berlin`. */
function canonicalCase(name: string): string {
  if (!name.includes('/')) return SPELLINGS.get(name.toLowerCase()) ?? name.toUpperCase();
  const lower = name.toLowerCase();
  return (
    SPELLINGS.get(lower) ??
    lower
      .replace(/(^|[/_-])([a-z])/g, (_, mark: string, letter: string) => mark + letter.toUpperCase())
      .replace(/^Us\//, 'US/')
      .replace(/(?<=[_/-])(Of|Es|And|In)(?=[_/-])/g, (word) => word.toLowerCase())
      .replace(/\/(Gmt|Utc|Uct)/, (word) => word.toUpperCase())
  );
}

const SPELLINGS: ReadonlyMap<string, string> = new Map(
  [
    ...Intl.supportedValuesOf('timeZone'),
    'Japan',
    'Israel',
    'Turkey',
    'Cuba',
    'Egypt',
    'Eire',
    'Hongkong',
    'Iceland',
    'Iran',
    'Jamaica',
    'Kwajalein',
    'Libya',
    'Navajo',
    'Poland',
    'Portugal',
    'Singapore',
    'Universal',
    'Greenwich',
    'GB-Eire',
    'NZ-CHAT',
    'W-SU',
  ].map((name) => [name.toLowerCase(), name]),
);
