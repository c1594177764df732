/** ALTER TABLE as several clients see it, over a real server. */
import { Client, type QueryArrayResult } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { localStore } from '../../src/storage/iceberg/local-store.ts';
import { Content, deleteTarget, EntryStatus, partitionOf } from '../../src/storage/iceberg/manifest.ts';
import { currentSnapshot } from '../../src/storage/iceberg/metadata.ts';
import { toLocalPath } from '../../src/storage/iceberg/paths.ts';
import { specsOf, tableReader } from '../../src/storage/iceberg/table-reader.ts';
import { placeKey } from '../../src/storage/iceberg/transforms.ts';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
const clients: Client[] = [];
const connect = async (): Promise<Client> => {
  const client = new Client({ connectionString: server.url });
  clients.push(client);
  await client.connect();
  return client;
};
let client: Client;
beforeAll(async () => {
  server = await startServer({ settings: { 'iceberg.min_interval': '1ms', 'flush.min_interval': '1ms' } });
  client = await connect();
}, 60_000);
afterAll(async () => {
  for (const each of clients) await each.end();
  await server[Symbol.asyncDispose]();
});

const rowsOf = async (sql: string, by = client): Promise<unknown[]> =>
  (await by.query<unknown[]>({ text: sql, rowMode: 'array' })).rows;

/** Whether it has not ended after some turns in which the server has answered others. */
async function isWaiting(work: Promise<unknown>): Promise<boolean> {
  let ended = false;
  void work.then(
    () => (ended = true),
    () => (ended = true),
  );
  for (let i = 0; i < 20; i++) await client.query('SHOW server_version');
  return !ended;
}

/** Spec and partition of each live data file, and of each position-delete file. */
async function placesOf(name: string): Promise<{
  readonly data: ReadonlyMap<string, string>;
  readonly deletes: readonly { readonly target: string | null; readonly place: string }[];
}> {
  const [[location]] = (await rowsOf(`SELECT arka.metadata_location('public.${name}')`)) as [[string]];
  const reader = tableReader(localStore(), toLocalPath);
  const metadata = await reader.metadata(location);
  const spec = specsOf(metadata);
  const data = new Map<string, string>();
  const deletes: { target: string | null; place: string }[] = [];
  for (const manifest of await reader.manifests(currentSnapshot(metadata)))
    for (const { status, file } of await reader.entries(manifest)) {
      if (status === EntryStatus.deleted) continue;
      const place = placeKey(manifest.partition_spec_id, partitionOf(file, spec(manifest.partition_spec_id)));
      if (file.content === Content.data) data.set(file.file_path, place);
      else deletes.push({ target: deleteTarget(file), place });
    }
  return { data, deletes };
}

/** Somebody wants the table alone, so that others wait. */
async function isWanted(table: string): Promise<void> {
  await client.query(`SET lock_timeout = '10ms'`);
  for (let code = ''; code !== '55P03';)
    code = await client.query(`SELECT * FROM ${table}`).then(
      () => '',
      (error: { code: string }) => error.code,
    );
  await client.query('SET lock_timeout = 0');
}

test('ALTER TABLE waits for transactions that have read or written the table, and who comes later waits behind it', async () => {
  const [reader, writer, altering, later] = [await connect(), await connect(), await connect(), await connect()];
  await client.query(`CREATE TABLE waits (id int PRIMARY KEY, v text); INSERT INTO waits VALUES (1, 'a')`);
  await reader.query('BEGIN; SELECT * FROM waits');
  await writer.query(`BEGIN; INSERT INTO waits VALUES (2, 'b')`);
  const altered = altering.query('ALTER TABLE waits ADD COLUMN w int');
  await isWanted('waits');
  expect(await isWaiting(altered)).toBe(true);
  const simple = later.query('SELECT * FROM waits ORDER BY id');
  expect(await isWaiting(simple)).toBe(true);
  // those that hold it go on
  expect(await rowsOf('SELECT * FROM waits', reader)).toEqual([[1, 'a']]);
  await writer.query(`INSERT INTO waits VALUES (3, 'c')`);
  await reader.query('COMMIT');
  expect(await isWaiting(altered)).toBe(true);
  await writer.query('COMMIT');
  await altered;
  expect((await simple).rows).toEqual([
    { id: 1, v: 'a', w: null },
    { id: 2, v: 'b', w: null },
    { id: 3, v: 'c', w: null },
  ]);
});

