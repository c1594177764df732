/**
 * Which tables give their memory back first. Pure: figures in, an order out, for red (memory-signal.ts) and for migration
 * alike.
 *
 * Size weighs most: it is what a flush frees. Age weighs as long as there is time, so that a small old table goes with
 * the large ones before memory is short. A table that moves already counts as freed, and is not chosen again.
 */
export interface PressureFigures {
  /** What a flush of the table would give back. */
  readonly memoryBytes: number;
  /** Age of its oldest operation not on disk, in any unit that is the same for all; null: there is none. */
  readonly unflushedAge: number | null;
  /** A flush or commit of it is under way. */
  readonly moving: boolean;
}

/**
 * Indexes of the tables to flush, the first first: as many as it takes to free `bytesWanted`, all when they do not.
 * @param pressure 0: memory begins to fill, 1: it is full
 */
export function chooseUnderPressure(
  tables: readonly PressureFigures[],
  bytesWanted: number,
  pressure: number,
): readonly number[] {
  let largest = 1;
  let oldest = 1;
  let freed = 0;
  for (const table of tables) {
    largest = Math.max(largest, table.memoryBytes);
    oldest = Math.max(oldest, table.unflushedAge ?? 0);
    if (table.moving) freed += table.memoryBytes;
  }
  const weight = ({ memoryBytes, unflushedAge }: PressureFigures): number =>
    memoryBytes / largest + ((1 - pressure) * (unflushedAge ?? 0)) / oldest / 2;
  const order = tables
    .map((table, index) => ({ table, index }))
    .filter(({ table }) => !table.moving && table.memoryBytes > 0)
    .sort((a, b) => weight(b.table) - weight(a.table) || a.index - b.index);
  const chosen: number[] = [];
  for (const { table, index } of order) {
    if (freed >= bytesWanted) break;
    chosen.push(index);
    freed += table.memoryBytes;
  }
  return chosen;
}

/** From the yellow mark, 0, to a full budget, 1. */
export function pressureOf(use: number, yellow: number): number {
  return Math.min(1, Math.max(0, (use - yellow) / (1 - yellow)));
}
