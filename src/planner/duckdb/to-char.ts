/**
 * to_char of dates and times with a template that is a constant: what BI tools group months and weeks by. The fields that they use are put
 * together from the parts of the local time; any other (`TZ`, `RN`, `th`, …), and to_char of numbers, is PostgreSQL's to work out.
 */
import { quoteLiteral } from '../../sql-text.ts';
import { SqlError, SqlState, notSupported } from '../../errors.ts';
import { Oid } from '../../types/pg-type.ts';
import { isDateTime, typed, type Typed } from './typed.ts';

/** SQL of a field of the time `t`; `fill`: not in fill mode, so that it has its full width. */
type Field = (t: string, fill: boolean) => string;

const part =
  (unit: string, width: number): Field =>
  (t, fill) =>
    number(`date_part('${unit}', ${t})`, fill ? width : 0);

function number(sql: string, width: number): string {
  const digits = `CAST(${sql} AS VARCHAR)`;
  return width < 2 ? digits : `lpad(${digits}, CAST(greatest(${width}, length(${digits})) AS INTEGER), '0')`;
}

/** There is no year 0: before it PostgreSQL counts from 1. */
function counted(unit: string, t: string): string {
  const value = `date_part('${unit}', ${t})`;
  return `(CASE WHEN ${value} <= 0 THEN 1 - ${value} ELSE ${value} END)`;
}

const year =
  (unit: string): Field =>
  (t, fill) =>
    number(counted(unit, t), fill ? 4 : 0);

const name =
  (call: string, change: string, width: number, letters: number): Field =>
  (t, fill) => {
    const whole = `${call}(${t})`;
    const shown = letters === 0 ? whole : `left(${whole}, ${letters})`;
    const cased = change === '' ? shown : `${change}(${shown})`;
    return fill && width > 0 ? `rpad(${cased}, ${width}, ' ')` : cased;
  };

const half =
  (before: string, after: string): Field =>
  (t) =>
    `CASE WHEN date_part('hour', ${t}) < 12 THEN '${before}' ELSE '${after}' END`;

const seconds =
  (unit: 'MS' | 'US'): Field =>
  (t) => {
    const micros = `(date_part('microsecond', ${t}) % 1000000)`;
    return unit === 'US' ? number(micros, 6) : number(`(${micros} // 1000)`, 3);
  };

const TWELVE: Field = (t, fill) => number(`((date_part('hour', ${t}) + 11) % 12 + 1)`, fill ? 2 : 0);

/** Those of digits are written in either case, as a whole. */
const DIGITS: Readonly<Record<string, Field>> = {
  YYYY: year('year'),
  YY: (t, fill) => number(`(${counted('year', t)} % 100)`, fill ? 2 : 0),
  IYYY: year('isoyear'),
  MM: part('month', 2),
  DDD: part('doy', 3),
  DD: part('day', 2),
  D: (t) => number(`(date_part('dow', ${t}) + 1)`, 0),
  ID: part('isodow', 0),
  IW: part('week', 2),
  WW: (t, fill) => number(`((date_part('doy', ${t}) - 1) // 7 + 1)`, fill ? 2 : 0),
  W: (t) => number(`((date_part('day', ${t}) - 1) // 7 + 1)`, 0),
  Q: part('quarter', 0),
  HH24: part('hour', 2),
  HH12: TWELVE,
  HH: TWELVE,
  MI: part('minute', 2),
  SS: (t, fill) => number(`(date_part('microsecond', ${t}) // 1000000)`, fill ? 2 : 0),
  MS: seconds('MS'),
  US: seconds('US'),
};

/** A name as its key is written: capitalised, upper or lower. */
function cased(key: string, call: string, width: number, letters: number): readonly [string, Field][] {
  return [
    [key, name(call, '', width, letters)],
    [key.toUpperCase(), name(call, 'upper', width, letters)],
    [key.toLowerCase(), name(call, 'lower', width, letters)],
  ];
}

/** Either means the half that it is. */
function halves(before: string, after: string): readonly [string, Field][] {
  const field = half(before, after);
  return [
    [before, field],
    [after, field],
  ];
}

const FIELDS: ReadonlyMap<string, Field> = new Map([
  ...Object.entries(DIGITS).flatMap(([key, field]): [string, Field][] => [
    [key, field],
    [key.toLowerCase(), field],
  ]),
  ...cased('Month', 'monthname', 9, 0),
  ...cased('Mon', 'monthname', 0, 3),
  ...cased('Day', 'dayname', 9, 0),
  ...cased('Dy', 'dayname', 0, 3),
  ...halves('AM', 'PM'),
  ...halves('am', 'pm'),
  ...halves('A.M.', 'P.M.'),
  ...halves('a.m.', 'p.m.'),
]);
const OF_TIME = /^(HH|MI|SS|MS|US|A|P)/i;

const KEYS = [...FIELDS.keys()]
  .toSorted((a, b) => b.length - a.length)
  .map((key) => key.replaceAll('.', String.raw`\.`));
/** A field, a text in quotes, or anything that is no letter. What is longer than a field (`SSSS`, `IDDD`) leaves letters over. */
const PIECE = new RegExp(`(FM|fm)?(${KEYS.join('|')})|"([^"\\\\]*)"|([^A-Za-z"\\\\]+)`, 'y');
/** Fields of PostgreSQL's that begin as others do. */
const LONGER = /SSSS|ssss|IDDD|iddd|Y,YYY|y,yyy|FF\d|YYYYY|yyyyy/;

/** @throws {SqlError} 0A000 */
export function toChar([source, template]: readonly Typed[]): Typed {
  if (!isDateTime(source!.oid))
    throw new SqlError(SqlState.featureNotSupported, 'function to_char is not supported yet over Arka tables');
  const form = template!.constant;
  if (typeof form !== 'string' || form === '') throw notSupported('to_char with this template over Arka tables');
  const t = source!.oid === Oid.timestamp ? source!.sql : `CAST(${source!.sql} AS TIMESTAMP)`;
  const shown = pieces(form, source!.oid === Oid.date).map((piece) => piece(t));
  return typed(`CASE WHEN isfinite(${source!.sql}) THEN ${shown.join(' || ')} END`, Oid.text);
}

function pieces(form: string, isDate: boolean): readonly ((t: string) => string)[] {
  const found: ((t: string) => string)[] = [];
  const refused = (): SqlError => notSupported(`to_char with the template "${form}" over Arka tables`);
  if (LONGER.test(form)) throw refused();
  PIECE.lastIndex = 0;
  while (PIECE.lastIndex < form.length) {
    const match = PIECE.exec(form);
    if (match === null) throw refused();
    const [, fillMode, key, quoted, plain] = match;
    // of a date it is the first moment of the day in the session's zone, which is not always midnight
    if (key !== undefined && isDate && OF_TIME.test(key)) throw refused();
    const field = FIELDS.get(key ?? '');
    const text = quoteLiteral(quoted ?? plain ?? '');
    found.push(field === undefined ? () => text : (t) => field(t, fillMode === undefined));
  }
  return found;
}
