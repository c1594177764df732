/**
 * What a client hears of a value that its column's type refuses. The input functions say PostgreSQL's message for a quoted
 * literal; who wrote the value, and how, decides the rest.
 */
import { SqlError, SqlState } from '../errors.ts';

const OUT_OF_RANGE = /^value ".*" is out of range for type (smallint|integer|bigint)$/s;

/**
 * An error of a literal of a statement.
 * @param position of a quoted one, from 1: its type's input function ran while PostgreSQL parsed. 0 for a number written as
 *   one: it is cast, and casts have no position. Neither have the checks of a length or a precision, which come later.
 */
export function literalError(error: unknown, position: number): unknown {
  if (!(error instanceof SqlError)) return error;
  if (position === 0) {
    const integer = OUT_OF_RANGE.exec(error.message);
    return integer === null ? error : new SqlError(error.code, `${integer[1]} out of range`, error.fields);
  }
  return isLater(error) ? error : error.with({ position });
}

/** An error of the value of $n, whose input function runs at Bind; a value in binary is not shown. */
export function parameterError(error: unknown, index: number, isText: boolean, portal: string): unknown {
  if (!(error instanceof SqlError)) return error;
  const name = portal === '' ? 'unnamed portal' : `portal "${portal}"`;
  const parameter = `${name} parameter $${index}${isText ? " = '...'" : ''}`;
  const inner = error.fields.where;
  return new SqlError(error.code, error.message, {
    ...error.fields,
    where: inner === undefined ? parameter : `${inner}\n${parameter}`,
  });
}

/** Lengths and precisions are the column's, not the value's type's. */
function isLater(error: SqlError): boolean {
  return error.code === SqlState.stringDataRightTruncation || error.message === 'numeric field overflow';
}
