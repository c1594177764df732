/**
 * Where one session's answers gather before they go to the socket.
 *
 * - O1 Messages leave in the order in which they were appended: `writer` is the only way out.
 * - O2 One socket.write per turn of the loop, not per message or per promise; what a waiting statement has said goes out at the turn's end.
 * - O3 `dataRows` answers with a promise while the socket holds more than `OUTPUT_BYTES_MAX`; when the client is gone
 *   it throws, so that a long result stops.
 * - O4 For a client that does not speak UTF-8 what is in the writer is turned into its encoding before a statement has its tag, at the latest
 *   before it leaves: a character that it lacks fails the statement.
 */
import { isAscii } from 'node:buffer';
import type { Socket } from 'node:net';
import { SqlError, SqlState } from '../errors.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import type { ClientEncoding } from '../types/client-encoding.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import * as backend from './backend-messages.ts';
import { CopyIn } from './copy-in.ts';
import { copyEncoding, messageEnd, sendCopyData, type Transcoder } from './transcoder.ts';
import type { CopySink, MaybePromise, Output } from './gateway-api.ts';
import type { HandedWrite } from './handed-write.ts';

export const OUTPUT_BYTES_MAX = 1024 * 1024;
/** Appended bytes go to the socket above this, and rows of this size go there without a stop in the writer. */
const WRITER_BYTES_MAX = 64 * 1024;
const WRITER_BYTES_IDLE = 1024;
const COPY_DATA = 'd'.charCodeAt(0);

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: SqlError) => void;
}

export class SessionOutput implements Output {
  writer = new ByteWriter(WRITER_BYTES_IDLE);
  /** The COPY under way, until its CopyDone or CopyFail. */
  copy: CopyIn | null = null;
  /** What is said belongs to an answer that is not complete: its end sends it. */
  together = false;
  /** Where small answers may go instead. */
  handed: HandedWrite | null = null;
  /** Null: the client speaks UTF-8. */
  transcoder: Transcoder | null = null;
  /** Bytes of the writer that are in the client's encoding. */
  #settled = 0;
  /** Of the data that a COPY gives. */
  #copyEncoding: ClientEncoding | null = null;
  /** Of rows that have not left. */
  #lacking: SqlError | null = null;
  #socket: Socket;
  readonly #waiters: Waiter[] = [];
  readonly #onCopy: () => void;
  #flushScheduled = false;

