import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeBound, encodeBound, lowerTextBound, upperTextBound } from '../../src/storage/iceberg/bounds.ts';
import { parseJson, stringifyJson } from '../../src/storage/iceberg/json.ts';
import { partitionPath } from '../../src/storage/iceberg/paths.ts';
import { partitionTransform } from '../../src/storage/iceberg/transforms.ts';
import type { PartitionField, PgType } from '../../src/table-def.ts';
import { columnVector, type ColumnVector } from '../../src/types/column-vector.ts';
import { numericTypmod, Oid } from '../../src/types/pg-type.ts';
import { part } from './harness.ts';

const type = (oid: number, typmod = -1): PgType => ({ oid, typmod });
const int32 = (value: number): ColumnVector => columnVector('int32', { words: Int32Array.of(value) });
const words = (value: bigint, count: number): Int32Array =>
  Int32Array.from({ length: count }, (_, i) => Number(BigInt.asIntN(32, value >> BigInt(32 * i))));
const int64 = (value: bigint): ColumnVector => columnVector('int64', { words: words(value, 2) });
const decimal = (value: bigint): ColumnVector => columnVector('int128', { words: words(value, 4) });
const bytes = (heap: Uint8Array): ColumnVector =>
  columnVector('bytes', { heap, starts: Int32Array.of(0), ends: Int32Array.of(heap.length) });
const text = (value: string): ColumnVector => bytes(new TextEncoder().encode(value));
const uuid = (hex: string): ColumnVector =>
  columnVector('fixed16', {
    words: new Int32Array(Uint8Array.from(Buffer.from(hex.replaceAll('-', ''), 'hex')).buffer),
  });
const apply = (transform: PartitionField['transform'], arg: number, of: PgType, vector: ColumnVector): unknown =>
  partitionTransform(part(1, 1000, 'p', transform, arg), of)(vector, 0);
const micros = (iso: string): bigint => BigInt(Date.parse(iso)) * 1000n;
const BUCKETS = 2 ** 31 - 1;

describe('bucket hashes are those of the specification, appendix B', () => {
  test.each([
    ['int', 2017239379, type(Oid.int4), int32(34)],
    ['long', 2017239379, type(Oid.int8), int64(34n)],
    ['decimal', -500754589, type(Oid.numeric, numericTypmod(9, 2)), decimal(1420n)],
    ['date', -653330422, type(Oid.date), int32(17_486)],
    ['time', -662762989, type(Oid.time), int64(81_068_000_000n)],
    ['timestamp', -2047944441, type(Oid.timestamp), int64(micros('2017-11-16T22:31:08Z'))],
    ['timestamptz', -2047944441, type(Oid.timestamptz), int64(micros('2017-11-16T22:31:08Z'))],
    ['string', 1210000089, type(Oid.text), text('iceberg')],
    ['uuid', 1488055340, type(Oid.uuid), uuid('f79c3e09-677c-4bbd-a479-3f349cb785e7')],
    ['binary', -188683207, type(Oid.bytea), bytes(Uint8Array.of(0, 1, 2, 3))],
  ])('%s', (_, hash, of, vector) => {
    expect(apply('bucket', BUCKETS, of, vector)).toBe((hash & 0x7fff_ffff) % BUCKETS);
  });
});

test.each([
  ['int', -10, 10, type(Oid.int4), int32(-1)],
  ['long', -10n, 10, type(Oid.int8), int64(-1n)],
  ['decimal', 1050n, 50, type(Oid.numeric, numericTypmod(9, 2)), decimal(1065n)],
  ['negative decimal', -1100n, 50, type(Oid.numeric, numericTypmod(9, 2)), decimal(-1065n)],
  ['string', 'ice', 3, type(Oid.text), text('iceberg')],
  ['string of wide characters', '日🧊', 2, type(Oid.text), text('日🧊x')],
  ['binary', Uint8Array.of(1, 2, 3), 3, type(Oid.bytea), bytes(Uint8Array.of(1, 2, 3, 4))],
])('truncate of a %s follows the specification', (_, expected, width, of, vector) => {
  expect(apply('truncate', width, of, vector)).toEqual(expected);
});

test('year, month, day and hour agree with the calendar, before and after 1970', () => {
  fc.assert(
    fc.property(fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }), (date) => {
      const vector = int64(BigInt(date.getTime()) * 1000n);
      const ts = type(Oid.timestamp);
      expect(apply('year', 0, ts, vector)).toBe(date.getUTCFullYear() - 1970);
      expect(apply('month', 0, ts, vector)).toBe((date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth());
      expect(apply('day', 0, ts, vector)).toBe(Math.floor(date.getTime() / 86_400_000));
      expect(apply('hour', 0, ts, vector)).toBe(Math.floor(date.getTime() / 3_600_000));
      const day = apply('day', 0, ts, vector) as number;
      expect(partitionPath([part(1, 1000, 'd', 'day')], ['timestamp'], [day])).toBe(
        `d=${date.toISOString().slice(0, 10)}`,
      );
    }),
  );
});

test('null gives null, and a type that the transform does not have is 0A000', () => {
  expect(
    partitionTransform(part(1, 1000, 'p', 'bucket', 4), type(Oid.int4))({ ...int32(5), validity: Uint8Array.of(0) }, 0),
  ).toBeNull();
  expect(() => apply('bucket', 4, type(Oid.bool), int32(1))).toThrow(expect.objectContaining({ code: '0A000' }));
  expect(() => apply('hour', 0, type(Oid.date), int32(1))).toThrow(expect.objectContaining({ code: '0A000' }));
});

test('a long bound survives encoding and decoding', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      expect(BigInt(decodeBound(type(Oid.int8), encodeBound('long', value)))).toBe(value);
      expect(decodeBound(type(Oid.numeric, numericTypmod(20, 2)), encodeBound('decimal(20, 2)', value))).toBe(value);
    }),
  );
});

test('text bounds enclose the text they were made from', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (value) => {
      const utf8 = Buffer.from(value);
      expect(Buffer.compare(lowerTextBound(utf8), utf8)).toBeLessThanOrEqual(0);
      const upper = upperTextBound(utf8);
      if (upper !== null) expect(Buffer.compare(upper, utf8)).toBeGreaterThanOrEqual(0);
      expect(
        [...new TextDecoder('utf-8', { fatal: true }).decode(upper ?? new Uint8Array())].length,
      ).toBeLessThanOrEqual(16);
    }),
  );
});

test('metadata JSON keeps 63-bit ids and other numbers as they are', () => {
  const source =
    '{"snapshot-id":9223372036854775803,"sequence-number":1,"last-updated-ms":1700000000000,"x":1.5,"big":9007199254740993}';
  expect(parseJson(source)).toEqual({
    'snapshot-id': 9223372036854775803n,
    'sequence-number': 1n,
    'last-updated-ms': 1_700_000_000_000,
    x: 1.5,
    big: 9007199254740993n,
  });
  expect(stringifyJson(parseJson(source))).toBe(source);
});
