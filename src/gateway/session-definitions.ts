/**
 * What a session defines. There is one way for it: a definition is part of a transaction's (ingest/schema-changes.ts), of the block's,
 * of that of the statements of one message, or of one that has nothing else; the catalog hears of it at COMMIT.
 *
 * - D1 A definition that is all of its transaction holds no snapshot of before, and where rows get a new column's value it may leave
 *   that to COMMIT, which comes at once.
 */
import type { Statement } from '../planner/plan.ts';
import { parseSql } from '../planner/parse.ts';
import type { RoleStatement } from '../planner/role-statements.ts';
import { discard } from './columns.ts';
import { define, type DefineEnvironment, type Definition, type GivenValues } from './define.ts';
import { NO_PARAMETERS } from './no-parameters.ts';
import { isAllowed } from './permission.ts';
import { OwnedObjects } from './owned-objects.ts';
import { countRows, firstRow } from './query.ts';
import { dropsOfOwned, forgetGrants } from './role-defaults.ts';
import type { SessionStatements } from './statements.ts';
import { beginTemporary } from './temporary.ts';

const NONE_GIVEN: GivenValues = { parameters: NO_PARAMETERS, oids: [] };

export class SessionDefinitions {
  readonly #statements: SessionStatements;
  /** Of the definition under way. */
  #owned: OwnedObjects | null = null;

  constructor(statements: SessionStatements) {
    this.#statements = statements;
  }

  /** The command tag. */
  async carryOut(statement: Definition, given = NONE_GIVEN): Promise<string> {
    const statements = this.#statements;
    const { access, interruption, searchPath: visible, settings, transaction } = statements;
    beginTemporary(statements.context.database, settings, statement);
    const isAlone = await this.#isAlone();
    const changes = transaction.defining();
    const { searchPath, timeZone } = settings;
    const query = (sql: string): Statement => statements.plan(parseSql(sql)[0]!, []);
    const environment: DefineEnvironment = {
      ...statements.seen,
      changes,
      relations: changes,
      isAlone,
      role: statements.role,
      searchPath,
      timeZone,
      notice: statements.notice,
      hold: transaction.hold,
      patience: interruption,
      time: statements.time(),
      view: statements.view(),
      catalogNow: () => statements.seen.catalog,
      given,
      writeQuery: (sql) => this.#writeQuery(sql, given, statement.kind === 'createTableAs'),
      countRows: (sql) => countRows(statements.queryEnvironment(), query(sql)),
      firstRow: (sql) => firstRow(statements.queryEnvironment(), query(sql)),
    };
    const owned = new OwnedObjects(access, () => transaction.relations, visible, statement);
    this.#owned = owned;
    const tag = await interruption.guarded(() => define(environment, statement));
    owned.settle();
    if (changes.fillsLater) await transaction.commitNow(); // D1
    return tag;
  }

  /** It is all of its transaction: D1. */
  async #isAlone(): Promise<boolean> {
    const { access, several, transaction } = this.#statements;
    const { current } = transaction;
    if (transaction.inBlock || several || access.changed) return false;
    if (current === null) return true;
    if (current.definitions !== null || current.writes.size > 0) return false;
    await transaction.commitNow();
    return true;
  }

  /** Rows of a table that was just made or altered. @param isPermitted its query was before; the table asks for nothing */
  async #writeQuery(sql: string, { parameters, oids }: GivenValues, isPermitted: boolean): Promise<string> {
    this.#owned?.settle();
    const statements = this.#statements;
    const statement = await statements.held(() => {
      const planned = statements.plan(parseSql(sql)[0]!, oids);
      if (isPermitted) isAllowed(statements.access, planned);
      return planned;
    });
    return statements.run(statement, parameters, oids, discard());
  }

  /** All of it is one transaction. */
  async dropOwned(statement: Extract<RoleStatement, { kind: 'dropOwned' }>): Promise<string> {
    const statements = this.#statements;
    const { access, transaction } = statements;
    const { relations } = transaction;
    transaction.defining();
    for (const drop of dropsOfOwned({ access, relations }, statement))
      await statements.run(await statements.held(() => drop), NO_PARAMETERS, [], discard());
    forgetGrants(access, statement);
    return 'DROP OWNED';
  }
}
