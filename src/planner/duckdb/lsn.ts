/**
 * pg_lsn in DuckDB: a BIGINT, so that it compares and orders as PostgreSQL's does. Its text is made where it leaves or
 * becomes text; a function that would print the number instead is refused.
 */
import { notSupported } from '../../errors.ts';
import { lsnText, parseLsn } from '../../types/pg-lsn.ts';
import { Oid } from '../../types/pg-type.ts';
import type { Typed } from './typed.ts';

/**
 * Stands for the LSN of the statement's own Version, in PostgreSQL's text and in DuckDB's: who pins the Version puts the
 * number in. No log comes near it.
 */
export const VERSION_LSN_TEXT = 'FFFFFFFF/FFFFFFFE';
export const VERSION_LSN_SQL = '__arka_version_lsn';

/** @throws {SqlError} 22P02 */
export function lsnLiteral(text: string): string {
  if (text === VERSION_LSN_TEXT) return `CAST(${VERSION_LSN_SQL} AS BIGINT)`;
  return `CAST(${parseLsn(text)} AS BIGINT)`;
}

/** DuckDB's expression for the text of an LSN. */
export function lsnTextSql(sql: string): string {
  return `format('{:X}/{:X}', (${sql}) >> 32, (${sql}) & 4294967295)`;
}

/** The statement's Version is known: in PostgreSQL's SQL. */
export function withVersionLsn(sql: string, lsn: number): string {
  return sql.replaceAll(VERSION_LSN_TEXT, lsnText(lsn));
}

const FUNCTIONS: ReadonlySet<string> = new Set(['count', 'min', 'max', 'lag', 'lead', 'first_value', 'last_value']);

/** @throws {SqlError} 0A000 for a function that does not know the type */
export function checkLsnArguments(args: readonly Typed[], name: string): void {
  if (!FUNCTIONS.has(name) && args.some((arg) => arg.oid === Oid.pgLsn))
    throw notSupported(`function ${name} of pg_lsn over Arka tables`, { hint: 'Cast it to text first.' });
}
