/**
 * Random statements over random tables: one list of kinds with weights. To have the model try another statement, add its kind here.
 *
 * Where PostgreSQL's answer depends on the order in which it finds rows (which of several matches of a join, which row of a query is
 * taken by DO NOTHING), the statement is written so that it does not: totally ordered queries, joins over keys.
 */
import fc from 'fast-check';
import { byKey, condition, expression, where } from './expressions.ts';
import { isGenerated, literal, type Column, type Table, type Type } from './tables.ts';

export interface Statement {
  /** Name of its kind, for counts. */
  readonly kind: string;
  readonly sql: string;
  /** What goes after COPY … FROM STDIN. */
  readonly data?: string;
}

interface Kind {
  readonly name: string;
  readonly weight: number;
  /** @param table it changes @param other another one, or itself */
  readonly make: (table: Table, other: Table) => fc.Arbitrary<string | Pick<Statement, 'sql' | 'data'>>;
  /** Not for PGlite: it takes no COPY data in the process. */
  readonly needsServer?: boolean;
  /** Only in sequences of one session: it waits for whoever is at the table, and so do those that look on behind it. */
  readonly alone?: boolean;
}

const constant = (...texts: readonly string[]): fc.Arbitrary<string> => fc.constantFrom(...texts);
const given = (table: Table): readonly Column[] => table.columns.filter((column) => !isGenerated(column));
const names = (columns: readonly Column[]): string => columns.map(({ name }) => name).join(', ');

/** Columns that an INSERT names: all, or some with the key. */
function columnsOf(table: Table): fc.Arbitrary<readonly Column[]> {
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

function valuesClause(table: Table, rowsMax: number): fc.Arbitrary<{ columns: readonly Column[]; rows: string }> {
  return columnsOf(table).chain((columns) =>
    fc
      .array(fc.tuple(...columns.map((column) => valueOf(table, column))), { minLength: 1, maxLength: rowsMax })
      .map((rows) => ({ columns, rows: rows.map((row) => `(${row.join(', ')})`).join(', ') })),
  );
}

const returning = (row: string): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 3, arbitrary: constant('') },
    {
      weight: 1,
      arbitrary: constant(
        ` RETURNING ${row}*`,
        ` RETURNING ${row}k, ${row}n + 1 AS n1, upper(${row}s)`,
        ` RETURNING ${row}v`,
      ),
    },
  );

const insertValues = (table: Table): fc.Arbitrary<string> =>
  fc
    .tuple(valuesClause(table, 4), returning(''))
    .map(([{ columns, rows }, more]) => `INSERT INTO ${table.name} (${names(columns)}) VALUES ${rows}${more}`);

/** A query with the columns of `table`, over `other`, totally ordered. */
function sourceQuery(table: Table, other: Table): fc.Arbitrary<string> {
  const columns = given(table);
  return fc
    .tuple(fc.tuple(...columns.map((column) => castOf(column.type, other))), condition('o.'))
    .map(([list, when]) => {
      const order = columns.map((_, i) => i + 1).join(', ');
      return `SELECT ${list.join(', ')} FROM ${other.name} o WHERE ${when} ORDER BY ${order}`;
    });
}

function castOf(type: Type, other: Table): fc.Arbitrary<string> {
  const same = other.columns.find((column) => column.type === type);
  const computed: Readonly<Record<Type, readonly string[]>> = {
    int: ['o.n', 'o.n + 10', 'length(o.s)'],
    bigint: ['o.n', 'o.n * 100'],
    text: ['o.s', "o.s || '+'", 'o.n::text'],
    uuid: ["'33333333-0000-0000-0000-000000000003'::uuid"],
    'numeric(8,2)': ['o.v', 'o.n', 'o.v + 1'],
    date: ["date '2026-01-02' + o.n % 50"],
    timestamptz: ["timestamptz '2026-01-02 00:00:00Z'", 'NULL::timestamptz'],
    'varchar(4)': ['substr(o.s, 1, 3)', 'o.s'],
  };
  return constant(...(same === undefined ? [] : [`o.${same.name}`, `o.${same.name}`]), ...computed[type]);
}

