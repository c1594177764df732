import { Socket } from 'node:net';
import fc from 'fast-check';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FrameReader } from '../../src/wire/frame-reader.ts';
import { InputBudget } from '../../src/wire/input-budget.ts';
import type { Listener } from '../../src/wire/listener.ts';
import { FakeGateway, floodWaits, message, RawClient, start, STARTUP } from './fake-gateway.ts';

let gateway: FakeGateway;
let listener: Listener;
let logged: unknown[];
beforeEach(async () => {
  gateway = new FakeGateway();
  logged = [];
  listener = await start(gateway, (error) => logged.push(error));
});
afterEach(() => listener.close());

/** What the server answers to these bytes after start-up, as message types without the start-up's own. */
async function talk(bytes: readonly Uint8Array[], readies = 1): Promise<RawClient> {
  const client = new RawClient(listener.port);
  client.socket.write(STARTUP);
  await client.until((c) => c.types().endsWith('Z'));
  client.received = Buffer.alloc(0);
  client.socket.write(Buffer.concat(bytes));
  await client.until((c) => c.types().split('Z').length > readies);
  client.socket.destroy();
  return client;
}
const parse = (name: string, text: string): Buffer => message('P', `${name}\0${text}\0\0\0`);
const bind = (portal: string, statement: string): Buffer => message('B', `${portal}\0${statement}\0\0\0\0\0\0\0`);
const execute = (portal: string): Buffer => message('E', `${portal}\0\0\0\0\0`);
const sync = message('S');
const query = (text: string): Buffer => message('Q', `${text}\0`);

describe('frames', () => {
  test('messages survive any cut of the byte stream', () => {
    const anyMessage = fc.tuple(fc.constantFrom(...'QPBdCDEHS'.split('')), fc.uint8Array({ maxLength: 300 }));
    fc.assert(
      fc.property(fc.array(anyMessage), fc.array(fc.nat()), (messages, cuts) => {
        const bytes = Buffer.concat(messages.map(([type, body]) => message(type, body)));
        const budget = new InputBudget();
        const reader = new FrameReader(undefined, budget);
        const shared = new Uint8Array(bytes.length);
        const held: Uint8Array[] = [];
        const got: [string, Uint8Array][] = [];
        let from = 0;
        for (const to of [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
          (x, y) => x - y,
        )) {
          shared.set(bytes.subarray(from, to));
          reader.push(shared, to - from);
          from = to;
          while (reader.next()) {
            held.push(reader.bytes.subarray(reader.start, reader.end)); // R1: compared only when all is read
            const view = held.at(-1)!;
            got.push([String.fromCharCode(reader.type), reader.type === 100 ? view.slice() : view]);
          }
          reader.keep();
          shared.fill(0xff);
        }
        // R4: CopyData may come in parts, so what lies side by side counts as one.
        const joined = (list: readonly (readonly [string, Uint8Array])[]): string[] => {
          const out: string[] = [];
          let last = '';
          for (const [type, body] of list) {
            const text = Buffer.from(body).toString('hex');
            if (type === 'd' && last === 'd') out.push(out.pop() + text);
            else out.push(type + text);
            last = type;
          }
          return out;
        };
        expect(joined(got)).toEqual(joined(messages));
        expect([reader.buffered, budget.usedBytes]).toEqual([0, 0]);
      }),
    );
  });

  test('a CopyData is handed out as it comes, without a copy', () => {
    const bytes = message('d', Buffer.alloc(100_000, 65));
    const reader = new FrameReader();
    for (let at = 0; at < bytes.length; at += 30_000) {
      const chunk = bytes.subarray(at, at + 30_000);
      reader.push(chunk);
      expect(reader.next()).toBe(true);
      expect(reader.bytes.buffer).toBe(chunk.buffer);
      expect([reader.type, reader.end - reader.start]).toEqual([100, chunk.length - (at === 0 ? 5 : 0)]);
      expect(reader.next()).toBe(false);
    }
    expect(reader.buffered).toBe(0);
  });

  test('a message of 16 MB in pieces of 4 KB is not quadratic', () => {
    const bytes = message('Q', Buffer.alloc(16 << 20, 65));
    const budget = new InputBudget();
    const reader = new FrameReader(undefined, budget);
    const memories = new Set<number>();
    for (let at = 0; at < bytes.length; at += 4096) {
      expect(reader.next()).toBe(false);
      reader.push(bytes.subarray(at, at + 4096));
      reader.keep();
      memories.add(reader.heldBytes);
      expect(reader.heldBytes).toBeLessThanOrEqual(4 * reader.buffered); // R3
      if (reader.heldBytes > 8192) expect(budget.usedBytes).toBe(reader.heldBytes); // I1
    }
    expect(reader.next()).toBe(true);
    expect([reader.next(), budget.usedBytes]).toEqual([false, 0]);
    expect(memories.size).toBeLessThan(14); // each at least twice the last (R2)
  });

  test.each([
    ['length below 4', [0x51, 0, 0, 0, 3]],
    ['length above the limit', [0x51, 0x7f, 0, 0, 0]],
    ['name longer than 10,000 bytes', [0x44, 0, 0, 0x40, 0]],
    ['type outside the protocol', [0x7a]],
  ])('a frame with %s ends the session with 08P01', (_, bytes) => {
    const reader = new FrameReader();
    reader.push(Uint8Array.from(bytes));
    expect(() => reader.next()).toThrow(expect.objectContaining({ code: '08P01', severity: 'FATAL' }));
  });
});

