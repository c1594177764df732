import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { FrameHead, Log, RecoveredFrame } from '../../src/storage/log/log-api.ts';
import { openLog } from '../../src/storage/log/log.ts';
import { SimDisk, randomFrom } from '../sim/sim-disk.ts';

let dir = '';
beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), 'arka-log-'));
});
afterEach(() => fs.rmSync(dir, { recursive: true }));

const OPTIONS = { dir: '', segmentBytes: 2 ** 16, ringBytes: 2 ** 14 };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function append(log: Log, payload: Uint8Array, more: Partial<FrameHead> = {}, awaited = true): boolean {
  const head: FrameHead = { kind: 'data', firstLsn: log.lastLsn + 1, count: 1, transaction: 1, last: true, ...more };
  return log.append(head, [payload], awaited);
}

async function framesOf(log: Log, from = 1): Promise<RecoveredFrame[]> {
  const frames: RecoveredFrame[] = [];
  await log.replay(from, (frame) => void frames.push(frame));
  return frames;
}

const fileOf = (disk: SimDisk, name: string): Uint8Array => disk.names.get(name)!.bytes;
const FIRST = '0000000000000001.wal';

/** Five transactions of one group each; the header is block 0, the start's mark block 1, the groups blocks 2–6. */
async function fiveGroups(): Promise<SimDisk> {
  const disk = new SimDisk(randomFrom(1));
  const log = await openLog({ ...OPTIONS, fs: disk });
  await log.start(1);
  for (let i = 1; i <= 5; i++) {
    append(log, new Uint8Array(100).fill(i));
    await log.durable(i);
  }
  return disk;
}

test('a last group that is torn at any byte is cut, and all before it is there', async () => {
  const whole = fileOf(await fiveGroups(), FIRST).slice();
  const start = 6 * 4096;
  for (let cut = start; cut < start + 64 + 132; cut++) {
    for (const fill of [0, 0xa5]) {
      const disk = await fiveGroups();
      const file = fileOf(disk, FIRST);
      file.set(whole);
      const segment = fileOf(disk, FIRST);
      segment.fill(fill, cut, start + 4096);
      const log = await openLog({ ...OPTIONS, fs: disk });
      const frames = await framesOf(log);
      expect([4, 5]).toContain(frames.length);
      // its first 16 bytes say whose it is: of less nothing is left to say
      if (frames.length === 4 && cut >= start + 16)
        expect(log.torn, 'what is cut is said').toEqual({ name: FIRST, offset: start });
      if (frames.length === 5) expect(log.torn).toBeNull();
      expect(frames.map((frame) => frame.payload[0])).toEqual([1, 2, 3, 4, 5].slice(0, frames.length));
    }
  }
});

test('C9: a group torn behind its start, with later blocks of it intact, is cut, whatever follows', async () => {
  const disk = new SimDisk(randomFrom(1));
  const log = await openLog({ ...OPTIONS, fs: disk });
  await log.start(1);
  append(log, new Uint8Array(10));
  await log.durable(1);
  append(log, new Uint8Array(7000).fill(1));
  append(log, new Uint8Array(4000).fill(2));
  await log.durable(3);
  fileOf(disk, FIRST).fill(0, 3 * 4096 + 512, 4 * 4096);
  const again = await openLog({ ...OPTIONS, fs: disk });
  expect(again.lastLsn).toBe(1);
  expect(again.torn).toEqual({ name: FIRST, offset: 3 * 4096 });
  await again.start(2);
  // the start's mark takes block 3; what the torn group left behind it must never validate in a later one
  expect(
    fileOf(disk, FIRST)
      .subarray(4 * 4096)
      .every((byte) => byte === 0),
  ).toBe(true);
  append(again, new Uint8Array(7000).fill(9));
  await again[Symbol.asyncDispose]();
  const frames = await framesOf(await openLog({ ...OPTIONS, fs: disk }));
  expect(frames.map((frame) => [frame.firstLsn, frame.payload[0]])).toEqual([
    [1, 0],
    [2, 9],
  ]);
});