test('waiting for a table ends with lock_timeout, on both sides, and with a deadlock', async () => {
  const [one, two, three, four] = [await connect(), await connect(), await connect(), await connect()];
  await client.query('CREATE TABLE da (id int PRIMARY KEY); CREATE TABLE db (id int PRIMARY KEY)');
  await one.query('BEGIN; SELECT * FROM da');
  await two.query(`SET lock_timeout = '50ms'`);
  await expect(two.query('ALTER TABLE da ADD COLUMN w int')).rejects.toMatchObject({
    code: '55P03',
    message: 'canceling statement due to lock timeout',
  });
  await two.query(`SET lock_timeout = 0; BEGIN; SELECT * FROM db`);
  const alters = [three.query('ALTER TABLE da ADD COLUMN w int'), four.query('ALTER TABLE db ADD COLUMN w int')];
  await isWanted('da');
  await isWanted('db');
  expect(await isWaiting(Promise.race(alters))).toBe(true);
  await client.query(`SET lock_timeout = '50ms'`);
  await expect(client.query('INSERT INTO da VALUES (1)')).rejects.toMatchObject({ code: '55P03' });
  await client.query('SET lock_timeout = 0');
  const codeOf = (work: Promise<unknown>, after = (): unknown => undefined): Promise<string> =>
    work
      .then(
        () => '',
        (error: { code: string }) => error.code,
      )
      .finally(after);
  const codes = await Promise.all([
    ...alters.map((altered) => codeOf(altered)),
    codeOf(one.query('SELECT * FROM db'), () => one.query('ROLLBACK')),
    codeOf(two.query('SELECT * FROM da'), () => two.query('ROLLBACK')),
  ]);
  expect(codes).toContain('40P01');
  expect(codes.filter((code) => code === '').length).toBeGreaterThan(1);
  expect(await rowsOf('SELECT da.id FROM da JOIN db ON da.id = db.id')).toEqual([]);
});

test('a prepared statement goes on after ALTER TABLE, unless it would return other columns', async () => {
  await client.query(`CREATE TABLE plans (id int PRIMARY KEY, v text); INSERT INTO plans VALUES (1, 'a')`);
  const run = (name: string, text: string): Promise<QueryArrayResult<unknown[]>> =>
    client.query<unknown[]>({ name, text, values: [1], rowMode: 'array' });
  const all = 'SELECT * FROM plans WHERE id = $1';
  const named = 'SELECT v FROM plans WHERE id = $1';
  const insert = `INSERT INTO plans (id, v) VALUES ($1 + 10, 'x') RETURNING *`;
  expect((await run('all', all)).rows).toEqual([[1, 'a']]);
  expect((await run('named', named)).rows).toEqual([['a']]);
  expect((await run('insert', insert)).rows).toEqual([[11, 'x']]);
  await client.query('ALTER TABLE plans ADD COLUMN w int');
  const refused = { code: '0A000', message: 'cached plan must not change result type' };
  await expect(run('all', all)).rejects.toMatchObject(refused);
  await expect(run('insert', insert)).rejects.toMatchObject(refused);
  expect((await run('named', named)).rows).toEqual([['a']]);
  await client.query('ALTER TABLE plans DROP COLUMN w');
  expect((await run('all', all)).rows).toEqual([[1, 'a']]);
  await client.query('ALTER TABLE plans RENAME v TO u');
  await expect(run('named', named)).rejects.toMatchObject({ code: '42703' });
});