const insertSelect = (table: Table, other: Table): fc.Arbitrary<string> =>
  fc
    .tuple(sourceQuery(table, other), returning(''))
    .map(([query, more]) => `INSERT INTO ${table.name} (${names(given(table))}) ${query}${more}`);

function assignments(table: Table, row: string, other: Table, keys: boolean): fc.Arbitrary<string> {
  const columns = given(table).filter(({ name }) => keys || !table.key.includes(name));
  return fc
    .subarray([...columns], { minLength: 1, maxLength: 3 })
    .chain((some) =>
      fc
        .tuple(
          ...some.map(({ name, type }) =>
            fc
              .oneof(
                { weight: 12, arbitrary: expression(type, row, other) },
                { weight: 1, arbitrary: constant('DEFAULT') },
              )
              .map((value) => `${name} = ${value}`),
          ),
        )
        .map((list) => list.join(', ')),
    );
}

const onConflict = (table: Table, other: Table): fc.Arbitrary<string> => {
  const target = table.key.length === 0 ? ' (n)' : ` (${table.key.join(', ')})`;
  const set = fc.oneof(
    constant(
      'n = excluded.n, s = excluded.s',
      'v = excluded.v',
      `n = ${table.name}.n + excluded.n`,
      `s = ${table.name}.s || excluded.s`,
    ),
    assignments(table, `${table.name}.`, other, false),
  );
  const when = fc.oneof(
    { weight: 3, arbitrary: constant('') },
    { weight: 1, arbitrary: condition(`${table.name}.`).map((text) => ` WHERE ${text}`) },
  );
  return fc.oneof(
    constant(' ON CONFLICT DO NOTHING', ` ON CONFLICT${target} DO NOTHING`),
    fc.tuple(set, when).map(([text, w]) => ` ON CONFLICT${target} DO UPDATE SET ${text}${w}`),
  );
};

/** A join of `t` with one row of `o` at most: over its whole key. */
function joined(table: Table, other: Table): fc.Arbitrary<string> {
  const key = other.columns[0]!;
  if (other.key.length === 1) {
    const like = table.columns.filter(({ type }) => type === key.type);
    return fc.oneof(
      ...like.map(({ name }) => constant(`o.k = t.${name}`)),
      literal(key.type, false).map((value) => `o.k = ${value}`),
    );
  }
  return constant('o.m = t.n', 'o.m < t.n');
}
const joinSource = (other: Table): string =>
  other.key.length === 1
    ? `${other.name} o`
    : `(SELECT max(n) AS m, max(n) AS n, max(s) AS s, max(v) AS v, max(d) AS d FROM ${other.name}) o`;

function joinedAssignments(table: Table): fc.Arbitrary<string> {
  return constant(
    'n = o.n',
    's = o.s, v = o.v',
    'n = t.n + o.n',
    's = t.s || o.s',
    `v = o.v * 2, n = ${table.columns.length}`,
  );
}

