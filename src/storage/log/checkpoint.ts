/**
 * The payload of a checkpoint frame (C6, H3): what was committed of each table when it was appended. With it a start
 * knows what the catalog must show at least, and which tables have nothing in the log that Iceberg lacks.
 *
 * UTF-8 JSON, snapshot ids as decimal text. A table that is not listed did not exist: its frames before the checkpoint
 * belong to a table that Arka dropped, those behind it to one that was made later.
 */
import { SqlError, SqlState } from '../../errors.ts';
import type { Lsn } from '../../table-def.ts';

export interface TableCheckpoint {
  readonly uuid: string;
  readonly committedLsn: Lsn;
  /** The first LSN of an operation above committedLsn; the one after the checkpoint when there is none (H3). */
  readonly neededFrom: Lsn;
  /** No operation up to the checkpoint is above it; 0: none is needed. In a checkpoint that did not say: the checkpoint's LSN. */
  readonly lastLsn: Lsn;
  /** The head of main that this server has committed or seen last, and its metadata file; null, '' when left out. */
  readonly snapshotId: bigint | null;
  readonly metadataLocation: string;
}

export interface Checkpoint {
  /** The last LSN before the frame. */
  readonly lsn: Lsn;
  readonly tables: readonly TableCheckpoint[];
}

/** Iceberg is not known to have all operations on the table. */
export const isNeeded = ({ committedLsn, lastLsn }: TableCheckpoint): boolean => lastLsn > committedLsn;

const VERSION = 1;
type Row = readonly [string, Lsn, Lsn, string | null, string, Lsn?];

/** @returns null when not even the short form, without metadata files, fits */
export function encodeCheckpoint(checkpoint: Checkpoint, bytesMax: number): Uint8Array | null {
  const encode = (whole: boolean): Uint8Array => {
    const rows = checkpoint.tables.map((table): Row => [
      table.uuid,
      table.committedLsn,
      table.neededFrom,
      table.snapshotId?.toString() ?? null,
      whole ? table.metadataLocation : '',
      table.lastLsn,
    ]);
    return new TextEncoder().encode(JSON.stringify({ version: VERSION, lsn: checkpoint.lsn, tables: rows }));
  };
  const whole = encode(true);
  if (whole.length <= bytesMax) return whole;
  const short = encode(false);
  return short.length <= bytesMax ? short : null;
}

/** @throws {SqlError} XX001 for a frame of another version */
export function decodeCheckpoint(payload: Uint8Array): Checkpoint {
  const value = JSON.parse(new TextDecoder().decode(payload)) as { version: number; lsn: Lsn; tables: readonly Row[] };
  if (value.version !== VERSION)
    throw new SqlError(SqlState.dataCorrupted, `the log has a checkpoint frame of version ${value.version}`);
  return {
    lsn: value.lsn,
    tables: value.tables.map(([uuid, committedLsn, neededFrom, snapshot, metadataLocation, lastLsn]) => ({
      uuid,
      committedLsn,
      neededFrom,
      lastLsn: lastLsn ?? value.lsn,
      snapshotId: snapshot === null ? null : BigInt(snapshot),
      metadataLocation,
    })),
  };
}

/**
 * The first LSN that only the log can have of a table, once `committed` is in Iceberg, by what a start knows (H3): idle tables
 * need nothing before the checkpoint, and neither does one of which everything before it was committed since.
 * @param entry of the table in it; undefined: the table was made later
 */
export function neededBy({ lsn }: Pick<Checkpoint, 'lsn'>, entry: TableCheckpoint | undefined, committed: Lsn): Lsn {
  const from = entry === undefined || committed >= entry.lastLsn ? lsn + 1 : entry.neededFrom;
  return Math.max(committed + 1, from);
}
