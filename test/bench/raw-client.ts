/**
 * A client that costs as little as it can, so that a benchmark measures the server: bytes prepared before the clock
 * starts, one write a request, answers counted and not decoded.
 *
 * - R1 Requests are the caller's bytes; it may change them again when `ReadyForQuery` has come.
 * - R2 The first ErrorResponse fails the run: `error` holds its text, and whoever waits is rejected.
 */
import {
  errorFields,
  int16,
  message,
  queryMessage,
  rowFields,
  SYNC,
  WireConnection,
} from '../process/wire-connection.ts';

const TYPE_ERROR = 0x45;
const TYPE_READY = 0x5a;
const TYPE_COMPLETE = 0x43;
const TYPE_COPY_IN = 0x47;
const TYPE_KEY = 0x4b;
const TYPE_ROW = 0x44;

export class RawConnection {
  readonly #connection: WireConnection;
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

  private constructor(address: string) {
    this.#connection = new WireConnection(address, {
      message: (type, bytes, start, end) => this.#message(type, bytes, start, end),
      closed: (error) => this.#failed(error),
    });
  }

  static async open(address: string): Promise<RawConnection> {
    const connection = new RawConnection(address);
    await connection.ready();
    return connection;
  }

  /** @returns false when the caller should wait for `drained` */
  send(bytes: Uint8Array): boolean {
    return this.#connection.send(bytes);
  }

  drained(): Promise<void> {
    return this.#connection.drained();
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
    void this.#connection.end();
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

  #message(type: number, bytes: Buffer, start: number, end: number): void {
    switch (type) {
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
        if (type === TYPE_READY) this.onReady();
        return;
      }
      case TYPE_ROW:
        this.#rows?.push(rowFields(bytes, start).map((field) => field ?? ''));
        return;
      case TYPE_ERROR:
        this.#failed(new Error(`the server answered: ${errorText(errorFields(bytes, start, end))}`));
        return;
      case TYPE_KEY:
        this.backend = bytes.readInt32BE(start);
        return;
      default:
    }
  }
}

const errorText = (fields: ReadonlyMap<string, string>): string =>
  `${fields.get('C')} ${fields.get('M')}${fields.has('D') ? ` (${fields.get('D')})` : ''}`;
