/** Rows of values beside the rows of a query: three-valued, column by column. */
import type { Scenario } from '../compare.ts';

const PAIRS = [
  'CREATE TABLE l (id int PRIMARY KEY, a int, b text)',
  `INSERT INTO l VALUES (1, 1, 'x'), (2, 2, 'y'), (3, NULL, 'x'), (4, 1, NULL), (5, NULL, NULL), (6, 9, 'z'), (7, 3, 'q')`,
  'CREATE TABLE r (id int PRIMARY KEY, x bigint, y varchar(5), f float8)',
  `INSERT INTO r VALUES (1, 1, 'x', 1), (2, 5, 'y', 2), (3, 3, NULL, 3), (4, NULL, 'w', NULL)`,
  'CREATE TABLE none (x int, y text)',
];

export const ROWS_IN_QUERIES: readonly Scenario[] = [
  {
    title: 'A row is in a query, is not, or nobody knows',
    setup: PAIRS,
    steps: [
      'SELECT id FROM l WHERE (a, b) IN (SELECT x, y FROM r)',
      'SELECT id FROM l WHERE (a, b) NOT IN (SELECT x, y FROM r)',
      'SELECT id, (a, b) IN (SELECT x, y FROM r) AS i, (a, b) NOT IN (SELECT x, y FROM r) AS n FROM l',
      'SELECT id, (a, b) IN (SELECT x, y FROM r WHERE id = 1) AS i, NOT (a, b) IN (SELECT x, y FROM r WHERE id < 3) AS n FROM l',
      'SELECT id, (a, b) IN (SELECT x, y FROM none) AS i, (a, b) NOT IN (SELECT x, y FROM none) AS n FROM l',
      'SELECT id, (a, b) = ANY (SELECT x, y FROM r) AS i, (a, b) <> ALL (SELECT x, y FROM r) AS n FROM l',
      'SELECT id FROM l WHERE NOT ((a, b) IN (SELECT x, y FROM r) AND a > 0)',
      'SELECT id FROM l WHERE ((a, b) IN (SELECT x, y FROM r) OR id = 6) AND id < 7',
      'SELECT id FROM l WHERE ((a, b) IN (SELECT x, y FROM r)) IS NULL',
      'SELECT id, CASE WHEN (a, b) IN (SELECT x, y FROM r) THEN 1 ELSE 2 END AS c FROM l',
      'SELECT id FROM l WHERE (a, id) IN (SELECT x, f FROM r)',
      'SELECT id FROM l WHERE (a, b) IN (SELECT x, y FROM r WHERE r.id = l.id)',
      'SELECT id, (a, b) NOT IN (SELECT x, y FROM r WHERE r.id >= l.id) AS n FROM l',
      'SELECT id FROM l WHERE (a + 1, upper(b)) NOT IN (SELECT x + 1, upper(y) FROM r WHERE x IS NOT NULL AND y IS NOT NULL)',
      'SELECT id FROM l WHERE (a, b) IN (SELECT x, y FROM r UNION ALL SELECT 9, $$z$$)',
      'SELECT id FROM l WHERE (a, b) IN (VALUES (9, $$z$$), (1, NULL))',
      'SELECT a, count(*) FROM l GROUP BY a HAVING (a, count(*)) IN (SELECT x, x + 1 FROM r)',
      { sql: 'SELECT id FROM l WHERE (a, b) IN (SELECT x, y FROM r WHERE f < $1)', values: ['3'] },
      'SELECT l.id FROM l JOIN r ON (l.a, l.b) IN (SELECT x, y FROM r) AND r.id = 1',
    ],
  },
  {
    title: 'A row beside the one row of a query',
    setup: PAIRS,
    steps: [
      'SELECT id, (a, b) = (SELECT x, y FROM r WHERE id = 1) AS e FROM l',
      'SELECT id, (a, b) <> (SELECT x, y FROM r WHERE id = 3) AS e FROM l',
      'SELECT id, (a, id) < (SELECT x, id FROM r WHERE r.id = 2) AS e FROM l',
      'SELECT id, (a, b) = (SELECT x, y FROM none) AS e FROM l',
      'SELECT id FROM l WHERE (a, b) = (SELECT x, y FROM r WHERE r.id = l.id)',
      'SELECT id FROM l WHERE (a, id) = (SELECT max(x), 7 FROM r) OR (a, id) = (SELECT 9, 6)',
    ],
  },
  {
    title: 'What is wrong with a row and a query is said as PostgreSQL says it',
    tiers: ['memory'],
    setup: PAIRS,
    steps: [
      'SELECT id FROM l WHERE (a, b) IN (SELECT x FROM r)',
      'SELECT id FROM l WHERE (a, b) IN (SELECT x, y, f FROM r)',
      'SELECT id FROM l WHERE (a, b) IN (SELECT y, x FROM r)',
      'SELECT id FROM l WHERE (a, b) = (SELECT x, y FROM r)',
      'SELECT id FROM l WHERE (a, b) = (SELECT x FROM r)',
    ],
  },
  {
    title: 'UPDATE and DELETE of rows that are in a query',
    setup: PAIRS,
    steps: [
      `UPDATE l SET b = b || '!' WHERE (a, b) IN (SELECT x, y FROM r) RETURNING id, b`,
      'UPDATE l SET a = 0 WHERE (a, b) NOT IN (SELECT x, y FROM r) RETURNING id',
      'UPDATE l SET a = 7 WHERE (a, b) NOT IN (SELECT x, y FROM r WHERE x = 5 AND r.id < l.id) RETURNING id',
      'DELETE FROM r WHERE (id, x) IN (SELECT id, id FROM l WHERE l.a = 7) RETURNING id',
      'DELETE FROM l WHERE (a, b) NOT IN (SELECT x, y FROM none) AND id > 5 RETURNING id',
      'SELECT * FROM l ORDER BY id',
      'SELECT * FROM r ORDER BY id',
    ],
  },
];
