import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DuckDBConnection } from '@duckdb/node-api';
import { Oid } from '../../src/types/pg-type.ts';
import { openDuck, plan, planOf, refusal, rowsOf } from './world.ts';

let duck: DuckDBConnection;
beforeAll(async () => {
  duck = await openDuck();
});
afterAll(() => {
  duck.closeSync();
});

const values = (sql: string): unknown => {
  const statement = plan(sql);
  return statement.kind === 'insert' && statement.source.kind === 'values' ? statement.source.rows : statement;
};

test('VALUES of constants, parameters, DEFAULT, NULL and now() go straight to the columns', () => {
  const statement = plan(
    "INSERT INTO events (id, ts, action, ok, price) VALUES ($1, now(), 'x'::text, true, -1.5), (2.5, DEFAULT, NULL, 'f', 1e3)",
  );
  expect(statement).toMatchObject({
    kind: 'insert',
    fieldIds: [1, 2, 4, 10, 6],
    parameterOids: [Oid.int8],
    source: {
      kind: 'values',
      rows: [
        [
          { kind: 'parameter', index: 1 },
          { kind: 'now' },
          { kind: 'text', text: 'x' },
          { kind: 'text', text: 'true' },
          { kind: 'text', text: '-1.5' },
        ],
        [
          { kind: 'text', text: '3' },
          { kind: 'default' },
          { kind: 'null' },
          { kind: 'text', text: 'f' },
          { kind: 'text', text: '1000' },
        ],
      ],
    },
  });
});

test('arithmetic of integer constants and || of texts are constants, but for what may be an error or of another type', () => {
  const rows = (list: string): unknown => values(`INSERT INTO events (id, action) VALUES (${list})`);
  const texts = (id: string, action: string) => [
    [
      { kind: 'text', text: id },
      { kind: 'text', text: action },
    ],
  ];
  expect(rows("1 + 2 * -3, 'a' || 'b' || 'c'")).toMatchObject(texts('-5', 'abc'));
  expect(rows("-7 / 2 - -7 % 3, 'x'")).toMatchObject(texts('-2', 'x'));
  for (const left of ["1 / 0, 'x'", "2147483647 + 1, 'x'", "1 + 2147483648, 'x'", "1.5 + 1, 'x'", "1, 'a' || 1"])
    expect(rows(left)).not.toBeInstanceOf(Array);
});

test('fewer values than columns fill the first ones; DEFAULT VALUES fills none', () => {
  expect(plan('INSERT INTO users VALUES (1)')).toMatchObject({ fieldIds: [1] });
  expect(values('INSERT INTO users DEFAULT VALUES')).toEqual([
    [{ kind: 'default' }, { kind: 'default' }, { kind: 'default' }],
  ]);
});

test.each([
  ['INSERT INTO nope VALUES (1)', '42P01 relation "nope" does not exist @13'],
  ['INSERT INTO users (id, x) VALUES (1, 2)', '42703 column "x" of relation "users" does not exist @24'],
  ['INSERT INTO users (id, id) VALUES (1, 2)', '42701 column "id" specified more than once @24'],
  ['INSERT INTO users VALUES (1, 2, 3, 4)', '42601 INSERT has more expressions than target columns @36'],
  ['INSERT INTO users (id, name) VALUES (1)', '42601 INSERT has more target columns than expressions @24'],
  ['INSERT INTO users VALUES (1), (2, 3)', '42601 VALUES lists must all be the same length @32'],
  [
    'INSERT INTO events (id, ok) VALUES (1, 1)',
    '42804 column "ok" is of type boolean but expression is of type integer @40',
  ],
  [
    'INSERT INTO users VALUES (1) ON CONFLICT (name) DO NOTHING',
    '42P10 there is no unique or exclusion constraint matching the ON CONFLICT specification',
  ],
  [
    'INSERT INTO users VALUES (1) RETURNING (SELECT max(id) FROM users)',
    '0A000 a subquery over the table itself in RETURNING is not supported',
  ],
  ['INSERT INTO arka.tiers VALUES (1)', '42809 cannot insert into view "tiers"'],
  ['DELETE FROM pg_class', '42501 permission denied for table pg_class'],
  ['UPDATE events SET nope = 1', '42703 column "nope" of relation "events" does not exist @19'],
  ['UPDATE events SET ok = 1', '42804 column "ok" is of type boolean but expression is of type integer @24'],
  ['UPDATE events SET ok = id', '42804 column "ok" is of type boolean but expression is of type bigint'],
  [
    'UPDATE events SET id = 1 FROM (SELECT id * 1.5 AS x FROM users) AS s RETURNING s.x',
    '0A000 RETURNING of columns of "s", which has an expression of type numeric in column "x", is not supported @80',
  ],
  ['DELETE FROM events WHERE id', '42804 argument of WHERE must be type boolean, not type bigint @26'],
  ['DELETE FROM events WHERE id = action', '42883 operator does not exist: bigint = text @29'],
])('%s is refused: %s', (sql, error) => {
  expect(refusal(sql)).toBe(error);
});

