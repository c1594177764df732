import fc from 'fast-check';
import { expect, test } from 'vitest';
import { copyRows, parseAnswer } from '../../src/catalog/backend-messages.ts';

const message = (type: string, body: readonly number[]): number[] => {
  const length = body.length + 4;
  return [type.charCodeAt(0), length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255, ...body];
};
const ascii = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));
const row = fc.array(fc.nat(255), { maxLength: 40 }).map((body) => ({ row: true, bytes: message('D', body) }));
const notice = fc
  .string({ maxLength: 10 })
  .map((text) => ({ row: false, bytes: message('N', [...new TextEncoder().encode(text), 0]) }));

test('DataRow messages pass through byte for byte, whatever stands between them', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(row, notice), { maxLength: 30 }), (parts) => {
      const bytes = Uint8Array.from([
        ...parts.flatMap((part) => part.bytes),
        ...message('C', [...ascii('SELECT 1'), 0]),
        ...message('Z', [0x49]),
      ]);
      const answer = parseAnswer(bytes);
      expect([...copyRows(bytes, answer)]).toEqual(parts.filter((part) => part.row).flatMap((part) => part.bytes));
      expect(answer).toMatchObject({
        rows: parts.filter((part) => part.row).length,
        tag: 'SELECT 1',
        ready: 1,
        error: null,
        columns: null,
      });
    }),
  );
});

test('an answer that breaks off anywhere is never taken for a whole one', () => {
  const whole = Uint8Array.from([
    ...message('D', [0, 0]),
    ...message('C', [...ascii('SELECT 1'), 0]),
    ...message('Z', [0x49]),
  ]);
  for (let end = 0; end < whole.length; end++) expect(parseAnswer(whole.subarray(0, end)).ready).toBe(0);
});

test('an ErrorResponse keeps code, message, detail, hint and position', () => {
  const fields = [
    'SERROR',
    'VERROR',
    'C42703',
    'Mcolumn "x" does not exist',
    'Dwhy',
    'Hhow',
    'P8',
    'tevents',
    'p3',
    'qinner',
  ];
  const { error } = parseAnswer(Uint8Array.from(message('E', [...fields.flatMap((field) => [...ascii(field), 0]), 0])));
  expect(error).toMatchObject({
    code: '42703',
    message: 'column "x" does not exist',
    severity: 'ERROR',
    fields: { detail: 'why', hint: 'how', position: 8, table: 'events' },
  });
});

test('OIDs above 2^31 are read unsigned', () => {
  expect(parseAnswer(Uint8Array.from(message('t', [0, 1, 0xff, 0, 0, 1]))).parameterOids).toEqual([0xff000001]);
});
