/** Random expressions and conditions over a table's columns. None depends on the order in which rows are found. */
import fc from 'fast-check';
import { literal, type Table, type Type } from './tables.ts';

const int = literal('int');
const small = fc.constantFrom('1', '2', '3');

/** What may stand for a value of a type where `row` names the row's columns: `t.` or nothing. */
export function expression(type: Type, row: string, other: Table): fc.Arbitrary<string> {
  const plain = literal(type);
  return fc.oneof(
    { weight: 5, arbitrary: plain },
    { weight: 4, arbitrary: computed(type, row) },
    { weight: 1, arbitrary: subquery(type, other) },
  );
}

function computed(type: Type, row: string): fc.Arbitrary<string> {
  switch (type) {
    case 'int':
    case 'bigint':
      return fc.oneof(
        fc.constantFrom(
          `${row}n`,
          `-${row}n`,
          `abs(${row}n)`,
          `length(${row}s)`,
          `coalesce(${row}n, 7)`,
          `10 / ${row}n`,
        ),
        small.map((by) => `${row}n + ${by}`),
        small.map((by) => `${row}n * ${by}`),
        small.map((by) => `${row}n % ${by}`),
        fc.tuple(condition(row), int, int).map(([when, a, b]) => `CASE WHEN ${when} THEN ${a} ELSE ${b} END`),
      );
    case 'text':
    case 'varchar(4)':
      return fc.oneof(
        fc.constantFrom(
          `${row}s`,
          `upper(${row}s)`,
          `${row}s || 'y'`,
          `coalesce(${row}s, 'z')`,
          `${row}n::text`,
          `substr(${row}s, 1, 2)`,
        ),
        literal('text', false).map((text) => `${text} || ${row}s`),
      );
    case 'numeric(8,2)':
      return fc.constantFrom(
        `${row}v`,
        `${row}v + 1`,
        `${row}v * 2`,
        `${row}n`,
        `round(${row}v, 1)`,
        `coalesce(${row}v, 0.5)`,
        `-${row}v`,
      );
    case 'date':
    case 'timestamptz':
      return fc.constantFrom(`${row}d`, `greatest(${row}d, ${row}d)`);
    case 'uuid':
      return literal('uuid');
  }
}

function subquery(type: Type, other: Table): fc.Arbitrary<string> {
  switch (type) {
    case 'int':
    case 'bigint':
      return fc.constantFrom(
        `(SELECT max(n) FROM ${other.name})`,
        `(SELECT count(*) FROM ${other.name})`,
        `(SELECT n FROM ${other.name})`,
      );
    case 'text':
      return fc.constantFrom(`(SELECT min(s) FROM ${other.name})`, `(SELECT s FROM ${other.name} WHERE n = 1)`);
    case 'numeric(8,2)':
      return fc.constant(`(SELECT sum(v) FROM ${other.name})`);
    case 'date':
    case 'timestamptz':
      return fc.constant(`(SELECT max(d) FROM ${other.name})`);
    default:
      return literal(type);
  }
}

export function condition(row: string): fc.Arbitrary<string> {
  return fc.oneof(
    int.map((value) => `${row}n = ${value}`),
    literal('int', false).map((value) => `${row}n > ${value}`),
    fc.tuple(small, small).map(([a, b]) => `${row}n BETWEEN ${a} AND ${a} + ${b}`),
    literal('text', false).map((value) => `${row}s = ${value}`),
    fc.constantFrom(
      `${row}s LIKE 'a%'`,
      `${row}s IS NULL`,
      `${row}n IS NOT NULL`,
      `${row}v > 1`,
      `${row}n % 2 = 0`,
      'true',
    ),
    fc.tuple(int, int).map(([a, b]) => `(${row}n = ${a} OR ${row}n = ${b})`),
    literal('text', false).map((value) => `NOT (${row}s = ${value})`),
  );
}

/** Which rows: by key, by a condition, by another table. */
export function where(table: Table, row: string, other: Table): fc.Arbitrary<string> {
  const key = table.columns[0]!;
  return fc.oneof(
    { weight: 6, arbitrary: byKey(table, row) },
    { weight: 4, arbitrary: condition(row) },
    {
      weight: 1,
      arbitrary: fc
        .array(literal(key.type, false), { minLength: 1, maxLength: 3 })
        .map((list) => `${row}k IN (${list.join(', ')})`),
    },
    { weight: 1, arbitrary: fc.tuple(condition(row), condition(row)).map(([a, b]) => `${a} AND ${b}`) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        `${row}n IN (SELECT n FROM ${other.name})`,
        `EXISTS (SELECT 1 FROM ${other.name} o WHERE o.n = ${row === '' ? `${table.name}.` : row}n)`,
        `NOT EXISTS (SELECT 1 FROM ${other.name} o WHERE o.s = ${row === '' ? `${table.name}.` : row}s)`,
        `${row}n = (SELECT max(n) FROM ${other.name})`,
      ),
    },
  );
}

/** One row by its whole key. */
export function byKey(table: Table, row: string): fc.Arbitrary<string> {
  const names = table.key.length > 0 ? table.key : ['k'];
  return fc
    .tuple(...names.map((name) => literal(table.columns.find((column) => column.name === name)!.type, false)))
    .map((values) => values.map((value, i) => `${row}${names[i]} = ${value}`).join(' AND '));
}
