/** The same rows from Arka, from PyIceberg through catalog.db, and from DuckDB's Iceberg extension. */
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ServerProcess, startServer } from '../process/server-process.ts';
import { type TableSum, tableSum } from './checksum.ts';
import { python, readWithDuckDb, readWithPyIceberg } from './outside.ts';

let server: ServerProcess;
let client: Client;
beforeAll(async () => {
  server = await startServer({ settings: { 'iceberg.refresh_interval': '500ms' } });
  client = await connect();
});
afterAll(async () => {
  await client.end().catch(() => {});
  await server[Symbol.asyncDispose]();
});

async function connect(): Promise<Client> {
  // texts as they come, so that this side judges values by PostgreSQL's form alone
  const types = { getTypeParser: () => (value: string) => value };
  const made = new Client({ connectionString: server.url, types });
  made.on('error', () => {});
  await made.connect();
  await made.query("SET TIME ZONE 'UTC'");
  return made;
}

/** What `pg` reads. */
async function readHere(table: string, types: Readonly<Record<string, string>>): Promise<TableSum> {
  const text = `SELECT ${Object.keys(types).join(', ')} FROM ${table}`;
  const { rows } = await client.query<(string | null)[]>({ text, rowMode: 'array' });
  return tableSum(types, rows);
}

async function metadataOf(table: string): Promise<string> {
  const text = `SELECT arka.metadata_location('${table}')`;
  const { rows } = await client.query<[string]>({ text, rowMode: 'array' });
  return rows[0]![0];
}

/** All three agree, and on as many rows as there should be. */
async function expectSameRows(table: string, types: Readonly<Record<string, string>>, rows: number): Promise<void> {
  const here = await readHere(table, types);
  expect(here.rows).toBe(rows);
  expect(await readWithPyIceberg(server.dataDir, table)).toEqual(here);
  expect(await readWithDuckDb(await metadataOf(table))).toEqual(here);
}

const EVERY_TYPE = {
  id: 'bigint',
  flag: 'boolean',
  small: 'smallint',
  whole: 'integer',
  single: 'real',
  wide: 'double precision',
  price: 'numeric',
  name: 'text',
  short: 'varchar',
  raw: 'bytea',
  day: 'date',
  clock: 'time',
  local: 'timestamp',
  instant: 'timestamptz',
  uid: 'uuid',
  loose: 'json',
  doc: 'jsonb',
  kind: 'character',
  who: 'name',
  one: '"char"',
  num: 'oid',
  milli: 'timestamp',
  tags: 'text[]',
  nums: 'integer[]',
  moments: 'timestamptz[]',
  exact: 'numeric[]',
  sizes: 'numeric[]',
  spans: 'interval[]',
  clocks: 'timetz[]',
  codes: 'character[]',
} as const;

test('a table of every type has the same rows for PyIceberg and DuckDB after CHECKPOINT', async () => {
  await client.query(`CREATE TABLE every_type (
    id bigint PRIMARY KEY, flag boolean, small smallint, whole int, single real, wide double precision,
    price numeric(18,4), name text, short varchar(8), raw bytea, day date, clock time, local timestamp,
    instant timestamptz, uid uuid, loose json, doc jsonb,
    kind char(4), who name, one "char", num oid, milli timestamp(3),
    tags text[], nums int[], moments timestamptz[], exact numeric(9,2)[],
    sizes numeric[], spans interval[], clocks timetz[], codes char(3)[])`);
  await client.query(`INSERT INTO every_type VALUES
    (1, true, -32768, -2147483648, 0.1, 1e300, 99999999999999.9999, '', 'zażółć', '\\x', '0001-01-01', '00:00:00',
     '1969-12-31 23:59:59.000001', '2026-01-02 03:04:05.123456+02', '00000000-0000-0000-0000-000000000001', '{ }', '{"b":1,"a":null}',
     'ab', 'someone', 'x', '4294967295', '2020-01-01 00:00:00.0005', '{a,"b, c",NULL,""}', '{1,NULL,-2147483648}', '{2020-01-01 00:00:00.5+02,NULL}', '{1.5,-0.01}',
     '{1.50,NaN,1e40,NULL}', '{"1 mon -1 day",24:00}', '{04:05:06.789+02}', '{ab,""}'),
    (-9223372036854775808, false, 32767, 2147483647, -1.5, 'NaN', -0.0001, 'a duck 🦆', '12345678', '\\x00ff', '9999-12-31',
     '23:59:59.999999', '2026-06-01 00:00:00', '1970-01-01 00:00:00Z', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '[1, 2]', '[1,  2]',
     '', '', '', 0, '1969-12-31 23:59:59.9995', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
    (9223372036854775807, NULL, NULL, NULL, 'Infinity', '-Infinity', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, '{NULL}', NULL, NULL, NULL, NULL, NULL, NULL),
    (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`);
  await client.query('CHECKPOINT');
  await expectSameRows('public.every_type', EVERY_TYPE, 4);
});

