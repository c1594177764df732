import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SqlError } from '../../src/errors.ts';
import { CopyTextParser } from '../../src/ingest/copy-text.ts';
import { binary, csv, type Make, parse, Rows, text } from './copy-rows.ts';

const latin = (data: string): Uint8Array => Buffer.from(data, 'latin1');
const run = (make: Make, data: string) => parse(make, latin(data));

describe('COPY text', () => {
  test.each<[string, number, string, (string | null)[][]]>([
    [
      'fields are cut at tabs and lines',
      2,
      '1\tx\n2\ty\n',
      [
        ['1', 'x'],
        ['2', 'y'],
      ],
    ],
    [
      'the last line may lack its end',
      2,
      '1\tx\n2\ty',
      [
        ['1', 'x'],
        ['2', 'y'],
      ],
    ],
    ['\\N is NULL, an escaped \\\\N is text', 2, '\\N\t\\\\N\n', [[null, '\\N']]],
    ['an empty field is an empty string', 2, '\t\n', [['', '']]],
    ['escapes are resolved', 1, '\\b\\f\\n\\r\\t\\v\\101\\x41\\q\\\\\n', [['\b\f\n\r\t\vAAq\\']]],
    ['a backslash takes a tab or a line feed into the field', 2, 'a\\\tb\tc\\\nd\n', [['a\tb', 'c\nd']]],
    ['\\x without digits is x', 1, '\\xg\n', [['xg']]],
    [
      'CRLF ends lines when it ends the first',
      2,
      '1\tx\r\n2\ty\r\n',
      [
        ['1', 'x'],
        ['2', 'y'],
      ],
    ],
    ['CR ends lines when it ends the first', 1, '1\r2\r', [['1'], ['2']]],
    ['\\. ends the data and the rest is ignored', 1, '1\n\\.\nwhatever\t\t', [['1']]],
    ['\\. may be the last bytes', 1, '1\n\\.', [['1']]],
    ['an empty input has no rows', 1, '', []],
    ['an empty line is an empty string', 1, '\n', [['']]],
  ])('%s', (_, columns, data, rows) => {
    expect(run(text(columns), data)).toEqual({ rows, error: null });
  });

  test.each<[string, string]>([
    ['1\n', '22P04 missing data for column "b" | COPY t, line 1: "1"'],
    ['1\t2\n1\t2\t3\n', '22P04 extra data after last expected column | COPY t, line 2: "1\t2\t3"'],
    ['1\t2\n1\t2\r\n', '22P04 literal carriage return found in data | COPY t, line 2'],
    ['1\t2\r\n1\t2\n', '22P04 literal newline found in data | COPY t, line 2'],
    ['1\t2\n\\.x\n', '22P04 end-of-copy marker corrupt | COPY t, line 2'],
    ['1\t2\n3\t\xff\n', '22021 invalid byte sequence for encoding "UTF8": 0xff | COPY t, line 2'],
    ['1\t\\xff\n', '22021 invalid byte sequence for encoding "UTF8": 0xff | COPY t, line 1, column b: "�"'],
    ['a\\\nb\t2\n3\t\xff\n', '22021 invalid byte sequence for encoding "UTF8": 0xff | COPY t, line 2'],
    ['1\t\0\n', '22021 invalid byte sequence for encoding "UTF8": 0x00 | COPY t, line 1'],
  ])('%j is refused', (data, error) => {
    expect(run(text(2), data).error).toBe(error);
  });

  test('the header is skipped, and HEADER MATCH compares its names', () => {
    expect(run(text(2, { header: true }), 'x\ty\tz\n1\t2\n').rows).toEqual([['1', '2']]);
    expect(run(text(2, { header: 'match' }), 'a\tb\n1\t2\n').rows).toEqual([['1', '2']]);
    expect(run(text(2, { header: 'match' }), 'a\tc\n').error).toBe(
      '22P04 column name mismatch in header line field 2: got "c", expected "b" | COPY t, line 1: "a\tc"',
    );
  });

  test('an error of the sink gets line, column and value', () => {
    const parser = new CopyTextParser(
      { table: 'events', columns: ['id', 'v'], delimiter: '\t', null: '\\N' },
      {
        field: (column, _src, start, end) => {
          if (column === 1 && end - start > 1) throw new SqlError('22P02', 'bad');
        },
        nullField: () => {},
        endRow: () => {},
      },
    );
    const push = (): void => parser.push(latin('1\t2\n3\tabc\n'));
    expect(push).toThrow(expect.objectContaining({ fields: { where: 'COPY events, line 2, column v: "abc"' } }));
  });
});

