/** UPDATE and DELETE: joins, keys that change, several columns at once, WITH. */
import type { Scenario } from '../compare.ts';

const TABLES = [
  `CREATE TABLE orders (id int PRIMARY KEY, customer int, total numeric(10,2), state text)`,
  `CREATE TABLE customers (id int PRIMARY KEY, name text, factor numeric(4,2))`,
  `INSERT INTO orders VALUES (1, 10, 5.00, 'new'), (2, 10, 7.50, 'new'), (3, 20, 1.25, NULL), (4, NULL, 9.99, 'old')`,
  `INSERT INTO customers VALUES (10, 'Ann', 1.50), (20, 'Bob', 2.00), (30, 'Cid', NULL)`,
];

export const UPDATE_DELETE: readonly Scenario[] = [
  {
    title: 'UPDATE … FROM joins other tables',
    setup: TABLES,
    steps: [
      `UPDATE orders SET state = c.name FROM customers c WHERE c.id = orders.customer`,
      `UPDATE orders AS o SET total = o.total * c.factor FROM customers c WHERE c.id = o.customer AND c.factor > 1.6 RETURNING o.id, o.total`,
      `UPDATE orders o SET state = v.s FROM (VALUES (1, 'one'), (4, 'four'), (9, 'nine')) AS v(id, s) WHERE v.id = o.id`,
      `UPDATE orders SET state = 'joined' FROM customers a JOIN customers b ON a.id = b.id + 10 WHERE orders.customer = a.id`,
      `UPDATE orders SET customer = x.id FROM (SELECT max(id) AS id FROM customers) x WHERE customer IS NULL RETURNING orders.*, total + 1`,
      `UPDATE orders o SET total = o2.total FROM orders o2 WHERE o2.id = o.id + 1`,
      `UPDATE orders SET state = nope.x FROM customers c`,
      `UPDATE orders SET id = id FROM customers WHERE id = 1`,
      `SELECT * FROM orders ORDER BY id`,
    ],
  },
  {
    title: 'of several matches UPDATE … FROM and DELETE … USING use one',
    setup: [
      `CREATE TABLE t (id int PRIMARY KEY, n int)`,
      `CREATE TABLE s (id int, k int)`,
      `INSERT INTO t SELECT g, 0 FROM generate_series(1, 5) g`,
      `INSERT INTO s VALUES (1, 1), (1, 1), (1, 1), (2, 1), (2, 1)`,
    ],
    steps: [
      `UPDATE t SET n = t.n + 1 FROM s WHERE s.id = t.id RETURNING t.id, t.n`,
      `DELETE FROM t USING s WHERE s.id = t.id AND t.id = 1 RETURNING t.*`,
      `DELETE FROM t USING s, generate_series(1, 3) g(x) WHERE s.id = t.id`,
      `SELECT * FROM t ORDER BY id`,
    ],
  },
  {
    title: 'DELETE … USING joins other tables',
    setup: TABLES,
    steps: [
      `DELETE FROM orders USING customers c WHERE c.id = orders.customer AND c.name = 'Bob' RETURNING orders.id, state`,
      `DELETE FROM orders o USING customers WHERE customers.id = o.customer AND customers.factor IS NULL`,
      `DELETE FROM orders USING orders b WHERE orders.id = b.id - 1 RETURNING orders.id`,
      `DELETE FROM customers WHERE id NOT IN (SELECT customer FROM orders WHERE customer IS NOT NULL) RETURNING name`,
      `SELECT * FROM orders ORDER BY id`,
      `SELECT * FROM customers ORDER BY id`,
    ],
  },
  {
    title: 'a key may change',
    setup: TABLES,
    steps: [
      `UPDATE orders SET id = 100 WHERE id = 1`,
      `UPDATE orders SET id = 2 WHERE id = 3`,
      `UPDATE orders SET id = id + 1000 WHERE id IN (2, 3) RETURNING id, total`,
      `UPDATE orders SET id = NULL WHERE id = 4`,
      `UPDATE orders SET id = 4, state = 'same' WHERE id = 4`,
      'BEGIN',
      `UPDATE orders SET id = 1 WHERE id = 100`,
      `UPDATE orders SET id = 100 WHERE id = 4`,
      `INSERT INTO orders VALUES (4, 1, 1, 'again')`,
      `UPDATE orders SET id = 5 WHERE id = 4 RETURNING *`,
      'COMMIT',
      `INSERT INTO orders VALUES (4), (1)`,
      `INSERT INTO orders VALUES (4)`,
      `SELECT * FROM orders ORDER BY id`,
    ],
  },
  {
    title: 'a key of two columns may change in part',
    setup: [
      `CREATE TABLE grid (x text, y int, v int, PRIMARY KEY (x, y))`,
      `INSERT INTO grid VALUES ('a', 1, 1), ('a', 2, 2), ('b', 1, 3)`,
    ],
    steps: [
      `UPDATE grid SET x = 'c' WHERE v = 1`,
      `UPDATE grid SET x = 'b' WHERE v = 1`,
      `UPDATE grid SET x = x || x, y = y * 10 WHERE x = 'a' RETURNING *`,
      `SELECT * FROM grid ORDER BY x, y`,
    ],
  },
  {
    title: 'several columns are set by one query or row',
    setup: TABLES,
    steps: [
      `UPDATE orders SET (total, state) = (SELECT factor, name FROM customers c WHERE c.id = orders.customer)`,
      `UPDATE orders SET (total, state) = (customer + 1, DEFAULT) WHERE id = 1 RETURNING *`,
      `UPDATE orders o SET (customer, total) = ROW (7, 8.5) WHERE o.id = 2 RETURNING customer, total`,
      `UPDATE orders SET (total, state) = (SELECT 1)`,
      `UPDATE orders SET (total, state) = (SELECT factor, name FROM customers)`,
      `UPDATE orders SET total = 1, total = 2`,
      `SELECT * FROM orders ORDER BY id`,
    ],
  },
  {
    title: 'WITH in front of INSERT, UPDATE and DELETE',
    setup: TABLES,
    steps: [
      `WITH big AS (SELECT id, total FROM orders WHERE total > 5) INSERT INTO orders SELECT id + 50, 1, total, 'big' FROM big RETURNING id, total`,
      `WITH c AS (SELECT id, name FROM customers) UPDATE orders SET state = c.name FROM c WHERE c.id = orders.customer RETURNING orders.id, state`,
      `WITH c AS (SELECT max(id) AS id FROM orders) DELETE FROM orders WHERE id = (SELECT id FROM c) RETURNING id`,
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) INSERT INTO orders (id) SELECT i + 200 FROM n WHERE i NOT IN (SELECT id FROM orders)`,
      `WITH gone AS (SELECT 4 AS id) DELETE FROM orders USING gone WHERE gone.id = orders.id`,
      `SELECT * FROM orders ORDER BY id`,
    ],
  },
  {
    title: 'a table without a key in UPDATE … FROM and DELETE … USING',
    setup: [
      `CREATE TABLE bag (a int, b text)`,
      `INSERT INTO bag VALUES (1, 'x'), (1, 'x'), (2, 'y')`,
      `CREATE TABLE other (a int, c text)`,
      `INSERT INTO other VALUES (1, 'one'), (1, 'one'), (2, 'two')`,
    ],
    steps: [
      `UPDATE bag SET b = o.c FROM other o WHERE o.a = bag.a RETURNING bag.*`,
      `DELETE FROM bag USING other o WHERE o.a = bag.a AND o.c = 'one' RETURNING b`,
      `SELECT * FROM bag ORDER BY a`,
    ],
  },
];
