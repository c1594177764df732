/** Files are left out by what manifests say of any column; what a query finds stays what it was. */
import fc from 'fast-check';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../process/client.ts';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
let client: Client;

beforeAll(async () => {
  server = await startServer();
  client = await connect(server.url);
}, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
});

/** Files read and left out, of a table in Iceberg. */
async function files(query: string, values: unknown[] = []): Promise<{ read: number; pruned: number; why: string }> {
  const { rows } = await client.query<[string]>({ text: `EXPLAIN ${query}`, values, rowMode: 'array' });
  const lines = rows.map(([line]) => line).filter((line) => /\.parquet/.test(line));
  const pruned = lines.filter((line) => line.includes('pruned: '));
  return { read: lines.length - pruned.length, pruned: pruned.length, why: pruned[0]?.replace(/.*\): /, '') ?? '' };
}

const TYPES: Readonly<Record<string, readonly string[]>> = {
  b: ['boolean', 'true', 'false'],
  i2: ['smallint', '-32768', '-1', '0', '7', '32767'],
  i4: ['integer', '-2147483648', '-5', '0', '5', '1000', '2147483647'],
  i8: ['bigint', '-9007199254740992', '-1', '0', '4294967295', '4294967296', '9007199254740991', '9223372036854775807'],
  f4: ['real', '-1.5', '-0', '0', '0.1', '16777217', '1e30', 'NaN', 'Infinity', '-Infinity'],
  f8: [
    'double precision',
    '-1.5',
    '-0',
    '0',
    '0.1',
    '0.30000000000000004',
    '0.3',
    '1e300',
    'NaN',
    'Infinity',
    '-Infinity',
  ],
  n: ['numeric(12,3)', '-1.5', '-0.001', '0', '0.001', '1.5', '999999999.999'],
  w: ['numeric(38,2)', '-99999999999999999999.01', '0', '0.01', '123456789012345678901234567890.12'],
  t: [
    'text',
    '',
    'a',
    'Z',
    'ab',
    'abcdefghijklmnopq',
    'abcdefghijklmnopr',
    'abcdefghijklmnop',
    'é',
    '\u{ffff}',
    '\u{1f600}',
    'a%',
    'a_',
  ],
  vc: [
    'varchar(40)',
    '',
    'a',
    'b',
    'b ',
    'bbbbbbbbbbbbbbbbbbbbbbbb',
    '\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}\u{10ffff}',
  ],
  by: ['bytea', '\\x', '\\x00', '\\xff', '\\xffffffffffffffffffffffffffffffffffff', '\\x7f80'],
  d: ['date', '0044-03-15 BC', '1969-12-31', '1970-01-01', '2026-11-25'],
  tm: ['time', '00:00', '12:34:56.789', '23:59:59.999999'],
  ts: ['timestamp', '1969-12-31 23:59:59.999999', '1970-01-01 00:00:00', '2026-11-25 12:00:00', '12026-01-01 00:00:00'],
  tz: ['timestamptz', '1969-12-31 23:59:59.999999+00', '2026-11-25 12:00:00+02', '2026-11-25 10:00:00Z'],
  u: [
    'uuid',
    '00000000-0000-0000-0000-000000000000',
    '7fffffff-ffff-ffff-ffff-ffffffffffff',
    '80000000-0000-0000-0000-000000000000',
    '80000000-0000-0000-8000-000000000001',
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
  ],
};
const NAMES = Object.keys(TYPES);
const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const valueOf = (name: string): fc.Arbitrary<string> => fc.constantFrom(...TYPES[name]!.slice(1));

/** The rows of one file: few values of each column, so that files differ, and NULLs. */
const file = fc.array(fc.tuple(...NAMES.map((name) => fc.option(valueOf(name), { freq: 5 }))), {
  minLength: 1,
  maxLength: 4,
});

const NUMBERS = ['i2', 'i4', 'i8', 'f4', 'f8', 'n', 'w'];
const constantOf = (name: string): fc.Arbitrary<string> => {
  const quoted = valueOf(name).map(literal);
  if (!NUMBERS.includes(name))
    return fc.oneof(
      quoted,
      valueOf(name).map((text) => `${TYPES[name]![0]!.replace(/\(.*/, '')} ${literal(text)}`),
    );
  // Numbers of another type than the column's.
  return fc.oneof(
    quoted,
    fc.constantFrom('0', '1', '-1', '2.5', '0.001', '0.1', '0.3', '5.000', '1e3', '4294967296', '99999999999'),
  );
};
const condition = fc.constantFrom(...NAMES).chain((name) => {
  const constant = constantOf(name);
  const compared = fc
    .tuple(fc.constantFrom('=', '<', '>', '<=', '>='), constant, fc.boolean())
    .map(([operator, value, mirrored]) => (mirrored ? `${value} ${operator} ${name}` : `${name} ${operator} ${value}`));
  const others = [
    fc.tuple(constant, constant).map(([low, high]) => `${name} BETWEEN ${low} AND ${high}`),
    fc
      .array(fc.oneof(constant, fc.constant('NULL')), { minLength: 1, maxLength: 3 })
      .map((list) => `${name} IN (${list.join(', ')})`),
    fc.constantFrom(`${name} IS NULL`, `${name} IS NOT NULL`),
  ];
  const patterns = fc
    .tuple(
      fc.constantFrom('a', 'ab', 'abcdefghijklmnop', 'abcdefghijklmnopq', 'b', 'é', '\u{10ffff}', '\\a', 'a\\%', ''),
      fc.constantFrom('%', '_%', '', 'x'),
    )
    .map(([beginning, rest]) => `${name} LIKE ${literal(beginning + rest)}`);
  return fc.oneof(compared, compared, ...others, ...(name === 't' || name === 'vc' ? [patterns] : []));
});

