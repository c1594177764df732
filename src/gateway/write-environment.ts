/** What statements that write share: their environment, the limit of a transaction's rows, rows of a plan as vectors. */
import { SqlError, SqlState } from '../errors.ts';
import type { EngineApi } from '../federation/engine-api.ts';
import { cancellable } from '../ingest/cancellable.ts';
import type { Database } from '../ingest/database.ts';
import type { RowContext } from '../ingest/generated-values.ts';
import type { TableWrites, Transaction } from '../ingest/transaction.ts';
import type { WriteContext } from '../ingest/write-rows.ts';
import type { Times } from '../planner/duckdb/session-time.ts';
import type { ParameterValue, QueryPlan, RenderedQuery } from '../planner/plan.ts';
import type { Remote } from '../rpc.ts';
import type { Memory } from '../storage/memory/memory.ts';
import type { MemoryUnit } from '../storage/scan-spec.ts';
import type { UnitEngine } from '../storage/unit-engine.ts';
import type { TableDef } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { parameterText } from '../types/parameter-text.ts';
import type { Format } from '../types/result-column.ts';
import type { BoundParameters, MaybePromise } from '../wire/gateway-api.ts';
import { EngineCursor } from './cursor.ts';
import type { CursorRow } from './current-of.ts';
import type { Answer } from './returning.ts';
import type { Running } from '../running.ts';

/** What a writing statement works with. */
export interface WriteEnvironment {
  readonly database: Database;
  readonly engine: Remote<EngineApi>;
  readonly transaction: Transaction;
  readonly time: RowContext;
  readonly timeZone: string;
  readonly times: Times;
  /** Values of $n as they came, with their types. */
  readonly parameters: BoundParameters;
  readonly parameterOids: readonly number[];
  /** Rows of a statement that PostgreSQL itself runs, with the values of $n, as texts; `reason`: why over copies of the rows of its tables. */
  readonly catalogRows: (
    values: Pick<WriteEnvironment, 'parameters' | 'parameterOids'>,
    plan: QueryPlan,
    reason?: SqlError,
  ) => Promise<readonly (readonly (Uint8Array | null)[])[]>;
  /** The row of a table that a cursor stands on. @throws {SqlError} 34000, 24000, 0A000 */
  readonly cursorRow: (cursor: string, def: TableDef) => Promise<CursorRow>;
  readonly running: Running;
  readonly lockWait: (expired: () => void) => () => void;
  /** Rows that stand for tables of subqueries, by placeholder. */
  readonly buffers?: ReadonlyMap<string, MemoryUnit>;
  /** Null: nobody wants what RETURNING gives. */
  readonly answer: Answer | null;
}

/** Own rows that have to stay in memory take at most this share of the slab budget. */
const TRANSACTION_FRACTION = 0.4;

/** A class: an object with a getter of its own costs half a microsecond to make, and every statement makes one. */
class StatementContext implements WriteContext {
  readonly memory: Memory;
  readonly transaction: WriteContext['transaction'];
  readonly running: WriteEnvironment['running'];
  readonly lockWait: WriteEnvironment['lockWait'];
  readonly #database: Database;

  constructor({ database, running, lockWait }: WriteEnvironment) {
    this.#database = database;
    this.memory = database.memory;
    this.transaction = database.transaction;
    this.running = running;
    this.lockWait = lockWait;
  }

  /** Asked for only where keys are looked for in files. */
  get engine(): UnitEngine {
    return cancellable(this.#database.engine, this.#database.disk, this.running);
  }
}

export const contextOf = (environment: WriteEnvironment): WriteContext => new StatementContext(environment);

/** @throws {SqlError} 53200 when too many of the transaction's rows are in memory */
export function checkSize(environment: WriteEnvironment, writes: TableWrites): void {
  const { pool } = environment.database.memory;
  let bytes = 0;
  for (const batch of writes.inserted.batches) bytes += batch.dataBytes;
  if (bytes <= pool.budgetBytes * TRANSACTION_FRACTION) return;
  throw new SqlError(SqlState.outOfMemory, 'out of memory', {
    detail: `Rows of one statement that have to stay in memory may take ${Math.floor(pool.budgetBytes * TRANSACTION_FRACTION)} bytes.`,
    hint: 'Write fewer rows by one statement, or raise memory.limit.',
  });
}

export function parameterValues(parameters: BoundParameters, oids: readonly number[]): readonly ParameterValue[] {
  return parameters.values.map((value, i) => {
    const typeOid = oids[i] ?? 0;
    return { typeOid, text: parameterText(typeOid, formatOf(parameters, i), value) };
  });
}

/** The format of a value of a Bind. */
export function formatOf({ formats }: BoundParameters, index: number): Format {
  return formats.length === 0 ? 0 : formats.length === 1 ? formats[0]! : formats[index]!;
}

const NO_BUFFERS: ReadonlyMap<string, MemoryUnit> = new Map();

/** A query of the engine whose rows come as vectors; `buffers` stand for planned tables, by placeholder. */
export function openVectors(
  { database, engine, transaction, timeZone, times, running, buffers: nested }: WriteEnvironment,
  rendered: RenderedQuery,
  tables: QueryPlan['tables'],
  buffers: ReadonlyMap<string, MemoryUnit> = NO_BUFFERS,
): Promise<EngineCursor> {
  const request = {
    rendered,
    tables,
    transaction,
    columns: null,
    formats: [],
    output: 'vectors',
    timeZone,
    times,
    buffers: nested === undefined ? buffers : new Map([...nested, ...buffers]),
  } as const;
  return EngineCursor.open(database, engine, request, running);
}

/** Runs a plan of the engine to its end. */
export async function drain(
  environment: WriteEnvironment,
  plan: QueryPlan,
  take: (vectors: readonly ColumnVector[], rows: number) => MaybePromise<void>,
  buffers: ReadonlyMap<string, MemoryUnit> = NO_BUFFERS,
): Promise<void> {
  const rendered = plan.render(parameterValues(environment.parameters, environment.parameterOids));
  const cursor = await openVectors(environment, rendered, plan.tables, buffers);
  try {
    // The engine makes the next rows while these are taken.
    for (let ahead = cursor.next(); ;) {
      const chunk = await ahead;
      if (chunk === null) break;
      ahead = cursor.next();
      ahead.catch(() => {}); // it is waited for, or the cursor is closed
      await take(chunk.vectors!, chunk.rows);
    }
  } finally {
    await cursor.close();
  }
}
