import { expect, test } from 'vitest';
import type { Log, RecoveredFrame } from '../../src/storage/log/log-api.ts';
import { openLog } from '../../src/storage/log/log.ts';
import { SimDisk, randomFrom, type Random } from './sim-disk.ts';

const SEEDS =
  process.env['SIM_SEED'] === undefined
    ? Array.from({ length: 150 }, (_, i) => i + 1)
    : [Number(process.env['SIM_SEED'])];
const OPTIONS = { dir: '', segmentBytes: 2 ** 16, ringBytes: 2 ** 15 };

/** The transaction `id` of the model: its frames' payloads, each filled from (id, frame). */
interface Transaction {
  readonly firstLsn: number;
  readonly frames: readonly { readonly count: number; readonly bytes: Uint8Array }[];
  readonly id: number;
}

interface World {
  /** In order, from the first that the log still must have. */
  expected: Transaction[];
  /** How many of `expected` were acknowledged. */
  acknowledged: number;
  nextId: number;
  trimmedTo: number;
}

function newTransaction(world: World, random: Random, firstLsn: number): Transaction {
  const id = world.nextId++;
  const frames = Array.from({ length: random() < 0.7 ? 1 : 1 + Math.floor(random() * 5) }, (_, frame) => ({
    count: 1 + Math.floor(random() * 3),
    bytes: new Uint8Array(Math.floor(random() ** 3 * 8000)).fill(id * 7 + frame),
  }));
  return { firstLsn, frames, id };
}

const lastLsnOf = (t: Transaction): number => t.firstLsn + t.frames.reduce((sum, frame) => sum + frame.count, 0) - 1;

/** A transaction by a stream (H1): the first frame of the model is what its commit says beside the rows. */
async function appendStreamed(log: Log, world: World, random: Random): Promise<boolean> {
  const { id, frames } = newTransaction(world, random, 0);
  const stream = log.stream();
  for (const { count, bytes } of frames) await stream.push(count, [bytes.subarray(0, 5), bytes.subarray(5)]);
  if (random() < 0.2) {
    stream.discard();
    return false;
  }
  await stream.seal();
  const deleted = { count: Math.floor(random() * 3), bytes: new Uint8Array(Math.floor(random() * 100)).fill(id) };
  world.expected.push({ id, firstLsn: log.lastLsn + 1, frames: [deleted, ...frames] });
  const parts = [stream.reference, deleted.bytes];
  const head = { kind: 'stream', count: deleted.count + stream.rows, transaction: id, last: true } as const;
  while (!log.append({ ...head, firstLsn: log.lastLsn + 1 }, parts))
    await log.room(parts[0]!.length + parts[1]!.length);
  stream.committed(log.lastLsn);
  return true;
}

async function appendFrames(log: Log, world: World, random: Random): Promise<boolean> {
  const transaction = newTransaction(world, random, log.lastLsn + 1);
  world.expected.push(transaction);
  const { length } = transaction.frames;
  for (const [at, frame] of transaction.frames.entries()) {
    const head = { kind: 'data', count: frame.count, transaction: transaction.id, last: at === length - 1 } as const;
    while (!log.append({ ...head, firstLsn: log.lastLsn + 1 }, [frame.bytes.subarray(0, 5), frame.bytes.subarray(5)]))
      await log.room(frame.bytes.length);
  }
  return true;
}

async function work(log: Log, world: World, random: Random, disk: SimDisk): Promise<void> {
  for (let i = 0; i < 60 && !disk.crashed; i++) {
    const append = random() < 0.25 ? appendStreamed : appendFrames;
    if (!(await append(log, world, random))) continue;
    const position = world.expected.length;
    const done = log.durable(log.lastLsn).then(() => (world.acknowledged = Math.max(world.acknowledged, position)));
    if (random() < 0.5) await done;
    else done.catch(() => undefined);
    if (random() < 0.05 && world.acknowledged > 3) {
      const drop = Math.floor(random() * world.acknowledged);
      world.trimmedTo = Math.max(world.trimmedTo, world.expected[drop]!.firstLsn);
      await log.trim(world.trimmedTo);
    }
  }
}

