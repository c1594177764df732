/** TRUNCATE. */
import type { Scenario } from '../compare.ts';

export const TRUNCATE: readonly Scenario[] = [
  {
    title: 'TRUNCATE empties tables',
    setup: [
      `CREATE TABLE a (id int PRIMARY KEY, v text)`,
      `CREATE TABLE b (x int)`,
      `INSERT INTO a SELECT g, 'v' || g FROM generate_series(1, 50) g`,
      `INSERT INTO b VALUES (1), (1), (2)`,
    ],
    steps: [
      'BEGIN',
      `TRUNCATE a`,
      `SELECT count(*) FROM a`,
      `INSERT INTO a VALUES (1, 'anew')`,
      'ROLLBACK',
      `SELECT count(*) FROM a`,
      `TRUNCATE TABLE a, b RESTART IDENTITY CASCADE`,
      `SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)`,
      `INSERT INTO a VALUES (1, 'anew')`,
      `TRUNCATE a, a CONTINUE IDENTITY`,
      `TRUNCATE nowhere`,
      `SELECT count(*) FROM a`,
    ],
  },
];
