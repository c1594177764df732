/** CREATE INDEX as clients see it: over the wire, beside files, after a restart and after a lost data directory. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from './server-process.ts';

// Nothing moves by itself: the tests say what is in which tier.
const SETTINGS = {
  'flush.max_age': '1h',
  'flush.max_wal_lag': 1e9,
  'flush.max_cdc_ops': 1e9,
  'iceberg.commit_interval': '1h',
};
const dataDir = mkdtempSync(join(tmpdir(), 'arka-indexes-'));
let server: ServerProcess;
let client: Client;

async function start(): Promise<void> {
  server = await startServer({ dataDir, settings: SETTINGS });
  client = new Client({ connectionString: server.url });
  await client.connect();
}

beforeAll(start, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
  rmSync(dataDir, { recursive: true, force: true });
});

async function rows(text: string, values?: unknown[]): Promise<string[]> {
  const result = await client.query({ text, rowMode: 'array', ...(values === undefined ? {} : { values }) });
  return (result.rows as unknown[][]).map((row) =>
    row.map((value) => (value instanceof Date ? value.toISOString() : String(value))).join(' '),
  );
}

const plan = async (sql: string): Promise<string> => (await rows(`EXPLAIN ${sql}`)).join('\n');

/** SQLSTATE, message and hint. */
async function refusal(sql: string): Promise<string> {
  try {
    await client.query(sql);
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return `${code} ${message}`;
  }
  return 'accepted';
}

const INDEXES = `SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'events' ORDER BY 1`;

test('an index is made, named as PostgreSQL names it, shown in pg_indexes, and dropped', async () => {
  await client.query('CREATE TABLE events (id bigint PRIMARY KEY, kind text, n integer, at date, payload json)');
  await client.query('CREATE INDEX ON events USING hash (kind)');
  await client.query('CREATE INDEX ON public.events USING hash (kind)');
  await client.query('CREATE INDEX CONCURRENTLY IF NOT EXISTS "By n" ON events USING hash (n)');
  await client.query('CREATE INDEX IF NOT EXISTS "By n" ON events USING hash (kind)');
  expect(await rows(INDEXES)).toEqual([
    'By n CREATE INDEX "By n" ON public.events USING hash (n)',
    'events_kind_idx CREATE INDEX events_kind_idx ON public.events USING hash (kind)',
    'events_kind_idx1 CREATE INDEX events_kind_idx1 ON public.events USING hash (kind)',
    'events_pkey CREATE UNIQUE INDEX events_pkey ON public.events USING btree (id)',
  ]);
  await client.query('DROP INDEX public.events_kind_idx1');
  await client.query('DROP INDEX IF EXISTS events_kind_idx1, "By n"');
  expect((await rows(INDEXES)).map((row) => row.split(' ')[0])).toEqual(['events_kind_idx', 'events_pkey']);
  await client.query('CREATE INDEX events_n ON events USING hash (n)');
});

test.each([
  ['CREATE INDEX events_n ON events USING hash (n)', '42P07 relation "events_n" already exists'],
  ['CREATE INDEX events ON events USING hash (n)', '42P07 relation "events" already exists'],
  ['CREATE INDEX events_pkey ON events USING hash (n)', '42P07 relation "events_pkey" already exists'],
  ['CREATE TABLE events_n (a int)', '42P07 relation "events_n" already exists'],
  ['CREATE INDEX ON events USING hash (nope)', '42703 column "nope" does not exist'],
  ['CREATE INDEX ON nope USING hash (n)', '42P01 relation "nope" does not exist'],
  ['CREATE INDEX ON events USING brin (n)', '0A000 an index with access method brin is not supported'],
  ['CREATE UNIQUE INDEX ON events USING hash (n)', '0A000 access method "hash" does not support unique indexes'],
  ['CREATE INDEX ON events USING hash (n, kind)', '0A000 access method "hash" does not support multicolumn indexes'],
  ['CREATE INDEX ON events USING hash (lower(kind))', '0A000 an index on an expression is not supported'],
  ['CREATE INDEX ON events USING hash (n) WHERE n > 1', '0A000 a partial index is not supported'],
  [
    'CREATE INDEX ON events USING hash (payload)',
    '42704 data type json has no default operator class for access method "hash"',
  ],
  ['CREATE INDEX ON events USING bloom (n)', '42704 access method "bloom" does not exist'],
  ['DROP INDEX nope', '42704 index "nope" does not exist'],
  ['DROP INDEX events', '42809 "events" is not an index'],
  ['DROP TABLE events_n', '42809 "events_n" is not a table'],
  [
    'DROP INDEX events_pkey',
    '2BP01 cannot drop index events_pkey because a primary key constraint of its table requires it',
  ],
])('%s is refused: %s', async (sql, error) => {
  expect(await refusal(sql)).toBe(error);
});