let tables = 0;

test('a query reads the same rows with files left out as without, for each kind of condition on each type', async () => {
  let pruned = 0;
  const property = fc.asyncProperty(
    fc.array(file, { minLength: 2, maxLength: 3 }),
    fc.array(
      fc.array(condition, { minLength: 1, maxLength: 2 }).map((all) => all.join(' AND ')),
      { minLength: 50, maxLength: 50 },
    ),
    async (parts, conditions) => {
      const table = `pruned_${tables++}`;
      await client.query(
        `CREATE TABLE ${table} (k int PRIMARY KEY, ${NAMES.map((name) => `${name} ${TYPES[name]![0]}`).join(', ')})`,
      );
      let k = 0;
      for (const rows of parts) {
        const values = rows.map(
          (row) => `(${[k++, ...row.map((value) => (value === null ? 'NULL' : literal(value)))].join(', ')})`,
        );
        await client.query(`INSERT INTO ${table} VALUES ${values.join(', ')}`);
        await client.query(`CALL arka.commit('public.${table}')`);
      }
      for (const where of conditions) {
        const keys = async (sql: string): Promise<unknown> => {
          try {
            const text = `SELECT k FROM ${table} WHERE ${sql} ORDER BY k`;
            return (await client.query<[number]>({ text, rowMode: 'array' })).rows.map(([key]) => key);
          } catch (error) {
            return (error as { code: string }).code;
          }
        };
        // Of (…) IS TRUE the planner takes nothing out.
        expect(await keys(where), where).toEqual(await keys(`(${where}) IS TRUE`));
        pruned += await files(`SELECT k FROM ${table} WHERE ${where}`).then(
          (found) => found.pruned,
          () => 0,
        );
      }
      await client.query(`DROP TABLE ${table}`);
    },
  );
  await fc.assert(property, { numRuns: 2, endOnFailure: true });
  expect(pruned).toBeGreaterThan(20);
}, 120_000);

test('files are left out by any column: parameters, lists, beginnings of texts, NULLs, and the bucket of their partition', async () => {
  await client.query(
    `CREATE TABLE cold (id bigint PRIMARY KEY, v int, name text, note text) WITH (partition_by = 'bucket(8, name)')`,
  );
  for (let i = 0; i < 4; i++) {
    const note = i === 3 ? 'NULL' : `'note ' || k`;
    await client.query(
      `INSERT INTO cold SELECT ${i * 100} + k, ${i * 10} + k % 10, 'name ${i}', ${note} FROM generate_series(0, 99) k`,
    );
    await client.query(`CALL arka.commit('public.cold')`);
  }
  const read = (where: string, values: unknown[] = []): Promise<number> =>
    files(`SELECT * FROM cold WHERE ${where}`, values).then((found) => found.read);
  expect(await read('v = 15')).toBe(1);
  expect(await read('v BETWEEN 5 AND 12')).toBe(2);
  expect(await read('v IN (1, 35, 99)')).toBe(2);
  expect(await read('35 < v')).toBe(1);
  expect(await read('v > 100')).toBe(0);
  expect(await read(`note LIKE 'note%'`)).toBe(3);
  expect(await read(`note LIKE 'nota%' AND v > 0`)).toBe(0);
  expect(await read('note IS NULL')).toBe(1);
  expect(await read('note IS NOT NULL')).toBe(3);
  expect(await read(`name = 'name 2'`)).toBe(1);
  expect(await read('v = 15 OR v = 16')).toBe(4);
  expect(await read('v + 0 = 15')).toBe(4);
  // A bound says nothing of a name between two others; its bucket does.
  await client.query(`INSERT INTO cold SELECT 1000 + k, 0, 'name ' || k, '' FROM generate_series(0, 63) k`);
  await client.query(`CALL arka.commit('public.cold')`);
  const bucket = await files(`SELECT * FROM cold WHERE name = 'name 33' AND note = ''`);
  expect(bucket.read).toBe(1);
  expect((await client.query(`SELECT id FROM cold WHERE name = 'name 33' AND note = ''`)).rows).toEqual([
    { id: '1033' },
  ]);
  // By what is not there, and by a change.
  const joined = `SELECT count(*) FILTER (WHERE b.id IS NULL) AS n FROM cold a LEFT JOIN cold b ON b.id = a.id + 100 AND b.v > 20`;
  expect((await client.query(`${joined} WHERE a.v < 20 AND a.id < 1000`)).rows).toEqual([{ n: '110' }]);
  expect(
    (await client.query(`SELECT count(a.id) AS n FROM cold a LEFT JOIN cold b ON b.id = a.id WHERE b.note IS NULL`))
      .rows,
  ).toEqual([{ n: '100' }]);
  expect(
    (await client.query({ text: 'UPDATE cold SET v = -1 WHERE v = $1 AND note IS NULL', values: [33] })).rowCount,
  ).toBe(10);
  expect(await read('v = 33')).toBe(1);
  expect((await client.query('SELECT count(v) AS n FROM cold WHERE v = -1')).rows).toEqual([{ n: '10' }]);
});
