/** What a Bind or a DECLARE makes: a prepared statement with its values, to be carried out by Execute, or asked for rows by FETCH. */
import { SqlError, SqlState } from '../errors.ts';
import type { RowName } from '../planner/current-of.ts';
import type { NamedRows } from './current-of.ts';
import type { SessionPrepared } from './prepare.ts';
import type { QueryRun } from './query.ts';
import { SqlCursor, type SpoolFiles } from './sql-cursor.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import type { DescribedRow } from '../wire/described-row.ts';
import type { BoundParameters, Portal } from '../wire/gateway-api.ts';

/** What DECLARE said. */
export interface CursorDefinition {
  readonly text: string;
  readonly isBinary: boolean;
  readonly isHoldable: boolean;
  /** Null: where it costs little. */
  readonly scroll: boolean | null;
  readonly declaredAt: number;
}

export class SessionPortal implements Portal {
  readonly columns: readonly ResultColumn[] | null;
  readonly formats: readonly Format[];
  readonly prepared: SessionPrepared;
  readonly described: DescribedRow;
  readonly parameters: BoundParameters;
  /** Null: Bind made it. */
  readonly cursor: CursorDefinition | null;
  readonly boundAt: number;
  /** A query under way; null before the first Execute. FETCH makes a cursor of it. */
  run: QueryRun | SqlCursor | null = null;
  finished = false;
  /** The names of its rows, as DECLARE found them. */
  rows: NamedRows | null = null;
  /** A row of it that has another name since. */
  renamed: { readonly row: number; readonly name: RowName } | null = null;
  /** Its transaction is over: it has its rows. */
  isHeld = false;
  /** Portals of a session count from 0. */
  readonly number: number;
  readonly name: string;

  constructor(
    name: string,
    prepared: SessionPrepared,
    parameters: BoundParameters,
    formats: readonly Format[],
    number: number,
    boundAt: number,
    cursor: CursorDefinition | null = null,
  ) {
    this.name = name;
    this.number = number;
    this.prepared = prepared;
    this.columns = prepared.columns;
    this.described = prepared.described;
    this.parameters = parameters;
    this.formats = formats;
    this.boundAt = boundAt;
    this.cursor = cursor;
  }

  /** It has come to its end, or an error ended it. */
  cannotRun(): SqlError {
    return new SqlError(SqlState.objectNotInPrerequisiteState, `portal "${this.name}" cannot be run`);
  }

  /** What is asked of it, which ends it where it fails. */
  async running<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.die();
      throw error;
    }
  }

  /** Of its values, and of rows that were put aside. */
  get heldBytes(): number {
    const { starts, ends, kept } = this.parameters;
    let bytes = this.run instanceof SqlCursor ? this.run.heldBytes : 0;
    for (let i = 0; i < starts.length; i++) if (starts[i]! >= 0) bytes += ends[i]! - starts[i]!;
    for (const read of kept ?? []) bytes += read?.heap.length ?? 0;
    return bytes;
  }

  /** What FETCH and MOVE work on. @throws {SqlError} 55000 */
  scrolling(files: SpoolFiles): SqlCursor {
    if (this.run === null || this.finished) throw this.cannotRun();
    if (!(this.run instanceof SqlCursor))
      this.run = new SqlCursor(this.run, this.formats, this.cursor === null ? false : this.cursor.scroll, files);
    return this.run;
  }

  /** It may give rows yet, out of the tables as they are. */
  get isActive(): boolean {
    return !this.isHeld && !(this.finished && this.run === null);
  }

  reads(uuid: string): boolean {
    const { statement } = this.prepared;
    return statement.kind === 'query' && statement.plan.tables.some(({ def }) => def.uuid === uuid);
  }

  /** Before the commit of its transaction: the rows that are left are its own. */
  async hold(): Promise<void> {
    if (this.run instanceof SqlCursor) await this.run.keepRows();
    this.isHeld = true;
  }

  /** A rollback to a savepoint that is older, or an error while it ran. */
  die(): void {
    void this.run?.close();
    this.run = null;
    this.finished = true;
  }

  close(): void {
    void this.run?.close();
  }
}

/** One format a column, from the 0, 1 or n codes of Bind. */
export function formatsOf(count: number, codes: readonly Format[]): readonly Format[] {
  if (codes.length === count) return codes;
  const all = SPREAD[codes[0] ?? 0];
  return (all[count] ??= Array.from({ length: count }, () => codes[0] ?? 0));
}

/** By format and number of columns: a portal keeps none of its own. */
const SPREAD: readonly [(readonly Format[])[], (readonly Format[])[]] = [[], []];
