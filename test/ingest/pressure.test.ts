import { describe, expect, test } from 'vitest';
import type { Clock } from '../../src/clock.ts';
import { SqlError } from '../../src/errors.ts';
import { memorySignal } from '../../src/ingest/memory-signal.ts';
import { chargesFor, delayOf, Pressure, zoneOf, type Signal } from '../../src/ingest/pressure.ts';
import { Memory } from '../../src/storage/memory/memory.ts';
import type { Table } from '../../src/storage/table.ts';

/** Time passes only where something waits for it. */
class StepClock implements Clock {
  time = 0;
  readonly #timers: { readonly at: number; readonly run: () => void }[] = [];
  now = (): number => this.time;
  monotonic = (): number => this.time;
  after(milliseconds: number, callback: () => void): () => void {
    this.#timers.push({ at: this.time + milliseconds, run: callback });
    return () => {};
  }
  /** Lets all promises run, then the next timer. */
  async step(): Promise<void> {
    for (let i = 0; i < 20; i++) await Promise.resolve();
    this.#timers.sort((a, b) => a.at - b.at);
    const next = this.#timers.shift();
    if (next === undefined) return;
    this.time = Math.max(this.time, next.at);
    next.run();
    for (let i = 0; i < 20; i++) await Promise.resolve();
  }
}

const MARKS = { yellow: 0.6, red: 0.8 };

test.each([
  [0, 'green', 0],
  [0.5999, 'green', 0],
  [0.6, 'yellow', 0],
  [0.61, 'yellow', 5],
  [0.7, 'yellow', 50],
  [0.79, 'yellow', 95],
  [0.8, 'red', 100],
  [1.3, 'red', 100],
])('usage %f is %s, and a write is slowed by %i ms', (usage, zone, delay) => {
  expect(zoneOf(usage, MARKS)).toBe(zone);
  expect(delayOf(usage, MARKS)).toBeCloseTo(delay, 6);
});

test.each([
  [1, 1],
  [65_535, 1],
  [65_536, 1],
  [131_071, 1],
  [131_072, 2],
  [10 * 65_536 + 1, 10],
])('a turn of %i bytes pays %i times', (bytes, charges) => {
  expect(chargesFor(bytes)).toBe(charges);
});

function signalOf(reason: string, usage: number, marks = MARKS): Signal & { now: number; relieved: number } {
  const signal = {
    reason,
    marks,
    now: usage,
    relieved: 0,
    usage: () => signal.now,
    relieve: () => {
      signal.relieved++;
      return Promise.resolve(true);
    },
    refused: () => new SqlError('53200', `${reason} is short`),
  };
  return signal;
}

describe('several signals', () => {
  test.each([
    ['memory yellow, log green', 0.7, 0.5, 'yellow', 'memory'],
    ['memory yellow, log more yellow', 0.62, 0.75, 'yellow', 'wal'],
    ['memory yellow, log red', 0.79, 0.9, 'red', 'wal'],
    ['both green', 0.1, 0.2, 'green', ''],
  ])('%s: the worst counts, with its reason', (_, memory, wal, zone, reason) => {
    const pressure = new Pressure({ clock: new StepClock() });
    pressure.join(signalOf('memory', memory));
    pressure.join(signalOf('wal', wal));
    expect(pressure.state).toMatchObject({ zone, reason });
    expect(pressure.red).toBe(zone === 'red');
  });
});

describe('a writer in red', () => {
  test('waits while what is short is freed, and goes on when it is no longer red', async () => {
    const clock = new StepClock();
    const pressure = new Pressure({ clock });
    const memory = signalOf('memory', 0.9);
    pressure.join(memory);
    let done = false;
    void pressure.admit().then(() => (done = true));
    for (let i = 0; i < 10; i++) await clock.step();
    expect(done).toBe(false);
    expect(memory.relieved).toBeGreaterThan(3);
    memory.now = 0.7;
    await clock.step();
    expect(done).toBe(true);
  });

  test('is refused after 30 s with what the signal says', async () => {
    const clock = new StepClock();
    const pressure = new Pressure({ clock });
    pressure.join(signalOf('memory', 0.9));
    let failure: unknown = null;
    void pressure.admit().catch((error: unknown) => (failure = error));
    while (failure === null) await clock.step();
    expect(failure).toMatchObject({ code: '53200', message: 'memory is short' });
    expect(clock.time).toBeGreaterThanOrEqual(30_000);
    expect(clock.time).toBeLessThan(31_000);
  });

  test('is refused at once when waiting is of no use, and then only one of those that wait', async () => {
    const clock = new StepClock();
    const pressure = new Pressure({ clock });
    const memory = signalOf('memory', 0.9);
    pressure.join({ ...memory, usage: () => memory.now, relieve: () => Promise.resolve(false) });
    const failed: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      void pressure.admit().catch((error: unknown) => {
        failed.push(error);
        memory.now = 0.5; // its transaction ends
      });
    }
    await clock.step();
    await clock.step();
    expect(failed.length).toBe(1);
  });
});

