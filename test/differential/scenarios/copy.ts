/** COPY FROM: options that say what a header and a NULL are. */
import type { Scenario } from '../compare.ts';

const read = (options: string, data: string): Scenario['steps'][number] => ({
  sql: `COPY t ${options}`,
  data: `${data}\n`,
});

export const COPY: readonly Scenario[] = [
  {
    title: 'COPY FROM compares a header with the columns, and takes NULLs of CSV as it is told',
    setup: [`CREATE TABLE t (a int, b text, c text)`],
    tiers: ['memory'],
    steps: [
      read('FROM STDIN (HEADER MATCH)', 'a\tb\tc\n1\tx\ty'),
      read('(c, b, a) FROM STDIN (HEADER match)', 'c\tb\ta\nz\ty\t2'),
      read('FROM STDIN (FORMAT csv, HEADER match)', 'a,"b",c\n3,x,y'),
      read('FROM STDIN (HEADER MATCH)', 'c\tb\ta\n4\tx\ty'),
      read('FROM STDIN (HEADER MATCH)', 'a\tb\n4\tx'),
      read('FROM STDIN (HEADER MATCH)', 'a\t\\N\tc\n4\tx\ty'),
      read('(a, c) FROM STDIN (FORMAT csv, HEADER match)', 'a,,c\n4,x,y'),
      read('FROM STDIN (FORMAT csv, HEADER off)', '5,x,'),
      `COPY t FROM STDIN (HEADER 5)`,
      `COPY t TO STDOUT (HEADER MATCH)`,
      read('FROM STDIN (FORMAT csv, FORCE_NULL (b, c))', '6,"",'),
      read('FROM STDIN (FORMAT csv, FORCE_NOT_NULL (c))', '7,,'),
      read(`FROM STDIN (FORMAT csv, NULL 'nil', FORCE_NULL (b), FORCE_NOT_NULL (b))`, '8,"nil",nil\n9,nil,"nil"'),
      read('(c, a) FROM STDIN CSV FORCE NOT NULL c', ',10'),
      `COPY t (a) FROM STDIN (FORMAT csv, FORCE_NULL (b))`,
      `COPY t FROM STDIN (FORMAT csv, FORCE_NOT_NULL (nosuch))`,
      `COPY t FROM STDIN (FORMAT csv, FORCE_NULL (b, b))`,
      `SELECT a, b, c, c IS NULL FROM t ORDER BY a`,
    ],
  },
  {
    title: 'COPY … FREEZE is for a table that the transaction has made or truncated',
    setup: [`CREATE TABLE t (a int)`],
    tiers: ['memory'],
    steps: [
      `COPY t FROM STDIN (FREEZE)`,
      read('FROM STDIN (FREEZE off)', '1'),
      `COPY t FROM STDIN (FREEZE maybe)`,
      `BEGIN`,
      `TRUNCATE t`,
      read('FROM STDIN (FREEZE)', '2'),
      read('FROM STDIN WITH CSV FREEZE', '3'),
      `COMMIT`,
      `BEGIN`,
      `SAVEPOINT s`,
      `TRUNCATE t`,
      `ROLLBACK TO s`,
      `COPY t FROM STDIN (FREEZE)`,
      `ROLLBACK`,
      `BEGIN`,
      `CREATE TABLE made (a int)`,
      { sql: 'COPY made FROM STDIN (FREEZE true)', data: '1\n' },
      `DECLARE c CURSOR FOR SELECT 1`,
      `COPY made FROM STDIN (FREEZE)`,
      `ROLLBACK`,
      `SELECT a FROM t ORDER BY a`,
    ],
  },
];
