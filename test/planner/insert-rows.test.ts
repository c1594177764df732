/** What the tokenizer of INSERT … VALUES takes, and that it takes the same values wherever the bytes are cut. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headEnd, headTarget, insertHead } from '../../src/planner/insert-head.ts';
import { InsertRows } from '../../src/planner/insert-rows.ts';
import type { ColumnDef } from '../../src/table-def.ts';
import { ABSENT_NOW, ABSENT_NULL, FieldBlock } from '../../src/types/field-block.ts';
import { events, view } from './world.ts';

const columnsNamed = (...names: string[]): ColumnDef[] =>
  names.map((name) => events.columns.find((column) => column.name === name)!);

/** Rows as texts (null: NULL, 'now': the time), or 'odd'. The bytes come `window` at a time. */
function scan(columns: readonly ColumnDef[], text: string, window = 10_000): (string | null)[][] | 'odd' {
  const sql = Buffer.from(text);
  const buffer = new Uint8Array(40_960);
  const block = new FieldBlock(columns.length);
  block.over(buffer);
  const scanner = new InsertRows(columns);
  scanner.begin();
  const rows: (string | null)[][] = [];
  let read = 0;
  let filled = 0;
  for (;;) {
    const stop = Math.min(sql.length, read + window);
    buffer.set(sql.subarray(read, stop), filled);
    filled += stop - read;
    read = stop;
    let at = 0;
    do {
      block.clear();
      at = scanner.scan(block, at, filled, read === sql.length);
      if (scanner.outcome === 'odd') return 'odd';
      for (let row = 0; row < block.rows; row++) {
        rows.push(
          Array.from({ length: scanner.width }, (_, value) => {
            const slot = value * block.capacity + row;
            const start = block.starts[slot]!;
            if (start === ABSENT_NULL) return null;
            return start === ABSENT_NOW ? 'now' : Buffer.from(buffer.subarray(start, block.ends[slot])).toString();
          }),
        );
      }
      if (scanner.outcome === 'end') return rows;
    } while (block.rows === block.capacity);
    buffer.copyWithin(0, at, filled);
    filled -= at;
  }
}

describe('a literal is taken as its column reads it', () => {
  test.each([
    ['id', '7', '7'],
    ['id', '-7', '-7'],
    ['amount', '0.50', '0.50'],
    ['price', '-0.5', '-0.5'],
    ['action', "'it''s'", "it's"],
    ['action', "''", ''],
    ['action', "'back\\slash'", 'back\\slash'],
    ['action', "E'a\\tb\\\\'", 'a\tb\\'],
    ['action', '12.50', '12.50'],
    ['ok', 'TRUE', 'TRUE'],
    ['ok', 'false', 'false'],
    ['id', 'nUlL', null],
    ['ts', 'now()', 'now'],
    ['ts', 'NOW ( )', 'now'],
    ['day', 'current_timestamp', 'now'],
    ['ts', "timestamptz '2020-01-01'", '2020-01-01'],
    ['day', "'2020-01-01' :: date", '2020-01-01'],
    ['tag', "'x'::text", 'x'],
    ['payload', `'{"a":1}'::jsonb`, '{"a":1}'],
    ['amount', 'DEFAULT', null],
  ])('%s: %s', (column, literal, value) => {
    expect(scan(columnsNamed(column), `( ${literal} )`)).toEqual([[value]]);
  });
});

