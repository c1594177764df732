/** CHECK constraints: names, order, errors, and what they let through. */
import type { Scenario } from '../compare.ts';

/** One condition, and values of `a`, `b` (integers), `n` (numeric(8,2)), `t` (text), `d` (timestamp), `f` (double precision), `k` (boolean). */
const CONDITIONS: readonly string[] = [
  'a >= 1 AND b < 10',
  'a NOT IN (1, 2, NULL)',
  'n > 1.505',
  "t LIKE 'a%' OR t ~ '^[0-9]+%$'",
  'length(t) = 3',
  "d >= '2026-01-01'",
  'k',
  '7 / b >= 1',
];

const ROWS: readonly string[] = [
  `1, 2, 1.5, 'abc', '2026-01-01 00:00:00', 1.5, true`,
  `-1, 20, -0.01, 'B', '2025-12-31 23:59:59.999999', 'NaN', false`,
  `3, 3, 2.25, 'ab', '2026-06-01 12:00:00', 3, NULL`,
  `NULL, 1, NULL, NULL, NULL, NULL, NULL`,
  `2, NULL, 3, 'ébc', '2026-03-01 00:00:00', '-Infinity', true`,
  `40, 1, 999999.99, '100%', '2030-01-01 00:00:00', 1e300, false`,
  `0, 0, 1.51, '  ', '2020-01-01 00:00:00', 0, true`,
  `2, 9, 2.00, 'x123', '2026-01-01 00:00:01', 2, true`,
];

export const CHECKS: readonly Scenario[] = [
  {
    title: 'a row is refused by a condition that is false, not by one that is unknown',
    tiers: ['memory'],
    setup: CONDITIONS.map(
      (condition, i) =>
        `CREATE TABLE t${i} (a int, b int, n numeric(8,2), t text, d timestamp, f float8, k boolean, CONSTRAINT c CHECK (${condition}))`,
    ),
    steps: CONDITIONS.flatMap((_, i) => [
      ...ROWS.map((row) => `INSERT INTO t${i} VALUES (${row})`),
      `SELECT count(*) FROM t${i}`,
    ]),
  },
  {
    title: 'numbers that refused rows left are not given after setval',
    setup: [`CREATE TABLE left_over (id serial, v int CHECK (v > 0))`],
    steps: [
      `INSERT INTO left_over (v) VALUES (1), (2), (-1), (3), (4)`,
      `SELECT setval('left_over_id_seq', 3)`,
      `INSERT INTO left_over (v) VALUES (5), (6), (7)`,
      `SELECT setval('left_over_id_seq', 100)`,
      `INSERT INTO left_over (v) VALUES (8)`,
      `SELECT * FROM left_over ORDER BY id`,
    ],
  },
  {
    title: 'constraints of columns and of the table, named and not, are tested in the order of their names',
    setup: [
      `CREATE TABLE c (id int PRIMARY KEY, v int CHECK (v > 0), w int CONSTRAINT w_small CHECK (w < 100 AND w <> 50), n numeric(10,2) CHECK (n >= 0.5),
        b bigint CHECK (b < 9007199254740993), CHECK (v < w), CONSTRAINT pair CHECK (NOT (n = 1 AND v = 7)), CHECK (v + w < 150))`,
      `CREATE TABLE numbered (id serial, v int CHECK (v > 0))`,
      `CREATE TABLE twice (a int NOT NULL, b int CONSTRAINT b_pos CHECK (b > 0) CHECK (b < 10) CHECK (b <> 5))`,
      `INSERT INTO c (id, v, w) VALUES (1, 1, 2)`,
    ],
    steps: [
      `INSERT INTO c (id, v, w) VALUES (2, 0, 50)`,
      `INSERT INTO c (id, w) VALUES (2, 100)`,
      `INSERT INTO c (id, v, w) VALUES (2, 5, 5)`,
      `INSERT INTO c (id, v, w, n) VALUES (2, 7, 8, 1)`,
      `INSERT INTO c (id, v, w) VALUES (2, 70, 90)`,
      `INSERT INTO c (id, b) VALUES (2, 9007199254740993)`,
      `INSERT INTO c (id, b) VALUES (2, 9007199254740992)`,
      `INSERT INTO c (id, v) VALUES (NULL, 0)`,
      `INSERT INTO c (id, v) VALUES (20, 1), (21, 0), (22, 'x')`,
      `INSERT INTO c (id, v) VALUES (1, 1), (21, 0)`,
      `INSERT INTO c (id, v) VALUES (21, 0), (1, 1)`,
      `INSERT INTO c (id, v) SELECT 500, -1`,
      `INSERT INTO c (id, v) SELECT id + 100, -id FROM c WHERE id = 1`,
      { sql: `INSERT INTO c (id, v) VALUES ($1, $2)`, values: ['30', '-1'] },
      { sql: `INSERT INTO c (id, v) VALUES ($1, $2)`, values: ['30', '1'] },
      `UPDATE c SET v = -1 WHERE id = 1`,
      `UPDATE c SET w = w + 1 WHERE id = 1 RETURNING w`,
      `UPDATE c SET v = v - 10 WHERE id = 1`,
      `INSERT INTO c (id, v) VALUES (1, 3) ON CONFLICT (id) DO UPDATE SET v = -3`,
      `INSERT INTO c (id, v) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET v = c.v + excluded.v`,
      `INSERT INTO c (id, v) VALUES (1, -3) ON CONFLICT (id) DO NOTHING`,
      `SELECT * FROM c ORDER BY id`,
      `INSERT INTO numbered (v) VALUES (1), (2)`,
      `INSERT INTO numbered (v) VALUES (0)`,
      `INSERT INTO numbered (v) VALUES (3)`,
      `INSERT INTO numbered (v) VALUES (4), (0), (5)`,
      `INSERT INTO numbered (v) VALUES (6) RETURNING id`,
      `SELECT * FROM numbered ORDER BY id`,
      `INSERT INTO twice VALUES (NULL, 0)`,
      `INSERT INTO twice VALUES (1, 5)`,
      `INSERT INTO twice VALUES (1, 0)`,
      `INSERT INTO twice VALUES (1, 6) RETURNING *`,
      `SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'c'::regclass AND contype = 'c' ORDER BY conname`,
      `SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'twice'::regclass AND contype = 'c' ORDER BY conname`,
    ],
  },
  {
    title: 'conditions that mean nothing are refused when the table is made',
    setup: [`CREATE TABLE t (a int)`],
    steps: [
      `CREATE TABLE bad (a int CHECK (nope > 0))`,
      `CREATE TABLE bad (a int CHECK (a))`,
      `CREATE TABLE bad (a int CHECK (a > 'x'))`,
      `CREATE TABLE bad (a int CHECK (a = (SELECT 1)))`,
      `CREATE TABLE bad (a int, b text, CHECK (a = b))`,
      `CREATE TABLE bad (a int CHECK (a > 0), CONSTRAINT x CHECK (a < 5), CONSTRAINT x CHECK (a < 6))`,
      `CREATE TABLE bad (a int CHECK (t.a > 0))`,
    ],
  },
];
