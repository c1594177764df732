/**
 * Carries a session's statements out, in its transaction: parse → plan (`planner/`) → engine, catalog or ingest → messages. Whichever
 * message brought them: `gateway/simple.ts` takes them from Query, `gateway/extended.ts` from Parse, Bind and Execute.
 */
import { randomBytes } from 'node:crypto';
import { SqlError, SqlState, unreachable } from '../errors.ts';
import { parseSql } from '../planner/parse.ts';
import { planStatement, type PlannerEnvironment } from '../planner/plan-statement.ts';
import type { CatalogView, NestedLocks, ParsedStatement, Statement } from '../planner/plan.ts';
import { Privilege } from '../rights/privileges.ts';
import { FIRST_SUPERUSER } from '../rights/roles.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import { timeZone } from '../types/time-zone.ts';
import type { BoundParameters, MaybePromise, Output, SessionEvents } from '../wire/gateway-api.ts';
import { catalogView, contextWith } from './catalog-view.ts';
import { copyFrom } from './copy.ts';
import { copyTo } from './copy-out.ts';
import type { SessionActivity } from './activity.ts';
import { carryOut } from './channels.ts';
import { askRights } from './column-rights.ts';
import { describedColumns, discard, planColumn, sendLines, textColumn } from './columns.ts';
import type { CarriedOut, ServerContext } from './context.ts';
import { cursorRow } from './current-of.ts';
import { isDefinition } from './define.ts';
import { explain } from './explain.ts';
import { maintain } from './maintain.ts';
import { ownFunction } from './functions.ts';
import { carryOutWith } from './modifying-with.ts';
import { endPeer, sleep, type Peer } from './peers.ts';
import { refuseInUse, refuseToFreeze, refuseToDefine } from './tables-in-use.ts';
import { discardTemporary, generationOf } from './temporary.ts';
import type { Preparation, SessionPrepared } from './prepare.ts';
import { KeptPlans } from './kept-plans.ts';
import type { Interruption } from './interruption.ts';
import { NO_FORMATS, NO_PARAMETERS } from './no-parameters.ts';
import type { PointEnvironment } from './point.ts';
import { ownTables, permit, permitSchema, usable } from './permission.ts';
import { carryOutRole, isAboutRoles } from './roles.ts';
import type { SessionAccess } from './session-access.ts';
import { SessionDefinitions } from './session-definitions.ts';
import { behindLocks, lockNested, lockSelected, openBehind } from './locking.ts';
import { QueryRun, signalOf, type QueryEnvironment, type SessionActions } from './query.ts';
import { ALL, SHOW_ALL, shownColumns } from './show.ts';
import { spoolFilesOf, type SpoolFiles } from './row-spool.ts';
import { displayName, type SessionSettings } from './settings.ts';
import type { Answer, ClientAnswer } from './returning.ts';
import type { SessionNames } from './session-names.ts';
import type { SessionSequences } from './sequences.ts';
import { type OpenedPortal, SqlCursors } from './sql-cursors.ts';
import { SqlPrepared } from './sql-prepared.ts';
import { change } from './update.ts';
import type { SessionTimes } from './times.ts';
import { holdTables, lockTables, restartIdentities } from './table-locking.ts';
import type { SessionTransaction } from './transaction.ts';
import { control, forget, inTransaction, verbOf, setModes } from './transaction-statements.ts';
import { insert } from './write.ts';
import type { WriteEnvironment } from './write-environment.ts';
import { noted } from './unhandled.ts';

/** What a session gives to its statements. */
export interface StatementParts {
  readonly context: ServerContext;
  readonly peer: Peer;
  readonly settings: SessionSettings;
  readonly access: SessionAccess;
  readonly sequences: SessionSequences;
  readonly events: SessionEvents;
  readonly transaction: SessionTransaction;
  readonly interruption: Interruption;
  readonly times: SessionTimes;
  readonly names: SessionNames;
}

