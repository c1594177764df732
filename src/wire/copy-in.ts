/**
 * The COPY sub-protocol from CopyInResponse to CopyDone or CopyFail, for one COPY FROM STDIN.
 *
 * - A sink's error ends it at once, as in PostgreSQL: the client hears of it in the middle of its data, and the rest is skipped where
 *   messages outside a COPY are.
 * - Flush and Sync are ignored here: clients of the extended protocol send them before they know that it is a COPY.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { ClientEncoding } from '../types/client-encoding.ts';
import type { CopySink, MaybePromise } from './gateway-api.ts';
import { decodeUtf8 } from './message-body.ts';
import type { Transcoder } from './transcoder.ts';

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
  readonly #encoding: ClientEncoding | null;
  readonly #transcoder: Transcoder | null;
  #settle!: { resolve: () => void; reject: (error: unknown) => void };

  /** @param encoding of its data @param transcoder of its messages */
  constructor(sink: CopySink, encoding: ClientEncoding | null, transcoder: Transcoder | null) {
    this.#sink = sink;
    this.#encoding = encoding;
    this.#transcoder = transcoder;
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
        return this.#data(bytes.subarray(start, end));
      case COPY_DONE:
        this.open = false;
        return this.#settle.resolve();
      case COPY_FAIL:
        return this.abort(copyFail(bytes, start, end, this.#transcoder));
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

  /** Ends it: by an error of its data, or from outside, where the client is gone or the statement is over. */
  abort(error: unknown): void {
    this.open = false;
    this.#settle.reject(error);
  }

  #data(view: Uint8Array): MaybePromise<void> {
    try {
      const pending = this.#sink.data(this.#encoding === null ? view : this.#encoding.toUtf8(view));
      if (pending instanceof Promise) return pending.catch((error: unknown) => this.abort(error));
    } catch (error) {
      this.abort(error);
    }
    return undefined;
  }
}

function copyFail(bytes: Uint8Array, start: number, end: number, transcoder: Transcoder | null): SqlError {
  const zero = bytes.indexOf(0, start);
  if (zero < 0 || zero >= end) return new SqlError(SqlState.protocolViolation, 'invalid string in message');
  let reason: string;
  try {
    const text = bytes.subarray(start, zero);
    const utf8 = transcoder === null ? text : transcoder.received(text);
    reason = decodeUtf8(utf8, 0, utf8.length);
  } catch (error) {
    return error as SqlError;
  }
  return new SqlError(SqlState.queryCanceled, `COPY from stdin failed: ${reason}`);
}
