/**
 * From the statistics that COPY returns (text, per column) to Iceberg's counts and bounds.
 *
 * DuckDB prints integers, decimals, dates, times, uuids and finite floats exactly, bytes as hex, texts as they are; what it
 * leaves out has no bound. A float column that holds NaN has no bounds and an unknown count of them.
 */
import type { ColumnDef } from '../table-def.ts';
import { icebergType, Oid } from '../types/pg-type.ts';
import type { FileColumnStats } from '../storage/file-stats.ts';
import {
  encodeBound,
  lowerBinaryBound,
  lowerTextBound,
  upperBinaryBound,
  upperTextBound,
} from '../storage/iceberg/bounds.ts';

/** The entries of one column in `column_statistics`. */
export type TextStats = ReadonlyMap<string, string>;

export function columnStats(column: ColumnDef, stats: TextStats, rows: number): FileColumnStats {
  const count = (name: string, otherwise: number): number => Number(stats.get(name) ?? otherwise);
  const nulls = count('null_count', 0);
  const floating = column.type.oid === Oid.float4 || column.type.oid === Oid.float8;
  const nan = stats.get('has_nan') === 'true';
  const bounded = !nan && nulls < rows;
  return {
    fieldId: column.fieldId,
    columnBytes: count('column_size_bytes', 0),
    valueCount: rows,
    nullCount: nulls,
    nanCount: floating ? (nan ? null : 0) : null,
    lower: bounded ? bound(column, stats.get('min'), false) : null,
    upper: bounded ? bound(column, stats.get('max'), true) : null,
  };
}

function bound(column: ColumnDef, text: string | undefined, upper: boolean): Uint8Array | null {
  if (text === undefined) return null;
  const type = icebergType(column.type);
  switch (column.type.oid) {
    case Oid.bool:
      return encodeBound(type, text === '1' || text === 'true');
    case Oid.int2:
    case Oid.int4:
      return encodeBound(type, Number(text));
    case Oid.int8:
    case Oid.oid:
      return encodeBound(type, BigInt(text));
    case Oid.float4:
    case Oid.float8:
      return floatBound(type, text, upper);
    case Oid.numeric:
      return /^-?\d*\.?\d+$/.test(text) ? encodeBound(type, BigInt(text.replace('.', ''))) : null;
    case Oid.date:
      return integerBound(type, dayOf(text));
    case Oid.time:
      return integerBound(type, microsOfTime(text));
    case Oid.timestamp:
    case Oid.timestamptz:
      return integerBound(type, microsOf(text));
    case Oid.uuid:
      return encodeBound(type, Uint8Array.from(Buffer.from(text.replaceAll('-', ''), 'hex')));
    case Oid.bytea: {
      if (!/^([0-9A-Fa-f]{2})*$/.test(text)) return null;
      const bytes = Uint8Array.from(Buffer.from(text, 'hex'));
      return upper ? upperBinaryBound(bytes) : lowerBinaryBound(bytes);
    }
    default: {
      const bytes = new TextEncoder().encode(text);
      return upper ? upperTextBound(bytes) : lowerTextBound(bytes);
    }
  }
}

/** -0 is below 0 for Iceberg and equal to it for DuckDB: a zero bound takes the sign that covers both. */
function floatBound(type: string, text: string, upper: boolean): Uint8Array | null {
  const value = text === 'inf' ? Infinity : text === '-inf' ? -Infinity : Number(text);
  if (Number.isNaN(value)) return null;
  return encodeBound(type, value === 0 ? (upper ? 0 : -0) : value);
}

function integerBound(type: string, value: bigint | null): Uint8Array | null {
  return value === null ? null : encodeBound(type, type === 'date' ? Number(value) : value);
}

const DATE = /^(\d{4,})-(\d\d)-(\d\d)( \(BC\))?$/;

/** Days since 1970 of DuckDB's date text; null for what it writes otherwise (infinity). */
function dayOf(text: string): bigint | null {
  const found = DATE.exec(text);
  if (found === null) return null;
  const year = found[4] === undefined ? Number(found[1]) : 1 - Number(found[1]);
  return civilDay(year, Number(found[2]), Number(found[3]));
}

/** Days since 1970-01-01 in the proleptic Gregorian calendar, for any year (JavaScript's dates end at 275760). */
function civilDay(year: number, month: number, day: number): bigint {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return BigInt(era * 146_097 + dayOfEra - 719_468);
}

function microsOfTime(text: string): bigint | null {
  const found = /^(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/.exec(text);
  if (found === null) return null;
  const seconds = Number(found[1]) * 3600 + Number(found[2]) * 60 + Number(found[3]);
  return BigInt(seconds) * 1_000_000n + BigInt((found[4] ?? '').padEnd(6, '0'));
}

/** timestamptz is printed in UTC: the connections that write files never set a zone. */
function microsOf(text: string): bigint | null {
  const found = /^(\d+-\d\d-\d\d)( \(BC\))? (\d\d:\d\d:\d\d(?:\.\d{1,6})?)(?:\+00)?$/.exec(text);
  if (found === null) return null;
  const day = dayOf(found[1]! + (found[2] ?? ''));
  const time = microsOfTime(found[3]!);
  return day === null || time === null ? null : day * 86_400_000_000n + time;
}