type Of<K extends Statement['kind']> = Extract<Statement, { kind: K }>;

/** Names of scans in a statement's SQL, which no client can have written into it. */
const SCANS = `__arka_scan_${randomBytes(8).toString('hex')}_`;
let nextPlaceholder = 1;
/** What statements of those who are no superusers were planned from. */
const planned = new WeakMap<Statement, ParsedStatement>();

export class SessionStatements {
  readonly transaction: SessionTransaction;
  readonly settings: SessionSettings;
  readonly access: SessionAccess;
  readonly interruption: Interruption;
  readonly context: ServerContext;
  readonly times: SessionTimes;
  /** One of several statements of a text runs: they are one transaction. */
  several = false;
  /** Where the statement under way begins in its text, for PostgreSQL's error positions. */
  position = 0;
  readonly #peer: Peer;
  readonly #names: SessionNames;
  readonly #prepared: SqlPrepared;
  readonly #cursors: SqlCursors;
  readonly #definitions = new SessionDefinitions(this);
  /** Plans that hold what a function of Arka's answered: it may answer otherwise next time. */
  readonly #momentary = new WeakSet<Statement>();
  readonly #plans = new KeptPlans();
  readonly sequences: SessionSequences;
  readonly #actions: SessionActions;
  readonly #events: SessionEvents;
  /** The message under way is the first since the client had the word. */
  #isFirst = false;
  /** It has written since it was last asked what it owes; a COPY writes all the time. */
  #wrote = false;
  #copying = false;
  #timeContext: (WriteEnvironment['time'] & { readonly name: string }) | null = null;

