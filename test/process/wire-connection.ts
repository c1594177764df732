/**
 * One connection of PostgreSQL's protocol 3.0, over TCP with `trust`: bytes of messages out, messages in one after another. What they mean
 * is the listener's: benchmarks count them (`bench/raw-client.ts`), scripts keep them as text (`isolation/wire-client.ts`), comparisons
 * as outcomes (`differential/wire.ts`).
 *
 * - W1 The bytes of a message hold until the listener returns: the receive buffer is used again.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const RECEIVE_BYTES = 65_536;
const TYPE_AUTHENTICATION = 0x52;
const PROTOCOL = 196_608;

export interface Listener {
  /** A message's body is bytes[start, end). */
  readonly message: (type: number, bytes: Buffer, start: number, end: number) => void;
  /** The connection is of no more use; once. */
  readonly closed: (error: Error) => void;
}

export class WireConnection {
  readonly #socket: Socket;
  readonly #listener: Listener;
  /** The head of a message whose rest has not come. */
  #pending: Buffer | null = null;
  #over = false;

  /**
   * Connects and says who it is; the server answers up to a ReadyForQuery.
   * @param address `postgresql://user@host:port/database` @param settings go as start-up parameters
   */
  constructor(address: string, listener: Listener, settings: Readonly<Record<string, string>> = {}) {
    const url = new URL(address);
    this.#listener = listener;
    this.#socket = connect({
      host: url.hostname,
      port: Number(url.port === '' ? 5432 : url.port),
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(RECEIVE_BYTES),
        callback: (count, bytes) => {
          this.#take(Buffer.from(bytes.buffer, bytes.byteOffset, count));
          return true;
        },
      },
    });
    this.#socket.on('error', (error) => this.#close(error));
    this.#socket.on('close', () => this.#close(new Error('the server closed the connection')));
    const user = decodeURIComponent(url.username);
    const database = url.pathname.length > 1 ? url.pathname.slice(1) : user;
    const parameters = Object.entries({ user, database, ...settings }).flat();
    const body = Buffer.concat([int32(PROTOCOL), Buffer.from(`${parameters.map((text) => `${text}\0`).join('')}\0`)]);
    this.send(Buffer.concat([int32(body.length + 4), body]));
  }

  /** @returns false when the caller should wait for `drained` */
  send(bytes: Uint8Array): boolean {
    return this.#socket.write(bytes);
  }

  /** Reads nothing more until `resume`. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  async drained(): Promise<void> {
    await once(this.#socket, 'drain');
  }

  /** The server has closed it, and all that it said before was heard. */
  get isClosed(): boolean {
    return this.#socket.closed;
  }

  /** Terminate, and the end of the connection; the listener is not told. */
  async end(): Promise<void> {
    this.#over = true;
    if (this.#socket.closed) return;
    // not by `once`: a server that was killed resets the connection, which is an end, too
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    this.#socket.on('close', () => resolve());
    this.#socket.end(message('X'));
    await closed;
  }

  #close(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#listener.closed(error);
  }

  #take(chunk: Buffer): void {
    const bytes = this.#pending === null ? chunk : Buffer.concat([this.#pending, chunk]);
    let at = 0;
    while (bytes.length - at >= 5) {
      const end = at + 1 + bytes.readInt32BE(at + 1);
      if (end > bytes.length) break;
      if (bytes[at] === TYPE_AUTHENTICATION && bytes.readInt32BE(at + 5) !== 0)
        this.#close(new Error('the server asks for a password; this client knows only trust'));
      else this.#listener.message(bytes[at]!, bytes, at + 5, end);
      at = end;
    }
    this.#pending = at === bytes.length ? null : Buffer.from(bytes.subarray(at));
  }
}

/** A message: its type, its length, its body. */
export function message(type: string, ...parts: readonly (Uint8Array | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  const head = Buffer.alloc(5);
  head.write(type, 0, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

export const int16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
};
export const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
export const queryMessage = (text: string): Buffer => message('Q', text, '\0');
export const SYNC = message('S');

/** The values of a DataRow in text format. */
export function rowFields(bytes: Buffer, start: number): (string | null)[] {
  const count = bytes.readInt16BE(start);
  const fields: (string | null)[] = [];
  for (let i = 0, at = start + 2; i < count; i++) {
    const length = bytes.readInt32BE(at);
    at += 4;
    fields.push(length < 0 ? null : bytes.toString('utf8', at, at + length));
    at += Math.max(length, 0);
  }
  return fields;
}

/** Name and type of each column of a RowDescription. */
export function describedFields(bytes: Buffer, start: number): { readonly name: string; readonly oid: number }[] {
  const count = bytes.readInt16BE(start);
  const fields: { name: string; oid: number }[] = [];
  for (let i = 0, at = start + 2; i < count; i++) {
    const end = bytes.indexOf(0, at);
    fields.push({ name: bytes.toString('utf8', at, end), oid: bytes.readUInt32BE(end + 7) });
    at = end + 19;
  }
  return fields;
}

/** The fields of an ErrorResponse or a NoticeResponse by their letters. */
export function errorFields(bytes: Buffer, start: number, end: number): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const field of bytes.toString('utf8', start, end).split('\0'))
    if (field !== '') fields.set(field.slice(0, 1), field.slice(1));
  return fields;
}

/** The tag of a CommandComplete. */
export const commandTag = (bytes: Buffer, start: number, end: number): string => bytes.toString('utf8', start, end - 1);