test('V5: unfinished messages of all clients have one budget: what grows beyond it ends with 53200, the others go on', async () => {
  await listener.close();
  listener = await start(gateway, (error) => logged.push(error), { inputBytesMax: 2 ** 20 });
  const text = query(`select 1 --${'x'.repeat(700_000)}`);
  const half = async (): Promise<RawClient> => {
    const client = new RawClient(listener.port);
    client.socket.write(STARTUP);
    await client.until((c) => c.types().endsWith('Z'));
    client.received = Buffer.alloc(0);
    const before = listener.heldBytes();
    client.socket.write(text.subarray(0, 350_000));
    await vi.waitFor(() => expect(listener.heldBytes() - before > 300_000 || client.types() !== '').toBe(true));
    return client;
  };
  const first = await half();
  const second = await half();
  second.socket.write(text.subarray(350_000));
  await second.closed;
  expect(second.messages().at(-1)).toContain('SFATAL\0VFATAL\0C53200');
  first.socket.write(text.subarray(350_000));
  await first.until((c) => c.types().endsWith('Z'));
  const third = await half();
  third.socket.write(text.subarray(350_000));
  await third.until((c) => c.types().endsWith('Z'));
  first.socket.destroy();
  third.socket.destroy();
});

describe('start-up', () => {
  const answer = async (bytes: Buffer, end = true): Promise<RawClient> => {
    const client = new RawClient(listener.port);
    client.socket.write(bytes);
    if (end) await client.closed;
    return client;
  };
  test('SSLRequest and GSSENCRequest get N, then the session goes on', async () => {
    const client = await answer(
      Buffer.concat([message('', '\x04\xd2\x16\x2f'), message('', '\x04\xd2\x16\x30'), STARTUP]),
      false,
    );
    await client.until((c) => c.received.includes('Z\0\0\0\x05I'));
    expect(client.received.toString('latin1', 0, 2)).toBe('NN');
    client.received = client.received.subarray(2);
    expect(client.types()).toBe('RSSKZ');
    client.socket.destroy();
  });
  test('CancelRequest reaches the gateway and the socket closes', async () => {
    await answer(message('', '\x04\xd2\x16\x2e\0\0\0\x07\0\0\0\x09'));
    expect(gateway.calls).toEqual(['cancel 7 00000009']);
  });
  test('a newer minor version or an unknown _pq_ option is negotiated', async () => {
    const client = await answer(message('', '\0\x03\0\x03user\0a\0_pq_.x\x001\0\0'), false);
    await client.until((c) => c.types().endsWith('Z'));
    expect(client.messages()[0]).toBe('v:\0\x03\0\x02\0\0\0\x01_pq_.x\0');
    client.socket.destroy();
  });
  test.each([
    ['another major version', message('', '\0\x02\0\0user\0a\0\0'), '0A000'],
    ['no user', message('', '\0\x03\0\0\0'), '28000'],
    ['no terminator', message('', '\0\x03\0\0user\0a'), '08P01'],
    ['10,001 bytes', Buffer.from([0, 0, 0x27, 0x11]), '08P01'],
    ['an unknown database', message('', '\0\x03\0\0user\0a\0database\0none\0\0'), '3D000'],
  ])('%s is FATAL', async (_, bytes, code) => {
    const client = await answer(bytes);
    expect(client.messages().map((text) => text.slice(0, 30))).toEqual([
      expect.stringContaining(`SFATAL\0VFATAL\0C${code}`),
    ]);
  });
  test('beyond maxConnections a client reads 53300', async () => {
    const clients = [1, 2, 3].map(() => new RawClient(listener.port));
    for (const client of clients) {
      client.socket.write(STARTUP);
      await client.until((c) => c.types().endsWith('Z'));
    }
    expect(listener.sessions()).toBe(3);
    expect((await answer(STARTUP)).messages()[0]).toContain('C53300');
    for (const client of clients) client.socket.destroy();
  });
  test('a taken port is said in one line', async () => {
    await expect(start(gateway, () => {}, { port: listener.port })).rejects.toMatchObject({
      code: 'EADDRINUSE',
      port: listener.port,
    });
  });
});