test('M-17: partition_by and sort_by change for what is written from then on, and old files stay as they are, with delete files of their own spec and partition', async () => {
  await client.query(`CREATE TABLE parts (id int PRIMARY KEY, day date, v int) WITH (sort_by = 'v')`);
  await client.query(`INSERT INTO parts SELECT g, date '2026-01-01' + g % 3, -g FROM generate_series(1, 30) g`);
  await client.query(`CALL arka.commit('parts')`);
  await client.query(`ALTER TABLE parts SET (partition_by = 'day(day)', sort_by = 'v DESC', on_conflict = 'upsert')`);
  await client.query(`INSERT INTO parts SELECT g, date '2026-01-01' + g % 3, 0 FROM generate_series(21, 40) g`);
  await client.query('DELETE FROM parts WHERE id IN (5, 35)');
  await client.query(`CALL arka.commit('parts')`);
  await client.query(`ALTER TABLE parts SET (partition_by = 'bucket(4, id)'), RESET (sort_by)`);
  await client.query(`INSERT INTO parts VALUES (1, '2026-01-05', 1), (41, '2026-01-05', 41)`);
  await client.query('UPDATE parts SET v = v + 1 WHERE id IN (2, 22, 41)');
  await client.query(`CALL arka.commit('parts')`);
  await client
    .query(`ALTER TABLE parts RESET (partition_by, on_conflict), SET (write.parquet.compression-level = '3')`)
    .catch((error: { code: string }) => expect(error.code).toBe('42601'));
  await client.query(
    `ALTER TABLE parts RESET (partition_by, on_conflict), SET ("write.parquet.compression-level" = '3')`,
  );
  await expect(client.query(`INSERT INTO parts VALUES (1, '2026-01-05', 1)`)).rejects.toMatchObject({ code: '23505' });
  expect(await rowsOf('SELECT count(*)::int, sum(v)::int, min(id), max(id) FROM parts')).toEqual([
    [39, -[...Array(21).keys()].slice(1).reduce((a, b) => a + b, 0) + 5 + 1 + 1 + 1 + 1 + 41 + 1, 1, 41],
  ]);
  const { data, deletes } = await placesOf('parts');
  expect(new Set([...data.values()].map((place) => place.split(' ')[0])).size).toBe(3);
  expect(deletes.length).toBeGreaterThan(1);
  for (const { target, place } of deletes) {
    expect([...data.values()]).toContain(place);
    if (target !== null) expect(data.get(target)).toBe(place);
  }
  await client.query('VACUUM FULL parts');
  expect(await rowsOf('SELECT count(*)::int FROM parts WHERE id IN (1, 2, 22, 41)')).toEqual([[4]]);
  await expect(client.query(`ALTER TABLE parts DROP COLUMN day`)).rejects.toMatchObject({ code: '0A000' });
  await expect(client.query(`ALTER TABLE parts SET (nonsense = 1)`)).rejects.toMatchObject({ code: '22023' });
});

test('another partition_by is part of a transaction: read meanwhile, taken back to a savepoint, gone with a ROLLBACK', async () => {
  const count = async (where: string): Promise<unknown> =>
    (await client.query<{ n: number }>(`SELECT count(*)::int AS n FROM pb WHERE ${where}`)).rows[0]!.n;
  await client.query(`CREATE TABLE pb (id int PRIMARY KEY, day date) WITH (partition_by = 'bucket(2, id)')`);
  await client.query(`INSERT INTO pb SELECT g, date '2026-01-01' + g % 3 FROM generate_series(1, 30) g`);
  await client.query(`CALL arka.commit('pb')`);
  await client.query('BEGIN');
  await client.query(`INSERT INTO pb VALUES (31, '2026-01-01')`);
  await client.query(`ALTER TABLE pb SET (partition_by = 'bucket(5, id)')`);
  await client.query(`INSERT INTO pb VALUES (32, '2026-01-01')`);
  for (const id of [1, 2, 17, 31, 32]) expect(await count(`id = ${id}`)).toBe(1);
  await client.query(`SAVEPOINT s; ALTER TABLE pb SET (partition_by = 'day(day)'); INSERT INTO pb VALUES (33, NULL)`);
  await client.query('DELETE FROM pb WHERE id IN (1, 31)');
  expect(await count('true')).toBe(31);
  await client.query('ROLLBACK TO s');
  await client.query('DELETE FROM pb WHERE id = 2');
  expect(await count('true')).toBe(31);
  await client.query('COMMIT');
  await client.query(
    `BEGIN; ALTER TABLE pb SET (partition_by = 'day(day)'); INSERT INTO pb VALUES (34, NULL); ROLLBACK`,
  );
  await client.query(`INSERT INTO pb SELECT g FROM generate_series(40, 60) g`);
  await client.query(`CALL arka.commit('pb')`);
  for (const id of [1, 17, 31, 32, 40, 60]) expect(await count(`id = ${id}`)).toBe(1);
  expect(await count('true')).toBe(52);
  const { data, deletes } = await placesOf('pb');
  expect(new Set([...data.values()].map((place) => place.split(' ')[0])).size).toBe(2);
  for (const { place } of deletes) expect([...data.values()]).toContain(place);
});

