/** PREPARE, EXECUTE and DEALLOCATE. Statements of the protocol's Parse are the same ones, under the same names. */
import { SqlError, SqlState } from '../errors.ts';
import { constantValues, valuesQuery } from '../planner/prepared.ts';
import type { ParsedStatement, Statement } from '../planner/plan.ts';
import type { Execute } from '../planner/session-statements.ts';
import { parametersOf } from '../wire/bound-parameters.ts';
import type { BoundParameters, MaybePromise, Output } from '../wire/gateway-api.ts';
import type { GivenValues } from './define.ts';
import type { Interruption } from './interruption.ts';
import { asItWasRead, prepare, revalidate, type Preparation, type SessionPrepared } from './prepare.ts';
import { QueryRun, type QueryEnvironment } from './query.ts';
import type { ClientAnswer } from './returning.ts';
import { NO_FORMATS, NO_PARAMETERS } from './no-parameters.ts';
import type { SessionNames } from './session-names.ts';

type CreateTableAs = Extract<Statement, { kind: 'createTableAs' }>;
type Explain = Extract<Statement, { kind: 'explain' }>;

/** What they ask of the session's statements. */
export interface StatementRunner {
  readonly interruption: Interruption;
  preparation(): Preparation;
  plan(parsed: ParsedStatement, parameterOids: readonly number[]): Statement;
  held(plan: () => Statement): MaybePromise<Statement>;
  /** As the definitions and settings are now. */
  current(prepared: SessionPrepared): Statement;
  queryEnvironment(): QueryEnvironment;
  /** Carries a statement out and sends its rows, which were described. */
  runDescribed(
    statement: Statement,
    prepared: SessionPrepared,
    parameters: BoundParameters,
    out: Output,
    answer: ClientAnswer | null,
  ): Promise<string>;
}

const DEPTH_MAX = 100;

export class SqlPrepared {
  readonly #names: SessionNames;
  readonly #runner: StatementRunner;
  /** A Parse message may make a statement that is an EXECUTE: of another one, or of itself. */
  #depth = 0;

  constructor(names: SessionNames, runner: StatementRunner) {
    this.#names = names;
    this.#runner = runner;
  }

  /** @throws {SqlError} 42P05, and what describing the statement says */
  async prepare({ name, types, inner, text }: Extract<Statement, { kind: 'prepare' }>): Promise<string> {
    const { statements } = this.#names;
    if (name === '') throw new SqlError(SqlState.invalidSqlStatementName, 'invalid statement name: must not be empty');
    const preparation = this.#runner.preparation();
    const declared = types === null ? [] : (await preparation.describe(types, [])).parameterOids;
    const statement = this.#runner.plan(inner, declared);
    const prepared = await prepare(preparation, inner, statement, declared);
    if (statements.has(name))
      throw new SqlError(SqlState.duplicatePreparedStatement, `prepared statement "${name}" already exists`);
    const named: SessionPrepared = { ...prepared, sqlText: text };
    statements.set(name, named);
    return 'PREPARE';
  }

  /** @throws {SqlError} 26000 */
  deallocate(name: string | null): string {
    const { statements } = this.#names;
    if (name === null) {
      statements.clear();
      return 'DEALLOCATE ALL';
    }
    if (!statements.delete(name)) throw undefinedStatement(name);
    return 'DEALLOCATE';
  }

  /** @throws {SqlError} 26000 */
  named(name: string): SessionPrepared {
    const prepared = this.#names.statements.get(name) as SessionPrepared | undefined;
    if (prepared === undefined || name === '') throw undefinedStatement(name);
    return prepared;
  }

  /** The statement that it carries out, with the values for it. @throws {SqlError} 26000, 42601 */
  async resolve({ name, args }: Execute): Promise<{
    readonly prepared: SessionPrepared;
    readonly statement: Statement;
    readonly parameters: BoundParameters;
  }> {
    const prepared = this.named(name);
    const oids = prepared.parameterOids;
    if (args.length !== oids.length) {
      throw new SqlError(SqlState.syntaxError, `wrong number of parameters for prepared statement "${name}"`, {
        detail: `Expected ${oids.length} parameters but got ${args.length}.`,
      });
    }
    const parameters = args.length === 0 ? NO_PARAMETERS : parametersOf([], await this.#values(args, oids));
    await asItWasRead(this.#runner.preparation(), prepared);
    const statement = await this.#runner.held(() => this.#runner.current(prepared));
    return { prepared, parameters, statement: (await revalidate(this.#runner.preparation(), prepared)) ?? statement };
  }

  /** CREATE TABLE … AS EXECUTE with the query of the statement, which may be read here. @throws {SqlError} 26000, 42601, 42809 */
  async filling(made: CreateTableAs, executed: Execute): Promise<{ filled: CreateTableAs; given: GivenValues }> {
    const { prepared, parameters, statement } = await this.resolve(executed);
    if (statement.kind !== 'query') throw new SqlError(SqlState.wrongObjectType, 'prepared statement is not a SELECT');
    return {
      filled: { ...made, query: prepared.parsed!.text, executed: null },
      given: { parameters, oids: prepared.parameterOids },
    };
  }

  async #values(args: readonly unknown[], oids: readonly number[]): Promise<(Uint8Array | null)[]> {
    const constants = constantValues(args, oids);
    if (constants !== null) return constants.map((text) => (text === null ? null : Buffer.from(text)));
    const query = this.#runner.plan(valuesQuery(args, oids), []);
    if (query.kind !== 'query' || query.plan.route !== 'catalog')
      throw new SqlError(SqlState.featureNotSupported, 'cannot use subquery in EXECUTE parameter');
    const { interruption } = this.#runner;
    const [row] = await interruption.guarded(() =>
      QueryRun.catalogRows(this.#runner.queryEnvironment(), query.plan, NO_PARAMETERS, []),
    );
    return row ?? [];
  }

  /** EXPLAIN of an EXECUTE is that of the statement, with its values. */
  async explained(statement: Explain, parameters: BoundParameters, oids: readonly number[]) {
    const { inner } = statement;
    if (inner.kind !== 'execute') return { statement, parameters, oids };
    const found = await this.resolve(inner);
    const { parameterOids } = found.prepared;
    return { statement: { ...statement, inner: found.statement }, parameters: found.parameters, oids: parameterOids };
  }

  /** `isDescribed`: the client knows the columns. */
  async execute(statement: Execute, out: Output, isDescribed: boolean, given: ClientAnswer | null): Promise<string> {
    if (this.#depth === DEPTH_MAX)
      throw new SqlError(SqlState.statementTooComplex, 'stack depth limit exceeded', {
        detail: `Prepared statements execute each other ${DEPTH_MAX} deep.`,
      });
    this.#depth++;
    try {
      return await this.#execute(statement, out, isDescribed, given);
    } finally {
      this.#depth--;
    }
  }

  async #execute(statement: Execute, out: Output, isDescribed: boolean, given: ClientAnswer | null): Promise<string> {
    const { prepared, parameters, statement: inner } = await this.resolve(statement);
    const { columns } = prepared;
    const formats = given?.formats ?? NO_FORMATS;
    if (!isDescribed && columns !== null) out.rowDescription(columns, formats);
    const answer = columns === null ? null : { columns, formats, out: given?.out ?? out };
    return this.#runner.runDescribed(inner, prepared, parameters, out, answer);
  }
}

function undefinedStatement(name: string): SqlError {
  return new SqlError(SqlState.invalidSqlStatementName, `prepared statement "${name}" does not exist`);
}
