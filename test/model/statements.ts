/**
 * Random statements over random tables: one list of kinds with weights. To have the model try another statement, add its kind here.
 *
 * Where PostgreSQL's answer depends on the order in which it finds rows (which of several matches of a join, which row of a query is
 * taken by DO NOTHING), the statement is written so that it does not: totally ordered queries, joins over keys.
 */
import fc from 'fast-check';
import { cursor, definitions, lockTable, modifyingWith, pipelined } from './composed.ts';
import type { StepWithValues } from '../differential/wire.ts';
import { byKey, condition, expression, where } from './expressions.ts';
import { isGenerated, literal, type Table, type Type } from './tables.ts';
import { columnsOf, constant, copyValue, given, names, valuesClause } from './values.ts';

export interface Statement {
  /** Name of its kind, for counts. */
  readonly kind: string;
  readonly sql: string;
  /** What goes after COPY … FROM STDIN. */
  readonly data?: string;
  /** Through the extended protocol, with these values. */
  readonly values?: readonly (string | null)[];
  /** Before one Sync. */
  readonly group?: readonly StepWithValues[];
  /** The tables that it may change; none: those of the whole transaction. */
  readonly changes: readonly string[];
}
type Made = Pick<Statement, 'sql' | 'data' | 'values' | 'group'>;