  /** @param onCopy a COPY takes data from now on: some may have come before, behind its statement */
  constructor(socket: Socket, onCopy: () => void) {
    this.#socket = socket;
    this.#onCopy = onCopy;
    socket.on('drain', () => this.#release());
  }

  /** What is said from now on goes there. */
  moveTo(socket: Socket): void {
    this.#socket = socket;
    socket.on('drain', () => this.#release());
  }

  get congested(): boolean {
    return this.#socket.writableLength > OUTPUT_BYTES_MAX;
  }

  /** Bytes said and not yet taken by the system, and what a COPY holds of its data. */
  get heldBytes(): number {
    return this.writer.bytes.length + this.#socket.writableLength + (this.copy?.heldBytes ?? 0);
  }

  rowDescription(columns: readonly ResultColumn[], formats: readonly Format[]): void {
    backend.rowDescription(this.writer, columns, formats);
    if (this.transcoder === null) return;
    this.settle();
    this.transcoder.describe(columns, formats);
  }

  /** @throws {SqlError} 22P05 */
  dataRows(rows: Uint8Array): MaybePromise<void> {
    if (!this.#socket.writable) throw clientLost();
    const messages = this.transcoder === null && this.#copyEncoding === null ? rows : this.#transcoded(rows);
    if (messages.length >= WRITER_BYTES_MAX) {
      this.flush();
      this.handed?.settle();
      this.#socket.write(messages);
    } else {
      this.writer.raw(messages);
      this.#settled = this.writer.length;
      if (this.writer.length >= WRITER_BYTES_MAX) this.flush();
      else this.flushSoon();
    }
    if (!this.congested) return undefined;
    return new Promise<void>((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
  }

  /** @throws {SqlError} 22P05 */
  commandComplete(tag: string): void {
    if (this.transcoder !== null) this.settle();
    backend.commandComplete(this.writer, tag);
  }

  portalSuspended(): void {
    if (this.transcoder !== null) this.settle();
    backend.portalSuspended(this.writer);
  }

  emptyQuery(): void {
    backend.emptyQueryResponse(this.writer);
  }

  copyIn(columnCount: number, format: Format, named: string | null, sink: CopySink): Promise<void> {
    if (!this.#socket.writable) return Promise.reject(clientLost());
    const encoding = copyEncoding(named, this.transcoder, format);
    backend.copyInResponse(this.writer, columnCount, format);
    this.flushSoon();
    this.copy = new CopyIn(sink, encoding, this.transcoder);
    queueMicrotask(this.#onCopy);
    return this.copy.done;
  }

  copyOut(columnCount: number, format: Format, named: string | null): void {
    this.#copyEncoding = copyEncoding(named, this.transcoder, format);
    backend.copyOutResponse(this.writer, columnCount, format);
    this.flushSoon();
  }

  copyDone(): void {
    this.#copyEncoding = null;
    backend.copyDone(this.writer);
  }

  flush(): void {
    if (this.transcoder !== null) this.#settleAtLast();
    const { bytes, length } = this.writer;
    if (length === 0) return;
    this.writer.length = 0;
    this.#settled = 0;
    if (!this.#socket.writable || this.handed?.hand(bytes, length) === true) return;
    const out = Buffer.allocUnsafe(length); // small ones lie side by side in one pool
    out.set(bytes.subarray(0, length));
    this.#socket.write(out);
  }

  /** When all that can be said in this turn of the loop has been said: promises that are settled have gone on by then. */
  flushSoon(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(this.#afterMicrotasks);
  }

  /** A tick that a microtask asks for comes when no microtask is left. */
  readonly #afterMicrotasks = (): void => process.nextTick(this.#flushNow);

  readonly #flushNow = (): void => {
    this.#flushScheduled = false;
    if (!this.together) this.flush();
  };

  /** No statement runs, so nobody holds the writer: a large one is given back. */
  shrink(): void {
    if (this.writer.length === 0 && this.writer.bytes.length > WRITER_BYTES_MAX)
      this.writer = new ByteWriter(WRITER_BYTES_IDLE);
  }

  /** From now on the client speaks so. */
  speak(transcoder: Transcoder | null): void {
    if (this.transcoder !== null) this.#settleAtLast();
    this.transcoder = transcoder;
    this.#settled = this.writer.length;
  }

  /** What is in the writer is the client's. @throws {SqlError} 22P05, and what comes behind the row that fails is gone */
  settle(): void {
    const lacking = this.#lacking;
    this.#lacking = null;
    if (lacking !== null) throw lacking;
    const waiting = this.writer.bytes.slice(this.#settled, this.writer.length);
    this.writer.length = this.#settled;
    try {
      for (let at = 0; at < waiting.length;) at = this.transcoder!.send(waiting, at, this.writer);
    } finally {
      this.#settled = this.writer.length;
    }
  }

  /** Nobody would catch an error now: the statement is told of it with its tag. */
  #settleAtLast(): void {
    const waiting = this.writer.bytes.slice(this.#settled, this.writer.length);
    this.writer.length = this.#settled;
    for (let at = 0; at < waiting.length;) {
      try {
        at = this.transcoder!.send(waiting, at, this.writer);
      } catch (error) {
        this.#lacking ??= error as SqlError;
        at = messageEnd(waiting, at);
      }
    }
    this.#settled = this.writer.length;
  }

  #transcoded(rows: Uint8Array): Uint8Array {
    if (this.transcoder !== null) this.settle();
    if (isAscii(rows)) return rows;
    const out = new ByteWriter(rows.length);
    try {
      for (let at = 0; at < rows.length;) {
        if (rows[at] === COPY_DATA) at = sendCopyData(this.#copyEncoding, rows, at, out);
        else if (this.transcoder !== null) at = this.transcoder.send(rows, at, out);
        else {
          const end = messageEnd(rows, at);
          out.raw(rows, at, end);
          at = end;
        }
      }
    } catch (error) {
      this.writer.raw(out.take()); // the rows before it
      throw error;
    } finally {
      this.#settled = this.writer.length;
    }
    return out.take();
  }

  /** The client is gone. */
  abort(error: SqlError): void {
    this.writer.length = 0;
    this.#settled = 0;
    this.abortCopy(error);
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }

  abortCopy(error: SqlError): void {
    this.copy?.abort(error);
    this.copy = null;
  }

  #release(): void {
    for (const waiter of this.#waiters.splice(0)) waiter.resolve();
  }
}

function clientLost(): SqlError {
  return new SqlError(SqlState.connectionFailure, 'connection to client lost');
}
