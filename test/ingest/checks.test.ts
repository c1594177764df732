/** Conditions of CHECK say of a row what PostgreSQL says of it, written by hand and at random. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rowChecks } from '../../src/ingest/row-checks.ts';
import type { TableDef } from '../../src/table-def.ts';
import { putText } from '../../src/types/parse-text-value.ts';
import { physicalOf } from '../../src/types/pg-type.ts';
import { textInput } from '../../src/types/text-input.ts';
import { UTC } from '../../src/types/time-zone.ts';
import { VectorBuilder } from '../../src/types/vector-builder.ts';
import { openPglite, type Session } from '../differential/wire.ts';
import { draftOf } from '../planner/world.ts';

const COLUMNS: readonly (readonly [string, string])[] = [
  ['a', 'int'],
  ['b', 'int'],
  ['w', 'bigint'],
  ['n', 'numeric(8,2)'],
  ['t', 'text'],
  ['d', 'timestamp'],
  ['f', 'float8'],
  ['k', 'boolean'],
];
type RowTexts = readonly (string | null)[];

const ROWS: readonly RowTexts[] = [
  ['1', '2', '9007199254740993', '1.50', 'abc', '2026-01-01 00:00:00', '1.5', 't'],
  ['-1', '20', '-9223372036854775808', '-0.01', 'B', '2025-12-31 23:59:59.999999', 'NaN', 'f'],
  ['3', '3', '3', '2.25', 'ab', '2026-06-01 12:00:00', '3', null],
  [null, '1', null, null, null, null, null, null],
  ['2', null, '9007199254740992', '3.00', 'ébc', '2026-03-01 00:00:00', '-Infinity', 't'],
  ['40', '1', '9223372036854775807', '999999.99', '100%', '2030-01-01 00:00:00', '1e300', 'f'],
  ['0', '0', '0', '1.51', '  ', '2020-01-01 00:00:00', '0', 't'],
  ['2', '9', '-1', '2.00', 'x123', '2026-01-01 00:00:01', '2', 't'],
];

const CONDITIONS: readonly string[] = [
  'a > 0',
  'a >= 1 AND b < 10',
  'a > 0 OR b > 0',
  'NOT (a = 1 AND b = 2)',
  'a BETWEEN 1 AND 3',
  'a NOT BETWEEN b AND 3',
  'a BETWEEN SYMMETRIC 3 AND 1',
  'a IN (1, 2, 40)',
  'a NOT IN (1, 2, NULL)',
  'a IS DISTINCT FROM b',
  'a IS NOT DISTINCT FROM 1',
  'a + b * 2 < 12',
  '- a < 0',
  'abs(a) < 3',
  'w = 9007199254740993',
  'w > a',
  'w < 9007199254740992.5',
  'n > 1.505',
  'n = 1.5',
  'n < a',
  'n + a > 2.25',
  'n * n < 9',
  'n - 0.005 > 1.5',
  'f <= 1.5',
  'f > n',
  'f = a',
  "f = 'NaN'",
  "t = 'abc'",
  "t IN ('abc', 'B')",
  "t > 'abb'",
  "t LIKE 'a%'",
  "t NOT LIKE '_b_'",
  "t ILIKE 'AB%'",
  String.raw`t LIKE '100\%'`,
  "t ~ '^[a-z]+$'",
  "t ~* 'B'",
  String.raw`t !~ '\d{3}'`,
  "t ~ '(ab|é)c?$'",
  'length(t) = 3',
  'octet_length(t) < 4',
  't = lower(t)',
  "upper(t) <> 'B'",
  "btrim(t) <> ''",
  "trim(both from t) <> ''",
  "coalesce(t, 'none') <> 'none'",
  'coalesce(a, b, 0) > 0',
  'num_nonnulls(a, b, t) = 3',
  "strpos(t, 'b') = 2",
  "position('c' IN t) > 2",
  "starts_with(t, 'a')",
  "d >= '2026-01-01'",
  "d < timestamp '2026-06-01 12:00:00'",
  'k',
  'NOT k',
  'k IS NOT FALSE',
  '(a > 0) IS NOT UNKNOWN',
  '(a = 1) IS TRUE OR k IS UNKNOWN',
  'a = ANY (ARRAY[1, 3])',
  '(a IS NULL) = (b IS NULL)',
  '(a > 0) <> (b > 0)',
  '(a IS NOT NULL)::int + (b IS NOT NULL)::int = 2',
  'a % 2 = 0',
  'mod(b, 3) <> 2',
  'a / 2 = 1',
  'CASE WHEN a > 2 THEN b < 5 ELSE b > 1 END',
  'CASE WHEN t IS NULL THEN 0 ELSE length(t) END < 4',
  'greatest(a, b) < 10',
  'least(a, b, 5) > 0',
];

let oracle: Session;
beforeAll(async () => {
  oracle = await openPglite();
}, 60_000);
afterAll(() => oracle.close());

const literal = (text: string | null, type: string): string => (text === null ? 'NULL' : `'${text}'`) + `::${type}`;

/** What PostgreSQL says of each condition, for each row. */
async function asked(conditions: readonly string[]): Promise<readonly RowTexts[]> {
  const rows = ROWS.map((row, i) => `(${i}, ${row.map((text, c) => literal(text, COLUMNS[c]![1])).join(', ')})`);
  const names = COLUMNS.map(([name]) => name).join(', ');
  const select = conditions.map((condition) => `(${condition})`).join(', ');
  const { rows: answer, error } = await oracle.run(
    `SELECT ${select} FROM (VALUES ${rows.join(', ')}) AS r (at, ${names}) ORDER BY at`,
  );
  expect(error).toBeNull();
  return answer;
}

