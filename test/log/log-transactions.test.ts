/** Reading transactions of a log that is written: any part of it, whatever restarts, crashes, cuts and gaps lie in it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Log, LogPlace } from '../../src/storage/log/log-api.ts';
import { openLog } from '../../src/storage/log/log.ts';
import { loggedFrames } from '../../src/storage/log/logged-frames.ts';
import { ReadPlaces, TransactionReader } from '../../src/storage/log/log-transactions.ts';
import type { Lsn } from '../../src/table-def.ts';
import { randomFrom, SimDisk } from '../sim/sim-disk.ts';

const OPTIONS = { dir: '', segmentBytes: 2 ** 16, ringBytes: 2 ** 14 };

interface Frame {
  readonly lsn: Lsn;
  readonly count: number;
  readonly bytes: string;
}
interface Whole {
  readonly firstLsn: Lsn;
  readonly lastLsn: Lsn;
  readonly frames: readonly Frame[];
}

type Step =
  | { readonly kind: 'transaction'; readonly frames: readonly (readonly [bytes: number, count: number])[] }
  | { readonly kind: 'stream'; readonly batches: readonly number[]; readonly deletes: number }
  | { readonly kind: 'unfinished'; readonly bytes: number }
  | { readonly kind: 'checkpoint' | 'close' | 'crash' | 'trim' }
  | { readonly kind: 'gap'; readonly lsns: number }
  | { readonly kind: 'read'; readonly from: number; readonly to: number };

const size = fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 3000, max: 8000 }));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('transaction' as const),
      frames: fc.array(fc.tuple(size, fc.integer({ min: 1, max: 4 })), { minLength: 1, maxLength: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('stream' as const),
      batches: fc.array(size, { minLength: 1, maxLength: 3 }),
      deletes: fc.integer({ min: 0, max: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('unfinished' as const), bytes: size }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('checkpoint', 'close', 'crash', 'trim') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('gap' as const), lsns: fc.integer({ min: 1, max: 9 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      from: fc.double({ min: 0, max: 1, noNaN: true }),
      to: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
);

class World {
  #disk: SimDisk;
  #log!: Log;
  #places = new ReadPlaces();
  #transactions: Whole[] = [];
  #number = 1;

  constructor(seed: number) {
    this.#disk = new SimDisk(randomFrom(seed));
  }

  async open(gap = 0): Promise<void> {
    this.#log = await openLog({ ...OPTIONS, fs: this.#disk });
    this.#transactions = this.#transactions.filter(({ lastLsn }) => lastLsn <= this.#log.lastLsn);
    await this.#log.start(this.#log.lastLsn + 1 + gap);
  }

  async run(each: Step): Promise<void> {
    const log = this.#log;
    switch (each.kind) {
      case 'transaction': {
        const number = this.#number++;
        const frames: Frame[] = [];
        for (const [i, [bytes, count]] of each.frames.entries())
          frames.push(await this.#append(bytes, count, number, i === each.frames.length - 1));
        return this.#committed(frames);
      }
      case 'stream':
        return this.#stream(each.batches, each.deletes);
      case 'unfinished':
        await this.#append(each.bytes, 1, this.#number++, false);
        await log.durable(log.lastLsn);
        return this.#again(true);
      case 'checkpoint':
        log.append({ kind: 'checkpoint', firstLsn: log.lastLsn + 1, count: 0, transaction: 0, last: true }, []);
        return;
      case 'trim':
        await log.trim(log.lastLsn + 1, 2 ** 16);
        return;
      case 'close':
      case 'crash':
        return this.#again(each.kind === 'crash');
      case 'gap':
        await log[Symbol.asyncDispose]();
        return this.open(each.lsns);
      case 'read':
        return this.#read(each.from, each.to);
    }
  }

  async #again(crash: boolean): Promise<void> {
    if (crash) this.#disk = this.#disk.crash();
    else await this.#log[Symbol.asyncDispose]();
    return this.open();
  }

  async #append(bytes: number, count: number, transaction: number, last: boolean): Promise<Frame> {
    const log = this.#log;
    const payload = new Uint8Array(bytes).fill(transaction);
    const lsn = log.lastLsn + 1;
    const head = { kind: 'data', firstLsn: lsn, count, transaction, last } as const;
    while (!log.append(head, [payload])) await log.room(bytes);
    return { lsn, count, bytes: `${transaction & 255}×${bytes}` };
  }

  async #stream(batches: readonly number[], deletes: number): Promise<void> {
    const log = this.#log;
    const number = this.#number++;
    const stream = log.stream();
    for (const bytes of batches) await stream.push(2, [new Uint8Array(bytes).fill(number)]);
    await stream.seal();
    let lsn = log.lastLsn + 1;
    const head = {
      kind: 'stream',
      firstLsn: lsn,
      count: stream.rows + deletes,
      transaction: number,
      last: true,
    } as const;
    const parts = [stream.reference, new Uint8Array(16).fill(number)];
    while (!log.append(head, parts)) await log.room(64);
    stream.committed(log.lastLsn);
    const frames: Frame[] = [{ lsn, count: deletes, bytes: `${number & 255}×16` }];
    lsn += deletes;
    for (const bytes of batches) {
      frames.push({ lsn, count: 2, bytes: `${number & 255}×${bytes}` });
      lsn += 2;
    }
    return this.#committed(frames);
  }

  async #committed(frames: readonly Frame[]): Promise<void> {
    await this.#log.durable(this.#log.lastLsn);
    this.#transactions.push({ firstLsn: frames[0]!.lsn, lastLsn: this.#log.lastLsn, frames });
  }

  /** The same frames, some bytes at a time, from wherever the last piece has ended. */
  #inPieces(log: LogPlace, since: Lsn, to: Lsn): Frame[] {
    const frames: Frame[] = [];
    for (let through = since; through < to;) {
      const request = { log, tableUuid: new Uint8Array(0), since: through, to };
      const read = loggedFrames(request, this.#disk, 4000);
      for (const { firstLsn, count, payload } of read.frames)
        if (count > 0) frames.push({ lsn: firstLsn, count, bytes: `${payload[0] ?? 0}×${payload.length}` });
      through = read.through;
    }
    return frames;
  }

  async #read(from: number, to: number): Promise<void> {
    const log = this.#log;
    if (this.#transactions.length === 0) return;
    const end = this.#transactions[Math.floor(to * (this.#transactions.length - 1))]!.lastLsn;
    const since = Math.floor(from * (end + 1));
    if (since + 1 < log.firstLsn || end < log.firstLsn) return;
    const hold = await log.hold(since + 1);
    const reader = new TransactionReader(this.#disk, hold.place, since, end, this.#places);
    const seen: Whole[] = [];
    const wanted = this.#transactions.filter(({ lastLsn }) => lastLsn > since && lastLsn <= end);
    let gone = false;
    try {
      for (let each = reader.next(); each !== null; each = reader.next()) {
        const read = (): Frame[] =>
          [...each!.frames()].map(({ firstLsn, count, payload }) => ({
            lsn: firstLsn,
            count,
            bytes: `${payload[0] ?? each!.firstLsn}×${payload.length}`,
          }));
        const frames = read();
        expect(read()).toEqual(frames);
        seen.push({ firstLsn: each.firstLsn, lastLsn: each.lastLsn, frames });
      }
      expect(this.#inPieces(hold.place, since, end)).toEqual(
        wanted.flatMap(({ frames }) =>
          frames
            .filter(({ lsn, count }) => count > 0 && lsn + count - 1 > since)
            .map((frame) => (frame.bytes.endsWith('×0') ? { ...frame, bytes: '0×0' } : frame)),
        ),
      );
    } catch (error) {
      // where the log begins within a transaction its rest cannot be read, nor a stream that was trimmed
      if ((error as { code?: string }).code !== '55000') throw error;
      gone = true;
    } finally {
      reader.close();
      hold.release();
    }
    const named = (list: readonly Whole[]): unknown =>
      list.map((each) => ({
        ...each,
        frames: each.frames.map((frame) => (frame.bytes.endsWith('×0') ? { ...frame, bytes: '×0' } : frame)),
      }));
    expect(named(seen)).toEqual(named(gone ? wanted.slice(0, seen.length) : wanted));
    if (gone)
      expect(
        wanted.some(({ firstLsn }) => firstLsn < log.firstLsn) ||
          wanted.some(({ frames }) => frames.some(({ bytes }) => bytes.endsWith('×16'))),
      ).toBe(true);
  }
}

test('any part of the log is read as the transactions that committed in it, each whole and as often as asked', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(step, { minLength: 5, maxLength: 60 }), async (seed, steps) => {
      const world = new World(seed);
      await world.open();
      for (const each of steps) await world.run(each);
      await world.run({ kind: 'read', from: 0, to: 1 });
    }),
    { numRuns: Number(process.env['FEED_RUNS'] ?? 300) },
  );
}, 120_000);
