/**
 * A SELECT carried out: on the main thread for a hot row by key, on PostgreSQL itself for what reads no Arka table, on
 * the engine for the rest. Rows leave as DataRow messages; a portal takes them in portions.
 */
import type { CatalogResult, RowCopies, SessionContext } from '../catalog/catalog-api.ts';
import { invariant, moved, SqlError, SqlState } from '../errors.ts';
import type { Relations } from '../ingest/relations.ts';
import type { Patience } from '../ingest/table-locks.ts';
import type { Transaction } from '../ingest/transaction.ts';
import type { StoredSequence } from '../sequence-def.ts';
import type { CopyOutOptions, QueryPlan, RenderedQuery, ColumnCalls, Statement } from '../planner/plan.ts';
import { copyDataRows, type CopyStyle } from '../types/copy-row.ts';
import { withVersionLsn } from '../planner/duckdb/lsn.ts';
import { withTimes, type Times } from '../planner/duckdb/session-time.ts';
import type { MemoryUnit } from '../storage/scan-spec.ts';
import { readStyles, stylesIn } from '../types/output-styles.ts';
import { typeLength, Oid } from '../types/pg-type.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import { parametersOf } from '../wire/bound-parameters.ts';
import type { BoundParameters, Output } from '../wire/gateway-api.ts';
import { describedColumns, discard } from './columns.ts';
import type { AdvisorySession } from './advisory-locks.ts';
import { countRowsOf } from './count.ts';
import { EngineCursor } from './cursor.ts';
import type { ServerContext } from './context.ts';
import { waitForLsn } from './follow.ts';
import { readIndexed } from './indexed.ts';
import { copyOfRows, mayResort, standing } from './last-resort.ts';
import { readPoint, type PointAnswer } from './point.ts';
import { carriedOut, innerFormats, outerColumns } from './column-calls.ts';
import type { Peer } from './peers.ts';
import { factsFor } from './relation-facts.ts';
import type { SessionSequences } from './sequences.ts';
import { noted } from './unhandled.ts';
import { sessionView } from './session-views.ts';
import { type ViewReader, viewRows } from './views.ts';
import { parameterValues } from './write-environment.ts';
import { uncancelled, type Running } from '../running.ts';

export interface QueryEnvironment {
  readonly context: ServerContext;
  readonly transaction: Transaction | null;
  readonly relations: Relations;
  readonly sequences: SessionSequences;
  readonly actions: SessionActions;
  readonly peer: Peer;
  readonly timeZone: string;
  readonly times: Times;
  readonly searchPath: readonly string[];
  /** The current user, where PostgreSQL is to look at his rights; null: a superuser's. */
  readonly role: string | null;
  /** Whom the views about the server tell. */
  readonly reader: ViewReader;
  /** Where the statement begins in the client's text. */
  readonly position: number;
  /** Told how to cancel what runs now. */
  readonly running: Running;
}

/** What functions do to a session. */
export interface SessionActions {
  readonly advisory: AdvisorySession;
  /** How long it waits for locks. */
  readonly patience: Patience;
  readonly warning: (code: string, message: string) => void;
  /** set_config(): what SET does; the value as SHOW says it. */
  readonly setConfig: (name: string | null, value: string | null, isLocal: boolean) => string;
  readonly sleep: (milliseconds: number) => Promise<void>;
  readonly notify: (channel: string, payload: string) => void;
  /** False: there is no such session. */
  readonly end: (pid: number, what: 'cancel' | 'terminate') => boolean;
  readonly now: () => number;
}

/** Rows that stand for a table of the query; released when it has ended. */
export interface StandIn {
  readonly buffers: ReadonlyMap<string, MemoryUnit>;
  readonly release: () => void;
}

/** Where rows come from: some messages at a time, null at the end. */
interface Source {
  next(): Promise<{ readonly rows: number; readonly messages: Uint8Array } | null>;
  close(): Promise<void>;
  /** Ends what runs; its reader gets 57014. */
  cancel?(): void;
}

function once(rows: number, messages: Uint8Array): Source {
  let left = rows > 0;
  return {
    next: () => {
      const chunk = left ? { rows, messages } : null;
      left = false;
      return Promise.resolve(chunk);
    },
    close: () => Promise.resolve(),
  };
}

const NO_MORE = once(0, new Uint8Array(0));

/** Where rows go. */
export type RowOutput = Pick<Output, 'dataRows'>;

export class QueryRun {
  readonly columns: readonly ResultColumn[];
  /** What its tag begins with. */
  #command = 'SELECT';
  /** Rows sent by the last `send`. */
  sent = 0;
  readonly #source: Source;
  readonly #running: QueryEnvironment['running'];
  #rest: Uint8Array | null = null;
  #restRows = 0;
  #ended = false;

