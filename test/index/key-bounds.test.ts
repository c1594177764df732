import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  encodeBound,
  lowerBinaryBound,
  lowerTextBound,
  upperBinaryBound,
  upperTextBound,
} from '../../src/storage/iceberg/bounds.ts';
import { KeyBounds } from '../../src/storage/key-bounds.ts';
import { PackedBounds, statsBounds } from '../../src/storage/packed-bounds.ts';
import type { FileColumnStats } from '../../src/storage/file-stats.ts';
import { nameFields, type PgType, type TableDef } from '../../src/table-def.ts';
import { columnVector, type ColumnVector } from '../../src/types/column-vector.ts';
import { numericTypmod, Oid } from '../../src/types/pg-type.ts';
import { tableDef } from '../ingest/harness.ts';

/** As a segment has them, and packed as a data file has: both admit the same. */
function boundsOf(def: TableDef, stats: readonly FileColumnStats[]): Pick<KeyBounds, 'mayHold'> {
  const [plainly, packed] = [statsBounds(stats, 1), new PackedBounds(stats, 1)].map(
    (bounds) => new KeyBounds(def, bounds, nameFields(def)),
  ) as [KeyBounds, KeyBounds];
  return {
    mayHold: (vectors, row) => {
      const answer = plainly.mayHold(vectors, row);
      expect(packed.mayHold(vectors, row)).toBe(answer);
      return answer;
    },
  };
}

type Bound = Uint8Array | null;
interface KeyType {
  readonly name: string;
  readonly type: PgType;
  readonly values: fc.Arbitrary<unknown>;
  readonly vector: (value: never) => ColumnVector;
  readonly compare: (a: never, b: never) => number;
  readonly lower: (value: never) => Bound;
  readonly upper: (value: never) => Bound;
}

const plain = (oid: number): PgType => ({ oid, typmod: -1 });
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const bytesVector = (bytes: Uint8Array): ColumnVector =>
  columnVector('bytes', { heap: bytes, starts: Int32Array.of(0), ends: Int32Array.of(bytes.length) });
const wide = (value: bigint, words: number): Int32Array =>
  Int32Array.from({ length: words }, (_, i) => Number(BigInt.asIntN(32, value >> BigInt(i * 32))));
const order = (a: bigint | number, b: bigint | number): number => (a < b ? -1 : a > b ? 1 : 0);
const both = (encode: (value: never) => Bound): Pick<KeyType, 'lower' | 'upper'> => ({ lower: encode, upper: encode });

const TYPES: readonly KeyType[] = [
  {
    name: 'integer',
    type: plain(Oid.int4),
    values: fc.integer(),
    vector: (value: number) => columnVector('int32', { words: Int32Array.of(value) }),
    compare: order,
    ...both((value: number) => encodeBound('int', value)),
  },
  {
    name: 'bigint',
    type: plain(Oid.int8),
    values: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    vector: (value: bigint) => columnVector('int64', { words: wide(value, 2) }),
    compare: order,
    ...both((value: bigint) => encodeBound('long', value)),
  },
  {
    name: 'numeric(30,2)',
    type: { oid: Oid.numeric, typmod: numericTypmod(30, 2) },
    values: fc.bigInt({ min: -(10n ** 30n) + 1n, max: 10n ** 30n - 1n }),
    vector: (value: bigint) => columnVector('int128', { words: wide(value, 4) }),
    compare: order,
    ...both((value: bigint) => encodeBound('decimal(30, 2)', value)),
  },
  {
    name: 'double precision',
    type: plain(Oid.float8),
    values: fc.double({ noNaN: true }),
    vector: (value: number) => columnVector('float64', { float64: Float64Array.of(value) }),
    compare: order,
    ...both((value: number) => encodeBound('double', value)),
  },
  {
    name: 'uuid',
    type: plain(Oid.uuid),
    values: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    vector: (value: Uint8Array) => columnVector('fixed16', { words: new Int32Array(value.slice().buffer) }),
    compare: (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b),
    ...both((value: Uint8Array) => value),
  },
  {
    name: 'text',
    type: plain(Oid.text),
    values: fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.string({ minLength: 15, maxLength: 18 }).map((end) => `a common beginn${end}`),
    ),
    vector: (value: string) => bytesVector(utf8(value)),
    compare: (a: string, b: string) => Buffer.compare(utf8(a), utf8(b)),
    lower: (value: string) => lowerTextBound(utf8(value)),
    upper: (value: string) => upperTextBound(utf8(value)),
  },
  {
    name: 'bytea',
    type: plain(Oid.bytea),
    values: fc.uint8Array({ maxLength: 20 }),
    vector: (value: Uint8Array) => bytesVector(value),
    compare: (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b),
    lower: (value: Uint8Array) => lowerBinaryBound(value),
    upper: (value: Uint8Array) => upperBinaryBound(value),
  },
];