function same(frames: readonly RecoveredFrame[], transactions: readonly Transaction[]): void {
  let at = 0;
  for (const transaction of transactions) {
    let lsn = transaction.firstLsn;
    for (const [i, frame] of transaction.frames.entries()) {
      const got = frames[at++];
      expect(got && { ...got, payload: null }).toEqual({
        kind: 'data',
        firstLsn: lsn,
        count: frame.count,
        transaction: transaction.id,
        last: i === transaction.frames.length - 1,
        payload: null,
      });
      expect(Buffer.compare(got!.payload, frame.bytes)).toBe(0);
      expect(got!.payload.byteOffset % 8).toBe(0);
      lsn += frame.count;
    }
  }
  expect(at).toBe(frames.length);
}

/** What replay gives must be the model from the trim on; what was not acknowledged may be missing at the end. */
async function check(log: Log, world: World): Promise<void> {
  const frames: RecoveredFrame[] = [];
  await log.replay(world.trimmedTo, (frame) => void frames.push(frame));
  const wanted = world.expected.filter((t) => lastLsnOf(t) >= world.trimmedTo);
  const dropped = world.expected.length - wanted.length;
  const commits = frames.filter((frame) => frame.last).length;
  expect(commits).toBeGreaterThanOrEqual(world.acknowledged - dropped);
  same(frames, wanted.slice(0, commits));
  expect(log.firstLsn).toBeLessThanOrEqual(frames[0]?.firstLsn ?? log.lastLsn + 1);
  world.expected = world.expected.slice(0, dropped + commits);
  world.acknowledged = world.expected.length;
}

test.each(SEEDS)(
  'seed %i: power cuts lose nothing acknowledged, and keep whole transactions in order',
  async (seed) => {
    const random = randomFrom(seed);
    let disk = new SimDisk(random);
    const world: World = { expected: [], acknowledged: 0, nextId: 1, trimmedTo: 1 };
    for (let life = 0; life < 6; life++) {
      disk.crashIn = Math.floor(random() ** 2 * 200);
      try {
        const log = await openLog({ ...OPTIONS, fs: disk });
        await check(log, world);
        const gap = random() < 0.1 ? 5 : 0;
        await log.start(log.lastLsn + 1 + gap);
        await work(log, world, random, disk);
        if (random() < 0.3) await log[Symbol.asyncDispose]();
      } catch (error) {
        if (!disk.crashed) throw error;
      }
      await new Promise((resolve) => setImmediate(resolve));
      disk = disk.crash();
    }
    const log = await openLog({ ...OPTIONS, fs: disk });
    await check(log, world);
  },
);

test('W3: a full disk is known while all that was appended has room in the segment; data are taken again when there is room for another', async () => {
  const random = randomFrom(1);
  const disk = new SimDisk(random);
  disk.capacity = 2 ** 17 + 1000;
  const retries: (() => void)[] = [];
  const clock = {
    now: () => 0,
    monotonic: () => 0,
    after: (_: number, callback: () => void) => (retries.push(callback), () => undefined),
  };
  const log = await openLog({ ...OPTIONS, fs: disk, clock });
  await log.start(1);
  const payload = new Uint8Array(4000);
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const append = (kind: 'data' | 'checkpoint'): boolean => {
    const count = kind === 'data' ? 1 : 0;
    return log.append({ kind, firstLsn: log.lastLsn + 1, count, transaction: 1, last: true }, [payload]);
  };
  for (let i = 0; i < 100 && !log.full; i++) {
    for (let burst = 0; burst < 6; burst++) append('data');
    await turn();
  }
  expect(log.full).toBe(true);
  expect(append('data')).toBe(false);
  expect(append('checkpoint')).toBe(true);
  await turn();
  expect(log.durableLsn).toBe(log.lastLsn);
  expect(log.stats().queueBytes).toBe(0);
  const { lastLsn } = log;
  let taken = false;
  const room = log.room(payload.length).then(() => (taken = append('data')));
  await turn();
  expect(taken).toBe(false);
  disk.capacity = Infinity;
  retries.pop()!();
  await room;
  expect(taken).toBe(true);
  await log.durable(lastLsn + 1);
  await log[Symbol.asyncDispose]();
  const again = await openLog({ ...OPTIONS, fs: disk });
  let frames = 0;
  await again.replay(1, ({ count }) => void (frames += count));
  expect(frames).toBe(log.lastLsn);
});

