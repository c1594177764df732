/**
 * Frames of one table out of the log while it is written, for a reader that asks piece by piece: each answer says how far
 * it goes. What is asked for is held (L2 in log-transactions.ts), and durable (L1).
 */
import type { Lsn } from '../../table-def.ts';
import type { LogPlace } from './log-api.ts';
import { openNodeDisk, type LogDisk } from './log-disk.ts';
import { ReadPlaces, TransactionReader, type LoggedFrame } from './log-transactions.ts';

export interface FramesRequest {
  readonly log: LogPlace;
  /** As frames have it. */
  readonly tableUuid: Uint8Array;
  readonly since: Lsn;
  readonly to: Lsn;
}
export interface FramesRead {
  /** Those that may be of the table, in order; each has bytes of its own. */
  readonly frames: readonly LoggedFrame[];
  /** All up to here were looked at. */
  readonly through: Lsn;
}

/** Of frames that one answer looks at: meanwhile its thread does nothing else. */
const LOOK_BYTES_MAX = 16 * 2 ** 20;

/** @throws {SqlError} XX001, 55000 */
export function loggedFrames(
  { log, tableUuid, since, to }: FramesRequest,
  disk: LogDisk = openNodeDisk(log.dir),
  lookBytesMax = LOOK_BYTES_MAX,
): FramesRead {
  const reader = new TransactionReader(disk, log, since, to, new ReadPlaces());
  const wanted = Buffer.from(tableUuid);
  const frames: LoggedFrame[] = [];
  let looked = 0;
  let through = since;
  try {
    for (let transaction = reader.next(); transaction !== null; transaction = reader.next())
      for (const { firstLsn, count, payload } of transaction.frames()) {
        const end = firstLsn + count - 1;
        if (end <= since) continue;
        if (Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).includes(wanted))
          frames.push({ firstLsn, count, payload: payload.slice() });
        through = end;
        looked += payload.length;
        if (looked >= lookBytesMax && through > since) return { frames, through };
      }
    return { frames, through: to };
  } finally {
    reader.close();
  }
}
