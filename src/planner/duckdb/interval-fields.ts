/** extract and date_part of intervals: their fields, each with its own sign, and how long they are where a year has 365.25 days and a month 30. */
import { notSupported } from '../../errors.ts';
import { Oid } from '../../types/pg-type.ts';
import { decimal } from './decimals.ts';
import { typed, type Typed } from './typed.ts';

const WHOLE: Readonly<Record<string, string>> = {
  year: 'year',
  years: 'year',
  month: 'month',
  months: 'month',
  day: 'day',
  days: 'day',
  hour: 'hour',
  hours: 'hour',
  minute: 'minute',
  minutes: 'minute',
};

/** @throws {SqlError} 0A000 */
export function intervalField(unit: string, sql: string, asFloat: boolean): Typed {
  const part = (name: string): string => `CAST(date_part('${name}', ${sql}) AS DECIMAL(18,0))`;
  const micros = part('microsecond'); // of the minute
  const whole = WHOLE[unit];
  const exact =
    whole !== undefined
      ? decimal(part(whole), 18, 0)
      : unit === 'epoch'
        ? decimal(`CAST(CAST(${length(part)} AS DECIMAL(24,0)) * 0.000001 AS DECIMAL(25,6))`, 25, 6)
        : unit === 'second' || unit === 'seconds'
          ? decimal(`CAST(${micros} * 0.000001 AS DECIMAL(25,6))`, 25, 6)
          : null;
  if (unit === 'epoch' && asFloat) return typed(seconds(part), Oid.float8);
  if (exact === null) throw notSupported(`extract(${unit}) of an interval over Arka tables`);
  return asFloat ? typed(`CAST(${exact.sql} AS DOUBLE)`, Oid.float8) : exact;
}

/** Microseconds. */
function length(part: (name: string) => string): string {
  const parts: readonly (readonly [string, string])[] = [
    ['year', '31557600000000'],
    ['month', '2592000000000'],
    ['day', '86400000000'],
    ['hour', '3600000000'],
    ['minute', '60000000'],
    ['microsecond', '1'],
  ];
  return `(${parts.map(([name, micros]) => `CAST(${part(name)} AS HUGEINT) * ${micros}`).join(' + ')})`;
}

/** As PostgreSQL adds them up. */
function seconds(part: (name: string) => string): string {
  const double = (sql: string): string => `CAST(${sql} AS DOUBLE)`;
  const time = `${part('hour')} * 3600000000 + ${part('minute')} * 60000000 + ${part('microsecond')}`;
  const days = (name: string, count: number): string => `${double(String(count * 86_400))} * ${double(part(name))}`;
  return `(((${double(`(${time})`)} / 1e6 + ${days('year', 365.25)}) + ${days('month', 30)}) + ${days('day', 1)})`;
}
