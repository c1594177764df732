/** Rows by key out of files: what a point read says is what a query says. */
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

/** A row as the texts or bytes on the wire. */
async function wire(text: string, values: unknown[], binary: boolean): Promise<unknown[][]> {
  const types = { getTypeParser: () => (value: unknown) => value };
  const result = await client.query({ text, values, rowMode: 'array', types, ...(binary ? { binary: true } : {}) });
  return result.rows as unknown[][];
}

const COLUMNS = 'k, b, i2, i4, i8, f4, f8, n, t, vc, by, d, tm, ts, tz, u, j, jb';

test('a row of every type, of NULLs, and of another time zone comes out of a file as out of memory', async () => {
  await client.query(`CREATE TABLE every (k text, v uuid, b boolean, i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision,
    n numeric(20,4), t text, vc varchar(20), by bytea, d date, tm time, ts timestamp, tz timestamptz, u uuid, j json, jb jsonb,
    PRIMARY KEY (k, v))`);
  const uuid = '123e4567-e89b-12d3-a456-426614174000';
  await client.query(
    `INSERT INTO every VALUES
      ('a long key of more than sixteen bytes', '${uuid}', true, -7, 70000, 9007199254740993, 1.5, -0.1, -12345.6789, 'täxt', 'vc',
       '\\x00ff', '2026-02-03', '12:34:56.789', '1999-12-31 23:59:59.999999', '2026-07-01 00:00:00+02', '${uuid}', '{"a": 1}', '{"b": [1, 2]}'),
      ('nulls', '${uuid}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`,
  );
  const keys = ['a long key of more than sixteen bytes', 'nulls', 'absent'];
  const seen = async (): Promise<unknown[]> => {
    const all: unknown[] = [];
    for (const zone of ['UTC', 'Asia/Kolkata']) {
      await client.query(`SET TimeZone = '${zone}'`);
      for (const key of keys)
        for (const binary of [false, true])
          all.push(await wire(`SELECT ${COLUMNS} FROM every WHERE k = $1 AND v = $2`, [key, uuid], binary));
    }
    return all;
  };
  const hot = await seen();
  expect(hot.map((rows) => (rows as unknown[]).length)).toEqual([1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0]);
  await client.query(`CALL arka.flush('public.every')`);
  expect(await seen()).toEqual(hot);
  await client.query('CHECKPOINT');
  expect(await seen()).toEqual(hot);
});

test('a point read sees each row once while it is changed, flushed and committed', async () => {
  await client.query('CREATE TABLE busy (id bigint PRIMARY KEY, n integer)');
  await client.query('INSERT INTO busy SELECT 1, 0');
  for (let id = 2; id <= 200; id++) await client.query('INSERT INTO busy VALUES ($1, 0)', [id]);
  await client.query('CHECKPOINT');
  const [writer, mover] = [await connect(server.url), await connect(server.url)];
  let stop = false;
  const counts = new Map<number, number>();
  const writing = (async () => {
    for (let round = 0; !stop; round++) {
      const id = 1 + ((round * 7) % 20);
      await writer.query('UPDATE busy SET n = n + 1 WHERE id = $1', [id]);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
  })();
  const moving = (async () => {
    while (!stop) {
      await mover.query(`CALL arka.flush('public.busy')`);
      await mover.query('CHECKPOINT');
    }
  })();
  const last = new Map<number, number>();
  for (let i = 0; i < 150; i++) {
    const id = 1 + (i % 20);
    const { rows } = await client.query({ text: 'SELECT n FROM busy WHERE id = $1', values: [id], rowMode: 'array' });
    expect(rows, `row ${id}`).toHaveLength(1);
    const n = (rows as number[][])[0]![0]!;
    expect(n).toBeGreaterThanOrEqual(last.get(id) ?? 0);
    last.set(id, n);
  }
  stop = true;
  await Promise.all([writing, moving]);
  for (const [id, count] of counts)
    expect((await client.query('SELECT n FROM busy WHERE id = $1', [id])).rows).toEqual([{ n: count }]);
  await writer.end();
  await mover.end();
}, 60_000);

test('a deleted row of a file is gone for point reads, before and after the commit', async () => {
  await client.query('CREATE TABLE less (id bigint PRIMARY KEY, t text)');
  await client.query(`INSERT INTO less VALUES (1, 'a'), (2, 'b'), (3, 'c')`);
  await client.query('CHECKPOINT');
  await client.query('DELETE FROM less WHERE id = 2');
  const read = async (): Promise<unknown[]> => {
    const all: unknown[] = [];
    for (const id of [1, 2, 3, 4]) all.push(...(await wire('SELECT t FROM less WHERE id = $1', [id], false)));
    return all;
  };
  expect(await read()).toEqual([['a'], ['c']]);
  await client.query('CHECKPOINT');
  expect(await read()).toEqual([['a'], ['c']]);
  await client.query('BEGIN');
  await client.query(`UPDATE less SET t = 'mine' WHERE id = 3`);
  expect(await read()).toEqual([['a'], ['mine']]);
  const other = await connect(server.url);
  expect((await other.query('SELECT t FROM less WHERE id = $1', [3])).rows).toEqual([{ t: 'c' }]);
  await client.query('ROLLBACK');
  await other.end();
  expect(await read()).toEqual([['a'], ['c']]);
});