describe('COPY CSV', () => {
  test.each<[string, number, string, (string | null)[][]]>([
    ['an unquoted empty field is NULL, a quoted one is empty', 2, ',""\n', [[null, '']]],
    ['a quoted field holds delimiters, line ends and doubled quotes', 2, '"a,b","c""d\ne"\n', [['a,b', 'c"d\ne']]],
    ['quotes may open inside a field', 2, 'a"b,c"d,"x"y\n', [['ab,cd', 'xy']]],
    [
      'CRLF ends lines and stays inside quotes',
      2,
      '1,"a\r\nb"\r\n2,c\r\n',
      [
        ['1', 'a\r\nb'],
        ['2', 'c'],
      ],
    ],
    ['\\. alone on a line ends the data', 1, '1\n\\.\n2\n', [['1']]],
    ['\\. with more on the line is data', 1, '\\.x\n', [['\\.x']]],
    ['spaces are data', 2, ' a , b\n', [[' a ', ' b']]],
  ])('%s', (_, columns, data, rows) => {
    expect(run(csv(columns), data)).toEqual({ rows, error: null });
  });

  test.each<[string, string]>([
    ['1,"2\n', '22P04 unterminated CSV quoted field | COPY t, line 2: "1,"2\n"'],
    ['1,2\n1\n', '22P04 missing data for column "b" | COPY t, line 2: "1"'],
    ['1,2\n1\r2\n', '22P04 unquoted carriage return found in data | COPY t, line 2'],
    ['1,2\r\n1,2\n', '22P04 unquoted newline found in data | COPY t, line 2'],
    ['1,"a\nb"\n1,2,3\n', '22P04 extra data after last expected column | COPY t, line 3: "1,2,3"'],
  ])('%j is refused', (data, error) => {
    expect(run(csv(2), data).error).toBe(error);
  });

  test('QUOTE, ESCAPE, NULL, FORCE_NULL and FORCE_NOT_NULL are as given', () => {
    expect(run(csv(2, { quote: "'", escape: '\\', delimiter: ';' }), "'a\\'b\\\\';'\\x'\n").rows).toEqual([
      ["a'b\\", '\\x'],
    ]);
    expect(run(csv(2, { null: 'NA' }), 'NA,"NA"\n').rows).toEqual([[null, 'NA']]);
    expect(run(csv(2, { forceNull: new Set([0]), forceNotNull: new Set([1]) }), '"",\n').rows).toEqual([[null, '']]);
  });
});

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
function binaryFile(rows: readonly (readonly (string | null)[])[], trailer = true): Buffer {
  const parts: Buffer[] = [SIGNATURE];
  const i16 = (n: number): void => void parts.push(Buffer.from([(n >> 8) & 255, n & 255]));
  for (const row of rows) {
    i16(row.length);
    for (const value of row) {
      const length = Buffer.alloc(4);
      length.writeInt32BE(value === null ? -1 : value.length);
      parts.push(length, Buffer.from(value ?? '', 'latin1'));
    }
  }
  if (trailer) i16(-1);
  return Buffer.concat(parts);
}

describe('COPY binary', () => {
  test('fields are handed out raw, the trailer may be missing', () => {
    const rows = [
      ['\0\x01', null],
      ['', 'xyz'],
    ];
    expect(parse(binary(2), binaryFile(rows))).toEqual({ rows, error: null });
    expect(parse(binary(2), binaryFile(rows, false))).toEqual({ rows, error: null });
  });

  test.each<[string, Uint8Array, string]>([
    ['a wrong signature', latin('PGCOPX\n\xff\r\n\0'), '22P04 COPY file signature not recognized | COPY t, line 1'],
    ['an empty file', latin(''), '22P04 COPY file signature not recognized | COPY t, line 1'],
    [
      'a critical flag',
      latin('PGCOPY\n\xff\r\n\0\0\x02\0\0'),
      '22P04 unrecognized critical flags in COPY file header | COPY t, line 1',
    ],
    ['a wrong field count', binaryFile([['x']]), '22P04 row field count is 1, expected 2 | COPY t, line 1'],
    [
      'a cut field',
      binaryFile([['x', 'yyyy']], false).subarray(0, -1),
      '22P04 unexpected EOF in COPY data | COPY t, line 1, column b',
    ],
    [
      'a negative length',
      Buffer.concat([SIGNATURE, latin('\0\x02\xff\xff\xff\xfe')]),
      '22P04 invalid field size | COPY t, line 1, column a',
    ],
    [
      'data after the trailer',
      Buffer.concat([binaryFile([]), latin('x')]),
      '22P04 received copy data after EOF marker | COPY t, line 1',
    ],
  ])('%s is refused', (_, bytes, error) => {
    expect(parse(binary(2), bytes).error).toBe(error);
  });
});