function defOf(types: readonly PgType[]): TableDef {
  const base = tableDef('t', []);
  const columns = types.map((type, i) => ({ ...base.columns[0]!, name: `c${i}`, fieldId: i + 1, attnum: i + 1, type }));
  return { ...base, columns, key: columns.map((column) => column.fieldId) };
}

function statsOf(fieldId: number, lower: Bound, upper: Bound): FileColumnStats {
  return { fieldId, columnBytes: 0, valueCount: 0, nullCount: 0, nanCount: null, lower, upper };
}

test.each(TYPES.map((type) => [type.name, type] as const))(
  'bounds of a %s key admit every key of the file, and none that is surely outside',
  (_, { type, values, vector, compare, lower, upper }) => {
    fc.assert(
      fc.property(fc.array(values, { minLength: 1, maxLength: 20 }), values, (keys, other) => {
        const sorted = (keys as never[]).toSorted(compare);
        const low = lower(sorted[0]!);
        const high = upper(sorted.at(-1)!);
        const bounds = boundsOf(defOf([type]), [statsOf(1, low, high)]);
        for (const key of sorted) expect(bounds.mayHold([vector(key)], 0)).toBe(true);
        const held = bounds.mayHold([vector(other as never)], 0);
        const inside = compare(sorted[0]!, other as never) <= 0 && compare(other as never, sorted.at(-1)!) <= 0;
        if (inside) expect(held).toBe(true);
        else if (type.oid !== Oid.text && type.oid !== Oid.bytea && type.oid !== Oid.int8) expect(held).toBe(false);
      }),
      { numRuns: 300 },
    );
  },
);

test('each column of a composite key can leave a file out; a column without bounds cannot', () => {
  const def = defOf([plain(Oid.int4), plain(Oid.text)]);
  const stats = [statsOf(1, encodeBound('int', 1), encodeBound('int', 9)), statsOf(2, utf8('b'), utf8('d'))];
  const key = (n: number, text: string): ColumnVector[] => [
    columnVector('int32', { words: Int32Array.of(n) }),
    bytesVector(utf8(text)),
  ];
  const bounds = boundsOf(def, stats);
  expect(bounds.mayHold(key(5, 'c'), 0)).toBe(true);
  expect(bounds.mayHold(key(5, 'e'), 0)).toBe(false);
  expect(bounds.mayHold(key(10, 'c'), 0)).toBe(false);
  expect(boundsOf(def, stats.slice(0, 1)).mayHold(key(5, 'zzz'), 0)).toBe(true);
  expect(boundsOf(def, []).mayHold(key(10, 'zzz'), 0)).toBe(true);
});

test('NaN may be in every file, and -0 is where 0 is', () => {
  const def = defOf([plain(Oid.float8)]);
  const bounds = boundsOf(def, [statsOf(1, encodeBound('double', 0), encodeBound('double', 1))]);
  const key = (value: number): ColumnVector[] => [columnVector('float64', { float64: Float64Array.of(value) })];
  expect(bounds.mayHold(key(Number.NaN), 0)).toBe(true);
  expect(bounds.mayHold(key(-0), 0)).toBe(true);
  expect(bounds.mayHold(key(2), 0)).toBe(false);
});
