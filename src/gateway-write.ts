/**
 * Statements that write: rows into the session's transaction, whatever they come from. Each returns its command tag.
 */
import { notSupported, SqlError, SqlState } from './errors.ts';
import type { EngineApi } from './federation/engine-api.ts';
import { CopyBinaryParser } from './ingest/copy-binary.ts';
import { CopyCsvParser } from './ingest/copy-csv.ts';
import { CopyTextParser } from './ingest/copy-text.ts';
import type { Database } from './ingest/database.ts';
import { RowWriter } from './ingest/row-writer.ts';
import type { TableWrites, Transaction } from './ingest/transaction.ts';
import { streamRows } from './ingest/stream-writes.ts';
import { deleteRows, insertRows, type WriteContext } from './ingest/write-rows.ts';
import type { InsertValue, ParameterValue, QueryPlan, Statement } from './planner/plan.ts';
import type { Remote } from './rpc.ts';
import { RowBuffer } from './storage/memory/row-buffer.ts';
import { integerAt } from './storage/memory/slice.ts';
import type { Table } from './storage/table.ts';
import type { TableDef } from './table-def.ts';
import type { ColumnVector } from './types/column-vector.ts';
import { parameterText } from './types/parameter-text.ts';
import type { TimeContext } from './types/text-input.ts';
import type { BoundParameters, MaybePromise, Output } from './wire/gateway-api.ts';
import { EngineCursor, liveTable } from './gateway-cursor.ts';

type Of<K extends Statement['kind']> = Extract<Statement, { kind: K }>;

/** What a writing statement works with. */
export interface WriteEnvironment {
  readonly database: Database;
  readonly engine: Remote<EngineApi>;
  readonly transaction: Transaction;
  readonly time: TimeContext;
  readonly timeZone: string;
  /** Values of $n as they came, with their types. */
  readonly parameters: BoundParameters;
  readonly parameterOids: readonly number[];
  /** Rows of a statement that reads no Arka table, as texts. */
  readonly catalogRows: (plan: QueryPlan) => Promise<readonly (readonly (Uint8Array | null)[])[]>;
  readonly running: (cancel: () => void) => void;
}

/** Rows between two checks of keys during COPY. */
const CHECK_ROWS = 8192;
/** A transaction's own rows take at most this share of the slab budget. */
const TRANSACTION_FRACTION = 0.4;

function contextOf({ database, running }: WriteEnvironment): WriteContext {
  return { memory: database.memory, engine: database.engine, transaction: database.transaction, running };
}

function checkSize(environment: WriteEnvironment, writes: TableWrites): void {
  const { pool } = environment.database.memory;
  let bytes = 0;
  for (const batch of writes.inserted.batches) bytes += batch.dataBytes;
  if (bytes <= pool.budgetBytes * TRANSACTION_FRACTION) return;
  throw new SqlError(SqlState.outOfMemory, 'out of memory', {
    detail: `One transaction's rows may take ${Math.floor(pool.budgetBytes * TRANSACTION_FRACTION)} bytes of memory.`,
    hint: 'Write in smaller transactions, or raise memory.limit.',
  });
}

export function parameterValues(parameters: BoundParameters, oids: readonly number[]): readonly ParameterValue[] {
  const { formats, values } = parameters;
  return values.map((value, i) => {
    const format = formats.length === 0 ? 0 : formats.length === 1 ? formats[0]! : formats[i]!;
    const typeOid = oids[i] ?? 0;
    return { typeOid, text: parameterText(typeOid, format, value) };
  });
}

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
  const writes = environment.transaction.of(liveTable(environment.database, statement.def));
  const from = writes.inserted.rows;
  putRows(environment, statement, writerOf(environment, statement, writes));
  return claimRows(environment, writes, from);
}

/** Rows that `put` writes; null when it says no: then nothing is left of them. */
export function insertRowsBy(
  environment: WriteEnvironment,
  def: TableDef,
  put: (rows: RowBuffer) => boolean,
): MaybePromise<string> | null {
  const writes = environment.transaction.of(liveTable(environment.database, def));
  const from = writes.inserted.rows;
  if (put(writes.inserted)) return claimRows(environment, writes, from);
  writes.inserted.truncate(from);
  return null;
}