  constructor(parts: StatementParts) {
    this.context = parts.context;
    this.settings = parts.settings;
    this.access = parts.access;
    this.transaction = parts.transaction;
    this.interruption = parts.interruption;
    this.times = parts.times;
    this.#peer = parts.peer;
    this.sequences = parts.sequences;
    this.#actions = {
      advisory: this.transaction.advisory,
      patience: this.interruption,
      warning: this.warning,
      setConfig: (name, value, isLocal) => this.#setConfig(name, value, isLocal),
      sleep: (milliseconds) => sleep(this.context.clock, this.interruption, this.#peer.activity, milliseconds),
      notify: (channel, payload) => this.transaction.listener.notify(channel, payload),
      end: (pid, what) => endPeer(this.context.peers, this.#peer, pid, what, this.warning),
      now: () => this.now(),
    };
    this.#events = parts.events;
    this.#names = parts.names;
    this.#prepared = new SqlPrepared(this.#names, this);
    this.#cursors = new SqlCursors(this.#names, this);
  }

  get activity(): SessionActivity {
    return this.#peer.activity;
  }

  /** Rows of cursors that memory has no room for. */
  get files(): SpoolFiles {
    return spoolFilesOf(this.context);
  }

  isInBlock(): boolean {
    return this.transaction.inBlock || this.several;
  }

  now(): number {
    return this.context.clock.now();
  }

  owes(bytes: number): Promise<void> | null {
    if (!this.#wrote && !this.#copying) return null;
    this.#wrote = false;
    return this.context.database.pressure.charge(bytes);
  }

  /** Before a statement is carried out. @throws {SqlError} 25006 */
  enter(statement: Statement): void {
    this.transaction.enter(this.settings.readOnly ? verbOf(statement) : null);
  }

  /** A message of the client, and what it asks for. */
  messageComes(): void {
    this.interruption.busy();
    this.interruption.begin();
    this.#isFirst = this.#peer.activity.begin();
    this.times.message();
  }

  /** When the message under way came, as near as no clock is asked twice for it. */
  get messageAt(): number {
    return this.#isFirst ? this.#peer.activity.queryAt : this.now();
  }

  preparation(): Preparation {
    const { catalog, unhandled } = this.seen;
    const { searchPath, timeZone } = this.settings;
    return {
      generation: this.generation,
      now: this.now(),
      timeZone,
      transactionAt: () => this.times.transaction,
      plan: (parsed, oids) => this.plan(parsed, oids),
      describe: (sql, parameterOids) =>
        noted(unhandled, sql, () =>
          catalog.describe(
            { sql, parameterOids, context: { searchPath, timeZone } },
            signalOf(this.interruption.running),
          ),
        ),
      prepared: (name) => this.#names.statements.get(name),
      portal: (name) => this.#names.portals.byName.get(name),
    };
  }

  /** A plan whose tables stay as they are until the transaction ends; whoever changes one is waited for. */
  held(plan: () => Statement): MaybePromise<Statement> {
    const statement = plan();
    const open = this.permit(statement);
    if (open !== null)
      return askRights(this, open, statement).then(() => holdTables(this, plan, statement) ?? statement);
    return holdTables(this, plan, statement) ?? statement;
  }

  /** Of definitions, and of the settings that plans are made with. */
  get generation(): number {
    return generationOf(this.context.database, this.settings);
  }

  /** A prepared statement as definitions and settings are now. */
  current(prepared: SessionPrepared): Statement {
    const { generation, parsed, statement, parameterOids } = prepared;
    if (parsed === null || (generation === this.generation && !this.#momentary.has(statement))) return statement;
    return this.plan(parsed, parameterOids);
  }

  /** Whom PostgreSQL is to take it for; null: for its superuser. */
  get role(): string | null {
    return this.access.role.oid === FIRST_SUPERUSER ? null : this.access.currentUser;
  }

  /** What PostgreSQL is to be asked yet. @throws {SqlError} 42501 */
  permit(statement: Statement): ParsedStatement | null {
    if (this.access.superuser) return null;
    const filling = statement.kind === 'createTableAs' && statement.executed === null ? statement.query : null;
    const open = filling === null ? null : this.permit(this.plan(parseSql(filling)[0]!, []));
    const asked = { access: this.access, relations: this.transaction.relations, searchPath: this.searchPath };
    return open ?? permit(asked, statement, planned.get(statement) ?? null);
  }

  /** Schemas that the session looks into. */
  get searchPath(): readonly string[] {
    const { searchPath } = this.settings;
    return this.access.superuser ? searchPath : usable(this.access, searchPath);
  }

  /** Carries a statement out; its command tag. `extended`: rows go without RowDescription. */
  async run(
    statement: Statement,
    parameters: BoundParameters,
    oids: readonly number[],
    out: Output,
    extended = false,
    answer: ClientAnswer | null = null,
  ): Promise<string> {
    this.interruption.begin();
    if (!inTransaction(statement)) {
      this.enter(statement);
      if (this.transaction.lacksSnapshot) await this.transaction.takeSnapshot();
    }
    switch (statement.kind) {
      case 'query':
        return this.#select(statement, out);
      case 'insert':
        return this.#write((each) => insert(each, statement), parameters, oids, answer, statement.locks);
      case 'update':
      case 'delete':
      case 'merge':
        return this.#write((each) => change(each, statement), parameters, oids, answer, statement.locks);
      case 'with':
        return this.#write((each) => carryOutWith(each, this, statement), parameters, oids, answer, statement.locks);
      case 'truncate':
        refuseInUse(this.#names.portals, statement.defs, 'TRUNCATE');
        return this.#write((each) => change(each, statement), parameters, oids).then((tag) =>
          restartIdentities(this, statement, tag),
        );
      case 'copyFrom':
        if (statement.options.freeze) refuseToFreeze(this.#names.portals, this.transaction.current, statement.def);
        this.#copying = true;
        return this.#write((environment) => copyFrom(environment, statement, out), parameters, oids).finally(() => {
          this.#copying = false;
        });
      case 'copyTo':
        return this.interruption.guarded(() => copyTo(this.queryEnvironment(), statement, out));
      case 'explain': {
        const explained = await this.#prepared.explained(statement, parameters, oids);
        const run = (inner: Statement): Promise<string> =>
          this.run(inner, explained.parameters, explained.oids, discard());
        const lines = await explain(this.queryEnvironment(), explained.statement, run, () => this.transaction.current);
        sendLines(planColumn(explained.statement.format), lines, out, extended);
        return 'EXPLAIN';
      }
      case 'show':
        if (statement.name === ALL) return this.#showAll(out, extended);
        sendLines(textColumn(displayName(statement.name)), [this.settings.shown(statement.name)], out, extended);
        return 'SHOW';
      case 'prepare':
        return this.#prepared.prepare(statement);
      case 'execute':
        return this.#prepared.execute(statement, out, extended, answer);
      case 'declare':
        return this.#cursors.declare(statement, parameters, oids);
      case 'fetch':
        return this.#cursors.fetch(statement, out, extended, answer);
      case 'vacuum':
        if (this.transaction.inBlock || this.several)
          throw new SqlError(SqlState.activeSqlTransaction, 'VACUUM cannot run inside a transaction block');
        await this.transaction.commitNow();
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
      refuseToDefine(this.#names.portals, this.transaction.relations, this.searchPath, statement);
      if (statement.kind !== 'createTableAs' || statement.executed === null)
        return this.#definitions.carryOut(statement);
      const { filled, given } = await this.#prepared.filling(statement, statement.executed);
      return this.#definitions.carryOut(filled, given);
    }
    if (statement.kind === 'dropOwned') return this.#definitions.dropOwned(statement);
    if (isAboutRoles(statement)) {
      const { relations } = this.transaction;
      const { access, notice, searchPath, warning } = this;
      return carryOutRole({ access, relations, searchPath, time: this.time(), notice, warning }, statement);
    }
    switch (statement.kind) {
      case 'begin':
      case 'commit':
      case 'rollback':
      case 'savepoint':
      case 'release':
      case 'rollbackTo':
      case 'setTransaction':
      case 'set':
        return control(this.transaction, this.settings, this.access, statement, (what) => this.#warnOutsideBlock(what));
      case 'lockTable':
        return lockTables(this, statement);
      case 'resetAll':
        this.settings.resetAll();
        return 'RESET';
      case 'deallocate':
        return this.#prepared.deallocate(statement.name);
      case 'closeCursor':
        return this.#cursors.close(statement.name);
      case 'discard':
        await discardTemporary(statement, this.transaction, this.isInBlock(), this.settings, this.interruption);
        return forget(statement, this.transaction, this.#names, this.sequences, this.settings);
      case 'listen':
      case 'unlisten':
      case 'notify':
        return carryOut(this.transaction.listener, statement);
      case 'accepted':
        if (statement.tag === 'SET CONSTRAINTS') this.#warnOutsideBlock(statement.tag);
        for (const { code, message } of statement.notices ?? []) this.notice(code, message);
        return statement.tag;
      default:
        return unreachable(statement);
    }
  }

  #warnOutsideBlock(what: string): void {
    if (this.transaction.inBlock || this.several) return;
    this.warning(SqlState.noActiveSqlTransaction, `${what} can only be used in transaction blocks`);
  }

  /** An EXECUTE's statement. */
  async runDescribed(
    statement: Statement,
    { parameterOids }: SessionPrepared,
    parameters: BoundParameters,
    out: Output,
    answer: ClientAnswer | null,
  ): Promise<string> {
    if (statement.kind !== 'query') return this.run(statement, parameters, parameterOids, out, true, answer);
    const { columns, formats, out: to } = answer!;
    return this.#send(statement, parameters, parameterOids, columns, formats, to);
  }

  async #send(
    statement: Of<'query'>,
    parameters: BoundParameters,
    oids: readonly number[],
    columns: readonly ResultColumn[],
    formats: readonly Format[],
    out: Output,
  ): Promise<string> {
    await this.#enterQuery(statement);
    return this.interruption.guarded(async () => {
      const run = await this.openQuery(statement, parameters, oids, columns, formats);
      try {
        await run.send(out, 0);
        return run.tag;
      } finally {
        await run.close();
      }
    });
  }

  async #showAll(out: Output, isDescribed: boolean): Promise<string> {
    const query = this.plan(parseSql(SHOW_ALL)[0]!, []) as Of<'query'>;
    const columns = shownColumns(ALL);
    if (!isDescribed) out.rowDescription(columns, NO_FORMATS);
    await this.#send(query, NO_PARAMETERS, [], columns, NO_FORMATS, out);
    return 'SHOW';
  }

  async #enterQuery(statement: Of<'query'>): Promise<void> {
    this.enter(statement);
    if (this.transaction.lacksSnapshot) await this.transaction.takeSnapshot();
  }

  /** A cursor's query. */
  async open(statement: Of<'query'>, { columns, formats, parameters, prepared }: OpenedPortal): Promise<QueryRun> {
    await this.#enterQuery(statement);
    return this.openQuery(statement, parameters, prepared.parameterOids, columns, formats);
  }

  async #select(statement: Of<'query'>, out: Output): Promise<string> {
    return this.interruption.guarded(async () => {
      const { plan } = statement;
      const columns = plan.described === null ? null : describedColumns(plan);
      const run = await this.openQuery(statement, NO_PARAMETERS, [], columns, []);
      try {
        out.rowDescription(run.columns, NO_FORMATS);
        await run.send(out, 0);
        return run.tag;
      } finally {
        await run.close();
      }
    });
  }

  async openQuery(
    { plan, lock, locks }: Of<'query'>,
    parameters: BoundParameters,
    oids: readonly number[],
    columns: readonly ResultColumn[] | null,
    formats: readonly Format[],
  ): Promise<QueryRun> {
    if (lock === undefined && locks === undefined)
      return QueryRun.open(this.queryEnvironment(), plan, parameters, oids, columns, formats);
    const environment = this.writeEnvironment(parameters, oids);
    const standIn = await (lock === undefined ? lockNested(environment, locks!) : lockSelected(environment, lock));
    return openBehind(standIn, environment, this.queryEnvironment(), plan, columns, formats);
  }

  #write(
    work: (environment: WriteEnvironment) => Promise<string>,
    parameters: BoundParameters,
    parameterOids: readonly number[],
    answer: Answer | null = null,
    locks?: NestedLocks,
  ): Promise<string> {
    const environment = this.writeEnvironment(parameters, parameterOids, answer);
    return this.interruption.guarded(() => behindLocks(environment, locks, work));
  }