test('an equality of an indexed column is answered from memory alone, and each change is seen', async () => {
  await client.query(
    `INSERT INTO events VALUES (1, 'a', 10, '2026-01-01', '{}'), (2, 'b', 20, '2026-01-02', NULL), (3, 'a', NULL, NULL, NULL), (4, NULL, 20, NULL, NULL)`,
  );
  expect(await plan(`SELECT * FROM events WHERE kind = 'a'`)).toMatch(
    /^Index Scan using events_kind_idx on public\.events \(memory rows alone\)/,
  );
  const both = async (text: string, values: unknown[], literal: string): Promise<string[]> => {
    const extended = await rows(text, values);
    expect(await rows(text.replace('$1', literal))).toEqual(extended);
    return extended;
  };
  expect(await both('SELECT id, kind, at FROM events WHERE kind = $1', ['a'], `'a'`)).toEqual([
    '1 a 2026-01-01T00:00:00.000Z',
    '3 a null',
  ]);
  expect(await both('SELECT id FROM events WHERE n = $1', [20], '20')).toEqual(['2', '4']);
  expect(await both('SELECT id FROM events WHERE n = $1', [null], 'NULL')).toEqual([]);
  expect(await both('SELECT id FROM events WHERE kind = $1', ['nobody'], `'nobody'`)).toEqual([]);
  await client.query(`UPDATE events SET kind = 'b' WHERE kind = 'a' AND id = 1`);
  expect(await both('SELECT id FROM events WHERE kind = $1', ['a'], `'a'`)).toEqual(['3']);
  expect(await both('SELECT id FROM events WHERE kind = $1', ['b'], `'b'`)).toEqual(['2', '1']);
  await client.query(`DELETE FROM events WHERE kind = 'b' AND n = 20`);
  expect(await rows(`SELECT id FROM events WHERE kind = 'b'`)).toEqual(['1']);
  expect(await rows('SELECT id FROM events WHERE n = 20')).toEqual(['4']);
});

test('UPDATE and DELETE by an indexed column, and a transaction that reads what it wrote, find the rows that there are', async () => {
  await client.query('CREATE TABLE notes (who integer, what text)');
  await client.query('CREATE INDEX ON notes USING hash (who)');
  await client.query(`INSERT INTO notes SELECT i % 10, 'note ' || i FROM generate_series(1, 1000) i`);
  expect(await plan('DELETE FROM notes WHERE who = 3')).toContain(
    'Index Scan using notes_who_idx (tier=memory units=1 rows=100 pruned=0)',
  );
  expect((await client.query(`UPDATE notes SET what = 'seen' WHERE who = 3`)).rowCount).toBe(100);
  expect((await client.query('DELETE FROM notes WHERE who = 4')).rowCount).toBe(100);
  await client.query('BEGIN');
  await client.query(`INSERT INTO notes VALUES (3, 'own')`);
  await client.query(`DELETE FROM notes WHERE who = 5`);
  expect(await rows('SELECT what, count(*) FROM notes WHERE who = 3 GROUP BY 1 ORDER BY 1')).toEqual([
    'own 1',
    'seen 100',
  ]);
  expect(await rows('SELECT what FROM notes WHERE who = 5')).toEqual([]);
  await client.query('ROLLBACK');
  expect(await rows('SELECT count(*) FROM notes WHERE who = 3')).toEqual(['100']);
  expect(await rows('SELECT count(*) FROM notes WHERE who = 4')).toEqual(['0']);
  expect(await rows('SELECT count(*) FROM notes WHERE who = 5')).toEqual(['100']);
  expect(await rows('SELECT count(*) FROM notes')).toEqual(['900']);
});

