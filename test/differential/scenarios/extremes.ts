/** Values at the ends of their types: infinite dates and timestamps; counts of nothing. */
import type { Scenario } from '../compare.ts';

export const EXTREMES: readonly Scenario[] = [
  {
    title: 'Infinite dates and timestamps are stored, compared, shown and computed with',
    setup: [
      `CREATE TABLE t (id int PRIMARY KEY, d date, s timestamp, z timestamptz, s3 timestamp(3), a date[], b timestamptz[])`,
      `INSERT INTO t VALUES
        (1, 'infinity', 'infinity', 'infinity', 'infinity', '{infinity,2020-01-01}', '{-infinity,2020-01-01 00:00:00+00}'),
        (2, '-infinity', '-infinity', '-Infinity', '-infinity', '{-infinity}', '{infinity,NULL}'),
        (3, '2020-02-03', '2020-02-03 04:05:06.789', '2020-02-03 04:05:06.789+01', '2020-02-03 04:05:06.7891', '{}', NULL), (4, NULL, NULL, NULL, NULL, NULL, NULL)`,
    ],
    steps: [
      `SELECT * FROM t ORDER BY id`,
      `SELECT id FROM t ORDER BY d, id`,
      `SELECT id FROM t ORDER BY z DESC NULLS LAST`,
      `SELECT id FROM t WHERE d > '9999-12-31' OR s < '0001-01-01' ORDER BY id`,
      `SELECT id FROM t WHERE z = 'infinity' OR d = '-infinity' ORDER BY id`,
      { sql: `SELECT id, d, s FROM t WHERE z = $1 AND d >= $2 ORDER BY id`, values: ['infinity', '-infinity'] },
      `SELECT * FROM t WHERE id = 2`,
      `SELECT min(d), max(d), min(s), max(z) FROM t`,
      `SELECT id, isfinite(d), isfinite(z), d::timestamp, s::date, z::date, d::timestamptz, s::timestamp(2), s::time, z::time, d::text, s::text FROM t ORDER BY id`,
      `SELECT id, s + interval '1 day', z - interval '1 month', d + 1, d - 2 FROM t ORDER BY id`,
      `SELECT id, date_trunc('month', s), date_trunc('day', z), date_part('year', s), date_part('epoch', z), date_part('day', s), extract(day from d) FROM t ORDER BY id`,
      `SELECT d - '2020-01-01'::date FROM t WHERE id = 1`,
      `SELECT s - '2020-01-01'::timestamp, d - '2020-01-01'::date FROM t WHERE id = 3`,
      { sql: `COPY t (id, d, s, z) FROM STDIN`, data: `20\tinfinity\t-infinity\tinfinity\n` },
      { sql: `COPY t (id, d, s, z) FROM STDIN (FORMAT csv)`, data: `21,-infinity,infinity,-infinity\n` },
      {
        sql: `INSERT INTO t (id, d, s, z) VALUES ($1, $2, $3, $4)`,
        values: ['22', 'infinity', '-infinity', 'infinity'],
      },
      `INSERT INTO t (id, d, s, z, s3, a) SELECT id + 30, d, z, s, z, a FROM t WHERE id < 4`,
      `UPDATE t SET s3 = s, a = '{infinity,-infinity}' WHERE id > 30`,
      `UPDATE t SET d = 'infinity', s = d WHERE id = 20`,
      `DELETE FROM t WHERE z = '-infinity'`,
      `SELECT id, d, s, z, s3 FROM t ORDER BY id`,
      `SELECT count(*) FROM t GROUP BY d ORDER BY d`,
    ],
  },
  {
    title: 'Infinite dates are keys, bounds of partitions and defaults',
    setup: [
      `CREATE TABLE k (d date PRIMARY KEY, u timestamp DEFAULT 'infinity' CHECK (u > '2000-01-01'), n int)`,
      `INSERT INTO k (d, n) VALUES ('infinity', 1), ('-infinity', 2), ('2020-01-01', 3)`,
    ],
    steps: [
      `INSERT INTO k VALUES ('infinity', 'infinity', 4)`,
      `INSERT INTO k VALUES ('2021-01-01', '-infinity', 4)`,
      `INSERT INTO k VALUES ('infinity', '2020-01-01', 4) ON CONFLICT (d) DO UPDATE SET n = excluded.n + k.n`,
      `SELECT * FROM k WHERE d = 'infinity'`,
      `UPDATE k SET n = 7 WHERE d = '-infinity'`,
      `SELECT * FROM k ORDER BY d`,
    ],
  },
  {
    title: 'the zero with a sign keeps it where rows are sorted by it, and a product with 0 is no underflow',
    setup: [
      `CREATE TABLE z (i int, f float8, g real)`,
      `INSERT INTO z VALUES (1, 0, '-0'), (2, '-0', 0), (3, 1e-200, 1), (4, -1, -1), (5, NULL, NULL)`,
    ],
    steps: [
      `SELECT f, i FROM z ORDER BY f, i`,
      `SELECT * FROM z ORDER BY 2, 1`,
      `SELECT f AS x, g AS y FROM z ORDER BY 1 DESC, y, i`,
      `SELECT -f AS i FROM z ORDER BY i, g`,
      `SELECT f, i FROM z ORDER BY f DESC NULLS LAST, i LIMIT 3`,
      `SELECT g, row_number() OVER (PARTITION BY f ORDER BY g, i) FROM z ORDER BY i`,
      `SELECT i, min(f) AS m, max(g) AS n FROM z GROUP BY i ORDER BY m, n, i`,
      `SELECT i / 3 AS h, f + 1 FROM z GROUP BY h, f ORDER BY f + 1, h`,
      `SELECT DISTINCT f FROM z WHERE i > 2 ORDER BY f`,
      `SELECT DISTINCT ON (f) f, i FROM z WHERE i > 1 ORDER BY f, i`,
      `SELECT array_agg(f ORDER BY f, i) FROM z`,
      `SELECT i, f * 0 * f, 0 * (f * 1e-100), 0 / (f + 5), sum(f) + random() * 0 IS NULL FROM z GROUP BY i, f ORDER BY i`,
      `SELECT i FROM z ORDER BY random() * 0, f, i`,
      `SELECT i, f * f * 0 FROM z WHERE i = 3`,
      `UPDATE z SET f = f * 0 WHERE i = 3`,
      `SELECT f FROM z WHERE i = 3 UNION ALL SELECT f FROM z WHERE i = 4 ORDER BY f`,
    ],
  },
  {
    title: 'window functions that count rows refuse to count none',
    setup: [`CREATE TABLE w (i int PRIMARY KEY, n int)`, `INSERT INTO w VALUES (1, 2), (2, 2), (3, 2)`],
    steps: [
      `SELECT i, ntile(2) OVER (ORDER BY i), nth_value(i, 2) OVER (ORDER BY i) FROM w ORDER BY i`,
      `SELECT i, ntile(n) OVER (ORDER BY i), nth_value(i, n) OVER (ORDER BY i) FROM w ORDER BY i`,
      `SELECT ntile(0) OVER (ORDER BY i) FROM w`,
      `SELECT nth_value(i, 0) OVER (ORDER BY i) FROM w`,
      `SELECT nth_value(i, n - 2) OVER (ORDER BY i) FROM w`,
      `SELECT nth_value(i, NULL) OVER (ORDER BY i), ntile(NULL) OVER (ORDER BY i) FROM w`,
    ],
  },
];
