/** Arrays in queries: their parts, what is made of them, and their elements as rows. */
import type { Scenario } from '../compare.ts';

const SETUP = [
  `CREATE TABLE a (id int PRIMARY KEY, n int[], t text[], d date[], x int, s text)`,
  `INSERT INTO a VALUES (1, '{1,2,3}', '{a,NULL,"b c"}', '{2020-01-01}', 2, 'a'), (2, '{}', '{}', NULL, 1, 'x'), (3, NULL, NULL, '{}', NULL, NULL),
    (4, '{NULL,5,NULL}', '{"",x,x}', '{2020-01-01,2021-01-01}', 0, 'x'), (5, '{7}', '{"null",NULL}', '{NULL}', -1, ''), (6, '{1,2,4}', '{a}', NULL, 9, 'a,b,,c')`,
];

export const ARRAYS: readonly Scenario[] = [
  {
    title: 'Subscripts and slices of arrays',
    tiers: ['memory', 'Iceberg'],
    setup: SETUP,
    steps: [
      `SELECT id, n[1], n[0], n[-1], n[3], n[x], t[2], d[1], n[1][1] FROM a ORDER BY id`,
      `SELECT id, n[1:2], n[2:], n[:2], n[0:1], n[-5:0], n[2:1], n[2:99], n[x:3], n[:], t[x:x] FROM a ORDER BY id`,
      `SELECT id FROM a WHERE n[1] = 1 AND t[1] = 'a' ORDER BY n[3] DESC`,
      { sql: `SELECT id, n[$1::int], n[$1::int + 1 : 3] FROM a ORDER BY id`, values: ['1'] },
      `SELECT (n)[1] + 1, (n || 9)[4] FROM a WHERE id = 1`,
    ],
  },
  {
    title: 'Arrays made of arrays and elements',
    tiers: ['memory'],
    setup: SETUP,
    steps: [
      `SELECT id, n || n, n || 5, 5 || n, n || '{8,9}', n || NULL, t || 'z'::text, 'z'::text || t, t || s, t || '{q}', n || x FROM a ORDER BY id`,
      `SELECT id, array_append(n, x), array_prepend(x, n), array_cat(n, '{1}'), array_append(t, s) FROM a ORDER BY id`,
      `SELECT id, array_remove(n, 2), array_remove(t, NULL), array_remove(n, x), array_replace(n, NULL, 0), array_replace(t, 'x', s) FROM a ORDER BY id`,
      `SELECT id, array_position(n, 5), array_position(t, NULL), array_position(n, x), array_positions(t, 'x'), array_positions(n, NULL) FROM a ORDER BY id`,
      `SELECT id, cardinality(n), array_length(n, 1), array_upper(t, 1), array_lower(t, 1), array_ndims(n), array_dims(t) FROM a ORDER BY id`,
      `SELECT id, array_to_string(n, ','), array_to_string(t, '-', '*'), array_to_string(t, ''), string_to_array(s, ','), string_to_array(s, ',', '') FROM a ORDER BY id`,
      `SELECT id, ARRAY(SELECT b.id FROM a b WHERE b.id > a.id ORDER BY b.id DESC) FROM a ORDER BY id`,
      `UPDATE a SET n = n || 10, t = array_append(t, 'new') WHERE id < 3 RETURNING *`,
      `UPDATE a SET n = n[2:], d = d || '2022-02-02'::date WHERE id > 3`,
      `INSERT INTO a (id, n, t) SELECT id + 10, array_prepend(0, n), string_to_array(s, ',') FROM a`,
      `SELECT * FROM a ORDER BY id`,
    ],
  },
  {
    title: 'Arrays compare element by element, and ANY, ALL and containment look into them',
    tiers: ['memory', 'Iceberg'],
    setup: SETUP,
    steps: [
      `SELECT id FROM a ORDER BY n, id`,
      `SELECT id FROM a ORDER BY t DESC, id`,
      `SELECT a.id, b.id FROM a, a b WHERE a.n < b.n ORDER BY 1, 2`,
      `SELECT id FROM a WHERE n = '{1,2,3}' OR n = '{NULL,5,NULL}' OR t <> '{a}' ORDER BY id`,
      `SELECT id, x = ANY (n), x <> ALL (n), s = ANY (t), s LIKE ANY (ARRAY['a%', t[1]]), s !~~ ALL (ARRAY['x', 'y%']), 2 < ANY (n), x >= ALL (n) FROM a ORDER BY id`,
      `SELECT id, n @> '{2}', n <@ '{1,2,3,4}', n && '{5,7}', t @> ARRAY[s], t && '{x}' FROM a ORDER BY id`,
      `SELECT n, count(*) FROM a GROUP BY n ORDER BY n`,
      `SELECT DISTINCT t FROM a ORDER BY t`,
      { sql: `SELECT id FROM a WHERE n @> $1 OR $2 = ANY (t) ORDER BY id`, values: ['{2}', 'x'] },
    ],
  },
  {
    title: 'Elements of arrays as rows',
    tiers: ['memory', 'Iceberg'],
    setup: SETUP,
    steps: [
      `SELECT id, e FROM a, unnest(n) AS e ORDER BY id, e`,
      `SELECT id, e, o FROM a, unnest(t) WITH ORDINALITY AS u(e, o) ORDER BY id, o`,
      `SELECT id, p, q FROM a, unnest(n, t) AS u(p, q) WHERE id <> 2 ORDER BY id, p, q`,
      `SELECT id, e FROM a LEFT JOIN LATERAL unnest(n) AS e ON true ORDER BY id, e`,
      `SELECT id, unnest(t) AS e FROM a ORDER BY id, e`,
      `SELECT unnest(n) FROM a WHERE id = 1 ORDER BY 1 DESC`,
      `SELECT e, count(*) FROM a, unnest(t) e GROUP BY e ORDER BY e`,
      `SELECT id FROM a WHERE EXISTS (SELECT 1 FROM unnest(n) e WHERE e > 4) ORDER BY id`,
      `SELECT id, (SELECT max(e) FROM unnest(n) e), (SELECT string_agg(e, ';' ORDER BY e) FROM unnest(t) e) FROM a ORDER BY id`,
    ],
  },
];
