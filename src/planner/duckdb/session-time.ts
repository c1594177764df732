/** now() and statement_timestamp() in DuckDB's SQL and in PostgreSQL's: names and texts that stand for times of the session, until it is run. */
import { replaceNames } from '../../sql-text.ts';
import { VERSION_LSN_SQL, withVersionLsn } from './lsn.ts';

export interface Times {
  /** Microseconds from 1970: when the transaction began; when the message came. */
  readonly transaction: number;
  readonly statement: number;
}

export const NOW_SQL = '__arka_transaction_time';
export const STATEMENT_TIME_SQL = '__arka_statement_time';
/** Instants that PostgreSQL takes when it describes a statement. */
export const NOW_TEXT = '4713-11-25 00:00:00.417137+00 BC';
export const STATEMENT_TIME_TEXT = '4713-11-25 00:00:00.417138+00 BC';

function instantText(micros: number): string {
  const text = new Date(Math.floor(micros / 1000)).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, 19)}.${String(micros % 1e6).padStart(6, '0')}+00`;
}

/** The times are known: in PostgreSQL's SQL. */
export function withTimes(sql: string, times: Times): string {
  return sql
    .replaceAll(NOW_TEXT, () => instantText(times.transaction))
    .replaceAll(STATEMENT_TIME_TEXT, () => instantText(times.statement));
}

/** The times and the statement's Version are known: in DuckDB's SQL. */
export function withMoments(sql: string, times: Times, lsn: number): string {
  const named = replaceNames(sql, (name, isQuoted) => {
    if (isQuoted) return undefined; // a client's
    if (name === NOW_SQL) return `make_timestamptz(${times.transaction})`;
    if (name === STATEMENT_TIME_SQL) return `make_timestamptz(${times.statement})`;
    return name === VERSION_LSN_SQL ? String(lsn) : undefined;
  });
  return withTimes(withVersionLsn(named, lsn), times);
}
