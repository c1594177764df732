/** Arithmetic of numeric on texts; the answers are PostgreSQL's. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  added,
  boundNumeric,
  deviationOf,
  divided,
  multiplied,
  negated,
  roundedNumeric,
} from '../../src/types/numeric-text.ts';

test.each([
  ['1', '3', '0.33333333333333333333'],
  ['6', '4', '1.5000000000000000'],
  ['4', '4', '1.00000000000000000000'],
  ['98', '3', '32.6666666666666667'],
  ['0', '7', '0.00000000000000000000'],
  ['12345.678', '0.001', '12345678.000000000000'],
  ['0.00001', '3', '0.000003333333333333333333'],
  ['-10000', '3', '-3333.3333333333333333'],
  ['99999999', '1', '99999999.000000000000'],
  ['1000000000000000000', '7', '142857142857142857'],
  ['2.5', '-0.125', '-20.0000000000000000'],
  ['123456789012345678901234567890', '11', '11223344455667788991021324354'],
])('%s / %s is %s', (a, b, expected) => {
  expect(divided(a, b)).toBe(expected);
});

test('a division by zero is 22012', () => {
  expect(() => divided('1', '0.00')).toThrow(expect.objectContaining({ code: '22012' }));
});

test.each([
  ['1.005', 2, '1.01'],
  ['-1.005', 2, '-1.01'],
  ['2', 3, '2.000'],
  ['0.0004', 3, '0.000'],
])('%s to %i digits is %s', (text, scale, expected) => {
  expect(roundedNumeric(text, scale)).toBe(expected);
});

test('what is added is taken away again, and a quotient is its divisor away from the dividend by less than its last digit', () => {
  const numeric = fc
    .tuple(fc.bigInt(-(10n ** 18n), 10n ** 18n), fc.nat(9))
    .map(([n, s]) => roundedNumeric(String(n), s));
  fc.assert(
    fc.property(numeric, numeric, (a, b) => {
      const back = added(added(a, b), negated(b));
      expect(Number(back)).toBe(Number(a));
      if (!/[1-9]/.test(b)) return;
      expect(Number(multiplied(divided(a, b), b)) / (Number(a) || 1)).toBeCloseTo(Number(a) === 0 ? 0 : 1, 9);
    }),
  );
});

test.each([
  ['1.005', 2, -1, '1.00'],
  ['1.005', 2, 1, '1.01'],
  ['-1.005', 2, -1, '-1.01'],
  ['-1.005', 2, 1, '-1.00'],
  ['7', 2, 1, '7.00'],
  ['NaN', 0, 1, '9'.repeat(38)],
  ['-Infinity', 1, 1, `-${'9'.repeat(37)}.9`],
])('%s has next to it, with %i digits, towards %i, %s', (text, scale, direction, expected) => {
  expect(boundNumeric(text, scale, direction)).toBe(expected);
});

test('a standard deviation is that of the sums, to the digits of the quotient', () => {
  // 1, 2, 7 and 3
  expect(deviationOf('13', '63', '4', 3)).toBe('2.6299556396765833');
  expect(deviationOf('13', '63', '4', 0)).toBe('5.1875000000000000');
  expect(deviationOf('1.50', '2.2500', '1', 1)).toBeNull();
  expect(deviationOf('1.50', '2.2500', '1', 2)).toBe('0');
});
