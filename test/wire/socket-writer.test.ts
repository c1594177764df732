/** The thread that writes small answers: by hand, with the system's answers as numbers, and as it is. */
import type { Socket } from 'node:net';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { HandedWrite } from '../../src/wire/handed-write.ts';
import { SocketWriter, startWriter, type WriterHost, type WriterOptions } from '../../src/wire/socket-writer.ts';
import { SLOT_BYTES, writePublished, type WriteSlots } from '../../src/wire/write-slots.ts';
import { FakeGateway, message, RawClient, start, STARTUP } from './fake-gateway.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const noLog = (): void => {};

/** A descriptor's client: what it was sent, and how much of main's own writes the system has not taken. */
class Client {
  received = '';
  waiting = '';
  writable = true;
  closed = false;
  readonly _handle: { readonly fd: number; close: () => void; reset: () => void };
  constructor(fd: number) {
    const close = (): void => void (this.closed = true);
    this._handle = { fd, close, reset: close };
  }
  get writableLength(): number {
    return this.waiting.length;
  }
  write(bytes: Uint8Array): void {
    this.waiting += Buffer.from(bytes).toString('latin1');
  }
  drain(): void {
    this.received += this.waiting;
    this.waiting = '';
  }
  destroy(): void {
    this.writable = false;
    this._handle.close();
  }
}

/** A writer whose thread is the test's. */
function byHand(options: WriterOptions = {}): {
  writer: SocketWriter;
  slots: () => WriteSlots;
  short: (slot: number) => void;
  die: () => void;
} {
  let slots: WriteSlots | null = null;
  let short: (slot: number) => void = () => {};
  const { promise: ended, resolve: die } = Promise.withResolvers<void>();
  const writer = new SocketWriter(noLog, {
    busyTurns: 1,
    cores: 2,
    start: (made, onShort) => {
      slots = made;
      short = onShort;
      return { ended, terminate: () => {} };
    },
    ...options,
  });
  return { writer, slots: () => slots!, short: (slot) => short(slot), die };
}

/** Many answers in a turn: the thread is there, and answers wait for it. */
async function crowd(writer: SocketWriter): Promise<void> {
  for (let i = 0; i < 5; i++) writer.join();
  for (let i = 0; i < 5; i++) writer.hand(-1, new Uint8Array(), 0, { settle: noLog });
  await turn();
}

const handedOf = (client: Client, writer: SocketWriter): HandedWrite =>
  HandedWrite.of(client as unknown as Socket, writer)!;

const anyStep = fc.oneof(
  fc.record({ step: fc.constant('say' as const), who: fc.nat(4), length: fc.oneof(fc.nat(40), fc.constant(5000)) }),
  fc.record({ step: fc.constant('turn' as const) }),
  fc.record({ step: fc.constant('thread' as const), takes: fc.array(fc.option(fc.nat(50)), { maxLength: 6 }) }),
  fc.record({ step: fc.constant('drain' as const), who: fc.nat(4) }),
  fc.record({ step: fc.constant('again' as const), who: fc.nat(4) }),
);

test('D1, D2: each client gets what was said to it, in order, whoever writes it, and nothing of who had its descriptor', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 60 }), async (steps) => {
      const { writer, slots, short } = byHand();
      await crowd(writer);
      const open = (who: number, said = ''): { client: Client; handed: HandedWrite; said: string } => {
        const client = new Client(who);
        return { client, handed: handedOf(client, writer), said };
      };
      const sessions = Array.from({ length: 5 }, (_, who) => open(who));
      let letter = 0;
      const thread = (takes: readonly (number | null)[]): void => {
        let at = 0;
        const missed: number[] = [];
        writePublished(
          slots(),
          (fd, bytes, offset, length) => {
            const { client } = sessions[fd]!;
            expect(client.waiting).toBe('');
            const taken = Math.min(length, takes[at++] ?? length);
            client.received += Buffer.from(bytes.subarray(offset, offset + taken)).toString('latin1');
            return taken;
          },
          (slot) => missed.push(slot),
        );
        for (const slot of missed) short(slot);
      };
      for (const one of steps) {
        if (one.step === 'turn') await turn();
        else if (one.step === 'thread') thread(one.takes);
        else {
          const session = sessions[one.who]!;
          if (one.step === 'drain') session.client.drain();
          else if (one.step === 'say') {
            const bytes = Buffer.alloc(one.length, 65 + (letter++ % 26));
            session.said += bytes.toString('latin1');
            if (!session.handed.hand(bytes, bytes.length)) session.client.write(bytes);
          } else {
            session.client.destroy();
            expect(session.said.startsWith(session.client.received)).toBe(true);
            sessions[one.who] = open(one.who);
          }
        }
      }
      await turn();
      thread([]);
      for (const { client, handed, said } of sessions) {
        handed.settle();
        client.drain();
        expect(client.received).toBe(said);
      }
    }),
    { numRuns: 200 },
  );
});

test('W1: where few are answered in a turn of the loop the thread is not asked', async () => {
  const { writer } = byHand();
  await crowd(writer);
  const handed = handedOf(new Client(3), writer);
  await turn();
  await turn();
  expect(handed.hand(Buffer.from('held, as the turn before had many'), 10)).toBe(true);
  await turn();
  for (let i = 0; i < 3; i++) {
    expect(handed.hand(Buffer.from('a'), 1)).toBe(false);
    await turn();
  }
});

