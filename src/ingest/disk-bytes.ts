/**
 * What the database has on the disk, or will have there, for the one budget of it (D1, D4 in storage/disk/disk-cache.ts).
 *
 * Rows in slices will be files, in Parquet hardly larger than they are in memory; those of transactions under way go to the log
 * before, and count twice, as far as they are not in its streams yet. So a flush finds its room, whenever it comes. Files that
 * are retired and stay for their readers are on the disk still.
 */
import type { Log } from '../storage/log/log-api.ts';
import type { Memory } from '../storage/memory/memory.ts';
import type { Table } from '../storage/table.ts';
import type { OwnBytes } from '../storage/disk/disk-cache.ts';

export interface DiskOwner {
  readonly log: Log;
  readonly memory: Memory;
  readonly allTables: readonly Table[];
}

export function ownBytes({ log, memory, allTables }: DiskOwner): OwnBytes {
  let staged = 0;
  let rows = 0;
  for (const table of allTables) {
    for (const { info } of table.fileSets.staged) staged += info.bytes;
    for (const { info } of table.spilledFiles) staged += info.bytes;
    for (const { bytes } of table.slices()) rows += bytes;
  }
  const { bytes, liveBytes, streamBytes, openBytes, segments, queueBytes } = log.stats();
  const { pool, pins, sliceBytes, slabBytes } = memory;
  const underWay = Math.max(0, slabBytes - sliceBytes - pool.deleteBytes - pins.heldBytes.memory);
  const toLog = Math.max(0, underWay - openBytes);
  const spare = bytes - openBytes - liveBytes;
  const nextSegment = segments === 0 ? 0 : Math.max(0, (liveBytes - streamBytes) / segments - spare);
  return {
    log: bytes,
    staged: staged + pins.heldBytes.disk,
    coming: rows + underWay + toLog + queueBytes + nextSegment,
  };
}
