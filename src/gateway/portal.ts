/** What a Bind makes: a prepared statement with its values, to be carried out by Execute. */
import type { SessionPrepared } from './prepare.ts';
import type { QueryRun } from './query.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import type { BoundParameters, Portal } from '../wire/gateway-api.ts';

export class SessionPortal implements Portal {
  readonly columns: readonly ResultColumn[] | null;
  readonly formats: readonly Format[];
  readonly prepared: SessionPrepared;
  readonly parameters: BoundParameters;
  /** A query under way; null before the first Execute. */
  run: QueryRun | null = null;
  finished = false;
  /** Portals of a session count from 0. */
  readonly number: number;
  /** The session's portals. */
  readonly #open: Set<SessionPortal>;

  constructor(
    open: Set<SessionPortal>,
    prepared: SessionPrepared,
    parameters: BoundParameters,
    formats: readonly Format[],
    number: number,
  ) {
    this.number = number;
    this.#open = open;
    this.prepared = prepared;
    this.columns = prepared.columns;
    this.parameters = parameters;
    this.formats = formats;
  }

  /** Of its values. */
  get heldBytes(): number {
    const { starts, ends } = this.parameters;
    let bytes = 0;
    for (let i = 0; i < starts.length; i++) if (starts[i]! >= 0) bytes += ends[i]! - starts[i]!;
    return bytes;
  }

  /** A rollback to a savepoint that is older. */
  die(): void {
    void this.run?.close();
    this.run = null;
    this.finished = true;
  }

  close(): void {
    void this.run?.close();
    this.#open.delete(this);
  }
}

/** One format a column, from the 0, 1 or n codes of Bind. */
export function formatsOf(count: number, codes: readonly Format[]): readonly Format[] {
  return Array.from({ length: count }, (_, i) => (codes.length === 1 ? codes[0]! : (codes[i] ?? 0)));
}
