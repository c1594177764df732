/**
 * The checksums of `readers/checksum.py` from PostgreSQL's text form, so that what `pg` reads and what another engine
 * reads can be compared whole.
 */
import { createHash } from 'node:crypto';
import { parseArray } from '../../src/types/array-value.ts';

/** Rows, and for each column the values that are not null with their checksum. */
export interface TableSum {
  readonly rows: number;
  readonly columns: Readonly<Record<string, readonly [number, string]>>;
}

/** The types whose text needs work, by PostgreSQL's name; any other text is canonical as it is. */
const CANONICAL: Readonly<Record<string, (text: string) => string>> = {
  boolean: (text) => (text === 't' ? '1' : '0'),
  real: (text) => float(Math.fround(number(text))),
  'double precision': (text) => float(number(text)),
  bytea: (text) => text.slice(2),
  // Iceberg has it without its blanks
  character: (text) => text.replace(/ +$/, ''),
  uuid: (text) => text.replaceAll('-', ''),
  time: microseconds,
  timestamp: microseconds,
  timestamptz: (text) => microseconds(text.replace(/\+00$/, '')),
};

/** @param types column name → PostgreSQL's type name, in order; rows are arrays in that order, the session in UTC */
export function tableSum(
  types: Readonly<Record<string, string>>,
  rows: readonly (readonly (string | null)[])[],
): TableSum {
  const columns = Object.entries(types).map(([name, type], at) => {
    const texts = rows.map((row) => row[at] ?? null).filter((text) => text !== null);
    const sum = texts.reduce((total, text) => total + hashOf(canonical(type, text)), 0n);
    return [name, [texts.length, BigInt.asUintN(64, sum).toString(16).padStart(16, '0')]] as const;
  });
  return { rows: rows.length, columns: Object.fromEntries(columns) };
}

function canonical(type: string, text: string): string {
  if (!type.endsWith('[]')) return CANONICAL[type]?.(text) ?? text;
  return JSON.stringify(
    parseArray(text).items.map((item) => (item === null ? null : canonical(type.slice(0, -2), item))),
  );
}

function hashOf(text: string): bigint {
  return createHash('sha256').update(text).digest().readBigUInt64LE(0);
}

function number(text: string): number {
  return text.endsWith('Infinity') ? Number(text) : Number.parseFloat(text);
}

function float(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes.toString('hex');
}

/** Always six digits after the point. */
function microseconds(text: string): string {
  const [whole, part = ''] = text.split('.');
  return `${whole}.${part.padEnd(6, '0')}`;
}
