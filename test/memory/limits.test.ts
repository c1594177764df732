/** memory.limit: how it is divided, and how it is held. */
import { expect, test } from 'vitest';
import { memoryBudget } from '../../src/memory-budget.ts';
import { guardLevel, MemoryGuard, type GuardLevel } from '../../src/server-memory-guard.ts';
import { uncancelled, type Running } from '../../src/running.ts';

const MB = 2 ** 20;

test.each([
  // limit, DuckDB, index on disk, slabs, slabs + indexes + queue
  [768, 256, 61, 96, 112],
  [1024, 256, 99, 153, 180],
  [2048, 409, 253, 697, 820],
  [8192, 1638, 1174, 3569, 4199],
])(
  'H6: a limit of %i MB gives DuckDB %i, the index on disk %i, slabs %i of %i MB',
  (limit, engine, index, slabs, live) => {
    const budget = memoryBudget(limit * MB);
    const whole = [budget.engineBytes, budget.indexBytes, budget.slabBytes, budget.liveBytes].map((bytes) =>
      Math.floor(bytes / MB),
    );
    expect(whole).toEqual([engine, index, slabs, live]);
  },
);

test.each<[GuardLevel, number, GuardLevel]>([
  ['calm', 0.89, 'calm'],
  ['calm', 0.9, 'tight'],
  ['tight', 0.85, 'tight'],
  ['tight', 0.79, 'calm'],
  ['tight', 0.97, 'red'],
  ['red', 0.96, 'tight'],
  ['red', 0.85, 'tight'],
  ['red', 0.5, 'calm'],
])('H6: after %s an RSS of %f of the limit is %s', (before, share, level) => {
  expect(guardLevel(before, share)).toBe(level);
});