test('C9: a flipped byte before the durable position refuses to start, naming file and offset', async () => {
  const disk = await fiveGroups();
  const file = fileOf(disk, FIRST);
  for (let at = 4096; at < 6 * 4096; at += 3) {
    const inGroup = at % 4096;
    const used = at < 2 * 4096 ? 64 : 64 + 132;
    if (inGroup >= used) continue;
    file[at]! ^= 0x40;
    const message = new RegExp(`"${FIRST}" at offset ${at - inGroup}$|"${FIRST}" at offset ${at - inGroup + 64}$`);
    await expect(openLog({ ...OPTIONS, fs: disk })).rejects.toMatchObject({
      code: 'XX001',
      message: expect.stringMatching(message),
    });
    file[at]! ^= 0x40;
  }
});

test('after a clean stop even damage in the last group is known for corruption', async () => {
  const disk = new SimDisk(randomFrom(1));
  const log = await openLog({ ...OPTIONS, fs: disk });
  await log.start(1);
  append(log, new Uint8Array(10));
  await log[Symbol.asyncDispose]();
  await log[Symbol.asyncDispose]();
  fileOf(disk, FIRST)[2 * 4096 + 100]! ^= 1;
  await expect(openLog({ ...OPTIONS, fs: disk })).rejects.toMatchObject({ code: 'XX001' });
});

test('once nothing has been written for a second, damage in the last group is known for corruption after a crash, too', async () => {
  const disk = new SimDisk(randomFrom(1));
  const due: (() => void)[] = [];
  const clock = {
    now: () => 0,
    monotonic: () => 0,
    after: (_: number, callback: () => void) => (due.push(callback), () => undefined),
  };
  const passes = async (): Promise<number> => {
    const { syncs } = disk;
    for (const callback of due.splice(0)) callback();
    await turn();
    return disk.syncs - syncs;
  };
  const log = await openLog({ ...OPTIONS, fs: disk, clock, rests: true });
  await log.start(1);
  append(log, new Uint8Array(10));
  await log.durable(1);
  expect(await passes()).toBe(0);
  append(log, new Uint8Array(10));
  await log.durable(2);
  expect(await passes(), 'there was a group meanwhile').toBe(0);
  expect([await passes(), await passes(), due.length]).toEqual([1, 0, 0]);
  const file = fileOf(disk, FIRST);
  file[3 * 4096 + 100]! ^= 1;
  await expect(openLog({ ...OPTIONS, fs: disk })).rejects.toMatchObject({ code: 'XX001' });
  file[3 * 4096 + 100]! ^= 1;
  append(log, new Uint8Array(10).fill(3));
  await log.durable(3);
  const frames = await framesOf(await openLog({ ...OPTIONS, fs: disk }));
  expect(frames.map(({ firstLsn, payload }) => [firstLsn, payload[0]])).toEqual([
    [1, 0],
    [2, 0],
    [3, 3],
  ]);
});

test('an unfinished transaction at the tail is cut for good, and its LSNs are used again', async () => {
  const disk = new SimDisk(randomFrom(1));
  const log = await openLog({ ...OPTIONS, fs: disk });
  await log.start(1);
  append(log, Uint8Array.of(1));
  for (let i = 0; i < 12; i++) {
    while (!append(log, new Uint8Array(5000).fill(7), { last: false, transaction: 2 })) await log.room(5000);
    await log.durable(log.lastLsn);
  }
  for (let start = 0; start < 3; start++) {
    const again = await openLog({ ...OPTIONS, fs: disk });
    expect([again.lastLsn, (await framesOf(again)).length]).toEqual([1 + start, 1 + start]);
    await again.start(2 + start);
    append(again, Uint8Array.of(2), { transaction: 3 });
    append(again, Uint8Array.of(3), { transaction: 4, last: false });
    await again.durable(again.lastLsn);
  }
});

test('replay gives whole transactions from the first that reaches `from`, and the checkpoints of the segments that it reads', async () => {
  const disk = new SimDisk(randomFrom(1));
  const log = await openLog({ ...OPTIONS, fs: disk });
  await log.start(1);
  append(log, Uint8Array.of(0), { kind: 'checkpoint', count: 0 });
  for (let transaction = 1; transaction <= 10; transaction++) {
    for (let i = 1; i <= 4; i++) {
      while (!append(log, new Uint8Array(3000), { transaction, last: i === 4 })) await log.room(3000);
      await log.durable(log.lastLsn);
    }
  }
  for (let from = 1; from <= 41; from++) {
    const again = await openLog({ ...OPTIONS, fs: disk });
    const frames = await framesOf(again, from);
    const rest = frames.filter(({ kind }) => kind === 'data');
    expect(frames.length - rest.length).toBeLessThanOrEqual(1);
    if (from <= 4) expect(frames[0]!.kind).toBe('checkpoint');
    const first = Math.floor((from - 1) / 4) * 4 + 1;
    expect(rest.map((frame) => frame.firstLsn)).toEqual(Array.from({ length: 41 - first }, (_, i) => first + i));
  }
});

