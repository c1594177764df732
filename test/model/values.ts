/** Values of a table's columns as statements name them: literals, expressions of constants, wrong ones; lists of columns, rows of VALUES and of COPY. */
import fc from 'fast-check';
import { isGenerated, literal, type Column, type Table, type Type } from './tables.ts';

export const constant = (...texts: readonly string[]): fc.Arbitrary<string> => fc.constantFrom(...texts);
export const given = (table: Table): readonly Column[] => table.columns.filter((column) => !isGenerated(column));
export const names = (columns: readonly Column[]): string => columns.map(({ name }) => name).join(', ');

/** Columns that an INSERT names: all, or some with the key. */
export function columnsOf(table: Table): fc.Arbitrary<readonly Column[]> {
  const all = given(table);
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant(all) },
    { weight: 1, arbitrary: fc.constant(table.columns) },
    {
      weight: 1,
      arbitrary: fc
        .subarray([...all])
        .map((some) => all.filter((column) => some.includes(column) || table.key.includes(column.name))),
    },
  );
}

/** A value of VALUES; a key is NULL seldom. */
function valueOf(table: Table, column: Column): fc.Arbitrary<string> {
  const isKey = table.key.includes(column.name);
  const plain = literal(column.type, !isKey);
  return fc.oneof(
    { weight: 60, arbitrary: plain },
    { weight: isKey ? 0 : 2, arbitrary: constant('DEFAULT') },
    { weight: isKey ? 0 : 1, arbitrary: constant('NULL') },
    { weight: 1, arbitrary: wrongValue(column.type) },
    { weight: 2, arbitrary: constantExpression(column.type) },
  );
}

function wrongValue(type: Type): fc.Arbitrary<string> {
  return constant(
    ...{
      int: ["'x'", '99999999999', '1 / 0'],
      bigint: ["'1.5'", "'99999999999999999999'"],
      text: ["'a' || NULL"],
      uuid: ["'no uuid'"],
      'numeric(8,2)': ["'1,5'", '1234567.89'],
      date: ["'2026-13-01'", "'today or so'"],
      timestamptz: ["'2026-01-01 25:00'", "''"],
      'varchar(4)': ["'too long'"],
    }[type],
  );
}

function constantExpression(type: Type): fc.Arbitrary<string> {
  return constant(
    ...{
      int: ['1 + 1', "length('abc')", '7 / 2'],
      bigint: ['2::bigint * 3'],
      text: ["upper('ab')", "'a' || 'b'"],
      uuid: ["'11111111-0000-0000-0000-000000000001'::uuid"],
      'numeric(8,2)': ['1.5 + 1', 'round(2.345, 2)'],
      date: ["date '2026-01-01' + 1"],
      timestamptz: ["timestamptz '2026-01-01 00:00:00Z'"],
      'varchar(4)': ["'a' || 'b'"],
    }[type],
  );
}

export function valuesClause(
  table: Table,
  rowsMax: number,
): fc.Arbitrary<{ columns: readonly Column[]; rows: string }> {
  return columnsOf(table).chain((columns) =>
    fc
      .array(fc.tuple(...columns.map((column) => valueOf(table, column))), { minLength: 1, maxLength: rowsMax })
      .map((rows) => ({ columns, rows: rows.map((row) => `(${row.join(', ')})`).join(', ') })),
  );
}

export function copyValue(table: Table, column: Column): fc.Arbitrary<string> {
  const isKey = table.key.includes(column.name);
  return fc.oneof(
    {
      weight: 20,
      arbitrary: literal(column.type, !isKey).map((text) =>
        text === 'NULL' ? String.raw`\N` : text.replaceAll("'", ''),
      ),
    },
    { weight: 1, arbitrary: constant(String.raw`\N`, 'x', '') },
  );
}
