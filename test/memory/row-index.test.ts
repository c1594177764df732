import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RowIndex } from '../../src/storage/memory/row-index.ts';

/** Everything the index holds for a hash, sorted. */
function refsOf(index: RowIndex, hash: number): number[] {
  const refs: number[] = [];
  for (let more = index.seek(hash); more; more = index.next()) refs.push(index.ref);
  return refs.sort((a, b) => a - b);
}

function enter(index: RowIndex, hash: number, ref: number): void {
  for (let more = index.seek(hash); more; more = index.next());
  index.insert(hash, ref);
}

/** Even, crowded into few values, or all at one end: what a good hash never gives. */
const hash = fc.oneof(
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.integer({ min: -8, max: 8 }),
  fc.integer({ min: 2 ** 31 - 4, max: 2 ** 31 - 1 }),
  fc.integer({ min: 0, max: 5000 }),
);

function expectSame(index: RowIndex, model: ReadonlyMap<number, readonly number[]>): void {
  for (const [each, refs] of model) expect(refsOf(index, each)).toEqual([...refs].sort((a, b) => a - b));
  expect(index.size).toBe([...model.values()].reduce((sum, refs) => sum + refs.length, 0));
}

test('a row index holds for every hash the references that a map of lists holds, through growth, splits and equal hashes', () => {
  fc.assert(
    fc.property(
      fc.array(hash, { maxLength: 3000, size: 'max' }),
      fc.array(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), { maxLength: 50 }),
      fc.option(fc.integer({ min: 0, max: 5000 })),
      (hashes, absent, reserved) => {
        const index = new RowIndex();
        if (reserved !== null) index.reserve(reserved);
        const model = new Map<number, number[]>();
        hashes.forEach((each, i) => {
          enter(index, each, i + 1);
          model.set(each, [...(model.get(each) ?? []), i + 1]);
        });
        expectSame(index, model);
        for (const each of absent) expect(index.seek(each)).toBe(model.has(each));
      },
    ),
    { numRuns: 40 },
  );
});

test('entries get new references, are dropped, and are replaced in place', () => {
  fc.assert(
    fc.property(fc.array(hash, { maxLength: 2000, size: 'max' }), fc.integer({ min: 1, max: 5 }), (hashes, every) => {
      const index = new RowIndex();
      const model = new Map<number, number[]>();
      hashes.forEach((each, i) => {
        if (index.seek(each)) {
          const before = index.ref;
          index.replace(i + 1);
          model.set(each, [...model.get(each)!.filter((ref) => ref !== before), i + 1]);
        } else {
          index.insert(each, i + 1);
          model.set(each, [i + 1]);
        }
      });
      expectSame(index, model);
      index.renumber((ref) => (ref % every === 0 ? 0 : ref * 2));
      const kept = [...model].map(
        ([each, refs]) => [each, refs.filter((ref) => ref % every !== 0).map((ref) => ref * 2)] as const,
      );
      expectSame(index, new Map(kept));
    }),
    { numRuns: 40 },
  );
});

test('a drained index hands everything over in hash order, at any pace, while the other takes rows of its own', () => {
  fc.assert(
    fc.property(
      fc.array(hash, { maxLength: 3000, size: 'max' }),
      fc.array(hash, { maxLength: 1500, size: 'max' }),
      fc.integer({ min: 1, max: 4000 }),
      (given, own, pace) => {
        const from = new RowIndex();
        const to = new RowIndex();
        const model = new Map<number, number[]>();
        const enterIn = (index: RowIndex, each: number, ref: number): void => {
          enter(index, each, ref);
          model.set(each, [...(model.get(each) ?? []), ref]);
        };
        given.forEach((each, i) => enterIn(from, each, i + 1));
        const handed: number[] = [];
        for (let i = 0, left = true; left || i < own.length; i++) {
          if (i < own.length) enterIn(to, own[i]!, 10_000 + i);
          left = from.drain(
            pace,
            (prefix, depth, count) => to.makeRoom(prefix, depth, count),
            (each, ref) => {
              handed.push(each);
              enter(to, each, ref);
            },
          );
        }
        expect(handed).toEqual([...given].sort((a, b) => a - b));
        expectSame(to, model);
        expect(from.size).toBe(0);
      },
    ),
    { numRuns: 40 },
  );
});

test('dead entries go when their part is full, so an index grows with the rows that live', () => {
  const live = new Set<number>();
  const index = new RowIndex((ref) => live.has(ref));
  let next = 0x1234_5678;
  for (let ref = 1; ref <= 50_000; ref++) {
    next = Math.imul(next ^ (next >>> 13), 0x5bd1_e995) + ref;
    live.add(ref);
    live.delete(ref - 1000);
    enter(index, next | 0, ref);
  }
  expect(index.size).toBeLessThan(3000);
  expect(index.bytes).toBeLessThan(3000 * 16);
});

test('an index of many rows takes 10 to 15.5 bytes a row at every size', () => {
  const index = new RowIndex();
  let next = 1;
  for (let count = 1; count <= 400_000; count++) {
    next = (Math.imul(next, 1_664_525) + 1_013_904_223) | 0; // all words, each once
    enter(index, next, count);
    if (count < 1000 || count % 500 !== 0) continue;
    expect(index.bytes).toBeGreaterThan(count * 9.9);
    expect(index.bytes).toBeLessThan(count * 15.5);
  }
});