test('a default that is another for each row gives each its own, one of the clock is one value for all', async () => {
  await client.query('CREATE TABLE fills (id int PRIMARY KEY); INSERT INTO fills SELECT generate_series(1, 50)');
  await client.query('DELETE FROM fills WHERE id > 40');
  await client.query('ALTER TABLE fills ADD u uuid DEFAULT gen_random_uuid() NOT NULL, ADD f float8 DEFAULT random()');
  expect(await rowsOf('SELECT count(DISTINCT u)::int, count(DISTINCT f)::int FROM fills')).toEqual([[40, 40]]);
  await client.query(`CALL arka.commit('fills')`);
  await client.query('VACUUM FULL fills');
  await client.query('ALTER TABLE fills ADD at timestamptz DEFAULT now(), ADD fixed int DEFAULT 6 * 7');
  expect(await rowsOf('SELECT count(*)::int, count(DISTINCT at)::int, sum(fixed)::int FROM fills')).toEqual([
    [40, 1, 1680],
  ]);
  expect(await rowsOf(`SELECT count(*)::int FROM arka.units WHERE table_name = 'fills'`)).toEqual([[1]]);
  await client.query('UPDATE fills SET fixed = 1 WHERE id = 3');
  await expect(client.query('INSERT INTO fills (id) VALUES (4)')).rejects.toMatchObject({ code: '23505' });
  expect(await rowsOf('SELECT fixed FROM fills WHERE id IN (3, 4) ORDER BY id')).toEqual([[1], [42]]);
});

test('SET DEFAULT for a column that the same ALTER TABLE adds is refused: rows that are there would get another value', async () => {
  await client.query('CREATE TABLE adds (id int); INSERT INTO adds VALUES (1)');
  await expect(
    client.query('ALTER TABLE adds ADD COLUMN v int DEFAULT 5, ALTER v SET DEFAULT 7'),
  ).rejects.toMatchObject({
    code: '0A000',
  });
  await client.query('ALTER TABLE adds ADD COLUMN v int DEFAULT 5; ALTER TABLE adds ALTER v SET DEFAULT 7');
  expect(await rowsOf('SELECT * FROM adds')).toEqual([[1, 5]]);
});

test.each([
  ['ALTER b SET DEFAULT 3', '42601', 'column "b" of relation "gen" is a generated column'],
  ['ALTER a DROP EXPRESSION', '55000', 'column "a" of relation "gen" is not a stored generated column'],
])('of generated columns PostgreSQL 15 says to %s: %s %s', async (command, code, message) => {
  await client.query(
    'CREATE TABLE IF NOT EXISTS gen (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED)',
  );
  await expect(client.query(`ALTER TABLE gen ${command}`)).rejects.toMatchObject({ code, message });
});

test('a hash index goes with its column, and finds rows of a column that was widened', async () => {
  await client.query(`CREATE TABLE ix (id int PRIMARY KEY, a int, b text); CREATE INDEX ix_a ON ix USING hash (a)`);
  await client.query(`CREATE INDEX ix_b ON ix USING hash (b); INSERT INTO ix VALUES (1, -7, 'x'), (2, 8, 'y')`);
  await client.query('ALTER TABLE ix ALTER a TYPE bigint, DROP COLUMN b');
  await client.query('INSERT INTO ix VALUES (3, -7)');
  expect(await rowsOf('SELECT id FROM ix WHERE a = -7 ORDER BY id')).toEqual([[1], [3]]);
  expect(await rowsOf(`SELECT indexname FROM pg_indexes WHERE tablename = 'ix' ORDER BY 1`)).toEqual([
    ['ix_a'],
    ['ix_pkey'],
  ]);
});

