import { expect, test } from 'vitest';
import { inNewWords } from '../../src/planner/old-words.ts';

test.each([
  [
    'SELECT\na.attrelid,\na.attnum,\na.attname,\na.atttypmod,\na.attstattarget,\na.attstorage FROM x',
    'SELECT\na.attrelid,\na.attnum,\na.attname,\na.atttypmod,\ncoalesce(a.attstattarget, -1) AS attstattarget,\na.attstorage FROM x',
  ],
  [
    'SELECT datlocprovider, daticulocale, datcollversion, 1 FROM pg_database',
    'SELECT datlocprovider, datlocale AS daticulocale, datcollversion, 1 FROM pg_database',
  ],
  ['SELECT a.attstattarget, daticulocale FROM t', 'SELECT a.attstattarget, daticulocale FROM t'],
])('what pg_dump 15 asks is asked in the words of the PostgreSQL inside, and nothing else is touched', (old, now) => {
  expect(inNewWords(old)).toBe(now);
});