test('expressions in VALUES are PostgreSQL’s to evaluate, each cast to its column; DEFAULT is worked out with the row', () => {
  const plan_ = planOf("INSERT INTO other.pairs VALUES (1 + 1.5, 'a' || 'b', DEFAULT, DEFAULT), (3, 'c', 4, DEFAULT)");
  expect(plan_.route).toBe('catalog');
  expect(plan_.text.replaceAll(/\s+/g, ' ')).toBe(
    "VALUES (CAST(1 + 1.5 AS int), CAST('a' || 'b' AS pg_catalog.text), '7'::int), (3::int, 'c'::text, 4::int)",
  );
});

test('INSERT … SELECT casts each column to its target', async () => {
  expect(
    await rowsOf(duck, planOf("INSERT INTO users SELECT id, action, 'z' FROM events WHERE id < 3 ORDER BY id")),
  ).toEqual([
    ['1', 'click', 'z'],
    ['2', 'a_b%c', 'z'],
  ]);
  expect(refusal('INSERT INTO users SELECT * FROM events')).toMatch(/^42601 INSERT has more expressions/);
});

test('UPDATE gives unit, position, the whole new row in the table’s order, and the old key where it may change', async () => {
  const statement = plan('UPDATE other.pairs p SET v = v * 2 + 1, b = DEFAULT WHERE p.a = 1');
  expect(statement).toMatchObject({ kind: 'update', renames: true });
  expect(await rowsOf(duck, planOf('UPDATE other.pairs p SET v = p.v * 2.5, w = DEFAULT WHERE p.a = 1'))).toMatchObject(
    [['0', '0', '1', 'x', '13', expect.any(String)]],
  );
  expect(await rowsOf(duck, planOf('UPDATE other.pairs SET (a, v) = (a + 1, 9)'))).toEqual([
    ['0', '0', '2', 'x', '9', null, '1', 'x'],
    ['0', '1', '3', 'y', '9', null, '2', 'y'],
  ]);
});

test('DELETE gives unit, position and key; a subquery may decide', async () => {
  expect(
    await rowsOf(duck, planOf('DELETE FROM other.pairs WHERE a IN (SELECT id FROM events WHERE amount > 2)')),
  ).toEqual([['0', '1', '2', 'y']]);
});

test('a simple UPDATE or DELETE needs no description by PostgreSQL: its parameters are typed', () => {
  expect(planOf('UPDATE events SET action = $2, price = $3 WHERE id = $1')).toMatchObject({
    described: [],
    parameterOids: [Oid.int8, Oid.text, Oid.numeric],
  });
  expect(planOf('DELETE FROM events WHERE ts < $1 AND id IN ($2, 5)')).toMatchObject({
    described: [],
    parameterOids: [Oid.timestamptz, Oid.int8],
  });
  expect(planOf('UPDATE events SET amount = amount + $1')).toMatchObject({
    described: [],
    parameterOids: [Oid.float8],
  });
  expect(planOf('UPDATE events SET amount = amount * $1')).toMatchObject({ described: null });
});
