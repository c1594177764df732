import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { timeZone } from '../../src/types/time-zone.ts';
import { answer, errorOf, fromBinary, parse, print, toBinary, typeNamed } from './codec.ts';
import { GOLDEN } from './golden.ts';

describe('text in and out is what PostgreSQL answers', () => {
  test.each(Object.entries(GOLDEN))('%s', (name, pairs) => {
    const type = typeNamed(name);
    expect(pairs.map(([input]) => [input, answer(type, input)])).toEqual(pairs.map((pair) => [...pair]));
  });
});

test('every printed value reads back as itself, and its binary form too', () => {
  for (const [name, pairs] of Object.entries(GOLDEN)) {
    const type = typeNamed(name);
    for (const [input, text] of pairs) {
      if (answer(type, input).length === 5 && /^[0-9A-Z]{5}$/.test(text)) continue;
      expect(answer(type, text)).toBe(text);
      expect(print(type, fromBinary(type, toBinary(type, parse(type, input))))).toBe(text);
    }
  }
});

test.each([
  ['bool', 'true', 't'],
  ['bool', 'of', 'f'],
  ['bool', ' Y ', 't'],
  ['bool', 'o', '22P02'],
  ['bool', '', '22P02'],
  ['int4', '0x1F', '31'],
  ['int4', '-0b101', '-5'],
  ['int8', '0o17', '15'],
  ['int4', '1_000', '1000'],
  ['int4', '1__0', '22P02'],
  ['int4', '_1', '22P02'],
  ['numeric(8,2)', '0xff', '255.00'],
  ['numeric(8,2)', '1_000.5', '1000.50'],
  ['numeric(8,2)', '1_.5', '22P02'],
  ['numeric(8,2)', 'NaN', '0A000'],
  ['numeric(8,2)', '-Infinity', '22003'],
  ['varchar(3)', 'abcd', '22001'],
  ['varchar(3)', 'éàü  ', 'éàü'],
  ['bpchar(3)', 'a', 'a  '],
  ['bpchar(3)', 'éàü  ', 'éàü'],
  ['bpchar(3)', 'abcd', '22001'],
  ['bpchar(3)', '', '   '],
  ['name', 'é'.repeat(40), 'é'.repeat(31)],
  ['char', 'xyz', 'x'],
  ['char', '', ''],
  ['char', 'é', '0A000'],
  ['oid', '4294967295', '4294967295'],
  ['oid', ' -1 ', '4294967295'],
  ['oid', '-2147483649', '22003'],
  ['oid', '4294967296', '22003'],
  ['oid', '1x', '22P02'],
  ['date', 'infinity', 'infinity'],
  ['timestamp', '-infinity', '-infinity'],
  ['timestamp', '294276-12-31', '22008'],
  ['date', 'today', '2020-05-06'],
  ['date', 'yesterday', '2020-05-05'],
  ['timestamp', 'now', '2020-05-06 07:08:09.101112'],
  ['timestamptz', 'tomorrow', '2020-05-07 00:00:00+00'],
  ['time', 'now', '07:08:09.101112'],
  ['timestamp', 'now 1', '22007'],
])('%s %j gives %s', (name, input, expected) => {
  expect(answer(typeNamed(name), input)).toBe(expected);
});

test.each([
  ['bpchar(5)', 'ab', 'ab   '],
  ['bpchar(2)', 'äö', 'äö'],
  ['name', 'n', 'n'],
  ['char', 'c', 'c'],
  ['char', '', '\0'],
  ['oid', '4000000000', '\xee\x6b\x28\0'],
])('%s %j is %j in binary, and reads back', (name, text, bytes) => {
  const type = typeNamed(name);
  const binary = toBinary(type, parse(type, text));
  expect(Buffer.from(binary).equals(Buffer.from(bytes, name === 'oid' ? 'latin1' : 'utf8'))).toBe(true);
  expect(print(type, fromBinary(type, binary))).toBe(print(type, parse(type, text)));
});

test.each([
  ['int4', 'abc', 'invalid input syntax for type integer: "abc"'],
  ['int4', '99999999999', 'value "99999999999" is out of range for type integer'],
  ['float8', '1e400', '"1e400" is out of range for type double precision'],
  ['varchar(3)', 'abcd', 'value too long for type character varying(3)'],
  ['date', '2020-02-30', 'date/time field value out of range: "2020-02-30"'],
  ['timestamptz', 'x', 'invalid input syntax for type timestamp with time zone: "x"'],
  ['uuid', 'x', 'invalid input syntax for type uuid: "x"'],
  ['bytea', '\\x0', 'invalid hexadecimal data: odd number of digits'],
])('an error of %s for %j says %s, and names no column, as in PostgreSQL', (name, input, message) => {
  const error = errorOf(() => parse(typeNamed(name), input));
  expect([error.message, error.fields.column]).toEqual([message, undefined]);
});

test('numeric overflow says which values the field holds', () => {
  const error = errorOf(() => parse(typeNamed('numeric(5,2)'), '999.995'));
  expect(error).toMatchObject({ code: '22003', message: 'numeric field overflow' });
  expect(error.fields.detail).toBe('A field with precision 5, scale 2 must round to an absolute value less than 10^3.');
});