/** Locks and checks the keys of own rows from `from` on; the command tag. */
function claimRows(environment: WriteEnvironment, writes: TableWrites, from: number): MaybePromise<string> {
  const upsert = writes.table.def.onConflict === 'upsert';
  const pending = insertRows(contextOf(environment), environment.transaction, writes, from, upsert);
  const tag = insertTag(writes.inserted.rows - from);
  return pending === null ? tag : pending.then(() => tag);
}

const insertTag = (rows: number): string => (rows === 1 ? 'INSERT 0 1' : `INSERT 0 ${rows}`);

function putRows(environment: WriteEnvironment, { source }: Of<'insert'>, writer: RowWriter): void {
  if (source.kind !== 'values') return;
  for (const row of source.rows) {
    for (let i = 0; i < row.length; i++) putValue(environment, writer, i, row[i]!);
    writer.endRow();
  }
}

export async function insert(environment: WriteEnvironment, statement: Of<'insert'>): Promise<string> {
  const { database, transaction } = environment;
  if (database.pressed) await database.admit();
  if (statement.source.kind === 'values') return insertValues(environment, statement);
  const table = liveTable(environment.database, statement.def);
  const writes = transaction.of(table);
  const from = writes.inserted.rows;
  const writer = new RowWriter(table.def, statement.fieldIds, writes.inserted, environment.time);
  if (statement.source.plan.route === 'engine') {
    await drain(environment, statement.source.plan, (vectors, rows) => {
      writer.appendVectors(vectors, rows);
      checkSize(environment, writes);
      return streamRows(database.log, transaction, writes);
    });
  } else {
    for (const row of await environment.catalogRows(statement.source.plan)) {
      row.forEach((value, i) => (value === null ? writer.nullField(i) : writer.textField(i, value, 0, value.length)));
      writer.endRow();
    }
  }
  const pending = insertRows(contextOf(environment), transaction, writes, from, table.def.onConflict === 'upsert');
  if (pending !== null) await pending;
  return insertTag(writes.inserted.rows - from);
}

function putValue(environment: WriteEnvironment, writer: RowWriter, index: number, value: InsertValue): void {
  switch (value.kind) {
    case 'null':
      writer.nullField(index);
      return;
    case 'default':
      writer.default(index);
      return;
    case 'now':
      writer.now(index);
      return;
    case 'parameter':
      putParameter(environment, writer, index, value.index);
      return;
    default:
      try {
        writer.text(index, value.text);
      } catch (error) {
        throw error instanceof SqlError && value.position > 0 ? error.with({ position: value.position }) : error;
      }
  }
}

/** `index` of a parameter counts from 1, as in $n. */
function putParameter(environment: WriteEnvironment, writer: RowWriter, target: number, index: number): void {
  const { parameters } = environment;
  const { formats, bytes } = parameters;
  const start = parameters.starts[index - 1];
  if (start === undefined) throw new SqlError(SqlState.undefinedParameter, `there is no parameter $${index}`);
  if (start < 0) {
    writer.nullField(target);
    return;
  }
  const end = parameters.ends[index - 1]!;
  const format = formats.length === 0 ? 0 : formats.length === 1 ? formats[0]! : formats[index - 1]!;
  if (format === 0) {
    writer.textField(target, bytes, start, end);
    return;
  }
  const type = writer.typeOf(target);
  const oid = environment.parameterOids[index - 1] ?? type.oid;
  if (oid === type.oid) writer.binaryField(target, bytes, start, end);
  else writer.text(target, parameterText(oid, format, parameters.values[index - 1]!)!);
}

