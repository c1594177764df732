/** DECLARE, FETCH, MOVE and CLOSE. Portals of the protocol's Bind are cursors, too, under the same names. */
import { invariant, SqlError, SqlState } from '../errors.ts';
import type { CatalogView, ParsedStatement, Statement } from '../planner/plan.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import type { BoundParameters, MaybePromise, Output } from '../wire/gateway-api.ts';
import { givingNames, namedRows } from './current-of.ts';
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

/** What the query of a portal needs of it. */
export type OpenedPortal = Pick<SessionPortal, 'columns' | 'formats' | 'parameters' | 'prepared'>;

/** What they ask of the session's statements. */
export interface CursorRunner extends StatementRunner {
  readonly files: SpoolFiles;
  readonly isInBlock: () => boolean;
  readonly now: () => number;
  /** Begins the query of a portal, in the transaction. */
  open(statement: Extract<Statement, { kind: 'query' }>, portal: OpenedPortal): Promise<QueryRun>;
  view(): CatalogView;
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
      name,
      prepared,
      parameters,
      columns.map(() => format),
      portals.made++,
      now,
      definition,
    );
    portal.run = await interruption.guarded(() => this.#open(portal, inner, columns));
    portals.declare(name, portal);
    return 'DECLARE CURSOR';
  }

  /** Its query, with the names of its rows behind their columns where these do not say them. */
  async #open(portal: SessionPortal, inner: ParsedStatement, columns: readonly ResultColumn[]): Promise<SqlCursor> {
    const { parameters, prepared } = portal;
    const scroll = portal.cursor!.scroll;
    const rows = namedRows(inner, columns, this.#runner.view());
    portal.rows = rows;
    const naming = givingNames(inner, rows);
    let opened: OpenedPortal = portal;
    if (naming !== null) {
      const planned = this.#runner.plan(naming, prepared.parameterOids);
      const named = await prepare(this.#runner.preparation(), naming, planned, prepared.parameterOids);
      const formats = [...portal.formats, ...rows!.missing.map((): Format => 0)];
      opened = { columns: named.columns, formats, parameters, prepared: named };
      portal.rows = namedRows(naming, named.columns ?? [], this.#runner.view());
    }
    const { statement } = opened.prepared;
    invariant(statement.kind === 'query', 'a cursor is a query');
    const run = await this.#runner.open(statement, opened);
    return new SqlCursor(run, opened.formats, scroll, this.#runner.files, columns.length);
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
    const fetch = (take: Parameters<SqlCursor['fetch']>[2]): Promise<number> =>
      interruption.guarded(() => portal.running(() => cursor.fetch(direction, count, take)));
    if (isMove) return `MOVE ${await fetch(null)}`;
    const formats: readonly Format[] =
      given?.formats ?? (portal.cursor?.isBinary === true ? portal.formats : NO_FORMATS);
    if (!isDescribed) out.rowDescription(cursor.columns, formats);
    const to = given?.out ?? out;
    const { timeZone } = this.#runner.queryEnvironment();
    const change = formatChange(cursor.columns, cursor.formats, formats, timeZone);
    const take = (messages: Uint8Array): MaybePromise<void> =>
      to.dataRows(change === null ? messages : change(messages));
    return `FETCH ${await fetch(take)}`;
  }

  /** A portal that was bound and never executed. */
  async #begin(portal: SessionPortal): Promise<void> {
    const { prepared } = portal;
    const statement = await this.#runner.held(() => this.#runner.current(prepared));
    if (portal.finished || statement.kind !== 'query') throw portal.cannotRun();
    portal.run = await this.#runner.interruption.guarded(() =>
      portal.running(() => this.#runner.open(statement, portal)),
    );
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