test('C9: trim recycles segments, keeps two spare at most, and moves firstLsn; recycled bytes never come back', async () => {
  const disk = new SimDisk(randomFrom(1));
  const log = await openLog({ ...OPTIONS, fs: disk });
  await log.start(1);
  for (let i = 0; i < 60; i++) {
    append(log, new Uint8Array(3000).fill(i));
    await log.durable(log.lastLsn);
    if (i % 20 === 19) {
      await log.trim(log.lastLsn);
      await turn();
      expect(log.stats().segments).toBeLessThanOrEqual(2);
      expect(disk.list().filter((name) => name.startsWith('spare-')).length).toBeLessThanOrEqual(2);
    }
  }
  expect(log.firstLsn).toBeGreaterThan(50);
  const { firstLsn } = log;
  const again = await openLog({ ...OPTIONS, fs: disk });
  expect(again.firstLsn).toBe(firstLsn);
  expect((await framesOf(again)).map((frame) => frame.firstLsn)).toEqual(
    Array.from({ length: 61 - firstLsn }, (_, i) => firstLsn + i),
  );
});

test('a missing segment, a foreign file and a segment of another log are named', async () => {
  const make = async (): Promise<SimDisk> => {
    const disk = new SimDisk(randomFrom(1));
    const log = await openLog({ ...OPTIONS, fs: disk });
    await log.start(1);
    for (let i = 1; i <= 40; i++) {
      append(log, new Uint8Array(4000));
      await log.durable(i);
    }
    return disk;
  };
  const missing = await make();
  missing.names.delete('0000000000000002.wal');
  await expect(openLog({ ...OPTIONS, fs: missing })).rejects.toThrow('a missing segment');
  const foreign = await make();
  foreign.open('notes.txt', true);
  await expect(openLog({ ...OPTIONS, fs: foreign })).rejects.toThrow('unexpected file "notes.txt"');
  const other = await make();
  other.names.set(FIRST, (await make()).names.get(FIRST)!);
  await expect(openLog({ ...OPTIONS, fs: other })).rejects.toThrow('a segment of another log');
});

test('many appends of one turn share a sync', async () => {
  const disk = new SimDisk(randomFrom(1));
  const log = await openLog({ dir: '', segmentBytes: 2 ** 20, ringBytes: 2 ** 18, fs: disk });
  await log.start(1);
  const before = disk.syncs;
  for (let i = 0; i < 100; i++) append(log, new Uint8Array(100));
  await log.durable(100);
  expect(disk.syncs - before).toBe(1);
});

test('frames that nobody waits for share a sync for a while, and go at once with one that is waited for', async () => {
  const disk = new SimDisk(randomFrom(1));
  const due: (() => void)[] = [];
  const clock = {
    now: () => 0,
    monotonic: () => 0,
    after: (_: number, call: () => void) => (due.push(call), () => {}),
  };
  const log = await openLog({ dir: '', segmentBytes: 2 ** 20, ringBytes: 2 ** 18, fs: disk, clock });
  await log.start(1);
  const before = disk.syncs;
  const syncsAfter = async (bytes: number, ...awaited: readonly boolean[]): Promise<number> => {
    for (const each of awaited) {
      append(log, new Uint8Array(bytes), {}, each);
      await turn();
    }
    return disk.syncs - before;
  };
  expect([await syncsAfter(100, false, false, false), log.durableLsn]).toEqual([0, 0]);
  due.pop()!();
  await turn();
  expect([disk.syncs - before, log.durableLsn]).toEqual([1, 3]);
  expect([await syncsAfter(100, false, false, true), log.durableLsn]).toEqual([2, 6]);
  expect([await syncsAfter(100, false), log.durableLsn]).toEqual([2, 6]);
  await log.durable(7);
  expect(disk.syncs - before).toBe(3);
  // the first 64 KB do not wait for a time
  expect([await syncsAfter(30_000, false, false, false), log.durableLsn]).toEqual([4, 10]);
  expect(due).toHaveLength(1);
});

