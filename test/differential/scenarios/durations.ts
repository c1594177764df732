/** Fields of intervals, and series of days: how long things took, and days on which nothing was. */
import type { Scenario } from '../compare.ts';

const FIELDS = ['epoch', 'year', 'month', 'day', 'hours', 'minute', 'second'];

export const DURATIONS: readonly Scenario[] = [
  {
    title: 'fields of intervals of columns and of differences',
    tiers: ['memory', 'Iceberg'],
    setup: [
      `CREATE TABLE t (id int PRIMARY KEY, a timestamptz, b timestamptz, d date, i interval)`,
      `INSERT INTO t VALUES (1, '2026-01-01 10:00:00Z', '2026-01-03 08:30:15.25Z', '2026-01-01', '1 year 2 months 3 days 04:05:06.789'),
        (2, '2026-03-01 00:00:00Z', '2026-02-28 23:59:59.999999Z', '2026-01-03', '-14 months -3 days -30:59:59.5'), (3, NULL, now(), NULL, '100 hours'), (4, '2026-01-01', '2026-01-01', '2026-01-05', '1 mon -1 day')`,
    ],
    steps: [
      ...FIELDS.map(
        (field) =>
          `SELECT id, extract(${field} FROM i) AS e, date_part('${field}', b - a) AS p, extract(${field} FROM b - a) AS f FROM t`,
      ),
      `SELECT round(avg(extract(epoch FROM b - a)) / 3600, 2), sum(date_part('epoch', i)) FROM t WHERE id < 3`,
      `SELECT id FROM t WHERE extract(day FROM i) > 2`,
    ],
  },
  {
    title: 'a series of days beside the rows of a table',
    tiers: ['memory'],
    setup: [
      `CREATE TABLE t (id int PRIMARY KEY, d date)`,
      `INSERT INTO t VALUES (1, '2026-01-01'), (2, '2026-01-03'), (3, '2026-01-03')`,
    ],
    steps: [
      `SELECT g::date AS day, count(t.id) FROM generate_series(date '2026-01-01', date '2026-01-04', interval '1 day') g LEFT JOIN t ON t.d = g::date GROUP BY 1 ORDER BY 1`,
      `SELECT g, count(t.id) FROM generate_series('2026-01-01'::date, '2026-04-01'::date, '1 month') AS s(g) LEFT JOIN t ON t.d >= g AND t.d < g + interval '1 month' GROUP BY 1 ORDER BY 1`,
      `SELECT s.day, t.id FROM t, LATERAL generate_series(t.d, t.d + 2, '1 day'::interval) AS s(day) ORDER BY 1, 2`,
      `SELECT count(*) FROM t, generate_series((SELECT min(d) FROM t), (SELECT max(d) FROM t), interval '12 hours') g`,
    ],
  },
];
