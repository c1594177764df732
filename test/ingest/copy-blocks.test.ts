/** Law: rows taken by blocks are the rows taken one by one, and so is the error. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SqlError } from '../../src/errors.ts';
import { CopyBinaryParser } from '../../src/ingest/copy-binary.ts';
import { CopyCsvParser } from '../../src/ingest/copy-csv.ts';
import type { CopyRowSink } from '../../src/ingest/copy-row-sink.ts';
import { CopyTextParser } from '../../src/ingest/copy-text.ts';
import { RowWriter } from '../../src/ingest/row-writer.ts';
import { Memory } from '../../src/storage/memory/memory.ts';
import { RowBuffer } from '../../src/storage/memory/row-buffer.ts';
import { SLAB_BYTES } from '../../src/storage/memory/slab.ts';
import type { TableDef } from '../../src/table-def.ts';
import { ByteWriter } from '../../src/types/byte-writer.ts';
import { isValid } from '../../src/types/column-vector.ts';
import { physicalOf } from '../../src/types/pg-type.ts';
import { textOutput } from '../../src/types/text-output.ts';
import { timeZone, type TimeZone, UTC } from '../../src/types/time-zone.ts';
import { binaryOutput } from '../../src/types/binary-output.ts';
import { VectorBuilder } from '../../src/types/vector-builder.ts';
import { textInput } from '../../src/types/text-input.ts';
import { typeNamed } from '../types/codec.ts';
import type { Parser } from './copy-rows.ts';

/** Values of each type: what programs write, what only people write, and what is wrong. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  int8: [
    '1',
    '-7',
    '123456789012',
    '-999999999999999',
    '9223372036854775807',
    '0x1F',
    ' 5 ',
    '1_000',
    '9223372036854775808',
    '',
    'x',
    '000000000000000000001',
    '-',
  ],
  int4: ['0', '-1', '999999999', '-2147483648', '2147483647', '+4', '2147483648', '1.5', ''],
  float8: [
    '1.5',
    '-0',
    '0.1',
    '123456789.123456',
    '.5',
    '5.',
    '1e300',
    'NaN',
    '-inf',
    '0.14285714285714285',
    '1e999',
    '.',
    '-',
    '12345678901234567890',
  ],
  bool: ['t', 'f', 'true', 'FALSE', '1', 'no', 'of', 'tru', 'truer', ''],
  text: [
    '',
    'plain',
    'name of 1',
    'schön',
    '\u{1f600} and more',
    'a longer text that does not end after a few bytes, with é',
  ],
  'varchar(5)': ['', 'abc', 'äöüß€', 'abcde   ', 'abcdef'],
  json: [
    '{}',
    '[1, -2.5e3, true, null]',
    '{"a":{"b":[[],{}]},"c":"\\u00e9 \\n"}',
    ' "x" ',
    '{"a":1,}',
    '[01]',
    '{"a" 1}',
    'tru',
    '"\\q"',
    '',
  ],
  jsonb: ['{"b":1,"a":2}', '[1,2]', '{'],
  timestamptz: [
    '2026-01-02 03:04:05.678901+00',
    '2026-01-02T03:04:05Z',
    '2026-07-02 03:04:05',
    '1999-12-31 23:59:59.9-05:30',
    '2024-02-29 00:00:00.1234567+01',
    '2023-02-29 00:00:00+00',
    'now',
    '0001-01-01 00:00:00+00',
    '9999-12-31 23:59:59+00',
    '2026-01-02 24:00:00+00',
    'x',
  ],
  timestamp: [
    '2026-01-02 03:04:05.678901',
    '2026-01-02 03:04:05+02',
    '2026-01-02',
    '2026-13-01 00:00:00',
    '1600-01-01 00:00:00',
  ],
  'timestamp(3)': ['2026-01-02 03:04:05.6785', '2026-01-02 03:04:05'],
  date: ['2026-01-02', 'Jan 5 2020', '2026-02-30'],
  uuid: ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc99'],
  'numeric(8,2)': ['1.005', '-12.3', '1e9', 'x'],
};
const TABLES = [
  ['int8', 'timestamptz', 'int4', 'text', 'float8', 'json', 'bool'],
  ['timestamp', 'varchar(5)', 'jsonb', 'uuid', 'numeric(8,2)', 'timestamp(3)', 'date'],
  ['text'],
] as const;

function defOf(types: readonly string[], notNull: boolean): TableDef {
  const columns = types.map((type, i) => ({
    name: `c${i}`,
    fieldId: i + 1,
    attnum: i + 1,
    type: typeNamed(type),
    notNull: notNull && i === 0,
    default: null,
  }));
  const added = { name: 'd', fieldId: 99, attnum: 99, type: typeNamed('int4'), notNull: false };
  return {
    name: 't',
    schema: 'public',
    columns: [...columns, { ...added, default: { kind: 'constant', sql: '7', text: '7' } }],
  } as unknown as TableDef;
}

const memory = new Memory(8 * SLAB_BYTES);
const dirty = memory.take(SLAB_BYTES);
memory.pool.directory.bytes(dirty, SLAB_BYTES).fill(0xa5);
memory.pool.free(dirty, SLAB_BYTES);

type Make = (columns: readonly string[], sink: CopyRowSink) => Parser;
const formats: Readonly<Record<string, Make>> = {
  text: (columns, sink) => new CopyTextParser({ table: 't', columns, delimiter: '\t', null: '\\N' }, sink),
  'text with other marks': (columns, sink) =>
    new CopyTextParser({ table: 't', columns, delimiter: '|', null: '', header: true }, sink),
  csv: (columns, sink) => new CopyCsvParser({ table: 't', columns, delimiter: ',', null: '' }, sink),
  'csv with other marks': (columns, sink) =>
    new CopyCsvParser(
      { table: 't', columns, delimiter: ';', null: 'null', quote: "'", escape: '\\', header: true },
      sink,
    ),
  binary: (columns, sink) => new CopyBinaryParser({ table: 't', columns }, sink),
};

function outcome(
  make: Make,
  types: readonly string[],
  bytes: Uint8Array,
  chunk: number,
  byBlocks: boolean,
  zone: TimeZone,
  notNull: boolean,
): unknown {
  const def = defOf(types, notNull);
  const rows = new RowBuffer(
    memory,
    def.columns.map((column) => physicalOf(column.type)),
  );
  const writer = new RowWriter(
    def,
    types.map((_, i) => i + 1),
    rows,
    { timeZone: zone, now: () => 1e15 },
  );
  if (make === formats['binary']) writer.useBinary();
  const sink: CopyRowSink = byBlocks
    ? writer
    : {
        field: (column, src, start, end) => writer.field(column, src, start, end),
        nullField: (column) => writer.nullField(column),
        endRow: () => writer.endRow(),
      };
  try {
    const parser = make(
      types.map((_, i) => `c${i}`),
      sink,
    );
    // each reads all that is there of a line
    const looks = chunk * Math.max(3, Math.ceil(bytes.length / chunk / 50));
    for (let at = 0; at < bytes.length; at += chunk) {
      const part = new Uint8Array(bytes.subarray(at, at + chunk));
      parser.push(part);
      part.fill(0x3f);
      if (byBlocks && chunk % 2 === 1 && at % looks === 0) parser.takeWhole?.();
    }
    parser.finish();
    return textsOf(def, rows);
  } catch (error) {
    if (!(error instanceof SqlError)) throw error;
    return { code: error.code, message: error.message, fields: error.fields };
  } finally {
    rows.retire();
  }
}

/** Texts and the buffers' own nulls and offsets. */
function textsOf(def: TableDef, rows: RowBuffer): string[] {
  const outputs = def.columns.map((column) => textOutput(column.type, { timeZone: UTC }));
  const out = new ByteWriter(256);
  return rows.batches.flatMap((batch) => {
    const vectors = batch.vectors();
    return Array.from({ length: batch.rows }, (_, row) =>
      vectors
        .map((vector, i) => {
          if (!isValid(vector, row)) return 'NULL';
          outputs[i]!(vector, row, out);
          return Buffer.from(out.take()).toString();
        })
        .join('|'),
    );
  });
}