describe('queries', () => {
  test.each<[string, Buffer[], string, number?]>([
    ['a Query', [query('a')], 'TDCZ'],
    ['an empty Query', [query('')], 'IZ'],
    ['an error in a Query', [query('error'), query('a')], 'TEZTDCZ', 2],
    [
      'Parse, Bind, Describe, Execute, Sync',
      [parse('', 'a'), message('D', 'S\0'), bind('', ''), message('D', 'P\0'), execute(''), sync],
      '1tT2TDCZ',
    ],
    ['a statement without rows', [parse('', 'no rows'), message('D', 'S\0'), sync], '1tnZ'],
    [
      'an error: all up to Sync is skipped',
      [parse('', 'error'), bind('', ''), execute(''), execute(''), query('a'), sync, query('b')],
      '12EZTDCZ',
      2,
    ],
    ['Close of what does not exist', [message('C', 'Sx\0'), message('C', 'Px\0'), sync], '33Z'],
    ['stray COPY messages', [message('d', 'x'), message('c'), message('f', 'x\0'), query('a')], 'TDCZ'],
    ['FunctionCall', [message('F', 'x')], 'EZ'],
  ])('%s is answered in order', async (_, bytes, types, readies = 1) => {
    expect((await talk(bytes, readies)).types()).toBe(types);
  });

  test.each<[string, Buffer[], string]>([
    ['an unknown statement', [bind('', 'x'), sync], '26000'],
    ['an unknown portal', [execute('x'), sync], '34000'],
    ['a statement defined twice', [parse('s', 'a'), parse('s', 'a'), sync], '42P05'],
    ['a portal defined twice', [parse('', 'a'), bind('p', ''), bind('p', ''), sync], '42P03'],
    ['a wrong number of parameters', [parse('', '$1'), bind('', ''), sync], '08P01'],
    ['a cut message', [message('B', '\0\0\0\x01'), sync], '08P01'],
    ['a string without end', [message('Q', 'abc')], '08P01'],
    ['bytes that are not UTF-8', [message('Q', 'a\xff\0')], '22021'],
    ['a portal after its transaction', [parse('', 'a'), bind('p', ''), sync, execute('p'), sync], '34000'],
  ])('%s is an error of the message only', async (_, bytes, code) => {
    const readies = bytes.filter((b) => b === sync).length || 1;
    const messages = (await talk(bytes, readies)).messages();
    expect(messages.find((text) => text.startsWith('E'))).toContain(`C${code}\0`);
    expect(messages.at(-1)).toBe('Z:I');
  });

  test('portals live as long as their transaction block; DEALLOCATE ALL forgets statements', async () => {
    const client = await talk(
      [
        query('BEGIN'),
        parse('s', 'a'),
        bind('p', 's'),
        sync,
        execute('p'),
        sync,
        query('COMMIT'),
        query('forget'),
        bind('', 's'),
        sync,
      ],
      6,
    );
    expect(client.types()).toBe('TDCZ12ZDCZTDCZTDCZEZ');
    expect(gateway.calls).toContain('close a');
  });

  test('a stranger leaves as XX000 and its text stays in the log', async () => {
    const messages = (await talk([query('bug')])).messages();
    expect(messages[1]).toContain('CXX000\0Minternal error\0');
    expect(logged).toEqual([expect.any(TypeError)]);
  });

  test('an ErrorResponse carries all its fields', async () => {
    expect((await talk([query('error')])).messages()[1]).toBe(
      'E:SERROR\0VERROR\0C42601\0Msyntax error\0Dd\0Hh\0P3\0Ww\0cc\0\0',
    );
  });

  test('a FATAL error ends the connection, and the session closes once', async () => {
    const client = new RawClient(listener.port);
    client.socket.write(Buffer.concat([STARTUP, query('fatal'), query('a')]));
    await client.closed;
    expect(client.messages().at(-1)).toContain('E:SFATAL');
    await listener.close();
    expect(gateway.closes).toBe(1);
  });

  test('1,000 pipelined Bind and Execute are answered', async () => {
    const pairs = Array.from({ length: 1000 }, () => Buffer.concat([bind('', 's'), execute('')]));
    expect((await talk([parse('s', 'a'), ...pairs, sync])).types()).toBe(`1${'2DC'.repeat(1000)}Z`);
  });

  test('O2: the answers to what came in one read are one write, through how many promises they may go', async () => {
    const write = vi.spyOn(Socket.prototype, 'write');
    const client = new RawClient(listener.port);
    const served = (): number => write.mock.contexts.filter((socket) => socket !== client.socket).length;
    client.socket.write(STARTUP);
    await client.until((c) => c.types().endsWith('Z'));
    const before = served();
    const extended = [parse('', 'hops'), bind('', ''), execute(''), sync];
    client.socket.write(Buffer.concat([...extended, query('hops'), ...extended]));
    await client.until((c) => c.types().endsWith('12DDDCZTDDDCZ12DDDCZ'));
    expect(served() - before).toBe(1);
    write.mockRestore();
    client.socket.destroy();
  });

  test('input after a waiting statement waits too', async () => {
    const client = new RawClient(listener.port);
    client.socket.write(Buffer.concat([STARTUP, query('wait'), query('b'), Buffer.alloc(300_000, message('H'))]));
    await client.until((c) => c.types().endsWith('ZT'));
    gateway.release();
    await client.until((c) => c.types().endsWith('ZTCZTDCZ'));
    client.socket.destroy();
  });

  test('M-11: the statements of one read are one turn of input; more than 64 KB are several', async () => {
    const short = await talk(
      Array.from({ length: 500 }, () => query('a')),
      500,
    );
    expect(short.types()).toBe('TDCZ'.repeat(500));
    const total = gateway.turns.reduce((sum, bytes) => sum + bytes, 0);
    expect(total).toBe(500 * 'a\0'.length);
    expect(gateway.turns.length).toBeLessThan(50);
    gateway.turns.length = 0;
    await talk(
      Array.from({ length: 8 }, () => query('x'.repeat(40_000))),
      8,
    );
    expect(gateway.turns.length).toBeGreaterThanOrEqual(4);
    expect(Math.max(...gateway.turns)).toBeLessThan(64 * 1024 + 40_002);
  });

  test('M-11: a session that owes takes no message and no byte until it has paid, then goes on where it was', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    gateway.owes = () => promise;
    const client = await talk([query('a')]);
    expect(client.types()).toBe('TDCZ');
    const other = new RawClient(listener.port);
    other.socket.write(Buffer.concat([STARTUP, query('a')]));
    await other.until((c) => c.types().endsWith('CZ'));
    let written = 0;
    const more = query('b'.repeat(60_000));
    while (other.socket.writableLength < 4_000_000 && written < 400) {
      other.socket.write(more);
      written++;
      await new Promise((next) => setImmediate(next));
    }
    expect(listener.heldBytes()).toBeLessThan(1_000_000);
    expect(other.types().endsWith('CZ')).toBe(true);
    const before = other.types().length;
    gateway.owes = () => null;
    resolve();
    await other.until((c) => c.types().length === before + written * 4);
    other.socket.destroy();
  });

  test('M-11: a client that sends and closes its end while it owes gets all its answers', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    gateway.owes = () => promise;
    const client = new RawClient(listener.port);
    client.socket.write(Buffer.concat([STARTUP, query('x'.repeat(70_000)), query('b'), query('c')]));
    client.socket.end();
    await client.until((c) => c.types().includes('Z'));
    gateway.owes = () => null;
    resolve();
    await client.until((c) => c.types().endsWith('TDCZ'.repeat(3)));
  });

  test('dataRows makes a statement wait while the client does not read', async () => {
    const client = new RawClient(listener.port);
    client.socket.write(Buffer.concat([STARTUP, query('flood')]));
    client.socket.pause();
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(floodWaits).toBeGreaterThan(0);
    client.socket.resume();
    await client.until(
      (c) => c.received.length > 20_000_000 && c.received.subarray(-6).toString('latin1') === 'Z\0\0\0\x05I',
    );
    client.socket.destroy();
  });
});

