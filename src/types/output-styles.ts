/**
 * DateStyle, IntervalStyle, bytea_output and extra_float_digits: how a session has values written, and dates read.
 *
 * They travel with the name of the session's time zone, as `Europe/Berlin|German,DMY,postgres,hex,1`, to whoever reads or writes
 * values for it, on any thread; the defaults add nothing to the name, so that usual sessions pay nothing.
 */
import { notSupported, SqlError, SqlState } from '../errors.ts';

export type DateOrder = 'MDY' | 'DMY' | 'YMD';
export type IntervalStyle = 'postgres' | 'postgres_verbose' | 'sql_standard' | 'iso_8601';

export interface Styles {
  readonly date: 'ISO' | 'SQL' | 'Postgres' | 'German';
  readonly order: DateOrder;
  readonly interval: IntervalStyle;
  readonly bytea: 'hex' | 'escape';
  /** extra_float_digits: from 1 on the shortest digits that mean the value. */
  readonly floatDigits: number;
}

export const DEFAULT_STYLES: Styles = { date: 'ISO', order: 'MDY', interval: 'postgres', bytea: 'hex', floatDigits: 1 };

const MARK = '|';

/** The name under which a session's zone and styles travel. */
export function withStyles(zone: string, { date, order, interval, bytea, floatDigits }: Styles): string {
  const digits = Math.min(floatDigits, 1);
  const suffix = [date, order, interval, bytea, digits].join();
  return suffix === PLAIN ? zone : `${zone}${MARK}${suffix}`;
}

const PLAIN = Object.values(DEFAULT_STYLES).join();

/** Of such a name, the zone's own. */
export function zoneName(name: string): string {
  const at = name.indexOf(MARK);
  return at < 0 ? name : name.slice(0, at);
}

/** Null: the defaults. */
export function stylesIn(name: string): Styles | null {
  const at = name.indexOf(MARK);
  if (at < 0) return null;
  const [date, order, interval, bytea, digits] = name.slice(at + 1).split(',');
  return { date, order, interval, bytea, floatDigits: Number(digits) } as Styles;
}

/**
 * The name for values that go on to be stored, not shown: dates are read in the session's order, all is written so that no digit is
 * lost and any session reads it.
 */
export function storedStyles(name: string): string {
  const styles = stylesIn(name);
  if (styles === null) return name;
  return withStyles(zoneName(name), { ...DEFAULT_STYLES, order: styles.order });
}

/**
 * The name for values of a statement that are read again for the same session: as stored, but for a statement that may make texts of
 * values, which are to be the session's; what it prints it reads, except that no digit of a float may be lost.
 * @throws {SqlError} 0A000 for a DateStyle that is not read as it is written
 */
export function readStyles(name: string, text: string): string {
  const styles = stylesIn(name);
  if (styles === null) return name;
  if (!MAKES_TEXT.test(text)) return storedStyles(name);
  const { date, order } = styles;
  if (date !== 'ISO' && order !== (date === 'German' || order === 'DMY' ? 'DMY' : 'MDY'))
    throw notSupported(`DateStyle = ${date}, ${order} where values are written and read again`, {
      hint: 'Use an order in which the style writes dates.',
    });
  return withStyles(zoneName(name), { ...styles, floatDigits: 1 });
}

const MAKES_TEXT = /\|\||::|\bcast\b|concat|format|quote_|json|array_to|\b(?:text|varchar|name)\s*\(/i;

/** As `SET DateStyle` reads it: style and order in either order, each at most once. @throws {SqlError} 22023 */
export function dateStyle(name: string, value: string, current: string): string {
  const invalid = (detail: string): SqlError =>
    new SqlError(SqlState.invalidParameterValue, `invalid value for parameter "${name}": "${value}"`, { detail });
  const [presentStyle, presentOrder] = current.split(', ') as [Styles['date'], DateOrder];
  let style: Styles['date'] | null = null;
  let order: DateOrder | null = null;
  for (const given of value.split(',')) {
    const word = given.trim().replaceAll('"', '').toLowerCase();
    const named = styleNamed(word);
    const ordered = orderNamed(word);
    if (named === null && ordered === null && word !== 'default') throw invalid(`Unrecognized key word: "${word}".`);
    if (
      (named !== null && style !== null && named !== style) ||
      (ordered !== null && order !== null && ordered !== order)
    )
      throw invalid('Conflicting "DateStyle" specifications.');
    style ??= named;
    order ??= ordered;
    if (word !== 'default') continue;
    style ??= DEFAULT_STYLES.date;
    order ??= DEFAULT_STYLES.order;
  }
  // German dates have the day first, unless the value says otherwise.
  order ??= style === 'German' ? 'DMY' : presentOrder;
  return `${style ?? presentStyle}, ${order}`;
}

function styleNamed(word: string): Styles['date'] | null {
  if (word === 'iso') return 'ISO';
  if (word === 'sql') return 'SQL';
  if (word === 'german') return 'German';
  return word.startsWith('postgres') ? 'Postgres' : null;
}

function orderNamed(word: string): DateOrder | null {
  if (word === 'ymd') return 'YMD';
  if (word === 'dmy' || word.startsWith('euro')) return 'DMY';
  return word === 'mdy' || word === 'us' || word.startsWith('noneuro') ? 'MDY' : null;
}