test('a B-tree answers equality of its first column and of all its columns from memory, of one value and of several; ranges are scanned', async () => {
  await client.query('CREATE TABLE logins (tenant integer, who text, n integer, id integer PRIMARY KEY)');
  await client.query('INSERT INTO logins SELECT i % 3, i % 100, i, i FROM generate_series(0, 60000) i');
  await client.query('CREATE INDEX logins_who ON logins (tenant, who DESC) INCLUDE (n)');
  await client.query('REINDEX INDEX logins_who');
  const memory = 'on public.logins (memory rows alone)';
  // The index follows the rows in some turns of the loop.
  await expect
    .poll(() => plan(`SELECT n FROM logins WHERE who = '7' AND tenant IN (0, 1)`))
    .toContain(`Index Scan using logins_who ${memory}`);
  const expected = Array.from({ length: 60_001 }, (_, n) => n).filter((n) => n % 100 === 7 && n % 3 !== 2);
  const sorted = async (sql: string, values?: unknown[]): Promise<number[]> =>
    (await rows(sql, values)).map(Number).toSorted((a, b) => a - b);
  expect(await sorted(`SELECT n FROM logins WHERE who = '7' AND tenant IN (0, 1, 1)`)).toEqual(expected);
  expect(await sorted('SELECT n FROM logins WHERE tenant = ANY ($1) AND who = $2', [[1, 0], '7'])).toEqual(expected);
  expect(await plan(`SELECT n FROM logins WHERE who = '7' AND tenant = ANY ('{0}') AND n > 30000`)).toContain(
    'Index Scan using logins_who (tier=memory units=1 rows=200 pruned=0)',
  );
  // 20,000 rows of one tenant: a scan is as good.
  expect(await plan('SELECT n FROM logins WHERE tenant = 1')).toContain('MemSlice Scan');
  expect(await plan(`SELECT n FROM logins WHERE who > '7'`)).toContain('MemSlice Scan');
  await client.query('DELETE FROM logins WHERE tenant <> 1 OR n > 3000');
  await expect
    .poll(() => plan('SELECT n FROM logins WHERE tenant = 1'))
    .toContain(`Index Scan using logins_who ${memory}`);
  expect(await rows('SELECT count(*), sum(n) FROM logins WHERE tenant = 1')).toEqual(['1000 1499500']);
});

test('COPY (SELECT …) TO sends rows by an indexed column in its own format', async () => {
  const chunks: Buffer[] = [];
  for await (const chunk of client.query(copyTo(`COPY (SELECT id, kind FROM events WHERE kind = 'b') TO STDOUT`)))
    chunks.push(chunk as Buffer);
  expect(Buffer.concat(chunks).toString()).toBe('1\tb\n');
});

