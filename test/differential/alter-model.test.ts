/**
 * Law: whatever ALTER TABLE does between writes, with rows that move from tier to tier, the table is the one that PostgreSQL has.
 * ALTER_SEED and ALTER_RUNS choose others than the sequences of every test run.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { differences, expectedOf, type Scenario } from './compare.ts';
import { besideOracle } from './beside.ts';

const seed = Number(process.env['ALTER_SEED'] ?? 7);
const numRuns = Number(process.env['ALTER_RUNS'] ?? 3);

const sessions = besideOracle();

const column = fc.constantFrom('a', 'b', 'c');
const id = fc.integer({ min: -3, max: 12 });
/** One that every type reads. */
const value = fc.constantFrom('NULL', `'0'`, `'7'`, `'-41'`);
const all = fc.constant('SELECT * FROM t');

const alter = fc.oneof(
  fc
    .tuple(column, fc.constantFrom('int', 'bigint', 'text', 'varchar(4)', 'real'), fc.option(value))
    .map(
      ([name, type, given]) => `ALTER TABLE t ADD COLUMN ${name} ${type}${given === null ? '' : ` DEFAULT ${given}`}`,
    ),
  column.map((name) => `ALTER TABLE t DROP COLUMN IF EXISTS ${name}`),
  fc.tuple(column, column).map(([from, to]) => `ALTER TABLE t RENAME ${from} TO ${to}`),
  fc
    .tuple(column, column)
    .map(([gone, added]) => `ALTER TABLE t DROP COLUMN ${gone}, ADD COLUMN ${added} int DEFAULT 3`),
  fc.tuple(column, value).map(([name, given]) => `ALTER TABLE t ALTER ${name} SET DEFAULT ${given}`),
  column.map((name) => `ALTER TABLE t ALTER ${name} SET NOT NULL`),
  column.map((name) => `ALTER TABLE t ALTER ${name} DROP NOT NULL`),
  fc.constant('ALTER TABLE t ALTER id TYPE bigint'),
);
const write = fc.oneof(
  fc.tuple(id, column, value).map(([key, name, given]) => `INSERT INTO t (id, ${name}) VALUES (${key}, ${given})`),
  id.map((key) => `INSERT INTO t (id) VALUES (${key})`),
  fc.tuple(id, column, value).map(([key, name, given]) => `UPDATE t SET ${name} = ${given} WHERE id = ${key}`),
  id.map((key) => `DELETE FROM t WHERE id = ${key}`),
  id.map((key) => `SELECT * FROM t WHERE id = ${key}`),
);
const steps = fc.array(fc.oneof({ weight: 2, arbitrary: alter }, { weight: 4, arbitrary: write }), {
  minLength: 15,
  maxLength: 25,
});

test('a table that is altered between writes is the one that PostgreSQL has', async () => {
  await fc.assert(
    fc.asyncProperty(steps, all, async (chosen, look) => {
      const scenario: Scenario = {
        title: '',
        setup: ['CREATE TABLE t (id int PRIMARY KEY, a int)', 'INSERT INTO t VALUES (1, 1), (2, NULL), (-3, 3)'],
        steps: chosen.flatMap((step) => [step, look]),
      };
      const expected = await expectedOf(sessions.oracle, scenario);
      expect(await differences(sessions.arka, scenario, expected, 'mixed')).toEqual([]);
    }),
    { seed, numRuns, endOnFailure: true },
  );
}, 300_000);
