/** Law: a Query of INSERT … VALUES read from its bytes is the same statement as by the grammar, rows and errors alike. */
import fc from 'fast-check';
import { Client, type DatabaseError } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
let client: Client;

beforeAll(async () => {
  server = await startServer();
  client = new Client({ connectionString: server.url });
  await client.connect();
  await client.query(`SET TimeZone = 'Europe/Berlin'`);
  await client.query(`CREATE TABLE it (
    id bigint PRIMARY KEY, ts timestamptz DEFAULT now(), v int DEFAULT 7, name text DEFAULT 'it''s', price float8, payload json,
    ok bool, "Odd Näme" varchar(5), n numeric(8,2), d date, small smallint NOT NULL DEFAULT 3)`);
  await client.query('CREATE TABLE "user" (id int)');
}, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
});

/** A comment at the front makes it the grammar's; positions then count its four characters. */
const BY_GRAMMAR = '/**/';

/** The time of the statement is another one each time. */
const shown = (value: unknown): string =>
  value instanceof Date && Math.abs(value.getTime() - Date.now()) < 600_000 ? 'now' : String(value);

async function outcome(prefix: string, statement: string): Promise<unknown> {
  await client.query('BEGIN');
  try {
    const { rowCount } = await client.query(prefix + statement);
    const { rows } = await client.query({ text: 'SELECT * FROM it ORDER BY id', rowMode: 'array' });
    return { rowCount, rows: rows.map((row: unknown[]) => row.map(shown)) };
  } catch (error) {
    const { code, message, position, hint, column, where } = error as DatabaseError;
    const detail = (error as DatabaseError).detail?.replaceAll(/\d\d:\d\d:\d\d\.\d+/g, 'TIME'); // of now()
    const at = position === undefined ? null : Number(position) - prefix.length;
    return { code, message, at, detail, hint, column, where };
  } finally {
    await client.query('ROLLBACK');
  }
}

const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  id: [
    '1',
    '22',
    '-3',
    "'44'",
    '9223372036854775807',
    '1.5',
    '9223372036854775808',
    'NULL',
    'DEFAULT',
    "'x'",
    '1e2',
    '0x1F',
    '$1',
  ],
  ts: [
    "'2026-01-02 03:04:05.678+00'",
    "'2026-07-01 00:00:00'",
    "timestamptz '2026-01-02'",
    'NULL',
    "'nonsense'",
    '5',
    "'2026-01-02'::date",
    'now()',
    'CURRENT_TIMESTAMP',
  ],
  v: [
    '1',
    '-2147483648',
    '2147483648',
    'DEFAULT',
    'NULL',
    "'5'::int",
    "'5'::bigint",
    '1 + 1',
    '- 5',
    '+5',
    'true',
    '(1)',
  ],
  name: [
    "'plain'",
    "'it''s'",
    "E'a\\tb'",
    "E'\\u00e9'",
    "'schön'",
    "'\u{1f600}'",
    '12.50',
    '.5',
    '007',
    'true',
    'DEFAULT',
    "'a' 'b'",
    "'a'\n'b'",
    '$$x$$',
    "U&'\\0041'",
    "'back\\'",
    "upper('x')",
  ],
  price: ['1.5', '-0.0', '-0', '1e300', "'NaN'", '0.1', '12345678901234567890', '5.', "'x'", 'NULL'],
  payload: [`'{"a":[1,2,{"b":null}]}'`, `'{"a":1}'::json`, `'{"a":1}'::jsonb`, "'{'", 'NULL'],
  ok: ['true', 'FALSE', "'t'", "'no'", '1', "'maybe'", 'NULL'],
  '"Odd Näme"': ["'abc'", "'äöüß€'", "'too long'", "'spaces   '", "'x'::text", '12345', '123456'],
  n: ['1', '-1.005', "'12.3'", '1234567', '1e2', 'NULL'],
  d: ["'2026-01-02'", "'2026-01-02'::date", "date '2026-02-30'", 'NULL'],
  small: ['1', '-1', '32768', 'NULL', 'DEFAULT'],
};
const names = Object.keys(COLUMNS);
const pick = (...texts: string[]): fc.Arbitrary<string> => fc.constantFrom(...texts);

const statement = fc
  .tuple(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.shuffledSubarray(names.filter((name) => name !== 'id')).map((some) => ['id', ...some]),
      },
      { weight: 3, arbitrary: fc.constant(names) },
    ),
    fc.array(fc.array(fc.tuple(fc.nat(60), fc.nat()), { minLength: names.length, maxLength: names.length }), {
      minLength: 1,
      maxLength: 4,
    }),
    fc.oneof(
      {
        weight: 10,
        arbitrary: pick('INSERT INTO it', 'insert into public.it', 'INSERT  INTO\n"it" ', 'Insert Into IT'),
      },
      {
        weight: 1,
        arbitrary: pick(
          'INSERT INTO nope',
          'INSERT INTO user',
          'INSERT INTO it AS x',
          'INSERT INTO "IT"',
          'INSERT INTO arka.it',
          'INSERT INTO pg_class',
        ),
      },
    ),
    pick('', '', ' ', '\n', ' \t'),
    fc.oneof(
      { weight: 8, arbitrary: pick('', ';', ' ; ') },
      {
        weight: 1,
        arbitrary: pick(
          ';;',
          ' ON CONFLICT DO NOTHING',
          ' RETURNING id',
          ',',
          ')',
          '; SELECT 1',
          ' -- end',
          ' nonsense',
        ),
      },
    ),
    // One character becomes another one.
    fc.option(fc.tuple(fc.nat(), pick("'", ',', '(', ')', ';', '-', ' ', '"', 'é', '0', '\\', ':')), { freq: 4 }),
  )
  .map(([columns, rows, head, space, tail, damage]) => {
    const list = columns.length === names.length && columns[1] === 'ts' ? '' : ` (${columns.join(',' + space)})`;
    const values = rows.map((row, number) => {
      const texts = columns.map((name, i) => {
        const [odd, choice] = row[i]!;
        const literals = COLUMNS[name]!;
        if (name === 'id' && odd < 59) return String(number * 100 + (choice % 100));
        return odd < 58 ? literals[choice % 2]! : literals[choice % literals.length]!;
      });
      return `(${space}${texts.join(`${space},`)})`;
    });
    const text = `${head}${list} VALUES${space}${values.join(`${space},`)}${tail}`;
    if (damage === null) return text;
    const at = damage[0] % text.length;
    return text.slice(0, at) + damage[1] + text.slice(at + 1);
  });