const KINDS: readonly Kind[] = [
  { name: 'INSERT VALUES', weight: 14, make: insertValues },
  { name: 'INSERT DEFAULT VALUES', weight: 1, make: (table) => constant(`INSERT INTO ${table.name} DEFAULT VALUES`) },
  { name: 'INSERT SELECT', weight: 4, make: insertSelect },
  {
    name: 'INSERT ON CONFLICT',
    weight: 9,
    make: (table, other) =>
      fc
        .tuple(valuesClause(table, 3), onConflict(table, other), returning(''))
        .map(
          ([{ columns, rows }, clause, more]) =>
            `INSERT INTO ${table.name} (${names(columns)}) VALUES ${rows}${clause}${more}`,
        ),
  },
  {
    name: 'INSERT SELECT ON CONFLICT',
    weight: 2,
    make: (table, other) =>
      fc
        .tuple(sourceQuery(table, other), onConflict(table, other), returning(''))
        .map(([query, clause, more]) => `INSERT INTO ${table.name} (${names(given(table))}) ${query}${clause}${more}`),
  },
  {
    name: 'UPDATE',
    weight: 12,
    make: (table, other) =>
      fc
        .tuple(assignments(table, '', other, false), where(table, '', other), returning(''))
        .map(([set, when, more]) => `UPDATE ${table.name} SET ${set} WHERE ${when}${more}`),
  },
  {
    name: 'UPDATE of the key',
    weight: 3,
    make: (table) =>
      fc
        .tuple(literal(table.columns[0]!.type), byKey(table, ''), returning(''))
        .map(([value, when, more]) => `UPDATE ${table.name} SET k = ${value} WHERE ${when}${more}`),
  },
  {
    name: 'UPDATE FROM',
    weight: 4,
    make: (table, other) =>
      fc
        .tuple(joinedAssignments(table), joined(table, other), returning('t.'))
        .map(([set, on, more]) => `UPDATE ${table.name} t SET ${set} FROM ${joinSource(other)} WHERE ${on}${more}`),
  },
  {
    name: 'DELETE',
    weight: 6,
    make: (table, other) =>
      fc
        .tuple(where(table, '', other), returning(''))
        .map(([when, more]) => `DELETE FROM ${table.name} WHERE ${when}${more}`),
  },
  {
    name: 'DELETE USING',
    weight: 3,
    make: (table, other) =>
      fc
        .tuple(joined(table, other), condition('t.'), returning('t.'))
        .map(
          ([on, when, more]) => `DELETE FROM ${table.name} t USING ${joinSource(other)} WHERE ${on} AND ${when}${more}`,
        ),
  },
  {
    name: 'MERGE',
    weight: 3,
    make: (table, other) =>
      fc
        .tuple(
          joined(table, other),
          joinedAssignments(table),
          fc.subarray([0, 1, 2], { minLength: 1 }),
          fc.tuple(...given(table).map(({ type }) => castOf(type, other))),
        )
        .map(([on, set, some, values]) => {
          const actions = [
            'WHEN MATCHED AND t.n = 1 THEN DELETE',
            `WHEN MATCHED THEN UPDATE SET ${set}`,
            `WHEN NOT MATCHED THEN INSERT (${names(given(table))}) VALUES (${values.join(', ').replaceAll(/o\.k2?\b/g, 'NULL')})`,
          ];
          return `MERGE INTO ${table.name} t USING ${joinSource(other)} ON ${on} ${some.map((i) => actions[i]).join(' ')}`;
        }),
  },
  {
    name: 'TRUNCATE',
    weight: 1,
    alone: true,
    make: (table) => constant(`TRUNCATE ${table.name}`, `TRUNCATE ${table.name} RESTART IDENTITY`),
  },
  {
    name: 'COPY',
    weight: 3,
    needsServer: true,
    make: (table) =>
      fc.array(fc.tuple(...given(table).map((column) => copyValue(table, column))), { maxLength: 4 }).map((rows) => ({
        sql: `COPY ${table.name} (${names(given(table))}) FROM STDIN`,
        data: rows.map((row) => `${row.join('\t')}\n`).join(''),
      })),
  },
  {
    name: 'SELECT',
    weight: 5,
    make: (table, other) =>
      fc.oneof(
        where(table, '', other).map((when) => `SELECT * FROM ${table.name} WHERE ${when}`),
        fc
          .tuple(condition('t.'))
          .map(([when]) => `SELECT t.n, o.n FROM ${table.name} t JOIN ${other.name} o ON t.s = o.s WHERE ${when}`),
        constant(
          `SELECT count(*), sum(n), min(s), max(v) FROM ${table.name}`,
          `SELECT s, count(*) FROM ${table.name} GROUP BY s`,
        ),
      ),
  },
  {
    name: 'SELECT FOR UPDATE',
    weight: 2,
    make: (table) =>
      fc
        .tuple(byKey(table, ''), constant('', ' NOWAIT', ' SKIP LOCKED'))
        .map(([when, how]) => `SELECT * FROM ${table.name} WHERE ${when} FOR UPDATE${how}`),
  },
  {
    name: 'ALTER TABLE',
    weight: 2,
    alone: true,
    make: (table) =>
      constant(
        `ALTER TABLE ${table.name} ADD COLUMN x int`,
        `ALTER TABLE ${table.name} ADD COLUMN x text DEFAULT 'new'`,
        `ALTER TABLE ${table.name} DROP COLUMN x`,
        `ALTER TABLE ${table.name} ALTER n TYPE bigint`,
        `ALTER TABLE ${table.name} ALTER v TYPE numeric(10,2)`,
        `ALTER TABLE ${table.name} ALTER n SET DEFAULT 4, ALTER s DROP NOT NULL`,
        `ALTER TABLE ${table.name} ALTER n SET NOT NULL`,
      ),
  },
  {
    name: 'sequence',
    weight: 1,
    make: (table) =>
      table.columns.some(isGenerated)
        ? constant(`SELECT nextval('${table.name}_g_seq')`, `SELECT currval('${table.name}_g_seq')`, 'SELECT lastval()')
        : constant('SELECT lastval()'),
  },
  {
    name: 'wrong',
    weight: 2,
    make: (table) =>
      constant(
        `SELECT nope FROM ${table.name}`,
        'SELECT * FROM nope',
        `INSERT INTO ${table.name} (nope) VALUES (1)`,
        `UPDATE ${table.name} SET nope = 1`,
        `UPDATE ${table.name} SET n = s`,
        `DELETE FROM ${table.name} WHERE n = 'x'`,
        `INSERT INTO ${table.name} (n) VALUES (1, 2)`,
        `INSERT INTO ${table.name} (n, n) VALUES (1, 2)`,
        `SELEC * FROM ${table.name}`,
        `INSERT INTO ${table.name} (n) SELECT s FROM ${table.name}`,
        `UPDATE ${table.name} SET n = 1 / 0`,
        `SELECT 1 / 0 FROM ${table.name}`,
        `SELECT n FROM ${table.name} GROUP BY s`,
        `UPDATE ${table.name} SET n = (SELECT n FROM ${table.name})`,
      ),
  },
];

