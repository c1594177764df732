/** Rows of COPY TO: what PostgreSQL 15 writes for the same values, byte by byte. */
import { expect, test } from 'vitest';
import { ByteWriter } from '../../src/types/byte-writer.ts';
import { copyDataRows, copyEncoder, copyHead, copyTail, withHead, type CopyStyle } from '../../src/types/copy-row.ts';
import { encodeRows, rowEncoder } from '../../src/types/data-row.ts';
import { Oid } from '../../src/types/pg-type.ts';
import { timeZone } from '../../src/types/time-zone.ts';
import { VectorBuilder } from '../../src/types/vector-builder.ts';

const TEXT: CopyStyle = { format: 'text', delimiter: '\t', null: '\\N', quote: '"', escape: '"', forceQuote: [] };
const CSV: CopyStyle = { ...TEXT, format: 'csv', delimiter: ',', null: '' };
const BINARY: CopyStyle = { ...TEXT, format: 'binary' };
const settings = { timeZone: timeZone('UTC') };

/** One row of texts, both ways: from vectors, and from a DataRow of the same. */
function line(values: readonly (string | null)[], style: CopyStyle): string {
  const vectors = values.map((value) => {
    const builder = new VectorBuilder('bytes');
    const bytes = Buffer.from(value ?? '');
    if (value === null) builder.null();
    else builder.bytes(bytes, 0, bytes.length);
    return builder.vector();
  });
  const columns = values.map(() => ({ type: { oid: Oid.text, typmod: -1 }, format: 0 }) as const);
  const out = new ByteWriter();
  encodeRows(copyEncoder(columns, settings, style), vectors, 0, 1, out);
  const message = Buffer.from(out.take());
  expect(message[0]).toBe('d'.charCodeAt(0));
  expect(message.readInt32BE(1)).toBe(message.length - 1);
  encodeRows(rowEncoder(columns, settings), vectors, 0, 1, out);
  expect(Buffer.from(copyDataRows(out.take(), style))).toEqual(message);
  return message.toString('utf8', 5);
}

test.each([
  [['a', 'b'], TEXT, 'a\tb\n'],
  [[null, '', '\\N'], TEXT, '\\N\t\t\\\\N\n'],
  [['t\tn\nr\rb\bf\fv\v\\', 'é漢🙂'], TEXT, 't\\tn\\nr\\rb\\bf\\fv\\v\\\\\té漢🙂\n'],
  [['a|b\tc', null], { ...TEXT, delimiter: '|', null: 'NULL' }, 'a\\|b\\tc|NULL\n'],
  [['\u0001x'], { ...TEXT, delimiter: '\u0001' }, '\\\u0001x\n'],
  [['a', null, ''], CSV, 'a,,""\n'],
  [['a,b', 'q"q', 'l\nl', 'r\rr', ' s '], CSV, '"a,b","q""q","l\nl","r\rr", s \n'],
  [['\\.'], CSV, '"\\."\n'],
  [['\\.', 'x'], CSV, '\\.,x\n'],
  [['NULL', null], { ...CSV, null: 'NULL' }, '"NULL",NULL\n'],
  [["it's", 'a\\b;c'], { ...CSV, quote: "'", escape: '\\', delimiter: ';' }, "'it\\'s';'a\\\\b;c'\n"],
  [['a', 'b', null], { ...CSV, forceQuote: [true, false, true] }, '"a",b,\n'],
] as const)('a row %j is written as PostgreSQL writes it', (values, style, expected) => {
  expect(line(values, style)).toBe(expected);
});

test('a header has the names by the rules of values, and no name is forced into quotes', () => {
  const head = (style: CopyStyle): string =>
    Buffer.from(copyHead(style, true, ['id', 'a,b', 't\tt'])!).toString('utf8', 5);
  expect(head({ ...CSV, forceQuote: [true, true, true] })).toBe('id,"a,b",t\tt\n');
  expect(head(TEXT)).toBe('id\ta,b\tt\\tt\n');
  expect(copyHead(CSV, false, ['id'])).toBeNull();
  expect(copyTail(CSV)).toBeNull();
});

test('a binary COPY is the signature, tuples as in a DataRow, and the trailer', () => {
  expect(Buffer.from(copyHead(BINARY, false, ['id'])!).toString('latin1')).toBe(
    `d\0\0\0\x17PGCOPY\n\xff\r\n\0${'\0'.repeat(8)}`,
  );
  const builder = new VectorBuilder('int32');
  builder.int32(7);
  const out = new ByteWriter();
  const columns = [{ type: { oid: Oid.int4, typmod: -1 }, format: 1 }] as const;
  encodeRows(copyEncoder(columns, settings, BINARY), [builder.vector()], 0, 1, out);
  const row = Buffer.from(out.take());
  expect(row.toString('latin1')).toBe('d\0\0\0\x0e\0\x01\0\0\0\x04\0\0\0\x07');
  encodeRows(rowEncoder(columns, settings), [builder.vector()], 0, 1, out);
  expect(Buffer.from(copyDataRows(out.take(), BINARY))).toEqual(row);
  expect(Buffer.from(copyTail(BINARY)!).toString('latin1')).toBe('d\0\0\0\x06\xff\xff');
});

test('the signature and what comes first, a tuple or the trailer, are one message', () => {
  const head = copyHead(BINARY, false, ['id'])!;
  const joined = Buffer.from(withHead(head, copyTail(BINARY)!)).toString('latin1');
  expect(joined).toBe(`d\0\0\0\x19PGCOPY\n\xff\r\n\0${'\0'.repeat(8)}\xff\xff`);
  const two = Buffer.from(withHead(head, Uint8Array.from([100, 0, 0, 0, 6, 0, 1, 100, 0, 0, 0, 6, 0, 2])));
  expect(two.toString('latin1')).toBe(`d\0\0\0\x19PGCOPY\n\xff\r\n\0${'\0'.repeat(8)}\0\x01d\0\0\0\x06\0\x02`);
});
