/**
 * CHECKPOINT over several tables: all are cut at one LSN (H2), so that Iceberg has whole transactions once it has ended. The lanes
 * of all tables are held when the cut is made, and each is given back when its table is committed. Tables move side by side: small
 * ones wait for fsyncs most of the time, large ones have the engine's memory to share. The log is trimmed once, at the end.
 */
import { sideBySide } from '../side-by-side.ts';
import { Slots } from '../storage/slots.ts';
import type { Table } from '../storage/table.ts';
import type { Database } from './database.ts';
import { cutTable, type Cut } from './flush.ts';
import { uploadStaged } from './iceberg-commit.ts';
import { askedLanes } from './lanes.ts';

const UPLOADS_MAX = 2;
const ROOM = 8;
/** Of tables with more than SMALL_BYTES to flush, as many move at one time. */
const LARGE_MAX = 2;
const SMALL_BYTES = 2 ** 20;

/** One table's failure does not keep the others back. @throws the first of them */
export async function checkpointTables(database: Database, tables: readonly Table[], trigger: string): Promise<void> {
  await sideBySide(tables, UPLOADS_MAX, (table) => uploadStaged(database, table));
  const held = await Promise.all(askedLanes(database, tables));
  const started = database.clock.monotonic();
  const cuts = tables.map((table) => cutTable(database, table)); // no await between two of them
  const failures: unknown[] = [];
  const room = new Slots(ROOM);
  const move = async (table: Table, i: number): Promise<void> => {
    try {
      await database.flushHeld(table, trigger, cuts[i]!);
      await uploadStaged(database, table);
      await database.commitHeld(table, trigger, started, false);
    } catch (error) {
      failures.push(error);
    } finally {
      held[i]!();
    }
  };
  await Promise.all(tables.map((table, i) => room.hold(roomFor(cuts[i]!), () => move(table, i))));
  await database.trimLog().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/** What a table takes of ROOM while it moves. */
function roomFor(cut: Cut | null): number {
  let bytes = 0;
  for (const { slice } of cut?.slices ?? []) bytes += slice.bytes;
  return bytes < SMALL_BYTES ? 1 : ROOM / LARGE_MAX;
}
