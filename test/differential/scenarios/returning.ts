/** RETURNING on INSERT, UPDATE and DELETE. */
import type { Scenario } from '../compare.ts';

const ITEMS = [
  `CREATE TABLE items (id int PRIMARY KEY, name text, price numeric(10,2), at timestamptz, tags jsonb, short varchar(4), n smallint DEFAULT 7)`,
  `INSERT INTO items VALUES (1, 'one', 1.5, '2026-01-01 00:00:00Z', '{"a": 1}', 'ab', 1), (2, 'two', 2.5, NULL, NULL, NULL, 2), (3, NULL, 3, NULL, '[1]', 'x', 3)`,
];

const JOINED = [
  ...ITEMS,
  `CREATE TABLE prices (item int PRIMARY KEY, price numeric(10,2), note text, at date)`,
  `INSERT INTO prices VALUES (1, 10.5, 'up', '2026-05-01'), (2, NULL, NULL, NULL), (9, 1, 'none', '2026-05-02')`,
  `CREATE TABLE bag (a int, b text)`,
  `INSERT INTO bag VALUES (1, 'x'), (1, 'x'), (2, NULL)`,
];

export const RETURNING: readonly Scenario[] = [
  {
    title: 'INSERT … RETURNING gives new rows with their defaults',
    setup: ITEMS,
    steps: [
      `INSERT INTO items VALUES (10, 'ten', 10, '2026-02-03 04:05:06Z', '{"b":[1, 2]}', 'abcd', 4) RETURNING *`,
      `INSERT INTO items (id) VALUES (11), (12) RETURNING id, n`,
      `INSERT INTO items (id, price) VALUES (13, 1.005) RETURNING price AS p, items.id, id`,
      `INSERT INTO items AS i (id, name) VALUES (14, 'x') RETURNING i.*`,
      `INSERT INTO items (id, name) VALUES (15, 'ab') RETURNING upper(name), id + 1, id * 2 AS twice, name || '!' AS loud`,
      `INSERT INTO items (id, name) SELECT id + 100, name FROM items WHERE id < 3 RETURNING id, name`,
      `INSERT INTO items (id, name) SELECT id + 200, name FROM items WHERE id < 3 RETURNING id - 1 AS less, coalesce(name, '?') AS name`,
      `INSERT INTO items (id, name) SELECT g, 'g' || g FROM generate_series(1000, 1004) g RETURNING *`,
      `INSERT INTO items VALUES (1) RETURNING id`,
      `INSERT INTO items VALUES (16) RETURNING nope`,
      `INSERT INTO items VALUES (16) RETURNING count(*)`,
      `INSERT INTO items VALUES (16) RETURNING other.id`,
      `INSERT INTO items VALUES (17, 'p') RETURNING 1, 'text', NULL, true`,
      `SELECT * FROM items ORDER BY id`,
    ],
  },
  {
    title: 'UPDATE … RETURNING gives the new rows',
    setup: ITEMS,
    steps: [
      `UPDATE items SET price = price * 2 WHERE id < 3 RETURNING *`,
      `UPDATE items SET name = 'new' WHERE id = 3 RETURNING id, name`,
      `UPDATE items i SET n = n + 1 RETURNING i.id, n * 10 AS tens`,
      `UPDATE items SET name = 'no' WHERE id = 99 RETURNING *`,
      `UPDATE items SET short = 'toolong' WHERE id = 1 RETURNING short`,
      `UPDATE items SET nope = 1 RETURNING id`,
      `SELECT * FROM items ORDER BY id`,
    ],
  },
  {
    title: 'DELETE … RETURNING gives the old rows',
    setup: ITEMS,
    steps: [
      `DELETE FROM items WHERE id = 1 RETURNING *`,
      `DELETE FROM items WHERE id = 2 RETURNING name, length(name)`,
      `DELETE FROM items WHERE id = 2 RETURNING name`,
      `DELETE FROM items AS x RETURNING x.id, x.tags`,
      `SELECT count(*) FROM items`,
    ],
  },
  {
    title: 'parameters and the extended protocol',
    setup: ITEMS,
    steps: [
      { sql: `INSERT INTO items (id, name) VALUES ($1, $2) RETURNING id`, values: ['20', 'p'] },
      { sql: `INSERT INTO items (id, name) VALUES ($1, $2) RETURNING id + $3 AS sum, name`, values: ['21', 'q', '5'] },
      { sql: `UPDATE items SET name = $2 WHERE id = $1 RETURNING name, id`, values: ['20', 'changed'] },
      { sql: `DELETE FROM items WHERE id = $1 RETURNING *`, values: ['20'] },
      { sql: `INSERT INTO items (id, name) VALUES ($1, 'x')`, values: ['22'] },
      { sql: `INSERT INTO items (id, name) VALUES ($1, 'x') RETURNING id`, values: ['22'] },
      { sql: `INSERT INTO items (id) VALUES ($1), (24), (25) RETURNING id`, values: ['23'], portions: [2, 2] },
      { sql: `UPDATE items SET n = 1 RETURNING id + $1::int`, values: ['1'], portions: [1, 1, 0] },
    ],
  },
  {
    title: 'a table without a key',
    setup: [`CREATE TABLE bag (a int, b text)`, `INSERT INTO bag VALUES (1, 'x'), (1, 'x'), (2, NULL)`],
    steps: [
      `INSERT INTO bag VALUES (1, 'x') RETURNING *`,
      `UPDATE bag SET b = 'y' WHERE a = 1 RETURNING a, b`,
      `DELETE FROM bag WHERE b = 'y' RETURNING a + 1 AS more`,
      `DELETE FROM bag RETURNING *`,
    ],
  },
  {
    title: 'inside a transaction block',
    setup: ITEMS,
    steps: [
      'BEGIN',
      `INSERT INTO items (id, name) VALUES (30, 'a') RETURNING id, name`,
      `UPDATE items SET name = 'b' WHERE id IN (1, 30) RETURNING id, name`,
      `DELETE FROM items WHERE id >= 2 RETURNING id`,
      `INSERT INTO items VALUES (1) RETURNING id`,
      'COMMIT',
      'SELECT id, name FROM items ORDER BY id',
    ],
  },
  {
    title: 'columns of subqueries, CTEs, views and functions in FROM and USING',
    setup: [...JOINED, 'CREATE VIEW noted AS SELECT item, upper(note) AS loud FROM prices'],
    steps: [
      `UPDATE items SET price = s.price FROM (SELECT item, price, note || '!' AS loud FROM prices) s WHERE s.item = items.id RETURNING items.id, s.loud, s.price`,
      `WITH p AS (SELECT item, count(*) AS times, max(note) AS most FROM prices GROUP BY item) UPDATE items i SET n = p.times FROM p WHERE p.item = i.id RETURNING i.id, i.n, p.*`,
      `WITH p (a, b) AS (SELECT item, note FROM prices) UPDATE items SET n = 5 FROM p AS q WHERE q.a = id RETURNING *`,
      `UPDATE items SET n = x FROM generate_series(1, 3) AS g(x) WHERE x = id RETURNING id, n, x, x + n AS sum`,
      `UPDATE items SET n = v.n FROM (VALUES (1, 'one', true), (2, 'two', false)) AS v(id, word, flag) WHERE v.id = items.id RETURNING word, flag, items.n`,
      `UPDATE items SET n = 2 FROM prices AS p(item, cost) WHERE p.item = id RETURNING id, p.cost`,
      `UPDATE items i SET n = s.times FROM prices p JOIN (SELECT a, count(*) AS times FROM bag GROUP BY a) s ON s.a = p.item WHERE p.item = i.id RETURNING i.id, p.note, s.times`,
      `DELETE FROM bag USING (SELECT item, now() IS NOT NULL AS known FROM prices WHERE note IS NULL) s WHERE s.item = bag.a RETURNING bag.*, s.*`,
      `DELETE FROM items USING (SELECT max(item) AS item FROM prices) s WHERE s.item = items.id RETURNING items.id, s.item`,
      `DELETE FROM items USING prices p, (SELECT 7 AS seven, NULL::text AS nothing) s WHERE p.item = items.id RETURNING seven, nothing, items.id, p.item`,
      `INSERT INTO items (id, name) VALUES (1, 'again')`,
      `UPDATE items SET name = loud FROM noted v WHERE v.item = id RETURNING v.*, name`,
      `UPDATE items SET n = 1 FROM (SELECT item FROM prices) s WHERE s.item = id RETURNING s.nope`,
      `SELECT * FROM items ORDER BY id`,
    ],
  },
  {
    title: 'columns of the tables in FROM',
    setup: JOINED,
    steps: [
      `UPDATE items SET price = p.price FROM prices p WHERE p.item = items.id RETURNING items.id, p.note, items.price, p.price`,
      `UPDATE items AS i SET n = i.n + 1 FROM prices AS p WHERE p.item = i.id AND p.note IS NOT NULL RETURNING *`,
      `UPDATE items SET n = 9 FROM prices WHERE item = id RETURNING prices.*, id`,
      `UPDATE items SET n = 8 FROM prices WHERE item = id RETURNING upper(note) AS loud, n + item AS sum`,
      `UPDATE items SET n = n + 1 FROM prices p JOIN bag b ON b.a = p.item WHERE p.item = items.id RETURNING items.id, p.note, b.b`,
      `UPDATE items SET n = n + 1 FROM prices p LEFT JOIN bag b ON b.a = p.item + 100 WHERE p.item = items.id RETURNING items.id, b.*, p.at`,
      `SELECT * FROM items ORDER BY id`,
    ],
  },
  {
    title: 'columns of the tables in USING, of the table itself, beside new keys, and what is refused of them',
    setup: JOINED,
    steps: [
      `UPDATE items SET id = id + 50 FROM prices WHERE item = id RETURNING id, item, prices.price`,
      `UPDATE items SET id = id - 50 FROM prices WHERE item = id - 50 RETURNING id, item`,
      `UPDATE items i SET n = o.n FROM items o WHERE o.id = i.id + 1 RETURNING i.id, i.n, o.id, o.n`,
      `UPDATE bag SET b = p.note FROM prices p WHERE p.item = bag.a RETURNING bag.*, p.item`,
      `UPDATE items SET n = 1 FROM prices WHERE item = id RETURNING price`,
      `UPDATE items SET n = 1 FROM prices WHERE item = id RETURNING prices.nope`,
      `UPDATE items SET n = 1 FROM prices WHERE item = id AND id = 77 RETURNING note`,
      `DELETE FROM bag USING prices p WHERE p.item = bag.a AND p.note IS NULL RETURNING bag.b, p.item`,
      `DELETE FROM items USING prices p WHERE p.item = items.id AND p.note IS NOT NULL RETURNING *`,
      `DELETE FROM items USING prices p WHERE p.item = items.id RETURNING p.item - items.id AS zero, items.name`,
      `SELECT * FROM items ORDER BY id`,
    ],
  },
];
