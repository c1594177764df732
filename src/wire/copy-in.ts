/**
 * The COPY sub-protocol from CopyInResponse to CopyDone or CopyFail, for one COPY FROM STDIN.
 *
 * - A sink's error is kept, the rest of the data is skipped, and the promise rejects at CopyDone or CopyFail.
 * - Flush and Sync are ignored here: clients of the extended protocol send them before they know that it is a COPY.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { CopySink, MaybePromise } from './gateway-api.ts';
import { decodeUtf8 } from './message-body.ts';

const enc = (letter: string): number => letter.charCodeAt(0);
const COPY_DATA = enc('d');
const COPY_DONE = enc('c');
const COPY_FAIL = enc('f');
const FLUSH = enc('H');
const SYNC = enc('S');

export class CopyIn {
  readonly done: Promise<void>;
  /** Neither CopyDone nor CopyFail has come. */
  open = true;
  readonly #sink: CopySink;
  #error: unknown = null;
  #failed = false;
  #settle!: { resolve: () => void; reject: (error: unknown) => void };

  constructor(sink: CopySink) {
    this.#sink = sink;
    this.done = new Promise<void>((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.done.catch(() => {}); // a gateway may have gone on without it, say after a cancel
  }

  get heldBytes(): number {
    return this.#sink.heldBytes?.() ?? 0;
  }

  /** One message. A promise: the sink wants the socket to wait. */
  accept(type: number, bytes: Uint8Array, start: number, end: number): MaybePromise<void> {
    switch (type) {
      case COPY_DATA:
        return this.#failed ? undefined : this.#data(bytes.subarray(start, end));
      case COPY_DONE:
        return this.#end(null);
      case COPY_FAIL:
        return this.#end(copyFail(bytes, start, end));
      case FLUSH:
      case SYNC:
        return undefined;
      default: {
        const shown = type.toString(16).toUpperCase().padStart(2, '0');
        return this.abort(
          new SqlError(SqlState.protocolViolation, `unexpected message type 0x${shown} during COPY from stdin`),
        );
      }
    }
  }

  /** Ends it from outside: the client is gone, or the statement is over. */
  abort(error: SqlError): void {
    this.open = false;
    this.#settle.reject(this.#failed ? this.#error : error);
  }

  #data(view: Uint8Array): MaybePromise<void> {
    try {
      const pending = this.#sink.data(view);
      if (pending instanceof Promise) return pending.catch((error: unknown) => this.#fail(error));
    } catch (error) {
      this.#fail(error);
    }
    return undefined;
  }

  #fail(error: unknown): void {
    this.#failed = true;
    this.#error = error;
  }

  #end(error: SqlError | null): void {
    if (error !== null) this.abort(error);
    else if (this.#failed) this.abort(this.#error as SqlError);
    else {
      this.open = false;
      this.#settle.resolve();
    }
  }
}

function copyFail(bytes: Uint8Array, start: number, end: number): SqlError {
  const zero = bytes.indexOf(0, start);
  if (zero < 0 || zero >= end) return new SqlError(SqlState.protocolViolation, 'invalid string in message');
  let reason: string;
  try {
    reason = decodeUtf8(bytes, start, zero);
  } catch (error) {
    return error as SqlError;
  }
  return new SqlError(SqlState.queryCanceled, `COPY from stdin failed: ${reason}`);
}
