/**
 * Commit: a transaction's writes become log frames, then rows and delete entries of the shared units, then visible.
 *
 * - V3 Published only when durable (or on append with synchronous_commit = off), in LSN order (H4).
 * - `appliedLsn` is always the end of a transaction: a cut takes it as its L (H2).
 * - After the first frame is in the log nothing may fail: room for rows and delete entries is made sure of before.
 */
import { invariant, SqlError, SqlState } from '../errors.ts';
import type { FrameHead, Log, LogStream } from '../storage/log/log-api.ts';
import type { Batch } from '../storage/memory/batch.ts';
import type { DeleteList } from '../storage/memory/delete-list.ts';
import type { Memory } from '../storage/memory/memory.ts';
import type { Piece } from '../storage/memory/own-index.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import { ADOPT_BYTES_MIN, ADOPT_ROWS_MIN, type MemorySlice } from '../storage/memory/slice.ts';
import type { Table } from '../storage/table.ts';
import type { Lsn } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { framesOf, streamFrame, truncationFrames, type Frame } from './commit-frames.ts';
import { replaced } from './replaced-file.ts';
import type { PackedPlaces } from './packed-places.ts';
import { Publications } from './publications.ts';
import { sealStream } from './stream-writes.ts';
import type { TableWrites, Transaction } from './transaction.ts';
import { applyTruncation } from './truncation.ts';

const LONE_RUN = 16;

interface Pending {
  readonly lsn: Lsn;
  readonly durable: boolean;
  readonly slices: readonly { readonly slice: MemorySlice; readonly rows: number }[];
  readonly lists: readonly { readonly list: DeleteList; readonly length: number }[];
  readonly tables: readonly Table[];
  readonly done: () => void;
}

const NO_LISTS: Pending['lists'] = [];

/** Thrown by what a commit is to carry out first: nothing of it was done here, and the transaction has not ended. */
export class NotYet extends Error {
  override readonly cause: SqlError;

  constructor(cause: SqlError) {
    super(cause.message);
    this.cause = cause;
  }
}

/** What a commit asks for when own rows of the transaction are in files (H1). */
export interface Spills {
  readonly streamAnew: (transaction: Transaction) => Promise<LogStream>;
  /** Files have come into the table that no flush manifest names. */
  readonly placed: (table: Table) => void;
  /** Why the log takes nothing. */
  readonly logFull: () => SqlError;
}

export class Committer {
  appliedLsn: Lsn = 0;
  publishedLsn: Lsn = 0;
  readonly publications = new Publications();
  readonly #memory: Memory;
  readonly #log: Log;
  readonly #spills: Spills;
  readonly #inserted: (table: Table) => void;
  readonly #pending: Pending[] = [];
  #head = 0;
  #owner = 0;
  #run = 0;
  /** A transaction of many frames holds the lane, so that its frames lie side by side. */
  #lane: Promise<void> | null = null;
  readonly #waiting: { readonly lsn: Lsn; readonly resolve: () => void }[] = [];

  /** @param inserted told of each table whose slices have got rows */
  constructor(memory: Memory, log: Log, spills: Spills, inserted: (table: Table) => void = () => {}) {
    this.#memory = memory;
    this.#log = log;
    this.#spills = spills;
    this.#inserted = inserted;
    log.onDurable = () => this.#advance();
  }

