// node-postgres: both protocols, prepared statements, types, cursors, COPY streams, pools, notifications, cancel.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { check, client as name, columns, require, schema, typedTable, url } from '../checks.mjs';

const { Client, Pool } = require('pg');
const Cursor = require('pg-cursor');
const { from, to } = require('pg-copy-streams');

name('node-postgres', 'pg');
const client = new Client({ connectionString: url });
await client.connect();
await client.query(
  `DROP SCHEMA IF EXISTS ${schema} CASCADE; CREATE SCHEMA ${schema}; SET search_path TO ${schema}; SET TimeZone TO 'UTC'`,
);
await client.query('CREATE TABLE items (id integer PRIMARY KEY, name text, price numeric(10,2), at timestamptz)');
await client.query(typedTable('typed'));
const names = Object.keys(columns);
const texts = Object.values(columns).map(([, text]) => text);
const code = (expected) => (error) => error.code === expected || assert.fail(`${error.code}: ${error.message}`);

await check('parameters, rowCount and command', async () => {
  const inserted = await client.query(
    'INSERT INTO items SELECT n, $1 || n, n / 4.0, $2 FROM generate_series(0, 999) AS n',
    ['item ', new Date(0)],
  );
  assert.deepEqual([inserted.command, inserted.rowCount], ['INSERT', 1000]);
  const { rows } = await client.query('SELECT id, name, price, at FROM items WHERE id = $1', [7]);
  assert.deepEqual(rows, [{ id: 7, name: 'item 7', price: '1.75', at: new Date(0) }]);
});

await check('values of every type go in and come back', async () => {
  await client.query(`INSERT INTO typed VALUES (1, ${names.map((_, at) => `$${at + 1}`)})`, texts);
  const { rows } = await client.query(`SELECT ${names.map((column) => `${column}::text`)} FROM typed`);
  const bare = { ...Object.fromEntries(names.map((column, at) => [column, texts[at]])), flag: 'true', bc: 'ab' };
  assert.deepEqual({ ...rows[0] }, bare);
  const [row] = (await client.query('SELECT * FROM typed')).rows;
  assert.deepEqual(row.raw, Buffer.from([0, 255, 16]));
  assert.deepEqual(
    [row.jb, row.ints, row.texts, row.flag],
    [{ a: [1, null, 'x'] }, [1, null, 3], ['a', 'b c', null, 'd"e'], true],
  );
  assert.deepEqual([row.i8, row.f4, row.f8], ['-9223372036854775808', 0.1, 1e300]);
});

await check('values of JavaScript are parameters: arrays, objects, dates, buffers', async () => {
  const sent = [
    [1, 2],
    ['a', null],
    { b: [true] },
    new Date('2026-01-02T03:04:05.678Z'),
    Buffer.from('ab'),
    null,
    1.5,
    true,
  ];
  const { rows } = await client.query({
    text: 'SELECT $1::int[], $2::text[], $3::jsonb, $4::timestamptz, $5::bytea, $6::text, $7::float8, $8::bool',
    values: sent,
    rowMode: 'array',
  });
  assert.deepEqual(rows[0], sent);
});

await check('fields have table and column of the catalog, types and modifiers', async () => {
  const { fields } = await client.query('SELECT id, price FROM items LIMIT 0');
  assert.deepEqual(
    fields.map(({ name: column, columnID, dataTypeID, dataTypeModifier }) => [
      column,
      columnID,
      dataTypeID,
      dataTypeModifier,
    ]),
    [
      ['id', 1, 23, -1],
      ['price', 3, 1700, ((10 << 16) | 2) + 4],
    ],
  );
  const { rows } = await client.query('SELECT relname FROM pg_class WHERE oid = $1', [fields[0].tableID]);
  assert.equal(rows[0].relname, 'items');
});

await check('a named statement is prepared once and runs many times', async () => {
  for (let id = 10; id < 20; id++) {
    const { rows } = await client.query({ name: 'by-id', text: 'SELECT name FROM items WHERE id = $1', values: [id] });
    assert.equal(rows[0].name, `item ${id}`);
  }
});

