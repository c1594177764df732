/**
 * RETURNING: the rows of a statement that writes, as DataRow messages before its tag. Plain columns of a few rows come straight
 * from the rows' vectors; everything else is a query of the engine over those rows.
 */
import { SqlError, SqlState } from '../errors.ts';
import { EngineCursor } from './cursor.ts';
import { bufferUnit } from './buffer.ts';
import type { StandIn } from './query.ts';
import { parameterValues, type WriteEnvironment } from './write-environment.ts';
import type { Returning, Statement } from '../planner/plan.ts';
import type { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { TableDef } from '../table-def.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { rowEncoder, type RowEncoder } from '../types/data-row.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import type { MaybePromise, Output, Portal } from '../wire/gateway-api.ts';

/** Where a statement's rows go, and as what: to the client, or to the other parts of its statement. */
export type Answer = ClientAnswer | RowTaker;

/** Takes rows while they are in memory. */
export interface RowTaker {
  take(environment: WriteEnvironment, returning: Returning, written: WrittenRows): MaybePromise<void>;
}

export interface ClientAnswer {
  readonly columns: readonly ResultColumn[];
  readonly formats: readonly Format[];
  readonly out: Output;
}

/** Where the rows of a portal's statement go; null: it gives none. */
export function answerOf({ columns, formats }: Portal, out: Output): ClientAnswer | null {
  return columns === null ? null : { columns, formats, out };
}

/** Rows written on the main thread; more are the engine's. */
const DIRECT_ROWS_MAX = 1024;

/** The rows of a buffer that a statement has written, new ones, or old ones for DELETE. */
export interface WrittenRows {
  readonly def: TableDef;
  readonly buffer: RowBuffer;
  /** The first of them. */
  readonly from: number;
  readonly isDead?: (row: number) => boolean;
  /** Row by row beside them, of each table of `Returning.joined`; then all of `buffer` is meant. */
  readonly joined?: readonly RowBuffer[];
}

/** The RETURNING of a statement that has one. */
export function returningOf(statement: Statement): Returning | null {
  switch (statement.kind) {
    case 'insert':
    case 'update':
    case 'delete':
      return statement.returning;
    default:
      return null;
  }
}

/** Sends the rows, where somebody asked for them. */
export function sendWritten(
  environment: WriteEnvironment,
  returning: Returning | null,
  rows: WrittenRows,
): MaybePromise<void> {
  const { answer } = environment;
  if (returning === null || answer === null) return undefined;
  if ('take' in answer) return answer.take(environment, returning, rows);
  if (returning.columns === null || rows.buffer.rows - rows.from > DIRECT_ROWS_MAX)
    return sendByEngine(environment, returning, rows, answer);
  sendDirectly(environment, returning, rows, answer);
  return undefined;
}

interface KnownEncoder {
  readonly formats: readonly Format[];
  readonly zone: object;
  readonly encode: RowEncoder;
}
/** The encoder that a clause was answered with last: its statement is carried out again and again. */
const encoders = new WeakMap<Returning, KnownEncoder>();

function encoderOf(
  { time: { timeZone: zone } }: WriteEnvironment,
  returning: Returning,
  def: TableDef,
  { formats }: ClientAnswer,
): RowEncoder {
  const known = encoders.get(returning);
  if (known?.zone === zone && formats.every((format, i) => format === known.formats[i])) return known.encode;
  const typed = returning.columns!.map((index, i) => ({ type: def.columns[index]!.type, format: formats[i] ?? 0 }));
  const encode = rowEncoder(typed, { timeZone: zone });
  encoders.set(returning, { formats, zone, encode });
  return encode;
}

function sendDirectly(
  environment: WriteEnvironment,
  returning: Returning,
  { def, buffer, from, isDead }: WrittenRows,
  answer: ClientAnswer,
): void {
  if (from === buffer.rows) return;
  const encode = encoderOf(environment, returning, def, answer);
  const { writer } = answer.out;
  for (let index = buffer.batchOf(from); index < buffer.batches.length; index++) {
    const batch = buffer.batches[index]!;
    const start = buffer.batchStart(index);
    const vectors = returning.columns!.map((column) => batch.columns[column]!.vector());
    for (let row = Math.max(0, from - start); row < batch.rows; row++)
      if (isDead?.(start + row) !== true) encode(vectors, row, writer);
  }
}

async function sendByEngine(
  environment: WriteEnvironment,
  returning: Returning,
  written: WrittenRows,
  { columns, formats, out }: ClientAnswer,
): Promise<void> {
  const { database, engine, transaction, timeZone, times } = environment;
  if (written.from === written.buffer.rows) return;
  const { plan } = returning;
  const { buffers, release } = unitsOf(environment, returning, written);
  const request = {
    rendered: plan.render(parameterValues(environment.parameters, environment.parameterOids)),
    tables: plan.tables,
    transaction,
    columns: columns.map(({ typeOid, typmod }, i) => ({ typeOid, typmod, format: formats[i] ?? 0 })),
    formats,
    output: 'rows',
    timeZone,
    times,
    buffers: environment.buffers === undefined ? buffers : new Map([...environment.buffers, ...buffers]),
  } as const;
  try {
    const cursor = await EngineCursor.open(database, engine, request, environment.running);
    try {
      for (let chunk = await cursor.next(); chunk !== null; chunk = await cursor.next()) {
        const full = out.dataRows(chunk.messages!);
        if (full !== undefined) await full;
      }
    } finally {
      await cursor.close();
    }
  } finally {
    release();
  }
}

/** The rows written, and those that they are joined with, by the placeholders of the clause. */
export function unitsOf(
  { database: { memory } }: WriteEnvironment,
  { rows: placeholder, joined: tables }: Returning,
  { def, buffer, from, isDead, joined = [] }: WrittenRows,
): StandIn {
  const units = [bufferUnit(memory, buffer, fieldsOf(def), from, isDead)];
  const buffers = new Map([[placeholder, units[0]!.unit]]);
  joined.forEach((rows, i) => {
    const beside = tables[i]!;
    units.push(bufferUnit(memory, rows, fieldsOf(beside.def)));
    buffers.set(beside.rows, units.at(-1)!.unit);
  });
  return { buffers, release: () => units.forEach(({ release }) => release()) };
}

const fieldsOf = ({ columns }: TableDef): readonly number[] => columns.map(({ fieldId }) => fieldId);

/** Rows kept for a portal that takes them in portions have at most so many bytes. */
const KEPT_BYTES_MAX = 64 * 1024 * 1024;

/** An output that keeps rows: a portal hands them over in portions when its statement has run to its end, as in PostgreSQL. */
export function keptRows(out: Output): Output & { take(): { readonly rows: number; readonly messages: Uint8Array } } {
  const writer = new ByteWriter();
  return {
    rowDescription: () => {},
    dataRows: (messages) => {
      if (writer.length + messages.length > KEPT_BYTES_MAX)
        throw new SqlError(SqlState.programLimitExceeded, 'too many rows of RETURNING for a portal', {
          hint: 'Fetch them all at once.',
        });
      writer.raw(messages);
    },
    writer,
    commandComplete: () => {},
    portalSuspended: () => {},
    emptyQuery: () => {},
    copyIn: (columns, format, encoding, sink) => out.copyIn(columns, format, encoding, sink),
    copyOut: (columns, format, encoding) => out.copyOut(columns, format, encoding),
    copyDone: () => out.copyDone(),
    take: () => {
      const messages = writer.take();
      const view = new DataView(messages.buffer, messages.byteOffset, messages.byteLength);
      let rows = 0;
      for (let at = 0; at < messages.length; at += 1 + view.getInt32(at + 1)) rows++;
      return { rows, messages };
    },
  };
}
