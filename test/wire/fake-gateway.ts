/** A gateway that knows a few words, for tests of the protocol alone. */
import { connect, type Socket } from 'node:net';
import { systemClock } from '../../src/clock.ts';
import { SqlError } from '../../src/errors.ts';
import { ByteWriter } from '../../src/types/byte-writer.ts';
import type { Credential } from '../../src/wire/scram-exchange.ts';
import { DescribedRow } from '../../src/wire/described-row.ts';
import type {
  ClientFacts,
  Gateway,
  GatewaySession,
  Portal,
  Prepared,
  SessionEvents,
  TransactionStatus,
} from '../../src/wire/gateway-api.ts';
import { listen, type Listener } from '../../src/wire/listener.ts';

export const COLUMNS = [{ name: 'x', tableOid: 0, attnum: 0, typeOid: 25, typlen: -1, typmod: -1 }];

export function dataRow(text: string): Uint8Array {
  const out = new ByteWriter();
  const bytes = Buffer.from(text);
  out.u8(68);
  out.i32(10 + bytes.length);
  out.i16(1);
  out.i32(bytes.length);
  out.raw(bytes);
  return out.take();
}

export class FakeGateway implements Gateway {
  readonly calls: string[] = [];
  readonly copied: string[] = [];
  credentials: ((user: string) => Credential) | null = null;
  closes = 0;
  opens = 0;
  release: () => void = () => {};
  /** Bytes of each turn of input; what the session owes for it. */
  readonly turns: number[] = [];
  owes: () => Promise<void> | null = () => null;

  cancel(pid: number, key: Uint8Array): void {
    this.calls.push(`cancel ${pid} ${Buffer.from(key).toString('hex')}`);
  }

  credential(user: string): Credential | null {
    return this.credentials?.(user) ?? null;
  }

  async open(
    startup: ReadonlyMap<string, string>,
    events: SessionEvents,
    client: ClientFacts,
  ): Promise<GatewaySession> {
    if (startup.get('database') === 'none')
      throw new SqlError('3D000', 'database "none" does not exist', { severity: 'FATAL' });
    this.opens++;
    return this.#session(events, client);
  }

  #session(events: SessionEvents, client: ClientFacts): GatewaySession {
    let status: TransactionStatus = 'I';
    const statements = new Map<string, Prepared>();
    const portals = new Map<string, Portal>();
    const portalsEnd = (): void => {
      if (status !== 'I') return;
      for (const portal of portals.values()) portal.close();
      portals.clear();
    };
    const rows = (text: string, out: Parameters<GatewaySession['simple']>[1]): void | Promise<void> => {
      if (text === 'BEGIN') status = 'T';
      if (text === 'COMMIT') status = 'I';
      portalsEnd();
      if (text === 'error')
        throw new SqlError('42601', 'syntax error', { position: 3, hint: 'h', detail: 'd', where: 'w', column: 'c' });
      if (text === 'bug') throw new TypeError('secret text');
      if (text === 'fatal') throw new SqlError('57P01', 'gone', { severity: 'FATAL' });
      if (text === 'notice') events.notice({ severity: 'NOTICE', code: '00000', message: 'hello' });
      if (text === 'forget') statements.clear();
      if (text === 'wait')
        return new Promise<void>((resolve) => (this.release = resolve)).then(() => out.commandComplete('WAIT'));
      if (text.startsWith('copy')) return this.#copy(text, out);
      if (text === 'flood') return flood(out);
      if (text === 'hops') return hops(out);
      out.writer.raw(dataRow(text));
      out.commandComplete('SELECT 1');
    };
    return {
      pid: 7,
      cancelKey: new Uint8Array(client.cancelKeyBytes).fill(9),
      parameters: new Map([
        ['server_version', '16.0'],
        ['client_encoding', 'UTF8'],
      ]),
      statements,
      portals,
      status: () => status,
      owes: (bytes) => {
        this.turns.push(bytes);
        return this.owes();
      },
      simple: (text, out) => {
        if (text === '') return out.emptyQuery();
        if (!text.startsWith('copy')) out.rowDescription(COLUMNS, [0]);
        return rows(text, out);
      },
      parse: (text): Prepared & { text: string } => {
        if (text === 'parse error') throw new SqlError('42601', 'syntax error');
        return { parameterOids: text.includes('$1') ? [25] : [], columns: text === 'no rows' ? null : COLUMNS, text };
      },
      bind: (prepared, { values }): Portal & { text: string } => {
        const value = values[0];
        const text = value ? Buffer.from(value).toString() : (prepared as Prepared & { text: string }).text;
        return {
          columns: prepared.columns,
          formats: [0],
          described: new DescribedRow(),
          text,
          close: () => void this.calls.push(`close ${text}`),
        };
      },
      execute: (portal, _maxRows, out) => rows((portal as Portal & { text: string }).text, out),
      sync: () => {
        this.calls.push('sync');
        portalsEnd();
      },
      failed: () => {
        this.calls.push('failed');
        if (status === 'T') status = 'E';
        portalsEnd();
      },
      close: async () => void this.closes++,
    };
  }

  async #copy(text: string, out: Parameters<GatewaySession['simple']>[1]): Promise<void> {
    let bytes = 0;
    if (text === 'copy late') await new Promise(setImmediate);
    await out.copyIn(2, 0, null, {
      data: (view) => {
        if (text === 'copy error') throw new SqlError('22P04', 'bad row');
        bytes += view.length;
        const kept = Buffer.from(view).toString();
        if (text === 'copy slow') return Promise.resolve().then(() => void this.copied.push(kept));
        this.copied.push(kept);
        return undefined;
      },
    });
    out.commandComplete(`COPY ${bytes}`);
  }
}