const FLIGHTS = { id: 'bigint', ts: 'timestamptz', carrier: 'text', delay: 'integer' } as const;
const insertFlights = async (table: string, from: number, to: number): Promise<void> => {
  await client.query(`INSERT INTO ${table} SELECT g, timestamptz '2026-01-01 00:00:00+00' + g * interval '37 minutes',
    'c' || g % 13, g % 97 - 20 FROM generate_series(${from}, ${to}) g`);
};

test('rows changed and deleted before and after the commit agree everywhere', async () => {
  await client.query('CREATE TABLE flights (id bigint PRIMARY KEY, ts timestamptz NOT NULL, carrier text, delay int)');
  await insertFlights('flights', 1, 3000);
  await client.query('UPDATE flights SET delay = delay + 1000 WHERE id % 7 = 0');
  await client.query('DELETE FROM flights WHERE id % 11 = 0');
  await client.query('CHECKPOINT');
  await expectSameRows('public.flights', FLIGHTS, 3000 - 272);

  await client.query('UPDATE flights SET carrier = NULL WHERE id BETWEEN 100 AND 200');
  await client.query('DELETE FROM flights WHERE id > 2900');
  await insertFlights('flights', 3001, 3100);
  await client.query('CHECKPOINT');
  // of 2901…3000 there were 91 left
  await expectSameRows('public.flights', FLIGHTS, 3000 - 272 - 91 + 100);
});

test('a partitioned table agrees everywhere, and again after deletes in some partitions', async () => {
  await client.query(`CREATE TABLE parted (id bigint PRIMARY KEY, ts timestamptz NOT NULL, carrier text, delay int)
    WITH (partition_by = 'month(ts), bucket(4, id)', sort_by = 'ts')`);
  await insertFlights('parted', 1, 2000);
  await client.query('CHECKPOINT');
  await expectSameRows('public.parted', FLIGHTS, 2000);
  await client.query("DELETE FROM parted WHERE carrier = 'c3' AND ts < '2026-02-01'");
  await client.query('CHECKPOINT');
  const { rows } = await client.query<[string]>({ text: 'SELECT count(*) FROM parted', rowMode: 'array' });
  await expectSameRows('public.parted', FLIGHTS, Number(rows[0]![0]));
});

test.each([
  ['no partition', ''],
  ['partitions', "WITH (partition_by = 'bucket(2, id)')"],
])(
  'H12: delete files for whole partitions agree everywhere, before and after they are made one: %s',
  async (_, options) => {
    const table = `scattered${options.length}`;
    await client.query(
      `CREATE TABLE ${table} (id bigint PRIMARY KEY, ts timestamptz NOT NULL, carrier text, delay int) ${options}`,
    );
    for (let i = 0; i < 4; i++) {
      await insertFlights(table, i * 2000 + 1, i * 2000 + 2000);
      await client.query('CHECKPOINT');
    }
    let left = 8000;
    for (let i = 0; i < 10; i++) {
      // the ninth and tenth meet eight files of each partition
      const { rowCount } = await client.query(`DELETE FROM ${table} WHERE id % 97 = ${i} OR (${i} = 5 AND id < 1500)`);
      left -= rowCount!;
      await client.query('CHECKPOINT');
      if ([3, 5, 7, 9].includes(i)) await expectSameRows(`public.${table}`, FLIGHTS, left);
    }
    await client.query(`VACUUM FULL ${table}`);
    await expectSameRows(`public.${table}`, FLIGHTS, left);
  },
);

test('a table without a key and an empty table agree everywhere', async () => {
  await client.query('CREATE TABLE keyless (id bigint, ts timestamptz, carrier text, delay int)');
  await client.query('CREATE TABLE nothing (id bigint PRIMARY KEY, ts timestamptz, carrier text, delay int)');
  await insertFlights('keyless', 1, 50);
  await insertFlights('keyless', 1, 50);
  await client.query('CHECKPOINT');
  await expectSameRows('public.keyless', FLIGHTS, 100);
  expect(await readWithPyIceberg(server.dataDir, 'public.nothing')).toEqual(await readHere('nothing', FLIGHTS));
});

test('rows that PyIceberg appends and deletes are seen here soon, beside pending writes, and all agree after the next commit', async () => {
  const types = { id: 'bigint', v: 'integer' };
  await client.query('CREATE TABLE shared (id bigint PRIMARY KEY, v int)');
  await client.query('INSERT INTO shared VALUES (1, 10), (2, 20), (3, 30)');
  await client.query('CHECKPOINT');
  await client.query('INSERT INTO shared VALUES (4, 40)'); // pending while the other engine commits
  await python('append_pyiceberg.py', [join(server.dataDir, 'catalog.db'), 'public.shared', '10', '14', '2']);
  await expect.poll(async () => (await readHere('shared', types)).rows, { timeout: 10_000 }).toBe(8);
  await client.query('UPDATE shared SET v = v + 1 WHERE id IN (1, 4, 12)');
  await expect(client.query('INSERT INTO shared VALUES (13, 0)')).rejects.toMatchObject({ code: '23505' });
  await client.query('INSERT INTO shared VALUES (2, 21)');
  await client.query('CHECKPOINT');
  await expectSameRows('public.shared', types, 9);
});

