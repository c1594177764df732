/**
 * A large transaction's rows go to the log while it runs (H1): full batches, in order, into a stream of its own, and before
 * each of them the names of the rows of others that were deleted, which leave memory with that. At commit one frame names the stream; it is
 * durable by then.
 *
 * - A batch that has been streamed is final. Where an own row dies later, or a rollback to a savepoint takes it back, the
 *   stream is given up and the live rows are written as those of any other transaction, or streamed anew (stream-anew.ts).
 */
import type { SectionKind } from '../storage/log/frame-section.ts';
import type { LogStream } from '../storage/log/log-api.ts';
import type { Batch } from '../storage/memory/batch.ts';
import { encodeFrame } from './frame.ts';
import { streamWithRoom, type StreamHost } from './stream-room.ts';
import type { TableWrites, Transaction } from './transaction.ts';

/** A transaction smaller than this is one frame of the log, or a few. */
const STREAM_BYTES_MIN = 2 ** 22;

export class StreamedWrites {
  readonly #stream: LogStream;
  /** Deletions of the rows of others that have gone: before rows, for those may have their keys. */
  readonly #deletions = new Map<TableWrites, number>();
  /** Batches of each table that have gone. */
  readonly #sent = new Map<TableWrites, number>();
  /** Own rows before it have gone, and left memory. */
  readonly #dropped = new Map<TableWrites, number>();

  constructor(stream: LogStream) {
    this.#stream = stream;
  }

  get stream(): LogStream {
    return this.#stream;
  }

  /** Whether own rows from `rows` on have gone, or deletions from `deletions` on. */
  reaches(writes: TableWrites, { rows, deletions }: { readonly rows: number; readonly deletions: number }): boolean {
    const { batches } = writes.inserted;
    if ((this.#deletions.get(writes) ?? 0) > deletions) return true;
    const sent = this.#sent.get(writes) ?? 0;
    if ((this.#dropped.get(writes) ?? 0) > rows) return true;
    return sent > 0 && writes.inserted.batchStart(sent - 1) + batches[sent - 1]!.rows > rows;
  }

  /** The first batches, which have gone, leave memory. */
  dropped(writes: TableWrites, batches: number): void {
    this.#sent.set(writes, (this.#sent.get(writes) ?? 0) - batches);
    this.#dropped.set(writes, writes.inserted.batchStart(batches));
  }

  /** Sends batches that take no more rows; `all`: the last ones, too. A promise: the disk is behind. */
  send(writes: TableWrites, all: boolean): Promise<void> | undefined {
    const { batches } = writes.inserted;
    const end = all ? batches.length : batches.length - 1;
    const from = this.#sent.get(writes) ?? 0;
    const namesWait = writes.deletedNames.batches.length > 1;
    let wait = from < end || namesWait || all ? this.#sendDeletions(writes) : undefined;
    for (let i = from; i < end; i++) {
      const batch = batches[i]!;
      this.#sent.set(writes, i + 1);
      if (batch.rows > 0) wait = this.#push(writes, 'insert', batch, 0);
    }
    return wait;
  }

  #sendDeletions(writes: TableWrites): Promise<void> | undefined {
    const { deletedNames } = writes;
    if (writes.isTruncated) return undefined; // they are none of the stream's
    const sent = this.#deletions.get(writes) ?? 0;
    this.#deletions.set(writes, deletedNames.rows);
    let wait: Promise<void> | undefined;
    if (sent === deletedNames.rows) return wait;
    for (let i = deletedNames.batchOf(sent); i < deletedNames.batches.length; i++) {
      const batch = deletedNames.batches[i]!;
      const start = Math.max(0, sent - deletedNames.batchStart(i));
      if (start < batch.rows) wait = this.#push(writes, 'delete', batch, start);
    }
    dropNames(writes);
    return wait;
  }

  #push({ table }: TableWrites, kind: SectionKind, batch: Batch, start: number): Promise<void> | undefined {
    const { def, uuidBytes: tableUuid } = table;
    const fieldIds = kind === 'delete' && table.keyed ? def.key : table.fieldIds;
    const [vectors, end] = [batch.vectors(), batch.rows];
    const section = { tableUuid, schemaId: def.schemaId, kind, fieldIds, vectors, start, end };
    return this.#stream.push(end - start, encodeFrame([section]));
  }
}

/** Names of deleted rows leave memory: their rows have them still (`stream-anew.ts`). The last batch takes more. */
function dropNames({ deletedNames }: TableWrites): void {
  if (deletedNames.batches.length > 1) deletedNames.dropBatches(deletedNames.batches.length - 1);
}

/** After rows were added: what is complete goes on its way, once the transaction is large. @throws {SqlError} 53100 when disk.limit has no room for more */
export function streamRows(host: StreamHost, transaction: Transaction, writes: TableWrites): Promise<void> | undefined {
  if (writes.table.temporary) {
    dropNames(writes);
    return undefined;
  }
  if (transaction.streamed === null) {
    if (transaction.hasLeftMemory) {
      dropNames(writes);
      return undefined; // all of it goes anew with the commit (stream-anew.ts)
    }
    const { inserted, deletedNames } = writes;
    if (inserted.batches.length + deletedNames.batches.length < 4) return undefined;
    let bytes = 0;
    for (const batch of inserted.batches) bytes += batch.dataBytes;
    for (const batch of deletedNames.batches) bytes += batch.dataBytes;
    if (bytes < STREAM_BYTES_MIN) return undefined;
    transaction.streamed = new StreamedWrites(streamWithRoom(host));
  }
  return transaction.streamed.send(writes, false);
}

/** Before the commit: everything is in the stream, and durable. Null: it could not be used, and is gone. */
export async function sealStream(transaction: Transaction): Promise<LogStream | null> {
  const { streamed } = transaction;
  if (streamed === null) return null;
  for (const writes of transaction.logged) {
    if (writes.dead.length > 0 || writes.spilled.dead > 0) {
      transaction.giveUpStream();
      return null;
    }
  }
  for (const writes of transaction.logged) await streamed.send(writes, true);
  await streamed.stream.seal();
  return streamed.stream;
}