  private constructor(
    columns: readonly ResultColumn[],
    source: Source,
    running: QueryEnvironment['running'] = uncancelled,
  ) {
    this.#running = running;
    this.columns = columns;
    this.#source = source;
  }

  /** `columns` null: not described yet; `formats` as in Bind, one a column when described. */
  static async open(
    environment: QueryEnvironment,
    plan: QueryPlan,
    parameters: BoundParameters,
    oids: readonly number[],
    columns: readonly ResultColumn[] | null,
    formats: readonly Format[],
    copy: CopyOutOptions | null = null,
    standIn: StandIn | null = null,
  ): Promise<QueryRun> {
    for (const { lsn, timeoutMs } of plan.waits ?? []) await waitForLsn(environment, lsn, timeoutMs);
    if (plan.calls !== undefined) return QueryRun.#calling(environment, plan.calls, parameters, oids, columns, formats);
    if (plan.route === 'catalog') {
      const result = await catalogResult(environment, plan, parameters, oids, formats);
      const saving = plan.hidden === undefined ? null : environment.sequences.settled();
      if (saving !== null) await saving;
      return QueryRun.#answered(result, columns, copy);
    }
    try {
      return await QueryRun.#byEngine(environment, plan, parameters, oids, columns, formats, copy, standIn);
    } catch (error) {
      if (!mayResort(plan, error)) throw error;
      const result = await overCopies(environment, plan, parameters, oids, formats, error, standIn);
      standIn?.release();
      return QueryRun.#answered(result, columns, copy);
    }
  }