test('W4: frames for which room was made are all taken, however full the disk is then; where there is none, nothing is left of the try', async () => {
  const random = randomFrom(3);
  for (let round = 0; round < 40; round++) {
    const disk = new SimDisk(random);
    const log = await openLog({ ...OPTIONS, fs: disk });
    await log.start(1);
    const append = (bytes: number, last: boolean, isReserved: boolean): boolean =>
      log.append(
        { kind: 'data', firstLsn: log.lastLsn + 1, count: 1, transaction: 1, last },
        [new Uint8Array(bytes).fill(7)],
        true,
        isReserved,
      );
    for (let i = Math.floor(random() * 20); i > 0; i--) {
      append(Math.floor(random() * 3000), true, false);
      if (random() < 0.5) await log.durable(log.lastLsn);
    }
    const used = (): number => [...disk.names.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
    const frames = Array.from({ length: 2 + Math.floor(random() * 60) }, () =>
      Math.floor(random() ** 2 * log.frameBytesMax),
    );
    disk.capacity = used() + Math.floor(random() * 5) * OPTIONS.segmentBytes;
    const first = log.lastLsn + 1;
    if (await log.reserve(frames)) {
      disk.capacity = used();
      for (const [i, size] of frames.entries()) {
        while (!append(size, i === frames.length - 1, true)) await log.room(size, true);
        if (random() < 0.2) await log.durable(log.lastLsn);
      }
      await log.durable(first + frames.length - 1);
    } else {
      const spares = [...disk.names.keys()].filter((name) => !name.endsWith('.wal'));
      expect(spares.length, 'the one that there is anyway').toBeLessThanOrEqual(1);
      expect(log.lastLsn).toBe(first - 1);
    }
    const again = await openLog({ ...OPTIONS, fs: disk });
    expect(again.lastLsn).toBe(log.lastLsn);
  }
});

test('who waits for a turn in the ring hears that the disk is full', async () => {
  const disk = new SimDisk(randomFrom(1));
  const log = await openLog({ ...OPTIONS, fs: disk });
  await log.start(1);
  disk.capacity = [...disk.names.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
  const append = (): boolean =>
    log.append({ kind: 'data', firstLsn: log.lastLsn + 1, count: 1, transaction: 1, last: true }, [
      new Uint8Array(4000),
    ]);
  for (let waits = 0; !log.full; waits++) {
    expect(waits).toBeLessThan(20);
    while (append());
    await log.room(4000);
  }
  expect([append(), log.durableLsn]).toEqual([false, log.lastLsn]);
});

test('after a failed sync nothing is acknowledged, and the next start does not believe the page cache', async () => {
  const disk = new SimDisk(randomFrom(1));
  const log = await openLog({ ...OPTIONS, fs: disk });
  await log.start(1);
  const append = (): boolean =>
    log.append({ kind: 'data', firstLsn: log.lastLsn + 1, count: 1, transaction: 1, last: true }, [new Uint8Array(10)]);
  append();
  await log.durable(1);
  let fatal = 0;
  log.onFatal = () => void fatal++;
  disk.failSync = Object.assign(new Error('input/output error'), { code: 'EIO' });
  append();
  await expect(log.durable(2)).rejects.toMatchObject({ code: '58030' });
  expect([fatal, log.durableLsn]).toEqual([1, 1]);
  expect(append).toThrow('input/output error');
  disk.failSync = null;
  const again = await openLog({ ...OPTIONS, fs: disk });
  expect(again.lastLsn).toBe(1);
});
