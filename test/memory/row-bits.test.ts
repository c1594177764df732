/** The rows of a unit that are dead: as a set, and by what they take. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RowBits } from '../../src/storage/memory/row-bits.ts';

const MILLION = 1_000_000;

test('rows are a set of numbers, whatever is added and deleted', () => {
  const row = fc.oneof(fc.nat(5000), fc.nat(2 ** 26));
  fc.assert(
    fc.property(fc.array(fc.tuple(row, fc.nat(3)), { maxLength: 300 }), fc.array(row), (steps, others) => {
      const bits = new RowBits();
      const rows = new Set<number>();
      for (const [each, act] of steps) {
        if (act > 0) bits.add(each);
        else if (rows.has(each)) bits.delete(each);
        if (act > 0) rows.add(each);
        else rows.delete(each);
      }
      for (const each of [...others, ...steps.map(([some]) => some), ...[...rows].map((some) => some + 1)])
        expect(bits.has(each)).toBe(rows.has(each));
    }),
  );
});

test.each([
  ['one row at the end', [12 * MILLION - 1], 0.008],
  [
    '50 rows together in every 100,000',
    Array.from({ length: 6000 }, (_, i) => Math.floor(i / 50) * 100_000 + (i % 50)),
    0.01,
  ],
  ['every row of the first million', Array.from({ length: MILLION }, (_, i) => i), 0.175],
])('%s takes at most so many bytes a row', (_, rows, bytes) => {
  const bits = new RowBits();
  let taken = 0;
  for (const row of rows) taken += bits.add(row);
  expect(taken / (rows.at(-1)! + 1)).toBeLessThan(bytes);
  expect(taken).toBeGreaterThan(0);
});
