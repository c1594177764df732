/** The new rows of INSERT … ON CONFLICT DO UPDATE, out of those that are there and those that were proposed: by main where it can, else by one query. */
import { SqlError, SqlState } from '../errors.ts';
import { RowWriter } from '../ingest/row-writer.ts';
import type { Conflict } from '../planner/plan.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import { integerAt } from '../storage/memory/slice.ts';
import type { Table } from '../storage/table.ts';
import { bufferUnit } from './buffer.ts';
import type { OldRows } from './old-rows.ts';
import { rowComputer } from './row-values.ts';
import { drain, type WriteEnvironment } from './write-environment.ts';

export type Update = Extract<Conflict, { action: 'update' }>;

/** Row `of[n]` of `rows` replaces the old row of proposal n; -1: that stays, or there is none. */
export interface NewRows {
  readonly rows: RowBuffer;
  readonly of: Int32Array;
}

export function noNewRows({ database }: WriteEnvironment, table: Table, proposals: number): NewRows {
  return { rows: new RowBuffer(database.memory, table.physicals), of: new Int32Array(proposals).fill(-1) };
}

/** @param old by numbers of proposals. The caller retires the new ones. */
export async function newRowsOf(
  environment: WriteEnvironment,
  table: Table,
  conflict: Update,
  proposed: RowBuffer,
  old: OldRows,
): Promise<NewRows> {
  const made = noNewRows(environment, table, proposed.rows);
  const { rows, of } = made;
  try {
    if (conflict.values === null) await compute(environment, table, conflict, proposed, old, made);
    else {
      const computer = rowComputer(environment, table.def, conflict.values, rows);
      for (let at = 0; at < old.keys.length; at++) {
        const n = old.keys[at]!;
        const [oldBatch, excludedBatch] = [old.rows.batchOf(at), proposed.batchOf(n)];
        computer.add({
          old: old.rows.batches[oldBatch]!.vectors(),
          oldRow: at - old.rows.batchStart(oldBatch),
          excluded: proposed.batches[excludedBatch]!.vectors(),
          excludedRow: n - proposed.batchStart(excludedBatch),
        });
        of[n] = at;
      }
    }
    return made;
  } catch (error) {
    rows.retire();
    throw error;
  }
}

/** One query over the pairs. */
async function compute(
  environment: WriteEnvironment,
  table: Table,
  conflict: Update,
  proposed: RowBuffer,
  old: OldRows,
  { rows, of }: NewRows,
): Promise<void> {
  const { database, time } = environment;
  const excluded = new RowBuffer(database.memory, table.physicals);
  const units = [bufferUnit(database.memory, old.rows, table.fieldIds)];
  try {
    for (const n of old.keys) appendRow(proposed, n, excluded);
    units.push(bufferUnit(database.memory, excluded, table.fieldIds));
    const buffers = new Map([
      [conflict.old, units[0]!.unit],
      [conflict.excluded, units[1]!.unit],
    ]);
    const writer = new RowWriter(table.def, table.fieldIds, rows, time);
    await drain(
      environment,
      conflict.plan,
      (vectors, count) => {
        for (let row = 0; row < count; row++) of[old.keys[integerAt(vectors[0]!, row)]!] = rows.rows + row;
        writer.appendVectors(vectors.slice(1), count);
      },
      buffers,
    );
  } finally {
    for (const { release } of units) release();
    excluded.retire();
  }
}

export function appendRow(from: RowBuffer, row: number, to: RowBuffer): void {
  const index = from.batchOf(row);
  const at = row - from.batchStart(index);
  to.append(from.batches[index]!.vectors(), at, at + 1);
}

export function touchedTwice(): SqlError {
  return new SqlError(SqlState.cardinalityViolation, 'ON CONFLICT DO UPDATE command cannot affect row a second time', {
    hint: 'Ensure that no rows proposed for insertion within the same command have duplicate constrained values.',
  });
}
