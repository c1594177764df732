/**
 * A client of the PostgreSQL protocol that keeps everything it is told, in order, as lines of text: rows, tags, notices, errors,
 * and the transaction status of each ReadyForQuery.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const STATUS_ENDS = 'Z'.charCodeAt(0);

function message(type: string, ...parts: readonly (string | number | Uint8Array)[]): Uint8Array {
  const body = Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'string') return Buffer.from(`${part}\0`);
      if (typeof part !== 'number') return part;
      const word = Buffer.alloc(2);
      word.writeInt16BE(part);
      return word;
    }),
  );
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([type === '' ? head.subarray(1) : head, body]);
}

const NO_ROWS_MAX = Buffer.alloc(4);

export class WireClient {
  readonly pid: number;
  readonly #socket: Socket;
  #buffer: Uint8Array = Buffer.alloc(0);
  #lines: string[] = [];
  #answered: PromiseWithResolvers<readonly string[]> | null = null;
  #idle: PromiseWithResolvers<void> | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.pid = 0;
    socket.on('data', (chunk: Uint8Array) => this.#take(chunk));
    socket.on('close', () => {
      this.#lines.push('(connection closed)');
      this.#finish();
      this.#idle?.resolve();
    });
    socket.on('error', () => {});
  }

  /** @param settings go as start-up parameters */
  static async open(url: string, settings: Readonly<Record<string, string>>): Promise<WireClient> {
    const { hostname, port, username, pathname } = new URL(url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    const client = new WireClient(socket);
    const version = Buffer.from([0, 3, 0, 0]);
    const parameters = Object.entries({ user: username, database: pathname.slice(1), ...settings }).flat();
    socket.write(message('', version, ...parameters, Buffer.from([0])));
    const lines = await client.#answer();
    if (lines.some((line) => line.startsWith('FATAL'))) throw new Error(lines.join('\n'));
    return client;
  }

  /** Nothing is under way. */
  get isIdle(): boolean {
    return this.#answered === null;
  }

  /** A Query message. What it says until ReadyForQuery, or the end of the connection. */
  query(sql: string): Promise<readonly string[]> {
    this.#socket.write(message('Q', sql));
    return this.#answer();
  }

  /** Parse, Bind, Execute of each statement, then one Sync. */
  pipeline(statements: readonly string[]): Promise<readonly string[]> {
    const messages = statements.flatMap((sql) => [
      message('P', '', sql, 0),
      message('B', '', '', 0, 0, 0),
      message('E', '', NO_ROWS_MAX),
    ]);
    this.#socket.write(Buffer.concat([...messages, message('S')]));
    return this.#answer();
  }

  /** Data of a COPY under way, and its end. */
  copyData(text: string): void {
    this.#socket.write(Buffer.concat([message('d', Buffer.from(text)), message('c')]));
  }

  /** What it is told outside an answer, until the server closes the connection. */
  async untilClosed(): Promise<readonly string[]> {
    if (!this.#socket.closed) {
      this.#idle = Promise.withResolvers<void>();
      await this.#idle.promise;
    }
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }

  async close(): Promise<void> {
    if (this.#socket.closed) return;
    const closed = once(this.#socket, 'close');
    this.#socket.end(message('X'));
    await closed;
  }

  #answer(): Promise<readonly string[]> {
    this.#answered = Promise.withResolvers();
    if (this.#socket.closed) this.#finish();
    return this.#answered?.promise ?? Promise.resolve([]);
  }

  #finish(): void {
    const answered = this.#answered;
    if (answered === null) return;
    this.#answered = null;
    const lines = this.#lines;
    this.#lines = [];
    answered.resolve(lines);
  }

  #take(chunk: Uint8Array): void {
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    for (;;) {
      const buffer = this.#buffer;
      if (buffer.length < 5) return;
      const end = 1 + new DataView(buffer.buffer, buffer.byteOffset).getInt32(1);
      if (buffer.length < end) return;
      this.#buffer = buffer.subarray(end);
      this.#told(buffer[0]!, Buffer.from(buffer.subarray(5, end)));
    }
  }

  #told(type: number, body: Buffer): void {
    switch (String.fromCharCode(type)) {
      case 'K':
        (this as { pid: number }).pid = body.readInt32BE(0);
        break;
      case 'C':
        this.#lines.push(body.toString('utf8', 0, body.length - 1));
        break;
      case 'D':
        this.#lines.push(rowText(body));
        break;
      case 'E':
      case 'N':
        this.#lines.push(...errorLines(body));
        break;
      default:
    }
    if (type !== STATUS_ENDS) return;
    const status = String.fromCharCode(body[0]!);
    if (status !== 'I') this.#lines.push(status === 'T' ? '(in transaction)' : '(in failed transaction)');
    this.#finish();
  }
}

function rowText(body: Buffer): string {
  const values: string[] = [];
  for (let i = 0, at = 2; i < body.readInt16BE(0); i++) {
    const length = body.readInt32BE(at);
    at += 4;
    values.push(length < 0 ? 'NULL' : body.toString('utf8', at, at + length));
    at += Math.max(0, length);
  }
  return `  ${values.join(' | ')}`;
}

/** Severity, code and message; then detail and hint, where there are. */
function errorLines(body: Buffer): string[] {
  const fields = new Map<string, string>();
  for (let at = 0; body[at] !== 0;) {
    const end = body.indexOf(0, at);
    fields.set(String.fromCharCode(body[at]!), body.toString('utf8', at + 1, end));
    at = end + 1;
  }
  const lines = [`${fields.get('V') ?? fields.get('S')} ${fields.get('C')}: ${fields.get('M')}`];
  for (const [field, name] of [
    ['D', 'DETAIL'],
    ['H', 'HINT'],
  ] as const)
    if (fields.has(field)) lines.push(...`${name}: ${fields.get(field)}`.split('\n').map((line) => `  ${line.trim()}`));
  return lines;
}
