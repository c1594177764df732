import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Pins, type Pin } from '../../src/storage/pins.ts';

test('what is retired is freed when every pin older than it is gone, and counted until then', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom('pin', 'release', 'retire'), fc.nat(9))), (steps) => {
      const pins = new Pins();
      const open: { readonly pin: Pin; readonly at: number }[] = [];
      const waiting = new Map<number, { readonly at: number; readonly bytes: number }>();
      let time = 0;
      for (const [step, n] of steps) {
        time++;
        if (step === 'pin') open.push({ pin: pins.acquire(), at: time });
        else if (step === 'release') open.splice(n % Math.max(1, open.length), 1)[0]?.pin.release();
        else {
          const name = time;
          waiting.set(name, { at: time, bytes: n });
          pins.whenUnpinned(() => waiting.delete(name), n);
        }
        const oldest = Math.min(...open.map((each) => each.at));
        for (const each of waiting.values()) expect(each.at).toBeGreaterThan(oldest);
        expect(pins.heldBytes.memory).toBe([...waiting.values()].reduce((sum, each) => sum + each.bytes, 0));
        expect(pins.waiting).toBe(waiting.size);
      }
    }),
  );
});

test('H5: beyond the budget the oldest readers are told, no more of them than it takes, each once', () => {
  const pins = new Pins();
  pins.budgetBytes.memory = 100;
  const told: string[] = [];
  const reader = (name: string): Pin => pins.acquire(() => void told.push(name));
  const first = reader('first');
  pins.whenUnpinned(() => {}, 60);
  const second = reader('second');
  pins.whenUnpinned(() => {}, 40);
  expect(told).toEqual([]);
  const third = reader('third');
  pins.whenUnpinned(() => {}, 30); // without the first, 70 are held
  expect(told).toEqual(['first']);
  pins.whenUnpinned(() => {}, 20);
  expect(told).toEqual(['first']);
  pins.whenUnpinned(() => {}, 20); // 110 without the first, 70 without the second
  expect(told).toEqual(['first', 'second']);
  first.release();
  expect(pins.heldBytes.memory).toBe(110);
  second.release();
  expect(pins.heldBytes.memory).toBe(70);
  third.release();
  expect(pins.heldBytes.memory).toBe(0);
  expect(pins.told).toBe(2);
});

test('H5: memory and disk have budgets of their own, and work of the server itself is never told', () => {
  const pins = new Pins();
  pins.budgetBytes.disk = 10;
  const told: string[] = [];
  pins.acquire();
  pins.acquire(() => void told.push('reader'));
  pins.whenUnpinned(() => {}, 1000, 'memory');
  expect(told).toEqual([]);
  pins.whenUnpinned(() => {}, 11, 'disk');
  expect(told).toEqual(['reader']);
});

test('a reader that has read all it wants of memory holds files alone from then on', () => {
  const pins = new Pins();
  const freed: string[] = [];
  const reader = pins.acquire();
  pins.whenUnpinned(() => freed.push('slice'), 10, 'memory');
  pins.whenUnpinned(() => freed.push('file'), 20, 'disk');
  reader.releaseMemory();
  reader.releaseMemory();
  expect(freed).toEqual(['slice']);
  expect(pins.heldBytes).toEqual({ memory: 0, disk: 20 });
  pins.whenUnpinned(() => freed.push('another slice'), 10, 'memory');
  expect(freed).toEqual(['slice', 'another slice']);
  reader.release();
  expect(freed).toEqual(['slice', 'another slice', 'file']);
  expect(pins.active).toBe(0);
});

test('H5: a reader whose statement runs is spared as long as writers can wait, one that stands still is told at once', () => {
  const pins = new Pins();
  pins.budgetBytes.memory = 100;
  const told: string[] = [];
  let running = true;
  pins.acquire(
    () => void told.push('running'),
    () => running,
  );
  pins.whenUnpinned(() => {}, 150);
  expect(told).toEqual([]);
  const idle = pins.acquire(() => void told.push('idle'));
  pins.whenUnpinned(() => {}, 150);
  expect(told).toEqual(['idle']);
  idle.release();
  pins.giveWay('memory', 100, true);
  expect(told).toEqual(['idle']);
  pins.giveWay('memory', 100);
  expect(told).toEqual(['idle', 'running']);
  running = false;
  pins.giveWay('memory', 0);
  expect(told).toEqual(['idle', 'running']);
});
