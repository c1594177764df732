/**
 * A client whose conversation can be read: each message of the server is a text of its type and what it says, `D 1|NULL` a row,
 * `E code message` an error, `A pid channel payload` a notification.
 */
import {
  commandTag,
  describedFields,
  errorFields,
  int16,
  int32,
  message,
  queryMessage,
  rowFields,
  SYNC,
  WireConnection,
} from '../process/wire-connection.ts';

/** What a message says, as a text. */
export function textOf(type: string, bytes: Buffer, start: number, end: number): string {
  switch (type) {
    case 'T':
      return `T ${describedFields(bytes, start)
        .map(({ name, oid }) => `${name}:${oid}`)
        .join('|')}`;
    case 'D':
      return `D ${rowFields(bytes, start)
        .map((value) => value ?? 'NULL')
        .join('|')}`;
    case 'C':
      return `C ${commandTag(bytes, start, end)}`;
    case 'E':
    case 'N': {
      const fields = errorFields(bytes, start, end);
      return `${type} ${fields.get('C')} ${fields.get('M')}`;
    }
    case 'A': {
      const [channel, payload] = bytes.toString('utf8', start + 4, end).split('\0');
      return `A ${bytes.readInt32BE(start)} ${channel} ${payload}`;
    }
    case 'S': {
      const [name, value] = bytes.toString('utf8', start, end).split('\0');
      return `S ${name}=${value}`;
    }
    case 'Z':
      return `Z ${String.fromCharCode(bytes[start]!)}`;
    default:
      return type;
  }
}

export class Talker {
  pid = 0;
  /** What came while nothing was asked. */
  heard: string[] = [];
  #wire!: WireConnection;
  #answer: string[] | null = null;
  #answered: () => void = () => {};
  #closed = false;

  static async connect(address: string, settings: Readonly<Record<string, string>> = {}): Promise<Talker> {
    const talker = new Talker();
    const { promise, resolve } = Promise.withResolvers<void>();
    talker.#answer = [];
    talker.#answered = resolve;
    talker.#wire = new WireConnection(
      address,
      {
        message: (type, bytes, start, end) => talker.#take(String.fromCharCode(type), bytes, start, end),
        closed: () => {
          talker.#closed = true;
          talker.#answered();
        },
      },
      settings,
    );
    await promise;
    talker.#answer = null;
    return talker;
  }

  #take(type: string, bytes: Buffer, start: number, end: number): void {
    if (type === 'K') this.pid = bytes.readInt32BE(start);
    const text = textOf(type, bytes, start, end);
    (this.#answer ?? this.heard).push(text);
    if (type === 'Z') this.#answered();
  }

  /** All up to the ReadyForQuery, or the end of the connection. */
  async send(bytes: Uint8Array): Promise<string[]> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const answer: string[] = [];
    this.#answer = answer;
    this.#answered = resolve;
    this.#wire.send(bytes);
    if (!this.#closed) await promise;
    this.#answer = null;
    return answer;
  }

  query(sql: string): Promise<string[]> {
    return this.send(queryMessage(sql));
  }

  /** Asks again until the answer is among what comes. */
  async until(sql: string, wanted: string): Promise<void> {
    while (!(await this.query(sql)).includes(wanted)) await new Promise((resolve) => setTimeout(resolve, 2));
  }

  /** Notifications that come by themselves. */
  async hears(count: number): Promise<string[]> {
    while (this.heard.length < count) await new Promise((resolve) => setTimeout(resolve, 1));
    return this.heard.splice(0);
  }

  extended({ statement, sql }: { readonly statement: string; readonly sql: string }): Promise<string[]> {
    return this.send(Buffer.concat([message('P', `${statement}\0${sql}\0`, int16(0)), SYNC]));
  }

  bind(portal: string, statement: string): Promise<string[]> {
    return this.send(Buffer.concat([message('B', `${portal}\0${statement}\0`, int16(0), int16(0), int16(0)), SYNC]));
  }

  execute(portal: string, rows: number): Promise<string[]> {
    return this.send(Buffer.concat([message('E', `${portal}\0`, int32(rows)), SYNC]));
  }

  end(): Promise<void> {
    return this.#wire.end();
  }
}
