/**
 * Columns whose form in memory is not what the engine has in files and queries: arrays, which are JSON texts there and lists here
 * (`types/array-column.ts`), and intervals, which are texts in memory and in files. Of any other type the value is the same.
 */
import type { PgType } from '../table-def.ts';
import { DATE_INFINITY } from '../types/civil-date.ts';
import { duckdbType, elementOf, numericModifier, Oid } from '../types/pg-type.ts';

/** A value as memory has it → as files have it. */
export function fromStored(sql: string, type: PgType): string {
  const element = elementOf(type);
  if (element === undefined) return sql;
  const texts = `from_json(${sql}, '["VARCHAR"]')`;
  const value = elementFrom(element);
  return value === 'x' ? texts : `list_transform(${texts}, lambda x: ${value})`;
}

/** A value as files have it → as queries have it. */
export function engineForm(sql: string, type: PgType): string {
  if (type.oid === Oid.interval) return `arka_interval(${sql})`;
  return elementOf(type)?.oid === Oid.interval ? `list_transform(${sql}, lambda x: arka_interval(x))` : sql;
}

function elementFrom(element: PgType): string {
  switch (element.oid) {
    case Oid.date:
      return `CASE x WHEN '${DATE_INFINITY}' THEN DATE 'infinity' WHEN '-${DATE_INFINITY}' THEN DATE '-infinity' ELSE DATE '1970-01-01' + CAST(x AS INTEGER) END`;
    case Oid.time:
      return "CASE WHEN x = '86400000000' THEN TIME '24:00:00' ELSE TIME '00:00:00' + to_microseconds(CAST(x AS BIGINT)) END";
    case Oid.timestamp:
      return instantFrom('TIMESTAMP', 'make_timestamp');
    case Oid.timestamptz:
      return instantFrom('TIMESTAMPTZ', 'make_timestamptz');
    case Oid.bytea:
      return 'from_hex(substr(x, 3))';
    default: {
      const type = duckdbType(element);
      return type === 'VARCHAR' ? 'x' : `CAST(x AS ${type})`;
    }
  }
}

/** What stands for the infinite timestamps: micros that no other can have. */
const INSTANT_INFINITY = '9223372036854775807';

function instantFrom(type: string, make: string): string {
  const infinite = (sign: string): string => `WHEN '${sign}${INSTANT_INFINITY}' THEN ${type} '${sign}infinity'`;
  return `CASE x ${infinite('')} ${infinite('-')} ELSE ${make}(CAST(x AS BIGINT)) END`;
}

/** A value as files have it → as memory has it. */
export function toStored(sql: string, type: PgType): string {
  const element = elementOf(type);
  if (element === undefined) return sql;
  const text = elementTo(element);
  const texts = text === 'x' ? sql : `list_transform(${sql}, lambda x: ${text})`;
  return `CAST(to_json(${texts}) AS VARCHAR)`;
}

function elementTo(element: PgType): string {
  switch (element.oid) {
    case Oid.bool:
      return "CASE WHEN x THEN 't' WHEN NOT x THEN 'f' END";
    case Oid.date:
      return "CAST(x - DATE '1970-01-01' AS VARCHAR)";
    case Oid.time:
      return 'CAST(epoch_us(x) AS VARCHAR)';
    case Oid.timestamp:
    case Oid.timestamptz:
      return `CASE WHEN isinf(x) THEN CASE WHEN x > '2000-01-01' THEN '' ELSE '-' END || '${INSTANT_INFINITY}' ELSE CAST(epoch_us(x) AS VARCHAR) END`;
    case Oid.float4:
      return 'CAST(CAST(x AS DOUBLE) AS VARCHAR)'; // of a float it does not always give the shortest digits
    case Oid.bytea:
      return "'\\x' || lower(hex(x))";
    case Oid.numeric: {
      // A number of JSON has lost digits, and without a modifier the type does not say whether it is a text. Where all
      // digits stand behind the point, the engine writes none before it.
      const modifier = numericModifier(element.typmod);
      if (modifier !== null && modifier.precision > modifier.scale) return 'CAST(x AS VARCHAR)';
      return String.raw`regexp_replace(CAST(x AS VARCHAR), '^(-?)[.]', '\10.')`;
    }
    default:
      return duckdbType(element) === 'VARCHAR' ? 'x' : 'CAST(x AS VARCHAR)';
  }
}
