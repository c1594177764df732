import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Memory } from '../../src/storage/memory/memory.ts';
import { blockBytes, SlabPool } from '../../src/storage/memory/slab-pool.ts';
import { SLAB_BYTES, type Address } from '../../src/storage/memory/slab.ts';

const BUDGET = 3 * SLAB_BYTES;
const sizes = fc.oneof(
  fc.integer({ min: 1, max: 10_000 }),
  fc.integer({ min: 1, max: 300_000 }),
  fc.integer({ min: 1, max: SLAB_BYTES }),
);

interface Taken {
  readonly address: Address;
  readonly bytes: number;
}

function expectApart(taken: readonly Taken[]): void {
  const sorted = [...taken].sort((a, b) => a.address - b.address);
  sorted.forEach(({ address, bytes }, i) => {
    const size = blockBytes(bytes);
    expect(size).toBeGreaterThanOrEqual(bytes);
    expect(address % size).toBe(0);
    expect(Math.floor(address / SLAB_BYTES)).toBe(Math.floor((address + size - 1) / SLAB_BYTES));
    if (i > 0) expect(address).toBeGreaterThanOrEqual(sorted[i - 1]!.address + blockBytes(sorted[i - 1]!.bytes));
  });
}

/** Whether an aligned place of that size is free: then refusing it would be wrong. */
function hasRoom(taken: readonly Taken[], size: number): boolean {
  for (let at = 0; at < BUDGET; at += size)
    if (taken.every(({ address, bytes }) => address >= at + size || address + blockBytes(bytes) <= at)) return true;
  return false;
}

test('C13: blocks given out never overlap, usedBytes is their sum, and what is free again makes whole slabs', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ take: sizes }) },
    { weight: 2, arbitrary: fc.record({ free: fc.nat() }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
      const pool = new SlabPool(BUDGET);
      const announced: number[] = [];
      pool.announce = (index) => announced.push(index);
      const taken: Taken[] = [];
      for (const each of steps) {
        if ('take' in each) {
          const address = pool.allocate(each.take);
          if (address >= 0) taken.push({ address, bytes: each.take });
          else expect(hasRoom(taken, blockBytes(each.take))).toBe(false);
        } else if (taken.length > 0) {
          const [gone] = taken.splice(each.free % taken.length, 1);
          pool.free(gone!.address, gone!.bytes);
        }
        expect(pool.usedBytes).toBe(taken.reduce((sum, { bytes }) => sum + blockBytes(bytes), 0));
        expect(pool.usedBytes).toBeLessThanOrEqual(pool.budgetBytes);
      }
      expectApart(taken);
      expect(announced).toEqual(announced.map((_, i) => i));
      for (const { address, bytes } of taken) pool.free(address, bytes);
      expect(pool.usedBytes).toBe(0);
      const whole = [pool.allocate(SLAB_BYTES), pool.allocate(SLAB_BYTES), pool.allocate(SLAB_BYTES)];
      expect([...whole].sort((a, b) => a - b)).toEqual([0, SLAB_BYTES, 2 * SLAB_BYTES]);
      expect(pool.allocate(1)).toBe(-1);
      expect(pool.slabs.length).toBe(3);
    }),
    { numRuns: 40 },
  );
});

test('freeing a block twice is found', () => {
  const pool = new SlabPool(BUDGET);
  const address = pool.allocate(SLAB_BYTES);
  pool.free(address, SLAB_BYTES);
  expect(() => pool.free(address, SLAB_BYTES)).toThrow('freed once');
});

test('work that may not fail any more gets a slab beyond the budget, and nobody else does', () => {
  const pool = new SlabPool(BUDGET);
  for (let i = 0; i < 3; i++) pool.allocate(SLAB_BYTES);
  expect(pool.unbounded(() => pool.allocate(4096))).toBe(3 * SLAB_BYTES);
  expect(pool.usedBytes).toBe(BUDGET + 4096);
  expect(() =>
    pool.unbounded(() => {
      throw new Error('inside');
    }),
  ).toThrow('inside');
  expect(pool.allocate(SLAB_BYTES)).toBe(-1);
});

test('C13: what is retired is freed when every pin older than it is gone, and not before', () => {
  const step = fc.oneof(fc.constant('pin' as const), fc.constant('retire' as const), fc.record({ release: fc.nat() }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
      const { pins } = new Memory(BUDGET);
      const active: { readonly id: number; readonly release: () => void }[] = [];
      const waiting: { readonly blockedBy: Set<number>; freed: number }[] = [];
      let next = 0;
      for (const each of steps) {
        if (each === 'pin') {
          const pin = pins.acquire();
          active.push({ id: next++, release: () => pin.release() });
        } else if (each === 'retire') {
          const retired = { blockedBy: new Set(active.map(({ id }) => id)), freed: 0 };
          waiting.push(retired);
          pins.whenUnpinned(() => retired.freed++);
        } else if (active.length > 0) {
          const [gone] = active.splice(each.release % active.length, 1);
          gone!.release();
          gone!.release();
          for (const { blockedBy } of waiting) blockedBy.delete(gone!.id);
        }
        for (const { blockedBy, freed } of waiting) expect(freed).toBe(blockedBy.size === 0 ? 1 : 0);
        expect(pins.waiting).toBe(waiting.filter(({ freed }) => freed === 0).length);
        expect(pins.active).toBe(active.length);
      }
    }),
    { numRuns: 200 },
  );
});