test('through the thread: what was appended, far more than the ring holds, is there after close', async () => {
  const options = { dir: join(dir, 'a', 'wal'), segmentBytes: 2 ** 18, ringBytes: 2 ** 15 };
  const log = await openLog(options);
  await log.start(1);
  for (let i = 1; i <= 2000; i++) {
    const payload = new Uint8Array((i * 37) % 3000).fill(i);
    while (!append(log, payload)) await log.room(payload.length);
  }
  await log[Symbol.asyncDispose]();
  expect(log.durableLsn).toBe(2000);
  const again = await openLog(options);
  expect([again.logId, again.lastLsn]).toEqual([log.logId, 2000]);
  let next = 1;
  await again.replay(1, async (frame) => {
    expect([frame.firstLsn, frame.payload.length, frame.payload.byteOffset % 8]).toEqual([next, (next * 37) % 3000, 0]);
    expect(frame.payload.every((byte) => byte === (next & 255))).toBe(true);
    expect(frame.payload.buffer).toBeInstanceOf(ArrayBuffer);
    if (next++ % 100 === 0) await turn();
  });
  expect(next).toBe(2001);
  await again[Symbol.asyncDispose]();
});

test('small groups by main and large ones by the thread make one log, whoever writes when', async () => {
  const options = { dir, segmentBytes: 2 ** 21, ringBytes: 2 ** 19 };
  const log = await openLog(options);
  await log.start(1);
  const random = randomFrom(7);
  const sizes: number[] = [];
  while (sizes.length < 600) {
    // beyond 128 KB in the ring the thread writes; what fits no segment any more makes it begin another
    const bytes = random() < 0.1 ? 200_000 : Math.floor(random() * 3000);
    while (!append(log, new Uint8Array(bytes).fill(sizes.length & 255))) await log.room(bytes);
    sizes.push(bytes);
    if (random() < 0.5) await turn();
    if (random() < 0.2) await log.durable(log.lastLsn);
  }
  await log.durable(log.lastLsn);
  expect(log.stats().segments).toBeGreaterThan(5);
  await log[Symbol.asyncDispose]();
  const again = await openLog(options);
  const frames = await framesOf(again);
  expect(frames.map((frame) => frame.payload.length)).toEqual(sizes);
  expect(frames.every((frame, i) => frame.payload.every((byte) => byte === (i & 255)))).toBe(true);
  await again[Symbol.asyncDispose]();
});

