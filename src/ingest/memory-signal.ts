/**
 * Memory as a signal of pressure: live slab, index and queue bytes over their budget, never RSS (touched slabs do not
 * shrink: it would latch).
 *
 * - Z1 In red tables are flushed in the order of choose-under-pressure.ts, and only until it is red no more: writers do
 *   not wait for small tables whose turn comes with the next tick of migration.ts.
 * - Z2 When no flush helps, readers give way that hold what was flushed (H5): first those that stand still, and late those
 *   whose statement is running, for it ends by itself.
 */
import type { Clock } from '../clock.ts';
import { SqlError, SqlState } from '../errors.ts';
import type { Memory } from '../storage/memory/memory.ts';
import type { Table } from '../storage/table.ts';
import { chooseUnderPressure, pressureOf } from './choose-under-pressure.ts';
import type { Marks, Signal } from './pressure.ts';

/** Writers wait so long for readers that stand still, and so long for running statements. */
const READERS_MS = 5_000;
const BUSY_READERS_MS = 20_000;
/** Indexes are summed again after so long, or after so many times what summing took. */
const INDEX_MS = 10;
const INDEX_SHARE = 200;

interface Owner {
  readonly clock: Clock;
  readonly memory: Memory;
  readonly allTables: readonly Table[];
  flush(table: Table, trigger: string): Promise<void>;
}

/** @param othersWork whether some transaction is under way that does not wait itself */
export function memorySignal(owner: Owner, marks: Marks, othersWork: () => boolean): Signal {
  const { memory } = owner;
  memory.account.report('index', true, indexBytes(owner));
  memory.warm.greenShare = marks.yellow;
  return {
    reason: 'memory',
    marks,
    usage() {
      const { use } = memory;
      if (use + memory.warm.bytes / memory.budgetBytes > marks.yellow) memory.warm.trimSoon();
      return use;
    },
    async relieve(waitedMs) {
      const before = memory.usedBytes;
      await flushUnderPressure(owner, marks);
      if (memory.use < marks.red) return true;
      if (waitedMs >= READERS_MS)
        memory.pins.giveWay(
          'memory',
          memory.pins.heldBytes.memory - (memory.use - marks.red) * memory.budgetBytes - 1,
          waitedMs < BUSY_READERS_MS,
        );
      // Nobody who could end and free memory is left: of the transactions that wait one must go.
      return memory.usedBytes < before || memory.pins.waiting > 0 || othersWork();
    },
    refused: () =>
      new SqlError(SqlState.outOfMemory, 'out of memory', {
        detail: `Rows and indexes in memory take ${memory.usedBytes} of ${memory.budgetBytes} bytes, and no flush can free them.`,
        hint: 'Write in smaller transactions, or raise memory.limit.',
      }),
  };
}

/** Z1. Tables without rows in memory come last: their flush frees what delete lists hold. */
async function flushUnderPressure(owner: Owner, marks: Marks): Promise<void> {
  const { memory } = owner;
  const tables = [...owner.allTables];
  // Of one log, so the distance to a table's oldest operation is an age.
  const lastLsn = tables.reduce((last, table) => Math.max(last, table.appliedLsn), 0);
  const figures = tables.map((table) => ({
    memoryBytes: [...table.slices()].reduce((sum, { bytes }) => sum + bytes, 0),
    unflushedAge: table.unflushedFrom === 0 ? null : lastLsn - table.unflushedFrom,
    moving: false,
  }));
  const chosen = chooseUnderPressure(figures, memory.budgetBytes, pressureOf(memory.use, marks.yellow));
  for (const table of [...chosen.map((index) => tables[index]!), ...tables.filter((_, i) => !chosen.includes(i))]) {
    await owner.flush(table, 'memory');
    if (memory.use < marks.red) return;
  }
}

/** Key indexes and lock tables of all tables; summed now and then, as they know their sizes themselves. */
function indexBytes(owner: Owner): () => number {
  let bytes = 0;
  let until = Number.NEGATIVE_INFINITY;
  return () => {
    const now = owner.clock.monotonic();
    if (now < until) return bytes;
    bytes = 0;
    for (const table of owner.allTables) bytes += table.indexBytes;
    until = now + Math.max(INDEX_MS, (owner.clock.monotonic() - now) * INDEX_SHARE);
    return bytes;
  };
}