  readonly #catalogRows: WriteEnvironment['catalogRows'] = ({ parameters, parameterOids }, plan, why) =>
    QueryRun.catalogRows(this.queryEnvironment(), plan, parameters, parameterOids, why);

  readonly #cursorRow: WriteEnvironment['cursorRow'] = (cursor, def) =>
    cursorRow(this.#names.portals, this.view(), cursor, def);

  /** For one statement, in the transaction that is open or begins with it. */
  writeEnvironment(
    parameters: BoundParameters,
    parameterOids: readonly number[],
    answer: Answer | null = null,
  ): WriteEnvironment {
    this.#wrote = true;
    const { database, engine } = this.context;
    return {
      database,
      engine,
      transaction: this.transaction.writing(),
      time: this.time(),
      timeZone: this.settings.timeZone,
      times: this.times,
      parameters,
      parameterOids,
      catalogRows: this.#catalogRows,
      cursorRow: this.#cursorRow,
      running: this.interruption.running,
      lockWait: this.interruption.lockWait,
      answer,
    };
  }

  /** The same object while the zone is the same: writers of statements are kept with it. */
  time(): WriteEnvironment['time'] {
    const name = this.settings.timeZone;
    if (this.#timeContext?.name !== name || this.#timeContext.user !== this.access.currentUser) {
      const now = (): number => this.times.transaction;
      const clock = (): number => this.times.clock;
      const user = this.access.currentUser;
      this.#timeContext = { name, timeZone: timeZone(name), now, clock, user, sequences: this.sequences };
    }
    return this.#timeContext;
  }

  /** For what is answered at once: little of the other. */
  pointEnvironment(): PointEnvironment {
    const { context, interruption, settings, transaction } = this;
    return { context, transaction: transaction.current, timeZone: settings.timeZone, running: interruption.running };
  }

  queryEnvironment(): QueryEnvironment {
    return {
      context: this.seen,
      transaction: this.transaction.current,
      relations: this.transaction.relations,
      sequences: this.sequences,
      actions: this.#actions,
      peer: this.#peer,
      timeZone: this.settings.timeZone,
      times: this.times,
      searchPath: this.settings.searchPath,
      role: this.role,
      reader: this.access,
      position: this.position,
      running: this.interruption.running,
    };
  }

  /** What all sessions share, with PostgreSQL's catalogs as this one's transaction has made them. */
  get seen(): ServerContext {
    return contextWith(this.context, this.transaction.changes, this.access);
  }

  #maintain(statement: Extract<Statement, { kind: 'checkpoint' | 'call' | 'vacuum' }>): Promise<string> {
    const own =
      statement.kind === 'vacuum' ? ownTables(this.access, this.context.database, statement, this.warning) : statement;
    const info = (message: string): void => this.#events.notice({ severity: 'INFO', code: '00000', message });
    return maintain(this.context.database, own, info, this.interruption.running);
  }

