/** UPDATE and DELETE of a table without a key over SQL: the log names rows of every type by their images (C3). */
import type { Client } from 'pg';
import { expect, test } from 'vitest';
import { connect } from './client.ts';
import { startServer } from './server-process.ts';

const COLUMNS: readonly (readonly [type: string, values: readonly (string | null)[]])[] = [
  ['boolean', ['t', 'f', null]],
  ['smallint', ['-32768', '7', null]],
  ['integer', ['-2147483648', '2147483647', null]],
  ['bigint', ['-9223372036854775808', '9007199254740993', null]],
  ['real', ['-0', '0', 'NaN', 'Infinity', '1.5', null]],
  ['double precision', ['-0', '0', 'NaN', '-Infinity', '0.1', null]],
  ['numeric(38,10)', ['-12345678901234567890.0123456789', '0', null]],
  ['numeric(6,2)', ['-1234.50', '0.01', null]],
  ['text', ['', 'ä text of more than twelve bytes', "it's", null]],
  ['varchar(5)', ['abc', '', null]],
  ['json', ['{"b": 1,  "a": null}', '[]', null]],
  ['jsonb', ['{"b":1,"a":[1,2]}', 'null', null]],
  ['bytea', ['\\x00ff', '\\x', null]],
  ['date', ['1969-12-31', '2026-01-02', null]],
  ['time', ['23:59:59.999999', '00:00:00', null]],
  ['timestamp', ['1999-12-31 23:59:59.5', null]],
  ['timestamptz', ['2026-01-02 03:04:05.000006+00', null]],
  ['uuid', ['00000000-0000-0000-0000-000000000001', 'ffffffff-ffff-ffff-ffff-ffffffffffff', null]],
  ['numeric', ['NaN', '-Infinity', '1.50', '123456789012345678901234567890123456789012.5', null]],
  ['interval', ['1 mon', '30 days', '24:00:00', null]],
  ['timetz', ['12:00:00+02', '10:00:00+00', null]],
  ['int[]', ['{1,NULL,2}', '{}', null]],
  ['numeric[]', ['{1.50,NULL,NaN}', '{1.5}', '{}', null]],
  ['interval[]', ['{"1 mon","-1 days +02:00:00"}', '{"30 days"}', '{24:00:00}', null]],
  ['timetz[]', ['{12:00:00+02}', '{10:00:00+00,NULL}', null]],
  ['char(3)[]', ['{"a  ","bcd"}', '{"   "}', null]],
  ['"char"[]', ['{a,""}', null]],
];

/** All rows as the server writes them, sorted; a file may keep 0 for -0. */
async function bag(client: Client): Promise<string[]> {
  const { rows } = await client.query<(string | null)[]>({
    text: 'SELECT * FROM bag',
    rowMode: 'array',
    types: { getTypeParser: () => (value: string) => (value === '-0' ? '0' : value) },
  });
  return rows.map((row) => JSON.stringify(row)).sort();
}

test('rows of every type that were deleted or updated by their images stay so after kill -9, in memory, on disk and in Iceberg', async () => {
  const first = await startServer();
  const { dataDir } = first;
  let before: string[] = [];
  try {
    const client = await connect(first.url);
    await client.query(`CREATE TABLE bag (m int, ${COLUMNS.map(([type], i) => `c${i} ${type}`).join(', ')})`);
    const rows = Array.from({ length: 12 }, (_, n) => [
      n % 4,
      ...COLUMNS.map(([, values]) => values[n % values.length] ?? null),
    ]);
    const load = async (): Promise<void> => {
      for (const row of rows) {
        const places = row.map((_, i) => `$${i + 1}`).join(', ');
        await client.query(`INSERT INTO bag VALUES (${places})`, row);
        await client.query(`INSERT INTO bag VALUES (${places})`, row); // each twice
      }
    };
    await load();
    await client.query('CHECKPOINT');
    await load();
    expect((await client.query('DELETE FROM bag WHERE m = 1')).rowCount).toBe(12);
    expect((await client.query("UPDATE bag SET c8 = 'changed', m = 9 WHERE m = 2")).rowCount).toBe(12);
    expect((await client.query("UPDATE bag SET c1 = c1 - 1 WHERE c8 = 'changed' AND c1 = 7")).rowCount).toBeGreaterThan(
      0,
    );
    before = await bag(client);
    expect(before.length).toBe(36);
    await client.end();
    await first.kill9();
    for (const checkpoint of [true, false]) {
      await using server = await startServer({ dataDir });
      const again = await connect(server.url);
      expect(await bag(again)).toEqual(before);
      if (checkpoint) await again.query('CHECKPOINT');
      await again.end();
      await server.kill9();
    }
  } finally {
    await first[Symbol.asyncDispose]();
  }
}, 120_000);
