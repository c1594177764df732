/** What a reader gets that wants more of the log than there is. */
import { SqlError, SqlState } from '../../errors.ts';
import type { Lsn } from '../../table-def.ts';
import { lsnText } from '../../types/pg-lsn.ts';

/** @param first the first LSN that is there */
export function logTrimmed(since: Lsn, first: Lsn): SqlError {
  return new SqlError(
    SqlState.objectNotInPrerequisiteState,
    `changes after LSN ${lsnText(since)} are no longer in the log`,
    {
      detail: `The first LSN that is there is ${lsnText(first)}.`,
      hint:
        'Start again from a snapshot: in one transaction read pg_current_wal_lsn() and the table, then the changes after that LSN. ' +
        'wal.keep_size makes the log reach further back.',
    },
  );
}