describe('a session in yellow', () => {
  test('pays one delay for a turn, however many statements it had, and by its bytes beyond 64 KB', async () => {
    const clock = new StepClock();
    const pressure = new Pressure({ clock });
    pressure.join(signalOf('memory', 0.7));
    for (const [bytes, delay] of [
      [30_000, 50],
      [640 * 1024, 500],
    ] as const) {
      const started = clock.time;
      let paid = false;
      void pressure.charge(bytes)!.then(() => (paid = true));
      while (!paid) await clock.step();
      expect(clock.time - started).toBeCloseTo(delay, 6);
    }
  });

  test('owes nothing in green, and no longer when it has become green', async () => {
    const clock = new StepClock();
    const pressure = new Pressure({ clock });
    const memory = signalOf('memory', 0.5);
    pressure.join(memory);
    expect(pressure.charge(10 ** 9)).toBeNull();
    memory.now = 0.79;
    let paid = false;
    void pressure.charge(100 * 65_536)!.then(() => (paid = true));
    await clock.step();
    memory.now = 0.1;
    await clock.step();
    expect(paid).toBe(true);
    expect(clock.time).toBeLessThan(300);
  });
});

describe('memory in red', () => {
  const MB = 2 ** 20;
  const BLOCK = 8 * MB;
  /** Tables with so many blocks each in a budget of 12, and those that were flushed, in order. */
  function tablesOf(blocks: Readonly<Record<string, { readonly blocks: number; readonly from: number }>>) {
    const memory = new Memory(12 * BLOCK);
    const flushed: string[] = [];
    const tables = new Map<string, Table>();
    for (const [name, { blocks: count, from }] of Object.entries(blocks)) {
      const held = Array.from({ length: count }, () => memory.take(BLOCK));
      const slices = (): { bytes: number }[] => held.map(() => ({ bytes: BLOCK }));
      const table = { indexBytes: 0, appliedLsn: 100, unflushedFrom: from, name, held, slices };
      tables.set(name, table as unknown as Table);
    }
    const owner = {
      clock: new StepClock(),
      memory,
      allTables: [...tables.values()],
      flush: (table: Table): Promise<void> => {
        const { name, held } = table as unknown as { name: string; held: number[] };
        flushed.push(name);
        for (const address of held.splice(0)) memory.pool.free(address, BLOCK);
        return Promise.resolve();
      },
    };
    return { signal: memorySignal(owner, MARKS, () => false), flushed, memory };
  }

  test('the table that gives most back is flushed first, and writers wait for no other when that is enough', async () => {
    const { signal, flushed, memory } = tablesOf({
      small: { blocks: 1, from: 1 },
      large: { blocks: 6, from: 90 },
      middle: { blocks: 4, from: 50 },
    });
    expect(await signal.relieve(0)).toBe(true);
    expect(flushed).toEqual(['large']);
    expect(memory.use).toBeLessThan(MARKS.red);
  });

  test('of tables that give the same the one with the oldest operation is flushed first', async () => {
    const { signal, flushed } = tablesOf({ young: { blocks: 5, from: 90 }, old: { blocks: 5, from: 10 } });
    await signal.relieve(0);
    expect(flushed).toEqual(['old']);
  });

  test('when rows of others fill the memory all tables are flushed, those without rows last, and there is no hope', async () => {
    const { signal, flushed, memory } = tablesOf({
      empty: { blocks: 0, from: 0 },
      one: { blocks: 1, from: 5 },
    });
    for (let i = 0; i < 11; i++) memory.take(BLOCK);
    expect(await signal.relieve(0)).toBe(true); // some bytes were freed
    expect(flushed).toEqual(['one', 'empty']);
    expect(await signal.relieve(0)).toBe(false);
  });
});
