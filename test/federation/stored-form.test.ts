/** Arrays have the same bytes in memory whether a client sent them or the engine read them from a file (A1 of `types/array-column.ts`). */
import { DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromStored, toStored } from '../../src/federation/stored-form.ts';
import { quoteLiteral } from '../../src/sql-text.ts';
import { arrayText } from '../../src/types/array-value.ts';
import { arrayTypeOf, numericTypmod, Oid } from '../../src/types/pg-type.ts';
import { parse, print } from '../types/codec.ts';

const instant = fc
  .tuple(fc.integer({ min: -2_000_000, max: 2_000_000 }), fc.nat({ max: 86_399_999_999 }))
  .map(([day, micros]) => {
    const date = new Date(Date.UTC(1970, 0, 1) + day * 86_400_000 + Math.floor(micros / 1000));
    const year = date.getUTCFullYear();
    const rest = `${date.toISOString().slice(-20, -1)}${String(micros % 1000).padStart(3, '0')}`;
    return `${String(year > 0 ? year : 1 - year).padStart(4, '0')}${rest}${year > 0 ? '' : ' BC'}`;
  });
const text = fc.string({ unit: 'binary', maxLength: 12 }).map((value) => value.replaceAll('\0', ''));

const ELEMENTS: readonly (readonly [oid: number, values: fc.Arbitrary<string>, typmod?: number])[] = [
  [Oid.bool, fc.constantFrom('t', 'f')],
  [Oid.int2, fc.integer({ min: -32_768, max: 32_767 }).map(String)],
  [Oid.int8, fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map(String)],
  [Oid.float4, fc.float().map(String)],
  [Oid.float8, fc.oneof(fc.double(), fc.double({ min: -1e17, max: 1e17 }), fc.maxSafeInteger()).map(String)],
  [Oid.numeric, fc.integer().map((value) => String(value / 100)), numericTypmod(12, 3)],
  [Oid.text, text],
  [Oid.jsonb, fc.json().filter((value) => !value.includes('\\u0000'))],
  [Oid.bytea, fc.uint8Array({ maxLength: 9 }).map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`)],
  [Oid.date, instant.map((value) => value.replace(/T\S*/, ''))],
  [Oid.time, instant.map((value) => /(?<=T)[\d:.]+/.exec(value)![0])],
  [Oid.timestamp, instant],
  [Oid.timestamptz, instant.map((value) => value.replace(/( BC)?$/, '+02$1'))],
  [Oid.uuid, fc.uuid()],
  [Oid.numeric, fc.constantFrom('NaN', '-Infinity', '0.10', '1e50', '123456789012345678901234567890.5', '-0.0')],
  [Oid.interval, fc.integer().map((value) => `${value} mons ${value % 77} days ${value} ms`)],
  [Oid.timetz, instant.map((value) => `${/(?<=T)[\d:.]+/.exec(value)![0]}-03:30`)],
  [Oid.bpchar, fc.constantFrom('', 'a ', ' b', 'é', 'NULL', '{'), 10],
  [Oid.char, fc.constantFrom('', 'a', '"')],
];

test('an array that goes through a file has the bytes in memory that it had before, and prints as it was', async () => {
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  await connection.run("SET TimeZone = 'Asia/Tokyo'");
  try {
    for (const [oid, values, typmod = -1] of ELEMENTS) {
      const type = { oid: arrayTypeOf(oid), typmod };
      const arrays = fc.array(fc.array(fc.option(values, { freq: 8 }), { maxLength: 6 }), {
        minLength: 20,
        maxLength: 40,
      });
      await fc.assert(
        fc.asyncProperty(arrays, async (many) => {
          const stored = many.map((items) => {
            const vector = parse(type, arrayText({ lengths: [items.length], lowerBounds: [1], items }));
            expect(print(type, parse(type, print(type, vector)))).toBe(print(type, vector));
            return Buffer.from(vector.heap.subarray(vector.starts[0], vector.ends[0])).toString();
          });
          const rows = stored.map((each, i) => `(${i}, ${quoteLiteral(each)})`).join(', ');
          const sql = `SELECT ${toStored(`(${fromStored('s', type)})`, type)} FROM (VALUES ${rows}) AS v(i, s) ORDER BY i`;
          const read = (await connection.runAndReadAll(sql)).getRowsJS().map(([value]) => value);
          expect(read).toEqual(stored);
        }),
        { numRuns: 4, endOnFailure: true },
      );
    }
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
});

test('an array of a column has one dimension, and begins at 1', () => {
  const type = { oid: arrayTypeOf(Oid.int4), typmod: -1 };
  for (const value of ['{{1,2},{3,4}}', '[0:1]={1,2}']) expect(() => parse(type, value)).toThrow(/is not supported/);
  expect(print(type, parse(type, '[1:2]={ 1 , NULL }'))).toBe('{1,NULL}');
});
