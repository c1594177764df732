/** Random values of every physical type, into sinks and out of vectors. */
import fc from 'fast-check';
import { PHYSICALS } from '../../src/storage/log/frame-section.ts';
import { isValid, type ColumnSink, type ColumnVector, type Physical } from '../../src/types/column-vector.ts';

export type Value = boolean | number | readonly number[] | string | null;

const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const present: Readonly<Record<Physical, fc.Arbitrary<Value>>> = {
  bool: fc.boolean(),
  int32: word,
  int64: fc.tuple(word, word),
  int128: fc.tuple(word, word, word, word),
  float32: fc.float(),
  float64: fc.double(),
  fixed16: fc.tuple(word, word, word, word),
  bytes: fc.oneof(fc.string({ maxLength: 8 }), fc.string({ minLength: 30, maxLength: 400 })),
};

export const physicals: fc.Arbitrary<readonly Physical[]> = fc.array(fc.constantFrom(...PHYSICALS), {
  minLength: 1,
  maxLength: 6,
});
export function rowsOf(types: readonly Physical[], maxLength: number): fc.Arbitrary<readonly (readonly Value[])[]> {
  return fc.array(fc.tuple(...types.map((physical) => fc.option(present[physical], { freq: 5 }))), {
    maxLength,
    size: 'max',
  });
}
export const table: fc.Arbitrary<{
  readonly types: readonly Physical[];
  readonly rows: readonly (readonly Value[])[];
}> = physicals.chain((types) => rowsOf(types, 300).map((rows) => ({ types, rows })));

export function put(sink: ColumnSink, physical: Physical, value: Value): void {
  if (value === null) {
    sink.null();
    return;
  }
  const words = value as readonly number[];
  switch (physical) {
    case 'bool':
      sink.bool(value as boolean);
      return;
    case 'int32':
      sink.int32(value as number);
      return;
    case 'int64':
      sink.int64(words[0]!, words[1]!);
      return;
    case 'float32':
      sink.float32(value as number);
      return;
    case 'float64':
      sink.float64(value as number);
      return;
    case 'bytes': {
      const bytes = Buffer.from(`<${value as string}>`);
      sink.bytes(bytes, 1, bytes.length - 1);
      return;
    }
    default:
      sink.words4(words[0]!, words[1]!, words[2]!, words[3]!);
  }
}

export function get(vector: ColumnVector, row: number): Value {
  if (!isValid(vector, row)) return null;
  switch (vector.physical) {
    case 'bool':
      return (vector.bits[row >> 3]! & (1 << (row & 7))) !== 0;
    case 'int32':
      return vector.words[row]!;
    case 'int64':
      return [...vector.words.subarray(row * 2, row * 2 + 2)];
    case 'float32':
      return vector.float32[row]!;
    case 'float64':
      return vector.float64[row]!;
    case 'bytes':
      return Buffer.from(vector.heap.subarray(vector.starts[row], vector.ends[row])).toString();
    default:
      return [...vector.words.subarray(row * 4, row * 4 + 4)];
  }
}

export function getRows(vectors: readonly ColumnVector[], start: number, end: number): Value[][] {
  return Array.from({ length: end - start }, (_, i) => vectors.map((vector) => get(vector, start + i)));
}