describe('for the grammar is', () => {
  test.each([
    ['id', '1.5'],
    ['id', '007'],
    ['id', '-0'],
    ['id', '- 7'],
    ['id', '+7'],
    ['id', '1e3'],
    ['id', '0x1F'],
    ['id', '1_000'],
    ['id', '1 + 1'],
    ['id', '(1)'],
    ['id', '$1'],
    ['id', "'1'::int"],
    ['id', 'true'],
    ['amount', '.5'],
    ['amount', '5.'],
    ['action', 'true'],
    ['action', "'a' 'b'"],
    ['action', "'a'\n'b'"],
    ['action', "E'\\x41'"],
    ['action', "E'\\''"],
    ['action', "U&'a'"],
    ['action', '$$a$$'],
    ['action', 'now()'],
    ['action', "'a' || 'b'"],
    ['action', "'a' -- why\n"],
    ['action', '"name"'],
    ['ok', '1'],
    ['ts', 'now() + 1'],
    ['ts', 'current_timestamp(3)'],
    ['day', "'x'::date::date"],
    ['tag', "'x'::varchar(3)"],
    ['id', 'NULL::int'],
    ['id', ''],
  ])('%s: %s', (column, literal) => {
    expect(scan(columnsNamed(column), `(${literal})`)).toBe('odd');
  });
  test.each(['(1),(1,2)', '(1,2)', '(1) (2)', '(1);(2)', '(1', "('1", '1', '(1),', '(1) RETURNING id', '()', ''])(
    '%s',
    (rows) => {
      expect(scan(columnsNamed('id'), rows)).toBe('odd');
    },
  );
});

test('rows are the same wherever the bytes are cut', () => {
  const columns = columnsNamed('id', 'action', 'ok', 'ts', 'price');
  const value = (...texts: string[]): fc.Arbitrary<string> => fc.constantFrom(...texts);
  const space = value('', '', ' ', '\n\t');
  const row = fc
    .tuple(
      value('1', '-12', 'null', "'5'"),
      value("'a'", "'it''s'", "E'\\\\x'", "''''''", "'é'", 'NULL', '3.25'),
      value('true', 'FALSE'),
      value('now()', "'2020-01-01'::timestamptz", "timestamptz'x'"),
      value('1.25', '0', '-0.5'),
      space,
      space,
    )
    .map(([a, b, c, d, e, s, t]) => `${s}(${a}${t},${s}${b} ,${c},${t}${d}${s},${e}${s})`);
  fc.assert(
    fc.property(
      fc.array(row, { minLength: 1, maxLength: 60 }),
      value('', ';', ' ;\n', ' '),
      fc.integer({ min: 1, max: 90 }),
      (rows, tail, window) => {
        const text = rows.join(',') + tail;
        const whole = scan(columns, text);
        expect(whole).toHaveLength(rows.length);
        expect(scan(columns, text, window)).toEqual(whole);
      },
    ),
  );
});

describe('the head of an INSERT', () => {
  const target = (text: string): unknown => {
    const sql = Buffer.from(text);
    const end = headEnd(sql);
    const head = end < 0 ? null : insertHead(sql, end);
    const found = head === null ? null : headTarget(head, view);
    return found === null ? null : [`${found.def.schema}.${found.def.name}`, ...found.columns.map((one) => one.name)];
  };
  test.each([
    ['INSERT INTO users VALUES (1)', ['public.users', 'id', 'name', 'Group']],
    ['  insert\ninto public.Users(id,"Group")values(1)', ['public.users', 'id', 'Group']],
    ['INSERT INTO other.pairs (b, a) VALUES', ['other.pairs', 'b', 'a']],
  ])('%s is plain', (text, found) => {
    expect(target(text)).toEqual(found);
  });
  test.each([
    'INSERT INTO users AS u VALUES (1)',
    'INSERT INTO users OVERRIDING USER VALUE VALUES (1)',
    'INSERT INTO users DEFAULT VALUES',
    'INSERT INTO users SELECT 1',
    'INSERT /* x */ INTO users VALUES (1)',
    'INSERT INTO users (id, id) VALUES (1, 1)',
    'INSERT INTO users (group) VALUES (1)',
    'INSERT INTO nobody VALUES (1)',
    'INSERT INTO pg_catalog.pg_class VALUES (1)',
    'INSERT INTO values VALUES (1)',
    'INSERT INTO user VALUES (1)',
    'WITH x AS (SELECT 1) INSERT INTO users VALUES (1)',
    'SELECT 1',
    '',
  ])('%s is for the grammar', (text) => {
    expect(target(text)).toBeNull();
  });
});
