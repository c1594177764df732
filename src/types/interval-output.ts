import { secondFraction } from './second-fraction.ts';

/** Intervals as PostgreSQL shows them (IntervalStyle postgres): `1 year 2 mons -3 days +04:05:06.789`. */
export function intervalText(months: number, days: number, micros: number): string {
  const parts: string[] = [];
  let negative = false; // the sign of the field before decides whether a plus is shown
  const field = (value: number, unit: string): void => {
    if (value === 0) return;
    parts.push(`${negative && value > 0 ? '+' : ''}${value} ${unit}${value === 1 ? '' : 's'}`);
    negative = value < 0;
  };
  field(Math.trunc(months / 12), 'year');
  field(months % 12, 'mon');
  field(days, 'day');
  if (micros !== 0 || parts.length === 0) {
    const sign = micros < 0 ? '-' : negative ? '+' : '';
    const size = Math.abs(micros);
    const seconds = Math.floor(size / 1e6);
    const two = (value: number): string => String(value).padStart(2, '0');
    const fraction = secondFraction(size);
    parts.push(
      `${sign}${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}${fraction}`,
    );
  }
  return parts.join(' ');
}
