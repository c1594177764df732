/** Arithmetic of numeric on texts; the answers are PostgreSQL's. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from '../../src/types/byte-writer.ts';
import { divide, operand, PARTS, putParts, putQuotient, sumOfParts } from '../../src/types/decimal-quotient.ts';
import {
  added,
  boundNumeric,
  deviationOf,
  divided,
  exactText,
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

const words = (value: bigint): Int32Array =>
  Int32Array.from([0n, 32n, 64n, 96n], (bits) => Number(BigInt.asIntN(32, value >> bits)));
/** Values of few and of many digits, with ends and beginnings that round, and powers of ten. */
const unscaled = fc
  .tuple(
    fc.oneof(fc.bigInt(-(10n ** 38n) + 1n, 10n ** 38n - 1n), fc.constantFrom(1n, -1n, 2n, 5n, 99_999n, 10_001n)),
    fc.nat(37),
    fc.boolean(),
  )
  .map(([value, digits, grows]) => {
    const power = 10n ** BigInt(digits);
    return grows && value * power < 10n ** 38n && value * power > -(10n ** 38n) ? value * power : value / power;
  });
const decimalValue = fc.record({ unscaled, scale: fc.nat(38) });

test('a quotient of DECIMALs has the digits of the quotient of their texts, and its parts add up to it', () => {
  fc.assert(
    fc.property(decimalValue, decimalValue, (a, b) => {
      fc.pre(b.unscaled !== 0n);
      divide(
        operand(words(a.unscaled), 4, a.scale),
        operand(words(b.unscaled), 4, b.scale),
        0,
        Math.max(a.scale, b.scale),
      );
      const out = new ByteWriter();
      putQuotient(out);
      const expected = divided(exactText(a), exactText(b));
      expect(Buffer.from(out.bytes.subarray(0, out.length)).toString()).toBe(expected);
      const [whole = '', fraction = ''] = expected.replace('-', '').split('.');
      if (whole.length > 30 || fraction.length > 45) return;
      const parts = {
        whole: new Int32Array(4),
        fraction: Array.from({ length: PARTS }, () => new Int32Array(2)),
        scale: new Int32Array(1),
      };
      putParts(parts, 0);
      const [low, high] = new BigInt64Array(parts.whole.buffer) as unknown as [bigint, bigint];
      const sums = [
        (high << 64n) | BigInt.asUintN(64, low),
        ...parts.fraction.map((each) => new BigInt64Array(each.buffer)[0]!),
      ];
      expect(sumOfParts(sums.map(String), parts.scale[0]!)).toBe(expected);
    }),
    { numRuns: 2000 },
  );
});

test('operands of 32 and 64 bits are divided as wider ones are', () => {
  const quotient = (a: Int32Array, width: 1 | 2, b: Int32Array): string => {
    const out = new ByteWriter();
    divide(operand(a, width, 0), operand(b, 4, 0), 0, 0);
    putQuotient(out);
    return Buffer.from(out.bytes.subarray(0, out.length)).toString();
  };
  expect(quotient(Int32Array.of(-7), 1, words(3n))).toBe(divided('-7', '3'));
  const least = new Int32Array(new BigInt64Array([-(2n ** 63n)]).buffer);
  expect(quotient(least, 2, words(3n))).toBe(divided(String(-(2n ** 63n)), '3'));
  expect(() => quotient(Int32Array.of(1), 1, words(0n))).toThrow(expect.objectContaining({ code: '22012' }));
});
