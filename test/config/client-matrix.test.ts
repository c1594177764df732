/** The README's matrix of clients is of the clients that are tried, and adds up. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { matrixRows, matrixTable, withMatrix } from '../compat/clients/matrix.ts';
import { CLIENTS, KNOWN } from '../compat/clients/registry.ts';
import { parseResult } from '../compat/clients/result.ts';

const readme = readFileSync(join(import.meta.dirname, '..', '..', 'README.md'), 'utf8');

test('the matrix has a row for each client, and a row says what is missing exactly if not all of its checks passed', () => {
  const rows = matrixRows(readme);
  expect(rows.length).toBe(CLIENTS.length);
  for (const { client, version, checks, passed, missing } of rows) {
    expect(checks, client).toBeGreaterThan(0);
    expect(version, client).toMatch(/^\d/);
    expect(missing === '', client).toBe(checks === passed);
  }
});

test('a matrix that was written is read again as it was', () => {
  const result = parseResult('client some driver 1.2\nok one: two\nnot ok three: why: because\n');
  expect(result).toEqual({
    client: 'some driver',
    version: '1.2',
    passed: ['one: two'],
    failed: { three: 'why: because' },
  });
  const written = withMatrix(readme, matrixTable([{ name: 'some', result }]));
  expect(matrixRows(written)).toEqual([
    { client: 'some driver', version: '1.2', checks: 2, passed: 1, missing: 'fails: three' },
  ]);
});

test('what is known to fail is of a client that is tried', () => {
  expect(Object.keys(KNOWN).filter((name) => !CLIENTS.some((client) => client.name === name))).toEqual([]);
});