describe('any split of the bytes gives the same rows and the same error', () => {
  const cuts = fc.array(fc.nat(), { maxLength: 20 });
  const pieces = (list: readonly string[]) =>
    fc.array(fc.constantFrom(...list), { maxLength: 30 }).map((parts) => latin(parts.join('')));
  const textBytes = pieces([
    'a',
    '\t',
    '\n',
    '\r\n',
    '\r',
    '\\',
    '\\N',
    '\\.',
    '\\n',
    '\\x4',
    '\\101',
    'é',
    'long text here',
    'x\ty\n',
    'x\ty\n',
  ]);
  const csvBytes = pieces([
    'a',
    ',',
    '\n',
    '\r\n',
    '\r',
    '"',
    '""',
    '\\.',
    '"q,\n"',
    '\xc3\xa9',
    'long text',
    'x,y\n',
    'x,y\n',
  ]);
  const all = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
  const law = (make: Make, bytes: Uint8Array, at: number[]): void => {
    // After an error nothing of the COPY stays, so the rows handed out before it are not part of the law.
    const outcome = ({ rows, error }: ReturnType<typeof parse>) => error ?? rows;
    const whole = outcome(parse(make, bytes));
    expect(outcome(parse(make, bytes, at))).toEqual(whole);
    expect(outcome(parse(make, bytes, all(bytes.length)))).toEqual(whole);
  };
  test('text', () =>
    fc.assert(
      fc.property(textBytes, cuts, (bytes, at) => law(text(2), bytes, at)),
      { numRuns: 1500 },
    ));
  test('CSV', () =>
    fc.assert(
      fc.property(csvBytes, cuts, (bytes, at) => law(csv(2), bytes, at)),
      { numRuns: 1500 },
    ));
  test('CSV with an escape of its own', () =>
    fc.assert(
      fc.property(csvBytes, cuts, (bytes, at) => law(csv(2, { escape: '\\' }), bytes, at)),
      { numRuns: 500 },
    ));
  test('binary', () => {
    const value = fc.option(fc.string({ maxLength: 9 }).map((s) => Buffer.from(s).toString('latin1')));
    const file = fc
      .tuple(fc.array(fc.tuple(value, value)), fc.nat(200))
      .map(([rows, cut]) => binaryFile(rows).subarray(0, -(cut % 40) || undefined));
    fc.assert(
      fc.property(file, cuts, (bytes, at) => law(binary(2), bytes, at)),
      { numRuns: 300 },
    );
  });
});

const binaryField = (length: number): Buffer => {
  const head = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0', 'latin1');
  head.writeInt32BE(length, head.length - 4);
  return head;
};

test.each<[string, Make, Buffer, string]>([
  ['text', text(1), Buffer.alloc(0), 'x\nx\n'],
  ['csv', csv(1), Buffer.alloc(0), 'x\nx\n'],
  ['binary', binary(1), binaryField(3_000_001), 'x\0\x01\0\0\0\x01x\xff\xff'],
])(
  'V5: a COPY in %s says what it holds of a long value under way, and gives it back after it',
  (_, make, head, rest) => {
    const sink = new Rows();
    const parser = make(sink);
    const idle = parser.heldBytes;
    expect(idle).toBeLessThan(300_000);
    parser.push(head);
    for (let i = 0; i < 30; i++) parser.push(Buffer.alloc(100_000, 120));
    const held = parser.heldBytes;
    expect(held).toBeGreaterThan(2_900_000);
    expect(held).toBeLessThan(6_600_000); // buffers double
    parser.push(latin(rest));
    parser.finish();
    expect(sink.rows.map(([value]) => value!.length)).toEqual([3_000_001, 1]);
    expect(parser.heldBytes).toBeLessThan(1_500_000);
  },
);
