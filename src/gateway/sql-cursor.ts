/**
 * A query that FETCH and MOVE go to and fro in. Positions count rows from 1; 0 is before the first, the number of rows and one
 * more is after the last.
 *
 * - C1 Rows come from the query once, in order; what may be asked for again is put aside (`row-spool.ts`).
 * - C2 SCROLL and WITH HOLD keep all rows. Where nothing was said they are kept while they are few, and beyond that the cursor
 *   goes forward only. NO SCROLL keeps none.
 * - C3 A row may have columns behind those that are shown: what names it (current-of.ts). The row that it stands on is at hand.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import type { MaybePromise, Output } from '../wire/gateway-api.ts';
import { discard } from './columns.ts';
import type { QueryRun } from './query.ts';
import { firstFields } from './row-formats.ts';
import { lastRow, MEMORY_BYTES, rowsIn, RowSpool, type SpoolFiles } from './row-spool.ts';

export type { SpoolFiles } from './row-spool.ts';
export type Direction = 'forward' | 'backward' | 'absolute' | 'relative';
/** Where rows go. */
type Take = (messages: Uint8Array, rows: number) => MaybePromise<void>;

export class SqlCursor {
  readonly columns: readonly ResultColumn[];
  /** With those that are not shown. */
  readonly kept: { readonly columns: readonly ResultColumn[]; readonly formats: readonly Format[] };
  /** Of the rows as they are kept. */
  readonly formats: readonly Format[];
  /** Rows sent by the last `send`. */
  sent = 0;
  readonly #files: SpoolFiles;
  readonly #isBounded: boolean;
  #run: QueryRun | null;
  #spool: RowSpool | null;
  /** The row that is the spool's first. */
  #first = 1;
  #position = 0;
  /** Rows that the query has given. */
  #given = 0;
  #scrolls: boolean;
  /** The row that the query gave last (C3). */
  #last: Uint8Array | null = null;

  /** @param scroll null: while rows are few */
  constructor(
    run: QueryRun,
    formats: readonly Format[],
    scroll: boolean | null,
    files: SpoolFiles,
    shown: number = run.columns.length,
  ) {
    this.columns = run.columns.slice(0, shown);
    this.formats = formats.slice(0, shown);
    this.kept = { columns: run.columns, formats };
    this.#run = run;
    this.#files = files;
    this.#isBounded = scroll === null;
    this.#scrolls = scroll !== false;
    this.#spool = this.#scrolls ? new RowSpool(files) : null;
  }

  get heldBytes(): number {
    return this.#spool?.heldBytes ?? 0;
  }

  /** The row that it stands on; 0: before the first. */
  get position(): number {
    return this.#position;
  }

  /** The same as a DataRow, whole; null: it stands on none. */
  async row(): Promise<Uint8Array | null> {
    if (this.#position === 0 || this.#isAtEnd) return null;
    if (this.#position === this.#given && this.#last !== null) return this.#last;
    let found: Uint8Array | null = null;
    await this.#spool?.send(this.#position - this.#first, 1, (messages) => {
      found = messages.slice();
    });
    return found;
  }

  get scrolls(): boolean {
    return this.#scrolls;
  }

  get tag(): string {
    return `SELECT ${this.sent}`;
  }

