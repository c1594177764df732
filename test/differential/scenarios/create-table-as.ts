/** CREATE TABLE … AS and SELECT … INTO. */
import type { Scenario } from '../compare.ts';

export const CREATE_TABLE_AS: readonly Scenario[] = [
  {
    title: 'CREATE TABLE AS and SELECT INTO make a table of what a query gives',
    setup: [
      'CREATE TABLE s (id int PRIMARY KEY, v int, name varchar(10), n numeric(10,2), at timestamptz)',
      "INSERT INTO s VALUES (1, 10, 'a', 1.50, '2026-01-01 00:00:00Z'), (2, 20, NULL, 2.25, NULL), (3, 30, 'c', 3, NULL)",
    ],
    steps: [
      'CREATE TABLE c1 AS SELECT * FROM s WHERE v > 10',
      'SELECT * FROM c1 ORDER BY id',
      'CREATE TABLE c1 AS SELECT 1 AS a',
      'CREATE TABLE IF NOT EXISTS c1 AS SELECT 1 AS a',
      'CREATE TABLE c2 (a, b) AS SELECT v % 20, count(*) FROM s GROUP BY 1',
      'SELECT a, b FROM c2 ORDER BY a',
      'CREATE TABLE c3 (a, b, c) AS SELECT 1, 2',
      'CREATE TABLE c3 AS SELECT id AS x, name AS x FROM s',
      'CREATE TABLE c3 AS SELECT id FROM s WITH NO DATA',
      'SELECT count(*) FROM c3',
      'SELECT id, name INTO c4 FROM s',
      'SELECT * FROM c4 ORDER BY id',
      "CREATE TABLE c5 AS VALUES (1, 'x'), (2, 'y')",
      'SELECT * FROM c5 ORDER BY 1',
      'INSERT INTO c5 VALUES (1, NULL)',
      'SELECT count(*) FROM c5',
      'CREATE TABLE nope AS SELECT * FROM missing',
      'CREATE TABLE nope AS SELECT id / (id - 2) AS q FROM s',
      'SELECT * FROM nope',
    ],
  },
];