test.skipIf(!fs.existsSync('/proc/self/fd'))(
  'after a write of main itself has failed nothing is acknowledged, and what was stays',
  async () => {
    const log = await openLog({ dir, segmentBytes: 2 ** 20, ringBytes: 2 ** 16 });
    await log.start(1);
    append(log, new Uint8Array(100).fill(1));
    await log.durable(1);
    const fatal = new Promise<Error>((resolve) => (log.onFatal = resolve));
    const open = fs.readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${fd}`) === join(fs.realpathSync(dir), FIRST);
      } catch {
        return false;
      }
    });
    const broken = fs.openSync('/dev/full', 'w');
    fs.closeSync(Number(open[0])); // the next file opened takes its number: every write to it fails
    expect(fs.openSync('/dev/full', 'w')).toBe(Number(open[0]));
    fs.closeSync(broken);
    append(log, new Uint8Array(100).fill(2));
    const waited = log.durable(2);
    await expect(waited).rejects.toThrow('write-ahead log');
    expect((await fatal).message).toContain('ENOSPC');
    expect(log.durableLsn).toBe(1);
    expect(() => append(log, new Uint8Array(1))).toThrow('write-ahead log');
    await log[Symbol.asyncDispose]();
    const again = await openLog({ dir, segmentBytes: 2 ** 20, ringBytes: 2 ** 16 });
    expect(again.lastLsn).toBe(1);
    await again[Symbol.asyncDispose]();
  },
);

test('kill -9 loses no acknowledged LSN, time and again', async () => {
  const child = join(import.meta.dirname, 'append-forever.ts');
  const wal = join(dir, 'wal');
  const file = join(dir, 'acknowledged');
  for (let life = 1; life <= 3; life++) {
    const running = spawn(process.execPath, [child, wal, file], { stdio: ['ignore', 'pipe', 'inherit'] });
    running.stdout.once('data', () => running.kill('SIGKILL'));
    const signal = await new Promise((resolve) => running.once('close', (_, by) => resolve(by)));
    expect(signal).toBe('SIGKILL');
    const acknowledged = Math.max(...fs.readFileSync(file, 'utf8').split('\n').slice(0, -1).map(Number));
    expect(acknowledged).toBeGreaterThanOrEqual(life * 400);
    const log = await openLog({ dir: wal, segmentBytes: 2 ** 20, ringBytes: 2 ** 18 });
    const frames = await framesOf(log);
    expect(frames.length).toBe(log.lastLsn);
    expect(log.lastLsn).toBeGreaterThanOrEqual(acknowledged);
    for (const frame of frames) expect(frame.payload.length).toBe(frame.firstLsn % 3000);
    await log[Symbol.asyncDispose]();
  }
});

const checkpoint = (log: Log, text: string): boolean =>
  append(log, Buffer.from(text), { kind: 'checkpoint', count: 0, transaction: 0 });

test('C6: a start finds the newest checkpoint frame, also one that segments follow, and none that was cut', async () => {
  const disk = new SimDisk(randomFrom(1));
  const log = await openLog({ ...OPTIONS, fs: disk });
  expect(log.checkpoint).toBeNull();
  await log.start(1);
  checkpoint(log, 'one');
  append(log, new Uint8Array(100));
  checkpoint(log, 'two');
  append(log, new Uint8Array(100));
  await log.durable(2);
  expect(Buffer.from((await openLog({ ...OPTIONS, fs: disk })).checkpoint!).toString()).toBe('two');
  for (let lsn = 3; lsn < 20; lsn++) {
    append(log, new Uint8Array(5000));
    await log.durable(lsn);
  }
  expect(log.stats().segments).toBeGreaterThan(2);
  expect(Buffer.from((await openLog({ ...OPTIONS, fs: disk })).checkpoint!).toString()).toBe('two');
  checkpoint(log, 'torn');
  await turn();
  const newest = [...disk.names.keys()]
    .filter((name) => name.endsWith('.wal'))
    .sort()
    .at(-1)!;
  const file = fileOf(disk, newest);
  file.fill(0, Buffer.from(file).indexOf('torn'), Buffer.from(file).indexOf('torn') + 4);
  expect(Buffer.from((await openLog({ ...OPTIONS, fs: disk })).checkpoint!).toString()).toBe('two');
});

test('a log whose file cannot be synced at start says 58030, and why', async () => {
  const disk = await fiveGroups();
  const open = disk.open.bind(disk);
  disk.open = (name, create) => {
    const file = open(name, create);
    file.sync = () => {
      throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
    };
    return file;
  };
  await expect(openLog({ ...OPTIONS, fs: disk })).rejects.toMatchObject({
    code: '58030',
    message: 'write-ahead log: EIO: i/o error, fdatasync',
  });
});

test('H3: a log whose folder could not be synced after a trim is trimmed on by the next one', async () => {
  const disk = new SimDisk(randomFrom(1));
  const log = await openLog({ ...OPTIONS, fs: disk });
  await log.start(1);
  for (let i = 0; log.stats().segments < 4; i++) {
    append(log, new Uint8Array(3000));
    await log.durable(log.lastLsn);
  }
  const { syncDir } = disk;
  disk.syncDir = () => {
    disk.syncDir = syncDir;
    throw Object.assign(new Error('EIO: simulated'), { code: 'EIO' });
  };
  await expect(log.trim(log.lastLsn)).rejects.toMatchObject({ code: '58030' });
  await log.trim(log.lastLsn);
  expect(log.stats().segments).toBe(1);
  await log[Symbol.asyncDispose]();
  const again = await openLog({ ...OPTIONS, fs: disk });
  expect(again.firstLsn).toBe(log.firstLsn);
});

test('H3: trimming leaves the segment with the newest checkpoint frame, which is written before anything goes', async () => {
  const disk = new SimDisk(randomFrom(1));
  const log = await openLog({ ...OPTIONS, fs: disk });
  await log.start(1);
  checkpoint(log, 'old');
  let lsn = 1;
  const fill = async (segments: number): Promise<void> => {
    while (log.stats().segments < segments) {
      append(log, new Uint8Array(5000));
      await log.durable(lsn++);
    }
  };
  await fill(3);
  await log.trim(lsn);
  expect(log.stats().segments).toBe(3);
  checkpoint(log, 'new');
  await log.trim(lsn);
  expect(log.stats().segments).toBe(1);
  expect(Buffer.from((await openLog({ ...OPTIONS, fs: disk })).checkpoint!).toString()).toBe('new');
});

const streamFiles = (of: string): string[] => fs.readdirSync(of).filter((name) => name.startsWith('stream-'));

/** Three batches of two rows by a stream, then one row of another transaction. */
async function streamed(log: Log): Promise<void> {
  const stream = log.stream();
  for (let i = 1; i <= 3; i++) await stream.push(2, [new Uint8Array(5000).fill(i)]);
  await stream.seal();
  const head = { kind: 'stream', count: stream.rows + 1, transaction: 9, last: true } as const;
  expect(log.append({ ...head, firstLsn: log.lastLsn + 1 }, [stream.reference, Uint8Array.of(7)])).toBe(true);
  stream.committed(log.lastLsn);
  append(log, Uint8Array.of(8));
  await log.durable(log.lastLsn);
}

test('H1: a stream is replayed behind the frame that commits it, with the LSNs that this frame gave', async () => {
  const options = { dir, segmentBytes: 2 ** 16, ringBytes: 2 ** 14 };
  const log = await openLog(options);
  await log.start(1);
  append(log, Uint8Array.of(1));
  await streamed(log);
  await log[Symbol.asyncDispose]();
  const again = await openLog(options);
  const frames = await framesOf(again);
  expect(frames.map(({ firstLsn, count, last, payload }) => [firstLsn, count, last, payload[0]])).toEqual([
    [1, 1, true, 1],
    [2, 1, false, 7],
    [3, 2, false, 1],
    [5, 2, false, 2],
    [7, 2, true, 3],
    [9, 1, true, 8],
  ]);
  await again[Symbol.asyncDispose]();
});

test('H1: a stream that is rolled back leaves no file, and one that a kill left goes when the log is trimmed past it', async () => {
  const options = { dir, segmentBytes: 2 ** 16, ringBytes: 2 ** 14 };
  const log = await openLog(options);
  await log.start(1);
  const given = log.stream();
  await given.push(1, [new Uint8Array(100)]);
  given.discard();
  await streamed(log);
  expect(streamFiles(dir).length).toBe(1);
  await log.trim(3);
  expect(streamFiles(dir).length).toBe(1);
  await log[Symbol.asyncDispose]();
  fs.copyFileSync(join(dir, streamFiles(dir)[0]!), join(dir, 'stream-00000000000000ff'));
  const again = await openLog(options);
  expect((await framesOf(again)).length).toBe(5);
  await again.start(again.lastLsn + 1);
  append(again, Uint8Array.of(9));
  await again.durable(again.lastLsn);
  expect(streamFiles(dir).length).toBe(2);
  await again.trim(again.lastLsn);
  expect(streamFiles(dir)).toEqual([]);
  await again[Symbol.asyncDispose]();
});

test('H1: a log that is trimmed before Iceberg has all of it keeps each stream whose frame a replay may meet, and no longer', async () => {
  const options = { dir, segmentBytes: 2 ** 16, ringBytes: 2 ** 14 };
  const log = await openLog(options);
  await log.start(1);
  await streamed(log);
  await log.trim(log.lastLsn, 0, 1);
  expect(streamFiles(dir).length).toBe(1);
  await log[Symbol.asyncDispose]();
  const again = await openLog(options);
  expect((await framesOf(again)).length).toBe(5);
  await again.start(again.lastLsn + 1);
  while (again.stats().segments < 3) {
    append(again, new Uint8Array(5000));
    await again.durable(again.lastLsn);
  }
  await again.trim(again.lastLsn, 0, 1);
  expect(streamFiles(dir)).toEqual([]);
  await again[Symbol.asyncDispose]();
});

test.each([
  ['a missing', (path: string) => fs.rmSync(path)],
  ['a shortened', (path: string) => fs.truncateSync(path, 9000)],
  ['a damaged', (path: string) => fs.writeSync(fs.openSync(path, 'r+'), Uint8Array.of(99), 0, 1, 6000)],
])('%s stream that the log names stops the start with XX001 and the name of the file', async (_, harm) => {
  const options = { dir, segmentBytes: 2 ** 16, ringBytes: 2 ** 14 };
  const log = await openLog(options);
  await log.start(1);
  await streamed(log);
  await log[Symbol.asyncDispose]();
  harm(join(dir, streamFiles(dir)[0]!));
  const again = await openLog(options);
  await expect(framesOf(again)).rejects.toMatchObject({ code: 'XX001', message: expect.stringContaining('"stream-') });
  await again[Symbol.asyncDispose]();
});
