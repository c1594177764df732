/**
 * UPDATE and DELETE: what becomes of the rows that a query of the engine finds (`gateway/found-rows.ts`). Each returns its command tag.
 */
import { admitted } from './admission.ts';
import { RowWriter } from '../ingest/row-writer.ts';
import { concurrentChange } from '../ingest/snapshot.ts';
import { truncate } from '../ingest/truncation.ts';
import { claimValues } from '../ingest/unique-claims.ts';
import { insertRows } from '../ingest/write-rows.ts';
import type { Statement } from '../planner/plan.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { Table } from '../storage/table.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { changeCurrent } from './current-of.ts';
import { liveTable } from './cursor.ts';
import { changeFound } from './found-rows.ts';
import { changeByKey } from './keyed-change.ts';
import { merge } from './merge.ts';
import { JoinedRows } from './joined-rows.ts';
import { moveRows } from './bulk.ts';
import { contextOf, type WriteEnvironment } from './write-environment.ts';

type Of<K extends Statement['kind']> = Extract<Statement, { kind: K }>;

/** Carries out what changes rows that are there. */
export function change(
  environment: WriteEnvironment,
  statement: Of<'update' | 'delete' | 'truncate' | 'merge'>,
): Promise<string> {
  if ('currentOf' in statement) return changeCurrent(environment, statement, (at) => change(environment, at));
  switch (statement.kind) {
    case 'update':
      return update(environment, statement);
    case 'delete':
      return deleteStatement(environment, statement);
    case 'truncate':
      return Promise.resolve(truncateTables(environment, statement));
    default:
      return merge(environment, statement);
  }
}

async function deleteStatement(environment: WriteEnvironment, statement: Of<'delete'>): Promise<string> {
  if (environment.database.pressed) await admitted(environment.database, environment.running);
  const byKey = changeByKey(environment, statement);
  if (byKey !== null) return byKey;
  const { def, plan, copied, returning } = statement;
  const table = liveTable(environment.database, def);
  const namesAt = table.nameColumns.map((_, i) => 2 + i);
  // With RETURNING whole rows come; those of a table without a key are their names.
  const first = table.keyed ? 2 + namesAt.length : 2;
  const old = new RowBuffer(environment.database.memory, table.physicals);
  const isAnswered = returning !== null && environment.answer !== null;
  const columns = table.physicals.length;
  const joined = new JoinedRows(environment, returning, first + columns);
  const writes = environment.transaction.of(table);
  const own = writes.inserted.rows;
  try {
    const count = await changeFound(environment, table, {
      plan,
      copied,
      namesAt,
      fresh: null,
      renames: false,
      isWhole: false,
      take: (vectors, start, end) => {
        if (isAnswered) old.append(vectors.slice(first, first + columns), start, end);
        joined.take(vectors, start, end);
      },
      forget: () => {
        old.truncate(0);
        joined.forget();
      },
      changed: async (_, isDropped) => {
        await joined.send({ def, buffer: old, from: 0 }, isDropped, true);
        await moveRows(environment, writes, own);
      },
      claim: () => null,
      claimKept: () => null,
    });
    return `DELETE ${count}`;
  } finally {
    old.retire();
    joined.retire();
  }
}

/** All rows of several tables, which the transaction has alone. @throws {SqlError} 40001 where its snapshot does not show them all; 53200 */
function truncateTables({ database, transaction }: WriteEnvironment, { defs }: Of<'truncate'>): string {
  for (const def of defs) {
    const table = liveTable(database, def);
    if (transaction.snapshot?.view(table).isOf(table) === false) throw concurrentChange('update');
    truncate(database.memory, transaction, table);
  }
  return 'TRUNCATE TABLE';
}

async function update(environment: WriteEnvironment, statement: Of<'update'>): Promise<string> {
  if (environment.database.pressed) await admitted(environment.database, environment.running);
  const byKey = changeByKey(environment, statement);
  if (byKey !== null) return byKey;
  const { def, plan, copied, renames, returning, kept: unchanged } = statement;
  const table = liveTable(environment.database, def);
  const { transaction } = environment;
  const hasUniques = table.uniques.length > 0;
  const writes = transaction.of(table);
  const fresh = new RowBuffer(environment.database.memory, table.physicals);
  const columns = table.physicals.length;
  const first = writes.inserted.rows;
  const joined = new JoinedRows(
    environment,
    returning,
    2 + columns + (table.keyed && !renames ? 0 : table.nameColumns.length),
  );
  try {
    const { writer, given, kept } = newRowWriter(environment, table, statement, fresh);
    const count = await changeFound(environment, table, {
      plan,
      copied,
      namesAt: table.nameColumns.map((column, i) => 2 + (table.keyed && !renames ? column : columns + i)),
      fresh,
      renames,
      isWhole: table.uniques.some((unique) => !unique.isKept(unchanged)),
      take: (vectors, start, end) => {
        writer.appendVectors(given(vectors.slice(2, 2 + columns)), end, start, kept);
        joined.take(vectors, start, end);
      },
      forget: () => {
        fresh.truncate(0);
        joined.forget();
      },
      changed: async (from, isDropped) => {
        await joined.send({ def: table.def, buffer: writes.inserted, from }, isDropped, false);
        await moveRows(environment, writes, first);
      },
      claim: (from) => insertRows(contextOf(environment), transaction, writes, from, false, unchanged),
      claimKept: () => (hasUniques ? claimValues(contextOf(environment), transaction, writes, unchanged) : null),
    });
    return `UPDATE ${count}`;
  } finally {
    fresh.retire();
    joined.retire();
  }
}

interface NewRowWriter {
  readonly writer: RowWriter;
  /** What it takes, out of the vectors of all columns. */
  readonly given: (vectors: readonly ColumnVector[]) => readonly ColumnVector[];
  readonly kept: ReadonlySet<number>;
}

/** Writes the new rows of an UPDATE, with the defaults that its query does not give. */
function newRowWriter(
  { time }: WriteEnvironment,
  { def, fieldIds }: Table,
  { generated, kept }: Of<'update'>,
  rows: RowBuffer,
): NewRowWriter {
  if (generated.length === 0)
    return { writer: new RowWriter(def, fieldIds, rows, time), given: (vectors) => vectors, kept };
  const columns = [...fieldIds.keys()].filter((column) => !generated.includes(fieldIds[column]!));
  const given = columns.map((column) => fieldIds[column]!);
  return {
    writer: new RowWriter(def, given, rows, time),
    given: (vectors) => columns.map((column) => vectors[column]!),
    kept: new Set(columns.flatMap((column, value) => (kept.has(column) ? [value] : []))),
  };
}
