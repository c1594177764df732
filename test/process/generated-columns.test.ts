/** Generated columns over kill -9, and in every tier: what was worked out stays, and new rows are worked out as before. */
import { expect, test } from 'vitest';
import { connect } from './client.ts';
import { startServer } from './server-process.ts';

const ALL = 'SELECT id, label, total FROM made ORDER BY id';

test('generated columns are what they were after kill -9 and in every tier, and rows that come later have theirs', async () => {
  const first = await startServer();
  const { dataDir } = first;
  try {
    const client = await connect(first.url);
    await client.query(`CREATE TABLE made (id int PRIMARY KEY, a text, n numeric(9,2),
      label text GENERATED ALWAYS AS (upper(a) || '-' || id) STORED, total numeric GENERATED ALWAYS AS (n / 3) STORED)`);
    await client.query(`INSERT INTO made (id, a, n) VALUES (1, 'x', 1)`);
    await client.query('CHECKPOINT');
    await client.query(`INSERT INTO made (id, a, n) VALUES (2, 'y', 2)`);
    await client.query(`CALL arka.flush('made')`);
    await client.query(`INSERT INTO made (id, a) VALUES (3, 'z')`);
    await client.query(`UPDATE made SET n = n + 1, a = 'w' WHERE id = 1`);
    await client.end();
    await first.kill9();
    await using second = await startServer({ dataDir });
    const again = await connect(second.url);
    const rows = async (): Promise<unknown[]> => (await again.query({ text: ALL, rowMode: 'array' })).rows;
    const expected = [
      [1, 'W-1', '0.66666666666666666667'],
      [2, 'Y-2', '0.66666666666666666667'],
      [3, 'Z-3', null],
    ];
    expect(await rows()).toEqual(expected);
    await again.query('CHECKPOINT');
    expect(await rows()).toEqual(expected);
    // by PostgreSQL itself, over a copy of the rows
    await again.query(`UPDATE made SET n = 9 WHERE quote_literal(label) = '''Y-2'''`);
    await again.query(`INSERT INTO made (id, a, n) SELECT id + 10, quote_literal(a), n FROM made WHERE id = 2`);
    expect(await rows()).toEqual([
      expected[0],
      [2, 'Y-2', '3.0000000000000000'],
      expected[2],
      [12, "'Y'-12", '3.0000000000000000'],
    ]);
    await again.end();
  } finally {
    await first[Symbol.asyncDispose]();
  }
}, 120_000);
