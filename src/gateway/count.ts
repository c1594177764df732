/**
 * `SELECT count(*) FROM t` without a query: rows less deletions, summed over the units that a scan would read. Counted in one
 * turn of the loop, so it is one Version, and no pin is needed.
 */
import type { PlannedTable } from '../planner/plan.ts';
import { columnVector } from '../types/column-vector.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { rowEncoder } from '../types/data-row.ts';
import { Oid } from '../types/pg-type.ts';
import type { Format } from '../types/result-column.ts';
import { timeZone } from '../types/time-zone.ts';
import { liveTable } from './cursor.ts';
import type { PointAnswer, PointEnvironment } from './point.ts';
import { ScanBuilder } from './scan.ts';

/** @throws {SqlError} 42P01 when the table was dropped since; 72000, 40001 as a scan of the transaction's snapshot */
export function countRowsOf(environment: PointEnvironment, planned: PlannedTable, format: Format): PointAnswer {
  const { database } = environment.context;
  const builder = new ScanBuilder(database.memory, environment.transaction, environment.timeZone);
  let live = 0;
  try {
    const { scan } = builder.build(liveTable(database, planned.def), planned, null);
    for (const { rows, deletes } of [...scan.memory, ...scan.files]) live += rows - (deletes?.count ?? 0);
  } finally {
    builder.release();
  }
  const words = Int32Array.of(live % 2 ** 32, Math.floor(live / 2 ** 32));
  const encode = rowEncoder([{ type: { oid: Oid.int8, typmod: -1 }, format }], {
    timeZone: timeZone(environment.timeZone),
  });
  const out = new ByteWriter(64);
  encode([columnVector('int64', { validity: null, words })], 0, out);
  return { rows: 1, messages: out.take() };
}