await check('binary results', async () => {
  const { rows } = await client.query({ text: 'SELECT id, name FROM items WHERE id = $1', values: [3], binary: true });
  assert.deepEqual({ ...rows[0] }, { id: 3, name: 'item 3' });
});

await check('several statements give several results, and an error undoes them all', async () => {
  const results = await client.query(
    "SELECT 1 AS a; UPDATE items SET name = 'x' WHERE id = 1; SELECT name FROM items WHERE id = 1",
  );
  assert.deepEqual(
    results.map(({ command, rowCount }) => [command, rowCount]),
    [
      ['SELECT', 1],
      ['UPDATE', 1],
      ['SELECT', 1],
    ],
  );
  await assert.rejects(client.query("UPDATE items SET name = 'y' WHERE id = 1; SELECT 1/0"), code('22012'));
  assert.equal((await client.query('SELECT name FROM items WHERE id = 1')).rows[0].name, 'x');
});

await check('a cursor reads a portal in portions', async () => {
  const cursor = client.query(new Cursor('SELECT id FROM items ORDER BY id'));
  const seen = [];
  for (let rows; (rows = await cursor.read(300)).length > 0;) seen.push(rows.length);
  assert.deepEqual(seen, [300, 300, 300, 100]);
  const given = client.query(new Cursor('SELECT id FROM items'));
  assert.equal((await given.read(1)).length, 1);
  await given.close();
  assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1);
});

await check('COPY streams in and out', async () => {
  await client.query('CREATE TABLE copied (id int, name text)');
  const lines = Array.from({ length: 2000 }, (_, n) => `${n}\trow ${n}\n`);
  await pipeline(Readable.from(lines), client.query(from('COPY copied FROM STDIN')));
  let text = '';
  for await (const chunk of client.query(to('COPY (SELECT * FROM copied ORDER BY id) TO STDOUT'))) text += chunk;
  assert.equal(text, lines.join(''));
});

await check('errors have code, constraint, table, schema, detail and position', async () => {
  const error = await client.query('INSERT INTO items (id) VALUES (1)').catch((caught) => caught);
  assert.deepEqual(
    [error.code, error.constraint, error.table, error.schema, error.detail],
    ['23505', 'items_pkey', 'items', schema, 'Key (id)=(1) already exists.'],
  );
  const unknown = await client.query('SELECT nope FROM items').catch((caught) => caught);
  assert.deepEqual([unknown.code, unknown.position], ['42703', '8']);
});

await check('queries that are queued without waiting are answered in order', async () => {
  const all = await Promise.all(
    Array.from({ length: 50 }, (_, n) => client.query('SELECT $1::int AS n, count(*) FROM items', [n])),
  );
  assert.deepEqual(
    all.map(({ rows }) => rows[0].n),
    Array.from({ length: 50 }, (_, n) => n),
  );
});

await check('NOTIFY reaches a client that listens', async () => {
  const heard = new Promise((resolve) => client.once('notification', resolve));
  await client.query(`LISTEN ${schema}`);
  await client.query(`SELECT pg_notify('${schema}', 'hello')`);
  assert.equal((await heard).payload, 'hello');
});

await check('notices arrive', async () => {
  const heard = new Promise((resolve) => client.once('notice', resolve));
  await client.query('DROP TABLE IF EXISTS not_there');
  assert.equal((await heard).message, 'table "not_there" does not exist, skipping');
});

await check('statement_timeout ends a statement with 57014', async () => {
  const other = new Client({ connectionString: url, statement_timeout: 100 });
  await other.connect();
  await assert.rejects(other.query('SELECT pg_sleep(20)'), code('57014'));
  await other.end();
});

await check('a pool keeps transactions on one connection', async () => {
  const pool = new Pool({ connectionString: url, max: 3, options: `-c search_path=${schema}` });
  const one = await pool.connect();
  await one.query('BEGIN');
  await one.query('DELETE FROM items WHERE id = 999');
  assert.equal((await pool.query('SELECT count(*)::int AS n FROM items')).rows[0].n, 1000);
  await one.query('ROLLBACK');
  one.release();
  await pool.end();
});

await client.query(`DROP SCHEMA ${schema} CASCADE`);
await client.end();