const escapeText = (value: string, mark: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll(mark, `\\${mark}`);

interface Shape {
  readonly types: readonly string[];
  readonly lines: readonly (readonly (string | null)[])[];
}
const shapes = (texts: fc.Arbitrary<string>): fc.Arbitrary<Shape> =>
  fc.constantFrom(...TABLES).chain((types) => {
    const value = (type: string): fc.Arbitrary<string | null> =>
      fc.oneof(
        { weight: 12, arbitrary: fc.constantFrom(...VALUES[type]!.slice(0, 3)) },
        { weight: 1, arbitrary: fc.constantFrom(...VALUES[type]!) },
        { weight: 1, arbitrary: fc.constant(null) },
        ...(type === 'text' ? [{ weight: 3, arbitrary: texts }] : []),
      );
    const row = fc.tuple(...types.map(value));
    // Few kinds of rows, many rows: more than one block and one batch.
    return fc
      .tuple(
        fc.array(row, { minLength: 1, maxLength: 6 }),
        fc.constantFrom(1, 3, 700, 2500),
        fc.array(row, { maxLength: 2 }),
      )
      .map(([kinds, count, more]) => ({
        types,
        lines: [...Array.from({ length: count }, (_, i) => kinds[i % kinds.length]!), ...more, ...kinds],
      }));
  });
const chunks = fc.constantFrom(1 << 20, 65_536, 1000, 61);
const zones = fc.constantFrom(UTC, timeZone('Europe/Berlin'), timeZone('+3'));

function law(format: string, encode: (shape: Shape) => Uint8Array, texts: fc.Arbitrary<string>, numRuns: number): void {
  fc.assert(
    fc.property(
      shapes(texts),
      chunks,
      zones,
      fc.boolean(),
      fc.option(fc.nat(), { freq: 4 }),
      (shape, chunk, zone, notNull, damage) => {
        const bytes = Uint8Array.from(encode(shape));
        // One byte becomes another one: a delimiter, a quote, half a character.
        if (damage !== null) bytes[damage % bytes.length] = [9, 10, 13, 34, 44, 92, 0, 0xc3, 0xa9, 46][damage % 10]!;
        const run = (byBlocks: boolean) =>
          outcome(formats[format]!, shape.types, bytes, chunk, byBlocks, zone, notNull);
        expect(run(true)).toEqual(run(false));
      },
    ),
    { numRuns },
  );
}

const awkward = fc.oneof(
  fc.string(),
  fc.constantFrom(
    'a\tb',
    'line\nbreak',
    '\\',
    '\\.',
    '"',
    'x'.repeat(70_000),
    '\r',
    ',',
    '',
    '""',
    "'",
    ';',
    '|',
    'null',
  ),
);

test('the context of an error shows a long quoted value, not what was there before', () => {
  const bytes = Buffer.from(`"{}","${'7'.repeat(300)}"\n`);
  expect(outcome(formats['csv']!, ['json', 'int4'], bytes, 1000, false, UTC, false)).toMatchObject({
    fields: { where: `COPY t, line 1, column c1: "${'7'.repeat(100)}..."` },
  });
});

describe('rows taken by blocks are the rows taken one by one', () => {
  test('text', () =>
    law(
      'text',
      ({ lines }) =>
        Buffer.from(
          lines.map((row) => row.map((v) => (v === null ? '\\N' : escapeText(v, '\t'))).join('\t') + '\n').join(''),
        ),
      awkward,
      120,
    ));
  test('text with another delimiter, NULL as nothing, a header and lines that end with CR LF', () =>
    law(
      'text with other marks',
      ({ lines }) =>
        Buffer.from(
          `h\r\n${lines.map((row) => `${row.map((v) => (v === null ? '' : escapeText(v.replaceAll('\r', ''), '|'))).join('|')}\r\n`).join('')}`,
        ),
      awkward,
      60,
    ));
  const quoted = (value: string, quote: string, escape: string): string =>
    quote + value.replaceAll(escape, escape + escape).replaceAll(quote, escape + quote) + quote;
  test('CSV', () =>
    law(
      'csv',
      ({ lines }) =>
        Buffer.from(
          lines
            .map(
              (row) =>
                row.map((v) => (v === null ? '' : /[",\n\r]|^$/.test(v) ? quoted(v, '"', '"') : v)).join(',') + '\n',
            )
            .join(''),
        ),
      awkward,
      120,
    ));
  test('CSV with a quote and an escape of its own', () =>
    law(
      'csv with other marks',
      ({ lines }) =>
        Buffer.from(
          `h\n${lines.map((row) => `${row.map((v) => (v === null ? 'null' : quoted(v.replaceAll("'", ''), "'", '\\'))).join(';')}\n`).join('')}`,
        ),
      awkward,
      60,
    ));
  test('binary', () => law('binary', ({ types, lines }) => binaryFile(types, lines), awkward, 120));
});

function binaryFile(types: readonly string[], lines: Shape['lines']): Uint8Array {
  const out = new ByteWriter(1024);
  out.raw(Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1'));
  const cache = new Map<string, Uint8Array>();
  const value = (type: string, text: string): Uint8Array => {
    const key = `${type}:${text}`;
    let bytes = cache.get(key);
    if (bytes === undefined) {
      bytes = Buffer.from(text);
      try {
        const builder = new VectorBuilder(physicalOf(typeNamed(type)));
        textInput(typeNamed(type))(bytes, 0, bytes.length, builder);
        const one = new ByteWriter(64);
        binaryOutput(typeNamed(type), { timeZone: UTC })(builder.vector(), 0, one);
        bytes = one.take();
      } catch (error) {
        if (!(error instanceof SqlError)) throw error; // a wrong text is a wrong binary value, too
      }
      cache.set(key, bytes);
    }
    return bytes;
  };
  for (const row of lines) {
    out.i16(types.length);
    row.forEach((text, i) => {
      if (text === null) return out.i32(-1);
      const bytes = value(types[i]!, text);
      out.i32(bytes.length);
      out.raw(bytes);
    });
  }
  out.i16(-1);
  return out.take();
}
