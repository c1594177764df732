/** MERGE. */
import type { Scenario } from '../compare.ts';

const TABLES = [
  `CREATE TABLE target (id int PRIMARY KEY, n int NOT NULL DEFAULT 7, name text)`,
  `CREATE TABLE source (id int, n int, name text)`,
  `INSERT INTO target VALUES (1, 10, 'one'), (2, 20, 'two'), (3, 30, NULL), (4, 40, 'four')`,
  `INSERT INTO source VALUES (1, 1, 'a'), (2, 2, 'b'), (5, 5, 'e'), (6, NULL, NULL)`,
];

export const MERGE: readonly Scenario[] = [
  {
    title: 'MERGE updates, deletes and inserts',
    setup: TABLES,
    steps: [
      `MERGE INTO target t USING source s ON t.id = s.id WHEN MATCHED AND s.n > 1 THEN DELETE WHEN MATCHED THEN UPDATE SET n = t.n + s.n, name = s.name WHEN NOT MATCHED AND s.n IS NOT NULL THEN INSERT (id, name) VALUES (s.id, s.name) WHEN NOT MATCHED THEN DO NOTHING`,
      `SELECT * FROM target ORDER BY id`,
      `MERGE INTO target USING (VALUES (3, 'x'), (9, 'y')) AS v(id, name) ON target.id = v.id WHEN MATCHED THEN UPDATE SET name = v.name, n = DEFAULT WHEN NOT MATCHED THEN INSERT VALUES (v.id, 99, v.name || '!')`,
      `MERGE INTO target t USING source s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, n) VALUES (s.id + 100, 0)`,
      `MERGE INTO target t USING source s ON t.id = s.id WHEN MATCHED THEN DO NOTHING`,
      `WITH w AS (SELECT 4 AS id) MERGE INTO target t USING w ON t.id = w.id WHEN MATCHED THEN DELETE`,
      `MERGE INTO target t USING (SELECT id + 1 AS id FROM target) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = t.n + 1`,
      `SELECT * FROM target ORDER BY id`,
    ],
  },
  {
    title: 'MERGE that PostgreSQL refuses',
    setup: TABLES,
    steps: [
      `MERGE INTO target t USING (VALUES (1), (1)) s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = 0`,
      `MERGE INTO target t USING (VALUES (1), (1)) s(id) ON t.id = s.id WHEN MATCHED THEN DELETE`,
      `MERGE INTO target t USING source s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, n) VALUES (1, 1)`,
      `MERGE INTO target t USING source s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, n) VALUES (s.id, NULL)`,
      `MERGE INTO target t USING source s ON t.id = s.id WHEN MATCHED THEN UPDATE SET nope = 1`,
      `MERGE INTO target t USING source s ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = 'x'`,
      `MERGE INTO nowhere t USING source s ON t.id = s.id WHEN MATCHED THEN DELETE`,
      `SELECT * FROM target ORDER BY id`,
    ],
  },
  {
    title: 'MERGE with parameters, in a transaction, and into a table without a key',
    setup: [...TABLES, `CREATE TABLE bag (a int, b text)`, `INSERT INTO bag VALUES (1, 'x'), (1, 'x'), (2, 'y')`],
    steps: [
      {
        sql: `MERGE INTO target t USING (SELECT $1::int AS id, $2::text AS name) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)`,
        values: ['1', 'p'],
      },
      'BEGIN',
      `INSERT INTO target VALUES (50, 1, 'own')`,
      `MERGE INTO target t USING (VALUES (50), (51)) s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = t.n + 1 WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)`,
      `MERGE INTO target t USING (VALUES (50), (51)) s(id) ON t.id = s.id WHEN MATCHED AND t.id = 50 THEN DELETE`,
      'COMMIT',
      `MERGE INTO bag USING (VALUES (1), (3)) s(a) ON bag.a = s.a WHEN MATCHED THEN UPDATE SET b = 'z' WHEN NOT MATCHED THEN INSERT VALUES (s.a, 'new')`,
      `SELECT * FROM bag ORDER BY a, b`,
      `SELECT * FROM target ORDER BY id`,
    ],
  },
];
