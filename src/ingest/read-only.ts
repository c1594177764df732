import { SqlError, SqlState } from '../errors.ts';
import type { Detached } from '../storage/iceberg/lake-api.ts';

/** Why a detached table takes no writes. */
export function readOnly(detached: Detached): SqlError {
  const { message, detail, hint, code } = detached;
  if (code !== undefined)
    return new SqlError(code, `the table is detached: ${message}`, { ...(detail === '' ? {} : { detail }), hint });
  return new SqlError(SqlState.objectNotInPrerequisiteState, `the table is read-only: ${message}`, { detail, hint });
}
