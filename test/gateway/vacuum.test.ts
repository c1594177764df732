/** VACUUM and compaction as clients see them, over a real server. */
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
let client: Client;
beforeAll(async () => {
  server = await startServer({
    settings: {
      'flush.min_interval': '1ms',
      'iceberg.commit_interval': '60s',
      'iceberg.min_interval': '1ms',
      'iceberg.max_small_files': 5,
      'iceberg.keep_snapshots': 2,
      'iceberg.file_grace': '1ms',
    },
  });
  client = new Client({ connectionString: server.url });
  await client.connect();
}, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
});

const rowsOf = async (sql: string): Promise<unknown[]> => (await client.query({ text: sql, rowMode: 'array' })).rows;
const triggers = async (table: string): Promise<unknown[]> =>
  (await rowsOf(`SELECT DISTINCT trigger FROM arka.commits WHERE table_name = '${table}'`)).flat();
const dataFiles = async (table: string): Promise<number> =>
  (await rowsOf(`SELECT unit FROM arka.units WHERE table_name = '${table}' AND tier = 'iceberg'`)).length;

async function files(table: string, count: number): Promise<void> {
  await client.query(`CREATE TABLE ${table} (id int PRIMARY KEY, v text) WITH (sort_by = 'v')`);
  for (let i = 0; i < count; i++) {
    const rows = Array.from({ length: 20 }, (_, k) => `(${i * 20 + k}, 'v${(k * 7) % 20}')`);
    await client.query(`INSERT INTO ${table} VALUES ${rows.join(', ')}`);
    await client.query(`CALL arka.commit('${table}')`);
  }
}

test('VACUUM FULL leaves one file, the same rows, and a commit that says why', async () => {
  await files('full_one', 3);
  await client.query('DELETE FROM full_one WHERE id % 10 = 4');
  const before = await rowsOf('SELECT id, v FROM full_one ORDER BY id');
  const { command } = await client.query('VACUUM FULL full_one');
  expect(command).toBe('VACUUM');
  expect(await dataFiles('full_one')).toBe(1);
  expect(await rowsOf('SELECT id, v FROM full_one ORDER BY id')).toEqual(before);
  expect(await triggers('full_one')).toContain('vacuum_full');
  await expect(client.query(`INSERT INTO full_one VALUES (11, 'again')`)).rejects.toMatchObject({ code: '23505' });
  expect((await client.query('UPDATE full_one SET v = v WHERE id = 11')).rowCount).toBe(1);
});

test('VACUUM takes names, options and nothing, and says what it did where it is asked to', async () => {
  await files('few', 2);
  const notices: string[] = [];
  client.on('notice', ({ severity, message }) => void notices.push(`${severity} ${message}`));
  expect((await client.query('VACUUM')).command).toBe('VACUUM');
  expect(notices).toEqual([]);
  await client.query('VACUUM (FULL true, VERBOSE) public.few, full_one');
  client.removeAllListeners('notice');
  expect(notices[0]).toBe('INFO "public.few": 2 files became 1');
  expect(notices).toHaveLength(4);
  await expect(client.query('VACUUM nowhere')).rejects.toMatchObject({ code: '42P01' });
  await expect(client.query('VACUUM FREEZE few')).rejects.toMatchObject({ code: '0A000' });
});

test('VACUUM inside a transaction is 25001, as in PostgreSQL', async () => {
  const refused = { code: '25001', message: 'VACUUM cannot run inside a transaction block' };
  await client.query('BEGIN');
  await expect(client.query('VACUUM few')).rejects.toMatchObject(refused);
  await client.query('ROLLBACK');
  await expect(client.query('SELECT 1; VACUUM few')).rejects.toMatchObject(refused);
  await client.query({ name: 'v', text: 'VACUUM few' });
});

test('small files are merged without being asked, once there are max_small_files of them', async () => {
  await files('by_itself', 6);
  await expect.poll(() => triggers('by_itself'), { timeout: 20_000 }).toContain('max_small_files');
  await expect.poll(() => dataFiles('by_itself'), { timeout: 20_000 }).toBeLessThan(5);
  expect(await rowsOf('SELECT count(*), count(DISTINCT id) FROM by_itself')).toEqual([['120', '120']]);
}, 60_000);

test('a file with more than 30 % of its rows deleted is rewritten', async () => {
  await files('half', 1);
  await client.query('DELETE FROM half WHERE id < 9');
  await client.query(`CALL arka.commit('half')`);
  await expect.poll(() => triggers('half'), { timeout: 20_000 }).toContain('deleted_rows');
  expect(await rowsOf('SELECT count(*), min(id) FROM half')).toEqual([['11', 9]]);
}, 60_000);
