/**
 * Statements made of statements: WITH whose parts write, groups of extended messages before one Sync, cursors and what is fetched from
 * them, and locks of whole tables. As in `statements.ts`, no answer may depend on the order in which rows are found.
 */
import fc from 'fast-check';
import { byKey, condition, where } from './expressions.ts';
import { literal, type Table } from './tables.ts';
import { constant, given, names } from './values.ts';

/** One row for `table`, from rows of `source`, which has columns n, s and v. */
function oneRow(table: Table, source: string): fc.Arbitrary<string> {
  const columns = given(table);
  const made: Readonly<Record<string, string>> = { n: 'max(w.n)', s: 'min(w.s)', v: 'sum(w.v)' };
  return fc
    .tuple(...columns.map(({ name, type }) => (made[name] === undefined ? literal(type, false) : constant(made[name]))))
    .map((values) => {
      const typed = values.map((value, i) => (value.startsWith("'") ? `${value}::${columns[i]!.type}` : value));
      return `INSERT INTO ${table.name} (${names(columns)}) SELECT ${typed.join(', ')} FROM ${source} w`;
    });
}

/** WITH parts that write; `table` and `other` are written in one statement only where they are two. */
export function modifyingWith(table: Table, other: Table): fc.Arbitrary<string> {
  const set = constant('n = n + 1', "s = s || '+'", 'v = v + 1, n = 3');
  const removed = where(table, '', table).map((when) => `DELETE FROM ${table.name} WHERE ${when} RETURNING *`);
  const changed = fc
    .tuple(set, where(table, '', table))
    .map(([what, when]) => `UPDATE ${table.name} SET ${what} WHERE ${when} RETURNING *`);
  const part = fc.oneof(removed, changed);
  const alone = part.chain((text) =>
    constant(
      `WITH w AS (${text}) SELECT * FROM w`,
      `WITH w AS (${text}) SELECT count(*), sum(n), max(s) FROM w`,
      `WITH w AS (${text}) SELECT w.n, t.n, t.s FROM w JOIN ${table.name} t ON t.k = w.k`,
      `WITH w AS (${text}) SELECT n FROM ${table.name} UNION ALL SELECT n FROM w`,
      `WITH w AS (${text.replace(/ RETURNING \*$/, '')}) SELECT count(*), sum(n) FROM ${table.name}`,
    ),
  );
  if (table === other) return alone;
  return fc.oneof(
    alone,
    fc.tuple(part, oneRow(other, 'w')).map(([text, insert]) => `WITH w AS (${text}) ${insert} RETURNING *`),
    fc
      .tuple(oneRow(other, other.name), set, condition(''))
      .map(
        ([insert, what, when]) =>
          `WITH i AS (${insert} RETURNING n) UPDATE ${table.name} SET ${what} WHERE ${when} AND EXISTS (SELECT 1 FROM i) RETURNING *`,
      ),
    fc
      .tuple(condition(''), condition(''))
      .map(
        ([a, b]) =>
          `WITH q AS (SELECT n FROM ${other.name} WHERE ${a}), w AS (DELETE FROM ${table.name} WHERE n IN (SELECT n FROM q) AND ${b} RETURNING n), ` +
          `x AS (UPDATE ${other.name} SET n = n + 1 WHERE n IN (SELECT n FROM w)) SELECT count(*), sum(n) FROM w`,
      ),
    fc
      .tuple(condition(''), byKey(other, ''))
      .map(
        ([when, key]) =>
          `WITH w AS (UPDATE ${table.name} SET n = n + 1 WHERE ${when} RETURNING n), x AS (DELETE FROM ${other.name} WHERE ${key} RETURNING n) ` +
          'SELECT (SELECT sum(n) FROM w), (SELECT sum(n) FROM x)',
      ),
  );
}

