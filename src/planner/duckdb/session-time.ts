/** now() and statement_timestamp() in DuckDB's SQL and in PostgreSQL's: names and texts that stand for times of the session, until it is run. */
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

/** The times are known. */
export function withTimes(sql: string, times: Times): string {
  return sql
    .replaceAll(NOW_SQL, () => `make_timestamptz(${times.transaction})`)
    .replaceAll(STATEMENT_TIME_SQL, () => `make_timestamptz(${times.statement})`)
    .replaceAll(NOW_TEXT, () => instantText(times.transaction))
    .replaceAll(STATEMENT_TIME_TEXT, () => instantText(times.statement));
}