  /** Resolves when everything up to `lsn` is visible. */
  published(lsn: Lsn): Promise<void> {
    if (this.publishedLsn >= lsn) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ lsn, resolve }));
  }

  /**
   * Commits; resolves when visible and, unless synchronous_commit is off, durable. What one frame holds is in the log and
   * applied when it returns.
   * @param first carried out when everything has room, before the log has anything of it: it fails, and so does the commit; after `NotYet` it may be asked again
   * @throws {SqlError} 53100, 53200: nothing was written, and the transaction is rolled back
   */
  commit(transaction: Transaction, first: (() => Promise<void>) | null = null): Promise<void> {
    if (transaction.operations === 0 && first === null) {
      transaction.finish();
      return transaction.ended;
    }
    transaction.state = 'committing';
    if (transaction.hasTemporary && first === null && transaction.isTemporary)
      return this.#commitTemporary(transaction);
    this.#notice(transaction.owner);
    if (this.#lane !== null || transaction.streamed !== null || transaction.hasLeftMemory || first !== null)
      return this.#commitInTurn(transaction, first);
    try {
      const writes = this.#prepare(transaction);
      const frames = framesOf(logged(transaction, writes), this.#log.frameBytesMax);
      const head = this.#headOf(transaction, frames, 0);
      if (frames.length > 1 || !this.#log.append(head, frames[0]!.parts, transaction.synchronous))
        return this.#commitInTurn(transaction);
      this.#memory.pool.unbounded(() => this.#apply(transaction, writes, this.#log.lastLsn));
    } catch (error) {
      transaction.finish();
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
    return transaction.ended;
  }

  /** Nothing of it goes to the log, and nobody else sees it: it is there at once. */
  #commitTemporary(transaction: Transaction): Promise<void> {
    try {
      const writes = this.#prepare(transaction);
      this.#memory.pool.unbounded(() => this.#applyTemporary(transaction, writes));
    } catch (error) {
      transaction.finish();
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
    return transaction.ended;
  }

  /** After so many commits of one session in a row there is no other to share a sync with. */
  #notice(owner: number): void {
    this.#run = owner === this.#owner ? this.#run + 1 : 0;
    this.#owner = owner;
    this.#log.lone = owner !== 0 && this.#run >= LONE_RUN;
  }

  async #commitInTurn(transaction: Transaction, first: (() => Promise<void>) | null = null): Promise<void> {
    try {
      const { frameBytesMax } = this.#log;
      const { isSpilled, hasLeftMemory } = transaction;
      let stream = await sealStream(transaction);
      if (hasLeftMemory) stream ??= await this.#spills.streamAnew(transaction);
      await this.exclusive(async () => {
        const writes = this.#prepare(transaction);
        const inLog = logged(transaction, writes);
        const frames =
          stream !== null
            ? [...truncationFrames(inLog, frameBytesMax), streamFrame(stream)]
            : inLog.length === 0
              ? []
              : framesOf(inLog, frameBytesMax);
        // What is begun ends: frames that have room are taken whatever the disk is then.
        const isReserved = frames.length > 1 || (frames.length > 0 && first !== null);
        if (isReserved && !(await this.#log.reserve(frames.map(({ bytes }) => bytes)))) throw this.#spills.logFull();
        await first?.();
        if (frames.length === 0) {
          this.#memory.pool.unbounded(() => this.#applyTemporary(transaction, writes));
          return;
        }
        await this.#append(transaction, frames, stream !== null, isReserved);
        if (stream !== null) transaction.streamCommitted(this.#log.lastLsn);
        // V3: files are visible as soon as they are in the Version.
        if (isSpilled) await this.#log.durable(this.#log.lastLsn);
        // A table may have been dropped while the log had no room.
        const live = writes.filter(({ table }) => !table.dropped);
        this.#memory.pool.unbounded(() => this.#apply(transaction, live, this.#log.lastLsn));
      });
    } catch (error) {
      if (!(error instanceof NotYet)) transaction.finish();
      throw error;
    }
    await transaction.ended;
  }

  /** Runs `work` while no transaction is between its check and its rows: what it changes at once, they see whole. */
  async exclusive<T>(work: () => Promise<T> | T): Promise<T> {
    while (this.#lane !== null) await this.#lane;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#lane = promise;
    try {
      return await work();
    } finally {
      this.#lane = null;
      resolve();
    }
  }

  /** Appends a checkpoint frame between two transactions; `payload` is asked when nothing can come between. False: it has none. */
  checkpoint(payload: () => Uint8Array | null): Promise<boolean> {
    return this.exclusive(async () => {
      const bytes = payload();
      if (bytes === null) return false;
      const head = {
        kind: 'checkpoint',
        firstLsn: this.#log.lastLsn + 1,
        count: 0,
        transaction: 0,
        last: true,
      } as const;
      while (!this.#log.append(head, [bytes])) await this.#log.room(bytes.length, true);
      return true;
    });
  }

  /** What it wrote, when all of it has room. @throws {SqlError} 53100, 53200, 42P01 */
  #prepare(transaction: Transaction): readonly TableWrites[] {
    if (this.#log.full && !transaction.isTemporary) throw this.#spills.logFull();
    const writes: TableWrites[] = [];
    for (const each of transaction.writes.values()) {
      if (each.operations === 0) continue;
      if (each.table.dropped)
        throw new SqlError(SqlState.undefinedTable, `relation "${each.table.def.name}" does not exist`);
      each.uniques?.assertClaimed(each.table, each.inserted.rows);
      this.#compact(each);
      writes.push(each);
    }
    this.#makeSure(writes);
    return writes;
  }

  /** Own rows that died again leave the buffer: frames and units get live rows only. */
  #compact(writes: TableWrites): void {
    if (writes.dead.length === 0) return;
    const live = new RowBuffer(this.#memory, writes.table.physicals);
    const { inserted } = writes;
    inserted.batches.forEach((batch, index) => {
      const start = inserted.batchStart(index);
      const vectors = batch.vectors();
      for (let row = 0; row < batch.rows; row++) if (!writes.isDead(start + row)) live.append(vectors, row, row + 1);
    });
    writes.replaceInserted(live);
  }

  /** @throws {SqlError} 53200 before anything is in the log */
  #makeSure(writes: readonly TableWrites[]): void {
    let bytes = 0;
    for (const each of writes) {
      for (const batch of each.inserted.batches)
        if (!adoptable(each.table, batch)) bytes += batch.dataBytes * 2 + 65_536;
      if (each.isTruncated || each.deleted.length === 0) continue;
      for (const [unit, count] of each.deleted.counts()) {
        const { deletes } = each.table.unit(unit) ?? replaced(each.table);
        if (!deletes.reserve(count)) throw outOfMemory(this.#memory);
      }
    }
    if (this.#memory.slabBytes + bytes > this.#memory.pool.budgetBytes) throw outOfMemory(this.#memory);
  }

  /** @param isReserved all of them have room; else it is one frame, which a full disk refuses */
  async #append(
    transaction: Transaction,
    frames: readonly Frame[],
    streamed: boolean,
    isReserved: boolean,
  ): Promise<void> {
    for (let i = 0; i < frames.length; i++) {
      const frame = frames[i]!;
      const kind = streamed && i === frames.length - 1 ? 'stream' : 'data';
      const head = { ...this.#headOf(transaction, frames, i), kind } as const;
      while (!this.#log.append(head, frame.parts, true, isReserved)) {
        if (!isReserved && this.#log.full) throw this.#spills.logFull();
        await this.#log.room(frame.bytes, isReserved);
      }
    }
  }

  #headOf(transaction: Transaction, frames: readonly Frame[], index: number): FrameHead {
    return {
      kind: 'data',
      firstLsn: this.#log.lastLsn + 1,
      count: frames[index]!.count,
      transaction: transaction.id,
      last: index === frames.length - 1,
    };
  }

  #apply(transaction: Transaction, writes: readonly TableWrites[], lsn: Lsn): void {
    const first = this.appliedLsn + 1;
    const slices = new Set<MemorySlice>();
    const lists = new Set<DeleteList>();
    for (const each of writes) {
      this.#place(each, lsn, slices, lists);
      if (!each.table.temporary) noteOperations(each.table, first, lsn);
    }
    this.appliedLsn = lsn;
    this.#pending.push({
      lsn,
      durable: transaction.synchronous,
      slices: [...slices].map((slice) => ({ slice, rows: slice.rows })),
      lists: lists.size === 0 ? NO_LISTS : [...lists].map((list) => ({ list, length: list.length })),
      tables: writes.map((each) => each.table),
      done: () => transaction.finish(),
    });
    this.#advance();
  }

  /** Into the units of its table. */
  #place(each: TableWrites, lsn: Lsn, slices: Set<MemorySlice>, lists: Set<DeleteList>): void {
    const { deleted, deletedNames, isTruncated, renamed, table } = each;
    table.counts.note(each.insertions, isTruncated ? 0 : deleted.length);
    if (isTruncated) applyTruncation(table, lsn, lists);
    placeSpilled(each, this.appliedLsn, lsn, (placed) => this.#spills.placed(placed));
    if (!isTruncated) applyDeletes(table, deleted, lsn, lists);
    if (isTruncated || deletedNames.first > 0) table.changes?.lose();
    else table.changes?.note(deletedNames, lsn);
    if (renamed !== null) table.renames.note(renamed);
    applyInserts(each, lsn, slices);
    this.#inserted(table);
  }

  /** What has no place in the log is visible as soon as it is there. */
  #applyTemporary(transaction: Transaction, writes: readonly TableWrites[]): void {
    const slices = new Set<MemorySlice>();
    const lists = new Set<DeleteList>();
    for (const each of writes) if (!each.table.dropped) this.#place(each, this.appliedLsn, slices, lists);
    for (const slice of slices) slice.published = slice.rows;
    for (const list of lists) list.publish(list.length);
    transaction.finish();
  }

  #advance(): void {
    while (this.#head < this.#pending.length) {
      const next = this.#pending[this.#head]!;
      if (next.durable && next.lsn > this.#log.durableLsn) break;
      this.#head++;
      for (const { slice, rows } of next.slices) slice.published = Math.max(slice.published, rows);
      for (const { list, length } of next.lists) list.publish(length);
      for (const table of next.tables) table.publishedLsn = next.lsn;
      this.publishedLsn = next.lsn;
      next.done();
    }
    if (this.#head === this.#pending.length || this.#head > 4096) {
      this.#pending.splice(0, this.#head);
      this.#head = 0;
    }
    for (let i = this.#waiting.length - 1; i >= 0; i--) {
      if (this.#waiting[i]!.lsn <= this.publishedLsn) this.#waiting.splice(i, 1)[0]!.resolve();
    }
    this.publications.tell();
  }
}

/** Of what has room, what goes to the log. */
function logged({ hasTemporary }: Transaction, writes: readonly TableWrites[]): readonly TableWrites[] {
  return hasTemporary ? writes.filter(({ table }) => !table.temporary) : writes;
}

function outOfMemory(memory: Memory): SqlError {
  return new SqlError(SqlState.outOfMemory, 'out of memory', {
    detail: `The transaction does not fit the budget for rows in memory (${memory.pool.budgetBytes} bytes).`,
    hint: 'Write in smaller transactions, or raise memory.limit.',
  });
}

function adoptable(table: Table, batch: Batch): boolean {
  return !table.partitioned && (batch.rows >= ADOPT_ROWS_MIN || batch.dataBytes >= ADOPT_BYTES_MIN);
}

/** An operation range on a table: what the log must keep until it is flushed and committed (H3). */
export function noteOperations(table: Table, first: Lsn, last: Lsn): void {
  table.appliedLsn = last;
  if (table.unflushedFrom === 0) table.unflushedFrom = first;
  if (table.uncommittedFrom === 0) table.uncommittedFrom = first;
}

/** Delete entries for positions found before: the index of memory rows counts such rows as none. */
export function applyDeletes(
  table: Table,
  deleted: Pick<PackedPlaces, 'forRuns'>,
  lsn: Lsn,
  lists: Set<DeleteList>,
): void {
  deleted.forRuns((id, positions) => {
    const unit = table.unit(id);
    invariant(unit !== undefined, 'V1 a recorded deletion follows its row to the unit where it is');
    unit.deletes.reserve(positions.length); // rows may have moved since room was made sure of
    unit.deletes.appendAll(positions, lsn);
    lists.add(unit.deletes);
    if (unit.tier !== 'memory') table.fileSets.deleted(unit);
  });
}

/** Files of own rows become units of the table. */
function placeSpilled(writes: TableWrites, lsnFrom: Lsn, lsnTo: Lsn, placed: (table: Table) => void): void {
  const { spilled, table } = writes;
  if (spilled.size === 0) return;
  const { files } = spilled;
  const { live, empty } = spilled.release(lsnFrom, lsnTo);
  table.spill([], files);
  table.install(null, live);
  writes.dropFiles(empty);
  if (!table.temporary) placed(table);
}

function applyInserts(writes: TableWrites, lsn: Lsn, slices: Set<MemorySlice>): void {
  const { table, own } = writes;
  if (table.partitioned && own !== null) {
    // The index locks the rows' keys until the transaction ends, and reads them in its batches.
    for (const batch of writes.inserted.batches) insertVectors(table, batch.vectors(), batch.rows, lsn, slices);
    return;
  }
  const pieces: Piece[] = [];
  const { first } = writes.inserted;
  let row = first;
  for (const batch of writes.inserted.release()) {
    const { rows } = batch;
    if (own !== null) pieces.push({ row, rows, ...appendBatch(writes, batch, lsn, slices) });
    else if (adoptable(table, batch)) {
      const { slice, position } = appendBatch(writes, batch, lsn, slices);
      indexRows(table, slice, batch.vectors(), 0, rows, position);
    } else {
      insertVectors(table, batch.vectors(), rows, lsn, slices);
      writes.inserted.retireBatch(batch);
    }
    row += rows;
  }
  if (own === null || row === first) return;
  own.place(pieces);
  table.generations[0]!.index.adopt(own);
}

/** A batch as it is into the slice of a table without partitions, or copied when it is small. */
function appendBatch(
  { table, inserted }: TableWrites,
  batch: Batch,
  lsn: Lsn,
  slices: Set<MemorySlice>,
): { readonly slice: MemorySlice; readonly position: number } {
  const slice = table.sliceFor([], 0);
  const position = slice.rows;
  if (adoptable(table, batch)) slice.adopt(batch);
  else {
    slice.append(batch.vectors(), 0, batch.rows);
    inserted.retireBatch(batch);
  }
  seen(slice, lsn, slices);
  return { slice, position };
}

function seen(slice: MemorySlice, lsn: Lsn, slices: Set<MemorySlice>): void {
  if (slice.lsnMin === 0) slice.lsnMin = lsn;
  slice.lsnMax = lsn;
  slices.add(slice);
}

/** Routes rows of vectors in def order to the slices of their partitions, in runs, and indexes their keys. */
export function insertVectors(
  table: Table,
  vectors: readonly ColumnVector[],
  rows: number,
  lsn: Lsn,
  slices: Set<MemorySlice>,
): void {
  let start = 0;
  while (start < rows) {
    const slice = table.sliceFor(vectors, start);
    let end = table.partitioned ? start + 1 : rows;
    while (end < rows && table.sliceFor(vectors, end) === slice) end++;
    const position = slice.rows;
    slice.append(vectors, start, end);
    indexRows(table, slice, vectors, start, end, position);
    seen(slice, lsn, slices);
    start = end;
  }
}

function indexRows(
  table: Table,
  slice: MemorySlice,
  vectors: readonly ColumnVector[],
  start: number,
  end: number,
  position: number,
): void {
  if (!table.keyed) return;
  const keys = table.keyColumns.map((column) => vectors[column]!);
  table.generations[0]!.index.add(slice, keys, start, end, position);
}
