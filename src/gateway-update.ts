/**
 * UPDATE and DELETE: the rows that a query of the engine finds are locked, looked at again, and deleted; an UPDATE then inserts
 * the new ones. Each returns its command tag.
 */
import { RowWriter } from './ingest/row-writer.ts';
import { deleteRows, insertRows } from './ingest/write-rows.ts';
import type { QueryPlan, Statement } from './planner/plan.ts';
import { RowBuffer } from './storage/memory/row-buffer.ts';
import { integerAt } from './storage/memory/slice.ts';
import type { Table } from './storage/table.ts';
import type { ColumnVector } from './types/column-vector.ts';
import { liveTable } from './gateway-cursor.ts';
import { sendWritten } from './gateway-returning.ts';
import { checkSize, contextOf, drain, type WriteEnvironment } from './gateway-write-environment.ts';

type Of<K extends Statement['kind']> = Extract<Statement, { kind: K }>;

interface Found {
  readonly units: number[];
  readonly positions: number[];
  readonly names: RowBuffer;
}

/** Runs until no row was changed or moved between finding and locking it: each run sees a newer Version, and keeps its locks. */
async function deleteFound(
  environment: WriteEnvironment,
  table: Table,
  plan: QueryPlan,
  namesAt: readonly number[],
  begin: () => void,
  take: (vectors: readonly ColumnVector[], rows: number) => void,
): Promise<number> {
  const { database, transaction } = environment;
  for (;;) {
    if (database.pressed) await database.admit();
    const found: Found = { units: [], positions: [], names: new RowBuffer(database.memory, table.namePhysicals) };
    try {
      begin();
      await drain(environment, plan, (vectors, rows) => {
        for (let row = 0; row < rows; row++) {
          found.units.push(integerAt(vectors[0]!, row));
          found.positions.push(integerAt(vectors[1]!, row));
        }
        found.names.append(
          namesAt.map((index) => vectors[index]!),
          0,
          rows,
        );
        take(vectors, rows);
      });
      const rows = {
        units: Int32Array.from(found.units),
        positions: Float64Array.from(found.positions),
        names: found.names,
      };
      if (await deleteRows(contextOf(environment), transaction, transaction.of(table), rows)) return found.units.length;
    } finally {
      found.names.retire();
    }
  }
}

export async function deleteStatement(environment: WriteEnvironment, statement: Of<'delete'>): Promise<string> {
  const { def, plan, returning } = statement;
  const table = liveTable(environment.database, def);
  const names = table.nameColumns.map((_, i) => 2 + i);
  // With RETURNING whole rows come; those of a table without a key are their names.
  const first = table.keyed ? 2 + names.length : 2;
  const old = new RowBuffer(environment.database.memory, table.physicals);
  const isAnswered = returning !== null && environment.answer !== null;
  const take = (vectors: readonly ColumnVector[], rows: number): void => {
    if (isAnswered) old.append(vectors.slice(first, first + table.physicals.length), 0, rows);
  };
  try {
    const count = await deleteFound(environment, table, plan, names, () => old.truncate(0), take);
    await sendWritten(environment, returning, { def, buffer: old, from: 0 });
    return `DELETE ${count}`;
  } finally {
    old.retire();
  }
}

export async function update(environment: WriteEnvironment, statement: Of<'update'>): Promise<string> {
  const { def, renames } = statement;
  const table = liveTable(environment.database, def);
  const writes = environment.transaction.of(table);
  const fresh = new RowBuffer(environment.database.memory, table.physicals);
  try {
    const writer = new RowWriter(table.def, table.fieldIds, fresh, environment.time);
    const count = await deleteFound(
      environment,
      table,
      statement.plan,
      table.nameColumns.map((column, i) => 2 + (table.keyed && !renames ? column : table.physicals.length + i)),
      () => fresh.truncate(0),
      (vectors, rows) => writer.appendVectors(vectors.slice(2, 2 + table.physicals.length), rows),
    );
    const from = writes.inserted.rows;
    for (const batch of fresh.batches) writes.inserted.append(batch.vectors(), 0, batch.rows);
    const pending = insertRows(contextOf(environment), environment.transaction, writes, from, false);
    if (pending !== null) await pending;
    checkSize(environment, writes);
    await sendWritten(environment, statement.returning, { def: table.def, buffer: writes.inserted, from });
    return `UPDATE ${count}`;
  } finally {
    fresh.retire();
  }
}
