/** to_char of dates and times over rows: what the engine writes, and what PostgreSQL itself has to. */
import type { Scenario } from '../compare.ts';

const FORMS = [
  'YYYY-MM-DD',
  'yyyy-mm-dd hh24:mi:ss',
  'YYYY-MM-DD"T"HH24:MI:SS.US',
  'YYYY-MM-DD HH12:MI:SS AM',
  'FMHH:FMMI:FMSS p.m. MS',
  'Month|MONTH|month|FMMonth|FMMONTH',
  'Mon MON mon',
  'Day|DAY|day|FMDay',
  'Dy DY dy D ID',
  'IYYY-IW',
  'IYYY"-W"FMIW',
  'YYYY "Q"Q',
  'DDD FMDDD WW W',
  'FMYYYY/FMMM/FMDD',
  'HH HH12 HH24 A.M. pm',
  'DD.MM.YYYY, FMDay',
  'DDth of Month',
  'SSSS',
  'J',
  'YY',
  'YYYYMMDDHH24MISS',
  '(YYYY) 100%',
];

export const TO_CHAR: readonly Scenario[] = [
  {
    title: 'to_char of dates and times',
    tiers: ['memory', 'Iceberg'],
    setup: [
      `CREATE TABLE t (id int PRIMARY KEY, at timestamp, tz timestamptz, d date)`,
      `INSERT INTO t VALUES (1, '2026-03-08 02:30:05.123456', '2026-01-01 23:59:59.999999Z', '2026-12-31'), (2, '2021-01-03 00:00:00', '2020-12-31 12:00:00Z', '2021-01-03'),
        (3, '0044-03-15 13:05:09 BC', '0001-01-01 00:00:00Z', '0044-03-15 BC'), (4, '12026-07-04 11:59:00', NULL, '9999-09-30'), (5, 'infinity', '-infinity', 'infinity'), (6, NULL, '2026-06-15 05:06:07.05Z', NULL)`,
    ],
    steps: [
      ...FORMS.map((form) => `SELECT id, to_char(at, '${form}') AS a, to_char(tz, '${form}') AS b FROM t`),
      `SELECT id, to_char(d, 'YYYY-MM Mon FMDay IYYY-IW Q DDD'), to_char(d, 'HH24:MI') FROM t`,
      `SET TIME ZONE 'America/New_York'`,
      `SELECT to_char(tz, 'YYYY-MM-DD HH24:MI') AS m, count(*) FROM t WHERE id IN (1, 2, 6) GROUP BY 1`,
      `RESET TIME ZONE`,
      `SELECT id, to_char(at, '') FROM t`,
      `SELECT mod(id, 4), mod(id::bigint, 3), mod(id::numeric(5,2), 2.5), mod(-id, 4) FROM t ORDER BY id`,
      `SELECT mod(id, 0) FROM t`,
      `SELECT id FROM t WHERE to_char(d, 'FMMonth') ^@ 'De'`,
    ],
  },
];