export async function copyFrom(environment: WriteEnvironment, statement: Of<'copyFrom'>, out: Output): Promise<string> {
  const { database, transaction } = environment;
  const table = liveTable(environment.database, statement.def);
  const writes = transaction.of(table);
  const writer = new RowWriter(table.def, statement.fieldIds, writes.inserted, environment.time);
  const parser = copyParser(statement, writer);
  const from = writes.inserted.rows;
  let checked = from;
  const check = (): Promise<void> | null => {
    const start = checked;
    checked = writes.inserted.rows;
    checkSize(environment, writes);
    return insertRows(contextOf(environment), transaction, writes, start, table.def.onConflict === 'upsert');
  };
  await out.copyIn(statement.fieldIds.length, statement.options.format === 'binary' ? 1 : 0, {
    data: (bytes) => {
      parser.push(bytes);
      if (writes.inserted.rows - checked < CHECK_ROWS && !database.pressed) return undefined;
      const pending = check();
      const behind = streamRows(database.log, transaction, writes);
      if (!database.pressed) return pending === null ? behind : pending.then(() => behind);
      return Promise.all([pending, behind]).then(() => database.admit());
    },
  });
  parser.finish();
  const pending = check();
  if (pending !== null) await pending;
  return `COPY ${writes.inserted.rows - from}`;
}

function copyParser(
  { def, fieldIds, options }: Of<'copyFrom'>,
  writer: RowWriter,
): { push(bytes: Uint8Array): void; finish(): void } {
  const columns = fieldIds.map((fieldId) => def.columns.find((column) => column.fieldId === fieldId)!.name);
  const target = { table: def.name, columns };
  if (options.format === 'binary') {
    writer.useBinary();
    return new CopyBinaryParser(target, writer);
  }
  const { delimiter, header, quote, escape } = options;
  if (options.format === 'csv')
    return new CopyCsvParser({ ...target, delimiter, null: options.null, header, quote, escape }, writer);
  return new CopyTextParser({ ...target, delimiter, null: options.null, header }, writer);
}

/** Runs a plan of the engine and hands over its rows as vectors. */
async function drain(
  environment: WriteEnvironment,
  plan: QueryPlan,
  take: (vectors: readonly ColumnVector[], rows: number) => MaybePromise<void>,
): Promise<void> {
  const { database, engine, transaction, timeZone } = environment;
  const rendered = plan.render(parameterValues(environment.parameters, environment.parameterOids));
  const request = {
    rendered,
    tables: plan.tables,
    transaction,
    columns: null,
    formats: [],
    output: 'vectors',
    timeZone,
  } as const;
  const cursor = await EngineCursor.open(database, engine, request, environment.running);
  try {
    for (let chunk = await cursor.next(); chunk !== null; chunk = await cursor.next())
      await take(chunk.vectors!, chunk.rows);
  } finally {
    await cursor.close();
  }
}

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
  const table = liveTable(environment.database, statement.def);
  const count = await deleteFound(
    environment,
    table,
    statement.plan,
    table.nameColumns.map((_, i) => 2 + i),
    () => {},
    () => {},
  );
  return `DELETE ${count}`;
}

export async function update(environment: WriteEnvironment, statement: Of<'update'>): Promise<string> {
  const { def } = statement;
  const renamed = def.columns.find(
    (column) => def.key.includes(column.fieldId) && statement.assigned.includes(column.fieldId),
  );
  if (renamed !== undefined)
    throw notSupported(`UPDATE of the key column "${renamed.name}"`, {
      hint: 'DELETE the row and INSERT it with its new key.',
    });
  const table = liveTable(environment.database, def);
  const writes = environment.transaction.of(table);
  const fresh = new RowBuffer(environment.database.memory, table.physicals);
  try {
    const writer = new RowWriter(table.def, table.fieldIds, fresh, environment.time);
    const count = await deleteFound(
      environment,
      table,
      statement.plan,
      // The new row, then what it was; a key does not change.
      table.nameColumns.map((column) => 2 + column + (table.keyed ? 0 : table.physicals.length)),
      () => fresh.truncate(0),
      (vectors, rows) => writer.appendVectors(vectors.slice(2, 2 + table.physicals.length), rows),
    );
    const from = writes.inserted.rows;
    for (const batch of fresh.batches) writes.inserted.append(batch.vectors(), 0, batch.rows);
    const pending = insertRows(contextOf(environment), environment.transaction, writes, from, false);
    if (pending !== null) await pending;
    checkSize(environment, writes);
    return `UPDATE ${count}`;
  } finally {
    fresh.retire();
  }
}
