/** Documents inside documents: parts keep their text, and what is made of parts is canonical. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { elementsOf, kindOf, membersOf, memberOf, valueAt } from '../../src/types/json-text.ts';
import { canonical, concatenated, contains, withoutKeys, withValue } from '../../src/types/jsonb-operations.ts';
import { ByteWriter } from '../../src/types/byte-writer.ts';
import { putJsonbKey, putNumericKey } from '../../src/types/sort-key.ts';

const document = fc.json({ maxDepth: 3 }).filter((text) => !text.includes('\\u0000'));
const jsonb = document.map(canonical);

test('a canonical document is made of canonical parts', () => {
  fc.assert(
    fc.property(jsonb, (text) => {
      const parts =
        kindOf(text) === 'object'
          ? membersOf(text).map(([, value]) => value)
          : kindOf(text) === 'array'
            ? elementsOf(text)
            : [text];
      for (const part of parts) expect(canonical(part)).toBe(part);
    }),
  );
});

test('a member is the value that JSON has under its key, however both are written', () => {
  fc.assert(
    fc.property(document, fc.nat(2), (text, indent) => {
      const value: unknown = JSON.parse(text);
      if (value === null || typeof value !== 'object' || Array.isArray(value)) return;
      const spaced = JSON.stringify(value, null, indent);
      for (const [key, member] of Object.entries(value)) {
        expect(JSON.parse(memberOf(spaced, key)!)).toEqual(member);
        expect(JSON.parse(valueAt(spaced, [key])!)).toEqual(member);
      }
    }),
  );
});

test('what operators make is canonical, contains what was put in, and lacks what was taken out', () => {
  fc.assert(
    fc.property(
      jsonb,
      jsonb,
      fc.string({ minLength: 1 }).filter((key) => !key.includes('\u0000')),
      (a, b, key) => {
        const both = concatenated(a, b);
        expect(canonical(both)).toBe(both);
        if (kindOf(a) !== 'object') return;
        const put = withValue(a, [key], b, true);
        expect(canonical(put)).toBe(put);
        expect(memberOf(put, key)).toBe(b);
        expect(contains(put, withoutKeys(put, [key]))).toBe(true);
        expect(memberOf(withoutKeys(put, [key]), key)).toBe(null);
      },
    ),
  );
});

const keyOf = (put: (text: string, out: ByteWriter) => void, text: string): Buffer => {
  const out = new ByteWriter(64);
  put(text, out);
  return Buffer.from(out.take());
};

test('keys of numerics are ordered and equal as the numbers are', () => {
  const parts = fc.tuple(fc.bigInt(-(10n ** 30n), 10n ** 30n), fc.nat(25));
  const text = ([unscaled, scale]: readonly [bigint, number]): string => {
    const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
    const point = digits.length - scale;
    return `${unscaled < 0n ? '-' : ''}${digits.slice(0, point)}${scale > 0 ? `.${digits.slice(point)}` : ''}`;
  };
  fc.assert(
    fc.property(parts, parts, (a, b) => {
      const difference = a[0] * 10n ** BigInt(b[1]) - b[0] * 10n ** BigInt(a[1]);
      const order = Buffer.compare(keyOf(putNumericKey, text(a)), keyOf(putNumericKey, text(b)));
      expect(order).toBe(difference < 0n ? -1 : difference > 0n ? 1 : 0);
      expect(keyOf(putNumericKey, text([a[0] * 1000n, a[1] + 3]))).toEqual(keyOf(putNumericKey, text(a)));
    }),
  );
  const rising = ['-Infinity', '-1e9', '0', '0.5', 'Infinity', 'NaN'].map((each) =>
    keyOf(putNumericKey, each === '-1e9' ? '-1000000000' : each),
  );
  expect(rising.toSorted(Buffer.compare)).toEqual(rising);
});

test('keys of documents are ordered as PostgreSQL orders jsonb', () => {
  const rising = [
    '[]',
    'null',
    '""',
    '"a"',
    '"ab"',
    '-1',
    '12.5',
    'false',
    'true',
    '[0]',
    '[[]]',
    '[1, 2]',
    '{}',
    '{"aa": 1}',
    '{"b": 9}',
    '{"a": 1, "b": 1}',
  ];
  const keys = rising.map((text) => keyOf(putJsonbKey, text));
  expect(keys.toSorted(Buffer.compare)).toEqual(keys);
  expect(keyOf(putJsonbKey, '{"a": 1.0}')).toEqual(keyOf(putJsonbKey, '{"a": 1.00}'));
});
