/** The readers, on a table that PyIceberg wrote: they must agree before they judge Arka. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tableSum } from './checksum.ts';
import { python, readWithDuckDb, readWithPyIceberg } from './outside.ts';

const folder = mkdtempSync(join(tmpdir(), 'arka-reference-'));
let metadata = '';
beforeAll(async () => {
  metadata = (await python('write_reference.py', [folder])).trim();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The rows of write_reference.py as PostgreSQL prints them. */
const COLUMNS: Readonly<Record<string, readonly [string, readonly (string | null)[]]>> = {
  id: ['bigint', ['1', '2', '3']],
  flag: ['boolean', ['t', 'f', null]],
  small: ['integer', ['-2147483648', '2147483647', null]],
  single: ['real', ['0.1', '-0', null]],
  double: ['double precision', ['1e+300', 'NaN', null]],
  price: ['numeric', ['1.50', '-9999999999.99', null]],
  name: ['text', ['', 'zażółć 🦆', null]],
  raw: ['bytea', ['\\x', '\\x00ff', null]],
  day: ['date', ['0001-01-01', '9999-12-31', null]],
  clock: ['time', ['00:00:00', '23:59:59.999999', null]],
  local: ['timestamp', ['1969-12-31 23:59:59.000001', '2026-01-02 00:00:00', null]],
  instant: ['timestamptz', ['2026-01-02 03:04:05+00', null, null]],
  uuid: ['uuid', ['00000000-0000-0000-0000-000000000001', 'ffffffff-ffff-ffff-ffff-ffffffffffff', null]],
};
const types = Object.fromEntries(Object.entries(COLUMNS).map(([name, [type]]) => [name, type]));
const expected = tableSum(
  types,
  [0, 1, 2].map((at) => Object.values(COLUMNS).map(([, values]) => values[at]!)),
);

test('PyIceberg reads what PyIceberg wrote, with the checksums of PostgreSQL’s texts', async () => {
  expect(await readWithPyIceberg(folder, 'public.reference')).toEqual(expected);
});

test('DuckDB reads what PyIceberg wrote, with the checksums of PostgreSQL’s texts', async () => {
  expect(await readWithDuckDb(metadata)).toEqual(expected);
});
