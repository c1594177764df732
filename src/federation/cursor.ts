/**
 * One running statement: prepared, streamed chunk by chunk, encoded, closed.
 *
 * - Q1 The statement runs in DuckDB's threads and the pool's; this thread only encodes. One chunk at most is fetched ahead,
 *   and none after a large one; a turn ends within a chunk whose rows are wide: a client that reads slowly holds little.
 * - Q2 After `done`, an error or `close`, nothing of it runs, its sources are forgotten and its connection is back in the pool:
 *   the caller may release its pins.
 * - Q3 What was interrupted has not come to its end, although DuckDB then gives no more rows, as at the end.
 */
import { quoteIdentifier } from '../sql-text.ts';
import duckdb from '@duckdb/node-bindings';
import type { Clock } from '../clock.ts';
import { canceled, invariant, notSupported, SqlError, SqlState } from '../errors.ts';
import type { TableScan } from '../storage/scan-spec.ts';
import type { PgType } from '../table-def.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { copyEncoder } from '../types/copy-row.ts';
import { encodeRows, rowEncoder, type RowEncoder } from '../types/data-row.ts';
import { Oid } from '../types/pg-type.ts';
import { findTimeZone } from '../types/time-zone.ts';
import {
  acquire,
  countFooters,
  keepFooters,
  openFooters,
  release,
  settle,
  useTimeZone,
  type Instance,
  type Lease,
} from './connections.ts';
import type { QueryChunk, QueryOpened, QueryRequest } from './engine-api.ts';
import { engineError } from './engine-errors.ts';
import type { ReadFiles } from './footer-cache.ts';
import { planColumn, type ColumnPlan } from './result-columns.ts';
import { removeSources, sourceFailure } from './row-source.ts';
import { withScans, type ScanContext } from './scan-sql.ts';
import { readChunk, vectorReader, type VectorReader } from './vector-reader.ts';

/** A turn ends when its messages reach this, or when TURN_MILLISECONDS have passed since its first rows. */
const TURN_BYTES = 512 * 1024;
const TURN_MILLISECONDS = 50;
/** After a chunk with more bytes of text than this the next one is fetched when its rows are on their way. */
const AHEAD_BYTES_MAX = 4 * TURN_BYTES;

export interface Cursor {
  readonly opened: QueryOpened;
  next(): Promise<QueryChunk>;
  /** Idempotent; waits until nothing of the statement runs. */
  close(): Promise<void>;
}

/** Can be cancelled from the moment it is asked for. */
export interface OpeningCursor {
  readonly cursor: Promise<Cursor>;
  /** Resolves when it reads nothing of slabs any more. */
  readonly slabsRead: Promise<void>;
  cancel(): void;
}

/** The part of a statement's life that must be undone exactly once. */
interface Held {
  readonly context: ScanContext;
  lease: Lease | null;
  cancelled: boolean;
  closeFooters: () => void;
}

export function openCursor(
  instance: Instance,
  request: QueryRequest,
  context: ScanContext,
  clock: Clock,
): OpeningCursor {
  const held: Held = { context, lease: null, cancelled: false, closeFooters: () => undefined };
  return {
    cursor: open(instance, request, held, clock),
    slabsRead: context.slabReads.ended,
    cancel() {
      held.cancelled = true;
      if (held.lease !== null) duckdb.interrupt(held.lease.connection);
    },
  };
}

async function open(instance: Instance, request: QueryRequest, held: Held, clock: Clock): Promise<Cursor> {
  try {
    const kept = countFooters(instance, request.scans, clock.monotonic());
    if (!kept) held.closeFooters = openFooters(instance, request.scans.map(filesOf));
    held.lease = await acquire(instance);
    failIfCancelled(held);
    await useTimeZone(held.lease, request.timeZone);
    await keepFooters(held.lease, kept);
    const sql = withScans(request.sql.replace(/[\s;]+$/, ''), request.scans, held.context);
    const prepared = await prepare(held.lease, sql, request);
    failIfCancelled(held);
    // Rejections surface in `next`, or nowhere when the cursor is closed first.
    const encoder = encoderOf(request, prepared);
    held.context.slabReads.begin(sql);
    const started = duckdb.execute_prepared_streaming(prepared.statement);
    const free = (): void => duckdb.destroy_prepare_sync(prepared.statement);
    started.then(free, free);
    return runningCursor(held, encoder, prepared, started, clock);
  } catch (error) {
    await giveBack(held, false);
    throw engineError(error);
  }
}

