/** The state of a table whose files cannot be read (U1 in `unreadable-table.ts`): which errors make it, and what it says. */
import { SqlError, SqlState } from '../../errors.ts';
import type { Detached, RecoveredTable } from './lake-api.ts';

/** What the files of one table say of themselves; a store that is away is no such thing. */
export function isUnreadable(error: unknown): error is SqlError {
  return (
    error instanceof SqlError &&
    error.fields.transient !== true &&
    (error.code === SqlState.dataCorrupted ||
      error.code === SqlState.ioError ||
      error.code === SqlState.featureNotSupported)
  );
}

/** Whether of each it is known which table it is (U4). */
export function areAllProven(tables: readonly Pick<RecoveredTable, 'uuidIs'>[]): boolean {
  return tables.every(({ uuidIs = 'proven' }) => uuidIs === 'proven');
}

/** Why a table is detached, as its statements say it (U1). */
export function unreadable(error: SqlError, last: Detached['last']): Detached {
  return {
    reason: 'unreadable',
    code: error.code,
    message: error.message,
    detail: error.fields.detail ?? '',
    hint:
      error.fields.hint ??
      'Restore the file: the table comes back by itself within a minute or so, with the rows that are kept for it in the log and in ' +
        'DATA_DIR/disk. DROP TABLE gives the table up.',
    last,
  };
}
