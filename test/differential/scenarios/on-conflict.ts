/** INSERT … ON CONFLICT. */
import type { Scenario } from '../compare.ts';

const STOCK = [
  `CREATE TABLE stock (id int PRIMARY KEY, name text, n int NOT NULL DEFAULT 0, price numeric(10,2), at timestamptz, note varchar(5))`,
  `INSERT INTO stock VALUES (1, 'one', 10, 1.50, '2026-01-01 00:00:00Z', 'a'), (2, 'two', 20, 2.50, NULL, NULL), (3, NULL, 30, NULL, NULL, 'c')`,
];
const PAIRS = [
  `CREATE TABLE pairs (a text, b int, v bigint, f float8, PRIMARY KEY (a, b))`,
  `INSERT INTO pairs VALUES ('x', 1, 100, 0.5), ('x', 2, 200, NULL), ('y', 1, NULL, 1.5)`,
];

export const ON_CONFLICT: readonly Scenario[] = [
  {
    title: 'ON CONFLICT (k) WHERE … means the key, whatever the condition',
    setup: ['CREATE TABLE t (id int PRIMARY KEY, n int, s text)', `INSERT INTO t VALUES (1, 1, 'a')`],
    tiers: ['memory'],
    steps: [
      `INSERT INTO t VALUES (1, 2, 'b') ON CONFLICT (id) WHERE n > 0 DO NOTHING`,
      `INSERT INTO t VALUES (1, 2, 'b') ON CONFLICT (id) WHERE s IS NOT NULL AND n < 0 DO UPDATE SET n = EXCLUDED.n RETURNING n`,
      `INSERT INTO t VALUES (1, 2, 'b') ON CONFLICT (id) WHERE t.s = 'x' DO UPDATE SET s = EXCLUDED.s WHERE t.n = 2`,
      `INSERT INTO t VALUES (1, 2, 'b') ON CONFLICT (id) WHERE nosuch > 0 DO NOTHING`,
      `INSERT INTO t VALUES (1, 2, 'b') ON CONFLICT (id) WHERE n DO NOTHING`,
      `INSERT INTO t VALUES (1, 2, 'b') ON CONFLICT (n) WHERE n > 0 DO NOTHING`,
      `SELECT * FROM t`,
    ],
  },
  {
    title: 'ON CONFLICT DO NOTHING leaves rows that are there alone',
    setup: STOCK,
    steps: [
      `INSERT INTO stock (id, name) VALUES (1, 'x'), (4, 'four') ON CONFLICT DO NOTHING`,
      `INSERT INTO stock (id, name) VALUES (4, 'y'), (5, 'five'), (5, 'again') ON CONFLICT (id) DO NOTHING RETURNING id, name`,
      `INSERT INTO stock (id, name) VALUES (1, 'z') ON CONFLICT ON CONSTRAINT stock_pkey DO NOTHING RETURNING *`,
      `INSERT INTO stock (id, name) SELECT id + 3, name FROM stock ON CONFLICT DO NOTHING`,
      `INSERT INTO stock (id, n) VALUES (1, NULL) ON CONFLICT DO NOTHING`,
      {
        sql: `INSERT INTO stock (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING RETURNING id`,
        values: ['1', 'p'],
      },
      {
        sql: `INSERT INTO stock (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING RETURNING id`,
        values: ['99', 'p'],
      },
      `SELECT * FROM stock ORDER BY id`,
    ],
  },
  {
    title: 'ON CONFLICT DO UPDATE with every column replaces rows',
    setup: STOCK,
    steps: [
      `INSERT INTO stock VALUES (1, 'uno', 11, 9, now(), 'n'), (7, 'seven', 70, NULL, NULL, NULL) ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n, price = excluded.price, at = NULL, note = excluded.note`,
      `INSERT INTO stock AS s VALUES (2, 'dos', 22, 8, '2026-05-05 00:00:00Z', 'm') ON CONFLICT (id) DO UPDATE SET (name, n, price, at, note) = (excluded.name, excluded.n, excluded.price, excluded.at, excluded.note) RETURNING *`,
      `INSERT INTO stock VALUES (2, 'a', 1), (2, 'b', 2) ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n, price = excluded.price, at = excluded.at, note = excluded.note`,
      `INSERT INTO stock VALUES (20, 'a', 1), (20, 'b', 2) ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n, price = excluded.price, at = excluded.at, note = excluded.note`,
      {
        sql: `INSERT INTO stock (id, name, n) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n, price = excluded.price, at = excluded.at, note = excluded.note`,
        values: ['3', 'tres', '33'],
      },
      `SELECT * FROM stock ORDER BY id`,
    ],
  },
  {
    title: 'ON CONFLICT DO UPDATE computes from the old row and the proposed one',
    setup: STOCK,
    steps: [
      `INSERT INTO stock (id, n) VALUES (1, 5), (8, 5) ON CONFLICT (id) DO UPDATE SET n = stock.n + excluded.n`,
      `INSERT INTO stock (id, n) VALUES (1, 5), (2, 6) ON CONFLICT (id) DO UPDATE SET n = stock.n + 1 RETURNING id, n, name`,
      `INSERT INTO stock AS s (id, n) VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET n = s.n * 2, name = s.name || '-' || excluded.n RETURNING *`,
      `INSERT INTO stock (id, name, n) VALUES (2, 'new', 1), (3, 'other', 2), (9, 'nine', 3) ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE stock.n < 30 RETURNING id, name, n`,
      `INSERT INTO stock (id, name) VALUES (2, 'q') ON CONFLICT (id) DO UPDATE SET name = coalesce(stock.name, 'none'), price = DEFAULT, n = DEFAULT RETURNING *`,
      `INSERT INTO stock (id, n) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = NULL`,
      `INSERT INTO stock (id, n) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET note = 'too long'`,
      `INSERT INTO stock (id, n) VALUES (1, 2147483647) ON CONFLICT (id) DO UPDATE SET n = excluded.n + stock.n`,
      `INSERT INTO stock (id, n) SELECT id, n FROM stock ON CONFLICT (id) DO UPDATE SET n = excluded.n + 1000`,
      `INSERT INTO stock (id, n) SELECT id % 3 + 1, 0 FROM stock ON CONFLICT (id) DO UPDATE SET n = stock.n + 1`,
      {
        sql: `INSERT INTO stock (id, n) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = stock.n + $2`,
        values: ['1', '7'],
      },
      {
        sql: `INSERT INTO stock (id, n) VALUES ($1, 0) ON CONFLICT (id) DO UPDATE SET n = stock.n - $2, name = $3 RETURNING id, n, name`,
        values: ['1', '7', 'p'],
      },
      {
        sql: `INSERT INTO stock (id, n) VALUES ($1, 0) ON CONFLICT (id) DO UPDATE SET name = stock.name || $2 WHERE stock.n > $3 RETURNING name`,
        values: ['1', '!', '1'],
      },
      `SELECT * FROM stock ORDER BY id`,
    ],
  },
  {
    title: 'ON CONFLICT with a key of two columns, wide integers and floats',
    setup: PAIRS,
    steps: [
      `INSERT INTO pairs VALUES ('x', 1, 1, 1), ('y', 1, 1, 1), ('z', 9, 9, 9) ON CONFLICT (b, a) DO UPDATE SET v = pairs.v + excluded.v, f = pairs.f - excluded.f RETURNING *`,
      `INSERT INTO pairs VALUES ('x', 2, 9223372036854775807, 1e308) ON CONFLICT (a, b) DO UPDATE SET v = excluded.v, f = excluded.f`,
      `INSERT INTO pairs VALUES ('x', 2, 1, 1e308) ON CONFLICT (a, b) DO UPDATE SET v = pairs.v + excluded.v`,
      `INSERT INTO pairs VALUES ('x', 2, -9007199254740993, 1) ON CONFLICT (a, b) DO UPDATE SET v = pairs.v + excluded.v`,
      `INSERT INTO pairs VALUES ('x', 2, 1, 1e308) ON CONFLICT (a, b) DO UPDATE SET f = pairs.f + excluded.f`,
      `INSERT INTO pairs VALUES ('x', 1, 1, 1) ON CONFLICT (a) DO NOTHING`,
      `INSERT INTO pairs VALUES ('x', 1, 1, 1) ON CONFLICT (a, b, v) DO NOTHING`,
      `SELECT * FROM pairs ORDER BY a, b`,
    ],
  },
  {
    title: 'ON CONFLICT that PostgreSQL refuses',
    setup: STOCK,
    steps: [
      `INSERT INTO stock VALUES (1) ON CONFLICT (name) DO NOTHING`,
      `INSERT INTO stock VALUES (1) ON CONFLICT (nope) DO NOTHING`,
      `INSERT INTO stock VALUES (1) ON CONFLICT DO UPDATE SET n = 1`,
      `INSERT INTO stock VALUES (1) ON CONFLICT ON CONSTRAINT nope DO NOTHING`,
      `INSERT INTO stock VALUES (1) ON CONFLICT (id) DO UPDATE SET n = n + 1`,
      `INSERT INTO stock VALUES (1) ON CONFLICT (id) DO UPDATE SET nope = 1`,
      `INSERT INTO stock VALUES (1) ON CONFLICT (id) DO UPDATE SET n = other.n`,
      `INSERT INTO stock VALUES (1) ON CONFLICT (id) DO UPDATE SET n = excluded.nope`,
      `INSERT INTO stock AS excluded VALUES (1) ON CONFLICT (id) DO UPDATE SET n = excluded.n`,
      `INSERT INTO stock VALUES (1) ON CONFLICT (id) DO UPDATE SET n = 'x'`,
      `INSERT INTO stock VALUES (1) ON CONFLICT (id) DO UPDATE SET n = 1 WHERE stock.name`,
      `INSERT INTO stock VALUES (1) ON CONFLICT (id) DO UPDATE SET n = 1, n = 2`,
      `SELECT * FROM stock ORDER BY id`,
    ],
  },
  {
    title: 'ON CONFLICT inside a transaction that has changed the rows',
    setup: STOCK,
    steps: [
      'BEGIN',
      `DELETE FROM stock WHERE id = 1`,
      `INSERT INTO stock (id, name) VALUES (1, 'anew') ON CONFLICT (id) DO UPDATE SET name = 'conflict' RETURNING id, name, n`,
      `INSERT INTO stock (id, name) VALUES (1, 'q') ON CONFLICT (id) DO UPDATE SET name = stock.name || '+' RETURNING id, name, n`,
      `UPDATE stock SET n = 1 WHERE id = 2`,
      `INSERT INTO stock (id, n) VALUES (2, 1), (40, 40) ON CONFLICT (id) DO UPDATE SET n = stock.n + 1 RETURNING id, n`,
      `INSERT INTO stock (id, n) VALUES (2, 1), (40, 40), (41, 41) ON CONFLICT DO NOTHING RETURNING id`,
      `INSERT INTO stock (id, n) VALUES (2, 1), (40, 40), (41, 41) ON CONFLICT (id) DO UPDATE SET n = stock.n + excluded.n`,
      'COMMIT',
      `SELECT * FROM stock ORDER BY id`,
    ],
  },
  {
    title: 'ON CONFLICT of many rows',
    setup: [
      `CREATE TABLE many (id int PRIMARY KEY, n int, s text)`,
      `INSERT INTO many SELECT g, g, 's' || g FROM generate_series(1, 9000) g`,
    ],
    steps: [
      `INSERT INTO many SELECT g, 1, 'x' FROM generate_series(8000, 20000) g ON CONFLICT (id) DO UPDATE SET n = many.n + excluded.n`,
      `INSERT INTO many SELECT g, 1, 'y' FROM generate_series(19000, 21000) g ON CONFLICT DO NOTHING`,
      `INSERT INTO many SELECT g, 1, 'z' FROM generate_series(1, 9000, 3) g ON CONFLICT (id) DO UPDATE SET s = excluded.s || many.n WHERE many.n % 2 = 0`,
      `SELECT count(*), sum(n), sum(length(s)), min(s), max(s) FROM many`,
      'BEGIN',
      `INSERT INTO many SELECT g, 5, 'big' FROM generate_series(20000, 30000) g ON CONFLICT (id) DO UPDATE SET n = excluded.n`,
      `INSERT INTO many SELECT g, 6, 'big' FROM generate_series(25000, 31000) g ON CONFLICT (id) DO UPDATE SET n = excluded.n + many.n`,
      `INSERT INTO many SELECT g, 7, 'again' FROM generate_series(29000, 31500) g ON CONFLICT DO NOTHING`,
      `INSERT INTO many VALUES (31500, 0, 'dup')`,
      'ROLLBACK',
      `SELECT count(*), sum(n), sum(length(s)), min(s), max(s) FROM many`,
    ],
  },
  {
    title: 'a table without a key has no conflicts',
    setup: [`CREATE TABLE bag (a int, b text)`, `INSERT INTO bag VALUES (1, 'x')`],
    steps: [
      `INSERT INTO bag VALUES (1, 'x'), (1, 'x') ON CONFLICT DO NOTHING`,
      `INSERT INTO bag VALUES (1, 'x') ON CONFLICT (a) DO NOTHING`,
      `SELECT count(*) FROM bag`,
    ],
  },
  {
    title: 'queries of WITH in front of INSERT are seen in ON CONFLICT and RETURNING',
    setup: [
      `CREATE TABLE u (k int PRIMARY KEY, v text)`,
      `CREATE TABLE o (a int)`,
      `INSERT INTO u VALUES (1, 'one')`,
      `INSERT INTO o VALUES (4), (5)`,
    ],
    tiers: ['memory'],
    steps: [
      `WITH w AS (SELECT max(a) AS m FROM o) INSERT INTO u VALUES (1, 'x'), (9, 'y') ON CONFLICT (k) DO UPDATE SET v = (SELECT 'm' || m FROM w) RETURNING *`,
      `WITH w AS (SELECT 1 AS a, 'b' AS b) INSERT INTO u VALUES (1, 'x') ON CONFLICT (k) DO UPDATE SET v = (SELECT b || ' update' FROM w WHERE a = 1 LIMIT 1) WHERE u.k = (SELECT a FROM w)`,
      `WITH w AS (SELECT 1 AS a) INSERT INTO u SELECT a, 'again' FROM w ON CONFLICT (k) DO UPDATE SET v = (WITH w AS (SELECT 'inner' AS i) SELECT i FROM w)`,
      `WITH w AS (SELECT a FROM o) INSERT INTO u VALUES (10, 'r') RETURNING k, (SELECT count(*) FROM w)`,
      `SELECT * FROM u ORDER BY k`,
      `SELECT E'wrong: \\U0061'`,
      `SELECT U&'wrong: \\061'`,
    ],
  },
];
