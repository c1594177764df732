import { expect, test } from 'vitest';
import { Oid, numericTypmod } from '../../src/types/pg-type.ts';
import { draftOf, plan, refusal } from './world.ts';

test('CREATE TABLE numbers field ids and attnums from 1 and keeps types, NOT NULL, key and options', () => {
  const draft =
    draftOf(`CREATE TABLE IF NOT EXISTS other.t (a int PRIMARY KEY, b numeric(12,3) NOT NULL, c varchar(7), ts timestamp(6), d varchar)
    WITH (partition_by = 'bucket(16, a), day(ts), truncate(4, c), d, void(b)', sort_by = 'ts desc, a', on_conflict = upsert, "write.parquet.compression-codec" = 'zstd')`);
  expect(
    draft.columns.map((column) => [
      column.name,
      column.fieldId,
      column.attnum,
      column.type.oid,
      column.type.typmod,
      column.notNull,
    ]),
  ).toEqual([
    ['a', 1, 1, Oid.int4, -1, true],
    ['b', 2, 2, Oid.numeric, numericTypmod(12, 3), true],
    ['c', 3, 3, Oid.varchar, 11, false],
    ['ts', 4, 4, Oid.timestamp, 6, false],
    ['d', 5, 5, Oid.varchar, -1, false],
  ]);
  expect(draft).toMatchObject({
    schema: 'other',
    key: [1],
    keyName: 't_pkey',
    timeColumn: 4,
    onConflict: 'upsert',
    uuid: '',
    oid: 0,
  });
  expect(
    draft.partition.map((field) => [field.fieldId, field.name, field.transform, field.arg, field.sourceId]),
  ).toEqual([
    [1000, 'a_bucket', 'bucket', 16, 1],
    [1001, 'ts_day', 'day', 0, 4],
    [1002, 'c_trunc', 'truncate', 4, 3],
    [1003, 'd', 'identity', 0, 5],
    [1004, 'b_null', 'void', 0, 2],
  ]);
  expect(draft.sort).toEqual([
    { sourceId: 4, descending: true, nullsFirst: true },
    { sourceId: 1, descending: false, nullsFirst: false },
  ]);
  expect(draft.options).toEqual({ 'write.parquet.compression-codec': 'zstd' });
});

test('a default is a constant in text form, or now()', () => {
  const { columns } =
    draftOf(`CREATE TABLE t (a int DEFAULT -5, b text DEFAULT 'it''s'::text, c timestamptz DEFAULT now(), d date DEFAULT CURRENT_DATE, e boolean DEFAULT true,
    f numeric(5,2) DEFAULT 1e2, g int DEFAULT NULL, h int DEFAULT 1.5, i bigint DEFAULT 7)`);
  expect(columns.map((column) => column.default)).toEqual([
    { kind: 'constant', sql: "'-5'::integer", text: '-5' },
    { kind: 'constant', sql: "'it''s'::text", text: "it's" },
    { kind: 'now', sql: 'now()' },
    { kind: 'now', sql: 'CURRENT_DATE' },
    { kind: 'constant', sql: 'true', text: 'true' },
    { kind: 'constant', sql: '100', text: '100' },
    { kind: 'constant', sql: 'NULL::integer', text: null },
    { kind: 'constant', sql: '2', text: '2' },
    { kind: 'constant', sql: '7', text: '7' },
  ]);
});