function copyValue(table: Table, column: Column): fc.Arbitrary<string> {
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

const TRANSACTION: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: constant('BEGIN') },
  { weight: 2, arbitrary: constant('BEGIN ISOLATION LEVEL REPEATABLE READ') },
  { weight: 4, arbitrary: constant('COMMIT') },
  { weight: 2, arbitrary: constant('ROLLBACK') },
  { weight: 2, arbitrary: constant('SAVEPOINT one', 'SAVEPOINT two') },
  { weight: 2, arbitrary: constant('ROLLBACK TO one', 'ROLLBACK TO two') },
  { weight: 1, arbitrary: constant('RELEASE one', 'RELEASE two') },
);

/** Rows to begin with. */
export const firstRows = (table: Table): fc.Arbitrary<Statement> =>
  fc
    .array(fc.tuple(...given(table).map(({ type }) => literal(type, false))), { minLength: 2, maxLength: 6 })
    .map((rows) => ({
      kind: 'INSERT VALUES',
      sql: `INSERT INTO ${table.name} (${names(given(table))}) VALUES ${rows.map((row) => `(${row.join(', ')})`).join(', ')} ON CONFLICT DO NOTHING`,
    }));

export function anyStatement(tables: readonly Table[], ofServer: boolean, alone: boolean): fc.Arbitrary<Statement> {
  const kinds = KINDS.filter((kind) => (ofServer || kind.needsServer !== true) && (alone || kind.alone !== true)).map(
    ({ name, weight, make }) => ({
      weight,
      arbitrary: fc.constantFrom(...tables).chain((table) =>
        fc.constantFrom(...tables.filter((other) => other !== table), table).chain((other) =>
          make(table, other).map((made): Statement => ({
            kind: name,
            ...(typeof made === 'string' ? { sql: made } : made),
          })),
        ),
      ),
    }),
  );
  return fc.oneof(...kinds, {
    weight: 24,
    arbitrary: TRANSACTION.map((sql): Statement => ({ kind: 'transaction', sql })),
  });
}