test('after VACUUM FULL and after expiry all agree, and what PyIceberg deletes from a merged file is deleted here', async () => {
  await client.query(`CREATE TABLE merged (id bigint PRIMARY KEY, ts timestamptz NOT NULL, carrier text, delay int)
    WITH (sort_by = 'carrier')`);
  for (let i = 0; i < 5; i++) {
    await insertFlights('merged', i * 100 + 1, i * 100 + 100);
    await client.query('CHECKPOINT');
  }
  await client.query('DELETE FROM merged WHERE id % 7 = 0');
  await client.query('VACUUM FULL merged');
  await expectSameRows('public.merged', FLIGHTS, 500 - 71);
  const { rows } = await client.query({
    text: `SELECT count(*) FROM arka.units WHERE table_name = 'merged' AND tier = 'iceberg'`,
    rowMode: 'array',
  });
  expect(rows).toEqual([['1']]);
  await client.query('UPDATE merged SET delay = 0 WHERE id <= 50');
  await client.query('CHECKPOINT');
  await expectSameRows('public.merged', FLIGHTS, 500 - 71);
  await python('delete_pyiceberg.py', [join(server.dataDir, 'catalog.db'), 'public.merged', 'id > 400 and id <= 420']);
  await expect.poll(async () => (await readHere('merged', FLIGHTS)).rows, { timeout: 10_000 }).toBe(500 - 71 - 17);
  await client.query('VACUUM FULL merged');
  await client.query('VACUUM merged');
  await expectSameRows('public.merged', FLIGHTS, 500 - 71 - 17);
});

test('after ALTER TABLE all three agree, with files of all shapes', async () => {
  await client.query(
    `CREATE TABLE shapes (id int PRIMARY KEY, v int, gone text, price numeric(5,2)) WITH (sort_by = 'v')`,
  );
  await client.query(`INSERT INTO shapes SELECT g, g % 7, 'g' || g, g / 4.0 FROM generate_series(1, 400) g`);
  await client.query(`CALL arka.commit('shapes')`);
  await client.query('DELETE FROM shapes WHERE id % 10 = 0');
  await client.query(
    'ALTER TABLE shapes ALTER id TYPE bigint, ALTER price TYPE numeric(12,2), DROP COLUMN gone, ADD COLUMN note text',
  );
  await client.query(`INSERT INTO shapes VALUES (5000000000, 1, 1234567890.12, 'big')`);
  await client.query('CHECKPOINT');
  const first = { id: 'bigint', v: 'integer', price: 'numeric', note: 'text' };
  await expectSameRows('public.shapes', first, 361);
  await client.query(
    `ALTER TABLE shapes ADD COLUMN gone text DEFAULT 'it''s', ADD n int NOT NULL DEFAULT 7, ALTER v TYPE bigint`,
  );
  const { note, ...rest } = { ...first, v: 'bigint', gone: 'text', n: 'integer' };
  await expectSameRows('public.shapes', { ...rest, note }, 361);
  await client.query(`ALTER TABLE shapes RENAME note TO remark`);
  await client.query(`ALTER TABLE shapes SET (partition_by = 'bucket(4, id), v', sort_by = '')`);
  await client.query(`INSERT INTO shapes SELECT g, g % 3, 1, 'p' || g FROM generate_series(1001, 1100) g`);
  await client.query('DELETE FROM shapes WHERE id % 7 = 0');
  await client.query('UPDATE shapes SET n = n + 1 WHERE v = 1');
  await client.query('CHECKPOINT');
  const { rows } = await client.query<{ count: string }>('SELECT count(*) AS count FROM shapes');
  const last = { ...rest, remark: 'text' };
  await expectSameRows('public.shapes', last, Number(rows[0]!.count));
  await client.query(`ALTER TABLE shapes ALTER n TYPE text USING 'n' || n`);
  await client.query('CHECKPOINT');
  await expectSameRows('public.shapes', { ...last, n: 'text' }, Number(rows[0]!.count));
  await client.query('ALTER TABLE shapes ALTER n DROP DEFAULT, ALTER n TYPE int USING substr(n, 2)::int');
  await client.query('ALTER TABLE shapes RESET (partition_by), DROP COLUMN remark');
  await client.query('VACUUM FULL shapes');
  await expectSameRows('public.shapes', rest, Number(rows[0]!.count));
});

test('after kill -9 and a new start, what was acknowledged agrees everywhere', async () => {
  await insertFlights('flights', 5001, 5100);
  const before = await readHere('flights', FLIGHTS);
  await server.kill9();
  const { dataDir } = server;
  server = await startServer({ dataDir });
  client = await connect();
  expect(await readHere('flights', FLIGHTS)).toEqual(before);
  await client.query('CHECKPOINT');
  await expectSameRows('public.flights', FLIGHTS, before.rows);
});