test.each([
  ['a zero byte', [97, 0], '0x00'],
  ['a lone byte', [0xff], '0xff'],
  ['a cut sequence', [97, 0xe2, 0x82], '0xe2 0x82'],
  ['an overlong one', [0xc0, 0x80], '0xc0 0x80'],
])('text with %s is 22021', (_, bytes, shown) => {
  for (const name of ['text', 'varchar(9)', 'json', 'jsonb']) {
    const error = errorOf(() => parse(typeNamed(name), Uint8Array.from(bytes)));
    expect([error.code, error.message]).toEqual(['22021', `invalid byte sequence for encoding "UTF8": ${shown}`]);
  }
});

test('int8 is exact over its whole range', () => {
  const type = typeNamed('int8');
  fc.assert(
    fc.property(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), (value) => {
      expect(answer(type, String(value))).toBe(String(value));
      expect(Buffer.from(toBinary(type, parse(type, String(value)))).readBigInt64BE()).toBe(value);
    }),
  );
});

test('numeric rounds half away from zero at its scale, up to 38 digits', () => {
  const places = fc.integer({ min: 0, max: 37 });
  fc.assert(
    fc.property(fc.bigInt(-(10n ** 45n), 10n ** 45n), places, places, (unscaled, given, scale) => {
      const size = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(given + 1, '0');
      const text =
        `${unscaled < 0n ? '-' : ''}${size.slice(0, size.length - given)}.${size.slice(size.length - given)}`.replace(
          /\.$/,
          '',
        );
      const kept =
        given <= scale
          ? unscaled * 10n ** BigInt(scale - given)
          : roundedQuotient(unscaled, 10n ** BigInt(given - scale));
      const type = typeNamed(`numeric(38,${scale})`);
      const shown = (kept < 0n ? -kept : kept).toString().padStart(scale + 1, '0');
      const expected = `${kept < 0n ? '-' : ''}${shown.slice(0, shown.length - scale)}${scale === 0 ? '' : `.${shown.slice(-scale)}`}`;
      const fits = kept < 10n ** 38n && kept > -(10n ** 38n);
      expect(answer(type, text)).toBe(fits ? expected : '22003');
      if (fits) expect(print(type, fromBinary(type, toBinary(type, parse(type, text))))).toBe(expected);
    }),
  );
});

function roundedQuotient(value: bigint, divisor: bigint): bigint {
  const size = value < 0n ? -value : value;
  const rounded = (size + divisor / 2n) / divisor;
  return value < 0n ? -rounded : rounded;
}

test('floats read back as the same bits from their text', () => {
  fc.assert(
    fc.property(fc.double(), fc.float(), (double, single) => {
      expect(Number(answer(typeNamed('float8'), signed(double)))).toBe(double);
      const text = answer(typeNamed('float4'), signed(single));
      expect(Math.fround(Number(text))).toBe(single);
    }),
  );
});

/** JavaScript's text of -0 has no sign. */
function signed(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

test('timestamps are the calendar of JavaScript, in any zone', () => {
  const instants = fc.date({ min: new Date('1971-01-01'), max: new Date('2037-12-31'), noInvalidDate: true });
  fc.assert(
    fc.property(
      instants,
      fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata'),
      (date, name) => {
        const iso = date.toISOString();
        expect(answer(typeNamed('timestamp'), iso).padEnd(20, '.').padEnd(23, '0')).toBe(
          iso.replace('T', ' ').replace('Z', ''),
        );
        const zone = timeZone(name);
        const shown = answer(typeNamed('timestamptz'), iso, zone);
        expect(answer(typeNamed('timestamptz'), shown)).toBe(answer(typeNamed('timestamptz'), iso));
        const wall = new Intl.DateTimeFormat('sv-SE', {
          timeZone: name,
          dateStyle: 'short',
          timeStyle: 'medium',
        }).format(date);
        expect(shown.slice(0, 19)).toBe(wall);
      },
    ),
  );
});

test('any bytes give a value or an SQLSTATE, never another error', () => {
  const names = [
    'bool',
    'int4',
    'int8',
    'float4',
    'float8',
    'numeric(9,3)',
    'bytea',
    'date',
    'time',
    'timestamp',
    'timestamptz',
    'uuid',
    'json',
    'jsonb',
    'varchar(4)',
  ];
  const junk = fc.oneof(fc.string(), fc.stringMatching(/^[-+:.0-9a-zA-Z {}[\]",\\]{0,20}$/), fc.json());
  fc.assert(
    fc.property(fc.constantFrom(...names), junk, fc.uint8Array({ maxLength: 24 }), (name, text, bytes) => {
      answer(typeNamed(name), text);
      answer(typeNamed(name), bytes);
      try {
        fromBinary(typeNamed(name), bytes);
      } catch (error) {
        expect(error).toHaveProperty('code', expect.stringMatching(/^22/));
      }
    }),
    { numRuns: 500 },
  );
});