interface Kind {
  readonly name: string;
  readonly weight: number;
  /** @param table it changes @param other another one, or itself */
  readonly make: (table: Table, other: Table) => fc.Arbitrary<string | Made>;
  /** It changes no rows. */
  readonly reads?: boolean;
  /** Only in sequences of one session: it waits for whoever is at the table, and so do those that look on behind it. */
  readonly alone?: boolean;
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

/** A number of its own in place of the identity's, at times. */
const overriding = (table: Table): fc.Arbitrary<string> =>
  table.columns.some(isGenerated)
    ? constant('', '', ' OVERRIDING SYSTEM VALUE', ' OVERRIDING USER VALUE')
    : constant('');

const insertValues = (table: Table): fc.Arbitrary<string> =>
  fc
    .tuple(valuesClause(table, 4), overriding(table), returning(''))
    .map(
      ([{ columns, rows }, whose, more]) =>
        `INSERT INTO ${table.name} (${names(columns)})${whose} VALUES ${rows}${more}`,
    );

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

/** Most are about a column `x` that comes and goes; `d` is also `e` at times. */
const ALTERATIONS = [
  'ADD COLUMN x int',
  "ADD COLUMN x text DEFAULT 'new'",
  'ADD COLUMN IF NOT EXISTS x int NOT NULL DEFAULT 7',
  'ADD COLUMN x real DEFAULT 1.5',
  'ADD COLUMN x int NOT NULL',
  'DROP COLUMN x',
  'DROP COLUMN IF EXISTS x',
  'ALTER x TYPE bigint',
  'ALTER x TYPE double precision',
  'ALTER x SET NOT NULL',
  'ALTER x DROP NOT NULL',
  'RENAME x TO y',
  'RENAME y TO x',
  'RENAME d TO e',
  'RENAME e TO d',
  'ALTER n TYPE bigint',
  'ALTER v TYPE numeric(10,2)',
  'ALTER n SET DEFAULT 4, ALTER s DROP NOT NULL',
  'ALTER n SET DEFAULT 2 + 3',
  'ALTER n SET NOT NULL',
  'ALTER n DROP NOT NULL, ALTER n DROP DEFAULT',
  'ALTER s SET NOT NULL, ADD COLUMN y int',
  'DROP COLUMN y',
  'DROP COLUMN nope',
] as const;

/** COPY FROM STDIN: of all columns or some, with a condition at times, as text or CSV. */
function copy(table: Table): fc.Arbitrary<Made> {
  const lists = fc.oneof(fc.constant(given(table)), columnsOf(table));
  // PostgreSQL 15 answers XX000 to NOT (…) here
  const copied = condition('').filter((text) => !text.startsWith('NOT'));
  const when = fc.oneof(
    { weight: 2, arbitrary: constant('') },
    { weight: 1, arbitrary: copied.map((text) => ` WHERE ${text}`) },
  );
  return fc.tuple(lists, when, fc.boolean()).chain(([columns, where, csv]) =>
    fc.array(fc.tuple(...columns.map((column) => copyValue(table, column))), { maxLength: 4 }).map((rows) => ({
      sql: `COPY ${table.name} (${names(columns)}) FROM STDIN${csv ? String.raw` (FORMAT csv, NULL '\N')` : ''}${where}`,
      data: rows.map((row) => `${row.join(csv ? ',' : '\t')}\n`).join(''),
    })),
  );
}

/** Parameters in place of values, as drivers send them. */
function prepared(table: Table): fc.Arbitrary<StepWithValues> {
  const value = (type: Type, nulls = true): fc.Arbitrary<string | null> =>
    literal(type, nulls).map((text) => (text === 'NULL' ? null : text.replaceAll("'", '')));
  const all = given(table);
  const key = table.key.length > 0 ? table.key : ['k'];
  const keyValues = fc.tuple(...key.map((name) => value(all.find((column) => column.name === name)!.type, false)));
  const byParameters = (from: number): string => key.map((name, i) => `${name} = $${from + i}`).join(' AND ');
  return fc.oneof(
    fc
      .tuple(
        fc.tuple(...all.map(({ name, type }) => value(type, !table.key.includes(name)))),
        constant('', '', conflictOf(table)),
        returning(''),
      )
      .map(([values, clause, more]) => ({
        sql: `INSERT INTO ${table.name} (${names(all)}) VALUES (${all.map((_, i) => `$${i + 1}`).join(', ')})${clause}${more}`,
        values,
      })),
    fc.tuple(value('int'), value('text'), keyValues, returning('')).map(([n, s, keys, more]) => ({
      sql: `UPDATE ${table.name} SET n = n + $1, s = $2 WHERE ${byParameters(3)}${more}`,
      values: [n, s, ...keys],
    })),
    fc.tuple(keyValues, value('int')).map(([keys, n]) => ({
      sql: `DELETE FROM ${table.name} WHERE ${byParameters(1)} AND n > $${keys.length + 1}`,
      values: [...keys, n],
    })),
    keyValues.map((keys) => ({ sql: `SELECT * FROM ${table.name} WHERE ${byParameters(1)}`, values: keys })),
  );
}
const conflictOf = (table: Table): string =>
  table.key.length === 0
    ? ' ON CONFLICT DO NOTHING'
    : ` ON CONFLICT (${table.key.join(', ')}) DO UPDATE SET n = excluded.n, s = excluded.s`;

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
    name: 'UPDATE of many keys',
    weight: 1,
    make: (table) =>
      condition('').map((when) =>
        /^(int|bigint)$/.test(table.columns[0]!.type)
          ? `UPDATE ${table.name} SET k = k + 100 WHERE k BETWEEN 0 AND 50 AND ${when}`
          : `UPDATE ${table.name} SET n = n + 1, s = upper(s) WHERE ${when}`,
      ),
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
          // numbers of a sequence would go to rows in the order of the join
          fc.subarray(table.columns.some(isGenerated) ? [0, 1, 2] : [0, 1, 2, 3, 4], { minLength: 1 }),
          fc.tuple(...given(table).map(({ type }) => castOf(type, other))),
        )
        .map(([on, set, some, values]) => {
          const insert = `INSERT (${names(given(table))}) VALUES (${values.join(', ').replaceAll(/o\.k2?\b/g, 'NULL')})`;
          const actions = [
            'WHEN MATCHED AND t.n = 1 THEN DELETE',
            `WHEN MATCHED AND t.s > 'b' THEN DO NOTHING`,
            `WHEN MATCHED THEN UPDATE SET ${set}`,
            'WHEN NOT MATCHED AND o.n > 5 THEN DO NOTHING',
            `WHEN NOT MATCHED THEN ${insert}`,
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
  { name: 'WITH that writes', weight: 5, alone: true, make: modifyingWith },
  { name: 'definition', weight: 6, alone: true, reads: true, make: () => definitions },
  { name: 'LOCK TABLE', weight: 2, reads: true, make: lockTable },
  { name: 'cursor', weight: 6, reads: true, make: cursor },
  { name: 'pipelined', weight: 4, make: (table) => pipelined(prepared(table), table) },
  { name: 'COPY', weight: 3, make: copy },
  { name: 'prepared', weight: 8, make: (table) => prepared(table) },
  {
    name: 'several',
    weight: 3,
    make: (table, other) =>
      fc
        .array(
          fc.oneof(
            insertValues(table),
            where(table, '', other).map((when) => `DELETE FROM ${table.name} WHERE ${when}`),
            fc
              .tuple(assignments(table, '', other, false), byKey(table, ''))
              .map(([set, when]) => `UPDATE ${table.name} SET ${set} WHERE ${when}`),
            constant('SAVEPOINT one', 'COMMIT', 'BEGIN', 'ROLLBACK', `SELECT sum(n) FROM ${other.name}`),
          ),
          { minLength: 2, maxLength: 3 },
        )
        .map((list) => list.join('; ')),
  },
  {
    name: 'CREATE TABLE AS',
    weight: 1,
    alone: true,
    make: (table) =>
      fc.oneof(
        where(table, '', table).map(
          (when) => `CREATE TABLE made AS SELECT k, n, s, v FROM ${table.name} WHERE ${when}`,
        ),
        constant(
          'SELECT * FROM made',
          'SELECT * FROM made',
          'DROP TABLE made',
          `INSERT INTO made SELECT k, n, s, v FROM ${table.name} RETURNING *`,
          'UPDATE made SET n = n + 1 RETURNING k, n',
        ),
      ),
  },
  {
    name: 'SELECT',
    weight: 5,
    reads: true,
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
    reads: true,
    make: (table) =>
      fc
        .tuple(byKey(table, ''), constant('', ' NOWAIT', ' SKIP LOCKED'))
        .map(([when, how]) => `SELECT * FROM ${table.name} WHERE ${when} FOR UPDATE${how}`),
  },
  {
    name: 'ALTER TABLE',
    weight: 3,
    alone: true,
    make: ({ name }) => constant(...ALTERATIONS.map((what) => `ALTER TABLE ${name} ${what}`)),
  },
  {
    name: 'RENAME TABLE',
    weight: 1,
    alone: true,
    make: ({ name }) =>
      constant(
        `ALTER TABLE ${name} RENAME TO other_${name}`,
        `ALTER TABLE IF EXISTS other_${name} RENAME TO ${name}`,
        `ALTER TABLE IF EXISTS other_${name} RENAME TO ${name}`,
      ),
  },
  {
    name: 'sequence',
    weight: 1,
    reads: true,
    make: (table) =>
      table.columns.some(isGenerated)
        ? constant(
            `SELECT nextval('${table.name}_g_seq')`,
            `SELECT setval('${table.name}_g_seq', 500)`,
            `SELECT currval('${table.name}_g_seq')`,
            'SELECT lastval()',
          )
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

const TRANSACTION: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: constant('BEGIN') },
  { weight: 2, arbitrary: constant('BEGIN ISOLATION LEVEL REPEATABLE READ') },
  {
    weight: 1,
    arbitrary: constant('BEGIN READ ONLY', 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ', 'COMMIT AND CHAIN'),
  },
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
      changes: [table.name],
      sql: `INSERT INTO ${table.name} (${names(given(table))}) VALUES ${rows.map((row) => `(${row.join(', ')})`).join(', ')} ON CONFLICT DO NOTHING`,
    }));

export function anyStatement(tables: readonly Table[], alone: boolean): fc.Arbitrary<Statement> {
  const kinds = KINDS.filter((kind) => alone || kind.alone !== true).map(({ name, weight, make, reads }) => ({
    weight,
    arbitrary: fc.constantFrom(...tables).chain((table) =>
      fc.constantFrom(...tables.filter((other) => other !== table), table).chain((other) =>
        make(table, other).map((made): Statement => ({
          kind: name,
          changes: reads === true ? [] : [table.name],
          ...(typeof made === 'string' ? { sql: made } : made),
        })),
      ),
    ),
  }));
  const all = tables.map(({ name }) => name);
  return fc.oneof(...kinds, {
    weight: 24,
    arbitrary: TRANSACTION.map((sql): Statement => ({ kind: 'transaction', sql, changes: all })),
  });
}
