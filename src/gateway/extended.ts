/**
 * The extended protocol's messages: Parse makes a prepared statement, Bind a portal, Execute carries it out, Sync ends a transaction that no
 * BEGIN began.
 */
import { SqlError, SqlState } from '../errors.ts';
import { parseSql } from '../planner/parse.ts';
import type { Statement } from '../planner/plan.ts';
import { Oid } from '../types/pg-type.ts';
import type { Format } from '../types/result-column.ts';
import type { BoundParameters, MaybePromise, Output, Portal, Prepared } from '../wire/gateway-api.ts';
import { BoundValues } from './bound-values.ts';
import { answerInstantly, mayBeInstant } from './instant.ts';
import type { Interruption } from './interruption.ts';
import { asItWasRead, prepare, revalidate, type SessionPrepared } from './prepare.ts';
import { formatsOf, SessionPortal } from './portal.ts';
import { QueryRun, readByPostgres } from './query.ts';
import { answerOf, keptRows, returningOf } from './returning.ts';
import { changeByKey } from './keyed-change.ts';
import { insertValues } from './write.ts';
import { NO_FORMATS } from './no-parameters.ts';
import type { SessionPortals } from './portals.ts';
import type { SessionStatements } from './statements.ts';
import { withOwnSchema } from './temporary.ts';
import type { SessionTransaction } from './transaction.ts';
import type { WriteEnvironment } from './write-environment.ts';

const EMPTY: Statement = { kind: 'empty' };

export class ExtendedQuery {
  readonly #statements: SessionStatements;
  readonly #transaction: SessionTransaction;
  readonly #interruption: Interruption;
  readonly #portals: SessionPortals;
  readonly #values: BoundValues;