describe('an INSERT from bytes is the INSERT of the grammar', () => {
  test('any statement', async () => {
    const seen = { rows: 0, errors: 0 };
    await fc.assert(
      fc.asyncProperty(statement, async (text) => {
        const expected = await outcome(BY_GRAMMAR, text);
        expect(await outcome('', text)).toEqual(expected);
        if ((expected as { code?: string }).code === undefined) seen.rows++;
        else seen.errors++;
      }),
      { numRuns: 250 },
    );
    expect(Math.min(seen.rows, seen.errors)).toBeGreaterThan(20);
  }, 60_000);

  test('a statement of many windows, and one with an error at its end', async () => {
    const row = (id: number): string =>
      `(${id}, '2026-01-02 03:04:05.678+00', ${id % 9}, 'it''s ${'é'.repeat(id % 90)}', ${id}.25)`;
    const rows = Array.from({ length: 4000 }, (_, id) => row(id));
    const insert = `INSERT INTO it (id, ts, v, name, price) VALUES ${rows.join(', ')}`;
    for (const text of [
      insert,
      `${insert}, (5, NULL, 1, '', 0)`,
      `${insert}, (4000, NULL, 'x', '', 0)`,
      `${insert}, (4000, NULL, `,
    ]) {
      expect(await outcome('', text)).toEqual(await outcome(BY_GRAMMAR, text));
    }
  }, 60_000);

  test('a row longer than a window', async () => {
    const text = `INSERT INTO it (id, name) VALUES (1, 'a'), (2, '${'long '.repeat(20_000)}'), (3, 'b')`;
    expect(await outcome('', text)).toEqual(await outcome(BY_GRAMMAR, text));
    expect(await outcome('', text)).toMatchObject({ rowCount: 3 });
  });
});

test('a failed INSERT leaves nothing, outside and inside a transaction block', async () => {
  const code = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'none',
      (error: DatabaseError) => error.code!,
    );
  expect(await code(client.query('INSERT INTO it (id) VALUES (1), (2), (1)'))).toBe('23505');
  expect(await code(client.query(`INSERT INTO it (id, v) VALUES (1, 1), (2, 'x')`))).toBe('22P02');
  await client.query('BEGIN');
  await client.query('INSERT INTO it (id) VALUES (1)');
  expect(await code(client.query('INSERT INTO it (id) VALUES (2), (1)'))).toBe('23505');
  expect(await code(client.query('INSERT INTO it (id) VALUES (3)'))).toBe('25P02');
  await client.query('ROLLBACK');
  expect((await client.query('SELECT count(*)::int AS n FROM it')).rows).toEqual([{ n: 0 }]);
});

test.each([
  `INSERT INTO it (id, v, small) VALUES (1, 2, 3), (2, 3, 4) ON CONFLICT DO NOTHING`,
  `INSERT INTO it (id, v) VALUES (1, 2), (1, 3)\n on  Conflict (id) do nothing;`,
  `INSERT INTO it (id, v) VALUES (1, 2), (1, 3) ON CONFLICT (id) DO UPDATE SET v = excluded.v`,
  `INSERT INTO it (id, v) VALUES (500, 2), (501, 3) ON CONFLICT (id) DO UPDATE SET v = it.v + excluded.v, small = 5`,
  `INSERT INTO it (id, v) VALUES (500, 2147483647) ON CONFLICT (id) DO UPDATE SET v = it.v + excluded.v`,
  `INSERT INTO it (id, name) VALUES (500, ') ON CONFLICT (id) DO NOTHING')`,
  `INSERT INTO it (id, name) VALUES (600, ') ON CONFLICT (id) DO NOTHING'), (500, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.name`,
  `INSERT INTO it (id, name) VALUES (500, 'x') ON CONFLICT (id) DO UPDATE SET name = ') ON CONFLICT DO NOTHING'`,
  `INSERT INTO it (id, name) VALUES (500, 'x') ON CONFLICT (id) DO UPDATE SET v = 'odd'`,
  `INSERT INTO it (id, name) VALUES (500, 'x') ON CONFLICT (name) DO NOTHING`,
  `INSERT INTO it (id, small) VALUES (500, NULL) ON CONFLICT (id) DO NOTHING`,
  `INSERT INTO it (id, small) VALUES (500, 'x') ON CONFLICT (id) DO NOTHING`,
])('%s is the same read from its bytes', async (sql) => {
  await client.query(`DELETE FROM it`);
  await client.query(`INSERT INTO it (id, v, name) VALUES (500, 50, 'there')`);
  expect(await outcome('', sql)).toEqual(await outcome(BY_GRAMMAR, sql));
  await client.query(`DELETE FROM it`);
});
