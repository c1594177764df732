/** pg_lsn: a position in the log, as PostgreSQL writes it: two hexadecimal numbers of 32 bits. */
import { SqlError, SqlState } from '../errors.ts';
import type { Lsn } from '../table-def.ts';
import { trimSpace } from './white-space.ts';

export function lsnText(lsn: Lsn): string {
  return `${Math.floor(lsn / 4_294_967_296)
    .toString(16)
    .toUpperCase()}/${(lsn >>> 0).toString(16).toUpperCase()}`;
}

/** @throws {SqlError} 22P02; 22003 for a position that no log of Arka reaches */
export function parseLsn(text: string): Lsn {
  const match = /^[ \t-\r]*([0-9a-f]{1,8})\/([0-9a-f]{1,8})[ \t-\r]*$/i.exec(text);
  if (match === null)
    throw new SqlError(SqlState.invalidTextRepresentation, `invalid input syntax for type pg_lsn: "${text}"`);
  const lsn = Number.parseInt(match[1]!, 16) * 4_294_967_296 + Number.parseInt(match[2]!, 16);
  if (!Number.isSafeInteger(lsn))
    throw new SqlError(SqlState.numericValueOutOfRange, `position ${text} is beyond every log`);
  return lsn;
}

/** pg_lsn's text, or a whole number. */
export function parsePosition(text: string): Lsn {
  const digits = trimSpace(text);
  if (!/^\d{1,16}$/.test(digits)) return parseLsn(text);
  const lsn = Number(digits);
  if (!Number.isSafeInteger(lsn))
    throw new SqlError(SqlState.numericValueOutOfRange, `position ${text} is beyond every log`);
  return lsn;
}
