/**
 * The text of a value as PostgreSQL's output functions write it, in DuckDB's SQL.
 *
 * A value whose text DuckDB builds otherwise stands in a lambda, so that it is computed once however often it is looked at.
 */
import { notSupported } from '../../errors.ts';
import { Oid } from '../../types/pg-type.ts';
import { decimalText } from './decimals.ts';
import { lsnTextSql } from './lsn.ts';
import { refuseStyledText } from './styled-session.ts';
import { elementIn, isText, type Typed } from './typed.ts';

export function textOf({ oid, sql, decimal }: Typed): string {
  refuseStyledText(oid);
  if (oid === Oid.numeric) return decimalText(sql, decimal);
  const element = elementIn(oid);
  if (element !== undefined) return arrayText(sql, element);
  return scalarText(sql, oid);
}

function scalarText(sql: string, oid: number): string {
  switch (oid) {
    case Oid.bytea:
      return `('\\x' || lower(hex(${sql})))`;
    case Oid.pgLsn:
      return lsnTextSql(sql);
    case Oid.float8:
      return once(sql, (x) => floatText(x, 15));
    case Oid.float4:
      return once(sql, (x) => floatText(x, 6));
    case Oid.date:
    case Oid.timestamp:
    case Oid.timestamptz:
      return once(
        `CAST(${sql} AS VARCHAR)`,
        (x) =>
          `CASE WHEN ends_with(${x}, ' (BC)') OR contains(${x}, ' (BC) ') THEN replace(${x}, ' (BC)', '') || ' BC' ELSE ${x} END`,
      );
    case Oid.interval:
      return `arka_interval_text(${sql})`;
    default:
      return isText(oid) ? sql : `CAST(${sql} AS VARCHAR)`;
  }
}

/** `write` of a name that stands for the value. */
function once(sql: string, write: (name: string) => string): string {
  return `list_transform([${sql}], lambda arka_x: ${write('arka_x')})[1]`;
}

/**
 * Both write the shortest digits that mean the number; PostgreSQL has an exponent from `digits` digits before the point on, DuckDB from
 * 16, and a point always.
 */
function floatText(x: string, digits: number): string {
  const text = `regexp_replace(CAST(abs(${x}) AS VARCHAR), '\\.0$', '')`;
  const whole = `regexp_replace(${text}, '\\..*$', '')`;
  const significant = `rtrim(replace(${text}, '.', ''), '0')`;
  const exponential = `${significant}[1] || CASE WHEN length(${significant}) > 1 THEN '.' || ${significant}[2:] ELSE '' END || 'e+' || lpad(CAST(length(${whole}) - 1 AS VARCHAR), 2, '0')`;
  const sign = `CASE WHEN signbit(${x}) THEN '-' ELSE '' END`;
  return (
    `CASE WHEN isnan(${x}) THEN 'NaN' WHEN isinf(${x}) THEN ${sign} || 'Infinity' ` +
    `WHEN contains(${text}, 'e') OR length(${whole}) <= ${digits} THEN ${sign} || ${text} ELSE ${sign} || ${exponential} END`
  );
}

/** @throws {SqlError} 0A000 for elements that have blanks there, which the engine does not know */
function arrayText(sql: string, element: number): string {
  if (element === Oid.bpchar) throw notSupported('the text of an array of character(n) over Arka tables');
  const text = element === Oid.bool ? `CASE WHEN arka_e THEN 't' ELSE 'f' END` : scalarText('arka_e', element);
  const quoted = `CASE WHEN regexp_matches(arka_t, '["{},\\\\\\s]|^$|^[nN][uU][lL][lL]$') THEN '"' || replace(replace(arka_t, '\\', '\\\\'), '"', '\\"') || '"' ELSE arka_t END`;
  const texts = `list_transform(${sql}, lambda arka_e: CASE WHEN arka_e IS NOT NULL THEN ${text} END)`;
  const shown = `list_transform(${texts}, lambda arka_t: CASE WHEN arka_t IS NULL THEN 'NULL' ELSE ${quoted} END)`;
  return once(
    shown,
    (x) => `CASE WHEN ${x} IS NOT NULL THEN '{' || coalesce(array_to_string(${x}, ','), '') || '}' END`,
  );
}
