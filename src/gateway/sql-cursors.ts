/** DECLARE, FETCH, MOVE and CLOSE. Portals of the protocol's Bind are cursors, too, under the same names. */
import { SqlError, SqlState } from '../errors.ts';
import type { Statement } from '../planner/plan.ts';
import type { Format } from '../types/result-column.ts';
import type { BoundParameters, MaybePromise, Output } from '../wire/gateway-api.ts';
import { NO_FORMATS } from './no-parameters.ts';
import { SessionPortal } from './portal.ts';
import { prepare } from './prepare.ts';
import type { QueryRun } from './query.ts';
import type { ClientAnswer } from './returning.ts';
import { formatChange } from './row-formats.ts';
import type { SessionNames } from './session-names.ts';
import { SqlCursor, type SpoolFiles } from './sql-cursor.ts';
import type { StatementRunner } from './sql-prepared.ts';

type Declare = Extract<Statement, { kind: 'declare' }>;

/** What they ask of the session's statements. */
export interface CursorRunner extends StatementRunner {
  readonly files: SpoolFiles;
  readonly isInBlock: () => boolean;
  readonly now: () => number;
  /** Begins the query of a portal, in the transaction. */
  open(statement: Extract<Statement, { kind: 'query' }>, portal: SessionPortal): Promise<QueryRun>;
}

export class SqlCursors {
  readonly #names: SessionNames;
  readonly #runner: CursorRunner;

  constructor(names: SessionNames, runner: CursorRunner) {
    this.#names = names;
    this.#runner = runner;
  }

  /** @throws {SqlError} 25P01, 42P03 */
  async declare(
    { name, text, isBinary, isHoldable, scroll, inner }: Declare,
    parameters: BoundParameters,
    oids: readonly number[],
  ): Promise<string> {
    const { interruption } = this.#runner;
    if (!isHoldable && !this.#runner.isInBlock())
      throw new SqlError(SqlState.noActiveSqlTransaction, 'DECLARE CURSOR can only be used in transaction blocks');
    const { portals } = this.#names;
    portals.refuseTaken(name);
    const query = await this.#runner.held(() => this.#runner.plan(inner, oids));
    const prepared = await prepare(this.#runner.preparation(), inner, query, oids);
    const { statement, columns } = prepared;
    if (statement.kind !== 'query' || columns === null)
      throw new SqlError(SqlState.invalidCursorDefinition, 'DECLARE CURSOR must specify a query that returns rows');
    const format: Format = isBinary ? 1 : 0;
    const now = this.#runner.now();
    const definition = { text, isBinary, isHoldable, scroll, declaredAt: now };
    const portal = new SessionPortal(
      prepared,
      parameters,
      columns.map(() => format),
      portals.made++,
      now,
      definition,
    );
    const run = await interruption.guarded(() => this.#runner.open(statement, portal));
    portal.run = new SqlCursor(run, portal.formats, scroll, this.#runner.files);
    portals.declare(name, portal);
    return 'DECLARE CURSOR';
  }

  /** @throws {SqlError} 34000, 55000 */
  async fetch(
    { name, direction, count, isMove }: Extract<Statement, { kind: 'fetch' }>,
    out: Output,
    isDescribed: boolean,
    given: ClientAnswer | null,
  ): Promise<string> {
    const { interruption } = this.#runner;
    const portal = this.#names.portals.named(name);
    if (portal.run === null) await this.#begin(portal);
    const cursor = portal.scrolling(this.#runner.files);
    if (isMove) return `MOVE ${await interruption.guarded(() => cursor.fetch(direction, count, null))}`;
    const formats: readonly Format[] =
      given?.formats ?? (portal.cursor?.isBinary === true ? portal.formats : NO_FORMATS);
    if (!isDescribed) out.rowDescription(cursor.columns, formats);
    const to = given?.out ?? out;
    const change = formatChange(cursor.columns, cursor.formats, formats);
    const take = (messages: Uint8Array): MaybePromise<void> =>
      to.dataRows(change === null ? messages : change(messages));
    return `FETCH ${await interruption.guarded(() => cursor.fetch(direction, count, take))}`;
  }

  /** A portal that was bound and never executed. */
  async #begin(portal: SessionPortal): Promise<void> {
    const { prepared } = portal;
    const statement = await this.#runner.held(() => this.#runner.current(prepared));
    if (portal.finished || statement.kind !== 'query')
      throw new SqlError(SqlState.objectNotInPrerequisiteState, 'portal cannot be run');
    portal.run = await this.#runner.interruption.guarded(() => this.#runner.open(statement, portal));
  }

  /** @throws {SqlError} 34000 */
  close(name: string | null): string {
    const { portals } = this.#names;
    if (name !== null) {
      portals.closeNamed(name);
      return 'CLOSE CURSOR';
    }
    portals.closeAll();
    return 'CLOSE CURSOR ALL';
  }
}
