/** A constant interval in the forms that programs write: `interval '1 day 2 hours'`, `'30 days'::interval`, `'01:30'`. */
import type { Node } from 'libpg-query';
import { intervalText } from '../types/interval-output.ts';
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
  return { ...parts, text: intervalText(parts.months, parts.days, parts.micros) };
}
