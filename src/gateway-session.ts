/**
 * One client's session: its settings, its transaction, its statements carried out. The way of a statement is
 * parse → plan (`planner/`) → engine, catalog or ingest → messages.
 */
import { randomInt } from 'node:crypto';
import { notSupported, SqlError, SqlState, unreachable } from './errors.ts';
import { headEnd, insertHead, type InsertHead } from './planner/insert-head.ts';
import { parseSql } from './planner/parse.ts';
import { planStatement } from './planner/plan-statement.ts';
import { endsFailedBlock } from './planner/utility.ts';
import type { CatalogView, ParsedStatement, Statement } from './planner/plan.ts';
import type { Format, ResultColumn } from './types/result-column.ts';
import { timeZone } from './types/time-zone.ts';
import { parametersOf } from './wire/bound-parameters.ts';
import type {
  BoundParameters,
  GatewaySession,
  MaybePromise,
  Output,
  Portal,
  Prepared,
  SessionEvents,
  TransactionStatus,
} from './wire/gateway-api.ts';
import { decodeUtf8 } from './wire/message-body.ts';
import { catalogView } from './gateway-catalog-view.ts';
import { copyFrom } from './gateway-copy.ts';
import { copyTo } from './gateway-copy-out.ts';
import { describedColumns, discard, sendLines } from './gateway-columns.ts';
import type { CarriedOut, ServerContext } from './gateway-context.ts';
import { define, isDefinition, type DefineEnvironment } from './gateway-define.ts';
import { explain } from './gateway-explain.ts';
import { maintain } from './gateway-maintain.ts';
import { ownFunction } from './gateway-functions.ts';
import { prepare, prepareSimple, revalidate, type Preparation, type SessionPrepared } from './gateway-prepare.ts';
import { insertText } from './gateway-insert.ts';
import { Interruption } from './gateway-interruption.ts';
import { formatsOf, SessionPortal } from './gateway-portal.ts';
import { openLocked } from './gateway-locking.ts';
import { countRows, QueryRun, type QueryEnvironment } from './gateway-query.ts';
import { displayName, type SessionSettings } from './gateway-settings.ts';
import { answerOf, keptRows, returningOf, type Answer } from './gateway-returning.ts';
import { SessionSequences } from './gateway-sequences.ts';
import { change } from './gateway-update.ts';
import { tablesOf } from './gateway-tables.ts';
import { SessionTransaction } from './gateway-transaction.ts';
import { control, inTransaction, verbOf } from './gateway-transaction-statements.ts';
import { insert, insertValues } from './gateway-write.ts';
import type { WriteEnvironment } from './gateway-write-environment.ts';

export const NO_PARAMETERS: BoundParameters = parametersOf([], []);
const NO_FORMATS: readonly Format[] = [];

type Query = Extract<Statement, { kind: 'query' }>;

const EMPTY: Statement = { kind: 'empty' };
let nextPlaceholder = 1;

export class Session implements GatewaySession {
  readonly pid: number;
  readonly secret = randomInt(1, 2 ** 31 - 1);
  readonly parameters: ReadonlyMap<string, string>;
  readonly #context: ServerContext;
  readonly #settings: SessionSettings;
  readonly #sequences: SessionSequences;
  readonly #events: SessionEvents;
  readonly #closed: () => void;
  readonly #transaction: SessionTransaction;
  readonly #interruption: Interruption;
  /** One of several statements of a text runs: they are one transaction. */
  #several = false;
  /** Where the statement under way begins in its text, for PostgreSQL's error positions. */
  #position = 0;
  #open = true;
  readonly #portals = new Set<SessionPortal>();
  /** Portals bound so far. */
  #bound = 0;
  /** It has written since it was last asked what it owes; a COPY writes all the time. */
  #wrote = false;
  #copying = false;
  #timeContext: (WriteEnvironment['time'] & { readonly name: string }) | null = null;