test('W2: with one core, for long answers and without a descriptor main writes', async () => {
  const one = byHand({ cores: 1 });
  for (let i = 0; i < 3; i++) {
    await crowd(one.writer);
    expect(one.slots()).toBeNull();
  }
  const { writer } = byHand();
  await crowd(writer);
  const bytes = new Uint8Array(SLOT_BYTES + 1);
  expect(handedOf(new Client(3), writer).hand(bytes, bytes.length)).toBe(false);
  expect(HandedWrite.of(new Client(-1) as unknown as Socket, writer)).toBeNull();
});

test('W2: with all slots full main writes, and with those of others that are passed the thread does again', async () => {
  const { writer, slots } = byHand();
  await crowd(writer);
  const clients = Array.from({ length: 300 }, (_, fd) => handedOf(new Client(fd), writer));
  const handed = clients.filter((client) => client.hand(Buffer.from('x'), 1)).length;
  expect(handed).toBe(256);
  writePublished(
    slots(),
    () => 1,
    () => expect.unreachable(),
  );
  expect(clients[299]!.hand(Buffer.from('y'), 1)).toBe(true);
});

test('D2: a thread that died in a write keeps the descriptor open until it is gone, and its session ends', async () => {
  const { writer, slots, die } = byHand({ stuckMs: 1 });
  await crowd(writer);
  const dead = new Client(5);
  const other = new Client(6);
  const handed = handedOf(dead, writer);
  const others = handedOf(other, writer);
  expect([handed.hand(Buffer.from('half'), 4), others.hand(Buffer.from('whole'), 5)]).toEqual([true, true]);
  await turn();
  const death = new Error('in a write');
  const write = (fd: number): number => {
    expect(fd).toBe(5);
    handed.settle(); // main's, meanwhile
    throw death;
  };
  expect(() => writePublished(slots(), write, noLog)).toThrow(death);
  expect([dead.writable, dead.closed]).toEqual([false, false]);
  expect(other.waiting).toBe('whole'); // W3
  expect(others.hand(Buffer.from('x'), 1)).toBe(false);
  die();
  await turn();
  expect(dead.closed).toBe(true);
});

/** RowDescription, DataRow, CommandComplete and ReadyForQuery of the fake gateway. */
const answerBytes = (text: string): number => 58 + text.length;
const query = (text: string): Buffer => message('Q', `${text}\0`);

async function ready(port: number): Promise<RawClient> {
  const client = new RawClient(port);
  client.socket.write(STARTUP);
  await client.until((c) => c.types().endsWith('Z'));
  client.received = Buffer.alloc(0);
  return client;
}

test('D2: with sockets that come and go at all times nobody reads what was for another', async () => {
  const logged: unknown[] = [];
  const writer = new SocketWriter((error) => logged.push(error), { busyTurns: 1, cores: 2 });
  const hand = vi.spyOn(writer, 'hand');
  const gateway = new FakeGateway();
  await using listener = await start(gateway, (error) => logged.push(error), { writer, maxConnections: 100 });
  const wrong: string[] = [];
  const life = async (who: number): Promise<void> => {
    for (let round = 0; round < 6; round++) {
      const client = await ready(listener.port);
      for (let i = 0; i < 8; i++) {
        const text = `${who}-${round}-${i}`;
        client.socket.write(query(text));
        await client.until((c) => c.types() === 'TDCZ'.repeat(i + 1));
        if (!client.messages().at(-3)!.endsWith(text)) wrong.push(`${text}: ${client.messages().at(-3)}`);
      }
      client.socket.write(query('nobody reads this'));
      client.socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: 16 }, (_, who) => life(who)));
  expect(wrong).toEqual([]);
  expect(hand.mock.results.filter(({ value }) => (value as number) >= 0).length).toBeGreaterThan(100);
  expect(logged).toEqual([]);
});

test('O3, W3: clients that do not read are waited for, and the end of the thread costs no answer', async () => {
  const logged: unknown[] = [];
  const writer = new SocketWriter((error) => logged.push(error), { busyTurns: 1, cores: 2 });
  await using listener = await start(new FakeGateway(), noLog, { writer, maxConnections: 100 });
  const clients = await Promise.all(Array.from({ length: 6 }, () => ready(listener.port)));
  const text = 'x'.repeat(4000);
  const answers = 2600;
  let bytes = 0;
  for (const { socket } of clients) {
    socket.removeAllListeners('data');
    socket.pause();
  }
  for (let i = 0; i < answers; i++) {
    for (const { socket } of clients) socket.write(query(text));
    await turn();
  }
  expect(listener.heldBytes()).toBeLessThan(32e6);
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const { socket } of clients)
    socket.on('data', (chunk) => {
      bytes += chunk.length;
      if (bytes === clients.length * answers * answerBytes(text)) resolve();
    });
  for (const { socket } of clients) socket.resume();
  await promise;
  expect(logged).toEqual([]);
  for (const { socket } of clients) socket.destroy();
});

test('W3: when the thread ends by itself main goes on, and says so once', async () => {
  const logged: unknown[] = [];
  let host: WriterHost | null = null;
  const writer = new SocketWriter((error) => logged.push(error), {
    busyTurns: 1,
    cores: 2,
    start: (...given) => (host = startWriter(...given)),
  });
  await using listener = await start(new FakeGateway(), noLog, { writer, maxConnections: 100 });
  const clients = await Promise.all(Array.from({ length: 8 }, () => ready(listener.port)));
  for (let i = 0; i < 60; i++) {
    if (i === 30) host!.terminate();
    for (const { socket } of clients) socket.write(query(`${i}`));
    await Promise.all(clients.map((client) => client.until((c) => c.types() === 'TDCZ'.repeat(i + 1))));
  }
  await host!.ended;
  expect(logged.length).toBe(1);
  for (const { socket } of clients) socket.destroy();
});
