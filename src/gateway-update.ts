/**
 * UPDATE and DELETE: the rows that a query of the engine finds are locked, looked at again, and deleted; an UPDATE then inserts
 * the new ones. Each returns its command tag.
 */
import { RowWriter } from './ingest/row-writer.ts';
import type { KeySet } from './ingest/key-set.ts';
import { concurrentChange } from './ingest/snapshot.ts';
import { lockRows, type SnapshotRows } from './ingest/snapshot-writes.ts';
import { StaleRows } from './ingest/stale-rows.ts';
import type { TableWrites } from './ingest/transaction.ts';
import { deleteRows, insertRows, recordFound } from './ingest/write-rows.ts';
import type { QueryPlan, Statement } from './planner/plan.ts';
import { RowBuffer } from './storage/memory/row-buffer.ts';
import { integerAt } from './storage/memory/slice.ts';
import type { Table } from './storage/table.ts';
import type { ColumnVector } from './types/column-vector.ts';
import { liveTable } from './gateway-cursor.ts';
import { changeByKey } from './gateway-keyed-change.ts';
import { merge } from './gateway-merge.ts';
import { sendWritten } from './gateway-returning.ts';
import { moveRows } from './gateway-bulk.ts';
import { contextOf, drain, type WriteEnvironment } from './gateway-write-environment.ts';

type Of<K extends Statement['kind']> = Extract<Statement, { kind: K }>;

/** What a statement takes of the rows that it finds: the columns behind unit and position, rows [start, end) of vectors. */
type Take = (vectors: readonly ColumnVector[], start: number, end: number) => void;

/** The rows that were deleted: as many as were taken, but for the dropped ones. */
interface Deleted {
  readonly count: number;
  readonly dropped: ReadonlySet<number>;
}

/**
 * Finds rows, locks them and deletes them. Rows of a table with a key that another transaction has changed while their locks
 * were waited for are looked for again, they alone: what they are now decides, as PostgreSQL does it. Without a key the
 * statement runs again as a whole. In REPEATABLE READ a changed row is 40001.
 * @param begin forgets what was taken
 * @param deleted told the names of the rows that are deleted now, all but the dropped ones
 */
async function deleteFound(
  environment: WriteEnvironment,
  table: Table,
  plan: QueryPlan,
  namesAt: readonly number[],
  begin: () => void,
  take: Take,
  deleted?: (names: RowBuffer, dropped: ReadonlySet<number>) => void,
): Promise<Deleted> {
  const { database, transaction } = environment;
  const units: number[] = [];
  const positions: number[] = [];
  const dropped = new Set<number>();
  const names = new RowBuffer(database.memory, table.namePhysicals);
  const found: SnapshotRows = { units, positions, names, dropped, seen: null };
  const put = (vectors: readonly ColumnVector[], start: number, end: number): void => {
    for (let row = start; row < end; row++) {
      units.push(integerAt(vectors[0]!, row));
      positions.push(integerAt(vectors[1]!, row));
    }
    names.append(
      namesAt.map((index) => vectors[index]!),
      start,
      end,
    );
    take(vectors, start, end);
  };
  using stale = new StaleRows(table);
  /** Only they are looked for. */
  let again: KeySet | null = null;
  try {
    for (;;) {
      if (database.pressed) await database.admit();
      const wanted = again;
      await drain(environment, plan, (vectors, rows) => {
        if (wanted === null) return put(vectors, 0, rows);
        const keys = namesAt.map((index) => vectors[index]!);
        for (let row = 0; row < rows; row++) if (wanted.has(keys, row)) put(vectors, row, row + 1);
      });
      const writes = transaction.of(table);
      const context = contextOf(environment);
      if (!table.keyed) {
        if (await deleteRows(context, transaction, writes, found)) {
          deleted?.(names, dropped);
          return { count: units.length, dropped };
        }
        if (transaction.snapshot !== null) throw concurrentChange('update');
        units.length = 0;
        positions.length = 0;
        names.truncate(0);
        begin();
        continue;
      }
      const changed = await lockRows(context, transaction, writes, found);
      if (changed.length === 0) {
        recordFound(writes, found);
        deleted?.(names, dropped);
        return { count: units.length - dropped.size, dropped };
      }
      for (const row of changed) {
        dropped.add(row);
        stale.add(...rowOf(names, row));
      }
      again = stale.take();
    }
  } finally {
    names.retire();
  }
}

