import { describe, expect, test } from 'vitest';
import { ByteWriter } from '../../src/types/byte-writer.ts';
import { columnVector, isValid } from '../../src/types/column-vector.ts';
import { encodeRows, rowEncoder } from '../../src/types/data-row.ts';
import { formatType } from '../../src/types/format-type.ts';
import { parameterText } from '../../src/types/parameter-text.ts';
import { Oid } from '../../src/types/pg-type.ts';
import { textInput } from '../../src/types/text-input.ts';
import { putText } from '../../src/types/parse-text-value.ts';
import { localToUtc, timeZone, UTC } from '../../src/types/time-zone.ts';
import { VectorBuilder } from '../../src/types/vector-builder.ts';
import { errorOf, parse, toBinary, fromBinary, typeNamed } from './codec.ts';

const settings = { timeZone: UTC };

test('a DataRow is its tag, its length, the count, then length and bytes of each value, -1 for NULL', () => {
  const ids = new VectorBuilder('int32');
  const names = new VectorBuilder('bytes');
  const texts = textInput({ oid: Oid.text, typmod: -1 });
  for (const [id, name] of [
    [7, 'ab'],
    [8, null],
  ] as const) {
    ids.int32(id);
    putText(texts, name, names);
  }
  const encoder = rowEncoder(
    [
      { type: typeNamed('int4'), format: 1 },
      { type: typeNamed('text'), format: 0 },
    ],
    settings,
  );
  const out = new ByteWriter(8);
  encodeRows(encoder, [ids.vector(), names.vector()], 0, 2, out);
  expect([...out.take()]).toEqual([
    68, 0, 0, 0, 20, 0, 2, 0, 0, 0, 4, 0, 0, 0, 7, 0, 0, 0, 2, 97, 98, 68, 0, 0, 0, 18, 0, 2, 0, 0, 0, 4, 0, 0, 0, 8,
    255, 255, 255, 255,
  ]);
});

test('a row of which a value cannot be written leaves no part of a message', () => {
  const broken = new VectorBuilder('bytes');
  putText(textInput({ oid: Oid.text, typmod: -1 }), 'not as arrays are stored', broken);
  const encoder = rowEncoder([{ type: { oid: 1007, typmod: -1 }, format: 0 }], settings);
  const out = new ByteWriter(8);
  out.u8(1);
  expect(() => encoder([broken.vector()], 0, out)).toThrow();
  expect([...out.take()]).toEqual([1]);
});

test('an OID that no column has prints the bytes of its vector in text; in binary only string types do', () => {
  const vector = columnVector('bytes', {
    heap: Buffer.from('{1,2}'),
    starts: Int32Array.of(0),
    ends: Int32Array.of(5),
  });
  const out = new ByteWriter();
  rowEncoder([{ type: { oid: 600, typmod: -1 }, format: 0 }], settings)([vector], 0, out);
  expect(Buffer.from(out.take()).subarray(11).toString()).toBe('{1,2}');
  expect(errorOf(() => rowEncoder([{ type: { oid: 600, typmod: -1 }, format: 1 }], settings)).code).toBe('0A000');
});

test.each([
  ['int2', '0001', 'smallint', 4],
  ['int4', '00', 'integer', 1],
  ['timestamp', '00', 'timestamp', 1],
  ['uuid', '00', 'uuid', 1],
  ['numeric(5,2)', '0001', 'numeric', 2],
])('a binary %s of a wrong length is 22P03', (name) => {
  expect(errorOf(() => fromBinary(typeNamed(name), new Uint8Array(3))).code).toBe('22P03');
});

test.each([
  ['int8', '-5', '-5'],
  ['numeric(9,3)', '-12.5', '-12.500'],
  ['timestamptz', '2020-01-02 03:04:05+02', '2020-01-02 01:04:05+00'],
  ['bool', 't', 't'],
  ['date', '0044-03-15 BC', '0044-03-15 BC'],
  ['jsonb', '{"a":1}', '{"a": 1}'],
  ['bytea', '\\x00ff', '\\x00ff'],
  ['text', 'é', 'é'],
])('a binary parameter of %s has the text %s → %s', (name, given, text) => {
  const type = typeNamed(name);
  expect(parameterText(type.oid, 1, toBinary(type, parse(type, given)))).toBe(text);
});

