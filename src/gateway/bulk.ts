/**
 * Many rows into one table by one statement: after some of them their keys are claimed, what is complete goes to the log (H1),
 * and what memory has no room for goes to files. INSERT, COPY and INSERT … SELECT go this way.
 */
import { spill, spillRows } from '../ingest/spill-rows.ts';
import { streamRows } from '../ingest/stream-writes.ts';
import type { TableWrites } from '../ingest/transaction.ts';
import { insertRows } from '../ingest/write-rows.ts';
import { unlessCanceled } from '../running.ts';
import type { MaybePromise } from '../wire/gateway-api.ts';
import { checkSize, contextOf, type WriteEnvironment } from './write-environment.ts';

/** Rows between two checks of keys. */
export const CHECK_ROWS = 8192;

export class BulkRows {
  /** The statement's first own row. */
  readonly from: number;
  readonly #environment: WriteEnvironment;
  readonly #writes: TableWrites;
  readonly #answer: ((from: number) => MaybePromise<void>) | null;
  #claimed: number;

  /** @param answer called when the keys of own rows from `from` on are claimed: they are in memory still (RETURNING) */
  constructor(
    environment: WriteEnvironment,
    writes: TableWrites,
    answer: ((from: number) => MaybePromise<void>) | null = null,
  ) {
    this.#environment = environment;
    this.#writes = writes;
    this.#answer = answer;
    this.from = writes.inserted.rows;
    this.#claimed = this.from;
  }

  /** Rows that the statement has written. */
  get rows(): number {
    return this.#writes.inserted.rows - this.from;
  }

  /** Rows whose keys are not claimed yet. */
  get waiting(): number {
    return this.#writes.inserted.rows - this.#claimed;
  }

  /** After some rows. A promise: wait for it before the next. */
  advance(): MaybePromise<void> {
    const { pressed } = this.#environment.database;
    if (this.waiting < CHECK_ROWS && !pressed) return undefined;
    return this.finish();
  }

  /** After the last row: its keys are claimed when this has resolved. */
  finish(): MaybePromise<void> {
    const from = this.#claimed;
    const claimed = this.#claim();
    return claimed === null ? this.#move(from) : claimed.then(() => this.#move(from));
  }

  #claim(): Promise<void> | null {
    const writes = this.#writes;
    const start = this.#claimed;
    this.#claimed = writes.inserted.rows;
    const upsert = writes.table.def.onConflict === 'upsert';
    return insertRows(contextOf(this.#environment), this.#environment.transaction, writes, start, upsert);
  }

  #move(from: number): MaybePromise<void> {
    const move = (): MaybePromise<void> => moveRows(this.#environment, this.#writes, this.from);
    const answered = this.#answer?.(from);
    return answered === undefined ? move() : answered.then(move);
  }
}

/**
 * Own rows whose keys are claimed go to the log, and to files. A statement that is cancelled waits for neither: both may be behind a
 * slow disk.
 * @param from the statement's first own row
 * @throws {SqlError} 53200 when there are too many that have to stay in memory; 57014
 */
export function moveRows(environment: WriteEnvironment, writes: TableWrites, from: number): MaybePromise<void> {
  const { database, transaction, running } = environment;
  const abandoned = new AbortController();
  const streaming = streamRows(database, transaction, writes);
  const spilling = spillRows(database, transaction, writes, from, abandoned.signal);
  if (spilling === undefined) checkSize(environment, writes);
  const moved =
    streaming === undefined || spilling === undefined ? (spilling ?? streaming) : spilling.then(() => streaming);
  return moved === undefined ? undefined : unlessCanceled(running, moved, () => abandoned.abort());
}

/**
 * All own rows, whose keys are claimed, go to files: a query that is begun then finds them where they stay.
 * @returns false where they have to stay in memory
 */
export async function moveAll(
  { database, transaction, running }: WriteEnvironment,
  writes: TableWrites,
): Promise<boolean> {
  if (writes.mayRevive || writes.uniques !== null) return false;
  writes.inserted.close();
  const abandoned = new AbortController();
  const move = async (): Promise<void> => {
    await streamRows(database, transaction, writes);
    await spill(database, transaction, writes, writes.inserted.rows, abandoned.signal);
  };
  await unlessCanceled(running, move(), () => abandoned.abort());
  return true;
}

/** A transaction of many statements has so much in memory that something may have to leave it. */
const MOVED_BATCHES_MIN = 8;

/** After a statement of a few rows. */
export function moveSome(environment: WriteEnvironment, writes: TableWrites): MaybePromise<void> {
  if (writes.inserted.batches.length < MOVED_BATCHES_MIN) return undefined;
  return moveRows(environment, writes, writes.inserted.rows);
}
