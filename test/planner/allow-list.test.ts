/** docs/allow-list.md is what the planner lets through. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ALLOW_LIST, allowList, signaturesIn } from '../../scripts/allow-list.ts';
import { functionNames } from '../../src/planner/duckdb/functions.ts';

const text = readFileSync(ALLOW_LIST, 'utf8');
const again = 'npm run allow-list makes docs/allow-list.md anew';

test('each signature in docs/allow-list.md runs where the document says', async () => {
  expect(await allowList(signaturesIn(text)), again).toBe(text);
});

test('each function of the allow-list is in docs/allow-list.md', () => {
  const named = new Set(signaturesIn(text).map(({ name }) => name));
  const aliases = ['every', 'any_value', 'position'];
  expect(
    functionNames().filter((name) => !named.has(name) && !aliases.includes(name)),
    again,
  ).toEqual([]);
});