/** Promises, none of which waits for anything. */
async function hops(out: Parameters<GatewaySession['simple']>[1]): Promise<void> {
  for (let i = 0; i < 3; i++) {
    await Promise.resolve();
    void out.dataRows(dataRow('hop'));
    await Promise.resolve();
  }
  out.commandComplete('SELECT 3');
}

export let floodWaits = 0;
async function flood(out: Parameters<GatewaySession['simple']>[1]): Promise<void> {
  const chunk = dataRow('z'.repeat(200_000));
  for (let i = 0; i < 100; i++) {
    const pending = out.dataRows(chunk);
    if (pending instanceof Promise) {
      floodWaits++;
      await pending;
    }
  }
  out.commandComplete('SELECT 100');
}

export function start(
  gateway: Gateway,
  log: (error: unknown) => void = () => {},
  more: object = {},
): Promise<Listener> {
  return listen({ host: '127.0.0.1', port: 0, maxConnections: 3, gateway, clock: systemClock, log, ...more });
}

export function message(type: string, body: string | Uint8Array = ''): Buffer {
  const bytes = Buffer.from(typeof body === 'string' ? Buffer.from(body, 'latin1') : body);
  const head = Buffer.alloc(type === '' ? 4 : 5);
  if (type !== '') head.write(type, 'latin1');
  head.writeInt32BE(bytes.length + 4, head.length - 4);
  return Buffer.concat([head, bytes]);
}
export const STARTUP = message('', '\0\x03\0\0user\0a\0\0');

/** A raw client that sees the answers as `type:body` texts. */
export class RawClient {
  readonly socket: Socket;
  received: Buffer = Buffer.alloc(0);
  readonly closed: Promise<void>;
  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('data', (chunk) => (this.received = Buffer.concat([this.received, chunk])));
    this.socket.on('error', () => {});
    this.closed = new Promise((resolve) => this.socket.on('close', () => resolve()));
  }
  messages(): string[] {
    const found: string[] = [];
    for (let at = 0; at + 5 <= this.received.length;) {
      const length = this.received.readInt32BE(at + 1);
      if (at + 1 + length > this.received.length) break;
      found.push(
        `${String.fromCharCode(this.received[at]!)}:${this.received.toString('latin1', at + 5, at + 1 + length)}`,
      );
      at += 1 + length;
    }
    return found;
  }
  types(): string {
    return this.messages()
      .map((text) => text[0])
      .join('');
  }
  async until(condition: (client: RawClient) => boolean): Promise<void> {
    for (let i = 0; i < 500 && !condition(this); i++) await new Promise((resolve) => setTimeout(resolve, 4));
    if (!condition(this)) throw new Error(`not seen; got ${this.types()}`);
  }
}
