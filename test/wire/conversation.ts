/**
 * Conversations of the protocol: each is what a client sends, message by message, and what the server says to it. They are held in three
 * ways, with the same answers: each message when the last has been answered, all in one write, and byte by byte.
 *
 * - T1 The server's messages are texts as in `gateway/talker.ts`; an error is its code and message.
 */
import { textOf } from '../gateway/talker.ts';
import { int16, int32, message, WireConnection } from '../process/wire-connection.ts';

export { int16, int32, message };

/** What the client sends, and the answers to it that come before it sends more. */
export type Turn = readonly [bytes: Buffer, ...answers: string[]];

const text = (words: string): string => `${words}\0`;
export const query = (sql: string): Buffer => message('Q', text(sql));
export const parse = (name: string, sql: string, ...oids: number[]): Buffer =>
  message('P', text(name), text(sql), int16(oids.length), ...oids.map(int32));
export const describeStatement = (name = ''): Buffer => message('D', 'S', text(name));
export const describePortal = (name = ''): Buffer => message('D', 'P', text(name));
export const execute = (portal = '', rows = 0): Buffer => message('E', text(portal), int32(rows));
export const closeStatement = (name: string): Buffer => message('C', 'S', text(name));
export const closePortal = (name: string): Buffer => message('C', 'P', text(name));
export const sync = message('S');
export const flush = message('H');
export const copyData = (bytes: string | Uint8Array): Buffer => message('d', bytes);
export const copyDone = message('c');
export const copyFail = (why: string): Buffer => message('f', text(why));

type Value = string | Uint8Array | null;
/** @param formats of the values, then of the results */
export function bind(
  portal = '',
  statement = '',
  values: readonly Value[] = [],
  formats: readonly number[] = [],
  results: readonly number[] = [],
): Buffer {
  const body = values.map((value) => {
    if (value === null) return int32(-1);
    const bytes = Buffer.from(value as string);
    return Buffer.concat([int32(bytes.length), bytes]);
  });
  const codes = (list: readonly number[]): Buffer => Buffer.concat([int16(list.length), ...list.map(int16)]);
  return message('B', text(portal), text(statement), codes(formats), int16(values.length), ...body, codes(results));
}

class Conversation {
  readonly said: string[] = [];
  readonly #wire: WireConnection;
  #ended = false;
  #heard: () => void = () => {};

  constructor(address: string) {
    this.#wire = new WireConnection(address, {
      message: (type, bytes, start, end) => {
        const letter = String.fromCharCode(type);
        if (letter !== 'S' && letter !== 'K' && letter !== 'R') this.said.push(textOf(letter, bytes, start, end));
        this.#heard();
      },
      closed: () => {
        this.#ended = true;
        this.#heard();
      },
    });
  }

  /** At least so many messages, or the end. */
  async until(count: number): Promise<void> {
    while (this.said.length < count && !this.#ended) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#heard = resolve;
      await promise;
    }
  }

  send(bytes: Uint8Array): void {
    if (!this.#ended) this.#wire.send(bytes);
  }

  end(): Promise<void> {
    return this.#wire.end();
  }
}

export type Way = 'in turns' | 'pipelined' | 'byte by byte';
export const WAYS: readonly Way[] = ['in turns', 'pipelined', 'byte by byte'];

/** All that the server says in a conversation of its own. */
export async function held(address: string, turns: readonly Turn[], way: Way): Promise<string[]> {
  const conversation = new Conversation(address);
  await conversation.until(1);
  let expected = 1;
  for (const [, ...answers] of way === 'in turns' ? [] : turns) expected += answers.length;
  const all = Buffer.concat(turns.map(([bytes]) => bytes));
  if (way === 'pipelined') conversation.send(all);
  else if (way === 'byte by byte')
    for (const byte of all) {
      conversation.send(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
  else
    for (const [bytes, ...answers] of turns) {
      conversation.send(bytes);
      expected += answers.length;
      await conversation.until(expected);
    }
  await conversation.until(expected);
  await conversation.end();
  return conversation.said.slice(1);
}
