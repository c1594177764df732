// postgres.js: tagged templates, helpers, pipelining, transactions, cursors, COPY, notifications, cancel.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { check, client, columns, require, schema, typedTable, url } from '../checks.mjs';

const postgres = require('postgres');

client('postgres.js', 'postgres');
const notices = [];
const sql = postgres(url, {
  max: 4,
  connection: { search_path: schema, TimeZone: 'UTC' },
  onnotice: (notice) => notices.push(notice.message),
});
await sql.unsafe(`DROP SCHEMA IF EXISTS ${schema} CASCADE; CREATE SCHEMA ${schema}`).simple();
await sql`CREATE TABLE items (id integer PRIMARY KEY, name text, price numeric(10,2), at timestamptz)`;
await sql.unsafe(typedTable('typed'));
const code = (expected) => (error) => error.code === expected || assert.fail(`${error.code}: ${error.message}`);

await check('the helper for rows inserts many', async () => {
  const rows = Array.from({ length: 1000 }, (_, id) => ({ id, name: `item ${id}`, price: id / 4, at: new Date(0) }));
  const { count, command } = await sql`INSERT INTO items ${sql(rows)}`;
  assert.deepEqual([count, command], [1000, 'INSERT']);
});

await check('helpers for columns, sets and lists', async () => {
  const [row] = await sql`SELECT ${sql(['id', 'name', 'price'])} FROM ${sql('items')} WHERE id IN ${sql([7])}`;
  assert.deepEqual({ ...row }, { id: 7, name: 'item 7', price: '1.75' });
  const change = { name: 'changed', price: 9 };
  const [changed] = await sql`UPDATE items SET ${sql(change)} WHERE id = 8 RETURNING name, price`;
  assert.deepEqual({ ...changed }, { name: 'changed', price: '9.00' });
  assert.equal((await sql`SELECT id FROM items WHERE id = ANY(${[1, 2, 3]}) AND ${sql`price < ${100}`}`).length, 3);
});

await check('values of every type go in and come back', async () => {
  const places = Object.keys(columns).map((_, at) => `$${at + 1}::text::${Object.values(columns)[at][0]}`);
  await sql.unsafe(
    `INSERT INTO typed VALUES (1, ${places})`,
    Object.values(columns).map(([, text]) => text),
  );
  const [row] = await sql`SELECT *, ints::text AS ints, texts::text AS texts FROM typed`;
  assert.deepEqual(
    [row.i8, row.f4, row.num, row.flag, row.txt],
    ['-9223372036854775808', 0.1, '-12345678901234.567890', true, columns.txt[1]],
  );
  assert.deepEqual([row.jb, row.ints, row.texts], [{ a: [1, null, 'x'] }, columns.ints[1], columns.texts[1]]);
  assert.deepEqual([row.instant.toISOString(), [...row.raw]], ['2026-01-02T03:04:05.000Z', [0, 255, 16]]);
});

await check('values of JavaScript are parameters by the types that the server infers', async () => {
  const [row] =
    await sql`INSERT INTO typed (id, jb, ints, instant, raw, flag, i8) VALUES (2, ${{ b: [true] }}, ${[4, 5]}, ${new Date(5)}, ${Buffer.from('ab')}, ${false}, ${'123456789012'}) RETURNING jb, ints, instant, raw, flag, i8`;
  assert.deepEqual(
    [row.jb, row.ints, row.instant, Buffer.from(row.raw), row.flag, row.i8],
    [{ b: [true] }, [4, 5], new Date(5), Buffer.from('ab'), false, '123456789012'],
  );
});

await check('statements are pipelined and prepared', async () => {
  const all = await Promise.all(
    Array.from({ length: 100 }, (_, n) => sql`SELECT name FROM items WHERE id = ${n + 100}`),
  );
  assert.deepEqual(
    all.map(([{ name }]) => name),
    Array.from({ length: 100 }, (_, n) => `item ${n + 100}`),
  );
});

await check('describe() says parameters and columns', async () => {
  const { types, columns: described } = await sql`SELECT id, name FROM items WHERE id = ${1}`.describe();
  assert.deepEqual(
    [types, described.map(({ name, type }) => [name, type])],
    [
      [23],
      [
        ['id', 23],
        ['name', 25],
      ],
    ],
  );
});

await check('a transaction commits or rolls back, with savepoints', async () => {
  await sql.begin(async (tx) => {
    await tx`UPDATE items SET name = 'outer' WHERE id = 1`;
    await tx
      .savepoint(async (inner) => {
        await inner`UPDATE items SET name = 'inner' WHERE id = 1`;
        throw new Error('back');
      })
      .catch(() => {});
  });
  assert.equal((await sql`SELECT name FROM items WHERE id = 1`)[0].name, 'outer');
  await assert.rejects(
    sql.begin('ISOLATION LEVEL REPEATABLE READ READ ONLY', (tx) => tx`DELETE FROM items`),
    code('25006'),
  );
});

await check('a cursor reads in portions', async () => {
  const seen = [];
  await sql`SELECT id FROM items ORDER BY id`.cursor(300, (rows) => void seen.push(rows.length));
  assert.deepEqual(seen, [300, 300, 300, 100]);
  for await (const [row] of sql`SELECT id FROM items ORDER BY id`.cursor()) {
    assert.equal(row.id, 0);
    break;
  }
});

await check('forEach takes rows one by one; simple() gives several results', async () => {
  let sum = 0;
  await sql`SELECT id FROM items`.forEach(({ id }) => (sum += id));
  assert.equal(sum, 499500);
  assert.deepEqual(
    (await sql`SELECT 1 AS a; SELECT 2 AS b`.simple()).map((rows) => ({ ...rows[0] })),
    [{ a: 1 }, { b: 2 }],
  );
});

await check('COPY streams in and out', async () => {
  await sql`CREATE TABLE copied (id int, name text)`;
  const lines = Array.from({ length: 2000 }, (_, n) => `${n}\trow ${n}\n`);
  await pipeline(Readable.from(lines), await sql`COPY copied FROM STDIN`.writable());
  let text = '';
  for await (const chunk of await sql`COPY (SELECT * FROM copied ORDER BY id) TO STDOUT`.readable()) text += chunk;
  assert.equal(text, lines.join(''));
});

await check('errors have code, constraint and table', async () => {
  const error = await sql`INSERT INTO items (id) VALUES (1)`.catch((caught) => caught);
  assert.deepEqual([error.code, error.constraint_name, error.table_name], ['23505', 'items_pkey', 'items']);
});

await check('cancel() ends a statement with 57014', async () => {
  const query = sql`SELECT pg_sleep(20)`;
  setTimeout(() => query.cancel(), 200);
  await assert.rejects(query, code('57014'));
});

await check('listen and notify', async () => {
  let heard;
  const payload = new Promise((resolve) => (heard = resolve));
  const { unlisten } = await sql.listen(schema, heard);
  await sql.notify(schema, 'hello');
  assert.equal(await payload, 'hello');
  await unlisten();
});

await check('notices arrive, and settings that change are reported', async () => {
  await sql`DROP TABLE IF EXISTS not_there`;
  assert.equal(notices.at(-1), 'table "not_there" does not exist, skipping');
  assert.equal(sql.parameters['TimeZone'], 'UTC');
});

await check('a reserved connection keeps its session', async () => {
  const reserved = await sql.reserve();
  await reserved`SET application_name = 'mine'`;
  assert.equal((await reserved`SHOW application_name`)[0].application_name, 'mine');
  await reserved.release();
});

await sql.unsafe(`DROP SCHEMA ${schema} CASCADE`);
await sql.end();