  static #answered(
    { columns, rows, messages }: CatalogResult,
    described: readonly ResultColumn[] | null,
    copy: CopyOutOptions | null,
  ): QueryRun {
    const found = described ?? columns ?? [];
    return new QueryRun(found, once(rows, copy === null ? messages : copyDataRows(messages, copyStyle(copy, found))));
  }

  static async #byEngine(
    environment: QueryEnvironment,
    plan: QueryPlan,
    parameters: BoundParameters,
    oids: readonly number[],
    columns: readonly ResultColumn[] | null,
    formats: readonly Format[],
    copy: CopyOutOptions | null,
    standIn: StandIn | null,
  ): Promise<QueryRun> {
    const values = parameterValues(parameters, oids);
    const isHere = copy === null && standIn === null && columns !== null;
    const point = isHere ? (plan.point?.read(values) ?? null) : null;
    if (point !== null && point.fieldIds.length === columns?.length) {
      const found = await readPoint(environment, point, formats);
      if (found !== null) return new QueryRun(columns, once(found.rows, found.messages));
    }
    const rendered = plan.render(values);
    if (isHere) {
      const found = readHere(environment, plan, rendered, columns.length, formats);
      if (found !== null) return new QueryRun(columns, once(found.rows, found.messages));
    }
    const known = columns ?? (await describe(environment, plan, oids));
    const formatAt = (i: number): Format => (copy?.format === 'binary' ? 1 : (formats[i] ?? 0));
    const request = {
      rendered,
      tables: plan.tables,
      transaction: environment.transaction,
      columns:
        known?.map((column, i) => ({ typeOid: column.typeOid, typmod: column.typmod, format: formatAt(i) })) ?? null,
      formats: copy === null ? formats : [formatAt(0)],
      output: 'rows',
      ...(copy === null ? {} : { copy: copyStyle(copy, known) }),
      timeZone: environment.timeZone,
      times: environment.times,
      ...(standIn === null ? {} : { buffers: standIn.buffers }),
    } as const;
    const { database, engine } = environment.context;
    const cursor = await EngineCursor.open(database, engine, request, environment.running);
    environment.running(() => cursor.cancel());
    const found =
      known ??
      cursor.opened.columns.map((column) => ({
        ...column,
        tableOid: 0,
        attnum: 0,
        typlen: typeLength(column.typeOid),
      }));
    /** The engine works while the rows before are sent. */
    let ahead: ReturnType<EngineCursor['next']> | null = null;
    const source: Source = {
      next: async () => {
        const chunk = await (ahead ?? cursor.next());
        ahead = chunk === null ? null : cursor.next();
        ahead?.catch(() => undefined); // met by the next call, or nobody wants it
        return chunk === null ? null : { rows: chunk.rows, messages: chunk.messages! };
      },
      close: () => cursor.close().finally(standIn?.release),
      cancel: () => cursor.cancel(),
    };
    // What a value needs the engine may find out with the first rows.
    if (plan.copied !== undefined && standIn === null) {
      const { next } = source;
      source.next = async () => {
        source.next = next;
        try {
          return await next();
        } catch (error) {
          if (!mayResort(plan, error) || error.code !== SqlState.featureNotSupported) throw error;
          const result = await overCopies(environment, plan, parameters, oids, formats, error);
          Object.assign(source, QueryRun.#answered(result, found, copy).#source);
          return source.next();
        }
      };
    }
    return new QueryRun(found, source, environment.running);
  }

  static async #calling(
    environment: QueryEnvironment,
    calls: ColumnCalls,
    parameters: BoundParameters,
    oids: readonly number[],
    columns: readonly ResultColumn[] | null,
    formats: readonly Format[],
  ): Promise<QueryRun> {
    const inner = await QueryRun.open(environment, calls.inner, parameters, oids, null, innerFormats(calls, formats));
    return new QueryRun(
      columns ?? outerColumns(calls, inner.columns),
      {
        next: async () => {
          const chunk = await inner.#source.next();
          return chunk && { rows: chunk.rows, messages: await carriedOut(environment, calls, formats, chunk.messages) };
        },
        close: () => inner.close(),
        cancel: () => inner.#source.cancel?.(),
      },
      environment.running,
    );
  }

  /** Rows that have been sent. */
  static spent(columns: readonly ResultColumn[]): QueryRun {
    return new QueryRun(columns, NO_MORE);
  }

  /** Rows that a statement has given already, with its tag. */
  static kept(
    columns: readonly ResultColumn[],
    { rows, messages }: { readonly rows: number; readonly messages: Uint8Array },
    tag: string,
  ): QueryRun {
    const run = new QueryRun(columns, once(rows, messages));
    run.#command = tag.slice(0, tag.lastIndexOf(' '));
    return run;
  }

  /** After the last `send`, whose rows PostgreSQL counts. */
  get tag(): string {
    return `${this.#command} ${this.sent}`;
  }

  /**
   * The rows of a statement that reads no Arka table, each value as text.
   * @param reason why the engine does not run one that does: copies of rows stand for its tables
   */
  static async catalogRows(
    environment: QueryEnvironment,
    plan: QueryPlan,
    parameters: BoundParameters,
    oids: readonly number[],
    reason?: SqlError,
  ): Promise<(Uint8Array | null)[][]> {
    const inner = { ...environment, timeZone: readStyles(environment.timeZone, plan.text) };
    const { messages } = await (reason === undefined
      ? catalogResult(inner, plan, parameters, oids, [])
      : overCopies(inner, plan, parameters, oids, [], reason));
    return valuesIn(messages);
  }

  /** Sends at most `maxRows` (0: all); true at the end. */
  async send(out: RowOutput, maxRows: number): Promise<boolean> {
    this.sent = 0;
    const { cancel } = this.#source;
    if (cancel !== undefined && !this.#ended) this.#running(cancel);
    for (;;) {
      if (this.#rest === null) {
        const chunk = this.#ended ? null : await this.#source.next();
        if (chunk === null) {
          this.#ended = true;
          return true;
        }
        this.#rest = chunk.messages;
        this.#restRows = chunk.rows;
      }
      if (maxRows > 0 && this.sent === maxRows) return false;
      const room = maxRows === 0 ? this.#restRows : Math.min(this.#restRows, maxRows - this.sent);
      const bytes = room === this.#restRows ? this.#rest.length : lengthOfRows(this.#rest, room);
      const full = out.dataRows(this.#rest.subarray(0, bytes));
      this.sent += room;
      this.#restRows -= room;
      this.#rest = this.#restRows === 0 ? null : this.#rest.subarray(bytes);
      if (full !== undefined) await full;
    }
  }

  close(): Promise<void> {
    this.#ended = true;
    return this.#source.close();
  }
}

/** @throws {SqlError} 42703 for a column to quote that there is not */
function copyStyle(copy: CopyOutOptions, columns: readonly ResultColumn[] | null): CopyStyle {
  const { format, delimiter, null: nullText, quote, escape, forceQuote: forced } = copy;
  const names = forced === 'all' ? [] : forced;
  for (const name of names)
    if (columns?.some((column) => column.name === name) !== true)
      throw new SqlError(SqlState.undefinedColumn, `column "${name}" does not exist`);
  const forceQuote = (columns ?? []).map((column) => forced === 'all' || names.includes(column.name));
  return { format, delimiter, null: nullText, quote, escape, forceQuote };
}

/** What this thread can answer itself of more than one row, by a count or an index. Null: the engine must look. */
function readHere(
  environment: QueryEnvironment,
  { counts }: QueryPlan,
  { indexed }: RenderedQuery,
  width: number,
  formats: readonly Format[],
): PointAnswer | null {
  if (counts !== undefined) return countRowsOf(environment, counts, formats[0] ?? 0);
  return indexed?.fieldIds.length === width ? readIndexed(environment, indexed, formats) : null;
}

function lengthOfRows(messages: Uint8Array, rows: number): number {
  const view = new DataView(messages.buffer, messages.byteOffset, messages.byteLength);
  let at = 0;
  for (let i = 0; i < rows; i++) at += 1 + view.getInt32(at + 1);
  return at;
}

async function catalogResult(
  environment: QueryEnvironment,
  plan: QueryPlan,
  parameters: BoundParameters,
  oids: readonly number[],
  formats: readonly Format[],
): Promise<CatalogResult> {
  const { constants } = environment.context;
  if (plan.isConstant !== true || plan.hidden !== undefined || stylesIn(environment.timeZone) !== null)
    return askCatalog(environment, plan, parameters, oids, formats);
  let answer = constants.find(plan.text, formats);
  if (answer !== undefined) return answer;
  answer = await askCatalog(environment, plan, parameters, oids, formats);
  constants.keep(plan.text, formats, answer);
  return answer;
}

function askCatalog(
  environment: QueryEnvironment,
  plan: QueryPlan,
  parameters: BoundParameters,
  parameterOids: readonly number[],
  resultFormats: readonly Format[],
  copies?: RowCopies,
): Promise<CatalogResult> {
  const { context } = environment;
  const asked = /pg_listening_channels/i.test(plan.text) ? [...plan.views, 'arka.listening'] : plan.views;
  const views = asked.flatMap((view) => {
    const ofSessions = sessionView(context.peers, environment.peer, context.database, view);
    if (ofSessions !== null) return [ofSessions];
    const rows = viewRows(context, environment.reader, view);
    const dot = view.indexOf('.');
    return rows === null ? [] : [{ schema: view.slice(0, dot), name: view.slice(dot + 1), rows }]; // else PostgreSQL says 42P01
  });
  const facts = factsFor(plan, environment.relations);
  const signal = signalOf(environment.running);
  const given = withHidden(environment, plan, parameters, parameterOids);
  const lsn = context.database.committer.publishedLsn;
  const answered = () =>
    atStatement(
      environment.position,
      context.catalog.query(
        {
          ...given,
          sql: withTimes(withVersionLsn(given.sql, lsn), environment.times),
          resultFormats,
          context: catalogContext(environment),
          sequences: marksFor(plan.text, environment.relations),
          ...(facts === null ? {} : { facts }),
          ...(copies === undefined ? {} : { copies }),
          views,
        },
        signal,
      ),
    );
  return noted(context.unhandled, plan.text, answered);
}

/** What PostgreSQL is to know of a session. */
export function catalogContext({
  role,
  searchPath,
  timeZone: zone,
}: Pick<QueryEnvironment, 'role' | 'searchPath' | 'timeZone'>): SessionContext {
  return { searchPath, timeZone: zone, ...(role === null ? {} : { role }) };
}

/** Has PostgreSQL read a value of a type of its own, as a parameter. */
export async function readByPostgres(
  environment: QueryEnvironment,
  oid: number,
  format: Format,
  value: Uint8Array,
): Promise<void> {
  await environment.context.catalog.query({
    sql: 'SELECT $1 IS NULL',
    parameterOids: [oid],
    values: [value],
    formats: [format],
    resultFormats: [],
    context: catalogContext(environment),
    views: [],
  });
}

/** PostgreSQL runs it over copies of rows. @param reason what the engine said */
async function overCopies(
  environment: QueryEnvironment,
  plan: QueryPlan,
  parameters: BoundParameters,
  oids: readonly number[],
  formats: readonly Format[],
  reason: SqlError,
  standIn: StandIn | null = null,
): Promise<CatalogResult> {
  const { text, views, tables, whole } = plan.copied!();
  if (whole === undefined) await described(environment, plan, oids);
  else
    await described(environment, { ...plan, text: whole }, oids).catch((error: unknown) => {
      throw moved(error, null);
    });
  const copied = tables(parameterValues(parameters, oids));
  return environment.context.copies.turns.take(environment.running, async () => {
    const copies = await copyOfRows(environment, copied, reason, standing(plan, copied, standIn, reason));
    return askCatalog(environment, { ...plan, route: 'catalog', text, views }, parameters, oids, formats, copies);
  });
}

/** What PostgreSQL runs, with the values of calls of sequences behind the statement's own parameters. */
function withHidden(
  { sequences }: QueryEnvironment,
  { text, hidden }: QueryPlan,
  { formats, values }: BoundParameters,
  parameterOids: readonly number[],
) {
  if (hidden === undefined) return { sql: text, parameterOids, values, formats };
  const made = hidden.calls.map((call) => Buffer.from(String(sequences.generated(call))));
  const own = values.map((_, i) => (formats.length === 1 ? formats[0]! : (formats[i] ?? 0)));
  return {
    sql: hidden.sql,
    parameterOids: [
      ...Array.from({ length: hidden.from }, (_, i) => parameterOids[i] ?? 0),
      ...made.map(() => Oid.int8),
    ],
    values: [...values, ...made],
    formats: [...own, ...made.map((): Format => 0)],
  };
}

/** How far sequences have come, for a statement that may ask: it names one of them, or the views of all. */
function marksFor(text: string, relations: Relations): readonly StoredSequence[] {
  const asks = /sequence|last_value/i.test(text);
  return [...relations.sequences]
    .map((sequence) => ({ sequence, def: relations.sequenceDefinition(sequence) }))
    .filter(({ def }) => asks || text.includes(def.name))
    .map(({ sequence, def }) => ({ def, state: relations.sequenceState(sequence) }));
}

/** PostgreSQL counts positions in the statement that it was given; clients count in the text that they sent. */
export async function atStatement<T>(position: number, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw moved(error, position);
  }
}