/** A guard of a process with a limit of 1000. */
function guarded() {
  const seen = {
    rss: 100,
    time: 0,
    limits: [] as number[],
    /** How long the worker must have been idle. */
    stops: [] as number[],
    /** Of main, too, or of the threads alone. */
    collections: [] as boolean[],
    timers: new Set<{ readonly at: number; readonly run: () => void }>(),
  };
  const guard = new MemoryGuard({
    clock: {
      now: () => seen.time,
      monotonic: () => seen.time,
      after: (milliseconds, run) => {
        const timer = { at: seen.time + milliseconds, run };
        seen.timers.add(timer);
        return () => void seen.timers.delete(timer);
      },
    },
    limitBytes: 1000,
    catalogBytes: 150,
    rss: () => seen.rss,
    limitEngine: (share) => Promise.resolve(void seen.limits.push(share)),
    stopCatalog: (idleMs) => {
      seen.stops.push(idleMs);
      return true;
    },
    collectGarbage: (ofMain) => Promise.resolve(void seen.collections.push(ofMain)),
    readFigures: () => Promise.resolve(),
    warn: () => {},
  });
  const look = async (rss: number, time: number): Promise<void> => {
    seen.rss = rss;
    seen.time = time;
    guard.look();
    await Promise.resolve();
    for (const timer of [...seen.timers]) {
      if (timer.at > time) continue;
      seen.timers.delete(timer);
      timer.run();
    }
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  return { guard, seen, look };
}

test('from 90 % of the limit on queries keep half their memory and a catalog worker ends that was idle for 10 s, until 80 % are left; from 97 % on any idle one', async () => {
  const { look, seen } = guarded();
  await look(500, 0);
  expect(seen).toMatchObject({ limits: [], stops: [] });
  await look(900, 100);
  expect(seen).toMatchObject({ limits: [0.5], stops: [10_000] });
  await look(850, 200);
  expect(seen).toMatchObject({ limits: [0.5], stops: [10_000, 10_000] });
  await look(790, 300);
  expect(seen).toMatchObject({ limits: [0.5, 1], stops: [10_000, 10_000] });
  await look(970, 400);
  expect(seen.stops).toEqual([10_000, 10_000, 0]);
});

test('from 70 % on free memory goes back to the system, at most every two seconds', async () => {
  const { look, seen } = guarded();
  for (let time = 0; time <= 4000; time += 100) await look(710, time);
  expect(seen.limits).toEqual([1, 1, 1]);
});

test('from 70 % of the limit on threads collect their garbage, at most every ten seconds, and from 90 % on main as well', async () => {
  const { look, seen } = guarded();
  await look(690, 0);
  expect(seen.collections).toEqual([]);
  for (let time = 100; time <= 10_000; time += 100) await look(890, time);
  expect(seen.collections).toEqual([false]);
  await look(910, 10_100);
  await look(850, 20_100);
  expect(seen.collections).toEqual([false, true, true]);
  await look(500, 40_000);
  expect(seen.collections).toEqual([false, true, true]);
});

test('G5 while memory is tight threads collect every three seconds and main every ten, and from 97 % on all of them every second', async () => {
  const { look, seen } = guarded();
  for (let time = 0; time < 12_000; time += 100) await look(910, time);
  expect(seen.collections).toEqual([true, false, false, false, true]);
  seen.collections.length = 0;
  for (let time = 12_000; time < 14_000; time += 100) await look(970, time);
  expect(seen.collections).toEqual([true, true]);
});

test('G2 free memory goes back to the system every second while memory is tight, and twice a second from 97 % on', async () => {
  const { look, seen } = guarded();
  for (let time = 0; time < 2000; time += 100) await look(910, time);
  expect(seen.limits).toEqual([0.5, 0.5]);
  for (let time = 2000; time < 3000; time += 100) await look(970, time);
  expect(seen.limits).toEqual([0.5, 0.5, 0.5, 0.5]);
});

test('G1 a catalog worker that does not fit below 97 % waits for the scan, and no scan starts beside it', async () => {
  const { guard, look } = guarded();
  await look(810, 0);
  const end = await guard.scan(uncancelled);
  await guard.catalog(); // takes 150
  expect(guard.level).toBe('calm');
  await look(830, 100);
  let started = false;
  void guard.catalog().then(() => (started = true));
  await look(830, 200);
  expect([guard.level, started]).toEqual(['tight', false]);
  end();
  await look(830, 300);
  expect(started).toBe(true);
});

test('while memory is tight one scan runs at a time, and the others go on when it is calm', async () => {
  const { guard, look } = guarded();
  await look(950, 0);
  const endFirst = await guard.scan(uncancelled);
  const order: string[] = [];
  const second = guard.scan(uncancelled).then((end) => (order.push('second'), end));
  const third = guard.scan(uncancelled).then((end) => (order.push('third'), end));
  await look(950, 100);
  expect(order).toEqual([]);
  endFirst();
  const endSecond = await second;
  await look(950, 200);
  expect(order).toEqual(['second']);
  await look(700, 300);
  (await third)();
  endSecond();
  expect(order).toEqual(['second', 'third']);
});

test('while memory is tight no catalog worker starts beside a scan', async () => {
  const { guard, look } = guarded();
  const end = await guard.scan(uncancelled);
  await guard.catalog();
  await look(950, 0);
  let started = false;
  void guard.catalog().then(() => (started = true));
  await look(950, 100);
  expect(started).toBe(false);
  end();
  await look(950, 200);
  expect(started).toBe(true);
});

test('a scan that waits ends with 57014 when it is cancelled, and with 53200 after 30 s', async () => {
  const { guard, look } = guarded();
  await look(950, 0);
  await guard.scan(uncancelled);
  let cancel = (): void => {};
  const kept: Running = (how) => {
    cancel = how;
    return () => {};
  };
  const cancelled = guard.scan(kept);
  cancel();
  await expect(cancelled).rejects.toMatchObject({ code: '57014' });
  const late = guard.scan(uncancelled);
  late.catch(() => {});
  await look(950, 30_000);
  await expect(late).rejects.toMatchObject({ code: '53200' });
});

test('from 97 % of the limit on writes wait, and nothing slows them before', async () => {
  const { guard, look } = guarded();
  const { marks } = guard.signal;
  await look(969, 0);
  expect(guard.signal.usage() < marks.yellow).toBe(true);
  await look(970, 100);
  expect(guard.signal.usage() >= marks.red).toBe(true);
  expect(guard.signal.refused()).toMatchObject({ code: '53200' });
});

test('G4 scans of wide rows take turns: the next starts when one has ended, or one a look while RSS is low', async () => {
  const { guard, look } = guarded();
  const order: string[] = [];
  const wide = (name: string): Promise<() => void> =>
    guard.scan(uncancelled, 100).then((end) => (order.push(name), end));
  const endFirst = await wide('first');
  await look(750, 0);
  void wide('second');
  void wide('third');
  await guard.scan(uncancelled, 10).then(() => order.push('narrow'));
  await look(750, 200);
  expect(order).toEqual(['first', 'narrow']);
  endFirst();
  await look(750, 300);
  expect(order).toEqual(['first', 'narrow', 'second']);
  await look(600, 400);
  expect(order).toEqual(['first', 'narrow', 'second', 'third']);
});

test('G4 a scan of wide rows that is cancelled while it waits leaves its turn to the next', async () => {
  const { guard } = guarded();
  const end = await guard.scan(uncancelled, 100);
  let cancel = (): void => {};
  const kept: Running = (how) => {
    cancel = how;
    return () => {};
  };
  const cancelled = guard.scan(kept, 100);
  const next = guard.scan(uncancelled, 100);
  cancel();
  await expect(cancelled).rejects.toMatchObject({ code: '57014' });
  end();
  await expect(next).resolves.toBeTypeOf('function');
});
