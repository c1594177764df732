import { expect, test } from 'vitest';
import { Oid } from '../../src/types/pg-type.ts';
import { SingleValue } from '../../src/types/single-value.ts';
import { textInput } from '../../src/types/text-input.ts';
import { VectorBuilder } from '../../src/types/vector-builder.ts';
import type { ColumnVector } from '../../src/types/column-vector.ts';
import { equalValue } from '../../src/storage/memory/equal-value.ts';

const long = 'long '.repeat(40);
const input = (oid: number, text: string, sink: SingleValue | VectorBuilder): void => {
  const bytes = Buffer.from(text);
  textInput({ oid, typmod: -1 })(bytes, 0, bytes.length, sink);
};

test.each([
  [Oid.bool, 'bool', ['t', 'f', 't']],
  [Oid.int4, 'int32', ['7', '-7', '0']],
  [Oid.int8, 'int64', ['9007199254740993', '-1', '1']],
  [Oid.float4, 'float32', ['1.5', '-0', 'NaN']],
  [Oid.float8, 'float64', ['1.5', '-0', 'NaN']],
  [Oid.uuid, 'fixed16', ['123e4567-e89b-12d3-a456-426614174000', '00000000-0000-0000-0000-000000000000']],
  [Oid.text, 'bytes', ['a', long, '', 'ab']],
] as const)('type %i: a single value is that of a vector of one row, and then the next one', (oid, physical, texts) => {
  const one = new SingleValue(physical);
  for (const text of texts) {
    const expected = new VectorBuilder(physical);
    input(oid, text, expected);
    input(oid, text, one);
    expect(equalValue(expected.vector(), 0, one.vector, 0), text).toBe(true);
  }
});

test('an integer of fewer bits is widened with its sign', () => {
  const one = new SingleValue('int64');
  const words = (): number[] => [...(one.vector satisfies ColumnVector).words];
  input(Oid.int4, '-7', one);
  expect(words()).toEqual([-7, -1]);
  input(Oid.int2, '7', one);
  expect(words()).toEqual([7, 0]);
});
