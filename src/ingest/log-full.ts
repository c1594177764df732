/** What a writer is told while the log can take no more (53100): which table keeps it from being trimmed, and why. */
import { SqlError, SqlState } from '../errors.ts';
import type { Detached } from '../storage/iceberg/lake-api.ts';
import type { Lsn } from '../table-def.ts';

/** The table that needs what is oldest in the log. */
export interface LogHolder {
  readonly name: string;
  /** The catalog has it no more: its rows wait for a start, which writes them to DATA_DIR/lost. */
  readonly isGone: boolean;
  /** The first LSN that is kept for it. */
  readonly from: Lsn;
  /** Its files cannot be read, or its rows are not all there: then the log is all there is of some. */
  readonly detached: Pick<Detached, 'reason' | 'message' | 'hint'> | null;
  /** It is being read again, with what the log has of it. */
  readonly isReadAgain: boolean;
  /** Rows of it are in no file yet. */
  readonly isUnflushed: boolean;
  /** Why the last flush failed. */
  readonly failure: string | null;
}

export interface FullLog {
  /** The log may not be larger, or the disk has no room for more of it. */
  readonly why: 'wal.max_size' | 'disk';
  readonly bytes: number;
  readonly bytesMax: number;
  /** Null: no table does. */
  readonly holder: LogHolder | null;
  /** From where on a start would look into the log, which is earlier: the newest checkpoint is of before. Null: it is not. */
  readonly checkpointFrom: Lsn | null;
}

export function logFull({ why, bytes, bytesMax, holder, checkpointFrom }: FullLog): SqlError {
  const isMax = why === 'wal.max_size';
  const size = isMax ? `The log takes ${bytes} of ${bytesMax} bytes.` : `The log takes ${bytes} bytes.`;
  const message = isMax
    ? 'the log has reached wal.max_size and cannot be trimmed'
    : 'could not write to the log: the disk is full';
  const room = isMax ? 'Free disk space, or raise wal.max_size' : 'Free disk space';
  const checkpoint =
    checkpointFrom === null
      ? []
      : [
          `From LSN ${checkpointFrom} on a start would look into it, by a newest checkpoint that there is no room to replace.`,
        ];
  return new SqlError(SqlState.diskFull, message, {
    detail: [size, ...(holder === null ? [] : [`${name(holder)}: ${reason(holder)}`]), ...checkpoint].join(' '),
    hint: `${holder === null ? '' : hint(holder)}${room}; writes go on by themselves.`,
  });
}

function name({ name: table, from }: LogHolder): string {
  return `From LSN ${from} on it is kept for table ${table}`;
}

const hint = ({ detached, isGone }: LogHolder): string =>
  isGone ? 'Restart the server. ' : detached === null ? '' : `${detached.hint} `;

function reason({ detached, failure, isGone, isReadAgain, isUnflushed }: LogHolder): string {
  if (isGone)
    return 'the table is gone from the catalog, and the next start writes what only the log has of it to DATA_DIR/lost.';
  if (isReadAgain)
    return `the table is being read again${detached === null ? '' : `, after ${detached.message}`}, and its rows come from the log.`;
  if (detached?.reason === 'unreadable')
    return `the table cannot be read (${detached.message}), and the log has rows of it until it can.`;
  if (detached !== null) return `the table is read-only (${detached.message}).`;
  if (failure !== null) return `its rows could not be written to disk: ${failure}.`;
  return isUnflushed
    ? 'its rows are not on disk yet.'
    : 'its rows are on disk, and its flush manifest does not say so yet.';
}