/** Ends what waits for PostgreSQL: it may be at others' statements, or starting. */
export function signalOf(running: Running): AbortSignal {
  const abort = new AbortController();
  running(() => abort.abort());
  return abort.signal;
}

/** PostgreSQL's types for the result; null when only DuckDB knows a function in it, then its types count. */
async function describe(
  environment: QueryEnvironment,
  plan: QueryPlan,
  parameterOids: readonly number[],
): Promise<readonly ResultColumn[] | null> {
  try {
    return await described(environment, plan, parameterOids);
  } catch (error) {
    if (error instanceof SqlError && error.code === SqlState.undefinedFunction) return null;
    throw error;
  }
}

/** @throws what PostgreSQL says of the statement */
async function described(
  { context, timeZone: zone, searchPath, running, position }: QueryEnvironment,
  { text }: QueryPlan,
  parameterOids: readonly number[],
): Promise<readonly ResultColumn[] | null> {
  const request = { sql: text, parameterOids, context: { searchPath, timeZone: zone } };
  try {
    return (await atStatement(position, context.catalog.describe(request, signalOf(running)))).columns;
  } catch (error) {
    if (!(error instanceof SqlError && error.code === SqlState.undefinedFunction)) context.unhandled?.note(text, error);
    throw error;
  }
}

