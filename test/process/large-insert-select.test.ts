/** H1: INSERT … SELECT of more texts than memory holds is one transaction; what it has given up is not kept by its own query. */
import { expect, test } from 'vitest';
import { connect } from './client.ts';
import { startServer } from './server-process.ts';

const FIRST = 1000;
const DOUBLINGS = 8;
const TEXT = 'n'.repeat(700);

test('INSERT … SELECT and CREATE TABLE AS of more texts than pins may hold end as any other', async () => {
  await using server = await startServer({ settings: { 'memory.limit': '768MB' } });
  const client = await connect(server.url);
  await client.query('CREATE TABLE a (id int, t text)');
  const values = Array.from({ length: FIRST }, (_, i) => `(${i},'${TEXT}')`).join(',');
  await client.query(`INSERT INTO a VALUES ${values}`);
  let rows = FIRST;
  // The last one writes 90 MB of texts while its own scan reads the same table.
  for (let i = 0; i < DOUBLINGS; i++, rows *= 2) await client.query(`INSERT INTO a SELECT id + ${rows}, t FROM a`);
  await client.query('CREATE TABLE b (id int PRIMARY KEY, t text)');
  await client.query('INSERT INTO b SELECT * FROM a');
  await client.query('CREATE TABLE c AS SELECT * FROM b');
  for (const table of ['a', 'b', 'c']) {
    const { rows: counted } = await client.query(
      `SELECT count(*)::int AS n, count(DISTINCT id)::int AS ids, min(length(t)) AS length FROM ${table}`,
    );
    expect(counted).toEqual([{ n: rows, ids: rows, length: TEXT.length }]);
  }
  await client.end();
}, 240_000);
