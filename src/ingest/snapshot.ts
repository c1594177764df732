/**
 * What a transaction of REPEATABLE READ sees: one Version of all tables, pinned at its first statement, until it ends.
 *
 * - R1 Everything that was applied before it began to look for changes is visible in it: a change of a row that it shows is
 *   in the row's unit, or among the table's changed keys (key-changes.ts).
 * - R2 Its pin has a budget like that of any reader (H5): told to end, it gives up, and the transaction gets 72000 from its next
 *   statement on. Cursors under way end first.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { DataFileUnit } from '../storage/file-unit.ts';
import type { MemorySlice } from '../storage/memory/slice.ts';
import type { Pin } from '../storage/pins.ts';
import type { Table } from '../storage/table.ts';
import type { Lsn } from '../table-def.ts';
import type { Database } from './database.ts';

/** A slice as far as it was visible. */
export interface SliceView {
  readonly slice: MemorySlice;
  readonly rows: number;
  readonly deletes: number;
}

export class TableView {
  readonly slices: readonly SliceView[];
  readonly files: readonly DataFileUnit[];
  /** Of files with deletes, how many were visible. */
  readonly #deletes = new Map<DataFileUnit, number>();
  readonly #rows = new Map<number, number>();

  /** Of the table's rows, then. */
  readonly shape: number;

  constructor(slices: readonly SliceView[], files: readonly DataFileUnit[], shape: number) {
    this.shape = shape;
    this.slices = slices;
    this.files = files;
    for (const { slice, rows } of slices) this.#rows.set(slice.unit, rows);
    for (const file of files) {
      this.#rows.set(file.unit, file.rows);
      if (file.deletes.published > 0) this.#deletes.set(file, file.deletes.published);
    }
  }

  static of(table: Table): TableView {
    const slices: SliceView[] = [];
    for (const slice of table.slices())
      if (slice.published > 0) slices.push({ slice, rows: slice.published, deletes: slice.deletes.published });
    return new TableView(slices, table.files, table.shape);
  }

  /** Nothing was written to the table since, and nothing has moved. */
  isOf(table: Table): boolean {
    const now = TableView.of(table);
    return (
      now.slices.length === this.slices.length &&
      now.slices.every(({ slice, rows }, i) => slice === this.slices[i]!.slice && rows === this.slices[i]!.rows) &&
      now.files.length === this.files.length &&
      now.files.every((file, i) => file === this.files[i])
    );
  }

  deletesOf(file: DataFileUnit): number {
    return this.#deletes.get(file) ?? 0;
  }

  /** Whether a row that is alive now was there, at that place. */
  has(unit: number, position: number): boolean {
    return position < (this.#rows.get(unit) ?? 0);
  }
}

const NOTHING = new TableView([], [], 0);

export class Snapshot {
  readonly lsn: Lsn;
  readonly #views: ReadonlyMap<Table, TableView>;
  readonly #pin: Pin;
  readonly #ended: () => void;
  /** How to end each, and whether its statement is running. */
  readonly #readers = new Map<() => void, () => boolean>();
  #tooOld = false;
  #closed = false;

  private constructor(database: Database, ended: () => void) {
    this.#ended = ended;
    this.lsn = database.committer.publishedLsn;
    this.#views = new Map(database.allTables.map((table) => [table, TableView.of(table)]));
    const isBusy = (): boolean => [...this.#readers.values()].some((reads) => reads());
    this.#pin = database.memory.pins.acquire(() => this.giveUp(), isBusy);
  }

  static async take(database: Database): Promise<Snapshot> {
    let made: Snapshot | null = null;
    const ended = database.watchChanges(() => made?.giveUp());
    try {
      await database.committer.published(database.committer.appliedLsn); // R1
      made = new Snapshot(database, ended);
      return made;
    } catch (error) {
      ended();
      throw error;
    }
  }

  /** A table made since shows nothing. @throws {SqlError} 72000; 40001 when ALTER TABLE has changed its rows' shape since */
  view(table: Table): TableView {
    if (this.#tooOld) throw snapshotTooOld();
    const view = this.#views.get(table);
    if (view === undefined) return NOTHING;
    if (view.shape !== table.shape) throw otherShape(table);
    return view;
  }

  /** A reader begins, and says how to end it; the answer is called when it has ended. */
  read(end: () => void, isBusy: () => boolean): () => void {
    this.#readers.set(end, isBusy);
    return () => {
      this.#readers.delete(end);
      if (this.#readers.size === 0 && (this.#tooOld || this.#closed)) this.#pin.release();
    };
  }

  /** R2 */
  giveUp(): void {
    if (this.#tooOld) return;
    this.#tooOld = true;
    this.#ended();
    for (const end of [...this.#readers.keys()]) end();
    if (this.#readers.size === 0) this.#pin.release();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ended();
    if (this.#readers.size === 0) this.#pin.release();
  }
}

/** H5: what it pinned stood in the way of writes. */
export function snapshotTooOld(): SqlError {
  return new SqlError(SqlState.snapshotTooOld, 'snapshot too old', {
    detail: 'Rows that the query has not read yet were given up, so that writes could go on.',
    hint: 'Read results without long pauses, or raise memory.limit.',
  });
}

function otherShape({ def }: Table): SqlError {
  return new SqlError(
    SqlState.serializationFailure,
    `could not serialize access: table "${def.name}" was altered since the transaction began`,
    { hint: 'The transaction might succeed if retried.' },
  );
}

/** First writer wins: what the snapshot shows is no longer there. */
export function concurrentChange(what: 'update' | 'delete'): SqlError {
  return new SqlError(SqlState.serializationFailure, `could not serialize access due to concurrent ${what}`);
}