/** A cursor with rows in a total order, and what is done with it. */
export function cursor(table: Table, other: Table): fc.Arbitrary<string> {
  const order = table.columns.map((_, i) => i + 1).join(', ');
  const name = constant('one', 'two');
  const declared = fc
    .tuple(
      name,
      // what neither says is the plan's to decide
      constant(' NO SCROLL', ' SCROLL', ' SCROLL'),
      constant('', '', ' WITH HOLD'),
      where(table, '', other),
    )
    .map(
      ([of, scroll, hold, when]) =>
        `DECLARE ${of}${scroll} CURSOR${hold} FOR SELECT * FROM ${table.name} WHERE ${when} ORDER BY ${order}`,
    );
  const moved = fc
    .tuple(
      constant('FETCH', 'FETCH', 'MOVE'),
      constant('', '2', 'ALL', '0', 'FORWARD 3', 'PRIOR', 'BACKWARD 2', 'FIRST', 'LAST', 'ABSOLUTE 2', 'RELATIVE -1'),
      name,
    )
    .map(([what, how, of]) => `${what} ${how} FROM ${of}`.replace('  ', ' '));
  return fc.oneof(
    { weight: 3, arbitrary: declared },
    { weight: 6, arbitrary: moved },
    { weight: 1, arbitrary: constant('CLOSE one', 'CLOSE two', 'CLOSE ALL') },
  );
}

/** Relations that come and go, with names that are free or taken. */
export const definitions: fc.Arbitrary<string> = constant(
  'CREATE TABLE extra (k int PRIMARY KEY, v text)',
  'CREATE TABLE extra (k serial, v text NOT NULL)',
  'DROP TABLE extra',
  'DROP TABLE IF EXISTS extra',
  "INSERT INTO extra VALUES (1, 'a'), (2, 'b')",
  "INSERT INTO extra (v) VALUES ('c') RETURNING *",
  "UPDATE extra SET v = v || '+' RETURNING *",
  'DELETE FROM extra WHERE k = 1',
  'SELECT * FROM extra',
  'SELECT count(*) FROM extra',
  'TRUNCATE extra RESTART IDENTITY',
  'ALTER TABLE extra RENAME TO renamed',
  'ALTER TABLE renamed RENAME TO extra',
  'ALTER TABLE extra ADD COLUMN w int DEFAULT 5',
  'ALTER TABLE extra DROP COLUMN w',
  'CREATE INDEX extra_v ON extra (v, k)',
  "SELECT k FROM extra WHERE v = ANY('{a,b,b+}') ORDER BY k",
  'REINDEX TABLE extra',
  'DROP INDEX extra_v',
  'CREATE SEQUENCE numbers START 5',
  'ALTER SEQUENCE numbers RESTART WITH 20 INCREMENT 2',
  'ALTER SEQUENCE numbers RENAME TO more_numbers',
  'ALTER SEQUENCE more_numbers RENAME TO numbers',
  "SELECT nextval('numbers')",
  "SELECT setval('numbers', 40)",
  'DROP SEQUENCE numbers',
  'CREATE VIEW seen AS SELECT k, v FROM extra',
  'SELECT * FROM seen',
  'DROP VIEW seen',
);

/** Modes that let others read, so that who looks on is not held up. */
export const lockTable = ({ name }: Table): fc.Arbitrary<string> =>
  fc
    .tuple(
      constant(
        'ROW SHARE',
        'ROW EXCLUSIVE',
        'SHARE UPDATE EXCLUSIVE',
        'SHARE',
        'SHARE ROW EXCLUSIVE',
        'EXCLUSIVE',
        'EXCLUSIVE',
      ),
      constant('', '', ' NOWAIT'),
    )
    .map(([mode, how]) => `LOCK TABLE ${name} IN ${mode} MODE${how}`);

type Grouped = { readonly sql: string; readonly values: readonly (string | null)[] };

/** Several statements before one Sync: they are one transaction, unless they begin or end one. */
export function pipelined(
  prepared: fc.Arbitrary<Grouped>,
  table: Table,
): fc.Arbitrary<{ readonly sql: string; readonly group: readonly Grouped[] }> {
  const plain = fc
    .oneof(
      { weight: 3, arbitrary: constant('BEGIN', 'COMMIT', 'SAVEPOINT one', 'ROLLBACK TO one', 'ROLLBACK') },
      { weight: 1, arbitrary: constant('SELECT 1 / 0', `SELECT count(*), sum(n) FROM ${table.name}`) },
    )
    .map((sql): Grouped => ({ sql, values: [] }));
  return fc
    .array(fc.oneof({ weight: 5, arbitrary: prepared }, { weight: 1, arbitrary: plain }), {
      minLength: 2,
      maxLength: 4,
    })
    .map((group) => ({
      sql: group
        .map(({ sql, values }) => (values.length === 0 ? sql : `${sql} -- ${JSON.stringify(values)}`))
        .join(' | '),
      group,
    }));
}