  constructor(
    context: ServerContext,
    pid: number,
    settings: SessionSettings,
    events: SessionEvents,
    closed: () => void,
  ) {
    this.#context = context;
    this.pid = pid;
    this.#settings = settings;
    this.#sequences = new SessionSequences(context.database);
    this.#events = events;
    this.#closed = closed;
    this.parameters = settings.reported();
    this.#interruption = new Interruption(context.clock, settings, (error) => events.terminate(error));
    this.#transaction = new SessionTransaction({
      database: context.database,
      settings,
      sequences: this.#sequences,
      pid,
      warning: (code, message) => this.#warning(code, message),
      portals: () => this.#bound,
      closePortals: (from) => this.#closePortals(from),
      began: () => this.#interruption.began(),
      ended: () => this.#interruption.ended(),
    });
  }

  status(): TransactionStatus {
    return this.#transaction.status;
  }

  owes(bytes: number): Promise<void> | null {
    if (!this.#wrote && !this.#copying) return null;
    this.#wrote = false;
    return this.#context.database.pressure.charge(bytes);
  }

  heldBytes(): number {
    let bytes = 0;
    for (const portal of this.#portals) bytes += portal.heldBytes;
    return bytes;
  }

  /** CancelRequest: ends what runs with 57014. */
  cancel(): void {
    this.#interruption.cancel();
  }

  async simple(text: string, out: Output): Promise<void> {
    this.#interruption.busy();
    try {
      const statements = parseSql(text);
      if (statements.length === 0) out.emptyQuery();
      this.#several = statements.length > 1;
      for (let i = 0; i < statements.length; i++)
        await this.#simpleStatement(statements[i]!, i === statements.length - 1, out);
    } catch (error) {
      this.#transaction.fail();
      throw error;
    } finally {
      this.#several = false;
      this.#interruption.idle(this.#transaction.inBlock);
    }
  }

  simpleBytes(sql: Uint8Array, out: Output): MaybePromise<void> | null {
    this.#interruption.busy();
    const at = headEnd(sql);
    const { failed, lacksSnapshot } = this.#transaction;
    const refused = failed || lacksSnapshot || this.#settings.readOnly || this.#context.database.locks.busy;
    const head = at < 0 || refused ? null : insertHead(sql, at);
    return head === null ? null : this.#simpleInsert(head, sql, at, out);
  }

  async #simpleInsert(head: InsertHead, sql: Uint8Array, at: number, out: Output): Promise<void> {
    try {
      const { database } = this.#context;
      this.#interruption.begin();
      this.#transaction.enter(null);
      if (database.pressed) await this.#interruption.guarded(() => database.admit());
      const environment = (): WriteEnvironment => this.#writeEnvironment(NO_PARAMETERS, []);
      const pending = insertText(head, sql, at, this.#view(), this.#planText, environment);
      if (pending !== null) {
        const tag = pending instanceof Promise ? await this.#interruption.guarded(() => pending) : pending;
        if (!this.#transaction.inBlock) await this.#transaction.commitNow();
        this.#interruption.idle(this.#transaction.inBlock);
        out.commandComplete(tag);
        return;
      }
    } catch (error) {
      this.#transaction.fail();
      this.#interruption.idle(this.#transaction.inBlock);
      throw error;
    }
    await this.simple(decodeUtf8(sql, 0, sql.length), out);
  }

  /** A text of one statement. */
  readonly #planText = (text: string): Statement | null => {
    const [parsed, ...rest] = parseSql(text);
    return parsed === undefined || rest.length > 0 ? null : this.#plan(parsed, []);
  };

  async #simpleStatement(parsed: ParsedStatement, last: boolean, out: Output): Promise<void> {
    this.#checkBlock(parsed);
    const statement = await this.#held(() => this.#plan(parsed, []));
    if (statement.kind === 'empty') {
      out.emptyQuery();
      return;
    }
    this.#position = parsed.position;
    const prepared = await prepareSimple(this.#preparation(), parsed, statement);
    const columns = prepared?.columns ?? null;
    if (!inTransaction(statement)) this.#transaction.enter(verbOf(statement));
    if (columns !== null) out.rowDescription(columns, NO_FORMATS);
    const answer = columns === null ? null : { columns, formats: NO_FORMATS, out };
    const tag = await this.#run(prepared?.statement ?? statement, NO_PARAMETERS, [], out, false, answer);
    if (last && !this.#transaction.inBlock) await this.#transaction.commitNow();
    out.commandComplete(tag);
  }

  parse(text: string, parameterOids: readonly number[]): MaybePromise<Prepared> {
    this.#interruption.busy();
    const statements = parseSql(text);
    if (statements.length > 1)
      throw new SqlError(SqlState.syntaxError, 'cannot insert multiple commands into a prepared statement');
    const [parsed] = statements;
    if (parsed !== undefined) this.#checkBlock(parsed);
    const statement = parsed === undefined ? EMPTY : this.#plan(parsed, parameterOids);
    return prepare(this.#preparation(), parsed ?? null, statement, parameterOids);
  }

  #preparation(): Preparation {
    const { catalog, database } = this.#context;
    const { searchPath, timeZone } = this.#settings;
    return {
      generation: database.generation,
      plan: (parsed, oids) => this.#plan(parsed, oids),
      describe: (sql, parameterOids) => catalog.describe({ sql, parameterOids, context: { searchPath, timeZone } }),
    };
  }

  bind(prepared: Prepared, parameters: BoundParameters, resultFormats: readonly Format[]): Portal {
    this.#interruption.busy();
    const known = prepared as SessionPrepared;
    if (known.parsed !== null && parameters.starts.length < known.parsed.parameterCount) {
      throw new SqlError(
        SqlState.protocolViolation,
        `bind message supplies ${parameters.starts.length} parameters, but prepared statement requires ${known.parsed.parameterCount}`,
      );
    }
    const count = known.columns?.length ?? 0;
    const formats = count === 0 ? NO_FORMATS : formatsOf(count, resultFormats);
    if (known.parsed !== null) this.#checkBlock(known.parsed);
    const portal = new SessionPortal(this.#portals, known, parameters, formats, this.#bound++);
    this.#portals.add(portal);
    return portal;
  }

  execute(opened: Portal, maxRows: number, out: Output): MaybePromise<void> {
    this.#interruption.busy();
    const portal = opened as SessionPortal;
    const { prepared } = portal;
    if (prepared.parsed !== null) this.#checkBlock(prepared.parsed);
    const statement = this.#current(prepared);
    this.#position = prepared.parsed?.position ?? 0;
    const { database } = this.#context;
    if (
      statement.kind !== 'insert' ||
      statement.source.kind !== 'values' ||
      database.pressed ||
      database.locks.busy ||
      this.#transaction.lacksSnapshot ||
      (portal.columns !== null && (maxRows > 0 || prepared.generation !== database.generation))
    )
      return this.#execute(portal, maxRows, out);
    this.#transaction.enter('INSERT');
    this.#runOnce(portal);
    this.#interruption.begin();
    const answer = answerOf(portal, out);
    const tag = insertValues(this.#writeEnvironment(portal.parameters, prepared.parameterOids, answer), statement);
    if (tag instanceof Promise) return this.#interruption.guarded(async () => out.commandComplete(await tag));
    out.commandComplete(tag);
    return undefined;
  }

  #runOnce(portal: SessionPortal): void {
    if (portal.finished) throw new SqlError(SqlState.objectNotInPrerequisiteState, 'portal cannot be run');
    portal.finished = true;
  }

  async #execute(portal: SessionPortal, maxRows: number, out: Output): Promise<void> {
    const { prepared } = portal;
    let statement = this.#current(prepared);
    if (portal.run === null) {
      statement = await this.#held(() => this.#current(prepared));
      statement = (await revalidate(this.#preparation(), prepared)) ?? statement;
    }
    if (statement.kind === 'empty') {
      out.emptyQuery();
      return;
    }
    if (statement.kind !== 'query' && portal.run === null) {
      this.#runOnce(portal);
      const kept = maxRows > 0 && returningOf(statement) !== null ? keptRows(out) : null;
      const answer = answerOf(portal, kept ?? out);
      const tag = await this.#run(statement, portal.parameters, prepared.parameterOids, out, true, answer);
      if (kept === null) {
        out.commandComplete(tag);
        return;
      }
      portal.run = QueryRun.kept(portal.columns!, kept.take(), tag);
    }
    this.#transaction.enter(verbOf(statement));
    if (this.#transaction.lacksSnapshot) await this.#transaction.takeSnapshot();
    if (statement.kind === 'query' && portal.run === null) {
      if (portal.finished) throw new SqlError(SqlState.invalidCursorName, 'portal does not exist');
      const { columns, formats } = portal;
      portal.run = await this.#interruption.guarded(() =>
        this.#openQuery(statement, portal.parameters, prepared.parameterOids, columns, formats),
      );
    }
    const run = portal.run!;
    const done = await this.#interruption.guarded(() => run.send(out, maxRows));
    if (done) out.commandComplete(run.tag);
    else out.portalSuspended();
  }

  /** A plan whose tables stay as they are until the transaction ends; whoever changes one is waited for. */
  #held(plan: () => Statement): MaybePromise<Statement> {
    const statement = plan();
    const { hold } = this.#transaction;
    const wait = this.#context.database.locks.share(hold, tablesOf(statement), this.#interruption);
    if (wait === null) return statement;
    return this.#interruption.guarded(() => wait).then(() => this.#held(plan));
  }

  /** The statement as the definitions are now. */
  #current(prepared: SessionPrepared): Statement {
    if (prepared.parsed === null || prepared.generation === this.#context.database.generation)
      return prepared.statement;
    return this.#plan(prepared.parsed, prepared.parameterOids);
  }

  sync(): MaybePromise<void> {
    this.#interruption.idle(this.#transaction.inBlock);
    return this.#transaction.inBlock ? undefined : this.#transaction.commitNow();
  }

  failed(): void {
    this.#transaction.fail();
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#interruption.close();
    this.#transaction.close();
    this.#closed();
    for (const portal of this.#portals) await portal.run?.close();
  }

  /** Carries a statement out; its command tag. `extended`: rows go without RowDescription. */
  async #run(
    statement: Statement,
    parameters: BoundParameters,
    oids: readonly number[],
    out: Output,
    extended = false,
    answer: Answer | null = null,
  ): Promise<string> {
    this.#interruption.begin();
    if (!inTransaction(statement)) {
      this.#transaction.enter(verbOf(statement));
      if (this.#transaction.lacksSnapshot) await this.#transaction.takeSnapshot();
    }
    switch (statement.kind) {
      case 'query':
        return this.#select(statement, out);
      case 'insert':
        return this.#write((environment) => insert(environment, statement), parameters, oids, answer);
      case 'update':
      case 'delete':
      case 'truncate':
      case 'merge':
        return this.#write((environment) => change(environment, statement), parameters, oids, answer);
      case 'copyFrom':
        this.#copying = true;
        return this.#write((environment) => copyFrom(environment, statement, out), parameters, oids).finally(() => {
          this.#copying = false;
        });
      case 'copyTo':
        return this.#interruption.guarded(() => copyTo(this.#queryEnvironment(), statement, out));
      case 'explain': {
        const lines = await explain(this.#queryEnvironment(), statement, (inner) =>
          this.#run(inner, parameters, oids, discard()),
        );
        sendLines('QUERY PLAN', lines, out, extended);
        return 'EXPLAIN';
      }
      case 'show':
        sendLines(displayName(statement.name), [this.#settings.shown(statement.name)], out, extended);
        return 'SHOW';
      case 'vacuum':
        if (this.#transaction.inBlock || this.#several)
          throw new SqlError(SqlState.activeSqlTransaction, 'VACUUM cannot run inside a transaction block');
        await this.#transaction.commitNow();
        return this.#maintain(statement);
      case 'checkpoint':
      case 'call':
        return this.#maintain(statement);
      case 'empty':
        return '';
      default:
        return this.#define(statement);
    }
  }

  /** Definitions, transactions and settings. */
  async #define(statement: Exclude<Statement, { kind: CarriedOut }>): Promise<string> {
    if (isDefinition(statement)) {
      await this.#outsideBlock(verbOf(statement)!);
      const { definitionsChanged, ...context } = this.#context;
      const { searchPath, timeZone: zone } = this.#settings;
      const environment: DefineEnvironment = {
        ...context,
        searchPath,
        timeZone: zone,
        notice: (code, message, detail) => this.#notice(code, message, detail),
        hold: this.#transaction.hold,
        patience: this.#interruption,
        time: this.#time(),
        view: this.#view(),
        insertQuery: (sql) => this.#insertQuery(sql),
        countRows: (sql) => countRows(this.#queryEnvironment(), this.#plan(parseSql(sql)[0]!, [])),
      };
      return this.#interruption.guarded(() => define(environment, statement)).finally(definitionsChanged);
    }
    switch (statement.kind) {
      case 'begin':
      case 'commit':
      case 'rollback':
      case 'savepoint':
      case 'release':
      case 'rollbackTo':
      case 'lockTable':
      case 'setTransaction':
      case 'set':
        return control(this.#transaction, this.#settings, statement, (what) => this.#warnOutsideBlock(what));
      case 'resetAll':
        this.#settings.resetAll();
        return 'RESET';
      case 'discard':
        if (statement.what === 'all' || statement.what === 'sequences') this.#sequences.discard();
        if (statement.what === 'all') {
          this.#settings.resetAll();
          this.#events.deallocate(null);
        } else if (statement.what === 'plans') this.#events.deallocate(null);
        return `DISCARD ${statement.what.toUpperCase()}`;
      case 'deallocate':
        if (!this.#events.deallocate(statement.name) && statement.name !== null)
          throw new SqlError(SqlState.invalidSqlStatementName, `prepared statement "${statement.name}" does not exist`);
        return statement.name === null ? 'DEALLOCATE ALL' : 'DEALLOCATE';
      case 'accepted':
        return statement.tag;
      default:
        return unreachable(statement);
    }
  }

  /** The rows of a table that was just made, as a transaction. */
  async #insertQuery(sql: string): Promise<string> {
    const statement = await this.#held(() => this.#plan(parseSql(sql)[0]!, []));
    const tag = await this.#run(statement, NO_PARAMETERS, [], discard());
    await this.#transaction.commitNow();
    return tag;
  }

  /** @throws {SqlError} 25P02 */
  #checkBlock(parsed: ParsedStatement): void {
    if (!this.#transaction.failed || parsed.node === null || endsFailedBlock(parsed.node)) return;
    throw new SqlError(
      SqlState.inFailedSqlTransaction,
      'current transaction is aborted, commands ignored until end of transaction block',
    );
  }

  #warnOutsideBlock(what: string): void {
    if (this.#transaction.inBlock || this.#several) return;
    this.#warning(SqlState.noActiveSqlTransaction, `${what} can only be used in transaction blocks`);
  }

  /** Those of a savepoint that is rolled back. */
  #closePortals(from: number): void {
    for (const portal of this.#portals) if (portal.number >= from) portal.die();
  }

  async #select(statement: Query, out: Output): Promise<string> {
    return this.#interruption.guarded(async () => {
      const { plan } = statement;
      const columns = plan.described === null ? null : describedColumns(plan);
      const run = await this.#openQuery(statement, NO_PARAMETERS, [], columns, []);
      try {
        out.rowDescription(run.columns, NO_FORMATS);
        await run.send(out, 0);
        return run.tag;
      } finally {
        await run.close();
      }
    });
  }

  async #openQuery(
    { plan, lock }: Query,
    parameters: BoundParameters,
    oids: readonly number[],
    columns: readonly ResultColumn[] | null,
    formats: readonly Format[],
  ): Promise<QueryRun> {
    if (lock === undefined) return QueryRun.open(this.#queryEnvironment(), plan, parameters, oids, columns, formats);
    const environment = this.#writeEnvironment(parameters, oids);
    return openLocked(environment, this.#queryEnvironment(), { plan, lock }, columns, formats);
  }

  #write(
    work: (environment: WriteEnvironment) => Promise<string>,
    parameters: BoundParameters,
    parameterOids: readonly number[],
    answer: Answer | null = null,
  ): Promise<string> {
    const environment = this.#writeEnvironment(parameters, parameterOids, answer);
    return this.#interruption.guarded(() => work(environment));
  }

  /** For one statement, in the transaction that is open or begins with it. */
  #writeEnvironment(
    parameters: BoundParameters,
    parameterOids: readonly number[],
    answer: Answer | null = null,
  ): WriteEnvironment {
    this.#wrote = true;
    const { database, engine } = this.#context;
    return {
      database,
      engine,
      transaction: this.#transaction.writing(),
      time: this.#time(),
      timeZone: this.#settings.timeZone,
      parameters,
      parameterOids,
      catalogRows: (plan) => QueryRun.catalogRows(this.#queryEnvironment(), plan, parameters, parameterOids),
      running: this.#interruption.running,
      lockWait: this.#interruption.lockWait,
      answer,
    };
  }

  /** The same object while the zone is the same: writers of statements are kept with it. */
  #time(): WriteEnvironment['time'] {
    const name = this.#settings.timeZone;
    if (this.#timeContext?.name !== name) {
      const now = (): number => this.#context.clock.now() * 1000;
      const user = this.#settings.get('session_authorization')!;
      this.#timeContext = { name, timeZone: timeZone(name), now, user, sequences: this.#sequences };
    }
    return this.#timeContext;
  }

  #queryEnvironment(): QueryEnvironment {
    return {
      context: this.#context,
      transaction: this.#transaction.current,
      sequences: this.#sequences,
      timeZone: this.#settings.timeZone,
      searchPath: this.#settings.searchPath,
      position: this.#position,
      running: this.#interruption.running,
    };
  }

  async #outsideBlock(what: string): Promise<void> {
    if (this.#transaction.inBlock) throw notSupported(`${what} inside a transaction block`);
    await this.#transaction.commitNow();
  }

  #maintain(statement: Extract<Statement, { kind: 'checkpoint' | 'call' | 'vacuum' }>): Promise<string> {
    return maintain(this.#context.database, statement, (message) =>
      this.#events.notice({ severity: 'INFO', code: '00000', message }),
    );
  }

  #notice(code: string, message: string, detail?: string): void {
    this.#events.notice({ severity: 'NOTICE', code, message, ...(detail === undefined ? {} : { detail }) });
  }

  #warning(code: string, message: string): void {
    this.#events.notice({ severity: 'WARNING', code, message });
  }

  #plan(parsed: ParsedStatement, parameterOids: readonly number[]): Statement {
    return planStatement(parsed, this.#view(), {
      parameterOids,
      placeholder: () => `__arka_scan_${nextPlaceholder++}`,
      constants: (name, args) =>
        ownFunction({ database: this.#context.database, settings: this.#settings, pid: this.pid }, name, args),
      timeZone: this.#settings.timeZone,
    });
  }

  #view(): CatalogView {
    return catalogView(this.#context.database, this.#settings.searchPath);
  }
}