/** The values of DataRow messages. */
function valuesIn(messages: Uint8Array): (Uint8Array | null)[][] {
  const view = new DataView(messages.buffer, messages.byteOffset, messages.byteLength);
  const rows: (Uint8Array | null)[][] = [];
  for (let at = 0; at < messages.length;) {
    const end = at + 1 + view.getInt32(at + 1);
    const count = view.getInt16(at + 5);
    const row: (Uint8Array | null)[] = [];
    for (let i = 0, field = at + 7; i < count; i++) {
      const length = view.getInt32(field);
      field += 4;
      row.push(length < 0 ? null : messages.subarray(field, field + length));
      field += Math.max(0, length);
    }
    rows.push(row);
    at = end;
  }
  return rows;
}

/** The first row of a query as texts; null: it gives none. */
export async function firstRow(environment: QueryEnvironment, statement: Statement): Promise<string[] | null> {
  let first: string[] | null = null;
  await runThrough(environment, statement, (messages) => {
    first ??= valuesIn(messages)[0]?.map((value) => (value === null ? 'null' : Buffer.from(value).toString())) ?? null;
  });
  return first;
}

/** How many rows a query gives. */
export function countRows(environment: QueryEnvironment, statement: Statement): Promise<number> {
  return runThrough(environment, statement, () => {});
}

async function runThrough(
  environment: QueryEnvironment,
  statement: Statement,
  take: (messages: Uint8Array) => void,
): Promise<number> {
  invariant(statement.kind === 'query', 'rows are those of a query');
  const { plan } = statement;
  const columns = plan.described === null ? null : describedColumns(plan);
  const run = await QueryRun.open(environment, plan, parametersOf([], []), [], columns, []);
  try {
    await run.send(discard(take), 0);
    return run.sent;
  } finally {
    await run.close();
  }
}