const filesOf = ({ def, files }: TableScan): ReadFiles => ({ files, columns: def.columns.length });

function failIfCancelled(held: Held): void {
  if (held.cancelled) throw canceled();
}

/** DuckDB gives no more rows (Q3). */
function hasMore(held: Held): false {
  failIfCancelled(held);
  return false;
}

async function giveBack(held: Held, unfinished: boolean): Promise<void> {
  const lease = held.lease;
  held.lease = null;
  if (lease !== null) {
    if (unfinished) {
      duckdb.interrupt(lease.connection);
      await settle(lease).catch(() => undefined);
    }
    release(lease);
  }
  held.closeFooters();
  removeSources(held.context.registry, held.context.sourceIds);
  held.context.slabReads.close();
}

async function failed(held: Held, error: unknown): Promise<SqlError> {
  const failure = sourceFailure(held.context.registry, held.context.sourceIds) ?? engineError(error);
  await giveBack(held, true);
  return held.cancelled ? canceled() : failure;
}

const INTERRUPT_MILLISECONDS = 10;

/** DuckDB forgets an interrupt that comes before a waiting statement has begun, so it is said again until all has ended. */
async function interruptUntil(lease: Lease, ended: Promise<unknown>, clock: Clock): Promise<void> {
  let stop = (): void => undefined;
  const again = (): void => {
    duckdb.interrupt(lease.connection);
    stop = clock.after(INTERRUPT_MILLISECONDS, again);
  };
  again();
  await ended;
  stop();
}

interface Prepared {
  readonly statement: duckdb.PreparedStatement;
  readonly plans: readonly ColumnPlan[];
  readonly readers: readonly VectorReader[];
  readonly encodeAs: readonly PgType[];
  readonly opened: QueryOpened;
}

/** Prepares the statement; again with casts around it where its types are not those promised. */
async function prepare(lease: Lease, sql: string, request: QueryRequest): Promise<Prepared> {
  let statement = await duckdb.prepare(lease.connection, sql);
  const count = duckdb.prepared_statement_column_count(statement);
  if (request.columns !== null && request.columns.length !== count) {
    throw new SqlError(
      SqlState.internalError,
      `the statement gives ${count} columns, ${request.columns.length} were described`,
    );
  }
  const plans: ColumnPlan[] = [];
  const names: string[] = [];
  for (let i = 0; i < count; i++) {
    plans.push(planColumn(request, i, duckdb.prepared_statement_column_logical_type(statement, i)));
    names.push(duckdb.prepared_statement_column_name(statement, i));
  }
  if (plans.some((plan) => plan.sql !== null)) {
    duckdb.destroy_prepare_sync(statement);
    statement = await duckdb.prepare(lease.connection, castAround(sql, plans));
  }
  const readers: VectorReader[] = [];
  const encodeAs = plans.map((plan, i) => {
    const reader = vectorReader(duckdb.prepared_statement_column_logical_type(statement, i));
    invariant(reader !== null, 'every result column was cast to a type that can be read');
    readers.push(reader.read);
    return plan.encodeAs ?? reader.type;
  });
  const columns = plans.map((plan, i) => ({
    name: names[i]!,
    typeOid: plan.described.oid,
    typmod: plan.described.typmod,
  }));
  return { statement, plans, readers, encodeAs, opened: { columns } };
}

/** A projection keeps the order of an ORDER BY below it. */
function castAround(sql: string, plans: readonly ColumnPlan[]): string {
  const outputs = plans.map((plan, i) => (plan.sql === null ? `r.c${i}` : `${plan.sql(`r.c${i}`)} AS c${i}`));
  const aliases = plans.map((_, i) => quoteIdentifier(`c${i}`));
  return `SELECT ${outputs.join(', ')} FROM (${sql}\n) AS r(${aliases.join(', ')})`;
}

function encoderOf(request: QueryRequest, prepared: Prepared): RowEncoder | null {
  if (request.output === 'vectors') return null;
  const timeZone = findTimeZone(request.timeZone);
  if (timeZone === null)
    throw new SqlError(SqlState.invalidParameterValue, `invalid value for parameter "TimeZone": "${request.timeZone}"`);
  const columns = prepared.plans.map(({ format, described }, i) => {
    const type = prepared.encodeAs[i]!;
    if (timeZone.styles !== undefined && isRow(described.oid))
      throw notSupported('a row as a value, written in styles other than the defaults');
    return { type, format, shown: type.oid === Oid.text ? described : type };
  });
  return request.copy === undefined
    ? rowEncoder(columns, { timeZone })
    : copyEncoder(columns, { timeZone }, request.copy);
}

