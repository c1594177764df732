/** A constant interval in the forms that programs write: `interval '1 day 2 hours'`, `'30 days'::interval`, `'01:30'`. */
import type { Node } from 'libpg-query';
import { constantText, plainName } from './ast.ts';

export interface IntervalParts {
  readonly months: number;
  readonly days: number;
  readonly micros: number;
  /** As PostgreSQL prints it. */
  readonly text: string;
}

/** How much of which part a unit is. */
const UNITS: Readonly<Record<string, readonly ['months' | 'days' | 'micros', number]>> = {
  year: ['months', 12],
  month: ['months', 1],
  mon: ['months', 1],
  week: ['days', 7],
  day: ['days', 1],
  hour: ['micros', 3_600_000_000],
  hr: ['micros', 3_600_000_000],
  minute: ['micros', 60_000_000],
  min: ['micros', 60_000_000],
  second: ['micros', 1_000_000],
  sec: ['micros', 1_000_000],
  millisecond: ['micros', 1000],
};

/** Null: it is no such constant. */
export function intervalParts(node: Node): IntervalParts | null {
  if (!('TypeCast' in node) || node.TypeCast.arg === undefined) return null;
  const { typeName, arg } = node.TypeCast;
  if (plainName(typeName?.names) !== 'interval' || (typeName?.typmods ?? []).length > 0) return null;
  const text = constantText(arg);
  return text === null ? null : parse(text);
}

function parse(text: string): IntervalParts | null {
  const parts = { months: 0, days: 0, micros: 0 };
  const pattern = /\s*(?:([+-]?\d+)\s*([a-z]+)|([+-]?)(\d{1,3}):(\d\d)(?::(\d\d))?(?=\s|$))/iy;
  let end = 0;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    end = pattern.lastIndex;
    if (match[2] === undefined) {
      const seconds = Number(match[4]) * 3600 + Number(match[5]) * 60 + Number(match[6] ?? 0);
      parts.micros += (match[3] === '-' ? -1 : 1) * seconds * 1e6;
      continue;
    }
    const unit = UNITS[match[2].toLowerCase().replace(/s$/, '')];
    if (unit === undefined) return null;
    parts[unit[0]] += Number(match[1]) * unit[1];
  }
  if (end === 0 || text.slice(end).trim() !== '') return null;
  return { ...parts, text: printed(parts) };
}

/** In the style `postgres`. */
function printed({ months, days, micros }: { months: number; days: number; micros: number }): string {
  const words: string[] = [];
  const put = (count: number, unit: string): void => {
    if (count === 0) return;
    const isPositiveAfterNegative = count > 0 && words.length > 0 && words.at(-1)!.startsWith('-');
    words.push(`${isPositiveAfterNegative ? '+' : ''}${count} ${unit}${count === 1 ? '' : 's'}`);
  };
  put(Math.trunc(months / 12), 'year');
  put(months % 12, 'mon');
  put(days, 'day');
  if (micros !== 0 || words.length === 0) {
    const before = words.at(-1)?.startsWith('-') === true;
    const total = Math.abs(micros);
    const two = (value: number): string => String(value).padStart(2, '0');
    const seconds = Math.floor(total / 1e6);
    const fraction =
      total % 1e6 === 0
        ? ''
        : `.${String(total % 1e6)
            .padStart(6, '0')
            .replace(/0+$/, '')}`;
    const sign = micros < 0 ? '-' : before ? '+' : '';
    words.push(
      `${sign}${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}${fraction}`,
    );
  }
  return words.join(' ');
}
