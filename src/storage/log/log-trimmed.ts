/** What a reader gets that wants a part of the log that is not there. */
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

/** @param last the last LSN that is there */
export function beyondLog(since: Lsn, last: Lsn): SqlError {
  return new SqlError(SqlState.objectNotInPrerequisiteState, `LSN ${lsnText(since)} is beyond the end of the log`, {
    detail: `The last LSN is ${lsnText(last)}.`,
    hint: 'It may be the LSN of another log: arka.wal shows log_id. Start again from a snapshot.',
  });
}
