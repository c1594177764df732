/** Values and NULLs that are refused: code, message, detail, column and position. */
import type { Scenario } from '../compare.ts';

const WIDE = [
  `CREATE TABLE wide (id int PRIMARY KEY, s smallint, b bigint, n numeric(6,2), f float8, r real, v varchar(5), d date, ts timestamptz,
    u uuid, j jsonb, ok boolean, name text NOT NULL DEFAULT 'x', bytes bytea, at time)`,
  `INSERT INTO wide (id, name) VALUES (1, 'a')`,
];

export const ERRORS: readonly Scenario[] = [
  {
    title: 'a NULL that may not be is refused with the whole row, each value cut at 64 bytes',
    setup: WIDE,
    steps: [
      `INSERT INTO wide (id, name) VALUES (2, NULL)`,
      `INSERT INTO wide (id, s, b, n, f, r, v, d, ts, u, j, ok, name, bytes, at) VALUES (2, 2, 3, 4.5, 6.25, 7.5, 'abc', '2026-01-02',
        '2026-01-02 03:04:05.123456+00', '11111111-2222-3333-4444-555555555555', '{"b":1, "a":[1,2]}', true, NULL, '\\x0102', '01:02:03.5')`,
      `INSERT INTO wide (s) VALUES (5)`,
      `INSERT INTO wide (id, name, v) VALUES (NULL, repeat('é', 40), 'x')`,
      `INSERT INTO wide (id, name) VALUES (NULL, '${'é'.repeat(40)}')`,
      `INSERT INTO wide (id, name, j) VALUES (2, NULL, '{"${'a'.repeat(40)}":"${'b'.repeat(40)}"}')`,
      `INSERT INTO wide (id, name) SELECT 5, NULL`,
      `INSERT INTO wide (id, name) SELECT id + 1, NULL FROM wide`,
      `UPDATE wide SET name = NULL`,
      { sql: `INSERT INTO wide (id, name) VALUES ($1, $2)`, values: [null, 'a'] },
      { sql: `INSERT INTO wide (id, name) VALUES ($1, $2)`, values: ['7', null] },
      `SELECT id, name FROM wide ORDER BY id`,
    ],
  },
  {
    title: 'of several errors in one statement the same one is said',
    setup: WIDE,
    steps: [
      `INSERT INTO wide VALUES (NULL, 'x')`,
      `INSERT INTO wide VALUES (2, 1), (NULL, 2), (3, 'x')`,
      `INSERT INTO wide (id, name) VALUES (2, 'a'), (2, NULL)`,
      `INSERT INTO wide (id, name) VALUES (1, 'a'), (2, NULL)`,
      `INSERT INTO wide (id, name) VALUES (2, NULL), (1, 'a')`,
      `INSERT INTO wide (id, name) VALUES (2, NULL), (1, NULL)`,
      `SELECT id, name FROM wide ORDER BY id`,
    ],
  },
  {
    title: 'a number out of range, written as a number and as a text',
    setup: WIDE,
    steps: [
      ...['40000', '-40000'].flatMap((value) => [
        `INSERT INTO wide (id, s) VALUES (2, ${value})`,
        `INSERT INTO wide (id, s) VALUES (2, '${value}')`,
      ]),
      `INSERT INTO wide (id) VALUES (99999999999)`,
      `INSERT INTO wide (id) VALUES ('99999999999')`,
      `INSERT INTO wide (id, b) VALUES (2, 99999999999999999999)`,
      `INSERT INTO wide (id, b) VALUES (2, '99999999999999999999')`,
      `INSERT INTO wide (id, n) VALUES (2, 123456.78)`,
      `INSERT INTO wide (id, n) VALUES (2, '123456.78')`,
      `INSERT INTO wide (id, f) VALUES (2, '1e400')`,
      `INSERT INTO wide (id, r) VALUES (2, 1e40)`,
      `INSERT INTO wide (id, r) VALUES (2, '1e40')`,
      `INSERT INTO wide (id, s) VALUES (3, 1+40000)`,
      `INSERT INTO wide (id, s) VALUES (3, 1/0)`,
    ],
  },
  {
    title: 'a text that its type does not take is refused at its position, and no column is named',
    setup: WIDE,
    steps: [
      `INSERT INTO wide (id, n) VALUES (2, 'abc')`,
      `INSERT INTO wide (id, f) VALUES (2, 'abc')`,
      `INSERT INTO wide (id, v) VALUES (2, 'abcdef')`,
      `INSERT INTO wide (id, d) VALUES (2, 'nonsense')`,
      `INSERT INTO wide (id, d) VALUES (2, '2026-02-30')`,
      `INSERT INTO wide (id, ts) VALUES (2, 'x')`,
      `INSERT INTO wide (id, at) VALUES (2, '25:00')`,
      `INSERT INTO wide (id, u) VALUES (2, 'x')`,
      `INSERT INTO wide (id, j) VALUES (2, '{x}')`,
      `INSERT INTO wide (id, ok) VALUES (2, 'maybe')`,
      `INSERT INTO wide (id, ok) VALUES (2, 1)`,
      `INSERT INTO wide (id, bytes) VALUES (2, '\\xzz')`,
      `INSERT INTO wide (id, nope) VALUES (2, 1)`,
      `UPDATE wide SET v = 'abcdef'`,
    ],
  },
];