/** Carries out what changes rows that are there. */
export function change(
  environment: WriteEnvironment,
  statement: Of<'update' | 'delete' | 'truncate' | 'merge'>,
): Promise<string> {
  switch (statement.kind) {
    case 'update':
      return update(environment, statement);
    case 'delete':
      return deleteStatement(environment, statement);
    case 'truncate':
      return truncate(environment, statement);
    default:
      return merge(environment, statement);
  }
}

async function deleteStatement(environment: WriteEnvironment, statement: Of<'delete'>): Promise<string> {
  if (environment.database.pressed) await environment.database.admit();
  const byKey = changeByKey(environment, statement);
  if (byKey !== null) return byKey;
  const { def, plan, returning } = statement;
  const table = liveTable(environment.database, def);
  const names = table.nameColumns.map((_, i) => 2 + i);
  // With RETURNING whole rows come; those of a table without a key are their names.
  const first = table.keyed ? 2 + names.length : 2;
  const old = new RowBuffer(environment.database.memory, table.physicals);
  const isAnswered = returning !== null && environment.answer !== null;
  const take: Take = (vectors, start, end) => {
    if (isAnswered) old.append(vectors.slice(first, first + table.physicals.length), start, end);
  };
  try {
    const { count, dropped } = await deleteFound(environment, table, plan, names, () => old.truncate(0), take);
    await sendWritten(environment, returning, { def, buffer: old, from: 0, isDead: (row) => dropped.has(row) });
    return `DELETE ${count}`;
  } finally {
    old.retire();
  }
}

/** All rows of several tables, in one transaction. */
async function truncate(environment: WriteEnvironment, { deletes }: Of<'truncate'>): Promise<string> {
  for (const each of deletes) await deleteStatement(environment, each);
  return 'TRUNCATE TABLE';
}

async function update(environment: WriteEnvironment, statement: Of<'update'>): Promise<string> {
  if (environment.database.pressed) await environment.database.admit();
  const byKey = changeByKey(environment, statement);
  if (byKey !== null) return byKey;
  const { def, renames } = statement;
  const table = liveTable(environment.database, def);
  const writes = environment.transaction.of(table);
  const fresh = new RowBuffer(environment.database.memory, table.physicals);
  try {
    const writer = new RowWriter(table.def, table.fieldIds, fresh, environment.time);
    let from = 0;
    const { count } = await deleteFound(
      environment,
      table,
      statement.plan,
      table.nameColumns.map((column, i) => 2 + (table.keyed && !renames ? column : table.physicals.length + i)),
      () => fresh.truncate(0),
      (vectors, start, end) => writer.appendVectors(vectors.slice(2, 2 + table.physicals.length), end, start),
      (names, dropped) => {
        from = writes.inserted.rows;
        copyKept(fresh, dropped, writes.inserted);
        if (renames && table.keyed) noteRenames(writes, names, dropped, from);
      },
    );
    const pending = insertRows(contextOf(environment), environment.transaction, writes, from, false);
    if (pending !== null) await pending;
    await sendWritten(environment, statement.returning, { def: table.def, buffer: writes.inserted, from });
    await moveRows(environment, writes, writes.inserted.rows);
    return `UPDATE ${count}`;
  } finally {
    fresh.retire();
  }
}

function rowOf(rows: RowBuffer, row: number): [readonly ColumnVector[], number] {
  const index = rows.batchOf(row);
  return [rows.batches[index]!.vectors(), row - rows.batchStart(index)];
}

/** Own rows from `from` on have the places of rows that had other keys. */
function noteRenames(writes: TableWrites, names: RowBuffer, dropped: ReadonlySet<number>, from: number): void {
  let own = from;
  for (let row = 0; row < names.rows; row++) if (!dropped.has(row)) writes.rename(...rowOf(names, row), own++);
}

function copyKept(rows: RowBuffer, dropped: ReadonlySet<number>, to: RowBuffer): void {
  rows.batches.forEach((batch, index) => {
    const vectors = batch.vectors();
    const start = rows.batchStart(index);
    if (dropped.size === 0) to.append(vectors, 0, batch.rows);
    else for (let row = 0; row < batch.rows; row++) if (!dropped.has(start + row)) to.append(vectors, row, row + 1);
  });
}