describe('COPY', () => {
  const data = (text: string): Buffer => message('d', text);
  test.each<[string, Buffer[], string, number?]>([
    ['CopyDone', [query('copy'), data('a'), message('H'), sync, data('b'), message('c')], 'GCZ'],
    ['CopyDone that came before the COPY had begun', [query('copy late'), data('a'), data('b'), message('c')], 'GCZ'],
    ['a sink that waits', [query('copy slow'), data('a'), data('b'), message('c')], 'GCZ'],
    ['CopyFail', [query('copy'), data('a'), message('f', 'why\0')], 'GEZ'],
    ['an error of the sink', [query('copy error'), data('a'), data('b'), message('c'), query('a')], 'GEZTDCZ', 2],
    ['another message', [query('copy'), query('a'), data('b'), message('c'), query('a')], 'GEZTDCZ', 2],
    [
      'the extended protocol',
      [parse('', 'copy'), bind('', ''), execute(''), sync, data('a'), message('c'), sync],
      '12GCZ',
    ],
  ])('%s ends it', async (_, bytes, types, readies = 1) => {
    expect((await talk(bytes, readies)).types()).toBe(types);
  });
  test('an error of the sink is said at once, before the end of the data', async () => {
    expect((await talk([query('copy error'), data('a')])).types()).toBe('GEZ');
  });
  test("CopyFail is 57014 with the client's words", async () => {
    expect((await talk([query('copy'), message('f', 'why\0')])).messages()[1]).toContain(
      'C57014\0MCOPY from stdin failed: why\0',
    );
  });
  test('a client that leaves in the middle ends its session', async () => {
    const client = new RawClient(listener.port);
    client.socket.end(Buffer.concat([STARTUP, query('copy'), data('a')]));
    await client.closed;
    expect(client.messages().at(-2)).toContain('C08006\0');
    await listener.close();
    expect(gateway.closes).toBe(1);
  });
});

