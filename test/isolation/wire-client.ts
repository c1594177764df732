/**
 * A client of the PostgreSQL protocol that keeps everything it is told, in order, as lines of text: rows, tags, notices, errors,
 * and the transaction status of each ReadyForQuery.
 */
import {
  commandTag,
  errorFields,
  int16,
  int32,
  message,
  queryMessage,
  rowFields,
  SYNC,
  WireConnection,
} from '../process/wire-connection.ts';

const STATUS_ENDS = 'Z'.charCodeAt(0);

export class WireClient {
  pid = 0;
  readonly #connection: WireConnection;
  #lines: string[] = [];
  #answered: PromiseWithResolvers<readonly string[]> | null = null;
  #idle: PromiseWithResolvers<void> | null = null;
  #copying: PromiseWithResolvers<void> | null = null;

  private constructor(url: string, settings: Readonly<Record<string, string>>) {
    const closed = (): void => {
      this.#lines.push('(connection closed)');
      this.#finish();
      this.#idle?.resolve();
    };
    this.#connection = new WireConnection(
      url,
      { message: (type, bytes, start, end) => this.#told(type, bytes, start, end), closed },
      settings,
    );
  }

  /** @param settings go as start-up parameters */
  static async open(url: string, settings: Readonly<Record<string, string>>): Promise<WireClient> {
    const client = new WireClient(url, settings);
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
    this.#connection.send(queryMessage(sql));
    return this.#answer();
  }

  /** Parse, Bind, Execute of each statement, then one Sync. */
  pipeline(statements: readonly string[]): Promise<readonly string[]> {
    const messages = statements.flatMap((sql) => [
      message('P', '\0', sql, '\0', int16(0)),
      message('B', '\0\0', int16(0), int16(0), int16(0)),
      message('E', '\0', int32(0)),
    ]);
    this.#connection.send(Buffer.concat([...messages, SYNC]));
    return this.#answer();
  }

  /** The server takes data. */
  untilCopyIn(): Promise<void> {
    this.#copying = Promise.withResolvers();
    return this.#copying.promise;
  }

  /** Data of a COPY under way, and its end. */
  copyData(text: string): void {
    this.#connection.send(Buffer.concat([message('d', text), message('c')]));
  }

  /** What it is told outside an answer, until the server closes the connection. */
  async untilClosed(): Promise<readonly string[]> {
    if (!this.#connection.isClosed) {
      this.#idle = Promise.withResolvers<void>();
      await this.#idle.promise;
    }
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }

  close(): Promise<void> {
    return this.#connection.end();
  }

  #answer(): Promise<readonly string[]> {
    this.#answered = Promise.withResolvers();
    if (this.#connection.isClosed) this.#finish();
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

  #told(type: number, bytes: Buffer, start: number, end: number): void {
    switch (String.fromCharCode(type)) {
      case 'K':
        this.pid = bytes.readInt32BE(start);
        break;
      case 'G':
        this.#copying?.resolve();
        break;
      case 'C':
        this.#lines.push(commandTag(bytes, start, end));
        break;
      case 'D':
        this.#lines.push(
          `  ${rowFields(bytes, start)
            .map((field) => field ?? 'NULL')
            .join(' | ')}`,
        );
        break;
      case 'E':
      case 'N':
        this.#lines.push(...errorLines(errorFields(bytes, start, end)));
        break;
      default:
    }
    if (type !== STATUS_ENDS) return;
    const status = String.fromCharCode(bytes[start]!);
    if (status !== 'I') this.#lines.push(status === 'T' ? '(in transaction)' : '(in failed transaction)');
    this.#finish();
  }
}

/** Severity, code and message; then detail and hint, where there are. */
function errorLines(fields: ReadonlyMap<string, string>): string[] {
  const lines = [`${fields.get('V') ?? fields.get('S')} ${fields.get('C')}: ${fields.get('M')}`];
  for (const [field, name] of [
    ['D', 'DETAIL'],
    ['H', 'HINT'],
  ] as const)
    if (fields.has(field)) lines.push(...`${name}: ${fields.get(field)}`.split('\n').map((line) => `  ${line.trim()}`));
  return lines;
}
