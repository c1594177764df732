/** Fields of messages, and what is known of them from the message before. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rowDescription } from '../../src/wire/backend-messages.ts';
import { DescribedRow } from '../../src/wire/described-row.ts';
import { KnownName, MessageBody } from '../../src/wire/message-body.ts';
import { ByteWriter } from '../../src/types/byte-writer.ts';
import type { Format, ResultColumn } from '../../src/types/result-column.ts';

test('a name is read as it came, whatever came before', () => {
  const anyName = fc.oneof(
    fc.constantFrom('', 'P0_1', 'P0_2', 'é', 'Ã©', 'aa', 'ab'),
    fc.string({ unit: 'grapheme', maxLength: 5 }),
  );
  fc.assert(
    fc.property(fc.array(anyName), (given) => {
      const names = given.map((name) => name.replaceAll('\0', ''));
      const bytes = Buffer.concat(names.map((name) => Buffer.from(`${name}\0`)));
      const body = new MessageBody(bytes, 0, bytes.length);
      const known = new KnownName();
      expect(names.map(() => body.name(known))).toEqual(names);
      body.done();
    }),
  );
});

test('a name that does not end within its message is 08P01', () => {
  for (const end of [0, 2, 3])
    expect(() => new MessageBody(Buffer.from('abc\0'), 0, end).name(new KnownName())).toThrow(
      expect.objectContaining({ code: '08P01' }),
    );
});

test('a row is described by its own columns in its own formats, the second time and the third, too', () => {
  const column = (name: string): ResultColumn => ({
    name,
    tableOid: 1,
    attnum: 2,
    typeOid: 23,
    typlen: 4,
    typmod: -1,
  });
  const [one, other] = [[column('a'), column('b')], [column('c')]];
  const turns: [ResultColumn[], Format[]][] = [
    [one, [0, 0]],
    [one, [0, 0]],
    [one, [0, 0]],
    [one, [0, 1]],
    [one, [0, 1]],
    [one, [0, 0]],
    [other, [0]],
    [other, [0]],
    [one, [0, 1]],
  ];
  const described = new DescribedRow();
  for (const [columns, formats] of turns) {
    const [out, expected] = [new ByteWriter(16), new ByteWriter(16)];
    described.write(out, columns, formats);
    rowDescription(expected, columns, formats);
    expect(out.take()).toEqual(expected.take());
  }
});