test.each([
  ['CREATE TABLE t (a foo)', '42704 type "foo" does not exist @19'],
  ['CREATE TABLE t (a serial[])', '0A000 serial is not supported @19'],
  ['CREATE TABLE t (a interval hour to minute)', '0A000 type interval with fields or a precision is not supported @19'],
  ['CREATE TABLE t (a interval CHECK (a + a > a))', '0A000 CHECK with interval + interval is not supported @37'],
  ['CREATE TABLE t (a bpchar)', '0A000 bpchar without a length is not supported @19'],
  ['CREATE TABLE t (a char(0))', '22023 length for type char must be at least 1 @19'],
  ['CREATE TABLE t (a int, a text)', '42701 column "a" specified more than once'],
  ['CREATE TABLE t (a int, PRIMARY KEY (b))', '42703 column "b" named in key does not exist @24'],
  [
    'CREATE TABLE t (a int PRIMARY KEY, b int PRIMARY KEY)',
    '42P16 multiple primary keys for table "t" are not allowed @42',
  ],
  ['CREATE TABLE t (a real PRIMARY KEY)', '0A000 a primary key column of type real is not supported @24'],
  ['CREATE TABLE t (a float UNIQUE)', '0A000 UNIQUE over a column of type double precision is not supported @25'],
  ['CREATE TABLE t (a int UNIQUE NULLS NOT DISTINCT)', '0A000 UNIQUE NULLS NOT DISTINCT is not supported @23'],
  ['CREATE TABLE t (a int UNIQUE DEFERRABLE)', '0A000 DEFERRABLE is not supported @30'],
  ['CREATE TABLE t (a int, UNIQUE (b))', '42703 column "b" named in key does not exist @24'],
  ['CREATE TABLE t (a int, UNIQUE (a, a))', '42701 column "a" appears twice in unique constraint @24'],
  ['CREATE TABLE t (a int REFERENCES x)', '0A000 FOREIGN KEY is not supported @23'],
  ['CREATE TABLE t (a int CHECK (sin(a) > 0))', '0A000 CHECK with sin() is not supported @30'],
  ["CREATE TABLE t (a text CHECK (a ~ '(?=x)'))", '0A000 CHECK with this regular expression is not supported @35'],
  [
    'CREATE TABLE t (a date CHECK (a < now()))',
    '0A000 CHECK with date < timestamp with time zone is not supported @33',
  ],
  [
    'CREATE TABLE t (a text GENERATED ALWAYS AS IDENTITY)',
    '22023 identity column type must be smallint, integer, or bigint',
  ],
  ['CREATE TABLE t (a int, b int DEFAULT a + 1)', '0A000 cannot use column reference in DEFAULT expression @38'],
  ['CREATE TABLE t (a int DEFAULT true)', '42804 column "a" is of type integer but expression is of type boolean @31'],
  ['CREATE TEMP TABLE public.t (a int)', '42P16 cannot create temporary relation in non-temporary schema @19'],
  ['CREATE TABLE t (a int) ON COMMIT DROP', '42P16 ON COMMIT can only be used on temporary tables'],
  ['CREATE TABLE t (a int) PARTITION BY RANGE (a)', '0A000 PARTITION BY is not supported'],
  ['CREATE TABLE t (LIKE x)', '42P01 relation "x" does not exist @22'],
  ['CREATE TABLE nope.t (a int)', '3F000 schema "nope" does not exist @14'],
  ['CREATE TABLE arka.t (a int)', '42501 permission denied for schema arka'],
  ['CREATE TABLE pg_catalog.t (a int)', '42501 permission denied for schema pg_catalog'],
  ['CREATE TABLE t (a int) WITH (x = 1)', '22023 unrecognized parameter "x"'],
  [
    "CREATE TABLE t (a int) WITH (partition_by = 'day(a)')",
    '42804 partition transform "day(a)" does not take a column of type integer',
  ],
  ["CREATE TABLE t (a int) WITH (partition_by = 'foo(a)')", '22023 unknown partition transform "foo"'],
  ["CREATE TABLE t (a int) WITH (time_column = 'b')", '42703 column "b" of relation "t" does not exist'],
  ["CREATE TABLE t (a int) WITH (on_conflict = 'x')", '22023 invalid value for parameter "on_conflict": "x"'],
  ["CREATE TABLE t (a int) WITH (on_conflict = 'upsert')", "42P16 on_conflict = 'upsert' needs a primary key"],
])('%s is refused: %s', (sql, error) => {
  expect(refusal(sql)).toBe(error);
});

test('DROP TABLE names its tables, and system schemas are not touched', () => {
  expect(plan('DROP TABLE IF EXISTS a, other.b CASCADE')).toEqual({
    kind: 'dropTable',
    ifExists: true,
    cascade: true,
    names: [
      { schema: null, name: 'a' },
      { schema: 'other', name: 'b' },
    ],
  });
  expect(refusal('DROP TABLE arka.tiers')).toBe('42501 permission denied for schema arka');
  expect(refusal('CREATE SCHEMA pg_x')).toMatch(/^42939/);
  expect(refusal('DROP FOREIGN TABLE x')).toBe('0A000 DROP FOREIGN TABLE is not supported');
  expect(refusal('DROP VIEW arka.tiers')).toBe('42501 permission denied for schema arka');
});
