/**
 * INSERT: rows into the session's transaction, whatever they come from: constants, parameters, a query. Returns the command tag.
 */
import { admitted } from './admission.ts';
import { SqlError, SqlState } from '../errors.ts';
import { RowWriter } from '../ingest/row-writer.ts';
import type { TableWrites } from '../ingest/transaction.ts';
import { insertRows } from '../ingest/write-rows.ts';
import type { Conflict, QueryPlan, Returning, Statement } from '../planner/plan.ts';
import type { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { TableDef } from '../table-def.ts';
import type { TimeContext } from '../types/text-input.ts';
import type { MaybePromise } from '../wire/gateway-api.ts';
import { ConflictingInsert } from './conflict.ts';
import { liveTable } from './cursor.ts';
import { mayResort } from './last-resort.ts';
import { putValue } from './values.ts';
import { sendWritten, type WrittenRows } from './returning.ts';
import { BulkRows, CHECK_ROWS, moveSome } from './bulk.ts';
import { contextOf, drain, type WriteEnvironment } from './write-environment.ts';

type Of<K extends Statement['kind']> = Extract<Statement, { kind: K }>;

/** Writers of statements that were carried out before, for the session's clock and zone that they were made with. */
const writers = new WeakMap<Of<'insert'>, { readonly writer: RowWriter; readonly time: TimeContext }>();

function writerOf({ time }: WriteEnvironment, statement: Of<'insert'>, writes: TableWrites): RowWriter {
  const known = writers.get(statement);
  if (known?.time === time && known.writer.def === writes.table.def) {
    known.writer.writeTo(writes.inserted);
    return known.writer;
  }
  const writer = new RowWriter(writes.table.def, statement.fieldIds, writes.inserted, time);
  writers.set(statement, { writer, time });
  return writer;
}

/** Constants and parameters, with no pressure on memory. A tag, when nothing had to be waited for. */
export function insertValues(environment: WriteEnvironment, statement: Of<'insert'>): MaybePromise<string> {
  if (statement.conflict !== null) return insertOrElse(environment, statement, statement.conflict);
  const writes = environment.transaction.of(liveTable(environment.database, statement.def));
  const from = writes.inserted.rows;
  const refused = putRows(environment, statement, writerOf(environment, statement, writes));
  const tag = claimRows(environment, writes, from, statement.returning);
  if (refused === null) return tag;
  if (tag instanceof Promise) return tag.then(() => Promise.reject(refused));
  throw refused;
}

/** Rows that `put` writes; null when it says no: then nothing is left of them. */
export function insertRowsBy(
  environment: WriteEnvironment,
  def: TableDef,
  conflict: Conflict | null,
  put: (rows: RowBuffer) => boolean,
): MaybePromise<string> | null {
  const writes = environment.transaction.of(liveTable(environment.database, def));
  const from = writes.inserted.rows;
  if (conflict === null) {
    if (put(writes.inserted)) return claimRows(environment, writes, from, null);
    writes.inserted.truncate(from);
    return null;
  }
  const insertion = new ConflictingInsert(environment, writes, conflict);
  if (!put(insertion.proposed)) {
    insertion.retire();
    return null;
  }
  return insertion
    .finish()
    .then(() => insertTag(writes.inserted.rows - from))
    .finally(() => insertion.retire());
}

/** Locks and checks the keys of own rows from `from` on, and says what they are; the command tag. */
function claimRows(
  environment: WriteEnvironment,
  writes: TableWrites,
  from: number,
  returning: Returning | null,
): MaybePromise<string> {
  const upsert = writes.table.def.onConflict === 'upsert';
  const claimed = insertRows(contextOf(environment), environment.transaction, writes, from, upsert);
  const send = (): MaybePromise<void> => sendWritten(environment, returning, writtenRows(writes, from));
  const sent = claimed !== null ? claimed.then(send) : returning === null ? undefined : send();
  const tag = insertTag(writes.inserted.rows - from);
  const moved = sent === undefined ? moveSome(environment, writes) : sent.then(() => moveSome(environment, writes));
  return moved === undefined ? tag : moved.then(() => tag);
}

/** Sends own rows from some row on: of many rows a portion at a time. */
function answering(
  environment: WriteEnvironment,
  { returning }: Of<'insert'>,
  writes: TableWrites,
): (from: number) => MaybePromise<void> {
  return (from) => sendWritten(environment, returning, writtenRows(writes, from));
}

function writtenRows(writes: TableWrites, from: number): WrittenRows {
  const isDead = (row: number): boolean => writes.isDead(row);
  return { def: writes.table.def, buffer: writes.inserted, from, isDead };
}

const insertTag = (rows: number): string => (rows === 1 ? 'INSERT 0 1' : `INSERT 0 ${rows}`);

const REFUSALS: ReadonlySet<string> = new Set([SqlState.notNullViolation, SqlState.checkViolation]);

/**
 * Writes the rows up to the first that a constraint refuses; that error, or null. What is wrong with a value of a later row comes
 * first: PostgreSQL reads all values before it writes a row. What is wrong with the key of an earlier row comes first, too.
 */
function putRows(environment: WriteEnvironment, { source }: Of<'insert'>, writer: RowWriter): SqlError | null {
  if (source.kind !== 'values') return null;
  let refused: SqlError | null = null;
  for (const row of source.rows) {
    for (let i = 0; i < row.length; i++) putValue(environment, writer, i, row[i]!);
    if (refused !== null) {
      writer.abandonRow();
      continue;
    }
    try {
      writer.endRow();
    } catch (error) {
      if (!(error instanceof SqlError) || !REFUSALS.has(error.code)) throw error;
      refused = error;
    }
  }
  return refused;
}

export async function insert(environment: WriteEnvironment, statement: Of<'insert'>): Promise<string> {
  const { database, running, transaction } = environment;
  if (database.pressed) await admitted(database, running);
  if (statement.source.kind === 'values') return insertValues(environment, statement);
  if (statement.conflict !== null) return insertOrElse(environment, statement, statement.conflict);
  const table = liveTable(environment.database, statement.def);
  const writes = transaction.of(table);
  const { time } = environment;
  const writer = new RowWriter(table.def, statement.fieldIds, writes.inserted, time, statement.generated);
  const bulk = new BulkRows(environment, writes, answering(environment, statement, writes));
  await putQuery(environment, statement.source.plan, writer, () => bulk.advance());
  await bulk.finish();
  return insertTag(bulk.rows);
}

/** Rows of a query; after some of them `more` is called. */
async function putQuery(
  environment: WriteEnvironment,
  plan: QueryPlan,
  writer: RowWriter,
  more: () => MaybePromise<void>,
): Promise<void> {
  const reason = plan.route === 'engine' ? await putByEngine(environment, plan, writer, more) : undefined;
  if (reason === null) return;
  let count = 0;
  for (const row of await environment.catalogRows(environment, plan, reason)) {
    row.forEach((value, i) => (value === null ? writer.nullField(i) : writer.textField(i, value, 0, value.length)));
    writer.endRow();
    if (++count % CHECK_ROWS === 0) await more();
  }
  await more();
}

/** Null: all rows are there. Else why the engine has given none, and PostgreSQL itself is to be asked. */
async function putByEngine(
  environment: WriteEnvironment,
  plan: QueryPlan,
  writer: RowWriter,
  more: () => MaybePromise<void>,
): Promise<SqlError | null> {
  let hasBegun = false;
  try {
    await drain(environment, plan, (vectors, rows) => {
      hasBegun = true;
      writer.appendVectors(vectors, rows);
      return more();
    });
    return null;
  } catch (error) {
    // What parts of a WITH have returned PostgreSQL does not have.
    if (hasBegun || environment.buffers !== undefined || !mayResort(plan, error)) throw error;
    return error;
  }
}

/** INSERT … ON CONFLICT. */
async function insertOrElse(
  environment: WriteEnvironment,
  statement: Of<'insert'>,
  conflict: Conflict,
): Promise<string> {
  const table = liveTable(environment.database, statement.def);
  const writes = environment.transaction.of(table);
  const from = writes.inserted.rows;
  const insertion = new ConflictingInsert(environment, writes, conflict, answering(environment, statement, writes));
  try {
    const { time } = environment;
    const writer = new RowWriter(table.def, statement.fieldIds, insertion.proposed, time, statement.generated);
    let refused: SqlError | null = null;
    if (statement.source.kind === 'values') refused = putRows(environment, statement, writer);
    else await putQuery(environment, statement.source.plan, writer, () => insertion.advance());
    await insertion.finish(refused === null);
    if (refused !== null) throw refused;
    return insertTag(writes.inserted.rows - from);
  } finally {
    insertion.retire();
  }
}