  readonly notice = (code: string, message: string, detail?: string): void => {
    this.#events.notice({ severity: 'NOTICE', code, message, ...(detail === undefined ? {} : { detail }) });
  };

  #setConfig(name: string | null, value: string | null, isLocal: boolean): string {
    if (name === null) throw new SqlError(SqlState.nullValueNotAllowed, 'SET requires parameter name');
    setModes(this.transaction, this.settings, this.access, { kind: 'set', name, value, local: isLocal }, () => {});
    return this.settings.shown(name);
  }

  readonly warning = (code: string, message: string): void => {
    this.#events.notice({ severity: 'WARNING', code, message });
  };

  plan(parsed: ParsedStatement, parameterOids: readonly number[]): Statement {
    // what a transaction defines itself has no generation
    if (this.transaction.changes !== null) return this.#plan(parsed, parameterOids);
    const plannedWith = { generation: this.generation, rights: this.access.generation, parameterOids };
    const kept = this.#plans.find(parsed, plannedWith);
    if (kept !== null) return kept;
    const statement = this.#plan(parsed, parameterOids);
    if (!this.#momentary.has(statement)) this.#plans.keep(parsed, statement, plannedWith);
    return statement;
  }

  #plan(parsed: ParsedStatement, parameterOids: readonly number[]): Statement {
    const { relations } = this.transaction;
    let isMomentary = false;
    const environment: PlannerEnvironment = {
      parameterOids,
      placeholder: () => `${SCANS}${nextPlaceholder++}`,
      constants: (name, args) => {
        const { access, settings } = this;
        const transactionNumber = (assign: boolean): number | null => this.transaction.number(assign);
        const context = { ...this.context, relations, settings, access, peer: this.#peer, transactionNumber };
        const constant = ownFunction(context, name, args);
        if (constant !== undefined) isMomentary = true;
        return constant;
      },
      timeZone: this.settings.timeZone,
    };
    const statement = noted(this.context.unhandled, parsed.text, () => planStatement(parsed, this.view(), environment));
    if (isMomentary) this.#momentary.add(statement);
    if (!this.access.superuser) planned.set(statement, parsed);
    return statement;
  }

  view(): CatalogView {
    const permitted = this.access.superuser ? null : this.#permitted;
    return catalogView(this.transaction.relations, this.searchPath, permitted, this.settings);
  }

  readonly #permitted = (schema: string): void => permitSchema(this.access, schema, Privilege.usage);
}
