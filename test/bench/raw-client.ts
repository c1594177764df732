/**
 * A client that costs as little as it can, so that a benchmark measures the server: bytes prepared before the clock
 * starts, one write a request, answers counted and not decoded. Speaks protocol 3.0 with `trust` over TCP.
 *
 * - R1 Requests are the caller's bytes; it may change them again when `ReadyForQuery` has come.
 * - R2 The first ErrorResponse fails the run: `error` holds its text, and whoever waits is rejected.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const TYPE_ERROR = 0x45;
const TYPE_READY = 0x5a;
const TYPE_COMPLETE = 0x43;
const TYPE_COPY_IN = 0x47;
const TYPE_KEY = 0x4b;
const TYPE_ROW = 0x44;
const TYPE_AUTHENTICATION = 0x52;
const RECEIVE_BYTES = 65_536;

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

export class RawConnection {
  readonly #socket: Socket;
  /** The head of a message whose rest has not come. */
  #pending: Buffer | null = null;
  #rows: string[][] | null = null;
  #fail: ((error: Error) => void) | null = null;
  #ready: (() => void) | null = null;
  /** CommandComplete messages so far. */
  completed = 0;
  /** Of the server, from BackendKeyData: PostgreSQL's is a process id. */
  backend = 0;
  error: Error | null = null;
  /** Called at each ReadyForQuery. */
  onReady: () => void = () => {};
  /** Called once, when the connection is of no more use. */
  onError: (error: Error) => void = () => {};

  private constructor(url: URL) {
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
    this.#socket.on('error', (error) => this.#failed(error));
    this.#socket.on('close', () => this.#failed(new Error('the server closed the connection')));
  }

  static async open(address: string): Promise<RawConnection> {
    const url = new URL(address);
    const connection = new RawConnection(url);
    const database = url.pathname.length > 1 ? url.pathname.slice(1) : decodeURIComponent(url.username);
    const parameters = ['user', decodeURIComponent(url.username), 'database', database].map((text) => `${text}\0`);
    const body = Buffer.concat([int32(196_608), Buffer.from(`${parameters.join('')}\0`)]);
    connection.send(Buffer.concat([int32(body.length + 4), body]));
    await connection.ready();
    return connection;
  }

  /** @returns false when the caller should wait for `drained` */
  send(bytes: Uint8Array): boolean {
    return this.#socket.write(bytes);
  }

  async drained(): Promise<void> {
    await once(this.#socket, 'drain');
  }

  /** Resolves at the next ReadyForQuery. */
  ready(): Promise<void> {
    if (this.error !== null) return Promise.reject(this.error);
    return new Promise((resolve, reject) => {
      this.#ready = resolve;
      this.#fail = reject;
    });
  }

  /** For the few statements around a measurement: their rows as text. */
  async query(text: string): Promise<string[][]> {
    this.#rows = [];
    this.send(queryMessage(text));
    await this.ready();
    const rows = this.#rows;
    this.#rows = null;
    return rows;
  }

  async prepare(name: string, text: string): Promise<void> {
    this.send(Buffer.concat([message('P', `${name}\0${text}\0`, int16(0)), SYNC]));
    await this.ready();
  }

  end(): void {
    this.onError = () => {};
    this.error ??= new Error('the client closed the connection');
    this.#socket.end(message('X'));
  }

  #failed(error: Error): void {
    if (this.error === null) {
      this.error = error;
      this.onError(error);
    }
    const fail = this.#fail;
    this.#fail = null;
    this.#ready = null;
    fail?.(this.error);
  }

  #take(chunk: Buffer): void {
    const bytes = this.#pending === null ? chunk : Buffer.concat([this.#pending, chunk]);
    let at = 0;
    while (bytes.length - at >= 5) {
      const end = at + 1 + bytes.readInt32BE(at + 1);
      if (end > bytes.length) break;
      this.#message(bytes, at, end);
      at = end;
    }
    // the receive buffer is used again
    this.#pending = at === bytes.length ? null : Buffer.from(bytes.subarray(at));
  }

  #message(bytes: Buffer, at: number, end: number): void {
    switch (bytes[at]) {
      case TYPE_COMPLETE:
        this.completed++;
        return;
      case TYPE_READY:
      case TYPE_COPY_IN: {
        if (this.error !== null) return;
        const ready = this.#ready;
        this.#ready = null;
        this.#fail = null;
        ready?.();
        if (bytes[at] === TYPE_READY) this.onReady();
        return;
      }
      case TYPE_ROW:
        this.#rows?.push(fieldsOf(bytes, at + 5));
        return;
      case TYPE_ERROR:
        this.#failed(new Error(`the server answered: ${errorText(bytes.subarray(at + 5, end))}`));
        return;
      case TYPE_KEY:
        this.backend = bytes.readInt32BE(at + 5);
        return;
      case TYPE_AUTHENTICATION:
        if (bytes.readInt32BE(at + 5) !== 0)
          this.#failed(new Error('the server asks for a password; this client knows only trust'));
        return;
      default:
    }
  }
}

function fieldsOf(bytes: Buffer, start: number): string[] {
  const count = bytes.readInt16BE(start);
  const fields: string[] = [];
  for (let i = 0, at = start + 2; i < count; i++) {
    const length = bytes.readInt32BE(at);
    at += 4;
    fields.push(length < 0 ? '' : bytes.toString('utf8', at, at + length));
    at += Math.max(length, 0);
  }
  return fields;
}

function errorText(body: Buffer): string {
  const fields = new Map<string, string>();
  for (const field of body.toString('utf8').split('\0')) fields.set(field.slice(0, 1), field.slice(1));
  return `${fields.get('C')} ${fields.get('M')}${fields.has('D') ? ` (${fields.get('D')})` : ''}`;
}
