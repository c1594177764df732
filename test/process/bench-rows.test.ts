/** The benchmark compares forms of the same rows: that they are the same is tested here. */
import { expect, test } from 'vitest';
import { RawConnection } from '../bench/raw-client.ts';
import {
  COLUMNS,
  copyBytes,
  FIRST_ID,
  INSERT_PREPARED,
  insertPrepared,
  insertStatement,
  TABLE,
  type CopyFormat,
} from '../bench/row-bytes.ts';
import { copyIn } from '../bench/workloads.ts';
import { startServer } from './server-process.ts';

test('the rows of the benchmark are the same in every form in which it sends them', async () => {
  await using server = await startServer();
  const client = await RawConnection.open(server.url);
  const copied = (format: CopyFormat) => () => copyIn(client, format, copyBytes(format, FIRST_ID, 3));
  const forms: readonly (() => Promise<void>)[] = [
    async () => {
      const request = insertStatement(3);
      request.fill(FIRST_ID);
      client.send(request.bytes);
      await client.ready();
    },
    async () => {
      await client.prepare('i', INSERT_PREPARED);
      const request = insertPrepared(3);
      request.fill(FIRST_ID);
      client.send(request.bytes);
      await client.ready();
    },
    copied('text'),
    copied('csv'),
    copied('binary'),
  ];
  const found: string[][][] = [];
  for (const send of forms) {
    await client.query(`DROP TABLE IF EXISTS ${TABLE}`);
    await client.query(`CREATE TABLE ${TABLE} (${COLUMNS})`);
    await send();
    found.push(await client.query(`SELECT * FROM ${TABLE} ORDER BY id`));
  }
  client.end();
  expect(found[0]![1]).toEqual([
    '1000000001',
    '2026-01-01 00:00:41.000037+00',
    '201',
    'customer 8007',
    '5013.25',
    '{"user":300101,"page":"/products/items","ref":"mail","n":201}',
    't',
  ]);
  expect(found).toEqual(forms.map(() => found[0]));
});