test('parameters: binary intervals, times with a zone and log positions are their text', () => {
  const bytes = (hex: string): Uint8Array => Buffer.from(hex, 'hex');
  expect(parameterText(Oid.interval, 1, bytes('fffffffffff0bdc0fffffffd0000000e'))).toBe('14 mons -3 days -00:00:01');
  expect(parameterText(Oid.timetz, 1, bytes('00000000000f4240fffff1f0'))).toBe('00:00:01+01:00:00');
  expect(parameterText(Oid.pgLsn, 1, bytes('0000001600b374d8'))).toBe('16/B374D8');
});

test('parameters: NULL stays, text is checked, oid is unsigned, unknown binary types are 0A000', () => {
  expect(parameterText(23, 1, null)).toBeNull();
  expect(parameterText(0, 0, Buffer.from('x'))).toBe('x');
  expect(errorOf(() => parameterText(25, 0, Uint8Array.of(0xff))).code).toBe('22021');
  expect(parameterText(Oid.oid, 1, Uint8Array.of(255, 255, 255, 255))).toBe('4294967295');
  expect(errorOf(() => parameterText(Oid.money, 1, new Uint8Array(16))).code).toBe('0A000');
});

test('a vector builder keeps rows, nulls and growth apart', () => {
  const builder = new VectorBuilder('int64');
  for (let round = 0; round < 2; round++) {
    builder.reset();
    for (let i = 0; i < 100; i++)
      if ((i + round) % 3 === 0) builder.null();
      else builder.int64(i, -i);
    const vector = builder.vector();
    for (let i = 0; i < 100; i++) {
      expect(isValid(vector, i)).toBe((i + round) % 3 !== 0);
      if (isValid(vector, i)) expect([vector.words[i * 2], vector.words[i * 2 + 1]]).toEqual([i, 0 - i]);
    }
  }
});

test.each([
  ['numeric(5,2)', 'numeric(5,2)'],
  ['varchar(3)', 'character varying(3)'],
  ['varchar', 'character varying'],
  ['timestamp(3)', 'timestamp(3) without time zone'],
  ['timestamptz', 'timestamp with time zone'],
  ['bool', 'boolean'],
])('format_type of %s is %s', (name, expected) => expect(formatType(typeNamed(name))).toBe(expected));

describe('time zones', () => {
  test.each([
    ['UTC', 'UTC', 0],
    ['gmt', 'GMT', 0],
    ['europe/berlin', 'Europe/Berlin', 3600],
    ['3', '<+03>-03', 10_800],
    ['+05:30', '+05:30', -19_800],
    ['utc+3', 'UTC+3', -10_800],
    ['<+03>-3', '<+03>-3', 10_800],
    ['America/New_York', 'America/New_York', -18_000],
  ])('%s is shown as %s', (name, shown, offset) => {
    const zone = timeZone(name);
    expect([zone.name, zone.offsetSeconds(Date.UTC(2020, 0, 1) / 1000)]).toEqual([shown, offset]);
  });
  test('an unknown zone is 22023', () => {
    expect(errorOf(() => timeZone('x'))).toMatchObject({
      code: '22023',
      message: 'invalid value for parameter "TimeZone": "x"',
    });
  });
  test('a time in a gap moves on, one in an overlap is the later', () => {
    const zone = timeZone('America/New_York');
    const local = (text: string): number => Date.parse(`${text}Z`) / 1000;
    expect(localToUtc(zone, local('2020-03-08T02:30:00'))).toBe(local('2020-03-08T07:30:00'));
    expect(localToUtc(zone, local('2020-11-01T01:30:00'))).toBe(local('2020-11-01T06:30:00'));
  });
});