  constructor(statements: SessionStatements, portals: SessionPortals) {
    this.#portals = portals;
    this.#statements = statements;
    this.#transaction = statements.transaction;
    this.#interruption = statements.interruption;
    this.#values = new BoundValues(
      () => statements.time(),
      (oid, format, value) => readByPostgres(statements.queryEnvironment(), oid, format, value),
    );
  }

  parse(text: string, given: readonly number[]): MaybePromise<Prepared> {
    this.#statements.messageComes();
    const declared = declaredOf(given);
    const statements = parseSql(withOwnSchema(text, this.#statements));
    if (statements.length > 1)
      throw new SqlError(SqlState.syntaxError, 'cannot insert multiple commands into a prepared statement');
    const [parsed] = statements;
    if (parsed !== undefined) this.#statements.transaction.check(parsed);
    const statement = parsed === undefined ? EMPTY : this.#statements.plan(parsed, declared);
    return prepare(this.#statements.preparation(), parsed ?? null, statement, declared);
  }

  bind(
    prepared: Prepared,
    parameters: BoundParameters,
    resultFormats: readonly Format[],
    name: string,
  ): MaybePromise<Portal> {
    this.#statements.messageComes();
    const known = prepared as SessionPrepared;
    if (known.parsed !== null && parameters.starts.length < known.parsed.parameterCount) {
      throw new SqlError(
        SqlState.protocolViolation,
        `bind message supplies ${parameters.starts.length} parameters, but prepared statement requires ${known.parsed.parameterCount}`,
      );
    }
    const count = known.columns?.length ?? 0;
    const formats = count === 0 ? NO_FORMATS : formatsOf(count, resultFormats);
    if (known.parsed !== null) this.#statements.transaction.check(known.parsed);
    const waiting = this.#values.read(parameters, known.parameterOids, name);
    const made = (): Portal =>
      new SessionPortal(name, known, parameters, formats, this.#portals.made++, this.#statements.messageAt);
    return waiting === null ? made() : waiting.then(made);
  }

  execute(opened: Portal, maxRows: number, out: Output): MaybePromise<void> {
    this.#statements.messageComes();
    const portal = opened as SessionPortal;
    const { prepared } = portal;
    if (prepared.parsed !== null) this.#statements.transaction.check(prepared.parsed);
    this.#statements.activity.runs(prepared.parsed?.text ?? '');
    const reading = this.#reading(portal);
    if (reading === null) return this.#carryOut(portal, maxRows, out);
    return this.#interruption.guarded(() => reading).then(() => this.#carryOut(portal, maxRows, out));
  }

  /** Null: its literals mean now what they meant when it was prepared. */
  #reading({ prepared, run, finished }: SessionPortal): Promise<void> | null {
    const { readsClock, generation } = prepared;
    if ((!readsClock && generation === this.#statements.generation) || run !== null || finished) return null;
    return asItWasRead(this.#statements.preparation(), prepared);
  }

  #carryOut(portal: SessionPortal, maxRows: number, out: Output): MaybePromise<void> {
    const { prepared } = portal;
    const statement = this.#statements.current(prepared);
    this.#statements.position = prepared.parsed?.position ?? 0;
    const tag =
      statement.kind === 'query'
        ? this.#answer(portal, statement, maxRows, out)
        : this.#write(portal, statement, maxRows, out);
    if (tag === null) return this.#execute(portal, maxRows, out);
    if (tag instanceof Promise) return this.#interruption.guarded(async () => out.commandComplete(await tag));
    out.commandComplete(tag);
    return undefined;
  }

  /** The tag of VALUES that are inserted, and of a row that is changed by its key; null: of anything else. */
  #write(portal: SessionPortal, statement: Statement, maxRows: number, out: Output): MaybePromise<string> | null {
    const { prepared, parameters, columns } = portal;
    const work = byValues(statement);
    if (work === null) return null;
    if (portal.run !== null || (columns !== null && maxRows > 0)) return null;
    if (columns !== null && prepared.generation !== this.#statements.generation) return null;
    if (this.#statements.context.database.pressed || !this.#goesOn(statement)) return null;
    this.#runOnce(portal);
    this.#interruption.begin();
    const answer = answerOf(portal, out);
    const environment = this.#statements.writeEnvironment(parameters, prepared.parameterOids, answer);
    const tag = work(environment);
    if (tag === null) portal.finished = false;
    return tag;
  }

  /** Nothing is to be asked or waited for before the statement: then it is in its transaction. */
  #goesOn(statement: Statement): boolean {
    if (this.#statements.context.database.locks.busy || this.#transaction.lacksSnapshot) return false;
    if (this.#statements.permit(statement) !== null) return false;
    void this.#statements.held(() => statement); // nobody is in the way
    this.#statements.enter(statement);
    return true;
  }

  /** The tag, where its rows are there at once; null: it has to wait for something. */
  #answer(
    portal: SessionPortal,
    statement: Extract<Statement, { kind: 'query' }>,
    maxRows: number,
    out: Output,
  ): MaybePromise<string> | null {
    const { prepared, columns, formats, parameters } = portal;
    if (!mayBeInstant(statement) || columns === null || maxRows > 0) return null;
    if (portal.run !== null || portal.finished) return null;
    if (prepared.generation !== this.#statements.generation || !this.#goesOn(statement)) return null;
    const environment = this.#statements.pointEnvironment();
    const oids = prepared.parameterOids;
    const tag = answerInstantly(environment, statement, parameters, oids, columns, formats, out);
    if (tag !== null) portal.run = QueryRun.spent(columns);
    return tag;
  }

  #runOnce(portal: SessionPortal): void {
    if (portal.finished) throw portal.cannotRun();
    portal.finished = true;
  }

  async #execute(portal: SessionPortal, maxRows: number, out: Output): Promise<void> {
    const { prepared } = portal;
    let statement = this.#statements.current(prepared);
    if (portal.run === null) {
      statement = await this.#statements.held(() => this.#statements.current(prepared));
      statement = (await revalidate(this.#statements.preparation(), prepared)) ?? statement;
    }
    if (statement.kind === 'empty') {
      out.emptyQuery();
      return;
    }
    if (statement.kind !== 'query' && portal.run === null) {
      this.#runOnce(portal);
      const kept = maxRows > 0 && givesRows(statement, portal) ? keptRows(out) : null;
      const answer = answerOf(portal, kept ?? out);
      const tag = await this.#statements.run(statement, portal.parameters, prepared.parameterOids, out, true, answer);
      if (kept === null) {
        out.commandComplete(tag);
        return;
      }
      portal.run = QueryRun.kept(portal.columns!, kept.take(), tag);
    }
    this.#statements.enter(statement);
    if (this.#transaction.lacksSnapshot) await this.#transaction.takeSnapshot();
    if (statement.kind === 'query' && portal.run === null) {
      if (portal.finished) throw portal.cannotRun();
      const { columns, formats } = portal;
      portal.run = await this.#interruption.guarded(() =>
        portal.running(() =>
          this.#statements.openQuery(statement, portal.parameters, prepared.parameterOids, columns, formats),
        ),
      );
    }
    const run = portal.run!;
    const done = await this.#interruption.guarded(() => portal.running(() => run.send(out, maxRows)));
    if (done) out.commandComplete(run.tag);
    else out.portalSuspended();
  }

  sync(): MaybePromise<void> {
    this.#interruption.idle(this.#transaction.inBlock);
    return this.#transaction.inBlock ? undefined : this.#transaction.commitNow();
  }
}

/** unknown is as good as no type: what stands beside the parameter says it. */
function declaredOf(given: readonly number[]): readonly number[] {
  return given.includes(Oid.unknown) ? given.map((oid) => (oid === Oid.unknown ? 0 : oid)) : given;
}

/** What writes the rows that its values are, or are the keys of; null: something else finds its rows. */
function byValues(statement: Statement): ((environment: WriteEnvironment) => MaybePromise<string> | null) | null {
  switch (statement.kind) {
    case 'insert':
      return statement.source.kind === 'values' ? (environment) => insertValues(environment, statement) : null;
    case 'update':
    case 'delete':
      if (statement.point === null || statement.locks !== undefined) return null;
      return (environment) => changeByKey(environment, statement);
    default:
      return null;
  }
}

/** Of those that run to their end at the first Execute. */
function givesRows(statement: Statement, { columns }: SessionPortal): boolean {
  if (columns === null) return false;
  return /^(execute|fetch|with)$/.test(statement.kind) || returningOf(statement) !== null;
}