/** What Arka says: true and unknown are one, a row passes. */
function refused(conditions: readonly string[]): boolean[][] {
  const context = { timeZone: UTC, now: () => 0 };
  const defs = conditions.map((condition): TableDef => {
    const columns = COLUMNS.map(([name, type]) => `${name} ${type}`).join(', ');
    return draftOf(`CREATE TABLE r (${columns}, CHECK (${condition}))`);
  });
  const vectors = COLUMNS.map((_, c) => {
    const { type } = defs[0]!.columns[c]!;
    const builder = new VectorBuilder(physicalOf(type));
    for (const row of ROWS) putText(textInput(type, context), row[c]!, builder);
    return builder.vector();
  });
  const tests = defs.map((def) => rowChecks(def, context)!);
  return ROWS.map((_, row) => tests.map((passes) => passes(vectors, row) !== null));
}

async function compare(conditions: readonly string[]): Promise<void> {
  const wanted = (await asked(conditions)).map((row) => row.map((value) => value === 'f'));
  const found = refused(conditions);
  const differ = wanted.flatMap((row, i) =>
    row.flatMap((value, c) => (value === found[i]![c] ? [] : [`${conditions[c]} of ${ROWS[i]!.join()}`])),
  );
  expect(differ).toEqual([]);
}

test('conditions written by hand', () => compare(CONDITIONS));

const { condition } = fc.letrec<{ condition: string; number: string; text: string }>((tie) => ({
  number: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    fc.constantFrom('a', 'b', 'w', 'n', 'f', '0', '2', '1.5', '-3', '9007199254740993', 'length(t)'),
    fc
      .tuple(
        fc.constantFrom('a', 'b', 'n'),
        fc.constantFrom('+', '-', '*'),
        fc.constantFrom('a', 'b', 'n', '2', '0.25'),
      )
      .map((parts) => `(${parts.join(' ')})`),
    fc
      .tuple(
        fc.constantFrom('greatest', 'least', 'coalesce'),
        fc.constantFrom('a', 'b'),
        fc.constantFrom('b', '3', 'NULL'),
      )
      .map(([name, x, y]) => `${name}(${x}, ${y})`),
  ),
  text: fc.constantFrom('t', "'abc'", 'lower(t)', 'upper(t)', "coalesce(t, 'B')", 'NULL'),
  condition: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc
      .tuple(tie('number'), fc.constantFrom('=', '<>', '<', '<=', '>', '>='), tie('number'))
      .map((parts) => `${parts.join(' ')}`),
    fc.tuple(tie('text'), fc.constantFrom('=', '<>', '<', '>'), tie('text')).map((parts) => parts.join(' ')),
    fc
      .tuple(
        tie('number'),
        fc.constantFrom(
          'IN (1, 2.25, 3)',
          'NOT IN (1, NULL)',
          'IS NULL',
          'IS NOT NULL',
          'BETWEEN b AND 3',
          'IS DISTINCT FROM a',
        ),
      )
      .map((parts) => parts.join(' ')),
    fc.constantFrom('k', 'NOT k', "t LIKE '%b%'", "t ~ 'b'"),
    fc
      .tuple(tie('condition'), fc.constantFrom('AND', 'OR'), tie('condition'))
      .map(([x, op, y]) => `(${x}) ${op} (${y})`),
    tie('condition').map((inner) => `NOT (${inner})`),
    fc
      .tuple(tie('condition'), fc.constantFrom('IS TRUE', 'IS NOT TRUE', 'IS FALSE', 'IS UNKNOWN'))
      .map(([inner, is]) => `(${inner}) ${is}`),
  ),
}));

test('conditions at random', async () => {
  await fc.assert(fc.asyncProperty(fc.array(condition, { minLength: 1, maxLength: 40 }), compare), { numRuns: 60 });
}, 60_000);