describe('clients', () => {
  test('node-postgres: simple, prepared, errors, COPY, notices', async () => {
    const client = new pg.Client({ host: '127.0.0.1', port: listener.port, user: 'a', database: 'a' });
    const notices: unknown[] = [];
    client.on('notice', (notice) => notices.push(notice.message));
    await client.connect();
    expect((await client.query('hello')).rows).toEqual([{ x: 'hello' }]);
    expect((await client.query({ name: 's', text: '$1', values: ['é'] })).rows).toEqual([{ x: 'é' }]);
    await expect(client.query({ text: 'error', values: [], name: 'e' })).rejects.toMatchObject({
      code: '42601',
      hint: 'h',
    });
    await client.query('notice');
    expect(notices).toEqual(['hello']);
    const stream = client.query(copyFrom('copy'));
    await new Promise((resolve, reject) => stream.on('finish', resolve).on('error', reject).end('1\t2\n'));
    expect(gateway.copied.join('')).toBe('1\t2\n');
    await client.end();
  });
});

describe('the end', () => {
  test('close says 57P01 to idle clients and waits for running ones', async () => {
    const [idle, running] = [new RawClient(listener.port), new RawClient(listener.port)];
    idle.socket.write(STARTUP);
    running.socket.write(Buffer.concat([STARTUP, query('wait')]));
    await idle.until((c) => c.types().endsWith('Z'));
    await running.until((c) => c.types().endsWith('T'));
    const closing = listener.close();
    await idle.closed;
    expect(idle.messages().at(-1)).toContain('C57P01\0Mterminating connection due to administrator command\0');
    gateway.release();
    await closing;
    expect(running.types()).toMatch(/TCZE$/);
    expect(gateway.closes).toBe(2);
  });

  test('any bytes get an ErrorResponse or an ended session, and each session closes once', async () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((body) => Buffer.from(body)),
      fc
        .tuple(fc.constantFrom(...'QPBDECHSFdcfp'.split('')), fc.uint8Array({ maxLength: 30 }))
        .map(([type, body]) => message(type, body)),
      fc.constantFrom(
        query('a'),
        query('copy'),
        query('error'),
        query('bug'),
        parse('', '$1'),
        bind('', ''),
        execute(''),
        sync,
        message('c'),
      ),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(piece, { maxLength: 12 }),
        fc.boolean(),
        async (started, pieces, abrupt) => {
          const client = new RawClient(listener.port);
          client.socket.write(Buffer.concat([started ? STARTUP : Buffer.alloc(0), ...pieces]));
          if (abrupt) client.socket.destroy();
          else client.socket.end();
          await client.closed;
        },
      ),
      { numRuns: 250 },
    );
    await listener.close();
    expect(gateway.closes).toBe(gateway.opens);
    expect(logged.filter((error) => !(error instanceof TypeError && error.message === 'secret text'))).toEqual([]);
  });
});