test('rows in files and rows in memory come in one answer; files whose bounds leave the value out are not read', async () => {
  await client.query('CREATE TABLE mixed (who integer, n integer)');
  await client.query('CREATE INDEX mixed_who ON mixed USING hash (who)');
  await client.query('INSERT INTO mixed SELECT i % 10, i FROM generate_series(0, 99) i');
  await client.query(`CALL arka.flush('public.mixed')`);
  await client.query('INSERT INTO mixed SELECT i % 20, i FROM generate_series(100, 199) i');
  const sum = 'SELECT count(*), sum(n) FROM mixed WHERE who =';
  const expected = (who: number): string => {
    const found = Array.from({ length: 200 }, (_, n) => n).filter((n) => (n < 100 ? n % 10 : n % 20) === who);
    return `${found.length} ${found.reduce((total, n) => total + n, 0)}`;
  };
  for (const who of [3, 7]) expect(await rows(`${sum} ${who}`)).toEqual([expected(who)]);
  expect(await plan('SELECT n FROM mixed WHERE who = 3')).toMatch(
    /Engine \(DuckDB\)[^]*Index Scan using mixed_who \(tier=memory[^]*Disk Scan \(tier=disk units=1/,
  );
  expect(await plan('SELECT n FROM mixed WHERE who = 15')).toMatch(/^Index Scan using mixed_who on public\.mixed/);
  expect((await rows('SELECT n FROM mixed WHERE who = 15')).toSorted()).toEqual(['115', '135', '155', '175', '195']);
  await client.query('DELETE FROM mixed WHERE who = 7 AND n < 150');
  const left = Array.from({ length: 50 }, (_, i) => 150 + i)
    .filter((n) => n % 20 === 7)
    .map(String);
  expect((await rows('SELECT n FROM mixed WHERE who = 7')).toSorted()).toEqual(left);
  await client.query('CHECKPOINT');
  expect((await rows('SELECT n FROM mixed WHERE who = 7')).toSorted()).toEqual(left);
});

test('values of every type that can be indexed are found as a scan finds them', async () => {
  const values: Record<string, readonly string[]> = {
    boolean: ['true', 'false'],
    smallint: ['1', '-7'],
    integer: ['5', '-70000'],
    bigint: ['9007199254740993', '0'],
    real: ['1.5', `'NaN'`],
    'double precision': ['0.1', '-0.0'],
    'numeric(20,4)': ['12345.6789', '1.50'],
    text: [`'täxt'`, `'a long text of many more than sixteen bytes'`],
    'varchar(20)': [`'vc'`, `''`],
    bytea: [`'\\x00ff'`, `'\\x'`],
    date: [`'2026-02-03'`, `'1969-12-31'`],
    time: [`'12:34:56.789'`, `'00:00'`],
    timestamp: [`'1999-12-31 23:59:59.999999'`, `'2026-01-01'`],
    timestamptz: [`'2026-07-01 00:00:00+02'`, `'2026-01-01 00:00:00+00'`],
    uuid: [`'123e4567-e89b-12d3-a456-426614174000'`, `'00000000-0000-0000-0000-000000000000'`],
  };
  const types = Object.keys(values);
  for (const [i, type] of types.entries()) {
    await client.query(`CREATE TABLE typed_${i} (v ${type}, n integer)`);
    await client.query(`CREATE TABLE plain_${i} (v ${type}, n integer)`);
    await client.query(`CREATE INDEX ON typed_${i} USING hash (v)`);
    const [a, b] = values[type]!;
    for (const table of ['typed', 'plain'])
      await client.query(`INSERT INTO ${table}_${i} VALUES (${a}, 1), (${b}, 2), (NULL, 3), (${a}, 4)`);
    for (const value of values[type]!) {
      const where = `WHERE v = ${value}`;
      const found = await rows(`SELECT v, n FROM typed_${i} ${where}`);
      expect(found, `${type} ${where}`).toEqual(await rows(`SELECT v, n FROM plain_${i} ${where} ORDER BY n`));
    }
  }
  expect(await rows(`SELECT n FROM typed_${types.indexOf('numeric(20,4)')} WHERE v = 1.5000000`)).toEqual(['2']);
  expect(await rows(`SELECT n FROM typed_${types.indexOf('numeric(20,4)')} WHERE v = 1.50001`)).toEqual([]);
  expect(
    await rows(`SELECT n FROM typed_${types.indexOf('varchar(20)')} WHERE v = 'longer than the twenty of its type'`),
  ).toEqual([]);
});

test('an index on rows that are there is built beside writers, and answers at every moment', async () => {
  await client.query('CREATE TABLE busy (k integer, n integer)');
  await client.query('INSERT INTO busy SELECT i % 1000, i FROM generate_series(1, 100000) i');
  let stop = false;
  const writer = new Client({ connectionString: server.url });
  await writer.connect();
  const writing = (async () => {
    let written = 0;
    for (; !stop; written++) await writer.query('INSERT INTO busy VALUES ($1, 0)', [written % 1000]);
    return written;
  })();
  await client.query('CREATE INDEX busy_k ON busy USING hash (k)');
  const seen: number[] = [];
  for (let i = 0; i < 50; i++) seen.push(Number((await rows('SELECT count(*) FROM busy WHERE k = 7'))[0]));
  stop = true;
  const written = await writing;
  await writer.end();
  expect(seen[0]).toBeGreaterThanOrEqual(100);
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  const expected = 100 + Math.floor((written + 992) / 1000);
  expect(await rows('SELECT n FROM busy WHERE k = 7')).toHaveLength(expected);
  expect(await plan('SELECT n FROM busy WHERE k = 7')).toMatch(/^Index Scan using busy_k on public\.busy/);
});

test('indexes are there after a restart, rebuilt from the rows that the log brings back', async () => {
  await client.query('CREATE TABLE kept (k text, n integer)');
  await client.query('CREATE INDEX kept_k ON kept USING hash (k)');
  await client.query(`INSERT INTO kept SELECT 'k' || i % 100, i FROM generate_series(1, 2000) i`);
  await client.query(`DELETE FROM kept WHERE n = 8`);
  // More than one block of OIDs has room for.
  for (let i = 0; i < 30; i++) await client.query(`CREATE INDEX kept_more_${i} ON kept (n, k)`);
  const oids = `SELECT count(DISTINCT oid) FROM pg_class WHERE relname LIKE 'kept%' OR relname LIKE 'after%'`;
  await client.query('CREATE TABLE after_many (id integer PRIMARY KEY)');
  expect(await rows(oids)).toEqual(['34']);
  const before = await rows(`SELECT n FROM kept WHERE k = 'k8'`);
  expect(before).toHaveLength(19);
  await client.end();
  await server.kill9();
  await start();
  await client.query('CREATE TABLE after_start (id integer PRIMARY KEY)');
  expect(await rows(oids)).toEqual(['36']);
  expect(
    await rows(
      `SELECT indexname FROM pg_indexes WHERE tablename IN ('busy', 'events', 'kept') AND indexname NOT LIKE 'kept_more%' ORDER BY 1`,
    ),
  ).toEqual(['busy_k', 'events_kind_idx', 'events_n', 'events_pkey', 'kept_k']);
  expect(await rows('SELECT trigger FROM arka.flushes')).toEqual([]);
  expect(await plan(`SELECT n FROM kept WHERE k = 'k8'`)).toMatch(/^Index Scan using kept_k on public\.kept/);
  expect(await rows(`SELECT n FROM kept WHERE k = 'k8'`)).toEqual(before);
}, 60_000);

test('indexes survive the loss of everything but the catalog and the warehouse', async () => {
  const oids = `SELECT c.relname, c.oid FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relname LIKE 'events%' OR c.relname LIKE 'busy%' ORDER BY 1`;
  const before = await rows(oids);
  await client.query('CHECKPOINT');
  await client.end();
  await server.stop();
  for (const name of readdirSync(dataDir))
    if (name !== 'catalog.db' && name !== 'warehouse') rmSync(join(dataDir, name), { recursive: true });
  await start();
  expect(await rows(oids)).toEqual(before);
  await client.query('INSERT INTO busy VALUES (5000, 1)');
  expect(await plan('SELECT n FROM busy WHERE k = 5000')).toMatch(/^Index Scan using busy_k on public\.busy/);
  expect(await rows('SELECT n FROM busy WHERE k = 5000')).toEqual(['1']);
  await client.query('DROP INDEX busy_k');
  expect(await plan('SELECT n FROM busy WHERE k = 5000')).not.toContain('Index Scan');
  expect(await rows('SELECT n FROM busy WHERE k = 5000')).toEqual(['1']);
  await client.query('DROP TABLE busy');
}, 60_000);