const FIRST_OWN_OID = 16_384;
/** record, and the row types of tables. */
const isRow = (oid: number): boolean => oid === 2249 || oid >= FIRST_OWN_OID;

function heapBytes(vectors: readonly ColumnVector[]): number {
  let bytes = 0;
  for (const { heap } of vectors) bytes += heap.length;
  return bytes;
}

/** About an eighth of a turn. */
function rowsPerStep(vectors: readonly ColumnVector[], rows: number): number {
  return Math.max(1, Math.floor((TURN_BYTES * rows) / (8 * heapBytes(vectors) + 1)));
}

const END: QueryChunk = { rows: 0, messages: null, vectors: null, done: true };

function runningCursor(
  held: Held,
  encoder: RowEncoder | null,
  prepared: Prepared,
  started: Promise<duckdb.Result>,
  clock: Clock,
): Cursor {
  const out = new ByteWriter(64 * 1024);
  let result: duckdb.Result | null = null;
  let ahead: Promise<duckdb.DataChunk | null> | null = null;
  let turn: Promise<QueryChunk> | null = null;
  let closing: Promise<void> | null = null;
  /** Rows of the last chunk that are not encoded yet, from `at` on. */
  let rest: readonly ColumnVector[] = [];
  let restRows = 0;
  let at = 0;

  const fetch = async (): Promise<duckdb.DataChunk | null> => duckdb.fetch_chunk((result ??= await started));
  /** The next chunk becomes `rest`; the one after it is under way when it returns, unless this one is large. False: the end. */
  const take = async (): Promise<boolean> => {
    const chunk = await (ahead ?? fetch());
    ahead = null;
    const count = chunk === null ? 0 : duckdb.data_chunk_get_size(chunk);
    if (count === 0) return hasMore(held);
    rest = readChunk(chunk!, prepared.readers).map(
      (vector, i) => prepared.plans[i]!.convert?.(vector, count) ?? vector,
    );
    duckdb.data_chunk_reset(chunk!); // its texts are given back now, not when the wrapper is collected
    restRows = count;
    at = 0;
    if (heapBytes(rest) > AHEAD_BYTES_MAX) return true;
    ahead = fetch();
    ahead.catch(() => undefined);
    return true;
  };
  /** Encodes rows of `rest` until the turn has its bytes; how many. */
  const encode = (encoder: RowEncoder): number => {
    const from = at;
    const step = rowsPerStep(rest, restRows);
    while (at < restRows && out.length < TURN_BYTES) {
      const to = Math.min(restRows, at + step);
      encodeRows(encoder, rest, at, to, out);
      at = to;
    }
    if (at === restRows) rest = [];
    return at - from;
  };

  const advance = async (): Promise<QueryChunk> => {
    let rows = 0;
    let until = 0;
    for (;;) {
      if (at === restRows && !(await take())) {
        await giveBack(held, false);
        return { rows, messages: rows === 0 || encoder === null ? null : out.take(), vectors: null, done: true };
      }
      if (encoder === null) {
        const vectors = rest;
        rest = [];
        at = restRows;
        return { rows: restRows, messages: null, vectors, done: false };
      }
      if (rows === 0) until = clock.monotonic() + TURN_MILLISECONDS;
      rows += encode(encoder);
      if (out.length >= TURN_BYTES || clock.monotonic() >= until)
        return { rows, messages: out.take(), vectors: null, done: false };
    }
  };

  return {
    opened: prepared.opened,
    async next() {
      if (held.lease === null) {
        if (held.cancelled) throw canceled();
        return END;
      }
      invariant(turn === null, 'one turn of a cursor at a time');
      turn = advance();
      try {
        return await turn;
      } catch (error) {
        await (ahead ?? Promise.resolve()).catch(() => undefined);
        throw await failed(held, error);
      } finally {
        turn = null;
      }
    },
    close() {
      closing ??= (async () => {
        if (held.lease === null) return;
        held.cancelled = true;
        const pending: readonly (Promise<unknown> | null)[] = [turn, started, ahead];
        await interruptUntil(held.lease, Promise.allSettled(pending.filter((promise) => promise !== null)), clock);
        if (held.lease !== null) await giveBack(held, true);
      })();
      return closing;
    },
  };
}
