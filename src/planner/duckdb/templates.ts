/**
 * to_timestamp and to_date of constants: what BI tools write their filters with. A text that fits a plain template exactly is a literal;
 * what the template would have to guess at is left to PostgreSQL.
 */
import { notSupported } from '../../errors.ts';
import { Oid } from '../../types/pg-type.ts';
import { scalarLiteral } from './literals.ts';
import { typed, type Typed } from './typed.ts';

const DAY = String.raw`(?!0000)\d{4}-\d{2}-\d{2}`;
const TEMPLATES: ReadonlyMap<string, RegExp> = new Map([
  ['YYYY-MM-DD', new RegExp(`^${DAY}$`)],
  ['YYYY-MM-DD HH24:MI', new RegExp(String.raw`^${DAY} \d{2}:\d{2}$`)],
  ['YYYY-MM-DD HH24:MI:SS', new RegExp(String.raw`^${DAY} \d{2}:\d{2}:\d{2}$`)],
  ['YYYY-MM-DD HH24:MI:SS.MS', new RegExp(String.raw`^${DAY} \d{2}:\d{2}:\d{2}\.\d{3}$`)],
  ['YYYY-MM-DD HH24:MI:SS.US', new RegExp(String.raw`^${DAY} \d{2}:\d{2}:\d{2}\.\d{6}$`)],
]);

/** A number of seconds is another function of that name. */
export function toTimestamp(args: readonly Typed[]): Typed {
  if (args.length === 1) return typed(`to_timestamp(${args[0]!.sql})`, Oid.timestamptz);
  const local = scalarLiteral(fitting('to_timestamp', args), Oid.timestamp);
  return typed(`CAST(${local} AS TIMESTAMP WITH TIME ZONE)`, Oid.timestamptz);
}

export function toDate(args: readonly Typed[]): Typed {
  return typed(scalarLiteral(fitting('to_date', args).slice(0, 10), Oid.date), Oid.date);
}

/** @throws {SqlError} 0A000 for anything but a moment that there is, in the form that its template has */
function fitting(name: string, [text, template]: readonly Typed[]): string {
  const value = text?.constant;
  const form = typeof template?.constant === 'string' ? TEMPLATES.get(template.constant) : undefined;
  if (typeof value !== 'string' || form?.test(value) !== true || !isMoment(value))
    throw notSupported(`function ${name} of anything but a constant such as 2020-01-31 12:00:00 over Arka tables`);
  return value;
}

function isMoment(text: string): boolean {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = text.split(/[- :.]/).map(Number);
  const days = new Date(Date.UTC(2000, month, 0)).getUTCDate();
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const inMonth = month === 2 && !leap ? 28 : days;
  return month >= 1 && month <= 12 && day >= 1 && day <= inMonth && hour < 24 && minute < 60 && second < 60;
}