test('SET SCHEMA and DROP SCHEMA … CASCADE take tables along, and say so', async () => {
  const notices: (string | undefined)[][] = [];
  client.on('notice', ({ message, detail }) => void notices.push([message, detail]));
  await client.query(
    'CREATE SCHEMA s1; CREATE SCHEMA s2; CREATE TABLE s1.a (id serial PRIMARY KEY); CREATE TABLE s2.a (i int)',
  );
  await client.query('INSERT INTO s1.a DEFAULT VALUES');
  await expect(client.query('ALTER TABLE s1.a SET SCHEMA s2')).rejects.toMatchObject({
    code: '42P07',
    message: 'relation "a" already exists in schema "s2"',
  });
  await client.query('ALTER TABLE s2.a RENAME TO b; ALTER TABLE s1.a SET SCHEMA s2; INSERT INTO s2.a DEFAULT VALUES');
  expect(await rowsOf('SELECT id FROM s2.a ORDER BY id')).toEqual([[1], [2]]);
  await client.query('DROP SCHEMA s1');
  await expect(client.query('DROP SCHEMA s2')).rejects.toMatchObject({ code: '2BP01' });
  await client.query('DROP SCHEMA s2 CASCADE');
  expect(notices).toEqual([
    ['drop cascades to 2 other objects', 'drop cascades to table s2.a\ndrop cascades to table s2.b'],
  ]);
  await expect(client.query('SELECT * FROM s2.a')).rejects.toMatchObject({ code: '42P01' });
});

test('ALTER TABLE in a transaction that is read-only is refused', async () => {
  await client.query('CREATE TABLE blocks (id int PRIMARY KEY); BEGIN READ ONLY');
  await expect(client.query('ALTER TABLE blocks ADD COLUMN v int')).rejects.toMatchObject({
    code: '25006',
    message: 'cannot execute ALTER TABLE in a read-only transaction',
  });
  await client.query('ROLLBACK');
});

test('a column that is there becomes an identity column, with a sequence of its own', async () => {
  await client.query('CREATE TABLE numbered (id int NOT NULL, v int, t text NOT NULL)');
  await client.query('INSERT INTO numbered VALUES (1, 1, 1)');
  await client.query('ALTER TABLE numbered ALTER id ADD GENERATED BY DEFAULT AS IDENTITY (START WITH 5)');
  await client.query(`INSERT INTO numbered (v, t) VALUES (2, 'x') RETURNING id`);
  expect(await rowsOf('SELECT id FROM numbered ORDER BY id')).toEqual([[1], [5]]);
  expect(await rowsOf(`SELECT pg_get_serial_sequence('numbered', 'id')`)).toEqual([['public.numbered_id_seq']]);
  for (const [column, code] of [
    ['id', '55000'],
    ['v', '55000'],
    ['t', '22023'],
    ['nosuch', '42703'],
  ])
    await expect(
      client.query(`ALTER TABLE numbered ALTER ${column} ADD GENERATED ALWAYS AS IDENTITY`),
    ).rejects.toMatchObject({ code });
  await client.query('BEGIN; ALTER TABLE numbered ALTER v SET NOT NULL');
  await client.query('ALTER TABLE numbered ALTER v ADD GENERATED ALWAYS AS IDENTITY; ROLLBACK');
  expect(await rowsOf(`SELECT relname FROM pg_class WHERE relname LIKE 'numbered%seq'`)).toEqual([['numbered_id_seq']]);
});

test('DROP CONSTRAINT of a key works beside other tables without one', async () => {
  await client.query('CREATE TABLE keyed (id int PRIMARY KEY); CREATE TABLE unkeyed (id int)');
  await client.query('ALTER TABLE keyed DROP CONSTRAINT keyed_pkey');
  await client.query('INSERT INTO keyed VALUES (1), (1)');
});
