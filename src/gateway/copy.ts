/** COPY … FROM STDIN: what a client sends, parsed into the transaction's rows as it comes. Returns the command tag. */
import { canceled, type SqlError } from '../errors.ts';
import { CopyBinaryParser } from '../ingest/copy-binary.ts';
import { CopyCsvParser } from '../ingest/copy-csv.ts';
import { CopyTextParser } from '../ingest/copy-text.ts';
import { RowWriter } from '../ingest/row-writer.ts';
import type { CopyFilter, Statement } from '../planner/plan.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import { integerAt } from '../storage/memory/slice.ts';
import type { Table } from '../storage/table.ts';
import type { TableDef } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import type { MaybePromise, Output } from '../wire/gateway-api.ts';
import { admitted } from './admission.ts';
import { CopyLook } from './copy-look.ts';
import { liveTable } from './cursor.ts';
import { BulkRows, CHECK_ROWS } from './bulk.ts';
import { bufferUnit } from './buffer.ts';
import { drain, type WriteEnvironment } from './write-environment.ts';

type CopyFrom = Extract<Statement, { kind: 'copyFrom' }>;

export async function copyFrom(environment: WriteEnvironment, statement: CopyFrom, out: Output): Promise<string> {
  const { database, transaction } = environment;
  const table = liveTable(environment.database, statement.def);
  const writes = transaction.of(table);
  const { filter } = statement;
  // With WHERE rows are read into a buffer of their own first; NOT NULL and CHECK are for those that it keeps.
  const read = filter === null ? writes.inserted : new RowBuffer(database.memory, table.physicals);
  const def = filter === null ? table.def : unconstrained(table.def);
  const writer = new RowWriter(def, statement.fieldIds, read, environment.time);
  const kept = filter === null ? writer : new RowWriter(table.def, table.fieldIds, writes.inserted, environment.time);
  const parser = copyParser(statement, writer);
  const bulk = new BulkRows(environment, writes);
  const waiting = (): number => (filter === null ? bulk.waiting : read.rows);
  const cancel = new CopyCancel(environment.running);
  const look = new CopyLook(database.clock, () => parser.takeWhole());
  const take = (): MaybePromise<void> =>
    filter === null ? bulk.finish() : keep(environment, filter, table, read, kept).then(() => bulk.finish());
  const takeInTurn = (): MaybePromise<void> => {
    const taken = take();
    if (!database.pressed) return taken;
    const { running } = environment;
    return taken === undefined ? admitted(database, running) : taken.then(() => admitted(database, running));
  };
  try {
    const { encoding, format } = statement.options;
    const given = out.copyIn(statement.fieldIds.length, format === 'binary' ? 1 : 0, encoding, {
      heldBytes: () => parser.heldBytes,
      data: (bytes) => {
        cancel.check();
        parser.push(bytes);
        look.dataCame();
        return waiting() < CHECK_ROWS && !database.pressed ? undefined : look.during(cancel.during(takeInTurn));
      },
    });
    await Promise.race([given, cancel.came, look.failed]);
    look.end();
    parser.finish();
    await cancel.during(take);
    return `COPY ${bulk.rows}`;
  } finally {
    look.end();
    if (filter !== null) read.retire();
  }
}

/** A cancel between two messages of the client ends the COPY at once; while rows are moved, what they wait for says how. */
class CopyCancel {
  readonly came: Promise<never>;
  readonly #running: WriteEnvironment['running'];
  readonly #end: (error: SqlError) => void;
  #isCancelled = false;

  constructor(running: WriteEnvironment['running']) {
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => undefined);
    this.came = promise;
    this.#end = reject;
    this.#running = running;
    this.#listen();
  }

  #listen(): void {
    this.#running(() => {
      this.#isCancelled = true;
      this.#end(canceled());
    });
  }

  /** @throws {SqlError} 57014 */
  check(): void {
    if (this.#isCancelled) throw canceled();
  }

  /** What it waits for itself takes the cancel's place. */
  during(move: () => MaybePromise<void>): MaybePromise<void> {
    const over = this.#running(() => (this.#isCancelled = true));
    const moved = (): void => {
      over();
      this.check();
    };
    const moving = move();
    if (moving !== undefined) return moving.then(moved);
    moved();
    return undefined;
  }
}

function unconstrained(def: TableDef): TableDef {
  return {
    ...def,
    columns: def.columns.map(({ generated: _, ...column }) => ({ ...column, notNull: false })),
    checks: [],
  };
}

/** Moves the rows that a condition keeps. */
async function keep(
  environment: WriteEnvironment,
  { plan, rows: placeholder }: CopyFilter,
  table: Table,
  read: RowBuffer,
  to: RowWriter,
): Promise<void> {
  if (read.rows === 0) return;
  const { unit, release } = bufferUnit(environment.database.memory, read, table.fieldIds);
  try {
    const buffers = new Map([[placeholder, unit]]);
    const take = ([positions]: readonly ColumnVector[], rows: number): void => {
      for (let i = 0; i < rows; i++) {
        const row = integerAt(positions!, i);
        const index = read.batchOf(row);
        const at = row - read.batchStart(index);
        read.batches[index]!.vectors().forEach((vector, value) => to.sameField(value, vector, at));
        to.endRow();
      }
    };
    await drain(environment, plan, take, buffers);
  } finally {
    release();
  }
  read.truncate(0);
}

function copyParser(
  { def, fieldIds, options }: CopyFrom,
  writer: RowWriter,
): { readonly heldBytes: number; push(bytes: Uint8Array): void; takeWhole(): void; finish(): void } {
  const columns = fieldIds.map((fieldId) => def.columns.find((column) => column.fieldId === fieldId)!.name);
  const target = { table: def.name, columns };
  if (options.format === 'binary') {
    writer.useBinary();
    return new CopyBinaryParser(target, writer);
  }
  const { delimiter, forceNotNull, forceNull, header, quote, escape } = options;
  if (options.format === 'csv') {
    const forced = { ...(forceNull && { forceNull }), ...(forceNotNull && { forceNotNull }) };
    return new CopyCsvParser({ ...target, delimiter, null: options.null, header, quote, escape, ...forced }, writer);
  }
  return new CopyTextParser({ ...target, delimiter, null: options.null, header }, writer);
}