  /** Execute on it: at most `maxRows` (0: all); true at the end. */
  async send(out: Output, maxRows: number): Promise<boolean> {
    this.sent = await this.#forward(
      maxRows === 0 ? Infinity : maxRows,
      this.#shown((messages) => out.dataRows(messages)),
    );
    return this.#isAtEnd;
  }

  /** FETCH, or MOVE where `take` is null; how many rows that is. @throws {SqlError} 55000 for a way back that there is not */
  async fetch(direction: Direction, count: number, to: Take | null): Promise<number> {
    const take = to === null ? null : this.#shown(to);
    switch (direction) {
      case 'absolute':
        return this.#absolute(count, take);
      case 'relative':
        if (count === 0) break;
        if (count > 1) await this.#forward(count - 1, null);
        if (count < -1) await this.#backward(-count - 1, null);
        return count > 0 ? this.#forward(1, take) : this.#backward(1, take);
      default: {
        const steps = direction === 'forward' ? count : -count;
        if (steps > 0) return this.#forward(steps, take);
        if (steps < 0) return this.#backward(-steps, take);
      }
    }
    return this.#again(take);
  }

  /** C3 */
  #shown(take: Take): Take {
    const { length } = this.columns;
    if (length === this.kept.columns.length) return take;
    return (messages, rows) => take(firstFields(messages, rows, length), rows);
  }

  /** The row that it stands on. */
  async #again(take: Take | null): Promise<number> {
    const isOnRow = this.#position > 0 && !this.#isAtEnd;
    if (!isOnRow) return 0;
    if (take === null) return 1;
    await this.#backward(1, null);
    return this.#forward(1, take);
  }

  async #absolute(count: number, take: Take | null): Promise<number> {
    if (count < 0) {
      await this.#forward(Infinity, null);
      if (count < -1) await this.#backward(-count - 1, null);
      return this.#backward(1, take);
    }
    if (count - 1 < this.#position) this.#rewind();
    if (count === 0) return 0;
    if (count - 1 > this.#position) await this.#forward(count - 1 - this.#position, null);
    return this.#forward(1, take);
  }

  get #isAtEnd(): boolean {
    return this.#run === null && this.#position > this.#given;
  }

  #rewind(): void {
    if (this.#position === 0) return;
    this.#goesBack();
    this.#position = 0;
  }

  #goesBack(): void {
    if (this.#scrolls) return;
    throw new SqlError(SqlState.objectNotInPrerequisiteState, 'cursor can only scan forward', {
      hint: 'Declare it with SCROLL option to enable backward scan.',
    });
  }

  async #forward(count: number, take: Take | null): Promise<number> {
    if (this.#isAtEnd) return 0;
    let got = Math.min(count, this.#given - this.#position);
    if (got > 0 && take !== null) await this.#spool!.send(this.#position + 1 - this.#first, got, take);
    if (got < count && this.#run !== null) got += await this.#read(count - got, take);
    this.#position = got < count ? this.#given + 1 : this.#position + got;
    return got;
  }

  async #backward(count: number, take: Take | null): Promise<number> {
    this.#goesBack();
    const got = Math.min(count, Math.max(0, this.#position - 1));
    if (take !== null)
      for (let row = this.#position - 1; row >= this.#position - got; row--)
        await this.#spool!.send(row - this.#first, 1, take);
    this.#position = got < count ? 0 : this.#position - got;
    return got;
  }

  /** Rows that the query has not given yet; how many there were. */
  async #read(count: number, take: Take | null): Promise<number> {
    const run = this.#run!;
    const out = discard((messages) => {
      const rows = rowsIn(messages);
      if (rows > 0) this.#last = lastRow(messages);
      const keeping = this.#keep(messages, rows);
      const full = take?.(messages, rows);
      return keeping === undefined ? full : keeping.then(() => full);
    });
    const isEnd = await run.send(out, count === Infinity ? 0 : count);
    this.#given += run.sent;
    if (isEnd) {
      this.#run = null;
      await run.close();
    }
    return run.sent;
  }

  #keep(messages: Uint8Array, rows: number): MaybePromise<void> {
    const spool = this.#spool;
    if (spool === null) return undefined;
    if (!this.#isBounded || spool.heldBytes + messages.length <= MEMORY_BYTES) return spool.append(messages, rows);
    // C2: too many to be kept where nobody asked for it
    this.#spool = null;
    this.#scrolls = false;
    return spool.close();
  }

  /** WITH HOLD, before the commit: the query is read to its end, and is over. */
  async keepRows(): Promise<void> {
    const run = this.#run;
    if (run === null) return;
    if (this.#spool === null) {
      this.#spool = new RowSpool(this.#files);
      this.#first = this.#given + 1;
    }
    const spool = this.#spool;
    await run.send(
      discard((messages) => spool.append(messages, rowsIn(messages))),
      0,
    );
    this.#given += run.sent;
    this.#run = null;
    await run.close();
  }

  async close(): Promise<void> {
    const [run, spool] = [this.#run, this.#spool];
    this.#run = null;
    this.#spool = null;
    this.#scrolls = false;
    await run?.close();
    await spool?.close();
  }
}
